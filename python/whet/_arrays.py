"""From whatever users hold to the arrays that the compiled core takes: exact dtype, aligned, native, contiguous."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from whet import _core
from whet._borrowed import borrowed

Floats = NDArray[np.floating[Any]]


class SparseLike(Protocol):
    """A sparse matrix or array of SciPy, in any of its formats."""

    def tocsr(self) -> Any: ...


#: Features of a model: an array, or one for each input of its forward, by name; or a sparse matrix.
Features = ArrayLike | Mapping[str, ArrayLike] | SparseLike


def _hint(name: str) -> str:
    """What helps with text and missing values among features and targets, but not in a weight or a baseline."""
    return "; whet.TabularModel takes tables with text and missing values" if name in ("X", "y") else ""


class SparseFloats(_core.SparseRows):
    """Rows of which few elements are not zero, as the core takes them: checked, finite, columns in ascending order.

    Args:
        values: The elements that are stored, row by row.
        columns: The column of each.
        starts: Where each row begins among them, and the end.
        kind: The class of SciPy that the rows were given as.
    """

    def __init__(
        self, values: Floats, columns: NDArray[np.int32], starts: NDArray[np.int64], width: int, kind: type[Any]
    ) -> None:
        super().__init__(values, columns, starts, width)
        self._kind = kind

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: NDArray[np.int64] | slice) -> SparseFloats:
        """A copy of some rows."""
        index = np.arange(len(self))[rows]
        counts = np.diff(self.starts)[index]
        starts = np.concatenate([[0], counts.cumsum()])
        places = np.arange(starts[-1]) + np.repeat(self.starts[index] - starts[:-1], counts)
        return SparseFloats(self.values[places], self.columns[places], starts, self.shape[1], self._kind)

    def as_given(self) -> Any:
        """The rows as SciPy's matrix or array."""
        return self._kind((self.values, self.columns, self.starts), shape=self.shape)

    def largest(self) -> Floats:
        """The largest magnitude in each column, shape (columns,)."""
        found = np.zeros(self.shape[1], self.dtype)
        np.maximum.at(found, self.columns, abs(self.values))
        return found


#: Features as the core takes them.
CoreFeatures = Floats | SparseFloats


def is_sparse(X: object) -> TypeGuard[SparseLike]:
    """Whether `X` is a sparse matrix or array of SciPy, which is not imported for it."""
    return hasattr(type(X), "tocsr")


def as_dense(features: CoreFeatures, where: str) -> Floats:
    """Features of a function that takes only dense ones.

    Raises:
        TypeError: For sparse ones.
    """
    if isinstance(features, SparseFloats):
        raise TypeError(f"[{where}] expected a dense X, got a sparse one; X.toarray() is dense")
    return features


def as_array(value: ArrayLike, where: str, name: str) -> NDArray[Any]:
    """`value` as a NumPy array of booleans, integers or floats, not copied if it is one, or borrows from one.

    Raises:
        TypeError: For text, objects, dates, complex numbers, masked or sparse arrays.
        ValueError: For lists of unequal lengths.
    """
    if is_sparse(value):
        raise TypeError(f"[{where}] expected {name} as a dense array, which its toarray() makes of a sparse one")
    # numpy.ma takes 20 ms to import, and has been if there is an array of it.
    if "numpy.ma" in sys.modules and np.ma.is_masked(value):
        raise TypeError(f"[{where}] expected {name} without masked elements{_hint(name)}")
    try:
        array = borrowed(value, where, name)
    except ValueError as error:
        raise ValueError(f"[{where}] expected {name} to be a rectangular array: {error}") from None
    if array.dtype == object and _is_nullable(value):
        array = value.to_numpy(np.float64, na_value=np.nan)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"[{where}] expected {name} to hold numbers, got dtype {array.dtype}{_hint(name)}")
    return array


def _is_nullable(value: Any) -> TypeGuard[Any]:
    """Whether `value` is a pandas table of numbers, some in types that have room for missing ones: objects in NumPy."""
    if not all(hasattr(value, name) for name in ("columns", "dtypes", "to_numpy")):
        return False
    return all(getattr(dtype, "kind", "O") in "biuf" for dtype in value.dtypes)


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
            raise _refused(array[position], where, name, position, cast.dtype)
    return cast


def check_finite(array: Floats, where: str, name: str) -> None:
    """Raises ValueError naming the first row and column of a two-dimensional array that is NaN or infinite."""
    found = _core.find_nonfinite(array)
    if found is not None:
        raise _refused(array[found], where, name, found, array.dtype)


