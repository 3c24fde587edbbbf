"""What a fit recorded."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["History"]

_SHOWN = 10  # epochs of a table in a notebook


class History(Mapping[str, list[float]]):
    """One number per epoch under each name: "loss", "lr", and as asked for "val_loss", "accuracy", "val_accuracy".

    Attributes:
        layers: With ``fit(record=True)``, one number per epoch for each layer, {kind: {name: numbers}}; else empty. The
            engine looks at the first step of an epoch and every 64th after it, and at the first 1024 rows of these:

            - "gradient_norm", by parameter: of the loss, before any clipping; the root of the mean square over steps.
            - "update_ratio", by parameter: norm of what a step changes over the norm of the parameter after it, in root
              mean squares over steps. Near 1e-3 is usual (Karpathy, "Neural Networks: Zero to Hero", makemore part 3).
            - "dead", by activation: share of the units whose derivative was zero in all these rows, as of a ReLU that
              is never above zero (Lu et al., "Dying ReLU and initialization", 2020).
            - "saturated", by activation that is bounded on both sides (tanh, sigmoid, softsign, hardtanh, hardsigmoid):
              share of the units whose derivative, in more than half of the rows, was less than 5.91 % of its largest;
              so it is beyond a tanh of 0.97 (Karpathy, as above).

            Only what is trained is there. Where a model applies an activation again, "#2" follows its name.
        seed: The seed of the fit.
        seconds: How long it took.
        steps: Batches taken.
        arguments: What the fit was told, as plain data: "loss" and "optimizer" as text, "epochs", "batch_size",
            "batch_rows" of a step, "class_weight", "sample_weight" as whether it was given, "validation" as the number
            of rows, None where a stream does not tell it, and "callbacks" by class.
        resumed_at: The step that a checkpoint had the fit go on from; None where it began at the beginning.
        stopped_by: "epochs", "max_steps", "max_seconds", "stop_at", "interrupt", the class of the callback that ended
            it, such as "EarlyStopping", or "stop_training" if something else set that; None while it runs or after an
            error.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.seconds = 0.0
        self.steps = 0
        self.arguments: dict[str, Any] = {}
        self.resumed_at: int | None = None
        self.stopped_by: str | None = None
        self.layers: dict[str, dict[str, list[float]]] = {}
        self._columns: dict[str, list[float]] = {}
        self._best_epoch: int | None = None

    def append(self, **numbers: float) -> None:
        """Adds an epoch."""
        for name, number in numbers.items():
            self._columns.setdefault(name, []).append(float(number))

    @property
    def best_epoch(self) -> int | None:
        """The best epoch, from 0; None before the first.

        It is the one with the smallest "val_loss", or "loss" if there is none, unless `EarlyStopping` has another.
        """
        if self._best_epoch is not None:
            return self._best_epoch
        losses = self._columns.get("val_loss") or self._columns.get("loss")
        return losses.index(min(losses, key=lambda loss: (loss != loss, loss))) if losses else None  # NaN is the worst

    @best_epoch.setter
    def best_epoch(self, epoch: int) -> None:
        self._best_epoch = epoch

    def _record_layers(self) -> None:
        self.layers = {kind: {} for kind in ("gradient_norm", "update_ratio", "dead", "saturated")}

    def _take_up(
        self,
        columns: Mapping[str, list[float]],
        layers: dict[str, dict[str, list[float]]],
        best_epoch: int | None,
        steps: int,
    ) -> None:
        """Begins with the epochs of a fit that is resumed after so many steps."""
        self.resumed_at, self.layers = steps, layers
        self._columns = {name: list(numbers) for name, numbers in columns.items()}
        self._best_epoch = best_epoch

    def to_pandas(self) -> DataFrame:
        """A pandas.DataFrame with a row for each epoch, from 0, and a column for each name.

        What was recorded of layers follows, in columns such as "update_ratio 0.weight".

        Raises:
            ImportError: If pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("[to_pandas] needs pandas: pip install pandas") from None
        recorded = {f"{kind} {name}": each for kind, names in self.layers.items() for name, each in names.items()}
        return pandas.DataFrame({**self._columns, **recorded}, index=pandas.RangeIndex(self._epochs(), name="epoch"))

    def plot(self) -> list[Axes]:
        """Draws with matplotlib: the loss, each metric, the learning rate, and what else was recorded, also of layers.

        Numbers of training and of validation share a panel. The best epoch is marked. In a notebook the figure shows by
        itself; elsewhere ``matplotlib.pyplot.show()`` does, or ``axes[0].figure.savefig("history.png")``.

        Returns:
            The axes of the panels, from left to right and top to bottom.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        from whet.training.plots import draw

        return draw(self)

    def _epochs(self) -> int:
        return max(map(len, self._columns.values()), default=0)

    def __getitem__(self, name: str) -> list[float]:
        if name not in self._columns:
            raise KeyError(f"{name!r}; this history has {', '.join(self._columns) or 'no epochs'}")
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={numbers[-1]:.4g}" for name, numbers in self._columns.items())
        return f"History({self._epochs()} epochs, {last or 'empty'}, stopped_by={self.stopped_by!r})"

    def _repr_html_(self) -> str:
        """A table for notebooks: the first and last epochs, the best one in bold."""
        epochs = self._epochs()
        kept: list[int | None] = [*range(epochs)]
        if epochs > _SHOWN:
            kept[_SHOWN // 2 : -_SHOWN // 2] = [None]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in ("epoch", *self._columns))
        rows = "".join(f"<tr>{self._cells(epoch)}</tr>" for epoch in kept)
        end = f"{epochs} epochs, {self.steps} steps, {self.seconds:.1f} s, stopped by {self.stopped_by}"
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
            f'<tfoot><tr><td colspan="{len(self._columns) + 1}">{html.escape(end)}</td></tr></tfoot></table>'
        )

    def _cells(self, epoch: int | None) -> str:
        if epoch is None:
            return "<td>...</td>" * (len(self._columns) + 1)
        cells: list[Any] = [epoch, *(f"{numbers[epoch]:.4g}" for numbers in self._columns.values())]
        tag = "th" if epoch == self.best_epoch else "td"
        return "".join(f"<{tag}>{cell}</{tag}>" for cell in cells)
