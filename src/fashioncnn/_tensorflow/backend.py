# SPDX-License-Identifier: BSD-3-Clause
"""TensorFlow and Keras as this library needs them, independent of the user's settings.

Other modules take both from here, so that Keras' backend is checked before either is imported.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

import numpy as np

from fashioncnn._tensorflow.interpreter_exit import stop_at_exit
from fashioncnn._tensorflow.start import call_in_thread

__all__ = [
    "Function",
    "Tensor",
    "as_tensor",
    "call_concrete_function",
    "call_in_clean_thread",
    "call_in_eager_mode",
    "copied_as_tensor",
    "keras",
    "n_threads",
    "tf",
]

T = TypeVar("T")


def _refuse_other_backend(chosen: str) -> None:
    if chosen != "tensorflow":
        raise RuntimeError(
            f"fashioncnn needs Keras on TensorFlow, but Keras is set to {chosen!r}. Set the "
            "environment variable KERAS_BACKEND=tensorflow before Python starts."
        )


if "keras" not in sys.modules:
    _refuse_other_backend(os.environ.get("KERAS_BACKEND", "tensorflow"))

try:
    import keras
except ModuleNotFoundError as error:  # of the backend that Keras' file of settings names
    if error.name in ("jax", "openvino", "torch"):
        _refuse_other_backend(error.name)
    raise

_refuse_other_backend(keras.config.backend())

import tensorflow as tf  # noqa: E402 - not before the check

if not tf.compat.v1.executing_eagerly_outside_functions():
    raise RuntimeError(
        "fashioncnn needs TensorFlow's eager execution, which is disabled. Remove the call of "
        "tf.compat.v1.disable_eager_execution() or disable_v2_behavior()."
    )


def _follow_joblib_threads() -> None:
    """In a loky worker, let TensorFlow have as many threads as joblib grants the worker.

    That holds within operations and between them, which would run side by side as well.

    joblib limits BLAS and OpenMP by environment variables, which TensorFlow does not read; without
    this, `n_jobs` workers would start `n_jobs` times as many threads as there are cores. Where
    TensorFlow runs already, or its user has set a number, that holds.
    """
    granted = os.environ.get("OMP_NUM_THREADS", "")
    is_loky_worker = multiprocessing.current_process().name.startswith("LokyProcess")
    if not is_loky_worker or not granted.isdigit():
        return
    threads = tf.config.threading
    try:
        if not (
            os.environ.get("TF_NUM_INTRAOP_THREADS") or threads.get_intra_op_parallelism_threads()
        ):
            threads.set_intra_op_parallelism_threads(int(granted))
        if not (
            os.environ.get("TF_NUM_INTEROP_THREADS") or threads.get_inter_op_parallelism_threads()
        ):
            threads.set_inter_op_parallelism_threads(int(granted))
    except RuntimeError:
        return  # TensorFlow has started


def _let_gpus_be_shared() -> None:
    """Let TensorFlow take a GPU's memory as it needs it, so that several workers find some.

    By default the first process takes nearly all. What its user has set holds: the environment
    variable, a GPU that is divided, TensorFlow that runs already.
    """
    if "TF_FORCE_GPU_ALLOW_GROWTH" in os.environ:
        return
    try:
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    except (RuntimeError, ValueError):
        return


_follow_joblib_threads()
_let_gpus_be_shared()


def n_threads() -> int:
    """Return how many threads an operation has; they decide in which order numbers are added."""
    chosen: int = tf.config.threading.get_intra_op_parallelism_threads()
    variable = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    if not chosen and variable.isdigit():
        chosen = int(variable)
    if not chosen and hasattr(os, "sched_getaffinity"):
        chosen = len(os.sched_getaffinity(0))
    return chosen or os.cpu_count() or 1


Tensor: TypeAlias = tf.Tensor
Function: TypeAlias = tf.types.experimental.ConcreteFunction  # compiled for one signature

_ALIGNMENT = 64  # bytes
_CONTEXT_LACKS = "Expected `context` argument in EagerTensor constructor"  # which never lacks it


def as_tensor(array: np.ndarray) -> Tensor:
    """Return an array as a tensor for reading, which shares its memory where that is aligned.

    ``tf.constant`` copies an array before it is made a tensor, and where it is not aligned again.
    """
    return tf.raw_ops.Identity(input=array)


def copied_as_tensor(array: np.ndarray, dtype: np.dtype) -> Tensor:
    """Return an array, cast, as a tensor that owns its values, after one copy."""
    n_bytes = array.size * dtype.itemsize
    memory = np.empty(n_bytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    copy = memory[start : start + n_bytes].view(dtype).reshape(array.shape)
    with np.errstate(under="ignore"):
        copy[...] = array
    return as_tensor(copy)


def call_in_clean_thread(function: Callable[[], T]) -> T:
    """Call a function in a new thread, which has none of the caller's settings.

    Keras keeps its dtype policy and its counters of layer names for each thread, TensorFlow its
    default graph and device. What Keras counts in the new thread moves nothing of the caller's.
    """
    # The caller's tf.function rewrites what it calls, in threads too.
    return call_in_thread(tf.autograph.experimental.do_not_convert(function))


def call_in_eager_mode(function: Callable[[], T]) -> T:
    """Call a function, in this thread, outside the caller's `tf.Graph`, `tf.function`, `tf.device`.

    Raises
    ------
    KeyboardInterrupt
        If the user interrupts, also within TensorFlow's C code, which makes other errors of it.
    MemoryError
        If TensorFlow finds too little of it.
    """
    try:
        # Public functions leave no `tf.Graph`: `tf.init_scope` stays in the outermost one.
        with tf.__internal__.eager_context.eager_mode(), tf.device(None):
            return tf.autograph.experimental.do_not_convert(function)()
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(
            "TensorFlow has too little memory. Make the network's feature maps smaller by fewer "
            "filters in conv_stacks or a larger pool_size, or, where it is training, lower "
            "batch_size."
        ) from error
    except (SystemError, TypeError) as error:
        if _was_interrupt(error):
            raise KeyboardInterrupt from error
        raise


def _was_interrupt(error: BaseException | None) -> bool:
    """Say whether an error is what TensorFlow's C code has made of a KeyboardInterrupt.

    It goes on with the interrupt pending, or takes it for the lack of what it has asked Python for.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        if _CONTEXT_LACKS in str(error):
            return True
        error = error.__cause__
    return error is not None


def call_concrete_function(function: Function, *tensors: Tensor) -> Sequence[Tensor]:
    """Call a compiled function with the tensors of its signature, in their order.

    For a variable, that is its handle. The function itself would spend much time on the structure
    of its arguments, and within the caller's `tf.GradientTape` it would look for the variables of
    its trace after they are gone. TensorFlow would keep for ever an operation that calls it, such
    as PartitionedCall.
    """
    stop_at_exit()
    results: Sequence[Tensor] = function.inference_fn.call_flat(*tensors)
    return results
