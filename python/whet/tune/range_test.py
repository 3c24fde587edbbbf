"""The learning-rate range test: a short training whose rate rises, and the rate that its losses suggest."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from whet import losses, optim
from whet._checks import as_count, as_number, as_seed
from whet._prepared import loss_of
from whet.callbacks import Callback
from whet.data.tables import as_dataset
from whet.errors import NonFiniteError
from whet.optim import Optimizer
from whet.schedules import Exponential
from whet.tabular import DEFAULT_OPTIMIZER, TabularModel
from whet.training.model import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["RangeTest", "learning_rate"]

Values = NDArray[np.float64]

_DIVERGED = 4.0  # times the least smoothed loss: the rate need not rise further, as in fastai
_MEMORY = 0.95  # of the exponential moving average of the losses
# The rule was chosen among ten, some with eleven values of the part, on 13 data sets (eight drawn, five of UCI's), for
# Adam with a constant and with a falling rate and for SGD; bench_rates has other sets.
_NEARLY, _PART = 0.1, 4.0
_LONG = 10**9  # epochs, of which the steps are taken


class _Losses(Callback):
    """Notes the loss of every batch, and ends the training where it has diverged."""

    every_n_steps = 1

    def __init__(self) -> None:
        self.batches: list[float] = []
        self.rates: list[float] = []
        self._sum = 0.0  # of the epoch's rows so far
        self._last = self._average = 0.0
        self._least = np.inf

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._sum, self._rows = 0.0, 0
        if epoch == 0:
            self.rates.append(self.learning_rate)

    def on_step_end(self, step: int, logs: Mapping[str, float] | None = None) -> None:
        numbers = logs or {}
        rows = min(self._rows + self.params["batch_rows"], self.params["rows"])
        total = numbers["loss"] * rows
        self.batches.append((total - self._sum) / (rows - self._rows))
        self._sum, self._rows = total, rows
        self.rates.append(numbers["lr"])
        self._average = _MEMORY * self._average + (1 - _MEMORY) * self.batches[-1]
        smooth = self._average / (1 - _MEMORY**step)
        self._least = min(self._least, smooth)
        if smooth > _DIVERGED * self._least > 0:
            self.model.stop_training = True


class RangeTest:
    """What `learning_rate` returns.

    Attributes:
        rates: The learning rate of each step.
        losses: The loss of each step's batch, smoothed.
        batch_losses: The same, not smoothed.
        suggestion: The rate to train with.
    """

    def __init__(self, rates: Values, batch_losses: Values) -> None:
        self.rates, self.batch_losses = rates, batch_losses
        self.losses = _smoothed(batch_losses)
        self.suggestion = _suggested(rates, self.losses)

    def plot(self) -> Axes:
        """Draws the losses over the rates with matplotlib, and the suggestion.

        Returns:
            The axes.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        from whet.tune.plots import draw_range_test

        return draw_range_test(self)

    def __repr__(self) -> str:
        low, high = self.rates[0], self.rates[-1]
        return f"RangeTest(suggestion={self.suggestion:.3g}, {len(self.rates)} steps from {low:.3g} to {high:.3g})"


def _smoothed(values: Values) -> Values:
    """The exponential moving average forward, without its lag from the beginning."""
    found, average = np.empty_like(values), 0.0
    for i, value in enumerate(values):
        average = _MEMORY * average + (1 - _MEMORY) * value
        found[i] = average / (1 - _MEMORY ** (i + 1))
    return found


def _suggested(rates: Values, smooth: Values) -> float:
    """A part of the rate in the middle, by logarithm, of those where the loss has nearly all of its fall behind it.

    The least loss alone moves with the noise of batches by more than that.
    """
    finite = np.where(np.isfinite(smooth), smooth, np.inf)
    least, begin = finite.min(), float(np.median(finite[:10]))
    low = np.flatnonzero(finite <= least + _NEARLY * (begin - least))
    if len(low) == 0:  # it never fell
        return float(rates[0])
    return float(np.sqrt(rates[low[0]] * rates[low[-1]])) / _PART


def learning_rate(
    build: Callable[[], Any] | Any,
    X: Any,
    y: ArrayLike | None = None,
    *,
    loss: Any = None,
    optimizer: str | Optimizer | None = None,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 400,
    batch_size: int | str = "auto",
    seed: int = 0,
) -> RangeTest:
    """Finds a learning rate: trains a copy of the model for a few steps while the rate rises from step to step.

    >>> found = tune.learning_rate(nn.MLP(8, (64,), 1), X, y, loss="mse")
    >>> model.fit(X, y, loss="mse", optimizer=optim.Adam(lr=found.suggestion))

    Smith, "Cyclical learning rates for training neural networks", WACV 2017.

    Args:
        build: The model, or a function that returns one. A model stays as it is.
        X: Features, or a table for a TabularModel.
        y: Targets; None for a table.
        loss: See `Module.fit`.
        optimizer: Whose rate is looked for; its own rate does not matter. Adam by default.
        low: The rate of the first step.
        high: That of the last, unless the loss is several times its least before.
        steps: How many.
        batch_size: See `Module.fit`; take that of the training.
        seed: Of parameters that are not drawn yet, the order of rows and dropout.

    Returns:
        Rates, losses and the suggestion.

    Raises:
        TypeError: If an argument is of a wrong kind.
        ValueError: If an argument is out of range, or the model cannot be trained for ten steps.
    """
    low, high = as_number(low, "learning_rate", "low"), as_number(high, "learning_rate", "high")
    if not 0 < low < high:
        raise ValueError(f"[learning_rate] expected 0 < low < high, got {low} and {high}")
    steps, seed = as_count(steps, "learning_rate", "steps"), as_seed(seed, "learning_rate")
    given = isinstance(build, (Model, TabularModel))
    if not given and not callable(build):
        raise TypeError(f"[learning_rate] expected a model or a function that returns one, got {type(build).__name__}")
    model = copy.deepcopy(build) if given else build()
    if isinstance(model, TabularModel):
        table = as_dataset(X).with_target(model.target)
        prepared = model._prepare(table, loss_of(model._task(table), loss))
        X, y, loss = prepared.X, prepared.y, prepared.loss
        model, optimizer = model._make_network(X.shape[1], prepared.outputs), optimizer or DEFAULT_OPTIMIZER
    if not isinstance(model, Model):
        raise TypeError(f"[learning_rate] expected build to return a model, got {type(model).__name__}")
    if y is None:
        raise TypeError("[learning_rate] expected y, got None")
    rising = replace(optim.get(optimizer or "adam"), lr=Exponential(low, high / low))  # type: ignore[call-arg]
    watch = _Losses()
    with contextlib.suppress(NonFiniteError):  # it has diverged
        model.fit(
            *(X, y),
            loss=losses.get(loss),
            optimizer=rising,
            epochs=_LONG,
            max_steps=steps,
            batch_size=batch_size,
            seed=seed,
            callbacks=[watch],
        )
    if len(watch.batches) < 10:
        raise ValueError(f"[learning_rate] expected ten steps that can be taken, got {len(watch.batches)}")
    return RangeTest(np.array(watch.rates[: len(watch.batches)]), np.array(watch.batches))
