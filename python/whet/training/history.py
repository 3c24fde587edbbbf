"""What a fit recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

__all__ = ["History"]


class History(Mapping[str, list[float]]):
    """One number per epoch under each name: "loss", "lr", and as asked for "val_loss", "accuracy", "val_accuracy".

    Attributes:
        seed: The seed of the fit.
        seconds: How long it took.
        steps: Batches taken.
        stopped_by: "epochs", "max_steps", "max_seconds", "stop_at", "interrupt", the class of the callback that ended
            it, such as "EarlyStopping", or "stop_training" if something else set that; None while it runs or after an
            error.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.seconds = 0.0
        self.steps = 0
        self.stopped_by: str | None = None
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
        return losses.index(min(losses)) if losses else None

    @best_epoch.setter
    def best_epoch(self, epoch: int) -> None:
        self._best_epoch = epoch

    def _take_up(self, columns: Mapping[str, list[float]], best_epoch: int | None) -> None:
        """Begins with the epochs of a fit that is resumed."""
        self._columns = {name: list(numbers) for name, numbers in columns.items()}
        self._best_epoch = best_epoch

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
        epochs = len(self._columns.get("loss", []))
        return f"History({epochs} epochs, {last or 'empty'}, stopped_by={self.stopped_by!r})"
