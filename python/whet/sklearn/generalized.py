"""Linear models of other losses than the squared error: Poisson and quantile regression."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.optimize
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import d2_tweedie_score
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from whet import losses
from whet._predictor import Predictor
from whet.sklearn.exported import linear_predictor
from whet.sklearn.inputs import FLOATS, checked_start, checked_weights
from whet.sklearn.objective import fit_linear
from whet.sklearn.protocol import CallbackSupportMixin, Tasks, with_callbacks
from whet.sklearn.refusals import all_or_nothing
from whet.sklearn.threads import limited

__all__ = ["PoissonRegressor", "QuantileRegressor"]

_AT_LEAST_0 = Interval(Real, 0, None, closed="left")
_COUNT = Interval(Integral, 1, None, closed="left")
_FTOL = 64 * float(np.finfo(np.float64).eps)
Doubles = NDArray[np.float64]


class PoissonRegressor(CallbackSupportMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """The logarithm of a count's mean as a linear function, with the penalty alpha / 2 |w|^2.

    Args:
        alpha: Strength of the penalty.
        fit_intercept: Whether there is a constant.
        solver: "lbfgs", or "newton-cholesky", which names the same minimum.
        max_iter: Iterations at most.
        tol: The largest element of the gradient at the end.
        warm_start: Whether to go on from the coefficients of the last fit.
        verbose: Kept for scikit-learn's sake.
        n_threads: Threads at most; None: as many as whet, threadpoolctl or joblib allow.

    Attributes:
        coef_: Coefficients, shape (features,).
        intercept_: The constant.
        n_iter_: Iterations.
        n_features_in_: Number of features seen in fit.
        feature_names_in_: Their names, where X has names.
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        "alpha": [_AT_LEAST_0],
        "fit_intercept": ["boolean"],
        "solver": [StrOptions({"lbfgs", "newton-cholesky"})],
        "max_iter": [_COUNT],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "n_threads": [_COUNT, None],
    }

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        fit_intercept: bool = True,
        solver: str = "lbfgs",
        max_iter: int = 100,
        tol: float = 1e-4,
        warm_start: bool = False,
        verbose: int = 0,
        n_threads: int | None = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.verbose = verbose
        self.n_threads = n_threads

    @all_or_nothing
    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> PoissonRegressor:
        """Fits.

        Args:
            X: Features, shape (rows, features).
            y: Numbers of at least 0, shape (rows,).
            sample_weight: Weight of each row.

        Returns:
            The estimator.
        """
        self._validate_params()
        features, target = validate_data(
            self, X, y, accept_sparse=["csc", "csr"], dtype=FLOATS, y_numeric=True, multi_output=False
        )
        target = np.asarray(target, np.float64)
        if target.min() < 0:
            raise ValueError("Some value(s) of y are out of the valid range of the loss 'HalfPoissonLoss'.")
        weights = checked_weights(sample_weight, features)
        start, constant = np.zeros((1, features.shape[1])), None
        if self.fit_intercept:
            mean = float(np.average(target, weights=weights))
            constant = np.array([np.log(mean) if mean > 0 else 0.0])
        if self.warm_start and hasattr(self, "coef_"):
            coef, intercept = vars(self)["coef_"], vars(self)["intercept_"]
            start[...] = checked_start(coef, start.shape)
            constant = np.array([intercept], np.float64) if self.fit_intercept else None
        tasks = Tasks(self, X, y, int(self.max_iter) + 1, sample_weight)
        tasks.begin()
        with limited(self.n_threads):
            coef, constant, self.n_iter_ = fit_linear(
                losses.PoissonNLLLoss(),
                features,
                target[:, None],
                weights,
                start,
                constant,
                {"weight": self.alpha},
                0.0,
                lambda w, b: tasks.between(lambda: self._attributes(w, b, features.dtype)),
                self.tol,
                int(self.max_iter),
                "lbfgs",
            )
        for name, value in self._attributes(coef, constant, features.dtype).items():
            setattr(self, name, value)
        tasks.end()
        return self

    @staticmethod
    def _attributes(coef: Doubles, constant: Doubles | None, dtype: Any) -> dict[str, Any]:
        return {"coef_": coef[0].astype(dtype), "intercept_": 0.0 if constant is None else dtype.type(constant[0])}

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Means, shape (rows,)."""
        check_is_fitted(self)
        features = validate_data(self, X, accept_sparse=["csr", "csc", "coo"], dtype=FLOATS, reset=False)
        means: NDArray[Any] = np.exp(features @ self.coef_ + self.intercept_)
        return means

    def _predictor(self, where: str) -> Predictor:
        return linear_predictor(self, "exp")

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The share of the Poisson deviance that is explained, 1 at best."""
        return float(d2_tweedie_score(y, self.predict(X), sample_weight=sample_weight, power=1))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.positive_only = True
        return tags


