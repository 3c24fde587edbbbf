"""Schedules: numbers that change while a model trains. Immutable descriptions, given in place of a number.

A schedule is a function of progress, the share of all steps that lies behind: 0 at the first step, 1 after the last.
Shares and periods are of the whole training, where torch.optim.lr_scheduler counts steps. Values have the same bits on
every machine: no function of a C library has a part in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from whet._checks import as_flag, as_number
from whet._elementary import cos_pi, log, power
from whet._frozen import Frozen

__all__ = [
    "Constant",
    "CosLog4",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "FlatCos",
    "Inverse",
    "Linear",
    "MultiStep",
    "OneCycle",
    "Polynomial",
    "Schedule",
    "Step",
    "UserDefined",
    "WarmUp",
]

Array = NDArray[np.float64]

#: Shares such as 0.3 are no binary fractions: a period ends so much of itself early.
_SLACK = 1e-9


class Schedule:
    """A number that depends on progress."""

    def at(self, progress: Array) -> Array:
        """The values at shares of training from 0 to 1, any shape."""
        raise TypeError(f"[schedules] {type(self).__name__} describes no schedule")

    @property
    def first(self) -> float:
        """The value at the first step."""
        return float(self.at(np.zeros(1))[0])

    def check(self, where: str, name: str, low: float = 0.0, high: float = math.inf) -> None:
        """Raises ValueError if a value is not finite, or not from `low` to below `high`; a hundred are looked at."""
        for value in self.at(np.arange(101) / 100).tolist():
            as_number(value, where, name, low=low, high=high)


def _falling(share: Array) -> Array:
    """Half a cosine wave, from 1 down to 0: (1 + cos(pi share)) / 2, without cancellation near 0."""
    return cos_pi(share / 2) ** 2


class Constant(Frozen, Schedule):
    """Always `start`: what may follow a warm-up.

    Args:
        start: The value.
    """

    start: float

    def __post_init__(self) -> None:
        as_number(self.start, type(self).__name__, "start", low=0)

    def at(self, progress: Array) -> Array:
        """See `Schedule.at`."""
        return np.full_like(progress, self.start)


class _FromStart(Frozen, Schedule):
    start: float

    def __post_init__(self) -> None:
        self._check("start")

    def _check(self, *names: str, low: float = 0.0, high: float = math.inf) -> None:
        for name in names:
            as_number(getattr(self, name), type(self).__name__, name, low=low, high=high)

    def _check_share(self, name: str) -> None:
        """A share of training, above 0 and at most 1."""
        value = as_number(getattr(self, name), type(self).__name__, name)
        if not 0 < value <= 1:
            raise ValueError(f"[{type(self).__name__}] expected {name} above 0 and at most 1, got {value}")


class Step(_FromStart):
    """`start`, multiplied by `gamma` after every period, as torch.optim.lr_scheduler.StepLR.

    Args:
        start: The value at the first step.
        step_size: The period, as a share of training.
        gamma: The factor.
    """

    step_size: float = 0.25
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("gamma")
        self._check_share("step_size")

    def at(self, progress: Array) -> Array:
        """See `Schedule.at`."""
        periods = np.floor(progress / self.step_size + _SLACK)
        value = np.full_like(progress, self.start)
        for passed in range(1, int(periods.max(initial=0)) + 1):
            value[periods >= passed] *= self.gamma
        return value


class MultiStep(_FromStart):
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
        self._check("gamma")
        if not isinstance(self.milestones, (tuple, list)):
            raise TypeError(f"[MultiStep] expected milestones to be a tuple, got {type(self.milestones).__name__}")
        for milestone in self.milestones:
            as_number(milestone, "MultiStep", "milestones", low=0, high=1)

    def at(self, progress: Array) -> Array:
        """See `Schedule.at`."""
        value = np.full_like(progress, self.start)
        for milestone in self.milestones:
            value[progress >= milestone] *= self.gamma
        return value


class Linear(_FromStart):
    """A straight line from `start` to `end`.

    Args:
        start: The value at the first step.
        end: The value after the last.
    """

    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("end")

    def at(self, progress: Array) -> Array:
        """See `Schedule.at`."""
        return self.start + (self.end - self.start) * progress


class Exponential(_FromStart):
    """start gamma^progress, as torch.optim.lr_scheduler.ExponentialLR.

    Args:
        start: The value at the first step.
        gamma: What it is multiplied by in the whole of the training, above 0.
    """

    gamma: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        if as_number(self.gamma, "Exponential", "gamma") <= 0:
            raise ValueError(f"[Exponential] expected gamma above 0, got {self.gamma}")

    def at(self, progress: Array) -> Array:
        """See `Schedule.at`."""
        return self.start * power(np.full_like(progress, self.gamma), progress)


class Polynomial(_FromStart):
    """end + (start - end) (1 - progress)^power, as torch.optim.lr_scheduler.PolynomialLR.

    Args:
        start: The value at the first step.
        end: The value after the last.
        power: 1 for a straight line.
    """

    end: float = 0.0
    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("end", "power")

    def at(self, progress: Array) -> Array:
        """See `Schedule.at`."""
        return self.end + (self.start - self.end) * power(1 - progress, self.power)


class Inverse(_FromStart):
    """start / (1 + decay_rate progress)^power: inverse time decay.

    Args:
        start: The value at the first step.
        decay_rate: 9 for a tenth of `start` after the last step, at power 1.
        power: 0.5 for the inverse square root.
    """

    decay_rate: float = 9.0
    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("decay_rate", "power")

    def at(self, progress: Array) -> Array:
        """See `Schedule.at`."""
        return self.start / power(1 + self.decay_rate * progress, self.power)


class Cosine(_FromStart):
    """Half a cosine wave from `start` to `end`, as torch.optim.lr_scheduler.CosineAnnealingLR.

    Args:
        start: The value at the first step.
        end: The value after the last.
    """

    end: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("end")

    def at(self, progress: Array) -> Array:
        """See `Schedule.at`."""
        return self.end + (self.start - self.end) * _falling(progress)


class CosineRestarts(_FromStart):
    """Half cosine waves from `start` to `end`, one after the other (Loshchilov and Hutter, "SGDR", ICLR 2017).

    As torch.optim.lr_scheduler.CosineAnnealingWarmRestarts.

    Args:
        start: The value at the first step and after every restart.
        end: The value before a restart.
        T_0: Length of the first wave, as a share of training.
        T_mult: Factor by which every wave is longer than the one before it; at least 1.
    """

    end: float = 0.0
    T_0: float = 0.1
    T_mult: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("end")
        self._check("T_mult", low=1)
        self._check_share("T_0")

    def at(self, progress: Array) -> Array:
        """See `Schedule.at`."""
        share, begin, length = progress / self.T_0, self.T_0, self.T_0 * self.T_mult
        end = float(progress.max(initial=0))
        while begin - _SLACK * length <= end:
            here = progress >= begin - _SLACK * length
            share[here] = np.maximum(progress[here] - begin, 0) / length
            begin, length = begin + length, length * self.T_mult
        return self.end + (self.start - self.end) * _falling(share)


class WarmUp(Frozen, Schedule):
    """A straight line up to where another schedule begins, which has the rest of the training.

    As torch.optim.lr_scheduler.SequentialLR of a LinearLR and that schedule.

    Args:
        schedule: What follows: a schedule, or a number that stays.
        share: How much of the training the warm-up takes, from 0 to below 1.
        start_factor: What the first value of `schedule` is multiplied by at the first step.
    """

    schedule: Schedule | float
    share: float = 0.1
    start_factor: float = 1 / 3

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Schedule):
            as_number(self.schedule, "WarmUp", "schedule", low=0)
        as_number(self.share, "WarmUp", "share", low=0, high=1)
        as_number(self.start_factor, "WarmUp", "start_factor", low=0)

    def at(self, progress: Array) -> Array:
        """See `Schedule.at`."""
        after = self.schedule if isinstance(self.schedule, Schedule) else Constant(self.schedule)
        warm = progress < self.share * (1 - _SLACK)
        rest = np.clip((progress - self.share) / (1 - self.share), 0, 1)
        rising = self.start_factor + (1 - self.start_factor) * (progress / self.share if self.share else progress)
        return np.where(warm, after.first * rising, after.at(rest))


class OneCycle(Frozen, Schedule):
    """Up to `max_lr` and down again (Smith and Topin, "Super-convergence", 2017).

    As torch.optim.lr_scheduler.OneCycleLR without its momentum, with phases that end at shares of training: from
    max_lr / div_factor to max_lr until `pct_start`, and on to max_lr / div_factor / final_div_factor at the end.

    Args:
        max_lr: The peak.
        pct_start: Share of training until the peak, between 0 and 1; at most 0.5 with three phases.
        anneal_strategy: "cos" for half cosine waves, "linear" for straight lines.
        div_factor: The peak is so many times the first value.
        final_div_factor: The first value is so many times the last.
        three_phase: Whether to come down to the first value symmetrically before the last phase.
    """

    max_lr: float
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    def __post_init__(self) -> None:
        as_number(self.max_lr, "OneCycle", "max_lr", low=0)
        as_flag(self.three_phase, "OneCycle", "three_phase")
        limit = 0.5 if self.three_phase else 1.0
        if not 0 < as_number(self.pct_start, "OneCycle", "pct_start") < limit:
            raise ValueError(f"[OneCycle] expected pct_start above 0 and below {limit}, got {self.pct_start}")
        if self.anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"[OneCycle] expected anneal_strategy 'cos' or 'linear', got {self.anneal_strategy!r}")
        for name in ("div_factor", "final_div_factor"):
            if as_number(getattr(self, name), "OneCycle", name) <= 0:
                raise ValueError(f"[OneCycle] expected {name} above 0, got {getattr(self, name)}")

    def at(self, progress: Array) -> Array:
        """See `Schedule.at`."""
        initial = self.max_lr / self.div_factor
        ends = [0.0, self.pct_start, *([2 * self.pct_start] if self.three_phase else []), 1.0]
        values = [initial, self.max_lr, *([initial] if self.three_phase else []), initial / self.final_div_factor]
        result = np.empty_like(progress)
        for low, high, start, end in zip(ends, ends[1:], values, values[1:], strict=False):
            share = (progress - low) / (high - low)
            falls = _falling(share) if self.anneal_strategy == "cos" else 1 - share
            np.copyto(result, end + (start - end) * falls, where=progress >= low)
        return result


class CosLog4(Frozen, Schedule):
    """Four waves, each twice as long as the one before it: peak (1 - cos(2 pi log2(1 + 15 progress))) / 2.

    The learning rate of RealMLP (Holzmueller et al., "Better by default", NeurIPS 2024), as pytabkit's "coslog4". It
    starts and ends at 0.

    Args:
        peak: The largest value.
    """

    peak: float

    def __post_init__(self) -> None:
        as_number(self.peak, "CosLog4", "peak", low=0)

    def at(self, progress: Array) -> Array:
        """See `Schedule.at`."""
        octaves = log(1 + 15 * progress) / 0.6931471805599453
        return self.peak * (1 - _falling(2 * octaves))


class FlatCos(_FromStart):
    """`start` for the first half, then half a cosine wave to 0: pytabkit's "flat_cos", of RealMLP.

    Args:
        start: The value of the first half.
    """

    def at(self, progress: Array) -> Array:
        """See `Schedule.at`."""
        return self.start * _falling(np.maximum(2 * progress - 1, 0))


class UserDefined(Frozen, Schedule):
    """A function of one's own.

    Args:
        function: Takes progress, a number from 0 to 1, and returns the value there.
    """

    function: Callable[[float], float]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"[UserDefined] expected a function of progress, got {type(self.function).__name__}")

    def at(self, progress: Array) -> Array:
        """See `Schedule.at`."""
        values = [as_number(self.function(each), "UserDefined", "values") for each in progress.ravel().tolist()]
        return np.array(values, np.float64).reshape(progress.shape)
