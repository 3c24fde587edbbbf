"""A table in, labels or numbers in the target's own units out: preprocessing, network and target in one model."""

from __future__ import annotations

import copy
import inspect
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from whet import losses, optim, schedules
from whet import metrics as _metrics
from whet._arrays import as_weights
from whet._checks import as_number, as_path
from whet._prepared import (
    Prepared,
    by_code,
    default_scores,
    encoded,
    encoder_of,
    kind_of_target,
    labels_of,
    loss_of,
    scores_of,
    set_aside,
    usual_scores,
)
from whet.data.columns import Column, is_missing, kind_of
from whet.data.dataset import Dataset
from whet.data.preprocessing import Preprocessor
from whet.data.streams.blocks import Block
from whet.data.streams.learning import Labels, Seen
from whet.data.streams.stream import Stream
from whet.data.tables import as_dataset
from whet.data.targets import LabelEncoder, TargetScaler, holds_classes
from whet.metrics.base import present, scores
from whet.training.checkpoints.checkpoint import Directory
from whet.training.history import History
from whet.training.measuring import check_combine

if TYPE_CHECKING:
    from whet import nn
    from whet.losses import Loss
    from whet.metrics import Asked, Metric
    from whet.optim import Optimizer

__all__ = ["TabularModel"]

Task: TypeAlias = Literal["auto", "classification", "regression"]
Network: TypeAlias = "nn.Module | Callable[[int, int], nn.Module]"

_TASKS = ("auto", "classification", "regression")
# Chosen on validation rows of the bundled housing data, among 1e-3 to 5e-3. The lower rate at the end makes the RMSE
# there 2.4 % smaller; twice as many epochs without it, 1 %.
DEFAULT_OPTIMIZER = optim.Adam(lr=schedules.MultiStep(3e-3, milestones=(0.8,), gamma=0.1))

_log = logging.getLogger(__name__)


