"""Optimizers: immutable descriptions with PyTorch's names, hyper-parameters and defaults.

To add an elementwise one, write its functor in cpp/math/optimizers.h, a class here, and its formula in
tests/reference.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from whet.schedules import Schedule

__all__ = ["GD", "SGD", "Adam", "Optimizer", "get"]


@dataclass(frozen=True)
class Optimizer:
    """How parameters follow their gradients."""

    name: ClassVar[str]
    #: Whether a step always takes all rows.
    full_batch: ClassVar[bool] = False

    @property
    def kernel(self) -> str:
        """The name of the sweep in the compiled core."""
        return self.name

    def options(self) -> dict[str, float]:
        """The numbers that the sweep takes at the first step."""
        raise TypeError(f"[optim] {type(self).__name__} describes no optimizer")

    def learning_rate(self) -> float | Schedule:
        """The learning rate as given."""
        rate: float | Schedule = vars(self)["lr"]
        return rate


def _check(owner: Optimizer, name: str, low: float, high: float = math.inf) -> None:
    value = getattr(owner, name)
    if isinstance(value, Schedule):
        return
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"[{type(owner).__name__}] expected {name} to be a number, got {type(value).__name__}")
    if not (low <= value < high):
        bound = f"at least {low:g}" + (f" and below {high:g}" if high < math.inf else " and finite")
        raise ValueError(f"[{type(owner).__name__}] expected {name} {bound}, got {value}")


def _first(rate: float | Schedule) -> float:
    return rate.start if isinstance(rate, Schedule) else rate


@dataclass(frozen=True)
class GD(Optimizer):
    """Gradient descent on all rows at once: p <- p - lr (gradient + weight_decay p).

    Args:
        lr: Learning rate, a number or an object of whet.schedules.
        weight_decay: Strength of the L2 penalty, weight_decay / 2 * |p|^2.
    """

    name = "gd"
    full_batch = True
    lr: float | Schedule = 1e-3
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "lr", 0)
        _check(self, "weight_decay", 0)

    def options(self) -> dict[str, float]:
        """See `Optimizer.options`."""
        return {"lr": _first(self.lr), "weight_decay": self.weight_decay}


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as torch.optim.SGD.

    Args:
        lr: Learning rate, a number or an object of whet.schedules.
        momentum: Factor by which earlier gradients count on.
        dampening: Share of the new gradient that is left out of the momentum.
        weight_decay: Strength of the L2 penalty, weight_decay / 2 * |p|^2.
        nesterov: Whether to look ahead along the momentum; needs momentum and no dampening.
    """

    name = "sgd"
    lr: float | Schedule = 1e-3
    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        for name in ("lr", "momentum", "weight_decay"):
            _check(self, name, 0)
        _check(self, "dampening", -math.inf)
        if self.nesterov and (self.momentum <= 0 or self.dampening != 0):
            raise ValueError("[SGD] expected momentum above 0 and no dampening with nesterov")

    @property
    def kernel(self) -> str:
        """Without momentum the sweep needs no slot: it is that of gradient descent."""
        return "sgd" if self.momentum else "gd"

    def options(self) -> dict[str, float]:
        """See `Optimizer.options`."""
        plain = {"lr": _first(self.lr), "weight_decay": self.weight_decay}
        if not self.momentum:
            return plain
        return {**plain, "momentum": self.momentum, "dampening": self.dampening, "nesterov": float(self.nesterov)}


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba, ICLR 2015), as torch.optim.Adam.

    Args:
        lr: Learning rate, a number or an object of whet.schedules.
        betas: Decay of the running means of the gradient and of its square.
        eps: Added to the denominator.
        weight_decay: Strength of the L2 penalty, weight_decay / 2 * |p|^2.
    """

    name = "adam"
    lr: float | Schedule = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        for name in ("lr", "eps", "weight_decay"):
            _check(self, name, 0)
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"[Adam] expected betas of two numbers, at least 0 and below 1, got {self.betas}")

    def options(self) -> dict[str, float]:
        """See `Optimizer.options`."""
        beta1, beta2 = self.betas
        return {
            "lr": _first(self.lr),
            "beta1": beta1,
            "beta2": beta2,
            "eps": self.eps,
            "weight_decay": self.weight_decay,
        }


_CLASSES: dict[str, type[Optimizer]] = {cls.name: cls for cls in (GD, SGD, Adam)}


def get(optimizer: str | Optimizer) -> Optimizer:
    """The optimizer that a string or an object names; a string stands for its defaults.

    Raises:
        TypeError: If `optimizer` is neither.
        ValueError: If there is no optimizer of that name; the message lists the valid ones.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str):
        raise TypeError(f"[optimizer] expected a string or an object of whet.optim, got {type(optimizer).__name__}")
    if optimizer.lower() not in _CLASSES:
        raise ValueError(f"[optimizer] expected one of {', '.join(_CLASSES)}, got '{optimizer}'")
    return _CLASSES[optimizer.lower()]()
