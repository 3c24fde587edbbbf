"""Linear models by stochastic gradient descent, a row at a time, in scikit-learn's order of rows."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state, compute_class_weight
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import _check_partial_fit_first_call, unique_labels
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, validate_data

from whet._predictor import Predictor
from whet.metrics import r2
from whet.sklearn.classifiers import LinearClassifier, SparseCoefficients
from whet.sklearn.descent import SEEDS, Descent, Doubles
from whet.sklearn.documented import shares_with
from whet.sklearn.exported import linear_predictor
from whet.sklearn.inputs import FLOATS, dense
from whet.sklearn.protocol import CallbackSupportMixin, Tasks, available, with_callbacks
from whet.sklearn.refusals import all_or_nothing

__all__ = ["SGDClassifier", "SGDRegressor"]

_REGRESSION = {"squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"}
_CLASSIFICATION = {"hinge", "squared_hinge", "perceptron", "log_loss", "modified_huber"}


def _has_probabilities(estimator: Any) -> bool:
    if estimator.loss not in ("log_loss", "modified_huber"):
        raise AttributeError(f"probability estimates are not available for loss={estimator.loss!r}")
    return True


@shares_with(LinearClassifier)
@shares_with(Descent)
class SGDClassifier(Descent, LinearClassifier):
    """Linear classifiers by stochastic gradient descent, one against all others where there are more than two classes.

    scikit-learn's callbacks are told of every epoch, of one class after the other; `n_jobs` does not count then.

    Args:
        n_jobs: Threads of joblib that the classes are shared out to.
        class_weight: {class: factor} or "balanced", or None.
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        **Descent._parameter_constraints,
        "loss": [StrOptions(_CLASSIFICATION | _REGRESSION)],
        "n_jobs": [Integral, None],
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        loss: str = "hinge",
        *,
        penalty: str | None = "l2",
        alpha: float = 0.0001,
        l1_ratio: float | None = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        verbose: int = 0,
        epsilon: float = 0.1,
        n_jobs: int | None = None,
        random_state: Any = None,
        learning_rate: str = "optimal",
        eta0: float = 0.01,
        power_t: float = 0.5,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        class_weight: Any = None,
        warm_start: bool = False,
        average: bool | int = False,
    ) -> None:
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.epsilon = epsilon
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.average = average

    @all_or_nothing
    @with_callbacks
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        coef_init: ArrayLike | None = None,
        intercept_init: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> SGDClassifier:
        """Fits.

        Args:
            X: Features, shape (rows, features).
            y: Labels, shape (rows,).
            coef_init: Coefficients to start from.
            intercept_init: Constants to start from.
            sample_weight: Weight of each row.

        Returns:
            The estimator.
        """
        self._validate(False)
        if self.warm_start and hasattr(self, "coef_"):
            coef_init = dense(self.coef_) if coef_init is None else coef_init
            intercept_init = self.intercept_ if intercept_init is None else intercept_init
        classes = np.unique(validate_data(self, y=y))
        self._epochs(X, y, classes, int(self.max_iter), sample_weight, coef_init, intercept_init, True)
        self._warn()
        return self

    @all_or_nothing
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> SGDClassifier:
        """One epoch on these rows.

        Args:
            X: Features, shape (rows, features).
            y: Labels, shape (rows,).
            classes: All classes, in the first call.
            sample_weight: Weight of each row.

        Returns:
            The estimator.
        """
        self._validate(True)
        first = not hasattr(self, "classes_")
        if first and self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit. In order to use 'balanced' weights, use "
                "compute_class_weight('balanced', classes=classes, y=y). In place of y you can use a large enough "
                "sample of the full training set target to properly estimate the class frequency distributions. Pass "
                "the resulting weights as the class_weight parameter."
            )
        self._epochs(X, y, classes, 1, sample_weight, None, None, first)
        return self

    def _epochs(
        self,
        X: Any,
        y: Any,
        classes: Any,
        epochs: int,
        sample_weight: Any,
        coef: Any,
        intercept: Any,
        first: bool,
    ) -> None:
        features, target = validate_data(
            self, X, y, accept_sparse="csr", dtype=FLOATS, order="C", accept_large_sparse=False, reset=first
        )
        if first and classes is not None:
            self.classes_ = unique_labels(classes)
        else:
            _check_partial_fit_first_call(self, classes)
        if len(self.classes_) < 2:
            raise ValueError(f"The number of classes has to be greater than one; got {len(self.classes_)} class")
        factors = compute_class_weight(self.class_weight, classes=self.classes_, y=target)
        weights = self._counts(sample_weight, features)
        outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        if first:
            self._begin(outputs, features.shape[1], coef, intercept)
        else:
            self._go_on()
        tasks = Tasks(self, X, y, outputs * epochs + 1, sample_weight)
        tasks.begin()
        random = check_random_state(self.random_state)
        held = self._held(target, weights > 0)
        if outputs == 1:
            signs = np.where(target == self.classes_[1], 1.0, -1.0)
            random.randint(1, SEEDS)  # scikit-learn draws one for its data set
            seed = int(random.randint(SEEDS))
            pair = (float(factors[1]), float(factors[0]))
            counts = [self._descend(0, features, signs, weights, held, epochs, seed, tasks, pair)]
        else:
            seeds = random.randint(SEEDS, size=outputs)
            told = (features, target, weights, held, epochs, tasks)
            counts = Parallel(n_jobs=1 if tasks.asked else self.n_jobs, require="sharedmem")(
                delayed(self._one_against_all)(i, *told, seed, float(factors[i])) for i, seed in enumerate(seeds)
            )
        self._publish(features.shape[0], max(counts), features.dtype)
        tasks.end()

    def _one_against_all(
        self, i: int, X: Any, y: Any, weights: Doubles, held: Any, epochs: int, tasks: Tasks, seed: int, factor: float
    ) -> int:
        random = np.random.RandomState(seed)
        random.randint(1, SEEDS)
        signs = np.where(y == self.classes_[i], 1.0, -1.0)
        return self._descend(i, X, signs, weights, held, epochs, int(random.randint(SEEDS)), tasks, (factor, 1.0))

    def _score(self, scores: Doubles, y: Doubles, weights: Doubles) -> float:
        return float(np.average((scores > 0) == (y > 0), weights=weights))

    def _link(self) -> str | None:
        several = "sigmoid" if len(self.classes_) == 2 else "shares"
        return several if self.loss == "log_loss" else None

    @available(_has_probabilities)
    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Probabilities, shape (rows, classes), for "log_loss" and "modified_huber" (Zadrozny and Elkan, KDD 2002)."""
        scores = self.decision_function(X)
        columns = np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores
        shares = expit(columns) if self.loss == "log_loss" else (np.clip(columns, -1, 1) + 1) / 2
        totals = shares.sum(axis=1, keepdims=True)
        shares[totals[:, 0] == 0] = 1
        probabilities: NDArray[Any] = shares / shares.sum(axis=1, keepdims=True)
        return probabilities

    @available(_has_probabilities)
    def predict_log_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Logarithms of the probabilities."""
        with np.errstate(divide="ignore"):
            logarithms: NDArray[Any] = np.log(self.predict_proba(X))
        return logarithms


