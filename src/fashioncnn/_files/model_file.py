# SPDX-License-Identifier: BSD-3-Clause
"""Model files: what is written of a classifier, and how it is read, checked, and made again.

The manifest has what is small: parameters, and the description of what is fitted that pickles have,
too. What may be long is in arrays. Everything that a file says is checked before its arrays are
read; the page "The model file" of the documentation has it for other programs.
"""

import io
import math
import reprlib
from collections.abc import Callable, Mapping, Set
from typing import Any, BinaryIO, NoReturn

import numpy as np

from fashioncnn._files.fields import Refuse, as_name, check_names
from fashioncnn._files.labels import (
    label_infos,
    read_dtype,
    read_labels,
    refuse_unsorted,
    write_labels,
)
from fashioncnn._files.model_fields import (
    CLASS,
    FORMAT,
    VERSION,
    check_manifest,
    n_layers_with_weights,
)
from fashioncnn._files.parameters import decode, encode
from fashioncnn._files.safetensors_file import SafetensorsFile, TensorInfo, pack
from fashioncnn._files.versions import installed_versions
from fashioncnn._network.architecture import Architecture
from fashioncnn._network.description import Description, describe, network_from
from fashioncnn._network.fitted import FittedNetwork, fitted_attributes
from fashioncnn._network.optimizers import N_SLOTS
from fashioncnn._network.pickled_state import FITTED
from fashioncnn.exceptions import ModelFileError

_SMALL = ("architecture", "compilation", "pixel_range", "test_time_flip")  # of the description
_NAMES_DTYPE = np.dtype(object)  # of names of columns
_SCALING = ("scale", "offset")
_LARGEST = np.finfo(np.float32).max  # to which the scaling is cast
_NEVER_SAVED = "checkpoint"  # a file must not decide where its user's machine writes to
_LONG = 500  # characters of a message
_PICKLE_IT = (
    "If you have changed what was fitted, set it back or fit anew; or pickle the classifier."
)
_OTHER_FILE = (
    "load reads files that save has written, and nothing else. Pickles are read by joblib.load, "
    "files of Keras by keras.saving.load_model; only from those whom you trust, as both can run "
    "code."
)


# --- Writing --------------------------------------------------------------------------------------


def write_model(
    params: Mapping[str, Any], requests: Mapping[str, Any], attributes: Mapping[str, Any]
) -> bytes:
    """Return the bytes of a model file, which has been read again.

    Parameters
    ----------
    params : dict
        The parameters of a classifier.
    requests : dict
        What its methods request where scikit-learn routes metadata.
    attributes : dict
        All its attributes.

    Raises
    ------
    TypeError, ValueError
        If a file can't hold one of them.
    """
    _refuse_others(attributes.keys() - params.keys())
    network = describe(attributes["_network"])
    classes = np.asarray(attributes["classes_"])
    arrays = _arrays_of(network)
    arrays |= write_labels("classes", classes, _refuse_to_save)
    if "feature_names_in_" in attributes:
        names = np.asarray(attributes["feature_names_in_"], object)
        arrays |= write_labels("feature_names_in", names, _refuse_to_save)
    manifest = {
        "format": FORMAT,
        "format_version": VERSION,
        "class": CLASS,
        "versions": installed_versions(),
        "params": {
            name: None if name == _NEVER_SAVED else _encode_parameter(name, value)
            for name, value in params.items()
        },
        "metadata_requests": requests,
        "classes": {"dtype": classes.dtype.str},
        "feature_names_in": "feature_names_in_" in attributes,
        "precision": attributes["precision_"],
        **_small_parts(network),
    }
    content = pack(manifest, arrays, _refuse_to_save)
    file = ModelFile(io.BytesIO(content), len(content), _refuse_to_save)
    file.read_params(params.keys())
    file.read_fitted()
    return content


def _refuse_others(names: Set[str]) -> None:
    others = sorted(names - {*FITTED, "_network", "_metadata_request", "callbacks_"})
    if others:
        raise TypeError(
            f"This {CLASS} can't be saved: a file has no place for the attribute {others[0]!r}. "
            "Delete it first, or pickle the classifier."
        )


def _refuse_to_save(field: str, problem: str, advice: str = _PICKLE_IT) -> NoReturn:
    raise ValueError(f"This {CLASS} can't be saved: {field} {problem}. {advice}")


def _encode_parameter(name: str, value: Any) -> Any:
    try:
        return encode(value)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"This {CLASS} can't be saved: the parameter {name!r} {error}. Set a plain value "
            f"first, as by set_params({name}=None); what is fitted stays as it is."
        ) from error


