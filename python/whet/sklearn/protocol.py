"""scikit-learn's callback protocol, which its releases have from 1.9 on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from sklearn.utils.metaestimators import available_if

try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as _managed
except ImportError:  # before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""

    def _managed(method: Any) -> Any:
        return method


_Method = TypeVar("_Method", bound=Callable[..., Any])

__all__ = ["CallbackSupportMixin", "Tasks", "available", "with_callbacks"]


def with_callbacks(method: _Method) -> _Method:
    """The method, behind which scikit-learn's callbacks are torn down however it ends."""
    return cast("_Method", _managed(method))


def available(check: Callable[[Any], bool]) -> Callable[[_Method], _Method]:
    """The method of estimators for which `check` raises no AttributeError; the others do not have it."""
    return cast("Callable[[_Method], _Method]", available_if(check))


class Tasks:
    """Tells an estimator's callbacks of its fit and of every iteration in it; of nothing where it has none.

    Args:
        estimator: The estimator.
        X: Rows to tell of.
        y: Their target.
        iterations: How many there will be at most.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, iterations: int) -> None:
        self._estimator, self._rows = estimator, {"X": X, "y": y}
        self._context = None
        has = getattr(estimator, "_skl_callbacks", None) or hasattr(estimator, "_parent_callback_ctx")
        if has and hasattr(estimator, "_init_callback_context"):
            self._context = estimator._init_callback_context(max_subtasks=iterations)
            self._context.call_on_fit_task_begin(estimator=estimator, **self._rows)

    @property
    def asked(self) -> bool:
        """Whether there is a callback to tell."""
        return self._context is not None

    def iteration(self, attributes: dict[str, Any]) -> bool:
        """After an iteration, with what would make a fitted estimator. Returns whether a callback asks for an end."""
        if self._context is None:
            return False
        task = self._context.subcontext(task_name="iteration")
        task.call_on_fit_task_begin(estimator=self._estimator, **self._rows)
        told = {**self._rows, "reconstruction_attributes": attributes}
        return bool(task.call_on_fit_task_end(estimator=self._estimator, **told))

    def end(self, attributes: dict[str, Any]) -> None:
        """After the last."""
        if self._context is not None:
            told = {**self._rows, "reconstruction_attributes": attributes}
            self._context.call_on_fit_task_end(estimator=self._estimator, **told)
