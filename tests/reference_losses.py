"""Slow, clear float64 formulas of the losses that cpp/math/losses.h lists: see tests/reference.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Loss:
    """(mean loss, its gradient with respect to the prediction) of a batch; `targets` names what the loss is of."""

    value: Callable[..., tuple[float, Array]]
    targets: tuple[str, ...] = ("number",)  # kinds of targets_of
    settings: tuple[dict[str, Any], ...] = ({},)
    ulps: float = 16


def targets_of(kind: str, rows: int, columns: int, rng: np.random.Generator) -> NDArray[Any]:
    """Random targets of the kind that a loss takes."""
    if kind == "class":
        return rng.integers(0, columns, rows)
    if kind == "distribution":
        return softmax(rng.normal(size=(rows, columns)))
    if kind == "logarithm":  # of a probability
        return np.log(softmax(rng.normal(size=(rows, columns))))
    if kind == "fraction":
        return rng.uniform(size=(rows, columns))
    if kind == "count":
        return rng.poisson(2.0, size=(rows, columns)).astype(np.float64)
    if kind == "positive":
        return rng.gamma(2.0, size=(rows, columns)) + 0.01
    if kind == "sign":
        return rng.choice([-1.0, 1.0], size=(rows, columns))
    return rng.normal(size=(rows, columns))


def sigmoid(x: Array) -> Array:
    e = np.exp(-abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def one_hot(labels: NDArray[np.integer[Any]], classes: int) -> Array:
    return np.eye(classes)[labels]


def mean(losses: Array, slopes: Array) -> tuple[float, Array]:
    return float(np.mean(losses)), slopes / losses.size


def mse(prediction: Array, target: Array) -> tuple[float, Array]:
    d = prediction - target
    return mean(d * d, 2 * d)


def l1(prediction: Array, target: Array) -> tuple[float, Array]:
    d = prediction - target
    return mean(abs(d), np.sign(d))


def huber(prediction: Array, target: Array, delta: float = 1.0) -> tuple[float, Array]:
    d = prediction - target
    far = delta * (abs(d) - 0.5 * delta)
    return mean(np.where(abs(d) <= delta, 0.5 * d * d, far), np.clip(d, -delta, delta))


def smooth_l1(prediction: Array, target: Array, beta: float = 1.0) -> tuple[float, Array]:
    d = prediction - target
    if beta == 0:
        return l1(prediction, target)
    near = abs(d) < beta
    return mean(np.where(near, 0.5 * d * d / beta, abs(d) - 0.5 * beta), np.where(near, d / beta, np.sign(d)))


def log_cosh(prediction: Array, target: Array) -> tuple[float, Array]:
    d = prediction - target
    return mean(np.where(abs(d) < 1, np.log(np.cosh(np.clip(d, -1, 1))), softplus(-2 * d) + d - np.log(2)), np.tanh(d))


def quantile(prediction: Array, target: Array, quantile: Any = 0.5) -> tuple[float, Array]:
    q, d = np.asarray(quantile), target - prediction
    return mean(np.where(d > 0, q * d, (q - 1) * d), np.where(d > 0, -q, np.where(d < 0, 1 - q, 0.0)))


def poisson(
    prediction: Array, target: Array, log_input: bool = True, full: bool = False, eps: float = 1e-8
) -> tuple[float, Array]:
    if log_input:
        loss, slope = np.exp(prediction) - target * prediction, np.exp(prediction) - target
    else:
        loss, slope = prediction - target * np.log(prediction + eps), 1 - target / (prediction + eps)
    if full:
        t = np.maximum(target, 1)
        loss = loss + np.where(target > 1, t * np.log(t) - t + 0.5 * np.log(2 * np.pi * t), 0)
    return mean(loss, slope)


def gamma(prediction: Array, target: Array) -> tuple[float, Array]:
    ratio = target * np.exp(-prediction)
    return mean(prediction + ratio, 1 - ratio)


def tweedie(prediction: Array, target: Array, power: float = 1.5) -> tuple[float, Array]:
    if power == 1:
        return poisson(prediction, target)
    if power == 2:
        return gamma(prediction, target)
    first, second = np.exp((2 - power) * prediction), target * np.exp((1 - power) * prediction)
    constant = 0.5 * target**2 if power == 0 else 0.0
    return mean(first / (2 - power) - second / (1 - power) + constant, first - second)


def bce_with_logits(prediction: Array, target: Array, pos_weight: Any = 1.0) -> tuple[float, Array]:
    weight = np.asarray(pos_weight) * target
    loss = weight * softplus(-prediction) + (1 - target) * softplus(prediction)
    return mean(loss, (1 - target) * sigmoid(prediction) - weight * sigmoid(-prediction))


def focal(prediction: Array, target: Array, alpha: float = 0.25, gamma: float = 2.0) -> tuple[float, Array]:
    s, c = sigmoid(prediction), sigmoid(-prediction)
    cross_entropy = target * softplus(-prediction) + (1 - target) * softplus(prediction)
    q = target * c + (1 - target) * s
    balance = alpha * target + (1 - alpha) * (1 - target) if alpha >= 0 else 1.0
    slope = q**gamma * (s - target) + cross_entropy * gamma * q ** (gamma - 1) * (1 - 2 * target) * s * c
    return mean(balance * q**gamma * cross_entropy, balance * slope)


def hinge(prediction: Array, target: Array) -> tuple[float, Array]:
    z = 1 - target * prediction
    return mean(np.maximum(z, 0), np.where(z > 0, -target, 0))


def squared_hinge(prediction: Array, target: Array) -> tuple[float, Array]:
    z = np.maximum(1 - target * prediction, 0)
    return mean(z * z, -2 * target * z)


def soft_margin(prediction: Array, target: Array) -> tuple[float, Array]:
    return mean(softplus(-target * prediction), -target * sigmoid(-target * prediction))


def kl_div(prediction: Array, target: Array, log_target: bool = False) -> tuple[float, Array]:
    if log_target:
        return mean(np.exp(target) * (target - prediction), -np.exp(target))
    logarithm = np.log(np.where(target > 0, target, 1))
    return mean(target * (logarithm - prediction), -target)


def cross_entropy(prediction: Array, target: NDArray[Any]) -> tuple[float, Array]:
    """H(p, q) = -sum p log q with q = softmax(prediction); p is given, or 1 at the class that is given."""
    p = one_hot(target, prediction.shape[1]) if target.ndim == 1 else target
    shifted = prediction - prediction.max(axis=1, keepdims=True)
    log_q = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    gradient = softmax(prediction) * p.sum(axis=1, keepdims=True) - p
    return float(-(p * log_q).sum(axis=1).mean()), gradient / len(prediction)


LOSSES: dict[str, Loss] = {
    "mse": Loss(mse),
    "l1": Loss(l1),
    "huber": Loss(huber, settings=({}, {"delta": 0.3}, {"delta": 4.0})),
    "smooth_l1": Loss(smooth_l1, settings=({}, {"beta": 0.3}, {"beta": 0.0})),
    "log_cosh": Loss(log_cosh),
    "quantile": Loss(quantile, settings=({}, {"quantile": 0.9}, {"quantile": 0.0})),
    "poisson": Loss(poisson, ("count",), settings=({}, {"full": True})),
    "gamma": Loss(gamma, ("positive",)),
    # (1 - power) p is rounded before exp, which makes its relative error of the size of its argument.
    "tweedie": Loss(
        tweedie, ("positive",), settings=tuple({"power": p} for p in (1.5, 0.0, -1.0, 1.0, 1.1, 2.0, 3.0)), ulps=128
    ),
    "bce_with_logits": Loss(bce_with_logits, ("fraction",), settings=({}, {"pos_weight": 3.5})),
    # q^gamma = exp(gamma log q), whose argument is rounded likewise.
    "focal": Loss(
        focal,
        ("fraction",),
        settings=({}, {"alpha": -1.0}, {"alpha": 0.7, "gamma": 0.0}, {"gamma": 0.5}, {"gamma": 5.0}),
        ulps=128,
    ),
    "hinge": Loss(hinge, ("sign",)),
    "squared_hinge": Loss(squared_hinge, ("sign",)),
    "soft_margin": Loss(soft_margin, ("sign",)),
    "kl_div": Loss(kl_div, ("distribution",)),
    "cross_entropy": Loss(cross_entropy, ("class", "distribution")),
}
