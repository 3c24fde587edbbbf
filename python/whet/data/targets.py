"""What is predicted, as the network sees it: classes as codes, numbers standardised."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from whet.data.columns import Column, as_column, is_missing, kind_of, text, texts
from whet.data.steps import Step

__all__ = ["LabelEncoder", "TargetScaler", "holds_classes"]

# With up to this many distinct integers, each in two rows or more on average, a target is read as classes.
_FEW = 10


def holds_classes(labels: Column) -> bool:
    """Tell whether labels are classes: text, booleans or few distinct integers."""
    if kind_of(labels) == "category":
        return True
    distinct = np.unique(labels[~is_missing(labels)])
    return len(distinct) <= min(_FEW, len(labels) // 2) and bool((distinct == np.floor(distinct)).all())


@dataclass
class LabelEncoder(Step):
    """Numbers the classes 0, 1, ... in sorted order; classes are text, booleans, integers or numbers."""

    STATE = "classes_"

    classes_: tuple[str | bool | int | float, ...] | None = field(default=None, init=False)

    def fit(self, labels: npt.ArrayLike) -> LabelEncoder:
        """Learn the classes of labels of shape (rows,).

        Raises:
            ValueError: labels that are missing or infinite, or fewer than two classes.
        """
        column = _complete(labels)
        cells = set(column.tolist())
        if len(cells) < 2:
            raise ValueError(f"[data] expected labels of at least two classes, got {len(cells)}")
        if kind_of(column) == "number" and all(float(cell).is_integer() for cell in cells):
            cells = {int(cell) for cell in cells}
        if len({type(cell) for cell in cells}) > 1:
            cells = {text(cell) for cell in cells}
        self.classes_ = tuple(sorted(cells))
        return self

    @property
    def classes(self) -> npt.NDArray[np.generic]:
        """The classes as an array of shape (classes,), in the order of their codes."""
        return np.array(self._fitted())

    def transform(self, labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Encode labels as codes: shape (rows,).

        Raises:
            ValueError: labels that are missing or of no known class, named by their number and the first row.
        """
        codes: dict[str | None, int] = {text(cell): code for code, cell in enumerate(self._fitted())}
        column = _complete(labels)
        encoded = np.array([codes.get(cell, -1) for cell in texts(column)], np.int64)
        if (encoded < 0).any():
            unknown, first = int((encoded < 0).sum()), int((encoded < 0).argmax())
            raise ValueError(
                f"[data] expected labels of the {len(codes)} known classes, got {unknown} others, first in row {first}"
            )
        return encoded

    def inverse(self, codes: npt.ArrayLike) -> npt.NDArray[np.generic]:
        """Go back from codes to classes: shape (rows,).

        Raises:
            ValueError: what is no code of a class.
        """
        classes, index = self.classes, np.asarray(codes)
        if index.dtype.kind not in "iu" or (index.size and not 0 <= index.min() <= index.max() < len(classes)):
            raise ValueError(f"[data] expected codes from 0 to {len(classes) - 1}, got others")
        labels: npt.NDArray[np.generic] = classes[index]
        return labels


@dataclass
class TargetScaler(Step):
    """Standardises a target to mean 0 and standard deviation 1; a constant one is only centred."""

    STATE = "mean_"

    mean_: float | None = field(default=None, init=False)
    scale_: float = field(default=1.0, init=False)

    def fit(self, target: npt.ArrayLike) -> TargetScaler:
        """Learn mean and standard deviation of a target of shape (rows,).

        Raises:
            ValueError: targets that are no numbers, missing, infinite or too large to square.
        """
        numbers = _finite(target)
        with np.errstate(over="ignore", invalid="ignore"):
            self._keep(float(numbers.mean()), float(numbers.std()))
        return self

    def _keep(self, mean: float, scale: float) -> None:
        """Take mean and standard deviation as learned."""
        if not np.isfinite(mean + scale):
            raise ValueError("[data] expected targets whose spread fits in float64")
        self.mean_ = mean
        self.scale_ = scale if scale > 10 * np.finfo(np.float64).eps * abs(mean) else 1.0

    def transform(self, target: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Standardise: shape (rows,)."""
        mean: float = self._fitted()
        return (_finite(target) - mean) / self.scale_

    def inverse(self, scaled: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Go back to the target's own units: the shape given, float64."""
        mean: float = self._fitted()
        return np.asarray(scaled, np.float64) * self.scale_ + mean


def _complete(target: npt.ArrayLike) -> Column:
    """Check that no target is missing or infinite."""
    column = as_column(target, "target")
    if not len(column):
        raise ValueError("[data] expected at least one row, got none")
    for what, bad in (("missing", is_missing(column)), ("infinite", column.dtype.kind == "f" and np.isinf(column))):
        if np.any(bad):
            raise ValueError(
                f"[data] expected a target in every row, got {np.sum(bad)} {what}, first in row {np.argmax(bad)}"
            )
    return column


def _finite(target: npt.ArrayLike) -> npt.NDArray[np.float64]:
    column = _complete(target)
    if kind_of(column) != "number":
        raise ValueError("[data] expected a target of numbers, got categories")
    return column.astype(np.float64)
