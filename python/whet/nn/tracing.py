"""Tracing: a module's ``forward`` runs once on symbolic values, and what it does with them becomes a graph."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard, Union

import numpy as np
from numpy.typing import NDArray

from whet import _core
from whet._arrays import Floats
from whet._checks import as_name
from whet.nn.parameter import Parameter

if TYPE_CHECKING:
    from whet.losses import TracedLoss
    from whet.nn.module import Module
    from whet.schedules import Schedule

__all__ = ["Operand", "Outputs", "Trace", "Value", "concatenate", "split", "trace_loss", "values_of"]

#: What stands on either side of an operator: a traced value, a parameter (which counts for every row) or a number.
Operand = Union["Value", Parameter, float]

# NumPy's functions by name, as operations.
_UFUNCS = {"absolute": "abs", "negative": "neg", "subtract": "sub", "multiply": "mul", "divide": "div"}
_UFUNCS |= {name: name for name in ("add", "exp", "log", "sqrt", "square", "sin", "cos", "tanh", "maximum", "minimum")}
_UFUNCS |= {name: name for name in ("greater", "greater_equal", "equal")}
_MIRRORED = {"less": "greater", "less_equal": "greater_equal"}


def _is_number(operand: object) -> TypeGuard[float]:
    return isinstance(operand, Real) and not isinstance(operand, bool)


class Value:
    """What stands for an array of shape (rows, ...) while a module is traced.

    Operators follow NumPy: ``+ - * /``, ``**`` with whole numbers, and comparisons (1 where they hold, else 0) by its
    rules of broadcasting, ``@`` with a parameter of shape (in, out), slices of any axis but the first. Rows are
    independent of each other: axis 0 is theirs, and nothing reduces it. A row keeps at least one axis: ``x[:, 0]`` and
    ``x.mean()`` have the shape (rows, 1).
    """

    def __init__(self, trace: Trace, index: int) -> None:
        self._trace = trace
        self._index = index

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return tuple(self._trace.graph.shape(self._index))

    def apply(
        self, op: str, others: Sequence[Value] = (), parameters: Sequence[Parameter | None] = (), **options: float
    ) -> Value:
        """The value that an operation of the core makes of this one, others and parameters; a layer's last ones may be
        None, where it has none.

        Raises:
            TypeError: If another operand is no traced value.
            ValueError: If the operation is unknown or the shapes do not fit; names the layer and its place.
        """
        return self._trace.apply(op, [self, *others], [each for each in parameters if each is not None], options)

    # Arithmetic

    def _with(self, op: str, other: Operand, swapped: bool = False) -> Value:
        if isinstance(other, Parameter):
            return self.apply(op, parameters=[other], swapped=swapped)
        if _is_number(other):
            other = self._trace.apply("constant", [], [], {"value": float(other)})
        if not isinstance(other, Value):
            raise TypeError(
                f"[{op}] expected a traced value, a parameter or a number, got {type(other).__name__}"
                f"{self._trace.place()}"
            )
        first, second = (other, self) if swapped else (self, other)
        return first.apply(op, [second])

    def _affine(self, scale: float, shift: float) -> Value:
        return self.apply("affine", scale=scale, shift=shift)

    def __add__(self, other: Operand) -> Value:
        return self._affine(1.0, float(other)) if _is_number(other) else self._with("add", other)

    __radd__ = __add__

    def __sub__(self, other: Operand) -> Value:
        return self._affine(1.0, -float(other)) if _is_number(other) else self._with("sub", other)

    def __rsub__(self, other: Operand) -> Value:
        return self._affine(-1.0, float(other)) if _is_number(other) else self._with("sub", other, swapped=True)

    def __mul__(self, other: Operand) -> Value:
        return self._affine(float(other), 0.0) if _is_number(other) else self._with("mul", other)

    __rmul__ = __mul__

    def __truediv__(self, other: Operand) -> Value:
        return self._with("div", other)

    def __rtruediv__(self, other: Operand) -> Value:
        return self._with("div", other, swapped=True)

    def __neg__(self) -> Value:
        return self._affine(-1.0, 0.0)

    def __abs__(self) -> Value:
        return self.apply("abs")

    def __gt__(self, other: Operand) -> Value:
        return self._with("greater", other)

    def __ge__(self, other: Operand) -> Value:
        return self._with("greater_equal", other)

    def __lt__(self, other: Operand) -> Value:
        return self._with("greater", other, swapped=True)

    def __le__(self, other: Operand) -> Value:
        return self._with("greater_equal", other, swapped=True)

    def __eq__(self, other: Operand) -> Value:  # type: ignore[override]
        return self._with("equal", other)

    def __ne__(self, other: Operand) -> Value:  # type: ignore[override]
        return 1.0 - self._with("equal", other)

    __hash__ = object.__hash__

    def __pow__(self, exponent: float) -> Value:
        """Of a whole number from -8 to 8, or of a half."""
        if not _is_number(exponent) or exponent not in (0.5, *range(-8, 0), *range(1, 9)):
            raise ValueError(
                f"[**] expected a whole number from -8 to 8 but not 0, or 0.5, got {exponent!r}{self._trace.place()}"
            )
        if exponent == 0.5:
            return self.apply("sqrt")
        count, power = int(exponent), self
        for _ in range(abs(count) - 1):
            power = power * self
        return power if count > 0 else 1.0 / power

    def __matmul__(self, weight: Parameter) -> Value:
        """The product with a parameter of shape (in, out), over the last axis."""
        if not isinstance(weight, Parameter):
            raise TypeError(f"[@] expected a parameter on the right, got {type(weight).__name__}{self._trace.place()}")
        return self.apply("linear", parameters=[weight], transposed=1)

    def maximum(self, other: Operand) -> Value:
        """The larger of two, element by element."""
        return self._with("maximum", other)

    def minimum(self, other: Operand) -> Value:
        """The smaller of two, element by element."""
        return self._with("minimum", other)

    # Shapes

    def reshape(self, *shape: int | Sequence[int]) -> Value:
        """The elements of each row in another shape, its sizes or one sequence of them; one size may be -1."""
        given = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        try:
            sizes = [operator.index(n) for n in given]  # type: ignore[arg-type]
        except TypeError:
            raise TypeError(f"[reshape] expected whole numbers, got {given}{self._trace.place()}") from None
        if sizes.count(-1) == 1:
            sizes[sizes.index(-1)] = math.prod(self.shape) // max(1, -math.prod(sizes))
        if not 1 <= len(sizes) <= 3:
            raise ValueError(f"[reshape] expected one to three sizes for a row, got {given}{self._trace.place()}")
        return self._trace.apply("reshape", [self], [], {f"size{i}": n for i, n in enumerate(sizes)})

    def flatten(self) -> Value:
        """Each row as one axis."""
        return self.reshape(-1)

    def sum(self, axis: int | None = None, keepdims: bool = False) -> Value:
        """The sum along an axis, or over all elements of each row."""
        return self._reduce("sum", axis, keepdims)

    def mean(self, axis: int | None = None, keepdims: bool = False) -> Value:
        """The mean along an axis, or over all elements of each row."""
        return self._reduce("mean", axis, keepdims)

    def _reduce(self, op: str, axis: int | None, keepdims: bool) -> Value:
        if axis is None:
            return self.apply(op, keepdims=keepdims)
        return self.apply(op, axis=self._row_axis(op, axis), keepdims=keepdims)

    def _row_axis(self, op: str, axis: int) -> int:
        """An axis of the array of all rows as one of a row."""
        rank = len(self.shape) + 1
        try:
            axis = operator.index(axis)
        except TypeError:
            raise TypeError(f"[{op}] expected one axis, a whole number, got {axis!r}{self._trace.place()}") from None
        if not -rank < axis < rank or axis == 0:
            raise ValueError(
                f"[{op}] expected an axis from 1 to {rank - 1}, or from -{rank - 1} to -1, for shape (rows, "
                f"{', '.join(map(str, self.shape))}), got {axis}: rows are independent{self._trace.place()}"
            )
        return axis - 1 if axis > 0 else axis + rank - 1

    def __getitem__(self, index: Any) -> Value:
        """A part of each row: ``x[:, 2:5]``, ``x[..., -1]``, ``x[:, [0, 3]]``; the first index is ``:`` or ``...``.

        One of the others may be a list or an array, of positions or of truth, as in NumPy.
        """
        parts = index if isinstance(index, tuple) else (index,)
        rank = len(self.shape)
        first = next((i for i, part in enumerate(parts) if part is Ellipsis), None)
        if first is not None:
            parts = (*parts[:first], *(slice(None),) * (rank + 2 - len(parts)), *parts[first + 1 :])
        whole = bool(parts) and isinstance(parts[0], slice) and parts[0] == slice(None)
        if not whole or len(parts) > rank + 1 or sum(isinstance(part, (list, tuple, np.ndarray)) for part in parts) > 1:
            raise IndexError(
                f"[slice] expected : for the rows and up to {rank} indices after it, of which one may be a list, "
                f"got {index!r}{self._trace.place()}"
            )
        value, dropped = self, []
        for axis, part in enumerate(parts[1:]):
            wanted = self._positions(axis, part)
            value = value._part(axis, np.atleast_1d(wanted).tolist())
            if wanted.ndim == 0:
                dropped.append(axis)
        if dropped and rank > len(dropped):
            value = value.reshape(*(n for axis, n in enumerate(value.shape) if axis not in dropped))
        return value

    def _positions(self, axis: int, part: Any) -> NDArray[np.intp]:
        """Which elements of an axis an index of NumPy takes: one, or several."""
        size = self.shape[axis]
        try:
            found = np.asarray(np.arange(size)[list(part) if isinstance(part, tuple) else part])
        except (IndexError, TypeError, ValueError):
            found = np.empty(0, np.intp)
        if found.size == 0 or found.ndim > 1:
            raise IndexError(f"[slice] expected indices of the {size} elements, got {part!r}{self._trace.place()}")
        return found

    def _part(self, axis: int, wanted: Sequence[int]) -> Value:
        if wanted == list(range(self.shape[axis])):
            return self
        runs: list[list[int]] = []
        for i in wanted:
            if runs and runs[-1][1] == i:
                runs[-1][1] = i + 1
            else:
                runs.append([i, i + 1])
        pieces = [self.apply("slice", axis=axis, start=start, stop=stop) for start, stop in runs]
        return pieces[0] if len(pieces) == 1 else pieces[0].apply("concatenate", pieces[1:], axis=axis)

    def __repr__(self) -> str:
        return f"Value(shape=(rows, {', '.join(map(str, self.shape))}))"

    def __bool__(self) -> bool:
        raise TypeError(
            "[forward] a traced value has no truth: forward runs once, for every batch alike; see nn.functional.where"
        )

    def __iter__(self) -> Any:
        raise TypeError("[forward] a traced value has no elements to go through: use slices, such as x[:, 2:5]")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Value:
        """NumPy's functions on a traced value, and its operators with a number of NumPy on the left."""
        name = _MIRRORED.get(ufunc.__name__, ufunc.__name__)
        inputs = inputs if name == ufunc.__name__ else inputs[::-1]
        inputs = tuple(each.item() if isinstance(each, np.ndarray) and each.ndim == 0 else each for each in inputs)
        op = _UFUNCS.get(name)
        if op is None or method != "__call__" or options or not 1 <= len(inputs) <= 2:
            raise TypeError(f"[forward] a traced value is no array for np.{ufunc.__name__}: see nn.functional")
        if len(inputs) == 1:
            return -self if op == "neg" else self.apply(op)
        first, second = inputs
        return first._with(op, second) if isinstance(first, Value) else self._with(op, first, swapped=True)

    def __array_function__(self, function: Any, *_: object) -> None:
        raise TypeError(
            f"[forward] a traced value is no array for np.{function.__name__}: see its methods and nn.functional"
        )

    def __array__(self, *_: object, **__: object) -> None:
        raise TypeError("[forward] a traced value is no array: use its operators, and layers and functions of whet.nn")


