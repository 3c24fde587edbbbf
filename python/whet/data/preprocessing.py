"""From a table with gaps and categories to the matrix of float32 that a network takes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from whet.data.columns import Kind, convert, ranked
from whet.data.dataset import Dataset
from whet.data.steps import (
    CategoryImputer,
    Encoder,
    Imputer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileScaler,
    RobustScaler,
    Scaler,
    StandardScaler,
)
from whet.errors import WhetWarning

if TYPE_CHECKING:
    from whet.data.streams.learning import Seen

__all__ = ["Preprocessor", "dataset_of", "match_columns"]

_SCALERS: dict[str, type[Scaler]] = {
    step.__name__: step for step in (StandardScaler, MinMaxScaler, RobustScaler, QuantileScaler)
}
_ENCODERS: dict[str, type[Encoder]] = {step.__name__: step for step in (OneHotEncoder, OrdinalEncoder)}


class Preprocessor:
    """Fills gaps, scales numbers and encodes categories, with what it learned from the training rows alone.

    The matrix has first the numbers, then the imputer's indicators, then the encoded categories; feature_names tells.
    A category that the training rows did not have becomes all zeros, or with OrdinalEncoder a number of its own.

    Args:
        imputer: of numbers, Imputer() by default.
        scaler: of numbers, RobustScaler() by default; None leaves them as they are.
        category_imputer: CategoryImputer() by default.
        encoder: of categories, OneHotEncoder() by default; OrdinalEncoder() numbers them for an nn.Embedding, with as
            many rows as `cardinalities` says.

    The steps are copied, so one may be given to several preprocessors.
    """

    def __init__(
        self,
        *,
        imputer: Imputer | None = None,
        scaler: Scaler | str | None = "RobustScaler",
        category_imputer: CategoryImputer | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        if isinstance(scaler, str):
            if scaler not in _SCALERS:
                raise ValueError(f"[data] expected a scaler among {list(_SCALERS)}, got {scaler!r}")
            scaler = _SCALERS[scaler]()
        for name, step, kind, known in (
            ("imputer", imputer, Imputer, [Imputer.__name__]),
            ("scaler", scaler, Scaler, list(_SCALERS)),
            ("category_imputer", category_imputer, CategoryImputer, [CategoryImputer.__name__]),
            ("encoder", encoder, Encoder, list(_ENCODERS)),
        ):
            if step is not None and not isinstance(step, kind):
                given = f"{step.__name__} itself: make one" if isinstance(step, type) else type(step).__name__
                raise TypeError(f"[data] expected {name} to be an object of {' or '.join(known)}, got {given}")
        self._imputer = copy.copy(imputer) if imputer is not None else Imputer()
        self._scaler = copy.copy(scaler)
        self._category_imputer = copy.copy(category_imputer) if category_imputer is not None else CategoryImputer()
        self._encoder = copy.copy(encoder) if encoder is not None else OneHotEncoder()
        self._kinds: dict[str, Kind] | None = None

    def fit(self, data: Any) -> Preprocessor:
        """Learn from the features of the training rows; the labels of a Dataset are not looked at.

        Args:
            data: a Dataset, or another table as whet.data.as_dataset takes it, all of whose columns are features.

        Raises:
            ValueError: no rows or no features, or infinite numbers, named by their column and first row.

        Warns:
            WhetWarning: categories that were too many to keep.
        """
        data = dataset_of(data)
        if not data.columns or not data.rows:
            raise ValueError(
                f"[data] expected at least one row and one feature to fit, got {data.rows} and {data.columns}"
            )
        fitted = self._for(data.kinds)
        if fitted._numbers:
            filled = fitted._imputer.fit(fitted._matrix(data)).transform(fitted._matrix(data))
            if fitted._scaler is not None:
                fitted._scaler.fit(filled[:, : len(fitted._numbers)])
        if fitted._categories:
            cells = fitted._cells(data)
            fitted._encoder.fit(fitted._category_imputer.fit(cells).transform(cells))
            fitted._warn_of_dropped()
        self.__dict__ = fitted.__dict__
        return self

    def _fit_seen(self, seen: Seen) -> Preprocessor:
        """Learn from the features of a stream: medians, quartiles and quantiles from its sample, all else exactly."""
        fitted = self._for(seen.kinds)
        if fitted._numbers:
            fitted._learn_numbers(seen)
        if fitted._categories:
            imputer = fitted._category_imputer
            imputer._keep([ranked(counts) for counts in seen.counts.values()])
            for name, fill in zip(fitted._categories, imputer.fill_ or (), strict=True):
                if seen.gaps[name]:
                    seen.counts[name][fill] += seen.gaps[name]
            fitted._encoder._keep([ranked(counts) for counts in seen.counts.values()])
            fitted._warn_of_dropped()
        self.__dict__ = fitted.__dict__
        return self

    def _for(self, kinds: Mapping[str, Kind]) -> Preprocessor:
        """Make one with copies of the steps to learn these columns, so that an error leaves this one as it was."""
        made = Preprocessor(
            imputer=self._imputer,
            scaler=self._scaler,
            category_imputer=self._category_imputer,
            encoder=self._encoder,
        )
        made._kinds = dict(kinds)
        return made

    def _learn_numbers(self, seen: Seen) -> None:
        sample, moments = seen.sample.rows(), seen.moments
        imputer = self._imputer.fit(sample)
        some = (moments.missing > 0) & (moments.there > 0)
        imputer.indicated_ = tuple(np.flatnonzero(some).tolist()) if imputer.indicator else ()
        if imputer.strategy == "mean":
            imputer.fill_ = tuple(moments.mean.tolist())
        fill = np.array(imputer.fill_)
        filled = moments.filled(fill)
        if isinstance(self._scaler, StandardScaler):
            self._scaler._keep(filled.mean, filled.deviation)
        elif isinstance(self._scaler, MinMaxScaler):
            self._scaler._keep(filled.low, filled.high - filled.low)
        elif self._scaler is not None:
            self._scaler.fit(np.where(np.isnan(sample), fill, sample))

    def _warn_of_dropped(self) -> None:
        for name, dropped, kept in zip(
            self._categories, self._encoder.dropped_, self._encoder.levels_ or (), strict=True
        ):
            if dropped:
                warnings.warn(
                    f"column {name!r} has {dropped + len(kept)} categories: "
                    f"the {len(kept)} most frequent are kept, the others are encoded as unknown ones are",
                    WhetWarning,
                    stacklevel=3,
                )

    def transform(self, data: Any) -> npt.NDArray[np.float32]:
        """Turn a table with the columns of fit, in any order, into a new C-contiguous matrix (rows, features).

        Raises:
            ValueError: columns that are missing; text in a column of numbers; infinite numbers, or such that are too
                large for float32 once scaled.

        Warns:
            WhetWarning: columns that fit did not see; they are ignored.
        """
        kinds = self.kinds
        data = dataset_of(data)
        match_columns(data.names, kinds)
        numbers = len(self._numbers) + len(self._imputer.indicated_)
        encoded = sum(self._encoder.widths) if self._categories else 0
        matrix = np.zeros((data.rows, numbers + encoded), np.float32)
        if self._numbers:
            filled = self._imputer.transform(self._matrix(data))
            if self._scaler is not None:
                filled[:, : len(self._numbers)] = self._scaler.transform(filled[:, : len(self._numbers)])
            with np.errstate(over="ignore"):
                matrix[:, :numbers] = filled
            self._refuse(~np.isfinite(matrix[:, : len(self._numbers)]), "numbers that fit in float32 once scaled")
        if self._categories:
            matrix[:, numbers:] = self._encoder.transform(self._category_imputer.transform(self._cells(data)))
        return matrix

    @property
    def kinds(self) -> dict[str, Kind]:
        """The columns that fit saw, in their order, and what they hold.

        Raises:
            RuntimeError: fit was not called.
        """
        if self._kinds is None:
            raise RuntimeError("[data] Preprocessor is not fitted: call fit first")
        return dict(self._kinds)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the matrix's columns."""
        encoded = self._encoder.names(self._categories) if self._categories else ()
        return (
            *self._numbers,
            *(f"{self._numbers[position]} is missing" for position in self._imputer.indicated_),
            *encoded,
        )

    @property
    def feature_columns(self) -> tuple[str, ...]:
        """The column of the table that each of the matrix's columns comes from."""
        encoded = zip(self._categories, self._encoder.widths, strict=True) if self._categories else ()
        return (
            *self._numbers,
            *(self._numbers[position] for position in self._imputer.indicated_),
            *(name for name, width in encoded for _ in range(width)),
        )

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """How many numbers each column of categories has with OrdinalEncoder, in the order of the matrix; else none."""
        encoder = self._encoder
        return encoder.cardinalities if isinstance(encoder, OrdinalEncoder) and self._categories else ()

    def describe(self) -> dict[str, Any]:
        """Give the steps and all they learned as numbers, text, lists and None, for JSON."""
        return {
            "columns": [[name, kind] for name, kind in self.kinds.items()],
            "imputer": self._imputer.describe(),
            "scaler": None if self._scaler is None else self._scaler.describe(),
            "category_imputer": self._category_imputer.describe(),
            "encoder": self._encoder.describe(),
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> Preprocessor:
        """Make the fitted preprocessor that describe told of.

        Raises:
            KeyError, ValueError: the description of something else.
        """
        scaler, encoder = description["scaler"], description["encoder"]
        made = cls(
            imputer=Imputer.from_description(description["imputer"]),
            scaler=None if scaler is None else _SCALERS[scaler["step"]].from_description(scaler),
            category_imputer=CategoryImputer.from_description(description["category_imputer"]),
            encoder=_ENCODERS[encoder["step"]].from_description(encoder),
        )
        made._kinds = dict(description["columns"])
        return made

    def __repr__(self) -> str:
        steps = {"imputer": self._imputer, "scaler": self._scaler}
        if self._kinds is None:
            return f"Preprocessor({', '.join(f'{name}={type(step).__name__}' for name, step in steps.items())})"
        return f"Preprocessor({len(self._kinds)} columns to {len(self.feature_names)} features)"

    @cached_property
    def _numbers(self) -> list[str]:
        return [name for name, kind in self.kinds.items() if kind == "number"]

    @cached_property
    def _categories(self) -> list[str]:
        return [name for name, kind in self.kinds.items() if kind == "category"]

    def _matrix(self, data: Dataset) -> npt.NDArray[np.float64]:
        matrix, columns = np.empty((data.rows, len(self._numbers))), data.features
        for position, name in enumerate(self._numbers):
            matrix[:, position] = convert(columns[name], "number", name)
        self._refuse(np.isinf(matrix), "finite or missing numbers")
        return matrix

    def _cells(self, data: Dataset) -> npt.NDArray[np.object_]:
        cells, columns = np.empty((data.rows, len(self._categories)), object), data.features
        for position, name in enumerate(self._categories):
            cells[:, position] = convert(columns[name], "category", name)
        return cells

    def _refuse(self, bad: npt.NDArray[np.bool_], what: str) -> None:
        if bad.any():
            row, position = np.argwhere(bad)[0]
            raise ValueError(f"[data] column {self._numbers[position]!r}: expected {what}, got another in row {row}")


def dataset_of(data: Any) -> Dataset:
    """A Dataset as it is, with its target; of another table, a Dataset without."""
    from whet.data.tables import as_dataset

    return data if isinstance(data, Dataset) else as_dataset(data)


def match_columns(present: Iterable[str], wanted: Iterable[str], ignored: Iterable[str] = ()) -> None:
    """Compare the columns of a table with those that are wanted; those ignored may be there or not.

    Raises:
        ValueError: wanted columns that are not there, named.

    Warns:
        WhetWarning: columns that are neither wanted nor ignored, named.
    """
    there, needed = dict.fromkeys(present), dict.fromkeys(wanted)
    missing = [name for name in needed if name not in there]
    if missing:
        raise ValueError(f"[data] expected the columns {missing}, which are missing; got {list(there)}")
    known = {*needed, *ignored}
    extra = [name for name in there if name not in known]
    if extra:
        warnings.warn(f"columns {extra} were not there in training and are ignored", WhetWarning, stacklevel=3)
