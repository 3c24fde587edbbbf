"""Results of databases, through their Arrow or DB-API drivers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whet.data.columns import Kind
from whet.data.dataset import Dataset, listed

__all__ = ["has_parts", "is_cursor", "read_cursor", "read_parts", "read_sql"]

_BLOCK = 4096  # rows asked for at once, as a cursor's own default is one


def read_sql(
    query: str,
    connection: Any,
    params: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    target: str | None = None,
    kinds: Mapping[str, Kind] | None = None,
) -> Dataset:
    """Run a query and read all rows of its result.

    NUMERIC columns are numbers, dates are days (see whet.data), NULL is missing. A column of which a DB-API driver
    gives nothing but NULL is numbers. Nothing is committed, and the connection stays open.

    Args:
        query: in the database's SQL.
        connection: a connection or a cursor of a DB-API 2.0 driver (sqlite3, psycopg, psycopg2 ...) or of an ADBC
            driver, or a connection of DuckDB; the last two hand over whole columns, by way of PyArrow.
        params: for the placeholders of the query, in the driver's style.
        target: the column that holds the labels.
        kinds: "number" or "category" for columns whose kind should not follow from their cells.

    Raises:
        TypeError: something that is no connection, or a column of bytes, lists or other things.
        ValueError: a query that gives no rows and columns, a name that appears twice, a target that is not there.
        Exception: whatever the driver raises.

    >>> import sqlite3
    >>> read_sql("SELECT 1.5 AS size, 'red' AS color", sqlite3.connect(":memory:"))
    Dataset(1 row, 1 number, 1 category)
    """
    if not isinstance(query, str):
        raise TypeError(f"[data] expected a query as text, got {type(query).__name__}")
    if hasattr(connection, "sql"):  # DuckDB, whose cursors hand over rows alone
        result = connection.sql(query, params=params)
    else:
        with _cursor(connection) as cursor:
            cursor.execute(query, *([] if params is None else [params]))
            result = read_cursor(cursor)
    if isinstance(result, dict):
        table = Dataset(result, kinds=kinds)
        return table if target is None else table.with_target(target)
    return Dataset.from_frame(result, target, kinds=kinds)


def is_cursor(data: object) -> bool:
    """Tell whether this is a cursor, whose result can be fetched."""
    return all(hasattr(data, name) for name in ("description", "execute", "fetchmany"))


def read_cursor(cursor: Any) -> dict[str, list[Any]] | Any:
    """Fetch what is left of a cursor's result: columns of cells by name, or an Arrow table.

    Raises:
        ValueError: a cursor without a result, or a name that appears twice.
    """
    names = _names(cursor)
    if hasattr(cursor, "fetch_arrow_table"):  # ADBC
        return _with_numbers(cursor.fetch_arrow_table())
    columns: list[list[Any]] = [[] for _ in names]
    for part in _fetched(cursor):
        for column, cells in zip(columns, part, strict=True):
            column.extend(cells)
    return dict(zip(names, columns, strict=True))


def has_parts(data: object) -> bool:
    """Tell whether this is what `read_parts` reads: a cursor, or a stream of Arrow's C interface."""
    return is_cursor(data) or hasattr(data, "__arrow_c_stream__")


def read_parts(cursor: Any) -> Iterator[dict[str, list[Any]] | Any]:
    """Fetch what is left of a cursor's result, some thousand rows at a time; see read_cursor."""
    if is_cursor(cursor) and not hasattr(cursor, "adbc_statement"):
        names = _names(cursor)
        for part in _fetched(cursor):
            yield dict(zip(names, map(list, part), strict=True))
        return
    import pyarrow

    if is_cursor(cursor):
        _names(cursor)
        reader = cursor.fetch_record_batch()
    elif hasattr(cursor, "to_arrow_reader"):
        reader = cursor.to_arrow_reader(_BLOCK)  # DuckDB, which else gives a million rows at a time
    else:
        reader = pyarrow.RecordBatchReader.from_stream(cursor)
    for batch in reader:
        yield _with_numbers(pyarrow.Table.from_batches([batch]))


def _names(cursor: Any) -> list[str]:
    if cursor.description is None:
        raise ValueError("[data] expected a query that gives rows, got one without a result")
    return listed(str(entry[0]) for entry in cursor.description)


def _fetched(cursor: Any) -> Iterator[Iterator[tuple[Any, ...]]]:
    """Fetch rows and turn them into columns."""
    while rows := cursor.fetchmany(_BLOCK):
        yield zip(*(row.values() if isinstance(row, Mapping) else row for row in rows), strict=True)  # some give dicts


def _with_numbers(table: Any) -> Any:
    """Turn NUMERIC of PostgreSQL, which ADBC hands over as text, into numbers."""
    import pyarrow

    for position, field in enumerate(table.schema):
        if (field.metadata or {}).get(b"ADBC:postgresql:typname") == b"numeric":
            numbers = table[position].cast(pyarrow.string()).cast(pyarrow.float64())
            table = table.set_column(position, field.name, numbers)
    return table


def _cursor(connection: Any) -> contextlib.AbstractContextManager[Any]:
    """Give a new cursor of a connection, closed in the end, or the cursor that was given."""
    if is_cursor(connection):
        return contextlib.nullcontext(connection)
    if not hasattr(connection, "cursor"):
        raise TypeError(
            f"[data] expected a connection or a cursor of a DB-API 2.0 or ADBC driver, got {type(connection).__name__}"
        )
    return contextlib.closing(connection.cursor())
