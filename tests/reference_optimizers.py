"""Slow, clear float64 formulas of the optimizers that cpp/math names; reference.py has those of the other lists.

To add an optimizer: write its formula here and its entry in OPTIMIZERS. Names, defaults and states are those of
torch.optim where PyTorch has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
State = dict[str, Any]


@dataclass(frozen=True)
class Optimizer:
    """One step: (new parameter, new state), from the parameter, its gradient and the state before ({} at first)."""

    step: Callable[..., tuple[Array, State]]
    settings: tuple[dict[str, Any], ...] = ({},)
    ulps: float = 16
    torch: str | None = None  # the class of torch.optim


def gd(p: Array, g: Array, state: State, lr: float = 1e-3, weight_decay: float = 0.0) -> tuple[Array, State]:
    return p - lr * (g + weight_decay * p), {}


def sgd(
    p: Array,
    g: Array,
    state: State,
    lr: float = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> tuple[Array, State]:
    d = g + weight_decay * p
    if momentum == 0:
        return p - lr * d, {}
    before = state.get("momentum_buffer")
    buffer = d if before is None else momentum * before + (1 - dampening) * d
    return p - lr * (d + momentum * buffer if nesterov else buffer), {"momentum_buffer": buffer}


def moments(state: State, d: Array, betas: tuple[float, float]) -> tuple[int, Array, Array, State]:
    """Step, first and second moment after the gradient d, and the state that holds them."""
    t = state.get("step", 0) + 1
    m = betas[0] * state.get("exp_avg", 0.0) + (1 - betas[0]) * d
    v = betas[1] * state.get("exp_avg_sq", 0.0) + (1 - betas[1]) * d * d
    return t, m, v, {"step": t, "exp_avg": m, "exp_avg_sq": v}


def adam(
    p: Array,
    g: Array,
    state: State,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
) -> tuple[Array, State]:
    t, m, v, after = moments(state, g + weight_decay * p, betas)
    if amsgrad:
        v = after["max_exp_avg_sq"] = np.maximum(v, state.get("max_exp_avg_sq", 0.0))
    return p - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps), after


def adamw(
    p: Array, g: Array, state: State, lr: float = 1e-3, weight_decay: float = 1e-2, **options: Any
) -> tuple[Array, State]:
    return adam(p * (1 - lr * weight_decay), g, state, lr, **options)


def adamax(
    p: Array,
    g: Array,
    state: State,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> tuple[Array, State]:
    t, d = state.get("step", 0) + 1, g + weight_decay * p
    m = betas[0] * state.get("exp_avg", 0.0) + (1 - betas[0]) * d
    u = np.maximum(betas[1] * state.get("exp_inf", 0.0), abs(d) + eps)
    return p - lr / (1 - betas[0] ** t) * m / u, {"step": t, "exp_avg": m, "exp_inf": u}


def nadam(
    p: Array,
    g: Array,
    state: State,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
) -> tuple[Array, State]:
    if decoupled_weight_decay:
        p, weight_decay = p * (1 - lr * weight_decay), 0.0
    d = g + weight_decay * p
    t, m, v, after = moments(state, d, betas)
    mu = [betas[0] * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in range(1, t + 2)]
    product = math.prod(mu[:-1])
    mean = mu[-1] * m / (1 - product * mu[-1]) + (1 - mu[-2]) * d / (1 - product)
    return p - lr * mean / (np.sqrt(v / (1 - betas[1] ** t)) + eps), after


def radam(
    p: Array,
    g: Array,
    state: State,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> tuple[Array, State]:
    if decoupled_weight_decay:
        p, weight_decay = p * (1 - lr * weight_decay), 0.0
    t, m, v, after = moments(state, g + weight_decay * p, betas)
    mean, correction = m / (1 - betas[0] ** t), 1 - betas[1] ** t
    last = 2 / (1 - betas[1]) - 1
    length = last - 2 * t * betas[1] ** t / correction
    if length <= 5:
        return p - lr * mean, after
    rectified = math.sqrt((length - 4) * (length - 2) * last / ((last - 4) * (last - 2) * length))
    return p - lr * mean * rectified * math.sqrt(correction) / (np.sqrt(v) + eps), after


def schedule_free_adamw(
    p: Array,
    g: Array,
    state: State,
    lr: float = 2.5e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    warmup_steps: float = 0,
) -> tuple[Array, State]:
    """The authors' form, which keeps y and z alone and the sum of the weights."""
    t, z = state.get("step", 0) + 1, state.get("z", p)
    rate = lr * min(1.0, t / warmup_steps) if warmup_steps else lr
    total = state.get("total", 0.0) + rate**2
    share = rate**2 / total
    v = betas[1] * state.get("exp_avg_sq", 0.0) + (1 - betas[1]) * g * g
    d = g / (np.sqrt(v / (1 - betas[1] ** t)) + eps) + weight_decay * p
    p = p + share * (z - p) + rate * (betas[0] * (1 - share) - 1) * d
    return p, State(step=t, z=z - rate * d, exp_avg_sq=v, total=total)


