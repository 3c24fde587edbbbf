"""scikit-learn's callback protocol, which its releases have from 1.9 on."""

from __future__ import annotations

from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""

    def with_callbacks(method: Any) -> Any:
        """The method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "Tasks", "with_callbacks"]


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
