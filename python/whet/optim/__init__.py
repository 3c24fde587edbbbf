"""Optimizers: immutable descriptions with PyTorch's names, hyper-parameters and defaults.

Every number of an optimizer may be an object of whet.schedules. All take `clip_norm` and `clip_value`: see `Optimizer`.
To add an elementwise one, write its functor in cpp/math/optimizers.h, a class here, and its formula in
tests/reference_optimizers.py; one that needs norms or products of whole parameters stands in cpp/engine/optimizers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whet.optim import adam, adaptive, descent, matrices, quasi_newton
from whet.optim.adam import *
from whet.optim.adaptive import *
from whet.optim.base import Optimizer
from whet.optim.descent import *
from whet.optim.matrices import *
from whet.optim.quasi_newton import *
from whet.schedules import Schedule

__all__ = ["Optimizer", "get"]
__all__ += adam.__all__
__all__ += adaptive.__all__
__all__ += descent.__all__
__all__ += matrices.__all__
__all__ += quasi_newton.__all__

_CLASSES: dict[str, type[Optimizer]] = {
    cls.name: cls
    for room in (descent, adam, adaptive, matrices, quasi_newton)
    for cls in map(vars(room).__getitem__, room.__all__)
}

#: Those that work on any array, element by element.
_SWEEPS = {name: cls for name, cls in _CLASSES.items() if not cls.by_parameter}


def get(optimizer: str | Optimizer) -> Optimizer:
    """The optimizer that a string or an object names; a string stands for its defaults.

    Raises:
        TypeError: If `optimizer` is neither.
        ValueError: If there is no optimizer of that name; the message lists the valid ones.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str):
        raise TypeError(f"[optimizer] expected a string or an object of whet.optim, got {type(optimizer).__name__}")
    if optimizer.lower() not in _CLASSES:
        raise ValueError(f"[optimizer] expected one of {', '.join(_CLASSES)}, got '{optimizer}'")
    return _CLASSES[optimizer.lower()]()


def make(name: str, options: Mapping[str, Any]) -> Optimizer:
    """The optimizer of that name with these arguments, those of a sweep: clipping is of all parameters together.

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If there is no optimizer or no argument of a name; the message lists the valid ones.
    """
    if name not in _SWEEPS:
        raise ValueError(f"[optimizer] expected one of {', '.join(_SWEEPS)}, got '{name}'")
    known = _SWEEPS[name].arguments()
    for option in options:
        if option not in known:
            raise ValueError(f"[{name}] expected arguments among {', '.join(known)}, got '{option}'")
    for option, value in options.items():
        if any(isinstance(each, Schedule) for each in (value if isinstance(value, (tuple, list)) else (value,))):
            raise TypeError(f"[{name}] expected a number as {option}: a schedule needs a length")
    return _SWEEPS[name](**options)
