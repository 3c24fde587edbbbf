"""A model's loss as a function of all its parameters in one vector, for SciPy's minimisers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet import _core, optim
from whet.errors import NonFiniteError
from whet.losses import Loss
from whet.nn import Module
from whet.training.engine import assign, core_trainer
from whet.training.fit import Rows

__all__ = ["Objective"]

Vector = NDArray[np.float64]


class Objective:
    """Mean loss of rows plus the penalty strength / 2 |p|^2, and its gradient.

    Args:
        model: The model, which has the parameters of the last evaluation.
        state: Its parameters, held for this use.
        loss: The loss.
        rows: The rows.
        strengths: Of the penalty, for each parameter by name; none for the others.
    """

    def __init__(self, model: Module, state: _core.State, loss: Loss, rows: Rows, strengths: dict[str, float]) -> None:
        self._rows = rows
        names = model._parameter_names()
        self._parameters = [state.parameter(i) for i in range(len(names))]
        still = optim.GD(lr=0.0)  # a step computes the gradient and leaves the parameters
        graph = model._training_graph(rows.features.shape[1], loss, rows.truth)
        assignment = assign(model, state, still)
        self._trainer = core_trainer(graph, state, loss, still, assignment, rows.truth, 0)
        self._strengths = np.concatenate(
            [np.full(array.size, strengths.get(name, 0.0)) for name, array in zip(names, self._parameters, strict=True)]
        )
        self._gradients: list[NDArray[Any]] = []

    def vector(self) -> Vector:
        """The parameters as they are."""
        return np.concatenate([array.ravel() for array in self._parameters], dtype=np.float64)

    def put(self, vector: Vector) -> None:
        """Gives the model these parameters."""
        begin = 0
        for array in self._parameters:
            array.ravel()[...] = vector[begin : begin + array.size]
            begin += array.size

    def __call__(self, vector: Vector) -> tuple[float, Vector]:
        """Loss and gradient at these parameters; infinity where they are not finite."""
        self.put(vector)
        try:
            loss = self._trainer.step(self._rows.features, self._rows.truth, self._rows.weights)
        except NonFiniteError:
            return np.inf, np.zeros_like(vector)
        if not self._gradients:
            self._gradients = [self._trainer.gradient(i) for i in range(len(self._parameters))]
        gradient = np.concatenate([array.ravel() for array in self._gradients], dtype=np.float64)
        decay = self._strengths * vector
        return loss + 0.5 * float(decay @ vector), gradient + decay
