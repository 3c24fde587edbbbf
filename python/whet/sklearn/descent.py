"""What estimators by stochastic gradient descent share: their options, and the epochs of a row of coefficients."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_sample_weight

from whet import _core
from whet.sklearn.protocol import Tasks

__all__ = ["SEEDS", "Descent", "Doubles"]

SEEDS = np.iinfo(np.int32).max
_INTERCEPT_DECAY = 0.01  # of sparse rows, as in scikit-learn: their constants move too fast
_NO_WEIGHT = "The sample weights for validation set are all zero, consider using a different random state."
Doubles = NDArray[np.float64]


class Descent:
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
        n_iter_: Epochs; of several classes, the most.
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
        tasks: Tasks,
        factors: tuple[float, float] = (1.0, 1.0),
    ) -> int:
        """Trains the i-th row of coefficients, and tells of every epoch. Returns the number of epochs."""
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
            self._teller(i, X, tasks) if tasks.asked else None,
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

    def _teller(self: Any, i: int, X: Any, tasks: Tasks) -> Callable[[float, float, int], bool]:
        """What tells callbacks of an epoch, and says whether one asks for an end."""

        def told(constant: float, mean: float, epochs: int) -> bool:
            self._constants[i], self._mean_constants[i] = constant, mean
            return tasks.between(lambda: self._attributes(X.shape[0], epochs, X.dtype))

        return told

    def _publish(self: Any, rows: int, epochs: int, dtype: Any) -> None:
        """Makes the result the estimator's."""
        for name, value in self._attributes(rows, epochs, dtype).items():
            setattr(self, name, value)

    def _attributes(self: Any, rows: int, epochs: int, dtype: Any) -> dict[str, Any]:
        """The result after so many epochs on so many rows."""
        steps = self.t_ + epochs * rows
        averaged = 0 < self.average <= steps - 1
        coef = (self._mean_weights if averaged else self._weights).astype(dtype)
        constants = (self._mean_constants if averaged else self._constants).astype(dtype)
        return {"t_": steps, "n_iter_": epochs, "coef_": coef, "intercept_": constants}

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
