"""A graph of ONNX that is being written, and its tensors, whose operators write nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet import _core
from whet.export.onnx.package import IR_VERSION, ML_OPSET, OPSET, onnx_package

__all__ = ["Tensor", "Writer", "where"]

#: A tensor, or a number of the same dtype.
Operand: TypeAlias = "Tensor | float"

_ML = "ai.onnx.ml"
#: The first dimension of every input and output.
ROWS = "rows"


class Tensor:
    """A tensor by its name. Operators follow NumPy; numbers get the tensor's dtype."""

    def __init__(self, writer: Writer, name: str, dtype: str) -> None:
        self.writer, self.name, self.dtype = writer, name, dtype

    def apply(self, op: str, *others: Operand, dtype: str | None = None, domain: str = "", **attributes: Any) -> Tensor:
        """What an operation makes of this tensor and others; of the same dtype, unless told."""
        inputs = [self, *(self.like(other) for other in others)]
        return self.writer.node(op, inputs, self.dtype if dtype is None else dtype, domain, **attributes)

    def like(self, operand: Operand) -> Tensor:
        """A tensor, or a number as a tensor of this dtype."""
        return operand if isinstance(operand, Tensor) else self.writer.constant(operand, self.dtype)

    def __add__(self, other: Operand) -> Tensor:
        return self.apply("Add", other)

    def __radd__(self, other: float) -> Tensor:
        return self.like(other) + self

    def __sub__(self, other: Operand) -> Tensor:
        return self.apply("Sub", other)

    def __rsub__(self, other: float) -> Tensor:
        return self.like(other) - self

    def __mul__(self, other: Operand) -> Tensor:
        return self.apply("Mul", other)

    def __rmul__(self, other: float) -> Tensor:
        return self.like(other) * self

    def __truediv__(self, other: Operand) -> Tensor:
        return self.apply("Div", other)

    def __rtruediv__(self, other: float) -> Tensor:
        return self.like(other) / self

    def __neg__(self) -> Tensor:
        return self.apply("Neg")

    def __abs__(self) -> Tensor:
        return self.apply("Abs")

    def __gt__(self, other: Operand) -> Tensor:
        return self.apply("Greater", other, dtype="bool")

    def __ge__(self, other: Operand) -> Tensor:
        return self.apply("GreaterOrEqual", other, dtype="bool")

    def __lt__(self, other: Operand) -> Tensor:
        return self.apply("Less", other, dtype="bool")

    def __le__(self, other: Operand) -> Tensor:
        return self.apply("LessOrEqual", other, dtype="bool")

    def equal(self, other: Operand) -> Tensor:
        """Where they are equal."""
        return self.apply("Equal", other, dtype="bool")

    def maximum(self, other: Operand) -> Tensor:
        """The larger of two."""
        return self.apply("Max", other)

    def minimum(self, other: Operand) -> Tensor:
        """The smaller of two."""
        return self.apply("Min", other)

    def clip(self, low: float, high: float) -> Tensor:
        """No less than `low` and no more than `high`."""
        # onnxruntime cannot fuse a Clip of float64 with a Relu before it, and refuses the model.
        return self.apply("Clip", low, high) if self.dtype == "float32" else self.maximum(low).minimum(high)

    def cast(self, dtype: str) -> Tensor:
        """In another dtype."""
        if dtype == self.dtype:
            return self
        return self.apply("Cast", dtype=dtype, to=self.writer.element_type(dtype))

    def sum(self, axis: int) -> Tensor:
        """Over an axis, which stays as one element."""
        return self.reduce("ReduceSum", [axis])

    def mean(self, axis: int) -> Tensor:
        """Over an axis, which stays as one element."""
        return self.reduce("ReduceMean", [axis])

    def reduce(self, op: str, axes: Sequence[int], keepdims: bool = True) -> Tensor:
        """Over axes, which stay as one element each if asked to."""
        return self.apply(op, self.writer.constant(axes, "int64"), keepdims=int(keepdims))

    def reshape(self, shape: Sequence[int]) -> Tensor:
        """The elements of each row in another shape."""
        return self.apply("Reshape", self.writer.constant([0, *shape], "int64"))

    def transpose(self, *axes: int) -> Tensor:
        """The axes in another order."""
        return self.apply("Transpose", perm=list(axes))

    def part(self, axis: int, start: int, stop: int) -> Tensor:
        """Elements start to stop - 1 along an axis."""
        return self.apply("Slice", *(self.writer.constant([number], "int64") for number in (start, stop, axis)))

    def take(self, indices: Tensor | Sequence[int], axis: int) -> Tensor:
        """Elements along an axis, by number."""
        chosen = indices if isinstance(indices, Tensor) else self.writer.constant(indices, "int64")
        return self.apply("Gather", chosen, axis=axis)


