# SPDX-License-Identifier: BSD-3-Clause
"""Keras callbacks do here what they do in `Model.fit` on the same network and the same batches."""

import copy
import csv
import dataclasses
import functools
import pickle

import joblib
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TensorBoard,
    TerminateOnNaN,
)
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from fashioncnn import FashionCNNClassifier
from fashioncnn._network.checkpoint import new_checkpoint
from fashioncnn._network.fitted import Network
from fashioncnn._tensorflow.keras_model import build_compiled_network, set_weights

EPOCHS, BATCH = 4, 16
N_STEPS = 4  # 60 images: three whole batches and a partial one


@pytest.fixture
def data(images):
    X, y = images
    return {"X": X[:60], "y": y[:60], "X_val": X[60:], "y_val": y[60:]}


@pytest.fixture
def make(small):
    """Give a function that makes a classifier without dropout, which Keras would draw otherwise."""

    def make(**params):
        settings = {"epochs": EPOCHS, "batch_size": BATCH, "learning_rate": 0.05}
        return small(**settings | {"conv_dropout": 0, "dense_dropout": 0} | params)

    return make


class Batches(keras.utils.PyDataset):
    """The batches that the classifier trains on, epoch after epoch."""

    def __init__(self, clf, X, targets, first_epoch=0):
        super().__init__()
        start = new_checkpoint(clf._network.architecture, clf._network.checkpoint.seed)
        self.rows = [
            order[first : first + BATCH]
            for epoch in range(first_epoch, clf.epochs)
            for order in [np.random.default_rng((start.seeds.order, epoch)).permutation(len(X))]
            for first in range(0, len(X), BATCH)
        ]
        self.X, self.targets = X, targets

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        return self.X[self.rows[number]], self.targets[self.rows[number]]


@functools.cache
def build_once(*parts):
    return build_compiled_network(Network(*parts))


def new_model(network, weights):
    """Give Keras' model of a fitted network, with other weights and nothing of earlier fits.

    It is built once, for most of the time of a fit goes into what Keras compiles for a model.
    """
    model = build_once(network.architecture, network.scaling, network.compilation)
    set_weights(model, weights)
    for variable in model.optimizer.variables:
        variable.assign(np.zeros(variable.shape))
    model.optimizer.learning_rate = network.compilation.learning_rate
    model._initial_epoch = None
    return model


def fit_keras(clf, data, callbacks, first_epoch=0):
    """Call `Model.fit` on the network of a fitted classifier, from its initial weights."""
    network = clf._network
    start = new_checkpoint(network.architecture, network.checkpoint.seed)
    model = new_model(network, start.weights)
    codes = {name: np.searchsorted(clf.classes_, data[name]) for name in ("y", "y_val")}
    if clf.loss == "categorical_crossentropy":
        codes = {name: np.eye(len(clf.classes_))[values] for name, values in codes.items()}
    batches = Batches(clf, data["X"], codes["y"], first_epoch)
    history = model.fit(
        (batches[number] for number in range(len(batches))),
        steps_per_epoch=N_STEPS,
        epochs=clf.epochs,
        validation_data=(data["X_val"], codes["y_val"]),
        validation_batch_size=BATCH,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
    )
    return model, history.history


