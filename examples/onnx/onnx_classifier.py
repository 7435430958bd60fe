# SPDX-License-Identifier: BSD-3-Clause
"""Answer by a file that `export_onnx` has written: with onnxruntime and NumPy, and nothing else.

    python onnx_classifier.py web/model.onnx web/picture.npy

The picture is an array of NumPy.
"""

import argparse
import json
import math
import os
from pathlib import Path
from typing import Any

# Recent versions of onnxruntime report to their makers, in a thread that starts with the import. A
# process that is forked later lacks that thread, and would wait for it when it ends.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime


class OnnxClassifier:
    """The network of one file, with what its metadata tell of pictures and classes."""

    def __init__(self, path: str | Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # others would not survive the fork of a server
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.class_names = json.loads(metadata["class_names"])
        self.gives_index = metadata["label"] == "index"
        self.image_shape = tuple(json.loads(metadata["image_shape"]))
        is_uint8 = self.session.get_inputs()[0].type == "tensor(uint8)"
        self.dtype = np.dtype(np.uint8 if is_uint8 else np.float32)

    def answer(self, pictures: Any) -> list[dict[str, Any]]:
        """Give each picture's label and the probability of it."""
        image = self.as_batch(pictures)
        labels, probabilities = self.session.run(["label", "probabilities"], {"image": image})
        labels = labels.tolist()
        if self.gives_index:  # classes that ONNX has no type for, such as dates
            labels = [self.class_names[label] for label in labels]
        highest = probabilities.max(axis=1)
        if not np.isfinite(highest).all():
            raise ValueError("got pixels for which the network's output is not finite")
        return [
            {"label": label, "probability": probability}
            for label, probability in zip(labels, highest.tolist(), strict=True)
        ]

    def as_batch(self, pictures: Any) -> Any:
        """Turn pictures into the array that the network takes, or refuse them."""
        try:  # as floats, because an array of texts has room for the longest at each place
            array = np.asarray(pictures, np.float64)
        except (OverflowError, TypeError, ValueError):
            raise ValueError(
                "got lists of different lengths or values that are no numbers, "
                f"expected {self.expected}"
            ) from None
        if array.shape[1:] == self.image_shape[:2] and self.image_shape[2] == 1:
            array = array[..., np.newaxis]
        if array.shape[1:] != self.image_shape:
            raise ValueError(f"got an array of shape {array.shape}, expected {self.expected}")
        wrong = array[~self.fits(array)]
        if wrong.size:
            raise ValueError(f"got a pixel of {wrong[0]}, expected {self.expected}")
        return array.astype(self.dtype)

    def fits(self, array: Any) -> Any:
        """Tell of each value whether the dtype of pixels can hold it."""
        if self.dtype == np.float32:
            return np.abs(array) <= np.finfo(np.float32).max
        return (array >= 0) & (array <= 255) & (array == np.round(array))

    def from_bytes(self, pixels: bytes) -> Any:
        """Read one picture from its pixels as bytes."""
        expected = math.prod(self.image_shape) * self.dtype.itemsize
        if len(pixels) != expected:
            raise ValueError(
                f"got {len(pixels)} bytes, expected {expected}: one picture of shape "
                f"{self.image_shape} as {self.dtype}"
            )
        return np.frombuffer(pixels, self.dtype).reshape(1, *self.image_shape)

    @property
    def expected(self) -> str:
        """Describe the pictures that this network takes."""
        values = "integers from 0 to 255" if self.dtype == np.uint8 else "finite numbers"
        return f"a list of pictures of shape {self.image_shape} with pixels that are {values}"


def main() -> None:
    """Load, answer for one picture, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a file that `export_onnx` has written")
    parser.add_argument("picture", type=Path, help="an array of NumPy, as `.npy`")
    args = parser.parse_args()

    classifier = OnnxClassifier(args.model)
    try:
        (answer,) = classifier.answer([np.load(args.picture)])
    except ValueError as error:  # not a picture as the model knows them
        raise SystemExit(f"{args.picture}: {error}") from error
    print(f"{answer['label']}, probability {answer['probability']:.2f}")


if __name__ == "__main__":
    main()
