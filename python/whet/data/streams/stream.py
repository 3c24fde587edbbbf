"""Stream: rows that are read while a model learns from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence, Sized
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

import numpy as np

from whet._checks import as_count
from whet.data.columns import Kind
from whet.data.sources.sql import is_cursor
from whet.data.streams.arrays import ArrayBlocks
from whet.data.streams.batches import Batches
from whet.data.streams.blocks import Block, Columns, Indexed, Sequential, explained
from whet.data.streams.parquet import ParquetBlocks
from whet.data.streams.text import CsvBlocks
from whet.data.streams.windows import WINDOW_BYTES, drawn, laid_out

__all__ = ["Shuffled", "Stream"]

S = TypeVar("S", bound=Sized)
T = TypeVar("T")

_PARQUET, _CSV = (".parquet", ".pq"), (".csv",)


class Shuffled(NamedTuple):
    """A window as it was read.

    Attributes:
        first: The place of its first row in the epoch.
        rows: How many it has.
        pieces: Its blocks, converted one by one as they are asked for.
        places: Where each of their rows, one block after the other, goes in the window; None where they stay.
        last: Whether the epoch ends with it.
    """

    first: int
    rows: int
    pieces: Iterator[Any]
    places: Any
    last: bool


class Stream:
    """Rows that are read, block by block, while a model learns from them: of data larger than memory.

    ``model.fit(stream, loss=...)`` and ``TabularModel.fit(stream)`` train on it, and evaluate, predict and
    validation_data take it, too. A thread reads ahead while the engine trains. Beside the model, memory holds the
    window that is being trained on, the next one (twice, of what Python yields), and a block as it is read.

    Shuffling: each epoch draws an order of all blocks, reads them in it, and shuffles the rows of neighbouring
    blocks together, `window_rows` or a block more at a time. So every row is as likely as any other at any place of an
    epoch, but rows of one block always come within one window. Where a window has k of n blocks, the mean of anything
    over it varies as that of k blocks drawn at random, (1 - k / n) of the variance between blocks divided by k: nothing
    if the blocks are alike, and much if the file is sorted and k is small. With k = n it is the shuffle of an array.
    Blocks are the row groups of a Parquet file, 1 MiB of a CSV file, 4 MiB of an array. What Python yields, a
    cursor's rows among it, comes in windows in its own order. A batch that a window does not fill goes on in the next
    one: only the last batch of an epoch is short. Order and results depend on seed and data alone, not on the speed of
    reading or on threads.

    Args:
        source: The path of a Parquet file (with PyArrow) or of a plain UTF-8 CSV file, or several of one kind with the
            same columns; arrays (X, y) or (X, y, sample_weight), such as maps of files by ``np.load(mmap_mode="r")``; a
            function that returns a fresh iterator or generator of such batches each time it is called, or a cursor of
            a database whose query has run (DB-API 2.0, ADBC or DuckDB); or an iterator, generator or cursor itself,
            which can be read once: for one epoch. The function is called once more at first, to see a batch. It is
            called, and what it returns is read, in threads other than the caller's, too.
        target: The column of files or a cursor that holds the right answers.
        weight: The column of files or a cursor that holds the weight of each row.
        columns: The columns of files or a cursor that are features; by default all others. A module takes numbers
            alone, TabularModel categories, too.
        kinds: "number" or "category" for columns whose kind should not follow from their cells.
        window_rows: How many rows to shuffle together: by default as many as fill 32 MiB as float32.
        rows: How many rows a function or an iterator yields, where a schedule has to know.

    Attributes:
        rows: How many there are; None if nobody knows.
        again: Whether they can be read more than once.

    Raises:
        TypeError: If the source is something else.
        ValueError: If a file is damaged or empty, or columns are missing.
        OSError: If a file is not there or cannot be read.
        ImportError: For Parquet files, where PyArrow is not installed.
    """

    def __init__(
        self,
        source: Any,
        *,
        target: str | None = None,
        weight: str | None = None,
        columns: Sequence[str] | None = None,
        kinds: Mapping[str, Kind] | None = None,
        window_rows: int | None = None,
        rows: int | None = None,
    ) -> None:
        self.window_rows = None if window_rows is None else as_count(window_rows, "Stream", "window_rows")
        self.target = target
        given = None if rows is None else as_count(rows, "Stream", "rows")
        self._told = _text(source)
        self._indexed: Indexed | None
        self._sequential: Sequential | None
        self._indexed, self._sequential = _opened(source, Columns(columns, target, weight, kinds))
        self._change: Callable[[Block], Block] | None = None
        if self._indexed is None:
            self.rows = given
            return
        self.rows = sum(self._indexed.rows)
        if given is not None:
            raise ValueError("[Stream] expected rows for a function or an iterator, whose number nobody knows")
        if self.rows == 0:
            raise ValueError(f"[Stream] expected at least one row, got none in {self._told}")

    @property
    def again(self) -> bool:
        """Whether the rows can be read more than once."""
        return self._sequential is None or self._sequential.again

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of a file's features; None for arrays and batches."""
        columns: Columns | None = getattr(self._indexed, "columns", None)
        return None if columns is None else tuple(columns.features or ())

    @property
    def _batched(self) -> bool:
        """Whether its blocks are batches as somebody wants them; known once the first was read."""
        return self._sequential is not None and self._sequential.batched

    def _with(self, change: Callable[[Block], Block]) -> Stream:
        """The same rows, where each block that is read becomes another one."""
        made = object.__new__(Stream)
        made.__dict__ = {**self.__dict__, "_change": change}
        return made

    def _fingerprint(self) -> str:
        """Tell the content, as far as that can be without reading all of it."""
        source = self._indexed if self._indexed is not None else self._sequential
        assert source is not None
        return source.fingerprint()

    def _converted(self, convert: Callable[[Block], T]) -> Iterator[T]:
        """Read all blocks in the order of the source, and make something of each; see `_in_order`."""
        with closing(self._in_order()) as blocks:
            for block in blocks:
                yield _made(block, convert)

    def _in_order(self) -> Generator[Block, None, None]:
        """Read all blocks in the order of the source.

        Raises:
            ValueError: If there are none, a file has changed, or an iterator is read a second time.
        """
        if self._indexed is not None:
            for number in range(len(self._indexed.rows)):
                yield self._changed(self._indexed.read(number))
            return
        assert self._sequential is not None
        empty = True
        with closing(self._sequential.open()) as blocks:
            for block in blocks:
                empty = False
                yield self._changed(block)
        if empty:
            raise ValueError(f"[Stream] expected at least one row, got none from {self._told}")

    def _first(self, convert: Callable[[Block], T]) -> T:
        """Read the first block and make something of it; an iterator still yields it later."""
        if self._indexed is not None:
            return _made(self._changed(self._indexed.read(0)), convert)
        assert self._sequential is not None
        blocks = self._sequential.open()
        first = next(blocks, None)
        if first is None:
            raise ValueError(f"[Stream] expected at least one row, got none from {self._told}")
        if self._sequential.again:
            blocks.close()
        else:
            self._sequential = _Begun(first, blocks, self._sequential.batched)
        return _made(self._changed(first), convert)

    def _window(self, width: int) -> int:
        """How many rows to shuffle together, of so many features."""
        return self.window_rows or max(1, WINDOW_BYTES // (4 * width))

    def _layout(self, seed: int, epoch: int, shuffle: bool, least: int) -> list[int] | None:
        """Where in an epoch the windows end, counted in rows; None where that is not known before they are read."""
        if self._indexed is None:
            return None
        return [window.first + window.rows for window in self._windows(seed, epoch, shuffle, least)]

    def _shuffled(
        self, seed: int, epoch: int, shuffle: bool, least: int, convert: Callable[[Block], S], start: int = 0
    ) -> Iterator[Shuffled]:
        """Read an epoch, from the window on that has the row at `start`.

        Args:
            seed: Of the order.
            epoch: Which has an order of its own.
            shuffle: Whether to take another order than that of the source.
            least: Rows to shuffle together.
            convert: What to make of each block.
            start: A place in the epoch.
        """
        if self._indexed is not None:
            windows = self._windows(seed, epoch, shuffle, least)
            for number, window in enumerate(windows):
                if window.first + window.rows <= start:
                    continue
                places = drawn(seed, epoch, number, window.rows) if shuffle else None
                pieces = self._read(window.blocks, convert)
                yield Shuffled(window.first, window.rows, pieces, places, number == len(windows) - 1)
            return
        yield from self._as_it_comes(seed, epoch, shuffle, least, convert)

    def _read(self, blocks: list[int], convert: Callable[[Block], S]) -> Iterator[S]:
        assert self._indexed is not None
        for block in blocks:
            yield _made(self._changed(self._indexed.read(block)), convert)

    def _windows(self, seed: int, epoch: int, shuffle: bool, least: int) -> Any:
        assert self._indexed is not None
        blocks = len(self._indexed.rows)
        order = drawn(seed, epoch, -1, blocks) if shuffle else np.arange(blocks)
        return laid_out(self._indexed.rows, order.tolist(), least)

    def _as_it_comes(
        self, seed: int, epoch: int, shuffle: bool, least: int, convert: Callable[[Block], S]
    ) -> Iterator[Shuffled]:
        first = rows = number = 0
        pieces: list[S] = []

        def window(last: bool) -> Shuffled:
            return Shuffled(first, rows, iter(pieces), drawn(seed, epoch, number, rows) if shuffle else None, last)

        with closing(self._in_order()) as blocks:
            for block in blocks:
                if rows >= least:
                    yield window(False)
                    first, rows, number, pieces = first + rows, 0, number + 1, []
                pieces.append(_made(block, convert))
                rows += len(pieces[-1])
        yield window(True)

    def _changed(self, block: Block) -> Block:
        return block if self._change is None else _made(block, self._change)

    def __repr__(self) -> str:
        rows = "rows not counted" if self.rows is None else f"{self.rows:,} rows"
        target = "" if self.target is None else f", target {self.target!r}"
        return f"Stream({self._told}, {rows}{target})"


def _made(block: Block, make: Callable[[Block], T]) -> T:
    try:
        return make(block)
    except (ValueError, TypeError) as error:
        raise explained(error, block) from None


class _Begun:
    """A source whose first block has been looked at."""

    again = False

    def __init__(self, first: Block, others: Generator[Block, None, None], batched: bool) -> None:
        self.batched = batched
        self._first: Block | None = first
        self._others = others

    def open(self) -> Generator[Block, None, None]:
        """See `Sequential.open`."""
        if self._first is None:
            raise ValueError(
                "[data] an iterator can be read once, and has been: give a function that returns a fresh one"
            )
        first, self._first = self._first, None
        with closing(self._others):
            yield first
            yield from self._others

    def fingerprint(self) -> str:
        """See `Sequential.fingerprint`: nothing is known."""
        return "batches of Python"


def _opened(source: Any, columns: Columns) -> tuple[Indexed, None] | tuple[None, Sequential]:
    paths = _paths(source)
    if paths:
        endings = {os.path.splitext(path)[1].lower() for path in paths}
        if endings <= {*_PARQUET}:
            return ParquetBlocks(paths, columns), None
        if endings <= {*_CSV}:
            return CsvBlocks(paths, columns), None
        raise ValueError(f"[Stream] expected files that end in {', '.join((*_PARQUET, *_CSV))}, got {paths}")
    if is_cursor(source) or isinstance(source, Iterator) or callable(source):
        return None, Batches(source, columns)
    if isinstance(source, (tuple, list)) and 2 <= len(source) <= 3:
        columns.refuse()
        return ArrayBlocks(source), None
    raise TypeError(
        "[Stream] expected paths of Parquet or CSV files, arrays (X, y), a cursor, or a function that returns one or "
        f"an iterator of batches, got {type(source).__name__}"
    )


def _paths(source: Any) -> list[str]:
    several = source if isinstance(source, (tuple, list)) else [source]
    if not several or not all(isinstance(each, (str, os.PathLike)) for each in several):
        return []
    return [str(os.fspath(each)) for each in several]


def _text(source: Any) -> str:
    paths = _paths(source)
    if paths:
        return repr(paths[0]) if len(paths) == 1 else f"{len(paths)} files from {paths[0]!r}"
    if isinstance(source, (tuple, list)):
        return "arrays"
    return getattr(source, "__name__", type(source).__name__)
