"""Batches that Python makes: from an iterator, which can be read once, or a function that returns a fresh one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

from whet.data.dataset import Dataset
from whet.data.streams.blocks import Block

__all__ = ["Batches"]


class Batches:
    """Batches (X, y) or (X, y, sample_weight), or X alone for predictions.

    Args:
        source: An iterator, or a function without arguments that returns an iterable.
    """

    def __init__(self, source: Iterator[Any] | Callable[[], Iterable[Any]]) -> None:
        self.again = not isinstance(source, Iterator)
        self._source = source
        self._read = False

    def open(self) -> Generator[Block, None, None]:
        """See `Sequential.open`.

        Raises:
            ValueError: For an iterator that has been read already.
        """
        if isinstance(self._source, Iterator):
            if self._read:
                raise ValueError(
                    "[data] an iterator can be read once, and has been: give a function that returns a fresh one"
                )
            self._read = True
            batches = self._source
        else:
            made = self._source()
            if not isinstance(made, Iterable):
                raise TypeError(f"[data] expected the function to return an iterable, got {type(made).__name__}")
            batches = iter(made)
        return _blocks(batches)

    def fingerprint(self) -> str:
        """See `Sequential.fingerprint`: nothing is known."""
        return "batches of Python"


def _blocks(batches: Iterator[Any]) -> Generator[Block, None, None]:
    first = 0
    try:
        for number, batch in enumerate(batches):
            parts = batch if isinstance(batch, (tuple, list)) else (batch,)
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
