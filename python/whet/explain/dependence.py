"""How predictions change with one column or two, the others being what they are."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet._checks import as_count, as_number
from whet._rows import AnyModel, Columns, Rows, rows_of
from whet._show import as_axes, as_frame, html_table, number
from whet.explain.derivatives import looked_up

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["PartialDependence", "partial_dependence"]

_KINDS = ("average", "individual", "both")
_LINES = 100  # rows of a picture


@dataclass(frozen=True, eq=False, repr=False)
class PartialDependence:
    """What `partial_dependence` found.

    Attributes:
        names: The one or two columns.
        grid_values: What each was set to.
        outputs: What is predicted: class by class, or one name.
        average: The mean prediction, shape (outputs, values of the first column, and of the second if there is one).
        individual: That of each row, shape (outputs, rows, ...); None if it was not asked for.
    """

    names: tuple[str, ...]
    grid_values: tuple[NDArray[Any], ...]
    outputs: tuple[str, ...]
    average: NDArray[np.float64]
    individual: NDArray[np.float64] | None = None

    def to_pandas(self) -> DataFrame:
        """A pandas.DataFrame of the averages, with a row for each point of the grid.

        Raises:
            ImportError: If pandas is not installed.
        """
        points = list(itertools.product(*(values.tolist() for values in self.grid_values)))
        columns: dict[str, Any] = {name: [point[i] for point in points] for i, name in enumerate(self.names)}
        return as_frame(columns | {name: self.average[i].ravel() for i, name in enumerate(self.outputs)})

    def plot(self, output: int | None = None, ax: Axes | None = None) -> Axes:
        """Draws the averages: lines over one column, with those of rows if they are there, or a map of two columns.

        Args:
            output: Which; by default all of one column, but the second of two classes, and the last of two columns.
            ax: Where; a new figure by default.

        Raises:
            ImportError: If matplotlib is not installed.
            IndexError: If there is no such output.
        """
        if output is None and len(self.outputs) == 2:
            output = 1
        if len(self.names) == 2:
            return self._map(-1 if output is None else output, ax)
        place = as_axes(ax)
        shown = range(len(self.outputs)) if output is None else [output]
        values, labelled = self._axis(0)
        for i in shown:
            if self.individual is not None and len(shown) == 1:
                rows = self.individual[i][:: max(1, len(self.individual[i]) // _LINES)]
                place.plot(values, rows.T, color="0.8", linewidth=0.6, zorder=0)
            place.plot(values, self.average[i], label=self.outputs[i], marker="o" if labelled else None)
        if labelled:
            place.set_xticks(values, self.grid_values[0].tolist())
        place.set_xlabel(self.names[0])
        place.set_ylabel("prediction" if len(shown) > 1 else self.outputs[shown[0]])
        if len(shown) > 1:
            place.legend()
        return place

    def _map(self, output: int, ax: Axes | None) -> Axes:
        place = as_axes(ax)
        (first, first_labelled), (second, second_labelled) = self._axis(0), self._axis(1)
        drawn = place.pcolormesh(first, second, self.average[output].T, shading="nearest")
        place.figure.colorbar(drawn, ax=place, label=self.outputs[output])
        if first_labelled:
            place.set_xticks(first, self.grid_values[0].tolist())
        if second_labelled:
            place.set_yticks(second, self.grid_values[1].tolist())
        place.set_xlabel(self.names[0])
        place.set_ylabel(self.names[1])
        return place

    def _axis(self, i: int) -> tuple[NDArray[Any], bool]:
        """Where the values stand, and whether they are categories."""
        values = self.grid_values[i]
        return (values, False) if values.dtype.kind in "iuf" else (np.arange(len(values)), True)

    def __repr__(self) -> str:
        low, high = self.average.min(), self.average.max()
        grid = " x ".join(str(len(values)) for values in self.grid_values)
        return f"PartialDependence({', '.join(self.names)}: {grid} values, from {number(low)} to {number(high)})"

    def _repr_html_(self) -> str:
        points = itertools.product(*(values.tolist() for values in self.grid_values))
        found = self.average.reshape(len(self.outputs), -1).T
        rows = [
            (*(number(value) if isinstance(value, float) else value for value in point), *map(number, each))
            for point, each in zip(points, found.tolist(), strict=True)
        ]
        return html_table((*self.names, *self.outputs), rows, f"mean prediction by {' and '.join(self.names)}")


def partial_dependence(
    model: AnyModel,
    X: Any,
    features: Columns,
    *,
    kind: str = "average",
    grid_resolution: int | None = None,
    percentiles: tuple[float, float] = (0.05, 0.95),
    custom_values: Mapping[int | str, ArrayLike] | None = None,
    feature_names: Sequence[str] | None = None,
) -> PartialDependence:
    """The mean prediction when one column, or two, are set to each value of a grid in every row.

    Predictions are probabilities where the model has them, else values, in a table's own units. Rows that no data would
    have, where columns depend on each other, count as much as any. See Friedman, "Greedy function approximation", 2001,
    and for the individual ones Goldstein et al., "Peeking inside the black box", 2015; the grid is that of
    sklearn.inspection.partial_dependence.

    Args:
        model: An nn.Module or a fitted TabularModel.
        X: Features, or a table.
        features: A column by name or number, or two of them.
        kind: "average", or with the predictions of each row "individual" or "both".
        grid_resolution: The number of values, evenly from one percentile to the other, of a column that has more; else
            all that it has. Of categories, and of what an embedding looks up, all. By default 50 of one column, and 20
            of each of two.
        percentiles: Where the grid begins and ends.
        custom_values: Grids of one's own, by column.
        feature_names: Of the columns of an array; those of a DataFrame are known.

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If shapes do not fit, there is no such column, or it has no value.
        RuntimeError: If a TabularModel is not fitted.
    """
    where = "partial_dependence"
    rows = rows_of(model, X, None, where, with_target=False, names=feature_names)
    if kind not in _KINDS:
        raise ValueError(f"[{where}] expected a kind among {', '.join(_KINDS)}, got {kind!r}")
    columns = rows.find_all(features)
    if len(columns) not in (1, 2) or len(set(columns)) < len(columns):
        raise ValueError(f"[{where}] expected one column or two different ones, got {features}")
    own = _own(rows, {} if custom_values is None else custom_values)
    default = 50 if len(columns) == 1 else 20
    points = default if grid_resolution is None else as_count(grid_resolution, where, "grid_resolution")
    if not isinstance(percentiles, tuple | list) or len(percentiles) != 2:
        raise TypeError(f"[{where}] expected percentiles to be two numbers, got {percentiles!r}")
    low, high = (as_number(each, where, "percentiles") for each in percentiles)
    if not 0 <= low < high <= 1:
        raise ValueError(f"[{where}] expected percentiles between 0 and 1, the lower one first, got {low} and {high}")
    grids = [own[c] if c in own else _grid(rows, c, points, low, high) for c in columns]
    found = _predictions(rows, columns, grids, rows_too=kind != "average")
    individual = None if kind == "average" else found
    average = found[:, 0] if individual is None else found.mean(axis=1)
    outputs = ("prediction",) if found.shape[0] == 1 else tuple(map(str, _labels(rows, found.shape[0])))
    return PartialDependence(tuple(rows.names[c] for c in columns), tuple(grids), outputs, average, individual)


def _labels(rows: Rows, outputs: int) -> Sequence[Any]:
    return range(outputs) if rows.classes is None else rows.classes.tolist()


def _own(rows: Rows, custom_values: Mapping[int | str, ArrayLike]) -> dict[int, NDArray[Any]]:
    """Grids of one's own, by the position of their column."""
    if not isinstance(custom_values, Mapping):
        raise TypeError(f"[{rows.where}] expected custom_values to map columns to values, got {custom_values!r}")
    own = {rows.find(name): np.asarray(values) for name, values in custom_values.items()}
    for column, values in own.items():
        if values.ndim != 1 or not len(values):
            raise ValueError(
                f"[{rows.where}] expected custom_values of column {rows.names[column]!r} of shape (values,), "
                f"not empty; got {values.shape}"
            )
    return own


