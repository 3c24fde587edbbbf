"""How the perceptrons are trained: by epochs with scikit-learn's rules for an end, by single passes, or by L-BFGS."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from whet import optim
from whet.errors import NonFiniteError
from whet.losses import Loss
from whet.nn import Sequential
from whet.sklearn.network import decayed, squares, weights
from whet.sklearn.objective import NOT_FINITE, Objective, Vector, minimize
from whet.sklearn.protocol import Tasks
from whet.training import Trainer
from whet.training.callbacks.base import Callback
from whet.training.engine import Continuation
from whet.training.rows import Rows

__all__ = ["Data", "fit_epochs", "fit_lbfgs", "fit_pass", "optimizer_of"]


@dataclass(frozen=True)
class Data:
    """Rows as whet's fit takes them."""

    X: Any
    y: NDArray[Any]
    weights: NDArray[Any] | None = None

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def take(self, rows: Any) -> Data:
        """Some of the rows."""
        return Data(self.X[rows], self.y[rows], None if self.weights is None else self.weights[rows])


def batch_rows(estimator: Any, rows: int) -> int:
    """Rows of a step."""
    if estimator.batch_size == "auto":
        return min(200, rows)
    if estimator.batch_size > rows:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=2
        )
    return min(int(estimator.batch_size), rows)


def optimizer_of(estimator: Any, model: Sequential, data: Data, rows: int) -> optim.Optimizer:
    """The estimator's own optimizer, or its solver; `alpha` is divided by the weight of a step's rows."""
    e, mean = estimator, 1.0 if data.weights is None else float(data.weights.mean())
    if e.optimizer is not None:
        made = optim.get(e.optimizer)
    else:
        groups = decayed(model, e.alpha / (rows * mean)) if mean > 0 else {}
        if e.solver == "adam":
            made = optim.Adam(e.learning_rate_init, (e.beta_1, e.beta_2), e.epsilon, groups=groups or None)
        else:
            nesterov = bool(e.nesterovs_momentum and e.momentum > 0)
            made = optim.SGD(e.learning_rate_init, e.momentum, nesterov=nesterov, groups=groups or None)
    given = {name: getattr(e, name) for name in ("clip_norm", "ema") if getattr(e, name) is not None}
    return replace(made, **given) if given else made


