# SPDX-License-Identifier: BSD-3-Clause
"""What goes in as X: one row for each kind of input, refused with a remedy or taken as it is meant.

Rows are made of the shared images X, 90 of 6 x 6 pixels, when a test needs them. In a message <X>
stands for the name of the argument.
"""

import datetime
import decimal
import io
import pathlib

import dask.array
import dask.dataframe
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from ml_dtypes import bfloat16, float8_e5m2
from PIL import Image

from fashioncnn import PixelRangeWarning


def flat(X):
    return X.reshape(90, 36)


def frame(X):
    return pd.DataFrame(flat(X)).add_prefix("pixel")


def polars_frame(X):
    return pl.DataFrame(flat(X), schema=[f"pixel{i}" for i in range(36)])


def polars_frame_of_128_bits(X):
    if not hasattr(pl, "Int128"):
        pytest.skip("polars has none before 1.18")
    return polars_frame(X).with_columns(pixel7=pl.lit(1, pl.Int128))


def with_value(X, value, dtype=np.float64):
    X = X.astype(dtype)
    X[40, 2, 3] = value
    return X


def with_column(X, values):
    return frame(X).assign(pixel7=values)


def objects(items):
    """Make a one-dimensional array of objects, whatever they are."""
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array


def pil(X, mode="L"):
    return [Image.fromarray(image).convert(mode) for image in X]


def pil_of_mode(mode):
    return [Image.new(mode, (6, 6))] * 90


def of_two_sizes(X):
    return [image[:4] if i % 2 else image for i, image in enumerate(X)]


def torch_tensor(X, dtype="float32"):
    torch = pytest.importorskip("torch")
    return torch.tensor(X, dtype=getattr(torch, dtype))


def torch_data(X):
    torch = pytest.importorskip("torch")
    return torch.utils.data.TensorDataset(torch_tensor(X))


def torch_loader(X):
    return pytest.importorskip("torch").utils.data.DataLoader(torch_data(X))


def torch_meta(X):
    return pytest.importorskip("torch").zeros(90, 6, 6, device="meta")


def tf(name):
    """Return TensorFlow's or Keras' function of that name, imported when it is needed."""
    import keras
    import tensorflow

    value = {"tf": tensorflow, "keras": keras}[name.partition(".")[0]]
    for part in name.split(".")[1:]:
        value = getattr(value, part)
    return value


class Broken:
    def __init__(self, error):
        self.error = error

    def __array__(self, dtype=None, copy=None):
        raise self.error


class OnlyArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


class OnlyDlpack:
    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **arguments):
        return self.array.__dlpack__(**arguments)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Record(dict):
    columns = ("a", "b")


class Subclass(np.ndarray):
    pass


NAN = "Input <X> contains NaN"
INFINITE = r"Input <X> contains infinity or a value too large for dtype\('float"
NO_NUMBERS = r"<X> has dtype .*; pass an array of numbers"
TEXTS = "<X> has values of type {}; pass an array of numbers. Convert texts by astype"
COLUMN = r"<X> has columns that are no numbers: \[\('pixel7', .*{}.*\)\]\. Convert or drop them"
NO_ARRAY = r"<X> must be an array of images; got {}. Pass a list or an array: list\(<X>\) collects"
UNCONVERTED = "must be an array of images; got {}, which does not become a NumPy array: .*{}"
DETACH = r"Pass <X>.*\.detach\(\)\.cpu\(\)\.numpy\(\)"
SIZES = r"All images in <X> must have the same size; got sizes \[\(4, 6\), \(6, 6\)\]. Resize them"
FILE = r"<X> is a {}; pass an array of images, not a file or its name"
ITEM = r"<X>\[0\] is a {}; pass an array of images, not files or their names"
SPARSE = r"Sparse data was passed for <X>, but dense data is required. Use '.toarray\(\)'"
MODE = r"<X> has images of mode {}; all must be of one kind: .*image\.convert\('(L|RGB)'\)"
RESHAPE = "Expected 2D array, got {} array instead.*Reshape your data"
NO_SAMPLES = r"Found array with 0 sample\(s\) \(shape=\(0, .*\) .*while a minimum of 1 is required"
NO_FEATURES = r"Found array with 0 feature\(s\) \(shape=.* while a minimum of 1 is required"
NO_PIXELS = r"<X> has images of shape {}, but Fashion.* is expecting \(6, 6, 1\)"
CHANNELS_FIRST = r"<X> of shape .* looks channels-first; expected .*np\.moveaxis\(<X>, 1, -1\)"
FOUR = r"Found array with dim {} and shape .* as <X>; expected 2, 3 or 4"
LARGE = r"<X> has shape \(90, .*, images of more than 1,000,000,000 values, .* Resize or crop them"
PAIR = "<X> is a {} of two arrays; pass images and labels one by one"

