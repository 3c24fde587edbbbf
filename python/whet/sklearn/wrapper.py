"""Any whet model as an estimator of scikit-learn."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from whet import losses
from whet._predictor import Predictor
from whet.losses import Loss
from whet.nn import Module
from whet.optim import Optimizer
from whet.sklearn.documented import shares_with
from whet.sklearn.exported import of_classes, of_numbers
from whet.sklearn.inputs import Labels, checked, checked_features, checked_weights
from whet.sklearn.nested import OptimizerParameters
from whet.sklearn.protocol import CallbackSupportMixin, Tasks, with_callbacks
from whet.sklearn.refusals import all_or_nothing
from whet.sklearn.threads import limited
from whet.training.callbacks.base import Callback

__all__ = ["WrappedClassifier", "WrappedRegressor", "wrap"]

_OF_BUILDER = "model__"


class _Wrapped(CallbackSupportMixin, OptimizerParameters):  # type: ignore[misc]
    """What both kinds share.

    Args:
        model: A whet module, or a function of (inputs, outputs) that makes one. The module itself is never trained:
            each fit makes a copy, or calls the function.
        loss: What to make small: a name or an object of whet.losses.
        optimizer: A name or an object of whet.optim; its numbers are parameters, too, such as "optimizer__lr".
        epochs: Passes over the rows.
        batch_size: Rows of a step, or "auto".
        keep_values: Whether a module's own values are where a fit starts; else they are drawn anew.
        fit_arguments: Other arguments of whet's fit, by name, such as {"metrics": "accuracy"}.
        random_state: An int, a RandomState or None, for first values and orders.
        n_threads: Threads at most; None: as many as whet, threadpoolctl or joblib allow.
        **options: "model__NAME": the function's argument NAME.

    Attributes:
        model_: The trained module.
        history_: What the fit recorded.
        n_features_in_: Number of features seen in fit.
        feature_names_in_: Their names, where X has names.
    """

    def __init__(
        self,
        model: Module | Callable[..., Module],
        *,
        loss: str | Loss,
        optimizer: str | Optimizer = "adam",
        epochs: int = 100,
        batch_size: int | str = "auto",
        keep_values: bool = False,
        fit_arguments: Mapping[str, Any] | None = None,
        random_state: Any = None,
        n_threads: int | None = None,
        **options: Any,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.epochs = epochs
        self.batch_size = batch_size
        self.keep_values = keep_values
        self.fit_arguments = fit_arguments
        self.random_state = random_state
        self.n_threads = n_threads
        for name, value in options.items():
            setattr(self, name, value)

    def _options(self) -> dict[str, Any]:
        """Arguments of the model's function, under the names they were given by."""
        own = super().get_params(deep=False)
        return {
            name: value
            for name, value in vars(self).items()
            if name not in own and not name.startswith("_") and not name.endswith("_")
        }

    def _arguments_of_model(self) -> dict[str, Any]:
        options = self._options()
        for name in options:
            if not name.startswith(_OF_BUILDER):
                raise TypeError(
                    f"[{type(self).__name__}] expected arguments of the model to begin with 'model__', got '{name}'"
                )
        return {name.removeprefix(_OF_BUILDER): value for name, value in options.items()}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters by name; with `deep`, also the numbers of an optimizer that is an object."""
        return {**super().get_params(deep), **self._options()}

    def set_params(self, **params: Any) -> Any:
        """Sets parameters by name. Returns the estimator."""
        of_model = {name: value for name, value in params.items() if name.startswith(_OF_BUILDER)}
        super().set_params(**{name: value for name, value in params.items() if name not in of_model})
        for name, value in of_model.items():
            setattr(self, name, value)
        return self

    def _train(self, X: Any, y: NDArray[Any], weights: NDArray[Any] | None, outputs: int, tasks: Tasks) -> None:
        random = check_random_state(self.random_state)
        seed = int(random.randint(2**31))
        if isinstance(self.model, Module):
            made = copy.deepcopy(self.model)
            if not self.keep_values:
                made.initialize(seed)
        else:
            made = self.model(X.shape[1], outputs, **self._arguments_of_model())
            if not isinstance(made, Module):
                raise TypeError(f"[fit] expected model to make a module, got {type(made).__name__}")
            made.initialize(seed)
        self.model_ = made
        arguments = dict(self.fit_arguments or {})
        given = arguments.pop("callbacks", None)
        callbacks = [] if given is None else [given] if isinstance(given, Callback) else list(given)
        if tasks.asked:
            callbacks.append(_Told(tasks))
        with limited(self.n_threads):
            self.history_ = made.fit(
                X,
                y,
                loss=self.loss,
                optimizer=self.optimizer,
                epochs=self.epochs,
                batch_size=self.batch_size,
                sample_weight=weights,
                seed=seed,
                callbacks=callbacks,
                **arguments,
            )
        tasks.end()

    def _outputs(self, X: ArrayLike) -> NDArray[Any]:
        check_is_fitted(self, "model_")
        features = checked_features(self, X)
        with limited(self.n_threads):
            return self.model_.predict(features)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class _Told(Callback):
    """Tells scikit-learn's callbacks of every epoch."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Before each epoch."""
        self._tasks.begin()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """After each epoch."""
        if self._tasks.iteration(lambda: {"model_": copy.deepcopy(self.model)}):
            self.model.stop_training = True


