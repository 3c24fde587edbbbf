"""What a fit is of: its data and settings, so that another one does not go on from its checkpoints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whet import _core
from whet.files import checksum
from whet.optim.base import Assignment
from whet.schedules import Constant, Schedule

if TYPE_CHECKING:
    from whet.training.fit import Plan, Rows
    from whet.training.model import Model

__all__ = ["differences", "identity"]

_DIGEST = re.compile(r"crc32:[0-9a-f]{8}")


def identity(
    model: Model, plan: Plan, graph: _core.Graph, assignment: Assignment, rows: Rows, validation: Rows | None
) -> dict[str, Any]:
    """All that bits depend on, by the name of the argument that says it: values, or checksums of what is large.

    How long the training is counts only where something depends on it: a schedule, or the start of an average.
    """
    width = rows.features.shape[1]
    scheduled = [*_schedules(assignment), *model._schedules(width)]
    found: dict[str, Any] = {
        "X": _digest(*rows.feature_arrays()),
        "y": _digest(rows.target),
        "sample_weight or class_weight": None if rows.weights is None else _digest(rows.weights),
        "validation_data": None if validation is None else _digest(*validation.given_arrays()),
        "the model": _digest(
            json.dumps(
                [
                    *(graph.nodes, graph.output, graph.parameter_shapes),
                    *(model._parameter_names(), model._frozen(), model.dtype),
                ]
            )
        ),
        "loss": _text(plan.loss),
        "optimizer": _text(plan.optimizer),
        "schedules": _digest(*(each.at(np.arange(101) / 100) for each in scheduled)),
        "batch_size": plan.batch_rows(len(rows)),
        "metrics": [metric.name for metric in plan.metrics],
        "callbacks": [type(callback).__name__ for callback in plan.callbacks],
        "shuffle": plan.shuffle,
        "precision": plan.precision,
        "seed": plan.seed,
    }
    if plan.record:
        found["record"] = True
    if plan.on_nonfinite != "raise":
        found["on_nonfinite"] = plan.on_nonfinite
    if scheduled or plan.optimizer.swa is not None:
        found["epochs or max_steps, which the schedules depend on"] = plan.total_steps(
            -(-len(rows) // plan.batch_rows(len(rows)))
        )
    kept: dict[str, Any] = json.loads(json.dumps(found))  # as it comes back from a file
    return kept


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs, in words."""
    names = [*before, *(name for name in now if name not in before)]
    return [_change(name, before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name)]


def _change(name: str, before: Any, now: Any) -> str:
    large = any(isinstance(value, str) and _DIGEST.fullmatch(value) for value in (before, now))
    return name if large else f"{name} ({before} before, now {now})"


def _schedules(assignment: Assignment) -> Iterator[Schedule]:
    for group in assignment.groups:
        for value in group.values():
            if isinstance(value, Schedule) and not isinstance(value, Constant):
                yield value


def _text(what: object) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", repr(what))


def _digest(*parts: str | NDArray[Any]) -> str:
    return f"crc32:{checksum(*parts)}"