def _grid(rows: Rows, column: int, points: int, low: float, high: float) -> NDArray[Any]:
    cells = rows.cells(column)
    if column in rows.categories:
        return np.array(sorted({str(cell) for cell in cells if cell is not None and cell == cell}), object)
    known = cells[np.isfinite(cells.astype(np.float64))]
    if not len(known):
        raise ValueError(f"[{rows.where}] expected a value in column {rows.names[column]!r}, got none")
    values = np.unique(known)
    width = rows.features.shape[1]
    if len(values) <= points or np.isin(rows.groups[column], looked_up(rows.network._graph(width), width)).any():
        return values
    # As scipy.stats.mstats.mquantiles, of which scikit-learn makes its grids.
    places = [len(known) * share + 0.2 * share - 0.6 for share in (low, high)]
    first, last = np.interp(places, np.arange(len(known)), np.sort(known.astype(np.float64))).tolist()
    if not first < last:
        raise ValueError(
            f"[{rows.where}] expected percentiles that differ in column {rows.names[column]!r}, got {first} and {last}"
        )
    return np.linspace(first, last, points)


def _predictions(
    rows: Rows, columns: Sequence[int], grids: Sequence[NDArray[Any]], *, rows_too: bool
) -> NDArray[np.float64]:
    """Shape (outputs, rows, *grid), or with the mean of the rows (outputs, 1, *grid)."""
    encoded = [rows.encoded(column, grid) for column, grid in zip(columns, grids, strict=True)]
    features, found = rows.features.copy(), []
    for point in itertools.product(*(range(len(grid)) for grid in grids)):
        for column, values, i in zip(columns, encoded, point, strict=True):
            features[:, rows.groups[column]] = values[i]
        each = rows.read(rows.network._outputs(features)).astype(np.float64)
        found.append(each if rows_too else each.mean(axis=0, keepdims=True))
    stacked = np.stack(found, axis=-1)  # (rows, outputs, points)
    shape = (stacked.shape[1], stacked.shape[0], *(len(grid) for grid in grids))
    shaped: NDArray[np.float64] = stacked.swapaxes(0, 1).reshape(shape)
    return shaped
