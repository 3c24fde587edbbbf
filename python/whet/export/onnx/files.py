"""Files of ONNX, as data that is checked: nodes, inputs, and the numbers in the file or in one beside it."""

from __future__ import annotations

import json
import math
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet.export.onnx.folding import folded
from whet.export.onnx.package import onnx_package
from whet.export.onnx.values import Fixed, Operand

__all__ = ["Graph", "Input", "Node", "read_graph"]

_STATISTICS = (3, 4)  # operands of BatchNormalization


@dataclass(frozen=True)
class Input:
    """An input, and the shape of its rows; () for one number without an axis of its own."""

    name: str
    shape: tuple[int, ...]

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Node:
    """An operation, the names of what it takes and makes, and its attributes with their defaults."""

    op: str
    name: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, Any]

    @contextmanager
    def named(self) -> Iterator[None]:
        """Errors in here say of which node they are.

        Raises:
            ValueError: In the place of any of them.
        """
        try:
            yield
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise ValueError(f"{self.op} of node {self.name!r}: {error}") from None


@dataclass(frozen=True)
class Graph:
    """What a file says.

    Attributes:
        inputs: Of rows.
        outputs: Their names.
        nodes: In an order in which they can be computed.
        fixed: What is the same for all rows, by name: initializers, and what nodes make of them alone.
        running_means: The names of those of batch norms.
        dtype: What it computes in.
        rows: How many rows it was made for, or 0 for any number.
    """

    inputs: Sequence[Input]
    outputs: Sequence[str]
    nodes: Sequence[Node]
    fixed: Mapping[str, Fixed]
    running_means: Sequence[str]
    dtype: str
    rows: int

    @property
    def width(self) -> int:
        """How many numbers a row of all inputs has."""
        return sum(each.width for each in self.inputs)


def read_graph(path: str) -> Graph:
    """What is in a file.

    Raises:
        ImportError: If the package onnx is not installed.
        OSError: If a file cannot be read.
        ValueError: If it is no model that takes rows of numbers; a damaged one may raise anything.
    """
    onnx = onnx_package("from_onnx")
    model = _parsed(onnx, path)
    arrays = {each.name: _array(onnx, each, os.path.dirname(path)) for each in model.graph.initializer}
    nodes = _with_statistics([_node(onnx, node, _opset(model)) for node in model.graph.node])
    norms = [node.inputs for node in nodes if node.op == "BatchNormalization"]
    frozen = {*_frozen(model), *(names[i] for names in norms for i in _STATISTICS)}
    given = [each for each in model.graph.input if each.name not in arrays]
    shapes = [_shape(onnx, each) for each in given]
    wide = any(each.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE for each in given)
    return Graph(
        inputs=[Input(each.name, tuple(shape[1:])) for each, shape in zip(given, shapes, strict=True)],
        outputs=[each.name for each in model.graph.output],
        nodes=nodes,
        fixed=_fixed(arrays, nodes, frozen),
        running_means=[names[_STATISTICS[0]] for names in norms],
        dtype="float64" if wide else "float32",
        rows=max((shape[0] for shape in shapes), default=0),
    )


def _parsed(onnx: Any, path: str) -> Any:
    with open(path, "rb") as file:
        data = file.read()
    model = onnx.ModelProto()
    model.ParseFromString(data)
    if not (model.graph.input and model.graph.output):
        raise ValueError("it has no inputs or no outputs")
    return model


def _opset(model: Any) -> int:
    """Which version of ONNX's own operations a model means."""
    return next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 1)


def _frozen(model: Any) -> list[str]:
    """Parameters that are not trained, as whet's own files tell."""
    found = next((each.value for each in model.metadata_props if each.key == "frozen"), "[]")
    try:
        return list(map(str, json.loads(found)))
    except (ValueError, TypeError):
        return []


def _shape(onnx: Any, given: Any) -> list[int]:
    """Of an input; the first is that of the rows, 0 if it is free."""
    kind = given.type.tensor_type
    numbers = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.INT32, onnx.TensorProto.INT64)
    if kind.elem_type not in numbers:
        name = onnx.TensorProto.DataType.Name(kind.elem_type)
        raise ValueError(f"expected inputs of float32, float64 or whole numbers, got {name} in {given.name!r}")
    rows, *sizes = [dim.dim_value for dim in kind.shape.dim] or [-1]
    if rows < 0 or any(size < 1 for size in sizes):
        raise ValueError(f"expected an input of rows whose shape is known, got {given.name!r}")
    return [rows, *sizes]


