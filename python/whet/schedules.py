"""Schedules: numbers that change while a model trains. Immutable descriptions, given in place of a learning rate.

A schedule is a function of progress, the share of all steps that lies behind: 0 at the first step, 1 after the last.
Only additions, products and comparisons are used, so that its values have the same bits everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whet._checks import as_number

__all__ = ["Linear", "MultiStep", "Schedule"]


@dataclass(frozen=True)
class Schedule:
    """A number that depends on progress.

    Args:
        start: The value at the first step.
    """

    start: float

    def __post_init__(self) -> None:
        as_number(self.start, type(self).__name__, "start", low=0)

    def at(self, progress: NDArray[np.float64]) -> NDArray[np.float64]:
        """The values at shares of training from 0 to 1, any shape."""
        raise TypeError(f"[schedules] {type(self).__name__} describes no schedule")


@dataclass(frozen=True)
class MultiStep(Schedule):
    """`start`, multiplied by `gamma` at each milestone, as torch.optim.lr_scheduler.MultiStepLR in shares of training.

    Args:
        start: The value at the first step.
        milestones: Shares of training, from 0 to below 1.
        gamma: The factor.
    """

    milestones: tuple[float, ...] = (0.8,)
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        as_number(self.gamma, "MultiStep", "gamma", low=0)
        if not isinstance(self.milestones, (tuple, list)):
            raise TypeError(f"[MultiStep] expected milestones to be a tuple, got {type(self.milestones).__name__}")
        for milestone in self.milestones:
            as_number(milestone, "MultiStep", "milestones", low=0, high=1)

    def at(self, progress: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Schedule.at`."""
        value = np.full_like(progress, self.start)
        for milestone in self.milestones:
            value[progress >= milestone] *= self.gamma
        return value


@dataclass(frozen=True)
class Linear(Schedule):
    """A straight line from `start` to `end`.

    Args:
        start: The value at the first step.
        end: The value after the last.
    """

    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        as_number(self.end, "Linear", "end", low=0)

    def at(self, progress: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Schedule.at`."""
        return self.start + (self.end - self.start) * progress
