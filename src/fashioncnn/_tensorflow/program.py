# SPDX-License-Identifier: BSD-3-Clause
"""The compiled functions of one architecture, shared by every estimator that has it.

Nothing that is fitted lives here: weights, scaling constants, learning rate, smoothing and random
seeds are arguments of the compiled functions. So all folds and learning rates of a search use one
program, which is traced once, and an estimator holds arrays only.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from fashioncnn._network.architecture import Architecture
from fashioncnn._tensorflow.backend import Function, call_in_clean_thread
from fashioncnn._tensorflow.optimizers import UPDATE_RULES
from fashioncnn._tensorflow.start import Lock, get_or_make
from fashioncnn._tensorflow.steps import (
    StepGraph,
    TrainingVariables,
    new_training_variables,
    trace_forward,
    trace_training,
)

_MAX_PROGRAMS = 16
_MAX_IDLE_VARIABLES = 2

Key = TypeVar("Key")
Value = TypeVar("Value")


class Program:
    """The network of an architecture and its functions, each compiled when it is first needed.

    Attributes
    ----------
    architecture : Architecture
        What the program computes.
    """

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self._functions: dict[tuple[str | bool, ...], Function] = {}
        self._lock = Lock()

    @property
    def n_traces(self) -> int:
        """How many functions have been traced so far."""
        return len(self._functions)

    def _function(self, key: tuple[str | bool, ...], trace: Callable[[], Function]) -> Function:
        return get_or_make(self._functions, key, lambda: call_in_clean_thread(trace), self._lock)

    def forward_function(
        self, folded: Architecture, dtype: str, *, test_time_flip: bool
    ) -> Function:
        """Return the compiled prediction for pixels of a dtype; see `trace_forward`.

        The weights decide what can be folded, and so which weights there are then.
        """
        return self._function(
            ("forward", dtype, test_time_flip, *folded.weights),
            lambda: trace_forward(folded, dtype, test_time_flip=test_time_flip),
        )

    @contextmanager
    def training_variables(
        self, update_rule: str, *, with_sums: bool = False
    ) -> Iterator[TrainingVariables]:
        """Lend the variables for one training; another at the same time gets its own.

        They hold the values that the training before has left. Sums of weights are among them only
        where they are asked for.
        """
        key = self.architecture, update_rule, with_sums
        with _idle_lock.mutex:
            variables = _idle_variables.pop(key, None)
        if variables is None:
            rule = UPDATE_RULES[update_rule]
            variables = call_in_clean_thread(
                lambda: new_training_variables(self.architecture, rule, with_sums=with_sums)
            )
        try:
            yield variables
        finally:
            with _idle_lock.mutex:
                _keep_latest(_idle_variables, key, variables, _MAX_IDLE_VARIABLES)

    def training_function(
        self, update_rule: str, variables: TrainingVariables, dtype: str, precision: str
    ) -> Function:
        """Return the compiled training steps for pixels of a dtype; see `trace_training`."""
        graph = StepGraph(self.architecture, UPDATE_RULES[update_rule], precision)
        return self._function(
            ("train", update_rule, dtype, precision, bool(variables.sums)),
            lambda: trace_training(graph, variables, dtype),
        )


def _keep_latest(latest: OrderedDict[Key, Value], key: Key, value: Value, most: int) -> None:
    """Note that a value was used last; forget those that were not used for the longest time."""
    latest[key] = value
    latest.move_to_end(key)
    while len(latest) > most:
        latest.popitem(last=False)


# Variables that no training uses. They are as large as the weights three times over, or five with
# sums, so there are few for the whole process, and not some for each program.
_idle_variables: OrderedDict[tuple[Architecture, str, bool], TrainingVariables] = OrderedDict()
_idle_lock = Lock()

_programs: OrderedDict[Architecture, Program] = OrderedDict()
_programs_lock = Lock()


def program_for(architecture: Architecture) -> Program:
    """Return the one program of an architecture; the least recently used are dropped.

    A dropped program goes on serving those who hold it.
    """
    with _programs_lock.mutex:
        program = _programs.get(architecture) or Program(architecture)
        _keep_latest(_programs, architecture, program, _MAX_PROGRAMS)
        return program
