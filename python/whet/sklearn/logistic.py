"""Logistic regression."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax
from sklearn.utils import compute_class_weight
from sklearn.utils._param_validation import Hidden, Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from whet import losses
from whet.sklearn.classifiers import LinearClassifier
from whet.sklearn.documented import shares_with
from whet.sklearn.inputs import FLOATS, checked_start, checked_weights
from whet.sklearn.objective import fit_linear
from whet.sklearn.protocol import Tasks, with_callbacks
from whet.sklearn.refusals import all_or_nothing
from whet.sklearn.threads import limited

__all__ = ["LogisticRegression"]

_AT_LEAST_0 = Interval(Real, 0, None, closed="left")
_COUNT = Interval(Integral, 1, None, closed="left")
Doubles = NDArray[np.float64]


@shares_with(LinearClassifier)
class LogisticRegression(LinearClassifier):
    """Log loss over rows, divided by their weight, with the penalty |w|^2 / (2 C) divided by the same.

    Args:
        penalty: Deprecated, as in scikit-learn: `l1_ratio` and `C` say it.
        C: Inverse strength of the penalty; infinity for none.
        l1_ratio: Share of the penalty that is |w|_1, for the solvers "saga" and "liblinear".
        dual: Kept for scikit-learn's sake.
        tol: Where to end: the largest element of the gradient, or with |w|_1 the largest change.
        fit_intercept: Whether there are constants.
        intercept_scaling: For "liblinear", which penalises the constant divided by it.
        class_weight: {class: factor} or "balanced", or None.
        random_state: Kept for scikit-learn's sake.
        solver: Any of scikit-learn's. All but "liblinear" name the same minimum: whet takes L-BFGS, and proximal steps
            with |w|_1.
        max_iter: Iterations at most.
        verbose: Kept for scikit-learn's sake.
        warm_start: Whether to go on from the coefficients of the last fit.
        n_jobs: Kept for scikit-learn's sake.
        n_threads: Threads at most; None: as many as whet, threadpoolctl or joblib allow.

    Attributes:
        n_iter_: Iterations, shape (1,).
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        "penalty": [StrOptions({"l1", "l2", "elasticnet"}), None, Hidden(StrOptions({"deprecated"}))],
        "C": [Interval(Real, 0, None, closed="right")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both"), None],
        "dual": ["boolean"],
        "tol": [_AT_LEAST_0],
        "fit_intercept": ["boolean"],
        "intercept_scaling": [Interval(Real, 0, None, closed="neither")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "random_state": ["random_state"],
        "solver": [StrOptions({"lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"})],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "n_jobs": [None, Integral],
        "n_threads": [_COUNT, None],
    }

    def __init__(
        self,
        penalty: Any = "deprecated",
        *,
        C: float = 1.0,
        l1_ratio: float | None = 0.0,
        dual: bool = False,
        tol: float = 1e-4,
        fit_intercept: bool = True,
        intercept_scaling: float = 1,
        class_weight: Any = None,
        random_state: Any = None,
        solver: str = "lbfgs",
        max_iter: int = 100,
        verbose: int = 0,
        warm_start: bool = False,
        n_jobs: int | None = None,
        n_threads: int | None = None,
    ) -> None:
        self.penalty = penalty
        self.C = C
        self.l1_ratio = l1_ratio
        self.dual = dual
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.random_state = random_state
        self.solver = solver
        self.max_iter = max_iter
        self.verbose = verbose
        self.warm_start = warm_start
        self.n_jobs = n_jobs
        self.n_threads = n_threads

    @all_or_nothing
    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> LogisticRegression:
        """Fits.

        Args:
            X: Features, shape (rows, features).
            y: Labels, shape (rows,).
            sample_weight: Weight of each row.

        Returns:
            The estimator.
        """
        self._validate_params()
        penalty = self._penalty()
        self._check_solver(penalty)
        features, target = validate_data(self, X, y, accept_sparse="csr", dtype=FLOATS, order="C")
        check_classification_targets(target)
        self.classes_, codes = np.unique(target, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                "This solver needs samples of at least 2 classes in the data, but the data contains only one class: "
                f"{self.classes_[0]!r}"
            )
        binary = len(self.classes_) == 2
        if self.solver == "liblinear" and not binary:
            raise ValueError(
                "The 'liblinear' solver does not support multiclass classification (n_classes >= 3). Either use "
                "another solver or wrap the estimator in a OneVsRestClassifier to keep applying a one-versus-rest "
                "scheme."
            )
        weights = checked_weights(sample_weight, features)
        if self.class_weight is not None:
            options = {"classes": self.classes_, "y": target, "sample_weight": weights}
            factors = compute_class_weight(self.class_weight, **options)[codes].astype(features.dtype)
            weights = factors if weights is None else weights * factors
        total = float(len(codes)) if weights is None else float(weights.sum(dtype=np.float64))
        strength = 0.0 if penalty is None else 1 / (self.C * total)
        share = {"l1": 1.0, "elasticnet": self.l1_ratio}.get(penalty or "", 0.0) or 0.0
        start, constant = self._start(features.shape[1], 1 if binary else len(self.classes_))
        strengths = {"weight": (1 - share) * strength}
        if self.solver == "liblinear":
            strengths["bias"] = strength / self.intercept_scaling**2
        tasks = Tasks(self, X, y, max(int(self.max_iter), 1) + 1, sample_weight)
        tasks.begin()
        dtype = np.float64 if self.solver == "liblinear" else features.dtype  # as there
        loss = losses.BCEWithLogitsLoss() if binary else losses.CrossEntropyLoss()
        encoded = codes.astype(np.float64)[:, None] if binary else codes
        with limited(self.n_threads):
            coef, constant, iterations = fit_linear(
                loss,
                features,
                encoded,
                weights,
                start,
                constant,
                strengths,
                share * strength,
                lambda w, b: tasks.between(lambda: self._attributes(w, b, dtype)),
                self.tol,
                self.max_iter,
                self.solver,
            )
        for name, value in self._attributes(coef, constant, dtype).items():
            setattr(self, name, value)
        self.n_iter_ = np.array([iterations], np.int32)
        tasks.end()
        return self

    @staticmethod
    def _attributes(coef: Doubles, constant: Doubles | None, dtype: Any) -> dict[str, Any]:
        constants = np.zeros(len(coef)) if constant is None else constant
        return {"coef_": coef.astype(dtype), "intercept_": constants.astype(dtype)}

    def _penalty(self) -> str | None:
        """The kind of penalty, "l1", "l2", "elasticnet" or None, with scikit-learn's warnings."""
        ratio = self.l1_ratio
        if self.n_jobs is not None:
            warnings.warn(
                "'n_jobs' has no effect since 1.8 and will be removed in 1.10. You provided "
                f"'n_jobs={self.n_jobs}', please leave it unspecified.",
                FutureWarning,
                stacklevel=3,
            )
        if isinstance(self.penalty, str) and self.penalty == "deprecated":
            if ratio is None:
                warnings.warn(
                    "'l1_ratio=None' was deprecated in version 1.8 and will trigger an error in 1.10. Use "
                    "0<=l1_ratio<=1 instead.",
                    FutureWarning,
                    stacklevel=3,
                )
            if np.inf == self.C:
                return None
            return "l2" if ratio is None or ratio == 0 else "l1" if ratio == 1 else "elasticnet"
        warnings.warn(
            "'penalty' was deprecated in version 1.8 and will be removed in 1.10. To avoid this warning, leave "
            "'penalty' set to its default value and use 'l1_ratio' or 'C' instead.",
            FutureWarning,
            stacklevel=3,
        )
        kind: str | None = self.penalty
        if kind != "elasticnet" and ratio is not None and 0 < ratio < 1:
            warnings.warn(
                f"l1_ratio parameter is only used when penalty is 'elasticnet'. Got (penalty={kind})", stacklevel=3
            )
        if (kind == "l2" and ratio != 0) or (kind == "l1" and ratio != 1):
            warnings.warn(
                f"Inconsistent values: penalty={kind} with l1_ratio={ratio}. penalty is deprecated. Please use "
                "l1_ratio only.",
                stacklevel=3,
            )
        if kind == "elasticnet" and ratio is None:
            raise ValueError("l1_ratio must be specified when penalty is elasticnet.")
        if kind is None and self.C != 1.0:
            warnings.warn("Setting penalty=None will ignore the C and l1_ratio parameters", stacklevel=3)
        return kind

    def _check_solver(self, penalty: str | None) -> None:
        solver = self.solver
        if solver not in ("liblinear", "saga") and penalty not in ("l2", None):
            raise ValueError(f"Solver {solver} supports only 'l2' or None penalties, got {penalty} penalty.")
        if solver != "liblinear" and self.dual:
            raise ValueError(f"Solver {solver} supports only dual=False, got dual={self.dual}")
        if penalty == "elasticnet" and solver != "saga":
            raise ValueError(f"Only 'saga' solver supports elasticnet penalty, got solver={solver}.")
        if solver == "liblinear" and penalty is None:
            raise ValueError("C=np.inf as well as penalty=None is not supported for the liblinear solver")

    def _start(self, width: int, outputs: int) -> tuple[Doubles, Doubles | None]:
        start, constant = np.zeros((outputs, width)), np.zeros(outputs) if self.fit_intercept else None
        if self.warm_start and hasattr(self, "coef_"):
            start[...] = checked_start(self.coef_, start.shape)
            if constant is not None:
                constant[...] = self.intercept_
        return start, constant

    def _link(self) -> str:
        return "sigmoid" if len(self.classes_) == 2 else "softmax"

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Probabilities, shape (rows, classes)."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            second = expit(scores)
            return np.stack([1 - second, second], axis=1)
        probabilities: NDArray[Any] = softmax(scores, axis=1)
        return probabilities

    def predict_log_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Logarithms of the probabilities."""
        with np.errstate(divide="ignore"):
            logarithms: NDArray[Any] = np.log(self.predict_proba(X))
        return logarithms
