"""Optimizers that divide each element of the gradient by a measure of its size."""

from __future__ import annotations

from whet.optim.base import Number, Optimizer
from whet.schedules import Schedule

__all__ = ["Adadelta", "Adagrad", "Ftrl", "RMSprop"]


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton, 2012), as torch.optim.RMSprop.

    v <- alpha v + (1 - alpha) g^2; p <- p - lr g / (sqrt(v) + eps), where g is the gradient with its penalty.

    Args:
        lr: Learning rate.
        alpha: Decay of the running mean of the squared gradient.
        eps: Added to the denominator.
        weight_decay: Strength of the L2 penalty, weight_decay / 2 * |p|^2.
        momentum: Factor by which earlier quotients count on.
        centered: Whether the denominator is of the variance (Graves, 2013): v less the square of the gradient's mean.
    """

    name = "rmsprop"
    choices = ("centered",)
    ranges = {"alpha": (0, 1)}  # noqa: RUF012
    lr: Number = 1e-2
    alpha: Number = 0.99
    eps: Number = 1e-8
    weight_decay: Number = 0.0
    momentum: Number = 0.0
    centered: bool = False

    @property
    def kernel(self) -> str:
        """Only what is asked for is kept."""
        moves = isinstance(self.momentum, Schedule) or self.momentum != 0
        return self.name + ".centered" * self.centered + ".momentum" * moves


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan and Singer, JMLR 2011), as torch.optim.Adagrad.

    v <- v + g^2; p <- p - lr / (1 + (step - 1) lr_decay) g / (sqrt(v) + eps), where g is the gradient with its penalty.

    Args:
        lr: Learning rate.
        lr_decay: How the learning rate falls with the steps.
        weight_decay: Strength of the L2 penalty, weight_decay / 2 * |p|^2.
        initial_accumulator_value: Where v starts.
        eps: Added to the denominator.
    """

    name = "adagrad"
    lr: Number = 1e-2
    lr_decay: Number = 0.0
    weight_decay: Number = 0.0
    initial_accumulator_value: Number = 0.0
    eps: Number = 1e-10


class Adadelta(Optimizer):
    """Adadelta (Zeiler, 2012), as torch.optim.Adadelta.

    v <- rho v + (1 - rho) g^2; d = g sqrt(u + eps) / sqrt(v + eps); u <- rho u + (1 - rho) d^2; p <- p - lr d, where g
    is the gradient with its penalty.

    Args:
        lr: Factor of the step.
        rho: Decay of both running means.
        eps: Added below both roots.
        weight_decay: Strength of the L2 penalty, weight_decay / 2 * |p|^2.
    """

    name = "adadelta"
    ranges = {"rho": (0, 1)}  # noqa: RUF012
    lr: Number = 1.0
    rho: Number = 0.9
    eps: Number = 1e-6
    weight_decay: Number = 0.0


class Ftrl(Optimizer):
    """Follow the regularized leader (McMahan et al., "Ad click prediction: a view from the trenches", KDD 2013).

    As keras.optimizers.Ftrl with its learning_rate_power of -0.5:
    n' = n + g^2; z <- z + g + 2 l2_shrinkage p - (sqrt(n') - sqrt(n)) / lr p; p <- 0 where |z| <= l1, and elsewhere
    (sign(z) l1 - z) / ((beta + sqrt(n')) / lr + 2 l2). Made for linear models with an L1 penalty, whose weights it sets
    to exactly zero; the values that a model is initialized with leave hardly a trace.

    Args:
        lr: Learning rate, above 0.
        initial_accumulator_value: Where n starts.
        l1_regularization_strength: Strength of the L1 penalty.
        l2_regularization_strength: Strength of the L2 penalty.
        l2_shrinkage_regularization_strength: Strength of an L2 penalty that joins the gradient.
        beta: Smooths the learning rates of the first steps.
    """

    name = "ftrl"
    lr: Number = 1e-3
    initial_accumulator_value: Number = 0.1
    l1_regularization_strength: Number = 0.0
    l2_regularization_strength: Number = 0.0
    l2_shrinkage_regularization_strength: Number = 0.0
    beta: Number = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lr == 0:
            raise ValueError("[Ftrl] expected lr above 0, got 0")