def _node(onnx: Any, node: Any, opset: int) -> Node:
    name = node.name or (node.output[0] if node.output else "")
    if not node.output:
        raise ValueError(f"{node.op_type} of node {name!r}: expected an output, got none")
    if node.domain not in ("", "ai.onnx") or not onnx.defs.has(node.op_type):
        raise ValueError(f"{node.op_type} of node {name!r}: whet has no such operation")
    schema = onnx.defs.get_schema(node.op_type, opset)
    kinds = [each.default_value for each in schema.attributes.values() if each.default_value.type]
    attributes = {each.name: _attribute(onnx, each) for each in [*kinds, *node.attribute]}
    if node.op_type == "Constant":
        attributes = {"value": next(iter(attributes.values()))}
    if node.op_type == "Cast":
        attributes["to"] = onnx.helper.tensor_dtype_to_np_dtype(attributes["to"])
    return Node(node.op_type, name, tuple(node.input), tuple(node.output), attributes)


def _attribute(onnx: Any, attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    return _array(onnx, value, None) if isinstance(value, onnx.TensorProto) else value


def _with_statistics(nodes: Sequence[Node]) -> list[Node]:
    """Running statistics have names of their own, where others read the same array: they change while training."""
    uses, found = Counter(name for node in nodes for name in node.inputs), []
    for node in nodes:
        if node.op == "BatchNormalization":
            inputs = list(node.inputs)
            for i, name in zip(_STATISTICS, ("running_mean", "running_var"), strict=True):
                if uses[inputs[i]] > 1:
                    own = f"{node.name}.{name}"
                    found.append(Node("Identity", own, [inputs[i]], [own], {}))
                    inputs[i] = own
            node = replace(node, inputs=inputs)
        found.append(node)
    return found


def _fixed(arrays: Mapping[str, NDArray[Any]], nodes: Sequence[Node], frozen: Collection[str]) -> dict[str, Fixed]:
    """Initializers, and what nodes make of them alone."""
    found = {name: Fixed(array, name, name not in frozen) for name, array in arrays.items()}
    for node in nodes:
        operands: list[Operand] = [found.get(name) for name in node.inputs]
        with node.named():
            made = folded(node.op, operands, node.attributes, node.outputs[0])
        if made is not None:
            found[made.name] = replace(made, given=made.given and made.name not in frozen)
    return found


def _array(onnx: Any, tensor: Any, folder: str | None) -> NDArray[Any]:
    """The array of a TensorProto; half precision as float32. Without a folder, no file beside is read."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        whole = onnx.TensorProto()
        whole.CopyFrom(tensor)
        whole.data_location = onnx.TensorProto.DEFAULT
        del whole.external_data[:]
        whole.raw_data = _beside(tensor, folder)
        tensor = whole
    try:
        array = onnx.numpy_helper.to_array(tensor)
    except ValueError as error:
        raise ValueError(f"expected {tensor.name!r} to have as many numbers as its shape says: {error}") from None
    halves = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    read: NDArray[Any] = array.astype(np.float32) if tensor.data_type in halves else array
    return read


def _beside(tensor: Any, folder: str | None) -> bytes:
    """A tensor's bytes. A file that comes from others may name no path, no link and no device."""
    where = {entry.key: entry.value for entry in tensor.external_data}
    name = where.get("location", "")
    if folder is None or not name or os.path.basename(name) != name or name in (os.curdir, os.pardir):
        raise ValueError(f"expected the numbers of {tensor.name!r} in a file beside the model, got {name!r}")
    handle = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(handle)
        raise ValueError(f"expected {name!r} to be a plain file without links")
    with os.fdopen(handle, "rb") as file:
        try:
            offset = int(where.get("offset", 0))
            length = int(where.get("length", max(status.st_size - offset, 0)))
        except ValueError as error:
            raise ValueError(f"expected a whole number as place of {tensor.name!r} in {name!r}: {error}") from None
        if not 0 <= offset <= offset + length <= status.st_size:
            raise ValueError(f"expected {name!r} to hold {length} bytes from {offset} on, got {status.st_size} in all")
        file.seek(offset)
        return file.read(length)
