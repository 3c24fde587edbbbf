"""The order of rows in an epoch: blocks drawn in an order, and the rows of several neighbours shuffled together."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from whet import _core

__all__ = ["WINDOW_BYTES", "Window", "drawn", "laid_out"]

WINDOW_BYTES = 32 << 20  # of a window by default, as float32


class Window(NamedTuple):
    """Blocks whose rows are shuffled together.

    Attributes:
        first: The place of its first row in the epoch.
        rows: How many it has.
        blocks: Their numbers.
    """

    first: int
    rows: int
    blocks: list[int]


def drawn(seed: int, epoch: int, window: int, n: int) -> npt.NDArray[np.int64]:
    """Draw an order of n things: of the blocks, for window -1, or of the rows of a window."""
    key = hashlib.blake2b(struct.pack("<QQq", seed, epoch, window), digest_size=8).digest()
    return _core.random_permutation(int.from_bytes(key, "little"), n)


def laid_out(rows: Sequence[int], order: Sequence[int], least: int) -> list[Window]:
    """Cut blocks in an order into windows of at least so many rows; the last one has what is left."""
    windows: list[Window] = []
    blocks: list[int] = []
    first = total = 0
    for block in order:
        blocks.append(block)
        total += rows[block]
        if total >= least:
            windows.append(Window(first, total, blocks))
            first, total, blocks = first + total, 0, []
    if total:
        windows.append(Window(first, total, blocks))
    return windows
