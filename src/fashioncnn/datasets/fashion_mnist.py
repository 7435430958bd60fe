# SPDX-License-Identifier: BSD-3-Clause
"""Fashion-MNIST: the full data set, and the small sample of it that ships with the library."""

import io
import os
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

import numpy as np
from sklearn.utils._param_validation import StrOptions, validate_params

from fashioncnn.datasets.idx import IdxFile, decompress, read_array

FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


Subset = Literal["train", "test", "all"]

_Part = tuple[IdxFile, IdxFile]  # images, labels

_FULL: Mapping[str, _Part] = {
    "train": (
        IdxFile(
            "train-images-idx3-ubyte.gz",
            (60_000, 28, 28),
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        IdxFile(
            "train-labels-idx1-ubyte.gz",
            (60_000,),
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
    ),
    "test": (
        IdxFile(
            "t10k-images-idx3-ubyte.gz",
            (10_000, 28, 28),
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte.gz",
            (10_000,),
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
}

# Drawn from the full set by tools/make_sample.py.
_SAMPLE: Mapping[str, _Part] = {
    "train": (
        IdxFile(
            "sample-train-images-idx3-ubyte.gz",
            (3_000, 28, 28),
            "5e03c81b289ec6d2071dd6074109d94f0343f96ffffea5db148b201667f521dc",
        ),
        IdxFile(
            "sample-train-labels-idx1-ubyte.gz",
            (3_000,),
            "8f7e78a34d67be2fec59a11e1941bcae6287204f51487169a0aef38c5c75e5aa",
        ),
    ),
    "test": (
        IdxFile(
            "sample-t10k-images-idx3-ubyte.gz",
            (1_000, 28, 28),
            "136679620b1bd8e247cdae5d818d91990d7563da87fdb42f0013644175523334",
        ),
        IdxFile(
            "sample-t10k-labels-idx1-ubyte.gz",
            (1_000,),
            "b4a6692f1d1374eabb6817922e150fdfbb369bdbacd57bea919b6251230cb7ef",
        ),
    ),
}

_ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_TIMEOUT = 30.0  # seconds without an answer
_ENVIRONMENT_VARIABLE = "FASHIONCNN_DATA"
_DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"
_CACHE_FOLDER = "~/.cache/fashioncnn"

_SUBSET_CONSTRAINTS: Mapping[str, list[Any]] = {
    "subset": [StrOptions(set(get_args(Subset)))],
    "as_names": ["boolean"],
}
_Function = TypeVar("_Function", bound=Callable[..., Any])


def _validate_params(constraints: Mapping[str, list[Any]]) -> Callable[[_Function], _Function]:
    """Return scikit-learn's decorator of that name, which has no types of its own."""
    decorator = validate_params(constraints, prefer_skip_nested_validation=True)
    return cast(Callable[[_Function], _Function], decorator)


@_validate_params(
    {
        **_SUBSET_CONSTRAINTS,
        "data_home": [str, os.PathLike, None],
        "download_if_missing": ["boolean"],
    }
)
def load_fashion_mnist(
    subset: Subset = "train",
    *,
    data_home: str | os.PathLike[str] | None = None,
    as_names: bool = False,
    download_if_missing: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Load Fashion-MNIST: 70,000 grey images of articles of clothing in ten classes.

    The data are four gzip files in the IDX format, of which those are read that `subset` needs.
    The first of these folders that has them all serves:

    1. `data_home`;
    2. the folder that the environment variable ``FASHIONCNN_DATA`` names;
    3. ``/usr/share/datasets/fashion-mnist``, the folder of Debian's package
       ``dataset-fashion-mnist``;
    4. ``~/.cache/fashioncnn``;
    5. Keras' own cache, ``~/.keras/datasets/fashion-mnist`` (``KERAS_HOME`` takes the place of
       ``~/.keras`` where it is set).

    If none does, the missing files are downloaded, 30 MB in all, into `data_home` or else
    ``~/.cache/fashioncnn``. Nothing else is ever written. The content of every file is checked.

    Parameters
    ----------
    subset : {"train", "test", "all"}, default="train"
        The 60,000 training images, the 10,000 test images, or both in this order.
    data_home : str or path-like, default=None
        The first folder to look in, and the one to download into. A leading ``~`` is the home
        folder. If it does not have the files, the other folders are looked in all the same.
    as_names : bool, default=False
        Whether `y` holds the names of the classes instead of their codes.
    download_if_missing : bool, default=True
        If False, raise an OSError instead of downloading files that no folder has.

    Returns
    -------
    X : ndarray of shape (n_samples, 28, 28), dtype=uint8
        The images; 0 is the background.
    y : ndarray of shape (n_samples,)
        The classes: codes from 0 to 9 as uint8, which are indices into
        ``FASHION_MNIST_CLASSES``, or those names as str.

    Raises
    ------
    ValueError
        If a parameter is not valid, or a file is damaged or is not Fashion-MNIST's.
    OSError
        If no folder has the files and they may not or cannot be downloaded, or a file cannot be
        read.

    See Also
    --------
    load_fashion_mnist_sample : A small part of the data, which needs no file and no network.

    References
    ----------
    H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
    Learning Algorithms", 2017, arXiv:1708.07747. https://github.com/zalandoresearch/fashion-mnist

    Examples
    --------
    >>> from fashioncnn import load_fashion_mnist
    >>> X, y = load_fashion_mnist("test")  # doctest: +SKIP
    >>> X.shape, y.shape  # doctest: +SKIP
    ((10000, 28, 28), (10000,))
    """
    parts = _select_parts(_FULL, subset)
    needed = [file for part in parts for file in part]
    folders = _list_folders(data_home)
    for folder in folders:
        if all(os.path.exists(folder / file.name) for file in needed):
            break
    else:
        if not download_if_missing:
            problem = "Data not found and `download_if_missing` is False."
            raise OSError(_explain_missing(problem, needed, folders))
        folder = _download(needed, data_home, folders)
    remedy = (
        "Delete it or replace it, or pass another folder as `data_home` (the files of the older "
        "MNIST have the same names)."
    )
    return _load_parts(folder, parts, as_names, remedy)


@_validate_params(_SUBSET_CONSTRAINTS)
def load_fashion_mnist_sample(
    subset: Subset = "train", *, as_names: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Load a sample of Fashion-MNIST that ships with the library: no file to fetch, no network.

    It has 300 training images and 100 test images of each class, drawn at random from the training
    set and the test set that `load_fashion_mnist` loads, and shuffled.

    Parameters
    ----------
    subset : {"train", "test", "all"}, default="train"
        The 3,000 training images, the 1,000 test images, or both in this order.
    as_names : bool, default=False
        Whether `y` holds the names of the classes instead of their codes.

    Returns
    -------
    X : ndarray of shape (n_samples, 28, 28), dtype=uint8
        The images; 0 is the background.
    y : ndarray of shape (n_samples,)
        The classes: codes from 0 to 9 as uint8, which are indices into
        ``FASHION_MNIST_CLASSES``, or those names as str.

    Raises
    ------
    ValueError
        If a parameter is not valid, or the installed sample is damaged.
    OSError
        If the installed sample cannot be read.

    See Also
    --------
    load_fashion_mnist : The full data set.

    References
    ----------
    H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
    Learning Algorithms", 2017, arXiv:1708.07747. https://github.com/zalandoresearch/fashion-mnist

    Examples
    --------
    >>> from fashioncnn import load_fashion_mnist_sample
    >>> X, y = load_fashion_mnist_sample("test", as_names=True)
    >>> X.shape, X.dtype, y.shape
    ((1000, 28, 28), dtype('uint8'), (1000,))
    >>> sum(y == "Ankle boot").item()
    100
    """
    folder = files("fashioncnn.datasets") / "data"
    return _load_parts(folder, _select_parts(_SAMPLE, subset), as_names, "Reinstall fashioncnn.")


def _select_parts(dataset: Mapping[str, _Part], subset: Subset) -> list[_Part]:
    return [dataset[name] for name in (("train", "test") if subset == "all" else (subset,))]


def _load_parts(
    folder: Traversable, parts: Iterable[_Part], as_names: bool, remedy: str
) -> tuple[np.ndarray, np.ndarray]:
    """Read the images and labels of each part, one part after the other."""
    arrays = [[read_array(folder / file.name, file, remedy) for file in part] for part in parts]
    # Concatenating also makes arrays of our own, which can be written to.
    X, y = (np.concatenate(column) for column in zip(*arrays, strict=True))
    return X, np.array(FASHION_MNIST_CLASSES)[y] if as_names else y


def _list_folders(data_home: str | os.PathLike[str] | None) -> list[Path]:
    """List the folders that may have the full data set, in the order to look in them."""
    keras_home = os.environ.get("KERAS_HOME") or "~/.keras"
    folders = (
        data_home,
        os.environ.get(_ENVIRONMENT_VARIABLE),
        _DEBIAN_FOLDER,
        _CACHE_FOLDER,
        os.path.join(keras_home, "datasets", "fashion-mnist"),
    )
    return [Path(os.path.expanduser(folder)) for folder in folders if folder]


def _explain_missing(problem: str, needed: Iterable[IdxFile], folders: Iterable[Path]) -> str:
    names = ", ".join(file.name for file in needed)
    looked_in = "".join(f"\n  {folder}" for folder in folders)
    return (
        f"{problem}\nNo folder has all of {names}. Looked in, in this order:{looked_in}\n"
        "Each of these provides Fashion-MNIST:\n"
        "  apt-get install dataset-fashion-mnist, on Debian and its relatives\n"
        f"  a folder with the files, passed as `data_home` or named by {_ENVIRONMENT_VARIABLE}\n"
        f"  a download from {_ORIGIN} by hand into one of these folders\n"
        "  a network connection and `download_if_missing=True`\n"
        "  keras.datasets.fashion_mnist.load_data(), whose cache is one of these folders\n"
        "load_fashion_mnist_sample() loads a small part of it without files or network."
    )


def _download(
    needed: Iterable[IdxFile], data_home: str | os.PathLike[str] | None, folders: Iterable[Path]
) -> Path:
    """Download the files that the folder to download into lacks, and return that folder."""
    from http.client import HTTPException

    try:
        # Unlike os.path.expanduser, this raises a RuntimeError where there is no home folder.
        folder = Path(data_home or _CACHE_FOLDER).expanduser()
        for file in needed:
            if not (folder / file.name).exists():
                _download_file(file, folder)
    except (OSError, HTTPException, RuntimeError, ValueError) as error:
        problem = f"Data not found, and downloading it failed: {error}"
        raise OSError(_explain_missing(problem, needed, folders)) from error
    return folder


def _download_file(file: IdxFile, folder: Path) -> None:
    """Store a file under its name in one step, once all of it is here and correct."""
    from urllib.request import urlopen
    from uuid import uuid4

    url = _ORIGIN + file.name
    with urlopen(url, timeout=_TIMEOUT) as response:
        compressed = response.read(file.size + 1_000)  # a bound: compression adds little at worst
    decompress(io.BytesIO(compressed), url, file, "Perhaps a proxy answered, or the line broke.")
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{file.name}.{uuid4().hex}.part"
    try:
        temporary.write_bytes(compressed)
        os.replace(temporary, folder / file.name)
    finally:
        temporary.unlink(missing_ok=True)
