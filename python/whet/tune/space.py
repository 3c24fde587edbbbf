"""What a search may choose from: distributions of arguments, and what is drawn from them by seed and index."""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from whet import _core
from whet._checks import as_flag, as_number
from whet._elementary import exp, log

__all__ = ["Distribution", "choice", "integers", "log_uniform", "uniform"]

Params = dict[str, Any]


class Distribution:
    """Values of an argument, and how likely each is. `choice`, `uniform`, `log_uniform` and `integers` make them."""

    def at(self, share: float) -> Any:
        """The value below which this share of all draws lies, from 0 to below 1."""
        raise TypeError(f"[tune] {type(self).__name__} describes no distribution")

    def all(self) -> tuple[Any, ...] | None:
        """All values, in order; None where they cannot be counted."""
        return None

    def suggest(self, trial: Any, name: str) -> Any:
        """A value that a trial of Optuna suggests."""
        raise TypeError(f"[tune] {type(self).__name__} describes no distribution")


@dataclass(frozen=True, repr=False)
class _Choice(Distribution):
    values: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"choice({list(self.values)!r})"

    def at(self, share: float) -> Any:
        return self.values[int(share * len(self.values))]

    def all(self) -> tuple[Any, ...]:
        return self.values

    def suggest(self, trial: Any, name: str) -> Any:
        # Optuna stores numbers and text alone: it chooses among texts, which its own tables then show.
        texts = [str(value) for value in self.values]
        return self.values[texts.index(trial.suggest_categorical(name, texts))]


@dataclass(frozen=True, repr=False)
class _Uniform(Distribution):
    low: float
    high: float
    log: bool = False

    def __repr__(self) -> str:
        return f"{'log_' if self.log else ''}uniform({self.low!r}, {self.high!r})"

    def at(self, share: float) -> float:
        if not self.log:
            return self.low + share * (self.high - self.low)
        # The same bits everywhere, unlike those of a C library.
        low, high = log(np.array([self.low, self.high])).tolist()
        return min(float(exp(np.array([low + share * (high - low)]))[0]), self.high)

    def suggest(self, trial: Any, name: str) -> Any:
        return trial.suggest_float(name, self.low, self.high, log=self.log)


@dataclass(frozen=True, repr=False)
class _Integers(Distribution):
    low: int
    high: int
    log: bool = False

    def __repr__(self) -> str:
        return f"integers({self.low}, {self.high}{', log=True' if self.log else ''})"

    def at(self, share: float) -> int:
        if not self.log:
            return self.low + int(share * (self.high - self.low + 1))
        return min(int(_Uniform(self.low, self.high + 1, log=True).at(share)), self.high)

    def all(self) -> tuple[Any, ...]:
        return tuple(range(self.low, self.high + 1))

    def suggest(self, trial: Any, name: str) -> Any:
        return trial.suggest_int(name, self.low, self.high, log=self.log)


def choice(values: Iterable[Any]) -> Distribution:
    """One of some values, such as (64,) and (128, 128), each as likely as the others.

    Raises:
        TypeError: If `values` is text or cannot be iterated over.
        ValueError: If there is none, or two are written alike.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"[choice] expected a sequence of values, got {values!r}")
    found = tuple(value.item() if isinstance(value, np.generic) else value for value in values)
    if not found or len({str(value) for value in found}) < len(found):
        raise ValueError(f"[choice] expected values that differ, at least one, got {found!r}")
    return _Choice(found)


def uniform(low: float, high: float) -> Distribution:
    """A number from `low` to `high`.

    Raises:
        TypeError: If they are no numbers.
        ValueError: If `low` is not below `high`.
    """
    return _Uniform(*_range("uniform", low, high))


def log_uniform(low: float, high: float) -> Distribution:
    """A number from `low`, above 0, to `high`, whose logarithm is uniform: what is natural for rates and penalties.

    Raises:
        TypeError: If they are no numbers.
        ValueError: If `low` is not above 0 and below `high`.
    """
    if as_number(low, "log_uniform", "low") <= 0:
        raise ValueError(f"[log_uniform] expected low above 0, got {low}")
    return _Uniform(*_range("log_uniform", low, high), log=True)


def integers(low: int, high: int, log: bool = False) -> Distribution:
    """A whole number from `low` to `high`, both among them.

    Args:
        low: The least.
        high: The greatest.
        log: Whether small ones are as likely as if their logarithms were uniform; `low` is then at least 1.

    Raises:
        TypeError: If they are no whole numbers.
        ValueError: If `low` is above `high`.
    """
    for name, value in (("low", low), ("high", high)):
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"[integers] expected {name} to be a whole number, got {value!r}")
    if low > high or (as_flag(log, "integers", "log") and low < 1):
        least = "1 <= low <= high" if log else "low <= high"
        raise ValueError(f"[integers] expected {least}, got {low} and {high}")
    return _Integers(low.__index__(), high.__index__(), log)


def _range(where: str, low: float, high: float) -> tuple[float, float]:
    low, high = as_number(low, where, "low"), as_number(high, where, "high")
    if low >= high:
        raise ValueError(f"[{where}] expected low below high, got {low} and {high}")
    return low, high


@dataclass(frozen=True)
class Space:
    """The arguments that a search sets, by names such as "model.hidden", "optimizer.lr" and "fit.batch_size".

    A name without "optimizer." or "fit." is one of the model; a value that is no distribution stays as it is.
    """

    given: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.given, Mapping) or not self.given:
            raise TypeError(f"[search] expected space to map names to distributions, got {self.given!r}")
        for name in self.given:
            if not isinstance(name, str) or not name.rpartition(".")[2].isidentifier() or name.count(".") > 1:
                raise ValueError(f"[search] expected names such as 'model.hidden' or 'optimizer.lr', got {name!r}")
            if "." in name and name.partition(".")[0] not in ("model", "optimizer", "fit"):
                raise ValueError(f"[search] expected names of model, optimizer or fit, got {name!r}")

    def draw(self, seed: int, index: int) -> Params:
        """What a trial gets: it depends on the seed, the index and the argument's own name and distribution alone."""
        return {
            name: value.at(_share(seed, index, name)) if isinstance(value, Distribution) else value
            for name, value in self.given.items()
        }

    def random(self, seed: int, trials: int) -> list[Params]:
        """So many draws that differ; fewer, if there are no more."""
        most = self.size
        found: dict[str, Params] = {}
        for index in itertools.count():
            if len(found) >= min(trials, most) or index > 100 * trials:
                return list(found.values())
            params = self.draw(seed, index)
            found.setdefault(repr(params), params)
        return []

    def grid(self) -> list[Params]:
        """Every combination; the last name changes fastest."""
        return list(self._combinations())

    @property
    def size(self) -> float:
        """How many combinations there are."""
        return math.prod(
            math.inf if (values := value.all()) is None else len(values)
            for value in self.given.values()
            if isinstance(value, Distribution)
        )

    def _combinations(self) -> Iterator[Params]:
        columns = []
        for name, value in self.given.items():
            values = value.all() if isinstance(value, Distribution) else (value,)
            if values is None:
                raise ValueError(f"[search] expected choices and integers for a grid, got {value!r} as {name!r}")
            columns.append(values)
        for values in itertools.product(*columns):
            yield dict(zip(self.given, values, strict=True))


def _share(seed: int, index: int, name: str) -> float:
    of_name = (seed ^ zlib.crc32(name.encode()) * 0x9E3779B97F4A7C15) % 2**64
    return float(_core.random_uniform(of_name, index, 0.0, 1.0, 1)[0])
