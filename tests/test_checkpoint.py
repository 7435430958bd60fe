# SPDX-License-Identifier: BSD-3-Clause
"""The parameter `checkpoint`: a fit that was cut off goes on, and no fit from another's file.

Here an error cuts it off, within this process; `test_killed_fits.py` kills processes.
`test_resumable_state.py` has each feature at each epoch.
"""

import errno
import os
import pickle
import warnings
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from cut_fits import CutOffError, cut_off_after
from joblib import parallel_config
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, cross_val_score

from fashioncnn import FashionCNNClassifier
from fashioncnn._files import checkpoint_file
from fashioncnn._files.versions import installed_versions
from fashioncnn._tensorflow import backend
from fashioncnn._training.loop import Training
from fashioncnn.exceptions import CheckpointFileError

FEATURES = {  # all at once
    "conv_stacks": ((4, 4),),
    "padding": "same",
    "residual": True,
    "batch_normalization": True,
    "dense_dropout": 0.5,
    "augment": {"flip": "alternating", "shift": 1, "erase": 0.5},
    "weight_averaging": 0.6,
    "learning_rate_schedule": "one_cycle",
    "early_stopping": True,
    "n_iter_no_change": 8,
    "label_smoothing": 0.1,
    "optimizer": "muon",
    "weight_decay": 0.01,
}
OTHER_VALUES = {  # of each parameter that tells fits from others
    "conv_stacks": (5,),
    "dense_units": (9,),
    "kernel_size": 2,
    "padding": "valid",
    "activation": "elu",
    "pool_size": 1,
    "batch_normalization": True,
    "residual": True,
    "global_pooling": "avg",
    "conv_dropout": 0.5,
    "dense_dropout": 0.5,
    "loss": "sparse_categorical_crossentropy",
    "label_smoothing": 0.1,
    "class_weight": {"up": 2},
    "optimizer": "sgd",
    "learning_rate": 0.02,
    "learning_rate_schedule": "cosine",
    "weight_decay": 0.1,
    "epochs": 3,
    "batch_size": 17,
    "augment": "shift",
    "early_stopping": True,
    "validation_fraction": 0.2,
    "n_iter_no_change": 6,
    "tol": 0.5,
    "image_shape": (6, 6),
    "scaling": "unit",
    "precision": "auto",
    "test_time_flip": True,
    "weight_averaging": 0.5,
    "min_steps": 8,
    "random_state": 1,
}
OF_NO_EFFECT = {"callbacks": [keras.callbacks.Callback()], "verbose": 2}
ANEW = (
    "To start anew, delete the file, or set checkpoint to another path. In a search or "
    "cross-validation, where each fit would need a file of its own, set checkpoint=None."
)


@pytest.fixture
def path(tmp_path):
    """Give the path of a file that is not there yet."""
    return tmp_path / "run.checkpoint"


@pytest.fixture
def cut_off(monkeypatch):
    """Give a function that fits, and is cut off before an epoch; every epoch is written."""
    monkeypatch.setattr(checkpoint_file, "SECONDS_BETWEEN_WRITES", 0.0)

    def fit_in_part(clf, *data, n_epochs=2, **others):
        with cut_off_after(n_epochs), pytest.raises(CutOffError):
            clf.fit(*data, **others)

    return fit_in_part


@pytest.fixture
def finished(images, small, path):
    """Give the file of a fit that has ended, and a function that makes its classifier."""

    def make(**params):
        return small(epochs=2, padding="same", checkpoint=path, **params)

    make().fit(*images)
    return make


def refuses(clf, data, *texts):
    """Demand that a fit is refused, and that file and classifier stay; return the error."""
    path = Path(clf.checkpoint)
    before, attributes = path.read_bytes(), dict(vars(clf))
    with pytest.raises(CheckpointFileError) as caught:
        clf.fit(**data)
    assert str(caught.value).startswith(f"The checkpoint {str(path)!r} can't be used: ")
    for text in texts:
        assert text in str(caught.value)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    assert vars(clf) == attributes
    return caught.value


