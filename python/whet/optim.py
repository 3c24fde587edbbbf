"""Optimizers: immutable descriptions with PyTorch's names, hyper-parameters and defaults.

All take `clip_norm` and `clip_value`: see `Optimizer`. To add an elementwise one, write its functor in
cpp/math/optimizers.h, a class here, and its formula in tests/reference.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from whet._checks import as_number
from whet.schedules import Schedule

__all__ = ["GD", "SGD", "Adam", "AdamW", "Optimizer", "get"]


@dataclass(frozen=True, repr=False)
class Optimizer:
    """How parameters follow their gradients.

    Args:
        clip_norm: A gradient whose norm, over all parameters, is larger is scaled down to it, as by
            torch.nn.utils.clip_grad_norm_. None for no limit.
        clip_value: After that, an element of the gradient further from zero counts as this far. None for no limit.
    """

    name: ClassVar[str]
    #: Whether a step always takes all rows.
    full_batch: ClassVar[bool] = False
    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("clip_norm", "clip_value"):
            value = getattr(self, name)
            if value is not None and as_number(value, type(self).__name__, name) <= 0:
                raise ValueError(f"[{type(self).__name__}] expected {name} above 0, got {value}")

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

    def __repr__(self) -> str:
        own = [each for each in fields(self) if not each.kw_only]
        clipping = [each for each in fields(self) if each.kw_only and getattr(self, each.name) is not None]
        arguments = ", ".join(f"{each.name}={getattr(self, each.name)!r}" for each in own + clipping)
        return f"{type(self).__name__}({arguments})"


def _check(owner: Optimizer, *names: str) -> None:
    """Checks numbers that are zero or more; a learning rate may be a schedule."""
    for name in names:
        value = getattr(owner, name)
        if not (name == "lr" and isinstance(value, Schedule)):
            as_number(value, type(owner).__name__, name, low=0)


def _first(rate: float | Schedule) -> float:
    return rate.start if isinstance(rate, Schedule) else rate


@dataclass(frozen=True, repr=False)
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
        super().__post_init__()
        _check(self, "lr", "weight_decay")

    def options(self) -> dict[str, float]:
        """See `Optimizer.options`."""
        return {"lr": _first(self.lr), "weight_decay": self.weight_decay}


@dataclass(frozen=True, repr=False)
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
        super().__post_init__()
        _check(self, "lr", "momentum", "weight_decay")
        as_number(self.dampening, "SGD", "dampening")
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


@dataclass(frozen=True, repr=False)
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
        super().__post_init__()
        _check(self, "lr", "eps", "weight_decay")
        where = type(self).__name__
        if not isinstance(self.betas, (tuple, list)) or len(self.betas) != 2:
            raise TypeError(f"[{where}] expected betas to be two numbers, got {self.betas!r}")
        for beta in self.betas:
            as_number(beta, where, "betas", low=0, high=1)

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


@dataclass(frozen=True, repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019), as torch.optim.AdamW.

    Args:
        lr: Learning rate, a number or an object of whet.schedules.
        betas: Decay of the running means of the gradient and of its square.
        eps: Added to the denominator.
        weight_decay: Each step first multiplies the parameters by 1 - lr weight_decay.
    """

    name = "adamw"
    weight_decay: float = 1e-2


_CLASSES: dict[str, type[Optimizer]] = {cls.name: cls for cls in (GD, SGD, Adam, AdamW)}


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


def make(name: str, options: Mapping[str, Any]) -> Optimizer:
    """The optimizer of that name with these arguments, those of a sweep: clipping is of all parameters together.

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If there is no optimizer or no argument of a name; the message lists the valid ones.
    """
    if name not in _CLASSES:
        raise ValueError(f"[optimizer] expected one of {', '.join(_CLASSES)}, got '{name}'")
    known = [each.name for each in fields(_CLASSES[name]) if not each.kw_only]
    for option in options:
        if option not in known:
            raise ValueError(f"[{name}] expected arguments among {', '.join(known)}, got '{option}'")
    return _CLASSES[name](**options)
