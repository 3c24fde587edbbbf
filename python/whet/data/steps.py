"""The steps of preprocessing: what each learns from the training rows, and what it then does to any rows.

A step holds options, given when it is made, and state, whose names end in "_", learned by fit. Both are plain
numbers, text and tuples, so a step is stored as JSON. To add a step: a dataclass here, one word in __all__.
Numbers stand in matrices of shape (rows, columns), float64; categories in arrays of objects of that shape, None where
missing. transform gives a new array and never changes the one it is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from whet import _core
from whet._elementary import normal_quantile
from whet.data.columns import counted, finite_middle, texts

__all__ = [
    "CategoryImputer",
    "Encoder",
    "Imputer",
    "MinMaxScaler",
    "OneHotEncoder",
    "OrdinalEncoder",
    "QuantileScaler",
    "RobustScaler",
    "Scaler",
    "StandardScaler",
]

Matrix = npt.NDArray[np.float64]
Cells = npt.NDArray[np.object_]
S = TypeVar("S", bound="Step")
E = TypeVar("E", bound="Encoder")


class Step:
    """What all steps share: the check that they were fitted, and the way to JSON and back."""

    STATE: ClassVar[str]  # the part of the state whose absence tells that fit was not called

    def describe(self) -> dict[str, Any]:
        """Give the options and the state as numbers, text, tuples and None, under their names."""
        return {"step": type(self).__name__} | {
            item.name: getattr(self, item.name)
            for item in fields(self)  # type: ignore[arg-type]
        }

    @classmethod
    def from_description(cls: type[S], description: Mapping[str, Any]) -> S:
        """Make the step that describe told of.

        Raises:
            ValueError: the description of something else.
        """
        names = {item.name: item.init for item in fields(cls)}  # type: ignore[arg-type]
        if description.get("step") != cls.__name__ or set(description) != {"step", *names}:
            raise ValueError(f"[data] expected the description of a {cls.__name__}, got {sorted(description)}")
        step = cls(**{name: _frozen(description[name]) for name, option in names.items() if option})
        for name, option in names.items():
            if not option:
                setattr(step, name, _frozen(description[name]))
        return step

    def _fitted(self) -> Any:
        state = getattr(self, self.STATE)
        if state is None:
            raise RuntimeError(f"[data] {type(self).__name__} is not fitted: call fit first")
        return state


@dataclass
class Imputer(Step):
    """Fills in missing numbers, by default with a column of 0 and 1 for each column that had some, telling where.

    Args:
        strategy: "median" or "mean" of the column's training rows; 0 where all of them are missing.
        indicator: whether to append those columns.
    """

    STATE = "fill_"

    strategy: Literal["median", "mean"] = "median"
    indicator: bool = True
    fill_: tuple[float, ...] | None = field(default=None, init=False)
    indicated_: tuple[int, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        _one_of("strategy", self.strategy, ("median", "mean"))

    def fit(self, numbers: npt.ArrayLike) -> Imputer:
        """Learn the fillings, and which columns have missing numbers (beside others: only then is it a signal)."""
        matrix = _matrix(numbers, fitting=True)
        middle = np.median if self.strategy == "median" else np.mean
        missing = np.isnan(matrix)
        fill = [
            0.0 if gaps.all() else finite_middle(middle, column[~gaps])
            for column, gaps in zip(matrix.T, missing.T, strict=True)
        ]
        some = missing.any(axis=0) & ~missing.all(axis=0)
        self.fill_, self.indicated_ = tuple(fill), tuple(np.flatnonzero(some).tolist()) if self.indicator else ()
        return self

    def transform(self, numbers: npt.ArrayLike) -> Matrix:
        """Fill in, and append the indicators: shape (rows, columns + indicators)."""
        fill = np.array(self._fitted())
        matrix = _matrix(numbers, columns=len(fill))
        missing = np.isnan(matrix)
        return np.concatenate([np.where(missing, fill, matrix), missing[:, list(self.indicated_)]], axis=1)


class Scaler(Step):
    """Brings the columns of numbers to one scale: what a Preprocessor takes as its scaler."""

    def fit(self: S, numbers: npt.ArrayLike) -> S:
        """Learn from training rows."""
        raise TypeError(
            "[data] Scaler is a base class: use StandardScaler, MinMaxScaler, RobustScaler or QuantileScaler"
        )

    def transform(self, numbers: npt.ArrayLike) -> Matrix:
        """Scale: shape (rows, columns)."""
        raise TypeError("[data] Scaler is a base class")

    def inverse(self, scaled: npt.ArrayLike) -> Matrix:
        """Go back from scaled numbers to the original ones: shape (rows, columns)."""
        raise TypeError("[data] Scaler is a base class")


@dataclass
class _LinearScaler(Scaler):
    """Subtracts a centre from each column and divides by a scale; a scale of 0 (a constant column) counts as 1."""

    STATE = "center_"

    center_: tuple[float, ...] | None = field(default=None, init=False)
    scale_: tuple[float, ...] | None = field(default=None, init=False)

    def fit(self: S, numbers: npt.ArrayLike) -> S:
        """Learn centre and scale of each column.

        Raises:
            ValueError: missing or infinite numbers, or such large ones that the scale is infinite; no rows.
        """
        matrix = _matrix(numbers, fitting=True, finite=True)
        with np.errstate(over="ignore", invalid="ignore"):
            self._keep(*self._learn(matrix))  # type: ignore[attr-defined]
        return self

    def _keep(self, center: Matrix, scale: Matrix) -> None:
        """Take centre and scale of each column as learned."""
        broken = ~(np.isfinite(center) & np.isfinite(scale))
        if broken.any():
            raise ValueError(f"[data] column {int(broken.argmax())}: expected numbers whose spread fits in float64")
        # A spread that is nothing but rounding would blow up noise, and a subnormal one would overflow.
        constant = scale <= np.maximum(10 * np.finfo(np.float64).eps * np.abs(center), np.finfo(np.float64).tiny)
        self.center_ = tuple(center.tolist())
        self.scale_ = tuple(np.where(constant, 1.0, scale).tolist())

    def transform(self, numbers: npt.ArrayLike) -> Matrix:
        """Scale: shape (rows, columns)."""
        center = np.array(self._fitted())
        with np.errstate(over="ignore"):
            scaled: Matrix = (_matrix(numbers, columns=len(center), finite=True) - center) / np.array(self.scale_)
        return scaled

    def inverse(self, scaled: npt.ArrayLike) -> Matrix:
        """Go back from scaled numbers to the original ones: shape (rows, columns)."""
        center = np.array(self._fitted())
        matrix: Matrix = _matrix(scaled, columns=len(center)) * np.array(self.scale_) + center
        return matrix

    def _learn(self, matrix: Matrix) -> tuple[Matrix, Matrix]:
        raise TypeError("[data] a scaler learns a centre and a scale")


@dataclass
class StandardScaler(_LinearScaler):
    """Scales to mean 0 and standard deviation 1 (that of the population, as in scikit-learn)."""

    def _learn(self, matrix: Matrix) -> tuple[Matrix, Matrix]:
        return matrix.mean(axis=0), matrix.std(axis=0)


@dataclass
class MinMaxScaler(_LinearScaler):
    """Scales the training rows to [0, 1]; other rows may fall outside."""

    def _learn(self, matrix: Matrix) -> tuple[Matrix, Matrix]:
        low = matrix.min(axis=0)
        return low, matrix.max(axis=0) - low


@dataclass
class RobustScaler(_LinearScaler):
    """Scales to median 0 and interquartile range 1, then bends z to z / sqrt(1 + (z / clip)^2), within (-clip, clip).

    Columns whose quartiles are equal are scaled by half their range. This is the preprocessing of RealMLP,
    arXiv 2407.04491.

    Args:
        clip: the limit, or None for no bending.
    """

    clip: float | None = 3.0

    def __post_init__(self) -> None:
        if self.clip is not None and not 0 < self.clip < np.inf:
            raise ValueError(f"[data] expected a positive clip or None, got {self.clip}")

    def transform(self, numbers: npt.ArrayLike) -> Matrix:
        """Scale and bend: shape (rows, columns)."""
        scaled = super().transform(numbers)
        # hypot, as the square of a far outlier would overflow
        return scaled if self.clip is None else scaled / np.hypot(1, scaled / self.clip)

    def inverse(self, scaled: npt.ArrayLike) -> Matrix:
        """Go back from scaled numbers, which must lie within the clip, to the original ones: shape (rows, columns)."""
        matrix = np.asarray(scaled, np.float64)
        if self.clip is None:
            return super().inverse(matrix)
        share = matrix / self.clip
        if not (np.abs(share) < 1).all():
            raise ValueError(f"[data] expected scaled numbers within (-{self.clip}, {self.clip})")
        return super().inverse(matrix / np.sqrt(1 - share**2))

    def _learn(self, matrix: Matrix) -> tuple[Matrix, Matrix]:
        first, median, third = np.quantile(matrix, (0.25, 0.5, 0.75), axis=0)
        return median, np.where(third > first, third - first, (matrix.max(axis=0) - matrix.min(axis=0)) / 2)


@dataclass
class QuantileScaler(Scaler):
    """Maps each column to a normal distribution: to the quantile of the share of training rows that lie below.

    As scikit-learn's QuantileTransformer with output_distribution="normal", of the training rows with a little noise,
    which parts equal numbers: the preprocessing of TabM, arXiv 2410.24210. Numbers at the ends of the training rows and
    beyond become -5.2 and 5.2; a constant column without noise becomes 0.

    Args:
        n_quantiles: how many quantiles of a column are kept, those between them interpolated; None for one in 30 rows,
            but at least 10 and at most 1000. Never more than the rows.
        noise: standard deviation, in the column's own unit, of the normal noise on the numbers that fit sees; 0 for
            none. transform adds none.
        seed: of the noise.
    """

    STATE = "quantiles_"
    LEAST: ClassVar[float] = 1e-7 - float(np.spacing(1.0))  # the least share, in scikit-learn as here

    n_quantiles: int | None = None
    noise: float = 1e-5
    seed: int = 0
    quantiles_: tuple[tuple[float, ...], ...] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.n_quantiles is not None and self.n_quantiles < 2:
            raise ValueError(f"[data] expected n_quantiles of at least 2 or None, got {self.n_quantiles}")
        if not 0 <= self.noise < np.inf:
            raise ValueError(f"[data] expected noise of at least 0, got {self.noise}")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"[data] expected a seed from 0 to 2**64 - 1, got {self.seed}")

    def fit(self, numbers: npt.ArrayLike) -> QuantileScaler:
        """Learn the quantiles of each column.

        Raises:
            ValueError: missing or infinite numbers, or such large ones that they have no quantiles; no rows.
        """
        matrix = _matrix(numbers, fitting=True, finite=True)
        rows = len(matrix)
        count = max(min(rows // 30, 1000), 10) if self.n_quantiles is None else self.n_quantiles
        shares = np.linspace(0, 1, min(count, rows))
        learned = []
        for position, column in enumerate(matrix.T):
            noisy = column + _core.random_normal(self.seed, position, 0.0, self.noise, rows) if self.noise else column
            with np.errstate(over="ignore", invalid="ignore"):
                # Interpolation may round a quantile below the one before it.
                quantiles = np.maximum.accumulate(np.quantile(noisy, shares))
            if not np.isfinite(quantiles).all():
                raise ValueError(f"[data] column {position}: expected numbers whose spread fits in float64")
            learned.append(tuple(quantiles.tolist()))
        self.quantiles_ = tuple(learned)
        return self

    def transform(self, numbers: npt.ArrayLike) -> Matrix:
        """Map to the normal distribution: shape (rows, columns)."""
        quantiles = self._fitted()
        matrix = _matrix(numbers, columns=len(quantiles), finite=True)
        shares = np.empty_like(matrix)
        for position, edges in enumerate(map(np.array, quantiles)):
            shares[:, position] = _share_below(matrix[:, position], edges)
        return normal_quantile(np.clip(shares, self.LEAST, 1 - self.LEAST))

    def inverse(self, scaled: npt.ArrayLike) -> Matrix:
        """Go back from scaled numbers to the original ones, or to the ends of the training rows: (rows, columns)."""
        quantiles = self._fitted()
        matrix = _matrix(scaled, columns=len(quantiles), finite=True)
        found = np.empty_like(matrix)
        for position, edges in enumerate(quantiles):
            below = [math.erfc(-number / math.sqrt(2)) / 2 for number in matrix[:, position].tolist()]
            found[:, position] = np.interp(below, np.linspace(0, 1, len(edges)), edges)
        return found


@dataclass
class CategoryImputer(Step):
    """Fills in missing categories.

    Args:
        strategy: "own" makes missing a category of its own, "(missing)"; "most_frequent" takes the column's most
            frequent one (the first in sorted order of several).
    """

    STATE = "fill_"
    OWN: ClassVar[str] = "(missing)"

    strategy: Literal["own", "most_frequent"] = "own"
    fill_: tuple[str, ...] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        _one_of("strategy", self.strategy, ("own", "most_frequent"))

    def fit(self, categories: npt.ArrayLike) -> CategoryImputer:
        """Learn what to fill in."""
        self._keep([counted(column) for column in _cells(categories, fitting=True).T])
        return self

    def _keep(self, counts: Sequence[Mapping[str, int]]) -> None:
        """Take the categories of each column, the most frequent first, as learned."""
        ranked = [list(each) if self.strategy == "most_frequent" else [] for each in counts]
        self.fill_ = tuple(levels[0] if levels else self.OWN for levels in ranked)

    def transform(self, categories: npt.ArrayLike) -> Cells:
        """Fill in: text, shape (rows, columns)."""
        fill = self._fitted()
        filled: Cells = _cells(categories, columns=len(fill)).copy()
        for position, column in enumerate(filled.T):
            column[:] = [fill[position] if cell is None else cell for cell in texts(column)]
        return filled


@dataclass
class Encoder(Step):
    """Turns categories into numbers: what a Preprocessor takes as its encoder."""

    STATE = "levels_"

    max_categories: int | None = None
    levels_: tuple[tuple[str, ...], ...] | None = field(default=None, init=False)
    dropped_: tuple[int, ...] = field(default=(), init=False)  # how many categories of each column were not kept

    def __post_init__(self) -> None:
        if self.max_categories is not None and self.max_categories < 1:
            raise ValueError(f"[data] expected max_categories of at least 1 or None, got {self.max_categories}")

    def fit(self: E, categories: npt.ArrayLike) -> E:
        """Learn the categories of each column."""
        self._keep([counted(column) for column in _cells(categories, fitting=True).T])
        return self

    def _keep(self, counts: Sequence[Mapping[str, int]]) -> None:
        """Take the categories of each column, the most frequent first, as learned."""
        ranked = [list(each) for each in counts]
        vars(self).pop("_places", None)
        self.levels_ = tuple(tuple(sorted(levels[: self.max_categories])) for levels in ranked)
        self.dropped_ = tuple(len(levels) - len(kept) for levels, kept in zip(ranked, self.levels_, strict=True))

    def codes(self, categories: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Number the categories of each column in sorted order, from 0; all others have the number after the last.

        Returns:
            Shape (rows, columns).
        """
        places = self._places
        cells = _cells(categories, columns=len(places))
        found = np.empty(cells.shape, np.int64)
        for position, place in enumerate(places):
            found[:, position] = [place.get(cell, len(place)) for cell in texts(cells[:, position])]
        return found

    @cached_property
    def _places(self) -> tuple[dict[str | None, int], ...]:
        """The number of each category."""
        return tuple({level: code for code, level in enumerate(kept)} for kept in self._fitted())

    def transform(self, categories: npt.ArrayLike) -> Matrix:
        """Encode."""
        raise TypeError("[data] Encoder is a base class: use OneHotEncoder or OrdinalEncoder")

    def names(self, columns: Sequence[str]) -> list[str]:
        """Name the encoded columns."""
        raise TypeError("[data] Encoder is a base class: use OneHotEncoder or OrdinalEncoder")

    @property
    def widths(self) -> tuple[int, ...]:
        """How many encoded columns each column has."""
        return (1,) * len(self._fitted())


