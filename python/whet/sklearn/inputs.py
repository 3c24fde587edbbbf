"""What estimators are given, as whet takes it: features, weights, labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
import sklearn
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_X_y, column_or_1d, validate_data

from whet.sklearn.columns import Columns

__all__ = ["FLOATS", "Labels", "checked", "checked_features", "checked_start", "checked_weights", "dense", "sparse"]

FLOATS = [np.float64, np.float32]


def dense(X: Any) -> NDArray[Any]:
    """What may be sparse as an array."""
    array: NDArray[Any] = X.toarray() if scipy.sparse.issparse(X) else X
    return array


def sparse(array: NDArray[Any]) -> Any:
    """An array as a sparse matrix, or as a sparse array where scikit-learn's `sparse_interface` is "sparray"."""
    arrays = sklearn.get_config().get("sparse_interface") == "sparray"
    return scipy.sparse.csr_array(array) if arrays else scipy.sparse.csr_matrix(array)


def checked(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    reset: bool,
    dtype: Any = None,
    regression: bool,
    columns: Columns | None = None,
) -> tuple[Any, NDArray[Any]]:
    """Features and target, as scikit-learn checks them; a target of one column becomes a vector, with a warning.

    Features stay sparse where they are; with `columns`, categories and gaps become numbers.
    """
    options = {"accept_sparse": "csr", "multi_output": True, "y_numeric": regression, "dtype": dtype or FLOATS}
    if columns is None:
        features, target = validate_data(estimator, X, y, reset=reset, **options)
    else:
        options["ensure_all_finite"] = columns.finite(X)
        if columns.has_categories:
            validate_data(estimator, X, reset=reset, skip_check_array=True)
            features, target = check_X_y(columns.encoded(X, options["dtype"]), y, **options)
        else:
            features, target = validate_data(estimator, X, y, reset=reset, **options)
        features = columns.filled(features)
    target = dense(target)
    if target.ndim == 2 and target.shape[1] == 1:
        target = column_or_1d(target, warn=True)
    return features, target


def checked_features(estimator: Any, X: Any, columns: Columns | None = None) -> Any:
    """Features to predict from."""
    options = {"accept_sparse": "csr", "dtype": FLOATS}
    if columns is None:
        return validate_data(estimator, X, reset=False, **options)
    if columns.has_categories:
        validate_data(estimator, X, reset=False, skip_check_array=True)
        return columns.filled(columns.encoded(X, FLOATS))
    return columns.filled(validate_data(estimator, X, reset=False, ensure_all_finite=columns.finite(X), **options))


def checked_weights(given: Any, X: Any, class_weight: Any = None, y: Any = None) -> NDArray[Any] | None:
    """The weight of each row: the one given times that of its class; None where all count once."""
    weights = None if given is None else _check_sample_weight(given, X, dtype=X.dtype, ensure_non_negative=True)
    if class_weight is None:
        return weights
    factors = compute_sample_weight(class_weight, y).astype(X.dtype)
    product: NDArray[Any] = factors if weights is None else weights * factors
    return product


def checked_start(coef: Any, shape: tuple[int, int]) -> NDArray[Any]:
    """Coefficients of the last fit as those to go on from, shape (outputs, features)."""
    found = np.atleast_2d(dense(coef))
    if found.shape != shape:
        raise ValueError(
            f"[fit] expected rows for coefficients of shape {found.shape} with warm_start, which goes on from them, "
            f"got rows for {shape}; a clone begins anew"
        )
    return found


class Labels:
    """The classes of a target: two, several, or a column for each of several labels.

    Args:
        y: Labels, shape (rows,), or zeros and ones, shape (rows, labels).
    """

    def __init__(self, y: ArrayLike) -> None:
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y") if np.ndim(y) == 2 else None  # a vector has no labels side by side
        if kind == "multiclass-multioutput":
            raise ValueError("Multioutput target data is not supported with label binarization")
        self.multilabel = kind == "multilabel-indicator"
        self.classes: NDArray[Any] = np.arange(np.shape(y)[1]) if self.multilabel else np.unique(np.asarray(y))

    @property
    def binary(self) -> bool:
        """Whether one output tells the class."""
        return not self.multilabel and len(self.classes) <= 2

    @property
    def outputs(self) -> int:
        """How many outputs a model needs."""
        return 1 if self.binary else len(self.classes)

    def encode(self, y: NDArray[Any]) -> NDArray[Any]:
        """Targets of whet's losses: class indices, or zeros and ones in a column for each output."""
        codes: NDArray[Any] = np.searchsorted(self.classes, y) if not self.multilabel else y
        if not (self.multilabel or self.binary):
            return codes
        marks: NDArray[Any] = codes != 0
        if self.multilabel:
            return marks.astype(np.float32)
        return (marks & (len(self.classes) == 2)).astype(np.float32)[:, None]

    def decode(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Labels from raw outputs, shape (rows, outputs)."""
        if self.multilabel:
            return (scores > 0).astype(int)
        if not self.binary:
            codes = scores.argmax(axis=1)
        else:
            codes = (scores[:, 0] > 0).astype(int) if len(self.classes) == 2 else np.zeros(len(scores), int)
        labels: NDArray[Any] = self.classes[codes]
        return labels