def assert_same_training(clf, model, history):
    """Compare what callbacks change: the number of epochs, the rates, and the weights."""
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(clf.history_[name], history[name], rtol=1e-3, atol=1e-4)
    for ours, theirs in zip(clf._network.weights.values(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)


class Recorder(Callback):
    """Notes every hook with its argument and its logs, and what the model is at the end."""

    HOOKS = tuple(
        f"on_{what}_{when}"
        for what in ("train", "epoch", "train_batch", "test", "test_batch")
        for when in ("begin", "end")
    )

    def __init__(self):
        super().__init__()
        self.calls, self.logs = [], []
        for hook in self.HOOKS:
            setattr(self, hook, self._note(hook))

    def __deepcopy__(self, memo):
        return type(self)()

    def _note(self, hook):
        def note(*args, logs=None):
            *number, logs = (*args, logs) if logs is not None else args
            self.calls.append((hook, *number, tuple(sorted(logs)) if logs else ()))
            self.logs.append(np.array([logs[name] for name in sorted(logs)] if logs else []))
            if hook == "on_train_end":
                self.variables = [v.numpy() for v in self.model.optimizer.variables]

        return note


@pytest.mark.parametrize(
    ("optimizer", "loss"),
    [
        ("adam", "categorical_crossentropy"),
        ("rmsprop", "sparse_categorical_crossentropy"),
        pytest.param("sgd", "categorical_crossentropy", marks=pytest.mark.slow),
        pytest.param("adam", "sparse_categorical_crossentropy", marks=pytest.mark.slow),
        pytest.param("rmsprop", "categorical_crossentropy", marks=pytest.mark.slow),
        pytest.param("sgd", "sparse_categorical_crossentropy", marks=pytest.mark.slow),
    ],
)
def test_every_hook_is_called_with_what_keras_gives(data, make, optimizer, loss):
    clf = make(optimizer=optimizer, loss=loss, learning_rate=0.01, callbacks=[Recorder()])
    clf.fit(**data)
    ours, theirs = clf.callbacks_[0], Recorder()
    model, history = fit_keras(clf, data, [theirs])
    assert ours.calls == theirs.calls
    assert len(ours.calls) == 2 + EPOCHS * (2 + 2 * N_STEPS + 2 + 2 * 2)
    for mine, other in zip(ours.logs, theirs.logs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-4)
    for mine, other in zip(ours.variables, theirs.variables, strict=True):  # and the iterations
        np.testing.assert_allclose(mine, other, rtol=2e-3, atol=2e-4)
    assert ours.params == {**theirs.params, "verbose": 0}
    assert_same_training(clf, model, history)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"batch_normalization": True},
        {"optimizer": "muon", "augment": "flip_shift", "test_time_flip": True},
    ],
    ids=str,
)
def test_who_only_looks_changes_no_bit(images, small, params):
    settings = {"validation_fraction": 0.2, "epochs": 3, **params}
    plain = small(**settings).fit(*images)
    watched = small(**settings, callbacks=Recorder()).fit(*images)
    assert watched.history_ == plain.history_
    np.testing.assert_array_equal(watched.predict_proba(images[0]), plain.predict_proba(images[0]))


def test_without_callbacks_no_model_is_built(images, small, monkeypatch):
    monkeypatch.setattr("fashioncnn._training.callbacks.build_compiled_network", None)
    for callbacks in (None, [], ()):
        small(epochs=1, callbacks=callbacks).fit(*images)
    with pytest.raises(TypeError, match="NoneType"):
        small(epochs=1, callbacks=[History()]).fit(*images)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_reduce_lr_on_plateau(data, make, optimizer):
    def callback():
        return ReduceLROnPlateau("val_loss", factor=0.3, patience=0, min_delta=2.0, min_lr=0.004)

    clf = make(optimizer=optimizer, callbacks=[callback()]).fit(**data)
    model, history = fit_keras(clf, data, [callback()])
    assert len(set(clf.history_["learning_rate"])) > 2
    np.testing.assert_allclose(clf.history_["learning_rate"], history["learning_rate"], rtol=1e-6)
    assert_same_training(clf, model, history)


def test_learning_rate_scheduler(data, make):
    def callback():
        return LearningRateScheduler(lambda epoch, rate: rate if epoch < 2 else rate * 0.1)

    clf = make(callbacks=callback()).fit(**data)
    model, history = fit_keras(clf, data, [callback()])
    np.testing.assert_allclose(clf.history_["learning_rate"], [0.05, 0.05, 0.005, 5e-4], rtol=1e-6)
    assert_same_training(clf, model, history)


@pytest.mark.parametrize("restore", [False, True])
def test_early_stopping(data, make, restore):
    def callback():
        return EarlyStopping(
            "val_accuracy", patience=1, min_delta=0.5, restore_best_weights=restore
        )

    clf = make(epochs=9, callbacks=[callback()]).fit(**data)
    reference = callback()
    model, history = fit_keras(clf, data, [reference])
    assert clf.n_iter_ == len(history["loss"]) < 9
    assert clf.callbacks_[0].best_epoch == reference.best_epoch
    assert_same_training(clf, model, history)


