"""Metrics of training rows: of the predictions that were made while they were trained on."""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whet import _core
from whet._arrays import Floats
from whet.metrics import Metric, Predictions, Sums
from whet.metrics.base import scores
from whet.metrics.predictions import answers

if TYPE_CHECKING:
    from whet.training.loop import Loop
    from whet.training.rows import Rows
    from whet.training.sources import Part

__all__ = ["Measured", "Measuring", "check_combine"]

#: Sums that the core adds an epoch's rows to, and the answers and weights of these.
Measured = tuple[_core.MetricSums, NDArray[Any], "Floats | None"]


def check_combine(metrics: Sequence[Metric], where: str) -> None:
    """Raises ValueError for a metric that cannot be told of a stream, of which memory holds a part."""
    for metric in metrics:
        if not metric.needs:
            raise ValueError(
                f"[{where}] {metric.name} needs the predictions of all rows at once, which a stream has not: "
                "evaluate rows in memory, or take a metric that is a mean over rows or made of counts"
            )


class Measuring:
    """Metrics of an epoch. The core sums what most are made of, batch by batch; for others, predictions are kept.

    Args:
        loop: The fit.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop: Loop = weakref.proxy(loop)  # which has this: what training needed goes with the last of it
        metrics, whole = loop.plan.metrics, loop.source.whole
        self._at_once = loop.plan.loss.columns(loop.outputs) is not None
        self._summed = tuple(metric for metric in metrics if metric.needs and (self._at_once or not whole))
        self._kept = tuple(metric for metric in metrics if metric not in self._summed)
        self._sums: Sums | None = None
        if self._summed:
            head, output = loop.source.head, np.zeros((1, loop.outputs), loop.model.dtype)
            like = loop.model._seen(output, head.target[:1], loop.plan.loss, head.features.shape[1], None)
            self._sums = Sums(self._summed)
            self._sums.prepare(like)
        self._predictions: Floats | None = None
        self._answers: tuple[Rows, NDArray[Any]] | None = None

    def predictions(self, part: Part) -> Floats | None:
        """Where the engine puts those of a part, which may have begun."""
        needed = self._kept or (self._summed and not self._at_once)
        if needed and (self._predictions is None or len(self._predictions) != len(part.rows)):
            self._predictions = np.zeros((len(part.rows), self._loop.outputs), self._loop.model.dtype)
        return self._predictions

    def measured(self, part: Part) -> Measured | None:
        """What the engine sums as it goes over a part."""
        if self._sums is None or not self._at_once:
            return None
        if self._answers is None or self._answers[0] is not part.rows:
            found = answers(self._loop.plan.loss, part.rows.target, np.dtype(self._loop.model.dtype))
            self._answers = part.rows, found
        return self._sums.core, self._answers[1], part.rows.given

    def begin_epoch(self) -> None:
        """Before the first row of an epoch."""
        if self._sums is not None:
            self._sums.core.all[...] = 0

    def end_part(self, part: Part) -> None:
        """After its last row."""
        if self._sums is not None and not self._at_once:
            assert self._predictions is not None
            self._sums.add(self._seen(self._predictions, part.rows))

    def numbers(self, whole: bool) -> dict[str, float]:
        """The metrics of an epoch; NaN where it is not whole."""
        loop = self._loop
        if not whole:
            return {metric.name: math.nan for metric in loop.plan.metrics}
        found = {} if self._sums is None else self._sums.numbers()
        if self._kept:
            assert self._predictions is not None
            found |= scores(self._kept, self._seen(self._predictions, loop.source.head))
        return {metric.name: found[metric.name] for metric in loop.plan.metrics}

    def tensors(self) -> dict[str, Floats]:
        """What a checkpoint within an epoch keeps."""
        kept = {} if self._predictions is None else {"predictions": self._predictions}
        return kept if self._sums is None else {**kept, "sums": self._sums.core.all}

    def load(self, tensors: Mapping[str, Floats]) -> None:
        """Takes back what `tensors` gave."""
        if "predictions" in tensors:
            self._predictions = tensors["predictions"].copy()
        if self._sums is not None and "sums" in tensors:
            self._sums.core.all[...] = tensors["sums"]

    def _seen(self, output: Floats, rows: Rows) -> Predictions:
        loop = self._loop
        return loop.model._seen(output, rows.target, loop.plan.loss, rows.features.shape[1], rows.given)
