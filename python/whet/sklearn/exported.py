"""Estimators as whet.export writes them: a network, and what its outputs mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from whet import nn
from whet._predictor import Predictor
from whet.losses import Loss, MemberLoss
from whet.nn import Module
from whet.sklearn.columns import Columns
from whet.sklearn.inputs import Labels, dense

__all__ = ["linear_predictor", "of_classes", "of_numbers"]


def linear_predictor(estimator: Any, link: str | None = None, classes: NDArray[Any] | None = None) -> Predictor:
    """That of coefficients, shape (features,) or (outputs, features), and constants."""
    check_is_fitted(estimator)
    coef = np.atleast_2d(dense(estimator.coef_))
    network = nn.Linear(coef.shape[1], coef.shape[0]).to(coef.dtype.name).initialize()
    network.load_state_dict({"weight": coef, "bias": _constants(estimator.intercept_, coef)})
    return Predictor(network, coef.shape[1], link, classes)


def _constants(given: ArrayLike, coef: NDArray[Any]) -> NDArray[Any]:
    constants: NDArray[Any] = np.broadcast_to(np.asarray(given, coef.dtype), len(coef)).copy()
    return constants


def of_classes(
    where: str, network: Module, features: int, labels: Labels, loss: Loss, columns: Columns | None = None
) -> Predictor:
    """That of a network trained on labels.

    Raises:
        ValueError: If there is one class alone, columns have categories, or members vote.
    """
    if len(labels.classes) < 2:
        raise ValueError(f"[{where}] expected an estimator of two classes or more, got 1")
    _refuse_members(where, loss)
    gaps = _gaps(where, columns)
    return Predictor(network, features, loss.link, labels.classes, labels.multilabel, **gaps)


def of_numbers(where: str, network: Module, features: int, loss: Loss, columns: Columns | None = None) -> Predictor:
    """That of a network trained on numbers.

    Raises:
        ValueError: If columns have categories, or what is predicted is not in the outputs as it is.
    """
    _refuse_members(where, loss)
    if loss.link == "exp":
        return Predictor(network, features, "exp", **_gaps(where, columns))
    probe = np.arange(_outputs(network), dtype=network.dtype)[None]
    if not np.array_equal(loss.values(probe), probe):
        raise ValueError(
            f"[{where}] expected a loss whose outputs are what is predicted, got {loss}; export the network, "
            "the estimator's model_"
        )
    return Predictor(network, features, **_gaps(where, columns))


def _outputs(network: Module) -> int:
    graph = network._graph(network._width())
    return int(np.prod(graph.shape(graph.output)))


def _refuse_members(where: str, loss: Loss) -> None:
    if isinstance(loss, MemberLoss):
        raise ValueError(f"[{where}] expected no estimator with {loss}; export the network, the estimator's model_")


def _gaps(where: str, columns: Columns | None) -> dict[str, Any]:
    if columns is None:
        return {}
    if columns.has_categories:
        raise ValueError(
            f"[{where}] expected an estimator without columns of categories; export the network, the estimator's "
            "model_, whose inputs are numbers, zeros and ones of the categories, and gaps, or use a TabularModel"
        )
    return {"fills": columns.fills, "told": columns.told}
