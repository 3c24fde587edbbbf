"""What a table holds and what may be wrong with it, counted once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from whet.data.columns import (
    Column,
    Kind,
    convert,
    counted,
    finite_middle,
    is_constant,
    is_missing,
    kind_of,
    most_frequent,
)
from whet.data.dataset import Dataset
from whet.data.rows import found, repeated, row_hashes
from whet.data.tables import as_dataset
from whet.data.targets import holds_classes

__all__ = ["ColumnDescription", "Description", "describe"]

_KEPT, _SHOWN = 10, 5  # categories that a column's description keeps, and shows in its line


@dataclass(frozen=True)
class ColumnDescription:
    """What one column holds.

    Attributes:
        name: of the column.
        kind: "number" or "category".
        missing: how many cells are missing.
        constant: whether all cells are equal, or all missing.
        infinite: how many numbers are infinite; minimum, mean and maximum leave them out.
        minimum: of the numbers; None for categories and where there is no number.
        mean: of the numbers.
        maximum: of the numbers.
        distinct: how many categories there are; None for numbers.
        frequent: the most frequent categories, ten at most, and how often each is there.
    """

    name: str
    kind: Kind
    missing: int
    constant: bool
    infinite: int = 0
    minimum: float | None = None
    mean: float | None = None
    maximum: float | None = None
    distinct: int | None = None
    frequent: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.distinct is not None:
            parts = [f"{_short(name)} {count:,}" for name, count in islice(self.frequent.items(), _SHOWN)]
            others = self.distinct - len(parts)
            return ", ".join([*parts, *([f"{others:,} more"] if others else [])])
        if self.minimum is None:
            return "no number"
        infinite = f", {self.infinite:,} infinite" if self.infinite else ""
        return f"{self.minimum:.6g} to {self.maximum:.6g}, mean {self.mean:.6g}{infinite}"


@dataclass(frozen=True)
class Description:
    """What Dataset.describe found.

    Attributes:
        rows: the number of rows.
        columns: what each column holds, the target last.
        target: the name of the target, or None.
        duplicates: how many rows equal an earlier one in every column; missing cells equal each other.
        classes: how many rows each class of the target has, the largest first; None where it holds no classes.
        leaks: for each other table, how many of its rows have the features of a row of this one.
        others: how many rows each other table has.
    """

    rows: int
    columns: tuple[ColumnDescription, ...]
    target: str | None
    duplicates: int
    classes: Mapping[str, int] | None = None
    leaks: Mapping[str, int] = field(default_factory=dict)
    others: Mapping[str, int] = field(default_factory=dict)

    @property
    def constant(self) -> tuple[str, ...]:
        """The names of the columns with the same cell in every row."""
        return tuple(column.name for column in self.columns if column.constant)

    @property
    def imbalance(self) -> float | None:
        """How many rows of the largest class there are for one of the smallest; None where there are no classes."""
        return max(self.classes.values()) / min(self.classes.values()) if self.classes else None

    def to_dict(self) -> dict[str, Any]:
        """Give all of it as numbers, text, lists and None, for JSON."""
        found = {**asdict(self), "constant": list(self.constant), "imbalance": self.imbalance}
        return {**found, "columns": list(found["columns"])}

    def __repr__(self) -> str:
        table = [("column", "kind", "missing", "range")]
        for column in self.columns:
            name = f"{column.name} (target)" if column.name == self.target else column.name
            table.append((name, column.kind, f"{column.missing:,}", str(column)))
        findings = [("rows", f"{self.rows:,}"), ("duplicate rows", f"{self.duplicates:,}")]
        findings.append(("constant columns", ", ".join(self.constant) or "none"))
        if self.imbalance is not None:
            findings.append(("imbalance of classes", f"{self.imbalance:.3g} to 1"))
        for name, count in self.leaks.items():
            findings.append((f"rows of {name} also here", f"{count:,} of {self.others[name]:,}"))
        return "\n".join([*_aligned(table), "", *_aligned(findings)])


def describe(table: Dataset, others: Mapping[str, Any]) -> Description:
    """Describe a table; see Dataset.describe."""
    zeros = np.zeros(table.rows, np.uint64)
    features = row_hashes(table.features.values(), zeros)
    whole = features if table.labels is None else row_hashes([table.labels], features)
    leaks, sizes = {}, {}
    for name, other in others.items():
        hashes = _feature_hashes(table, other)
        leaks[name], sizes[name] = found(hashes, features), len(hashes)
    return Description(
        rows=table.rows,
        columns=tuple(_column(name, table[name]) for name in table),
        target=table.target,
        duplicates=repeated(whole),
        classes=None if table.labels is None else _classes(table.labels),
        leaks=leaks,
        others=sizes,
    )


def _feature_hashes(table: Dataset, other: Any) -> Any:
    """Hash the rows of another table, read as this one's columns."""
    read = as_dataset(other, kinds=table.kinds).select(table.names)
    columns = [convert(read.features[name], kind, name) for name, kind in table.kinds.items()]
    return row_hashes(columns, np.zeros(read.rows, np.uint64))


def _column(name: str, column: Column) -> ColumnDescription:
    missing, constant = int(is_missing(column).sum()), is_constant(column)
    if kind_of(column) == "category":
        distinct, frequent = most_frequent(column, _KEPT)
        return ColumnDescription(name, "category", missing, constant, distinct=distinct, frequent=frequent)
    finite = column[np.isfinite(column)]
    infinite = len(column) - missing - len(finite)
    if not len(finite):
        return ColumnDescription(name, "number", missing, constant, infinite)
    low, high = float(finite.min()), float(finite.max())
    mean = finite_middle(lambda numbers: numbers.mean(dtype=np.float64), finite)
    return ColumnDescription(name, "number", missing, constant, infinite, low, mean, high)


def _classes(labels: Column) -> dict[str, int] | None:
    """Count the rows of each class, the largest first, unless the labels are numbers to learn."""
    return counted(convert(labels, "category", "target")) if holds_classes(labels) else None


def _short(name: str) -> str:
    """Put a category into part of a line."""
    line = name if name.isprintable() else ascii(name)[1:-1]
    return line if len(line) <= 24 else f"{line[:21]}..."


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Put columns of text below each other."""
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