def _small_parts(network: Description) -> dict[str, Any]:
    """Return what the manifest says of a described network."""
    checkpoint, scaling = network["checkpoint"], network["scaling"]
    return {
        **{name: network[name] for name in _SMALL},
        "scaling": scaling and {"kind": scaling["kind"]},
        "checkpoint": {
            **checkpoint,
            "history": list(checkpoint["history"]),
            "slots": network["slots"] is not None,
            "raw_weights": network["raw_weights"] is not None,
        },
    }


def _arrays_of(network: Description) -> dict[str, np.ndarray]:
    """Return the arrays of a described network, by their names in a file."""
    arrays = {f"weights/{name}": array for name, array in network["weights"].items()}
    for name, array in (network["raw_weights"] or {}).items():
        arrays[f"raw_weights/{name}"] = array
    for name, moments in (network["slots"] or {}).items():
        arrays |= {f"slots/{index}/{name}": array for index, array in enumerate(moments)}
    for name, values in network["checkpoint"]["history"].items():
        arrays[f"history/{name}"] = np.array(values, np.float64)
    for name in _SCALING if network["scaling"] else ():
        arrays[f"scaling/{name}"] = np.array(network["scaling"][name], np.float64)
    return arrays


def _check_arrays(arrays: Mapping[str, np.ndarray], refuse: Refuse) -> None:
    """Check that values are finite, but those of a history, and what else they can't be."""
    for name, array in arrays.items():
        if array.dtype.kind != "f" or name.startswith(("history/", "classes")):
            continue
        if not np.isfinite(array).all():
            refuse(
                f"the array {name!r}",
                "has values that are not finite",
                "Training has diverged: fit again with a lower learning_rate.",
            )
        if name.startswith("scaling/") and (largest := np.abs(array).max()) > _LARGEST:
            refuse(f"the array {name!r}", f"has {largest}, which is beyond float32")
        if name.endswith("/moving_variance") and array.min() < 0:
            refuse(f"the array {name!r}", f"has {array.min()}, and a variance is at least 0")


# --- Reading --------------------------------------------------------------------------------------