def assert_same(one, other):
    """Compare all that is fitted; arrays are to have the same bits."""
    np.testing.assert_equal(one._network.checkpoint._asdict(), other._network.checkpoint._asdict())
    assert list(one._network.weights) == list(other._network.weights)
    for name in ("history_", "best_epoch_", "n_iter_", "precision_", "image_shape_"):
        assert getattr(one, name) == getattr(other, name)


# --- Going on -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:learning_rate_schedule")
@pytest.mark.parametrize("n_epochs", [0, 3, 6])
def test_a_fit_that_was_cut_off_goes_on_to_the_same_bits(images, small, path, cut_off, n_epochs):
    params = FEATURES | {"epochs": 7}
    expected = small(**params).fit(*images)
    cut_off(small(checkpoint=path, **params), *images, n_epochs=n_epochs)
    assert path.exists() == (n_epochs > 0)  # else there is nothing to go on from
    resumed = small(checkpoint=str(path), **params)
    assert_same(resumed.fit(*images), expected)


def test_only_what_is_missing_is_trained(images, small, path, cut_off, monkeypatch):
    clf = small(epochs=5, checkpoint=path)
    cut_off(clf, *images, n_epochs=2)
    cut_off(clf, *images, n_epochs=4)
    assert not hasattr(clf, "history_")
    epochs, run_epoch = [], Training.run_epoch
    monkeypatch.setattr(
        Training, "run_epoch", lambda self: (run_epoch(self), epochs.append(self.epoch))
    )
    assert_same(clf.fit(*images), small(epochs=5).fit(*images))
    assert epochs == [5, 1, 2, 3, 4, 5]  # of the first fit only the last


def test_validation_data_weights_and_names_go_with_it(images, small, path, cut_off):
    X, y = images
    frame = pd.DataFrame(X.reshape(90, 36)).rename(columns=str)
    others = {"sample_weight": np.arange(90.0), "X_val": frame[:30], "y_val": y[:30]}
    params = {"epochs": 3, "class_weight": "balanced"}
    expected = small(**params).fit(frame, y, **others)
    clf = small(checkpoint=path, **params)
    cut_off(clf, frame, y, **others)
    assert_same(clf.fit(frame, y, **others), expected)
    assert list(clf.feature_names_in_) == list(frame.columns)


