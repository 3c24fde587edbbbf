"""What whet is and found on this machine, and how many threads it may use."""

from __future__ import annotations

import os
from typing import Any

from whet import _core

__all__ = ["build_info", "get_num_threads", "set_num_threads", "threads_of_environment"]


def threads_of_environment() -> int | None:
    """OMP_NUM_THREADS, with which joblib, Dask and Ray divide the processors among their workers.

    None where it says nothing, or whet's own WHET_NUM_THREADS is set.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() and int(given) > 0 and "WHET_NUM_THREADS" not in os.environ else None


def set_num_threads(n: int) -> None:
    """Sets how many threads the kernels may use, at most; results do not depend on it.

    Raises:
        TypeError: If `n` is no integer.
        ValueError: If it is less than one.
    """
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"[set_num_threads] expected an integer, got {type(n).__name__}")
    if n.__index__() > 2**15:
        raise ValueError(f"[set_num_threads] expected at most {2**15} threads, got {n}")
    _core.set_num_threads(n.__index__())


def get_num_threads() -> int:
    """How many threads the kernels may use: as set, else WHET_NUM_THREADS, else the processors this process may use.

    OMP_NUM_THREADS, where it is set when whet is imported, makes them fewer.
    """
    return _core.num_threads()


def build_info() -> dict[str, Any]:
    """What this build is and found here: version, compiler, instruction sets, threads, and the functions it knows."""
    return {
        "version": _core.__version__,
        "compiler": _core.compiler,
        "isa": _core.instruction_set(),
        "available_isas": _core.available_instruction_sets(),
        "num_threads": _core.num_threads(),
        "activations": [entry["name"] for entry in _core.activations()],
        "losses": [entry["name"] for entry in _core.losses()],
        "optimizers": [entry["name"] for entry in _core.optimizers() if "." not in entry["name"]],  # no variants
    }


if (_most := threads_of_environment()) is not None:
    _core.set_num_threads(min(_most, _core.num_threads()))
