"""Streams of rows: trained on, evaluated, and predicted, while a thread reads ahead."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from whet._arrays import CoreFeatures, Floats
from whet.data.dataset import Dataset
from whet.data.streams.blocks import Block
from whet.data.streams.prefetch import Prefetched
from whet.data.streams.stream import Stream
from whet.losses import Loss
from whet.metrics import Metric, Sums
from whet.metrics.base import present
from whet.training.classes import ClassWeight
from whet.training.measuring import check_combine
from whet.training.rows import Rows
from whet.training.sources import Part

if TYPE_CHECKING:
    from whet.training.fit import Plan
    from whet.training.model import Model

__all__ = ["Streamed", "check_validation", "evaluate", "predict"]


class Streamed:
    """Training rows of a stream; see `Source`.

    Raises:
        ValueError: If the plan needs all rows at once, or to read them again where that cannot be.
    """

    whole = False

    def __init__(self, stream: Stream, model: Model, plan: Plan) -> None:
        _check(stream, plan)
        self._stream, self._plan = stream, plan
        self.head = stream._first(_reader(model, plan.loss, "fit"))
        width = self.head.features.shape[1]
        self._read = _reader(model, plan.loss, "fit", width, plan.class_weight)
        self.rows = stream.rows
        self.batch_rows = _batch_rows(plan, stream, len(self.head))
        self._window = stream._window(width)
        if not stream.again:  # what is read for nothing may never come
            self._window = int(min(self._window, plan.max_steps * self.batch_rows))

    def parts(self, epoch: int, done: int) -> AbstractContextManager[Iterator[Part]]:
        """See `Source.parts`: the windows, each with what the one before left of its last batch."""
        return Prefetched(lambda: self._parts(epoch, done))

    def identity(self) -> dict[str, Any]:
        """See `Source.identity`."""
        given = self._plan.class_weight
        weights = sorted(given.items()) if isinstance(given, dict) else given
        return {"X": self._stream._fingerprint(), "window_rows": self._window, "class_weight": repr(weights)}

    def _parts(self, epoch: int, done: int) -> Iterator[Part]:
        size, seed, shuffle = self.batch_rows, self._plan.seed, self._plan.shuffle
        start = self._start(epoch, done)
        left: Rows | None = None  # of the window before
        for window in self._stream._shuffled(seed, epoch, shuffle, self._window, self._read, start):
            rows = Rows.joined(window.pieces, window.rows, window.places, left)
            if left is None:
                rows = rows.cut(max(start - window.first, 0), len(rows))
            count = len(rows) if window.last else len(rows) // size * size
            left = rows.cut(count, len(rows)).copy()
            part = Part(start // size, -(-(start + count) // size), rows.cut(0, count), False)
            start += count
            del rows, window
            if count and part.end > done:
                yield part
            del part
        if self.rows not in (None, start):
            raise ValueError(f"[fit] expected {self.rows} rows, as the stream was told, got {start}")

    def _start(self, epoch: int, done: int) -> int:
        """The place of the row that the part with the next batch begins with."""
        ends = self._stream._layout(self._plan.seed, epoch, self._plan.shuffle, self._window) or []
        cuts = [end // self.batch_rows * self.batch_rows for end in ends[:-1]]
        return max((cut for cut in cuts if cut <= done * self.batch_rows), default=0)


def evaluate(model: Model, stream: Stream, loss: Loss, metrics: Sequence[Metric], where: str) -> dict[str, float]:
    """Loss and metrics of a stream, which pass through memory block by block.

    Raises:
        ValueError: For a metric that needs all rows at once.
    """
    metrics = present(metrics)
    check_combine(metrics, where)
    sums = Sums(metrics)
    total = weight = 0.0
    read = _reader(model, loss, where)
    with Prefetched(lambda: stream._converted(read)) as blocks:
        for rows in blocks:
            width = rows.features.shape[1]
            output = model._outputs(rows.features)
            each = float(len(rows) if rows.weights is None else rows.weights.sum(dtype=np.float64))
            if each:
                total += model._mean_loss(loss, output, width, rows.truth, rows.weights) * each
                weight += each
            sums.add(model._seen(output, rows.target, loss, width, rows.given))
            outputs = output.shape[1]
    if not weight:
        raise ValueError(f"[{where}] expected a row that counts, got weights of 0 alone")
    return {"loss": loss.reduced(total / weight, weight, outputs), **sums.numbers()}


def predict(model: Model, stream: Stream) -> Floats:
    """The raw outputs of a stream's rows, in its order."""

    def read(block: Block) -> CoreFeatures:
        return model._features(_numbers(block.X, model), "predict")

    with Prefetched(lambda: stream._converted(read)) as blocks:
        outputs = [(model._outputs(features), features.shape[1]) for features in blocks]
    width = outputs[0][1]
    returned: Floats = model._as_returned(np.concatenate([output for output, _ in outputs]), width)
    return returned


def check_validation(stream: Stream, plan: Plan) -> None:
    """Raises ValueError if a stream cannot be evaluated after every epoch."""
    if not stream.again and plan.epochs > 1:
        raise ValueError(_once("validation_data", plan))
    check_combine(plan.metrics, "fit")


def _check(stream: Stream, plan: Plan) -> None:
    if plan.optimizer.full_batch:
        raise ValueError(
            f"[fit] {type(plan.optimizer).__name__} takes all rows in a step, and a stream has not all at once"
        )
    if plan.class_weight == "balanced":
        raise ValueError("[fit] expected class_weight as {class: factor} for a stream, whose classes are not counted")
    check_combine(plan.metrics, "fit")
    if stream.again:
        return
    if plan.epochs > 1:
        raise ValueError(_once("X", plan))
    if plan.resume or plan.on_nonfinite == "rollback":
        what = "resume=True" if plan.resume else "on_nonfinite='rollback'"
        raise ValueError(f"[fit] {what} reads rows again, which an iterator cannot: give a function that returns one")


def _once(name: str, plan: Plan) -> str:
    return (
        f"[fit] expected epochs=1 where {name} is an iterator, which can be read once, got {plan.epochs}: "
        "give a function that returns a fresh iterator"
    )


def _batch_rows(plan: Plan, stream: Stream, first: int) -> int:
    """Rows of a step; "auto" is the first batch, or as for many rows, where nobody knows the number of rows."""
    if stream.rows is None and stream._batched and isinstance(plan.batch_size, str):
        return first * plan.optimizer.accumulate
    return plan.batch_rows(sys.maxsize if stream.rows is None else stream.rows)


def _numbers(X: Any, model: Model) -> Any:
    return X.matrix(model.dtype) if isinstance(X, Dataset) else X


def _reader(
    model: Model, loss: Loss, where: str, width: int | None = None, class_weight: ClassWeight = None
) -> Callable[[Block], Rows]:
    """What makes rows of a block, checked."""

    def read(block: Block) -> Rows:
        if block.y is None:
            raise ValueError(
                f"[{where}] expected right answers: batches (X, y), or the target of a stream of files or a cursor"
            )
        X = _numbers(block.X, model)
        rows = Rows.of(model, loss, X, block.y, block.weight, where, width, some=False)
        model._check_indices(rows.features, where)
        rows = rows.weighted(class_weight, loss, model._width_of_output(rows.features.shape[1]), some=False)
        return replace(rows, places=np.arange(block.number, block.number + len(rows)))

    return read