class QuantileRegressor(CallbackSupportMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A quantile as a linear function, with the penalty alpha |w|_1, by linear programming.

    whet solves the dual problem, which has a constraint for each feature, not for each row.

    Args:
        quantile: The quantile, between 0 and 1.
        alpha: Strength of the penalty.
        fit_intercept: Whether there is a constant.
        solver: "highs", "highs-ds" or "highs-ipm", of scipy.optimize.linprog.
        solver_options: For linprog.

    Attributes:
        coef_: Coefficients, shape (features,).
        intercept_: The constant.
        n_iter_: Iterations of the solver.
        n_features_in_: Number of features seen in fit.
        feature_names_in_: Their names, where X has names.
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        "quantile": [Interval(Real, 0, 1, closed="neither")],
        "alpha": [_AT_LEAST_0],
        "fit_intercept": ["boolean"],
        "solver": [StrOptions({"highs-ds", "highs-ipm", "highs"})],
        "solver_options": [dict, None],
    }

    def __init__(
        self,
        *,
        quantile: float = 0.5,
        alpha: float = 1.0,
        fit_intercept: bool = True,
        solver: str = "highs",
        solver_options: dict[str, Any] | None = None,
    ) -> None:
        self.quantile = quantile
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.solver_options = solver_options

    @all_or_nothing
    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> QuantileRegressor:
        """Fits.

        Args:
            X: Features, shape (rows, features).
            y: Numbers, shape (rows,).
            sample_weight: Weight of each row.

        Returns:
            The estimator.
        """
        self._validate_params()
        features, target = validate_data(
            self, X, y, accept_sparse=["csc", "csr", "coo"], y_numeric=True, multi_output=False
        )
        target = np.asarray(target, np.float64)
        rows = features.tocsr() if scipy.sparse.issparse(features) else features
        given = checked_weights(sample_weight, rows.astype(np.float64, copy=False))
        tasks = Tasks(self, X, y, 1, sample_weight)
        weights = np.ones(len(target)) if given is None else given
        counted = weights > 0
        coef, constant = self._solve(rows[counted].astype(np.float64), target[counted], weights[counted])
        self.coef_, self.intercept_ = coef, constant
        tasks.iteration(dict)
        tasks.end()
        return self

    def _solve(self, X: Any, y: NDArray[Any], weights: Doubles) -> tuple[Doubles, float]:
        """Coefficients and the constant: what the constraints of the dual problem cost.

        Each row has a share d from -(1 - quantile) to quantile of its weight; X^T d is at most alpha, sum(d) is 0, and
        y d is to be large.
        """
        n, p = X.shape
        strength = self.alpha * float(weights.sum())
        bounds = np.empty((n + p, 2))
        bounds[:n, 0], bounds[:n, 1] = -(1 - self.quantile) * weights, self.quantile * weights
        bounds[n:, 0], bounds[n:, 1] = -strength, strength
        columns = scipy.sparse.hstack([scipy.sparse.csc_array(X.T), scipy.sparse.eye_array(p)])
        if self.fit_intercept:
            columns = scipy.sparse.vstack([columns, np.concatenate([np.ones(n), np.zeros(p)])[None]])
        found = scipy.optimize.linprog(
            np.concatenate([-y, np.zeros(p)]),
            A_eq=scipy.sparse.csc_array(columns),
            b_eq=np.zeros(columns.shape[0]),
            bounds=bounds,
            method=self.solver,
            options=self.solver_options,
        )
        self.n_iter_ = int(found.nit)
        if not found.success:
            warnings.warn(
                f"Linear programming for QuantileRegressor did not succeed.\nStatus is {found.status}: {found.message}",
                ConvergenceWarning,
                stacklevel=3,
            )
        prices = getattr(found.eqlin, "marginals", None)
        if prices is None or not np.isfinite(prices).all():
            prices = np.zeros(columns.shape[0])
        return -prices[:p], float(-prices[p]) if self.fit_intercept else 0.0

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The quantile, shape (rows,)."""
        check_is_fitted(self)
        features = validate_data(self, X, accept_sparse=["csr", "csc", "coo"], reset=False)
        predicted: NDArray[Any] = features @ self.coef_ + self.intercept_
        return predicted

    def _predictor(self, where: str) -> Predictor:
        return linear_predictor(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