def rows_of(path):
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return header, np.array(rows, dtype=float)


def test_csv_logger(data, make, tmp_path):
    paths = tmp_path / "ours.csv", tmp_path / "keras.csv"
    clf = make(callbacks=[CSVLogger(paths[0])]).fit(**data)
    fit_keras(clf, data, [CSVLogger(paths[1])])
    (header, ours), (expected_header, theirs) = map(rows_of, paths)
    assert header == expected_header
    assert ours.shape == (EPOCHS, 5)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"filepath": "{epoch}.keras"},
        {"filepath": "{epoch}-{val_loss:.1f}.weights.h5", "save_weights_only": True},
        {"filepath": "best.keras", "save_best_only": True, "monitor": "val_accuracy"},
        {"filepath": "{epoch}-{batch}.weights.h5", "save_weights_only": True, "save_freq": 3},
    ],
    ids=["epochs", "weights", "best", "batches"],
)
def test_model_checkpoint(data, make, tmp_path, settings):
    folders = tmp_path / "ours", tmp_path / "keras"

    def callback(folder):
        return ModelCheckpoint(**settings | {"filepath": folder / settings["filepath"]})

    clf = make(callbacks=[callback(folders[0])]).fit(**data)
    model, _ = fit_keras(clf, data, [callback(folders[1])])
    names = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert names[0] == names[1]
    for name in names[0]:
        weights = []
        for folder in folders:
            if name.endswith(".keras"):
                saved = keras.models.load_model(folder / name)
            else:
                saved = model
                saved.load_weights(folder / name)
            weights.append([*saved.get_weights(), *(v.numpy() for v in saved.optimizer.variables)])
        for ours, theirs in zip(*weights, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)


def scalars(folder):
    """Read the scalars that TensorBoard would show: {(part, tag, step): value}."""
    found = {}
    for path in folder.rglob("*tfevents*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.tensor.dtype == tf.float32.as_datatype_enum:
                    content = float(tf.make_ndarray(value.tensor))
                    found[path.parent.name, value.tag, event.step] = content
    return found


def test_tensor_board(data, make, tmp_path):
    clf = make(callbacks=[TensorBoard(tmp_path / "ours", update_freq=1)]).fit(**data)
    fit_keras(clf, data, [TensorBoard(tmp_path / "keras", update_freq=1)])
    ours, theirs = scalars(tmp_path / "ours"), scalars(tmp_path / "keras")
    assert ours.keys() == theirs.keys()
    assert ("validation", "evaluation_loss_vs_iterations", EPOCHS * N_STEPS) in ours
    for key, value in ours.items():
        assert value == pytest.approx(theirs[key], rel=1e-3, abs=1e-4), key


def test_lambda_callback_and_history(data, make):
    def callbacks(seen):
        return [
            LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(square=epoch**2)),
            LambdaCallback(on_train_batch_begin=lambda batch, logs: seen.append(batch)),
            LambdaCallback(on_train_end=lambda logs: seen.append(sorted(logs))),
            History(),
        ]

    ours, theirs = [], []
    clf = make(callbacks=callbacks(ours)).fit(**data)
    _, history = fit_keras(clf, data, callbacks(theirs))
    assert ours == theirs
    assert clf.callbacks_[-1].history["square"] == history["square"] == [0, 1, 4, 9]
    assert "square" not in clf.history_


