# SPDX-License-Identifier: BSD-3-Clause
"""The state that the training loop hands out: a fit that goes on from it reaches the same bits."""

import io
import pickle

import numpy as np
import pytest
from keras.callbacks import Callback, LearningRateScheduler

from fashioncnn import FashionCNNClassifier
from fashioncnn._files.checkpoint_content import Conditions, Content, Plan, write_content
from fashioncnn._inputs.architecture import build_architecture
from fashioncnn._inputs.nested import parse_augment
from fashioncnn._network.checkpoint import new_checkpoint
from fashioncnn._network.data import LabelledImages, TrainingSplit, ValidationImages
from fashioncnn._network.fitted import Compilation, Network
from fashioncnn._tensorflow.backend import call_in_eager_mode
from fashioncnn._training.loop import Training
from fashioncnn._training.settings import TrainingTask, read_settings


class Batches(Callback):
    """Wants to be called for every batch."""

    def on_train_batch_end(self, batch, logs=None):
        pass


class Restore(Callback):
    """Does what `BackupAndRestore` does: it sets weights, and the epoch to start with."""

    def on_train_begin(self, logs=None):
        self.model.set_weights([weight + 0.25 for weight in self.model.get_weights()])
        self.model._initial_epoch = 2


class Logs(Callback):
    """Puts what it hears at the end into the weights."""

    def on_train_end(self, logs=None):
        weights = self.model.get_weights()
        weights[-1][0] = sum(logs.values())
        self.model.set_weights(weights)


class StopAndSpoil(Callback):
    """Changes the weights before the first epoch, and stops after the third."""

    def on_train_begin(self, logs=None):
        self.model.set_weights([weight + 0.25 for weight in self.model.get_weights()])

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == 2


CASES = {
    "plain": {},
    "dropout": {"conv_dropout": 0.3, "dense_dropout": 0.5},
    "batch normalisation": {"batch_normalization": True, "precision": "bfloat16"},
    "schedule": {"learning_rate_schedule": "one_cycle", "optimizer": "sgd", "weight_decay": 0.1},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 2, "tol": 0.05},
    "Muon": {"optimizer": "muon", "batch_normalization": True},
    "moments are kept": {"warm_start": True, "optimizer": "rmsprop"},
    "augmentation": {"augment": {"flip": "alternating", "shift": 1, "erase": 0.5}},
    "an average": {"weight_averaging": 0.5, "batch_normalization": True, "warm_start": True},
    "an average, early stopping": {
        "weight_averaging": 0.7,
        "early_stopping": True,
        "n_iter_no_change": 2,
        "tol": 0.01,
    },
    "an average, callbacks": {"weight_averaging": 0.5, "callbacks": [Batches(), Restore()]},
    "callbacks": {"callbacks": [Batches()]},
    "callbacks change and stop": {"callbacks": [StopAndSpoil()]},
    "callbacks restore": {"callbacks": [Restore()], "warm_start": True},
    "callbacks at the end": {"callbacks": [Logs()]},
    "rates of callbacks": {
        "callbacks": [LearningRateScheduler(lambda epoch, rate: rate if epoch % 2 else rate / 2)]
    },
}
EPOCHS = 5


@pytest.fixture
def new_training(images):
    """Give a function that makes a training on the images, always from the same checkpoint."""
    X, y = images
    pixels = (X[..., np.newaxis] / 255).astype(np.float32)
    codes = np.unique(y, return_inverse=True)[1].astype(np.int32)
    weights = np.ones(len(codes), np.float32)
    validation = ValidationImages(pixels[:30], codes[:30], weights[:30])
    split = TrainingSplit(
        LabelledImages(pixels, codes, weights), np.arange(30, len(codes)), validation
    )

    def make(checkpoint=None, **params):
        settings = {"conv_stacks": (4,), "dense_units": (8,), "epochs": EPOCHS, "batch_size": 16}
        settings |= {"learning_rate": 0.01}
        clf = FashionCNNClassifier(**settings | params)
        params = clf.get_params()
        architecture = build_architecture(params, (6, 6, 1), 3)
        compilation = Compilation(clf.optimizer, 0.01, clf.weight_decay, clf.loss)
        network = Network(architecture, None, compilation)
        checkpoint = checkpoint or new_checkpoint(architecture, 0)
        callbacks = params["callbacks"] or ()
        settings = read_settings(params, parse_augment(params["augment"]))
        task = TrainingTask(network, checkpoint, split, settings)
        return Training(task, callbacks)

    return make


