"""Who holds the parameters: each lives in the flat vector of one model, and moves only when another model trains it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from whet import _core
from whet.nn.parameter import Parameter

__all__ = ["copied", "gather", "hold", "holds", "idle", "release"]

Parameters = Mapping[str, Parameter]

# Moves are rare and short. `_training` has the flat vectors that a training is changing now.
_moving = threading.RLock()
_training: set[_core.State] = set()


def _after_fork() -> None:
    """In a child none of the parent's other threads goes on."""
    global _moving
    _moving = threading.RLock()
    _training.clear()


os.register_at_fork(after_in_child=_after_fork)


def holds(state: _core.State | None, parameters: Parameters, dtype: str) -> bool:
    """Whether all parameters live in that flat vector, and it is of that dtype."""
    return state is not None and state.dtype == dtype and all(p.owner is state for p in parameters.values())


def _fresh(parameters: Parameters, dtype: str, seed: int) -> _core.State:
    for index, parameter in enumerate(parameters.values()):
        if not parameter.drawn:
            parameter.draw(seed, index)
    return _core.State([(name, list(p.shape)) for name, p in parameters.items()], dtype)


def gather(parameters: Parameters, dtype: str, seed: int) -> _core.State:
    """A new flat vector into which all parameters move, drawn first if they have no values yet."""
    with _moving:
        state = _fresh(parameters, dtype, seed)
        for index, parameter in enumerate(parameters.values()):
            parameter.move(state, index)
        return state


def copied(parameters: Parameters, dtype: str) -> _core.State:
    """A new flat vector with copies of all parameters, which stay where they are."""
    with _moving:
        state = _fresh(parameters, dtype, 0)
        for index, parameter in enumerate(parameters.values()):
            state.parameter(index)[...] = parameter.values
        return state


@contextmanager
def idle(parameters: Parameters, where: str) -> Iterator[None]:
    """Holds off trainings of these parameters.

    Raises:
        RuntimeError: If one is running.
    """
    with _moving:
        if _training and any(parameter.owner in _training for parameter in parameters.values()):
            raise RuntimeError(f"[{where}] another thread is training this model, or one that shares its parameters")
        yield


def hold(state: _core.State) -> None:
    """Marks a flat vector as being trained, until `release`. To be called while its parameters are idle."""
    _training.add(state)


def release(state: _core.State) -> None:
    """The end of a training."""
    _training.discard(state)