REFUSED = [
    ("NaN", lambda X: with_value(X, np.nan), ValueError, NAN),
    ("NaN flat", lambda X: flat(with_value(X, np.nan)), ValueError, NAN),
    ("NaN float16", lambda X: with_value(X, np.nan, np.float16), ValueError, NAN),
    ("NaN bfloat16", lambda X: with_value(X, np.nan, bfloat16), ValueError, NAN),
    ("inf", lambda X: with_value(X, np.inf), ValueError, INFINITE),
    ("-inf", lambda X: with_value(X, -np.inf, np.float32), ValueError, INFINITE),
    ("inf and -inf", lambda X: np.where(X % 2, np.inf, -np.inf), ValueError, INFINITE),
    ("signalling NaN", lambda X: np.full_like(X, 0x7FA00000, np.uint32).view(np.float32),
     ValueError, NAN),
    ("1e300", lambda X: with_value(X, 1e300), ValueError, INFINITE),
    ("-1e300", lambda X: with_value(X, -1e300), ValueError, INFINITE),
    ("long double", lambda X: with_value(X, 1e39, np.longdouble), ValueError, INFINITE),
    ("huge int", lambda X: [[10**400] + [1] * 35] * 90, ValueError,
     "<X> contains a value too large"),
    ("complex", lambda X: X + 0j, ValueError, "Complex data not supported"),
    # texts and files
    ("numbers in str", lambda X: X.astype(str), ValueError, NO_NUMBERS),
    ("numbers in bytes", lambda X: X.astype("S"), ValueError, NO_NUMBERS),
    ("str in lists", lambda X: X.astype(str).tolist(), ValueError, TEXTS.format("str")),
    ("one str in lists", lambda X: [[1, "2"]] * 90, ValueError, TEXTS.format("str")),
    ("str objects", lambda X: X.astype(str).astype(object), ValueError, TEXTS.format("str")),
    ("one str object", lambda X: with_value(X, "1", object), ValueError, TEXTS.format("str")),
    ("bytes objects", lambda X: with_value(X, b"1", object), ValueError, TEXTS.format("bytes")),
    ("name of a file", lambda X: "img.png", ValueError, FILE.format("str")),
    ("np.str_", lambda X: np.str_("img.png"), ValueError, FILE.format("str_")),
    ("path", lambda X: pathlib.Path("img.png"), ValueError, FILE.format("PosixPath|WindowsPath")),
    ("bytes", lambda X: b"png", ValueError, FILE.format("bytes")),
    ("bytearray", lambda X: bytearray(9), ValueError, FILE.format("bytearray")),
    ("open file", lambda X: io.BytesIO(b"png"), TypeError, NO_ARRAY.format("BytesIO")),
    ("list of names", lambda X: ["img.png"] * 90, ValueError, ITEM.format("str")),
    ("list of bytes", lambda X: [b"png"] * 90, ValueError, ITEM.format("bytes")),
    ("array of names", lambda X: objects(["img.png"] * 90), ValueError, ITEM.format("str")),
    # what is no array
    ("None", lambda X: None, ValueError, "<X> is None; pass an array of images"),
    ("list of None", lambda X: [None] * 90, ValueError, ITEM.format("NoneType")),
    ("None inside", lambda X: with_value(X, None, object), ValueError, NAN),
    ("dict", lambda X: {"image": X}, TypeError, NO_ARRAY.format("dict")),
    ("dict with columns", lambda X: Record(a=1), TypeError, NO_ARRAY.format("Record")),
    ("set", lambda X: {1, 2}, TypeError, NO_ARRAY.format("set")),
    ("generator", lambda X: (image for image in X), TypeError, NO_ARRAY.format("generator")),
    ("map", lambda X: map(np.asarray, X), TypeError, NO_ARRAY.format("map")),
    ("class", lambda X: np.ndarray, TypeError, NO_ARRAY.format("type")),
    ("function", lambda X: len, TypeError, NO_ARRAY.format("builtin_function_or_method")),
    ("dict inside", lambda X: with_value(X, {}, object), TypeError, "real number, not 'dict'"),
    ("list of dicts", lambda X: [{}] * 90, TypeError, "real number, not 'dict'"),
    ("list of sets", lambda X: [{1}] * 90, TypeError, "real number, not 'set'"),
    ("list of generators", lambda X: [iter(X)] * 90, TypeError, "real number, not 'iter|generator"),
    ("overflow", lambda X: Broken(OverflowError("out")), TypeError,
     UNCONVERTED.format("Broken", "out")),
    ("broken", lambda X: Broken(RuntimeError("the file is gone")), TypeError,
     UNCONVERTED.format("Broken", "the file is gone")),
    # several sizes, or labels among images
    ("sizes of lists", lambda X: [i.tolist() for i in of_two_sizes(X)], ValueError, SIZES),
    ("sizes of arrays", of_two_sizes, ValueError, SIZES),
    ("sizes in an array", lambda X: objects(of_two_sizes(X)), ValueError, SIZES),
    ("sizes in a Series", lambda X: pd.Series(of_two_sizes(X)), ValueError, SIZES),
    ("sizes of PIL", lambda X: pil(of_two_sizes(X)), ValueError,
     rf"{SIZES}|<X> has images of mode L, width and height \(6, 4\), \(6, 6\), but"),
    ("rows of two lengths", lambda X: [[[1], [1, 2]]] * 90, ValueError, r"<X>\[0\] is no image"),
    ("(image, label)", lambda X: [(i, 0) for i in X], ValueError, "one size, without their labels"),
    ("(X, y)", lambda X: (X, np.zeros(90)), ValueError, PAIR.format("tuple")),
    ("[X, y]", lambda X: [X, np.zeros(90)], ValueError, PAIR.format("list")),
    # sparse, matrices, records, masks, dates
    ("np.matrix", lambda X: flat(X).view(np.matrix), TypeError, "np.matrix is not supported"),
    ("records", lambda X: flat(X).view([("a", "u1"), ("b", "u1")]), ValueError, NO_NUMBERS),
    ("recarray", lambda X: np.rec.fromarrays([X[:, 0, 0]] * 2), ValueError, NO_NUMBERS),
    ("void", lambda X: X.astype("V1"), ValueError, NO_NUMBERS),
    ("masked", lambda X: np.ma.masked_less(X, 9), ValueError, r"masked values.*<X>\.filled\(value"),
    ("list of masked", lambda X: list(np.ma.masked_less(X, 150)), ValueError, r"<X>\[0\] has mask"),
    ("rows of masked", lambda X: [list(i) for i in np.ma.masked_less(X, 150)], ValueError,
     r"<X>\[0\]\[0\] has mask"),
    ("list of sparse", lambda X: [scipy.sparse.csr_array(i) for i in X], TypeError,
     SPARSE.replace("<X>", r"<X>\[0\]")),
    ("float8", lambda X: X.astype(float8_e5m2), ValueError, NO_NUMBERS),
    ("dates", lambda X: X.astype("M8[s]"), ValueError, NO_NUMBERS),
    ("times", lambda X: flat(X).astype("m8[s]"), ValueError, NO_NUMBERS),
    # data frames
    ("frame with NA", lambda X: with_column(X, pd.array([1, None] * 45)), ValueError, NAN),
    ("frame of float NA", lambda X: with_column(X, pd.array([1.5, None] * 45)), ValueError, NAN),
    ("frame of bool NA", lambda X: with_column(X, pd.array([True, None] * 45)), ValueError, NAN),
    ("frame of pyarrow NA", lambda X: frame(X).astype("int64[pyarrow]").replace(9, None),
     ValueError, NAN),
    ("frame of object NA", lambda X: with_column(X, objects([pd.NA] * 90)), ValueError, NAN),
    ("NA objects", lambda X: with_value(X, pd.NA, object), ValueError, NAN),
    ("NaT objects", lambda X: with_value(X, pd.NaT, object), ValueError, NAN),
    ("frame of str", lambda X: with_column(X, "0.1").astype({"pixel7": "string"}), ValueError,
     COLUMN.format("str")),
    ("frame of str objects", lambda X: with_column(X, "1").astype(object), ValueError,
     TEXTS.format("str")),
    ("frame of categories", lambda X: with_column(X, pd.Categorical([1, 2] * 45)), ValueError,
     COLUMN.format("category")),
    ("frame of dates", lambda X: with_column(X, pd.Timestamp("2020")), ValueError,
     COLUMN.format("datetime")),
    ("frame of times", lambda X: with_column(X, pd.Timedelta(1)), ValueError,
     COLUMN.format("timedelta")),
    ("frame of zones", lambda X: with_column(X, pd.Timestamp("2020", tz="UTC")), ValueError,
     COLUMN.format("utc")),
    ("frame of images", lambda X: pd.DataFrame({"image": objects(list(X))}), ValueError,
     "<X> has values of type ndarray.*join arrays by np.stack"),
    ("frame of one name", lambda X: frame(X).set_axis(["a"] * 36, axis=1), ValueError,
     "<X> has several columns of one name; rename or drop"),
    ("frame of one sparse column", lambda X: with_column(X, pd.arrays.SparseArray([0, 1] * 45)),
     TypeError, SPARSE),
    ("frame of sparse", lambda X: frame(X).astype("Sparse[int]"), TypeError, SPARSE),
    ("frame of complex", lambda X: frame(X).astype(complex), ValueError, "Complex data not supp"),
    ("polars null", lambda X: polars_frame(X).with_columns(pixel7=pl.lit(None, pl.Int64)),
     ValueError, NAN),
    ("polars str", lambda X: polars_frame(X).with_columns(pixel7=pl.lit("1")), ValueError,
     COLUMN.format("string")),
    ("polars categories", lambda X: polars_frame(X).with_columns(
        pixel7=pl.lit("1", pl.Categorical)), ValueError, COLUMN.format("categorical")),
    ("polars dates", lambda X: polars_frame(X).with_columns(pixel7=datetime.date(2020, 1, 1)),
     ValueError, COLUMN.format("date")),
    ("polars images", lambda X: pl.DataFrame({"pixel7": X}), ValueError, COLUMN.format("array")),
    ("polars of 128 bits", polars_frame_of_128_bits, ValueError, COLUMN.format("int128")),
    ("polars lazy", lambda X: polars_frame(X).lazy(), TypeError, r"lazy.*Pass <X>\.collect\(\)"),
    ("list of polars lazy", lambda X: [pl.DataFrame(i).lazy() for i in X], TypeError,
     r"<X>\[0\] must be .* lazy.*Pass <X>\[0\]\.collect\(\)"),
    ("list of frames of categories", lambda X: [pd.DataFrame(i).astype("category") for i in X],
     ValueError, r"<X>\[0\] has columns that are no numbers: \[\(0, 'category'\)"),
    ("pyarrow null", lambda X: pa.Table.from_pandas(frame(X)).set_column(
        7, "pixel7", [[None, 1.5] * 45]), ValueError, NAN),
    ("pyarrow str", lambda X: pa.Table.from_pandas(frame(X)).set_column(
        7, "pixel7", [["1"] * 90]), ValueError, COLUMN.format("string")),
    ("dask NaN", lambda X: dask.array.from_array(with_value(X, np.nan)), ValueError, NAN),
    # PIL
    *((f"PIL {mode}", lambda X, mode=mode: pil_of_mode(mode), ValueError, MODE.format(mode))
      for mode in ("P", "RGBA", "CMYK", "1", "LA", "PA", "YCbCr", "HSV")),
    ("PIL of two modes", lambda X: pil(X[:45]) + pil(X[45:], "RGB"), ValueError,
     MODE.format("L, RGB")),
    ("PIL image", lambda X: pil(X)[0], ValueError, r"<X> is one image; pass a list .*\[image\]"),
    # tensors and data sets
    ("torch with gradient", lambda X: torch_tensor(X).requires_grad_(), TypeError, DETACH),
    ("list of them", lambda X: list(torch_tensor(X).requires_grad_()), TypeError, DETACH),
    ("rows of them", lambda X: [list(i) for i in torch_tensor(X).requires_grad_()], TypeError,
     DETACH),
    ("pixels of them", lambda X: [list(map(list, i)) for i in torch_tensor(X).requires_grad_()],
     TypeError, DETACH),
    ("torch bfloat16", lambda X: torch_tensor(X, "bfloat16"), TypeError, r"\.float\(\) before"),
    ("torch sparse", lambda X: torch_tensor(X).to_sparse(), TypeError, "Sparse|sparse"),
    ("torch meta", torch_meta, TypeError, DETACH),
    ("torch conjugate", lambda X: torch_tensor(X, "complex64").conj(), TypeError, DETACH),
    ("torch Dataset", torch_data, TypeError, NO_ARRAY.format("TensorDataset")),
    ("torch DataLoader", torch_loader, TypeError, NO_ARRAY.format("DataLoader")),
    ("tf Dataset", lambda X: tf("tf.data.Dataset.from_tensor_slices")(X), TypeError,
     NO_ARRAY.format("_TensorSliceDataset")),
    ("tf RaggedTensor", lambda X: tf("tf.ragged.constant")([[1], [1, 2]] * 45), TypeError,
     "must be an array of images; got RaggedTensor"),
    ("tf SparseTensor", lambda X: tf("tf.sparse.from_dense")(flat(X)), TypeError,
     NO_ARRAY.format("SparseTensor")),
    ("KerasTensor", lambda X: tf("keras.Input")((6, 6)), TypeError,
     UNCONVERTED.format("KerasTensor", "symbolic")),
    ("PyDataset", lambda X: type("Data", (tf("keras.utils.PyDataset"),), {})(), TypeError,
     NO_ARRAY.format("Data")),
    # shapes
    ("0-D", lambda X: np.float64(1), ValueError, RESHAPE.format("scalar")),
    ("number", lambda X: 5, TypeError, NO_ARRAY.format("int")),
    ("1-D", lambda X: np.zeros(90), ValueError, RESHAPE.format("1D")),
    ("range", lambda X: range(90), ValueError, RESHAPE.format("1D")),
    ("Series", lambda X: pd.Series(np.zeros(90)), ValueError, RESHAPE.format("1D")),
    ("channels first", lambda X: X[:, np.newaxis], ValueError, CHANNELS_FIRST),
    ("colours first", lambda X: np.stack([X] * 3, axis=1), ValueError, CHANNELS_FIRST),
    ("four colours first", lambda X: np.stack([X] * 4, axis=1), ValueError, CHANNELS_FIRST),
    ("5-D", lambda X: X[..., np.newaxis, np.newaxis], ValueError, FOUR.format(5)),
    ("6-D", lambda X: X.reshape(90, 6, 6, 1, 1, 1), ValueError, FOUR.format(6)),
    ("6-D lists", lambda X: X.reshape(90, 6, 6, 1, 1, 1).tolist(), ValueError, FOUR.format(6)),
    ("virtual rows", lambda X: np.broadcast_to(np.float32(7), (90, 2 * 10**10)), ValueError, LARGE),
    ("virtual images", lambda X: np.broadcast_to(np.float32(7), (90, 10**5, 2 * 10**5)),
     ValueError, LARGE),
    ("virtual objects", lambda X: np.broadcast_to(np.array(7, object), (90, 2 * 10**10)),
     ValueError, LARGE),
    ("no images", lambda X: X[:0], ValueError, NO_SAMPLES),
    ("no rows", lambda X: flat(X)[:0], ValueError, NO_SAMPLES),
    ("empty list", lambda X: [], ValueError, r"Found array with 0 sample\(s\)"),
    ("empty frame", lambda X: pd.DataFrame(), ValueError, NO_SAMPLES),
    ("no features", lambda X: flat(X)[:, :0], ValueError, NO_FEATURES),
]  # fmt: skip