class TabularModel:
    """Learns one column of a table from the others.

    Gaps, categories and the target's units are its own business; see whet.data.Preprocessor for what becomes of them.

    Args:
        target: the column to learn.
        task: "classification", "regression", or "auto": classification if the target holds text, booleans or few
            distinct integers (at most 10, and at most half as many as rows).
        network: an nn.Module, or a function of (in_features, out_features) that makes one; nn.MLP by default.
        hidden: the widths of the default network's hidden layers.
        preprocessor: with the steps to use, Preprocessor() by default; it is copied.

    Raises:
        ValueError: an unknown task.
    """

    def __init__(
        self,
        target: str,
        task: Task = "auto",
        network: Network | None = None,
        hidden: Sequence[int] = (128, 128),
        *,
        preprocessor: Preprocessor | None = None,
    ) -> None:
        if not isinstance(target, str):
            raise TypeError(f"[TabularModel] expected the name of the target column, got {type(target).__name__}")
        if task not in _TASKS:
            raise ValueError(f"[TabularModel] expected a task among {', '.join(_TASKS)}, got {task!r}")
        if isinstance(hidden, str) or not isinstance(hidden, Iterable):
            raise TypeError(
                f"[TabularModel] expected hidden as a sequence of widths such as (64,), got {type(hidden).__name__}"
            )
        if network is not None and not callable(network):
            raise TypeError(
                "[TabularModel] expected network to be an nn.Module or a function that makes one, "
                f"got {type(network).__name__}"
            )
        if preprocessor is not None and not isinstance(preprocessor, Preprocessor):
            given = type(preprocessor).__name__
            raise TypeError(f"[TabularModel] expected preprocessor to be a whet.data.Preprocessor, got {given}")
        self.target = str(target)
        self._asked: Task = task
        self._given = network
        self.hidden = tuple(hidden)
        self._unfitted = preprocessor if preprocessor is not None else Preprocessor()
        self._preprocessor: Preprocessor | None = None
        self._encoder: LabelEncoder | TargetScaler | None = None
        self._network: nn.Module | None = None
        self._scores: tuple[Metric, ...] = ()
        self.history: History | None = None

    def fit(
        self,
        data: Any,
        *,
        loss: str | Loss | None = None,
        optimizer: str | Optimizer | None = None,
        epochs: int = 40,
        batch_size: int | str = "auto",
        validation_data: Any = None,
        validation_fraction: float = 0.0,
        metrics: Asked | Sequence[Asked] | None = (),
        sample_weight: npt.ArrayLike | None = None,
        seed: int = 0,
        progress: bool = False,
        **options: Any,
    ) -> History:
        """Learn from a table: everything about preprocessing and target from the training rows alone.

        Args:
            data: a table with the target: a Dataset, the path of a CSV or Parquet file, a pandas, Polars, PyArrow or
                DuckDB table, columns, records, or whatever else whet.data.as_dataset takes. Of data larger than
                memory, a whet.data.Stream of files or of a function that returns tables with the target: a first pass
                learns the preprocessing, medians and quantiles from up to 100,000 rows drawn at random (fewer of more
                than 83 columns of numbers: 64 MiB), all else exactly.
            loss: "cross_entropy" for classes and "mse" on the standardised target for numbers, by default. "poisson",
                "gamma" and "tweedie" learn the logarithm of the target as it is, and predict means.
            optimizer: by default Adam with a learning rate of 0.003, and of 0.0003 for the last fifth of the epochs;
                "adam" stands for PyTorch's default, 0.001.
            epochs: how often each row is seen.
            batch_size: see nn.Module.fit.
            validation_data: a table or a stream like data whose loss is computed after each epoch.
            validation_fraction: of the rows, set aside by seed in place of validation_data; each class keeps its share.
            metrics: for history and evaluate, see nn.Module.fit. In history they are of the standardised target, in
                evaluate of the target in its own units.
            sample_weight: shape (rows,); those of rows set aside weigh their part of the validation.
            seed: of the parameters, the order of rows and the rows set aside.
            progress: whether to show a progress bar.
            **options: further arguments of nn.Module.fit. class_weight has the labels themselves; callbacks see the
                network; checkpoints have the preprocessing, too.

        Returns:
            The history of nn.Module.fit.

        Raises:
            TypeError: data that is no table, or columns that hold neither numbers, text, booleans nor dates.
            OSError: a file that is not there or cannot be read.
            ValueError: columns that are missing, targets that are missing or do not suit the task, infinite numbers.
        """
        _check_options(options)
        validation_fraction = as_number(validation_fraction, "fit", "validation_fraction", low=0, high=1)
        weights: tuple[Any, Any] = (None, None)
        if isinstance(data, Stream):
            if validation_fraction or sample_weight is not None:
                raise ValueError(
                    "[TabularModel] expected the weights of a stream as a column of it, and its validation rows as "
                    "validation_data"
                )
            prepared = self._prepare_stream(data, loss, options)
        else:
            table = as_dataset(data).with_target(self.target)
            self._check_target(table)
            task = self._task(table)
            if sample_weight is not None:
                weights = _checked_weight(sample_weight, table.rows), None
            if validation_fraction:
                if validation_data is not None:
                    raise ValueError("[TabularModel] expected validation_data or validation_fraction, got both")
                kept, aside = set_aside(table, task, validation_fraction, seed)
                table, validation_data = table.take(kept), table.take(aside)
                weights = (None, None) if weights[0] is None else (weights[0][kept], weights[0][aside])
            prepared = self._prepare(table, loss_of(task, loss))
        held: Any = None
        if isinstance(validation_data, Stream):
            held = self._encoded_stream(validation_data, prepared.preprocessor, prepared.encoder)
        elif validation_data is not None:
            held = prepared.arrays(
                self._read(validation_data, prepared.preprocessor, prepared.encoder, with_target=True)
            )
        return self._fit_prepared(
            prepared,
            held,
            optimizer=optimizer,
            metrics=metrics,
            weights=weights,
            validation_fraction=validation_fraction,
            epochs=epochs,
            batch_size=batch_size,
            seed=seed,
            progress=progress,
            **options,
        )

    def _prepare(self, table: Dataset, loss: Loss) -> Prepared:
        """What training needs of a table with the target, from its rows alone."""
        task = self._task(table)
        preprocessor = copy.deepcopy(self._unfitted).fit(table)
        encoder = encoder_of(task).fit(labels_of(table))
        if isinstance(encoder, TargetScaler) and not loss.standardizes:
            encoder.mean_, encoder.scale_ = 0.0, 1.0
        X, y = preprocessor.transform(table), encoded(encoder, labels_of(table))
        return Prepared(task, loss, preprocessor, encoder, X, y)

    def _fit_prepared(
        self,
        prepared: Prepared,
        held: tuple[npt.NDArray[Any], npt.NDArray[Any]] | Stream | None,
        *,
        optimizer: str | Optimizer | None,
        metrics: Asked | Sequence[Asked] | None = (),
        weights: tuple[npt.NDArray[Any] | None, npt.NDArray[Any] | None] = (None, None),
        validation_fraction: float = 0.0,
        **options: Any,
    ) -> History:
        """Train on the rows of a table, and evaluate others after each epoch; see fit."""
        task, described, preprocessor, encoder, X, y = prepared
        if isinstance(encoder, LabelEncoder) and isinstance(options.get("class_weight"), Mapping):
            options["class_weight"] = by_code(options["class_weight"], encoder)
        scores = scores_of(metrics, task)
        features = len(preprocessor.feature_names)
        network = prepared.checked(self._make_network(features, prepared.outputs))
        _log.info("%s of %r from %d columns as %d features", task, self.target, len(preprocessor.kinds), features)
        if options.get("checkpoint") is not None:
            scored = scores or usual_scores(task)
            options["checkpoint"] = Directory(
                os.path.abspath(as_path(options["checkpoint"], "TabularModel")),
                lambda network: self._describe(preprocessor, encoder, scored, network),
            )
        arguments = {
            "loss": described,
            "optimizer": DEFAULT_OPTIMIZER if optimizer is None else optimizer,
            "validation_data": (*held, weights[1]) if isinstance(held, tuple) else held,
            "metrics": scores,
            "sample_weight": weights[0],
            **options,
        }
        earlier = network.history
        try:
            return network.fit(X, y, **arguments)
        finally:
            # What stops a training, Ctrl-C above all, leaves its model; before its first step, that of an earlier fit.
            begun = network.history
            if begun is not None and begun is not earlier and (begun.steps or self._network is None):
                self._preprocessor, self._encoder, self._network = preprocessor, encoder, network
                self._scores = scores or default_scores(task, described)
                self.history = begun
                begun.arguments["validation_fraction"] = validation_fraction

    def _prepare_stream(self, data: Stream, loss: str | Loss | None, options: dict[str, Any]) -> Prepared:
        """Learn what a stream's blocks have to become, in a first pass over all of them."""
        if not data.again:
            raise ValueError(
                "[TabularModel] expected a stream that can be read again, as a first pass learns the preprocessing: "
                "a function that returns an iterator, or files"
            )
        labels = Labels()

        def table(block: Block) -> Dataset:
            read = self._block(block)
            labels.add(labels_of(read))
            return read

        preprocessor = copy.deepcopy(self._unfitted)._fit_seen(Seen(data._converted(table)))
        short = labels.column()
        if short is None and self._asked == "auto":
            task = "regression"
        else:
            task = self._task(Dataset({"x": np.zeros(len(short))}, short)) if short is not None else self._asked
        described = loss_of(task, loss)
        encoder = encoder_of(task)
        if isinstance(encoder, LabelEncoder):
            encoder.fit(list(labels.counts()))
            if options.get("class_weight") == "balanced":
                counts = labels.counts()
                options["class_weight"] = {each: labels.rows / (len(counts) * times) for each, times in counts.items()}
        else:
            encoder._keep(float(labels.moments.mean[0]), float(labels.moments.deviation[0]))
            if not described.standardizes:
                encoder.mean_, encoder.scale_ = 0.0, 1.0
        X = self._encoded_stream(data, preprocessor, encoder)
        X.rows = labels.rows  # counted by now, wherever they come from
        return Prepared(task, described, preprocessor, encoder, X, None)

    def _block(self, block: Block) -> Dataset:
        """A block of a stream as a table with the target."""
        table = as_dataset(block.X)
        if block.y is not None:
            table = Dataset(table.features, block.y, kinds=table.kinds, target=self.target)
        table = table.with_target(self.target)
        self._check_target(table)
        return table

    def _encoded_stream(self, data: Stream, preprocessor: Preprocessor, encoder: LabelEncoder | TargetScaler) -> Stream:
        """The same rows as the network takes them."""

        def encode(block: Block) -> Block:
            table = self._read(self._block(block), preprocessor, encoder, with_target=True)
            return replace(block, X=preprocessor.transform(table), y=encoded(encoder, labels_of(table)))

        return data._with(encode)

    def predict(self, data: Any) -> npt.NDArray[Any]:
        """Predict the target of each row.

        Args:
            data: a table as in fit, with the columns of fit in any order; the target may be there or not.

        Returns:
            Shape (rows,): labels like those of fit, or numbers in the target's own units, float64.

        Raises:
            TypeError, OSError: see fit.
            ValueError: columns that are missing, text where numbers were, infinite numbers.
            RuntimeError: fit was not called.

        Warns:
            WhetWarning: columns that fit did not see; they are ignored.
        """
        if isinstance(data, Stream):
            return np.concatenate(list(data._converted(lambda block: self.predict(block.X))))
        preprocessor, encoder, network = self._fitted()
        X = preprocessor.transform(self._read(data, preprocessor, encoder))
        if isinstance(encoder, LabelEncoder):
            return (
                encoder.inverse(_ranks(network, network.predict(X)).argmax(axis=1)) if len(X) else encoder.classes[:0]
            )
        return encoder.inverse(_values(network, network.predict(X))) if len(X) else np.empty(0)

    def predict_proba(self, data: Any) -> npt.NDArray[Any]:
        """Predict the probability of each class: shape (rows, classes), in the order of classes_.

        Raises:
            TypeError, OSError, ValueError, RuntimeError: see predict; a regression has no probabilities (ValueError).
        """
        preprocessor, encoder, network = self._fitted()
        if not isinstance(encoder, LabelEncoder):
            raise ValueError("[TabularModel] predict_proba needs a classification, got a regression; use predict")
        if isinstance(data, Stream):
            return np.concatenate(list(data._converted(lambda block: self.predict_proba(block.X))))
        X = preprocessor.transform(self._read(data, preprocessor, encoder))
        return network.predict_proba(X) if len(X) else np.empty((0, len(encoder.classes)), np.float32)

    def evaluate(self, data: Any, sample_weight: npt.ArrayLike | None = None) -> dict[str, float]:
        """Compare predictions with the target that data holds.

        Args:
            data: a table as in fit.
            sample_weight: shape (rows,).

        Returns:
            "loss" as in training, and the metrics given to fit: by default "rmse", "mae" and "r2", in the target's own
            units, or "accuracy" and "log_loss".

        Raises:
            TypeError, OSError, ValueError, RuntimeError: see predict; targets that are missing or of unknown classes
                (ValueError).
        """
        if isinstance(data, Stream):
            return self._evaluate_stream(data)
        preprocessor, encoder, _ = self._fitted()
        table = self._read(data, preprocessor, encoder, with_target=True)
        return self._evaluate_features(self._scores, preprocessor.transform(table), labels_of(table), sample_weight)

    def _evaluate_features(
        self, metrics: Sequence[Metric], X: npt.NDArray[Any], labels: Column, sample_weight: npt.ArrayLike | None
    ) -> dict[str, float]:
        """Compare predictions from features with labels; see evaluate."""
        _, encoder, _ = self._fitted()
        return self._evaluate_prepared(X, encoded(encoder, labels), labels, metrics, sample_weight)

    def _evaluate_prepared(
        self,
        X: npt.NDArray[np.float32],
        y: npt.NDArray[Any],
        labels: Column,
        metrics: Sequence[Metric],
        sample_weight: npt.ArrayLike | None = None,
    ) -> dict[str, float]:
        """See evaluate; the rows as the network takes them, and their labels."""
        _, encoder, network = self._fitted()
        if isinstance(encoder, LabelEncoder):
            return network._evaluate_with(metrics, X, y, sample_weight)
        result = network._evaluate_with((), X, y, sample_weight)
        truth, value = labels.astype(np.float64), encoder.inverse(_values(network, network.predict(X)))
        weights = as_weights(sample_weight, len(truth), np.float64, "evaluate")
        return result | scores(metrics, _metrics.Predictions.of_values(truth, value, weights))

    def _evaluate_stream(self, data: Stream) -> dict[str, float]:
        """See `evaluate`; a regression's stream is read twice, for the loss and in the target's own units."""
        preprocessor, encoder, network = self._fitted()
        encoded = self._encoded_stream(data, preprocessor, encoder)
        if isinstance(encoder, LabelEncoder):
            return network._evaluate_with(self._scores, encoded, None, None)
        result, metrics = network._evaluate_with((), encoded, None, None), present(self._scores)
        check_combine(metrics, "evaluate")
        sums = _metrics.Sums(metrics)
        for block in data._converted(lambda block: replace(block, y=labels_of(self._block(block)))):
            truth, value = block.y.astype(np.float64), self.predict(block.X)
            weights = as_weights(block.weight, len(truth), np.float64, "evaluate", some=False)
            sums.add(_metrics.Predictions.of_values(truth, value, weights))
        return result | sums.numbers()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one file that whet.load opens, all or nothing.

        Raises:
            OSError: a file that cannot be written; an earlier file of that name is then whole.
            RuntimeError: fit was not called.
        """
        from whet.files import write_model

        write_model(path, *self._description())

    @property
    def task(self) -> str:
        """What is learned, "classification" or "regression"; "auto" before fit where it is to be found out."""
        if self._encoder is None:
            return self._asked
        return "classification" if isinstance(self._encoder, LabelEncoder) else "regression"

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The classes, sorted, shape (classes,), in the type of the labels of fit."""
        encoder = self._fitted()[1]
        if not isinstance(encoder, LabelEncoder):
            raise AttributeError("[TabularModel] a regression has no classes_")
        return encoder.classes

    @property
    def preprocessor(self) -> Preprocessor:
        """The fitted preprocessor."""
        return self._fitted()[0]

    @property
    def network(self) -> nn.Module:
        """The trained network."""
        return self._fitted()[2]

    def __repr__(self) -> str:
        start = f"TabularModel({self.target!r}, task={self.task!r}"
        if self._preprocessor is None or self._network is None:
            return f"{start}, hidden={self.hidden})"
        columns, features = len(self._preprocessor.kinds), len(self._preprocessor.feature_names)
        return f"{start}, {columns} columns as {features} features)"

    def _description(self) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
        preprocessor, encoder, network = self._fitted()
        tensors, inner = network._description()
        return dict(tensors), self._describe(preprocessor, encoder, self._scores, inner)

    def _describe(
        self,
        preprocessor: Preprocessor,
        encoder: LabelEncoder | TargetScaler,
        scores: Sequence[Metric],
        network: dict[str, Any],
    ) -> dict[str, Any]:
        return {
            "kind": "table",
            "target": self.target,
            "hidden": list(self.hidden) if self._given is None else None,
            "preprocessor": preprocessor.describe(),
            "encoder": encoder.describe(),
            "metrics": _metrics.own(scores),
            "absent": _metrics.absent(scores),
            "network": network,
        }

    @classmethod
    def _from_description(cls, tensors: Mapping[str, npt.NDArray[Any]], description: Mapping[str, Any]) -> TabularModel:
        from whet import nn

        try:
            step: type[LabelEncoder] | type[TargetScaler] = LabelEncoder
            if description["encoder"]["step"] == TargetScaler.__name__:
                step = TargetScaler
            encoder = step.from_description(description["encoder"])
            target, hidden, names = description["target"], description["hidden"], description["metrics"]
            preprocessor = Preprocessor.from_description(description["preprocessor"])
            network = nn.Module._from_description(tensors, description["network"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"[TabularModel] expected the description of a table model; {error!r} is wrong") from None
        task: Task = "classification" if isinstance(encoder, LabelEncoder) else "regression"
        # A network that was given is trained further by another fit, as it would have been before.
        given = network if hidden is None else None
        model = cls(target, task, given, hidden or (), preprocessor=preprocessor)
        model._preprocessor, model._encoder, model._network = preprocessor, encoder, network
        model._scores = _metrics.restored(names, description.get("absent", ()))
        return model

    def _fitted(self) -> tuple[Preprocessor, LabelEncoder | TargetScaler, nn.Module]:
        if self._preprocessor is None or self._encoder is None or self._network is None:
            raise RuntimeError("[TabularModel] is not fitted: call fit first")
        return self._preprocessor, self._encoder, self._network

    def _check_target(self, table: Dataset) -> None:
        """Check that every row has a target."""
        labels = labels_of(table)
        if not len(labels):
            raise ValueError("[TabularModel] expected at least one row, got none")
        infinite = np.isinf(labels) if labels.dtype.kind == "f" else np.zeros(len(labels), np.bool_)
        for what, bad in (("missing", is_missing(labels)), ("infinite", infinite)):
            if bad.any():
                raise ValueError(
                    f"[TabularModel] the target {table.target!r} is {what} in {bad.sum()} of {len(bad)} rows, "
                    f"first in row {bad.argmax()}; leave those rows out"
                )

    def _task(self, table: Dataset) -> str:
        """Decide what is learned."""
        labels = labels_of(table)
        if self._asked == "regression" and kind_of(labels) == "category":
            raise ValueError(f"[TabularModel] expected numbers in {self.target!r} for a regression, got categories")
        if self._asked != "auto":
            return self._asked
        return "classification" if holds_classes(labels) else "regression"

    def _codes(self, labels: Column) -> npt.NDArray[Any]:
        """Give the labels of a classification as indices of classes_."""
        return self._fitted()[1].transform(labels)

    def _target_scale(self) -> tuple[float, float]:
        """Give the target where what the network says is 0, and its units in 1 of that."""
        encoder = self._fitted()[1]
        if isinstance(encoder, LabelEncoder) or encoder.mean_ is None:
            return 0.0, 1.0
        return encoder.mean_, encoder.scale_

    def _read(
        self, data: Any, preprocessor: Preprocessor, encoder: LabelEncoder | TargetScaler, *, with_target: bool = False
    ) -> Dataset:
        """Read a table with the columns of fit."""
        kinds = preprocessor.kinds
        if not with_target:
            return as_dataset(data, wanted=kinds, ignored=(self.target,), kinds=kinds)
        known = kind_of_target(encoder)
        table = as_dataset(
            data, wanted=(*kinds, self.target), kinds=kinds if known is None else {**kinds, self.target: known}
        ).with_target(self.target)
        self._check_target(table)
        return table

    def _make_network(self, features: int, outputs: int) -> nn.Module:
        from whet import nn

        if self._given is None:
            return nn.MLP(features, self.hidden, outputs)
        network = self._given if isinstance(self._given, nn.Module) else self._given(features, outputs)
        if not isinstance(network, nn.Module):
            raise TypeError(f"[TabularModel] expected network to make an nn.Module, got {type(network).__name__}")
        return network


def _check_options(options: Mapping[str, Any]) -> None:
    from whet import nn

    known = inspect.signature(nn.Module.fit).parameters
    unknown = [name for name in options if name not in known]
    if unknown:
        raise TypeError(f"[TabularModel.fit] expected arguments that fit knows, got {', '.join(map(repr, unknown))}")


def _ranks(network: nn.Module, output: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Put classes in an order: members of an ensemble agree on their mean probabilities; shape (rows, classes)."""
    loss = network._loss
    return loss.probabilities(output) if isinstance(loss, losses.MemberLoss) else output


def _values(network: nn.Module, output: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Read outputs as the loss means them: shape (rows,)."""
    return network._fitted_loss("predict").values(output)[:, 0]


def _checked_weight(sample_weight: npt.ArrayLike, rows: int) -> npt.NDArray[Any]:
    weight = np.asarray(sample_weight)
    if weight.shape != (rows,):
        raise ValueError(f"[TabularModel] expected sample_weight of shape ({rows},), got {weight.shape}")
    return weight
