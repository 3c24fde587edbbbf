"""Going back to the last good state when a number is not finite."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from whet import _core
from whet._arrays import Floats
from whet.errors import NonFiniteError, WhetWarning
from whet.training.engine import slots

if TYPE_CHECKING:
    from whet.training.checkpoints.checkpoint import Place
    from whet.training.loop import Loop

__all__ = ["NoRollback", "Rollback"]


class NoRollback:
    """A fit that ends with the error.

    Attributes:
        arrays: What a checkpoint in the middle of an epoch has to hold, to go back from there.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, Floats] = {}

    def state(self) -> dict[str, Any]:
        """What it has to hold besides."""
        return {}

    def load_state(self, state: Mapping[str, Any], arrays: dict[str, Floats]) -> None:
        """Takes back what `state` returned, and the arrays."""

    def begin_epoch(self, place: Place) -> None:
        """Before an epoch."""

    def undo(self, place: Place, error: NonFiniteError) -> bool:
        """Goes back to the beginning of the epoch, if this is what is wanted. Returns whether it is."""
        return False


class Rollback(NoRollback):
    """Goes back to where the epoch began, and on from there at half the learning rate.

    Args:
        loop: The fit.
    """

    MOST = 10  # in an epoch: the rate is a thousandth then, and it was not what was wrong

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop: Loop = weakref.proxy(loop)  # which has this: what training needed goes with the last of it
        self._numbers: list[float] = []
        self._steps = self._times = 0

    def begin_epoch(self, place: Place) -> None:
        """Keeps a copy of parameters and slots; a fit that is resumed in the middle has it from its checkpoint."""
        if place.begun:
            return
        trainer = self._loop.trainer
        self.arrays = {name: array.copy() for name, array in self._views().items()}
        self._steps, self._numbers, self._times = trainer.steps, trainer.numbers, 0

    def state(self) -> dict[str, Any]:
        """See `NoRollback.state`."""
        return {"steps": self._steps, "numbers": self._numbers, "times": self._times}

    def load_state(self, state: Mapping[str, Any], arrays: dict[str, Floats]) -> None:
        """See `NoRollback.load_state`."""
        self.arrays = arrays
        self._steps, self._numbers, self._times = state["steps"], state["numbers"], state["times"]

    def undo(self, place: Place, error: NonFiniteError) -> bool:
        """See `NoRollback.undo`; warns. The last time, the model is left where the epoch began."""
        trainer, rates = self._loop.trainer, self._loop.rates
        trainer.steps, trainer.numbers = self._steps, self._numbers
        for name, view in self._views().items():
            view[...] = self.arrays.get(name, np.zeros((), view.dtype))
        if self._times == self.MOST:
            return False
        self._times += 1
        rates.multiply(0.5)
        place.position = _core.EpochPosition()
        what = f"went back to the beginning of epoch {place.epoch} and halved the learning rate"
        why = str(error).removeprefix("[fit] ").partition("; the model")[0]
        warnings.warn(f"[fit] {what}: {why}", WhetWarning, stacklevel=7)
        return True

    def _views(self) -> dict[str, Floats]:
        loop = self._loop
        parameters = {name: loop.state.parameter(i) for i, name in enumerate(loop.model._parameter_names())}
        kept = slots(loop.trainer, loop.plan.optimizer, parameters)
        return {**parameters, **{f"slot {name}": array for name, array in kept.items()}}
