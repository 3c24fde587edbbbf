"""Cleaning a table. Each function takes a Dataset, or what whet.data.as_dataset makes one of, and gives a new one and a
report of what it did.

What these functions learn comes from all rows they see: where that matters, clean the training part alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from whet._checks import as_number
from whet.data.columns import Column, is_constant
from whet.data.dataset import Dataset
from whet.data.preprocessing import dataset_of
from whet.data.rows import row_hashes

__all__ = ["CleaningReport", "clip_outliers", "drop_constant", "drop_duplicates"]


@dataclass(frozen=True)
class CleaningReport:
    """What a cleaning function did.

    Attributes:
        action: in words.
        rows: the numbers of the rows that were dropped, counted from 0 in the table given.
        columns: the columns that were dropped or changed.
        cells: how many cells of each column were changed.
        bounds: the limits each column was clipped to; not printed, as they may be cells of the table.
    """

    action: str
    rows: tuple[int, ...] = field(default=(), repr=False)
    columns: tuple[str, ...] = ()
    cells: Mapping[str, int] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return self.action


def drop_duplicates(data: Any) -> tuple[Dataset, CleaningReport]:
    """Drop rows equal to an earlier row in every feature and the label; missing cells equal each other."""
    data = dataset_of(data)
    columns = [*data.features.values(), *([] if data.labels is None else [data.labels])]
    first = np.unique(row_hashes(columns, np.zeros(data.rows, np.uint64)), return_index=True)[1]
    kept = np.sort(first)
    dropped = np.setdiff1d(np.arange(data.rows), kept)
    action = f"dropped {len(dropped):,} duplicate rows of {data.rows:,}"
    return data.take(kept), CleaningReport(action, rows=tuple(dropped.tolist()))


def drop_constant(data: Any) -> tuple[Dataset, CleaningReport]:
    """Drop features with the same cell in every row, or with none that is not missing."""
    data = dataset_of(data)
    dropped = [name for name, column in data.features.items() if is_constant(column)]
    action = f"dropped {len(dropped)} constant columns of {data.columns}"
    return data.drop(dropped), CleaningReport(action, columns=tuple(dropped))


def clip_outliers(
    data: Any, *, factor: float = 3.0, columns: Iterable[str] | None = None
) -> tuple[Dataset, CleaningReport]:
    """Clip numbers to [q1 - factor * (q3 - q1), q3 + factor * (q3 - q1)], Tukey's fences around the quartiles.

    Columns whose quartiles are equal are left alone; infinite numbers are clipped, missing ones stay missing.

    Args:
        data: the table; its labels are not clipped.
        factor: how many interquartile ranges from the quartiles a number may lie.
        columns: the columns to clip, all numbers by default.

    Raises:
        ValueError: a factor that is not positive, a column that is not there or holds categories.
    """
    if as_number(factor, "data", "factor") <= 0:
        raise ValueError(f"[data] expected a positive factor, got {factor}")
    data = dataset_of(data)
    wanted = [name for name, kind in data.kinds.items() if kind == "number"] if columns is None else list(columns)
    categories = [name for name, kind in data.select(wanted).kinds.items() if kind == "category"]
    if categories:
        raise ValueError(f"[data] expected columns of numbers, got the categories {categories}")
    clipped: dict[str, Column] = {}
    cells: dict[str, int] = {}
    bounds: dict[str, tuple[float, float]] = {}
    for name in wanted:
        numbers = data.features[name].astype(np.float64)
        finite = numbers[np.isfinite(numbers)]
        low, high = np.quantile(finite, (0.25, 0.75)) if len(finite) else (0.0, 0.0)
        reach = factor * (high - low)
        outside = (numbers < low - reach) | (numbers > high + reach)
        if reach > 0 and outside.any():
            bounds[name] = (float(low - reach), float(high + reach))
            clipped[name] = np.clip(numbers, *bounds[name])
            cells[name] = int(outside.sum())
    action = f"clipped {sum(cells.values()):,} numbers in {len(cells)} columns"
    return data.with_columns(clipped), CleaningReport(action, columns=tuple(cells), cells=cells, bounds=bounds)
