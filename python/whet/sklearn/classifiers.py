"""What linear classifiers share: from scores to labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from whet._predictor import Predictor
from whet.sklearn.exported import linear_predictor
from whet.sklearn.inputs import sparse
from whet.sklearn.protocol import CallbackSupportMixin

__all__ = ["LinearClassifier", "SparseCoefficients"]


class SparseCoefficients:
    """Coefficients as an array or as a sparse matrix."""

    coef_: Any

    def densify(self) -> Any:
        """Makes `coef_` an array, as it is after fit. Returns the estimator."""
        check_is_fitted(self)
        if scipy.sparse.issparse(self.coef_):
            self.coef_ = self.coef_.toarray()
        return self

    def sparsify(self) -> Any:
        """Makes `coef_` sparse, which is smaller where most are zero. Returns the estimator."""
        check_is_fitted(self)
        self.coef_ = sparse(self.coef_)
        return self


class LinearClassifier(CallbackSupportMixin, SparseCoefficients, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A linear score of each class, or of the second of two.

    Attributes:
        classes_: The labels.
        coef_: Coefficients, shape (1 or classes, features).
        intercept_: Constants, shape (1 or classes,).
        n_features_in_: Number of features seen in fit.
        feature_names_in_: Their names, where X has names.
    """

    def decision_function(self, X: ArrayLike) -> NDArray[Any]:
        """Scores, shape (rows, classes), or (rows,) of the second of two classes."""
        check_is_fitted(self)
        features = validate_data(self, X, accept_sparse="csr", reset=False)
        scores = features @ self.coef_.T
        dense = scores.toarray() if scipy.sparse.issparse(scores) else np.asarray(scores)
        found: NDArray[Any] = dense + self.intercept_
        return found[:, 0] if found.shape[1] == 1 else found

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The labels with the highest scores, shape (rows,)."""
        scores = self.decision_function(X)
        labels: NDArray[Any] = self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]
        return labels

    def _link(self) -> str | None:
        """What makes probabilities of scores, for whet.export."""
        return None

    def _predictor(self, where: str) -> Predictor:
        check_is_fitted(self)
        return linear_predictor(self, self._link(), self.classes_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
