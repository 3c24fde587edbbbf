"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

from whet._checks import as_count
from whet.nn.activations import get
from whet.nn.layers import Dropout, Linear
from whet.nn.module import Module
from whet.nn.parameter import Parameter
from whet.nn.tracing import Value, concatenate

__all__ = ["MLP", "Parallel", "Residual", "Sequential"]


class Sequential(Module):
    """Layers one after the other, as torch.nn.Sequential."""

    def __init__(self, *layers: Module) -> None:
        for i, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise TypeError(f"[{type(self).__name__}] expected modules, got {type(layer).__name__} at {i}")
        self._layers = layers

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        for layer in self._layers:
            x = layer(x)
        return x

    def children(self) -> Iterator[tuple[str, Parameter | Module]]:
        """The layers, named "0", "1" and so on."""
        yield from ((str(i), layer) for i, layer in enumerate(self._layers))

    def __len__(self) -> int:
        return len(self._layers)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module | Sequential:
        if isinstance(index, slice):
            return Sequential(*self._layers[index])
        if not -len(self._layers) <= index < len(self._layers):
            raise IndexError(f"[Sequential] expected the number of one of {len(self._layers)} layers, got {index}")
        return self._layers[index]

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layers)


class Residual(Sequential):
    """x plus what layers make of it, one after the other."""

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return x + super().forward(x)


class Parallel(Sequential):
    """What each module makes of x, side by side."""

    def forward(self, x: Value) -> Value:
        """See `Module.forward`."""
        return concatenate([layer(x) for layer in self._layers])


class MLP(Sequential):
    """A multi-layer perceptron: linear layers with an activation between them.

    Args:
        in_features: Width of the input.
        hidden: Widths of the hidden layers; none makes a linear model.
        out_features: Width of the output.
        activation: Name of the activation after every hidden layer.
        dropout: Share of hidden units to drop while training; 0 makes no `Dropout` layers.
    """

    def __init__(
        self, in_features: int, hidden: Sequence[int], out_features: int, activation: str = "relu", dropout: float = 0
    ) -> None:
        if not isinstance(hidden, Sequence) or isinstance(hidden, str):
            raise TypeError(f"[MLP] expected hidden to be a sequence of widths, got {type(hidden).__name__}")
        self.in_features = in_features
        self.hidden = tuple(as_count(width, "MLP", "each hidden width") for width in hidden)
        self.out_features = out_features
        self.activation = activation
        self.dropout = Dropout(dropout).p
        layers: list[Module] = []
        for before, after in zip((in_features, *hidden), hidden, strict=False):
            layers += [Linear(before, after), get(activation)] + ([Dropout(dropout)] if dropout else [])
        super().__init__(*layers, Linear(hidden[-1] if hidden else in_features, out_features))

    def _arguments(self) -> dict[str, Any]:
        names = ("in_features", "hidden", "out_features", "activation", "dropout")
        return {name: getattr(self, name) for name in names}