for kind in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil"):
    for form in ("array", "matrix"):
        make = getattr(scipy.sparse, f"{kind}_{form}")
        REFUSED.append((make.__name__, lambda X, make=make: make((90, 36)), TypeError, SPARSE))

CALLS = {
    "fit": lambda clf, X, y: clf.fit(X, y),
    "partial_fit": lambda clf, X, y: clf.partial_fit(X, y, classes=np.unique(y)),
    "predict": lambda clf, X, y: clf.predict(X),
    "predict_proba": lambda clf, X, y: clf.predict_proba(X),
    "decision_function": lambda clf, X, y: clf.decision_function(X),
    "score": lambda clf, X, y: clf.score(X, y),
}


@pytest.mark.filterwarnings("ignore:X has feature names:UserWarning")  # where training had none
@pytest.mark.parametrize("method", [*CALLS, "X_val"])
@pytest.mark.parametrize(
    ("make", "error", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_refused(images, refused, method, make, error, message):
    X, y = images
    bad = [make(X)]  # some can be read once only

    def call(clf):
        wrong = bad.pop() if bad else make(X)
        if method == "X_val":
            return clf.fit(X, y, X_val=wrong, y_val=y)
        return CALLS[method](clf, wrong, y)

    if make(X) is None and method == "X_val":
        message = "Pass X_val and y_val together, or neither"
    states = ("unfitted", "fitted") if method in ("fit", "partial_fit", "X_val") else ("fitted",)
    refused(call, error, message.replace("<X>", "X_val" if method == "X_val" else "X"), states)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda X: X[:, :0], r"\(0, 6, 1\)"),
        (lambda X: X[..., np.newaxis][..., :0], r"\(6, 6, 0\)"),
    ],
    ids=["pixels", "channels"],
)
@pytest.mark.parametrize("method", [*CALLS, "X_val"])
def test_images_without_values(images, refused, method, make, shape):
    X, y = images
    bad, other = make(X), NO_PIXELS.format(shape)
    if method == "X_val":
        message = other.replace("<X>", "X_val")
        refused(lambda clf: clf.fit(X, y, X_val=bad, y_val=y), ValueError, message)
        return
    call = CALLS[method]
    if method in ("fit", "partial_fit"):
        refused(lambda clf: call(clf, bad, y), ValueError, NO_FEATURES, ["unfitted"])
    if method != "fit":
        message = other.replace("<X>", "X")
        refused(lambda clf: call(clf, bad, y), ValueError, message, ["fitted"])


