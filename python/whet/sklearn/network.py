"""The networks of the estimators: layers, first values, and losses with scikit-learn's factors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from whet import losses, nn
from whet._arrays import Floats
from whet.schedules import Schedule

__all__ = ["build", "decayed", "draw", "linear_layers", "loss_of", "squares", "weights"]

_NAMES = {"logistic": "sigmoid"}  # of whet for scikit-learn's


def build(
    widths: Sequence[int], activations: Sequence[str], normalization: str | None, dropout: float | Schedule
) -> nn.Sequential:
    """Linear layers, each hidden one with what follows it: normalisation, activation, dropout.

    Args:
        widths: Of the input, the hidden layers and the output.
        activations: A name for each hidden layer, scikit-learn's or whet's.
        normalization: "batch", "layer" or None.
        dropout: Share of hidden units to drop while training.
    """
    layers: list[nn.Module] = []
    for before, after, name in zip(widths, widths[1:], activations, strict=False):
        layers.append(nn.Linear(before, after))
        if normalization is not None:
            layers.append(nn.BatchNorm1d(after) if normalization == "batch" else nn.LayerNorm(after))
        layers.append(nn.activations.get(_NAMES.get(name, name)))
        if dropout != 0:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def linear_layers(model: nn.Sequential) -> dict[str, nn.Linear]:
    """The linear layers by name."""
    return {str(i): layer for i, layer in enumerate(model) if isinstance(layer, nn.Linear)}


def draw(model: nn.Sequential, activations: Sequence[str], random: np.random.RandomState) -> None:
    """First values from the distributions of scikit-learn, in its order (Glorot and Bengio, AISTATS 2010)."""
    model.initialize()
    layers = linear_layers(model).values()
    for layer, activation in zip(layers, [*activations, activations[-1]], strict=True):
        bound = math.sqrt((2.0 if activation == "logistic" else 6.0) / (layer.in_features + layer.out_features))
        layer.weight.values[...] = random.uniform(-bound, bound, (layer.in_features, layer.out_features)).T
        if layer.bias is not None:
            layer.bias.values[...] = random.uniform(-bound, bound, layer.out_features)


def weights(model: nn.Sequential) -> list[Floats]:
    """Views of the weights of linear layers, one axis each."""
    return [layer.weight.values.ravel() for layer in linear_layers(model).values()]


def squares(views: Iterable[Floats]) -> float:
    """The sum of all squared weights, from what `weights` gives."""
    return float(sum(np.dot(view, view) for view in views))


def decayed(model: nn.Sequential, strength: float) -> dict[str, dict[str, float]]:
    """Groups of an optimizer in which the weights decay, and biases and normalisations do not."""
    return {f"{name}.weight": {"weight_decay": strength} for name in linear_layers(model)} if strength > 0 else {}


class _HalfSquares(losses.MSELoss):
    """The sum over outputs of (p - t)^2 / 2."""

    def scaling(self, outputs: int) -> tuple[float, bool]:
        return outputs / 2, True


class _LogLoss(losses.BCEWithLogitsLoss):
    """The sum over outputs of the binary cross-entropy."""

    def scaling(self, outputs: int) -> tuple[float, bool]:
        return float(outputs), True


class _Poisson(losses.PoissonNLLLoss):
    """The sum over outputs of exp(p) - t p."""

    def scaling(self, outputs: int) -> tuple[float, bool]:
        return float(outputs), True


_LOSSES: dict[str, type[losses.Loss]] = {
    "squared_error": _HalfSquares,
    "binary_log_loss": _LogLoss,
    "log_loss": losses.CrossEntropyLoss,
    "poisson": _Poisson,
}


def loss_of(loss: Any) -> losses.Loss:
    """The loss of scikit-learn's name with its factors, or what whet.losses has of that name."""
    return _LOSSES[loss]() if isinstance(loss, str) and loss in _LOSSES else losses.get(loss)
