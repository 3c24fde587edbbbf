"""Columns with categories or gaps on their way to a network: which they are, and the numbers they become."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils import _safe_indexing, check_array

__all__ = ["Columns", "categorical_columns"]


def categorical_columns(X: Any, categorical_features: Any) -> NDArray[np.bool_] | None:
    """Which columns have categories, as HistGradientBoostingClassifier is told; None if none has.

    Args:
        X: Rows: an array, a list or a table.
        categorical_features: "from_dtype", a mask, indices or names of columns, or None.
    """
    named = list(X.columns) if hasattr(X, "columns") else None
    if categorical_features is None:
        return None
    if isinstance(categorical_features, str):
        if named is None or not hasattr(X, "dtypes"):
            return None
        mask = np.array([str(kind).startswith(("category", "Categorical", "Enum")) for kind in X.dtypes], bool)
        return mask if mask.any() else None
    given, width = np.asarray(categorical_features), np.shape(X)[1]
    if given.dtype.kind == "b":
        if given.shape != (width,):
            raise ValueError(
                f"[fit] expected categorical_features as a mask of shape ({width},), one for each feature, "
                f"got {given.shape}"
            )
        mask = given
    elif given.dtype.kind in "iu":
        if ((given < 0) | (given >= width)).any():
            raise ValueError(f"[fit] expected indices in categorical_features from 0 to {width - 1}, got {given}")
        mask = np.isin(np.arange(width), given)
    elif given.size == 0:
        return None
    elif given.ndim == 1 and given.dtype.kind in "UO" and all(isinstance(each, str) for each in given):
        if named is None:
            raise ValueError("[fit] expected X with names of columns, as categorical_features has some: got none")
        unknown = [name for name in given.tolist() if name not in named]
        if unknown:
            raise ValueError(f"[fit] expected names of columns in categorical_features, got {unknown} not in {named}")
        mask = np.isin(np.array(named, object).astype(str), given.astype(str))
    else:
        raise ValueError(f"[fit] expected categorical_features of bool, int or str, got {given.dtype.name}")
    return mask if mask.any() else None


class Columns:
    """What becomes of the columns, with what was learnt of them in the first fit.

    A category becomes a column of zeros and ones, and so does the gap where there were some; one that was not there is
    all zeros. Numbers stay as they are: their gaps become the column's mean, and those of columns that had some are
    told in a column of zeros and ones. The order is numbers, categories, gaps of numbers. Sparse rows have no gaps, and
    after a first fit on such, dense rows may have none.

    Args:
        X: Rows of the first fit.
        categorical_features: See `categorical_columns`.
    """

    def __init__(self, X: Any, categorical_features: Any) -> None:
        self._categorical = categorical_columns(X, categorical_features)
        if self._categorical is not None and scipy.sparse.issparse(X):
            raise TypeError("[fit] expected no categorical_features with a sparse X")
        self._encoder: OneHotEncoder | None = None
        self._means: NDArray[np.float64] | None = None
        self._told = np.empty(0, np.intp)
        self._learnt = False

    @property
    def has_categories(self) -> bool:
        """Whether a column has categories."""
        return self._categorical is not None

    @property
    def fills(self) -> NDArray[np.float64] | None:
        """What takes the place of missing numbers, shape (features,); None before dense rows were seen."""
        return self._means

    @property
    def told(self) -> tuple[int, ...]:
        """Which numbers have a column that tells where they are missing."""
        return tuple(self._told.tolist())

    def finite(self, X: Any) -> Any:
        """What scikit-learn is to check of rows: whether they may have gaps."""
        return "allow-nan" if not scipy.sparse.issparse(X) and (self._means is not None or not self._learnt) else True

    def encoded(self, X: Any, dtype: Any) -> NDArray[Any]:
        """Rows with categories as floats, which may have gaps."""
        assert self._categorical is not None
        if scipy.sparse.issparse(X):
            raise TypeError("expected no sparse X where columns have categories")
        table = X if hasattr(X, "columns") else np.asarray(X, object)
        numbers = np.empty((np.shape(table)[0], 0))
        if not self._categorical.all():
            part = _safe_indexing(table, np.flatnonzero(~self._categorical), axis=1)
            numbers = check_array(part, dtype=dtype, ensure_all_finite="allow-nan")
        cells = _safe_indexing(table, np.flatnonzero(self._categorical), axis=1)
        if self._encoder is None:
            self._encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=numbers.dtype).fit(cells)
        marks: NDArray[Any] = self._encoder.transform(cells)
        return np.concatenate([numbers, marks], axis=1)

    def filled(self, X: Any) -> Any:
        """Rows without gaps; the first are learnt from."""
        learns, self._learnt = not self._learnt, True
        if scipy.sparse.issparse(X):
            none = scipy.sparse.csr_array((X.shape[0], self._told.size), dtype=X.dtype)
            return scipy.sparse.hstack([X, none], format="csr") if self._told.size else X
        gaps = np.isnan(X)
        if learns:
            self._learn(X, gaps)
        full: NDArray[Any] = np.asarray(np.where(gaps, self._means, X), X.dtype) if gaps.any() else X
        return np.concatenate([full, gaps[:, self._told]], axis=1, dtype=X.dtype) if self._told.size else full

    def _learn(self, X: NDArray[Any], gaps: NDArray[np.bool_]) -> None:
        with np.errstate(over="ignore"):
            sums = np.sum(X, axis=0, dtype=np.float64, where=~gaps)
        self._means = sums / np.maximum(len(X) - gaps.sum(axis=0), 1)
        self._told = np.flatnonzero(gaps.any(axis=0))
