"""Optimizers that follow the gradient itself, or its sign."""

from __future__ import annotations

from math import inf

from whet.optim.base import Number, Optimizer
from whet.schedules import Schedule

__all__ = ["GD", "SGD", "Lion", "Rprop"]


class GD(Optimizer):
    """Gradient descent on all rows at once: p <- p - lr (gradient + weight_decay p).

    Args:
        lr: Learning rate.
        weight_decay: Strength of the L2 penalty, weight_decay / 2 * |p|^2.
    """

    name = "gd"
    full_batch = True
    lr: Number = 1e-3
    weight_decay: Number = 0.0


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as torch.optim.SGD.

    Args:
        lr: Learning rate.
        momentum: Factor by which earlier gradients count on.
        dampening: Share of the new gradient that is left out of the momentum.
        weight_decay: Strength of the L2 penalty, weight_decay / 2 * |p|^2.
        nesterov: Whether to look ahead along the momentum; needs momentum and no dampening.
    """

    name = "sgd"
    ranges = {"dampening": (-inf, inf)}  # noqa: RUF012
    lr: Number = 1e-3
    momentum: Number = 0.0
    dampening: Number = 0.0
    weight_decay: Number = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and (self._plain() or self.dampening != 0):
            raise ValueError("[SGD] expected momentum above 0 and no dampening with nesterov")

    @property
    def kernel(self) -> str:
        """Without momentum the sweep needs no slot: it is that of gradient descent."""
        return "gd" if self._plain() else "sgd"

    def numbers(self) -> dict[str, Number]:
        """See `Optimizer.numbers`."""
        return {"lr": self.lr, "weight_decay": self.weight_decay} if self._plain() else super().numbers()

    def _plain(self) -> bool:
        return not isinstance(self.momentum, Schedule) and self.momentum == 0


class Lion(Optimizer):
    """Evolved sign momentum (Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023).

    p <- p (1 - lr weight_decay) - lr sign(beta1 m + (1 - beta1) gradient); then m <- beta2 m + (1 - beta2) gradient.
    Every parameter moves by lr in a step: a rate of a third to a tenth of Adam's is usual.

    Args:
        lr: Learning rate.
        betas: Decay of the mean whose sign is taken, and of the one that is kept.
        weight_decay: Each step first multiplies the parameters by 1 - lr weight_decay.
    """

    name = "lion"
    lr: Number = 1e-4
    betas: tuple[Number, Number] = (0.9, 0.99)
    weight_decay: Number = 0.0


class Rprop(Optimizer):
    """Resilient backpropagation (Riedmiller and Braun, ICNN 1993), as torch.optim.Rprop.

    Each parameter has a step of its own, which grows while the sign of its gradient stays and shrinks when it changes.
    Signs of gradients of small batches change by chance: it is meant for batches of all rows.

    Args:
        lr: The first step of every parameter.
        etas: Factors by which a step shrinks and grows, below 1 and above.
        step_sizes: The smallest and the largest step.
    """

    name = "rprop"
    lr: Number = 1e-2
    etas: tuple[Number, Number] = (0.5, 1.2)
    step_sizes: tuple[Number, Number] = (1e-6, 50.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        shrink, grow = (each.first if isinstance(each, Schedule) else each for each in self.etas)
        if not 0 < shrink < 1 < grow:
            raise ValueError(
                f"[Rprop] expected etas of which the first is between 0 and 1, the other above 1, got {self.etas}"
            )
