"""Multi-layer perceptrons, with the parameters, attributes and defaults of sklearn.neural_network, and more."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.special import xlogy
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target
from sklearn.utils.validation import check_is_fitted

from whet._predictor import Predictor
from whet.losses import CrossEntropyLoss, Loss
from whet.metrics import r2
from whet.optim import Optimizer
from whet.schedules import Schedule
from whet.sklearn import network
from whet.sklearn.documented import shares_with
from whet.sklearn.exported import of_classes, of_numbers
from whet.sklearn.inputs import Labels, checked_weights
from whet.sklearn.perceptron import Perceptron
from whet.sklearn.protocol import available, with_callbacks
from whet.sklearn.refusals import all_or_nothing
from whet.sklearn.solvers import Data

__all__ = ["MLPClassifier", "MLPRegressor"]

_Hidden = int | Sequence[int]


def _takes_steps(estimator: Any) -> bool:
    if estimator.solver not in ("sgd", "adam"):
        raise AttributeError(f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not.")
    return True


@shares_with(Perceptron)
class MLPClassifier(ClassifierMixin, Perceptron):  # type: ignore[misc]
    """A classifier, trained with the log loss; of several labels at once where y has a column for each.

    Args:
        class_weight: {class: factor} or "balanced", which multiplies the weight of rows, or None.
        label_smoothing: Share of a row's target that is spread over all classes.

    Attributes:
        classes_: The labels, in the order of the columns of ``predict_proba``.
        out_activation_: What follows the last layer: "logistic" or "softmax".
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        **Perceptron._parameter_constraints,
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(
        self,
        hidden_layer_sizes: _Hidden = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float | Schedule = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: float | Schedule = 0.0,
        normalization: str | None = None,
        optimizer: str | Optimizer | None = None,
        clip_norm: float | None = None,
        ema: float | None = None,
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        categorical_features: Any = "from_dtype",
        precision: str = "float32",
        dtype: DTypeLike | None = None,
        n_threads: int | None = None,
        callbacks: Any = None,
    ) -> None:
        self._keep(locals())

    @all_or_nothing
    @with_callbacks
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> MLPClassifier:
        """Trains.

        Args:
            X: Features, shape (rows, features); a SciPy sparse matrix is not made dense.
            y: Labels, shape (rows,), or zeros and ones, shape (rows, labels).
            sample_weight: Weight of each row in the loss.
            X_val: Rows for early stopping, which they turn on, in the place of some of X.
            y_val: Their labels.
            sample_weight_val: Their weights.

        Returns:
            The estimator.

        Raises:
            ValueError: If shapes or parameters do not fit, or the training diverges without early stopping.
        """
        self._validate()
        self._hidden()
        first = not hasattr(self, "model_") or not self.warm_start
        data = self._data(X, y, sample_weight, first, first)
        random = check_random_state(self.random_state)
        self._check_held(X_val, y_val, sample_weight_val)
        held = None if X_val is None else self._data(X_val, y_val, sample_weight_val, False, False)
        self._fit(data, held, random, first, self._labels.outputs, self._tasks(X, y, sample_weight))
        return self

    @available(_takes_steps)
    @all_or_nothing
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> MLPClassifier:
        """One pass over these rows.

        Args:
            X: Features, shape (rows, features).
            y: Labels.
            sample_weight: Weight of each row in the loss.
            classes: All classes, in the first call.

        Returns:
            The estimator.
        """
        self._validate()
        if _check_partial_fit_first_call(self, classes):
            self._labels = Labels(y if type_of_target(y).startswith("multilabel") else np.asarray(classes))
            self.classes_ = self._labels.classes
        first = not hasattr(self, "model_")
        data = self._data(X, y, sample_weight, first, False)
        self._pass(data, check_random_state(self.random_state), first, self._labels.outputs)
        return self

    def _data(self, X: Any, y: Any, sample_weight: Any, reset: bool, learn: bool) -> Data:
        """Checked rows; `learn` is whether the classes are those of y."""
        features, target = self._checked(X, y, reset, regression=False)
        if learn:
            self._labels = Labels(target)
            self.classes_ = self._labels.classes
        else:
            self._check_classes(target)
        weights = checked_weights(sample_weight, features, self.class_weight, target)
        encoded = self._labels.encode(target)
        if self.label_smoothing and encoded.ndim == 2:
            encoded = encoded * np.float32(1 - self.label_smoothing) + np.float32(self.label_smoothing / 2)
        return Data(features, encoded, weights)

    def _check_classes(self, target: NDArray[Any]) -> None:
        seen = Labels(target).classes
        if self.warm_start and set(seen.tolist()) != set(self.classes_.tolist()):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. Previously "
                f"got {self.classes_}, `y` has {seen}"
            )
        if not np.isin(seen, self.classes_).all():
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {seen}."
            )

    def _loss_object(self) -> Loss:
        if self._labels.multilabel or self._labels.binary:
            return network.loss_of("binary_log_loss")
        return CrossEntropyLoss(label_smoothing=self.label_smoothing)

    def _out_activation(self) -> str:
        return "logistic" if self._labels.multilabel or self._labels.binary else "softmax"

    def _strata(self, y: NDArray[Any]) -> NDArray[Any] | None:
        return (y > 0.5) if self._labels.binary else None

    def _score(self, outputs: NDArray[Any], y: NDArray[Any], weights: NDArray[Any] | None) -> float:
        if not np.isfinite(outputs).all():
            return float("nan")
        right = outputs.argmax(axis=1) == y if y.ndim == 1 else ((outputs > 0) == (y > 0.5)).all(axis=1)
        return float(np.average(right, weights=weights))

    def _predictor(self, where: str) -> Predictor:
        check_is_fitted(self, "model_")
        found = self._loss_object()
        return of_classes(where, self.model_, self.n_features_in_, self._labels, found, self._columns)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable labels, shape (rows,), or zeros and ones, shape (rows, labels)."""
        outputs = self._outputs(X)
        return self._labels.decode(outputs)

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Probabilities, shape (rows, classes)."""
        outputs = self._outputs(X)
        probabilities = self._loss_object().probabilities(outputs)
        if self._labels.binary:
            return np.concatenate([1 - probabilities, probabilities], axis=1)
        return probabilities

    def predict_log_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Logarithms of the probabilities."""
        with np.errstate(divide="ignore"):
            logarithms: NDArray[Any] = np.log(self.predict_proba(X))
        return logarithms

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@shares_with(Perceptron)
class MLPRegressor(RegressorMixin, Perceptron):  # type: ignore[misc]
    """A regressor, of one value or of several.

    Args:
        loss: "squared_error", "poisson", or a name or an object of whet.losses, such as `losses.QuantileLoss(0.9)`.

    Attributes:
        out_activation_: What follows the last layer: "identity", or "exp" where the loss takes logarithms of means.
    """

    _parameter_constraints: dict[str, Any] = {**Perceptron._parameter_constraints, "loss": [str, Loss]}  # noqa: RUF012

    def __init__(
        self,
        loss: str | Loss = "squared_error",
        hidden_layer_sizes: _Hidden = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float | Schedule = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: float | Schedule = 0.0,
        normalization: str | None = None,
        optimizer: str | Optimizer | None = None,
        clip_norm: float | None = None,
        ema: float | None = None,
        categorical_features: Any = "from_dtype",
        precision: str = "float32",
        dtype: DTypeLike | None = None,
        n_threads: int | None = None,
        callbacks: Any = None,
    ) -> None:
        self._keep(locals())

    @all_or_nothing
    @with_callbacks
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> MLPRegressor:
        """Trains.

        Args:
            X: Features, shape (rows, features); a SciPy sparse matrix is not made dense.
            y: Numbers, shape (rows,) or (rows, outputs).
            sample_weight: Weight of each row in the loss.
            X_val: Rows for early stopping, which they turn on, in the place of some of X.
            y_val: Their numbers.
            sample_weight_val: Their weights.

        Returns:
            The estimator.

        Raises:
            ValueError: If shapes or parameters do not fit, or the training diverges without early stopping.
        """
        self._validate()
        self._hidden()
        first = not hasattr(self, "model_") or not self.warm_start
        data = self._data(X, y, sample_weight, first)
        self._check_held(X_val, y_val, sample_weight_val)
        held = None if X_val is None else self._data(X_val, y_val, sample_weight_val, False)
        random = check_random_state(self.random_state)
        self._fit(data, held, random, first, data.y.shape[1], self._tasks(X, y, sample_weight))
        return self

    @available(_takes_steps)
    @all_or_nothing
    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> MLPRegressor:
        """One pass over these rows.

        Args:
            X: Features, shape (rows, features).
            y: Numbers, shape (rows,) or (rows, outputs).
            sample_weight: Weight of each row in the loss.

        Returns:
            The estimator.
        """
        self._validate()
        first = not hasattr(self, "model_")
        data = self._data(X, y, sample_weight, first)
        self._pass(data, check_random_state(self.random_state), first, data.y.shape[1])
        return self

    def _data(self, X: Any, y: Any, sample_weight: Any, reset: bool) -> Data:
        features, target = self._checked(X, y, reset, regression=True)
        if reset:
            self._single = target.ndim == 1
        return Data(features, target.reshape(len(target), -1), checked_weights(sample_weight, features))

    def _loss_object(self) -> Loss:
        return network.loss_of(self.loss)

    def _out_activation(self) -> str:
        return "exp" if self._loss_object().link == "exp" else "identity"

    def _loss_factor(self) -> float:
        return 1 / self.n_outputs_ if self.loss in ("squared_error", "poisson") else 1.0

    def _loss_constant(self, data: Data) -> float:
        if not isinstance(self.loss, str) or self.loss != "poisson":
            return 0.0
        return float(np.average(xlogy(data.y, data.y) - data.y, axis=0, weights=data.weights).mean())

    def _score(self, outputs: NDArray[Any], y: NDArray[Any], weights: NDArray[Any] | None) -> float:
        values = self._loss_object().values(outputs)
        return float(r2(y, values, sample_weight=weights)) if np.isfinite(values).all() else float("nan")

    def _predictor(self, where: str) -> Predictor:
        check_is_fitted(self, "model_")
        return of_numbers(where, self.model_, self.n_features_in_, self._loss_object(), self._columns)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Numbers, shape (rows,) or (rows, outputs)."""
        outputs = self._outputs(X)
        values = self._loss_object().values(outputs)
        return values[:, 0] if self._single else values
