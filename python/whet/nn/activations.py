"""Activations as layers, with PyTorch's names, arguments and defaults.

To add one of the core's list, a class with its name in the core and its options is enough.
"""

from __future__ import annotations

from typing import Any, ClassVar

from whet._checks import as_number
from whet.nn.module import Module
from whet.nn.tracing import Value

__all__ = ["ELU", "GELU", "Activation", "Identity", "LeakyReLU", "ReLU", "SiLU", "Sigmoid", "Softplus", "Tanh", "get"]


class Activation(Module):
    """A function of each element. ``op`` names it in the core."""

    op: ClassVar[str]

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return x.apply(self.op, **self._arguments())


class Identity(Activation):
    """x itself."""

    op = "identity"


class ReLU(Activation):
    """max(x, 0)."""

    op = "relu"


class LeakyReLU(Activation):
    """x above zero, negative_slope * x below."""

    op = "leaky_relu"

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = as_number(negative_slope, "LeakyReLU", "negative_slope")

    def _arguments(self) -> dict[str, Any]:
        return {"negative_slope": self.negative_slope}


class ELU(Activation):
    """x above zero, alpha * (exp(x) - 1) below (Clevert et al., ICLR 2016)."""

    op = "elu"

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = as_number(alpha, "ELU", "alpha")

    def _arguments(self) -> dict[str, Any]:
        return {"alpha": self.alpha}


class GELU(Activation):
    """x * Phi(x) (Hendrycks and Gimpel, 2016); with ``approximate="tanh"`` its approximation by tanh."""

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"[GELU] expected approximate 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return x.apply("gelu" if self.approximate == "none" else "gelu_tanh")

    def _arguments(self) -> dict[str, Any]:
        return {"approximate": self.approximate}


class SiLU(Activation):
    """x * sigmoid(x)."""

    op = "silu"


class Tanh(Activation):
    """The hyperbolic tangent."""

    op = "tanh"


class Sigmoid(Activation):
    """1 / (1 + exp(-x))."""

    op = "sigmoid"


class Softplus(Activation):
    """log(1 + exp(beta x)) / beta, and x itself where beta x is above the threshold."""

    op = "softplus"

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = as_number(beta, "Softplus", "beta")
        self.threshold = as_number(threshold, "Softplus", "threshold")
        if self.beta <= 0:
            raise ValueError(f"[Softplus] expected beta above 0, got {beta}")

    def _arguments(self) -> dict[str, Any]:
        return {"beta": self.beta, "threshold": self.threshold}


_BY_NAME: dict[str, type[Activation]] = {
    **{cls.op: cls for cls in (Identity, ReLU, LeakyReLU, ELU, SiLU, Tanh, Sigmoid, Softplus)},
    "gelu": GELU,
}


def get(name: str) -> Activation:
    """The activation of that name, such as "relu", with its defaults.

    Raises:
        TypeError: If `name` is no string.
        ValueError: If there is none of that name; the message lists the valid ones.
    """
    if not isinstance(name, str):
        raise TypeError(f"[activation] expected a string, got {type(name).__name__}")
    if name == "gelu_tanh":
        return GELU("tanh")
    if name not in _BY_NAME:
        raise ValueError(f"[activation] expected one of {', '.join([*_BY_NAME, 'gelu_tanh'])}, got '{name}'")
    return _BY_NAME[name]()
