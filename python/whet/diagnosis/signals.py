"""What flows through a network: what its units do on rows, and how gradients come back."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from whet import _core, optim
from whet._arrays import Floats
from whet.diagnosis.probes import fresh
from whet.diagnosis.rows import Rows
from whet.errors import NonFiniteError, WhetWarning
from whet.losses import Loss
from whet.nn import Module
from whet.training.trainer import Trainer

__all__ = ["Units", "gradients", "relative", "units"]

# Activations that have a flat end: the value there, or values.
_FLAT = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "softsign": (-1.0, 1.0), "hardtanh": (-1.0, 1.0)}
_ACTIVATIONS = {*_FLAT, "relu", "relu6", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish", "softplus"}
_STILL = 1e-6  # a unit that moves less than this, of its size, is the same for all rows
_AT_END = 0.01  # from the flat end
_MOSTLY = 0.95  # of the rows


@dataclass(frozen=True)
class Units:
    """What the units of one activation do on some rows.

    Attributes:
        layer: its name.
        activation: what it computes.
        count: of its units.
        is_output: whether it is what the model returns.
        dead: share of them whose output is the same for all rows.
        saturated: share of them that stand at a flat end for nearly all rows.
        input_spread: the mean spread over rows of what goes in.
    """

    layer: str
    activation: str
    count: int
    is_output: bool
    dead: float
    saturated: float
    input_spread: float


def units(model: Module, features: Floats) -> list[Units]:
    """What the units of each activation do on some rows, from the first layer to the last."""
    probe = copy.deepcopy(model)
    width = features.shape[1]
    graph, layers = probe._graph(width), probe._layers_of_nodes(width)
    found = []
    for place, node in enumerate(graph.nodes):
        if node["op"] not in _ACTIVATIONS or graph.shape(node["output"]) == ():
            continue
        before, after = (_values(graph, probe, value, features) for value in (node["inputs"][0], node["output"]))
        still = np.ptp(after, axis=0) <= _STILL * np.maximum(1, abs(after).max(axis=0))
        ends = _FLAT.get(node["op"], ())
        at_end = np.zeros(after.shape[1]) if not ends else (abs(after[..., None] - ends) < _AT_END).any(2).mean(0)
        name = layers[place] if place < len(layers) else ""
        spread = float(before.std(axis=0, dtype=np.float64).mean())
        dead, saturated = float(still.mean()), float((at_end > _MOSTLY).mean())
        is_output = place == len(graph.nodes) - 1
        found.append(Units(name, node["op"], after.shape[1], is_output, dead, saturated, spread))
    return found


def _values(graph: _core.Graph, model: Module, value: int, features: Floats) -> Floats:
    """A value inside a graph for some rows, shape (rows, elements)."""
    if value == 0:
        return features
    graph.set_output(value)
    out = np.empty((len(features), math.prod(graph.shape(value))), model.dtype)
    _core.Predictor(graph, model._state()).predict(features, out)
    return out


def gradients(model: Module, loss: Loss, rows: Rows, seed: int) -> Mapping[str, float]:
    """The norm of the gradient of each weight of a fresh copy, over the weight's own norm; none where it is not finite.

    A weight is a parameter of two axes or more.
    """
    probe = fresh(model, seed)
    trainer = Trainer(probe, loss, optim.SGD(lr=0.0))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", WhetWarning)
        try:
            trainer.step(probe._apart(rows.features), rows.target)
        except (NonFiniteError, ValueError):
            return {}
    norms = {name: [float(np.linalg.norm(each.astype(np.float64)))] for name, each in trainer.gradients().items()}
    return relative(norms, probe)


def relative(norms: Mapping[str, Sequence[float]], model: Module) -> Mapping[str, float]:
    """The first norm of each weight's gradient over the weight's own; those that are not finite left out."""
    found = {}
    for name, weight in model.state_dict().items():
        own = float(np.linalg.norm(weight.astype(np.float64)))
        if weight.ndim >= 2 and own > 0 and name in norms and math.isfinite(norms[name][0] / own):
            found[name] = norms[name][0] / own
    return found
