"""Slow, clear float64 formulas of all that the lists in cpp/math name: what the fast kernels are compared with.

To add an activation or a loss: write its formula here and its entry in the dictionary below it. Those of optimizers
stand in reference_optimizers.py. The tests iterate over the lists of the compiled core, and fail for a name that has no
entry.

An entry also says how closely the kernels follow it: `ulps`, counted in units of the magnitude that `scale` gives.
Where the formula loses digits to cancellation in any precision, that magnitude is the one of its larger terms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.reference_optimizers import OPTIMIZERS, Optimizer, clipped

__all__ = ["ACTIVATIONS", "LOSSES", "OPTIMIZERS", "Activation", "Loss", "Optimizer", "clipped"]

Array = NDArray[np.float64]

_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


@dataclass(frozen=True)
class Activation:
    """y = value(x), and its derivative in x."""

    value: Callable[..., Array]
    derivative: Callable[..., Array]
    settings: tuple[dict[str, float], ...] = ({},)
    ulps: float = 8
    scale: Callable[[Array, Array], Any] = lambda x, y: abs(y)
    derivative_scale: Callable[[Array, Array], Any] = lambda x, slope: np.maximum(abs(slope), 1)
    kinks: tuple[float, ...] = ()  # where the derivative jumps: finite differences keep away from there


@dataclass(frozen=True)
class Loss:
    """(mean loss, its gradient with respect to the prediction) of a batch; `targets` names what the loss is of."""

    value: Callable[..., tuple[float, Array]]
    targets: tuple[str, ...] = ("number",)  # "number", "fraction", "class" or "distribution"
    settings: tuple[dict[str, float], ...] = ({},)
    ulps: float = 16


# Activations


def sigmoid(x: Array) -> Array:
    e = np.exp(-abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def gelu(x: Array) -> Array:
    return 0.5 * x * _erfc(-x / math.sqrt(2))


def gelu_derivative(x: Array) -> Array:
    return 0.5 * _erfc(-x / math.sqrt(2)) + x * np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_tanh_derivative(x: Array) -> Array:
    t = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)


def silu_derivative(x: Array) -> Array:
    s = sigmoid(x)
    return s * (1 + x * (1 - s))


def softplus(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    z = beta * x
    return np.where(z > threshold, x, (np.maximum(z, 0) + np.log1p(np.exp(-abs(z)))) / beta)


def softplus_derivative(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    return np.where(beta * x > threshold, 1.0, sigmoid(beta * x))


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(lambda x: x, lambda x: np.ones_like(x)),
    "relu": Activation(lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, 1.0, 0.0), kinks=(0.0,)),
    "leaky_relu": Activation(
        lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * np.minimum(x, 0)),
        lambda x, negative_slope=0.01: np.where(x > 0, 1.0, negative_slope),
        settings=({}, {"negative_slope": 0.2}, {"negative_slope": 0.0}),
        kinks=(0.0,),
    ),
    "elu": Activation(
        elu,
        lambda x, alpha=1.0: np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0))),
        settings=({}, {"alpha": 0.5}),
        kinks=(0.0,),
    ),
    # 1 + erf and 1 + tanh cancel for negative x, so errors are counted in units of x.
    "gelu": Activation(gelu, gelu_derivative, scale=lambda x, y: abs(x)),
    "gelu_tanh": Activation(
        gelu_tanh,
        gelu_tanh_derivative,
        scale=lambda x, y: abs(x),
        derivative_scale=lambda x, slope: 1 + abs(x),  # of the cancellation in 1 - tanh^2, which x multiplies
    ),
    "silu": Activation(lambda x: x * sigmoid(x), silu_derivative),
    "tanh": Activation(np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sigmoid": Activation(sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x))),
    "softplus": Activation(softplus, softplus_derivative, settings=({}, {"beta": 2.0, "threshold": 5.0})),
}


# Losses


def mse(prediction: Array, target: Array) -> tuple[float, Array]:
    d = prediction - target
    return float(np.mean(d * d)), 2 * d / d.size


def l1(prediction: Array, target: Array) -> tuple[float, Array]:
    d = prediction - target
    return float(np.mean(abs(d))), np.sign(d) / d.size


def bce_with_logits(prediction: Array, target: Array) -> tuple[float, Array]:
    loss = np.maximum(prediction, 0) - prediction * target + np.log1p(np.exp(-abs(prediction)))
    return float(np.mean(loss)), (sigmoid(prediction) - target) / loss.size


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def one_hot(labels: NDArray[np.integer[Any]], classes: int) -> Array:
    return np.eye(classes)[labels]


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
    "bce_with_logits": Loss(bce_with_logits, targets=("fraction",)),
    "cross_entropy": Loss(cross_entropy, targets=("class", "distribution")),
}


# Random numbers


def philox(counter: list[int], seed: int) -> list[int]:
    """Philox4x32-10 (Salmon et al., SC 2011): four 32-bit words."""
    a, b, c, d = counter
    k, m = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (q >> 32) ^ b ^ k, q & 0xFFFFFFFF, (p >> 32) ^ d ^ m, p & 0xFFFFFFFF
        k, m = (k + 0x9E3779B9) & 0xFFFFFFFF, (m + 0xBB67AE85) & 0xFFFFFFFF
    return [a, b, c, d]


def permutation(seed: int, stream: int, epoch: int, n: int) -> list[int]:
    """Fisher-Yates, from the end; number i of the sequence chooses among the first i + 1."""
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        words = philox([i // 2, 0, 0, epoch << 4 | stream], seed)
        number = words[2 * (i % 2)] | words[2 * (i % 2) + 1] << 32
        j = number * (i + 1) >> 64
        order[i], order[j] = order[j], order[i]
    return order


def dropout(seed: int, step: int, node: int, rows: int, cols: int, p: float) -> Array:
    """What a batch is multiplied by: word i mod 4 of block (j, i / 4) says whether element (i, j) is dropped."""
    words = np.empty((-(-rows // 4), cols, 4))
    for group, column in np.ndindex(words.shape[:2]):
        words[group, column] = philox([column, group, step, node << 4 | 2], seed)
    kept = words.transpose(0, 2, 1).reshape(-1, cols)[:rows] >= int(p * 2**32)
    return np.where(kept, 1 / (1 - p), 0.0)
