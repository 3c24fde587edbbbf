"""What a number that is not finite says of the model and its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whet import _core
from whet._arrays import CoreFeatures, Floats, SparseFloats
from whet.errors import NonFiniteError
from whet.optim import LBFGS, Optimizer
from whet.schedules import Schedule

if TYPE_CHECKING:
    from whet.training.model import Model
    from whet.training.rows import Rows

__all__ = ["explained"]

# Columns count as out of scale from here, and where they are so many times the median of all columns.
_LARGE, _RATIO = 1e3, 1e3
_SHOWN = 5  # rows named in a message
# Operations that are infinite, or whose slope is, at the edge of what they take.
_EDGED = {
    "exp": "keep what exp takes below 80, by minimum() or a normalisation before it",
    "log": "keep what log takes away from zero: add a small number, or maximum()",
    "sqrt": "keep what sqrt takes away from zero: its slope there is infinite",
    "div": "keep the divisor away from zero: add a small number, or maximum()",
    "reciprocal": "keep the divisor away from zero: add a small number, or maximum()",
    "pow": "keep the base of the power within bounds",
}


def explained(
    error: _core.NonFiniteError,
    model: Model,
    optimizer: Optimizer,
    graph: _core.Graph,
    rows: Rows,
    epoch: int | None = None,
) -> NonFiniteError:
    """What the core found not to be finite, told in the model's and the data's own words."""
    place, index = getattr(error, "place", "sum"), getattr(error, "index", -1)
    found = np.sort(np.array(getattr(error, "rows", []), np.int64))
    given = found if rows.places is None else rows.places[found]
    began, layer, operation = _began(place, index, model, graph, rows.features.shape[1])
    advice = _advice(place, operation, optimizer, rows, found)
    where, when = ("step", "") if epoch is None else ("fit", f" (epoch {epoch})")
    after = "is not finite either" if place == "parameter" else "is as it was before"
    what = str(error).removeprefix("[train] ")  # the core does not know who called it
    told = NonFiniteError(f"[{where}] {what}{when}{began}{_which(given)}; the model {after}. Try: {'; '.join(advice)}")
    told.epoch, told.step = epoch, getattr(error, "step", None)
    told.layer, told.operation, told.advice = layer, operation, advice
    features = rows.features[found]
    told.rows, told.features = given, features.as_given() if isinstance(features, SparseFloats) else features
    return told


def _began(place: str, index: int, model: Model, graph: _core.Graph, width: int) -> tuple[str, str | None, str | None]:
    """In words where it began; the layer's name; the operation."""
    if place == "parameter":
        name = model._parameter_names()[index]
        return f", before which the parameter {name} was not finite", name.rpartition(".")[0], None
    if place == "loss":
        return ", which began in the loss of rows or its gradient", None, "loss"
    if place not in ("forward", "backward"):
        return "", None, None
    step, layers = graph.plan(model.dtype)[index], model._layers_of_nodes(width)
    operation = " + ".join(filter(None, (step["op"], step["activation"])))
    layer = layers[step["node"]] if step["node"] < len(layers) else None
    where = "the loss" if layer is None else f"layer '{layer}'" if layer else "the model's forward"
    what = "the output" if place == "forward" else "the gradient"
    return f", which began in {what} of {operation} in {where}", layer, operation


def _which(rows: NDArray[np.int64]) -> str:
    if len(rows) == 0:
        return ""
    shown = ", ".join(map(str, rows[:_SHOWN])) + (", ..." if len(rows) > _SHOWN else "")
    return f", in row {shown} of X" if len(rows) == 1 else f", in {len(rows)} rows of X ({shown})"


def _advice(
    place: str, operation: str | None, optimizer: Optimizer, rows: Rows, found: NDArray[np.int64]
) -> tuple[str, ...]:
    advice = []
    columns = _out_of_scale(rows.features, found)
    if len(columns):
        names = ", ".join(map(str, columns[:_SHOWN])) + (", ..." if len(columns) > _SHOWN else "")
        advice.append(f"scale column {names} of X, whose numbers are far larger than those of others")
    if rows.target.dtype.kind == "f" and abs(rows.target).max(initial=0) > _LARGE:
        advice.append("scale y, whose numbers are large")
    advice += [words for name, words in _EDGED.items() if operation and name in operation.split(" + ")]
    rate = optimizer.numbers().get("lr")
    highest = rate.at(np.arange(101) / 100).max() if isinstance(rate, Schedule) else rate
    if highest:
        advice.append(f"a lower learning rate, such as {0.1 * float(highest):.3g}")
    if optimizer.clip_norm is None and place != "parameter" and not isinstance(optimizer, LBFGS):
        advice.append("clip_norm=1.0")  # which a search refuses
    return tuple(advice)


def _out_of_scale(features: CoreFeatures, found: NDArray[np.int64]) -> NDArray[np.int64]:
    """Columns that are far larger than others, in the rows where it began if there are some."""
    largest = _largest(features[found] if len(found) else features)
    usual = np.median(_largest(features[:: max(1, len(features) // 1000)]).astype(np.float64))
    return np.flatnonzero(largest > max(_LARGE, _RATIO * usual))


def _largest(features: CoreFeatures) -> Floats:
    """The largest magnitude in each column."""
    if isinstance(features, SparseFloats):
        return features.largest()
    largest: Floats = abs(features).max(axis=0, initial=0)
    return largest
