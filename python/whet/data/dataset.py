"""A table in memory: named columns of features and, where there is one, a column of labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from whet._borrowed import borrowed, is_array
from whet.data.columns import (
    Column,
    Kind,
    as_column,
    checked_kinds,
    columns_of,
    convert,
    is_missing,
    is_records,
    kind_of,
    label,
)

if TYPE_CHECKING:
    from whet.data.description import Description

__all__ = ["Dataset"]


class Dataset:
    """A table whose columns are numbers (NaN where missing) or categories (None where missing).

    Arrays of numbers are borrowed, not copied, and never changed; what a Dataset gives out is read-only.

    Args:
        features: a mapping from names to (rows,) columns; a list of records, which are mappings from names to cells,
            and where a name is not in all of them, cells are missing; an array of shape (rows, columns), of NumPy or
            with DLPack or a buffer, or one of shape (rows,) with named fields.
        labels: a column of shape (rows,), or None.
        names: the names of an array's columns, or which columns of a mapping to take; "x0", "x1", ... by default.
        kinds: "number" or "category" for columns whose kind should not follow from their cells.
        target: the name of the labels, "target" by default.

    Raises:
        TypeError: cells that are neither numbers, text, booleans nor dates.
        ValueError: columns of unequal length, names that appear twice or do not fit the columns.

    >>> Dataset({"size": [1.0, 2.0], "color": ["red", None]}, labels=[0, 1])
    Dataset(2 rows, 1 number, 1 category, 1 missing cell, target 'target')
    """

    def __init__(
        self,
        features: Mapping[str, npt.ArrayLike] | Sequence[Mapping[str, Any]] | npt.ArrayLike,
        labels: npt.ArrayLike | None = None,
        *,
        names: Sequence[str] | None = None,
        kinds: Mapping[str, Kind] | None = None,
        target: str | None = None,
    ) -> None:
        columns = _converted(_columns(features, names), kinds)
        self._target: str | None = None
        self._labels: Column | None = None
        if labels is not None:
            self._target = "target" if target is None else label(target)
            if self._target in columns:
                raise ValueError(f"[data] the target {self._target!r} is one of the features")
            column = as_column(labels, self._target)
            kind = (kinds or {}).get(self._target, kind_of(column))
            self._labels = _view(convert(column, kind, self._target))
        self._features = {name: _view(column) for name, column in columns.items()}
        self._rows = _common_rows(self._features, self._target, self._labels)

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        target: str | None = None,
        *,
        columns: Iterable[str] | None = None,
        kinds: Mapping[str, Kind] | None = None,
    ) -> Dataset:
        """Read a pandas, Polars, PyArrow or DuckDB table, or whatever else narwhals or Arrow's C interface knows.

        Columns of numbers are borrowed where the library holds them as NumPy would, and copied once where it does not,
        as those with gaps. Dates, time stamps, durations and times of day become days, see whet.data.

        Args:
            frame: the table.
            target: the column that holds the labels.
            columns: the columns to read, all by default.
            kinds: "number" or "category" for columns whose kind should not follow from their type.

        Raises:
            TypeError: something that is no table, or a column of lists, structs or bytes.
            ValueError: a column that is not there, or a name that appears twice.
        """
        from whet.data.sources.frames import frame_columns

        features = _converted(frame_columns(frame, columns), kinds)
        table = cls._made(features, None, None, _common_rows(features, None, None))
        return table if target is None else table.with_target(target)

    @property
    def features(self) -> Mapping[str, Column]:
        """The columns by name: float or integer arrays, or arrays of objects for categories; shape (rows,) each."""
        return MappingProxyType(self._features)

    @property
    def labels(self) -> Column | None:
        """The labels, shape (rows,), or None."""
        return self._labels

    @property
    def target(self) -> str | None:
        """The name of the labels, or None."""
        return self._target

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features in their order."""
        return tuple(self._features)

    @property
    def kinds(self) -> dict[str, Kind]:
        """What each feature holds: "number" or "category"."""
        return {name: kind_of(column) for name, column in self._features.items()}

    @property
    def missing(self) -> dict[str, int]:
        """How many cells of each feature are missing."""
        return {name: int(is_missing(column).sum()) for name, column in self._features.items()}

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self._rows

    @property
    def columns(self) -> int:
        """The number of features."""
        return len(self._features)

    def take(self, rows: npt.ArrayLike | slice) -> Dataset:
        """Select rows by their numbers, a mask of shape (rows,) or a slice, in the order given.

        Raises:
            IndexError: a row that is not there.
        """
        chosen = rows if isinstance(rows, slice) else np.asarray(rows)
        try:
            index = np.arange(self.rows)[[] if not isinstance(chosen, slice) and not chosen.size else chosen]
        except IndexError as error:
            raise IndexError(f"[data] expected numbers of rows or a mask of {self.rows} rows: {error}") from None
        if index.ndim != 1:
            raise ValueError(f"[data] expected row numbers of shape (n,), got shape {index.shape}")
        features = {name: column[index] for name, column in self._features.items()}
        return self._made(features, self._target, None if self._labels is None else self._labels[index], len(index))

    def select(self, names: Iterable[str]) -> Dataset:
        """Keep the named features, in the order given, and the labels.

        Raises:
            ValueError: a name that is not there.
        """
        wanted = listed(names)
        absent = [name for name in wanted if name not in self._features]
        if absent:
            raise ValueError(f"[data] expected columns among {list(self.names)}, got {absent}")
        return self._made({name: self._features[name] for name in wanted}, self._target, self._labels, self._rows)

    def drop(self, names: Iterable[str]) -> Dataset:
        """Leave out the named features.

        Raises:
            ValueError: a name that is not there.
        """
        dropped = set(self.select(names).names)
        return self.select(name for name in self.names if name not in dropped)

    def with_target(self, name: str | None) -> Dataset:
        """Make a feature the labels, or none; labels that were there become a feature again.

        Raises:
            TypeError: a name that is no text.
            ValueError: a name that is not there.
        """
        name = None if name is None else label(name)
        if name == self._target:
            return self
        features = dict(self._features)
        if name is not None and name not in features:
            raise ValueError(f"[data] expected the target among the columns {list(self)}, got {name!r}")
        labels = None if name is None else features.pop(name)
        if self._target is not None and self._labels is not None:
            features[self._target] = self._labels
        return self._made(features, name, labels, self._rows)

    def with_columns(self, columns: Mapping[str, npt.ArrayLike]) -> Dataset:
        """Replace features, or add new ones.

        Raises:
            ValueError: a column of another length, or with the name of the target.
        """
        new = Dataset(columns, names=list(columns)) if columns else self
        if new.rows != self.rows:
            raise ValueError(f"[data] expected columns of {self.rows} rows, got {new.rows}")
        if self._target in new._features:
            raise ValueError(f"[data] the target {self._target!r} is one of the features")
        return self._made({**self._features, **new._features}, self._target, self._labels, self._rows)

    def describe(self, **others: Any) -> Description:
        """Tell what the columns hold and what may be wrong: gaps, constants, duplicates, rare classes, leaks.

        Args:
            others: tables as whet.data.as_dataset takes, with the same features, under names of your choice, as
                train.describe(test=test): rows of them whose features are those of a row of this one are counted.

        Returns:
            A whet.data.Description; printed, it is a table. It shows cells.

        Raises:
            TypeError, ValueError: another table that is none, or lacks a column.
        """
        from whet.data.description import describe

        return describe(self, others)

    def matrix(self, dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
        """Stack the features, all numbers, into a new C-contiguous array of shape (rows, columns).

        Raises:
            ValueError: a category, or a finite number that is infinite in the dtype.
        """
        categories = [name for name, kind in self.kinds.items() if kind == "category"]
        if categories:
            raise ValueError(f"[data] expected numbers, got the categories {categories}: see whet.data.Preprocessor")
        matrix = np.empty((self.rows, self.columns), dtype)
        for position, (name, column) in enumerate(self._features.items()):
            with np.errstate(over="ignore", invalid="ignore"):
                matrix[:, position] = column
            overflow = np.isinf(matrix[:, position]) & np.isfinite(column)
            if overflow.any():
                row = int(overflow.argmax())
                raise ValueError(f"[data] column {name!r}: the number in row {row} does not fit in {matrix.dtype}")
        return matrix

    def __getitem__(self, name: str) -> Column:
        if name == self._target and self._labels is not None:
            return self._labels
        if not isinstance(name, str):
            raise TypeError(f"[data] expected the name of a column, got {type(name).__name__}; take selects rows")
        if name not in self._features:
            raise KeyError(f"{name!r}; this table has {', '.join(self)}")
        return self._features[name]

    def __contains__(self, name: object) -> bool:
        return name in self._features or (name is not None and name == self._target)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of all columns, the target last."""
        return iter((*self._features, *(() if self._target is None else (self._target,))))

    def __len__(self) -> int:
        return self.rows

    def __repr__(self) -> str:
        kinds = list(self.kinds.values())
        parts = [_count(self.rows, "row")]
        parts += [_count(kinds.count("number"), "number")] if "number" in kinds else []
        parts += [_count(kinds.count("category"), "category", "categories")] if "category" in kinds else []
        missing = sum(self.missing.values())
        parts += [_count(missing, "missing cell")] if missing else []
        parts += [f"target {self._target!r}"] if self._target is not None else []
        return f"Dataset({', '.join(parts)})"

    @staticmethod
    def _made(features: Mapping[str, Column], target: str | None, labels: Column | None, rows: int) -> Dataset:
        """Make a table of columns that need no check."""
        table = object.__new__(Dataset)
        table._features = {name: _view(column) for name, column in features.items()}
        table._labels = None if labels is None else _view(labels)
        table._target = target
        table._rows = rows
        return table


def _converted(columns: dict[str, Column], kinds: Mapping[str, Kind] | None) -> dict[str, Column]:
    asked = checked_kinds(kinds)
    return {name: convert(column, asked.get(name, kind_of(column)), name) for name, column in columns.items()}


def _columns(features: Any, names: Sequence[str] | None) -> dict[str, Column]:
    if is_records(features):
        features = columns_of(features)
    if isinstance(features, np.ndarray) and features.ndim == 1 and features.dtype.names is not None:
        features = {name: features[name] for name in features.dtype.names}
    if isinstance(features, Mapping):
        chosen = list(features) if names is None else listed(names)
        absent = [name for name in chosen if name not in features]
        if absent:
            raise ValueError(f"[data] expected columns among {list(features)}, got {absent}")
        return {label(name): as_column(features[name], name) for name in chosen}
    try:
        matrix = borrowed(features, "data", "features") if is_array(features) else np.asarray(features, object)
    except ValueError:
        raise ValueError("[data] expected features of shape (rows, columns), got arrays of several shapes") from None
    if matrix.ndim != 2:
        raise ValueError(f"[data] expected features of shape (rows, columns), got shape {matrix.shape}")
    if matrix.dtype == np.bool_:
        matrix = matrix.astype(np.uint8)
    chosen = [f"x{position}" for position in range(matrix.shape[1])] if names is None else listed(names)
    if len(chosen) != matrix.shape[1]:
        raise ValueError(f"[data] expected {matrix.shape[1]} names, got {len(chosen)}")
    return {name: as_column(matrix[:, position], name) for position, name in enumerate(chosen)}


def listed(names: Iterable[str]) -> list[str]:
    """List names, refusing a bare text (whose letters would be taken for names) and repetitions."""
    if isinstance(names, str):
        raise TypeError(f"[data] expected a list of column names, got the text {names!r}")
    found = [label(name) for name in names]
    repeated = sorted({name for name in found if found.count(name) > 1}) if len(set(found)) < len(found) else []
    if repeated:
        raise ValueError(f"[data] column names appear more than once: {repeated}")
    return found


def _common_rows(features: Mapping[str, Column], target: str | None, labels: Column | None) -> int:
    lengths = {name: len(column) for name, column in features.items()}
    if target is not None and labels is not None:
        lengths[target] = len(labels)
    if not lengths:
        raise ValueError("[data] expected at least one column, got none")
    first, rows = next(iter(lengths.items()))
    for name, length in lengths.items():
        if length != rows:
            raise ValueError(
                f"[data] expected columns of one length, got {first!r} with {rows}, {name!r} with {length}"
            )
    return rows


def _view(column: Column) -> Column:
    view: Column = column.view()
    view.flags.writeable = False
    return view


def _count(number: int, singular: str, plural: str | None = None) -> str:
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
