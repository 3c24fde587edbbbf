"""What every optimizer has: its numbers, their checks, and what is done to gradients before they are used."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from whet._checks import as_flag, as_number
from whet.schedules import Schedule

__all__ = ["Number", "Optimizer"]

#: A number of an optimizer: fixed, or an object of whet.schedules.
Number = float | Schedule

#: Arguments that are pairs, and the names of their numbers in the core.
PAIRS = {
    "betas": ("beta1", "beta2"),
    "etas": ("etaminus", "etaplus"),
    "step_sizes": ("step_size_min", "step_size_max"),
}


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
    #: Arguments that choose the sweep, and are none of its numbers.
    choices: ClassVar[tuple[str, ...]] = ()
    #: Where an argument's numbers have to lie, the upper end excluded; the others lie from 0 on.
    ranges: ClassVar[dict[str, tuple[float, float]]] = {"betas": (0, 1)}

    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        where = type(self).__name__
        for name in ("clip_norm", "clip_value"):
            value = getattr(self, name)
            if value is not None and as_number(value, where, name) <= 0:
                raise ValueError(f"[{where}] expected {name} above 0, got {value}")
        for name, value in self._own().items():
            low, high = self.ranges.get(name, (0, math.inf))
            if name in PAIRS and (not isinstance(value, (tuple, list)) or len(value) != 2):
                raise TypeError(f"[{where}] expected {name} to be two numbers, got {value!r}")
            for number in value if name in PAIRS else (value,):
                if isinstance(number, Schedule):
                    number.check(where, name, low, high)
                elif isinstance(getattr(type(self), name), bool):
                    as_flag(number, where, name)
                else:
                    as_number(number, where, name, low=low, high=high)

    @property
    def kernel(self) -> str:
        """The name of the sweep in the compiled core."""
        return self.name

    def numbers(self) -> dict[str, Number]:
        """What the sweep takes, by the names of the core."""
        found: dict[str, Number] = {}
        for name, value in self._own().items():
            if name in PAIRS:
                found |= zip(PAIRS[name], value, strict=True)
            elif name not in self.choices:
                found[name] = value
        if not found:
            raise TypeError(f"[optim] {type(self).__name__} describes no optimizer")
        return found

    def options(self) -> dict[str, float]:
        """The numbers that the sweep takes at the first step."""
        return {name: value.first if isinstance(value, Schedule) else value for name, value in self.numbers().items()}

    def schedules(self) -> dict[str, Schedule]:
        """Those of the numbers that change while a model trains."""
        return {name: value for name, value in self.numbers().items() if isinstance(value, Schedule)}

    def learning_rate(self) -> Number:
        """The learning rate as given."""
        rate: Number = vars(self)["lr"]
        return rate

    @classmethod
    def arguments(cls) -> list[str]:
        """The names of those that are the method's own."""
        return [each.name for each in fields(cls) if not each.kw_only]

    def _own(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.arguments()}

    def __repr__(self) -> str:
        clipping = [each.name for each in fields(self) if each.kw_only and getattr(self, each.name) is not None]
        shown = {**self._own(), **{name: getattr(self, name) for name in clipping}}
        arguments = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        return f"{type(self).__name__}({arguments})"
