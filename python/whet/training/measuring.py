"""Metrics of training rows: of the predictions that were made while they were trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from whet._arrays import Floats
from whet.metrics import Metric, Predictions

if TYPE_CHECKING:
    from whet.training.loop import Loop
    from whet.training.sources import Part

__all__ = ["Measuring", "MeasuringParts", "Sums", "check_combine"]


def check_combine(metrics: Sequence[Metric], where: str) -> None:
    """Raises ValueError for a metric that cannot be told of a stream, of which memory holds a part."""
    for metric in metrics:
        if not metric.combines:
            raise ValueError(
                f"[{where}] {metric.name} needs the predictions of all rows at once, which a stream has not: "
                "evaluate rows in memory, or take a metric that is a mean over rows or made of counts"
            )


class Sums:
    """Metrics of rows that come part by part."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics
        self.parts: list[Floats] = []

    def add(self, seen: Predictions) -> None:
        """Adds rows."""
        new = [metric.part(seen) for metric in self._metrics]
        if self.parts:
            new = [metric.merged(a, b) for metric, a, b in zip(self._metrics, self.parts, new, strict=True)]
        self.parts = new

    def numbers(self) -> dict[str, float]:
        """The metrics of all rows so far."""
        return {metric.name: metric.whole(part) for metric, part in zip(self._metrics, self.parts, strict=True)}


class Measuring:
    """Metrics of an epoch that is one part: predictions of all rows are kept.

    Args:
        loop: The fit.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._predictions: Floats | None = None

    def predictions(self, part: Part) -> Floats | None:
        """Where the engine puts those of a part, which may have begun."""
        if self._loop.plan.metrics and (self._predictions is None or len(self._predictions) != len(part.rows)):
            self._predictions = np.zeros((len(part.rows), self._loop.outputs), self._loop.model.dtype)
        return self._predictions

    def begin_epoch(self) -> None:
        """Before the first row of an epoch."""

    def end_part(self, part: Part) -> None:
        """After its last row."""

    def numbers(self, whole: bool) -> dict[str, float]:
        """The metrics of an epoch; NaN where it is not whole."""
        metrics = self._loop.plan.metrics
        if not metrics or not whole:
            return {metric.name: math.nan for metric in metrics}
        return self._measured()

    def tensors(self) -> dict[str, Floats]:
        """What a checkpoint within an epoch keeps."""
        return {} if self._predictions is None else {"predictions": self._predictions}

    def load(self, tensors: Mapping[str, Floats]) -> None:
        """Takes back what `tensors` gave."""
        self._predictions = tensors.get("predictions")
        if self._predictions is not None:
            self._predictions = self._predictions.copy()

    def _measured(self) -> dict[str, float]:
        loop, rows = self._loop, self._loop.source.head
        assert self._predictions is not None
        width = rows.features.shape[1]
        return loop.model._measure(loop.plan.metrics, self._predictions, rows.target, loop.plan.loss, width, rows.given)


class MeasuringParts(Measuring):
    """Metrics of an epoch of several parts, whose predictions are kept for one part alone."""

    def __init__(self, loop: Loop) -> None:
        super().__init__(loop)
        self._sums = Sums(loop.plan.metrics)

    def begin_epoch(self) -> None:
        """See `Measuring.begin_epoch`."""
        self._sums = Sums(self._loop.plan.metrics)

    def end_part(self, part: Part) -> None:
        """See `Measuring.end_part`."""
        if self._predictions is not None:
            loop, rows = self._loop, part.rows
            width = rows.features.shape[1]
            self._sums.add(loop.model._seen(self._predictions, rows.target, loop.plan.loss, width, rows.given))

    def tensors(self) -> dict[str, Floats]:
        """See `Measuring.tensors`."""
        return {**super().tensors(), **{f"metrics/{i}": part for i, part in enumerate(self._sums.parts)}}

    def load(self, tensors: Mapping[str, Floats]) -> None:
        """See `Measuring.load`."""
        super().load(tensors)
        self._sums.parts = [tensors[f"metrics/{i}"] for i in range(len(tensors)) if f"metrics/{i}" in tensors]

    def _measured(self) -> dict[str, float]:
        return self._sums.numbers()