@dataclass
class OneHotEncoder(Encoder):
    """Turns each category into a column of 0 and 1.

    A category that was not among the training rows, or too rare there, is all zeros.

    Args:
        max_categories: how many categories of a column are kept, the most frequent ones; None for all.
    """

    max_categories: int | None = 64

    def transform(self, categories: npt.ArrayLike) -> Matrix:
        """Encode: shape (rows, categories of all columns)."""
        codes, widths = self.codes(categories), np.array(self.widths, np.int64)
        ends = widths.cumsum()
        total = int(widths.sum())
        encoded = np.zeros((len(codes), total + 1))  # the last column is for categories that are not known
        columns = np.where(codes < widths, codes + (ends - widths), total)
        encoded[np.arange(len(codes))[:, np.newaxis], columns] = 1.0
        return encoded[:, :total]

    def names(self, columns: Sequence[str]) -> list[str]:
        """Name the encoded columns, "column=category"."""
        return [f"{name}={level}" for name, kept in zip(columns, self._fitted(), strict=True) for level in kept]

    @property
    def widths(self) -> tuple[int, ...]:
        """How many encoded columns each column has: one for each category."""
        return tuple(len(kept) for kept in self._fitted())


@dataclass
class OrdinalEncoder(Encoder):
    """Numbers the categories of each column, in sorted order from 0, as an nn.Embedding takes them.

    A category that was not among the training rows, or too rare there, has the number after the last, and so has a
    missing one where no CategoryImputer made it a category of its own.

    Args:
        max_categories: how many categories of a column are kept, the most frequent ones; None for all.
    """

    def transform(self, categories: npt.ArrayLike) -> Matrix:
        """Encode: shape (rows, columns)."""
        return self.codes(categories).astype(np.float64)

    def names(self, columns: Sequence[str]) -> list[str]:
        """Name the encoded columns as they are."""
        return list(columns)

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """How many numbers each column has, that of all other categories included: rows of its nn.Embedding."""
        return tuple(len(kept) + 1 for kept in self._fitted())