@pytest.mark.parametrize("own", [False, True])
def test_the_model_has_a_history_from_the_first_hook_on(data, make, own):
    class Look(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.on_epoch_end(epoch)

        def on_epoch_end(self, epoch, logs=None):
            self.seen = [*getattr(self, "seen", []), copy.deepcopy(self.model.history.history)]

    clf = make(callbacks=[Look(), *[History()] * own]).fit(**data)
    theirs = Look()
    fit_keras(clf, data, [theirs, *[History()] * own])
    for mine, other in zip(clf.callbacks_[0].seen, theirs.seen, strict=True):
        assert mine.keys() == other.keys()
        for name, values in mine.items():
            np.testing.assert_allclose(values, other[name], rtol=1e-3, atol=1e-4)
    assert len(mine["val_loss"]) == EPOCHS - 1


@pytest.mark.parametrize("learning_rate", [1e10, 1e30])
def test_terminate_on_nan(data, make, capsys, learning_rate):
    def said():
        return [line for line in capsys.readouterr().out.splitlines() if "Invalid loss" in line]

    clf = make(epochs=1).fit(**data)
    before = clf.predict_proba(data["X"])
    clf.set_params(learning_rate=learning_rate, callbacks=[TerminateOnNaN()])
    with pytest.raises(ValueError, match="Training diverged: the training loss is"):
        clf.fit(**data)
    ours = said()
    np.testing.assert_array_equal(clf.predict_proba(data["X"]), before)
    compilation = clf._network.compilation._replace(learning_rate=learning_rate)
    clf._network = dataclasses.replace(clf._network, compilation=compilation)
    fit_keras(clf, data, [TerminateOnNaN()])
    assert ours == said()[:1]
    assert len(ours) == 1


class Crash(Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise InterruptedError("the machine went down")


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate_schedule": "constant", "batch_normalization": True, "batch_size": 25},
        {"learning_rate_schedule": "cosine"},
    ],
    ids=str,
)
def test_backup_and_restore(data, make, tmp_path, settings):
    settings = {**settings, "conv_dropout": 0.3, "warm_start": True}
    backup = BackupAndRestore(tmp_path / "backup")
    whole = make(**settings).fit(**data)
    clf = make(**settings, callbacks=[backup, Crash(2)])
    with pytest.raises(InterruptedError, match="went down"):
        clf.fit(**data)
    assert not hasattr(clf, "classes_")
    clf.set_params(callbacks=[backup]).fit(**data)
    np.testing.assert_array_equal(clf.predict_proba(data["X"]), whole.predict_proba(data["X"]))
    for name, values in whole.history_.items():
        assert np.isnan(clf.history_[name][:2]).all()
        assert clf.history_[name][2:] == values[2:]
    assert clf.n_iter_ == clf.best_epoch_ == EPOCHS
    assert not (tmp_path / "backup").exists()
    for more in (whole, clf):
        more.set_params(callbacks=None).fit(**data)
    np.testing.assert_array_equal(clf.predict_proba(data["X"]), whole.predict_proba(data["X"]))


def test_backup_and_restore_goes_on_where_keras_does(data, make, tmp_path):
    def callbacks(name, epoch):
        plateau = ReduceLROnPlateau("val_loss", factor=0.3, patience=0, min_delta=9.0)
        return [BackupAndRestore(tmp_path / name), plateau, Crash(epoch)]

    clf = make(callbacks=callbacks("ours", 2))
    fitted = make(epochs=EPOCHS).fit(**data)
    with pytest.raises(InterruptedError, match="went down"):
        clf.fit(**data)
    with pytest.raises(InterruptedError, match="went down"):
        fit_keras(fitted, data, callbacks("keras", 2))
    clf.set_params(callbacks=callbacks("ours", -1)).fit(**data)
    model, history = fit_keras(fitted, data, callbacks("keras", -1), first_epoch=2)
    clf.history_ = {name: values[2:] for name, values in clf.history_.items()}
    np.testing.assert_allclose(clf.history_["learning_rate"], history["learning_rate"], rtol=1e-6)
    assert_same_training(clf, model, history)


def test_nothing_left_to_do_after_a_restored_last_epoch(data, make, tmp_path):
    backup = BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
    first = make(callbacks=[backup]).fit(**data)
    second = make(callbacks=[backup, Recorder()], random_state=1).fit(**data)
    assert [hook for hook, *_ in second.callbacks_[1].calls] == ["on_train_begin", "on_train_end"]
    np.testing.assert_array_equal(second.predict_proba(data["X"]), first.predict_proba(data["X"]))
    assert second.n_iter_ == EPOCHS
    assert second._network.checkpoint.n_steps == EPOCHS * N_STEPS


