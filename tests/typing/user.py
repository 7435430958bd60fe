# SPDX-License-Identifier: BSD-3-Clause
"""A user's script, which mypy checks and nobody runs: what it must accept, and what it must find.

Each `type: ignore` is a mistake that mypy has to find; where it does not, mypy complains of that.
"""

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GridSearchCV

from fashioncnn import (
    FASHION_MNIST_CLASSES,
    FashionCNNClassifier,
    PixelRangeWarning,
    load_fashion_mnist_sample,
)
from fashioncnn.exceptions import CheckpointFileError, ModelFileError

X, y = load_fashion_mnist_sample("train", as_names=True)
assert_type(X, NDArray[Any])
load_fashion_mnist_sample("validation")  # type: ignore[arg-type]

clf = FashionCNNClassifier(
    ((16, 32), 64),
    [128],
    kernel_size=((5, 5), (3, 3)),
    padding="same",
    pool_size=[2, 2],
    residual=True,
    global_pooling="avg",
    conv_dropout=(0.1, 0.2),
    class_weight={"Bag": 2, "Coat": 0.5},
    image_shape=(28, 28),
    random_state=np.random.RandomState(0),
)
FashionCNNClassifier(weight_averaging=np.float32(0.25), min_steps=np.int64(1000))
FashionCNNClassifier(min_steps=0.5)  # type: ignore[arg-type]
FashionCNNClassifier(epochs=np.int64(3), learning_rate=np.float32(0.1), verbose=True)
FashionCNNClassifier(checkpoint="run.checkpoint", random_state=0)
FashionCNNClassifier(checkpoint=Path("run.checkpoint"))
FashionCNNClassifier(checkpoint=True)  # type: ignore[arg-type]
FashionCNNClassifier(augment="flip_shift")
FashionCNNClassifier(augment={"flip": "random", "shift": 2, "erase": np.float32(0.25)})
FashionCNNClassifier(augment="mirror")  # type: ignore[arg-type]
FashionCNNClassifier(precision="auto", test_time_flip=True)
FashionCNNClassifier(test_time_flip="mean")  # type: ignore[arg-type]
settings: dict[str, Any] = {"epochs": 3, "optimizer": "adam"}
FashionCNNClassifier(**settings)
for seed in np.arange(3):
    FashionCNNClassifier(random_state=seed)
search = GridSearchCV(clf, {"learning_rate": np.geomspace(1e-4, 1e-2, 3)})
FashionCNNClassifier((16, 32), 64, kernel_size=3, class_weight="balanced", scaling=None)
FashionCNNClassifier(
    np.array([16, 32]),
    np.array([64]),
    kernel_size=np.array([5, 3]),
    conv_dropout=np.array([0.1, 0.2]),
    image_shape=np.array([28, 28]),
)
FashionCNNClassifier(16)  # type: ignore[arg-type]
FashionCNNClassifier(residual="yes")  # type: ignore[arg-type]
FashionCNNClassifier(padding="full")  # type: ignore[arg-type]
FashionCNNClassifier(activation="relu7")  # type: ignore[arg-type]
FashionCNNClassifier(optimizer="nadam")  # type: ignore[arg-type]
FashionCNNClassifier(learning_rate_schedule="linear")  # type: ignore[arg-type]
FashionCNNClassifier(class_weight="even")  # type: ignore[arg-type]
FashionCNNClassifier(global_pooling="mean")  # type: ignore[arg-type]
FashionCNNClassifier(scaling="minmax")  # type: ignore[arg-type]
FashionCNNClassifier(precision="float16")  # type: ignore[arg-type]
FashionCNNClassifier(loss="hinge")  # type: ignore[arg-type]
FashionCNNClassifier(kernel_size="3")  # type: ignore[arg-type]
FashionCNNClassifier(early_stop=True)  # type: ignore[call-arg]
FashionCNNClassifier.from_recipe("slow")  # type: ignore[arg-type]

assert_type(clf.fit(X, y, X_val=X, y_val=y), FashionCNNClassifier)
assert_type(clf.partial_fit(list(X), y.tolist(), classes=range(10)), FashionCNNClassifier)
assert_type(FashionCNNClassifier.from_recipe("article", epochs=3), FashionCNNClassifier)
clf.save("model.safetensors")
clf.save(Path("model.safetensors"))
clf.export_onnx("model.onnx")
clf.export_onnx(Path("model.onnx"))
loaded = FashionCNNClassifier.load("model.safetensors", expected_sha256="0" * 64, max_bytes=10**6)
assert_type(loaded, FashionCNNClassifier)
FashionCNNClassifier.load(5)  # type: ignore[arg-type]
assert issubclass(ModelFileError, ValueError)
assert issubclass(CheckpointFileError, ValueError)
assert_type(clf.predict(X), NDArray[Any])
assert_type(clf.predict_proba(X), NDArray[np.float32])
assert_type(clf.score(X, y), float)
assert_type(clf.history_["loss"], list[float])
assert_type(clf.image_shape_, tuple[int, int, int])
assert_type(FASHION_MNIST_CLASSES[0], str)
assert issubclass(PixelRangeWarning, UserWarning)
