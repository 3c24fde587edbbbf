"""Activations as layers, with PyTorch's names, arguments and defaults.

To add one of the core's list: a class with its name in the core and its options, and its place in ``__all__``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from whet._checks import as_number
from whet.nn.module import Module
from whet.nn.tracing import Value

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


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


class CELU(Activation):
    """x above zero, alpha * (exp(x / alpha) - 1) below (Barron, 2017)."""

    op = "celu"

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = as_number(alpha, "CELU", "alpha")
        if self.alpha == 0:
            raise ValueError("[CELU] expected alpha other than 0")

    def _arguments(self) -> dict[str, Any]:
        return {"alpha": self.alpha}


class SELU(Activation):
    """1.0507 x above zero, 1.0507 * 1.6733 * (exp(x) - 1) below (Klambauer et al., NeurIPS 2017)."""

    op = "selu"


class Mish(Activation):
    """x * tanh(softplus(x)) (Misra, BMVC 2020)."""

    op = "mish"


class LogSigmoid(Activation):
    """log(sigmoid(x)), without overflow."""

    op = "log_sigmoid"


class Softsign(Activation):
    """x / (1 + abs(x))."""

    op = "softsign"


class Tanhshrink(Activation):
    """x - tanh(x)."""

    op = "tanhshrink"


class Hardshrink(Activation):
    """x, and 0 from -lambd to lambd."""

    op = "hardshrink"

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = as_number(lambd, "Hardshrink", "lambd")

    def _arguments(self) -> dict[str, Any]:
        return {"lambd": self.lambd}


class Softshrink(Activation):
    """x moved towards zero by lambd, and 0 from -lambd to lambd."""

    op = "softshrink"

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = as_number(lambd, "Softshrink", "lambd", low=0)

    def _arguments(self) -> dict[str, Any]:
        return {"lambd": self.lambd}


class Hardtanh(Activation):
    """x, no less than min_val and no more than max_val."""

    op = "hardtanh"

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        self.min_val = as_number(min_val, "Hardtanh", "min_val")
        self.max_val = as_number(max_val, "Hardtanh", "max_val")
        if self.min_val > self.max_val:
            raise ValueError(f"[Hardtanh] expected min_val of at most max_val, got {min_val} and {max_val}")

    def _arguments(self) -> dict[str, Any]:
        return {"min_val": self.min_val, "max_val": self.max_val}


class ReLU6(Hardtanh):
    """x, no less than 0 and no more than 6."""

    def __init__(self) -> None:
        super().__init__(0.0, 6.0)

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return x.apply(self.op, **super()._arguments())

    def _arguments(self) -> dict[str, Any]:
        return {}


class Hardsigmoid(Activation):
    """x / 6 + 1 / 2, no less than 0 and no more than 1."""

    op = "hardsigmoid"


class Hardswish(Activation):
    """x * hardsigmoid(x) (Howard et al., ICCV 2019)."""

    op = "hardswish"


class Threshold(Activation):
    """x above the threshold, else value."""

    op = "threshold"

    def __init__(self, threshold: float, value: float) -> None:
        self.threshold = as_number(threshold, "Threshold", "threshold")
        self.value = as_number(value, "Threshold", "value")

    def _arguments(self) -> dict[str, Any]:
        return {"threshold": self.threshold, "value": self.value}


#: Those that need no arguments.
_BY_NAME: dict[str, type[Activation]] = {
    **{cls.op: cls for cls in map(globals().__getitem__, __all__) if "op" in vars(cls) and cls is not Threshold},
    "gelu": GELU,
    "relu6": ReLU6,
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