def _refused(number: Any, where: str, name: str, position: tuple[int, ...], dtype: np.dtype[Any]) -> ValueError:
    """What to raise for a number of a user's that is not finite, or would not be in `dtype`."""
    if np.isnan(number):
        return ValueError(f"[{where}] {name} has a missing value (NaN), {describe(position)}{_hint(name)}")
    if np.isinf(number):
        return ValueError(f"[{where}] {name} has an infinite value, {describe(position)}")
    return ValueError(f"[{where}] {name} has a number too large for {dtype}, {describe(position)}")


def describe(position: tuple[int, ...]) -> str:
    """The place of an element in words, without its value."""
    return f"first in row {position[0]}" + (f", column {position[1]}" if len(position) > 1 else "")


def _check_shape(shape: tuple[int, ...], where: str, width: int | None, name: str = "X") -> None:
    """Raises ValueError unless it is that of rows of so many features."""
    if len(shape) != 2:
        hint = f"; {name}.reshape(-1, 1) makes a column of it" if len(shape) == 1 else ""
        raise ValueError(f"[{where}] expected {name} with shape (rows, features), got {shape}{hint}")
    if shape[1] == 0:
        raise ValueError(f"[{where}] expected {name} with at least one feature, got shape {shape}")
    if width is not None and shape[1] != width:
        raise ValueError(f"[{where}] expected {name} with {width} features, got shape {shape}")


def as_features(X: ArrayLike, dtype: DTypeLike, where: str, width: int | None = None, name: str = "X") -> Floats:
    """`X` as finite floats of shape (rows, features), not copied if it is so already.

    Args:
        X: Anything NumPy makes a two-dimensional array of numbers of.
        dtype: The model's.
        where: The caller's name, for messages.
        width: The number of features the model takes, or None if any.
        name: Of `X`, for messages.

    Raises:
        TypeError: If `X` does not hold numbers.
        ValueError: If it has another rank or width, or NaN or infinite elements.
    """
    array = as_array(X, where, name)
    _check_shape(array.shape, where, width, name)
    features = as_floats(array, dtype, where, name)
    check_finite(features, where, name)
    return features


def as_sparse(X: SparseLike, dtype: DTypeLike, where: str, width: int | None = None) -> SparseFloats:
    """`X` as finite floats in rows whose columns ascend; values that are so already are not copied.

    Args and errors are those of `as_features`.
    """
    shape = tuple(getattr(X, "shape", ()))
    _check_shape(shape, where, width)
    if shape[1] > np.iinfo(np.int32).max:
        raise ValueError(f"[{where}] expected sparse X with at most {np.iinfo(np.int32).max} features, got {shape[1]}")
    rows = _own_rows(X, where)
    if rows.dtype.kind not in "biuf":
        raise TypeError(f"[{where}] expected X to hold numbers, got dtype {rows.dtype}")
    stored = int(rows.indptr[-1])
    columns = np.require(rows.indices[:stored], np.int32, "C")
    starts = np.require(rows.indptr, np.int64, "C")
    with np.errstate(over="ignore"):
        values: Floats = np.require(rows.data[:stored], dtype, ["C", "A"])
    found = _core.find_nonfinite(values[np.newaxis])
    if found is not None:
        place = found[1]
        position = (int(np.searchsorted(starts, place, "right")) - 1, int(columns[place]))
        raise _refused(rows.data[place], where, "X", position, values.dtype)
    return SparseFloats(values, columns, starts, shape[1], type(rows))


def _own_rows(X: Any, where: str) -> Any:
    """`X` as SciPy's rows in order. What says where its elements stand is copied: the core reads memory by it.

    Raises:
        ValueError: For elements that stand outside of it, by which SciPy, too, would write anywhere.
    """
    if getattr(X, "format", None) in ("csr", "csc", "bsr"):
        starts = X.indptr.copy()
        if starts[0] != 0 or (starts[1:] < starts[:-1]).any() or starts[-1] > min(len(X.indices), len(X.data)):
            raise ValueError(f"[{where}] expected sparse X whose indptr ascends from 0 to its number of elements")
        indices, values = X.indices[: starts[-1]].copy(), X.data[: starts[-1]]
        most = X.shape[0] if X.format == "csc" else X.shape[1] // getattr(X, "blocksize", (1, 1))[1]
        if len(indices) and not 0 <= indices.min() <= indices.max() < most:
            raise ValueError(f"[{where}] expected sparse X with indices from 0 to {most - 1}, got others")
        X = type(X)((values, indices, starts), shape=X.shape)
    rows = X.tocsr()
    if not rows.has_canonical_format:
        rows = rows.copy()  # what a user holds stays as it is
        rows.sum_duplicates()
    return rows


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
