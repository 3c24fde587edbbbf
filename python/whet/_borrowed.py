"""Arrays of other libraries as NumPy's, over the same memory where NumPy has their dtype: DLPack and buffers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["borrowed", "is_array"]

# DLPack's numbers of memory that the processor reads: its own, and what it shares with CUDA and ROCm.
_READABLE = (1, 3, 11, 13)
_DEVICES = {2: "CUDA", 4: "OpenCL", 7: "Vulkan", 8: "Metal", 10: "ROCm", 14: "oneAPI", 15: "WebGPU"}
_UNREADABLE = (TypeError, ValueError, RuntimeError, BufferError)


def is_array(value: object) -> bool:
    """Whether `value` is an array of NumPy or another library, or memory with a shape, but no text or bytes."""
    if isinstance(value, np.ndarray) or _speaks_dlpack(value):
        return True
    if isinstance(value, (str, bytes, bytearray)):
        return False
    try:
        return memoryview(value).ndim > 0  # type: ignore[arg-type]
    except TypeError:
        return False


def borrowed(value: Any, where: str, name: str) -> NDArray[Any]:
    """`value` as NumPy's array; what is no array becomes a copy, as `numpy.asarray` makes it.

    Raises:
        TypeError: For an array in another device's memory, or one that NumPy cannot have: of a dtype that it lacks, or
            that keeps a gradient.
        ValueError: For lists of unequal lengths.
    """
    if isinstance(value, np.ndarray) or not _speaks_dlpack(value):
        return np.asarray(value)
    _check_device(value, where, name)
    try:
        return np.asarray(value) if hasattr(value, "__array__") else np.from_dlpack(value)
    except _UNREADABLE as error:
        given = type(value).__name__
        raise TypeError(f"[{where}] expected {name} as an array that NumPy can read, got {given}: {error}") from None


def _speaks_dlpack(value: object) -> bool:
    return hasattr(type(value), "__dlpack__")


def _check_device(value: Any, where: str, name: str) -> None:
    """Raises TypeError for an array that is known to lie where the processor cannot read."""
    try:
        device, number = map(int, value.__dlpack_device__())
    except _UNREADABLE:
        return
    if device not in _READABLE:
        place = f"{_DEVICES.get(device, f'DLPack device {device}')}:{number}"
        given = type(value).__name__
        raise TypeError(f"[{where}] expected {name} in the processor's memory, got {given} on {place}; copy it there")
