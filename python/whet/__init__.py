"""whet trains models: linear models, multi-layer perceptrons and tabular networks, as fast as the processor allows."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from whet import _core
from whet._core import NonFiniteError

if TYPE_CHECKING:
    from whet import data, export, losses, metrics, nn, ops, optim, sklearn
    from whet.errors import WhetWarning
    from whet.models import load
    from whet.tabular import TabularModel
    from whet.training import Trainer

__version__ = _core.__version__

__all__ = [
    "NonFiniteError",
    "TabularModel",
    "Trainer",
    "WhetWarning",
    "__version__",
    "build_info",
    "data",
    "export",
    "get_num_threads",
    "load",
    "losses",
    "metrics",
    "nn",
    "ops",
    "optim",
    "set_num_threads",
    "sklearn",
]

# Imported when first used, so that `import whet` costs next to nothing.
_MODULES = ("data", "export", "losses", "metrics", "nn", "ops", "optim", "sklearn")
_NAMES = {"TabularModel": "tabular", "Trainer": "training", "WhetWarning": "errors", "load": "models"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"whet.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"whet.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'whet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def set_num_threads(n: int) -> None:
    """Sets how many threads the kernels may use, at most; results do not depend on it.

    Raises:
        TypeError: If `n` is no integer.
        ValueError: If it is less than one.
    """
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"[set_num_threads] expected an integer, got {type(n).__name__}")
    _core.set_num_threads(n.__index__())


def get_num_threads() -> int:
    """How many threads the kernels may use: as set, else WHET_NUM_THREADS, else the processors this process may use."""
    return _core.num_threads()


def build_info() -> dict[str, Any]:
    """What this build is and found here: version, compiler, instruction sets, threads, and the functions it knows."""
    return {
        "version": __version__,
        "compiler": _core.compiler,
        "isa": _core.instruction_set(),
        "available_isas": _core.available_instruction_sets(),
        "num_threads": _core.num_threads(),
        "activations": [entry["name"] for entry in _core.activations()],
        "losses": [entry["name"] for entry in _core.losses()],
        "optimizers": [entry["name"] for entry in _core.optimizers()],
    }