@shares_with(_Wrapped)
class WrappedClassifier(ClassifierMixin, _Wrapped):  # type: ignore[misc]
    """A whet model as a classifier, of several labels at once where y has a column for each.

    Attributes:
        classes_: The labels, in the order of the columns of ``predict_proba``.
    """

    @all_or_nothing
    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> WrappedClassifier:
        """Trains a new model.

        Args:
            X: Features, shape (rows, features).
            y: Labels, shape (rows,), or zeros and ones, shape (rows, labels).
            sample_weight: Weight of each row in the loss.

        Returns:
            The estimator.
        """
        features, target = checked(self, X, y, reset=True, regression=False)
        self._labels = Labels(target)
        self.classes_ = self._labels.classes
        of_classes = self._takes_classes()
        encoded = np.searchsorted(self.classes_, target) if of_classes else self._labels.encode(target)
        tasks = Tasks(self, X, y, int(self.epochs), sample_weight)
        outputs = len(self.classes_) if of_classes else self._labels.outputs
        self._train(features, encoded, checked_weights(sample_weight, features), outputs, tasks)
        return self

    def _takes_classes(self) -> bool:
        """Whether the loss has an output for each class; raises ValueError if it has no place for these labels."""
        loss, labels = losses.get(self.loss), self._labels
        if loss.kind == "values":
            raise ValueError(f"[fit] expected a loss of labels, got {loss.name}, which makes a WrappedRegressor")
        if loss.kind == "classes" and labels.multilabel:
            raise ValueError(
                f"[fit] expected a class for each row, as {loss.name} takes; 'bce_with_logits' takes labels"
            )
        if loss.kind == "classes" and len(labels.classes) < 2:
            raise ValueError("[fit] expected labels of at least two classes, got 1 class")
        if loss.kind != "classes" and not (labels.multilabel or labels.binary):
            raise ValueError(
                f"[fit] expected two classes, as {loss.name} takes, got {len(self.classes_)}; cross_entropy takes more"
            )
        return loss.kind == "classes"

    def _predictor(self, where: str) -> Predictor:
        check_is_fitted(self, "model_")
        return of_classes(where, self.model_, self.n_features_in_, self._labels, losses.get(self.loss))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable labels, shape (rows,), or zeros and ones, shape (rows, labels)."""
        outputs = self._outputs(X)
        if losses.get(self.loss).kind == "classes":
            labels: NDArray[Any] = self.classes_[outputs.argmax(axis=1)]
            return labels
        return self._labels.decode(outputs)

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Probabilities, shape (rows, classes)."""
        outputs = self._outputs(X)
        probabilities = losses.get(self.loss).probabilities(outputs)
        if probabilities.shape[1] == 1:
            return np.concatenate([1 - probabilities, probabilities], axis=1)
        return probabilities

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = losses.get(self.loss).kind == "labels"
        tags.target_tags.multi_output = tags.classifier_tags.multi_label
        return tags


@shares_with(_Wrapped)
class WrappedRegressor(RegressorMixin, _Wrapped):  # type: ignore[misc]
    """A whet model as a regressor, of one value or of several."""

    @all_or_nothing
    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> WrappedRegressor:
        """Trains a new model.

        Args:
            X: Features, shape (rows, features).
            y: Numbers, shape (rows,) or (rows, outputs).
            sample_weight: Weight of each row in the loss.

        Returns:
            The estimator.
        """
        features, target = checked(self, X, y, reset=True, regression=True)
        self._single, self._dtype = target.ndim == 1, features.dtype
        target = target.reshape(len(target), -1)
        tasks = Tasks(self, X, y, int(self.epochs), sample_weight)
        self._train(features, target, checked_weights(sample_weight, features), target.shape[1], tasks)
        return self

    def _predictor(self, where: str) -> Predictor:
        check_is_fitted(self, "model_")
        return of_numbers(where, self.model_, self.n_features_in_, losses.get(self.loss))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Numbers, shape (rows,) or (rows, outputs)."""
        outputs = self._outputs(X)
        values = losses.get(self.loss).values(outputs).astype(self._dtype)
        return values[:, 0] if self._single else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def wrap(
    model: Module | Callable[..., Module], loss: str | Loss = "cross_entropy", **parameters: Any
) -> WrappedClassifier | WrappedRegressor:
    """Any whet model as an estimator: for pipelines, searches, clone and pickle.

    ``wrap(lambda inputs, outputs, width=64: nn.MLP(inputs, (width,), outputs), "mse", model__width=128)`` has a
    parameter "model__width", which a search may set.

    Args:
        model: A module, or a function of (inputs, outputs) that makes one.
        loss: What to make small; it says whether the estimator is a classifier or a regressor.
        **parameters: See WrappedClassifier.

    Returns:
        The estimator, which is not fitted.

    Raises:
        TypeError: If `model` is neither, or a parameter is unknown.
        ValueError: If `loss` is unknown.
    """
    if not isinstance(model, Module) and not callable(model):
        raise TypeError(f"[wrap] expected a module or a function that makes one, got {type(model).__name__}")
    kind = WrappedRegressor if losses.get(loss).kind == "values" else WrappedClassifier
    made = kind(model, loss=loss, **parameters)
    made._arguments_of_model()
    return made
