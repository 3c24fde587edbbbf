"""Pictures as SVG that takes its colours from the page, drawn with matplotlib."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whet.reporting.page import text
from whet.training.plots import panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from whet.calibration import Reliability
    from whet.explain import Attributions, PartialDependence
    from whet.training.history import History

__all__ = [
    "attributions",
    "confusion",
    "curves",
    "dependence",
    "importance",
    "predicted",
    "reliability",
    "require",
    "residuals",
]

# Of text and lines; put in place of what is drawn with, so that dark pages have light lines.
_INK, _LINE = "#010203", "#040506"
# Distinguishable in grey and with any colour vision (Okabe and Ito), on white and on black.
_BLUE, _ORANGE = "#2f7fc1", "#d9822b"
_COLOURS = (_BLUE, _ORANGE, "#3a9d6f", "#b05aa0", "#8a8a2a")
_SIZE = (4.6, 3.2)
_PIXELS = 105  # of an inch: letters of pictures are then as large as others
_SHORT = 24  # letters of a name beside a bar
_DENSE = 2500  # points from which on a picture of them has pixels
_LABELS = {"lr": "learning rate", "gradient_norm": "gradient norm"}


def require() -> None:
    """Raises ImportError where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ImportError("[report] needs matplotlib: pip install matplotlib") from None


def curves(history: History) -> list[str]:
    """The losses and each other number of the history, epoch by epoch, with the best epoch marked."""
    return [_curve(kind, names, history) for kind, names in panels(history).items()]


def _curve(kind: str, names: Sequence[str], history: History) -> str:
    from matplotlib.ticker import MaxNLocator

    figure, axes = _axes(_LABELS.get(kind, kind))
    for name, colour in zip(sorted(names), (_BLUE, _ORANGE), strict=False):
        values = history[name]
        label = "validation" if name.startswith("val_") else "training"
        axes.plot(range(1, len(values) + 1), values, label=label, color=colour, marker="o" if len(values) < 3 else None)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    finite = [value for name in names for value in history[name] if np.isfinite(value)]
    if finite and min(finite) > 0 and max(finite) > 30 * min(finite):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    if len(names) > 1:
        if history.best_epoch is not None:
            axes.axvline(history.best_epoch + 1, color=_LINE, linestyle="--", linewidth=1.2, label="best epoch")
        _legend(axes)
    return _figure(figure, f"curve {kind}", "")


