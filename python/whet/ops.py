"""The kernels on NumPy arrays: products, activations, losses and optimizer updates.

All take float32 or float64 and return the same; other real dtypes are promoted as NumPy does, to float32 at least. An
``out`` array is written in place and returned. Before each function ``_core.fast`` puts a compiled way, which takes the
calls that need neither a conversion nor an error, and leaves the others to what stands here.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet import _core, losses, optim
from whet._arrays import Floats, as_array, as_floats
from whet._checks import as_count, as_flag, as_name, as_number

__all__ = ["activation", "activation_gradient", "loss", "matmul", "one_hot", "softmax", "update"]


def _floats(where: str, **arrays: ArrayLike) -> list[NDArray[Any]]:
    """The arrays in the smallest of float32 and float64 that holds them all; native and aligned."""
    given = [as_array(value, where, name) for name, value in arrays.items()]
    dtype = np.result_type(np.float32, *given)
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"[{where}] expected float32 or float64, got {', '.join(str(a.dtype) for a in given)}")
    return [np.require(a, dtype=dtype, requirements=["A"]) for a in given]


def _is_rows(array: NDArray[Any]) -> bool:
    """Whether a two-dimensional array has contiguous rows that follow each other."""
    item = array.itemsize
    return (array.shape[1] <= 1 or array.strides[1] == item) and (
        array.shape[0] <= 1 or (array.strides[0] >= array.shape[1] * item and array.strides[0] % item == 0)
    )


def _rows(array: NDArray[Any]) -> NDArray[Any]:
    """The array with contiguous rows, copied only if they are not."""
    return array if _is_rows(array) else np.ascontiguousarray(array)


def _result(out: Floats | None, shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> Floats:
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.dtype != dtype or not out.dtype.isnative:
        raise TypeError(
            f"[{where}] expected out to be a {dtype} array, got {getattr(out, 'dtype', type(out).__name__)}"
        )
    if out.shape != shape:
        raise ValueError(f"[{where}] expected out with shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError(f"[{where}] expected out to be writable, got a read-only array")
    return out


def _deliver(result: Floats, out: Floats) -> Floats:
    """`result` in `out`, copied if the kernel could not write there directly."""
    if result is not out:
        out[...] = result
    return out


def _scratch(out: Floats, *operands: NDArray[Any]) -> Floats:
    """`out` as a matrix to write to, or a fresh one where its layout or an overlap with an operand forbids that."""
    if (
        out.ndim == 2
        and _rows(out) is out
        and out.flags.aligned
        and not any(np.may_share_memory(out, a) for a in operands)
    ):
        return out
    return np.empty(out.shape, out.dtype)


@_core.fast
def matmul(
    a: ArrayLike,
    b: ArrayLike,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    bias: ArrayLike | None = None,
    activation: str | None = None,
    precision: str = "float32",
    out: Floats | None = None,
) -> Floats:
    """activation(a b + bias), with a or b transposed if asked.

    Args:
        a: Shape (m, k), or (k, m) with `transpose_a`.
        b: Shape (k, n), or (n, k) with `transpose_b`.
        transpose_a: Use the transpose of `a`; no copy is made.
        transpose_b: Use the transpose of `b`; no copy is made.
        bias: Shape (n,), added to every row.
        activation: Name of an activation with its default options.
        precision: "float32": every product and sum is rounded to the arrays' dtype. "bfloat16", for float32 arrays:
            the elements of `a` and `b` are rounded to bfloat16 (8 bits of precision, float32's range; the nearest,
            of two the even one), their products are exact and the sums float32; each element of the result is within
            a relative 2^-7 of the sum of |a| |b|, beside what float32 sums cost.
        out: Where to put the result, of shape (m, n) and the operands' dtype.

    Returns:
        Shape (m, n).

    Raises:
        TypeError: If an operand does not hold real numbers or `out` has another dtype.
        ValueError: If shapes do not fit, a name is unknown, or float64 shall be multiplied as bfloat16.
    """
    precision = as_name(precision, "matmul", "precision")
    operands = {"a": a, "b": b} if bias is None else {"a": a, "b": b, "bias": bias}
    arrays = _floats("matmul", **operands)
    for name, array in zip("ab", arrays, strict=False):
        if array.ndim != 2:
            raise ValueError(f"[matmul] expected {name} with two dimensions, got shape {array.shape}")
    # A transposed view is the other orientation of contiguous rows.
    flags = [as_flag(transpose_a, "matmul", "transpose_a"), as_flag(transpose_b, "matmul", "transpose_b")]
    for i in range(2):
        if not _is_rows(arrays[i]) and _is_rows(arrays[i].T):
            arrays[i], flags[i] = arrays[i].T, not flags[i]
    function = "identity" if activation is None else as_name(activation, "matmul", "activation")
    left, right = _rows(arrays[0]), _rows(arrays[1])
    vector = None if bias is None else np.ascontiguousarray(arrays[2])
    shape = (left.shape[1 if flags[0] else 0], right.shape[0 if flags[1] else 1])
    result = _result(out, shape, left.dtype, "matmul")
    target = _scratch(result, *arrays)
    _core.matmul(target, left, flags[0], right, flags[1], vector, function, [], precision)
    return _deliver(target, result)


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    """Any shape as a matrix for elementwise kernels: rows where the layout allows, else a copy in one row."""
    if array.ndim == 2 and _is_rows(array):
        return array
    return np.ascontiguousarray(array).reshape(1, -1)


@_core.fast
def activation(name: str, x: ArrayLike, *, out: Floats | None = None, **options: float) -> Floats:
    """An activation of the list, element by element.

    Args:
        name: As in ``whet.build_info()["activations"]``.
        x: Any shape.
        out: Where to put the result; may be `x`.
        **options: The activation's own, such as ``negative_slope``; PyTorch's defaults.

    Returns:
        The shape of `x`.

    Raises:
        TypeError: If `x` does not hold real numbers, or an option is no number.
        ValueError: If a name is unknown, an option is not finite, or a shape does not fit.
    """
    (array,) = _floats("activation", x=x)
    result = _result(out, array.shape, array.dtype, "activation")
    matrix = _flat(array)
    target = np.empty(matrix.shape, matrix.dtype)
    if result.shape == matrix.shape and _is_rows(result) and result.flags.aligned:
        same = result is array or not np.may_share_memory(result, array)
        target = result if same else target
    _core.activate(target, matrix, as_name(name, "activation", "name"), _options(options, "activation"))
    return _deliver(target, result) if target.shape == result.shape else _deliver(target.reshape(result.shape), result)


@_core.fast
def activation_gradient(
    name: str, x: ArrayLike, dy: ArrayLike, *, out: Floats | None = None, **options: float
) -> Floats:
    """The gradient with respect to `x` of an activation whose output has the gradient `dy`: dy * f'(x).

    Args:
        name: As in `activation`.
        x: The activation's input, any shape.
        dy: The shape of `x`.
        out: Where to put the result.
        **options: The activation's own.

    Returns:
        The shape of `x`.

    Raises:
        TypeError: If an array does not hold real numbers, or an option is no number.
        ValueError: If a name is unknown, an option is not finite, or a shape does not fit.
    """
    array, upstream = _floats("activation_gradient", x=x, dy=dy)
    if array.shape != upstream.shape:
        raise ValueError(f"[activation_gradient] expected dy with shape {array.shape}, got {upstream.shape}")
    function = as_name(name, "activation_gradient", "name")
    result = _result(out, array.shape, array.dtype, "activation_gradient")
    matrix, slope = (np.ascontiguousarray(each).reshape(1, -1) for each in (array, upstream))
    target = np.empty(matrix.shape, matrix.dtype)
    _core.activation_gradient(target, slope, matrix, function, _options(options, "activation_gradient"))
    return _deliver(target.reshape(result.shape), result)


@_core.fast
def softmax(x: ArrayLike, *, out: Floats | None = None) -> Floats:
    """exp(x) / sum(exp(x)) along the last axis of a matrix.

    Args:
        x: Shape (rows, classes).
        out: Where to put the result; may be `x`.

    Returns:
        Shape (rows, classes); every row sums to one.

    Raises:
        TypeError: If `x` does not hold real numbers.
        ValueError: If it is no matrix.
    """
    (array,) = _floats("softmax", x=x)
    if array.ndim != 2:
        raise ValueError(f"[softmax] expected x with shape (rows, classes), got {array.shape}")
    result = _result(out, array.shape, array.dtype, "softmax")
    target = result if result is array and _is_rows(array) else _scratch(result, array)
    _core.softmax(target, _rows(array))
    return _deliver(target, result)


@_core.fast
def one_hot(labels: ArrayLike, classes: int) -> NDArray[np.float32]:
    """A row for each label, with 1 at the label and 0 elsewhere.

    Args:
        labels: Integers from 0 to classes - 1, shape (rows,).
        classes: The number of columns.

    Returns:
        float32, shape (rows, classes).

    Raises:
        TypeError: If the labels are not integers.
        ValueError: If one is no class, or the shape is another.
    """
    classes = as_count(classes, "one_hot", "classes")
    array = as_array(labels, "one_hot", "labels")
    if array.dtype.kind == "f":
        raise TypeError(f"[one_hot] expected integer labels, got dtype {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"[one_hot] expected labels with shape (rows,), got {array.shape}")
    wrong = (array < 0) | (array >= classes)
    if wrong.any():
        raise ValueError(
            f"[one_hot] expected labels from 0 to {classes - 1}, got another first in row {int(wrong.argmax())}"
        )
    result = np.zeros((len(array), classes), np.float32)
    result[np.arange(len(array)), array.astype(np.intp)] = 1
    return result


@_core.fast
def loss(loss: str | losses.Loss, prediction: ArrayLike, target: ArrayLike) -> tuple[float, Floats]:
    """The loss of a batch and its gradient with respect to the prediction.

    Args:
        loss: A string or an object of whet.losses, but none that is traced or calls a function of NumPy's.
        prediction: Raw outputs, shape (rows, outputs), or (rows,) for one output.
        target: As the loss takes it; see whet.losses.

    Returns:
        The loss, and an array in the shape of `prediction`.

    Raises:
        TypeError: If an array does not hold numbers of the right kind.
        ValueError: If shapes do not fit or a target is out of range.
    """
    described = losses.get(loss)
    (array,) = _floats("loss", prediction=prediction)
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"[loss] expected a prediction with shape (rows, outputs), not empty; got {array.shape}")
    matrix = _rows(array.reshape(len(array), -1))
    truth = described.target(target, len(matrix), matrix.shape[1], matrix.dtype, "loss")
    gradient = np.empty(matrix.shape, matrix.dtype)
    truth, weights = described.encode(truth, matrix.shape[1], matrix.dtype)
    value = _core.loss(gradient, matrix, truth, weights, described.name, list(described.options().items()))
    if described.reduction != "mean":
        weight = len(matrix) if weights is None else float(weights.sum(dtype=np.float64))
        value, factor = (described.reduced(mean, weight, matrix.shape[1]) for mean in (value, 1.0))
        gradient *= factor
    return value, gradient.reshape(array.shape)


@_core.fast
def update(
    name: str,
    parameter: Floats,
    gradient: Floats,
    state: dict[str, Any],
    *,
    betas: tuple[float, float] | None = None,
    **options: float,
) -> None:
    """One step of an optimizer, in place.

    Args:
        name: As in ``whet.build_info()["optimizers"]``.
        parameter: float32 or float64, C-contiguous; changed in place.
        gradient: The parameter's shape; converted to its dtype.
        state: {} at first; then "step" and PyTorch's names, such as "exp_avg", changed in place.
        betas: Adam's two decays.
        **options: The optimizer's own, such as ``lr``; PyTorch's defaults.

    Raises:
        TypeError: If the parameter is no array of floats, the gradient holds no numbers, or the state is no dictionary.
        ValueError: If shapes differ, the parameter cannot be written in place, a number of the gradient is too large
            for its dtype, or a name is unknown; nothing is changed then.
    """
    name = as_name(name, "update", "name")
    given = options if betas is None else {**options, "betas": betas}
    optimizer = optim.make(name, given)
    (slot_names,) = (entry["slots"] for entry in _core.optimizers() if entry["name"] == optimizer.kernel)
    if not isinstance(parameter, np.ndarray) or parameter.dtype not in (np.float32, np.float64):
        raise TypeError(
            "[update] expected a float32 or float64 parameter, "
            f"got {getattr(parameter, 'dtype', type(parameter).__name__)}"
        )
    if not (
        parameter.flags.c_contiguous
        and parameter.flags.writeable
        and parameter.flags.aligned
        and parameter.dtype.isnative
    ):
        raise ValueError(
            "[update] expected a parameter that is C-contiguous, aligned, native and writable, to change it in place"
        )
    slope = as_array(gradient, "update", "gradient")
    if slope.shape != parameter.shape:
        raise ValueError(f"[update] expected a gradient with shape {parameter.shape}, got {slope.shape}")
    if not isinstance(state, dict):
        raise TypeError(f"[update] expected state to be a dictionary, {{}} at first, got {type(state).__name__}")
    slots = [state.get(slot) for slot in slot_names]
    fresh = [np.zeros_like(parameter) if slot is None else slot for slot in slots]
    for slot in fresh:
        if not isinstance(slot, np.ndarray):
            raise TypeError(f"[update] expected state of arrays, as an update left it, got {type(slot).__name__}")
        if slot.shape != parameter.shape or slot.dtype != parameter.dtype or not slot.flags.c_contiguous:
            raise ValueError(
                f"[update] expected state of shape {parameter.shape} and dtype {parameter.dtype}, as the parameter"
            )
    step = state.get("step", 0)
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step < 2**63 - 1:
        raise ValueError(f"[update] expected state['step'] to be an integer of at least 0, got {step!r}")
    if any(np.may_share_memory(a, b) for a, b in combinations([parameter, *fresh], 2)):
        raise ValueError("[update] expected the parameter and the arrays of its state to be apart in memory")
    flat = as_floats(slope, parameter.dtype, "update", "gradient").reshape(-1)
    numbers = [(option, float(value)) for option, value in optimizer.options().items()]
    vectors = [slot.reshape(-1) for slot in fresh]
    _core.update(parameter.reshape(-1), flat, vectors, step + 1, optimizer.kernel, numbers)
    state.update(zip(slot_names, fresh, strict=True), step=step + 1)


def _options(options: dict[str, float], where: str) -> list[tuple[str, float]]:
    return [(name, as_number(value, where, name)) for name, value in options.items()]
