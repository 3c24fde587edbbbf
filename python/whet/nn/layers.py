"""Layers that are no activations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from whet._checks import as_count, as_flag, as_number
from whet.nn import init
from whet.nn.module import Module
from whet.nn.parameter import Parameter
from whet.nn.tracing import Value
from whet.schedules import Schedule

__all__ = ["AlphaDropout", "Dropout", "Flatten", "Linear", "Reshape", "Unflatten"]


class Linear(Module):
    """y = x W^T + b, as torch.nn.Linear.

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        bias: Whether there is a b.
        weight_init: How W (out_features, in_features) is drawn; if None, uniform within 1 / sqrt(in_features).
        bias_init: How b (out_features,) is drawn; likewise.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        weight_init: str | init.Initializer | None = None,
        bias_init: str | init.Initializer | None = None,
    ) -> None:
        self.in_features = as_count(in_features, "Linear", "in_features")
        self.out_features = as_count(out_features, "Linear", "out_features")
        self._given = {
            name: init.get(value)
            for name, value in (("weight_init", weight_init), ("bias_init", bias_init))
            if value is not None
        }
        has_bias = as_flag(bias, "Linear", "bias")
        bound = 1 / math.sqrt(self.in_features)
        default = init.Uniform(-bound, bound)
        self.weight = Parameter((self.out_features, self.in_features), self._given.get("weight_init", default))
        self.bias = Parameter((self.out_features,), self._given.get("bias_init", default)) if has_bias else None

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return x.apply("linear", parameters=[self.weight, self.bias])

    def _arguments(self) -> dict[str, Any]:
        sizes = {"in_features": self.in_features, "out_features": self.out_features, "bias": self.bias is not None}
        return {**sizes, **self._given}


class Dropout(Module):
    """While training, zero with probability p and x / (1 - p) otherwise, as torch.nn.Dropout; else x itself.

    What is dropped is drawn from the seed of the fit or the Trainer, anew for every step, layer, row and feature.

    Args:
        p: The share of elements to drop, from 0 to 1: a number, or an object of whet.schedules for `fit`. A file keeps
            a schedule's first value.
    """

    def __init__(self, p: float | Schedule = 0.5) -> None:
        if isinstance(p, Schedule):
            p.check("Dropout", "p", 0, 1)
            self.p: float | Schedule = p
            return
        self.p = as_number(p, "Dropout", "p")
        if not 0 <= self.p <= 1:
            raise ValueError(f"[Dropout] expected p from 0 to 1, got {p}")

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        if isinstance(self.p, Schedule):
            return x.apply("dropout", p=self.p.first, number=x._trace.number(self.p))
        return x.apply("dropout", p=self.p)

    def _arguments(self) -> dict[str, Any]:
        return {"p": self.p}


class AlphaDropout(Module):
    """Dropout that keeps mean and variance of what SELU makes, as torch.nn.AlphaDropout.

    While training, a x + b, with probability p of a SELU's lower limit in the place of x (Klambauer et al.,
    "Self-normalizing neural networks", NeurIPS 2017); else x itself.

    Args:
        p: The share of elements to drop, from 0 to below 1.
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = as_number(p, "AlphaDropout", "p", low=0, high=1)

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return x.apply("alpha_dropout", p=self.p)

    def _arguments(self) -> dict[str, Any]:
        return {"p": self.p}


def _sizes(value: Sequence[int], where: str, name: str) -> tuple[int, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"[{where}] expected {name} to be a sequence of sizes, got {value!r}")
    return tuple(-1 if size == -1 else as_count(size, where, f"each size of {name}") for size in value)


class Flatten(Module):
    """Each row as one axis, as torch.nn.Flatten."""

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return x.flatten()


class Unflatten(Module):
    """One axis as several, as torch.nn.Unflatten.

    Args:
        dim: The axis; 0 would be the rows.
        unflattened_size: The sizes that it becomes, of which one may be -1.
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        if isinstance(dim, bool) or not isinstance(dim, int) or dim == 0:
            raise ValueError(f"[Unflatten] expected dim to be an axis behind the rows, got {dim!r}")
        self.dim = dim
        self.unflattened_size = _sizes(unflattened_size, "Unflatten", "unflattened_size")

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        axis = self.dim - 1 if self.dim > 0 else len(x.shape) + self.dim
        if not 0 <= axis < len(x.shape):
            raise ValueError(f"[Unflatten] expected one of the axes of rows of shape {x.shape}, got dim {self.dim}")
        sizes = list(self.unflattened_size)
        if sizes.count(-1) == 1:
            sizes[sizes.index(-1)] = x.shape[axis] // max(1, -math.prod(sizes))
        if math.prod(sizes) != x.shape[axis]:
            raise ValueError(f"[Unflatten] expected sizes that make {x.shape[axis]}, got {self.unflattened_size}")
        return x.reshape(*x.shape[:axis], *sizes, *x.shape[axis + 1 :])

    def _arguments(self) -> dict[str, Any]:
        return {"dim": self.dim, "unflattened_size": self.unflattened_size}


class Reshape(Module):
    """Each row in another shape, as keras.layers.Reshape.

    Args:
        target_shape: One to three sizes, of which one may be -1.
    """

    def __init__(self, target_shape: Sequence[int]) -> None:
        self.target_shape = _sizes(target_shape, "Reshape", "target_shape")

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return x.reshape(*self.target_shape)

    def _arguments(self) -> dict[str, Any]:
        return {"target_shape": self.target_shape}
