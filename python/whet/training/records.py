"""What a fit records of its layers: how large gradients and changes are, and the units that no gradient passes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from whet import _core

if TYPE_CHECKING:
    from whet.training.model import Model
    from whet.training.rates import LearningRates

__all__ = ["NoRecords", "Records"]

#: Steps of an epoch from one that is looked at to the next; the first one always is.
EVERY = 64


class NoRecords:
    """What a loop asks of its records; of these, none are kept."""

    def begin_epoch(self) -> None:
        """Before the first step of an epoch, or before that is taken again."""

    def end_epoch(self, layers: dict[str, dict[str, list[float]]]) -> dict[str, float]:
        """Appends what an epoch's steps told to `layers`. Returns what they told of the whole model."""
        return {}

    def state(self) -> dict[str, NDArray[Any]]:
        """What the steps of this epoch told so far."""
        return {}

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """Takes back what `state` returned."""


class Records(NoRecords):
    """The records of one fit. The core sums over the steps that it looks at.

    Args:
        model: What is trained.
        graph: Of the model.
        width: Features of a row.
        trainer: Takes the steps.
        rates: Know which parameters are trained.
    """

    def __init__(
        self, model: Model, graph: _core.Graph, width: int, trainer: _core.Trainer, rates: LearningRates
    ) -> None:
        trainer.record(EVERY)
        self._sums = trainer.sums
        self._names = model._parameter_names()
        self._trained = [i for i, group in enumerate(rates.assignment.group_of) if group >= 0]
        self._layers: list[tuple[str, int, bool]] = []
        layers, taken = model._layers_of_nodes(width), set[str]()
        for node, units, squashes in trainer.recorded:
            name = layers[node] or graph.nodes[node]["op"]
            self._layers.append((_numbered(name, taken), units, squashes))

    def begin_epoch(self) -> None:
        """See `NoRecords.begin_epoch`."""
        self._sums[...] = 0

    def end_epoch(self, layers: dict[str, dict[str, list[float]]]) -> dict[str, float]:
        """See `NoRecords.end_epoch`."""
        # As Python's numbers: for the few of a small model, in a fifth of the time that NumPy's would take.
        steps, rows, *sums = self._sums.tolist()
        count = len(self._names)
        total = 0.0
        for i in self._trained:
            gradient, change, parameter = sums[i], sums[count + i], sums[2 * count + i]
            total += gradient
            _append(layers, "gradient_norm", self._names[i], math.sqrt(gradient / steps))
            _append(layers, "update_ratio", self._names[i], math.sqrt(change / (parameter or 1.0)))
        first = 3 * count
        for name, units, squashes in self._layers:
            flat = sums[first : first + units]
            first += units
            kind, least = ("saturated", math.floor(rows / 2) + 1) if squashes else ("dead", rows)
            _append(layers, kind, name, sum(each >= least for each in flat) / units)
        return {"gradient_norm": math.sqrt(total / steps)}

    def state(self) -> dict[str, NDArray[Any]]:
        """See `NoRecords.state`."""
        return {"sums": self._sums}

    def load_state(self, state: dict[str, NDArray[Any]]) -> None:
        """See `NoRecords.load_state`."""
        if state:
            self._sums[...] = state["sums"]


def _numbered(name: str, taken: set[str]) -> str:
    """The name, or where it is taken, as of an activation that a model applies several times, the name and a number."""
    unique, n = name, 1
    while unique in taken:
        n += 1
        unique = f"{name}#{n}"
    taken.add(unique)
    return unique


def _append(layers: dict[str, dict[str, list[float]]], kind: str, name: str, value: float) -> None:
    layers[kind].setdefault(name, []).append(value)
