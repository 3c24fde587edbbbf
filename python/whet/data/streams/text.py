"""CSV files, cut into blocks where a row ends."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np

from whet.data.columns import Kind
from whet.data.dataset import Dataset
from whet.data.sources.text import GZIP, explained, parse_column, read_cells, read_header
from whet.data.streams.blocks import Block, Columns, Watched

__all__ = ["CsvBlocks"]

_TEXT_BYTES = 1 << 20  # of a block: its cells as Python's text take ten times as much


class CsvBlocks:
    """CSV files with the same header, read once when they are opened: where rows end, and which columns hold numbers.

    Args: see `ParquetBlocks`.
    """

    def __init__(self, paths: Sequence[str], columns: Columns) -> None:
        self._files = [Watched(path) for path in paths]
        self._header: list[str] = []
        self._given = dict(columns.kinds or {})
        self._kinds: dict[str, Kind] = {}
        # Of every block: the file, where it begins and ends there, the number of its first row there, and in all files.
        self._places: list[tuple[int, int, int, int, int]] = []
        self.rows: list[int] = []
        self._crc = 0
        for number, path in enumerate(paths):
            with explained(path, "utf-8"):
                self._scan(number, path)
        self.columns = columns.among(self._header, paths[0])

    def read(self, block: int) -> Block:
        """See `Indexed.read`."""
        number, begin, end, first, total = self._places[block]
        file = self._files[number]
        file.check()
        with open(file.path, "rb") as opened:
            opened.seek(begin)
            text = opened.read(end - begin).decode("utf-8")
        file.check()
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        cells = dict(zip(self._header, read_cells(rows, self._header, file.path), strict=True))
        names = self.columns.names
        data = Dataset({name: parse_column(cells[name], self._kinds[name], name, file.path) for name in names})
        made = self.columns.block(data, first, file.path, total)
        y = made.y
        if y is not None and y.dtype.kind == "f" and (y == np.rint(y)).all():
            return replace(made, y=y.astype(np.int64))  # as classes are given
        return made

    def fingerprint(self) -> str:
        """See `Indexed.fingerprint`: a checksum of all bytes."""
        return f"{self.columns.names} {self._crc:08x}"

    def _scan(self, number: int, path: str) -> None:
        with open(path, "rb") as opened:
            if opened.read(2) == GZIP:
                raise ValueError(
                    f"[data] {path}: expected plain text, as a gzipped file cannot be read from the middle: gunzip it"
                )
            opened.seek(0)
            lines = _Lines(opened)
            rows = csv.reader(iter(lines), strict=True)
            try:
                self._scan_rows(number, path, lines, rows)
            except csv.Error as error:
                raise ValueError(f"[data] {path}, line {rows.line_num}: {error}") from None
            self._crc = zlib.crc32(lines.crc.to_bytes(4, "little"), self._crc)

    def _scan_rows(self, number: int, path: str, lines: _Lines, rows: Any) -> None:
        header = read_header(rows, path)
        if self._header and header != self._header:
            raise ValueError(
                f"[data] {path}: expected the columns of {self._files[0].path}, {self._header}; got {header}"
            )
        self._header = header
        first, total = 0, sum(self.rows)
        while True:
            begin = lines.bytes
            cells = read_cells(_Until(rows, lines, begin + _TEXT_BYTES), header, path)
            if lines.bytes == begin:
                return
            self._guess(dict(zip(header, cells, strict=True)), path)
            if cells[0]:
                self._places.append((number, begin, lines.bytes, first, total + first))
                self.rows.append(len(cells[0]))
            first += len(cells[0])

    def _guess(self, cells: Mapping[str, Sequence[str]], path: str) -> None:
        """Take columns for numbers until one of their cells is none."""
        for name, column in cells.items():
            kind = self._given.get(name, self._kinds.get(name, "number"))
            self._kinds[name] = kind
            if kind == "number":
                try:
                    parse_column(column, kind, name, path)
                except ValueError:
                    if name in self._given:
                        raise
                    self._kinds[name] = "category"


class _Until:
    """Rows of a reader until so many bytes were read."""

    def __init__(self, rows: Any, lines: _Lines, end: int) -> None:
        self._rows, self._lines, self._end = rows, lines, end

    @property
    def line_num(self) -> int:
        return int(self._rows.line_num)

    def __iter__(self) -> _Until:
        return self

    def __next__(self) -> list[str]:
        if self._lines.bytes >= self._end:
            raise StopIteration
        row: list[str] = next(self._rows)
        return row


class _Lines:
    """The lines of a file as text, with how many bytes were read and their checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bytes = self.crc = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.bytes += len(line)
            self.crc = zlib.crc32(line, self.crc)
            first = self.bytes == len(line)
            yield line.decode("utf-8-sig" if first else "utf-8")  # a byte order mark, behind which a quote is none
