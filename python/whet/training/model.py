"""Model: what trains, predicts and evaluates. `nn.Module` adds the structure."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from whet import _core, losses
from whet._arrays import CoreFeatures, Features, Floats, as_weights
from whet.losses import FunctionLoss, Loss, MemberLoss, NumPyLoss, TracedLoss
from whet.metrics import Asked, Metric, Predictions, absent, own, restored
from whet.metrics.base import scores
from whet.optim import Optimizer
from whet.schedules import Schedule
from whet.training.history import History
from whet.training.rows import Rows, weighed
from whet.training.sources import as_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from whet.data.streams.stream import Stream
    from whet.training.callbacks.base import Callback
    from whet.training.sources import Streamable

__all__ = ["Model"]


class Model:
    """Fits, predicts and evaluates. Subclasses say what is computed, by `_graph` and `_state`.

    Attributes:
        history: What the last fit recorded, or None.
        stop_training: Set by a callback to end the training after this epoch.
    """

    history: History | None = None
    stop_training: bool = False
    _loss: Loss | None = None
    _metrics: tuple[Metric, ...] = ()
    _optimizer: Optimizer | None = None  # of the last fit, in this process
    _targets: int = 0  # columns of the target that a loss of the last fit takes, where it is a function
    _predictor: _core.Predictor | None = None

    @property
    def dtype(self) -> str:
        """What the model computes in."""
        raise TypeError(f"[{type(self).__name__}] has no dtype")

    def _graph(self, width: int) -> _core.Graph:
        """The model's graph for inputs of that many features."""
        raise TypeError(f"[{type(self).__name__}] has no graph")

    def _graph_with_loss(self, width: int, loss: TracedLoss, target: int) -> _core.Graph:
        """The model's graph, and behind it the loss of a row with so many targets."""
        raise TypeError(f"[{type(self).__name__}] has no graph")

    def _loss_graph(self, loss: TracedLoss, width: int, target: int) -> _core.Graph:
        """The graph of a loss alone, from prediction and target side by side."""
        raise TypeError(f"[{type(self).__name__}] has no graph")

    def _features(self, X: Features, where: str, width: int | None = None) -> CoreFeatures:
        """Features as the core takes them: several inputs side by side."""
        raise TypeError(f"[{type(self).__name__}] takes no features")

    def _layers_of_nodes(self, width: int) -> list[str]:
        """The layer that each node of the graph is of, by name; "" for the model itself."""
        return []

    def _schedules(self, width: int) -> list[Schedule]:
        """Of the numbers that the graph reads and that change while it trains."""
        return []

    def _check_indices(self, features: CoreFeatures, where: str) -> None:
        """Raises ValueError if a row looks up what a table has not."""

    def _has_one_output(self, width: int) -> bool:
        """Whether the model returns one array, and not a tuple of them."""
        return True

    def _as_returned(self, rows: Floats, width: int) -> Any:
        """Predictions of shape (rows, all elements) as the model returns them."""
        return rows

    def _state(self) -> _core.State:
        """The parameters to read, drawn from seed 0 if they have not been yet."""
        raise TypeError(f"[{type(self).__name__}] has no parameters")

    def _exclusive(
        self, where: str, seed: int = 0, state: _core.State | None = None
    ) -> AbstractContextManager[_core.State]:
        """The parameters to train, drawn from `seed` if they have not been yet, held off from all others.

        With `state`, they have to be there already.
        """
        raise TypeError(f"[{type(self).__name__}] has no parameters")

    def _version(self) -> int | None:
        """The core's count of changes at which the graph was true; None if it may change without being counted."""
        return None

    def _parameter_names(self) -> list[str]:
        """The names of the parameters, in the order of the state."""
        raise TypeError(f"[{type(self).__name__}] has no parameters")

    def _frozen(self) -> list[str]:
        """The names of those that training leaves as they are."""
        return []

    def _description(self) -> tuple[dict[str, Floats], dict[str, Any]]:
        """The tensors of a model file, which follow the training, and its JSON-able description."""
        raise TypeError(f"[{type(self).__name__}] cannot be saved")

    def fit(
        self,
        X: Features | Streamable,
        y: ArrayLike | None = None,
        *,
        loss: str | Loss,
        optimizer: str | Optimizer = "adam",
        epochs: int = 10,
        batch_size: int | str = "auto",
        validation_data: tuple[Features, ArrayLike] | tuple[Features, ArrayLike, ArrayLike] | Streamable | None = None,
        validation_fraction: float = 0.0,
        metrics: Asked | Sequence[Asked] | None = (),
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | str | None = None,
        shuffle: bool = True,
        callbacks: Callback | Sequence[Callback] | None = (),
        stop_at: Mapping[str, float] | None = None,
        max_steps: int | None = None,
        max_seconds: float | None = None,
        precision: str = "float32",
        seed: int = 0,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | None = None,
        checkpoint_keep: int = 3,
        resume: bool = False,
        on_interrupt: str = "raise",
        on_nonfinite: str = "raise",
        record: bool = False,
        progress: bool = False,
    ) -> History:
        """Trains the model on features and labels, from the parameters it has.

        Args:
            X: Features, shape (rows, features), of any real dtype; float32 in C order is not copied. For a model
                whose forward takes several inputs, a mapping with an array for each, by name. A sparse matrix or
                array of SciPy is never made dense, and gives the bits that its `toarray()` would; only Linear layers
                may read it. The gradient and the optimizer's slots stay dense: a step takes time in proportion to
                the parameters as well as to the entries. Of data larger than memory, a whet.data.Stream, or a
                function that returns an iterator of batches (X, y); then `y`, `sample_weight` and
                `validation_fraction` are not given.
            y: Targets as the loss takes them; see whet.losses. Shapes (rows,) and (rows, 1) are equal.
            loss: What to make small: a string such as "mse" or "cross_entropy", or an object of whet.losses.
            optimizer: A string such as "adam", or an object of whet.optim.
            epochs: Passes over the data.
            batch_size: Rows of a step; the last one of an epoch may be shorter. "auto" depends on the number of rows
                alone: a power of two near rows / 64, from 32 to 256; where a function or an iterator yields who knows
                how many, it is the rows of the first batch, and 256 of a cursor. Full-batch optimizers take all rows.
            validation_data: (X, y) to evaluate after every epoch, or (X, y, sample_weight), or a stream.
            validation_fraction: Share of the rows, drawn from `seed`, that is set apart for the same, with their
                sample_weight.
            metrics: Names or objects of whet.metrics, or functions of (truth, prediction), computed for every epoch
                over the predictions made in it while training, weighted as the loss is. Most are summed in double
                while a batch is in cache; roc_auc and functions have the predictions of all rows kept, and a stream
                has none of these two.
            sample_weight: Weight of each row in the loss, shape (rows,); a batch's loss is the weighted mean
                over its rows.
            class_weight: How often the rows of each class count, {class: factor}; classes that it leaves out count
                once. "balanced" is rows / (classes * rows of the class) over the training rows, as in scikit-learn.
                It multiplies `sample_weight`. For "cross_entropy" with class indices and for "bce_with_logits" with
                one output and labels 0 and 1.
            shuffle: Whether every epoch takes the rows in an order of its own; whet.data.Stream says how it does.
            callbacks: Objects of whet.callbacks, called between epochs: EarlyStopping, ReduceLROnPlateau,
                ModelCheckpoint and others, or classes of one's own.
            stop_at: Stop after an epoch in which all these targets are met, such as {"val_accuracy": 0.97}.
            max_steps: Stop after so many batches.
            max_seconds: Stop after the step at whose end so many seconds have passed, as `max_steps` does: also in the
                middle of an epoch, whose validation and callbacks still follow.
            precision: "float32": products and sums are in the model's own dtype. "bfloat16", for a float32 model: the
                operands of products are rounded to bfloat16 while training; sums, parameters and all else stay
                float32, and so do evaluation, prediction and products with sparse features.
            seed: For parameters that are not drawn yet, the order of rows, the validation rows and what dropout draws.
            checkpoint: A directory for checkpoints, made if it is not there. Each is a file that ``whet.load`` opens,
                named after the steps taken; "best.whet" is the model after the best epoch. The last one is written
                when the training ends, also by Ctrl-C, by what leaves the process, such as SystemExit, or, in the main
                thread, by SIGTERM, whose handler is then called; where a callback or a read of data is waited for, as
                soon as the training is back at a whole step. One that cannot be written is a warning, and the training
                goes on.
            checkpoint_every: Steps from one checkpoint to the next; None: one after every epoch.
            checkpoint_keep: How many of the newest to keep.
            resume: Whether to go on from the newest good checkpoint in that directory, with the bits that a fit without
                a pause would have; from the beginning, if there is none. Data and arguments have to be the same, but
                for those that say when to stop or what to show; `epochs` and `max_steps` may change where no schedule
                depends on them. Damaged files are named in a warning and left out.
            on_interrupt: On Ctrl-C, "raise" KeyboardInterrupt or "return". The model stands at a whole step either way.
            on_nonfinite: Where a loss, gradient or parameter becomes NaN or infinite, "raise" NonFiniteError, or
                "rollback": warn, go back to where the epoch began, and go on at half the learning rate.
            record: Whether `history.layers` gets gradient norms, update ratios, dead and saturated units of every
                epoch, from every 64th step, and the history "gradient_norm", that of all parameters.
            progress: Show a bar on standard error.

        Returns:
            The history, which is also kept as `model.history`.

        Raises:
            TypeError: If an argument is of a wrong kind.
            ValueError: If shapes do not fit, a number is out of range, NaN or infinite, or there are checkpoints of
                another fit, or only damaged ones. Nothing has changed then.
            NonFiniteError: If the loss, a gradient or a parameter becomes NaN or infinite; it names step, layer,
                operation and rows. The parameters are those before that step, unless that step's update is what made
                them so; the message says which.
            OSError: If there can be no directory for checkpoints.
            RuntimeError: If another fit of this model is running, or one that writes to this directory.

        Warns:
            WhetWarning: For a checkpoint that is damaged or cannot be written, and for a rollback, among others.
        """
        from whet.training.fit import Plan, run

        plan = Plan(
            loss=loss,
            optimizer=optimizer,
            epochs=epochs,
            batch_size=batch_size,
            metrics=metrics,
            class_weight=class_weight,
            shuffle=shuffle,
            callbacks=callbacks,
            stop_at=stop_at,
            max_steps=max_steps,
            max_seconds=max_seconds,
            precision=precision,
            seed=seed,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            checkpoint_keep=checkpoint_keep,
            resume=resume,
            on_interrupt=on_interrupt,
            on_nonfinite=on_nonfinite,
            record=record,
            progress=progress,
        )
        return run(self, plan, X, y, sample_weight, validation_data, validation_fraction)

    @_core.fast
    def predict(self, X: Features | Streamable) -> Floats:
        """The raw outputs.

        Args:
            X: Features, shape (rows, features), as `fit` takes them; or a whet.data.Stream, of which memory holds the
                outputs alone.

        Returns:
            Shape (rows, outputs), in the model's dtype; a tuple of such arrays if the model's forward returns a tuple.
            A row's outputs do not depend on the other rows.

        Raises:
            TypeError: If `X` does not hold numbers, or is sparse and read by anything but Linear layers.
            ValueError: If its shape does not fit, or it holds NaN or infinite elements.
        """
        stream = as_stream(X)
        if stream is not None:
            from whet.training import streaming

            return streaming.predict(self, stream)
        features = self._features(X, "predict")  # type: ignore[arg-type]  # no stream
        returned: Floats = self._as_returned(self._outputs(features), features.shape[1])
        return returned

    def predict_proba(self, X: Features | Streamable) -> Floats:
        """The outputs after the link of the last fit's loss: softmax for cross_entropy, sigmoid for losses of labels.

        Those of an ensemble trained with MemberLoss are the mean of its members, shape (rows, outputs).

        Raises:
            ValueError: As `predict`, or if the model has no loss yet, or one without probabilities.
        """
        return self._fitted_loss("predict_proba").probabilities(self.predict(X))

    def evaluate(
        self, X: Features | Streamable, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> dict[str, float]:
        """Loss (without penalties) and metrics of the last fit, on these rows.

        Args:
            X: Features, shape (rows, features); or a whet.data.Stream, which has `y` and weights itself.
            y: Targets as the loss takes them.
            sample_weight: Weight of each row, shape (rows,).

        Returns:
            {"loss": ..., and each metric by name}; without functions, of which a WhetWarning tells, if it was loaded.

        Raises:
            TypeError: If an array does not hold numbers of the right kind.
            ValueError: If shapes do not fit, there is no row, or the model has no loss yet.
        """
        return self._evaluate_with(self._metrics, X, y, sample_weight)

    def _evaluate_with(
        self,
        metrics: Sequence[Metric],
        X: Features | Streamable,
        y: ArrayLike | None,
        sample_weight: ArrayLike | None,
    ) -> dict[str, float]:
        """See `evaluate`."""
        loss = self._fitted_loss("evaluate")
        stream = as_stream(X)
        if stream is not None:
            if y is not None or sample_weight is not None:
                raise ValueError("[evaluate] expected y and sample_weight in the batches or columns of a stream")
            return self._evaluate_rows(stream, loss, metrics, "evaluate")
        if y is None:
            raise TypeError("[evaluate] expected y: only a stream has the right answers beside X")
        features = self._features(X, "evaluate")  # type: ignore[arg-type]  # no stream
        target = loss.target(y, len(features), self._width_of_target(features.shape[1], loss), self.dtype, "evaluate")
        weights = as_weights(sample_weight, len(features), self.dtype, "evaluate")
        return self._evaluate(features, target, loss, metrics, weights)

    def _fitted_loss(self, where: str) -> Loss:
        if self._loss is None:
            raise ValueError(
                f"[{where}] needs the loss that fit sets: the model has not been fitted, or its file holds no such loss"
            )
        return self._loss

    def _width_of_output(self, width: int) -> int:
        graph = self._graph(width)
        return math.prod(graph.shape(graph.output))

    def _width_of_target(self, width: int, loss: Loss) -> int:
        """Outputs that a row's target is for: of one member, where all have the same."""
        graph = self._graph(width)
        return graph.shape(graph.output)[-1] if isinstance(loss, MemberLoss) else self._width_of_output(width)

    def _training_graph(self, width: int, loss: Loss, target: NDArray[Any]) -> _core.Graph:
        """The graph for a trainer: with the loss inside if it is a function."""
        if not isinstance(loss, TracedLoss):
            return self._graph(width)
        self._targets = target.shape[1]
        return self._graph_with_loss(width, loss, target.shape[1])

    def _mean_loss(self, loss: Loss, output: Floats, width: int, truth: NDArray[Any], weights: Floats | None) -> float:
        """The weighted mean loss of predictions from inputs of that width."""
        if isinstance(loss, NumPyLoss):
            return float(np.average(loss.rows(output, truth)[0].astype(np.float64), weights=weights))
        if not isinstance(loss, TracedLoss):
            return _core.loss(None, output, truth, weights, loss.name, list(loss.options().items()))
        graph = self._loss_graph(loss, width, truth.shape[1])
        rows = np.empty((len(output), 1), self.dtype)
        predictor = _core.Predictor(graph, _core.State([], self.dtype))
        predictor.predict(np.concatenate([output, truth], axis=1), rows)
        each = rows[:, 0].astype(np.float64)
        return float(np.average(each, weights=weights))

    def _outputs(self, features: CoreFeatures) -> Floats:
        version = self._version()  # first: what changes meanwhile makes it old
        graph, state = self._graph(features.shape[1]), self._state()
        predictor = self._predictor
        if predictor is None or predictor.graph is not graph or predictor.state is not state:
            predictor = self._predictor = _core.Predictor(graph, state)
        # Outputs that stand side by side are taken apart here: such a prediction never goes past Python.
        predictor.version = version if self._has_one_output(features.shape[1]) else None
        out = np.empty((len(features), math.prod(graph.shape(graph.output))), self.dtype)
        predictor.predict(features, out)
        return out

    def _evaluate(
        self,
        features: CoreFeatures,
        target: NDArray[Any],
        loss: Loss,
        metrics: Sequence[Metric],
        given: Floats | None = None,
    ) -> dict[str, float]:
        """Loss and metrics of rows with the weights that a user gave them."""
        if len(features) == 0:
            raise ValueError("[evaluate] expected at least one row, got none")
        output, width = self._outputs(features), features.shape[1]
        truth, weights = weighed(loss, target, output.shape[1], self.dtype, given, "evaluate")
        mean = self._mean_loss(loss, output, width, truth, weights)
        weight = len(output) if weights is None else float(weights.sum(dtype=np.float64))
        value = loss.reduced(mean, weight, output.shape[1])
        return {"loss": value, **self._measure(metrics, output, target, loss, width, given)}

    def _evaluate_rows(
        self, rows: Rows | Stream, loss: Loss, metrics: Sequence[Metric], where: str
    ) -> dict[str, float]:
        """Loss and metrics of rows that were checked, or of a stream."""
        if isinstance(rows, Rows):
            return self._evaluate(rows.features, rows.target, loss, metrics, rows.given)
        from whet.training import streaming

        return streaming.evaluate(self, rows, loss, metrics, where)

    def _seen(
        self, output: Floats, target: NDArray[Any], loss: Loss, width: int, weights: Floats | None
    ) -> Predictions:
        """Predictions of shape (rows, all elements) from inputs of that width, as metrics read them."""
        return Predictions(target, self._as_returned(output, width), loss, weights)

    def _measure(
        self,
        metrics: Sequence[Metric],
        output: Floats,
        target: NDArray[Any],
        loss: Loss,
        width: int,
        weights: Floats | None,
    ) -> dict[str, float]:
        """Metrics of predictions of shape (rows, all elements) from inputs of that width."""
        if not metrics:
            return {}
        return scores(metrics, self._seen(output, target, loss, width, weights))

    def _check_metrics(self, metrics: Sequence[Metric], target: NDArray[Any], loss: Loss, width: int) -> None:
        """Raises ValueError if a metric cannot be told of this model and such targets."""
        output = np.zeros((1, self._width_of_output(width)), self.dtype)
        for metric in metrics:
            metric.check_shapes(Predictions(target[:1], self._as_returned(output, width), loss))

    def __getstate__(self) -> dict[str, Any]:
        # A schedule of the optimizer's may be a function that no file can hold.
        return {**self.__dict__, "_predictor": None, "_optimizer": None}


def describe_training(model: Model) -> dict[str, Any]:
    """The loss and metrics of the last fit as JSON-able data; functions of a user's are no data."""
    loss = model._loss
    described = None
    if loss is not None and type(loss) not in (FunctionLoss, NumPyLoss):
        described = {"name": loss.name, **{each.name: getattr(loss, each.name) for each in fields(loss) if each.init}}
    return {
        "loss": described,
        "metrics": own(model._metrics),
        "absent": absent(model._metrics),
    }


def restore_training(model: Model, description: Mapping[str, Any]) -> None:
    """Gives a model the loss and metrics that `describe_training` wrote down."""
    if description["loss"] is not None:
        options = dict(description["loss"])
        model._loss = type(losses.get(options.pop("name")))(**options)
    model._metrics = restored(description["metrics"], description.get("absent", ()))
