"""One way in for everything a table can come as."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from whet._borrowed import is_array
from whet.data.columns import Kind, columns_of, is_records
from whet.data.dataset import Dataset
from whet.data.preprocessing import match_columns
from whet.data.sources.files import is_path
from whet.data.sources.npz import read_npz
from whet.data.sources.parquet import parquet_frame
from whet.data.sources.sql import is_cursor, read_cursor
from whet.data.sources.text import parse_csv

__all__ = ["as_dataset"]

_PARQUET = (".parquet", ".pq")


def as_dataset(
    data: Any,
    *,
    wanted: Iterable[str] | None = None,
    ignored: Iterable[str] = (),
    kinds: Mapping[str, Kind] | None = None,
) -> Dataset:
    """Read a table, without making any column the target.

    Args:
        data: a Dataset; the path of a CSV, npz or Parquet file, "-" for standard input, or an open CSV file; a mapping
            from names to columns; a list of records, which are mappings from names to cells; a pandas, Polars, PyArrow
            or DuckDB table; an array of shape (rows, columns), or of shape (rows,) with named fields; a database cursor
            whose query has run.
        wanted: the columns to read, by default all; the cells of others are not looked at.
        ignored: columns that may be there without a warning.
        kinds: "number" or "category" for columns whose kind should not follow from their cells.

    Raises:
        TypeError: something else, or cells that are neither numbers, text, booleans nor dates.
        OSError: a file that is not there or cannot be read.
        ImportError: a Parquet file where neither PyArrow nor Polars is installed.
        ValueError: wanted columns that are not there, or a damaged table.

    Warns:
        WhetWarning: columns that are neither wanted nor ignored.
    """
    from whet.data.sources.frames import frame_names

    table = _table(data, kinds)
    # By way of iter, as list would first make room for as many names as a Dataset has rows.
    names = list(iter(table)) if isinstance(table, (Dataset, Mapping)) else frame_names(table)
    if wanted is not None:
        wanted = list(wanted)
        match_columns(names, wanted, ignored)
        names = wanted
    if isinstance(table, Dataset):
        return table.select(names)
    if isinstance(table, Mapping):
        return Dataset(table, names=names, kinds=kinds)
    return Dataset.from_frame(table, columns=names, kinds=kinds)


def _table(data: Any, kinds: Mapping[str, Kind] | None) -> Any:
    """Open what holds a table: a Dataset without a target, a mapping of columns, or what narwhals reads."""
    from whet.data.sources.frames import collected_or_none

    if is_path(data) or hasattr(data, "read"):
        data = _file(data, kinds)
    if is_records(data):
        return columns_of(data)
    if isinstance(data, (list, tuple)) or is_array(data):
        return Dataset(data, kinds=kinds)
    if isinstance(data, Dataset):
        return data.with_target(None)
    if isinstance(data, Mapping):
        return data
    frame = collected_or_none(data)
    if frame is not None:
        return frame
    if is_cursor(data):
        return read_cursor(data)
    raise TypeError(
        "[data] expected a table: a path, a Dataset, a pandas, Polars, PyArrow or DuckDB table, a mapping of columns, "
        f"a list of records, an array or a database cursor; got {type(data).__name__}"
    )


def _file(source: Any, kinds: Mapping[str, Kind] | None) -> Any:
    ending = os.path.splitext(os.fspath(source))[1].lower() if is_path(source) else ""
    if ending in _PARQUET:
        return parquet_frame(source)
    return read_npz(source) if ending == ".npz" else parse_csv(source, kinds=kinds)
