"""The outputs of a network and their derivatives, in float64 whatever the network computes in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet import _core
from whet._arrays import Floats
from whet._rows import Rows
from whet.nn.storage import copied
from whet.nn.tracing import values_of

__all__ = ["Derivatives", "Target", "targets_of"]

#: What is explained: an output by its number, a class by its label, or one for each row.
Target = int | str | Sequence[Any] | NDArray[Any] | None

_BLOCK_ROWS = 1 << 14  # at most, of what is asked of the core at once


class Derivatives:
    """Of the output that is explained, in the target's units where a table has them.

    Args:
        rows: The rows.
        target: The output of each, shape (rows,).
    """

    def __init__(self, rows: Rows, target: NDArray[np.intp]) -> None:
        width = rows.features.shape[1]
        graph = rows.network._graph(width)
        state = copied(rows.network._structure().parameters, "float64")
        self._predictor, self._differentiator = _core.Predictor(graph, state), _core.Differentiator(graph, state)
        self._shape, self._rows, self._target = rows.output_shape(), rows, target
        self.x = np.ascontiguousarray(rows.features, np.float64)
        self.looked_up = looked_up(graph, width)

    def outputs(self, x: Floats, of: NDArray[np.intp]) -> NDArray[np.float64]:
        """For inputs, each of the row of that number: the output explained, shape (inputs,)."""
        found = np.empty((len(x), math.prod(self._shape)))
        self._predictor.predict(x, found)
        chosen: NDArray[np.float64] = (found * self._weights(of)).sum(axis=1) + self._rows.offset
        return chosen

    def gradients(self, x: Floats, of: NDArray[np.intp]) -> NDArray[np.float64]:
        """Likewise its derivatives with respect to the features, shape (inputs, features)."""
        found = np.empty(x.shape, np.float64)
        for first in range(0, len(x), _BLOCK_ROWS):
            part = slice(first, first + _BLOCK_ROWS)
            self._differentiator.differentiate(x[part], self._weights(of[part]), found[part])
        return found

    def _weights(self, of: NDArray[np.intp]) -> NDArray[np.float64]:
        """What the output explained is a sum of: members of an ensemble count alike."""
        members = math.prod(self._shape[:-1])
        weights = np.zeros((len(of), members, self._shape[-1]))
        weights[np.arange(len(of)), :, self._target[of]] = self._rows.scale / members
        return weights.reshape(len(of), -1)


def looked_up(graph: _core.Graph, width: int) -> NDArray[np.intp]:
    """The features that an embedding looks up: whole numbers, with no derivative."""
    numbered = np.arange(width, dtype=np.float64).reshape(1, -1)
    found: set[int] = set()
    for node in graph.nodes:
        if node["op"] == "embedding":
            found.update(int(i) for i in values_of(graph, node["inputs"][0], numbered).ravel())
    return np.array(sorted(found & set(range(width))), np.intp)


def targets_of(rows: Rows, target: Target) -> NDArray[np.intp]:
    """The output that is explained of each row; by default the only one, or that of the class predicted.

    Raises:
        ValueError: If there is no such output or class, or not one for each row.
    """
    outputs = rows.output_shape()[-1]
    if target is None:
        if outputs == 1:
            return np.zeros(len(rows.features), np.intp)
        return _largest(rows)
    given = np.asarray(target)
    if given.shape not in ((), (len(rows.features),)):
        raise ValueError(f"[{rows.where}] expected one target, or one for each of {len(rows.features)} rows")
    labels = range(outputs) if rows.classes is None else rows.classes.tolist()
    place = {label: i for i, label in enumerate(labels)}
    wrong = [each for each in given.ravel().tolist() if each not in place]
    if wrong:
        raise ValueError(f"[{rows.where}] expected a target among {', '.join(map(str, labels))}, got {wrong[0]!r}")
    chosen = np.empty(len(rows.features), np.intp)
    chosen[:] = [place[each] for each in given.ravel().tolist()]
    return chosen


def _largest(rows: Rows) -> NDArray[np.intp]:
    if rows.classes is None:
        raise ValueError(f"[{rows.where}] expected a target: the model has {rows.output_shape()[-1]} outputs")
    likely: NDArray[np.intp] = rows.read(rows.outputs()).argmax(axis=1)
    return likely
