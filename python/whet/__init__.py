"""whet trains models: linear models, multi-layer perceptrons and tabular networks, as fast as the processor allows."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from whet import _core
from whet.errors import NonFiniteError, WhetWarning
from whet.runtime import build_info, get_num_threads, set_num_threads

if TYPE_CHECKING:
    from whet import (
        calibration,
        callbacks,
        data,
        explain,
        export,
        losses,
        metrics,
        nn,
        ops,
        optim,
        schedules,
        sklearn,
        tune,
    )
    from whet.diagnosis import diagnose
    from whet.models import load
    from whet.reporting import report
    from whet.tabular import TabularModel
    from whet.training import History, Trainer

__version__ = _core.__version__

__all__ = [
    "History",
    "NonFiniteError",
    "TabularModel",
    "Trainer",
    "WhetWarning",
    "__version__",
    "build_info",
    "calibration",
    "callbacks",
    "data",
    "diagnose",
    "explain",
    "export",
    "get_num_threads",
    "load",
    "losses",
    "metrics",
    "nn",
    "ops",
    "optim",
    "report",
    "schedules",
    "set_num_threads",
    "sklearn",
    "tune",
]

# Imported when first used, so that `import whet` costs next to nothing.
_MODULES = (
    "calibration",
    "callbacks",
    "data",
    "explain",
    "export",
    "losses",
    "metrics",
    "nn",
    "ops",
    "optim",
    "schedules",
    "sklearn",
    "tune",
)
_NAMES = {
    "History": "training",
    "TabularModel": "tabular",
    "Trainer": "training",
    "diagnose": "diagnosis",
    "load": "models",
    "report": "reporting",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"whet.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"whet.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'whet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