def lion(
    p: Array,
    g: Array,
    state: State,
    lr: float = 1e-4,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
) -> tuple[Array, State]:
    m = state.get("exp_avg", 0.0)
    p = p * (1 - lr * weight_decay) - lr * np.sign(betas[0] * m + (1 - betas[0]) * g)
    return p, {"exp_avg": betas[1] * m + (1 - betas[1]) * g}


def adagrad(
    p: Array,
    g: Array,
    state: State,
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
) -> tuple[Array, State]:
    t, d = state.get("step", 0) + 1, g + weight_decay * p
    total = state.get("sum", initial_accumulator_value) + d * d
    return p - lr / (1 + (t - 1) * lr_decay) * d / (np.sqrt(total) + eps), {"step": t, "sum": total}


def adadelta(
    p: Array,
    g: Array,
    state: State,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> tuple[Array, State]:
    d = g + weight_decay * p
    v = rho * state.get("square_avg", 0.0) + (1 - rho) * d * d
    u = state.get("acc_delta", 0.0)
    delta = np.sqrt(u + eps) / np.sqrt(v + eps) * d
    return p - lr * delta, {"square_avg": v, "acc_delta": rho * u + (1 - rho) * delta * delta}


def rmsprop(
    p: Array,
    g: Array,
    state: State,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
) -> tuple[Array, State]:
    d = g + weight_decay * p
    after = {"square_avg": alpha * state.get("square_avg", 0.0) + (1 - alpha) * d * d}
    variance = after["square_avg"]
    if centered:
        after["grad_avg"] = alpha * state.get("grad_avg", 0.0) + (1 - alpha) * d
        variance = variance - after["grad_avg"] ** 2
    along = d / (np.sqrt(variance) + eps)
    if momentum:
        along = after["momentum_buffer"] = momentum * state.get("momentum_buffer", 0.0) + along
    return p - lr * along, after


def rprop(
    p: Array,
    g: Array,
    state: State,
    lr: float = 1e-2,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float, float] = (1e-6, 50.0),
) -> tuple[Array, State]:
    agreement = np.sign(g * state.get("prev", 0.0))
    factor = np.where(agreement > 0, etas[1], np.where(agreement < 0, etas[0], 1.0))
    size = np.clip(state.get("step_size", lr) * factor, *step_sizes)
    g = np.where(agreement < 0, 0.0, g)
    return p - np.sign(g) * size, {"prev": g, "step_size": size}


def ftrl(
    p: Array,
    g: Array,
    state: State,
    lr: float = 1e-3,
    initial_accumulator_value: float = 0.1,
    l1_regularization_strength: float = 0.0,
    l2_regularization_strength: float = 0.0,
    l2_shrinkage_regularization_strength: float = 0.0,
    beta: float = 0.0,
) -> tuple[Array, State]:
    n, l1 = state.get("accumulator", initial_accumulator_value), l1_regularization_strength
    after = n + g * g
    z = state.get("linear", 0.0) + g + 2 * l2_shrinkage_regularization_strength * p
    z = z - g * g / (np.sqrt(after) + np.sqrt(n)) / lr * p  # the difference of the roots, without its cancellation
    p = np.where(abs(z) <= l1, 0.0, np.sign(z) * l1 - z)
    p = p / ((beta + np.sqrt(after)) / lr + 2 * l2_regularization_strength)
    return p, {"accumulator": after, "linear": z}


