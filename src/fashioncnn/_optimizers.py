# SPDX-License-Identifier: BSD-3-Clause
"""The update rules, as values of Keras' defaults and one fused operation each.

Each does what the Keras optimizer of the same name does with its default settings, on variables
that the caller owns. ``"sgd"`` has Nesterov momentum 0.9. ``"adamw"`` is ``"adam"``.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fashioncnn._backend import keras, tf

_EPSILON = 1e-7


class Optimizer(NamedTuple):
    """An update rule: how many slots (moments) a weight needs, and what a step does with them."""

    learning_rate: float  # where the user names none
    n_slots: int
    apply: Callable[[Any, Sequence[Any], Any, Any, Any], None]
    to_keras: Callable[[float], keras.optimizers.Optimizer]


def _apply_adam(weight: Any, slots: Sequence[Any], gradient: Any, rate: Any, step: Any) -> None:
    """D. P. Kingma and J. Ba, "Adam" (arXiv:1412.6980), algorithm 1 as rearranged in section 2."""
    count = tf.cast(step + 1, tf.float32)
    tf.raw_ops.ResourceApplyAdam(
        var=weight.handle,
        m=slots[0].handle,
        v=slots[1].handle,
        beta1_power=tf.pow(0.9, count),
        beta2_power=tf.pow(0.999, count),
        lr=rate,
        beta1=0.9,
        beta2=0.999,
        epsilon=_EPSILON,
        grad=gradient,
    )


def _apply_rmsprop(weight: Any, slots: Sequence[Any], gradient: Any, rate: Any, step: Any) -> None:
    """T. Tieleman and G. Hinton, "Lecture 6.5 - RMSProp" (Coursera, 2012)."""
    tf.raw_ops.ResourceApplyRMSProp(
        var=weight.handle,
        ms=slots[0].handle,
        mom=slots[1].handle,
        lr=rate,
        rho=0.9,
        momentum=0.0,
        epsilon=_EPSILON,
        grad=gradient,
    )


def _apply_sgd(weight: Any, slots: Sequence[Any], gradient: Any, rate: Any, step: Any) -> None:
    """I. Sutskever et al., "On the importance of initialization and momentum" (2013), section 2."""
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=weight.handle,
        accum=slots[0].handle,
        lr=rate,
        grad=gradient,
        momentum=0.9,
        use_nesterov=True,
    )


def _keras_sgd(learning_rate: float) -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True)


def _keras_adamw(learning_rate: float) -> keras.optimizers.Optimizer:
    return keras.optimizers.AdamW(learning_rate, weight_decay=0.0)


OPTIMIZERS = {
    "adam": Optimizer(1e-3, 2, _apply_adam, keras.optimizers.Adam),
    "adamw": Optimizer(1e-3, 2, _apply_adam, _keras_adamw),
    "rmsprop": Optimizer(1e-3, 2, _apply_rmsprop, keras.optimizers.RMSprop),
    "sgd": Optimizer(1e-2, 1, _apply_sgd, _keras_sgd),
}
