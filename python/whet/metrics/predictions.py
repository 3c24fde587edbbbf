"""What a model says of some rows, in the forms that metrics read."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from whet._arrays import Floats
from whet.losses import Loss, MSELoss

__all__ = ["Predictions", "Reads", "answers"]

Reads = Literal["labels", "probabilities", "values", "outputs", "predictions", "scores"]


class Predictions:
    """Targets and raw outputs of some rows; every form of them is made once, whatever number of metrics reads it.

    Args:
        target: As the loss takes it.
        output: What `predict` returns.
        loss: Says what both mean; rows that it ignores are left out.
        weights: Of the rows, or None.
    """

    def __init__(
        self, target: NDArray[Any], output: Floats | tuple[Floats, ...], loss: Loss, weights: Floats | None = None
    ) -> None:
        counted = loss.counted(target)
        if counted is not None:
            target = target[counted]
            output = tuple(each[counted] for each in output) if isinstance(output, tuple) else output[counted]
            weights = None if weights is None else weights[counted]
        self.target, self.output, self.loss, self.weights = target, output, loss, weights

    @classmethod
    def of_values(cls, truth: NDArray[Any], values: NDArray[Any], weights: Floats | None = None) -> Predictions:
        """Of numbers in the target's own unit, shape (rows,)."""
        return cls(truth.reshape(-1, 1), values.reshape(-1, 1), MSELoss(), weights)

    @property
    def several(self) -> bool:
        """Whether the model returns a tuple."""
        return isinstance(self.output, tuple)

    @property
    def one(self) -> Floats:
        """The output of a model that returns one array."""
        if isinstance(self.output, tuple):
            raise ValueError("[metrics] expected a model with one output, got one with several")
        return self.output

    @property
    def _of_members(self) -> bool:
        return self.loss.columns(math.prod(self.one.shape[1:])) is None

    @cached_property
    def raw(self) -> Floats:
        """Outputs before the link, shape (rows, outputs); of members, the mean of what the link makes of theirs."""
        if self._of_members:
            return self.values if self.loss.kind == "values" else self.probabilities
        return self.one.reshape(len(self.one), math.prod(self.one.shape[1:]))

    @property
    def columns(self) -> slice:
        """Those of `raw` that metrics read."""
        return self.loss.columns(self.raw.shape[1]) or slice(0, self.raw.shape[1])

    @property
    def link(self) -> str | None:
        """What makes probabilities of `raw`, or numbers in the target's unit; None where it is these."""
        return None if self._of_members else self.loss.link

    @property
    def threshold(self) -> float:
        """Of `raw`, above which a label is 1."""
        return 0.5 if self._of_members else 0.0

    @property
    def answers(self) -> NDArray[Any]:
        """The target as the core's sums read it: class indices, below 0 where a row is left out, or numbers."""
        return answers(self.loss, self.target, self.raw.dtype)

    @cached_property
    def truth(self) -> NDArray[Any]:
        """Class indices, shape (rows,); or whether labels are 1, shape (rows,) or (rows, outputs)."""
        return self.loss.labels(self.target)

    @cached_property
    def probabilities(self) -> Floats:
        """Of every class, shape (rows, classes), or of label 1, shape (rows, outputs)."""
        return self.loss.probabilities(self.one)

    @property
    def scores(self) -> Floats:
        """What puts the rows of a class or label in an order: probabilities of classes, outputs of labels."""
        return self.probabilities if self.loss.kind == "classes" else self.raw

    @cached_property
    def labels(self) -> NDArray[Any]:
        """Predicted ones, in the form of `truth`."""
        if self.loss.kind == "classes":
            chosen: NDArray[np.intp] = self.raw.argmax(axis=1)
            return chosen
        return _column(self.raw > self.threshold)

    @cached_property
    def values(self) -> Floats:
        """Of a regression, in the target's own unit, shape (rows, outputs)."""
        return self.loss.values(self.one)

    @property
    def classes(self) -> int:
        """Of which a row, or each of its labels, has one."""
        return 2 if self.loss.kind == "labels" else int(self.raw.shape[1])

    def read(self, reads: Reads) -> tuple[NDArray[Any], Any]:
        """Truth and prediction in one of the forms."""
        if reads == "outputs":
            return self.target, self.output
        if reads == "predictions":
            if self.several:
                return self.target, self.output
            likely = self.loss.kind != "values" and self.loss.link is not None
            return _column(self.target), _column(self.probabilities if likely else self.values)
        if reads == "values":
            return self.target, self.values
        if reads == "labels":
            return self.truth, self.labels
        return self.truth, self.probabilities if reads == "probabilities" else self.scores


def answers(loss: Loss, target: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Targets as the core's sums read them: class indices, below 0 where a row is left out, or a number per column."""
    if loss.kind != "classes":
        return np.require(target.reshape(len(target), math.prod(target.shape[1:])), dtype, ["C", "A"])
    labels, counted = loss.labels(target), loss.counted(target)
    return np.require(labels if counted is None else np.where(counted, labels, -1), np.int32, ["C", "A"])


def _column(array: NDArray[Any]) -> NDArray[Any]:
    """One column as (rows,): NumPy would make a table of the difference of (rows,) and (rows, 1)."""
    return array.reshape(-1) if array.ndim == 2 and array.shape[1] == 1 else array
