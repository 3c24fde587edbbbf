"""Learning rates that a callback changes between epochs or steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet.optim.base import Assignment, Number
from whet.schedules import Constant, Schedule

__all__ = ["LearningRates"]


@dataclass(frozen=True)
class _Scaled(Schedule):
    """Another schedule times a factor; not below `least` where that is not below `least` itself."""

    schedule: Schedule
    factor: float
    least: float = 0.0

    def at(self, progress: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Schedule.at`."""
        values = self.schedule.at(progress)
        return np.maximum(values * self.factor, np.minimum(values, self.least))


def _is_fixed(rate: Number) -> bool:
    return isinstance(rate, Constant) or not isinstance(rate, Schedule)


def _changes(rate: Number, given: Number) -> float | list[tuple[float, float]] | None:
    if rate is given:
        return None
    factors: list[tuple[float, float]] = []
    while isinstance(rate, _Scaled) and rate is not given:
        factors.insert(0, (rate.factor, rate.least))
        rate = rate.schedule
    return float(rate.start) if isinstance(rate, Constant) and rate is not given else factors


class LearningRates:
    """The numbers of a training's groups, with learning rates that can be set between epochs or steps.

    Args:
        assignment: The numbers as the optimizer gives them.
        total: Steps of the whole training.

    Attributes:
        steps: Those taken so far.
        changes: How often rates were set.
    """

    def __init__(self, assignment: Assignment, total: int) -> None:
        self.assignment = Assignment([dict(group) for group in assignment.groups], assignment.group_of)
        self._given = [group["lr"] for group in assignment.groups]
        self.steps = self.changes = 0
        self._total = total

    def _now(self, group: dict[str, Number]) -> float:
        rate = group["lr"]
        return float(rate.at(np.array([self.steps / self._total]))[0]) if isinstance(rate, Schedule) else float(rate)

    @property
    def current(self) -> float:
        """That of the next step, of the first group."""
        return self._now(self.assignment.groups[0])

    @property
    def highest(self) -> float:
        """That of the next step, of the group where it is highest."""
        return max(map(self._now, self.assignment.groups))

    def multiply(self, factor: float, least: float = 0.0) -> None:
        """Multiplies those of all groups from now on, not below `least` if they are not below it already."""
        self.changes += 1
        for group in self.assignment.groups:
            rate = group["lr"]
            if _is_fixed(rate):
                now = self._now(group)
                group["lr"] = Constant(max(now * factor, min(now, least)))
            elif isinstance(rate, Schedule):
                group["lr"] = _Scaled(rate, factor, least)

    def state(self) -> list[Any]:
        """How the rate of each group was changed: by nothing, to a constant, or by factors with their lower limits."""
        groups = zip(self.assignment.groups, self._given, strict=True)
        return [_changes(group["lr"], given) for group, given in groups]

    def load_state(self, state: Sequence[Any]) -> None:
        """Changes the rates as given so that `state` returns this."""
        for group, given, changes in zip(self.assignment.groups, self._given, state, strict=True):
            rate = given
            if isinstance(changes, list):
                for factor, least in changes:
                    rate = _Scaled(rate, factor, least)  # type: ignore[arg-type]  # a number is not scaled
            elif changes is not None:
                rate = Constant(changes)
            group["lr"] = rate

    def set(self, rate: float) -> None:
        """Sets that of the first group; the others keep their ratio to it.

        Raises:
            ValueError: If that of the first group is a schedule that is at 0.
        """
        first, before = self.assignment.groups[0], self.current
        if rate == before:
            return
        fixed = _is_fixed(first["lr"])
        if before == 0 and not fixed:
            raise ValueError("[fit] expected a learning rate above 0 to change, got a schedule that is at 0 here")
        if before == 0:
            self.changes += 1
            for group in self.assignment.groups:
                if self._now(group) == 0:
                    group["lr"] = Constant(rate)
            return
        self.multiply(rate / before)
        if fixed:
            first["lr"] = Constant(rate)  # exactly
