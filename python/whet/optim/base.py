"""What every optimizer has: its numbers, their checks, and what is done to gradients and parameters besides."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field, fields, replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar

from whet._checks import as_count, as_flag, as_number
from whet._frozen import Frozen
from whet.schedules import Schedule

__all__ = ["Assignment", "Number", "Optimizer", "check_patterns"]

#: A number of an optimizer: fixed, or an object of whet.schedules.
Number = float | Schedule

#: Arguments that are pairs, and the names of their numbers in the core.
PAIRS = {
    "betas": ("beta1", "beta2"),
    "etas": ("etaminus", "etaplus"),
    "step_sizes": ("step_size_min", "step_size_max"),
}


class Assignment(Frozen):
    """The numbers of each group of parameters, and which group each parameter is of; -1: it stays as it is."""

    groups: list[dict[str, Number]]
    group_of: list[int]

    def options(self) -> list[list[tuple[str, float]]]:
        """The numbers of each group at the first step."""
        return [[(name, _first(value)) for name, value in group.items()] for group in self.groups]

    def schedules(self) -> list[tuple[int, str, Schedule]]:
        """(group, name, schedule) of each number that changes."""
        return [
            (i, name, value)
            for i, group in enumerate(self.groups)
            for name, value in group.items()
            if isinstance(value, Schedule)
        ]


def check_patterns(where: str, argument: str, patterns: Iterable[str], names: Sequence[str]) -> None:
    """Raises ValueError if there are names and one of the patterns matches none."""
    for pattern in patterns if names else ():
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(
                f"[{where}] expected patterns of {argument} that match some of {', '.join(names)}, got '{pattern}'"
            )


def _first(value: Number) -> float:
    return value.first if isinstance(value, Schedule) else float(value)


class Optimizer(Frozen):
    """How parameters follow their gradients.

    A step takes the mean gradient of its rows and, in this order: centralizes it, adds noise, normalizes it, clips its
    norm, clips its elements, adds the penalties (`l1`, and `weight_decay` where that is one), takes the method's own
    step, limits the rows of the weights, and lets the average follow. A weight is a parameter of two axes or more; its
    rows are what stands along the first.

    Steps are counted for the whole model: a parameter that was frozen for a while goes on with the step of all others,
    where PyTorch counts for each parameter.

    The losses that `fit` and `Trainer.step` report are those of the data: no penalty is part of them.

    Args:
        groups: Numbers of some parameters: {"*.bias": {"weight_decay": 0.0}, "0.*": {"lr": 1e-4}}. The patterns are
            those of fnmatch over the names of `state_dict`; the first that matches counts. Arguments of the method
            and `l1` may be given.
        l1: Strength of the penalty l1 * |p|, whose subgradient joins the gradient.
        clip_norm: A gradient whose norm, over all parameters, is larger is scaled down to it, as by
            torch.nn.utils.clip_grad_norm_. None for no limit.
        clip_value: After that, an element of the gradient further from zero counts as this far. None for no limit.
        centralize: Whether the mean of each row is taken from the gradients of weights (Yong et al., "Gradient
            centralization", ECCV 2020).
        normalize: Whether the gradient is divided by its norm, over all parameters.
        noise: Variance eta of normal noise that is added to gradients, or (eta, gamma): at step t, counted from 0, it
            is eta / (1 + t)^gamma, with gamma 0.55 (Neelakantan et al., "Adding gradient noise improves learning for
            very deep networks", 2015). It depends on the seed, the step and the place of the parameter alone.
        max_norm: A row of a weight that is longer after the step is scaled down to it, as by torch.renorm.
        accumulate: Batches of a step, whose gradient is the mean over all their rows. In `fit`, a step then takes the
            rows of so many batches at once; `Trainer.step` takes a step once it was called so many times.
        ema: Decay of an exponential moving average of the parameters, as torch.optim.swa_utils.get_ema_multi_avg_fn.
            `fit` evaluates the average after each epoch and leaves it in the model when it ends, however it ends;
            `Trainer.evaluate` uses it, and `Trainer.swap_average` exchanges it with the model's parameters.
        swa: Share of training after which the plain mean of the parameters after every step is taken (Izmailov et al.,
            "Averaging weights leads to wider optima and better generalization", UAI 2018); used as `ema` is. For `fit`
            alone: it needs a length.
    """

    name: ClassVar[str]
    #: Whether a step always takes all rows.
    full_batch: ClassVar[bool] = False
    #: Whether the method needs whole parameters, and so is none of whet.ops.update.
    by_parameter: ClassVar[bool] = False
    #: Whether the method itself keeps an average, which is the model.
    averages: ClassVar[bool] = False
    #: Arguments that choose the sweep, and are none of its numbers.
    choices: ClassVar[tuple[str, ...]] = ()
    #: Where an argument's numbers have to lie, the upper end excluded; the others lie from 0 on.
    ranges: ClassVar[dict[str, tuple[float, float]]] = {"betas": (0, 1)}
    _of_groups: ClassVar[Sequence[Optimizer]] = ()  # of an object: one for each of its groups

    groups: Mapping[str, Mapping[str, Any]] | None = field(default=None, kw_only=True)
    l1: Number = field(default=0.0, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)
    centralize: bool = field(default=False, kw_only=True)
    normalize: bool = field(default=False, kw_only=True)
    noise: float | tuple[float, float] | None = field(default=None, kw_only=True)
    max_norm: float | None = field(default=None, kw_only=True)
    accumulate: int = field(default=1, kw_only=True)
    ema: float | None = field(default=None, kw_only=True)
    swa: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        where = type(self).__name__
        for name in ("clip_norm", "clip_value", "max_norm"):
            value = getattr(self, name)
            if value is not None and as_number(value, where, name) <= 0:
                raise ValueError(f"[{where}] expected {name} above 0, got {value}")
        for name, value in {**self._own(), "l1": self.l1}.items():
            low, high = self.ranges.get(name, (0, math.inf))
            if name in PAIRS and (not isinstance(value, (tuple, list)) or len(value) != 2):
                raise TypeError(f"[{where}] expected {name} to be two numbers, got {value!r}")
            if isinstance(getattr(type(self), name, None), bool):
                as_flag(value, where, name)
                continue
            if name in self.choices:
                continue
            for number in value if name in PAIRS else (value,):
                if isinstance(number, Schedule):
                    number.check(where, name, low, high)
                else:
                    as_number(number, where, name, low=low, high=high)
        self._check_shaping(where)
        if self.by_parameter and (isinstance(self.l1, Schedule) or self.l1 != 0):
            raise ValueError(f"[{where}] expected no l1: this method takes none")
        if self.groups is not None:
            groups = self._checked_groups(where)
            vars(self).update(groups=groups, _of_groups=[self._of_group(where, each) for each in groups.values()])

    def _check_shaping(self, where: str) -> None:
        for name in ("centralize", "normalize"):
            as_flag(getattr(self, name), where, name)
        if self.noise is not None:
            pair = self.noise if isinstance(self.noise, (tuple, list)) else (self.noise, 0.55)
            if len(pair) != 2:
                raise TypeError(f"[{where}] expected noise to be eta or (eta, gamma), got {self.noise!r}")
            for number in pair:
                as_number(number, where, "noise", low=0)
        as_count(self.accumulate, where, "accumulate")
        for name in ("ema", "swa"):
            if getattr(self, name) is not None:
                as_number(getattr(self, name), where, name, low=0, high=1)
        if self.ema == 0:
            raise ValueError(f"[{where}] expected ema above 0, got 0")
        if self.ema is not None and self.swa is not None:
            raise ValueError(f"[{where}] expected ema or swa, got both")

    def _checked_groups(self, where: str) -> dict[str, dict[str, Any]]:
        if not isinstance(self.groups, Mapping):
            raise TypeError(f"[{where}] expected groups to map patterns to arguments, got {type(self.groups).__name__}")
        known = [name for name in (*self.arguments(), "l1") if name not in self.choices]
        found: dict[str, dict[str, Any]] = {}
        for pattern, numbers in self.groups.items():
            if not isinstance(pattern, str) or not isinstance(numbers, Mapping):
                raise TypeError(f"[{where}] expected groups to map patterns to arguments, got {pattern!r}: {numbers!r}")
            for name in numbers:
                if name not in known:
                    raise ValueError(f"[{where}] expected numbers of a group among {', '.join(known)}, got '{name}'")
            found[pattern] = dict(numbers)
        return found

    def _of_group(self, where: str, numbers: Mapping[str, Any]) -> Optimizer:
        found = replace(self, groups=None, **numbers)
        if found.kernel != self.kernel:
            raise ValueError(f"[{where}] expected groups that keep what the optimizer keeps, got {dict(numbers)!r}")
        return found

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
        return {
            name: value
            for group in self.assign({}).groups
            for name, value in group.items()
            if isinstance(value, Schedule)
        }

    def check_names(self, names: Sequence[str]) -> None:
        """Raises ValueError if a pattern matches none of these names of parameters."""
        check_patterns(type(self).__name__, "groups", self.groups or (), names)

    def assign(self, shapes: Mapping[str, Sequence[int]], frozen: Collection[str] = ()) -> Assignment:
        """Groups for parameters of these names and shapes; the `frozen` ones stay as they are.

        Raises:
            ValueError: If a pattern matches no name.
        """
        self.check_names(list(shapes))
        group_of = []
        for name in shapes:
            matching = [i + 1 for i, pattern in enumerate(self.groups or ()) if fnmatchcase(name, pattern)]
            group_of.append(-1 if name in frozen else matching[0] if matching else 0)
        return Assignment([{**each.numbers(), "l1": each.l1} for each in (self, *self._of_groups)], group_of)

    def shaping(self) -> dict[str, float]:
        """What is done besides the method's own step, by the names of the core."""
        plain = ("clip_norm", "clip_value", "max_norm", "ema", "centralize", "normalize")
        found = {name: float(getattr(self, name)) for name in plain if getattr(self, name)}
        if self.noise:
            eta, gamma = self.noise if isinstance(self.noise, (tuple, list)) else (self.noise, 0.55)
            found |= {"noise": float(eta), "noise_decay": float(gamma)}
        return {**found, "accumulate": float(self.accumulate)}

    @property
    def follows(self) -> bool:
        """Whether an average of the parameters follows them."""
        return self.ema is not None or self.swa is not None

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
        shared = [each for each in fields(self) if each.kw_only]
        given = {each.name: getattr(self, each.name) for each in shared if getattr(self, each.name) != each.default}
        arguments = ", ".join(f"{name}={value!r}" for name, value in {**self._own(), **given}.items())
        return f"{type(self).__name__}({arguments})"
