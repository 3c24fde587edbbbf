"""scikit-learn's callback protocol, its own callbacks and others, on every estimator."""

import time

import numpy as np
import pytest

pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")

from sklearn.base import clone, is_regressor
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import whet.sklearn
from whet import nn
from whet.sklearn import (
    LogisticRegression,
    MLPClassifier,
    MLPRegressor,
    PoissonRegressor,
    SGDClassifier,
    SGDRegressor,
    wrap,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Maximum number of iteration"),
]

IRIS = StandardScaler().fit_transform(load_iris().data), load_iris().target_names[load_iris().target]
DIABETES = StandardScaler().fit_transform(load_diabetes().data), load_diabetes().target


def perceptron(inputs, outputs):
    return nn.MLP(inputs, (4,), outputs)


def every_estimator():
    made = [getattr(whet.sklearn, name) for name in whet.sklearn.__all__ if not name.startswith(("Wrapped", "wrap"))]
    made = [each(max_iter=5) if "max_iter" in each().get_params() else each() for each in made]
    return [
        *made,
        MLPClassifier(solver="lbfgs", max_iter=5),
        MLPRegressor(early_stopping=True, max_iter=5),
        LogisticRegression(solver="saga", l1_ratio=0.5, max_iter=5),
        wrap(perceptron, epochs=5),
        wrap(perceptron, "mse", epochs=5),
    ]


EVERY = pytest.mark.parametrize("model", every_estimator(), ids=lambda each: type(each).__name__)
STEPWISE = (MLPClassifier, MLPRegressor, LogisticRegression, PoissonRegressor, SGDRegressor)


def rows_of(model):
    return DIABETES if is_regressor(model) else IRIS


class Witness:
    """Remembers what it is told, and asks for an end after so many iterations."""

    def __init__(self, most=np.inf):
        self.most, self.told, self.models = most, [], []

    def setup(self, estimator, context):
        self.told.append("setup")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.told.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self.told.append(f"end {context.task_name}")
        if fitted_estimator is not None:
            self.models.append((context.task_name, fitted_estimator, fitted_estimator.predict(X), metadata))
        return sum(name == "iteration" for name, *_ in self.models) >= self.most

    def teardown(self, estimator, context):
        self.told.append("teardown")


@EVERY
def test_every_task_begins_and_ends(model):
    witness = Witness()
    X, y = rows_of(model)
    fitted = clone(model).set_callbacks(witness).fit(X, y, sample_weight=np.ones(len(X)))
    told = witness.told
    assert (told[0], told[1], told[-2], told[-1]) == ("setup", "begin fit", "end fit", "teardown")
    assert told.count("begin iteration") == told.count("end iteration")
    if isinstance(model, STEPWISE):
        assert sum(name == "iteration" for name, *_ in witness.models) == np.max(fitted.n_iter_)
    _, _, last, metadata = witness.models[-1]
    np.testing.assert_array_equal(last, fitted.predict(X))
    assert list(metadata) == ["sample_weight"]
    for _, early, predicted, _ in witness.models:  # each is a model of its own, which later iterations leave alone
        np.testing.assert_array_equal(early.predict(X), predicted)


@EVERY
def test_scoring_monitor(model):
    monitor = ScoringMonitor(scoring="accuracy" if rows_of(model) is IRIS else "r2")
    fitted = clone(model).set_callbacks(monitor).fit(*rows_of(model))
    found = monitor.get_logs().data[-1]
    expected = fitted.score(*rows_of(model)) if not isinstance(model, PoissonRegressor) else found["r2"]
    assert found.get("accuracy", found.get("r2")) == pytest.approx(expected)


@EVERY
def test_progress_bar(model, capsys):
    pytest.importorskip("rich", reason="rich is not installed: scikit-learn's bars need it")
    clone(model).set_callbacks(ProgressBar()).fit(*rows_of(model))
    deadline = time.monotonic() + 10
    shown = ""
    while type(model).__name__ not in shown and time.monotonic() < deadline:
        shown += capsys.readouterr().out
    assert type(model).__name__ in shown
    assert "100%" in shown


@pytest.mark.parametrize(
    "model",
    [
        MLPClassifier(),
        MLPClassifier(solver="lbfgs"),
        LogisticRegression(),
        LogisticRegression(solver="saga", l1_ratio=0.5),
        SGDRegressor(),
        wrap(perceptron),
    ],
)
def test_a_callback_ends_a_fit(model):
    witness = Witness(most=3)
    model.set_callbacks(witness).fit(*rows_of(model))
    assert sum(name == "iteration" for name, *_ in witness.models) == 3
    assert getattr(model, "n_iter_", 3) == 3


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_epochs_of_stochastic_gradient_descent(average, early_stopping):
    """Of two classes, and of three, one after the other; what is told changes nothing, and is what there is by then."""
    X, y = IRIS
    options = {"random_state": 0, "average": average, "early_stopping": early_stopping, "max_iter": 30}
    for kept, classes in ((y != "setosa", 1), (y != "none", 3)):
        witness = Witness()
        plain = SGDClassifier(**options).fit(X[kept], y[kept])
        model = SGDClassifier(**options, n_jobs=2).set_callbacks(witness).fit(X[kept], y[kept])
        np.testing.assert_array_equal(model.coef_, plain.coef_)
        epochs = [found for name, found, *_ in witness.models if name == "iteration"]
        assert model.n_iter_ <= len(epochs) <= classes * model.n_iter_
        if classes == 1:
            assert [found.n_iter_ for found in epochs] == list(range(1, model.n_iter_ + 1))
            one = SGDClassifier(**{**options, "max_iter": 1}).fit(X[kept], y[kept])
            np.testing.assert_array_equal(epochs[0].coef_, one.coef_)
        np.testing.assert_array_equal(epochs[-1].coef_, model.coef_)


def test_callbacks_are_propagated_by_searches_and_pipelines():
    monitor = ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(max_iter=3, random_state=0).set_callbacks(monitor)
    search = GridSearchCV(make_pipeline(StandardScaler(), model), {"mlpclassifier__alpha": [1e-4, 1e-2]}, cv=2)
    search.fit(*IRIS)
    logs = monitor.get_logs(select="all")
    assert sum(row["task_name"] == "iteration" for log in logs for row in log.data) == 3 * (2 * 2 + 1)
