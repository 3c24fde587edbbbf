"""The engine's trainer: made from what describes it, and its slots by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from whet import _core
from whet._arrays import Floats
from whet.losses import Loss, NumPyLoss
from whet.optim import Optimizer
from whet.optim.base import Assignment

if TYPE_CHECKING:
    from whet.training.model import Model

__all__ = ["Continuation", "SlotPlace", "assign", "averaged", "core_trainer", "slot_places", "slots"]


def assign(model: Model, state: _core.State, optimizer: Optimizer) -> Assignment:
    """Which of the optimizer's numbers each parameter takes."""
    shapes = {name: state.parameter(i).shape for i, name in enumerate(model._parameter_names())}
    return optimizer.assign(shapes, model._frozen())


def core_trainer(
    graph: _core.Graph,
    state: _core.State,
    loss: Loss,
    optimizer: Optimizer,
    assignment: Assignment,
    truth: NDArray[Any],
    seed: int,
    precision: str = "float32",
) -> _core.Trainer:
    """The engine's trainer of what these describe."""
    groups, group_of, shaping = assignment.options(), assignment.group_of, list(optimizer.shaping().items())
    written = isinstance(loss, NumPyLoss)  # then the name is that of any loss of values
    what = "mse" if written else loss.name, list(loss.options().items())
    trainer = _core.Trainer(graph, state, *what, optimizer.kernel, groups, group_of, shaping, precision, seed)
    trainer.set_reduction(*loss.scaling(math.prod(graph.shape(graph.output))))
    if isinstance(loss, NumPyLoss):
        trainer.set_row_loss(loss.rows, truth.shape[1])
    return trainer


@contextmanager
def averaged(trainer: _core.Trainer) -> Iterator[bool]:
    """Inside, the model's parameters are their average, where the optimizer keeps one. Yields whether it does."""
    swapped = trainer.swap_average()
    try:
        yield swapped
    finally:
        if swapped:
            trainer.swap_average()


@dataclass(frozen=True)
class Continuation:
    """What a trainer goes on from: slots by name, steps taken, and the numbers that a search remembers."""

    slots: dict[str, Floats] = field(default_factory=dict)
    steps: int = 0
    numbers: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, trainer: _core.Trainer, optimizer: Optimizer, parameters: Mapping[str, Floats]) -> Continuation:
        """That of a trainer as it is; its slots are views."""
        found = slots(trainer, optimizer, parameters) if trainer.steps else {}
        return cls(found, trainer.steps, trainer.numbers)


class SlotPlace(NamedTuple):
    """Where the core has a slot of a parameter."""

    slot: int
    parameter: int
    shape: tuple[int, ...]


def slot_places(
    optimizer: Optimizer, parameters: Mapping[str, Floats], numbers: Sequence[float]
) -> dict[str, SlotPlace]:
    """All that the optimizer keeps, by names such as "exp_avg.0.weight", when it remembers these numbers."""
    options = list(optimizer.options().items())
    places = {}
    for i, (name, array) in enumerate(parameters.items()):
        for s, (slot, shape) in enumerate(_core.slots(optimizer.kernel, options, list(array.shape), list(numbers))):
            places[f"{slot}.{name}"] = SlotPlace(s, i, tuple(shape))
        if optimizer.follows:
            places[f"average.{name}"] = SlotPlace(-1, i, array.shape)  # the core knows it by that number
    return places


def slots(trainer: _core.Trainer, optimizer: Optimizer, parameters: Mapping[str, Floats]) -> dict[str, Floats]:
    """Views of all slots, by name."""
    places = slot_places(optimizer, parameters, trainer.numbers)
    return {name: trainer.slot(place.slot, place.parameter) for name, place in places.items()}
