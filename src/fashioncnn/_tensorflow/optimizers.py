# SPDX-License-Identifier: BSD-3-Clause
"""The update rules, as values of Keras' defaults and one fused operation each.

Each does what the Keras optimizer of the same name does with its default settings, on variables
that the caller owns. ``"sgd"`` has Nesterov momentum 0.9. ``"adamw"`` is ``"adam"``: weight decay
is decoupled with each of them.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from fashioncnn._tensorflow.backend import keras, tf

_EPSILON = 1e-7


class Optimizer(NamedTuple):
    """An update rule: which slots (moments) a weight needs, and what a step does with them."""

    rule: str  # optimizers of one rule share what is compiled, and can go on with others' slots
    learning_rate: float  # where the user names none
    apply: Callable[[Any, Sequence[Any], Any, Any, Any], None]  # the step is counted from 0
    keras_class: Callable[..., keras.optimizers.Optimizer]
    keras_slots: Sequence[str | None]  # the attribute of keras_class for each slot, where it has it

    @property
    def n_slots(self) -> int:
        """The number of slots for each weight."""
        return len(self.keras_slots)

    def to_keras(self, learning_rate: float, weight_decay: float = 0.0) -> Any:
        """Return the Keras optimizer that makes the same steps."""
        optimizer = self.keras_class(learning_rate, weight_decay=weight_decay)
        optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
        return optimizer


def decay_kernels(weights: Mapping[str, Any], share: Any) -> None:
    """Shrink kernels before a step: I. Loshchilov and F. Hutter (arXiv:1711.05101), algorithm 2.

    As in Keras and PyTorch, the share is the learning rate times the weight decay.
    """
    kernels = [weight for name, weight in weights.items() if name.endswith("/kernel")]

    def decay() -> Any:
        for kernel in kernels:
            kernel.assign(kernel * (1 - share))
        return tf.no_op()

    tf.cond(share > 0, decay, tf.no_op)  # many have no decay, which would read and write all


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


_ADAM_SLOTS = ("_momentums", "_velocities")
_keras_sgd = partial(keras.optimizers.SGD, momentum=0.9, nesterov=True)

OPTIMIZERS = {
    "adam": Optimizer("adam", 1e-3, _apply_adam, keras.optimizers.Adam, _ADAM_SLOTS),
    "adamw": Optimizer("adam", 1e-3, _apply_adam, keras.optimizers.AdamW, _ADAM_SLOTS),
    "rmsprop": Optimizer(
        "rmsprop", 1e-3, _apply_rmsprop, keras.optimizers.RMSprop, ("_velocities", None)
    ),
    "sgd": Optimizer("sgd", 1e-2, _apply_sgd, _keras_sgd, ("momentums",)),
}
