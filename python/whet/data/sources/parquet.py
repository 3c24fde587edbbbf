"""Parquet files, read by PyArrow or Polars."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from whet.data.columns import Kind
from whet.data.dataset import Dataset
from whet.data.sources.files import Source, name_of, opened
from whet.data.sources.frames import arrow_library

__all__ = ["explained", "parquet_frame", "read_parquet"]


def read_parquet(
    source: Source,
    *,
    target: str | None = None,
    columns: Iterable[str] | None = None,
    kinds: Mapping[str, Kind] | None = None,
) -> Dataset:
    """Read a Parquet file, with PyArrow or Polars, whichever is installed.

    Args:
        source: a path, or a file open for reading bytes.
        target: the column that holds the labels.
        columns: the columns to read, all by default.
        kinds: "number" or "category" for columns whose kind should not follow from their type.

    Raises:
        ImportError: neither PyArrow nor Polars is installed.
        OSError: a file that is not there or cannot be read.
        TypeError: a column of lists, structs or bytes.
        ValueError: a damaged file, or a column that is not there.
    """
    return Dataset.from_frame(parquet_frame(source), target, columns=columns, kinds=kinds)


def parquet_frame(source: Source) -> Any:
    """Read a Parquet file into a table of PyArrow or Polars; see read_parquet."""
    library = arrow_library()
    with opened(source) as file:
        if library.__name__ == "polars":
            read, damaged = library.read_parquet, library.exceptions.PolarsError
        else:
            import pyarrow.parquet

            read, damaged = pyarrow.parquet.read_table, library.ArrowException
        with explained(name_of(source), damaged):
            return read(file)


@contextlib.contextmanager
def explained(name: str, damaged: type[Exception]) -> Iterator[None]:
    """Name a file in what a library says of damage."""
    try:
        yield
    except (damaged, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the system; PyArrow's own has no number
        what = " ".join(str(error).split())
        raise ValueError(f"[data] {name}: expected a Parquet file ({what})") from None