class Monitor(Callback):
    """Records what scikit-learn records, and ends the training by its rules.

    Args:
        estimator: The estimator, whose attributes it writes.
        data: Training rows.
        held: Rows that a score is computed of after every epoch, or None.
        steps: Steps of an epoch.
        tasks: scikit-learn's callbacks.
    """

    def __init__(self, estimator: Any, data: Data, held: Data | None, steps: int, tasks: Tasks) -> None:
        self._estimator, self._held, self._tasks = estimator, held, tasks
        self._rows, self._steps = len(data), steps
        self._weight = 1.0 if data.weights is None else float(data.weights.mean())
        self._constant = estimator._loss_constant(data)
        self.best: list[NDArray[Any]] | None = None
        self.continuation: Continuation | None = None

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Before the first epoch."""
        self._weights = weights(self.model)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Before each epoch."""
        self._tasks.begin()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """After each epoch."""
        e, loss = self._estimator, (logs or {})["loss"]
        e.n_iter_ += 1
        e.t_ += self._rows
        e.loss_ = self._reported(loss)
        e.loss_curve_.append(e.loss_)
        if e.verbose:
            print(f"Iteration {e.n_iter_}, loss = {e.loss_:.8f}")
        improved = self._improves_score() if self._held is not None else self._improves_loss()
        e._no_improvement_count = 0 if improved else e._no_improvement_count + 1
        if e.learning_rate == "invscaling" and e._has_own_rate():
            self.learning_rate = e.learning_rate_init / (e.t_ + 1) ** e.power_t
        if e._no_improvement_count > e.n_iter_no_change and self._ends():
            self.model.stop_training = True
        if self._tasks.iteration(lambda: {"model_": copy.deepcopy(self.model)}):
            self.model.stop_training = True
        e._rate = self.learning_rate

    def _close(self) -> None:
        """Keeps what the optimizer remembers."""
        if self._training_run is not None and self._training_run.continuation is not None:
            found = self._training_run.continuation()
            self.continuation = replace(found, slots={name: slot.copy() for name, slot in found.slots.items()})

    def _reported(self, loss: float) -> float:
        """scikit-learn's loss: the mean over outputs, and the penalty of every batch."""
        e = self._estimator
        penalty = 0.0
        if e.optimizer is None and e.alpha > 0 and self._weight > 0:
            penalty = 0.5 * e.alpha * squares(self._weights) * self._steps / (self._rows * self._weight)
        return float(e._loss_factor() * loss + self._constant + penalty)

    def _improves_loss(self) -> bool:
        e = self._estimator
        improves = not e.loss_curve_[-1] > e.best_loss_ - e.tol
        e.best_loss_ = min(e.best_loss_, e.loss_curve_[-1])
        return improves

    def _improves_score(self) -> bool:
        e, held = self._estimator, self._held
        assert held is not None
        score = e._score(self.model.predict(held.X), held.y, held.weights)
        e.validation_scores_.append(score)
        if e.verbose:
            print(f"Validation score: {score:f}")
        improves = not score < e.best_validation_score_ + e.tol
        if score > e.best_validation_score_:
            e.best_validation_score_ = score
            self.best = [parameter.values.copy() for _, parameter in self.model.named_parameters()]
        return improves

    def _ends(self) -> bool:
        """What a lack of improvement leads to: an end, or a smaller learning rate."""
        e = self._estimator
        what = "Validation score" if self._held is not None else "Training loss"
        text = f"{what} did not improve more than tol={e.tol:f} for {e.n_iter_no_change} consecutive epochs."
        adapts = e.learning_rate == "adaptive" and e._has_own_rate()
        if adapts and self.learning_rate > 1e-6:
            self.learning_rate /= 5
            e._no_improvement_count = 0
            if e.verbose:
                print(f"{text} Setting learning rate to {self.learning_rate:f}")
            return False
        if e.verbose:
            print(f"{text} {'Learning rate too small. ' if adapts else ''}Stopping.")
        return True