def test_the_end_is_returned_at_once(images, small, path, monkeypatch):
    calls = []

    class Note(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            calls.append("begin")

    params = {"epochs": 3, "callbacks": [Note()]}
    first = small(checkpoint=path, **params).fit(*images)
    content = path.read_bytes()
    monkeypatch.setattr(Training, "run", lambda *arguments: pytest.fail("It trains again."))
    again = small(checkpoint=path, **params).fit(*images)
    assert_same(again, first)
    assert (again.predict_proba(images[0]) == first.predict_proba(images[0])).all()
    assert calls == ["begin"]
    assert path.read_bytes() == content


def test_what_callbacks_change_at_the_end_is_in_the_file(images, small, path):
    class Spoil(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            self.model.set_weights([weight + 1 for weight in self.model.get_weights()])

    params = {"epochs": 1, "callbacks": [Spoil()]}
    expected = small(**params).fit(*images)
    for _ in range(2):
        assert_same(small(checkpoint=path, **params).fit(*images), expected)


def test_rates_that_callbacks_set_stay(images, small, path, cut_off):
    class Halve(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                self.model.optimizer.learning_rate = 0.005

    params = {"epochs": 4, "callbacks": [Halve()]}
    expected = small(**params).fit(*images)
    clf = small(checkpoint=path, **params)
    cut_off(clf, *images)
    assert_same(clf.fit(*images), expected)
    assert clf.history_["learning_rate"][1:] == [np.float32(0.005)] * 3


def test_an_interrupt_before_the_next_epoch_keeps_those_of_the_file(
    images, small, path, cut_off, monkeypatch
):
    clf = small(epochs=4, checkpoint=path)
    cut_off(clf, *images)

    def interrupt(training):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Training, "run_epoch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            clf.fit(*images)
    assert clf.n_iter_ == 2
    assert_same(clf.fit(*images), small(epochs=4).fit(*images))


def test_a_fit_that_diverges_keeps_its_file(images, small, path, monkeypatch):
    monkeypatch.setattr(checkpoint_file, "SECONDS_BETWEEN_WRITES", 0.0)

    class Diverge(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                self.model.optimizer.learning_rate = 1e30

    clf = small(checkpoint=path, callbacks=[Diverge()])
    for _ in range(2):
        with pytest.raises(ValueError, match="Training diverged"):
            clf.fit(*images)
        assert path.exists()
    assert small(checkpoint=path).fit(*images).n_iter_ == 8  # callbacks don't tell fits apart


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_fit_that_fails_before_it_has_written_leaves_no_file(
    images, small, path, monkeypatch, error
):
    def fail(training):
        assert path.exists()
        raise error

    monkeypatch.setattr(Training, "run_epoch", fail)
    with pytest.raises(error):
        small(checkpoint=path).fit(*images)
    assert not os.listdir(path.parent)


def test_a_fit_that_fails_leaves_a_file_that_is_not_its_own(images, small, path, monkeypatch):
    def fail(training):
        path.write_bytes(b"my thesis")
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "run_epoch", fail)
    with pytest.raises(KeyboardInterrupt):
        small(checkpoint=path).fit(*images)
    assert path.read_bytes() == b"my thesis"


def test_a_network_of_too_many_arrays_is_refused_before_it_trains(images, small, path):
    clf = small(dense_units=(1,) * 520, checkpoint=path)
    message = (
        "the network makes 4... arrays, and a file holds 4096. Fit one of fewer layers, or set"
    )
    with pytest.raises(CheckpointFileError, match=message):
        clf.fit(*images)
    assert not path.exists()


def test_a_relative_path_stays_what_it_was(images, small, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    move = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: os.chdir(tmp_path / "other"))
    small(checkpoint="run", epochs=1, callbacks=[move]).fit(*images)
    assert os.getcwd() == str(tmp_path / "other")
    assert sorted(os.listdir(tmp_path)) == ["other", "run"]
    assert not os.listdir(tmp_path / "other")


@pytest.mark.skipif(os.name != "posix", reason="POSIX only")
def test_an_absolute_path_needs_no_working_folder(images, small, path, monkeypatch):
    (path.parent / "gone").mkdir()
    monkeypatch.chdir(path.parent / "gone")
    (path.parent / "gone").rmdir()
    assert small(epochs=1, checkpoint=path).fit(*images).n_iter_ == 1
    assert path.exists()


# --- The same fit ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(OTHER_VALUES))
def test_another_parameter_is_named(images, finished, name):
    value = OTHER_VALUES[name]
    texts = (f" {name} was ", " and is ", ": the file is of another fit.", ANEW)
    clf = finished().set_params(**{name: value})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # such as of a flip that training lacks
        error = refuses(clf, dict(zip("Xy", images, strict=True)), *texts)
    assert error.field == name


def test_every_parameter_is_compared():
    names = FashionCNNClassifier().get_params().keys()
    assert OTHER_VALUES.keys() | OF_NO_EFFECT.keys() | {"checkpoint", "warm_start"} == names


def test_all_that_differs_is_named(images, finished):
    clf = finished().set_params(batch_size=8, tol=0.25)
    text = "batch_size was 16 and is 8, tol was 0.0001 and is 0.25: the file is of another fit."
    refuses(clf, {"X": images[0], "y": images[1]}, text)


def test_a_long_value_is_named_only(images, finished):
    clf = finished().set_params(class_weight={label * 50: 1 for label in ("left", "right", "up")})
    clf.class_weight |= {"up": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        refuses(clf, {"X": images[0], "y": images[1]}, " class_weight is not the same: ")


def test_a_value_whose_text_has_lines_is_named_only(images, small, path):
    class Label:
        def __repr__(self):
            return "two\nlines"

    clf = small(epochs=1, checkpoint=path, class_weight={Label(): 1})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # y lacks that label
        clf.fit(*images)
        clf.class_weight = None
        refuses(clf, {"X": images[0], "y": images[1]}, "used: class_weight is not the same: ")


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"X": lambda X: X + np.uint8(1)}, "X is not the same:"),
        ({"X": lambda X: X.astype(np.float32)}, "X is not the same:"),
        ({"X": lambda X: X[::-1]}, "X is not the same:"),
        ({"X": lambda X: X.reshape(90, 9, 4)}, "X is not the same:"),
        ({"y": lambda y: y[::-1]}, "y is not the same:"),
        ({"y": lambda y: np.char.add(y, "s")}, "y is not the same:"),
        ({"sample_weight": lambda _: np.arange(90)}, "sample_weight is not the same:"),
        (
            {"X_val": lambda _: np.zeros((3, 6, 6), np.uint8), "y_val": lambda _: ["up"] * 3},
            "X_val is not the same, y_val is not the same, sample_weight_val is not the same:",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::fashioncnn.PixelRangeWarning")
def test_other_data_are_named(images, finished, changes, names):
    data = {"X": images[0], "y": images[1]}
    refuses(
        finished(), data | {name: make(data.get(name)) for name, make in changes.items()}, names
    )


def test_validation_data_are_compared(images, small, path):
    X, y = images
    clf = small(epochs=1, checkpoint=path)
    data = {"X": X, "y": y, "X_val": X[:30], "y_val": y[:30]}
    clf.fit(**data)
    refuses(clf, data | {"X_val": X[30:60]}, "used: X_val is not the same:")
    refuses(clf, data | {"y_val": y[30:60]}, "used: y_val is not the same:")
    weights = {"sample_weight_val": np.arange(30)}
    refuses(clf, data | weights, "used: sample_weight_val is not the same:")


@pytest.mark.filterwarnings("ignore::fashioncnn.PixelRangeWarning")
def test_dtypes_by_which_pixels_are_scaled_are_compared(images, small, path):
    """scikit-learn makes the same floats of all nullable integers of pandas."""
    X, y = images
    frame = pd.DataFrame(X.reshape(90, 36)).rename(columns=str)
    clf = small(epochs=1, checkpoint=path, scaling="unit")
    clf.fit(frame.astype("UInt8"), y)
    for dtype in ("UInt16", "float64"):
        refuses(clf, {"X": frame.astype(dtype), "y": y}, "used: X is not the same:")


def test_what_means_the_same_is_the_same(images, small, path):
    X, y = images
    params = {"kernel_size": (3, 2), "class_weight": {"up": 2.0, "left": 0.5}, "min_steps": 3}
    first = small(checkpoint=path, epochs=2, **params).fit(X, y)
    params = {"kernel_size": np.array([3, 2]), "class_weight": {"left": 0.5, "up": np.int8(2)}}
    params |= {"min_steps": np.int64(3), "epochs": np.int8(2), "dense_units": [8]}
    params |= {"padding": np.str_("valid"), "early_stopping": np.bool_(False)}
    again = small(checkpoint=str(path), **params, **OF_NO_EFFECT)
    assert_same(again.fit(np.asfortranarray(X), list(y), sample_weight=[1] * 90), first)


def test_durations_are_keys_of_class_weight(images, small, path):
    durations = np.unique(images[1], return_inverse=True)[1].astype("m8[D]")
    data = {"X": images[0], "y": durations}
    clf = small(epochs=1, checkpoint=path, class_weight={np.timedelta64(1, "D"): 2})
    clf.fit(**data)
    clf.class_weight = {np.timedelta64(2, "D"): 2}
    refuses(clf, data, "used: class_weight was ")


def test_labels_are_the_same_in_other_arrays(images, small, path):
    X, y = images
    for labels in ([1, 2, 3], ["left", "right", "up"]):
        values = np.array(labels, object)[np.unique(y, return_inverse=True)[1]]
        clf = small(epochs=1, checkpoint=path)
        loss = clf.fit(X, list(values)).history_
        kinds = ("int8", "int64") if labels[0] == 1 else ("U5", "U9")
        for same in (values, pd.Series(list(values)), *map(values.astype, kinds)):
            assert clf.fit(X, same).history_ == loss
        path.unlink()


class Noisy(FashionCNNClassifier):
    """Has a parameter of its own."""

    def __init__(self, noise=0.0, epochs=1, random_state=0, checkpoint=None):
        super().__init__((2,), epochs=epochs, random_state=random_state, checkpoint=checkpoint)
        self.noise = noise


def test_parameters_of_a_subclass_are_compared(images, path):
    Noisy(checkpoint=path).fit(*images)
    clf = Noisy(0.5, checkpoint=path)
    refuses(clf, dict(zip("Xy", images, strict=True)), "used: noise was 0 and is 0.5: ")


def test_another_version_is_named(images, finished, monkeypatch):
    other = installed_versions() | {"keras": "9.9"}
    monkeypatch.setattr(checkpoint_file, "installed_versions", lambda: other)
    text = f"used: keras was {keras.__version__} and is 9.9: the file is of another fit."
    refuses(finished(), {"X": images[0], "y": images[1]}, text)


@pytest.mark.filterwarnings("ignore:precision='bfloat16'")
def test_another_precision_is_named(images, finished, monkeypatch, path):
    from fashioncnn._training import settings

    path.unlink()
    clf = finished().set_params(precision="auto")
    monkeypatch.setattr(settings, "training_precision", lambda name: "float32")
    clf.fit(*images)
    monkeypatch.setattr(settings, "training_precision", lambda name: "bfloat16")
    text = "used: precision_ was float32 and is bfloat16: the file is of another fit."
    refuses(clf, {"X": images[0], "y": images[1]}, text)


def test_another_number_of_threads_warns(images, small, path, cut_off, monkeypatch):
    clf = small(epochs=3, checkpoint=path)
    cut_off(clf, *images)
    n_threads = backend.n_threads()
    monkeypatch.setattr(backend, "n_threads", lambda: n_threads + 3)
    message = (
        rf"with {n_threads + 3} threads .* and had {n_threads} before.*last bits.*set "
        rf"TF_NUM_INTRAOP_THREADS={n_threads} before Python starts.*_threads\({n_threads}\)"
    )
    with pytest.warns(UserWarning, match=message) as caught:
        clf.fit(*images)
    assert caught[0].filename == __file__
    monkeypatch.undo()
    monkeypatch.setattr(backend, "n_threads", lambda: n_threads + 5)
    clf.fit(*images)  # it has ended, and does not go on


def test_the_number_of_threads_is_that_of_tensorflow(monkeypatch):
    threads = backend.tf.config.threading
    monkeypatch.setattr(threads, "get_intra_op_parallelism_threads", lambda: 5)
    assert backend.n_threads() == 5
    monkeypatch.setattr(threads, "get_intra_op_parallelism_threads", lambda: 0)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "7")
    assert backend.n_threads() == 7
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    assert backend.n_threads() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert backend.n_threads() == os.cpu_count()


# --- Whose file it is -----------------------------------------------------------------------------


def test_a_search_is_told_to_do_without(images, small, path):
    search = GridSearchCV(
        small(epochs=1, checkpoint=path), {"batch_size": [16, 32]}, cv=2, refit=False
    )
    with (
        pytest.warns(FitFailedWarning, match=r"3 fits failed(.|\n)*set checkpoint=None"),
        pytest.warns(UserWarning, match="scores are non-finite"),
    ):
        search.fit(*images)
    scores = search.cv_results_["split0_test_score"], search.cv_results_["split1_test_score"]
    assert np.isfinite(scores).sum() == 1
    search.estimator.set_params(checkpoint=None)
    search.fit(*images)


@pytest.mark.processes
def test_workers_of_a_search_do_not_mix_their_fits(images, small, path):
    clf = small(epochs=3, checkpoint=path)
    with parallel_config(n_jobs=2), pytest.warns(FitFailedWarning, match="set checkpoint=None"):
        scores = cross_val_score(clf, *images, cv=4)
    expected = cross_val_score(small(epochs=3), *images, cv=4)
    assert np.isfinite(scores).sum() >= 1
    assert (np.isnan(scores) | np.isclose(scores, expected, atol=0.05)).all()
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("moment", ["epoch", "end"])
def test_a_file_that_becomes_another_fits_is_left_alone(images, small, path, monkeypatch, moment):
    monkeypatch.setattr(checkpoint_file, "SECONDS_BETWEEN_WRITES", 0.0)
    small(epochs=1, batch_size=32, checkpoint=path).fit(*images)
    others = path.read_bytes()
    path.unlink()

    def take(training, call):
        call(training)
        if moment == "end" or training.epoch == 2:
            path.write_bytes(others)

    name = "end" if moment == "end" else "run_epoch"
    call = getattr(Training, name)
    monkeypatch.setattr(Training, name, lambda training: take(training, call))
    clf = small(checkpoint=path)
    with pytest.raises(CheckpointFileError, match="batch_size was 32 and is 16"):
        clf.fit(*images)
    assert path.read_bytes() == others
    n_epochs = 8 if moment == "end" else 2
    assert_same(clf, small(epochs=n_epochs).fit(*images))  # what was trained is not lost


def test_a_state_that_can_not_be_written_again_is_refused_before_training(
    images, small, path, cut_off, monkeypatch
):
    clf = small(epochs=4, checkpoint=path)
    cut_off(clf, *images)
    content = path.read_bytes()

    def refuse(*arguments):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        patch.setattr(Training, "run_epoch", lambda training: pytest.fail("It trains."))
        with pytest.raises(PermissionError, match="to a file, that you may write to"):
            clf.fit(*images)
    assert path.read_bytes() == content
    expected = clf.fit(*images).history_
    monkeypatch.setattr(os, "replace", refuse)
    assert clf.fit(*images).history_ == expected  # the result is read only


def test_a_file_that_is_deleted_is_written_again(images, small, path, monkeypatch):
    monkeypatch.setattr(checkpoint_file, "SECONDS_BETWEEN_WRITES", 0.0)
    delete = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: path.unlink())
    clf = small(epochs=3, checkpoint=path, callbacks=[delete]).fit(*images)
    monkeypatch.setattr(Training, "run_epoch", lambda training: pytest.fail("It trains again."))
    assert_same(small(epochs=3, checkpoint=path).fit(*images), clf)


FOREIGN = {
    "empty": (b"", "the beginning"),
    "text": (b"my thesis" * 50, "the beginning"),
    "pickle": (pickle.dumps(list(range(1000))), "the beginning"),
}


@pytest.mark.parametrize("kind", [*FOREIGN, "model file"])
def test_other_files_are_not_overwritten(images, fitted, small, path, kind):
    if kind == "model file":
        fitted.save(path)
        texts = ["format is 'fashioncnn', and should be 'fashioncnn checkpoint'"]
    else:
        content, *texts = FOREIGN[kind]
        path.write_bytes(content)
    advice = "Set checkpoint to the path of a file that fit has written, or of none yet."
    refuses(small(checkpoint=path), {"X": images[0], "y": images[1]}, *texts, advice)


def test_a_damaged_file_is_refused(images, finished, path):
    content = path.read_bytes()
    for position in (30, len(content) // 2, len(content) - 1):
        damaged = bytearray(content)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        refuses(finished(), {"X": images[0], "y": images[1]})
    path.write_bytes(content[:-4])
    refuses(finished(), {"X": images[0], "y": images[1]}, "bytes after its header", ANEW)
    path.unlink()  # as it says
    finished().fit(*images)


@pytest.mark.skipif(os.name != "posix", reason="POSIX only")
@pytest.mark.parametrize("kind", ["folder", "pipe", "unreadable"])
def test_what_is_no_file_to_read_is_refused(images, small, path, kind):
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path)
    advice = "Set checkpoint to the path of a file that fit has written, or of none yet."
    with pytest.raises(CheckpointFileError, match=advice):
        small(checkpoint=path).fit(*images)


def test_load_says_what_reads_it(finished, path):
    message = "format is 'fashioncnn checkpoint'.* fit reads it: pass its path as .* checkpoint"
    with pytest.raises(ValueError, match=message):
        FashionCNNClassifier.load(path)


# --- Parameters -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"random_state": None}, "checkpoint needs an int as random_state.*random_state=None"),
        ({"random_state": np.random.RandomState(0)}, "checkpoint needs an int as random_state"),
        ({"warm_start": True}, "checkpoint is for one fit, and warm_start=True .*warm_start=False"),
        ({"checkpoint": "no\0name"}, "checkpoint must be a name that a file can have"),
    ],
)
def test_what_can_not_go_on_is_refused(images, refused, tmp_path, params, message):
    params = {"checkpoint": tmp_path / "run"} | params
    refused(lambda clf: clf.fit(*images), ValueError, message, **params)
    assert not os.listdir(tmp_path)


