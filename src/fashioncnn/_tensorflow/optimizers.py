# SPDX-License-Identifier: BSD-3-Clause
"""The update rules, as one fused operation each, and the Keras optimizers that do the same.

A rule does what the Keras optimizer does with its default settings, on variables that the caller
owns. ``"sgd"`` has Nesterov momentum 0.9. Weight decay is decoupled with each rule. ``"muon"`` does
for convolutions what Keras' Muon does for dense layers only.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from fashioncnn._network.fitted import Compilation
from fashioncnn._tensorflow.backend import Tensor, keras, tf

_EPSILON = 1e-7
_MUON_MOMENTUM = 0.95
_MUON_ITERATIONS = 3  # of Newton and Schulz, as for small networks in arXiv:2404.00498
_MUON_ADAM_SHARE = 0.1  # of the rate, for all but convolutions

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


def _apply_muon(
    weight: Variable, slots: Sequence[Variable], gradient: Tensor, rate: Tensor, step: Tensor
) -> None:
    """K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024).

    The kernel of a convolution is a matrix with a column for each filter, and a step turns it by an
    orthogonal one. All other weights take Adam's step with a share of the rate.
    """
    if gradient.shape.rank != 4:
        _apply_adam(weight, slots, gradient, rate * _MUON_ADAM_SHARE, step)
        return
    before = tf.ensure_shape(slots[0], gradient.shape)  # the variables have no shape
    momentum = _MUON_MOMENTUM * before + gradient
    slots[0].assign(momentum)
    ahead = tf.reshape(gradient + _MUON_MOMENTUM * momentum, (-1, gradient.shape[-1]))
    n_inputs, n_filters = ahead.shape
    size = rate * math.sqrt(max(1, n_inputs / n_filters))
    weight.assign_sub(size * tf.reshape(_orthogonalize(ahead), gradient.shape))


def _orthogonalize(matrix: Tensor) -> Tensor:
    """Bring the singular values near 1, by matrix products only."""
    is_tall = matrix.shape[0] > matrix.shape[1]
    values = tf.transpose(matrix) if is_tall else matrix  # the products are those of the short side
    values /= tf.norm(values) + _EPSILON
    for _ in range(_MUON_ITERATIONS):
        square = tf.matmul(values, values, transpose_b=True)
        factor = -4.7750 * square + 2.0315 * tf.matmul(square, square)
        values = 3.4445 * values + tf.matmul(factor, values)
    return tf.transpose(values) if is_tall else values


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
    "muon": UpdateRule("muon", _apply_muon, ("momentum", "velocity")),
    "rmsprop": UpdateRule("rmsprop", _apply_rmsprop, ("velocity", None)),
    "sgd": UpdateRule("sgd", _apply_sgd, ("momentum",)),
}


def _new_keras_muon(learning_rate: float, weight_decay: float) -> keras.optimizers.Optimizer:
    """Return Keras' Muon with Adam's steps for all weights; convolutions it always leaves to it."""
    return keras.optimizers.Muon(
        learning_rate,
        weight_decay=weight_decay,
        adam_weight_decay=weight_decay,
        adam_lr_ratio=_MUON_ADAM_SHARE,
        exclude_layers=[""],  # which every name matches
    )


_KERAS_OPTIMIZERS: Mapping[str, Callable[..., keras.optimizers.Optimizer]] = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "muon": _new_keras_muon,
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
