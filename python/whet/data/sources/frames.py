"""Tables of other libraries, read through narwhals."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from whet.data.columns import Column, as_column, convert, infer, refused

__all__ = [
    "arrow_library",
    "collected",
    "frame_columns",
    "frame_names",
    "is_frame",
    "row_values",
    "series_column",
    "take_rows",
]


def is_frame(data: object) -> bool:
    """Tell whether narwhals can read this as a table; imports narwhals only for what might be one."""
    if isinstance(data, (str, bytes, list, tuple, dict, np.ndarray)) or data is None:
        return False
    return _native(data) is not None


def frame_names(frame: Any) -> list[str]:
    """List the names of a table's columns as text.

    Raises:
        TypeError: something that is no table.
        ValueError: a name that appears twice.
    """
    return _names(collected(frame))


def frame_columns(frame: Any, columns: Iterable[str] | None = None) -> dict[str, Column]:
    """Read a table into columns; see Dataset.from_frame."""
    table = collected(frame)
    names = _names(table)
    wanted = dict.fromkeys(names if columns is None else columns)
    absent = [name for name in wanted if name not in names]
    if absent:
        raise ValueError(f"[data] expected columns among {names}, got {absent}")
    found = {name: _column(s, name) for name, s in zip(names, table.iter_columns(), strict=True) if name in wanted}
    return {name: found[name] for name in wanted}


def take_rows(frame: Any, rows: Any) -> Any:
    """Select rows of a table or a series by their numbers, giving one of the same library."""
    import narwhals as nw

    series: Any = nw.from_native(frame, allow_series=True, pass_through=True)
    table = series if isinstance(series, nw.Series) else collected(frame)
    return table[rows.tolist()].to_native()


def row_values(frame: Any, name: str) -> Any:
    """Read one column; time stamps keep their unit, and so their order: shape (rows,)."""
    table = collected(frame)
    series = table.get_column(table.columns[_names(table).index(name)])
    return series.to_numpy() if series.dtype.is_temporal() else _column(series, name)


def series_column(series: Any, name: str) -> Column | None:
    """Read a series of another library, or give None for what is no series."""
    import narwhals as nw

    wrapped: Any = nw.from_native(series, series_only=True, pass_through=True)
    return _column(wrapped, name) if isinstance(wrapped, nw.Series) else None


def _native(data: Any) -> Any:
    """Wrap a table for narwhals, or give None for what is no table."""
    import narwhals as nw

    try:
        wrapped: Any = nw.from_native(data, pass_through=True, allow_series=True)
        if not isinstance(wrapped, (nw.DataFrame, nw.LazyFrame, nw.Series)) and hasattr(data, "__arrow_c_stream__"):
            wrapped = nw.from_native(_arrow_table(data), pass_through=True)
    except nw.exceptions.DuplicateError as error:
        raise _repeated(error) from None
    return wrapped if isinstance(wrapped, (nw.DataFrame, nw.LazyFrame)) else None


def _arrow_table(data: Any) -> Any:
    """Collect what speaks Arrow's C interface, such as a RecordBatch, a reader or another library's table."""
    library = arrow_library()
    return library.table(data) if library.__name__ == "pyarrow" else library.DataFrame(data)


def arrow_library() -> Any:
    """Import PyArrow, or Polars where it is not installed.

    Raises:
        ImportError: neither is.
    """
    with contextlib.suppress(ModuleNotFoundError):
        import pyarrow

        return pyarrow
    with contextlib.suppress(ModuleNotFoundError):
        import polars

        return polars
    raise ImportError(
        "[data] expected PyArrow or Polars, which read Arrow and Parquet, got neither: pip install pyarrow"
    )


def collected(frame: Any) -> Any:
    """Wrap a table for narwhals, computing it first if it is lazy.

    Raises:
        TypeError: something that is no table.
    """
    table = collected_or_none(frame)
    if table is None:
        raise TypeError(f"[data] expected a table (pandas, Polars, PyArrow, DuckDB, ...), got {type(frame).__name__}")
    return table


def collected_or_none(frame: Any) -> Any:
    """Do as collected, but give None for something that is no table; a stream is read, and then at its end."""
    import narwhals as nw

    wrapped = frame if isinstance(frame, nw.DataFrame) else _native(frame)
    if not isinstance(wrapped, nw.LazyFrame):
        return wrapped
    try:
        return wrapped.collect()
    except nw.exceptions.DuplicateError as error:
        raise _repeated(error) from None
    except ModuleNotFoundError as error:
        raise ImportError(f"[data] {type(frame).__name__} needs {error.name}: pip install {error.name}") from None


def _repeated(error: Exception) -> ValueError:
    named = ", ".join(line.removeprefix("- ") for line in str(error).splitlines()[1:])
    return ValueError(f"[data] column names appear more than once: {named}")


def _names(table: Any) -> list[str]:
    names = [str(name) for name in table.columns]  # pandas allows numbers as names
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"[data] column names appear more than once: {repeated}")
    return names


def _column(series: Any, name: str) -> Column:
    """Read a series; numbers without gaps stay where they are, if the library holds them as NumPy would."""
    import narwhals as nw

    dtype = series.dtype
    if dtype.is_float():
        return _array(series)
    if dtype.is_integer() and not isinstance(dtype, (nw.Int128, nw.UInt128)):
        return _array(series.cast(nw.Float64) if series.null_count() else series)
    if dtype.is_temporal() and (array := _array(series)).dtype.kind in "mM":
        return as_column(array, name)
    if dtype.is_nested() or str(dtype) == "Binary":
        raise refused(name, f"dtype {dtype}")
    column = infer(series.to_list(), name)
    return convert(column, "category", name) if isinstance(dtype, (nw.Categorical, nw.Enum)) else column


def _array(series: Any) -> Column:
    array: Column = series.to_numpy()
    return array
