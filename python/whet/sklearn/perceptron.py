"""What the perceptrons share: parameters, attributes, and the way from checked rows to a trained model."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import train_test_split
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted

from whet.losses import Loss
from whet.optim import Optimizer
from whet.schedules import Schedule
from whet.sklearn import network, solvers
from whet.sklearn.columns import Columns
from whet.sklearn.inputs import checked, checked_features
from whet.sklearn.nested import OptimizerParameters
from whet.sklearn.protocol import CallbackSupportMixin, Tasks
from whet.sklearn.solvers import Data
from whet.sklearn.threads import limited
from whet.training import Trainer
from whet.training.callbacks.base import Callback

__all__ = ["Perceptron"]

_POSITIVE = Interval(Real, 0, None, closed="neither")
_AT_LEAST_0 = Interval(Real, 0, None, closed="left")
_COUNT = Interval(Integral, 1, None, closed="left")
_SHARE = Interval(Real, 0, 1, closed="left")


def _assign(name: str, views: Sequence[NDArray[Any]], values: Sequence[ArrayLike]) -> None:
    """Copies arrays into those of a network, all or none."""
    arrays = [np.asarray(value) for value in values]
    shapes, got = [view.shape for view in views], [array.shape for array in arrays]
    if got != shapes:
        raise ValueError(f"[{name}] expected arrays of shapes {shapes}, got {got}")
    for view, array in zip(views, arrays, strict=True):
        view[...] = array


class Perceptron(CallbackSupportMixin, OptimizerParameters):  # type: ignore[misc]
    """What the perceptrons share.

    Args:
        hidden_layer_sizes: Widths of the hidden layers.
        activation: "identity", "logistic", "tanh", "relu", or a name of whet.nn's; a sequence has one for each hidden
            layer.
        solver: "adam", "sgd" or "lbfgs".
        alpha: Strength of the L2 penalty on the weights, divided by the number of rows of a step.
        batch_size: Rows of a step; "auto" is min(200, rows).
        learning_rate: "constant", "invscaling" or "adaptive", for "sgd".
        learning_rate_init: The learning rate, a number or an object of whet.schedules.
        power_t: Exponent of "invscaling".
        max_iter: Epochs, or iterations of "lbfgs", at most.
        shuffle: Whether every epoch takes the rows in an order of its own.
        random_state: An int, a RandomState or None, for first values, orders and the validation rows.
        tol: What counts as an improvement; for "lbfgs", the tolerance of the gradient.
        verbose: Whether to print the loss of every epoch.
        warm_start: Whether `fit` goes on from the parameters of the last.
        momentum: Of "sgd".
        nesterovs_momentum: Whether "sgd" looks ahead along the momentum.
        early_stopping: Whether to end by the score of rows that are set apart, and keep the best parameters.
        validation_fraction: Share of the rows that are set apart.
        beta_1: Decay of the first moment of "adam".
        beta_2: Decay of its second moment.
        epsilon: Keeps its division from zero.
        n_iter_no_change: Epochs without an improvement before the end.
        max_fun: Evaluations of "lbfgs" at most.
        dropout: Share of hidden units to drop while training, or a schedule; not for "lbfgs".
        normalization: "batch" or "layer", before every activation, or None.
        optimizer: A name or an object of whet.optim in the place of `solver` and its numbers, `alpha` included; its own
            are parameters, too, such as "optimizer__lr".
        clip_norm: The gradient's norm at most.
        ema: Decay of the moving average of the parameters, which the estimator keeps.
        categorical_features: Columns of X that have categories, as in HistGradientBoostingClassifier: "from_dtype" for
            those of a table's categorical type, or indices, names or a mask, or None. They become zeros and ones;
            missing numbers become the mean of their column, with a column that tells where.
        precision: "float32", or "bfloat16" for the products of a float32 model.
        dtype: What to compute in, "float32" or "float64"; None: in that of X.
        n_threads: Threads at most; None: as many as whet, threadpoolctl or joblib allow. No result depends on it.
        callbacks: Objects of whet.callbacks. With early stopping they are told the loss of its rows, "val_loss".

    Attributes:
        model_: The trained whet module; its raw outputs are before the output activation.
        coefs_: Weight matrices, shapes (inputs, outputs) of each layer: views of the model's. Where columns have
            categories or gaps, the first has more inputs than X: numbers, categories, gaps of numbers.
        intercepts_: Biases of each layer.
        loss_: The last loss, penalty included.
        loss_curve_: The loss of every epoch.
        best_loss_: The smallest loss, or None with early stopping.
        validation_scores_: Score of the validation rows after every epoch, or None.
        best_validation_score_: The best of them, or None.
        n_iter_: Epochs or iterations of the last fit.
        t_: Rows seen in all.
        n_layers_: Number of layers, input and output among them.
        n_outputs_: Number of outputs.
        n_features_in_: Number of features seen in fit.
        feature_names_in_: Their names, where X has names.
    """

    _parameter_constraints: dict[str, Any] = {  # noqa: RUF012
        "hidden_layer_sizes": ["array-like", _COUNT],
        "activation": [str, "array-like"],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [_AT_LEAST_0],
        "batch_size": [StrOptions({"auto"}), _COUNT],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [_POSITIVE, Schedule],
        "power_t": [_AT_LEAST_0],
        "max_iter": [_COUNT],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [_AT_LEAST_0],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [_SHARE],
        "beta_1": [_SHARE],
        "beta_2": [_SHARE],
        "epsilon": [_POSITIVE],
        "n_iter_no_change": [_COUNT, Options(Real, {np.inf})],
        "max_fun": [_COUNT],
        "dropout": [_SHARE, Schedule],
        "normalization": [StrOptions({"batch", "layer"}), None],
        "optimizer": [str, Optimizer, None],
        "clip_norm": [_POSITIVE, None],
        "ema": [Interval(Real, 0, 1, closed="neither"), None],
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "precision": [StrOptions({"float32", "bfloat16"})],
        "dtype": [None, str, type, np.dtype],
        "n_threads": [_COUNT, None],
        "callbacks": [None, Callback, "array-like"],
    }

    _columns: Columns

    def _keep(self, given: dict[str, Any]) -> None:
        """Keeps the arguments of the constructor as they are."""
        for name, value in given.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    def _validate(self) -> None:
        self._validate_params()
        if self._searches():
            if self.dropout != 0:
                raise ValueError("[fit] expected no dropout with solver 'lbfgs', whose loss has to be one function")
            for name in ("clip_norm", "ema", "callbacks"):
                if getattr(self, name) is not None:
                    raise ValueError(f"[fit] expected no {name} with solver 'lbfgs', which has no steps and no epochs")
        if isinstance(self.learning_rate_init, Schedule) and self.learning_rate != "constant":
            raise ValueError("[fit] expected learning_rate 'constant' with a schedule as learning_rate_init")

    def _has_own_rate(self) -> bool:
        """Whether learning_rate has a meaning."""
        return bool(self.optimizer is None and self.solver == "sgd")

    def _hidden(self) -> list[int]:
        given = np.atleast_1d(self.hidden_layer_sizes)
        if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
            raise TypeError(f"[fit] expected hidden_layer_sizes as a sequence of int, got {self.hidden_layer_sizes!r}")
        hidden: list[int] = given.tolist()
        if any(width <= 0 for width in hidden) or not hidden:
            raise ValueError(f"hidden_layer_sizes must be > 0, got {hidden}.")
        return hidden

    def _activations(self, hidden: list[int]) -> list[str]:
        if isinstance(self.activation, str):
            return [self.activation] * len(hidden)
        if len(self.activation) != len(hidden):
            raise ValueError(f"[fit] expected an activation for each of {len(hidden)} hidden layers")
        return list(self.activation)

    def _checked(self, X: Any, y: Any, reset: bool, regression: bool) -> tuple[Any, NDArray[Any]]:
        """Features and target; `reset` learns what there is in the columns."""
        columns = Columns(X, self.categorical_features) if reset else self._columns
        found = checked(self, X, y, reset=reset, dtype=self.dtype, regression=regression, columns=columns)
        self._columns = columns
        return found

    def _check_held(self, X_val: Any, y_val: Any, sample_weight_val: Any) -> None:
        """Refuses validation rows that are not whole, or that nothing looks at."""
        if X_val is None and (y_val is not None or sample_weight_val is not None):
            raise ValueError("[fit] expected X_val with y_val and sample_weight_val, got none")
        if X_val is not None and y_val is None:
            raise ValueError("[fit] expected y_val with X_val, got none")
        if X_val is not None and self._searches():
            raise ValueError("[fit] expected no X_val with solver 'lbfgs', which has no early stopping")

    def _tasks(self, X: Any, y: Any, sample_weight: Any) -> Tasks:
        """Tells callbacks of a fit; the search does not know that an iteration is its last."""
        return Tasks(self, X, y, int(self.max_iter) + self._searches(), sample_weight)

    def _searches(self) -> bool:
        """Whether "lbfgs" is what trains."""
        return bool(self.solver == "lbfgs" and self.optimizer is None)

    def _initialize(self, features: Any, outputs: int, random: np.random.RandomState) -> None:
        if self.precision == "bfloat16" and features.dtype != np.float32:
            raise ValueError(
                f"[fit] expected dtype='float32', or rows of it, for precision 'bfloat16', got {features.dtype}"
            )
        hidden = self._hidden()
        widths = [features.shape[1], *hidden, outputs]
        activations = self._activations(hidden)
        self.model_ = network.build(widths, activations, self.normalization, self.dropout)
        self.model_.to(features.dtype.name)
        network.draw(self.model_, activations, random)
        self.n_layers_, self.n_outputs_, self.t_ = len(widths), outputs, 0
        self.n_iter_ = 0
        self._trainer: Trainer | None = None
        self._no_improvement_count = 0
        self._rate = self.learning_rate_init
        self.out_activation_ = self._out_activation()
        if not self._searches():
            self.loss_curve_: list[float] = []
            self.best_loss_: float | None = np.inf
            self.validation_scores_: list[float] | None = None
            self.best_validation_score_: float | None = None

    def _fit(
        self,
        data: Data,
        held: Data | None,
        random: np.random.RandomState,
        first: bool,
        outputs: int,
        tasks: Tasks,
    ) -> None:
        """Trains on checked rows."""
        if first:
            self._initialize(data.X, outputs, random)
        else:
            self._copy_records()
        self._trainer = None
        if not self._searches() and (self.early_stopping or held is not None):
            if held is None:
                data, held = self._set_apart(data, random)
            elif len(held) < 2:
                raise ValueError("[fit] expected two rows or more in X_val, got 1")
            elif held.y.shape[1:] != data.y.shape[1:]:
                raise ValueError(
                    f"[fit] expected y_val with the columns of y, {data.y.shape[1:]}, got {held.y.shape[1:]}"
                )
            if self.validation_scores_ is None:
                self.validation_scores_, self.best_validation_score_ = [], -np.inf
            self.best_loss_ = None
        with limited(self.n_threads):
            if self._searches():
                solvers.fit_lbfgs(self, self.model_, self._loss_object(), data, tasks)
            else:
                seed = int(random.randint(2**31))
                solvers.fit_epochs(self, self.model_, self._loss_object(), data, held, seed, tasks)
        tasks.end()

    def _pass(self, data: Data, random: np.random.RandomState, first: bool, outputs: int) -> None:
        """One pass over checked rows, with the optimizer of the last one."""
        if first:
            self._initialize(data.X, outputs, random)
        else:
            self._copy_records()
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        with limited(self.n_threads):
            solvers.fit_pass(self, self._loss_object(), data, random)

    def _copy_records(self) -> None:
        """Lists that grow, and what is compared, for a fit or pass that goes on from another, which may have had none.

        The lists are copies: those of a fit that fails, or of a copied estimator, stay as they are.
        """
        if self._searches():
            return
        self.loss_curve_ = list(getattr(self, "loss_curve_", ()))
        self.validation_scores_ = copy.copy(getattr(self, "validation_scores_", None))
        self.best_validation_score_ = getattr(self, "best_validation_score_", None)
        best = getattr(self, "best_loss_", None)
        self.best_loss_ = np.inf if best is None else best

    def _set_apart(self, data: Data, random: np.random.RandomState) -> tuple[Data, Data]:
        rows = np.arange(len(data))
        train, held = train_test_split(
            rows, random_state=random, test_size=self.validation_fraction, stratify=self._strata(data.y)
        )
        if len(held) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        return data.take(train), data.take(held)

    def _strata(self, y: NDArray[Any]) -> NDArray[Any] | None:
        return None

    def _loss_factor(self) -> float:
        """From whet's loss to the one that scikit-learn reports."""
        return 1.0

    def _loss_constant(self, data: Data) -> float:
        return 0.0

    def _outputs(self, X: ArrayLike) -> NDArray[Any]:
        check_is_fitted(self, "model_")
        features = checked_features(self, X, self._columns)
        with limited(self.n_threads):
            return self.model_.predict(features)

    def _loss_object(self) -> Loss:
        raise TypeError(f"[{type(self).__name__}] has no loss")

    def _out_activation(self) -> str:
        return "identity"

    @property
    def coefs_(self) -> list[NDArray[Any]]:
        """Weight matrices, shapes (inputs, outputs); others of these shapes are copied into the network."""
        return [layer.weight.values.T for layer in self._layers("coefs_")]

    @coefs_.setter
    def coefs_(self, values: Sequence[ArrayLike]) -> None:
        _assign("coefs_", self.coefs_, values)

    @property
    def intercepts_(self) -> list[NDArray[Any]]:
        """Biases; others of these shapes are copied into the network."""
        return [layer.bias.values for layer in self._layers("intercepts_")]

    @intercepts_.setter
    def intercepts_(self, values: Sequence[ArrayLike]) -> None:
        _assign("intercepts_", self.intercepts_, values)

    def _layers(self, name: str) -> list[Any]:
        if "model_" not in vars(self):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}' before fit")
        return list(network.linear_layers(self.model_).values())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.allow_nan = True
        tags.target_tags.multi_output = True
        return tags
