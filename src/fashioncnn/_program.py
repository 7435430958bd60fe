# SPDX-License-Identifier: BSD-3-Clause
"""The compiled functions of one architecture, shared by every estimator that has it.

Nothing that is fitted lives here: weights, scaling constants, learning rate, smoothing and random
seeds are arguments of the compiled functions. So all folds and learning rates of a search use one
program, which is traced once, and an estimator holds arrays only.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from fashioncnn._architecture import Architecture
from fashioncnn._backend import keras, tf, untouched
from fashioncnn._inputs import as_network_input, network_dtype
from fashioncnn._network import build_network
from fashioncnn._optimizers import OPTIMIZERS
from fashioncnn._scaling import Scaling
from fashioncnn._steps import (
    Tensors,
    TrainingState,
    new_training_state,
    trace_forward,
    trace_training,
)

_MAX_PROGRAMS = 16
_MAX_IDLE_STATES = 2
_MAX_ACTIVATION_BYTES = 256 * 2**20  # of the largest feature map in a batch of predictions
# All places of a batch are computed by the same instructions only if the matrix product's inner
# kernel, of 6 rows on AVX2 and 8 on AVX-512, leaves no remainder; else they may round differently.
_PREDICTION_BATCHES = (1, 24, 96, 480)
_KERNEL_ROWS = 24
_CALL_COST = 6  # of a call for prediction beside its arithmetic, in images


class Program:
    """The network of an architecture and its functions, each compiled when it is first needed.

    Attributes
    ----------
    architecture : Architecture
        What the program computes.
    n_traces : int
        How many functions have been traced so far.
    """

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.n_traces = 0
        self._functions: dict[tuple[str, ...], Any] = {}
        self._lock = threading.Lock()
        self._network = untouched(self._build)
        most = _MAX_ACTIVATION_BYTES // (4 * architecture.largest_activation)
        most = max(1, most - most % _KERNEL_ROWS if most > _KERNEL_ROWS else most)
        self._batch_sizes = sorted({min(size, most) for size in _PREDICTION_BATCHES})

    def _build(self) -> keras.Model:
        # The model is a description: its variables are never read, so they are never allocated.
        with keras.StatelessScope(initialize_variables=False):
            return build_network(self.architecture)

    def _function(self, key: tuple[str, ...], trace: Callable[[], Any]) -> Any:
        function = self._functions.get(key)
        if function is None:
            with self._lock:
                if key not in self._functions:
                    self._functions[key] = untouched(trace)
                    self.n_traces += 1
                function = self._functions[key]
        return function

    def scaling_arrays(self, scaling: Scaling | None) -> tuple[np.ndarray, np.ndarray]:
        """Return scale and offset per channel, float32; None leaves pixels as they are."""
        if scaling is None:
            n_channels = self.architecture.image_shape[-1]
            return np.ones(n_channels, np.float32), np.zeros(n_channels, np.float32)
        return np.array(scaling.scale, np.float32), np.array(scaling.offset, np.float32)

    def logits(self, weights: Tensors, scaling: Scaling | None, pixels: np.ndarray) -> np.ndarray:
        """Compute the logits of images.

        All images of a call go through batches of one size, padded at the end, so that an image's
        result depends neither on its neighbours nor on its place.

        Parameters
        ----------
        weights : dict of tensors
            The value of each weight by its name.
        scaling : Scaling or None
            The constants of the scaling.
        pixels : ndarray of shape (n, h, w, c)
            The images, cast batch by batch.

        Returns
        -------
        logits : ndarray of shape (n, n_classes), float32
            The values that softmax turns into probabilities.
        """
        dtype = network_dtype(pixels).name
        forward = self._function(("forward", dtype), lambda: trace_forward(self._network, dtype))
        scale, offset = (tf.constant(array) for array in self.scaling_arrays(scaling))
        size = _batch_size(len(pixels), self._batch_sizes)
        logits = np.empty((len(pixels), self.architecture.n_classes), np.float32)
        for start in range(0, len(pixels), size):
            batch = as_network_input(pixels[start : start + size])
            padding = [(0, size - len(batch))] + [(0, 0)] * 3
            padded = np.pad(batch, padding) if len(batch) < size else batch
            logits[start : start + size] = forward(
                weights, scale, offset, tf.constant(padded)
            ).numpy()[: len(batch)]
        return logits

    @contextmanager
    def training_state(self, optimizer: str) -> Iterator[TrainingState]:
        """Lend the variables for one training; another at the same time gets its own.

        They hold whatever the training before has left.
        """
        key = self.architecture, OPTIMIZERS[optimizer].rule
        with _idle_lock:
            state = _idle_states.pop(key, None)
        if state is None:
            state = untouched(lambda: new_training_state(self._network, OPTIMIZERS[optimizer]))
        try:
            yield state
        finally:
            with _idle_lock:
                _idle_states[key] = state
                _idle_states.move_to_end(key)
                while len(_idle_states) > _MAX_IDLE_STATES:
                    _idle_states.popitem(last=False)

    def training_function(self, optimizer: str, state: TrainingState, dtype: str) -> Any:
        """Return the compiled training steps for pixels of a dtype; see `trace_training`."""
        return self._function(
            ("train", OPTIMIZERS[optimizer].rule, dtype),
            lambda: trace_training(self._network, OPTIMIZERS[optimizer], state, dtype),
        )


def _batch_size(n_images: int, sizes: Sequence[int]) -> int:
    """Choose the size of batch with the least work for n images, padding and calls included."""
    return min(sizes, key=lambda size: math.ceil(n_images / size) * (size + _CALL_COST))


# Variables that no training uses, the longest unused first. They are as large as the weights three
# times over, so there are few for the whole process, and not some for each program.
_idle_states: OrderedDict[tuple[Architecture, str], TrainingState] = OrderedDict()
_idle_lock = threading.Lock()

_programs: OrderedDict[Architecture, Program] = OrderedDict()
_programs_lock = threading.Lock()


def program_for(architecture: Architecture) -> Program:
    """Return the one program of an architecture; the least recently used are dropped.

    A dropped program goes on serving those who hold it.
    """
    with _programs_lock:
        program = _programs.get(architecture)
        if program is None:
            program = _programs[architecture] = Program(architecture)
        _programs.move_to_end(architecture)
        while len(_programs) > _MAX_PROGRAMS:
            _programs.popitem(last=False)
        return program