def test_refusals_come_before_tensorflow(images, refused, tmp_path, finished, path):
    def fit(clf):
        clf.fit(*images)

    missing = tmp_path / "no" / "run"
    message = "Make the folder first, by os.makedirs, or save to a folder that exists"
    refused(fit, FileNotFoundError, message, checkpoint=missing)
    message = "Write out what ~ stands for, as os.path.expanduser does"
    refused(fit, FileNotFoundError, message, checkpoint="~/run")
    message = "batch_size was 16 and is 5: the file is of another fit"
    refused(
        fit, CheckpointFileError, message, checkpoint=path, batch_size=5, epochs=2, padding="same"
    )
    np.testing.assert_equal(os.listdir(tmp_path), [path.name])


def test_a_bool_and_an_int_of_numpy_are_seeds(images, small, path):
    for seed in (True, np.int64(1)):
        small(epochs=1, checkpoint=path, random_state=seed).fit(*images)
        path.unlink()


def test_save_leaves_it_out_and_pickles_and_clones_keep_it(images, finished, tmp_path, path):
    clf = finished().fit(*images)
    clf.save(tmp_path / "model")
    assert FashionCNNClassifier.load(tmp_path / "model").checkpoint is None
    assert clf.checkpoint == path
    assert pickle.loads(pickle.dumps(clf)).checkpoint == path
    assert clone(clf).checkpoint == path


