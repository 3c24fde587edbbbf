"""What an output does when an input changes a little, and the result that attributions of rows come in."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whet._checks import as_flag
from whet._rows import AnyModel, Rows, rows_of
from whet._show import as_frame, bars, html_table, number
from whet.errors import WhetWarning
from whet.explain.derivatives import Derivatives, Target, targets_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["Attributions", "input_gradients", "warn_of_lookups"]


@dataclass(frozen=True, eq=False, repr=False)
class Attributions:
    """A number for each row and column: how the column bears on the row's output.

    Attributes:
        names: The columns.
        values: Shape (rows, columns).
        target: The output that is explained of each row: its number or its class.
        outputs: That output, shape (rows,): before a link such as softmax; of a table's numbers, in their own units.
        method: What was asked for.
        baseline_outputs: Where the paths of integrated gradients begin, shape (rows,); else None.
        convergence_delta: Sum of a row's values minus the difference of these outputs, shape (rows,); else None.
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    target: NDArray[Any]
    outputs: NDArray[np.float64]
    method: str
    baseline_outputs: NDArray[np.float64] | None = None
    convergence_delta: NDArray[np.float64] | None = None

    @property
    def importances(self) -> NDArray[np.float64]:
        """The mean absolute value of each column, shape (columns,)."""
        mean: NDArray[np.float64] = np.abs(self.values).mean(axis=0)
        return mean

    def to_pandas(self) -> DataFrame:
        """A pandas.DataFrame with a row for each row, and a column for each column.

        Raises:
            ImportError: If pandas is not installed.
        """
        return as_frame({name: self.values[:, i] for i, name in enumerate(self.names)})

    def plot(self, row: int | None = None, ax: Axes | None = None) -> Axes:
        """Draws the values of a row, or the mean absolute ones of all, as bars.

        Raises:
            ImportError: If matplotlib is not installed.
            IndexError: If there is no such row.
        """
        lengths = self.importances if row is None else self.values[row]
        title = f"mean |{self.method}|" if row is None else f"{self.method} of row {row}"
        return bars(ax, dict(zip(self.names, lengths.tolist(), strict=True)), None, title)

    def __repr__(self) -> str:
        found = self.importances
        first = ", ".join(f"{self.names[i]} {number(found[i])}" for i in np.argsort(-found, kind="stable")[:3])
        return f"Attributions({self.method}, {len(self.values)} rows, {len(self.names)} columns: {first})"

    def _repr_html_(self) -> str:
        found = self.importances
        low, high = self.values.min(axis=0), self.values.max(axis=0)
        order = np.argsort(-found, kind="stable")
        rows = [(self.names[i], number(found[i]), number(low[i]), number(high[i])) for i in order]
        foot = f"{self.method} of {len(self.values)} rows"
        if self.convergence_delta is not None:
            foot += f"; their sums miss the outputs by at most {np.abs(self.convergence_delta).max():.1e}"
        return html_table(("column", "mean |value|", "least", "most"), rows, foot)


def input_gradients(
    model: AnyModel,
    X: Any,
    *,
    target: Target = None,
    multiply_by_inputs: bool = False,
    feature_names: Sequence[str] | None = None,
) -> Attributions:
    """The derivative of an output with respect to each column, at each row: exact, in float64, nothing dropped.

    As captum.attr.Saliency without its absolute value, or InputXGradient (Simonyan et al., "Deep inside convolutional
    networks", 2014). Columns that an embedding looks up have none: zero, and a warning. For a table, a number's is that
    with respect to the number as it was scaled, a category's that with respect to the row's own category.

    Args:
        model: An nn.Module or a fitted TabularModel.
        X: Features, or a table.
        target: Which output: its number, or the class of a table; one, or one for each row. By default the only one,
            or that of the class predicted.
        multiply_by_inputs: Times the features themselves.
        feature_names: Of the columns of an array; those of a DataFrame are known.

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If shapes do not fit, or there is no such output.
        RuntimeError: If a TabularModel is not fitted.

    Warns:
        WhetWarning: For columns that an embedding looks up.
    """
    where = "input_gradients"
    rows = rows_of(model, X, None, where, with_target=False, names=feature_names)
    multiply = as_flag(multiply_by_inputs, where, "multiply_by_inputs")
    chosen = targets_of(rows, target)
    derivatives, every = Derivatives(rows, chosen), np.arange(len(chosen))
    warn_of_lookups(rows, derivatives)
    gradients = derivatives.gradients(derivatives.x, every)
    values = _by_column(rows, gradients, derivatives.x, multiply)
    outputs = derivatives.outputs(derivatives.x, every)
    return Attributions(
        rows.names, values, named(rows, chosen), outputs, "gradient * input" if multiply else "gradient"
    )


def named(rows: Rows, target: NDArray[np.intp]) -> NDArray[Any]:
    """Outputs by their class, where they have one."""
    return target if rows.classes is None else np.asarray(rows.classes)[target]


def warn_of_lookups(rows: Rows, derivatives: Derivatives) -> None:
    """Warns of columns without a derivative."""
    without = [
        name for name, group in zip(rows.names, rows.groups, strict=True) if np.isin(group, derivatives.looked_up).any()
    ]
    if without:
        warnings.warn(
            f"[{rows.where}] {', '.join(without)}: an embedding looks them up, which has no derivative; "
            "their values are zero. permutation_importance and partial_dependence tell what they do",
            WhetWarning,
            stacklevel=3,
        )


def _by_column(
    rows: Rows, gradients: NDArray[np.float64], x: NDArray[np.float64], multiply: bool
) -> NDArray[np.float64]:
    values = np.empty((len(x), len(rows.names)))
    for i, group in enumerate(rows.groups):
        if multiply or (i in rows.categories and len(group) > 1):
            values[:, i] = (gradients[:, group] * x[:, group]).sum(axis=1)
        else:
            values[:, i] = gradients[:, group[0]] if len(group) else 0  # the others say that a number is missing
    return values
