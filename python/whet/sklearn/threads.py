"""Threads of the core as the ecosystem limits them: an argument, threadpoolctl, or joblib through OMP_NUM_THREADS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import threadpoolctl

from whet import _core
from whet.runtime import threads_of_environment

__all__ = ["limited", "one_blas_thread"]

_lock = threading.Lock()
_limits: list[int] = []
_before = 0

_limiting_blas = threading.Lock()


@contextmanager
def limited(n_threads: int | None) -> Iterator[None]:
    """Inside, the core uses so many threads at most; None: what the environment says.

    The core has one number for all threads of Python: the smallest of those that are inside counts, and the last to
    leave puts back what was there.
    """
    global _before
    limit = n_threads if n_threads is not None else threads_of_environment()
    if limit is None:
        yield
        return
    with _lock:
        if not _limits:
            _before = _core.num_threads()
        _limits.append(limit)
        _core.set_num_threads(min(_limits) if n_threads is not None else min(_before, *_limits))
    try:
        yield
    finally:
        with _lock:
            _limits.remove(limit)
            _core.set_num_threads(min(_limits) if _limits else _before)


@cache
def _blas() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Inside, BLAS has one thread: SciPy's searches call it for a few numbers at a time, and its threads would wait
    for those of the core, spinning (0.50 s of the processors for 0.06 s of work on 10,788 rows of 26 features).

    Only the first of several threads of Python sets the limit and takes it away: each that did so would put back what
    it found, which may be another's limit.
    """
    if not _limiting_blas.acquire(blocking=False):
        yield
        return
    try:
        with _blas().limit(limits=1, user_api="blas"):
            yield
    finally:
        _limiting_blas.release()


class _Controller(threadpoolctl.LibController):  # type: ignore[misc]
    """Shows the core's threads to threadpoolctl, and obeys its limits."""

    user_api = "whet"
    internal_api = "whet"
    filename_prefixes = ("_core",)
    check_symbols = ("whet_num_threads",)

    def set_additional_attributes(self) -> None:
        self.instruction_set = _core.instruction_set()

    def get_num_threads(self) -> int:
        return _core.num_threads()

    def set_num_threads(self, num_threads: int) -> None:
        _core.set_num_threads(num_threads)

    def get_version(self) -> str:
        return _core.__version__


threadpoolctl.register(_Controller)
