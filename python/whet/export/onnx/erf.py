"""x (1 + erf(x / sqrt 2)) / 2, in whatever order its factors come, is GELU: all that whet knows erf for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from whet.nn import Value

__all__ = ["Erf", "added", "erf", "multiplied"]


@dataclass(frozen=True)
class Erf:
    """factor * (shift + erf(x / sqrt 2)), a part of GELU."""

    x: Value
    factor: float = 1.0
    shift: float = 0.0


def erf(z: Value) -> Erf:
    """The error function of a value that was divided by sqrt 2.

    Raises:
        ValueError: If it was not.
    """
    x, scale = _scaled(z)
    if not math.isclose(scale, math.sqrt(0.5), rel_tol=1e-6):
        raise ValueError("is known in GELU alone, x * (1 + erf(x / sqrt 2)) / 2")
    return Erf(x)


def added(term: Erf, number: object) -> Erf:
    """The sum with a number.

    Raises:
        ValueError: If that leads away from GELU.
    """
    if not isinstance(number, float):
        raise ValueError("adds to erf what is no number: it is known in GELU alone")
    return replace(term, shift=term.shift + number / term.factor)


def multiplied(term: Erf, other: object) -> Erf | Value:
    """The product with a number, or with x itself, which is GELU.

    Raises:
        ValueError: If that leads away from GELU.
    """
    if isinstance(other, float):
        return replace(term, factor=term.factor * other)
    base, scale = _scaled(other) if isinstance(other, Value) else (None, 0.0)
    if base is None or base._index != term.x._index or not math.isclose(term.shift, 1.0, rel_tol=1e-6):
        raise ValueError("multiplies erf by another value: it is known in GELU alone")
    factor = 2 * scale * term.factor
    gelu = term.x.apply("gelu")
    return gelu if math.isclose(factor, 1.0, rel_tol=1e-6) else gelu * factor


def _scaled(value: Value) -> tuple[Value, float]:
    """What a value is a multiple of, and how many times it is that."""
    made = next((node for node in value._trace.graph.nodes if node["output"] == value._index), None)
    if made is None or made["op"] != "affine" or made["options"].get("shift"):
        return value, 1.0
    return Value(value._trace, made["inputs"][0]), float(made["options"].get("scale", 1.0))
