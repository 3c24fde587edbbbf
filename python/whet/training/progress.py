"""The progress bar of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

__all__ = ["Progress"]


class Progress:
    """A bar over epochs on standard error, with the last numbers and rows per second."""

    def __init__(self, epochs: int, rows: int) -> None:
        from tqdm.auto import tqdm

        self._bar = tqdm(total=epochs, unit="epoch", leave=True)
        self._rows = rows

    def update(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """Shows that `epoch`, from 0, is done."""
        shown = {name: f"{value:.4g}" for name, value in numbers.items() if name != "lr"}
        elapsed = self._bar.format_dict["elapsed"]
        if elapsed > 0:
            shown["rows/s"] = f"{(epoch + 1) * self._rows / elapsed:,.0f}"
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
