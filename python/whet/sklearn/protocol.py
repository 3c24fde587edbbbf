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

__all__ = ["Attributes", "CallbackSupportMixin", "Tasks", "available", "with_callbacks"]


def with_callbacks(method: _Method) -> _Method:
    """The method, behind which scikit-learn's callbacks are torn down however it ends."""
    return cast("_Method", _managed(method))


def available(check: Callable[[Any], bool]) -> Callable[[_Method], _Method]:
    """The method of estimators for which `check` raises no AttributeError; the others do not have it."""
    return cast("Callable[[_Method], _Method]", available_if(check))


Attributes = Callable[[], dict[str, Any]]


class Tasks:
    """Tells an estimator's callbacks of its fit and of every iteration in it; of nothing where it has none.

    Args:
        estimator: The estimator.
        X: Rows to tell of, as they were given: what a callback scores goes through `predict`.
        y: Their target.
        iterations: How many there will be at most.
        sample_weight: Their weights, or None.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, iterations: int, sample_weight: Any = None) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._estimator, self._rows = estimator, {"X": X, "y": y, "metadata": metadata}
        self._context: Any = None
        self._iteration: Any = None
        has = getattr(estimator, "_skl_callbacks", None) or hasattr(estimator, "_parent_callback_ctx")
        if has and hasattr(estimator, "_init_callback_context"):
            self._context = estimator._init_callback_context(max_subtasks=iterations)
            self._context.call_on_fit_task_begin(estimator=estimator, **self._rows)

    @property
    def asked(self) -> bool:
        """Whether there is a callback to tell."""
        return self._context is not None

    def begin(self, fitted: Attributes | None = None) -> None:
        """Before an iteration; `fitted` gives the attributes of the estimator as it would be if the fit ended here."""
        if self._context is not None:
            self._iteration = self._context.subcontext(task_name="iteration")
            self._iteration.call_on_fit_task_begin(
                estimator=self._estimator, **self._rows, reconstruction_attributes=fitted
            )

    def iteration(self, fitted: Attributes) -> bool:
        """After an iteration. Returns whether a callback asks for an end."""
        if self._context is None:
            return False
        if self._iteration is None:
            self.begin()
        return self._end_iteration(fitted)

    def between(self, fitted: Attributes) -> bool:
        """After an iteration, where another may follow. Returns whether a callback asks for an end."""
        asked = self.iteration(fitted)
        if not asked:
            self.begin(fitted)
        return asked

    def _end_iteration(self, fitted: Attributes | None) -> bool:
        task, self._iteration = self._iteration, None
        told = {**self._rows, "reconstruction_attributes": fitted}
        return task is not None and bool(task.call_on_fit_task_end(estimator=self._estimator, **told))

    def end(self) -> None:
        """After the last, when the estimator is fitted. An iteration that has begun turns out not to be one."""
        if self._context is not None:
            self._end_iteration(None)
            told = {**self._rows, "reconstruction_attributes": {}}
            self._context.call_on_fit_task_end(estimator=self._estimator, **told)