def test_partial_fit_ignores_it(images, small, path):
    clf = small(checkpoint=path, random_state=None, epochs=2)
    clf.partial_fit(*images, classes=np.unique(images[1]))
    assert not path.exists()
    clf.set_params(random_state=0).fit(*images)
    content = path.read_bytes()
    assert clf.partial_fit(*images).n_iter_ == 3
    assert path.read_bytes() == content


# --- Writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_writes", [0, 2])
def test_a_disk_that_becomes_full_costs_a_warning_only(images, small, path, monkeypatch, n_writes):
    monkeypatch.setattr(checkpoint_file, "SECONDS_BETWEEN_WRITES", 0.0)
    contents, fsync = [], os.fsync

    def fill(descriptor):
        if len(contents) > n_writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)
        contents.append(descriptor)

    monkeypatch.setattr(os, "fsync", fill)
    message = (
        "checkpoint can't be written: .*No space left.*Delete files there.* The fit (goes|has)"
    )
    with pytest.warns(UserWarning, match=message) as warned:
        clf = small(epochs=4, checkpoint=path).fit(*images)
    assert str(warned[-1].message).endswith("The fit has ended well: save keeps the classifier.")
    expected = small(epochs=4).fit(*images)
    assert_same(clf, expected)
    assert os.listdir(path.parent) == [path.name]
    monkeypatch.setattr(os, "fsync", fsync)
    assert_same(small(epochs=4, checkpoint=path).fit(*images), expected)