def as_file(X, folder, mode):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode=mode)


ACCEPTED = {
    "nested lists": lambda X, _: X.tolist(),
    "list of arrays": lambda X, _: list(X),
    "tuple of arrays": lambda X, _: tuple(X),
    "list of lists of arrays": lambda X, _: [list(image) for image in X],
    "list of frames": lambda X, _: [pd.DataFrame(image) for image in X],
    "objects": lambda X, _: X.astype(object),
    "Decimal": lambda X, _: np.vectorize(decimal.Decimal, otypes=[object])(X.astype(object)),
    "array of arrays": lambda X, _: objects(list(X)),
    "Series of arrays": lambda X, _: pd.Series(list(X)),
    **{
        dtype: lambda X, _, dtype=dtype: X.astype(dtype)
        for dtype in (
            "i2",
            "i4",
            "i8",
            "u2",
            "u4",
            "u8",
            "f2",
            "f4",
            "f8",
            "g",
            ">i2",
            ">f4",
            ">f8",
        )
    },
    "bfloat16": lambda X, _: X.astype(bfloat16),
    "flat": lambda X, _: flat(X),
    "channel": lambda X, _: X[..., np.newaxis],
    "fortran": lambda X, _: np.asfortranarray(X),
    "strided": lambda X, _: np.repeat(X, 2, axis=2)[:, :, ::2],
    "reversed": lambda X, _: X[::-1, ::-1].copy()[::-1, ::-1],
    "memory map": lambda X, folder: as_file(X, folder, "r"),
    "copy-on-write map": lambda X, folder: as_file(X.astype(float), folder, "c"),
    "memoryview": lambda X, _: memoryview(X),
    "subclass": lambda X, _: X.view(Subclass),
    "nothing masked": lambda X, _: np.ma.masked_greater(X, 255),
    "__array__ only": lambda X, _: OnlyArray(X),
    "__dlpack__ only": lambda X, _: OnlyDlpack(X.copy()),
    "frame": lambda X, _: frame(X),
    "frame of objects": lambda X, _: frame(X).astype(object),
    "frame of UInt8": lambda X, _: frame(X).astype("UInt8"),
    "frame of Float32": lambda X, _: frame(X).astype("Float32"),
    "frame of pyarrow": lambda X, _: frame(X).astype("int64[pyarrow]"),
    "polars": lambda X, _: polars_frame(X),
    "polars Series": lambda X, _: pl.Series(X),
    "pyarrow": lambda X, _: pa.Table.from_pandas(frame(X)),
    "dask array": lambda X, _: dask.array.from_array(X, chunks=20),
    "dask frame": lambda X, _: dask.dataframe.from_pandas(frame(X), npartitions=3),
    "PIL": lambda X, _: pil(X),
    "tuple of PIL": lambda X, _: tuple(pil(X)),
    "array of PIL": lambda X, _: objects(pil(X)),
    "PIL of 16 bits": lambda X, _: pil(X.astype(np.uint16), "I;16"),
    "PIL of 32 bits": lambda X, _: pil(X.astype(np.int32), "I"),
    "PIL of floats": lambda X, _: pil(X.astype(np.float32), "F"),
    "torch": lambda X, _: torch_tensor(X),
    "torch uint8": lambda X, _: torch_tensor(X, "uint8"),
    "list of torch": lambda X, _: list(torch_tensor(X)),
    "tf": lambda X, _: tf("tf.constant")(X),
    "tf.Variable": lambda X, _: tf("tf.Variable")(X.astype(np.float32)),
    "list of tf": lambda X, _: list(tf("tf.constant")(X)),
    "keras.Variable": lambda X, _: tf("keras.Variable")(X.astype(np.float32)),
}


