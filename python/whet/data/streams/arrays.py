"""Arrays that may be maps of files larger than memory."""

from __future__ import annotations

import contextlib
import mmap
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from whet.data.streams.blocks import BLOCK_BYTES, Block, Watched

__all__ = ["ArrayBlocks"]

_SAMPLES = 64  # pieces that tell one array from another


class ArrayBlocks:
    """Features, right answers and weights, each an array with a row for each; those of a map are copied block by block.

    Args:
        arrays: (X, y) or (X, y, weight); y may be None.
    """

    def __init__(self, arrays: Sequence[Any]) -> None:
        if hasattr(type(arrays[0]), "tocsr"):
            raise TypeError("[data] expected dense features, got a sparse matrix, which fit takes without a Stream")
        self._arrays = [each if each is None else np.asanyarray(each) for each in arrays]
        X = self._arrays[0]
        if X is None or X.ndim != 2:
            raise ValueError(f"[data] expected features of shape (rows, columns), got {getattr(X, 'shape', None)}")
        lengths = [len(each) for each in self._arrays if each is not None]
        if len(set(lengths)) > 1:
            raise ValueError(f"[data] expected arrays with equally many rows, got {lengths}")
        total = len(X)
        self._size = max(1, BLOCK_BYTES // max(X.itemsize * X.shape[1], 1))
        self.rows: Sequence[int] = [min(self._size, total - first) for first in range(0, total, self._size)]
        self._watched = [Watched(path) for path in map(_path, self._arrays) if path is not None]

    def read(self, block: int) -> Block:
        """See `Indexed.read`."""
        for file in self._watched:
            file.check()
        first = block * self._size
        X, y, weight = (*(_copied(each, slice(first, first + self._size)) for each in self._arrays), None)[:3]
        return Block(X, y, weight, first, "the arrays", first)

    def fingerprint(self) -> str:
        """See `Indexed.fingerprint`: of shapes, dtypes and pieces."""
        total, told = 0, []
        for each in self._arrays:
            told.append("" if each is None else f"{each.dtype}{each.shape}")
            if each is not None and len(each):
                for first in np.unique(np.linspace(0, len(each) - 1, _SAMPLES).astype(np.int64)).tolist():
                    total = zlib.crc32(np.ascontiguousarray(each[first : first + 16]).tobytes(), total)
        return f"{' '.join(told)} {total:08x}"


def _path(array: Any) -> str | None:
    file = getattr(array, "filename", None)
    return None if file is None else str(file)


def _copied(array: Any, rows: slice) -> Any:
    """Rows of an array; those of a map are copied, and their pages given back, which would count as memory in use."""
    if array is None:
        return None
    part: npt.NDArray[Any] = array[rows]
    mapped = getattr(array, "_mmap", None)
    if mapped is None:
        return part
    copy = np.array(part)
    if getattr(array, "mode", "c") in ("r", "r+") and part.flags.c_contiguous:
        start = part.__array_interface__["data"][0] - np.frombuffer(mapped, np.uint8).__array_interface__["data"][0]
        begin = start // mmap.PAGESIZE * mmap.PAGESIZE
        with contextlib.suppress(OSError, ValueError):
            mapped.madvise(mmap.MADV_DONTNEED, begin, start + part.nbytes - begin)
    return copy
