"""The numbers of an optimizer as parameters of the estimator that has it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from sklearn.base import BaseEstimator

from whet import optim
from whet.optim import Optimizer

__all__ = ["OptimizerParameters"]

_PREFIX = "optimizer__"


class OptimizerParameters(BaseEstimator):  # type: ignore[misc]
    """An estimator with a parameter `optimizer`, whose numbers are parameters, too, such as "optimizer__lr"."""

    optimizer: Any

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters by name; with `deep`, also the numbers of an optimizer that is an object."""
        found: dict[str, Any] = super().get_params(deep=deep)
        if deep and isinstance(self.optimizer, Optimizer):
            found |= {f"{_PREFIX}{name}": getattr(self.optimizer, name) for name in self.optimizer.arguments()}
        return found

    def set_params(self, **params: Any) -> Any:
        """Sets parameters by name. Returns the estimator."""
        numbers = {name.removeprefix(_PREFIX): value for name, value in params.items() if name.startswith(_PREFIX)}
        others = {name: value for name, value in params.items() if not name.startswith(_PREFIX)}
        if numbers:
            given = others.get("optimizer", self.optimizer)
            if given is None:
                raise ValueError(f"[set_params] expected an optimizer to set {', '.join(numbers)} of, got None")
            made = optim.get(given)
            known = [each.name for each in fields(made)]
            for name in numbers:
                if name not in known:
                    raise ValueError(
                        f"Invalid parameter {name!r} for optimizer {made}. Valid parameters are: {known!r}."
                    )
            others["optimizer"] = replace(made, **numbers)
        return super().set_params(**others)
