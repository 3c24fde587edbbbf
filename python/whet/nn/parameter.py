"""One trainable array of a module."""

from __future__ import annotations

from typing import Any

import numpy as np

from whet import _core
from whet._arrays import Floats
from whet._checks import as_count, as_flag
from whet.nn.init import Initializer, get

__all__ = ["Buffer", "Parameter"]


class Parameter:
    """A shape and the way its first values are drawn; the values themselves once they are drawn.

    Args:
        shape: The shape, such as (out_features, in_features).
        initializer: How the first values are drawn: an object of whet.nn.init, or its name.
        requires_grad: Whether training changes it.

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If a size is below 1, or there is no initialiser of that name.
    """

    def __init__(self, shape: tuple[int, ...], initializer: Initializer | str, requires_grad: bool = True) -> None:
        where = type(self).__name__
        if not isinstance(shape, tuple | list):
            raise TypeError(f"[{where}] expected a shape such as (out_features, in_features), got {shape!r}")
        self.shape = tuple(as_count(n, where, "each size of the shape") for n in shape)
        self.initializer = get(initializer)
        self._requires_grad = as_flag(requires_grad, "Parameter", "requires_grad")
        self._values: Floats | None = None
        self._owner: _core.State | None = None

    @property
    def requires_grad(self) -> bool:
        """Whether training changes it; set it to False to freeze it."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self._requires_grad = as_flag(value, "Parameter", "requires_grad")
        _core.structure_changed()

    @property
    def drawn(self) -> bool:
        """Whether the parameter has values."""
        return self._values is not None

    def draw(self, seed: int, index: int) -> None:
        """Gives the parameter its first values, as the `index`-th of its model."""
        values = self.initializer.draw(self.shape, seed, index)
        if self._values is None:
            self._values = values
        else:
            self._values[...] = values

    @property
    def owner(self) -> _core.State | None:
        """The flat vector that the values are a part of, or None."""
        return self._owner

    def move(self, state: _core.State, index: int) -> None:
        """Copies the values to their place in a flat vector, which holds them from now on."""
        view: Floats = state.parameter(index)
        if self._values is not None:
            view[...] = self._values
        if self._owner is not None:
            self._owner.left = True
        self._values, self._owner = view, state

    @property
    def values(self) -> Floats:
        """The values themselves, not a copy.

        Raises:
            ValueError: Before they are drawn.
        """
        if self._values is None:
            raise ValueError("[Parameter] has no values yet: they are drawn by initialize(seed) or by the first fit")
        return self._values

    def __getstate__(self) -> dict[str, Any]:
        values = None if self._values is None else np.array(self._values)
        return {**self.__dict__, "_values": values, "_owner": None}

    def __repr__(self) -> str:
        return f"Parameter({self.shape}, {self.initializer!r})"


class Buffer(Parameter):
    """An array of a module that is saved with it but not trained: a constant, or a running statistic.

    Args:
        shape: The shape, such as (features,).
        initializer: What it holds at first: an object of whet.nn.init, or its name.
    """

    def __init__(self, shape: tuple[int, ...], initializer: Initializer | str) -> None:
        super().__init__(shape, initializer, requires_grad=False)

    def __repr__(self) -> str:
        return f"Buffer({self.shape}, {self.initializer!r})"