@shares_with(Descent)
class SGDRegressor(Descent, SparseCoefficients, CallbackSupportMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A linear regressor by stochastic gradient descent.

    scikit-learn's callbacks are told of every epoch.

    Attributes:
        coef_: Coefficients, shape (features,).
        intercept_: The constant, shape (1,).
        n_features_in_: Number of features seen in fit.
        feature_names_in_: Their names, where X has names.
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        **Descent._parameter_constraints,
        "loss": [StrOptions(_REGRESSION)],
    }

    def __init__(
        self,
        loss: str = "squared_error",
        *,
        penalty: str | None = "l2",
        alpha: float = 0.0001,
        l1_ratio: float | None = 0.15,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        shuffle: bool = True,
        verbose: int = 0,
        epsilon: float = 0.1,
        random_state: Any = None,
        learning_rate: str = "invscaling",
        eta0: float = 0.01,
        power_t: float = 0.25,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        warm_start: bool = False,
        average: bool | int = False,
    ) -> None:
        self.loss = loss
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.shuffle = shuffle
        self.verbose = verbose
        self.epsilon = epsilon
        self.random_state = random_state
        self.learning_rate = learning_rate
        self.eta0 = eta0
        self.power_t = power_t
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.average = average

    @all_or_nothing
    @with_callbacks
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        coef_init: ArrayLike | None = None,
        intercept_init: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> SGDRegressor:
        """Fits.

        Args:
            X: Features, shape (rows, features).
            y: Numbers, shape (rows,).
            coef_init: Coefficients to start from.
            intercept_init: The constant to start from.
            sample_weight: Weight of each row.

        Returns:
            The estimator.
        """
        self._validate(False)
        if self.warm_start and hasattr(self, "coef_"):
            coef_init = dense(self.coef_) if coef_init is None else coef_init
            intercept_init = self.intercept_ if intercept_init is None else intercept_init
        self._epochs(X, y, int(self.max_iter), sample_weight, coef_init, intercept_init, True)
        self._warn()
        return self

    @all_or_nothing
    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> SGDRegressor:
        """One epoch on these rows.

        Args:
            X: Features, shape (rows, features).
            y: Numbers, shape (rows,).
            sample_weight: Weight of each row.

        Returns:
            The estimator.
        """
        self._validate(True)
        self._epochs(X, y, 1, sample_weight, None, None, not hasattr(self, "_weights"))
        return self

    def _epochs(self, X: Any, y: Any, epochs: int, sample_weight: Any, coef: Any, intercept: Any, first: bool) -> None:
        features, target = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=FLOATS,
            order="C",
            accept_large_sparse=False,
            reset=first,
            y_numeric=True,
        )
        weights = self._counts(sample_weight, features)
        if first:
            self._begin(1, features.shape[1], coef, intercept)
        else:
            self._go_on()
        tasks = Tasks(self, X, y, epochs + 1, sample_weight)
        tasks.begin()
        held = self._held(target, weights > 0)
        seed = int(check_random_state(self.random_state).randint(0, SEEDS))
        count = self._descend(0, features, target, weights, held, epochs, seed, tasks)
        self._publish(features.shape[0], count, features.dtype)
        tasks.end()

    def _attributes(self, rows: int, epochs: int, dtype: Any) -> dict[str, Any]:
        found = super()._attributes(rows, epochs, dtype)
        return {**found, "coef_": found["coef_"][0]}

    def _score(self, predicted: Doubles, y: Doubles, weights: Doubles) -> float:
        return float(r2(y, predicted, sample_weight=weights))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Numbers, shape (rows,)."""
        check_is_fitted(self)
        features = validate_data(self, X, accept_sparse="csr", reset=False)
        predicted: NDArray[Any] = np.asarray(features @ self.coef_.T + self.intercept_).ravel()
        return predicted

    def _predictor(self, where: str) -> Predictor:
        return linear_predictor(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
