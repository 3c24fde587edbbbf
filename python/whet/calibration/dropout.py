"""How far predictions go apart when dropout stays on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whet import _core
from whet._checks import as_count, as_seed
from whet._rows import AnyModel, Rows, rows_of
from whet._show import as_axes, as_frame, html_table, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["DropoutPredictions", "mc_dropout"]

_WHERE = "mc_dropout"
_DRAWS = ("dropout", "alpha_dropout")


@dataclass(frozen=True, eq=False, repr=False)
class DropoutPredictions:
    """What `mc_dropout` found.

    Attributes:
        samples: The predictions of each pass, shape (passes, rows, outputs): probabilities where the model has them,
            else values, in a table's own units.
        outputs: What the outputs are called: class by class, or one name.
    """

    samples: NDArray[np.floating[Any]]
    outputs: tuple[str, ...]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Over the passes, shape (rows, outputs)."""
        mean: NDArray[np.float64] = self.samples.mean(axis=0, dtype=np.float64)
        return mean

    @property
    def std(self) -> NDArray[np.float64]:
        """The deviation over the passes, shape (rows, outputs): what the model does not know."""
        deviation: NDArray[np.float64] = self.samples.std(axis=0, dtype=np.float64)
        return deviation

    def to_pandas(self) -> DataFrame:
        """A pandas.DataFrame with mean and deviation of each row.

        Raises:
            ImportError: If pandas is not installed.
        """
        mean, deviation = self.mean, self.std
        columns = {f"{name} mean": mean[:, i] for i, name in enumerate(self.outputs)}
        return as_frame(columns | {f"{name} deviation": deviation[:, i] for i, name in enumerate(self.outputs)})

    def plot(self, output: int = -1, ax: Axes | None = None) -> Axes:
        """Draws the rows by their mean, each with twice its deviation.

        Raises:
            ImportError: If matplotlib is not installed.
            IndexError: If there is no such output.
        """
        place = as_axes(ax)
        mean, deviation = self.mean[:, output], self.std[:, output]
        order = np.argsort(mean, kind="stable")
        rows = np.arange(len(order))
        place.fill_between(rows, (mean - 2 * deviation)[order], (mean + 2 * deviation)[order], color="C0", alpha=0.3)
        place.plot(rows, mean[order], color="C0")
        place.set_xlabel("rows, by their mean")
        place.set_ylabel(f"{self.outputs[output]}: mean and 2 deviations")
        return place

    def __repr__(self) -> str:
        passes, rows, _ = self.samples.shape
        return f"DropoutPredictions({passes} passes, {rows} rows, mean deviation {number(float(self.std.mean()))})"

    def _repr_html_(self) -> str:
        mean, deviation = self.mean, self.std
        head = ["row"] + [f"{name}{what}" for name in self.outputs for what in ("", " deviation")]
        pairs = np.stack([mean, deviation], axis=2).reshape(len(mean), -1)
        rows = [(row, *map(number, each)) for row, each in enumerate(pairs.tolist())]
        return html_table(head, rows, f"{len(self.samples)} passes with dropout")


def mc_dropout(model: AnyModel, X: Any, *, n_passes: int = 50, seed: int = 0) -> DropoutPredictions:
    """Predictions with dropout on, so many times (Gal and Ghahramani, "Dropout as a Bayesian approximation", 2016).

    All else is as in `predict`: normalisation uses its running statistics. Draws come from (seed, pass, layer, row,
    feature): the same bits for every number of threads. A dropout that follows a schedule draws at its first share.

    Args:
        model: An nn.Module with nn.Dropout or nn.AlphaDropout, or a fitted TabularModel of one.
        X: Features, or a table.
        n_passes: How often to predict.
        seed: Of the draws.

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If shapes do not fit, or the model has no dropout.
        RuntimeError: If a TabularModel is not fitted.
    """
    rows = rows_of(model, X, None, _WHERE, with_target=False)
    passes, seed = as_count(n_passes, _WHERE, "n_passes"), as_seed(seed, _WHERE)
    drawn = np.stack([rows.read(each) for each in _draws(rows, passes, seed)])
    labels = range(drawn.shape[2]) if rows.classes is None else rows.classes.tolist()
    return DropoutPredictions(drawn, ("prediction",) if drawn.shape[2] == 1 else tuple(map(str, labels)))


def _draws(rows: Rows, passes: int, seed: int) -> list[NDArray[Any]]:
    """Raw outputs of each pass."""
    network, width = rows.network, rows.features.shape[1]
    graph = network._graph(width)
    if not any(node["op"] in _DRAWS for node in graph.nodes):
        raise ValueError(f"[{_WHERE}] expected a model with dropout, such as nn.MLP(..., dropout=0.1); got none")
    shares = [schedule.first for schedule in network._schedules(width)]
    sampler = _core.Sampler(graph, network._state(), shares)
    outputs = []
    for number_of_pass in range(passes):
        found = np.empty((len(rows.features), int(np.prod(rows.output_shape()))), network.dtype)
        sampler.sample(rows.features, found, seed, number_of_pass)
        outputs.append(found)
    return outputs
