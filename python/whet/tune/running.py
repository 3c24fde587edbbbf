"""Trials at work: each in a thread of its own, recorded as they are finished, in one round or in several."""

from __future__ import annotations

import gc
import math
import os
import queue
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from types import UnionType
from typing import Any

from whet import _core
from whet.tune.journal import NoJournal, Record, plain
from whet.tune.recipe import Outcome, Recipe, StoppedError
from whet.tune.results import SearchResult, Trial
from whet.tune.space import Params

__all__ = ["Running", "rungs"]


# Seconds. A model that was trained refers to itself, and waits for Python's collector with all that training needed; to
# call it takes some 20 ms, in which other threads go on inside the compiled core.
_SWEEP = 1.0
# What a journal has of a training.
_LINE: dict[str, type | UnionType] = {
    "trial": int,
    "unit": int,
    "epochs_of_round": int | None,
    "score": float | int | None,
    "epochs": int,
    "seconds": float | int,
    "error": str | None,
    "params": dict,
}


@dataclass(frozen=True)
class _Task:
    """One training: of a trial, on a part of the rows with a seed, and up to so many epochs where it is to pause."""

    trial: int
    unit: int
    epochs: int | None


def rungs(trials: int, epochs: int, factor: int, least: int) -> list[int | None]:
    """The epochs after which the best trials go on, and of the last round, for successive halving."""
    if factor < 2:
        raise ValueError(f"[search] expected factor of at least 2, got {factor}")
    if least > epochs:
        raise ValueError(f"[search] expected min_epochs of at most {epochs}, got {least}")
    found: list[int | None] = [epochs]
    while trials >= factor and (epochs := epochs // factor) >= least:
        found.insert(0, epochs)
        trials //= factor
    return found


class Running:
    """A search while it runs.

    Args:
        recipe: How to train.
        drawn: The arguments of each trial.
        units: Trainings of each: parts of the rows times repeats.
        threads: How many at once.
        journal: What to record in.
        folder: Where trials that pause are kept; None where none does.
        progress: Whether to say what is finished.
    """

    def __init__(
        self,
        recipe: Recipe,
        drawn: Sequence[Params],
        units: int,
        threads: int,
        journal: NoJournal,
        folder: str | None,
        progress: bool,
    ) -> None:
        self._recipe, self._drawn, self._units = recipe, drawn, units
        self._threads, self._journal, self._folder, self._progress = threads, journal, folder, progress
        self._done: dict[_Task, Outcome] = {}
        self._recording = threading.Lock()
        self._swept = perf_counter()

    def take_up(self, records: Sequence[Record]) -> None:
        """Takes what a journal has as done.

        Raises:
            ValueError: If a trial there has other arguments, or a line is no trial.
        """
        for number, record in enumerate(records, 2):
            if record.keys() != _LINE.keys() or not all(isinstance(record[name], _LINE[name]) for name in _LINE):
                raise ValueError(f"[search] expected the journal of this search; its line {number} is damaged")
            task = _Task(*(record.pop(name) for name in ("trial", "unit", "epochs_of_round")))
            params = record.pop("params")
            if task.trial < len(self._drawn):
                if params != plain(self._drawn[task.trial]):
                    raise ValueError(f"[search] expected the journal of this search; trial {task.trial} is another")
                score = record.pop("score")
                self._done[task] = Outcome(score=math.nan if score is None else score, **record)

    def run(self, rounds: Sequence[int | None], factor: int) -> SearchResult:
        """All rounds; in each one after the first, the best 1 / `factor` of those before go on."""
        began, stopped_by = perf_counter(), "trials"
        survivors = list(range(len(self._drawn)))
        try:
            for i, epochs in enumerate(rounds):
                if i:
                    ranked = sorted(survivors, key=lambda trial: (self._cost(trial, rounds[i - 1]), trial))
                    kept = [
                        each
                        for each in ranked[: len(survivors) // factor]
                        if self._cost(each, rounds[i - 1]) < math.inf
                    ]
                    survivors = sorted(kept)
                self._round([_Task(trial, unit, epochs) for trial in survivors for unit in range(self._units)])
        except KeyboardInterrupt:
            stopped_by = "interrupt"
        found = (self._trial(i, rounds) for i in range(len(self._drawn)))
        trials = [each for each in found if each is not None]
        if stopped_by == "interrupt" and not trials:
            raise KeyboardInterrupt
        # Those that went further are better than those that were left behind: their scores are of other lengths.
        goal = self._recipe.goal
        trials.sort(key=lambda each: (each.error is not None, -len(each.curve), goal.cost(each.score), each.index))
        seconds = perf_counter() - began
        return SearchResult(trials, goal.name, goal.greater_is_better, stopped_by, seconds, self._threads)

    def _round(self, tasks: Sequence[_Task]) -> None:
        """Does what is not done yet."""
        left: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        waiting = [task for task in tasks if task not in self._done]
        for task in waiting:
            left.put(task)
        number = min(self._threads, len(waiting))
        limit = max(1, _core.num_threads() // max(number, 1))
        workers = [threading.Thread(target=self._work, args=(left, ended, limit), daemon=True) for _ in range(number)]
        for worker in workers:
            worker.start()
        try:
            for _ in waiting:
                error = ended.get()
                if error is not None:
                    raise error
        finally:
            self._recipe.stop.set()
            for worker in workers:
                worker.join()
        self._recipe.stop.clear()

    def _work(self, left: queue.SimpleQueue[_Task], ended: queue.SimpleQueue[Any], limit: int) -> None:
        """One thread; it also records what it has done, where no Ctrl-C comes in between."""
        _core.limit_threads_here(limit)
        while not self._recipe.stop.is_set():
            try:
                task = left.get_nowait()
                outcome = self._recipe.run(self._drawn[task.trial], task.unit, task.epochs, self._place(task))
                with self._recording:
                    self._finish(task, outcome)
                ended.put(None)
            except (queue.Empty, StoppedError):
                return
            except BaseException as error:  # raised again where the search was called
                ended.put(error)
                return

    def _place(self, task: _Task) -> str | None:
        """Where a training pauses."""
        if self._folder is None:
            return None
        return os.path.join(self._folder, f"{task.trial:05d}-{task.unit}")

    def _finish(self, task: _Task, outcome: Outcome) -> None:
        score = None if math.isnan(outcome.score) else outcome.score
        place = {"trial": task.trial, "unit": task.unit, "epochs_of_round": task.epochs}
        self._journal.append({**place, **asdict(outcome), "score": score, "params": self._drawn[task.trial]})
        self._done[task] = outcome
        gc.collect(1)  # what is young
        if perf_counter() - self._swept > _SWEEP:
            gc.collect()
            self._swept = perf_counter()
        if self._progress:
            self._say(task, outcome)

    def _say(self, task: _Task, outcome: Outcome) -> None:
        name = self._recipe.goal.name
        what = f"{name} {outcome.score:.6g}" if outcome.error is None else f"failed: {outcome.error}"
        print(f"trial {task.trial + 1} of {len(self._drawn)}: {what}, {outcome.seconds:.1f} s", file=sys.stderr)

    def _outcomes(self, trial: int, epochs: int | None) -> list[Outcome]:
        """Of all parts, if all are done."""
        found = [self._done.get(_Task(trial, unit, epochs)) for unit in range(self._units)]
        whole = [each for each in found if each is not None]
        return whole if len(whole) == len(found) else []

    def _cost(self, trial: int, epochs: int | None) -> float:
        return self._recipe.goal.cost(_mean(self._outcomes(trial, epochs)))

    def _trial(self, index: int, rounds: Sequence[int | None]) -> Trial | None:
        """What is known of a trial; None if no round of it is finished."""
        known = {epochs: outcomes for epochs in rounds if (outcomes := self._outcomes(index, epochs))}
        if not known:
            return None
        last = list(known.values())[-1]
        curve = {each: _mean(outcomes) for each, outcomes in known.items() if each is not None}
        return Trial(
            index=index,
            params=self._drawn[index],
            score=_mean(last),
            scores=tuple(each.score for each in last),
            epochs=max(each.epochs for each in last),
            seconds=math.fsum(each.seconds for outcomes in known.values() for each in outcomes),
            error=next((each.error for each in last if each.error is not None), None),
            curve=curve,
        )


def _mean(outcomes: Sequence[Outcome]) -> float:
    return math.fsum(each.score for each in outcomes) / len(outcomes) if outcomes else math.nan
