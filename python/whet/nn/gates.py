"""Layers that weigh a row, by another part of it, by itself, or by what is learnt."""

from __future__ import annotations

import math
from typing import Any

from whet._checks import as_count, as_flag, as_number
from whet.nn import functional
from whet.nn.init import Constant, Normal, Uniform
from whet.nn.layers import Linear
from whet.nn.module import Module
from whet.nn.parameter import Parameter
from whet.nn.tracing import Value

__all__ = ["GLU", "Bilinear", "LogSoftmax", "NTKLinear", "PReLU", "Scale", "Softmax", "SwiGLU"]


class GLU(Module):
    """a * sigmoid(b) for the two halves of the last axis (Dauphin et al., ICML 2017), as torch.nn.GLU."""

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        width = x.shape[-1]
        if width % 2:
            raise ValueError(f"[GLU] expected an even number of features, got {width}")
        return x[..., : width // 2] * x[..., width // 2 :].apply("sigmoid")


class SwiGLU(Module):
    """W3 (silu(W1 x) * W2 x), the gated unit of Shazeer, "GLU variants improve transformer", 2020.

    Args:
        in_features: Width of the input.
        hidden_features: Width of the gate.
        out_features: Width of the output; if None, that of the input.
        bias: Whether the three linear layers have a bias.
    """

    def __init__(
        self, in_features: int, hidden_features: int, out_features: int | None = None, bias: bool = True
    ) -> None:
        self.in_features = as_count(in_features, "SwiGLU", "in_features")
        self.hidden_features = as_count(hidden_features, "SwiGLU", "hidden_features")
        self.out_features = self.in_features if out_features is None else as_count(out_features, "SwiGLU", "out")
        self.w1 = Linear(self.in_features, self.hidden_features, bias)
        self.w2 = Linear(self.in_features, self.hidden_features, bias)
        self.w3 = Linear(self.hidden_features, self.out_features, bias)

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return self.w3(self.w1(x).apply("silu") * self.w2(x))

    def _arguments(self) -> dict[str, Any]:
        names = ("in_features", "hidden_features", "out_features")
        return {**{name: getattr(self, name) for name in names}, "bias": self.w1.bias is not None}


class PReLU(Module):
    """x above zero, weight * x below, with a weight that is learnt (He et al., ICCV 2015), as torch.nn.PReLU.

    Args:
        num_parameters: 1, or the number of features for a weight of each.
        init: The weight at first.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        self.num_parameters = as_count(num_parameters, "PReLU", "num_parameters")
        self.init = as_number(init, "PReLU", "init")
        self.weight = Parameter((self.num_parameters,), Constant(self.init))

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return functional.where(x > 0.0, x, x * self.weight)

    def _arguments(self) -> dict[str, Any]:
        return {"num_parameters": self.num_parameters, "init": self.init}


class NTKLinear(Module):
    """y = x W^T / sqrt(in_features) + b with W normal: the neural tangent parametrisation (Jacot, Gabriel and Hongler,
    NeurIPS 2018), as RealMLP's linear layers have it.

    Args:
        in_features: Width of the input.
        out_features: Width of the output.
        bias: Whether there is a b (out_features,), normal like W.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        self.in_features = as_count(in_features, "NTKLinear", "in_features")
        self.out_features = as_count(out_features, "NTKLinear", "out_features")
        self.weight = Parameter((self.out_features, self.in_features), Normal(0.0, 1.0))
        has_bias = as_flag(bias, "NTKLinear", "bias")
        self.bias = Parameter((self.out_features,), Normal(0.0, 1.0)) if has_bias else None

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return (x * (1 / math.sqrt(self.in_features))).apply("linear", parameters=[self.weight, self.bias])

    def _arguments(self) -> dict[str, Any]:
        sizes = {"in_features": self.in_features, "out_features": self.out_features}
        return {**sizes, "bias": self.bias is not None}


class Scale(Module):
    """weight * x, with a weight for each feature.

    Args:
        features: Width of a row.
        init: The weight at first.
    """

    def __init__(self, features: int, init: float = 1.0) -> None:
        self.features = as_count(features, "Scale", "features")
        self.init = as_number(init, "Scale", "init")
        self.weight = Parameter((self.features,), Constant(self.init))

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return x * self.weight

    def _arguments(self) -> dict[str, Any]:
        return {"features": self.features, "init": self.init}


class Bilinear(Module):
    """y = x1^T W x2 + b of two values, as torch.nn.Bilinear.

    Args:
        in1_features: Width of x1.
        in2_features: Width of x2.
        out_features: Width of the output.
        bias: Whether there is a b (out_features,) besides W (out_features, in1_features, in2_features).
    """

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True) -> None:
        self.in1_features = as_count(in1_features, "Bilinear", "in1_features")
        self.in2_features = as_count(in2_features, "Bilinear", "in2_features")
        self.out_features = as_count(out_features, "Bilinear", "out_features")
        bound = 1 / math.sqrt(self.in1_features)
        drawn = Uniform(-bound, bound)
        self.weight = Parameter((self.out_features, self.in1_features, self.in2_features), drawn)
        self.bias = Parameter((self.out_features,), drawn) if as_flag(bias, "Bilinear", "bias") else None

    def forward(self, x1: Value, x2: Value) -> Value:
        """See `Module.forward`."""
        products = x1.apply("grouped_linear", parameters=[self.weight]) * x2
        y = products.sum(axis=-1)
        return y if self.bias is None else y + self.bias

    def _arguments(self) -> dict[str, Any]:
        sizes = {name: getattr(self, name) for name in ("in1_features", "in2_features", "out_features")}
        return {**sizes, "bias": self.bias is not None}


class Softmax(Module):
    """exp(x) / sum(exp(x)) over the last axis, as torch.nn.Softmax(dim=-1)."""

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return functional.softmax(x)


class LogSoftmax(Module):
    """x - log(sum(exp(x))) over the last axis, as torch.nn.LogSoftmax(dim=-1)."""

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return functional.log_softmax(x)
