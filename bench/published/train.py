"""Training until the validation rows say no more, alike for both libraries: the loop of the published runs."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from bench.published.rows import Part, Rows
from bench.published.runs import Run

LIBRARIES = ("whet", "torch")


def batches(rng: np.random.Generator, rows: int, run: Run) -> Iterator[np.ndarray]:
    """The rows of each step of an epoch: (batch,), or (batch, members) where each member has an order of its own."""
    order = rng.random((run.members, rows), np.float32).argsort(axis=1).T if run.members else rng.permutation(rows)
    for start in range(0, rows, run.batch):
        yield order[start : start + run.batch]


def figure(run: Run, rows: Rows, outputs: np.ndarray, part: Part) -> float:
    """The error in the target's unit, or the accuracy, of the members' mean."""
    if run.metric == "rmse":
        difference = outputs.mean(axis=1, dtype=np.float64) - part.y
        return float(np.sqrt(np.square(difference).mean()) * rows.unit)
    if run.outputs == 2:
        return float((outputs.argmax(axis=1) == part.y).mean())
    probability = 1 / (1 + np.exp(-outputs.astype(np.float64)))
    return float(((probability.mean(axis=1) > 0.5) == part.y).mean())


def train(run: Run, library: str, seed: int, rows: Rows, most_epochs: int | None = None) -> dict[str, Any]:
    """One training: the figure of the test rows at the epoch that was best for the validation rows."""
    learner = importlib.import_module(f"bench.published.with_{library}").Learner(run, rows, seed)
    rng = np.random.default_rng(seed)
    start = time.perf_counter()
    x, y = rows.train.x, rows.train.y
    better = (lambda new, old: new < old) if run.metric == "rmse" else (lambda new, old: new > old)
    best: dict[str, Any] = {}
    epoch, steps, per_step = 0, 0, []
    while epoch - best.get("best_epoch", epoch) < run.patience and epoch != most_epochs:
        epoch += 1
        began, before = time.perf_counter(), steps
        for order in batches(rng, len(x), run):
            learner.step(x[order], y[order])
            steps += 1
        validation = figure(run, rows, learner.outputs(rows.validation.x), rows.validation)
        per_step.append(1e3 * (time.perf_counter() - began) / (steps - before))
        if not best or better(validation, best["validation"]):
            test = figure(run, rows, learner.outputs(rows.test.x), rows.test)
            best = {"test": test, "validation": validation, "best_epoch": epoch}
    told = {"run": run.name, "library": library, "seed": seed, **best, "epochs": epoch, "steps": steps}
    return {**told, "ms_per_step": min(per_step), "seconds": time.perf_counter() - start}
