"""Checks of the numbers, flags, names and paths that users give; the errors say what was expected and what came."""

from __future__ import annotations

import math
import os
from numbers import Integral, Real

import numpy as np

__all__ = ["as_count", "as_flag", "as_name", "as_number", "as_path", "as_seed"]


def as_flag(value: object, where: str, name: str) -> bool:
    """`value` as a bool: True, False, or NumPy's.

    Raises:
        TypeError: If it is something else, such as the text "no", which would count as true.
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise TypeError(f"[{where}] expected {name} to be True or False, got {value!r}")


def as_name(value: object, where: str, name: str) -> str:
    """`value`, if it is text.

    Raises:
        TypeError: If it is something else.
    """
    if isinstance(value, str):
        return value
    raise TypeError(f"[{where}] expected {name} to be text, got {type(value).__name__}")


def as_path(value: object, where: str) -> str:
    """A path of a file as text.

    Raises:
        TypeError: If it is neither text nor `os.PathLike` of text.
        ValueError: If no file can be called so.
    """
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(path, str):
        if not path or "\0" in path:
            raise ValueError(f"[{where}] expected a path, got {path!r}")
        return path
    raise TypeError(f"[{where}] expected a path, as text or os.PathLike, got {type(value).__name__}")


def as_number(value: object, where: str, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    """`value` as a finite float from `low` to below `high`.

    Raises:
        TypeError: If it is no real number.
        ValueError: If it is outside.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"[{where}] expected {name} to be a number, got {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or not low <= number < high:
        least = "" if low == -math.inf else f"at least {low:g} and "
        bound = "finite" if high == math.inf else f"below {high:g}"
        raise ValueError(f"[{where}] expected {name} {least}{bound}, got {number}")
    return number


def as_count(value: object, where: str, name: str) -> int:
    """`value` as an int from 1 to 2^62.

    Raises:
        TypeError: If it is no integer.
        ValueError: If it is outside.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"[{where}] expected {name} to be an integer, got {type(value).__name__}")
    if not 1 <= int(value) <= 2**62:
        raise ValueError(f"[{where}] expected {name} to be at least 1 and at most 2**62, got {value}")
    return int(value)


def as_seed(value: object, where: str) -> int:
    """`value` as an int from 0 to 2^64 - 1.

    Raises:
        TypeError: If it is no integer.
        ValueError: If it is outside.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"[{where}] expected seed to be an integer, got {type(value).__name__}")
    if not 0 <= int(value) < 2**64:
        raise ValueError(f"[{where}] expected seed from 0 to 2**64 - 1, got {value}")
    return int(value)
