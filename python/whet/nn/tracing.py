"""Tracing: a module's ``forward`` runs once on symbolic values, and what it does with them becomes a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from whet import _core

if TYPE_CHECKING:
    from whet.nn.module import Module
    from whet.nn.parameter import Parameter

__all__ = ["Trace", "Value", "concatenate"]


class Value:
    """What stands for an array of shape (rows, ...) while a module is traced."""

    def __init__(self, trace: Trace, index: int) -> None:
        self._trace = trace
        self._index = index

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return tuple(self._trace.graph.shape(self._index))

    def apply(
        self, op: str, others: Sequence[Value] = (), parameters: Sequence[Parameter] = (), **options: float
    ) -> Value:
        """The value that an operation of the core makes of this one, others and parameters.

        Raises:
            TypeError: If another operand is no traced value.
            ValueError: If the operation is unknown or the shapes do not fit; names the layer and its place.
        """
        return self._trace.apply(op, [self, *others], parameters, options)

    def __add__(self, other: Value) -> Value:
        return self.apply("add", [other])

    __radd__ = __add__

    def _unsupported(self, *_: object) -> Any:
        raise TypeError("[forward] a traced value knows layers, + and nn.concatenate, not this")

    __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _unsupported
    __matmul__ = __rmatmul__ = __pow__ = __neg__ = __abs__ = __getitem__ = _unsupported

    def __repr__(self) -> str:
        return f"Value(shape=(rows, {', '.join(map(str, self.shape))}))"

    def __bool__(self) -> bool:
        raise TypeError("[forward] a traced value has no truth: forward runs once, for every batch alike")

    def __array__(self, *_: object, **__: object) -> None:
        raise TypeError("[forward] a traced value is no array: use the layers and functions of whet.nn")


class Trace:
    """The graph that a module's forward is building, and where in the module it is."""

    def __init__(self, root: Module, parameters: Mapping[str, Parameter], width: int) -> None:
        self.graph = _core.Graph([width], [(name, list(p.shape)) for name, p in parameters.items()])
        self._index = {id(p): i for i, p in enumerate(parameters.values())}
        self._names = {id(module): name for name, module in root.named_modules()}
        self._stack: list[Module] = []

    def run(self, module: Module) -> _core.Graph:
        """The graph of the whole module."""
        output = module(Value(self, 0))
        if not isinstance(output, Value):
            raise TypeError(
                f"[forward] expected {type(module).__name__}.forward to return a traced value, "
                f"got {type(output).__name__}"
            )
        if output._index == 0:
            raise ValueError(f"[forward] {type(module).__name__} returns its input as it is: it has no layers")
        self.graph.set_output(output._index)
        return self.graph

    def enter(self, module: Module, value: Value) -> Value:
        """Runs the forward of a module inside the one being traced."""
        self._stack.append(module)
        try:
            result: Value = module.forward(value)
            return result
        finally:
            self._stack.pop()

    def apply(
        self, op: str, inputs: Sequence[Value], parameters: Sequence[Parameter], options: Mapping[str, float]
    ) -> Value:
        """See `Value.apply`."""
        for value in inputs:
            if not isinstance(value, Value) or value._trace is not self:
                raise TypeError(
                    f"[{op}] expected values of this forward pass, got {type(value).__name__}{self._place()}"
                )
        try:
            indices = [self._index[id(p)] for p in parameters]
        except KeyError:
            raise ValueError(f"[{op}] has a parameter that is no attribute of the model{self._place()}") from None
        try:
            numbers = [(name, float(value)) for name, value in options.items()]
            return Value(self, self.graph.add(op, numbers, [value._index for value in inputs], indices))
        except ValueError as error:
            raise ValueError(f"{error}{self._place()}") from None

    def _place(self) -> str:
        if not self._stack:
            return ""
        module = self._stack[-1]
        name = self._names.get(id(module), "")
        return f", in layer '{name}' ({module!r})" if name else f", in {type(module).__name__}"


def concatenate(values: Sequence[Value]) -> Value:
    """The features of several traced values side by side.

    Raises:
        ValueError: If there is none.
    """
    if not values:
        raise ValueError("[concatenate] expected at least one value, got none")
    first, *others = values
    if not isinstance(first, Value):
        raise TypeError(f"[concatenate] expected values of this forward pass, got {type(first).__name__}")
    return first.apply("concatenate", others)
