"""Where the rows of an epoch come from: all of them at once from memory, or part by part from a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from whet.files import checksum
from whet.training.rows import Rows

if TYPE_CHECKING:
    from whet.data.streams.stream import Stream
    from whet.training.fit import Plan

__all__ = ["Memory", "Part", "Source", "Streamable", "as_stream"]

#: A stream, or what becomes one: an iterator of batches, or a function that returns one.
Streamable: TypeAlias = "Stream | Iterator[Any] | Callable[[], Iterable[Any]]"


class Part(NamedTuple):
    """Rows of an epoch that the engine is given at once.

    Attributes:
        first: The batch of the epoch that they begin with.
        end: The one after their last.
        rows: Themselves.
        shuffle: Whether the engine is to take them in an order of its own.
    """

    first: int
    end: int
    rows: Rows
    shuffle: bool


class Source(Protocol):
    """Training rows.

    Attributes:
        head: Some of them, which tell the shapes of all.
        rows: How many there are; None if nobody knows.
        batch_rows: Of a step.
        whole: Whether an epoch is one part.
    """

    head: Rows
    rows: int | None
    batch_rows: int
    whole: bool

    def parts(self, epoch: int, done: int) -> AbstractContextManager[Iterator[Part]]:
        """The rows of an epoch after so many batches; the first part may have some of these, too."""

    def identity(self) -> dict[str, Any]:
        """What they are, so that a fit of others does not go on from its checkpoints."""


class Memory:
    """Rows in memory, or in a map of a file."""

    whole = True

    def __init__(self, rows: Rows, plan: Plan) -> None:
        self.head = rows
        self.rows: int | None = len(rows)
        self.batch_rows = plan.batch_rows(len(rows))
        self._shuffle = plan.shuffle

    def parts(self, epoch: int, done: int) -> AbstractContextManager[Iterator[Part]]:
        """See `Source.parts`: one."""
        batches = -(-len(self.head) // self.batch_rows)
        return nullcontext(iter([Part(0, batches, self.head, self._shuffle)] if done < batches else []))

    def identity(self) -> dict[str, Any]:
        """See `Source.identity`."""
        rows = self.head
        return {
            "X": f"crc32:{checksum(*rows.feature_arrays())}",
            "y": f"crc32:{checksum(rows.target)}",
            "sample_weight or class_weight": None if rows.weights is None else f"crc32:{checksum(rows.weights)}",
        }


def as_stream(X: Any) -> Stream | None:
    """A stream, or what is one without saying so: an iterator, or a function that returns one; None for arrays."""
    if isinstance(X, (np.ndarray, list, tuple, Mapping)) or hasattr(X, "__array__"):
        return None
    if type(X).__name__ != "Stream" and not isinstance(X, Iterator) and not callable(X):
        return None
    from whet.data.streams.stream import Stream

    if isinstance(X, Stream):
        return X
    return Stream(X) if isinstance(X, Iterator) or callable(X) else None