class Tamper(Callback):
    """Changes the rate, the weights and the end of training in the midst of an epoch."""

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = 0.01 * (batch + 1)

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            self.model.set_weights([0.9 * weight for weight in self.model.get_weights()])
        if batch == 2 and self.model.optimizer.iterations > 2 * N_STEPS:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        self.model.layers[-1].bias.assign([0.5, 0.0, -0.5])


def test_a_users_own_callback(data, make):
    clf = make(callbacks=Tamper()).fit(**data)
    model, history = fit_keras(clf, data, [Tamper()])
    assert clf.n_iter_ == len(history["loss"]) == 3
    np.testing.assert_allclose(clf.history_["learning_rate"], [0.04, 0.04, 0.03], rtol=1e-6)
    np.testing.assert_array_equal(clf._network.weights["predictions/bias"], [0.5, 0, -0.5])
    assert_same_training(clf, model, history)


class Halve(Callback):
    """Validates with other weights than those that it trains, as averages of weights do."""

    def on_test_begin(self, logs=None):
        self.weights = self.model.get_weights()
        self.model.set_weights([0.5 * weight for weight in self.weights])

    def on_test_end(self, logs=None):
        self.model.set_weights(self.weights)


def test_other_weights_in_validation(data, make):
    clf = make(callbacks=Halve()).fit(**data)
    assert_same_training(clf, *fit_keras(clf, data, [Halve()]))
    assert not np.allclose(clf.history_["val_loss"], make().fit(**data).history_["val_loss"])


@pytest.mark.parametrize("hook", ["on_epoch_end", "on_train_end"])
def test_weights_that_a_callback_spoils(data, make, hook):
    clf = make().fit(**data)
    before = clf.predict_proba(data["X"])

    class Spoil(Callback):
        pass

    def spoil(self, epoch=EPOCHS - 1, logs=None):
        if epoch == EPOCHS - 1:
            self.model.layers[-1].bias.assign([np.nan] * 3)

    setattr(Spoil, hook, spoil if hook == "on_epoch_end" else lambda self, logs: spoil(self))
    with pytest.raises(ValueError, match=f"largest weight is nan in epoch {EPOCHS} of"):
        clf.set_params(callbacks=Spoil()).fit(**data)
    np.testing.assert_array_equal(clf.predict_proba(data["X"]), before)


def test_divergence_names_the_rate_that_a_callback_has_set(data, make):
    clf = make(callbacks=LearningRateScheduler(lambda epoch: 1e30))
    with pytest.raises(ValueError, match=r"and learning_rate=1e\+30\."):
        clf.fit(**data)


def test_continued_training_counts_the_steps_of_a_stopped_epoch(data, make):
    clf = make(callbacks=Tamper(), warm_start=True).fit(**data)
    assert clf._network.checkpoint.iterations == clf._network.checkpoint.n_steps == 11
    clf.set_params(callbacks=[Recorder()]).fit(**data)
    assert clf.callbacks_[0].variables[0] == 11 + EPOCHS * N_STEPS