def confusion(counts: NDArray[np.int64], classes: Sequence[str]) -> str:
    """How many rows of each class (across) were taken for which (down the side): shares of the true class."""
    side = float(np.clip(0.45 * len(classes) + 1.6, 3.4, 9))
    figure, axes = _axes("confusion", (side + 0.6, side))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1.25, aspect="equal")
    axes.grid(visible=False)
    names = [_short(name) for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=45 if max(map(len, names)) > 3 else 0, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    for i, j in np.ndindex(counts.shape) if len(classes) <= 12 else ():
        dark = share[i, j] > 0.6
        axes.text(j, i, f"{counts[i, j]:,}", ha="center", va="center", color="#ffffff" if dark else "#101418", size=8)
    return _figure(figure, "confusion", "Rows of each true class by the class predicted; darker is a larger share.")


def reliability(what: str, found: Reliability) -> str:
    """Said probability beside the share that came true."""
    figure, axes = _axes("calibration")
    axes.plot([0, 1], [0, 1], color=_LINE, linestyle="--", linewidth=1.2, label="perfect")
    axes.plot(found.confidence, found.accuracy, color=_BLUE, linewidth=1, label="model")
    sizes = 12 + 150 * found.share / found.share.max()
    axes.scatter(found.confidence, found.accuracy, s=sizes, color=_BLUE, alpha=0.6)
    axes.set_xlim(-0.04, 1.04)
    axes.set_ylim(-0.04, 1.04)
    axes.set_xlabel(what)
    axes.set_ylabel("came true")
    _legend(axes)
    missed = f"{found.expected_calibration_error:.3f}"
    caption = f"Expected calibration error {missed}; at 0, probabilities come true as often as they say."
    return _figure(figure, "reliability", caption)


def predicted(truth: NDArray[np.float64], values: NDArray[np.float64]) -> str:
    """Predicted beside true values."""
    figure, axes = _axes("predicted and true")
    ends = [min(truth.min(), values.min()), max(truth.max(), values.max())]
    axes.scatter(truth, values, s=7, alpha=0.35, color=_BLUE, linewidths=0, rasterized=len(truth) > _DENSE // 5)
    axes.plot(ends, ends, color=_LINE, linestyle="--", linewidth=1.2)
    axes.locator_params(nbins=5)
    axes.set_xlabel("true")
    axes.set_ylabel("predicted")
    return _figure(figure, "predicted", "Each dot is a row; on the dashed line it is right.")


def residuals(errors: NDArray[np.float64]) -> str:
    """How often which error is made."""
    figure, axes = _axes("residuals")
    axes.hist(errors, bins=min(50, max(5, len(errors) // 5)), color=_BLUE)
    axes.axvline(0, color=_LINE, linestyle="--", linewidth=1.2)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel("true - predicted")
    axes.set_ylabel("rows")
    middle, low, high = np.median(errors), *np.quantile(errors, [0.05, 0.95])
    return _figure(
        figure, "residuals", f"Median {middle:.4g}; nine of ten errors lie between {low:.4g} and {high:.4g}."
    )


def importance(found: Sequence[tuple[str, float, float]]) -> str:
    """How much worse the model is without each column: (name, mean, spread), the largest first."""
    names, means, spreads = zip(*found, strict=True)
    label = "rise of the loss when the column is shuffled"
    return _bars("importance", "importance of columns", label, names, means, spreads)


def attributions(found: Attributions, most: int) -> str:
    """The mean size of each column's values, the largest first, and not more than so many."""
    order = np.argsort(-found.importances, kind="stable")[:most].tolist()
    names, sizes = [found.names[i] for i in order], found.importances[order].tolist()
    return _bars(found.method, found.method, f"mean |{found.method}|", names, sizes)


def _bars(
    name: str, title: str, label: str, names: Sequence[str], lengths: Sequence[float], spreads: Any = None
) -> str:
    figure, axes = _axes(title, (_SIZE[0], 1 + 0.27 * len(names)))
    places = np.arange(len(names))[::-1]
    axes.barh(places, lengths, xerr=spreads, color=_BLUE, ecolor=_INK, height=0.7)
    axes.set_yticks(places, [_short(each) for each in names])
    axes.grid(visible=False, axis="y")
    axes.axvline(0, color=_LINE, linewidth=1)
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(label)
    return _figure(figure, name, "")


def dependence(found: PartialDependence) -> str:
    """The mean prediction over the values of a column: of each output that moves most."""
    figure, axes = _axes(f"partial dependence on {_short(found.names[0])}")
    values, are_numbers = found.grid_values[0], found.grid_values[0].dtype.kind in "iuf"
    places = values if are_numbers else np.arange(len(values))
    moves = np.ptp(found.average, axis=1)
    shown = [1] if len(moves) == 2 else sorted(np.argsort(-moves, kind="stable")[: len(_COLOURS)].tolist())
    marker = None if are_numbers else "o"
    for i, colour in zip(shown, _COLOURS, strict=False):
        axes.plot(places, found.average[i], label=_short(found.outputs[i]), color=colour, marker=marker)
    if are_numbers:
        axes.locator_params(axis="x", nbins=5)
    else:
        axes.set_xticks(places, [_short(str(each)) for each in values.tolist()], rotation=30, ha="right")
    axes.set_xlabel(_short(found.names[0]))
    axes.set_ylabel("mean prediction" if len(shown) > 1 else f"mean {_short(found.outputs[shown[0]])}")
    if len(shown) > 1:
        axes.margins(y=0.3)
        _legend(axes)
    return _figure(figure, f"dependence on {found.names[0]}", "")


def _axes(title: str, size: tuple[float, float] = _SIZE) -> tuple[Any, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained", facecolor="none")
    axes = figure.add_subplot(facecolor="none")
    axes.set_title(title, color=_INK, fontsize=11, loc="left")
    axes.tick_params(colors=_INK, labelsize=9)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(_INK)
        label.set_fontsize(9)
    for name, spine in axes.spines.items():
        spine.set_color(_LINE)
        spine.set_visible(name in ("left", "bottom"))
    axes.grid(color=_LINE, alpha=0.25, linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, fontsize=9, labelcolor=_INK)


def _figure(figure: Any, name: str, caption: str) -> str:
    """The SVG of a figure inside a page: no size of its own, and the page's colours."""
    from matplotlib import rc_context

    content = io.StringIO()
    # Names in a picture are the same in every run, and others than those of the other pictures.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "text.parse_math": False}):
        figure.savefig(content, format="svg", transparent=True, dpi=150, metadata={"Date": None, "Creator": None})
    drawn = content.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", drawn, count=1)
    drawn = re.sub(r'(<svg[^>]*?) width="[^"]*"', rf'\1 role="img" aria-label="{text(name)}"', drawn, count=1)
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = drawn.replace(_INK, "currentColor").replace(_LINE, "var(--dim)")
    widest = f"{_PIXELS * figure.get_figwidth():.0f}px"
    below = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return f'<figure style="max-width:{widest}">{drawn}{below}</figure>'


def _short(name: str) -> str:
    line = name if name.isprintable() else ascii(name)[1:-1]
    return line if len(line) <= _SHORT else f"{line[: _SHORT - 1]}…"
