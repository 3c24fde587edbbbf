"""Elementwise functions: whet's as formulas of tensors, and which of them ONNX has as one operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from whet import _core
from whet.export.onnx.tensors import Tensor, where

__all__ = ["NAMED", "Named", "activation", "defaults"]


class Named(NamedTuple):
    """An operation of ONNX that is one of whet's functions.

    Attributes:
        op: Its name.
        given: Its attributes, each with the option of whet's that it has the value of.
        fixed: Attributes that have to have these values.
        only: Options of whet's that have to have these values.
        wide: Whether onnxruntime has it for float64.
    """

    op: str
    given: Mapping[str, str] = {}
    fixed: Mapping[str, Any] = {}
    only: Mapping[str, Any] = {}
    wide: bool = False


NAMED: dict[str, Named] = {
    "identity": Named("Identity", wide=True),
    "relu": Named("Relu", wide=True),
    "leaky_relu": Named("LeakyRelu", {"alpha": "negative_slope"}),
    "elu": Named("Elu", {"alpha": "alpha"}),
    "gelu": Named("Gelu", fixed={"approximate": "none"}),
    "gelu_tanh": Named("Gelu", fixed={"approximate": "tanh"}),
    "tanh": Named("Tanh", wide=True),
    "sigmoid": Named("Sigmoid", wide=True),
    "softplus": Named("Softplus", only={"beta": 1.0, "threshold": 20.0}),
    "celu": Named("Celu", {"alpha": "alpha"}),
    "selu": Named("Selu", fixed={"alpha": 1.67326324235437728482, "gamma": 1.05070098735548049342}),
    "mish": Named("Mish"),
    "softsign": Named("Softsign"),
    "hardshrink": Named("Shrink", {"lambd": "lambd"}, {"bias": 0.0}, wide=True),
    "softshrink": Named("Shrink", {"lambd": "lambd", "bias": "lambd"}, wide=True),
    "hardsigmoid": Named("HardSigmoid", fixed={"alpha": 1 / 6, "beta": 0.5}),
    "hardswish": Named("HardSwish"),
    "threshold": Named("ThresholdedRelu", {"alpha": "threshold"}, only={"value": 0.0}),
    "exp": Named("Exp", wide=True),
    "log": Named("Log", wide=True),
    "sqrt": Named("Sqrt", wide=True),
    "abs": Named("Abs", wide=True),
    "reciprocal": Named("Reciprocal", wide=True),
    "sin": Named("Sin", wide=True),
    "cos": Named("Cos", wide=True),
}


def _above_zero(x: Tensor, below: Tensor) -> Tensor:
    """X above zero, else another value of it."""
    return where(x > 0.0, x, below)


def _expm1(x: Tensor) -> Tensor:
    """exp(x) - 1 at or below zero."""
    return x.minimum(0.0).apply("Exp") - 1.0


def _softplus(x: Tensor, beta: float, threshold: float) -> Tensor:
    z = x * beta
    soft = (z.maximum(0.0) + ((-abs(z)).apply("Exp") + 1.0).apply("Log")) / beta
    return where(z > threshold, x, soft)


def _hardsigmoid(x: Tensor) -> Tensor:
    return (x + 3.0).maximum(0.0).minimum(6.0) * (1 / 6)


def _mish(x: Tensor) -> Tensor:
    e = x.minimum(20.0).apply("Exp")
    w = e * (e + 2.0)
    return x * (w / (w + 2.0))


def _gelu(x: Tensor) -> Tensor:
    # onnxruntime has erf for float32 alone.
    erf = (x * 0.7071067811865476).cast("float32").apply("Erf").cast(x.dtype)
    return x * 0.5 * (erf + 1.0)


def _gelu_tanh(x: Tensor) -> Tensor:
    inner = (x * x * x * 0.044715 + x) * 0.7978845608028654
    return x * 0.5 * (inner.apply("Tanh") + 1.0)


#: Of those that are no operation of ONNX, or none of float64.
_FORMULAS: dict[str, Callable[..., Tensor]] = {
    "leaky_relu": lambda x, negative_slope: _above_zero(x, x * negative_slope),
    "elu": lambda x, alpha: _above_zero(x, _expm1(x) * alpha),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": lambda x: x * x.apply("Sigmoid"),
    "softplus": _softplus,
    "celu": lambda x, alpha: _above_zero(x, ((x / alpha).apply("Exp") - 1.0) * alpha),
    "selu": lambda x: _above_zero(x, _expm1(x) * 1.67326324235437728482) * 1.05070098735548049342,
    "mish": _mish,
    "log_sigmoid": lambda x: x.minimum(0.0) - ((-abs(x)).apply("Exp") + 1.0).apply("Log"),
    "softsign": lambda x: x / (abs(x) + 1.0),
    "tanhshrink": lambda x: x - x.apply("Tanh"),
    "hardshrink": lambda x, lambd: where(abs(x) <= lambd, 0.0, x),
    "softshrink": lambda x, lambd: x - x.maximum(-lambd).minimum(lambd),
    "hardtanh": lambda x, min_val, max_val: x.clip(min_val, max_val),
    "hardsigmoid": _hardsigmoid,
    "hardswish": lambda x: x * _hardsigmoid(x),
    "threshold": lambda x, threshold, value: where(x <= threshold, value, x),
    "square": lambda x: x * x,
    "affine": lambda x, scale, shift: (x if scale == 1 else x * scale) + shift if shift else x * scale,
}


def defaults() -> dict[str, dict[str, float]]:
    """The options of each of whet's elementwise functions."""
    return {str(each["name"]): dict(each["options"]) for each in _core.activations()}


def activation(name: str, x: Tensor, options: Mapping[str, float]) -> Tensor:
    """One of whet's elementwise functions: as ONNX's operation where onnxruntime has it, else as a formula."""
    named = NAMED.get(name)
    fits = named is not None and all(options[option] == value for option, value in named.only.items())
    if named is not None and fits and (named.wide or x.dtype == "float32"):
        given: dict[str, Any] = {attribute: options[option] for attribute, option in named.given.items()}
        return x.apply(named.op, **given, **named.fixed)
    return _FORMULAS[name](x, **options)