def test_own_early_stopping_and_callbacks(data, make):
    clf = make(early_stopping=True, n_iter_no_change=2, tol=0.3, epochs=9, callbacks=[Recorder()])
    clf.fit(**data)
    plain = make(early_stopping=True, n_iter_no_change=2, tol=0.3, epochs=9).fit(**data)
    assert clf.n_iter_ == plain.n_iter_ == clf.best_epoch_ + 2
    assert [hook for hook, *_ in clf.callbacks_[0].calls][-1] == "on_train_end"
    np.testing.assert_array_equal(clf.predict_proba(data["X"]), plain.predict_proba(data["X"]))


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
@pytest.mark.parametrize(
    "callback",
    [
        LearningRateScheduler(lambda epoch: 0.5),
        ReduceLROnPlateau("val_loss", patience=0, min_delta=9.0),
    ],
)
def test_one_learning_rate_has_one_master(data, make, schedule, callback):
    clf = make().fit(**data)
    before = clf.predict_proba(data["X"])
    clf.set_params(learning_rate_schedule=schedule, callbacks=[callback])
    with pytest.raises(
        ValueError,
        match=f"{type(callback).__name__} has set the learning rate to .*schedule='{schedule}'",
    ):
        clf.fit(**data)
    np.testing.assert_array_equal(clf.predict_proba(data["X"]), before)
    assert clf.set_params(learning_rate_schedule="constant").fit(**data).n_iter_ == EPOCHS


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.compile("sgd", "categorical_crossentropy"),
        lambda model: setattr(
            model.optimizer, "learning_rate", keras.optimizers.schedules.CosineDecay(0.1, 9)
        ),
    ],
    ids=["optimizer", "schedule"],
)
def test_another_optimizer_is_refused(data, make, change):
    class Change(Callback):
        def on_epoch_begin(self, epoch, logs=None):
            change(self.model)

    with pytest.raises(ValueError, match="callback Change has changed the model's optimizer"):
        make(callbacks=Change()).fit(**data)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda model: setattr(model.layers[1], "trainable", False), "has frozen layers"),
        (lambda model: setattr(model, "trainable", False), "has frozen layers"),
        (lambda model: setattr(model.optimizer, "beta_1", 0.5), "has set beta_1 of the model's"),
        (lambda model: setattr(model.optimizer, "weight_decay", 1.0), "has set weight_decay of"),
    ],
    ids=["layer", "all layers", "beta_1", "weight_decay"],
)
@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin"])
def test_what_compiled_steps_do_not_follow_is_refused(data, make, hook, change, complaint):
    class Change(Callback):
        pass

    setattr(Change, hook, lambda self, *_, logs=None: change(self.model))
    with pytest.raises(ValueError, match=f"The callback Change {complaint}"):
        make(callbacks=Change()).fit(**data)


class Predict(Callback):
    """Uses the classifier that is being fitted."""

    clf = None
    results: list

    def on_epoch_end(self, epoch, logs=None):
        try:
            self.results.append(self.clf.predict_proba(self.X))
        except NotFittedError:
            self.results.append(None)

    def __deepcopy__(self, memo):
        return self


def test_predictions_in_a_callback_are_those_of_the_fit_before(data, make):
    callback = Predict()
    callback.X, callback.results = data["X"], []
    callback.clf = clf = make(epochs=2, callbacks=callback)
    clf.fit(**data)
    before = clf.predict_proba(data["X"])
    clf.set_params(random_state=7).fit(**data)
    assert callback.results[:2] == [None, None]
    for result in callback.results[2:]:
        np.testing.assert_array_equal(result, before)


def test_of_nested_fits_the_outer_one_holds(data, make):
    clf, inner = make(), []

    def fit_again(epoch, logs):
        if epoch == 1:
            clf.set_params(callbacks=None, random_state=5).fit(**data)
            inner.append(clf.predict_proba(data["X"]))

    outer = clf.set_params(callbacks=LambdaCallback(on_epoch_end=fit_again)).fit(**data)
    alone = make(random_state=5).fit(**data)
    np.testing.assert_array_equal(inner[0], alone.predict_proba(data["X"]))
    expected = make().fit(**data).predict_proba(data["X"])
    np.testing.assert_array_equal(outer.predict_proba(data["X"]), expected)


def test_keras_model_in_a_callback_predicts_what_the_classifier_will(data, make):
    class Keep(Callback):
        def on_train_end(self, logs=None):
            self.probabilities = self.model.predict(data["X"], verbose=0)

    clf = make(callbacks=Keep()).fit(**data)
    np.testing.assert_allclose(
        clf.callbacks_[0].probabilities, clf.predict_proba(data["X"]), rtol=1e-4, atol=1e-6
    )


