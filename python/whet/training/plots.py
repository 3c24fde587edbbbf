"""Pictures of a history, drawn with matplotlib."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from whet.training.history import History

__all__ = ["draw", "panels"]

_LAST = ("gradient_norm", "lr")  # behind losses and metrics
_LABELS = {"lr": "learning rate", "gradient_norm": "gradient norm"}
_COLUMNS = 3


def panels(names: Iterable[str]) -> dict[str, list[str]]:
    """What each panel shows: a number and that of the validation rows, if both are there."""
    given = list(names)
    kinds: dict[str, list[str]] = {}
    for name in given:
        kind = name.removeprefix("val_")
        kinds.setdefault(kind, []).append(name)
    order = [kind for kind in kinds if kind not in _LAST] + [kind for kind in reversed(_LAST) if kind in kinds]
    return {kind: kinds[kind] for kind in order}


def draw(history: History) -> list[Axes]:
    """See `History.plot`."""
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError("[plot] needs matplotlib: pip install matplotlib") from None
    shown = panels(history)
    if not shown:
        raise ValueError("[plot] expected a history with at least one epoch, got none")
    columns = min(len(shown), _COLUMNS)
    lines = math.ceil(len(shown) / columns)
    _, grid = pyplot.subplots(lines, columns, figsize=(4.2 * columns, 3.1 * lines), squeeze=False, layout="constrained")
    axes = list(grid.flat)
    for spare in axes[len(shown) :]:
        spare.remove()
    for place, (kind, names) in zip(axes, shown.items(), strict=False):
        _panel(place, kind, {name: history[name] for name in names}, history.best_epoch)
    return axes[: len(shown)]


def _panel(place: Any, kind: str, numbers: dict[str, list[float]], best: int | None) -> None:
    for name, values in numbers.items():
        label = "validation" if name.startswith("val_") else "training"
        # A line of one point would not be seen.
        place.plot(range(len(values)), values, label=label, marker="o" if len(values) == 1 else None)
    place.set_title(_LABELS.get(kind, kind))
    place.set_xlabel("epoch")
    place.xaxis.get_major_locator().set_params(integer=True)
    if len(numbers) > 1:
        if best is not None:
            place.axvline(best, color="0.7", linewidth=1, zorder=0)
        place.legend()
    if all(value > 0 for values in numbers.values() for value in values) and kind in ("lr", "gradient_norm"):
        place.set_yscale("log")
