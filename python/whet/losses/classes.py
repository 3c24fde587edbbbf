"""Losses of one of several classes."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from whet._arrays import Floats, as_array
from whet._checks import as_number
from whet.losses.base import Loss, one_or_each

__all__ = ["CrossEntropyLoss"]


class CrossEntropyLoss(Loss):
    """Mean over rows of H(t, softmax(p)), as torch.nn.CrossEntropyLoss.

    Targets are class indices of shape (rows,), or probabilities of shape (rows, classes). With class indices the mean
    divides by the sum of the rows' weights, those that `weight` gives to their classes; a fit's sample_weight
    multiplies them.

    Args:
        weight: How often each class counts; None for once.
        ignore_index: Rows of this class index do not count.
        label_smoothing: Share of the probability that is spread over all classes, from 0 to 1.
    """

    name = "cross_entropy"
    link = "softmax"
    kind = "classes"
    weight: tuple[float, ...] | None = None
    ignore_index: int = -100
    label_smoothing: float = 0.0

    def _check(self) -> None:
        if self.weight is not None:
            each = one_or_each(self.weight, "CrossEntropyLoss", "weight")
            if not isinstance(each, tuple):
                raise TypeError("[CrossEntropyLoss] expected weight to be a number for each class, got one number")
            self._keep(weight=each)
        if not isinstance(self.ignore_index, Integral) or not -(2**31) <= self.ignore_index < 2**31:
            raise TypeError(f"[CrossEntropyLoss] expected ignore_index to be an integer, got {self.ignore_index!r}")
        smoothing = as_number(self.label_smoothing, "CrossEntropyLoss", "label_smoothing", low=0)
        if smoothing > 1:
            raise ValueError(f"[CrossEntropyLoss] expected label_smoothing from 0 to 1, got {smoothing}")
        if smoothing and self.weight is not None and 0 in self.weight:
            raise ValueError("[CrossEntropyLoss] expected no class of weight 0 where labels are smoothed")
        self._keep(ignore_index=int(self.ignore_index), label_smoothing=smoothing)

    def scaling(self, outputs: int) -> tuple[float, bool]:
        """See `Loss.scaling`: a row's loss is no mean over columns."""
        return super().scaling(1)

    def options(self) -> dict[str, float | tuple[float, ...]]:
        """None: `encode` makes them a matter of targets and weights."""
        return {}

    def target(self, y: ArrayLike, rows: int, outputs: int, dtype: DTypeLike, where: str) -> NDArray[Any]:
        """See `Loss.target`; class indices become int32.

        Raises:
            TypeError: If `y` is one-dimensional and not of integers.
            ValueError: If an index is not a class, or a row of probabilities is negative or does not sum to one.
        """
        if outputs < 2:
            raise ValueError(
                f"[{where}] expected a model with an output per class for {self.name}, got {outputs}; "
                "'bce_with_logits' takes one output for two classes"
            )
        if self.weight is not None and len(self.weight) != outputs:
            raise ValueError(f"[{where}] expected weight with {outputs} numbers, one for each class, for {self.name}")
        array = as_array(y, where, "y")
        if array.shape == (rows, 1):
            array = array.reshape(rows)
        if array.shape == (rows,):
            return self._classes(array, outputs, where)
        if array.shape != (rows, outputs):
            raise ValueError(
                f"[{where}] expected y with shape ({rows},) or ({rows}, {outputs}) for {self.name}, got {array.shape}"
            )
        target = super().target(array, rows, outputs, dtype, where)
        wrong = (target < 0).any(axis=1) | (np.abs(target.sum(axis=1, dtype=np.float64) - 1) > 1e-3)
        if wrong.any():
            raise ValueError(
                f"[{where}] expected each row of y to be probabilities that sum to 1, "
                f"first violated in row {int(wrong.argmax())}"
            )
        return target

    def _classes(self, array: NDArray[Any], outputs: int, where: str) -> NDArray[np.int32]:
        if array.dtype.kind == "f":
            raise TypeError(
                f"[{where}] expected y to hold integer class indices for {self.name}, got dtype {array.dtype}"
            )
        wrong = (array < 0) | (array >= outputs)
        if wrong.any():
            wrong &= array != self.ignore_index
        if wrong.any():
            raise ValueError(
                f"[{where}] expected class indices in y from 0 to {outputs - 1}, "
                f"got another first in row {int(wrong.argmax())}"
            )
        return np.require(array, np.int32, ["C", "A"])

    def encode(self, target: NDArray[Any], outputs: int, dtype: DTypeLike) -> tuple[NDArray[Any], Floats | None]:
        """See `Loss.encode`: distributions that need not sum to one where an option asks for them, else `target`."""
        each = None if self.weight is None else np.array(self.weight)
        if target.ndim == 2:
            if each is None and not self.label_smoothing:
                return target, None
            wide = target * (1 - self.label_smoothing) + self.label_smoothing / outputs
            return np.asarray(wide if each is None else wide * each, dtype), None
        counted = self.counted(target)
        classes = target if counted is None else np.where(counted, target, np.int32(0))
        weight = None if each is None else each[classes]
        if counted is not None:
            weight = counted if weight is None else weight * counted
        factor = None if weight is None else np.asarray(weight, dtype)
        if not self.label_smoothing:
            return classes, factor
        wide = np.full((len(target), outputs), self.label_smoothing / outputs)
        wide[np.arange(len(target)), classes] += 1 - self.label_smoothing
        if each is not None:
            wide *= each / each[classes][:, None]  # the row's weight multiplies by that of its class
        return wide.astype(dtype), factor

    def counted(self, target: NDArray[Any]) -> NDArray[np.bool_] | None:
        """See `Loss.counted`: rows that are not ignored."""
        counted = target != self.ignore_index
        return None if target.ndim == 2 or counted.all() else counted
