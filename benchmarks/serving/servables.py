# SPDX-License-Identifier: BSD-3-Clause
"""The libraries that serve the network: how each writes a trained model, loads it and answers.

Each is written as its documentation shows, and takes the bytes of images. This module imports none
of them, so that a fresh process imports the one that it measures only.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

Answer = Callable[[Any], Any]  # from uint8 images of shape (n, 28, 28) to their classes


class Servable:
    """What each library does here.

    Attributes
    ----------
    peer : str
        Its name in the comparison with other libraries, which says how it is trained.
    preload : bool
        Whether a server's master can load it, and answer, before it forks its workers.
    """

    label: str
    peer: str
    needs: tuple[str, ...] = ()  # modules that may not be installed
    preload = True
    how = "loaded and asked once before the fork"

    def write(self, model: Any, folder: Path) -> None:
        """Write a trained model to a file in a folder."""
        import joblib

        joblib.dump(model, folder / self.peer)

    def load(self, folder: Path) -> Answer:
        """Import the library, load the model and return what answers."""
        raise NotImplementedError


class FashionCNN(Servable):
    """The library of this project."""

    label, peer = "fashioncnn", "fashioncnn"

    def load(self, folder: Path) -> Answer:
        """Take the method: images go in as they are."""
        import joblib

        return joblib.load(folder / self.peer).predict


class OnnxRuntime(Servable):
    """The network of fashioncnn, exported."""

    label, peer = "onnxruntime", "fashioncnn"
    needs = ("onnx", "onnxruntime")
    how = "loaded and asked once before the fork, with `intra_op_num_threads=1`"
    n_threads: ClassVar[int] = 0  # its own choice; threads do not survive a fork

    def write(self, model: Any, folder: Path) -> None:
        """Export it."""
        model.export_onnx(folder / "network.onnx")

    def load(self, folder: Path) -> Answer:
        """Open a session."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.n_threads
        session = onnxruntime.InferenceSession(folder / "network.onnx", options)

        return lambda X: session.run(["label"], {"image": X[..., None]})[0]


class Keras(Servable):
    """Plain Keras, which is called, as the documentation of `Model.predict` advises for one."""

    label, peer = "Keras, model called", "keras"
    preload = False  # a worker would wait for TensorFlow's threads, which the master has
    how = "loaded by each worker"

    def write(self, model: Any, folder: Path) -> None:
        """Save it in Keras' format."""
        model.save(folder / "model.keras")

    def load(self, folder: Path) -> Answer:
        """Load it, and divide by 255 as in training."""
        import keras

        model = keras.saving.load_model(folder / "model.keras")
        return lambda X: self.ask(model, X.astype("float32")[..., None] / 255).argmax(axis=1)

    def ask(self, model: Any, X: Any) -> Any:
        """Compute the probabilities."""
        return model(X, training=False).numpy()


class KerasPredict(Keras):
    """The same by `Model.predict`."""

    label = "Keras, `predict`"

    def ask(self, model: Any, X: Any) -> Any:
        """Compute the probabilities."""
        return model.predict(X, verbose=0)


class Skorch(Servable):
    """skorch's classifier, pickled."""

    label, peer = "skorch", "skorch"
    needs = ("torch", "skorch")

    def write(self, model: Any, folder: Path) -> None:
        """Pickle it."""
        import pickle

        (folder / "skorch.pickle").write_bytes(pickle.dumps(model))

    def load(self, folder: Path) -> Answer:
        """Unpickle it, and divide by 255 as in training."""
        import pickle

        model = pickle.loads((folder / "skorch.pickle").read_bytes())
        return lambda X: model.predict(X.astype("float32")[:, None] / 255)


class DenseLayers(Servable):
    """scikit-learn's classifier of 128 hidden units, another model."""

    label, peer = "MLPClassifier (another model)", "mlp"

    def load(self, folder: Path) -> Answer:
        """Unpickle it, and divide by 255 as in training."""
        import joblib

        model = joblib.load(folder / self.peer)
        return lambda X: model.predict(X.reshape(len(X), -1).astype("float32") / 255)


class OnlyImport(Servable):
    """No answer: an import, for comparison."""

    def __init__(self, module: str) -> None:
        self.label = f"only `import {module}`"
        self.module = module

    def load(self, folder: Path) -> Answer:
        """Import it."""
        from importlib import import_module

        import_module(self.module)
        return lambda X: None


SERVABLES: dict[str, Servable] = {
    "fashioncnn": FashionCNN(),
    "onnxruntime": OnnxRuntime(),
    "keras": Keras(),
    "keras-predict": KerasPredict(),
    "skorch": Skorch(),
    "mlp": DenseLayers(),
    "sklearn.base": OnlyImport("sklearn.base"),
    "fashioncnn.classifier": OnlyImport("fashioncnn.classifier"),
}
