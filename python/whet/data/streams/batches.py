"""What Python yields, once from an iterator or a cursor, again and again from a function that returns a fresh one."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

from whet.data.dataset import Dataset
from whet.data.sources.sql import has_parts, is_cursor, read_parts
from whet.data.streams.blocks import Block, Columns, explained
from whet.data.tables import as_dataset

__all__ = ["Batches"]


class Batches:
    """Batches (X, y) or (X, y, sample_weight), or X alone for predictions; or the rows of a cursor.

    Args:
        source: An iterator, a cursor whose query has run, or a function without arguments that returns an iterable or
            a cursor.
        columns: What the columns of a cursor are.
    """

    def __init__(self, source: Any, columns: Columns) -> None:
        self.again = not (is_cursor(source) or isinstance(source, Iterator))
        self._source, self._columns = source, columns
        self.batched = True
        self._read = False
        if not self.again:
            self._blocks(source)  # says what is wrong before it is read

    def open(self) -> Generator[Block, None, None]:
        """See `Sequential.open`.

        Raises:
            ValueError: For an iterator or a cursor that has been read already.
        """
        if self.again:
            source = self._source()
            blocks = self._blocks(source)
            return blocks if self.batched else _closed(source, blocks)
        if self._read:
            raise ValueError(
                "[data] an iterator can be read once, and has been: give a function that returns a fresh one"
            )
        self._read = True
        return self._blocks(self._source)

    def _blocks(self, source: Any) -> Generator[Block, None, None]:
        self.batched = not has_parts(source)
        if not self.batched:
            return _parts(source, self._columns)
        if not isinstance(source, Iterable):
            raise TypeError(
                f"[data] expected the function to return an iterable or a cursor, got {type(source).__name__}"
            )
        self._columns.refuse()
        return _batches(iter(source))

    def fingerprint(self) -> str:
        """See `Sequential.fingerprint`: nothing is known."""
        return "batches of Python"


def _parts(cursor: Any, columns: Columns) -> Generator[Block, None, None]:
    there: list[str] = []
    first = 0
    for part in read_parts(cursor):
        try:
            if not there:
                there = list(as_dataset(part).names)
                columns = columns.among(there, "the cursor")
            table = as_dataset(part, wanted=columns.names, ignored=there, kinds=columns.kinds)
        except (ValueError, TypeError) as error:
            raise explained(error, Block(part, None, None, first, "the cursor", first)) from None
        columns = columns.settled(table)
        yield columns.block(table, first, "the cursor", first)
        first += table.rows


def _closed(cursor: Any, blocks: Generator[Block, None, None]) -> Generator[Block, None, None]:
    """Close a cursor that a function opened for us; DuckDB's, whose cursors are connections, may not be ours alone."""
    try:
        yield from blocks
    finally:
        if is_cursor(cursor) and not hasattr(cursor, "cursor"):
            cursor.close()


def _batches(batches: Iterator[Any]) -> Generator[Block, None, None]:
    first = 0
    try:
        for number, batch in enumerate(batches):
            records = isinstance(batch, list) and all(isinstance(each, Mapping) for each in batch)
            parts = batch if isinstance(batch, (tuple, list)) and not records else (batch,)
            if not 1 <= len(parts) <= 3:
                raise TypeError(
                    f"[data] expected batches (X, y) or (X, y, sample_weight), got {len(parts)} parts in batch {number}"
                )
            X, y, weight = (*parts, None, None)[:3]
            rows = _rows(X, number)
            if rows:
                yield Block(X, y, weight, first, f"batch {number}", first)
            first += rows
    finally:
        close = getattr(batches, "close", None)
        if close is not None:
            close()


def _rows(X: Any, number: int) -> int:
    first = next(iter(X.values()), ()) if isinstance(X, Mapping) and not isinstance(X, Dataset) else X
    try:
        return len(first)
    except TypeError:
        raise TypeError(f"[data] expected arrays in batch {number}, got {type(X).__name__}") from None
