# SPDX-License-Identifier: BSD-3-Clause
"""The libraries that are compared: each as a user of its documentation would write it.

All train the same network on the same images by Adam in batches of 128, without validation, but
for two other models of scikit-learn. This module imports none of them before `load`.
"""

import importlib.util
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

BATCH_SIZE = 128
LEARNING_RATE = 1e-3
LARGE_BATCH_SIZE = 1000  # of predictions


def keras_network(shape: tuple[int, ...]) -> Any:
    """Build the article's network in Keras."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )


def scikeras_network(meta: dict[str, Any]) -> Any:
    """Build it for the data that SciKeras has seen."""
    return keras_network(meta["X_shape_"][1:])


def torch_network(size: int = 28) -> Any:
    """Build the article's network in PyTorch, which gives logits."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(64 * ((size - 4) // 2) ** 2, 128),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(128, 10),
    )


def seconds(call: Callable[[], object]) -> float:
    """Time a call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


class Library:
    """What each library does here. Its subclasses say how."""

    label: str
    needs: tuple[str, ...] = ()  # modules that may not be installed
    statement: str  # what a user imports
    framework = "pass"  # what the library imports later, with the first fit

    def missing(self) -> list[str]:
        """Name the modules that are not installed."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]

    def load(self) -> None:
        """Import the library and its framework."""
        exec(f"{self.statement}\n{self.framework}", {})

    def convert(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """Turn uint8 images and labels into what `fit` takes, as the user has to."""
        raise NotImplementedError

    def fit(self, X: Any, y: Any) -> Any:
        """Build and train a new model for one epoch."""
        raise NotImplementedError

    def ready_to_fit(self, X: Any, y: Any) -> Callable[[], Any]:
        """Prepare a fit that is not the first of its kind; the call of the result is timed."""
        return lambda: self.fit(X, y)

    def predict(self, model: Any, X: Any) -> Any:
        """Predict the classes of images."""
        return model.predict(X)

    def predict_one(self, model: Any, X: Any) -> Any:
        """Predict the class of one image."""
        return self.predict(model, X)

    def times(self, call: Callable[[], object]) -> dict[str, float]:
        """Time the work of a call that fits or predicts, and the call."""
        elapsed = seconds(call)
        return {"seconds": elapsed, "call seconds": elapsed}


class KerasClock:
    """Times Keras to the end of its work, too, not only of its call.

    At its end a call of Keras stops the thread with which tf.data tunes the reading of batches.
    That sleeps twice as long each time, and where it is woken to stop before it is marked as
    stopped (TensorFlow's `Model::OptimizeLoop`, `CancellationManager::StartCancel`), it sleeps on,
    while the call waits, at most for as long as it took so far. That is no training.
    """

    @cached_property
    def end(self) -> Any:
        """Make the callback that notes when the work has ended."""
        import keras

        class End(keras.callbacks.Callback):
            time: float | None = None

            def on_train_end(self, logs: Any = None) -> None:
                self.time = time.perf_counter()

            def on_predict_end(self, logs: Any = None) -> None:
                self.time = time.perf_counter()

        return End()

    def times(self, call: Callable[[], object]) -> dict[str, float]:
        """Time a call up to the callback's note, and to its end."""
        self.end.time = None
        started = time.perf_counter()
        call()
        ended = time.perf_counter()
        return {"seconds": (self.end.time or ended) - started, "call seconds": ended - started}


class Estimator(Library):
    """A library whose model is a scikit-learn estimator of this network, fit for grid searches."""

    learning_rate = "learning_rate"  # the parameter's name

    def new(self, size: int = 28) -> Any:
        """Make an unfitted estimator of one epoch."""
        raise NotImplementedError

    def fit(self, X: Any, y: Any) -> Any:
        """Fit a new estimator."""
        return self.new(max(X.shape[1:])).fit(X, y)

    def grid(self) -> dict[str, list[float]]:
        """Return the four candidates of the grid search."""
        return {self.learning_rate: [1e-3, 3e-3], "batch_size": [64, 128]}


class FashionCNN(Estimator):
    """The library of this project, which takes the bytes as they are."""

    statement = "from fashioncnn import FashionCNNClassifier"
    framework = "import keras, tensorflow"

    def __init__(self, precision: str) -> None:
        self.precision = precision
        self.label = f"fashioncnn, {precision}"

    def convert(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """Change nothing."""
        return images, labels

    def new(self, size: int = 28) -> Any:
        """Make the default network with the article's scaling."""
        from fashioncnn import FashionCNNClassifier

        return FashionCNNClassifier(epochs=1, scaling="unit", precision=self.precision)


class Keras(KerasClock, Library):
    """Plain Keras, as the article writes it."""

    label = "Keras"
    statement = "import keras"

    def convert(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """Scale to float32 with a channel, and encode the labels one-hot."""
        import keras

        return images.astype("float32")[..., None] / 255, keras.utils.to_categorical(labels, 10)

    def fit(self, X: Any, y: Any) -> Any:
        """Build, compile and train."""
        model = keras_network(X.shape[1:])
        model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
        self.train(model, X, y)
        return model

    def train(self, model: Any, X: Any, y: Any) -> None:
        """Train for one epoch."""
        model.fit(X, y, batch_size=BATCH_SIZE, verbose=0, callbacks=[self.end])

    def ready_to_fit(self, X: Any, y: Any) -> Callable[[], Any]:
        """Trace the training step first, by training the same model on few batches.

        The last one is as large as that of all images: Keras traces anew where one is smaller.
        """
        n_images = 2 * BATCH_SIZE + len(X) % BATCH_SIZE
        model = self.fit(X[:n_images], y[:n_images])
        return lambda: self.train(model, X, y)

    def predict(self, model: Any, X: Any) -> Any:
        """Take the class of the highest probability."""
        scores = model.predict(X, batch_size=LARGE_BATCH_SIZE, verbose=0, callbacks=[self.end])
        return scores.argmax(axis=1)

    def predict_one(self, model: Any, X: Any) -> Any:
        """Call the model, as the documentation of `Model.predict` advises for small inputs."""
        return model(X, training=False).numpy().argmax(axis=1)


class SciKeras(KerasClock, Estimator):
    """SciKeras' classifier around a function that builds the network."""

    label = "SciKeras"
    needs = ("scikeras",)
    statement = "from scikeras.wrappers import KerasClassifier"
    learning_rate = "optimizer__learning_rate"

    def convert(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """Scale to float32, with a channel."""
        return images.astype("float32")[..., None] / 255, labels

    def fit(self, X: Any, y: Any) -> Any:
        """Fit a new estimator, with the clock."""
        return self.new().set_params(callbacks=[self.end]).fit(X, y)

    def new(self, size: int = 28) -> Any:
        """Wrap the function."""
        from scikeras.wrappers import KerasClassifier

        return KerasClassifier(
            scikeras_network,
            loss="sparse_categorical_crossentropy",
            optimizer="adam",
            optimizer__learning_rate=LEARNING_RATE,
            batch_size=BATCH_SIZE,
            predict__batch_size=LARGE_BATCH_SIZE,
            verbose=0,
        )


class Skorch(Estimator):
    """skorch's classifier around a module of PyTorch."""

    label = "skorch"
    needs = ("torch", "skorch")
    statement = "import torch; from skorch import NeuralNetClassifier"
    learning_rate = "lr"

    def convert(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """Scale to float32, with a channel first, and widen the labels."""
        return images.astype("float32")[:, None] / 255, labels.astype("int64")

    def new(self, size: int = 28) -> Any:
        """Wrap the module. Batches of 128 predict faster than larger ones, too."""
        import torch
        from skorch import NeuralNetClassifier

        return NeuralNetClassifier(
            torch_network,
            module__size=size,
            criterion=torch.nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=LEARNING_RATE,
            batch_size=BATCH_SIZE,
            max_epochs=1,
            train_split=None,
            iterator_train__shuffle=True,
            verbose=0,
        )


class Dense(Library):
    """scikit-learn's network of one hidden layer: another model."""

    label = "MLPClassifier (another model)"
    statement = "from sklearn.neural_network import MLPClassifier"

    def convert(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """Scale to float32, one row an image."""
        return images.reshape(len(images), -1).astype("float32") / 255, labels

    def fit(self, X: Any, y: Any) -> Any:
        """Train for one epoch."""
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier((128,), batch_size=BATCH_SIZE, max_iter=1).fit(X, y)


class Trees(Dense):
    """scikit-learn's boosted trees with their defaults: another model, without epochs."""

    label = "HistGradientBoosting (another model)"
    statement = "from sklearn.ensemble import HistGradientBoostingClassifier"

    def fit(self, X: Any, y: Any) -> Any:
        """Train to the end."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier().fit(X, y)


LIBRARIES: dict[str, Library] = {
    "fashioncnn": FashionCNN("float32"),
    "fashioncnn-auto": FashionCNN("auto"),
    "keras": Keras(),
    "scikeras": SciKeras(),
    "skorch": Skorch(),
    "mlp": Dense(),
    "trees": Trees(),
}