def where(condition: Tensor, a: Operand, b: Operand) -> Tensor:
    """`a` where the condition holds, else `b`; one of them is a tensor."""
    kind = a if isinstance(a, Tensor) else b
    assert isinstance(kind, Tensor)
    return condition.writer.node("Where", [condition, kind.like(a), kind.like(b)], kind.dtype)


class Writer:
    """Collects inputs, nodes, constants and parameters of a graph, and makes the model of them.

    Args:
        caller: The function that users called.
        ends: Names that inputs and outputs will have.
        parameters: Names that parameters will have, if no input or output has them.
    """

    def __init__(self, caller: str, ends: Iterable[str], parameters: Iterable[str]) -> None:
        self._onnx = onnx_package(caller)
        self._nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._parameters: dict[str, Any] = {}
        self._constants: dict[tuple[Any, ...], Tensor] = {}
        self._ends = frozenset(ends)
        self._taken = {*self._ends, *map(self._own_name, parameters)}
        self._repeats: Counter[str] = Counter()
        #: What is being written, for the names of nodes.
        self.place = ""

    def element_type(self, dtype: str) -> int:
        """ONNX's number of a dtype; "str" is text."""
        if dtype == "str":
            return int(self._onnx.TensorProto.STRING)
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def input(self, name: str, dtype: str, width: int) -> Tensor:
        """A new input of shape (rows, width)."""
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, self.element_type(dtype), [ROWS, width]))
        return Tensor(self, name, dtype)

    def output(self, name: str, tensor: Tensor, shape: Sequence[int]) -> None:
        """Makes a tensor an output, whose rows have that shape."""
        kind = self.element_type(tensor.dtype)
        self._nodes.append(self._onnx.helper.make_node("Identity", [tensor.name], [name], name=f"{name}/Identity"))
        self._outputs.append(self._onnx.helper.make_tensor_value_info(name, kind, [ROWS, *shape]))

    def node(self, op: str, inputs: Sequence[Tensor], dtype: str, domain: str = "", **attributes: Any) -> Tensor:
        """What a new node makes."""
        name = self._unused(f"{self.place}/{op}" if self.place else op)
        names = [tensor.name for tensor in inputs]
        self._nodes.append(self._onnx.helper.make_node(op, names, [name], name=name, domain=domain, **attributes))
        return Tensor(self, name, dtype)

    def labels(self, x: Tensor, dtype: str, **tables: Any) -> Tensor:
        """What a table of ai.onnx.ml's LabelEncoder says for each element."""
        return x.apply("LabelEncoder", dtype=dtype, domain=_ML, **tables)

    def constant(self, value: ArrayLike, dtype: str) -> Tensor:
        """Numbers that are no parameters; equal ones are one tensor."""
        array = np.asarray(value, object if dtype == "str" else dtype)
        key = (dtype, array.shape, str(array.tolist()))
        if key not in self._constants:
            tensor = self._onnx.numpy_helper.from_array(np.asarray(array, order="C"))
            name = self._unused("constant")
            self._nodes.append(self._onnx.helper.make_node("Constant", [], [name], name=name, value=tensor))
            self._constants[key] = Tensor(self, name, dtype)
        return self._constants[key]

    def parameter(self, name: str, values: NDArray[Any]) -> Tensor:
        """A parameter of the model."""
        own = self._own_name(name)
        if own not in self._parameters:
            self._parameters[own] = self._onnx.numpy_helper.from_array(np.asarray(values, order="C"), own)
        return Tensor(self, own, values.dtype.name)

    def _own_name(self, parameter: str) -> str:
        return f"parameter/{parameter}" if parameter in self._ends else parameter

    def model(self, name: str, metadata: Mapping[str, str]) -> Any:
        """The whole model, as the package's ModelProto."""
        helper = self._onnx.helper
        used = {each for node in self._nodes for each in node.input}
        nodes = [node for node in self._nodes if node.op_type != "Constant" or node.output[0] in used]
        parameters = [tensor for tensor in self._parameters.values() if tensor.name in used]
        graph = helper.make_graph(nodes, name, self._inputs, self._outputs, parameters)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_ML, ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="whet", producer_version=_core.__version__)
        model.ir_version = IR_VERSION
        helper.set_model_props(model, dict(metadata))
        return model

    def _unused(self, name: str) -> str:
        found = name
        while found in self._taken:
            self._repeats[name] += 1
            found = f"{name}_{self._repeats[name]}"
        self._taken.add(found)
        return found
