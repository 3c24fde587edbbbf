"""What a model says of some rows, in the forms that metrics read."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from whet._arrays import Floats
from whet.losses import Loss, MemberLoss
from whet.metrics.counts import Counts

__all__ = ["Predictions", "Reads"]

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

    @property
    def total(self) -> float:
        """The number of rows, or the sum of their weights."""
        return float(len(self.target) if self.weights is None else self.weights.sum(dtype=np.float64))

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
    def logits(self) -> Floats | None:
        """What the link makes probabilities of, shape (rows, outputs); None where those are a mean over members."""
        return None if isinstance(self.loss, MemberLoss) else self.one.reshape(len(self.one), -1)

    @cached_property
    def truth(self) -> NDArray[Any]:
        """Class indices, shape (rows,); or whether labels are 1, shape (rows,) or (rows, outputs)."""
        return self.loss.labels(self.target)

    @cached_property
    def probabilities(self) -> Floats:
        """Of every class, shape (rows, classes), or of label 1, shape (rows, outputs)."""
        return self.loss.probabilities(self.one)

    @property
    def ranks(self) -> Floats:
        """What puts the classes of a row in an order: outputs, where they are not a mean over members."""
        return self.probabilities if self.logits is None else self.logits

    @property
    def scores(self) -> Floats:
        """What puts the rows of a class or label in an order: probabilities of classes, outputs of labels."""
        return self.probabilities if self.loss.kind == "classes" else self.ranks

    @cached_property
    def labels(self) -> NDArray[Any]:
        """Predicted ones, in the form of `truth`."""
        if self.loss.kind == "classes":
            chosen: NDArray[np.intp] = self.ranks.argmax(axis=1)
            return chosen
        return _column(self.probabilities > 0.5 if self.logits is None else self.ranks > 0)

    @cached_property
    def values(self) -> Floats:
        """Of a regression, in the target's own unit, shape (rows, outputs)."""
        return self.loss.values(self.one)

    @property
    def classes(self) -> int:
        """Of which a row, or each of its labels, has one."""
        return 2 if self.loss.kind == "labels" else int(self.ranks.shape[1])

    @cached_property
    def counts(self) -> Counts:
        """Rows by label, which accuracy, precision, recall and F1 are made of."""
        return Counts.of(self.truth, self.labels, self.weights, binary=self.classes == 2)

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


def _column(array: NDArray[Any]) -> NDArray[Any]:
    """One column as (rows,): NumPy would make a table of the difference of (rows,) and (rows, 1)."""
    return array.reshape(-1) if array.ndim == 2 and array.shape[1] == 1 else array
