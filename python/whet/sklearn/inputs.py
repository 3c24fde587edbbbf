"""What estimators are given, as whet takes it: features, weights, labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, column_or_1d, validate_data

__all__ = ["FLOATS", "Labels", "checked", "checked_features", "checked_weights", "dense"]

FLOATS = [np.float64, np.float32]
_SPARSE = ["csr", "csc"]


def dense(X: Any) -> NDArray[Any]:
    """Rows as an array. The only place where the estimators unpack a sparse matrix."""
    array: NDArray[Any] = X.toarray() if hasattr(X, "toarray") else X
    return array


def checked(
    estimator: Any, X: Any, y: Any, *, reset: bool, dtype: Any = None, regression: bool, **options: Any
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Features and target, as scikit-learn checks them; a target of one column becomes a vector, with a warning."""
    options = {"accept_sparse": _SPARSE, "multi_output": True, "y_numeric": regression} | options
    features, target = validate_data(estimator, X, y, dtype=dtype or FLOATS, reset=reset, **options)
    target = dense(target)
    if target.ndim == 2 and target.shape[1] == 1:
        target = column_or_1d(target, warn=True)
    return dense(features), target


def checked_features(estimator: Any, X: Any) -> NDArray[Any]:
    """Features to predict from."""
    return dense(validate_data(estimator, X, accept_sparse=_SPARSE, reset=False, dtype=FLOATS))


def checked_weights(given: Any, X: NDArray[Any], class_weight: Any = None, y: Any = None) -> NDArray[Any] | None:
    """The weight of each row: the one given times that of its class; None where all count once."""
    weights = None if given is None else _check_sample_weight(given, X, dtype=X.dtype)
    if class_weight is None:
        return weights
    factors = compute_sample_weight(class_weight, y).astype(X.dtype)
    product: NDArray[Any] = factors if weights is None else weights * factors
    return product


class Labels:
    """The classes of a target: two, several, or a column for each of several labels.

    Args:
        y: Labels, shape (rows,), or zeros and ones, shape (rows, labels).
    """

    def __init__(self, y: ArrayLike) -> None:
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
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
