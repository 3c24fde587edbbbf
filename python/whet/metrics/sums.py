"""Sums over rows that most metrics are made of: the core makes them in one pass, and part by part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whet import _core
from whet.metrics.counts import Counts
from whet.metrics.predictions import Predictions

if TYPE_CHECKING:
    from whet.metrics.base import Metric

__all__ = ["Sums"]


class Sums:
    """Sums over rows, in double, of which metrics are made.

    Args:
        metrics: What is made of them; each says by `needs` which it reads.

    Attributes:
        core: What makes the sums; a trainer adds rows to it as it goes.
        kind: That of the loss.
        columns: Outputs of a row that are read.
    """

    core: _core.MetricSums
    kind: str
    columns: int

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def prepare(self, like: Predictions) -> None:
        """Makes room for predictions such as these, which `add` does else with the first ones."""
        columns, self.kind = like.columns, like.loss.kind
        self.columns = columns.stop - columns.start
        wanted = sorted({need for metric in self._metrics for need in metric.needs})
        self.core = _core.MetricSums(
            like.raw.dtype.name, self.kind, like.link or "", columns.start, self.columns, like.threshold, wanted
        )

    @classmethod
    def of(cls, metrics: Sequence[Metric], seen: Predictions) -> Sums:
        """Those of some rows."""
        sums = cls(metrics)
        sums.add(seen)
        return sums

    def add(self, seen: Predictions) -> None:
        """Adds rows."""
        if not self._metrics:
            return
        if not hasattr(self, "core"):
            self.prepare(seen)
        weights = None if seen.weights is None else np.ascontiguousarray(seen.weights, seen.raw.dtype)
        self.core.add(seen.raw, seen.answers, weights)

    def numbers(self) -> dict[str, float]:
        """The metrics of all rows so far."""
        return {metric.name: metric.whole(self) for metric in self._metrics}

    @property
    def total(self) -> float:
        """The weight of all rows."""
        return float(self.core.section("total")[0])

    def section(self, name: str) -> NDArray[np.float64]:
        """One of the sums: a number, or one for each class or column."""
        return self.core.section(name)

    def means(self, name: str) -> NDArray[np.float64]:
        """One of the sums over the weight of all rows; NaN where they weigh nothing."""
        with np.errstate(invalid="ignore"):
            found: NDArray[np.float64] = self.section(name) / np.float64(self.total)
        return found

    @property
    def counts(self) -> Counts:
        """Rows by label, which precision, recall and F1 are made of."""
        labels = np.flatnonzero(self.section("occurring"))
        hits, predicted, true = (self.section(name)[labels] for name in ("hits", "predicted", "true"))
        several = self.kind == "labels" and self.columns > 1
        binary = not several and len(self.section("hits")) == 2
        return Counts(labels, hits, predicted, true, binary, several)
