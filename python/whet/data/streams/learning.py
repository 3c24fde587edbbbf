"""What preprocessing has to know of a stream, gathered in one pass and in constant memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from whet import _core
from whet.data.columns import Column, Kind, convert, counted, is_missing, kind_of
from whet.data.dataset import Dataset

__all__ = ["Labels", "Moments", "Sample", "Seen"]

Matrix = npt.NDArray[np.float64]

_SAMPLE_ROWS, _SAMPLE_BYTES = 100_000, 64 << 20
_MOST_LABELS = 100_000  # distinct numbers, of which more are no classes


class Moments:
    """Numbers of some columns, exactly: how many are missing, and mean, deviation and ends of the others."""

    def __init__(self, columns: int) -> None:
        self.there, self.missing, self.mean, self.squares = np.zeros((4, columns))
        self.low, self.high = np.full(columns, np.inf), np.full(columns, -np.inf)

    def add(self, matrix: Matrix) -> None:
        """Add rows; deviations as Chan, Golub and LeVeque combine them."""
        gaps = np.isnan(matrix)
        there = (~gaps).sum(axis=0).astype(np.float64)
        mean = np.where(gaps, 0.0, matrix).sum(axis=0) / np.maximum(there, 1)
        squares = np.where(gaps, 0.0, np.square(matrix - mean)).sum(axis=0)
        total = self.there + there
        share = there / np.maximum(total, 1)
        self.squares += squares + self.there * share * np.square(mean - self.mean)
        self.mean += share * (mean - self.mean)
        self.there, self.missing = total, self.missing + gaps.sum(axis=0)
        self.low = np.fmin(self.low, np.where(gaps, np.inf, matrix).min(axis=0))
        self.high = np.fmax(self.high, np.where(gaps, -np.inf, matrix).max(axis=0))

    def filled(self, fill: Matrix) -> Moments:
        """The same with the gaps filled in."""
        made = Moments(len(fill))
        made.there, share = self.there + self.missing, self.missing / np.maximum(self.there + self.missing, 1)
        made.mean = self.mean + share * (fill - self.mean)
        made.squares = self.squares + self.there * share * np.square(fill - self.mean)
        some = self.missing > 0
        made.low = np.where(some, np.fmin(self.low, fill), self.low)
        made.high = np.where(some, np.fmax(self.high, fill), self.high)
        return made

    @property
    def deviation(self) -> Matrix:
        """The standard deviation of the population."""
        return np.sqrt(self.squares / np.maximum(self.there, 1))


class Sample:
    """Rows drawn from all, each as likely as any other: those with the smallest of random keys. All, if they are few.

    Args:
        columns: Of a row.
        seed: Of the keys.
    """

    def __init__(self, columns: int, seed: int = 0) -> None:
        self.most = max(1000, min(_SAMPLE_ROWS, _SAMPLE_BYTES // (8 * max(columns, 1))))
        self._seed, self._blocks, self._below = seed, 0, np.inf
        self._rows: list[Matrix] = []
        self._keys: list[Matrix] = []

    def add(self, matrix: Matrix) -> None:
        """Add rows."""
        keys = _core.random_normal(self._seed, self._blocks, 0.0, 1.0, len(matrix))
        self._blocks += 1
        chosen = keys < self._below
        self._rows.append(matrix[chosen])
        self._keys.append(keys[chosen])
        if sum(map(len, self._keys)) > 2 * self.most:
            self._thin_out()

    def rows(self) -> Matrix:
        """The rows drawn."""
        self._thin_out()
        return self._rows[0]

    def _thin_out(self) -> None:
        rows, keys = np.concatenate(self._rows), np.concatenate(self._keys)
        if len(keys) > self.most:
            kept = np.sort(np.argpartition(keys, self.most)[: self.most])
            rows, keys = rows[kept], keys[kept]
            self._below = float(keys.max())
        self._rows, self._keys = [rows], [keys]


class Labels:
    """The target of a stream: how often each of its values occurs, if they are few, and the moments of numbers."""

    def __init__(self) -> None:
        self.rows = 0
        self.moments = Moments(1)
        self._counts: Counter[Any] | None = Counter()

    def add(self, column: Column) -> None:
        """Add rows whose target is not missing."""
        self.rows += len(column)
        if kind_of(column) == "number":
            self.moments.add(column.astype(np.float64).reshape(-1, 1))
        if self._counts is None:
            return
        if kind_of(column) == "category":
            self._counts.update(column.tolist())
            return
        values, counts = np.unique(column, return_counts=True)
        self._counts.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        if len(self._counts) > _MOST_LABELS:
            self._counts = None

    def counts(self) -> Mapping[Any, int]:
        """How often each value occurs.

        Raises:
            ValueError: Numbers of more values than classes can be.
        """
        if self._counts is None:
            raise ValueError(f"[data] expected a target of at most {_MOST_LABELS} classes, got more numbers")
        return self._counts

    def column(self) -> Column | None:
        """A short column that tells classes from numbers as the whole one would; None for numbers of many values."""
        if self._counts is None:
            return None
        times = max(1, min(self.rows // max(len(self._counts), 1), 2))
        values = [value for value in self._counts for _ in range(times)]
        return np.fromiter(values, object) if isinstance(next(iter(values), 0), (str, bool)) else np.array(values)


class Seen:
    """The features of a stream: numbers by their moments and a sample, categories by how often each occurs.

    Args:
        tables: Its blocks.
        seed: Of the sample.
    """

    def __init__(self, tables: Iterable[Dataset], seed: int = 0) -> None:
        self.kinds: dict[str, Kind] = {}
        self.rows = 0
        for table in tables:
            if not self.rows:
                self._begin(table, seed)
            self.rows += table.rows
            if self._numbers:
                matrix = np.stack([convert(table.features[name], "number", name) for name in self._numbers], axis=1)
                matrix = matrix.astype(np.float64, copy=False)
                self._check(matrix)
                self.moments.add(matrix)
                self.sample.add(matrix)
            for name in self.counts:
                column = convert(table.features[name], "category", name)
                self.counts[name].update(counted(column))
                self.gaps[name] += int(is_missing(column).sum())

    def _begin(self, table: Dataset, seed: int) -> None:
        self.kinds = table.kinds
        self._numbers = [name for name, kind in self.kinds.items() if kind == "number"]
        self.moments, self.sample = Moments(len(self._numbers)), Sample(len(self._numbers), seed)
        self.counts: dict[str, Counter[str]] = {
            name: Counter() for name, kind in self.kinds.items() if kind == "category"
        }
        self.gaps: Counter[str] = Counter()

    def _check(self, matrix: Matrix) -> None:
        bad = np.isinf(matrix)
        if bad.any():
            row, position = np.argwhere(bad)[0]
            name = self._numbers[position]
            raise ValueError(f"[data] column {name!r}: expected finite or missing numbers, got another in row {row}")