def test_a_file_that_can_not_be_read_meanwhile_costs_a_warning_only(
    images, small, path, monkeypatch
):
    monkeypatch.setattr(checkpoint_file, "SECONDS_BETWEEN_WRITES", 0.0)

    def disturb(epoch, logs):
        if epoch == 1:
            path.rename(path.with_suffix(".old"))
            path.symlink_to(path)  # a circle
        elif epoch == 2:
            path.with_suffix(".old").replace(path)

    callback = keras.callbacks.LambdaCallback(on_epoch_begin=disturb)
    with pytest.warns(UserWarning, match=r"written: .*symbolic links.* The fit goes on") as warned:
        clf = small(epochs=4, checkpoint=path, callbacks=callback).fit(*images)
    assert [each.filename for each in warned] == [__file__]
    monkeypatch.setattr(Training, "run_epoch", lambda training: pytest.fail("It trains again."))
    assert_same(small(epochs=4, checkpoint=path).fit(*images), clf)


def test_too_little_memory_for_a_write_costs_a_warning_only(images, small, path, monkeypatch):
    monkeypatch.setattr(checkpoint_file, "SECONDS_BETWEEN_WRITES", 0.0)
    write = checkpoint_file.write_content

    def write_or_fail(identity, plan, stand, refuse):
        if getattr(stand, "epoch", 0) == 1:
            raise MemoryError
        return write(identity, plan, stand, refuse)

    monkeypatch.setattr(checkpoint_file, "write_content", write_or_fail)
    message = r"can't be written: there is too little memory\. The fit goes on"
    with pytest.warns(UserWarning, match=message):
        clf = small(epochs=2, checkpoint=path).fit(*images)
    assert_same(clf, small(epochs=2).fit(*images))


def test_it_is_written_every_few_seconds_and_in_a_small_part_of_the_time(
    images, small, path, monkeypatch
):
    clock = FakeClock()
    writes, write, run_epoch = [], checkpoint_file.write_atomically, Training.run_epoch

    def write_slowly(*arguments):
        writes.append(clock.now)
        write(*arguments)
        clock.now += 1 / 8 if len(writes) == 4 else 1 / 64  # added up without rounding

    def run_slowly(training):
        run_epoch(training)
        clock.now += 1.0

    monkeypatch.setattr(checkpoint_file, "time", clock)
    monkeypatch.setattr(checkpoint_file, "write_atomically", write_slowly)
    monkeypatch.setattr(Training, "run_epoch", run_slowly)
    small(epochs=30, checkpoint=path).fit(*images)
    begin, *others, end = np.round(writes) - 1000
    assert (begin, end) == (0, 30)
    # 1/64 s: after 3 s. 1/8 s, more than four times 1 % of 3 s: after 12.5 s.
    assert others == [3, 6, 9, 22, 25, 28]


class FakeClock:
    """In place of the module `time`."""

    now = 1000.0  # of what began long ago

    def monotonic(self):
        return self.now
