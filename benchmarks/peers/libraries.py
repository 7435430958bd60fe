# SPDX-License-Identifier: BSD-3-Clause
"""The libraries that are compared: each as a user of its documentation would write it.

All train the same network on the same images by Adam in batches of 128, without validation, but
for two other models of scikit-learn. This module imports none of them before `load`.
"""

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from network import keras_network, torch_network

BATCH_SIZE = 128
LARGE_BATCH_SIZE = 1000  # of predictions


class Library:
    """What each library does here: most have scikit-learn estimators.

    `convert` turns uint8 images and labels into what `fit` takes, as the user has to; `new` makes
    an unfitted estimator of one epoch.
    """

    label: str
    needs: tuple[str, ...] = ()  # modules that may not be installed
    statement: str  # what a user imports
    framework = "pass"  # what the library imports later, with the first fit
    learning_rate = "learning_rate"  # the parameter's name

    def load(self) -> None:
        """Import the library and its framework."""
        exec(f"{self.statement}\n{self.framework}", {})

    def fit(self, X: Any, y: Any) -> Any:
        """Build and train a new model for one epoch."""
        return self.new().fit(X, y)

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
        """Time a call that fits or predicts: its work, where the end is noted, and all of it."""
        self.ended = None
        started = time.perf_counter()
        call()
        ended = time.perf_counter()
        return {"seconds": (self.ended or ended) - started, "call seconds": ended - started}

    def note_end(self, logs: Any = None) -> None:
        """Note that the work has ended."""
        self.ended = time.perf_counter()

    def keras_callbacks(self) -> list[Any]:
        """Let Keras note when its work has ended.

        Then its call stops a thread of tf.data that sleeps twice as long each time. Where it is
        woken before it is marked as stopped (TensorFlow's `Model::OptimizeLoop`), it sleeps on, at
        most for as long as the call took so far, which waits for it.
        """
        from keras.callbacks import LambdaCallback

        return [LambdaCallback(on_train_end=self.note_end, on_predict_end=self.note_end)]


class FashionCNN(Library):
    """The library of this project, which takes the bytes as they are."""

    statement = "from fashioncnn import FashionCNNClassifier"
    framework = "import keras, tensorflow"

    def __init__(self, precision: str) -> None:
        self.precision = precision
        self.label = f"fashioncnn, {precision}"

    def convert(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """Change nothing."""
        return images, labels

    def new(self) -> Any:
        """Make the default network with the article's scaling."""
        from fashioncnn import FashionCNNClassifier

        return FashionCNNClassifier(epochs=1, scaling="unit", precision=self.precision)


class Keras(Library):
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
        model.fit(X, y, batch_size=BATCH_SIZE, verbose=0, callbacks=self.keras_callbacks())
        return model

    def ready_to_fit(self, X: Any, y: Any) -> Callable[[], Any]:
        """Trace the training step first, by training the same model on few batches.

        The last one is as large as that of all images: Keras traces anew where one is smaller.
        """
        n_images = 2 * BATCH_SIZE + len(X) % BATCH_SIZE
        model = self.fit(X[:n_images], y[:n_images])
        callbacks = self.keras_callbacks()
        return lambda: model.fit(X, y, batch_size=BATCH_SIZE, verbose=0, callbacks=callbacks)

    def predict(self, model: Any, X: Any) -> Any:
        """Take the class of the highest probability."""
        callbacks = self.keras_callbacks()
        scores = model.predict(X, batch_size=LARGE_BATCH_SIZE, verbose=0, callbacks=callbacks)
        return scores.argmax(axis=1)

    def predict_one(self, model: Any, X: Any) -> Any:
        """Call the model, as the documentation of `Model.predict` advises for small inputs."""
        return model(X, training=False).numpy().argmax(axis=1)


def scikeras_network(meta: dict[str, Any]) -> Any:
    """Build the network for the data that SciKeras has seen."""
    return keras_network(meta["X_shape_"][1:])


class SciKeras(Library):
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
        return self.new().set_params(callbacks=self.keras_callbacks()).fit(X, y)

    def new(self) -> Any:
        """Wrap the function."""
        from scikeras.wrappers import KerasClassifier

        return KerasClassifier(
            scikeras_network,
            loss="sparse_categorical_crossentropy",
            optimizer="adam",
            optimizer__learning_rate=1e-3,
            batch_size=BATCH_SIZE,
            predict__batch_size=LARGE_BATCH_SIZE,
            verbose=0,
        )


class Skorch(Library):
    """skorch's classifier around a module of PyTorch."""

    label = "skorch"
    needs = ("torch", "skorch")
    statement = "import torch; from skorch import NeuralNetClassifier"
    learning_rate = "lr"

    def convert(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """Scale to float32, with a channel first, and widen the labels."""
        return images.astype("float32")[:, None] / 255, labels.astype("int64")

    def new(self) -> Any:
        """Wrap the module. Batches of 128 predict faster than larger ones, too."""
        import torch
        from skorch import NeuralNetClassifier

        return NeuralNetClassifier(
            torch_network,
            criterion=torch.nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=1e-3,
            batch_size=BATCH_SIZE,
            max_epochs=1,
            train_split=None,
            iterator_train__shuffle=True,
            verbose=0,
        )


class OtherModel(Library):
    """A classifier of scikit-learn that is another model; boosted trees have no epochs."""

    def __init__(self, module: str, name: str, **settings: Any) -> None:
        self.label = f"{name} (another model)"
        self.statement = f"from {module} import {name}"
        self.module, self.name, self.settings = module, name, settings

    def convert(self, images: Any, labels: Any) -> tuple[Any, Any]:
        """Scale to float32, one row an image."""
        return images.reshape(len(images), -1).astype("float32") / 255, labels

    def new(self) -> Any:
        """Make one."""
        return getattr(import_module(self.module), self.name)(**self.settings)


MLP = {"hidden_layer_sizes": (128,), "batch_size": BATCH_SIZE, "max_iter": 1}
LIBRARIES: dict[str, Library] = {
    "fashioncnn": FashionCNN("float32"),
    "fashioncnn-auto": FashionCNN("auto"),
    "keras": Keras(),
    "scikeras": SciKeras(),
    "skorch": Skorch(),
    "mlp": OtherModel("sklearn.neural_network", "MLPClassifier", **MLP),
    "trees": OtherModel("sklearn.ensemble", "HistGradientBoostingClassifier"),
}
