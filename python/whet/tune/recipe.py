"""How a trial is trained and judged: one model, from its arguments to its score."""

from __future__ import annotations

import copy
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import ArrayLike

from whet import metrics, optim
from whet.callbacks import Callback, Pause
from whet.errors import NonFiniteError
from whet.metrics import Metric
from whet.optim import Optimizer
from whet.schedules import Schedule
from whet.tabular import TabularModel
from whet.training.callbacks.base import check
from whet.training.model import Model
from whet.tune.folds import Arrays, RowPlan, Table
from whet.tune.space import Params

__all__ = ["Goal", "Outcome", "Recipe", "StoppedError"]


class StoppedError(Exception):
    """The search is to end: this trial is left."""


class _Stop(Callback):
    """Leaves a fit when the search is to end."""

    every_n_steps = 100

    def __init__(self, asked: threading.Event) -> None:
        self._asked = asked

    def on_step_end(self, step: int, logs: Mapping[str, float] | None = None) -> None:
        if self._asked.is_set():
            raise StoppedError


@dataclass(frozen=True)
class Goal:
    """What makes a trial better than another."""

    name: str
    metrics: tuple[Metric, ...]
    greater_is_better: bool

    @classmethod
    def of(cls, metric: Any, direction: str | None) -> Goal:
        """The loss, or one metric; a function of a user's needs a direction."""
        if direction not in (None, "min", "max"):
            raise ValueError(f"[search] expected direction 'min' or 'max', got {direction!r}")
        if metric == "loss":
            return cls("loss", (), direction == "max")
        found = metrics.get(metric)
        if len(found) != 1:
            raise ValueError(f"[search] expected one metric, got {len(found)}")
        greater = found[0].greater_is_better if direction is None else direction == "max"
        if greater is None:
            raise ValueError(f"[search] expected direction 'min' or 'max' for the function {found[0].name!r}")
        return cls(found[0].name, found, greater)

    def cost(self, score: float) -> float:
        """A number that is smaller for a better score, and infinite for none."""
        return math.inf if math.isnan(score) else -score if self.greater_is_better else score


@dataclass(frozen=True)
class Outcome:
    """What became of one training: a score, or what stood in its way."""

    score: float
    epochs: int
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class _Copies:
    model: Any

    def __call__(self, **arguments: Any) -> Any:
        if arguments:
            raise TypeError(
                f"[search] expected build to be a function of {', '.join(arguments)} that returns a model, got a model"
            )
        return copy.deepcopy(self.model)


