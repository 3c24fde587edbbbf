"""From whatever users hold to the arrays that the compiled core takes: exact dtype, aligned, native, contiguous."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from whet import _core

Floats = NDArray[np.floating[Any]]
#: Features of a model: an array, or one for each input of its forward, by name.
Features = ArrayLike | Mapping[str, ArrayLike]

_TABLE_HINT = "whet.TabularModel takes tables with text and missing values"


def as_array(value: ArrayLike, where: str, name: str) -> NDArray[Any]:
    """`value` as a NumPy array of booleans, integers or floats, not copied if it is one.

    Raises:
        TypeError: For text, objects, dates, complex numbers, masked or sparse arrays.
        ValueError: For lists of unequal lengths.
    """
    # numpy.ma takes 20 ms to import, and has been if there is an array of it.
    if "numpy.ma" in sys.modules and np.ma.is_masked(value):
        raise TypeError(f"[{where}] expected {name} without masked elements; {_TABLE_HINT}")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"[{where}] expected {name} to be a rectangular array: {error}") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"[{where}] expected {name} to hold numbers, got dtype {array.dtype}; {_TABLE_HINT}")
    return array


def as_floats(array: NDArray[Any], dtype: DTypeLike, where: str, name: str) -> Floats:
    """`array` in C order and the given float dtype, not copied if it is so already.

    Raises:
        ValueError: If a finite number of `array` is too large for `dtype`.
    """
    wanted = np.dtype(dtype)
    if array.dtype == wanted and array.dtype.isnative and array.flags.c_contiguous and array.flags.aligned:
        return array
    with np.errstate(over="ignore"):
        cast: Floats = np.require(array, dtype=wanted, requirements=["C", "A"])
    if cast is not array and array.dtype.kind == "f" and array.dtype.itemsize > cast.dtype.itemsize:
        overflow = np.isinf(cast) & np.isfinite(array)
        if overflow.any():
            position = tuple(int(i) for i in np.argwhere(overflow)[0])
            raise ValueError(f"[{where}] {name} has a number too large for {cast.dtype}, {describe(position)}")
    return cast


def check_finite(array: Floats, where: str, name: str) -> None:
    """Raises ValueError naming the first row and column of a two-dimensional array that is NaN or infinite."""
    found = _core.find_nonfinite(array)
    if found is None:
        return
    if np.isnan(array[found]):
        raise ValueError(f"[{where}] {name} has a missing value (NaN), {describe(found)}; {_TABLE_HINT}")
    raise ValueError(f"[{where}] {name} has an infinite value, {describe(found)}")


def describe(position: tuple[int, ...]) -> str:
    """The place of an element in words, without its value."""
    return f"first in row {position[0]}" + (f", column {position[1]}" if len(position) > 1 else "")


def as_features(X: ArrayLike, dtype: DTypeLike, where: str, width: int | None = None) -> Floats:
    """`X` as finite floats of shape (rows, features), not copied if it is so already.

    Args:
        X: Anything NumPy makes a two-dimensional array of numbers of.
        dtype: The model's.
        where: The caller's name, for messages.
        width: The number of features the model takes, or None if any.

    Raises:
        TypeError: If `X` does not hold numbers.
        ValueError: If it has another rank or width, or NaN or infinite elements.
    """
    array = as_array(X, where, "X")
    if array.ndim != 2:
        hint = "; X.reshape(-1, 1) makes a column of it" if array.ndim == 1 else ""
        raise ValueError(f"[{where}] expected X with shape (rows, features), got {array.shape}{hint}")
    if array.shape[1] == 0:
        raise ValueError(f"[{where}] expected X with at least one feature, got shape {array.shape}")
    if width is not None and array.shape[1] != width:
        raise ValueError(f"[{where}] expected X with {width} features, got shape {array.shape}")
    features = as_floats(array, dtype, where, "X")
    check_finite(features, where, "X")
    return features


def as_weights(
    sample_weight: ArrayLike | None, rows: int, dtype: DTypeLike, where: str, some: bool = True
) -> Floats | None:
    """`sample_weight` as finite floats of shape (rows,) that are not negative and, of `some` rows, not zero."""
    if sample_weight is None:
        return None
    array = as_array(sample_weight, where, "sample_weight")
    if array.shape != (rows,):
        raise ValueError(f"[{where}] expected sample_weight with shape ({rows},), got {array.shape}")
    weights = as_floats(array, dtype, where, "sample_weight")
    check_finite(weights.reshape(-1, 1), where, "sample_weight")
    if (weights < 0).any() or (some and not (weights > 0).any()):
        raise ValueError(f"[{where}] expected sample_weight to be zero or more, and more than zero somewhere")
    return weights


def read_only(array: Floats) -> Floats:
    """A view of `array` that cannot be written."""
    view: Floats = array.view()
    view.flags.writeable = False
    return view