class ModelFile:
    """A model file whose manifest has been read and checked, but not its arrays.

    Parameters
    ----------
    file : binary file
        At its beginning.
    size : int
        How many bytes it has.
    refuse : callable
        Raises the error where it is no model file, is one of a newer version, or says what can't
        be.
    sha256 : str, default=None
        The digest that the whole file should have, if the user knows it.
    """

    def __init__(
        self, file: BinaryIO, size: int, refuse: Refuse, sha256: str | None = None
    ) -> None:
        self.refuse = refuse
        self._sha256 = sha256 and sha256.lower()
        self._file = SafetensorsFile(file, size, refuse, _OTHER_FILE)
        self._manifest = self._file.manifest
        check_manifest(self._manifest, refuse)
        n_layers = n_layers_with_weights(self._manifest["architecture"])
        if n_layers > len(self._file.tensors):  # before a table of so many layers is made
            self.refuse(
                "architecture",
                f"has {n_layers} layers with weights, but the file has only "
                f"{len(self._file.tensors)} arrays",
            )
        self._architecture = Architecture(
            **{name: _with_tuples(part) for name, part in self._manifest["architecture"].items()}
        )

    @property
    def metadata_requests(self) -> dict[str, Any]:
        """What methods request where scikit-learn routes metadata; not checked."""
        requests: dict[str, Any] = self._manifest["metadata_requests"]
        return requests

    def read_params(self, names: Set[str]) -> dict[str, Any]:
        """Return the parameters, which have just these names; their values are not checked."""
        params = self._manifest["params"]
        check_names(params.keys(), names, self.refuse, "params.", as_name)
        path = params.get(_NEVER_SAVED)
        if path is not None:
            self.refuse(f"params.{_NEVER_SAVED}", f"is {reprlib.repr(path)}, and should be null")
        return {name: self._decode(name, value) for name, value in params.items()}

    def _decode(self, name: str, value: Any) -> Any:
        try:
            return decode(value)
        except ValueError as error:
            self.refuse(f"params.{name}", str(error))

    def check(self, field: str, function: Callable[..., Any], *args: Any) -> None:
        """Call a function that raises TypeError or ValueError where a field can't be so."""
        try:
            function(*args)
        except (TypeError, ValueError) as error:
            self.refuse(field, f"is not valid: {str(error).rstrip('.')}")

    def read_fitted(self) -> dict[str, Any]:
        """Read the arrays, and return the attributes that a fit sets."""
        arrays = self._file.read(self._expected(), self._sha256)
        _check_arrays(arrays, self.refuse)
        network = self._network(arrays)
        best_epoch, n_epochs = network.checkpoint.best_epoch, network.checkpoint.n_epochs
        if best_epoch > n_epochs:
            self.refuse(
                "checkpoint.best_epoch", f"is {best_epoch}, and should be {n_epochs} at most"
            )
        precision = self._manifest["precision"]
        attributes = fitted_attributes(network, self._classes(arrays), precision)
        if self._manifest["feature_names_in"]:
            attributes["feature_names_in_"] = read_labels(
                "feature_names_in", _NAMES_DTYPE, arrays, self.refuse
            )
        return attributes

    @property
    def _classes_dtype(self) -> np.dtype:
        dtype = read_dtype(self._manifest["classes"]["dtype"])
        assert dtype is not None  # it has been checked
        return dtype

    def _classes(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        classes = read_labels("classes", self._classes_dtype, arrays, self.refuse)
        refuse_unsorted("classes", classes, self.refuse)
        return classes

    def _expected(self) -> dict[str, TensorInfo]:
        """Return what the arrays should be, by arithmetic on the manifest."""
        architecture, checkpoint = self._architecture, self._manifest["checkpoint"]
        infos = label_infos("classes", self._classes_dtype, architecture.n_classes)
        if self._manifest["feature_names_in"]:
            n_features = math.prod(architecture.image_shape)
            infos |= label_infos("feature_names_in", _NAMES_DTYPE, n_features)
        n_slots = N_SLOTS[checkpoint["update_rule"]] if checkpoint["slots"] else 0
        for name, weight in architecture.weights.items():
            groups = ["weights", *(["raw_weights"] if checkpoint["raw_weights"] else [])]
            if weight.is_trainable:
                groups += [f"slots/{index}" for index in range(n_slots)]
            infos |= {f"{group}/{name}": TensorInfo("F32", weight.shape) for group in groups}
        for name in checkpoint["history"]:
            infos[f"history/{name}"] = TensorInfo("F64", (self._n_epochs(),))
        for name in _SCALING if self._manifest["scaling"] else ():
            infos[f"scaling/{name}"] = TensorInfo("F64", architecture.image_shape[-1:])
        return infos

    def _n_epochs(self) -> int:
        """Return the length of the history of the loss, which the others have, too."""
        loss = self._file.tensors.get("history/loss")
        return loss.shape[0] if loss and len(loss.shape) == 1 else -1

    def _network(self, arrays: Mapping[str, np.ndarray]) -> FittedNetwork:
        manifest = self._manifest
        checkpoint = dict(manifest["checkpoint"])
        names = list(self._architecture.weights)
        has_slots, has_raw_weights = checkpoint.pop("slots"), checkpoint.pop("raw_weights")
        checkpoint["history"] = {
            name: arrays[f"history/{name}"].tolist() for name in checkpoint["history"]
        }
        scaling = manifest["scaling"] and {
            **manifest["scaling"],
            **{name: arrays[f"scaling/{name}"].tolist() for name in _SCALING},
        }
        description = {
            **{name: manifest[name] for name in _SMALL},
            "scaling": scaling,
            "checkpoint": checkpoint,
            "weights": {name: arrays[f"weights/{name}"] for name in names},
            "raw_weights": {name: arrays[f"raw_weights/{name}"] for name in names}
            if has_raw_weights
            else None,
            "slots": self._slots(arrays) if has_slots else None,
        }
        try:
            return network_from(description)
        except ValueError as error:
            self.refuse("the network", f"is not what training leaves: {error}")

    def _slots(self, arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, ...]]:
        n_slots = N_SLOTS[self._manifest["checkpoint"]["update_rule"]]
        return {
            name: tuple(arrays[f"slots/{index}/{name}"] for index in range(n_slots))
            for name, weight in self._architecture.weights.items()
            if weight.is_trainable
        }


def refuse_to_load(path: str) -> Refuse:
    """Return what raises a ModelFileError for a file."""

    def refuse(field: str, problem: str, *advice: str) -> NoReturn:
        raise ModelFileError(path, _printable(field), _printable(problem), *advice)

    return refuse


def _printable(text: str) -> str:
    """Shorten and escape what others say of a value: it may have all of it, as it is."""
    short = text if len(text) <= _LONG else f"{text[:_LONG]}..."
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in short)


def _with_tuples(value: Any) -> Any:
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value
