"""Layers with parameters."""

from __future__ import annotations

import math
from typing import Any

from whet.nn import init
from whet.nn.module import Module
from whet.nn.parameter import Parameter
from whet.nn.tracing import Value

__all__ = ["Linear"]


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
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            check_size(value, "Linear", name)
        self.in_features = int(in_features)
        self.out_features = int(out_features)
        self._given = {
            name: init.get(value)
            for name, value in (("weight_init", weight_init), ("bias_init", bias_init))
            if value is not None
        }
        bound = 1 / math.sqrt(in_features)
        default = init.Uniform(-bound, bound)
        self.weight = Parameter((out_features, in_features), self._given.get("weight_init", default))
        self.bias = Parameter((out_features,), self._given.get("bias_init", default)) if bias else None

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return x.apply("linear", parameters=[self.weight] if self.bias is None else [self.weight, self.bias])

    def _arguments(self) -> dict[str, Any]:
        sizes = {"in_features": self.in_features, "out_features": self.out_features, "bias": self.bias is not None}
        return {**sizes, **self._given}


def check_size(value: object, where: str, name: str) -> None:
    """Raises TypeError or ValueError unless `value` is an integer of at least one."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"[{where}] expected {name} to be an integer, got {type(value).__name__}")
    if value.__index__() < 1:
        raise ValueError(f"[{where}] expected {name} to be at least 1, got {value}")
