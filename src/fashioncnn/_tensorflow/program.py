# SPDX-License-Identifier: BSD-3-Clause
"""The compiled functions of one architecture, shared by every estimator that has it.

Nothing that is fitted lives here: weights, scaling constants, learning rate, smoothing and random
seeds are arguments of the compiled functions. So all folds and learning rates of a search use one
program, which is traced once, and an estimator holds arrays only.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fashioncnn._network.architecture import Architecture, Shape
from fashioncnn._tensorflow.backend import untouched
from fashioncnn._tensorflow.optimizers import OPTIMIZERS
from fashioncnn._tensorflow.steps import (
    TrainingState,
    new_training_state,
    trace_forward,
    trace_training,
)

_MAX_PROGRAMS = 16
_MAX_IDLE_STATES = 2


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

    def _function(self, key: tuple[str, ...], trace: Callable[[], Any]) -> Any:
        function = self._functions.get(key)
        if function is None:
            with self._lock:
                if key not in self._functions:
                    self._functions[key] = untouched(trace)
                    self.n_traces += 1
                function = self._functions[key]
        return function

    def forward_function(self, shapes: Mapping[str, Shape], dtype: str) -> Any:
        """Return the compiled prediction for pixels of a dtype; see `trace_forward`."""
        return self._function(
            ("forward", dtype), lambda: trace_forward(self.architecture, shapes, dtype)
        )

    @contextmanager
    def training_state(self, optimizer: str) -> Iterator[TrainingState]:
        """Lend the variables for one training; another at the same time gets its own.

        They hold whatever the training before has left.
        """
        key = self.architecture, OPTIMIZERS[optimizer].rule
        with _idle_lock:
            state = _idle_states.pop(key, None)
        if state is None:
            state = untouched(lambda: new_training_state(self.architecture, OPTIMIZERS[optimizer]))
        try:
            yield state
        finally:
            with _idle_lock:
                _idle_states[key] = state
                _idle_states.move_to_end(key)
                while len(_idle_states) > _MAX_IDLE_STATES:
                    _idle_states.popitem(last=False)

    def training_function(
        self, optimizer: str, state: TrainingState, dtype: str, precision: str
    ) -> Any:
        """Return the compiled training steps for pixels of a dtype; see `trace_training`."""
        rule = OPTIMIZERS[optimizer]
        return self._function(
            ("train", rule.rule, dtype, precision),
            lambda: trace_training(self.architecture, rule, state, dtype, precision),
        )


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
