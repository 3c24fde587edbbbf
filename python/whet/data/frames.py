"""Tables of other libraries, read through narwhals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from whet.data.columns import Column, convert, infer

__all__ = ["frame_columns", "frame_names", "is_frame", "row_values", "take_rows"]


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
    return list(_collected(frame))


def frame_columns(frame: Any, columns: Iterable[str] | None = None) -> dict[str, Column]:
    """Read a table into columns; see Dataset.from_frame."""
    series = _collected(frame)
    wanted = list(series) if columns is None else list(columns)
    absent = [name for name in wanted if name not in series]
    if absent:
        raise ValueError(f"[data] expected columns among {list(series)}, got {absent}")
    return {name: _column(series[name], name) for name in wanted}


def take_rows(frame: Any, rows: Any) -> Any:
    """Select rows of a table or a series by their numbers, giving one of the same library."""
    import narwhals as nw

    series: Any = nw.from_native(frame, allow_series=True, pass_through=True)
    table = series if isinstance(series, nw.Series) else _frame(frame)
    return table[rows.tolist()].to_native()


def row_values(frame: Any, name: str) -> Any:
    """Read one column, which may hold dates: shape (rows,)."""
    series = _collected(frame)[name]
    return series.to_numpy() if series.dtype.is_temporal() else _column(series, name)


def _native(data: Any) -> Any:
    """Wrap a table for narwhals, or give None for what is no table."""
    import narwhals as nw

    try:
        wrapped: Any = nw.from_native(data, pass_through=True)
    except nw.exceptions.DuplicateError as error:
        raise ValueError(f"[data] {error}") from None
    return wrapped if isinstance(wrapped, (nw.DataFrame, nw.LazyFrame)) else None


def _frame(frame: Any) -> Any:
    import narwhals as nw

    wrapped = _native(frame)
    if wrapped is None:
        raise TypeError(f"[data] expected a table (pandas, Polars, PyArrow, DuckDB, ...), got {type(frame).__name__}")
    return wrapped.collect() if isinstance(wrapped, nw.LazyFrame) else wrapped


def _collected(frame: Any) -> dict[str, Any]:
    table = _frame(frame)
    names = [str(name) for name in table.columns]  # pandas allows numbers as names
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"[data] column names appear more than once: {repeated}")
    return dict(zip(names, table.iter_columns(), strict=True))


def _column(series: Any, name: str) -> Column:
    import narwhals as nw

    dtype = series.dtype
    if dtype.is_numeric():
        if dtype.is_float() or series.null_count():
            numbers: Column = series.cast(nw.Float64).to_numpy()
            return numbers.astype(np.float64, copy=False)
        whole: Column = series.to_numpy()
        return whole
    if dtype == nw.Boolean or dtype == nw.String or dtype == nw.Object or dtype == nw.Unknown:
        return infer(series.to_list(), name)
    if dtype == nw.Categorical or dtype == nw.Enum:
        return convert(infer(series.to_list(), name), "category", name)
    raise TypeError(f"[data] column {name!r}: expected numbers, text or booleans, got {dtype}")