def test_copies_are_called_and_then_detached(data, make):
    given = [EarlyStopping("val_loss", patience=2), Recorder()]
    before = joblib.hash(vars(given[0]))
    clf = make(callbacks=given).fit(**data)
    assert joblib.hash(vars(given[0])) == before
    assert given[1].calls == []
    assert [type(callback) for callback in clf.callbacks_] == [EarlyStopping, Recorder]
    assert all(callback.model is None for callback in clf.callbacks_)
    first = clf.callbacks_
    assert clf.fit(**data).callbacks_[1] is not first[1]
    assert clf.callbacks_[1].calls == first[1].calls
    assert not hasattr(clf.set_params(callbacks=None).fit(**data), "callbacks_")


def test_a_callback_that_passes_calls_on_is_detached_with_the_other(data, make):
    class Outer(Callback):
        def __init__(self):
            super().__init__()
            self.inner = Callback()
            self.inner.outer = self

        def set_model(self, model):
            super().set_model(model)
            self.inner.set_model(model)

        def on_train_end(self, logs=None):
            self.seen = self.inner.model

    outer = make(callbacks=Outer()).fit(**data).callbacks_[0]
    assert outer.seen is not None
    assert outer.model is outer.inner.model is None


class Twin(Callback):
    """Notes what the other callback of the list has noted."""

    def __init__(self, other):
        super().__init__()
        self.other, self.seen = other, []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(self.other.wait)


def test_copies_know_each_other(data, make):
    stop = EarlyStopping("val_loss", patience=9, min_delta=99.0)
    clf = make(callbacks=[Twin(stop), stop]).fit(**data)
    twin, copied = clf.callbacks_
    assert twin.other is copied is not stop
    assert twin.seen == [0, 0, 1, 2]


def test_copies_of_a_failed_fit_are_detached_too(data, make):
    class Keep(Crash):
        def __deepcopy__(self, memo):
            return self

    callback = Keep(1)
    with pytest.raises(InterruptedError):
        make(callbacks=callback).fit(**data)
    assert callback.model is None


def test_copies_stay_out_of_pickles(data, make):
    clf = make(callbacks=[ReduceLROnPlateau(patience=3)]).fit(**data)
    for other in (pickle.loads(pickle.dumps(clf)), copy.deepcopy(clf), copy.copy(clf)):
        assert not hasattr(other, "callbacks_")
        np.testing.assert_array_equal(other.predict_proba(data["X"]), clf.predict_proba(data["X"]))
    unfitted = clone(clf)
    assert not hasattr(unfitted, "callbacks_")
    assert unfitted.callbacks[0] is clf.callbacks[0]  # each fit copies it


def test_a_callback_that_keras_has_used(data, make, monkeypatch):
    callback = EarlyStopping("val_loss")
    model, _ = fit_keras(make().fit(**data), data, [callback])

    def copied(self, memo):
        raise AssertionError("the model was copied, too")

    monkeypatch.setattr(type(model), "__deepcopy__", copied, raising=False)
    clf = make(callbacks=[callback]).fit(**data)
    assert clf.callbacks_[0].model is None
    assert callback.model is model


def test_a_list_of_keras_is_its_callbacks(data, make):
    stop = EarlyStopping("val_accuracy", patience=1, min_delta=0.5)
    callbacks = keras.callbacks.CallbackList([stop, Recorder()])
    clf = make(epochs=9, callbacks=callbacks).fit(**data)
    assert [type(callback) for callback in clf.callbacks_] == [EarlyStopping, Recorder]
    assert all(callback.model is None for callback in clf.callbacks_)
    assert clf.n_iter_ == make(epochs=9, callbacks=stop).fit(**data).n_iter_ < 9


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_progress_bar_of_the_user_takes_the_place_of_ours(data, make, capsys, verbose):
    make(verbose=verbose, callbacks=keras.callbacks.ProgbarLogger()).fit(**data)
    shown = capsys.readouterr().out
    assert shown.count(f"Epoch {EPOCHS}/{EPOCHS}") == 1
    make(verbose=verbose, callbacks=[]).fit(**data)
    assert capsys.readouterr().out.count(f"Epoch {EPOCHS}/{EPOCHS}") == 1


