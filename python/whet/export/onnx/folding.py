"""What a graph of ONNX computes of numbers that are the same for all rows, such as shapes and transposed weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet.export.onnx.values import Data, Fixed, Operand

__all__ = ["folded", "shape_of"]

Array = NDArray[Any]
_MOST = 2**29  # of float32 in the 2 GB that a file may have
Arrays = Sequence[Any]  # of arrays, or None where an operand is left out


def _axes(arrays: Arrays, attributes: Mapping[str, Any]) -> tuple[int, ...] | None:
    given = arrays[1] if len(arrays) > 1 else attributes.get("axes")
    return None if given is None else tuple(int(axis) for axis in np.ravel(given))


def _reshaped(arrays: Arrays, attributes: Mapping[str, Any]) -> Array:
    array, shape = arrays
    return np.reshape(array, [array.shape[i] if size == 0 else int(size) for i, size in enumerate(shape)])


def _sliced(arrays: Arrays, attributes: Mapping[str, Any]) -> Array:
    array, starts, ends, *others = arrays
    axes = others[0] if others else range(len(starts))
    strides = others[1] if len(others) > 1 else [1] * len(starts)
    parts = [slice(None)] * array.ndim
    for axis, start, end, stride in zip(axes, starts, ends, strides, strict=True):
        parts[int(axis)] = slice(int(start), int(end), int(stride))
    sliced: Array = array[tuple(parts)]
    return sliced


def _unsqueezed(arrays: Arrays, attributes: Mapping[str, Any]) -> Array:
    return np.expand_dims(arrays[0], _axes(arrays, attributes) or ())


#: Of operands as arrays, and attributes.
_FOLDED: Mapping[str, Callable[[Arrays, Mapping[str, Any]], Any]] = {
    "Add": lambda arrays, _: np.add(*arrays),
    "Cast": lambda arrays, attributes: arrays[0].astype(attributes["to"]),
    "Concat": lambda arrays, attributes: np.concatenate(arrays, attributes["axis"]),
    "Div": lambda arrays, _: np.divide(*arrays).astype(arrays[0].dtype),
    "Gather": lambda arrays, attributes: np.take(arrays[0], arrays[1], attributes["axis"]),
    "Identity": lambda arrays, _: arrays[0],
    "Mul": lambda arrays, _: np.multiply(*arrays),
    "Neg": lambda arrays, _: np.negative(arrays[0]),
    "Reciprocal": lambda arrays, _: np.reciprocal(arrays[0]),
    "Reshape": _reshaped,
    "Slice": _sliced,
    "Sqrt": lambda arrays, _: np.sqrt(arrays[0]),
    "Squeeze": lambda arrays, attributes: np.squeeze(arrays[0], _axes(arrays, attributes)),
    "Sub": lambda arrays, _: np.subtract(*arrays),
    "Transpose": lambda arrays, attributes: np.transpose(arrays[0], attributes.get("perm")),
    "Unsqueeze": _unsqueezed,
}


def _elements(op: str, arrays: Arrays, attributes: Mapping[str, Any]) -> int:
    """How many an operation makes, if that can be more than it gets."""
    if op in ("Add", "Div", "Mul", "Sub"):
        return math.prod(np.broadcast_shapes(*(array.shape for array in arrays)))
    if op == "Gather":
        return int(arrays[1].size * arrays[0].size // max(arrays[0].shape[attributes["axis"]], 1))
    return 0


def folded(op: str, operands: Sequence[Operand], attributes: Mapping[str, Any], name: str) -> Fixed | None:
    """What an operation makes of numbers that are the same for all rows; None if a row has a part in it."""
    if op == "Constant":
        return Fixed(np.asarray(attributes["value"]), name)
    present = [each for each in operands if isinstance(each, Fixed)]
    if op not in _FOLDED or not present or len(present) < len(operands):
        return None
    if _elements(op, [each.array for each in present], attributes) > _MOST:
        raise ValueError("makes more numbers of the model's own than a file has room for")
    made = np.asarray(_FOLDED[op]([each.array for each in present], attributes))
    turned = op == "Transpose" and made.ndim == 2 and attributes.get("perm") != [0, 1]
    return Fixed(made, name, any(each.given for each in present), present[0] if turned else None)


def shape_of(data: Data, attributes: Mapping[str, Any], name: str) -> Fixed:
    """A tensor's shape, in which -1 stands for the rows."""
    sizes = [-1, *([] if data.bare else data.value.shape)]
    return Fixed(np.array(sizes[attributes.get("start", 0) : attributes.get("end")], np.int64), name)
