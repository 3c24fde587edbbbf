"""Cutting a table into training, validation and test parts, by seed."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from whet import _core
from whet.data.columns import Column, as_column, columns_of, is_missing, is_records, text
from whet.data.dataset import Dataset

__all__ = ["split", "split_indices"]

Index = npt.NDArray[np.int64]

# 0.2 * 35 is 7.000000000000001 and must not become 8 rows.
_ROUNDING = 1e-9


def split(
    *data: Any,
    sizes: Sequence[float] = (0.8, 0.2),
    seed: int = 0,
    stratify: npt.ArrayLike | str | None = None,
    groups: npt.ArrayLike | str | None = None,
    time: npt.ArrayLike | str | None = None,
) -> list[Any]:
    """Cut tables or arrays with the same rows into parts: one per size, in that order.

    >>> train, test = split(table, sizes=(0.8, 0.2), seed=42)
    >>> (X_train, y_train), (X_test, y_test) = split(X, y, sizes=(0.8, 0.2), seed=42)

    Args:
        data: a Dataset, a pandas, Polars or PyArrow table or series, a mapping of columns, an array of shape
            (rows, ...), a list of records or another list; or several.
        sizes: of the parts, see split_indices.
        seed: of the shuffling.
        stratify: see split_indices; for a table also the name of a column, as in the next two.
        groups: see split_indices.
        time: see split_indices.

    Returns:
        The parts. A part is like the data: one table or array for one, a tuple of them for several.

    Raises:
        TypeError, ValueError: see split_indices; data whose rows differ in number.
    """
    from whet.data.sources.frames import frame_names, is_frame, row_values

    if not data:
        raise TypeError("[data] split expects data, got none; split_indices takes a number of rows")
    items = [_item(item) for item in data]
    rows = _rows(items)

    def resolved(values: npt.ArrayLike | str | None) -> npt.ArrayLike | None:
        if not isinstance(values, str):
            return values
        for item in (columns_of(item) if is_records(item) else item for item in items):
            if isinstance(item, (Dataset, Mapping)) and values in item:
                return cast(npt.ArrayLike, item[values])
            if is_frame(item) and values in frame_names(item):
                return cast(npt.ArrayLike, row_values(item, values))
        raise ValueError(f"[data] expected the name of a column of a table, got {str(values)!r}")

    indices = split_indices(
        rows, sizes, seed=seed, stratify=resolved(stratify), groups=resolved(groups), time=resolved(time)
    )
    parts = [tuple(_take(item, index) for item in items) for index in indices]
    return [part[0] for part in parts] if len(items) == 1 else list(parts)


def split_indices(
    rows: int,
    sizes: Sequence[float] = (0.8, 0.2),
    *,
    seed: int = 0,
    stratify: npt.ArrayLike | None = None,
    groups: npt.ArrayLike | None = None,
    time: npt.ArrayLike | None = None,
) -> list[Index]:
    """Choose which rows go into which part; the same arguments give the same rows with every version of NumPy.

    Args:
        rows: the number of rows.
        sizes: of the parts, as fractions of the rows (at most 1 together) or as numbers of rows. A fraction is rounded
            up, except the first, which takes what is left when the fractions add up to 1 and is rounded down when not:
            4 rows cut by (0.8, 0.2) are 3 and 1.
        seed: of the shuffling.
        stratify: classes of shape (rows,): each part has each class in the proportion of the whole, to within a row per
            cut. A missing class is a class of its own.
        groups: of shape (rows,): all rows of a group stay in one part; sizes are then met as closely as groups allow.
        time: of shape (rows,), numbers, dates or text that sorts: the first part is the earliest, nothing is shuffled.

    Returns:
        One array of row numbers per part, without a row in common; int64, shape (rows of the part,).

    Raises:
        TypeError: a number of rows or a seed that is no integer, sizes that mix fractions and numbers of rows.
        ValueError: parts that would be empty or do not fit, more parts than groups, values of another length, missing
            times, more than one of stratify, groups and time.
    """
    rows = _integer(rows, "a number of rows")
    counts = _counts(sizes, rows)
    order = _core.random_permutation(_integer(seed, "a seed"), rows)
    given = {"stratify": stratify, "groups": groups, "time": time}
    chosen = [name for name, values in given.items() if values is not None]
    if len(chosen) > 1:
        raise ValueError(f"[data] expected one of stratify, groups and time, got {' and '.join(chosen)}")
    if time is not None:
        return _cut(_in_time(time, rows), counts)
    if groups is not None:
        return _grouped(order, _codes(groups, rows, "groups"), counts)
    if stratify is not None:
        codes = _codes(stratify, rows, "stratify")
        return _stratified(order, codes, counts, _core.random_permutation(seed, int(codes.max()) + 1))
    return _cut(order, counts)


def _integer(value: object, what: str) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"[data] expected {what} as an integer, got {type(value).__name__}")
    if not 0 <= int(value) < 2**64:
        raise ValueError(f"[data] expected {what} from 0 to 2**64 - 1, got {value}")
    return int(value)


def _counts(sizes: Sequence[float], rows: int) -> list[int]:
    """Turn sizes into numbers of rows."""
    if isinstance(sizes, str) or not hasattr(sizes, "__iter__"):
        raise TypeError(f"[data] expected sizes as a sequence such as (0.8, 0.2), got {type(sizes).__name__}")
    # By way of text, as float32's 0.8 and 0.2 add up to more than 1.
    parts = [float(str(size)) if isinstance(size, (np.float16, np.float32)) else size for size in sizes]
    whole = [isinstance(size, numbers.Integral) for size in parts]
    real = all(isinstance(size, numbers.Real) and not isinstance(size, bool) for size in parts)
    if not parts or not real or any(whole) != all(whole):
        raise TypeError(f"[data] expected sizes that are all fractions or all numbers of rows, got {parts}")
    if all(whole):
        counts = [int(size) for size in parts]
    else:
        total = math.fsum(parts)
        if not all(0 < size <= 1 for size in parts) or total > 1 + _ROUNDING:
            raise ValueError(f"[data] expected fractions above 0 that add up to at most 1, got {parts}")
        counts = [math.ceil(size * rows - _ROUNDING) for size in parts]
        counts[0] = rows - sum(counts[1:]) if total > 1 - _ROUNDING else math.floor(parts[0] * rows + _ROUNDING)
    if min(counts) < 1 or sum(counts) > rows:
        raise ValueError(
            f"[data] expected parts of at least one row that fit in {rows} rows, got {counts} from sizes {parts}"
        )
    return counts


def _cut(order: Index, counts: Sequence[int]) -> list[Index]:
    return np.split(order, np.cumsum(counts))[: len(counts)]


def _stratified(order: Index, codes: Index, counts: Sequence[int], preference: Index) -> list[Index]:
    """Give each part, from the last to the first, its share of what is left of each class.

    Odd rows go to the largest remainders; among equal ones the preference, a permutation of the classes, decides.
    """
    waiting = [order[codes[order] == code] for code in range(len(preference))]
    place = np.argsort(order)
    parts: list[Index] = []
    for count in reversed(counts):
        left = np.array([len(members) for members in waiting])
        share = left * count / left.sum()
        number = np.floor(share).astype(np.int64)
        odd = count - int(number.sum())
        number[np.lexsort((preference, number - share))[:odd]] += 1
        part = np.concatenate([members[:taken] for members, taken in zip(waiting, number, strict=True)])
        waiting = [members[taken:] for members, taken in zip(waiting, number, strict=True)]
        parts.append(part[np.argsort(place[part])])
    return parts[::-1]


def _grouped(order: Index, codes: Index, counts: Sequence[int]) -> list[Index]:
    """Put each group, in shuffled order, into the part that lacks most rows."""
    sizes = np.bincount(codes)
    if len(sizes) < len(counts):
        raise ValueError(f"[data] expected at least {len(counts)} groups for as many parts, got {len(sizes)}")
    first_seen = list(dict.fromkeys(codes[order].tolist()))
    lacking = np.array(counts, np.int64)
    members: list[list[int]] = [[] for _ in counts]
    for position, group in enumerate(first_seen):
        empty = [part for part, held in enumerate(members) if not held]
        must_fill = len(first_seen) - position <= len(empty)
        part = empty[0] if must_fill else int(lacking.argmax())
        members[part].append(group)
        lacking[part] -= sizes[group]
    return [order[np.isin(codes[order], held)] for held in members]


def _in_time(time: npt.ArrayLike, rows: int) -> Index:
    values = np.asarray(time)
    if values.dtype.kind not in "Mm":
        column = as_column(time, "time")
        if is_missing(column).any():
            raise ValueError(f"[data] expected times without gaps, got {int(is_missing(column).sum())} missing")
        values = column if column.dtype != object else column.astype(str)
    elif np.isnat(values).any():
        raise ValueError(f"[data] expected times without gaps, got {int(np.isnat(values).sum())} missing")
    _check_rows(values, rows, "time")
    return np.argsort(values, kind="stable").astype(np.int64)


def _codes(values: npt.ArrayLike, rows: int, what: str) -> Index:
    """Give classes or groups codes from 0 in sorted order; missing ones are one of their own."""
    column = as_column(values, what)
    _check_rows(column, rows, what)
    cells: Column = column
    if column.dtype == object:
        cells = np.array(["" if cell is None else "." + text(cell) for cell in column])
    return np.unique(cells, return_inverse=True)[1].astype(np.int64)


def _check_rows(values: npt.NDArray[Any], rows: int, what: str) -> None:
    if values.shape != (rows,):
        raise ValueError(f"[data] expected {what} of shape ({rows},), got {values.shape}")


def _item(item: Any) -> Any:
    """Make arrays of lists and of the columns of a mapping."""
    if isinstance(item, Mapping) and not isinstance(item, Dataset):
        columns = {
            name: np.asarray(cells) if hasattr(cells, "__array__") else as_column(cells, name)
            for name, cells in item.items()
        }
        if not columns:
            raise ValueError("[data] expected a table with at least one column, got an empty mapping")
        _rows(list(columns.values()))
        return columns
    if not isinstance(item, (list, tuple)):
        return item
    if is_records(item):
        return list(item)
    try:
        return np.asarray(item)
    except ValueError:
        raise ValueError("[data] expected a list of rows of one length, got rows of several") from None


def _rows(items: Sequence[Any]) -> int:
    lengths = []
    for item in items:
        if isinstance(item, dict):
            item = next(iter(item.values()))
        if isinstance(item, np.ndarray) and item.ndim == 0:
            raise TypeError("[data] expected tables or arrays with rows, got a single number; split_indices takes one")
        if type(item).__module__.startswith("scipy.sparse"):
            raise TypeError("[data] expected tables or dense arrays, got a sparse one; its toarray() makes it dense")
        if not hasattr(item, "__len__"):
            raise TypeError(f"[data] expected tables or arrays with rows, got {type(item).__name__}")
        lengths.append(len(item))
    if len(set(lengths)) > 1:
        raise ValueError(f"[data] expected data with the same rows, got {lengths}")
    return lengths[0]


def _take(item: Any, index: Index) -> Any:
    if isinstance(item, Dataset):
        return item.take(index)
    if isinstance(item, np.ndarray):
        return item[index]
    if isinstance(item, list):
        return [item[row] for row in index.tolist()]
    if isinstance(item, dict):
        return {name: column[index] for name, column in item.items()}
    from whet.data.sources.frames import take_rows

    return take_rows(item, index)
