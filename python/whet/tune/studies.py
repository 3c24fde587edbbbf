"""Studies of Optuna over what `search` searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import ArrayLike

from whet._checks import as_flag, as_seed
from whet.callbacks import OptunaPruning
from whet.metrics import Metric
from whet.optim import Optimizer
from whet.tune.folds import RowPlan
from whet.tune.recipe import Goal, Recipe
from whet.tune.space import Distribution, Params, Space

__all__ = ["objective"]


def objective(
    build: Callable[..., Any] | Any,
    space: Mapping[str, Any],
    X: Any,
    y: ArrayLike | None = None,
    *,
    loss: Any = None,
    optimizer: str | Optimizer | None = None,
    validation: float = 0.2,
    folds: int | None = None,
    stratify: bool = True,
    groups: ArrayLike | None = None,
    time: ArrayLike | None = None,
    metric: str | Metric | Callable[..., float] = "loss",
    direction: str | None = None,
    sample_weight: ArrayLike | None = None,
    seed: int = 0,
    prune: bool = False,
    **fit: Any,
) -> Callable[[Any], float]:
    """What a study of Optuna optimizes: a function of its trial that returns the score of one choice of arguments.

    >>> study = optuna.create_study(direction="minimize")
    >>> study.optimize(tune.objective(build, space, X, y, loss="mse", epochs=20), n_trials=64, n_jobs=2)

    Args:
        build: See `search`, as all but `prune`. The study asks its own sampler for the values of the space.
        space: Of values that differ as text, too.
        X: Features, or a table.
        y: Targets.
        loss: See `Module.fit`.
        optimizer: Where the space has none.
        validation: Share of the rows that is set aside.
        folds: Cross-validation in place of that; the score is the mean.
        stratify: By classes.
        groups: Rows that stay together.
        time: The time of each row; the latest rows are set aside.
        metric: What is returned: the study's direction has to be that of the metric.
        direction: Only for functions of one's own.
        sample_weight: For arrays.
        seed: Of parts and trainings.
        prune: Whether to report the loss of the rows set aside after every epoch, and to end what the study prunes.
            Not with folds, nor for a metric that is to be large.
        **fit: Further arguments of fit.

    Returns:
        The function. It raises NonFiniteError for a training that fails, which ``optimize(catch=(NonFiniteError,))``
        records, and ``optuna.TrialPruned``.

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If an argument is out of range.
    """
    described, goal = Space(space), Goal.of(metric, direction)
    if as_flag(prune, "objective", "prune") and (folds is not None or goal.greater_is_better):
        raise ValueError("[objective] expected to prune by the loss of one part: no folds, and a metric to be small")
    seed = as_seed(seed, "objective")
    fixed = fit if loss is None else {"loss": loss, **fit}
    recipe = Recipe.of(
        *(build, described.draw(seed, 0), X, y, sample_weight),
        rows=RowPlan(validation, folds, stratify, groups, time),
        optimizer=optimizer,
        fit=fixed,
        goal=goal,
        seed=seed,
    )

    def score(trial: Any) -> float:
        params: Params = {
            name: value.suggest(trial, name) if isinstance(value, Distribution) else value
            for name, value in space.items()
        }
        callbacks = [OptunaPruning(trial)] if prune else []
        return sum(recipe.train(params, part, callbacks=callbacks)[0] for part in range(recipe.parts)) / recipe.parts

    return score
