"""A model with something learnt from held-out rows around it: one immutable object, one file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from whet._arrays import Floats
from whet._rows import AnyModel, Rows, rows_of

__all__ = ["Wrapped"]

_OWN = "calibration/"  # what the names of tensors begin with that are not the model's


class Wrapped:
    """What the wrappers have in common: the model's own predictions, and files.

    A subclass names what it learnt: numbers and text in `_numbers`, arrays in `_arrays`.
    """

    kind: ClassVar[str]
    model: AnyModel
    rows: int

    def __init__(self, model: AnyModel, rows: int) -> None:
        self._set(model=model, rows=rows)

    def _set(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"[{type(self).__name__}] cannot be changed: make another")

    def predict(self, X: Any) -> NDArray[Any]:
        """What the model predicts."""
        predicted: NDArray[Any] = self.model.predict(X)
        return predicted

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model and what was learnt to one file that ``whet.load`` opens, all or nothing.

        Raises:
            OSError: If the file cannot be written; an earlier file of that name is then whole.
        """
        from whet.files import write_model

        tensors, inner = self.model._description()
        own = {f"{_OWN}{name}": np.asarray(array) for name, array in self._arrays().items()}
        write_model(path, {**tensors, **own}, {"kind": self.kind, "rows": self.rows, **self._numbers(), "model": inner})

    @classmethod
    def _from_description(
        cls, tensors: Mapping[str, Floats], description: Mapping[str, Any], model: AnyModel
    ) -> Wrapped:
        """The wrapper that `save` wrote down, around a model that has been opened."""
        made = cls.__new__(cls)
        own = {name.removeprefix(_OWN): array for name, array in tensors.items() if name.startswith(_OWN)}
        made._set(model=model, rows=int(description["rows"]))
        made._restore(description, own)
        return made

    @staticmethod
    def _of_model(tensors: Mapping[str, Floats]) -> dict[str, Floats]:
        """The tensors of the model inside."""
        return {name: array for name, array in tensors.items() if not name.startswith(_OWN)}

    def _numbers(self) -> dict[str, Any]:
        return {}

    def _arrays(self) -> dict[str, Floats]:
        return {}

    def _restore(self, description: Mapping[str, Any], arrays: Mapping[str, Floats]) -> None:
        raise TypeError(f"[{type(self).__name__}] is a base class")

    def _rows(self, X: Any, where: str) -> Rows:
        return rows_of(self.model, X, None, where, with_target=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.model).__name__}, {self._told()}, from {self.rows} rows)"

    def _told(self) -> str:
        return ", ".join(f"{name}={value:.4g}" for name, value in self._numbers().items() if isinstance(value, float))
