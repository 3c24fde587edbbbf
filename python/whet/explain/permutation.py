"""How much worse a model is when a column is shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet._checks import as_count, as_seed
from whet._rows import AnyModel, Columns, Rows, rows_of
from whet._show import as_frame, bars, html_table, number
from whet.metrics import Asked, Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["PermutationImportance", "permutation_importance"]


@dataclass(frozen=True, eq=False, repr=False)
class PermutationImportance:
    """What `permutation_importance` found. Larger is more important; about zero or below, the column is not used.

    Attributes:
        names: The columns.
        importances: By how much the metric became worse, shape (columns, repeats).
        metric: Its name.
        baseline: The metric of the rows as they are.
    """

    names: tuple[str, ...]
    importances: NDArray[np.float64]
    metric: str
    baseline: float

    @property
    def importances_mean(self) -> NDArray[np.float64]:
        """Over the repeats, shape (columns,)."""
        mean: NDArray[np.float64] = self.importances.mean(axis=1)
        return mean

    @property
    def importances_std(self) -> NDArray[np.float64]:
        """Over the repeats, shape (columns,)."""
        deviation: NDArray[np.float64] = self.importances.std(axis=1)
        return deviation

    def to_pandas(self) -> DataFrame:
        """A pandas.DataFrame with a row for each column, the most important first.

        Raises:
            ImportError: If pandas is not installed.
        """
        columns = {"importance": self.importances_mean, "deviation": self.importances_std}
        order = self._order()
        return as_frame({name: each[order] for name, each in columns.items()}, (self.names[i] for i in order))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draws the importances as bars, with their deviations.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        lengths = dict(zip(self.names, self.importances_mean.tolist(), strict=True))
        return bars(ax, lengths, self.importances_std.tolist(), f"how much worse {self.metric} becomes")

    def _order(self) -> NDArray[np.intp]:
        return np.argsort(-self.importances_mean, kind="stable")

    def __repr__(self) -> str:
        mean = self.importances_mean
        first = ", ".join(f"{self.names[i]} {number(mean[i])}" for i in self._order()[:3])
        return f"PermutationImportance({len(self.names)} columns by {self.metric}: {first})"

    def _repr_html_(self) -> str:
        mean, deviation = self.importances_mean, self.importances_std
        rows = [(self.names[i], number(mean[i]), number(deviation[i])) for i in self._order()]
        foot = f"{self.metric} of the rows as they are: {number(self.baseline)}; {self.importances.shape[1]} repeats"
        return html_table(("column", f"{self.metric} worse by", "deviation"), rows, foot)


def permutation_importance(
    model: AnyModel,
    X: Any,
    y: ArrayLike | None = None,
    *,
    metric: Asked | None = None,
    n_repeats: int = 5,
    features: Columns | None = None,
    sample_weight: ArrayLike | None = None,
    feature_names: Sequence[str] | None = None,
    seed: int = 0,
) -> PermutationImportance:
    """How much worse the model is on these rows when one column is shuffled, for each column.

    Of two columns that tell the same, each can look unimportant: the model still has the other. See Breiman, "Random
    forests", 2001, and sklearn.inspection.permutation_importance, whose definition this is.

    Args:
        model: A fitted nn.Module or TabularModel.
        X: Rows that it was not trained on: features, or a table with the target for a TabularModel, whose columns are
            shuffled as they are, all features of a category together.
        y: The target of features.
        metric: A name, an object of whet.metrics, or "loss"; by default the first metric of the last fit, or its loss.
        n_repeats: How often each column is shuffled.
        features: The columns to look at, by name or number, or one; all by default.
        sample_weight: Of the rows, shape (rows,).
        feature_names: Of the columns of an array; those of a DataFrame are known.
        seed: Of the shuffles. A column's do not depend on which others are looked at.

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If shapes do not fit, or nobody knows which direction of the metric is better.
        RuntimeError: If a TabularModel is not fitted.
    """
    where = "permutation_importance"
    rows = rows_of(model, X, y, where, with_target=True, names=feature_names)
    repeats, seed = as_count(n_repeats, where, "n_repeats"), as_seed(seed, where)
    name, found, sign = rows.metric(metric)
    chosen = range(len(rows.names)) if features is None else rows.find_all(features)
    baseline = rows.score(found, rows.features, sample_weight)
    scores = [_shuffled(rows, found, column, repeats, seed, sample_weight) for column in chosen]
    importances = sign * (baseline - np.array(scores, np.float64).reshape(len(scores), repeats))
    return PermutationImportance(tuple(rows.names[i] for i in chosen), importances, name, baseline)


def _shuffled(
    rows: Rows, metric: Metric | None, column: int, repeats: int, seed: int, sample_weight: ArrayLike | None
) -> list[float]:
    """The metric when a column is shuffled, so many times."""
    features, group = rows.features.copy(), rows.groups[column]
    scores = []
    for repeat in range(repeats):
        order = np.random.default_rng((seed, column, repeat)).permutation(len(features))
        features[:, group] = rows.features[order][:, group]
        scores.append(rows.score(metric, features, sample_weight))
    return scores