@pytest.fixture(scope="module")
def expected(images):
    """Give what a network trained on the plain array predicts of it."""
    X, y = images
    return probabilities(X, y)


def probabilities(X, y, X_test=None):
    from fashioncnn import FashionCNNClassifier

    clf = FashionCNNClassifier((4,), (8,), epochs=1, batch_size=16, random_state=0).fit(X, y)
    return clf.predict_proba(X if X_test is None else X_test)


@pytest.mark.parametrize("kind", ACCEPTED)
def test_accepted_as_the_plain_array(images, expected, kind, tmp_path):
    X, y = images
    np.testing.assert_array_equal(probabilities(ACCEPTED[kind](X, tmp_path), y), expected)


@pytest.mark.parametrize(
    ("make", "plain"),
    [
        (lambda X: X > 120, lambda X: (X > 120).astype(np.uint8)),
        (lambda X: (X // 2).astype(np.int8), lambda X: X // 2),
        (lambda X: pil(X, "RGB"), lambda X: np.stack([X] * 3, axis=-1)),
        (lambda X: np.broadcast_to(X[0], X.shape), lambda X: np.stack([X[0]] * 90)),
        (lambda X: np.broadcast_to(np.float64(7), X.shape), lambda X: np.full(X.shape, 7.0)),
        (lambda X: X.astype(np.uint64) * 2**55, lambda X: X.astype(np.float32) * 2**55),
    ],
    ids=["bool", "int8", "PIL RGB", "broadcast image", "constant", "large uint64"],
)
def test_accepted_as_another_array(images, make, plain):
    X, y = images
    np.testing.assert_array_equal(probabilities(make(X), y), probabilities(plain(X), y))


@pytest.mark.parametrize("make", [frame, polars_frame, lambda X: pa.Table.from_pandas(frame(X))])
def test_names_of_columns_are_checked(images, small, refused, make):
    X, y = images
    clf = small(epochs=1).fit(make(X), y)
    assert clf.feature_names_in_.tolist() == [f"pixel{i}" for i in range(36)]
    names = [f"pixel{i}" for i in reversed(range(36))]
    order = make(X).select(names) if hasattr(make(X), "select") else make(X)[names]
    with pytest.raises(ValueError, match="feature names should match those that were passed"):
        clf.predict(order)


def test_images_need_no_names_where_a_frame_was_learnt(images, small):
    X, y = images
    clf = small(epochs=1, warm_start=True)
    clf.fit(frame(X), y, X_val=X[:9], y_val=y[:9])  # a warning would be an error
    np.testing.assert_array_equal(clf.predict(X), clf.predict(frame(X)))
    clf.score(X[..., np.newaxis], y)
    clf.fit(X, y).partial_fit(X.astype(np.float64), y)
    assert clf.feature_names_in_.tolist() == [f"pixel{i}" for i in range(36)]
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        clf.predict(flat(X))


@pytest.mark.parametrize(
    ("make", "full_scale"),
    [
        (lambda X: frame(X).astype("UInt8"), 255),
        (lambda X: frame(X).astype("Int64"), 255),
        (lambda X: frame(X).astype("uint16[pyarrow]"), 65535),
        (lambda X: X.astype(">u2"), 65535),
        (lambda X: pil(X.astype(">u2"), "I;16B"), 65535),
        (lambda X: X.astype(object), 255),
        (lambda X: frame(X).astype(object), 255),
        (lambda X: frame(X).astype({"pixel7": "uint16"}), 65535),
        (lambda X: polars_frame(X), 255),
        (lambda X: frame(X / 255).astype("Float64"), 1),
        (lambda X: frame(X > 9).astype("boolean"), 1),
        (lambda X: (X > 9).astype(object), 1),
    ],
    ids=[
        "UInt8",
        "Int64",
        "uint16 pyarrow",
        "big-endian uint16",
        "PIL of 16 bits",
        "objects",
        "frame of objects",
        "uint8 and uint16",
        "polars",
        "Float64",
        "boolean",
        "bools",
    ],
)
def test_unit_scaling_goes_by_what_the_user_passed(images, small, make, full_scale):
    X, y = images
    clf = small(epochs=1, scaling="unit").fit(make(X), y)
    assert clf._network.scaling.scale == (1 / full_scale,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X: X[:, :5], r"X has images of shape \(5, 6, 1\), but Fash.* expecting \(6, 6, 1"),
        (lambda X: np.stack([X] * 3, axis=-1), r"X has images of shape \(6, 6, 3\)"),
        (
            lambda X: flat(X)[:, :9],
            "X has 9 features, but Fashion.* is expecting 36 features as in",
        ),
        (
            lambda X: np.broadcast_to(np.float32(7), (90, 10**9)),  # read in minutes
            "X has 1000000000 features, but Fashion.* is expecting 36 features as in",
        ),
        (lambda X: X[0], r"X has 6 features.* To pass a single image, pass X\[None\]"),
        (lambda X: X[0][..., np.newaxis], r"images of shape \(6, 1, 1\).* pass X\[None\]"),
    ],
    ids=["size", "colours", "features", "virtual features", "image", "image with channel"],
)
@pytest.mark.parametrize("method", ["predict", "predict_proba", "score"])
def test_other_shapes_than_in_training(images, refused, method, make, message):
    X, y = images
    refused(lambda clf: CALLS[method](clf, make(X), y), ValueError, message, ["fitted"])


