"""What an estimator of whet.sklearn predicts with, as whet.export writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from whet.nn import Module

__all__ = ["Predictor", "predictor_of"]


@dataclass(frozen=True)
class Predictor:
    """A network, and what its outputs mean.

    Args:
        network: It takes the features, and where some were missing, and gives raw outputs, shape (rows, outputs).
        features: How many there are.
        link: What makes probabilities of outputs, "softmax", "sigmoid" or "shares" (sigmoids divided by their sum), or
            "exp", which makes numbers of logarithms; None for neither.
        classes: Labels in the order of the outputs, or two where there is one output; None of a regressor.
        multilabel: Whether each output is a label of its own.
        fills: What takes the place of a missing feature, shape (features,); None where none may be missing.
        told: Which features the network is told the gaps of, after all features.
    """

    network: Module
    features: int
    link: str | None = None
    classes: NDArray[Any] | None = None
    multilabel: bool = False
    fills: NDArray[Any] | None = None
    told: tuple[int, ...] = ()


def predictor_of(model: Any, where: str) -> Predictor:
    """That of an estimator.

    Raises:
        TypeError: If it is none of whet.sklearn.
    """
    if isinstance(model, type) or not hasattr(model, "_predictor"):
        kind = model.__name__ if isinstance(model, type) else type(model).__name__
        raise TypeError(f"[{where}] expected an nn.Module, a TabularModel or an estimator of whet.sklearn, got {kind}")
    found = model._predictor(where)
    assert isinstance(found, Predictor)
    return found