@dataclass(frozen=True)
class Recipe:
    """What is the same for all trials.

    Args:
        build: Makes a model of the arguments that the space has for it.
        data: Rows.
        optimizer: What the optimizer is where the space does not say it; None: the model's default.
        fit: Further arguments of fit.
        goal: What is wanted.
        seed: Of the trainings.
        parts: Of the rows.
        stop: Set to end all.
    """

    build: Callable[..., Any]
    data: Arrays | Table
    optimizer: str | Optimizer | None
    fit: Mapping[str, Any]
    goal: Goal
    seed: int
    parts: int
    stop: threading.Event

    @classmethod
    def of(
        cls,
        build: Any,
        params: Params,
        X: Any,
        y: ArrayLike | None,
        sample_weight: ArrayLike | None,
        *,
        rows: RowPlan,
        optimizer: str | Optimizer | None,
        fit: Mapping[str, Any],
        goal: Goal,
        seed: int,
    ) -> Recipe:
        """The recipe of a search, one of whose trials has these arguments."""
        make = _builder(build)
        data = _rows(make(**_of(params, "model")), X, y, sample_weight)
        layout = rows.layout(data.rows, data.classes({**fit, **_of(params, "fit")}.get("loss")), seed)
        data.lay(layout)
        return cls(make, data, optimizer, fit, goal, seed, len(layout.parts), threading.Event())

    def model(self, params: Params) -> Any:
        """A model of a trial."""
        return self.build(**_of(params, "model"))

    def options(self, params: Params, repeat: int = 0) -> dict[str, Any]:
        """The arguments of fit of a trial."""
        options = {"seed": self.seed, **self.fit, **_of(params, "fit")}
        options["seed"] += repeat
        given = options.pop("optimizer", None) or self.optimizer or self.data.default_optimizer
        return {**options, "optimizer": _with_numbers(optim.get(given), _of(params, "optimizer"))}

    def run(self, params: Params, unit: int, pause: int | None = None, checkpoint: str | None = None) -> Outcome:
        """Trains a model and judges it, as `train` does; a number that is not finite is a failure, and no error.

        Raises:
            StoppedError: If the search is to end.
        """
        began = time.perf_counter()
        epochs = 0
        try:
            score, epochs = self.train(params, unit, pause, checkpoint)
            error = None if math.isfinite(score) else f"the {self.goal.name} is {score}"
        except NonFiniteError as failure:
            score, error = math.nan, str(failure)
        return Outcome(score if error is None else math.nan, epochs, time.perf_counter() - began, error)

    def train(
        self,
        params: Params,
        unit: int,
        pause: int | None = None,
        checkpoint: str | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> tuple[float, int]:
        """Trains a model on a part of the rows and judges it by the rest: the score, and the epochs.

        With a pause, up to so many epochs, from where the checkpoint was written. What a fit raises comes out.
        """
        part, repeat = unit % self.parts, unit // self.parts
        model, options = self.model(params), self.options(params, repeat)
        own = (*copy.deepcopy(check(options.pop("callbacks", ()))), *callbacks)
        options["callbacks"] = (*own, *(() if pause is None else (Pause(pause),)), _Stop(self.stop))
        if checkpoint is not None:
            os.makedirs(checkpoint, exist_ok=True)
            # Far apart: what counts is the one that a fit writes where it pauses.
            options |= {"checkpoint": checkpoint, "checkpoint_every": 2**62, "checkpoint_keep": 1, "resume": True}
        self.data.check(self.goal.metrics, options.get("loss"))
        watched = bool(own or options.get("stop_at"))
        try:
            history = self.data.train(model, part, watched, **options)
            return self.data.score(model, part, self.goal.metrics)[self.goal.name], len(history["loss"])
        finally:
            for each in options["callbacks"]:
                each.model = each._training_run = None  # they would keep the model, and it them

    def refit(self, params: Params) -> Any:
        """A model of these arguments, trained on all rows."""
        model, options = self.model(params), self.options(params)
        options["callbacks"] = copy.deepcopy(check(options.get("callbacks", ())))
        self.data.train_all(model, **options)
        return model


def _builder(build: Any) -> Callable[..., Any]:
    """A function that makes a model: as given, or copies of a model that was given."""
    if isinstance(build, (Model, TabularModel)):
        return _Copies(build)
    if not callable(build):
        raise TypeError(f"[search] expected a model, or a function that returns one, got {type(build).__name__}")
    made: Callable[..., Any] = build
    return made


def _rows(model: Any, X: Any, y: ArrayLike | None, weight: ArrayLike | None) -> Arrays | Table:
    """The rows for models of this kind."""
    if isinstance(model, TabularModel):
        if y is not None or weight is not None:
            raise TypeError("[search] expected a table that has the target, and neither y nor sample_weight")
        return Table(X, model)
    if not isinstance(model, Model):
        raise TypeError(f"[search] expected build to return a model, got {type(model).__name__}")
    if y is None:
        raise TypeError("[search] expected y with the features of a network, got None")
    return Arrays(X, y, weight)


def _of(params: Params, kind: str) -> dict[str, Any]:
    """The arguments of a kind; those without one are the model's, and "optimizer" itself is one of fit."""
    named = {name: value for name, value in params.items() if name != "optimizer"}
    if kind == "fit" and "optimizer" in params:
        named["fit.optimizer"] = params["optimizer"]
    split = {name: name.rpartition(".") for name in named}
    return {own: named[name] for name, (head, _, own) in split.items() if (head or "model") == kind}


def _with_numbers(optimizer: Optimizer, numbers: Mapping[str, Any]) -> Optimizer:
    """The optimizer with other numbers; a schedule keeps its shape and begins with the number."""
    given: dict[str, Any] = {}
    for name, value in numbers.items():
        before = getattr(optimizer, name, None)
        first = next((each for each in ("start", "max_lr") if hasattr(before, each)), None)
        if first is not None and not isinstance(value, Schedule):
            value = replace(before, **{first: value})  # type: ignore[type-var]
        given[name] = value
    return replace(optimizer, **given)
