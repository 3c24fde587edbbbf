"""The engine's trainer: made from what describes it, and its slots by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from whet import _core
from whet._arrays import Floats
from whet.losses import Loss, NumPyLoss
from whet.optim import Optimizer
from whet.optim.base import Assignment

if TYPE_CHECKING:
    from whet.training.model import Model

__all__ = ["assign", "averaged", "core_trainer", "slot_names", "slots"]


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


def slot_names(optimizer: Optimizer) -> list[str]:
    """What the optimizer keeps for each parameter, in the trainer's order."""
    known = [*_core.optimizers(), *_core.methods()]
    (entry,) = (entry for entry in known if entry["name"] == optimizer.kernel)
    return [*entry["slots"], *(["average"] if optimizer.follows else [])]


def slots(trainer: _core.Trainer, optimizer: Optimizer, parameters: Sequence[str]) -> dict[str, Floats]:
    """Views of all slots, under names such as "exp_avg.0.weight"."""
    kinds = enumerate(slot_names(optimizer))
    return {f"{kind}.{name}": trainer.slot(s, i) for s, kind in kinds for i, name in enumerate(parameters)}