def fit_epochs(
    estimator: Any, model: Sequential, loss: Loss, data: Data, held: Data | None, seed: int, tasks: Tasks
) -> None:
    """Trains by epochs until scikit-learn's rules or `max_iter` end it."""
    rows = batch_rows(estimator, len(data))
    monitor = Monitor(estimator, data, held, -(-len(data) // rows), tasks)
    optimizer = optimizer_of(estimator, model, data, rows)
    estimator.n_iter_ = 0
    given = estimator.callbacks
    callbacks = [] if given is None else [given] if isinstance(given, Callback) else list(given)
    told: Any = None if held is None or not callbacks else (held.X, held.y)
    if told is not None and held is not None and held.weights is not None:
        told = (held.X, held.y, held.weights)
    try:
        history = model.fit(
            data.X,
            data.y,
            loss=loss,
            optimizer=optimizer,
            epochs=int(estimator.max_iter),
            batch_size=rows,
            sample_weight=data.weights,
            validation_data=told,
            shuffle=bool(estimator.shuffle),
            callbacks=[*callbacks, monitor],
            precision=estimator.precision,
            seed=seed,
            on_interrupt="return",
        )
    except NonFiniteError as error:
        _note_divergence(estimator, held is not None, error)
    else:
        if history.stopped_by == "interrupt":
            warnings.warn("Training interrupted by user.", stacklevel=2)
        elif history.stopped_by == "epochs":
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
                stacklevel=2,
            )
        if monitor.continuation is not None and not (optimizer.averages or optimizer.follows or optimizer.schedules()):
            estimator._trainer = Trainer._after(model, loss, optimizer, seed, monitor.continuation)
    if monitor.best is not None:
        for (_, parameter), values in zip(model.named_parameters(), monitor.best, strict=True):
            parameter.values[...] = values


def _note_divergence(estimator: Any, holds: bool, error: NonFiniteError) -> None:
    """With early stopping the best parameters come back, and the epoch is recorded as NaN; else there are none."""
    if not holds:
        raise ValueError(NOT_FINITE) from error
    estimator.n_iter_ += 1
    estimator.loss_ = float("nan")
    estimator.loss_curve_.append(estimator.loss_)
    estimator.validation_scores_.append(float("nan"))
    warnings.warn(f"The training diverged: {error}", ConvergenceWarning, stacklevel=3)


def _trainer_of(estimator: Any, loss: Loss, data: Data, rows: int, random: np.random.RandomState) -> Trainer:
    """What goes on with the optimizer of the last pass or fit, by the estimator's numbers as they are now."""
    e = estimator
    before: Trainer | None = e._trainer
    optimizer = optimizer_of(e, e.model_, data, rows)
    if e._has_own_rate() and e.learning_rate != "constant":
        falls = e.learning_rate == "invscaling"
        rate: Any = {"lr": e.learning_rate_init / (e.t_ + 1) ** e.power_t if falls else e._rate}
        optimizer = replace(optimizer, **rate)
    if before is None:
        return Trainer(e.model_, loss, optimizer, int(random.randint(2**31)))
    if before.optimizer == optimizer:
        return before
    kept = before._progress() if before.optimizer.name == optimizer.name else Continuation()
    return Trainer._after(e.model_, loss, optimizer, before.seed, kept)


def fit_pass(estimator: Any, loss: Loss, data: Data, random: np.random.RandomState) -> None:
    """One pass over the rows."""
    rows = batch_rows(estimator, len(data))
    estimator._trainer = trainer = _trainer_of(estimator, loss, data, rows, random)
    order = random.permutation(len(data)) if estimator.shuffle else np.arange(len(data))
    total = 0.0
    try:
        for begin in range(0, len(order), rows):
            batch = data.take(order[begin : begin + rows]) if estimator.shuffle or rows < len(order) else data
            total += trainer.step(batch.X, batch.y, batch.weights) * len(batch)
    except NonFiniteError as error:
        raise ValueError(NOT_FINITE) from error
    e = estimator
    e.n_iter_ = 1
    e.t_ += len(order)
    penalty = 0.0 if e.optimizer is not None else 0.5 * e.alpha * squares(weights(e.model_)) / rows
    e.loss_ = e._loss_factor() * total / len(order) + e._loss_constant(data) + penalty
    e.loss_curve_.append(e.loss_)
    e.best_loss_ = min(e.best_loss_, e.loss_)
    if e.verbose:
        print(f"Iteration {e.n_iter_}, loss = {e.loss_:.8f}")


def fit_lbfgs(estimator: Any, model: Sequential, loss: Loss, data: Data, tasks: Tasks) -> None:
    """Minimises the loss of all rows with SciPy's L-BFGS-B."""
    e = estimator
    rows = Rows.of(model, loss, data.X, data.y, data.weights, "fit")
    weight = float(len(data)) if data.weights is None else float(data.weights.sum())
    strengths = {name: numbers["weight_decay"] for name, numbers in decayed(model, e.alpha / weight).items()}

    with model._exclusive("fit") as state:
        objective = Objective(model, state, loss, rows, strengths)

        def fitted(found: Vector) -> dict[str, Any]:
            objective.put(found)
            return {"model_": copy.deepcopy(model)}

        def told(found: Vector) -> bool:
            return tasks.between(lambda: fitted(found))

        tasks.begin()
        options = {"maxfun": e.max_fun, "maxiter": e.max_iter, "gtol": e.tol}
        start = objective.vector()
        found = minimize(objective, start, told, **options)
        finite = bool(np.isfinite(found.x).all() and np.isfinite(found.fun))
        objective.put(found.x if finite else start)
    if not finite:
        raise ValueError(NOT_FINITE)
    model._loss = loss  # what predict_proba goes by
    e.n_iter_ = found.nit
    e.loss_ = e._loss_factor() * float(found.fun) + e._loss_constant(data)
    if e.verbose:
        print(f"Iteration {e.n_iter_}, loss = {e.loss_:.8f}")
