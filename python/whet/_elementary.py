"""exp, log, powers, cosine and the normal quantile from sums, products, quotients and square roots alone: the same bits
everywhere, unlike a C library's.

All take and return float64 arrays, and are right to a few units in the last place.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FAR", "MIDDLE", "NEAR", "cos_pi", "exp", "log", "normal_quantile", "power", "rational"]

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


# Coefficients of Wichura's algorithm AS 241 (Applied Statistics 37, 1988), of numerator and denominator, the highest
# power first: for shares from 0.075 to 0.925, and of sqrt(-log(share)) up to 5 and above it for those further out.
MIDDLE = (
    (2509.0809287301227, 5226.495278852854),
    (33430.57558358813, 28729.085735721943),
    (67265.7709270087, 39307.89580009271),
    (45921.95393154987, 21213.794301586597),
    (13731.69376550946, 5394.196021424751),
    (1971.5909503065513, 687.1870074920579),
    (133.14166789178438, 42.31333070160091),
    (3.3871328727963665, 1.0),
)
NEAR = (
    (0.0007745450142783414, 1.0507500716444169e-09),
    (0.022723844989269184, 0.0005475938084995345),
    (0.2417807251774506, 0.015198666563616457),
    (1.2704582524523684, 0.14810397642748008),
    (3.6478483247632045, 0.6897673349851),
    (5.769497221460691, 1.6763848301838038),
    (4.630337846156546, 2.053191626637759),
    (1.4234371107496835, 1.0),
)
FAR = (
    (2.0103343992922881e-07, 2.0442631033899397e-15),
    (2.7115555687434876e-05, 1.421511758316446e-07),
    (0.0012426609473880784, 1.8463183175100548e-05),
    (0.026532189526576124, 0.0007868691311456133),
    (0.29656057182850487, 0.014875361290850615),
    (1.7848265399172913, 0.1369298809227358),
    (5.463784911164114, 0.599832206555888),
    (6.657904643501103, 1.0),
)


def normal_quantile(share: Array) -> Array:
    """The number that this share of a standard normal distribution lies below, for shares between 0 and 1."""
    share = np.asarray(share, np.float64)
    q = share - 0.5
    tail = np.abs(q) > 0.425
    found: Array = q * rational(0.180625 - np.where(tail, 0, q) ** 2, MIDDLE)
    r = np.sqrt(-log(np.where(q < 0, share, 1 - share)[tail]))
    distance = np.where(r > 5, rational(r - 5, FAR), rational(r - 1.6, NEAR))
    found[tail] = np.copysign(distance, q[tail])
    return found


def rational(x: Any, coefficients: tuple[tuple[float, float], ...]) -> Any:
    """A quotient of polynomials, of arrays or of what has their operators."""
    (numerator, denominator), *others = coefficients
    for above, below in others:
        numerator, denominator = numerator * x + above, denominator * x + below
    return numerator / denominator


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