def clipped(gradients: list[Array], norm: float = math.inf, value: float = math.inf) -> list[Array]:
    """As by torch.nn.utils.clip_grad_norm_, then by clip_grad_value_."""
    size = math.sqrt(sum(float(np.sum(g * g)) for g in gradients))
    return [np.clip(g * min(1, norm / (size + 1e-6)), -value, value) for g in gradients]


MOMENTS = ({}, {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-3}, {"lr": 0.1, "weight_decay": 0.1})
DECOUPLED = {"lr": 0.1, "weight_decay": 0.5, "decoupled_weight_decay": True}

OPTIMIZERS: dict[str, Optimizer] = {
    "gd": Optimizer(gd, settings=({}, {"lr": 0.5, "weight_decay": 0.1}), torch="SGD"),
    "sgd": Optimizer(
        sgd,
        settings=(
            {},
            {"lr": 0.1, "weight_decay": 0.01},
            {"lr": 0.1, "momentum": 0.9},
            {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.01},
            {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True},
        ),
        torch="SGD",
    ),
    "adam": Optimizer(
        adam,
        settings=(*MOMENTS, {"amsgrad": True}, {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True}),
        torch="Adam",
    ),
    "adamw": Optimizer(
        adamw,
        settings=(*MOMENTS, {"amsgrad": True}, {"lr": 0.1, "weight_decay": 0.5, "amsgrad": True}),
        torch="AdamW",
    ),
    "adamax": Optimizer(adamax, settings=MOMENTS, torch="Adamax"),
    "nadam": Optimizer(
        nadam, settings=(*MOMENTS, {"momentum_decay": 0.3, "betas": (0.5, 0.9)}, DECOUPLED), torch="NAdam"
    ),
    "radam": Optimizer(radam, settings=(*MOMENTS, {"betas": (0.9, 0.7)}, DECOUPLED), torch="RAdam"),
    "schedule_free_adamw": Optimizer(
        schedule_free_adamw,
        settings=({}, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "warmup_steps": 3}),
    ),
    "lion": Optimizer(lion, settings=({}, {"lr": 0.1, "betas": (0.8, 0.7), "weight_decay": 0.1})),
    "adagrad": Optimizer(
        adagrad,
        settings=({}, {"lr": 0.1, "lr_decay": 0.5, "weight_decay": 0.1, "initial_accumulator_value": 0.3, "eps": 1e-4}),
        torch="Adagrad",
    ),
    "adadelta": Optimizer(
        adadelta, settings=({}, {"lr": 0.5, "rho": 0.7, "eps": 1e-2, "weight_decay": 0.1}), torch="Adadelta"
    ),
    "rmsprop": Optimizer(
        rmsprop,
        settings=(
            {},
            {"lr": 0.1, "alpha": 0.8, "eps": 1e-3, "weight_decay": 0.1},
            {"lr": 0.1, "momentum": 0.9},
            {"lr": 0.1, "centered": True, "eps": 1e-3},
            {"lr": 0.1, "momentum": 0.9, "centered": True, "eps": 1e-3, "weight_decay": 0.1},
        ),
        torch="RMSprop",
    ),
    "rprop": Optimizer(
        rprop, settings=({}, {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.05, 0.12)}), torch="Rprop"
    ),
    "ftrl": Optimizer(
        ftrl,
        settings=(
            {},
            {"lr": 0.5},
            {
                "lr": 0.1,
                "initial_accumulator_value": 0.4,
                "l1_regularization_strength": 0.5,
                "l2_regularization_strength": 0.1,
                "l2_shrinkage_regularization_strength": 0.2,
                "beta": 0.3,
            },
        ),
        ulps=128,  # of `linear`, a sum whose terms are 1 / lr times as large as a gradient
    ),
}
