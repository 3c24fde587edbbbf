"""Functions of traced values, with PyTorch's names: what ``forward`` may use besides layers and operators."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

from whet._checks import as_count
from whet.nn.parameter import Parameter
from whet.nn.tracing import Operand, Value, concatenate

__all__ = [
    "abs",
    "clamp",
    "concatenate",
    "cos",
    "exp",
    "log",
    "log_softmax",
    "logsumexp",
    "maximum",
    "minimum",
    "one_hot",
    "sin",
    "softmax",
    "sqrt",
    "square",
    "stack",
    "where",
]


def _value(x: Value, name: str) -> Value:
    if not isinstance(x, Value):
        raise TypeError(f"[{name}] expected a traced value, got {type(x).__name__}")
    return x


def exp(x: Value) -> Value:
    """E to the power of x."""
    return _value(x, "exp").apply("exp")


def log(x: Value) -> Value:
    """The natural logarithm."""
    return _value(x, "log").apply("log")


def sqrt(x: Value) -> Value:
    """The square root."""
    return _value(x, "sqrt").apply("sqrt")


def square(x: Value) -> Value:
    """x^2."""
    return _value(x, "square").apply("square")


def abs(x: Value) -> Value:
    """|x|."""
    return _value(x, "abs").apply("abs")


def sin(x: Value) -> Value:
    """The sine of radians."""
    return _value(x, "sin").apply("sin")


def cos(x: Value) -> Value:
    """The cosine of radians."""
    return _value(x, "cos").apply("cos")


def maximum(a: Value, b: Operand) -> Value:
    """The larger of two, element by element; equal ones share the gradient."""
    return _value(a, "maximum").maximum(b)


def minimum(a: Value, b: Operand) -> Value:
    """The smaller of two, element by element; equal ones share the gradient."""
    return _value(a, "minimum").minimum(b)


def clamp(x: Value, min: Operand | None = None, max: Operand | None = None) -> Value:
    """x, but no less than `min` and no more than `max`."""
    if min is not None:
        x = maximum(x, min)
    return x if max is None else minimum(x, max)


def where(condition: Value, a: Operand, b: Operand) -> Value:
    """`a` where the condition, such as ``x > 0``, holds, else `b`; it has the shape of the result."""
    trace = _value(condition, "where")._trace

    def traced(operand: Operand) -> Value:
        if isinstance(operand, Value):
            return operand
        if isinstance(operand, Parameter):
            return trace.apply("constant", [], [], {"value": 0.0}) + operand
        if isinstance(operand, bool) or not isinstance(operand, Real):
            raise TypeError(
                f"[where] expected a traced value, a parameter or a number, got {type(operand).__name__}{trace.place()}"
            )
        return trace.apply("constant", [], [], {"value": float(operand)})

    return condition.apply("where", [traced(a), traced(b)])


def one_hot(x: Value, num_classes: int) -> Value:
    """A row's class, a whole number in one element, as `num_classes` zeros and a one."""
    classes = range(as_count(num_classes, "one_hot", "num_classes"))
    return concatenate([_value(x, "one_hot") == float(i) for i in classes])


def logsumexp(x: Value) -> Value:
    """log(sum(exp(x))) over the last axis, which becomes one element."""
    return _value(x, "logsumexp").apply("logsumexp")


def log_softmax(x: Value) -> Value:
    """log(exp(x) / sum(exp(x))) over the last axis."""
    return x - logsumexp(x)


def softmax(x: Value) -> Value:
    """exp(x) / sum(exp(x)) over the last axis."""
    return exp(log_softmax(x))


def stack(values: Sequence[Value]) -> Value:
    """Values of shape (rows, n) as one of shape (rows, len(values), n)."""
    if not values:
        raise ValueError("[stack] expected at least one value, got none")
    return concatenate([_value(v, "stack").reshape(1, *v.shape) for v in values], axis=1)
