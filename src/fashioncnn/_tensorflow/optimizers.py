# SPDX-License-Identifier: BSD-3-Clause
"""The update rules, as one fused operation each, and the Keras optimizers that do the same.

A rule does what the Keras optimizer does with its default settings, on variables that the caller
owns. ``"sgd"`` has Nesterov momentum 0.9. Weight decay is decoupled with each rule.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from fashioncnn._network.fitted import Compilation
from fashioncnn._tensorflow.backend import Tensor, keras, tf

_EPSILON = 1e-7

Variable = Any  # of TensorFlow


class UpdateRule(NamedTuple):
    """What a step does with a weight, and which slots (moments) the weight needs for it."""

    name: str
    # By weight, slots, gradient, learning rate, and the number of steps before.
    apply: Callable[[Variable, Sequence[Variable], Tensor, Tensor, Tensor], None]
    # What Keras calls each slot; None where Keras has none, since it holds zeros.
    keras_slots: Sequence[str | None]

    @property
    def n_slots(self) -> int:
        """The number of slots for each weight."""
        return len(self.keras_slots)


def decay_kernels(kernels: Iterable[Variable], share: Tensor) -> None:
    """Shrink kernels before a step: I. Loshchilov and F. Hutter (arXiv:1711.05101), algorithm 2.

    As in Keras and PyTorch, the share is the learning rate times the weight decay.
    """

    def decay() -> Any:
        for kernel in kernels:
            kernel.assign(kernel * (1 - share))
        return tf.no_op()

    tf.cond(share > 0, decay, tf.no_op)  # without decay, this would read and write all kernels


def _apply_adam(
    weight: Variable, slots: Sequence[Variable], gradient: Tensor, rate: Tensor, step: Tensor
) -> None:
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


def _apply_rmsprop(
    weight: Variable, slots: Sequence[Variable], gradient: Tensor, rate: Tensor, step: Tensor
) -> None:
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


def _apply_sgd(
    weight: Variable, slots: Sequence[Variable], gradient: Tensor, rate: Tensor, step: Tensor
) -> None:
    """I. Sutskever et al., "On the importance of initialization and momentum" (2013), section 2."""
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=weight.handle,
        accum=slots[0].handle,
        lr=rate,
        grad=gradient,
        momentum=0.9,
        use_nesterov=True,
    )


UPDATE_RULES = {
    "adam": UpdateRule("adam", _apply_adam, ("momentum", "velocity")),
    "rmsprop": UpdateRule("rmsprop", _apply_rmsprop, ("velocity", None)),
    "sgd": UpdateRule("sgd", _apply_sgd, ("momentum",)),
}

_KERAS_OPTIMIZERS: Mapping[str, Callable[..., keras.optimizers.Optimizer]] = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": partial(keras.optimizers.SGD, momentum=0.9, nesterov=True),
}


def new_keras_optimizer(compilation: Compilation) -> keras.optimizers.Optimizer:
    """Return the Keras optimizer that makes the same steps."""
    optimizer = _KERAS_OPTIMIZERS[compilation.optimizer](
        compilation.learning_rate, weight_decay=compilation.weight_decay
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    return optimizer


def keras_slots(
    optimizer: keras.optimizers.Optimizer,
    update_rule: UpdateRule,
    weights: Iterable[keras.Variable],
) -> list[tuple[Variable, ...]]:
    """Return what a built Keras optimizer has for each weight, in the order of the rule's slots."""
    variables = {variable.path: variable.value for variable in optimizer.variables}

    def slot_of(weight: keras.Variable, slot: str | None) -> Variable:
        if slot is None:
            return tf.Variable(tf.zeros(weight.shape), trainable=False)
        return variables[f"{optimizer.name}/{weight.path.replace('/', '_')}_{slot}"]

    return [tuple(slot_of(weight, slot) for slot in update_rule.keras_slots) for weight in weights]
