"""What whet raises and warns with, besides Python's own TypeError, ValueError and OSError."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["NonFiniteError", "WhetWarning"]


class NonFiniteError(ArithmeticError):
    """A number that arose in training is NaN or infinite.

    The model is as it was before that step; but where an update itself overflows, which is seen in the next step or
    when the epoch ends, its parameters are not finite, and the message says so. The message names rows by their index,
    never their values: those stand in `features` alone.

    Attributes:
        epoch: From 0; None of a Trainer's step.
        step: From 1, over all epochs.
        layer: Name of the layer where it began, such as "2"; "" for the model's own forward, None where no layer did.
        operation: What it computed there, such as "linear + exp".
        rows: Indices, in the data given, of the rows of the batch that have it: int64, sorted; empty where not a row
            but a parameter, or a sum over rows, is not finite.
        features: Those rows, shape (len(rows), features), as the model takes them; sparse where X was.
        advice: What may help.
    """

    epoch: int | None = None
    step: int | None = None
    layer: str | None = None
    operation: str | None = None
    rows: NDArray[np.int64] | None = None
    features: Any = None
    advice: tuple[str, ...] = ()


class WhetWarning(UserWarning):
    """Something that works, but perhaps not as meant."""
