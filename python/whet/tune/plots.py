"""Pictures of searches and range tests, drawn with matplotlib."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from whet.tune.range_test import RangeTest
    from whet.tune.results import SearchResult, Trial

__all__ = ["draw_range_test", "draw_search"]

_COLUMNS = 3


def _pyplot() -> Any:
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError("[plot] needs matplotlib: pip install matplotlib") from None
    return pyplot


def draw_range_test(test: RangeTest) -> Axes:
    """See `RangeTest.plot`."""
    _, place = _pyplot().subplots(figsize=(5.6, 3.6), layout="constrained")
    place.plot(test.rates, test.batch_losses, color="0.8", linewidth=0.8, label="batches")
    place.plot(test.rates, test.losses, label="smoothed")
    place.axvline(test.suggestion, color="C1", linestyle="--", label=f"suggestion {test.suggestion:.2g}")
    place.set_xscale("log")
    fall = test.losses[: int(np.nanargmin(test.losses)) + 1]  # what comes after may be anything
    low, high = float(fall.min()), float(fall.max())
    if low < high < np.inf:
        place.set_ylim(low - 0.1 * (high - low), high + 0.2 * (high - low))
    place.set_xlabel("learning rate")
    place.set_ylabel("loss")
    place.legend()
    axes: Axes = place
    return axes


def draw_search(result: SearchResult) -> list[Axes]:
    """See `SearchResult.plot`."""
    good = [each for each in result.trials if each.error is None]
    if not good:
        raise ValueError("[plot] expected a trial that did not fail")
    names = [name for name in good[0].params if len({repr(each.params[name]) for each in good}) > 1]
    halved = any(len(each.curve) > 1 for each in good)
    number = 1 + halved + len(names)
    columns = min(number, _COLUMNS)
    lines = math.ceil(number / columns)
    size = (4.2 * columns, 3.1 * lines)
    _, grid = _pyplot().subplots(lines, columns, figsize=size, squeeze=False, layout="constrained")
    axes = list(grid.flat)
    for spare in axes[number:]:
        spare.remove()
    _over_trials(axes[0], result, good)
    if halved:
        _over_epochs(axes[1], good)
    for place, name in zip(axes[1 + halved :], names, strict=False):
        _over_argument(place, name, good)
    for place in axes[:number]:
        place.set_ylabel(result.metric)
    return axes[:number]


def _over_trials(place: Any, result: SearchResult, good: list[Trial]) -> None:
    drawn = sorted(good, key=lambda each: each.index)
    numbers, scores = [each.index for each in drawn], [each.score for each in drawn]
    best = np.maximum.accumulate(scores) if result.greater_is_better else np.minimum.accumulate(scores)
    place.plot(numbers, scores, "o", markersize=4, label="trial")
    place.step(numbers, best, where="post", label="best so far")
    place.set_xlabel("trial")
    place.xaxis.get_major_locator().set_params(integer=True)
    place.legend()


def _over_epochs(place: Any, good: list[Trial]) -> None:
    for each in reversed(good):
        color = "C1" if each is good[0] else "C0"
        place.plot(list(each.curve), list(each.curve.values()), "o-", markersize=3, linewidth=1, color=color)
    place.set_xscale("log")
    place.set_xlabel("epochs")


def _over_argument(place: Any, name: str, good: list[Trial]) -> None:
    values = [each.params[name] for each in good]
    scores = [each.score for each in good]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        places = values
        if min(values) > 0 and max(values) / min(values) >= 10:
            place.set_xscale("log")
    else:
        kinds = sorted(dict.fromkeys(map(str, values)))
        places = [kinds.index(str(value)) for value in values]
        place.set_xticks(range(len(kinds)), kinds)
    place.plot(places, scores, "o", markersize=4)
    place.plot(places[:1], scores[:1], "o", color="C1")  # the best
    place.set_xlabel(name)
