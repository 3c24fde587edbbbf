"""Searching for arguments of model, optimizer and fit."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from whet import _core
from whet._checks import as_count, as_flag, as_path, as_seed
from whet.metrics import Metric
from whet.optim import Optimizer
from whet.tune.folds import RowPlan
from whet.tune.journal import Journal, NoJournal
from whet.tune.recipe import Goal, Recipe
from whet.tune.results import SearchResult
from whet.tune.running import Running, rungs
from whet.tune.space import Params, Space

__all__ = ["search"]

_METHODS = ("random", "grid", "halving")


def search(
    build: Callable[..., Any] | Any,
    space: Mapping[str, Any],
    X: Any,
    y: ArrayLike | None = None,
    *,
    loss: Any = None,
    optimizer: str | Optimizer | None = None,
    method: str = "random",
    trials: int = 64,
    factor: int = 3,
    min_epochs: int = 1,
    validation: float = 0.2,
    folds: int | None = None,
    repeats: int = 1,
    stratify: bool = True,
    groups: ArrayLike | None = None,
    time: ArrayLike | None = None,
    metric: str | Metric | Callable[..., float] = "loss",
    direction: str | None = None,
    sample_weight: ArrayLike | None = None,
    seed: int = 0,
    threads: int | None = None,
    journal: str | os.PathLike[str] | None = None,
    refit: bool = True,
    progress: bool = False,
    **fit: Any,
) -> SearchResult:
    """Trains models with many choices of arguments and judges each on rows that it has not seen.

    Several trials train at once, each in a thread of its own on one core, and all read the same rows: there is one copy
    of them, whatever the number of threads. Every trial has the bits that the same fit would have alone.

    >>> space = {"model.hidden": tune.choice([(64,), (128, 128)]), "optimizer.lr": tune.log_uniform(1e-4, 1e-1)}
    >>> found = tune.search(lambda hidden: nn.MLP(8, hidden, 1), space, X, y, loss="mse", epochs=20)
    >>> found.best_params, found.model.predict(X_new)

    Args:
        build: A function of the model's arguments that returns one, such as the one above or
            ``functools.partial(whet.TabularModel, "income")``; or a model, which is copied for each trial.
        space: What to choose from, by name: "model.hidden", or "hidden", is an argument of `build`, "optimizer.lr" one
            of the optimizer and "fit.batch_size" one of fit; "optimizer" is the whole optimizer. Values are made by
            `choice`, `uniform`, `log_uniform` and `integers`; all others are fixed. Where the optimizer's number is a
            schedule, such as the rate of TabularModel's default, it keeps its shape and begins with the value (at
            OneCycle's peak).
        X: Features, or a table for TabularModels.
        y: Targets; None for a table.
        loss: See `Module.fit`.
        optimizer: Of all trials where the space has none; Adam by default, and TabularModel's own for tables.
        method: "random", "grid" (all combinations of choices and integers), or "halving": all trials are trained for a
            few epochs, of which the best 1 / `factor` go on for `factor` times as many, and so on up to `epochs`, from
            where they stopped (Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter
            optimization", AISTATS 2016).
        trials: How many are drawn; fewer, if the space has no more.
        factor: Of "halving".
        min_epochs: Of "halving": what the first round has at least.
        validation: Share of the rows that is set aside to judge by.
        folds: Cross-validation in place of that: in turn, each of so many parts judges what the others, which follow it
            in a circle, have trained.
        repeats: Trainings for each part, with seeds that follow each other; the score is the mean.
        stratify: Whether every part has its share of each class, where classes are learned.
        groups: Shape (rows,): rows of a group stay in one part.
        time: Shape (rows,): the latest rows are set aside.
        metric: "loss", or a metric as for fit, of the rows set aside.
        direction: "min" or "max"; by default what the metric says.
        sample_weight: Shape (rows,), for arrays.
        seed: Of what is drawn, of the parts, and of every training unless `fit.seed` says otherwise.
        threads: How many trials run at once; by default as many as kernels may use threads. What is left over, each
            trial's kernels use.
        journal: A file with a line of JSON for everything that is finished. If it is there, the search goes on where it
            stopped and repeats nothing; it knows functions by their names alone. Beside it, "halving" keeps its
            checkpoints in a folder, NAME.trials.
        refit: Whether to train a model with the best arguments on all rows, `SearchResult.model`.
        progress: Whether to print a line for each trial that is finished on standard error.
        **fit: Further arguments of fit for all trials, such as `epochs` and `callbacks`. Each trial gets a copy of the
            callbacks; where there are some, the rows set aside are those that they may monitor.

    Returns:
        What was found. After Ctrl-C it has what is done by then, and no model.

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If an argument is out of range, all trials failed, or the journal is of another search. What a fit
            raises ends the search, but for a NonFiniteError: the trial has then failed.
        OSError: If the journal cannot be written.
        RuntimeError: If another search writes to it.
        KeyboardInterrupt: On Ctrl-C, if nothing is done yet.
    """
    if method not in _METHODS:
        raise ValueError(f"[search] expected method {', '.join(map(repr, _METHODS))}, got {method!r}")
    seed, trials = as_seed(seed, "search"), as_count(trials, "search", "trials")
    described = Space(space)
    drawn = described.grid() if method == "grid" else described.random(seed, trials)
    fixed = fit if loss is None else {"loss": loss, **fit}
    recipe = Recipe.of(
        *(build, drawn[0], X, y, sample_weight),
        rows=RowPlan(validation, folds, stratify, groups, time),
        optimizer=optimizer,
        fit=fixed,
        goal=Goal.of(metric, direction),
        seed=seed,
    )
    units = recipe.parts * as_count(repeats, "search", "repeats")
    rounds: list[int | None] = [None]
    if method == "halving":
        rounds = _rounds(recipe, described, drawn, as_count(factor, "search", "factor"), min_epochs)
    identity = {
        "build": build,
        "space": dict(space),
        "method": [method, *rounds],
        "trials": len(drawn) if method == "halving" else None,  # of the others, more may be asked for later
        "metric": [recipe.goal.name, recipe.goal.greater_is_better],
        "rows": [recipe.data.digest(), repeats],
        "optimizer": optimizer,
        "fit": fixed,
        "seed": seed,
    }
    number = _core.num_threads() if threads is None else as_count(threads, "search", "threads")
    as_flag(refit, "search", "refit")
    kept = NoJournal() if journal is None else Journal(journal, identity)
    with kept as before, _checkpoints(journal, method == "halving") as folder:
        running = Running(recipe, drawn, units, number, kept, folder, as_flag(progress, "search", "progress"))
        running.take_up(before)
        result = running.run(rounds, factor)
    if refit and result.stopped_by != "interrupt":
        result.model = recipe.refit(result.best.params)
    return result


def _rounds(recipe: Recipe, space: Space, drawn: Sequence[Params], factor: int, min_epochs: int) -> list[int | None]:
    """Of successive halving."""
    if "fit.epochs" in space.given:
        raise ValueError("[search] expected a space without 'fit.epochs' for halving, which varies them itself")
    epochs = recipe.options(drawn[0]).get("epochs", recipe.data.default_epochs)
    return rungs(len(drawn), as_count(epochs, "search", "epochs"), factor, as_count(min_epochs, "search", "min_epochs"))


@contextlib.contextmanager
def _checkpoints(journal: str | os.PathLike[str] | None, needed: bool) -> Iterator[str | None]:
    """A folder for trials that pause: beside the journal, or for as long as the search runs."""
    if not needed:
        yield None
    elif journal is not None:
        yield f"{as_path(journal, 'search')}.trials"
    else:
        with tempfile.TemporaryDirectory(prefix="whet-search-") as folder:
            yield folder
