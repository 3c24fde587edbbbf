"""Slow, clear float64 formulas of all that the lists in cpp/math name: what the fast kernels are compared with.

To add an activation: write its formula here and its entry in the dictionary below it. Losses and optimizers stand in
reference_losses.py and reference_optimizers.py. The tests iterate over the lists of the compiled core, and fail for a
name that has no entry.

An entry also says how closely the kernels follow it: `ulps`, counted in units of the magnitude that `scale` gives.
Where the formula loses digits to cancellation in any precision, that magnitude is the one of its larger terms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.reference_losses import LOSSES, Array, Loss, mse, sigmoid, softmax
from tests.reference_optimizers import OPTIMIZERS, Optimizer, clipped

__all__ = ["ACTIVATIONS", "LOSSES", "OPTIMIZERS", "Activation", "Loss", "Optimizer", "clipped", "mse", "softmax"]

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
    domain: Callable[[Array], Array] = lambda x: x  # from any numbers to some at which there is a value
    pole: bool = False  # at zero the derivative grows without bound
    torch: bool = True  # whether PyTorch has it, as a function and, where whet has one, as a layer


# Activations

SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


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


def selu(x: Array) -> Array:
    return SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0)))


def mish_derivative(x: Array) -> Array:
    softplus = np.logaddexp(0, x)
    return np.tanh(softplus) + x * sigmoid(x) / np.cosh(np.minimum(softplus, 300)) ** 2


def hardsigmoid(x: Array) -> Array:
    return np.clip(x + 3, 0, 6) / 6


def hardshrink_derivative(x: Array, lambd: float = 0.5) -> Array:
    return np.where(abs(x) <= lambd, 0.0, 1.0)


def hardtanh_derivative(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    return np.where((x <= min_val) | (x >= max_val), 0.0, 1.0)


def hardswish_derivative(x: Array) -> Array:
    return np.where(x <= -3, 0.0, np.where(x >= 3, 1.0, x / 3 + 0.5))


def sine(x: Array) -> Array:
    with np.errstate(invalid="ignore"):  # infinity has none
        return np.sin(x)


def cosine(x: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.cos(x)


def softsign(x: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return x / (1 + abs(x))


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
    "celu": Activation(
        lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha)),
        lambda x, alpha=1.0: np.where(x > 0, 1.0, np.exp(np.minimum(x, 0) / alpha)),
        settings=({}, {"alpha": 0.5}, {"alpha": 3.0}),
        # x / alpha is rounded before exp, which makes its relative error of the size of its argument.
        derivative_scale=lambda x, slope: 1 + abs(x) * slope,
    ),
    "selu": Activation(
        selu,
        lambda x: SELU_SCALE * np.where(x > 0, 1.0, SELU_ALPHA * np.exp(np.minimum(x, 0))),
        kinks=(0.0,),
    ),
    "mish": Activation(lambda x: x * np.tanh(np.logaddexp(0, x)), mish_derivative),
    "log_sigmoid": Activation(lambda x: -np.logaddexp(0, -x), lambda x: sigmoid(-x)),
    "softsign": Activation(softsign, lambda x: 1 / (1 + abs(x)) ** 2),
    "tanhshrink": Activation(lambda x: x - np.tanh(x), lambda x: np.tanh(x) ** 2, scale=lambda x, y: abs(x)),
    "hardshrink": Activation(
        lambda x, lambd=0.5: np.where(abs(x) <= lambd, 0.0, x),
        hardshrink_derivative,
        settings=({}, {"lambd": 2.0}, {"lambd": 0.0}),
        kinks=(-2.0, -0.5, 0.0, 0.5, 2.0),
    ),
    "softshrink": Activation(
        lambda x, lambd=0.5: np.where(abs(x) <= lambd, 0.0, x - np.copysign(lambd, x)),
        hardshrink_derivative,
        settings=({}, {"lambd": 2.0}),
        kinks=(-2.0, -0.5, 0.5, 2.0),
    ),
    "hardtanh": Activation(
        lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val),
        hardtanh_derivative,
        settings=({}, {"min_val": 0.0, "max_val": 6.0}, {"min_val": -2.0, "max_val": 0.5}),
        kinks=(-2.0, -1.0, 0.0, 0.5, 1.0, 6.0),
    ),
    "hardsigmoid": Activation(
        hardsigmoid, lambda x: np.where(abs(x) < 3, 1 / 6, 0.0), scale=lambda x, y: 1, kinks=(-3.0, 3.0)
    ),
    "hardswish": Activation(
        lambda x: x * hardsigmoid(x), hardswish_derivative, scale=lambda x, y: abs(x), kinks=(-3.0, 3.0)
    ),
    "threshold": Activation(
        lambda x, threshold=0.0, value=0.0: np.where(x <= threshold, value, x),
        lambda x, threshold=0.0, value=0.0: np.where(x <= threshold, 0.0, 1.0),
        settings=({}, {"threshold": 1.0, "value": -2.0}),
        kinks=(0.0, 1.0),
    ),
    "exp": Activation(np.exp, np.exp, domain=lambda x: np.clip(x, -80, 80)),
    "log": Activation(np.log, lambda x: 1 / x, domain=lambda x: abs(x) + x.dtype.type(1e-3), pole=True),
    "sqrt": Activation(np.sqrt, lambda x: 0.5 / np.sqrt(x), domain=lambda x: abs(x) + x.dtype.type(1e-3), pole=True),
    "abs": Activation(abs, np.sign, kinks=(0.0,)),
    "square": Activation(np.square, lambda x: 2 * x),
    "reciprocal": Activation(
        lambda x: 1 / x, lambda x: -1 / (x * x), domain=lambda x: np.where(x == 0, 1, x), pole=True
    ),
    "sin": Activation(sine, np.cos),
    "cos": Activation(cosine, lambda x: -np.sin(x)),
    "affine": Activation(
        lambda x, scale=1.0, shift=0.0: scale * x + shift,
        lambda x, scale=1.0, shift=0.0: np.full_like(x, scale),
        settings=({}, {"scale": -2.5, "shift": 0.75}),
        scale=lambda x, y: 2.5 * abs(x) + 1,
    ),
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