def run(training, state=None, n_epochs=EPOCHS):
    """Train for some epochs, perhaps from a state on; return the state and the result."""

    def call():
        with training:
            if state is not None:
                training.resume(state)
            for _ in range(n_epochs):
                if training.goes_on:
                    training.run_epoch()
            reached = training.state()
            if n_epochs == EPOCHS:
                training.end()
            return reached, training.result

    return call_in_eager_mode(call)


def written_and_read(state, task):
    """Return a state by way of a file; it holds those of fits that write one, after an epoch."""
    if state.best is None or task.settings.keep_slots:
        return pickle.loads(pickle.dumps(state))
    identity = {group: {} for group in ("parameters", "data", "versions")}
    plan = Plan(
        task.network.architecture,
        task.checkpoint,
        task.n_epochs,
        has_sums=task.settings.weight_averaging > 0,
        has_validation=task.split.validation is not None,
        conditions=Conditions("float32", 1),
    )
    content = write_content(identity, plan, state, refuse)
    return Content(io.BytesIO(content), len(content), refuse).read(plan)


def refuse(*problem):
    raise AssertionError(problem)


def assert_equal(one, other):
    """Compare two states or checkpoints, arrays of which are to have the same bits and order."""
    np.testing.assert_equal(one._asdict(), other._asdict())
    for name, value in one._asdict().items():
        if isinstance(value, dict):
            assert list(value) == list(getattr(other, name))


@pytest.mark.filterwarnings("ignore:precision='bfloat16'")
@pytest.mark.parametrize("n_epochs", range(EPOCHS + 1))
@pytest.mark.parametrize("case", CASES)
def test_a_training_goes_on_to_the_same_bits(new_training, case, n_epochs):
    expected_state, expected = run(new_training(**CASES[case]))
    training = new_training(**CASES[case])
    state, _ = run(training, n_epochs=n_epochs)
    state = written_and_read(state, training.task)
    resumed_state, resumed = run(new_training(**CASES[case]), state)
    assert_equal(resumed, expected)
    assert_equal(resumed_state, expected_state)


def test_a_training_that_goes_on_from_another_is_resumed(new_training):
    settings = {"early_stopping": True, "warm_start": True, "learning_rate_schedule": "cosine"}
    _, first = run(new_training(**settings))
    _, expected = run(new_training(first, **settings))
    state, _ = run(new_training(first, **settings), n_epochs=2)
    _, resumed = run(new_training(first, **settings), state)
    assert_equal(resumed, expected)
    assert resumed.n_epochs > first.n_epochs


def test_there_is_no_state_within_an_epoch(new_training):
    class Fail(Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise InterruptedError

    training = new_training(callbacks=[Fail()])
    with training:
        with pytest.raises(InterruptedError):
            training.run_epoch()
        with pytest.raises(RuntimeError, match="Epoch 1 has not ended"):
            training.state()


def test_there_is_no_state_after_a_training(new_training):
    training = new_training()
    call_in_eager_mode(training.run)
    with pytest.raises(AttributeError, match="_variables"):  # others may have them now
        training.state()


def test_a_training_that_runs_again_does_the_same(new_training):
    training = new_training(learning_rate_schedule="cosine", dense_dropout=0.2)
    call_in_eager_mode(training.run)
    first = training.result
    call_in_eager_mode(training.run)
    assert training.result is not first
    assert_equal(training.result, first)


def test_a_state_holds_copies(new_training):
    training = new_training(early_stopping=True, tol=99.0)  # the first epoch stays the best
    state, result = run(training, n_epochs=2)
    assert state.best_epoch == 1
    before = pickle.dumps((state, result))
    again, _ = run(new_training(early_stopping=True, tol=99.0), state)
    assert again.epoch == EPOCHS
    assert pickle.dumps((state, result)) == before
    weights = "predictions/kernel"
    assert (state.weights[weights] != state.best.weights[weights]).any()
