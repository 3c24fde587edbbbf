"""The operations of ONNX that whet has, on traced values."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, TypeAlias

import numpy as np

from whet.export.onnx.activations import NAMED
from whet.export.onnx.erf import Erf, added, erf, multiplied
from whet.export.onnx.operations import GROUPED, GROUPED_SHARED
from whet.export.onnx.values import Data, Fixed, Step, behind_rows
from whet.nn import Parameter, Value, concatenate, functional

__all__ = ["KNOWN"]

Result: TypeAlias = "Data | Erf"


def _same(step: Step) -> Result:
    return step.data


# Products


def _gemm(step: Step) -> Result:
    alpha, beta = step.attributes["alpha"], step.attributes["beta"]
    transposed = int(not step.attributes["transB"])
    if step.attributes["transA"]:
        raise ValueError("expected transA=0: rows stay rows")
    x = step.x if alpha == 1 else step.x * alpha
    width = step.fixed(1).array.shape[transposed]
    bias = None if step.operand(2) is None else step.side(2, 2)
    if isinstance(bias, Parameter) and bias.shape == (width,) and beta == 1:
        return Data(x.apply("linear", parameters=[step.weight(1), bias], transposed=transposed))
    y = x.apply("linear", parameters=[step.weight(1)], transposed=transposed)
    if bias is None or beta == 0:
        return Data(y)
    if beta != 1 and isinstance(bias, Parameter):
        raise ValueError(f"expected beta=1 beside a bias, got {beta}")
    return Data(y + bias)


def _matmul(step: Step) -> Result:
    weight = step.fixed(1)
    if weight.array.ndim != 2:
        raise ValueError(f"expected a matrix as operand 2, got shape {weight.array.shape}")
    if weight.transposed is not None:
        return Data(step.x.apply("linear", parameters=[step.parameters[weight.transposed.name]]))
    return Data(step.x @ step.weight(1))


def _einsum(step: Step) -> Result:
    equation = str(step.attributes["equation"]).replace(" ", "")
    if equation not in (GROUPED, GROUPED_SHARED):
        raise ValueError(f"expected the equation {GROUPED} or {GROUPED_SHARED}, got {equation}")
    return Data(step.x.apply("grouped_linear", parameters=[step.weight(1)]))


def _gather(step: Step) -> Result:
    """The rows of a table that indices name, or chosen elements of rows."""
    table, indices = step.operands
    if isinstance(table, Fixed) and isinstance(indices, Data):
        if table.array.ndim != 2 or step.attributes["axis"] != 0:
            raise ValueError(f"expected axis 0 of a matrix, got axis {step.attributes['axis']} of {table.array.shape}")
        vectors = indices.value.apply("embedding", parameters=[step.weight(0)])
        return Data(vectors.flatten() if indices.bare else vectors)
    axis, chosen = step.axis(), step.fixed(1).array
    places: list[Any] = [slice(None)] * step.data.rank
    places[axis] = [int(i) for i in chosen.ravel()]
    picked = step.x[tuple(places)]
    return Data(picked) if chosen.ndim else _without(picked, [axis])


# Arithmetic


def _elementwise(function: Callable[[Any, Any], Value], truth: bool = False) -> Callable[[Step], Result]:
    def apply(step: Step) -> Result:
        operands = [step.operand(i) for i in range(len(step.operands))]
        if any(isinstance(each, Erf) for each in operands):
            return _with_erf(step)
        present = [each for each in operands if isinstance(each, Data)]
        rank = max(each.rank for each in present)
        if len({each.rank for each in present}) > 1:
            raise ValueError(f"expected operands of equally many axes, got {[each.rank for each in present]}")
        sides = [step.side(i, rank) for i in range(len(operands))]
        made: Any = reduce(function, sides)
        return Data(made, "truth" if truth else "number", all(each.bare for each in present))

    return apply


def _with_erf(step: Step) -> Result:
    """A sum or a product with a part of GELU."""
    if len(step.operands) != 2 or step.op not in ("Add", "Mul"):
        raise ValueError("is no part of GELU, and erf is known in that alone")
    first, second = step.operands
    term, place = (first, 1) if isinstance(first, Erf) else (second, 0)
    assert isinstance(term, Erf)
    other = step.side(place, 1 + len(term.x.shape))
    made = added(term, other) if step.op == "Add" else multiplied(term, other)
    return made if isinstance(made, Erf) else Data(made)


def _erf(step: Step) -> Result:
    return erf(step.x)


def _divided(a: Any, b: Any) -> Value:
    """A number divides as its reciprocal does, which is faster."""
    quotient: Value = a * (1 / b) if isinstance(b, float) and b else a / b
    return quotient


def _larger(a: Any, b: Any) -> Value:
    value, other = (a, b) if isinstance(a, Value) else (b, a)
    return value.maximum(other)


def _smaller(a: Any, b: Any) -> Value:
    value, other = (a, b) if isinstance(a, Value) else (b, a)
    return value.minimum(other)


def _power(step: Step) -> Result:
    return Data(step.x ** float(step.fixed(1).array.item()), bare=step.data.bare)


def _where(step: Step) -> Result:
    condition, rank = step.value(0), step.data.rank
    made = functional.where(condition, step.side(1, rank), step.side(2, rank))
    return Data(made, bare=step.data.bare)


def _prelu(step: Step) -> Result:
    x, slope = step.x, step.side(1, step.data.rank)
    return Data(functional.where(x > 0.0, x, x * slope), bare=step.data.bare)


def _clip(step: Step) -> Result:
    low, high = step.number(1, "min"), step.number(2, "max")
    x = step.x
    if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
        return Data(x.apply("hardtanh", min_val=low, max_val=high), bare=step.data.bare)
    return Data(functional.clamp(x, low, high), bare=step.data.bare)


def _cast(step: Step) -> Result:
    """Of 0 and 1 to numbers and back, and of numbers to indices."""
    to, first = np.dtype(step.attributes["to"]), step.operands[0]
    if isinstance(first, Erf) and to.kind == "f":
        return first
    data = step.data
    if to.kind == "f":
        return Data(data.value, "number", data.bare)
    if to.kind == "b":
        return data if data.kind == "truth" else Data(abs(step.x) > 0.0, "truth", data.bare)
    return Data(data.value, "index" if data.kind == "number" else data.kind, data.bare)


# Activations


def _named(step: Step) -> Result:
    """An elementwise function that both have, with the options that its attributes say."""
    for name, named in NAMED.items():
        if named.op != step.op or not all(_agrees(step.attributes.get(a), v) for a, v in named.fixed.items()):
            continue
        found: dict[str, Any] = {option: step.attributes[attribute] for attribute, option in named.given.items()}
        if all(_agrees(step.attributes[attribute], found[option]) for attribute, option in named.given.items()):
            return Data(step.x.apply(name, **found, **named.only), bare=step.data.bare)
    raise ValueError(f"has attributes that whet does not know it with: {dict(step.attributes)}")


def _agrees(found: object, wanted: object) -> bool:
    if isinstance(found, float) and isinstance(wanted, float):
        return math.isclose(found, wanted, rel_tol=1e-6)  # attributes are float32
    return found == wanted


def _hard_sigmoid(step: Step) -> Result:
    if _agrees(step.attributes["alpha"], 1 / 6):
        return _named(step)
    line = step.x * step.attributes["alpha"] + step.attributes["beta"]
    return Data(line.apply("hardtanh", min_val=0.0, max_val=1.0), bare=step.data.bare)


def _swish(step: Step) -> Result:
    alpha = step.attributes["alpha"]
    return Data(step.x.apply("silu") if alpha == 1 else step.x * (step.x * alpha).apply("sigmoid"), bare=step.data.bare)


def _softmax(function: Callable[[Value], Value]) -> Callable[[Step], Result]:
    def apply(step: Step) -> Result:
        if step.axis() != step.data.rank - 1:
            raise ValueError(f"expected the last axis, got {step.attributes['axis']}")
        return Data(function(step.x))

    return apply


def _dropout(step: Step) -> Result:
    share = step.number(1, "ratio")
    return Data(step.x.apply("dropout", p=0.5 if share is None else share), bare=step.data.bare)


# Normalisation


def _layer_norm(step: Step) -> Result:
    if step.axis() != step.data.rank - 1:
        raise ValueError(f"expected the last axis, got {step.attributes['axis']}")
    return _normalized(step, centred=1)


def _rms_norm(step: Step) -> Result:
    if step.axis() != step.data.rank - 1:
        raise ValueError(f"expected the last axis, got {step.attributes['axis']}")
    return _normalized(step, centred=0)


def _normalized(step: Step, centred: int) -> Result:
    neutral = [_is_all(step.operand(1), 1), _is_all(step.operand(2), 0)]
    parameters = [] if all(neutral) else [step.row(i) for i in (1, 2) if step.operand(i) is not None]
    return Data(step.x.apply("normalize", parameters=parameters, eps=step.attributes["epsilon"], centred=centred))


def _is_all(operand: object, number: float) -> bool:
    """Whether an operand that is no parameter changes nothing."""
    return operand is None or (
        isinstance(operand, Fixed) and not operand.given and bool((operand.array == number).all())
    )


def _batch_norm(step: Step) -> Result:
    batches = step.parameters[batches_name(step.fixed(3).name)]
    neutral = _is_all(step.operand(1), 1) and _is_all(step.operand(2), 0)
    parameters = [step.row(3), step.row(4), batches, *([] if neutral else [step.row(1), step.row(2)])]
    options = {"eps": step.attributes["epsilon"], "momentum": 1 - step.attributes["momentum"]}
    return Data(step.x.apply("batch_norm", parameters=parameters, **options))


def batches_name(mean: str) -> str:
    """The name of a count of batches, beside that of the running mean."""
    return f"{mean.removesuffix('running_mean')}num_batches_tracked"


# Shapes


def _reshape(step: Step) -> Result:
    rows, *sizes = step.numbers(1, "shape") or [0]
    before = [0, *step.data.value.shape]
    if rows > 0 and rows != step.rows:
        raise ValueError(f"expected a shape that begins with the rows, got {[rows, *sizes]}")
    if not sizes:
        return Data(step.x.reshape(1), bare=True)
    if not step.attributes.get("allowzero"):
        sizes = [before[i] if size == 0 else size for i, size in enumerate(sizes, 1)]
    return _shaped(step.data, sizes)


def _shaped(data: Data, sizes: list[int]) -> Data:
    return Data(data.value.reshape(*sizes), data.kind)


def _flatten(step: Step) -> Result:
    if step.attributes["axis"] % step.data.rank != 1:
        raise ValueError(f"expected axis 1, got {step.attributes['axis']}: rows stay rows")
    return _shaped(step.data, [-1])


def _squeeze(step: Step) -> Result:
    data, axes = step.data, step.numbers(1, "axes")
    if axes is None:
        axes = [axis for axis, size in enumerate(data.value.shape, 1) if size == 1]
    return _without(data.value, [behind_rows(axis, data.rank) for axis in axes], data.kind)


def _without(value: Value, axes: list[int], kind: Any = "number") -> Data:
    """Without some axes of one element."""
    sizes = [size for axis, size in enumerate(value.shape, 1) if axis not in axes]
    if math.prod(sizes) != math.prod(value.shape):
        raise ValueError(f"expected axes of one element, got axes {axes} of rows of shape {value.shape}")
    return Data(value.reshape(*sizes), kind) if sizes else Data(value.reshape(1), kind, bare=True)


def _unsqueeze(step: Step) -> Result:
    data, axes = step.data, step.numbers(1, "axes") or []
    rank = data.rank + len(axes)
    sizes = [] if data.bare else list(data.value.shape)
    for axis in sorted(behind_rows(axis, rank) for axis in axes):
        sizes.insert(axis - 1, 1)
    return _shaped(data, sizes)


def _transpose(step: Step) -> Result:
    """Of axes that have more than one element, the order has to stay."""
    order = list(step.attributes.get("perm") or reversed(range(step.data.rank)))
    shape = [0, *step.data.value.shape]
    moved = [axis for axis in order if shape[axis] != 1]
    if moved != sorted(moved) or order[0] != 0:
        raise ValueError(f"expected axes that stay in their order, got {order}")
    return step.data if order == sorted(order) else _shaped(step.data, [shape[axis] for axis in order[1:]])


def _slice(step: Step) -> Result:
    starts, ends = step.numbers(1, "starts") or [], step.numbers(2, "ends") or []
    axes = step.numbers(3, "axes") or list(range(len(starts)))
    steps = step.numbers(4, "steps") or [1] * len(starts)
    parts = [slice(None)] * step.data.rank
    for axis, start, end, stride in zip(axes, starts, ends, steps, strict=True):
        limit = None if stride < 0 and end < -step.data.value.shape[axis - 1] else end
        parts[behind_rows(axis, step.data.rank)] = slice(start, limit, stride)
    return Data(step.x[tuple(parts)], step.data.kind)


def _split(step: Step) -> list[Result]:
    axis, x = step.axis(), step.x
    size = x.shape[axis - 1]
    each = -(-size // step.outputs)
    sizes = step.numbers(1, "split") or [min(each, size - i * each) for i in range(step.outputs)]
    parts: list[Result] = []
    start = 0
    for width in sizes:
        places = [slice(None)] * step.data.rank
        places[axis] = slice(start, start + width)
        parts.append(Data(x[tuple(places)]))
        start += width
    return parts


def _concat(step: Step) -> Result:
    values = [step.value(i) for i in range(len(step.operands))]
    return Data(concatenate(values, step.axis()))


# Sums


def _reduced(function: Callable[[Value, int | None, bool], Value]) -> Callable[[Step], Result]:
    def apply(step: Step) -> Result:
        rank, keeps = step.data.rank, bool(step.attributes["keepdims"])
        asked = step.numbers(1, "axes")
        axes = sorted({behind_rows(axis, rank) for axis in asked or range(rank)})
        value = step.x
        if len(axes) == len(value.shape) > 1:
            value = function(value.flatten(), 1, True).reshape(*[1] * (rank - 1))
        else:
            for axis in axes:
                value = function(value, axis, True)
        return Data(value) if keeps else _without(value, axes)

    return apply


def _logsumexp(value: Value, axis: int | None, keeps: bool) -> Value:
    if axis != len(value.shape):
        raise ValueError(f"expected the last axis, got {axis}")
    return functional.logsumexp(value)


def _squares(value: Value, axis: int | None, keeps: bool) -> Value:
    return functional.square(value).sum(axis, keeps)


def _norm(value: Value, axis: int | None, keeps: bool) -> Value:
    return functional.sqrt(_squares(value, axis, keeps))


#: What a node makes: one tensor, or a list of several.
KNOWN: Mapping[str, Callable[[Step], Result | list[Result]]] = {
    **{named.op: _named for named in NAMED.values()},
    "Add": _elementwise(operator.add),
    "And": _elementwise(operator.mul, truth=True),
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Div": _elementwise(_divided),
    "Dropout": _dropout,
    "Einsum": _einsum,
    "Equal": _elementwise(operator.eq, truth=True),
    "Erf": _erf,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "Greater": _elementwise(operator.gt, truth=True),
    "GreaterOrEqual": _elementwise(operator.ge, truth=True),
    "HardSigmoid": _hard_sigmoid,
    "Identity": _same,
    "LayerNormalization": _layer_norm,
    "Less": _elementwise(operator.lt, truth=True),
    "LessOrEqual": _elementwise(operator.le, truth=True),
    "LogSoftmax": _softmax(functional.log_softmax),
    "MatMul": _matmul,
    "Max": _elementwise(_larger),
    "Min": _elementwise(_smaller),
    "Mul": _elementwise(operator.mul),
    "Neg": lambda step: Data(-step.x, bare=step.data.bare),
    "Not": lambda step: Data(1.0 - step.x, "truth", step.data.bare),
    "Or": _elementwise(_larger, truth=True),
    "PRelu": _prelu,
    "Pow": _power,
    "RMSNormalization": _rms_norm,
    "ReduceL2": _reduced(_norm),
    "ReduceLogSumExp": _reduced(_logsumexp),
    "ReduceMean": _reduced(Value.mean),
    "ReduceSum": _reduced(Value.sum),
    "ReduceSumSquare": _reduced(_squares),
    "Reshape": _reshape,
    "Slice": _slice,
    "Softmax": _softmax(functional.softmax),
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _elementwise(operator.sub),
    "Sum": _elementwise(operator.add),
    "Swish": _swish,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
