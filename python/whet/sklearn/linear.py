"""Linear models of the squared error: least squares, ridge, lasso and elastic net."""

from __future__ import annotations

import warnings
from numbers import Integral, Number, Real
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from whet import _core
from whet._predictor import Predictor
from whet.sklearn.documented import shares_with
from whet.sklearn.exported import linear_predictor
from whet.sklearn.inputs import FLOATS, checked_start, checked_weights, sparse
from whet.sklearn.protocol import CallbackSupportMixin, Tasks, with_callbacks
from whet.sklearn.refusals import all_or_nothing
from whet.sklearn.squares import (
    LARGEST,
    Centered,
    Doubles,
    SparseCentered,
    centered,
    positive,
    ridge,
    ridge_without_factors,
    solve_squares,
)

__all__ = ["ElasticNet", "Lasso", "LinearRegression", "Ridge"]

_AT_LEAST_0 = Interval(Real, 0, None, closed="left")


class LinearRegressor(CallbackSupportMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A linear function of the features, and what is common to fitting one by squares.

    Attributes:
        coef_: Coefficients, shape (features,) or (outputs, features).
        intercept_: The constant, a number or shape (outputs,).
        n_features_in_: Number of features seen in fit.
        feature_names_in_: Their names, where X has names.
    """

    _scales_weights = False  # whether weights count as if their sum were the number of rows

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Numbers, shape (rows,) or (rows, outputs)."""
        check_is_fitted(self)
        features = validate_data(self, X, accept_sparse=["csr", "csc", "coo"], reset=False)
        predicted: NDArray[Any] = features @ self.coef_.T + self.intercept_
        return predicted

    def _predictor(self, where: str) -> Predictor:
        return linear_predictor(self)

    def _rows(self, X: Any, y: Any, sample_weight: Any) -> Centered:
        """Checked rows around their means."""
        accepted = False if isinstance(self, LinearRegression) and self.positive else ["csr", "csc", "coo"]
        features, target = validate_data(
            self, X, y, accept_sparse=accepted, dtype=FLOATS, multi_output=True, y_numeric=True
        )
        if scipy.sparse.issparse(target):
            raise TypeError("Sparse data was passed for y, but dense data is required. Use '.toarray()' to convert it.")
        self._dtype, self._single = features.dtype, np.ndim(target) == 1
        weights = None if isinstance(sample_weight, Number) else checked_weights(sample_weight, features)
        if weights is not None and self._scales_weights:
            weights = weights * (len(weights) / weights.sum())
        self._tasks = Tasks(self, X, y, 1, sample_weight)
        return centered(features, target, weights, self.fit_intercept)

    def _keep(self, coef: Doubles, rows: Centered) -> None:
        """Keeps coefficients, shape (outputs, features), and the constant that belongs to them."""
        constant = (rows.y_mean - coef @ rows.x_mean).astype(self._dtype)
        coef = coef.astype(self._dtype)
        self.coef_ = coef[0] if self._single else coef
        self.intercept_: Any = 0.0
        if self.fit_intercept:
            self.intercept_ = constant[0] if self._single else constant
        self._tasks.iteration(dict)
        self._tasks.end()
        del self._tasks

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


@shares_with(LinearRegressor)
class LinearRegression(LinearRegressor):
    """Ordinary least squares, by the normal equations where they are well-conditioned, else by singular values.

    Args:
        fit_intercept: Whether there is a constant.
        copy_X: Kept for scikit-learn's sake: X is never changed.
        tol: Singular values below this share of the largest count as zero.
        n_jobs: Kept for scikit-learn's sake.
        positive: Whether coefficients are 0 or more.

    Attributes:
        rank_: Rank of X; not for a sparse one.
        singular_: Singular values of X; not for a sparse one.
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        "fit_intercept": ["boolean"],
        "copy_X": ["boolean"],
        "n_jobs": [None, Integral],
        "positive": ["boolean"],
        "tol": [_AT_LEAST_0],
    }

    def __init__(
        self,
        *,
        fit_intercept: bool = True,
        copy_X: bool = True,
        tol: float = 1e-6,
        n_jobs: int | None = None,
        positive: bool = False,
    ) -> None:
        self.fit_intercept = fit_intercept
        self.copy_X = copy_X
        self.tol = tol
        self.n_jobs = n_jobs
        self.positive = positive

    @all_or_nothing
    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> LinearRegression:
        """Fits.

        Args:
            X: Features, shape (rows, features).
            y: Numbers, shape (rows,) or (rows, outputs).
            sample_weight: Weight of each row.

        Returns:
            The estimator.
        """
        self._validate_params()
        rows = self._rows(X, y, sample_weight)
        if self.positive:
            self._keep(np.stack([positive(rows, i, 0.0) for i in range(rows.y.shape[1])]), rows)
        else:
            self._keep(self._least_squares(rows).T, rows)
        return self

    def _least_squares(self, rows: Centered) -> Doubles:
        found = solve_squares(rows, self.tol)
        if found.singular is not None:
            self.rank_, self.singular_ = found.rank, found.singular.astype(self._dtype)
        return found.coef

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = not self.positive
        return tags


@shares_with(LinearRegressor)
class Ridge(LinearRegressor):
    """Least squares with the penalty alpha |w|^2, solved directly.

    Args:
        alpha: Strength of the penalty, or one for each output.
        fit_intercept: Whether there is a constant.
        copy_X: Kept for scikit-learn's sake: X is never changed.
        max_iter: Kept for scikit-learn's sake.
        tol: Kept for scikit-learn's sake.
        solver: Any of scikit-learn's. All name the same minimum: whet takes a Cholesky factor, of rows or of columns,
            and singular values for "svd" or where that fails.
        positive: Whether coefficients are 0 or more.
        random_state: Kept for scikit-learn's sake.

    Attributes:
        n_iter_: None, as there are no iterations.
        solver_: The solver that was named; for "auto" what was used: "cholesky", "svd", "lbfgs" for positive
            coefficients, or "lsqr" for sparse rows of many features.
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        "alpha": [_AT_LEAST_0, "array-like"],
        "fit_intercept": ["boolean"],
        "copy_X": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "tol": [_AT_LEAST_0],
        "solver": [StrOptions({"auto", "svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga", "lbfgs"})],
        "positive": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        copy_X: bool = True,
        max_iter: int | None = None,
        tol: float = 1e-4,
        solver: str = "auto",
        positive: bool = False,
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.copy_X = copy_X
        self.max_iter = max_iter
        self.tol = tol
        self.solver = solver
        self.positive = positive
        self.random_state = random_state

    @all_or_nothing
    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Ridge:
        """Fits.

        Args:
            X: Features, shape (rows, features).
            y: Numbers, shape (rows,) or (rows, outputs).
            sample_weight: Weight of each row.

        Returns:
            The estimator.
        """
        self._validate_params()
        if self.solver == "lbfgs" and not self.positive:
            raise ValueError("'lbfgs' solver can be used only when positive=True. Please use another solver.")
        if self.positive and self.solver not in ("auto", "lbfgs"):
            raise ValueError(
                f"solver='{self.solver}' does not support positive fitting. Please set the solver to 'auto' or "
                "'lbfgs', or set `positive=False`"
            )
        rows = self._rows(X, y, sample_weight)
        outputs = rows.y.shape[1]
        alphas = np.asarray(self.alpha, np.float64).ravel()
        if alphas.size not in (1, outputs):
            raise ValueError(f"Number of targets and number of penalties do not correspond: {alphas.size} != {outputs}")
        self.n_iter_ = None
        self._keep(self._solve(rows, alphas if alphas.size > 1 else np.repeat(alphas, outputs)), rows)
        if self.solver != "auto":
            self.solver_ = self.solver
        if outputs == 1:  # also of a column, as in scikit-learn
            self.coef_ = self.coef_.ravel()
        return self

    def _solve(self, rows: Centered, alphas: Doubles) -> Doubles:
        """Coefficients, shape (outputs, features)."""
        if self.positive:
            self.solver_ = "lbfgs"
            return np.stack([positive(rows, i, alpha) for i, alpha in enumerate(alphas)])
        self.solver_ = "cholesky"
        found = None if self.solver == "svd" else ridge(rows, alphas)
        if found is None:
            self.solver_, found = ridge_without_factors(rows, alphas)
        return found


@shares_with(LinearRegressor)
class ElasticNet(LinearRegressor):
    """Squared error with the penalty alpha (l1_ratio |w|_1 + (1 - l1_ratio) / 2 |w|^2), by coordinate descent.

    The error is divided by twice the number of rows.

    Args:
        alpha: Strength of the penalty.
        l1_ratio: Share of its absolute part.
        fit_intercept: Whether there is a constant.
        precompute: A matrix X^T X of centred columns, or whether to compute it; whet does where it is faster.
        max_iter: Sweeps at most.
        copy_X: Kept for scikit-learn's sake: X is never changed.
        tol: Of the duality gap, as a share of |y|^2.
        warm_start: Whether to go on from the coefficients of the last fit.
        positive: Whether coefficients are 0 or more.
        random_state: For selection "random".
        selection: "cyclic" or "random".

    Attributes:
        n_iter_: Sweeps, of each output.
        dual_gap_: The duality gap at the end, of each output.
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        "alpha": [_AT_LEAST_0],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "fit_intercept": ["boolean"],
        "precompute": ["boolean", "array-like"],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "copy_X": ["boolean"],
        "tol": [_AT_LEAST_0],
        "warm_start": ["boolean"],
        "positive": ["boolean"],
        "random_state": ["random_state"],
        "selection": [StrOptions({"cyclic", "random"})],
    }

    _scales_weights = True

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        precompute: Any = False,
        max_iter: int = 1000,
        copy_X: bool = True,
        tol: float = 1e-4,
        warm_start: bool = False,
        positive: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
    ) -> None:
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.max_iter = max_iter
        self.copy_X = copy_X
        self.tol = tol
        self.warm_start = warm_start
        self.positive = positive
        self.random_state = random_state
        self.selection = selection

    @all_or_nothing
    @with_callbacks
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, check_input: bool = True
    ) -> ElasticNet:
        """Fits.

        Args:
            X: Features, shape (rows, features).
            y: Numbers, shape (rows,) or (rows, outputs).
            sample_weight: Weight of each row.
            check_input: Kept for scikit-learn's sake: input is always checked.

        Returns:
            The estimator.
        """
        self._validate_params()
        if self.alpha == 0:
            warnings.warn(
                "With alpha=0, this algorithm does not converge well. You are advised to use the LinearRegression "
                "estimator",
                stacklevel=2,
            )
        rows = self._rows(X, y, sample_weight)
        start = np.zeros((rows.y.shape[1], rows.shape[1]))
        if self.warm_start and hasattr(self, "coef_"):
            start[...] = checked_start(self.coef_, start.shape)
        ends = self._descend(rows, start)
        self._keep(start, rows)
        gaps = [gap / rows.shape[0] for gap, _, _ in ends]
        sweeps = [count for _, count, _ in ends]
        single = len(ends) == 1
        self.dual_gap_: Any = gaps[0] if single else np.array(gaps)
        self.n_iter_: Any = sweeps[0] if single else sweeps
        if not np.isfinite(self.coef_).all() or not np.isfinite(self.intercept_).all():
            raise ValueError(
                "Coordinate descent iterations resulted in non-finite parameter values. The input data may contain "
                "large values and need to be preprocessed."
            )
        return self

    def _descend(self, rows: Centered, coef: Doubles) -> list[tuple[float, int, bool]]:
        """Changes coefficients in place. Returns gap, sweeps and convergence of each output."""
        n, p = rows.shape
        scale = rows.weight
        random = check_random_state(self.random_state)
        seed = int(random.randint(2**31)) if self.selection == "random" else 0
        options = (
            self.alpha * self.l1_ratio * scale,
            self.alpha * (1 - self.l1_ratio) * scale,
            self.tol,
            int(self.max_iter if self.max_iter is not None else 1000),
            bool(self.positive),
            self.selection == "random",
            seed,
        )
        gram = self._given_gram(rows)
        if gram is None and p <= (LARGEST if rows.is_sparse else min(n, LARGEST)):
            gram = rows.gram()
        columns: Any = None
        if gram is None:
            columns = rows.columns() if isinstance(rows, SparseCentered) else np.asfortranarray(rows.dense())
        ends = []
        for weights, column in zip(coef, rows.y.T, strict=True):
            target = np.ascontiguousarray(column)
            if gram is not None:
                product = np.ascontiguousarray(rows.transposed(target))
                end = _core.coordinate_descent_gram(weights, gram, product, float(target @ target), *options)
            elif isinstance(rows, SparseCentered):
                values, index, start = columns
                means, weight = rows.x_mean, rows.weight
                end = _core.coordinate_descent_sparse(weights, values, index, start, means, weight, target, *options)
            else:
                end = _core.coordinate_descent(weights, columns, target, *options)
            if not end[2]:
                self._warn(end[0], self.tol * float(target @ target))
            ends.append(end)
        return ends

    def _given_gram(self, rows: Centered) -> Doubles | None:
        """The matrix given as `precompute`, if it is that of these rows."""
        if isinstance(self.precompute, bool) or np.ndim(self.precompute) == 0:
            return None
        gram = np.ascontiguousarray(self.precompute, np.float64)
        p = rows.shape[1]
        if gram.shape != (p, p):
            raise ValueError(f"[fit] expected precompute of shape {(p, p)}, got {gram.shape}")
        if self.fit_intercept and not np.allclose(rows.x_mean, 0):
            warnings.warn(
                "Gram matrix was provided but X was centered to fit intercept: recomputing Gram matrix.", stacklevel=5
            )
            return None
        i, j = p // 2, min(p // 2 + 1, p - 1)
        expected, rough = float(rows.column(i) @ rows.column(j)), self._dtype == np.float32
        if not np.isclose(expected, gram[i, j], rtol=1e-4 if rough else 1e-7, atol=1e-5):
            raise ValueError(
                "Gram matrix passed in via 'precompute' parameter did not pass validation when a single element was "
                f"checked - please check that it was computed properly. For element ({i},{j}) we computed {expected} "
                f"but the user-supplied value was {gram[i, j]}."
            )
        return gram

    def _warn(self, gap: float, tolerance: float) -> None:
        text = (
            "Objective did not converge. You might want to increase the number of iterations, check the scale of the "
            f"features or consider increasing regularisation. Duality gap: {gap:.6e}, tolerance: {tolerance:.3e}"
        )
        warnings.warn(text, ConvergenceWarning, stacklevel=4)

    @property
    def sparse_coef_(self) -> Any:
        """The coefficients as a sparse matrix, shape (outputs, features)."""
        return sparse(np.atleast_2d(self.coef_))


@shares_with(ElasticNet, without="l1_ratio")
class Lasso(ElasticNet):
    """Squared error with the penalty alpha |w|_1: the elastic net without its squares, by coordinate descent.

    The error is divided by twice the number of rows.
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        name: kinds for name, kinds in ElasticNet._parameter_constraints.items() if name != "l1_ratio"
    }
    l1_ratio = 1.0

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        fit_intercept: bool = True,
        precompute: Any = False,
        copy_X: bool = True,
        max_iter: int = 1000,
        tol: float = 1e-4,
        warm_start: bool = False,
        positive: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
    ) -> None:
        super().__init__(
            alpha,
            fit_intercept=fit_intercept,
            precompute=precompute,
            copy_X=copy_X,
            max_iter=max_iter,
            tol=tol,
            warm_start=warm_start,
            positive=positive,
            random_state=random_state,
            selection=selection,
        )
        self.l1_ratio = 1.0
