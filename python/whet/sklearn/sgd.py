"""Linear models by stochastic gradient descent, a row at a time, in scikit-learn's order of rows."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, RegressorMixin, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils import check_random_state, compute_class_weight
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import _check_partial_fit_first_call, unique_labels
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from whet import _core
from whet._predictor import Predictor
from whet.metrics import r2
from whet.sklearn.classifiers import LinearClassifier, SparseCoefficients
from whet.sklearn.documented import shares_with
from whet.sklearn.exported import linear_predictor
from whet.sklearn.inputs import FLOATS, dense
from whet.sklearn.protocol import CallbackSupportMixin, Tasks, available, with_callbacks
from whet.sklearn.refusals import all_or_nothing

__all__ = ["SGDClassifier", "SGDRegressor"]

_SEEDS = np.iinfo(np.int32).max
_INTERCEPT_DECAY = 0.01  # of sparse rows, as in scikit-learn: their constants move too fast
_NO_WEIGHT = "The sample weights for validation set are all zero, consider using a different random state."
_REGRESSION = {"squared_error", "huber", "epsilon_insensitive", "squared_epsilon_insensitive"}
_CLASSIFICATION = {"hinge", "squared_hinge", "perceptron", "log_loss", "modified_huber"}
Doubles = NDArray[np.float64]


class _Descent:
    """What both estimators share.

    Args:
        loss: The loss of a row.
        penalty: "l2", "l1", "elasticnet" or None.
        alpha: Strength of the penalty.
        l1_ratio: Share of |w|_1 in "elasticnet".
        fit_intercept: Whether there is a constant.
        max_iter: Epochs at most.
        tol: What counts as an improvement of an epoch's loss, or of the score; None: every epoch does.
        shuffle: Whether every epoch takes the rows in an order of its own.
        verbose: Kept for scikit-learn's sake.
        epsilon: Of "huber" and of the insensitive losses.
        random_state: For orders and the validation rows.
        learning_rate: "constant", "optimal", "invscaling", "adaptive", "pa1" or "pa2".
        eta0: The first learning rate.
        power_t: Exponent of "invscaling".
        early_stopping: Whether to end by the score of rows that are set apart.
        validation_fraction: Share of the rows that are set apart.
        n_iter_no_change: Epochs without an improvement before the end.
        warm_start: Whether `fit` goes on from the coefficients of the last.
        average: Whether coefficients are the mean over all steps, or the step from which on.

    Attributes:
        n_iter_: Epochs, the most of all classes.
        t_: Steps in all, and one.
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        "penalty": [StrOptions({"l2", "l1", "elasticnet"}), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
        "power_t": [Interval(Real, None, None, closed="neither")],
        "epsilon": [Interval(Real, 0, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "optimal", "invscaling", "adaptive", "pa1", "pa2"})],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "shuffle": ["boolean"],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "average": [Interval(Integral, 0, None, closed="neither"), "boolean"],
        "eta0": [Interval(Real, 0, None, closed="neither")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    }

    def _validate(self: Any, partial: bool) -> None:
        self._validate_params()
        if self.early_stopping and partial:
            raise ValueError("early_stopping should be False with partial_fit")
        if self.learning_rate == "optimal" and self.alpha == 0:
            raise ValueError(
                "alpha must be > 0 since learning_rate is 'optimal'. alpha is used to compute the optimal learning "
                "rate."
            )
        wanted = "hinge" if is_classifier(self) else "epsilon_insensitive"
        if self.learning_rate in ("pa1", "pa2") and self.loss != wanted:
            raise ValueError(f"Learning rate '{self.learning_rate}' only works with loss '{wanted}'.")
        if self.penalty == "elasticnet" and self.l1_ratio is None:
            raise ValueError("l1_ratio must be set when penalty is 'elasticnet'")

    def _begin(self: Any, outputs: int, width: int, coef: Any, intercept: Any) -> None:
        """Coefficients to start from: those given, or zeros."""
        for given, shape, what in ((coef, (outputs, width), "coef_init"), (intercept, (outputs,), "intercept_init")):
            expected = {shape, shape[1:]} if outputs == 1 else {shape}
            if given is not None and np.shape(given) not in expected:
                raise ValueError(f"Provided {what} does not match dataset. Expected shape {shape}.")
        self._weights = np.zeros((outputs, width))
        self._constants = np.zeros(outputs)
        if coef is not None:
            self._weights[...] = np.asarray(coef, np.float64).reshape(outputs, width)
        if intercept is not None:
            self._constants[...] = np.asarray(intercept, np.float64).reshape(outputs)
        self._mean_weights, self._mean_constants = np.zeros((outputs, width)), np.zeros(outputs)
        self.t_ = 1.0

    def _go_on(self: Any) -> None:
        """Copies of the coefficients: those of a pass that fails, or of a copied estimator, stay as they are."""
        for name in ("_weights", "_constants", "_mean_weights", "_mean_constants"):
            setattr(self, name, getattr(self, name).copy())

    def _held(self: Any, y: NDArray[Any], counted: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Which rows are set apart."""
        held = np.zeros(len(y), np.uint8)
        if self.early_stopping:
            splitter = StratifiedShuffleSplit if is_classifier(self) else ShuffleSplit
            split = splitter(test_size=self.validation_fraction, random_state=self.random_state)
            _, rows = next(split.split(np.zeros((len(y), 1)), y))
            if not counted[rows].any():
                raise ValueError(_NO_WEIGHT)
            held[rows] = 1
        return held

    def _counts(self: Any, sample_weight: Any, X: Any) -> Doubles:
        """The weight of each row."""
        if self.early_stopping and sample_weight is not None and not np.any(sample_weight):
            raise ValueError(_NO_WEIGHT)
        weights: Doubles = _check_sample_weight(sample_weight, X, dtype=np.float64)
        return weights

    def _options(self: Any, epochs: int, seed: int, factors: tuple[float, float], sparse: bool) -> dict[str, Any]:
        shares = {"l1": 1.0, "elasticnet": self.l1_ratio}
        return {
            "loss": self.loss,
            "epsilon": float(self.epsilon),
            "penalised": self.penalty is not None,
            "alpha": float(self.alpha),
            "l1_ratio": float(shares.get(self.penalty, 0.0)),
            "learning_rate": self.learning_rate,
            "eta0": float(self.eta0),
            "power_t": float(self.power_t),
            "fit_intercept": bool(self.fit_intercept),
            "intercept_decay": _INTERCEPT_DECAY if sparse else 1.0,
            "shuffle": bool(self.shuffle),
            "seed": seed,
            "max_iter": int(epochs),
            "n_iter_no_change": int(self.n_iter_no_change),
            "tol": -np.inf if self.tol is None else float(self.tol),
            "average": int(self.average),
            "positive_weight": factors[0],
            "negative_weight": factors[1],
        }

    def _descend(
        self: Any,
        i: int,
        X: Any,
        y: NDArray[Any],
        weights: Doubles,
        held: NDArray[np.uint8],
        epochs: int,
        seed: int,
        factors: tuple[float, float] = (1.0, 1.0),
    ) -> int:
        """Trains the i-th row of coefficients. Returns the number of epochs."""
        sparse = scipy.sparse.issparse(X)
        data, index, start = (X.data, X.indices, X.indptr) if sparse else (X.ravel(), None, None)
        score = self._scorer(i, X, y, weights, held != 0) if self.early_stopping else None
        y = np.ascontiguousarray(y, np.float64)
        constant, mean, count, finite = _core.descend_rows(
            self._weights[i],
            self._mean_weights[i],
            float(self._constants[i]),
            float(self._mean_constants[i]),
            data,
            index,
            start,
            y,
            weights,
            held,
            float(self.t_),
            self._options(epochs, seed, factors, sparse),
            score,
        )
        if not finite:
            raise ValueError(
                f"Floating-point under-/overflow occurred at epoch #{count}. Scaling input data with StandardScaler or "
                "MinMaxScaler might help."
            )
        self._constants[i], self._mean_constants[i] = constant, mean
        return int(count)

    def _scorer(self: Any, i: int, X: Any, y: NDArray[Any], weights: Doubles, held: NDArray[np.bool_]) -> Any:
        features, target, counts = X[held], y[held], weights[held]

        def score(constant: float) -> float:
            return float(self._score(features @ self._weights[i] + constant, target, counts))

        return score

    def _publish(self: Any, rows: int, epochs: int, dtype: Any) -> None:
        """Makes the result the estimator's."""
        self.t_ += epochs * rows
        self.n_iter_ = epochs
        averaged = 0 < self.average <= self.t_ - 1
        self.coef_ = (self._mean_weights if averaged else self._weights).astype(dtype)
        self.intercept_ = (self._mean_constants if averaged else self._constants).astype(dtype)

    def _warn(self: Any) -> None:
        if self.tol is not None and self.n_iter_ == self.max_iter:
            warnings.warn(
                "Maximum number of iteration reached before convergence. Consider increasing max_iter to improve the "
                "fit.",
                ConvergenceWarning,
                stacklevel=3,
            )
        if self.power_t < 0:
            warnings.warn(
                "Negative values for `power_t` are deprecated in version 1.8 and will raise an error in 1.10. Use "
                "values in the range [0.0, inf) instead.",
                FutureWarning,
                stacklevel=3,
            )


def _has_probabilities(estimator: Any) -> bool:
    if estimator.loss not in ("log_loss", "modified_huber"):
        raise AttributeError(f"probability estimates are not available for loss={estimator.loss!r}")
    return True


@shares_with(_Descent)
class SGDClassifier(_Descent, LinearClassifier):
    """Linear classifiers by stochastic gradient descent, one against all others where there are more than two classes.

    scikit-learn's callbacks are told of a fit, not of its epochs, which are one call of the core.

    Args:
        n_jobs: Threads of joblib that the classes are shared out to.
        class_weight: {class: factor} or "balanced", or None.

    Attributes:
        classes_: The labels.
        coef_: Coefficients, shape (1 or classes, features).
        intercept_: Constants, shape (1 or classes,).
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        **_Descent._parameter_constraints,
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
        tasks = Tasks(self, X, y, 0, sample_weight)
        random = check_random_state(self.random_state)
        held = self._held(target, weights > 0)
        if outputs == 1:
            signs = np.where(target == self.classes_[1], 1.0, -1.0)
            random.randint(1, _SEEDS)  # scikit-learn draws one for its data set
            seed = int(random.randint(_SEEDS))
            pair = (float(factors[1]), float(factors[0]))
            counts = [self._descend(0, features, signs, weights, held, epochs, seed, pair)]
        else:
            seeds = random.randint(_SEEDS, size=outputs)
            counts = Parallel(n_jobs=self.n_jobs, require="sharedmem")(
                delayed(self._one_against_all)(i, features, target, weights, held, epochs, seed, float(factors[i]))
                for i, seed in enumerate(seeds)
            )
        self._publish(features.shape[0], max(counts), features.dtype)
        tasks.end()

    def _one_against_all(
        self, i: int, X: Any, y: Any, weights: Doubles, held: Any, epochs: int, seed: int, factor: float
    ) -> int:
        random = np.random.RandomState(seed)
        random.randint(1, _SEEDS)
        signs = np.where(y == self.classes_[i], 1.0, -1.0)
        return self._descend(i, X, signs, weights, held, epochs, int(random.randint(_SEEDS)), (factor, 1.0))

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


@shares_with(_Descent)
class SGDRegressor(_Descent, SparseCoefficients, CallbackSupportMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A linear regressor by stochastic gradient descent.

    scikit-learn's callbacks are told of a fit, not of its epochs, which are one call of the core.

    Attributes:
        coef_: Coefficients, shape (features,).
        intercept_: The constant, shape (1,).
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        **_Descent._parameter_constraints,
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
        tasks = Tasks(self, X, y, 0, sample_weight)
        held = self._held(target, weights > 0)
        seed = int(check_random_state(self.random_state).randint(0, _SEEDS))
        count = self._descend(0, features, target, weights, held, epochs, seed)
        self._publish(features.shape[0], count, features.dtype)
        self.coef_ = self.coef_[0]
        tasks.end()

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
