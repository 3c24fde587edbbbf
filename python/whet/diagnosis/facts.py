"""What the rules look at: a run, its model and a sample of its rows, and experiments that are made when asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet.diagnosis import columns, probes, reference, signals
from whet.diagnosis.probes import RateProbe
from whet.diagnosis.reference import Comparison, Reference
from whet.diagnosis.rows import Rows
from whet.diagnosis.signals import Units
from whet.errors import NonFiniteError
from whet.losses import Loss, MemberLoss, NumPyLoss, TracedLoss
from whet.nn import Module
from whet.optim import Optimizer
from whet.schedules import Schedule
from whet.training.history import History

__all__ = ["Facts"]

# With fewer rows, or fewer of a class, what a model learns from one half says little of the other.
FEWEST_ROWS, FEWEST_OF_CLASS = 30, 15


@dataclass
class Facts:
    """All that is known of a run.

    Attributes:
        history: of the run.
        error: what ended it, or None.
        model: the network, which no rule changes.
        loss: that it was trained with.
        optimizer: that it was trained with; None where nobody knows.
        all_rows: of the data.
        validation: held-out rows, or None.
    """

    history: History
    error: NonFiniteError | None
    model: Module
    loss: Loss
    optimizer: Optimizer | None
    all_rows: Rows
    validation: Rows | None

    @cached_property
    def rows(self) -> Rows:
        """A bounded sample of the rows."""
        return self.all_rows.sample()

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What fit was told."""
        return self.history.arguments

    @property
    def losses(self) -> list[float]:
        """The training loss of each epoch."""
        return self.history.get("loss", [])

    @property
    def held_losses(self) -> list[float]:
        """The validation loss of each epoch."""
        return self.history.get("val_loss", [])

    @property
    def stopped_early(self) -> bool:
        """Whether a callback watched for the best epoch."""
        return self.history.stopped_by == "EarlyStopping" or "EarlyStopping" in self.arguments.get("callbacks", ())

    @cached_property
    def failed(self) -> bool:
        """Whether the run ended in numbers that are not finite."""
        values = [array for array in self.model.state_dict().values() if array.dtype.kind == "f"]
        return (
            self.error is not None
            or self.history.stopped_by == "TerminateOnNaN"
            or not all(map(math.isfinite, self.losses[-1:]))
            or not all(np.isfinite(array).all() for array in values)
        )

    @property
    def classes(self) -> NDArray[Any] | None:
        """The class of each row, shape (rows,), of all rows; None where the target holds none."""
        if not self.all_rows.classes:
            return None
        return self.loss.labels(self.all_rows.target).astype(np.int64)

    @cached_property
    def comparable(self) -> bool:
        """Whether other models can be trained with this loss and compared by it."""
        plain = not isinstance(self.loss, (TracedLoss, NumPyLoss, MemberLoss))
        return plain and self.model._has_one_output(self.rows.features.shape[1])

    @cached_property
    def rate(self) -> float | None:
        """The highest learning rate of the run; None where nobody knows."""
        if self.optimizer is not None:
            given = self.optimizer.numbers().get("lr")
            if isinstance(given, Schedule):
                return float(np.max(given.at(np.linspace(0, 1, 101))))
            return None if given is None else float(given)
        rates = [rate for rate in self.history.get("lr", []) if math.isfinite(rate)]
        return max(rates, default=None)

    @cached_property
    def has_dropout(self) -> bool:
        """Whether the model drops some of its units while it trains."""
        graph = self.model._graph(self.rows.features.shape[1])
        return any(node["op"].endswith("dropout") for node in graph.nodes)

    @cached_property
    def has_penalties(self) -> bool:
        """Whether dropout or penalties beyond the optimizer's own may hold it back; so too where nobody knows."""
        known = self.optimizer
        if self.has_dropout or known is None or known.l1 != 0:
            return True
        usual = {each.name: each.default for each in fields(known)}
        return known.numbers().get("weight_decay", 0.0) != usual.get("weight_decay", 0.0)

    @cached_property
    def baseline(self) -> float | None:
        """The loss of the best constant prediction; None where it is not known, or zero."""
        if not self.comparable or len(self.rows) < 2:
            return None
        found = reference.constant_loss(self.loss, self.rows.target, self.model)
        return found if math.isfinite(found) and found > 0 else None

    @cached_property
    def run_loss(self) -> float:
        """The loss of the model as it stands on the sample; infinite where it is not finite."""
        return math.inf if self.failed else probes.loss_of(self.model, self.loss, self.rows)

    @cached_property
    def held_loss(self) -> float | None:
        """The loss of the model as it stands on held-out rows; that of the last epoch where they were not given."""
        if self.validation is not None and not self.failed:
            return probes.loss_of(self.model, self.loss, self.validation.sample())
        return self.held_losses[-1] if self.held_losses else None

    @cached_property
    def rates(self) -> RateProbe | None:
        """What fresh copies of the model reach at other rates; None where rates have no such meaning."""
        if self.rate is None or self.rate == 0 or len(self.rows) < 2:
            return None
        if self.optimizer is not None and self.optimizer.full_batch:
            return None
        return probes.try_rates(self.model, self.loss, self.optimizer, self.rate, self.rows, self.history)

    @cached_property
    def reference(self) -> Reference | None:
        """What models of no special care reach on rows that they have not seen; None where there are too few."""
        if not self.comparable or self.baseline is None or len(self.rows) < FEWEST_ROWS:
            return None
        return reference.refer(self.rows.features, self.rows.target, self.loss, self.model)

    @cached_property
    def comparison(self) -> Comparison | None:
        """What others reach that were trained on the run's rows, on held-out ones; None where there are too few."""
        if self.reference is None or self.validation is None or len(self.validation) < FEWEST_ROWS:
            return None
        return reference.compare(self.model, self.loss, self.rows, self.validation.sample())

    @property
    def has_enough_of_each_class(self) -> bool:
        """Whether the sample has enough rows of each class, on average, to tell that there is nothing to learn."""
        return len(self.rows) >= FEWEST_OF_CLASS * max(len(self.all_rows.classes), 1)

    @cached_property
    def units(self) -> list[Units]:
        """What the units of each activation do on the sample."""
        return [] if self.failed else signals.units(self.model, self.rows.features)

    @cached_property
    def gradients(self) -> Mapping[str, float]:
        """The gradient's norm of each weight over its own: as recorded in the first epoch, or of a fresh copy."""
        recorded = self.history.layers.get("gradient_norm")
        if recorded:
            return signals.relative(recorded, self.model)
        return signals.gradients(self.model, self.loss, self.rows, self.history.seed)

    @cached_property
    def skills(self) -> Mapping[str, float]:
        """How well each column alone tells the target of rows that were not looked at: 1 is exactly, 0 not at all."""
        if len(self.rows) < FEWEST_ROWS:
            return {}
        if self.loss.kind == "classes" or self.all_rows.classes:
            codes = self.loss.labels(self.rows.target).astype(np.int64)
            return columns.skills(self.rows.columns, np.eye(int(codes.max()) + 1)[codes], are_classes=True)
        target = self.rows.target.reshape(len(self.rows), -1)
        return columns.skills(self.rows.columns, columns.ranks(target), are_classes=False)
