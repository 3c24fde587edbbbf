"""The loop around the engine's epochs: one fit, from its first step to its last."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from whet import _core
from whet.errors import NonFiniteError
from whet.training.breakdown import explained
from whet.training.callbacks.base import Pause, Run, TerminateOnNaN
from whet.training.callbacks.progress import Progress
from whet.training.checkpoints.checkpoint import Checkpoints, NoCheckpoints, Place
from whet.training.checkpoints.identity import identity, schedules
from whet.training.engine import Continuation, assign, averaged, core_trainer
from whet.training.history import History
from whet.training.measuring import Measuring
from whet.training.rates import LearningRates
from whet.training.records import NoRecords, Records
from whet.training.rollback import NoRollback, Rollback

if TYPE_CHECKING:
    from whet.data.streams.stream import Stream
    from whet.training.fit import Plan
    from whet.training.model import Model
    from whet.training.rows import Rows
    from whet.training.sources import Part, Source

__all__ = ["Loop"]

# Ends that a fit which is resumed looks at again, with its own arguments.
_LIMITS = ("epochs", "max_steps", "max_seconds", "stop_at", "Pause")


class Loop:
    """One fit.

    Args:
        model: What is trained.
        state: Its parameters, held for this fit.
        plan: How to train.
        source: Training rows.
        validation: Rows to evaluate after every epoch, or None.
        history: What is recorded.
    """

    def __init__(
        self,
        model: Model,
        state: _core.State,
        plan: Plan,
        source: Source,
        validation: Rows | Stream | None,
        history: History,
    ) -> None:
        self.model, self.state, self.plan, self.history = model, state, plan, history
        self.source, self._validation = source, validation
        width, truth = source.head.features.shape[1], source.head.truth
        self._batches = None if source.rows is None else -(-source.rows // source.batch_rows)
        self._graph = graph = model._training_graph(width, plan.loss, truth)
        assignment = assign(model, state, plan.optimizer)
        total = plan.total_steps(self._batches)
        if total is None and (schedules(model, assignment, width) or plan.optimizer.swa is not None):
            raise ValueError("[fit] a schedule needs the number of steps: give max_steps, or rows to the Stream")
        self._total = total or 1  # without schedules, nothing depends on it
        self.trainer = core_trainer(
            graph, state, plan.loss, plan.optimizer, assignment, truth, plan.seed, plan.precision
        )
        if plan.optimizer.swa is not None:
            self.trainer.average_after(int(plan.optimizer.swa * self._total))
        self._schedules_of_graph = [(-1, str(i), each) for i, each in enumerate(model._schedules(width))]
        self.outputs = math.prod(graph.shape(graph.output))
        self.measuring = Measuring(self)
        self.rates = LearningRates(assignment, self._total)
        self.records = NoRecords()
        if plan.record:
            self.records = Records(model, graph, width, self.trainer, self.rates)
            history._record_layers()
        shown = (Progress(),) if plan.progress else ()
        self.run = Run(model, plan.callbacks, self.rates, self._params(total), shown, self._continuation)
        self.started = time.perf_counter()
        self.rollback = Rollback(self) if plan.on_nonfinite == "rollback" else NoRollback()
        self._checkpoints = NoCheckpoints(self)
        if plan.checkpoint is not None:
            of = identity(model, plan, graph, assignment, source, validation, total)
            every, keep = plan.checkpoint_every, plan.checkpoint_keep
            self._checkpoints = Checkpoints(self, plan.checkpoint, every, keep, plan.resume, of)

    def train(self) -> Run:
        """Trains until an end. Returns the training, whose end callbacks have not been told yet."""
        with self._checkpoints:
            self._checkpoints.find()
            self.model._loss, self.model._metrics = self.plan.loss, self.plan.metrics
            self.model._optimizer = self.plan.optimizer
            self.model.history = self.history
            try:
                self.history.stopped_by = self._epochs()
            except NonFiniteError:
                if not any(isinstance(callback, TerminateOnNaN) for callback in self.plan.callbacks):
                    raise
                self.history.stopped_by = "TerminateOnNaN"
            except KeyboardInterrupt:
                self.history.stopped_by = "interrupt"
                self._checkpoints.interrupted()
                if self.plan.on_interrupt == "raise":
                    raise
            except BaseException as error:
                if not isinstance(error, Exception):  # what leaves the process, as SystemExit does
                    self._checkpoints.interrupted()
                raise
            finally:
                self.trainer.swap_average()
                self.history.steps = self.trainer.steps
                self.history.seconds = self._seconds()
                self.run.close()
        return self.run

    def _epochs(self) -> str:
        """Trains epoch by epoch. Returns what ended the training."""
        place = self._checkpoints.begin()
        if place.epoch > 0 and not place.begun and place.stopped_by in (None, *_LIMITS):
            place.stopped_by = self._end(place.epoch, None)
        while place.stopped_by is None:
            self.rollback.begin_epoch(place)
            while not self._passed(place):
                pass
            stopped_by = self._end(place.epoch + 1, self._end_epoch(place))
            place = Place(place.epoch + 1, stopped_by=stopped_by)
            self._checkpoints.end_epoch(place)
        return place.stopped_by

    def _passed(self, place: Place) -> bool:
        """The steps of an epoch that are still to be taken. Returns whether they are; else they are to be again."""
        try:
            self._pass(place)
        except NonFiniteError as error:
            if not self.rollback.undo(place, error):
                raise
            return False
        return True

    def _pass(self, place: Place) -> None:
        if not place.begun:
            self.run.begin_epoch(place.epoch)
            place.begun = True
        self._checkpoints.begin_epoch(place)
        if not place.position.batches:
            self.measuring.begin_epoch()
            self.records.begin_epoch()
        with self.source.parts(place.epoch, place.position.batches) as parts:
            self._whole = all(self._trained(part, place) for part in parts)
        if not self._whole:
            self._checkpoints.cut_short()

    def _trained(self, part: Part, place: Place) -> bool:
        """The steps on a part of an epoch that are still to be taken. Returns whether no end came before the last."""
        position, rows, first = place.position, part.rows, place.position.steps
        began = self.trainer.steps
        end = first + int(min(self.plan.max_steps - began, part.end - position.batches))
        schedules, changes = self._schedules(began, end - first), self.rates.changes
        predictions, measured = self.measuring.predictions(part), self.measuring.measured(part)
        while position.batches < part.end and position.steps < end and not self._is_over(position):
            taken = position.steps
            steps = self.run.steps(self._checkpoints.steps(end - taken), self.trainer.steps)
            try:
                self.trainer.epoch(
                    rows.features,
                    rows.truth,
                    rows.weights,
                    self.source.batch_rows,
                    part.shuffle,
                    place.epoch,
                    steps,
                    [(group, name, values[taken - first :][:steps]) for group, name, values in schedules],
                    predictions,
                    position,
                    self.plan.max_seconds - self._seconds(),
                    part.first,
                    measured,
                )
            except _core.NonFiniteError as error:
                raise explained(error, self.model, self.plan.optimizer, self._graph, rows, place.epoch) from None
            if position.batches == part.end:
                self.measuring.end_part(part)
            if position.steps > taken and self.run.after_steps(self.trainer.steps, lambda: self._loss(position)):
                self._checkpoints.after_callbacks(place)
            if self.rates.changes != changes:
                schedules, changes = self._schedules(began, end - first), self.rates.changes
            self._checkpoints.after_steps(position.batches == self._batches)
        return position.batches >= part.end

    def _continuation(self) -> Continuation:
        parameters = {name: self.state.parameter(i) for i, name in enumerate(self.model._parameter_names())}
        return Continuation.of(self.trainer, self.plan.optimizer, parameters)

    def _seconds(self) -> float:
        return time.perf_counter() - self.started

    def _is_over(self, position: _core.EpochPosition) -> bool:
        """Whether an epoch ends before its last step: where a callback asks for it, or the time is over."""
        return self.run.is_asked_to_end or (position.steps > 0 and self._seconds() >= self.plan.max_seconds)

    def _params(self, total: int | None) -> dict[str, Any]:
        """What callbacks may know of the fit."""
        return {
            "epochs": self.plan.epochs,
            "steps": self._batches,
            "total_steps": total,
            "rows": self.source.rows,
            "batch_rows": self.source.batch_rows,
            "loss": repr(self.plan.loss),
            "optimizer": repr(self.plan.optimizer),
        }

    def _schedules(self, before: int, steps: int) -> list[tuple[int, str, list[float]]]:
        """Numbers of the optimizer and of the graph that change, for the steps of an epoch."""
        schedules = self.rates.assignment.schedules() + self._schedules_of_graph
        if not schedules:
            return []
        progress = np.arange(before, before + steps) / self._total
        return [(group, name, schedule.at(progress).tolist()) for group, name, schedule in schedules]

    def _loss(self, position: _core.EpochPosition) -> float:
        """Of the rows of this epoch so far."""
        mean = position.loss_sum / position.weight_sum
        return self.plan.loss.reduced(mean, position.weight_sum, self.outputs)

    def _end_epoch(self, place: Place) -> str | None:
        """What is computed and recorded after an epoch. Returns the callback that asks for an end."""
        plan, model, position, validation = self.plan, self.model, place.position, self._validation
        self.rates.steps = self.trainer.steps - position.steps  # the rate that the epoch began with
        numbers = {"loss": self._loss(position), "lr": self.rates.current}
        numbers |= self.records.end_epoch(self.history.layers)
        self.rates.steps = self.trainer.steps
        numbers |= self.measuring.numbers(self._whole)  # a limit can end the last epoch early
        with averaged(self.trainer):
            if validation is not None:
                found = model._evaluate_rows(validation, plan.loss, plan.metrics, "validation_data")
                numbers |= {f"val_{name}": value for name, value in found.items()}
            self.history.append(**numbers)
            asked = self.run.end_epoch(place.epoch, numbers)
            self._checkpoints.keep_best(place.epoch)
        return asked

    def _end(self, epochs: int, asked: str | None) -> str | None:
        """What ends the training after so many epochs; None: nothing does."""
        if self.plan.met(self.history):
            return "stop_at"
        if asked is not None:
            return asked
        if self.trainer.steps >= self.plan.max_steps:
            return "max_steps"
        if self._seconds() >= self.plan.max_seconds:
            return "max_seconds"
        if epochs >= self.plan.epochs:
            return "epochs"
        pauses = (each.epochs for each in self.plan.callbacks if isinstance(each, Pause))
        return "Pause" if any(epochs >= pause for pause in pauses) else None
