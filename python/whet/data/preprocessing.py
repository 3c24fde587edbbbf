"""From a table with gaps and categories to the matrix of float32 that a network takes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from whet.data.columns import Kind, convert
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

__all__ = ["Preprocessor", "match_columns"]

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
        for name, step, kind in (
            ("imputer", imputer, Imputer),
            ("scaler", scaler, Scaler),
            ("category_imputer", category_imputer, CategoryImputer),
            ("encoder", encoder, Encoder),
        ):
            if step is not None and not isinstance(step, kind):
                raise TypeError(f"[data] expected {name} to be a whet.data.{kind.__name__}, got {type(step).__name__}")
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
        data = _dataset(data)
        if not data.columns or not data.rows:
            raise ValueError(
                f"[data] expected at least one row and one feature to fit, got {data.rows} and {data.columns}"
            )
        fitted = copy.deepcopy(self)  # so that an error leaves this one as it was
        fitted._kinds = data.kinds
        if fitted._numbers:
            filled = fitted._imputer.fit(fitted._matrix(data)).transform(fitted._matrix(data))
            if fitted._scaler is not None:
                fitted._scaler.fit(filled[:, : len(fitted._numbers)])
        if fitted._categories:
            cells = fitted._cells(data)
            fitted._encoder.fit(fitted._category_imputer.fit(cells).transform(cells))
            for name, dropped, kept in zip(
                fitted._categories, fitted._encoder.dropped_, fitted._encoder.levels_ or (), strict=True
            ):
                if dropped:
                    warnings.warn(
                        f"column {name!r} has {dropped + len(kept)} categories: "
                        f"the {len(kept)} most frequent are kept, the others are encoded as unknown ones are",
                        WhetWarning,
                        stacklevel=2,
                    )
        self.__dict__ = fitted.__dict__
        return self

    def transform(self, data: Any) -> npt.NDArray[np.float32]:
        """Turn a table with the columns of fit, in any order, into a new C-contiguous matrix (rows, features).

        Raises:
            ValueError: columns that are missing; text in a column of numbers; infinite numbers, or such that are too
                large for float32 once scaled.

        Warns:
            WhetWarning: columns that fit did not see; they are ignored.
        """
        kinds = self.kinds
        data = _dataset(data)
        match_columns(data.names, kinds)
        matrix = np.zeros((data.rows, len(self.feature_names)), np.float32)
        numbers = len(self._numbers) + len(self._imputer.indicated_)
        if self._numbers:
            filled = self._imputer.transform(self._matrix(data))
            if self._scaler is not None:
                filled[:, : len(self._numbers)] = self._scaler.transform(filled[:, : len(self._numbers)])
            with np.errstate(over="ignore"):
                matrix[:, :numbers] = filled
            self._check_finite(matrix[:, : len(self._numbers)], "numbers that fit in float32 once scaled")
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

    @property
    def _numbers(self) -> list[str]:
        return [name for name, kind in self.kinds.items() if kind == "number"]

    @property
    def _categories(self) -> list[str]:
        return [name for name, kind in self.kinds.items() if kind == "category"]

    def _matrix(self, data: Dataset) -> npt.NDArray[np.float64]:
        matrix = np.empty((data.rows, len(self._numbers)))
        for position, name in enumerate(self._numbers):
            matrix[:, position] = convert(data.features[name], "number", name)
        self._check_finite(np.nan_to_num(matrix, nan=0.0, posinf=np.inf, neginf=-np.inf), "finite or missing numbers")
        return matrix

    def _cells(self, data: Dataset) -> npt.NDArray[np.object_]:
        cells = np.empty((data.rows, len(self._categories)), object)
        for position, name in enumerate(self._categories):
            cells[:, position] = convert(data.features[name], "category", name)
        return cells

    def _check_finite(self, matrix: npt.NDArray[Any], what: str) -> None:
        bad = ~np.isfinite(matrix)
        if bad.any():
            row, position = np.argwhere(bad)[0]
            raise ValueError(f"[data] column {self._numbers[position]!r}: expected {what}, got another in row {row}")


def _dataset(data: Any) -> Dataset:
    from whet.data.tables import as_dataset

    return data if isinstance(data, Dataset) else as_dataset(data)


def match_columns(present: Iterable[str], wanted: Iterable[str], ignored: Iterable[str] = ()) -> None:
    """Compare the columns of a table with those that are wanted; those ignored may be there or not.

    Raises:
        ValueError: wanted columns that are not there, named.

    Warns:
        WhetWarning: columns that are neither wanted nor ignored, named.
    """
    there, needed = list(present), list(wanted)
    missing = [name for name in needed if name not in there]
    if missing:
        raise ValueError(f"[data] expected the columns {missing}, which are missing; got {there}")
    extra = [name for name in there if name not in {*needed, *ignored}]
    if extra:
        warnings.warn(f"columns {extra} were not there in training and are ignored", WhetWarning, stacklevel=3)