class Outputs(NamedTuple):
    """The shapes of what a model makes of a row: of one value, or of several that it returns as a tuple."""

    shapes: tuple[tuple[int, ...], ...]
    several: bool

    @classmethod
    def of(cls, output: Value | tuple[Value, ...]) -> Outputs:
        """Those of traced values."""
        several = isinstance(output, tuple)
        return cls(tuple(each.shape for each in output) if isinstance(output, tuple) else (output.shape,), several)

    def split(self, rows: Floats) -> Floats | tuple[Floats, ...]:
        """Predictions of shape (rows, all elements) as the model returns them."""
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])[:-1]
        parts = [p.reshape(len(rows), *s) for p, s in zip(np.split(rows, ends, axis=1), self.shapes, strict=True)]
        return tuple(parts) if self.several else parts[0]


class Trace:
    """The graph that a module's forward is building, and where in the module it is."""

    def __init__(self, width: int, parameters: Mapping[str, Parameter]) -> None:
        specs = [(name, list(p.shape), p.requires_grad) for name, p in parameters.items()]
        self.graph = _core.Graph([width], specs)
        self._index = {id(p): i for i, p in enumerate(parameters.values())}
        self.layers: list[str] = []  # of each node: in which layer it was made
        self.schedules: list[Schedule] = []  # of the numbers that operations read
        self._names: dict[int, str] = {}
        self._stack: list[Module] = []
        self._outside = ""  # where the trace is when it is in no module, for messages

    def run(self, module: Module, widths: Sequence[int] = ()) -> Value | tuple[Value, ...]:
        """What the whole module makes of the input, or of several that stand side by side in it."""
        self._names = {id(each): name for name, each in module.named_modules()}
        whole = Value(self, 0)
        inputs = split(whole, [(width,) for width in widths]) if widths else (whole,)
        output = self.enter(module, inputs)
        several = isinstance(output, (tuple, list)) and len(output) > 0
        outputs = tuple(output) if several else (output,)
        for each in outputs:
            if isinstance(each, Value) and each._trace is not self:
                raise ValueError(f"[forward] {type(module).__name__}.forward returns a value of another forward pass")
            if not isinstance(each, Value):
                raise TypeError(
                    f"[forward] expected {type(module).__name__}.forward to return a traced value, or a tuple of them, "
                    f"got {type(each).__name__}"
                )
        joined = concatenate([each.flatten() for each in outputs]) if several else outputs[0]
        if joined._index == 0:
            raise ValueError(f"[forward] {type(module).__name__} returns its input as it is: it has no layers")
        self.graph.set_output(joined._index)
        return outputs if several else outputs[0]

    def add_loss(self, loss: TracedLoss, prediction: Value | tuple[Value, ...], target: Value | int) -> None:
        """Each row's loss, of prediction and target: a value, or a new input of so many elements."""
        if isinstance(target, int):
            target = Value(self, self.graph.add_target([target]))
        self._outside = ", in the loss"
        each = loss.row_losses(prediction, target)
        if not isinstance(each, Value) or each._trace is not self:
            raise TypeError(f"[loss] expected the function to return a traced value, got {type(each).__name__}")
        if each.shape != (1,):
            each = each.sum() if loss.reduction == "sum" else each.mean()
        self.graph.set_loss(each._index)

    def enter(self, module: Module, values: Sequence[Value]) -> Any:
        """Runs the forward of a module inside the one being traced."""
        self._stack.append(module)
        try:
            return module.forward(*values)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # the call itself
                raise TypeError(f"[forward] {error}{self.place()}") from None
            raise
        finally:
            self._stack.pop()

    def apply(
        self, op: str, inputs: Sequence[Value], parameters: Sequence[Parameter], options: Mapping[str, float]
    ) -> Value:
        """See `Value.apply`."""
        op = as_name(op, "apply", "op")
        for value in inputs:
            if not isinstance(value, Value) or value._trace is not self:
                raise TypeError(
                    f"[{op}] expected values of this forward pass, got {type(value).__name__}{self.place()}"
                )
        try:
            indices = [self._index[id(p)] for p in parameters]
        except KeyError:
            raise ValueError(f"[{op}] has a parameter that is no attribute of the model{self.place()}") from None
        try:
            numbers = [(name, float(value)) for name, value in options.items()]
            made = Value(self, self.graph.add(op, numbers, [value._index for value in inputs], indices))
        except ValueError as error:
            raise ValueError(f"{error}{self.place()}") from None
        self.layers.append(self._names.get(id(self._stack[-1]), "") if self._stack else "")
        return made

    def number(self, schedule: Schedule) -> int:
        """Which of the graph's numbers a schedule changes."""
        self.schedules.append(schedule)
        return len(self.schedules) - 1

    def place(self) -> str:
        """The layer that is being traced, for messages."""
        if not self._stack:
            return self._outside
        module = self._stack[-1]
        name = self._names.get(id(module), "")
        return f", in layer '{name}' ({module!r})" if name else f", in {type(module).__name__}"


