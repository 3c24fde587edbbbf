"""What a stream is read from: blocks of rows, in any order where they can be found again, else one after the other."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from whet.data.columns import Kind
from whet.data.dataset import Dataset, listed

__all__ = ["Block", "Columns", "Indexed", "Sequential", "Watched", "explained"]

_PIECES, _PIECE_BYTES = 64, 16 << 10  # that tell one file from another
BLOCK_BYTES = 4 << 20  # of a block, where a source has none of its own: a disk reads such pieces at its full speed


@dataclass(frozen=True)
class Block:
    """Some rows of a source.

    Attributes:
        X: Their features: an array, a mapping of arrays, or a Dataset.
        y: Right answers, or None.
        weight: Of each row, or None.
        first: The number of the first row, counted in what `name` names.
        name: A file, or what else the rows are of.
        number: The number of the first row, counted in the whole source.
    """

    X: Any
    y: Any
    weight: Any
    first: int
    name: str
    number: int


@dataclass(frozen=True)
class Columns:
    """What the columns of a source are, which have names.

    Args:
        features: Those that are features; None for all that are neither target nor weight.
        target: The one of right answers, or None.
        weight: The one of the rows' weights, or None.
        kinds: "number" or "category" for those whose kind should not follow from their cells.
    """

    features: Sequence[str] | None = None
    target: str | None = None
    weight: str | None = None
    kinds: Mapping[str, Kind] | None = None

    def among(self, there: Sequence[str], name: str) -> Columns:
        """The same, with all features named, out of the columns that are there in what has this name.

        Raises:
            ValueError: If some are not there.
        """
        asked = there if self.features is None else listed(self.features)
        found = replace(self, features=[each for each in asked if each not in (self.target, self.weight)])
        absent = [each for each in found.names if each not in there]
        if absent:
            raise ValueError(f"[data] {name}: expected the columns {absent}, which are missing; got {[*there]}")
        return found

    def refuse(self) -> None:
        """Raises ValueError if anything is given, where columns have no names."""
        for name, given in (
            ("target", self.target),
            ("weight", self.weight),
            ("columns", self.features),
            ("kinds", self.kinds),
        ):
            if given is not None:
                raise ValueError(f"[Stream] expected {name} for files and cursors alone, whose columns have names")

    def settled(self, table: Dataset) -> Columns:
        """The same, with the kinds of a table's columns where none are given: they hold for what is read later."""
        return replace(self, kinds={**table.kinds, **(self.kinds or {})})

    @property
    def names(self) -> list[str]:
        """All columns to read: features, target, weight."""
        return [*(self.features or ()), *(each for each in (self.target, self.weight) if each is not None)]

    def block(self, table: Dataset, first: int, name: str, number: int) -> Block:
        """Take a table of these columns apart; see `Block`."""
        y, weight = (None if each is None else table[each] for each in (self.target, self.weight))
        return Block(table.select(self.features or ()), y, weight, first, name, number)


class Indexed(Protocol):
    """A source whose blocks can be read in any order, again and again.

    Attributes:
        rows: How many each block has.
    """

    @property
    def rows(self) -> Sequence[int]:
        """See above."""

    def read(self, block: int) -> Block:
        """Read a block; ValueError if the source has changed since it was opened."""

    def fingerprint(self) -> str:
        """Tell the content, so that another source is not taken for this one."""


class Sequential(Protocol):
    """A source that is read from its beginning.

    Attributes:
        again: Whether it can be read more than once.
        batched: Whether its blocks are batches as somebody wants them; known once it was opened.
    """

    again: bool
    batched: bool

    def open(self) -> Generator[Block, None, None]:
        """Read all blocks."""

    def fingerprint(self) -> str:
        """Tell the content as far as that can be."""


@dataclass(frozen=True)
class Watched:
    """A file that has to stay as it is while it is read."""

    path: str
    _before: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_before", self._now())

    def check(self) -> None:
        """Raises ValueError if the file was written to, or another one was put in its place."""
        try:
            now = self._now()
        except OSError:
            now = None
        if now != self._before:
            raise ValueError(
                f"[data] {self.path}: expected a file that stays as it is while it is read; it has changed"
            )

    def sample(self) -> str:
        """Tell the size and a checksum of pieces from the beginning to the end: of all of a small file."""
        size, crc = self._before[0], 0
        with open(self.path, "rb") as file:
            for piece in range(_PIECES):
                file.seek(max(0, (size - _PIECE_BYTES) * piece // (_PIECES - 1)))
                crc = zlib.crc32(file.read(_PIECE_BYTES), crc)
        return f"{size} {crc:08x}"

    def _now(self) -> tuple[int, int]:
        found = os.stat(self.path)
        return found.st_size, found.st_mtime_ns


def explained(error: ValueError | TypeError, block: Block) -> ValueError | TypeError:
    """Make an error about rows of a block one about the same rows of its source."""
    message = re.sub(r"\brow (\d+)", lambda found: f"row {int(found[1]) + block.first}", str(error))
    told = f"{message}; of {block.name}, in the block that begins with row {block.first}"
    return ValueError(told) if isinstance(error, ValueError) else TypeError(told)
