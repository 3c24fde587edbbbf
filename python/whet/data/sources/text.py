"""Tables of comma-separated text, plain or gzipped."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import IO, Any

import numpy as np

from whet.data.columns import MISSING, Column, Kind, checked_kinds, parse_number
from whet.data.dataset import Dataset, listed
from whet.data.sources.files import Source, name_of

__all__ = ["GZIP", "explained", "parse_column", "read_cells", "read_csv", "read_header"]

GZIP = b"\x1f\x8b"


def read_csv(
    source: Source,
    *,
    target: str | None = None,
    names: Sequence[str] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> Dataset:
    """Read a table of comma-separated values, gzipped or not.

    A column is numbers if every cell that is not missing is a number, and categories otherwise; blanks around cells are
    dropped and empty lines skipped. The cells in whet.data.MISSING are missing.

    Args:
        source: a path, "-" for standard input, or an open file.
        target: the column that holds the labels.
        names: the names of the columns of a file without a header.
        kinds: "number" or "category" for columns whose kind should not follow from their cells.
        delimiter: what separates cells.
        encoding: of the text; a byte order mark is skipped.

    Raises:
        OSError: a file that is not there or cannot be read.
        ValueError: an empty file, a row with too few or too many cells, a name that appears twice, another encoding,
            text in a column asked to be numbers, a target that is not there.
    """
    table = parse_csv(source, names=names, kinds=kinds, delimiter=delimiter, encoding=encoding)
    absent = [name for name in kinds or {} if name not in table]
    if absent:
        raise ValueError(f"[data] expected kinds of columns among {list(table)}, got {absent}")
    return table if target is None else table.with_target(target)


def parse_csv(
    source: Source,
    *,
    names: Sequence[str] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> Dataset:
    """Read a table as read_csv does, where kinds may name columns that are not there."""
    where = name_of(source)
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '\r\n"':
        raise ValueError(f"[data] expected a delimiter of one character, no quote and no line end, got {delimiter!r}")
    if not isinstance(encoding, str):
        raise TypeError(f"[data] expected the name of an encoding, such as utf-8, got {type(encoding).__name__}")
    chosen = checked_kinds(kinds)
    given = None if names is None else listed(names if isinstance(names, str) else map(str, names))
    with explained(where, encoding), _text(source, encoding) as lines:
        rows = csv.reader(_unmarked(lines), delimiter=delimiter, strict=True)
        try:
            header = read_header(rows, where) if given is None else given
            cells = read_cells(rows, header, where)
        except csv.Error as error:
            limit = f" (csv.field_size_limit, {csv.field_size_limit():,} characters)" if "limit" in str(error) else ""
            raise ValueError(f"[data] {where}, line {rows.line_num}: {error}{limit}") from None
    columns = {
        name: parse_column(column, chosen.get(name), name, where) for name, column in zip(header, cells, strict=True)
    }
    return Dataset(columns)


def _text(source: Source, encoding: str) -> IO[str]:
    """Give the lines of a source with their line ends as they are."""
    if isinstance(source, (str, os.PathLike)):
        if source == "-":
            if sys.stdin is None:
                raise ValueError("[data] standard input is closed; expected a table there")
            return _decoded(sys.stdin.buffer.read(), encoding)
        with open(source, "rb") as file:
            return _decoded(file.read(), encoding)
    if not hasattr(source, "read"):
        raise TypeError(f"[data] expected a path or an open file, got {type(source).__name__}")
    content = source.read()
    return io.StringIO(content, newline="") if isinstance(content, str) else _decoded(content, encoding)


def _decoded(content: bytes, encoding: str) -> IO[str]:
    raw = io.BytesIO(content)
    return io.TextIOWrapper(gzip.GzipFile(fileobj=raw) if content.startswith(GZIP) else raw, encoding, newline="")


def _unmarked(lines: IO[str]) -> Iterator[str]:
    """Lines without the byte order mark, behind which a quote would be no quote."""
    return chain([next(lines, "").removeprefix("\ufeff")], lines)


@contextlib.contextmanager
def explained(where: str, encoding: str) -> Iterator[None]:
    """Inside, what is wrong with a file's bytes is told in its name."""
    try:
        yield
    except UnicodeDecodeError:
        raise ValueError(
            f"[data] {where}: expected text in {encoding}, got other bytes; read_csv takes another encoding"
        ) from None
    except LookupError:
        raise ValueError(f"[data] expected the name of an encoding, such as utf-8, got {encoding!r}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise OSError(f"[data] {where}: the gzip file is damaged ({error})") from None


def read_header(rows: Iterator[list[str]], where: str) -> list[str]:
    """Read the names of the columns."""
    row = next((row for row in rows if row), None)
    if row is None:
        raise ValueError(f"[data] {where}: expected a table with a header, got an empty file")
    if any("\0" in name for name in row):
        raise ValueError(f"[data] {where}: expected text, got zero bytes: another encoding, or no text at all")
    row[0] = row[0].removeprefix("\ufeff")
    return [name.strip() or f"column {position}" for position, name in enumerate(row, 1)]


def read_cells(rows: Any, header: list[str], where: str) -> list[tuple[str, ...]]:
    """Read the cells of each column."""
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise ValueError(f"[data] {where}: column names appear more than once: {repeated}")
    columns: list[list[str]] = [[] for _ in header]
    while block := list(islice(_checked(rows, len(header), where), 4096)):
        for column, cells in zip(columns, zip(*block, strict=True), strict=True):
            column.extend(map(str.strip, cells))
    return [tuple(column) for column in columns]


def _checked(rows: Any, width: int, where: str) -> Iterator[list[str]]:
    for row in rows:
        if len(row) == width:
            yield row
        elif row:
            raise ValueError(f"[data] {where}, line {rows.line_num}: expected {width} cells, got {len(row)}")


def parse_column(cells: Sequence[str], kind: Kind | None, name: str, where: str) -> Column:
    """Make numbers or categories of cells; of no kind, numbers where all are."""
    if kind != "category":
        try:
            return np.array([parse_number(cell) for cell in cells], np.float64)
        except ValueError:
            if kind == "number":
                row = next(row for row, cell in enumerate(cells) if not _is_number(cell))
                raise ValueError(f"[data] {where}, column {name!r}: expected numbers, got text in row {row}") from None
    return np.fromiter((None if cell in MISSING else cell for cell in cells), object, len(cells))


def _is_number(cell: str) -> bool:
    try:
        parse_number(cell)
    except ValueError:
        return False
    return True