def trace_loss(loss: TracedLoss, outputs: Outputs, target: int) -> _core.Graph:
    """The graph of a loss alone: its output is the loss of a row of predictions and target side by side."""
    shapes = outputs.shapes
    trace = Trace(sum(map(math.prod, shapes)) + target, {})
    *predictions, right = split(Value(trace, 0), [*shapes, (target,)])
    trace.add_loss(loss, tuple(predictions) if outputs.several else predictions[0], right)
    return trace.graph


def values_of(graph: _core.Graph, value: int, features: Floats) -> Floats:
    """A value that comes from the input alone, without parameters, for some rows; no rows if parameters have a part."""
    if value == 0:
        return features
    part, places = _core.Graph([features.shape[1]], []), {0: 0}
    for node in graph.nodes:
        if not node["parameters"] and all(i in places for i in node["inputs"]):
            inputs = [places[i] for i in node["inputs"]]
            places[node["output"]] = part.add(node["op"], list(node["options"].items()), inputs, [])
    if value not in places:
        return np.zeros((0, 1), features.dtype)
    part.set_output(places[value])
    out = np.empty((len(features), math.prod(part.shape(places[value]))), features.dtype)
    _core.Predictor(part, _core.State([], features.dtype.name)).predict(features, out)
    return out


def split(x: Value, shapes: Sequence[tuple[int, ...]]) -> tuple[Value, ...]:
    """Parts of a row that stand side by side, each in its shape."""
    parts, start = [], 0
    for shape in shapes:
        stop = start + math.prod(shape)
        part = x[:, start:stop]
        parts.append(part if part.shape == shape else part.reshape(*shape))
        start = stop
    return tuple(parts)


def concatenate(values: Sequence[Value], axis: int = -1) -> Value:
    """Traced values side by side along an axis, their features by default.

    Raises:
        ValueError: If there is none, or the shapes do not fit.
    """
    if not values:
        raise ValueError("[concatenate] expected at least one value, got none")
    first, *others = values
    if not isinstance(first, Value):
        raise TypeError(f"[concatenate] expected values of this forward pass, got {type(first).__name__}")
    return first.apply("concatenate", others, axis=first._row_axis("concatenate", axis))
