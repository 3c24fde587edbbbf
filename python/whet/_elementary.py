"""exp, log, powers and cosine from sums, products and quotients alone: the same bits everywhere, unlike a C library's.

All take and return float64 arrays, and are right to a few units in the last place.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["cos_pi", "exp", "log", "power"]

Array = NDArray[np.float64]

_LN2_HIGH, _LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")


def exp(x: Array) -> Array:
    """e^x; 0 where that is below the smallest normal number."""
    x = np.asarray(x, np.float64)
    twos: Array = np.floor(x * 1.4426950408889634 + 0.5)
    r = (x - twos * _LN2_HIGH) - twos * _LN2_LOW
    series = np.ones_like(r)
    for k in range(14, 0, -1):
        series = 1 + r * series / k
    with np.errstate(over="ignore"):
        result: Array = np.ldexp(series, np.clip(twos, -1100, 1100).astype(np.int32))
    result[x < -708] = 0
    return result


def log(x: Array) -> Array:
    """The natural logarithm of numbers above 0."""
    fraction, exponent = np.frexp(np.asarray(x, np.float64))
    low = fraction < 0.7071067811865476
    fraction, exponent = np.where(low, 2 * fraction, fraction), exponent - low
    s = (fraction - 1) / (fraction + 1)
    square, series = s * s, np.zeros_like(s)
    for k in range(25, 0, -2):
        series = series * square + 1 / k
    found: Array = exponent * _LN2_HIGH + (2 * s * series + exponent * _LN2_LOW)
    return found


def power(base: Array, exponent: float | Array) -> Array:
    """base^exponent for numbers from 0 on; 0^0 is 1. Whole exponents of one number are products."""
    base = np.asarray(base, np.float64)
    if isinstance(exponent, (int, float)) and exponent == int(exponent) and abs(exponent) <= 64:
        result = np.ones_like(base)
        for _ in range(abs(int(exponent))):
            result = result * base
        return 1 / result if exponent < 0 else result
    positive = base > 0
    found = exp(exponent * log(np.where(positive, base, 1.0)))
    return np.where(positive, found, np.where(np.asarray(exponent) == 0, 1.0, 0.0))


def cos_pi(x: Array) -> Array:
    """cos(pi x)."""
    x = np.asarray(x, np.float64)
    x = abs(x - 2 * np.floor(x / 2 + 0.5))  # from 0 to 1, without an error
    y = np.where(x > 0.5, 1 - x, x)
    cosine = np.where(y > 0.25, _sin_of(np.pi * (0.5 - y)), _cos_of(np.pi * y))
    return np.where(x > 0.5, -cosine, cosine)


def _cos_of(x: Array) -> Array:
    """For x up to pi / 4."""
    square, series = x * x, np.ones_like(x)
    for k in range(18, 0, -2):
        series = 1 - series * square / (k * (k - 1))
    return series


def _sin_of(x: Array) -> Array:
    """For x up to pi / 4."""
    square, series = x * x, np.ones_like(x)
    for k in range(19, 1, -2):
        series = 1 - series * square / (k * (k - 1))
    return x * series
