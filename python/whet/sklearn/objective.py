"""A model's loss as a function of all its parameters in one vector, for SciPy's minimisers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from whet import _core, nn, optim
from whet.losses import Loss
from whet.nn import Module
from whet.sklearn.threads import one_blas_thread
from whet.training.engine import assign, core_trainer
from whet.training.rows import Rows

__all__ = ["NOT_FINITE", "Objective", "Vector", "fit_linear", "minimize"]

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)

Vector = NDArray[np.float64]

_FTOL = 64 * float(np.finfo(np.float64).eps)


class Objective:
    """Mean loss of rows plus the penalty strength / 2 |p|^2, and its gradient.

    Args:
        model: The model, which has the parameters of the last evaluation.
        state: Its parameters, held for this use.
        loss: The loss.
        rows: The rows.
        strengths: Of the penalty, for each parameter by name; none for the others.
    """

    def __init__(self, model: Module, state: _core.State, loss: Loss, rows: Rows, strengths: dict[str, float]) -> None:
        self._rows = rows
        names = model._parameter_names()
        self._parameters = [state.parameter(i) for i in range(len(names))]
        still = optim.GD(lr=0.0)  # a step computes the gradient and leaves the parameters
        graph = model._training_graph(rows.features.shape[1], loss, rows.truth)
        assignment = assign(model, state, still)
        self._trainer = core_trainer(graph, state, loss, still, assignment, rows.truth, 0)
        self._strengths = np.concatenate(
            [np.full(array.size, strengths.get(name, 0.0)) for name, array in zip(names, self._parameters, strict=True)]
        )
        self._gradients: list[NDArray[Any]] = []

    def vector(self) -> Vector:
        """The parameters as they are."""
        return np.concatenate([array.ravel() for array in self._parameters], dtype=np.float64)

    def put(self, vector: Vector) -> None:
        """Gives the model these parameters."""
        begin = 0
        for array in self._parameters:
            array.ravel()[...] = vector[begin : begin + array.size]
            begin += array.size

    def __call__(self, vector: Vector) -> tuple[float, Vector]:
        """Loss and gradient at these parameters; infinity where they are not finite."""
        self.put(vector)
        try:
            loss = self._trainer.step(self._rows.features, self._rows.truth, self._rows.weights)
        except _core.NonFiniteError:
            return np.inf, np.zeros_like(vector)
        if not self._gradients:
            self._gradients = [self._trainer.gradient(i) for i in range(len(self._parameters))]
        gradient = np.concatenate([array.ravel() for array in self._gradients], dtype=np.float64)
        decay = self._strengths * vector
        return loss + 0.5 * float(decay @ vector), gradient + decay


def minimize(
    objective: Callable[[Vector], tuple[float, Vector]],
    start: Vector,
    told: Callable[[Vector], bool],
    solver: str = "lbfgs",
    **options: Any,
) -> Any:
    """SciPy's L-BFGS-B; warns where it has not converged.

    Args:
        objective: Loss and gradient.
        start: Where to start.
        told: Called with the parameters after every iteration; returns whether to end.
        solver: What it is called in warnings.
        options: Of SciPy's.

    Returns:
        SciPy's result.
    """

    def after(found: Vector) -> None:
        if told(found):
            raise StopIteration

    with one_blas_thread():
        found = scipy.optimize.minimize(objective, start, method="L-BFGS-B", jac=True, options=options, callback=after)
    found.nit = min(int(found.nit), int(options["maxiter"]))
    if found.status != 0 and "StopIteration" not in str(found.message):
        _warn_of_iterations(solver, found.nit, f" (status={found.status}):\n{found.message}")
    return found


_TOO_EARLY = {
    "newton-cg": "newton-cg failed to converge after {} iteration(s). Increase the number of iterations.",
    "newton-cholesky": "Newton solver did not converge after {} iterations.",
    "liblinear": "Liblinear failed to converge, increase the number of iterations.",
    "sag": "The max_iter was reached which means the coef_ did not converge",
    "saga": "The max_iter was reached which means the coef_ did not converge",
}


def _warn_of_iterations(solver: str, iterations: int, why: str) -> None:
    """Warns of a search that ended too early, in scikit-learn's words for the solver that was asked for."""
    usual = f"{solver} failed to converge after {iterations} iteration(s){why}"
    text = _TOO_EARLY.get(solver, usual).format(iterations)
    text += "\n\nYou might also want to scale the data, or increase the number of iterations (max_iter)."
    warnings.warn(text, ConvergenceWarning, stacklevel=4)


