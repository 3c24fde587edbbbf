"""A model's graph as the statements of a C function: one for each operation, and arrays for what lies between."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from whet import _core
from whet._arrays import Floats
from whet.export.c_source.literals import array, comment, identifier, number

if TYPE_CHECKING:
    from whet._core import _Node as Node

__all__ = ["Network", "Translation"]

_COMBINATIONS = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "maximum": "maximum_of({}, {})",
    "minimum": "minimum_of({}, {})",
    "greater": "{} > {}",
    "greater_equal": "{} >= {}",
    "equal": "{} == {}",
}
_ACTIVATIONS = {each["name"]: each["options"] for each in _core.activations()}
# While predicting, these are what they are given.
_NOTHING = ("identity", "dropout", "alpha_dropout", "reshape")


@dataclass(frozen=True)
class Network:
    """What there is to translate: a graph, its parameters by number, and the layer of each node."""

    graph: _core.Graph
    parameters: Sequence[tuple[str, Floats]]
    layers: Sequence[str]
    dtype: str

    def shape(self, value: int) -> tuple[int, ...]:
        """Of a row of a value."""
        return tuple(self.graph.shape(value))

    def live(self) -> list[tuple[str, Node]]:
        """The nodes that the output depends on, and their layers."""
        needed, found = {self.graph.output}, []
        for layer, node in reversed(list(zip(self.layers, self.graph.nodes, strict=True))):
            if node["output"] in needed:
                needed.update(node["inputs"])
                found.append((layer, node))
        return found[::-1]


@dataclass(frozen=True)
class Place:
    """Where a value lies: in an array of C, from some element on; or it is one number, in every element."""

    array: str
    start: int = 0
    literal: str = ""

    @property
    def pointer(self) -> str:
        """Of its first element."""
        return f"{self.array} + {self.start}" if self.start else self.array

    def element(self, index: str) -> str:
        """One of it, counted from the first, which "" stands for."""
        if self.start:
            index = f"{self.start} + {index}" if index else str(self.start)
        return self.literal or f"{self.array}[{index or 0}]"

    def part(self, start: int) -> Place:
        """From a later element on."""
        return Place(self.array, self.start + start, self.literal)


class Translation:
    """The C of a network.

    Attributes:
        statements: Of the function, for a row `x` and its outputs `out`.
        constants: Definitions that stand before it.
        scratch: Arrays of the function's own, and their elements.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.statements: list[str] = []
        self.constants: dict[str, str] = {}
        self.scratch: dict[str, int] = {}
        self._known: dict[tuple[int, str], Place] = {}  # constants, by parameter and form
        self._places = {0: Place("x")}
        live = network.live()
        self._last_use = {value: time for time, (_, node) in enumerate(live) for value in node["inputs"]}
        self._last_use[network.graph.output] = len(live)
        self._final = network.graph.output  # what the last operation makes that is not its input in another shape
        for _, node in reversed(live):
            if node["output"] == self._final and node["op"] in _NOTHING:
                self._final = node["inputs"][0]
        for self._time, (layer, node) in enumerate(live):
            self._translate(layer, node)
        last = self._places[network.graph.output]
        if last.array != "out":
            self._loop(self._count(network.graph.output), lambda i: f"out[{i or 0}] = {last.element(i)};")

    def _translate(self, layer: str, node: Node) -> None:
        rule = self._rule(node["op"])
        if rule is None:
            place = f"layer {layer!r}" if layer else "the model's forward"
            raise ValueError(f"[to_c] expected operations that C source can have, got {node['op']!r} in {place}")
        shapes = [f"({', '.join(map(str, self.network.shape(i)))})" for i in (*node["inputs"], node["output"])]
        start = len(self.statements)
        rule(node)
        if len(self.statements) > start:
            note = f"{layer}: {node['op']}" if layer else node["op"]
            self.statements.insert(start, comment(f"{note}, {' and '.join(shapes[:-1])} to {shapes[-1]}").rstrip())

    def _rule(self, op: str) -> Callable[[Node], None] | None:
        if op in _NOTHING:
            return self._same
        if op in _ACTIVATIONS:
            return self._activation
        if op in _COMBINATIONS:
            return self._combination
        found: Callable[[Node], None] | None = getattr(self, f"_op_{op}", None)
        return found

    # Places

    def _count(self, value: int) -> int:
        return math.prod(self.network.shape(value))

    def _new(self, value: int, instead_of: Place | None = None) -> Place:
        """Room for a value: the function's output, the array of an input that nobody reads later, or one of its own."""
        if value == self._final:
            found = Place("out")
        elif instead_of is not None and instead_of.array in self.scratch and self._read(instead_of.array) <= self._time:
            found = instead_of
        else:
            found = Place(self._array(self._count(value)))
        self._places[value] = found
        return found

    def _array(self, count: int) -> str:
        """An array that nobody reads any more, made larger if need be, or a new one."""
        free = [name for name in self.scratch if self._read(name) < self._time]
        name = min(free, key=lambda each: abs(self.scratch[each] - count), default=f"t{len(self.scratch)}")
        self.scratch[name] = max(count, self.scratch.get(name, 0))
        return name

    def _read(self, name: str) -> int:
        """When an array is read for the last time."""
        return max((self._last_use[v] for v, place in self._places.items() if place.array == name), default=-1)

    def _input(self, node: Node) -> Place:
        """Where the first input lies."""
        return self._places[node["inputs"][0]]

    def _constant(self, index: int, form: Callable[[Floats], Floats] | None = None, suffix: str = "") -> Place:
        """A parameter as constants of the file, perhaps in another form, which the suffix names."""
        if (index, suffix) not in self._known:
            name, values = self.network.parameters[index]
            made = values if form is None else form(values)
            found = identifier(f"p_{name}{suffix}", self.constants)
            self.constants[found] = array(found, made, f"{name}{suffix.replace('_', ', ')}: {made.shape}")
            self._known[index, suffix] = Place(found)
        return self._known[index, suffix]

    def _number(self, value: float) -> str:
        return number(value, self.network.dtype)

    # Statements

    def _loop(self, count: int, body: Callable[[str], str], index: str = "i") -> None:
        head = f"for (size_t {index} = 0; {index} < {count}; ++{index}) " if count > 1 else ""
        self.statements.append(head + body(index if count > 1 else ""))

    def _call(self, function: str, *arguments: Place | str | int | None) -> None:
        words = ("NULL" if a is None else a.pointer if isinstance(a, Place) else str(a) for a in arguments)
        self.statements.append(f"{function}({', '.join(words)});")

    def _for_each(self, index: str, count: int) -> None:
        """Repeats the last statement."""
        body = self.statements.pop()
        self.statements.append(f"for (size_t {index} = 0; {index} < {count}; ++{index})\n  {body}")

    def _same(self, node: Node) -> None:
        self._places[node["output"]] = self._input(node)

    def _activation(self, node: Node) -> None:
        options = _ACTIVATIONS[node["op"]] | node["options"]
        numbers = "".join(f", {self._number(value)}" for value in options.values())
        x = self._input(node)
        y = self._new(node["output"], x)
        self._loop(self._count(node["output"]), lambda i: f"{y.element(i)} = {node['op']}_of({x.element(i)}{numbers});")

    def _combination(self, node: Node) -> None:
        operands = [(self._places[i], _sizes(self.network.shape(i))) for i in node["inputs"]]
        operands += [(self._constant(i), _sizes(self.network.parameters[i][1].shape)) for i in node["parameters"]]
        if node["options"].get("swapped"):
            operands.reverse()
        m, n = _sizes(self.network.shape(node["output"]))
        y = self._new(node["output"])

        def statement(index: str, indices: Sequence[str]) -> str:
            elements = (place.element(each) for (place, _), each in zip(operands, indices, strict=True))
            return f"{y.element(index)} = {_COMBINATIONS[node['op']].format(*elements)};"

        if m == 1 or all(size in ((m, n), (1, 1)) for _, size in operands):
            self._loop(m * n, lambda i: statement(i, [i if math.prod(size) > 1 else "" for _, size in operands]))
        else:
            self._loop(n, lambda j: statement(_index((m, n)), [_index(size) for _, size in operands]), "j")
            self._for_each("i", m)

    def _op_where(self, node: Node) -> None:
        y = self._new(node["output"])
        c, a, b = (self._places[i] for i in node["inputs"])
        one = [self._count(i) == 1 for i in node["inputs"]]

        def body(i: str) -> str:
            yes, no = a.element("" if one[1] else i), b.element("" if one[2] else i)
            return f"{y.element(i)} = {c.element(i)} == 0 ? {no} : {yes};"

        self._loop(self._count(node["output"]), body)

    def _op_constant(self, node: Node) -> None:
        self._places[node["output"]] = Place("", literal=self._number(node["options"].get("value", 0)))

    # Shapes

    def _op_concatenate(self, node: Node) -> None:
        shapes = [self.network.shape(i) for i in node["inputs"]]
        rows, widths = 1, []
        for shape in shapes:
            axis = _axis(node, shape)
            rows = math.prod(shape[:axis])
            widths.append(math.prod(shape[axis:]))
        y, start = self._new(node["output"]), 0
        for i, width in zip(node["inputs"], widths, strict=True):
            self._copy(y.part(start), sum(widths), self._places[i], width, rows, width)
            start += width

    def _op_slice(self, node: Node) -> None:
        shape = self.network.shape(node["inputs"][0])
        axis = _axis(node, shape)
        rows, step = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        start, stop = (int(node["options"].get(each, 0)) for each in ("start", "stop"))
        part, width = self._input(node).part(start * step), (stop - start) * step
        if rows == 1:
            self._places[node["output"]] = part
        else:
            self._copy(self._new(node["output"]), width, part, shape[axis] * step, rows, width)

    def _copy(self, y: Place, y_width: int, x: Place, x_width: int, rows: int, n: int) -> None:
        """A block of rows."""
        if rows == 1:
            self._loop(n, lambda i: f"{y.element(i)} = {x.element(i)};")
        else:
            self._call("copy", y, y_width, x, x_width, rows, n)

    # Sums

    def _op_sum(self, node: Node) -> None:
        shape, axis = self.network.shape(node["inputs"][0]), node["options"].get("axis", 99)
        whole = axis == 99 or len(shape) == 1
        first = not whole and axis not in (-1, len(shape) - 1)
        rows, n = (1, math.prod(shape)) if whole else (math.prod(shape[:-1]), shape[-1])
        scale = 1 / (rows if first else n) if node["op"] == "mean" else 1.0
        y, x = self._new(node["output"]), self._row(node)
        self._call("sum_first" if first else "sum_last", y, x, rows, n, self._number(scale))

    _op_mean = _op_sum

    def _op_logsumexp(self, node: Node) -> None:
        rows, n = self._lines(node)
        self._call("logsumexp", self._new(node["output"]), self._row(node), rows, n)

    def _op_normalize(self, node: Node) -> None:
        options = {"groups": 1, "eps": 1e-5, "centred": 1, **node["options"]}
        rows, width = self._lines(node)
        groups = int(options["groups"])
        eps = options["eps"] if options["eps"] >= 0 else float(np.finfo(self.network.dtype).eps)
        scale, shift = self._affine(node["parameters"])
        y, x = self._new(node["output"]), self._row(node)
        size = width // groups
        self._call("normalize", y, x, scale, shift, rows, groups, size, self._number(eps), int(options["centred"]))

    # Parameters

    def _op_linear(self, node: Node) -> None:
        weight, *bias = node["parameters"]
        turned = not node["options"].get("transposed", 0)
        w = self._constant(weight, np.transpose, "_transposed") if turned else self._constant(weight)
        b = self._constant(bias[0]) if bias else None
        rows, width = self._lines(node)
        y, x = self._new(node["output"]), self._row(node)
        self._call("linear", y, x, w, b, rows, width, self.network.shape(node["output"])[-1])

    def _op_grouped_linear(self, node: Node) -> None:
        weight, *bias = node["parameters"]
        groups, k, n = self.network.parameters[weight][1].shape
        w, b = self._constant(weight), self._constant(bias[0]) if bias else None
        y, x = self._new(node["output"]), self._row(node)
        own = len(self.network.shape(node["inputs"][0])) > 1
        places = [f"{y.pointer} + g * {n}", f"{x.pointer} + g * {k}" if own else x, f"{w.pointer} + g * {k * n}"]
        self._call("linear", *places, f"{b.pointer} + g * {n}" if b else None, 1, k, n)
        self._for_each("g", groups)

    def _op_scale_shift(self, node: Node) -> None:
        scale, shift = self._affine(node["parameters"])
        width = math.prod(self.network.parameters[node["parameters"][0]][1].shape)
        y, x = self._new(node["output"]), self._row(node)
        self._call("standardize", y, x, None, scale, shift, self._count(node["output"]) // width, width)

    def _op_batch_norm(self, node: Node) -> None:
        mean, variance, _, *affine = node["parameters"]
        dtype = np.dtype(self.network.dtype).type
        eps, one = dtype(node["options"].get("eps", 1e-5)), dtype(1)
        scale = self.network.parameters[affine[0]][1] if affine else one
        factor = self._constant(variance, lambda v: one / np.sqrt(v + eps) * scale, "_factor")
        shift = self._constant(affine[1]) if len(affine) > 1 else None
        y, x = self._new(node["output"]), self._row(node)
        self._call("standardize", y, x, self._constant(mean), factor, shift, 1, self._count(node["output"]))

    def _op_embedding(self, node: Node) -> None:
        table = node["parameters"][0]
        rows, width = self.network.parameters[table][1].shape
        y, x = self._new(node["output"]), self._row(node)
        self._call("look_up", y, x, self._constant(table), self._count(node["inputs"][0]), rows, width)

    def _affine(self, parameters: Sequence[int]) -> list[Place | None]:
        """Scale and shift, as far as they are there."""
        found: list[Place | None] = [self._constant(i) for i in parameters]
        return [*found, None, None][:2]

    def _lines(self, node: Node) -> tuple[int, int]:
        """The input's rows along its last axis, and their width."""
        shape = self.network.shape(node["inputs"][0])
        return math.prod(shape[:-1]), shape[-1]

    def _row(self, node: Node) -> Place:
        """The input, in memory."""
        x = self._input(node)
        if not x.literal:
            return x
        name = self._array(1)
        self.statements.append(f"{name}[0] = {x.literal};")
        return Place(name)


def _sizes(shape: Sequence[int]) -> tuple[int, int]:
    """A row's shape as a matrix, by the rule of combinations."""
    return (shape[0], shape[1]) if len(shape) == 2 else (1, math.prod(shape))


def _index(size: tuple[int, int]) -> str:
    """Element (i, j) of a matrix, of which an axis of 1 is repeated."""
    m, n = size
    return " + ".join([*(["i" if n == 1 else f"i * {n}"] if m > 1 else []), *(["j"] if n > 1 else [])])


def _axis(node: Node, shape: Sequence[int]) -> int:
    axis = int(node["options"].get("axis", -1))
    return axis + len(shape) if axis < 0 else axis
