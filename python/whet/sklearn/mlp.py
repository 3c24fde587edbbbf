"""Multi-layer perceptrons, with the parameter names of sklearn.neural_network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from whet import nn, optim

__all__ = ["MLPClassifier", "MLPRegressor"]

_ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}


class _MLP(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: a network trained with Adam.

    Args:
        hidden_layer_sizes: Widths of the hidden layers.
        activation: "identity", "logistic", "tanh", "relu", or a name of whet's list.
        alpha: Strength of the L2 penalty, as the optimizer's weight decay.
        batch_size: Rows of a step, or "auto"; see whet's fit.
        learning_rate_init: Adam's learning rate.
        max_iter: Epochs.
        random_state: Seed for parameters and the order of rows; None is 0.

    Attributes:
        model_: The trained whet module.
        loss_curve_: The loss of every epoch.
        n_iter_: Epochs taken.
        n_features_in_: Number of features seen in fit.
    """

    def __init__(
        self,
        hidden_layer_sizes: tuple[int, ...] = (100,),
        activation: str = "relu",
        *,
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        random_state: int | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.random_state = random_state

    def _train(self, X: NDArray[Any], y: NDArray[Any], outputs: int, loss: str) -> None:
        activation = _ACTIVATIONS.get(self.activation, self.activation)
        hidden = tuple(np.atleast_1d(self.hidden_layer_sizes))
        self.model_ = nn.MLP(X.shape[1], hidden, outputs, activation).to(X.dtype.name)
        history = self.model_.fit(
            X,
            y,
            loss=loss,
            optimizer=optim.Adam(lr=self.learning_rate_init, weight_decay=self.alpha),
            epochs=self.max_iter,
            batch_size=self.batch_size,
            seed=self.random_state or 0,
        )
        self.loss_curve_ = history["loss"]
        self.n_iter_ = len(self.loss_curve_)

    def _features(self, X: ArrayLike) -> NDArray[Any]:
        check_is_fitted(self, "model_")
        features: NDArray[Any] = validate_data(self, X, reset=False, dtype=[np.float32, np.float64])
        return features


class MLPClassifier(ClassifierMixin, _MLP):  # type: ignore[misc]
    """A classifier trained with cross-entropy. Its parameters are those of `_MLP`.

    Attributes:
        classes_: The labels, in the order of the columns of ``predict_proba``.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> MLPClassifier:
        """Trains on features (rows, features) and labels (rows,). Returns the estimator."""
        features, target = validate_data(self, X, y, dtype=[np.float32, np.float64])
        check_classification_targets(target)
        self.classes_, labels = np.unique(target, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"[fit] expected labels of at least two classes, got {len(self.classes_)} class")
        self._train(features, labels, len(self.classes_), "cross_entropy")
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Probabilities, shape (rows, classes)."""
        features = self._features(X)
        return self.model_.predict_proba(features)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable labels, shape (rows,)."""
        features = self._features(X)
        labels: NDArray[Any] = self.classes_[self.model_.predict(features).argmax(axis=1)]
        return labels


class MLPRegressor(RegressorMixin, _MLP):  # type: ignore[misc]
    """A regressor trained with the squared error. Its parameters are those of `_MLP`."""

    def fit(self, X: ArrayLike, y: ArrayLike) -> MLPRegressor:
        """Trains on features (rows, features) and numbers (rows,) or (rows, outputs). Returns the estimator."""
        features, target = validate_data(self, X, y, dtype=[np.float32, np.float64], multi_output=True, y_numeric=True)
        self._single = target.ndim == 1
        self._train(features, target, 1 if self._single else target.shape[1], "mse")
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Numbers in the shape of the targets seen in fit."""
        features = self._features(X)
        output = self.model_.predict(features)
        return output[:, 0] if self._single else output

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
