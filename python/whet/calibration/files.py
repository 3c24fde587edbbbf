"""Opening what a wrapper saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from whet._arrays import Floats
from whet.calibration.conformal import ConformalClassifier, ConformalRegressor
from whet.calibration.temperature import TemperatureScaled
from whet.calibration.wrapped import Wrapped

__all__ = ["restored"]

_KINDS: dict[str, type[Wrapped]] = {
    each.kind: each for each in (TemperatureScaled, ConformalRegressor, ConformalClassifier)
}


def restored(
    tensors: Mapping[str, Floats],
    description: Mapping[str, Any],
    opened: Callable[[Mapping[str, Floats], Mapping[str, Any]], Any],
) -> Wrapped | None:
    """The wrapper described, around the model that `opened` makes of its part; None if it is of no known kind."""
    wrapper = _KINDS.get(description["kind"])
    if wrapper is None:
        return None
    model = opened(wrapper._of_model(tensors), description["model"])
    return wrapper._from_description(tensors, description, model)
