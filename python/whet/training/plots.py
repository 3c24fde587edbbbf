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
_KINDS = {  # of what is recorded of layers
    "gradient_norm": "gradient norm by parameter",
    "update_ratio": "update ratio by parameter",
    "dead": "dead units",
    "saturated": "saturated units",
}
_USUAL_RATIO = 1e-3
_NAMED = 8  # lines that a legend names
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
    recorded = {kind: names for kind, names in history.layers.items() if names}
    count = len(shown) + len(recorded)
    columns = min(count, _COLUMNS)
    lines = math.ceil(count / columns)
    _, grid = pyplot.subplots(lines, columns, figsize=(4.2 * columns, 3.1 * lines), squeeze=False, layout="constrained")
    axes = list(grid.flat)
    for spare in axes[count:]:
        spare.remove()
    for place, (kind, names) in zip(axes, shown.items(), strict=False):
        _panel(place, kind, {name: history[name] for name in names}, history.best_epoch)
    for place, (kind, lines_of) in zip(axes[len(shown) :], recorded.items(), strict=False):
        _panel_of_layers(place, kind, lines_of)
    return axes[:count]


def _panel_of_layers(place: Any, kind: str, numbers: dict[str, list[float]]) -> None:
    for name, values in numbers.items():
        _line(place, values, name)
    _label(place, _KINDS[kind])
    if kind == "update_ratio":
        place.axhline(_USUAL_RATIO, color="0.7", linewidth=1, linestyle="--", zorder=0)
    if kind in ("dead", "saturated"):
        place.set_ylim(-0.02, 1.02)
    elif any(value > 0 for values in numbers.values() for value in values):
        place.set_yscale("log")
    if len(numbers) <= _NAMED:
        place.legend(fontsize="small")


def _line(place: Any, values: list[float], label: str) -> None:
    # A line of one point would not be seen.
    place.plot(range(len(values)), values, label=label, marker="o" if len(values) == 1 else None)


def _label(place: Any, title: str) -> None:
    place.set_title(title)
    place.set_xlabel("epoch")
    place.xaxis.get_major_locator().set_params(integer=True)


def _panel(place: Any, kind: str, numbers: dict[str, list[float]], best: int | None) -> None:
    for name, values in numbers.items():
        _line(place, values, "validation" if name.startswith("val_") else "training")
    _label(place, _LABELS.get(kind, kind))
    if len(numbers) > 1:
        if best is not None:
            place.axvline(best, color="0.7", linewidth=1, zorder=0)
        place.legend()
    if all(value > 0 for values in numbers.values() for value in values) and kind in ("lr", "gradient_norm"):
        place.set_yscale("log")