def test_spoiled_weights_are_not_kept_by_an_interrupt(data, make):
    class Spoil(Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.layers[-1].bias.assign([np.nan, 0, 0])

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    clf = make(callbacks=Spoil())
    with pytest.raises(ValueError, match=r"diverged: the largest weight is nan in epoch 1 of 4"):
        clf.fit(**data)
    assert not hasattr(clf, "classes_")


def test_a_callback_that_cannot_be_copied(data, make):
    class Refuse(Callback):
        def __deepcopy__(self, memo):
            raise OSError("there is one of me")

    clf = make().fit(**data)
    attributes = dict(vars(clf))
    clf.callbacks = attributes["callbacks"] = [Refuse()]
    message = (
        "callback Refuse can't be copied, as each fit does: there is one of me. Give it a __de"
    )
    with pytest.raises(TypeError, match=message):
        clf.fit(**data)
    assert vars(clf) == attributes
    Refuse.__deepcopy__ = lambda self, memo: self
    assert clf.fit(**data).callbacks_[0] is clf.callbacks[0]


def orbax_checkpoint(folder, **settings):
    pytest.importorskip("orbax.checkpoint")
    return keras.callbacks.OrbaxCheckpoint(str(folder), **settings)


def steps_in(folder):
    return sorted(int(path.name) for path in folder.iterdir())


def test_orbax_checkpoint_serves_one_fit(data, make, tmp_path):
    clf = make(callbacks=orbax_checkpoint(tmp_path, max_to_keep=None)).fit(**data)
    assert steps_in(tmp_path) == [0, 1, 2, 3]
    attributes = dict(vars(clf))
    message = f"OrbaxCheckpoint starts to save at step 0, but {tmp_path} has step 3 already"
    for fit in (clf.fit, clone(clf).set_params(epochs=9).fit):
        with pytest.raises(ValueError, match=message):
            fit(**data)
    assert vars(clf) == attributes
    assert steps_in(tmp_path) == [0, 1, 2, 3]
    clf.set_params(callbacks=orbax_checkpoint(tmp_path / "other")).fit(**data)  # the remedy
    assert steps_in(tmp_path / "other") == [3]


def test_orbax_checkpoint_counts_steps_over_fits(data, make, tmp_path):
    checkpoint = orbax_checkpoint(tmp_path, save_freq=N_STEPS, max_to_keep=None)
    clf = make(callbacks=checkpoint, warm_start=True, epochs=2).fit(**data)
    clf.fit(**data).partial_fit(data["X"], data["y"])
    assert steps_in(tmp_path) == [4, 8, 12, 16, 20]
    clf.set_params(warm_start=False)
    with pytest.raises(ValueError, match=r"starts to save at step 1, but .* has step 20 already"):
        clf.fit(**data)


@pytest.mark.parametrize("callbacks", ["x", 1, [1], EarlyStopping, [EarlyStopping], {}, [[]]])
def test_what_is_no_callback(data, make, callbacks):
    with pytest.raises(
        ValueError,
        match=r"'callbacks' parameter of FashionCNNClassifier must be an instance of "
        r"keras\.callbacks\.Callback or a list of them or None\. Got",
    ):
        make(callbacks=callbacks).fit(**data)


def test_partial_fit_and_warm_start(images, small):
    X, y = images
    clf = small(callbacks=Recorder()).partial_fit(X, y, classes=np.unique(y))
    plain = small().partial_fit(X, y, classes=np.unique(y))
    for more in (clf, plain):
        more.partial_fit(X, y)
        more.set_params(warm_start=True, epochs=2).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))
    epochs = [number for hook, *number, _ in clf.callbacks_[0].calls if hook == "on_epoch_end"]
    assert epochs == [[0], [1]]
    assert clf.n_iter_ == 4


def test_keras_need_not_be_imported_to_hear_that_it_is_no_callback(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "keras", None)
    with pytest.raises(ValueError, match="Got 'x' instead"):
        FashionCNNClassifier(callbacks="x").fit([[0] * 4] * 4, [0, 1] * 2)
