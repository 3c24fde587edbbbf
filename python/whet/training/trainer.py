"""Trainer: training step by step, in a loop of one's own."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from whet import _core, losses, optim
from whet._arrays import Features, Floats, check_finite, read_only
from whet._checks import as_seed
from whet.files import read_model, write_model
from whet.losses import Loss
from whet.optim import Optimizer
from whet.training.breakdown import explained
from whet.training.engine import Continuation, assign, averaged, core_trainer, slot_places, slots
from whet.training.fit import warn_of_links
from whet.training.model import Model
from whet.training.rows import Rows

__all__ = ["Trainer"]


class Trainer:
    """Takes one step at a time; keeps the optimizer's slots and counters.

    Args:
        model: The model to train; its parameters are drawn from `seed` if they have not been yet.
        loss: What to make small: a string or an object of whet.losses.
        optimizer: A string or an object of whet.optim.
        seed: For parameters that are not drawn yet, and for what dropout draws.

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If a name is unknown.
    """

    def __init__(self, model: Model, loss: str | Loss, optimizer: str | Optimizer = "adam", seed: int = 0) -> None:
        if not isinstance(model, Model):
            raise TypeError(f"[Trainer] expected a model, got {type(model).__name__}")
        self.model = model
        self.loss = losses.get(loss)
        self.optimizer = optim.get(optimizer)
        for name in self.optimizer.schedules():
            raise ValueError(f"[Trainer] expected a number as {name}: a schedule needs a length")
        if self.optimizer.swa is not None:
            raise ValueError("[Trainer] expected no swa: a share of training needs a length; ema needs none")
        self.seed = as_seed(seed, "Trainer")
        self.optimizer.check_names(model._parameter_names())
        with model._exclusive("Trainer", self.seed) as state:
            self._state = state
        self._core: _core.Trainer | None = None
        self._graph: _core.Graph | None = None  # of the model, when the core trainer was made
        self._waiting = Continuation()  # of a file, until the first step
        self._swapped = False

    @classmethod
    def _after(
        cls, model: Model, loss: str | Loss, optimizer: Optimizer, seed: int, continuation: Continuation
    ) -> Trainer:
        """One that goes on from where another training of the model has ended."""
        made = cls(model, loss, optimizer, seed)
        made._waiting = continuation
        return made

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        if self._core is not None:
            return self._core.steps
        return self._waiting.steps

    def step(self, X: Features, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """One step on a batch: forward, backward, update. With `accumulate` = n, a step is taken at every n-th call.

        Args:
            X: Features, shape (rows, features).
            y: Targets as the loss takes them.
            sample_weight: Weight of each row in the loss, shape (rows,).

        Returns:
            The batch's mean loss before the update.

        Raises:
            TypeError: If an array does not hold numbers of the right kind.
            ValueError: If shapes do not fit, or a number is NaN, infinite or out of range.
            NonFiniteError: If the loss or its gradient is NaN or infinite; no update is made then.
            RuntimeError: If another thread trains the model, or the model's parameters have moved (by ``to``, or into
                another model) since this trainer was made, or they are exchanged with their average.
        """
        self._check_present("step")
        rows = Rows.of(self.model, self.loss, X, y, sample_weight, "step")
        with self.model._exclusive("step", state=self._state):
            core = self._trainer(rows)
            try:
                loss: float = core.step(rows.features, rows.truth, rows.weights)
            except _core.NonFiniteError as error:
                raise explained(error, self.model, self.optimizer, self._training_graph, rows) from None
            self._has_gradients = True
            return loss

    def gradients(self) -> dict[str, Floats]:
        """The gradient of the last step's loss, for every parameter by name: centralized and with its noise, where the
        optimizer says so, and before all else that it does.

        The arrays are read-only views, which follow the training.

        Raises:
            RuntimeError: Before the first step.
        """
        if self._core is None or not self._has_gradients:
            raise RuntimeError("[gradients] there is no step yet")
        self._check_place("gradients")
        return {name: read_only(self._core.gradient(i)) for i, name in enumerate(self.model._parameter_names())}

    def evaluate(self, X: Features, y: ArrayLike) -> dict[str, float]:
        """{"loss": ...} of these rows with the present parameters, or their average where the optimizer keeps one.

        Takes and raises what `nn.Module.evaluate` does.
        """
        rows = Rows.of(self.model, self.loss, X, y, None, "evaluate")
        if self._core is None or self._swapped or not (self.optimizer.follows or self.optimizer.averages):
            return self.model._evaluate(rows.features, rows.target, self.loss, ())
        with self.model._exclusive("evaluate", state=self._state), averaged(self._core):
            return self.model._evaluate(rows.features, rows.target, self.loss, ())

    def swap_average(self) -> None:
        """Exchanges the model's parameters and their average, which `ema` or the method keeps; again to go on.

        Raises:
            ValueError: If there is no average: the optimizer keeps none, or no step has been taken.
            RuntimeError: If another thread trains the model, or its parameters have moved since this trainer was made.
        """
        with self.model._exclusive("swap_average", state=self._state):
            if self._core is None or not self._core.swap_average():
                raise ValueError("[swap_average] needs an optimizer with ema, or one that averages, and a step")
            self._swapped = not self._swapped

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes parameters, slots, counters and seed to a file, all or nothing.

        Raises:
            OSError: If the file cannot be written; an earlier file of that name is then whole.
            RuntimeError: If the model's parameters have moved since this trainer was made.
        """
        self._check_place("save")
        self._check_present("save")
        tensors = {f"parameters.{name}": array for name, array in self._parameters().items()}
        names = {"loss": self.loss.name, "optimizer": self.optimizer.name}
        progress = self._progress()
        description = {"kind": "trainer", "steps": progress.steps, "seed": self.seed, **names}
        if progress.numbers:
            description["numbers"] = progress.numbers
        write_model(path, {**tensors, **progress.slots}, description)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Goes on from a file that `save` wrote, for a model and an optimizer of the same kind.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it is damaged or of another model or optimizer; nothing has changed then.
            RuntimeError: If another thread trains the model, or its parameters have moved since this trainer was made.
        """
        tensors, description = read_model(path)
        kind, optimizer = description.get("kind"), description.get("optimizer")
        if kind != "trainer" or optimizer != self.optimizer.name:
            raise ValueError(f"[load] expected a file of a Trainer with {self.optimizer.name}, got {kind} {optimizer}")
        steps = _whole(description.get("steps"), "number of steps", 2**62)
        seed = _whole(description.get("seed", self.seed), "seed", 2**64)  # the first release wrote none
        numbers = _numbers(description.get("numbers", []))
        parameters = self._parameters()
        dtype = np.dtype(self._state.dtype)
        expected = {f"parameters.{name}": array.shape for name, array in parameters.items()}
        if steps:
            expected |= {key: place.shape for key, place in slot_places(self.optimizer, parameters, numbers).items()}
        if set(tensors) != set(expected):
            raise ValueError("[load] the file holds other parameters or slots than this trainer")
        for key, shape in expected.items():
            found = tensors[key]
            if found.shape != shape or found.dtype != dtype:
                raise ValueError(
                    f"[load] expected {key} of {dtype} with shape {shape}, got {found.dtype} with shape {found.shape}"
                )
            check_finite(found.reshape(len(found), -1), "load", key)
        with self.model._exclusive("load", state=self._state):
            for name, array in parameters.items():
                array[...] = tensors.pop(f"parameters.{name}")
            self._core, self._graph, self._waiting, self.seed = None, None, Continuation(tensors, steps, numbers), seed
            self._swapped = False

    def __getstate__(self) -> dict[str, Any]:
        self._check_place("copy")
        self._check_present("copy")
        arguments = {"model": self.model, "loss": self.loss, "optimizer": self.optimizer, "seed": self.seed}
        progress = self._progress()
        slots = {name: np.array(array) for name, array in progress.slots.items()}
        return {"arguments": arguments, "progress": replace(progress, slots=slots)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state["arguments"])  # type: ignore[misc]
        self._waiting = state["progress"]

    def _parameters(self) -> dict[str, Floats]:
        return {name: self._state.parameter(i) for i, name in enumerate(self.model._parameter_names())}

    def _check_place(self, where: str) -> None:
        """Raises RuntimeError if the model's parameters have moved."""
        with self.model._exclusive(where, state=self._state):
            pass

    def _check_present(self, where: str) -> None:
        """Raises RuntimeError if the model holds the average."""
        if self._swapped:
            raise RuntimeError(f"[{where}] the model holds the average of its parameters: swap_average() to go on")

    def _progress(self) -> Continuation:
        core = self._core
        return self._waiting if core is None else Continuation.of(core, self.optimizer, self._parameters())

    def _trainer(self, rows: Rows) -> _core.Trainer:
        graph = self.model._graph(rows.features.shape[1])
        if self._core is not None and self._graph is graph:
            return self._core
        if self._core is not None:
            self._waiting = self._progress()
        if self.model._schedules(rows.features.shape[1]):
            raise ValueError("[Trainer] expected numbers in the model's dropout: a schedule needs a length")
        warn_of_links(graph, self.loss)
        self._graph = graph
        self._training_graph = graph = self.model._training_graph(rows.features.shape[1], self.loss, rows.truth)
        assignment = assign(self.model, self._state, self.optimizer)
        core = core_trainer(graph, self._state, self.loss, self.optimizer, assignment, rows.truth, self.seed)
        self._core, self._has_gradients = core, False
        if self._waiting.steps:
            core.steps, core.numbers = self._waiting.steps, self._waiting.numbers
            for key, view in slots(core, self.optimizer, self._parameters()).items():
                view[...] = self._waiting.slots[key]
        self._waiting = Continuation()
        return core

    def __repr__(self) -> str:
        model = type(self.model).__name__
        return f"Trainer({model}, loss={self.loss!r}, optimizer={self.optimizer!r}, steps={self.steps})"


def _whole(value: object, name: str, end: int) -> int:
    """A number that a file has, if it is an int from 0 to below `end`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < end:
        raise ValueError(f"[load] expected a whole file of a Trainer: its {name} is damaged")
    return value


def _numbers(value: object) -> list[float]:
    """What a file says that a search remembers, if it is finite numbers."""
    if not isinstance(value, list) or not all(isinstance(each, float) and math.isfinite(each) for each in value):
        raise ValueError("[load] expected a whole file of a Trainer: its numbers are damaged")
    return value