def _one_of(what: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"[data] expected {what} {' or '.join(map(repr, choices))}, got {value!r}")


def _frozen(value: Any) -> Any:
    """Turn JSON's lists back into tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, (list, tuple)) else value


def _share_below(column: Matrix, edges: Matrix) -> Matrix:
    """Interpolate the share of rows below, from quantiles at even shares: where several are equal, between theirs."""
    if edges[0] == edges[-1]:
        return np.where(column == edges[0], 0.5, column > edges[0])
    shares = np.linspace(0, 1, len(edges))
    found = 0.5 * (np.interp(column, edges, shares) - np.interp(-column, -edges[::-1], -shares[::-1]))
    found[column >= edges[-1]] = 1.0
    found[column <= edges[0]] = 0.0
    return found


def _matrix(
    numbers: npt.ArrayLike, *, columns: int | None = None, fitting: bool = False, finite: bool = False
) -> Matrix:
    try:
        matrix = np.asarray(numbers, np.float64)
    except (TypeError, ValueError):
        raise TypeError("[data] expected a matrix of numbers, got other cells or rows of several lengths") from None
    _check_shape(matrix.shape, columns, fitting)
    bad = ~np.isfinite(matrix) if finite else np.isinf(matrix)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        what = "finite numbers" if finite else "finite or missing numbers"
        raise ValueError(f"[data] expected {what}, got another in row {row}, column {column}")
    return matrix


def _cells(categories: npt.ArrayLike, *, columns: int | None = None, fitting: bool = False) -> Cells:
    cells = np.asarray(categories, object)
    _check_shape(cells.shape, columns, fitting)
    return cells


def _check_shape(shape: tuple[int, ...], columns: int | None, fitting: bool) -> None:
    wanted = "columns" if columns is None else columns
    if len(shape) != 2 or (columns is not None and shape[1] != columns):
        raise ValueError(f"[data] expected shape (rows, {wanted}), got {shape}")
    if fitting and not shape[0]:
        raise ValueError("[data] expected at least one row to fit, got none")
