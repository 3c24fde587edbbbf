"""One column of a table: numbers in a NumPy array of a real dtype, or categories in an array of objects.

A missing number is NaN. A category is a str, a bool or a number, and None where it is missing. Dates become numbers;
dates.py says which.
"""

from __future__ import annotations

import decimal
import fractions
import heapq
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from whet._borrowed import borrowed, is_array
from whet.data.dates import are_dates, days, days_of_cells

__all__ = [
    "MISSING",
    "Column",
    "Kind",
    "as_column",
    "checked_kinds",
    "columns_of",
    "convert",
    "counted",
    "finite_middle",
    "infer",
    "is_constant",
    "is_missing",
    "is_records",
    "kind_of",
    "label",
    "most_frequent",
    "ranked",
    "refused",
    "text",
    "texts",
]

Column: TypeAlias = npt.NDArray[Any]
Kind: TypeAlias = Literal["number", "category"]

KINDS: tuple[Kind, ...] = ("number", "category")

# How tables write "not known": as pandas has it, and "?" of the UCI repository.
_NOT_NUMBERS = ("nan", "NaN", "-nan", "-NaN", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN")
_NOT_KNOWN = ("", "?", "NA", "<NA>", "#NA", "N/A", "n/a", "#N/A", "#N/A N/A", "NULL", "null", "None")
MISSING = frozenset({*_NOT_KNOWN, *_NOT_NUMBERS})

_NUMBERS = (int, float, np.integer, np.floating, decimal.Decimal, fractions.Fraction)
_BOOLEANS = (bool, np.bool_)
_PLAIN = (str, *_BOOLEANS, *_NUMBERS)
# What may be unequal to itself, and is then missing.
_MAY_BE_NAN = (float, np.floating, decimal.Decimal, np.datetime64, np.timedelta64)
# pandas' own missing values, known by name: pandas need not be installed, and comparing its NA raises.
_MISSING_TYPES = ("NAType", "NaTType")


def kind_of(column: Column) -> Kind:
    """Tell what a column holds: "category" for objects, "number" for everything else."""
    return "category" if column.dtype == object else "number"


def text(cell: object) -> str:
    """Write a category as text, so that 3, 3.0 and "3" are one category whatever they were read from."""
    return str(_whole(cell))


def texts(column: Column) -> list[str | None]:
    """Write each category of a column as text; None stays None."""
    cells: list[Any] = column.tolist()
    types = set(map(type, cells)) - {type(None)}
    if types == {str}:
        return cells
    if len(types) > 1:  # True and 1 are equal, and are two categories
        return [None if cell is None else text(cell) for cell in cells]
    # Each distinct cell once, as there are few: a tenth of the time.
    known = {cell: None if cell is None else text(cell) for cell in set(cells)}
    return list(map(known.__getitem__, cells))


def as_column(values: npt.ArrayLike, name: str) -> Column:
    """Make a column of an array, a series or a list of (rows,) cells; an array of numbers is borrowed, not copied.

    Raises:
        TypeError: cells that are neither numbers, text, booleans nor dates.
        ValueError: values that are not one-dimensional.
    """
    if isinstance(values, (list, tuple)):  # NumPy would turn ["a", None, 1.5] or ["a", nan] into text
        return infer(values, name)
    # numpy.ma takes 20 ms to import, and has been if there is an array of it.
    if "numpy.ma" in sys.modules and isinstance(values, np.ma.MaskedArray):
        cells = np.array(values.data, object)
        cells[np.ma.getmaskarray(values)] = None
        values = cells
    if hasattr(values, "__array__") and not isinstance(values, (np.ndarray, np.generic)):
        from whet.data.sources.frames import series_column

        column = series_column(values, name)
        if column is not None:
            return column
    known = hasattr(values, "__array__") or is_array(values)
    array = borrowed(values, "data", f"column {name!r}") if known else _objects(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"[data] column {name!r}: expected one dimension, (rows,), got shape {array.shape}")
    if array.dtype.kind in "iuf":
        return array.astype(np.float64) if array.dtype == np.longdouble and array.itemsize > 8 else array
    if array.dtype.kind == "S":
        array = np.char.decode(array.astype(np.bytes_), "utf-8")
    if array.dtype.kind in "bUTO":
        return infer(array.tolist(), name)
    if array.dtype.kind in "mM":
        try:
            return days(array)
        except TypeError as error:
            raise refused(name, str(error)) from None
    raise refused(name, f"dtype {array.dtype}")


def is_records(data: object) -> bool:
    """Tell whether this is a list of rows that are mappings from names to cells."""
    return isinstance(data, (list, tuple)) and len(data) > 0 and isinstance(data[0], Mapping)


def columns_of(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Turn records into columns, in the order in which names appear; what a record lacks is missing.

    Raises:
        TypeError: a row that is no mapping.
    """
    for row, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise TypeError(f"[data] expected rows that are all mappings, got {type(record).__name__} in row {row}")
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}


def checked_kinds(kinds: Any) -> dict[str, Kind]:
    """Check kinds of columns.

    Raises:
        TypeError: something that is no mapping.
        ValueError: a kind that there is not.
    """
    if kinds is not None and not isinstance(kinds, Mapping):
        raise TypeError(f"[data] expected kinds as a mapping from column names, got {type(kinds).__name__}")
    for name, kind in (kinds or {}).items():
        if kind not in KINDS:
            raise ValueError(f"[data] column {name!r}: expected kind {' or '.join(map(repr, KINDS))}, got {kind!r}")
    return dict(kinds or {})


def infer(cells: Iterable[Any], name: str) -> Column:
    """Make a column of Python objects: numbers if all that are present are numbers or dates, else categories.

    Raises:
        TypeError: a cell that is neither a number, text, a boolean nor a date, or a date beside others; named by its
            type and row.
    """
    present = list(cells)
    types = set(map(type, present))
    if float in types and types <= {float, type(None)}:
        return np.array(present, np.float64)  # None becomes NaN
    if types == {int}:
        return _numbers(present, name, whole=True)
    if any(issubclass(t, _MAY_BE_NAN) or t.__name__ in _MISSING_TYPES for t in types):
        present = [None if _cell_is_missing(cell) else cell for cell in present]
        types = set(map(type, present))
    types -= {type(None)}
    if types == {str}:
        return _category(present)
    if are_dates(types):
        try:
            return days_of_cells(present)
        except TypeError as error:
            raise refused(name, str(error)) from None
    if all(issubclass(t, _BOOLEANS) for t in types) and types:
        return _category(None if cell is None else bool(cell) for cell in present)
    if all(issubclass(t, _NUMBERS) and not issubclass(t, _BOOLEANS) for t in types):
        return _numbers(present, name, whole=all(issubclass(t, (int, np.integer)) for t in types))
    for row, cell in enumerate(present):
        if not isinstance(cell, (*_PLAIN, type(None))):
            beside = " beside other cells" if are_dates([type(cell)]) else ""
            raise refused(name, f"{type(cell).__name__}{beside} in row {row}")
    return _category(None if cell is None else text(cell) for cell in present)


def convert(column: Column, kind: Kind, name: str) -> Column:
    """Turn a column into the asked kind; numbers may be written as text, as in a CSV file.

    Raises:
        ValueError: text where numbers are asked for, named by its first row.
    """
    if kind not in KINDS:
        raise ValueError(f"[data] column {name!r}: expected kind {' or '.join(map(repr, KINDS))}, got {kind!r}")
    if kind == kind_of(column):
        return column
    if kind == "category":
        numbers, index = np.unique(column, return_inverse=True)
        return _category(None if number != number else _whole(number) for number in numbers.tolist())[index]
    numbers = np.full(len(column), np.nan)
    for row, cell in enumerate(column):
        if cell is None:
            continue
        try:
            numbers[row] = parse_number(cell.strip()) if isinstance(cell, str) else cell
        except ValueError:
            raise ValueError(f"[data] column {name!r}: expected numbers, got text in row {row}") from None
    return numbers


def parse_number(cell: str) -> float:
    """Read a cell of a text file as a number, NaN where it is missing; ValueError for other text."""
    if cell in MISSING:
        return np.nan
    if "_" in cell or not cell.isascii():  # Python reads 1_000 and other scripts' digits; tables do not mean that
        raise ValueError
    return float(cell)


def is_missing(column: Column) -> npt.NDArray[np.bool_]:
    """Mark the missing cells of a column: shape (rows,)."""
    if column.dtype == object:
        missing: npt.NDArray[np.bool_] = np.equal(column, np.array(None))
        return missing
    return np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(column), np.bool_)


def finite_middle(middle: Callable[..., Any], numbers: Column) -> float:
    """Take a median or mean of finite numbers, which is finite, too, where their sum is not."""
    with np.errstate(over="ignore"):
        found = float(middle(numbers))
    return found if math.isfinite(found) else float(middle(numbers / len(numbers)) * len(numbers))


def is_constant(column: Column) -> bool:
    """Tell whether all cells are equal, or all missing."""
    first = column[:1]
    return bool(np.all((column == first) | ((column != column) & (first != first))))


def counted(column: Column) -> dict[str, int]:
    """Count the categories of a column as text, the most frequent first, equally frequent ones in sorted order."""
    return ranked(_counts(column))


def ranked(counts: Mapping[str, int]) -> dict[str, int]:
    """Put categories in order, the most frequent first, equally frequent ones as text is sorted."""
    # Two sorts without a function of each cell: a third of the time, where there are many.
    return {cell: counts[cell] for cell in sorted(sorted(counts), key=counts.__getitem__, reverse=True)}


def most_frequent(column: Column, most: int) -> tuple[int, dict[str, int]]:
    """Tell how many categories a column has, and count the first ones of `counted`, without sorting all."""
    counts = _counts(column)
    numbers = np.fromiter(counts.values(), np.int64, len(counts))
    least = int(np.partition(numbers, -most)[-most]) if len(numbers) > most else 0
    often = sorted(compress(counts, numbers > least), key=lambda cell: (-counts[cell], cell))
    others = heapq.nsmallest(most - len(often), compress(counts, numbers == least))
    return len(counts), {cell: counts[cell] for cell in [*often, *others]}


def _counts(column: Column) -> dict[str, int]:
    counts: dict[Any, int] = Counter(texts(column))
    counts.pop(None, None)
    return counts


def refused(name: str, what: str) -> TypeError:
    """Make the error for a column of something that no column can hold."""
    return TypeError(f"[data] column {name!r}: expected numbers, text, booleans or dates, got {what}")


def label(name: object) -> str:
    """Check the name of a column; of NumPy's text, make Python's, which shows without its type.

    Raises:
        TypeError: a name that is no text.
    """
    if not isinstance(name, str):
        raise TypeError(f"[data] expected the name of a column as text, got {type(name).__name__}")
    return str(name)


def _cell_is_missing(cell: object) -> bool:
    if cell is None or type(cell).__name__ in _MISSING_TYPES:
        return True
    return isinstance(cell, _MAY_BE_NAN) and bool(cell != cell)


def _objects(values: Any, name: str) -> npt.NDArray[np.object_]:
    if isinstance(values, (str, bytes, Mapping, set, frozenset)) or not isinstance(values, Iterable):
        raise TypeError(f"[data] column {name!r}: expected a sequence of cells, got {type(values).__name__}")
    return np.fromiter(values, object)


def _category(cells: Iterable[Any]) -> npt.NDArray[np.object_]:
    return np.fromiter(cells, object)


def _numbers(cells: list[Any], name: str, *, whole: bool) -> Column:
    if whole and cells and None not in cells and -(2**63) <= min(cells) <= max(cells) < 2**63:
        return np.array(cells, np.int64)
    try:
        return np.array([np.nan if cell is None else float(cell) for cell in cells], np.float64)
    except OverflowError:
        raise ValueError(f"[data] column {name!r}: expected numbers that fit in float64, got a larger one") from None


def _whole(cell: object) -> object:
    return int(cell) if isinstance(cell, (float, np.floating)) and float(cell).is_integer() else cell