@pytest.mark.parametrize("method", ["predict", "score"])
def test_images_are_converted_once(images, fitted, method):
    X, y = images
    calls = []

    class Counted(OnlyArray):
        def __array__(self, dtype=None, copy=None):
            calls.append(method)
            return self.array

    CALLS[method](fitted, Counted(X), y)
    lazy = dask.array.from_array(X).map_blocks(lambda block: calls.append(method) or block, meta=X)
    CALLS[method](fitted, lazy, y)
    assert len(calls) == 2
    with pytest.warns(PixelRangeWarning) as caught:
        CALLS[method](fitted, X / np.float32(255), y)
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X: [X[0], np.stack([X[0]] * 3, axis=-1)], r"got sizes \[\(6, 6\), \(6, 6, 3\)\]"),
        (lambda X: X[:, np.newaxis], r"Use np\.moveaxis\(X, 1, -1\)\.$"),
    ],
    ids=["grey and colour", "channels first"],
)
def test_what_is_refused_where_the_shape_is_fixed(images, refused, make, message):
    X, y = images
    bad = make(X)
    refused(lambda clf: clf.predict(bad), ValueError, message, ["fitted"])
    refused(lambda clf: clf.partial_fit(bad, y[: len(bad)]), ValueError, message, ["fitted"])


def test_a_new_fit_may_take_images_that_look_channels_first(images, small):
    X, y = images
    clf = small(epochs=1, kernel_size=1, pool_size=1)
    with pytest.raises(ValueError, match=r"1, -1\), or say image_shape=\(1, 6, 6\) if that is"):
        clf.fit(X[:, np.newaxis], y)
    clf.set_params(image_shape=(1, 6, 6))
    assert clf.fit(X[:, np.newaxis], y).image_shape_ == (1, 6, 6)


def test_no_memory_is_no_bad_input(fitted):
    for X in (Broken(MemoryError()), [Broken(MemoryError())] * 9):
        with pytest.raises(MemoryError):
            fitted.predict(X)


def test_columns_that_are_missing(images, small):
    X, y = images
    clf = small(epochs=1).fit(frame(X), y)
    with pytest.raises(ValueError, match=r"seen at fit time, yet now missing:\n- pixel35"):
        clf.predict(frame(X).drop(columns="pixel35"))