def minimize_with_l1(
    objective: Callable[[Vector], tuple[float, Vector]],
    start: Vector,
    l1: Vector,
    told: Callable[[Vector], bool],
    tol: float,
    max_iter: int,
    solver: str,
) -> tuple[Vector, int]:
    """Minimises objective + sum(l1 |p|) by accelerated proximal steps (Beck and Teboulle, "A fast iterative
    shrinkage-thresholding algorithm", 2009), with restarts (O'Donoghue and Candes, 2015). Returns the minimum and the
    number of steps; it ends where no parameter changes by more than `tol` times the largest.
    """
    here, ahead, momentum, curvature = start.copy(), start.copy(), 1.0, 1.0
    for step in range(1, max_iter + 1):
        loss, gradient = objective(ahead)
        while True:
            moved = ahead - gradient / curvature
            moved = np.sign(moved) * np.maximum(np.abs(moved) - l1 / curvature, 0)
            change = moved - ahead
            bound = loss + gradient @ change + 0.5 * curvature * (change @ change)
            if objective(moved)[0] <= bound + 1e-12 * abs(bound) or curvature > 1e30:
                break
            curvature *= 2
        if (ahead - moved) @ (moved - here) > 0:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = moved + (momentum - 1) / following * (moved - here)
        largest, changed = np.abs(moved).max(initial=0.0), np.abs(moved - here).max(initial=0.0)
        here, momentum, curvature = moved, following, 0.9 * curvature
        if told(moved) or (step > 1 and changed <= tol * largest):
            return here, step
    _warn_of_iterations(solver, max_iter, ".")
    return here, max_iter


def fit_linear(
    loss: Loss,
    X: Any,
    y: NDArray[Any],
    weights: NDArray[Any] | None,
    start: Vector,
    constant: Vector | None,
    strengths: dict[str, float],
    l1: float,
    told: Callable[[Vector, Vector | None], bool],
    tol: float,
    max_iter: int,
    solver: str,
) -> tuple[Vector, Vector | None, int]:
    """Coefficients (outputs, features) and constants (outputs,) that make the mean loss plus its penalties small.

    Args:
        loss: Of raw outputs.
        X: Features.
        y: Target, as the loss takes it.
        weights: Of the rows, or None.
        start: Coefficients to start from.
        constant: Constants to start from, or None for none.
        strengths: Of the quadratic penalties on "weight" and "bias".
        l1: Of the absolute penalty on the coefficients.
        told: Called with coefficients and constants after every iteration; returns whether to end.
        tol: Largest element of the gradient, or with `l1`, change of a coefficient.
        max_iter: Iterations.
        solver: What it is called in warnings; for "lbfgs", SciPy takes a first step whatever `max_iter` is.

    Returns:
        Coefficients, constants and the number of iterations.

    Raises:
        ValueError: If what is found is not finite.
    """
    outputs, width = start.shape
    model = nn.Linear(width, outputs, bias=constant is not None).to("float64")
    model.initialize()
    rows = Rows.of(model, loss, X, y, weights, "fit")

    def parts(found: Vector) -> tuple[Vector, Vector | None]:
        return found[: start.size].reshape(start.shape), None if constant is None else found[start.size :]

    with model._exclusive("fit") as state:
        objective = Objective(model, state, loss, rows, strengths)
        after = lambda found: told(*parts(found))  # noqa: E731
        first = start.ravel() if constant is None else np.concatenate([start.ravel(), constant])
        if max_iter == 0 and solver != "lbfgs":
            found, iterations = first, 0
            _warn_of_iterations(solver, 0, ".")
        elif l1 > 0:
            penalty = np.zeros(first.size)
            penalty[: start.size] = l1
            found, iterations = minimize_with_l1(objective, first, penalty, after, tol, max_iter, solver)
        else:
            result = minimize(objective, first, after, solver, maxiter=max_iter, maxls=50, gtol=tol, ftol=_FTOL)
            found, iterations = result.x, result.nit
    if not np.isfinite(found).all():
        raise ValueError(NOT_FINITE)
    return *parts(found), iterations
