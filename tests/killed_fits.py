# SPDX-License-Identifier: BSD-3-Clause
"""Fits that are killed for real, each in a process of its own, and what goes on from their files.

The processes are forked from a server that has imported TensorFlow, but has not run it: so each
costs its tracing only.
"""

import os
import pkgutil
import signal
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fashioncnn import FashionCNNClassifier
from fashioncnn._files import checkpoint_file
from fashioncnn.recipes import RECIPES

SECONDS = 120.0  # what takes longer hangs
EPOCHS = 6
MOST_BYTES = 1000  # that the system takes at a time
KNOWN_WARNINGS = "precision='bfloat16'|learning_rate_schedule=|test_time_flip=True"


def _pictures(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Make pictures of three classes, told apart by a bright row that some of them lack."""
    random = np.random.default_rng(seed)
    X = random.integers(0, 120, size=(n, 6, 6), dtype=np.uint8)
    codes = random.permutation(np.arange(n) % 3)
    rows = np.where(random.random(n) < 0.8, codes, 5)
    X[np.arange(n), rows] += 120
    return X, np.array(["bag", "boot", "coat"])[codes]


X, Y = _pictures(60, 0)
X_VAL, Y_VAL = _pictures(24, 1)
WEIGHTS, WEIGHTS_VAL = np.linspace(0.2, 3, len(X)), np.linspace(2, 1, len(X_VAL))

BASE = {"conv_stacks": (4,), "dense_units": (8,), "conv_dropout": 0.0, "dense_dropout": 0.0}
BASE |= {"batch_size": 16, "learning_rate": 0.01, "epochs": EPOCHS, "random_state": 0}
OF_FIT = {"X", "sample_weight", "X_val", "y_val", "sample_weight_val"}
NO_PART = {"validation_fraction": None}

# What a fit may have: of each kind one, or none. The values are parameters of the class or of
# `fit`; callbacks are named here, and made in `_callbacks`. The later of two values holds.
KINDS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "optimizer": {
        **{
            f"recipe {name}": {**recipe, "epochs": EPOCHS, "min_steps": 0, "batch_size": 16}
            for name, recipe in RECIPES.items()
        },
        **{name: {"optimizer": name} for name in ("adamw", "muon", "rmsprop", "sgd")},
    },
    "pictures": {"floats": {"X": X + np.float32(0.5), "scaling": "standardize"}},
    "dropout": {"dropout": {"conv_dropout": 0.3, "dense_dropout": 0.5}},
    "network": {
        "batch normalisation": {"batch_normalization": True},
        "shortcuts": {"conv_stacks": ((4, 4),), "padding": "same", "residual": True},
    },
    "decay": {"weight decay": {"weight_decay": 0.1}},
    "rate": {
        "cosine": {"learning_rate_schedule": "cosine"},
        "one cycle": {"learning_rate_schedule": "one_cycle"},
        "rates of a callback": {"learning_rate_schedule": "constant", "callbacks": ("rates",)},
        "rates by the one before": {"learning_rate_schedule": "constant", "callbacks": ("fall",)},
        "a rate set once": {"learning_rate_schedule": "constant", "callbacks": ("once",)},
    },
    "mirror": {"test-time flip": {"test_time_flip": True, "augment": "flip"}},
    "augmentation": {
        "flip": {"augment": "flip"},
        "random flip": {"augment": {"flip": "random"}},
        "shift": {"augment": "shift"},
        "erase": {"augment": {"erase": 0.5}},
        "flip, shift, erase": {"augment": {"flip": "alternating", "shift": 1, "erase": 0.3}},
    },
    "average": {"average": {"weight_averaging": 0.6}, "late average": {"weight_averaging": 0.1}},
    "validation": {
        "held-out part": {"validation_fraction": 0.2},
        "validation images": {**NO_PART, "X_val": X_VAL, "y_val": Y_VAL},
        "weighted validation images": {
            **NO_PART,
            "X_val": X_VAL,
            "y_val": Y_VAL,
            "sample_weight_val": WEIGHTS_VAL,
        },
    },
    "stopping": {
        "early stopping, the first epoch is best": {"early_stopping": True, "tol": 99.0},
        "early stopping, a late epoch is best": {"early_stopping": True, "tol": 0.0},
        "early stopping ends it": {"early_stopping": True, "tol": 99.0, "n_iter_no_change": 4},
    },
    "weights": {"sample weights": {"sample_weight": WEIGHTS}},
    "class weights": {
        "class weights": {"class_weight": {"bag": 2.0, "coat": 0.5}},
        "balanced": {"class_weight": "balanced"},
    },
    "least steps": {"least steps": {"epochs": 1, "min_steps": 24}},
    "precision": {"bfloat16": {"precision": "bfloat16"}},
    "loss": {"sparse loss": {"loss": "sparse_categorical_crossentropy"}},
    "smoothing": {"label smoothing": {"label_smoothing": 0.1}},
    "hooks": {
        "hooks of epochs": {"callbacks": ("epochs",)},
        "hooks of batches": {"callbacks": ("batches",)},
    },
    "changes": {
        "a callback changes weights": {"callbacks": ("weights",)},
        "a callback stops it": {"callbacks": ("stop",)},
    },
}
FEATURES = {name: values for kind in KINDS.values() for name, values in kind.items()}
PLAIN: tuple[str, ...] = ()
# With batch normalisation a last batch of 8 is large enough to stay one.
ALL = (
    *("dropout", "batch normalisation", "muon", "weight decay", "one cycle", "test-time flip"),
    *("flip, shift, erase", "average", "weighted validation images", "sample weights"),
    *("early stopping, a late epoch is best", "class weights", "least steps", "bfloat16"),
    *("sparse loss", "label smoothing", "hooks of epochs"),
)
ALL_WITH_CALLBACKS = (
    *("floats", "dropout", "batch normalisation", "rmsprop", "weight decay"),
    *("rates of a callback", "random flip", "average", "held-out part", "balanced"),
    *("early stopping, a late epoch is best", "hooks of batches", "a callback changes weights"),
)


def _callbacks(names: tuple[str, ...]) -> list[Any]:
    """Make callbacks that keep nothing from one call to the next."""
    from keras.callbacks import Callback, LambdaCallback, LearningRateScheduler

    class Weights(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.set_weights([0.9 * weight for weight in self.model.get_weights()])

    class Once(Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                self.model.optimizer.learning_rate = 0.002

    class Stop(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = epoch == 4

    kinds = {
        "rates": lambda: LearningRateScheduler(lambda epoch, rate: 0.02 / (epoch + 1)),
        "once": Once,
        "fall": lambda: LearningRateScheduler(lambda epoch, rate: 0.8 * rate),
        "epochs": lambda: LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        "batches": lambda: LambdaCallback(on_train_batch_end=lambda batch, logs: None),
        "weights": Weights,
        "stop": Stop,
    }
    return [kinds[name]() for name in names]


class Fit(NamedTuple):
    """A fit: its features, the path of its checkpoint, if any, and how long it is."""

    features: tuple[str, ...]
    checkpoint: str | None = None
    length: int = 1  # by which epochs are multiplied
    seconds_between_writes: float = 0.0


class Moment(NamedTuple):
    """When a process kills itself: when a function is called, before or after it does its work."""

    function: str  # as in "os:replace"
    n_calls: int = 1  # of which the last is meant
    is_after: bool = False


class Stage(IntEnum):
    """Where the process of a fit stands."""

    STARTING = 0  # before its first epoch
    BETWEEN_EPOCHS = 1
    IN_EPOCH = 2
    WRITING = 3
    ENDED = 4  # the fit has returned


class Outcome(NamedTuple):
    """What a fit that was not killed led to, and what its process did for it."""

    values: dict[str, Any]
    n_epochs: int
    n_calls: int  # of compiled steps
    error: str | None = None


EPOCH = "fashioncnn._training.loop:Training.run_epoch"
END = "fashioncnn._training.loop:Training.end"
CALL = "fashioncnn._training.compiled_steps:CompiledSteps.take"
FIT = "fashioncnn:FashionCNNClassifier.fit"
WRITE = "fashioncnn._files.atomic_file:_replace"
_BEGIN = "fashioncnn._training.loop:Training.__enter__"


class FitProcess:
    """A process that runs a fit, and kills itself at a moment, if there is one.

    Parameters
    ----------
    fit : Fit
        What to run.
    moment : Moment or None, default=None
        When to die.
    method : {"forkserver", "spawn"}, default="forkserver"
        How to start it; "spawn" is slow, and heeds the environment of now.

    Attributes
    ----------
    progress : sequence of int
        The stage, how many epochs have ended in this process, how many calls of compiled steps have
        begun, and whether training has.
    """

    def __init__(self, fit: Fit, moment: Moment | None = None, method: str = "forkserver") -> None:
        context: Any = get_context(method)
        context.set_forkserver_preload(["fashioncnn._training.loop"])
        self.progress = context.RawArray("i", 4)
        self._receiver, sender = context.Pipe(duplex=False)
        arguments = (fit, moment, self.progress, sender)
        self._process = context.Process(target=_run, args=arguments, daemon=True)
        self._process.start()
        sender.close()

    @property
    def stage(self) -> Stage:
        """Where it stands, or stood when it was killed."""
        return Stage(self.progress[0])

    @property
    def n_epochs(self) -> int:
        """How many epochs have ended in it."""
        return int(self.progress[1])

    @property
    def has_begun(self) -> bool:
        """Whether all is traced."""
        return bool(self.progress[3])

    def kill(self) -> None:
        """Kill it, as `kill -9` does."""
        self._process.kill()
        self._process.join()

    def outcome(self) -> Outcome | None:
        """Wait for its end, and return what it led to, or None if it was killed."""
        try:
            if not self._receiver.poll(SECONDS):
                raise AssertionError(f"The process hangs: {self.stage!r}, {list(self.progress)}")
            outcome = self._receiver.recv()
        except (EOFError, OSError):  # killed before it was sent, or meanwhile
            outcome = None
        self.kill()  # it only waits for that, if it lives
        self._receiver.close()
        assert self._process.exitcode == -signal.SIGKILL, self._process.exitcode
        if outcome is not None and outcome.error is not None:
            raise AssertionError(outcome.error)
        return outcome


def finish(fit: Fit, method: str = "forkserver") -> Outcome:
    """Run a fit to its end."""
    outcome = FitProcess(fit, None, method).outcome()
    assert outcome is not None, "The process was killed from outside."
    return outcome


def kill(fit: Fit, moment: Moment, method: str = "forkserver") -> FitProcess:
    """Run a fit until a moment, and return its killed process."""
    process = FitProcess(fit, moment, method)
    assert process.outcome() is None, f"The fit ended, and there was no {moment}."
    return process


def differences(one: Outcome, other: Outcome) -> list[str]:
    """Return the names of the values of which not all bits are the same."""
    assert one.values.keys() == other.values.keys()
    return [name for name, value in one.values.items() if _bits(value) != _bits(other.values[name])]


def _bits(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, Mapping):
        return {name: _bits(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_bits(part) for part in value]
    return value.hex() if isinstance(value, float) else value


def make(fit: Fit) -> tuple[FashionCNNClassifier, dict[str, Any]]:
    """Return the unfitted classifier of a fit, and the arguments of its method `fit`."""
    settings: dict[str, Any] = dict(BASE)
    callbacks: tuple[str, ...] = ()
    for name in fit.features:
        settings |= FEATURES[name]
        callbacks += settings.pop("callbacks", ())
    for name in ("epochs", "min_steps"):
        settings[name] = fit.length * settings.get(name, 0)
    if callbacks:
        settings["callbacks"] = _callbacks(callbacks)
    if fit.checkpoint is not None:
        settings["checkpoint"] = fit.checkpoint
    arguments = {name: settings.pop(name) for name in OF_FIT & settings.keys()}
    return FashionCNNClassifier(**settings), {"X": X, "y": Y, **arguments}


def values_of(clf: FashionCNNClassifier, X: np.ndarray) -> dict[str, Any]:
    """Return all that a fit on X has led to, the bytes of its model file too."""
    values = {name: getattr(clf, name) for name in ("history_", "n_iter_", "best_epoch_")}
    values |= {name: getattr(clf, name) for name in ("classes_", "precision_", "image_shape_")}
    values |= {"decision": clf.decision_function(X[:9]), "predict": clf.predict(X)}
    values |= clf._network.checkpoint._asdict()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        clf.set_params(callbacks=None, checkpoint=None).save(path)
        return values | {"model file": path.read_bytes()}


def _run(fit: Fit, moment: Moment | None, progress: Any, sender: Any) -> None:
    """Run a fit in this process, and send its outcome; then wait to be killed."""
    warnings.simplefilter("error", UserWarning)
    warnings.filterwarnings("ignore", KNOWN_WARNINGS)
    checkpoint_file.SECONDS_BETWEEN_WRITES = fit.seconds_between_writes
    _follow(progress)
    _write_little()
    if moment is not None:
        _die_at(moment)
    try:
        clf, arguments = make(fit)
        try:
            clf.fit(**arguments)
        finally:
            progress[0] = Stage.ENDED
        outcome = Outcome(values_of(clf, arguments["X"]), progress[1], progress[2])
    except BaseException:
        outcome = Outcome({}, progress[1], progress[2], traceback.format_exc())
    sender.send(outcome)
    signal.pause()


def _follow(progress: Any) -> None:
    """Keep note of where this process stands, in memory that its parent sees."""

    @contextmanager
    def writing() -> Iterator[None]:
        before = progress[0]
        progress[0] = Stage.WRITING
        yield
        progress[0] = before

    @contextmanager
    def epoch() -> Iterator[None]:
        progress[0] = Stage.IN_EPOCH
        yield
        progress[0] = Stage.BETWEEN_EPOCHS
        progress[1] += 1

    @contextmanager
    def beginning() -> Iterator[None]:
        yield
        progress[0], progress[3] = Stage.BETWEEN_EPOCHS, True

    @contextmanager
    def call() -> Iterator[None]:
        progress[2] += 1
        yield

    for function, around in ((WRITE, writing), (EPOCH, epoch), (_BEGIN, beginning), (CALL, call)):
        _wrap(function, around)


def _write_little() -> None:
    """Let the system take few bytes at a time, so that there are moments amid the content."""
    write = os.write
    os.write = lambda descriptor, content: write(descriptor, content[:MOST_BYTES])


def _die_at(moment: Moment) -> None:
    """Let this process kill itself when a function is called."""
    n_calls = 0

    @contextmanager
    def death() -> Iterator[None]:
        nonlocal n_calls
        n_calls += 1
        if n_calls == moment.n_calls and not moment.is_after:
            os.kill(os.getpid(), signal.SIGKILL)
        yield
        if n_calls == moment.n_calls:
            os.kill(os.getpid(), signal.SIGKILL)

    _wrap(moment.function, death)


def _wrap(function: str, around: Callable[[], Any]) -> None:
    """Put what a context does around each call of a function of a module or a class."""
    module, _, names = function.partition(":")
    owner_names, _, name = names.rpartition(".")
    owner = pkgutil.resolve_name(f"{module}:{owner_names}")
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        with around():
            return original(*arguments, **named)

    setattr(owner, name, wrapped)
