"""The estimators inside scikit-learn's tools, beside its own classes, and what theirs lack."""

import pickle

import joblib
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: the estimators need it")

import sklearn
import sklearn.linear_model
import sklearn.neural_network
import threadpoolctl
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import StackingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import whet
from whet import callbacks, losses, nn, optim, schedules
from whet.sklearn import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    MLPClassifier,
    MLPRegressor,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
    SGDClassifier,
    SGDRegressor,
    wrap,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS = StandardScaler().fit_transform(load_iris().data), load_iris().target
DIABETES = StandardScaler().fit_transform(load_diabetes().data), load_diabetes().target
CANCER = StandardScaler().fit_transform(load_breast_cancer().data), load_breast_cancer().target


def perceptron(inputs, outputs, width=16):
    return nn.MLP(inputs, (width,), outputs)


def classifier(**more):
    return MLPClassifier((16,), max_iter=40, learning_rate_init=0.01, random_state=0, **more)


# The same numbers as scikit-learn's


@pytest.mark.parametrize(
    ("ours", "data"),
    [
        (LinearRegression(), DIABETES),
        (Ridge(), DIABETES),
        (Lasso(alpha=0.1), DIABETES),
        (ElasticNet(alpha=0.01), DIABETES),
        (PoissonRegressor(tol=1e-8, max_iter=1000), DIABETES),
        (QuantileRegressor(alpha=0.01, quantile=0.7), DIABETES),
        (LogisticRegression(), CANCER),
        (LogisticRegression(C=0.1, class_weight="balanced", tol=1e-8), IRIS),
        (SGDClassifier(random_state=0), CANCER),
        (SGDClassifier(random_state=0, average=True), IRIS),
        (SGDClassifier(random_state=0, penalty="elasticnet"), IRIS),
        (SGDRegressor(random_state=0), DIABETES),
    ],
    ids=lambda each: type(each).__name__ if hasattr(each, "fit") else "",
)
@pytest.mark.parametrize("weighted", [False, True])
def test_coefficients_are_scikit_learns(ours, data, weighted):
    theirs = getattr(sklearn.linear_model, type(ours).__name__)
    mine = {name: value for name, value in ours.get_params().items() if name != "n_threads"}
    weights = np.random.default_rng(0).uniform(0.5, 2, len(data[1])) if weighted else None
    want = theirs(**mine).fit(*data, sample_weight=weights)
    got = clone(ours).fit(*data, sample_weight=weights)
    np.testing.assert_allclose(got.coef_, want.coef_, rtol=1e-5, atol=1e-5 * np.abs(want.coef_).max())
    np.testing.assert_allclose(got.intercept_, want.intercept_, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
def test_lbfgs_starts_and_ends_where_scikit_learn_does(activation):
    options = {
        "hidden_layer_sizes": (5,),
        "solver": "lbfgs",
        "activation": activation,
        "random_state": 3,
        "max_iter": 15,
    }
    want = sklearn.neural_network.MLPClassifier(**options).fit(*IRIS)
    got = MLPClassifier(**options).fit(*IRIS)
    for ours, theirs in zip(got.coefs_ + got.intercepts_, want.coefs_ + want.intercepts_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    assert got.n_iter_ == want.n_iter_
    assert got.loss_ == pytest.approx(want.loss_, rel=1e-4)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("kind", ["MLPClassifier", "MLPRegressor"])
def test_steps_are_scikit_learns_where_no_order_is_drawn(solver, kind):
    X, y = IRIS if kind == "MLPClassifier" else (DIABETES[0], np.stack([DIABETES[1] / 100] * 2, axis=1))
    options = {
        "solver": solver,
        "shuffle": False,
        "random_state": 1,
        "max_iter": 12,
        "alpha": 0.5,
        "batch_size": len(X),
    }
    want = getattr(sklearn.neural_network, kind)(**options).fit(X, y)
    got = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}[kind](**options).fit(X, y)
    for ours, theirs in zip(got.coefs_ + got.intercepts_, want.coefs_ + want.intercepts_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8 if solver == "sgd" else 5e-5)
    # The penalty that whet reports is that after an epoch, not the one within.
    np.testing.assert_allclose(got.loss_curve_, want.loss_curve_, rtol=2e-2)
    assert got.t_ == want.t_
    assert got.n_layers_ == want.n_layers_
    assert got.out_activation_ == want.out_activation_


# scikit-learn's tools


@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_searches_in_processes_and_threads(n_jobs, backend):
    with joblib.parallel_backend(backend):
        search = GridSearchCV(classifier(), {"alpha": [1e-4, 1e-2]}, cv=2, n_jobs=n_jobs).fit(*IRIS)
        scores = cross_val_score(classifier(), *IRIS, cv=2, n_jobs=n_jobs)
    assert search.best_score_ > 0.8
    assert scores.mean() > 0.8


def test_pipelines_columns_stacks_and_calibration():
    X, y = IRIS
    columns = ColumnTransformer([("numbers", StandardScaler(), [0, 1]), ("classes", OneHotEncoder(), [2])])
    rows = np.concatenate([X[:, :2], np.round(X[:, 2:3])], axis=1)
    assert make_pipeline(columns, classifier()).fit(rows, y).score(rows, y) > 0.8
    stack = StackingClassifier([("mlp", classifier()), ("linear", LogisticRegression())], SGDClassifier(random_state=0))
    assert stack.fit(X, y).score(X, y) > 0.8
    assert CalibratedClassifierCV(classifier(), cv=2).fit(X, y).predict_proba(X).shape == (150, 3)
    model = classifier().fit(X, y)
    assert permutation_importance(model, X, y, n_repeats=2).importances_mean.shape == (4,)
    assert learning_curve(classifier(), X, y, cv=2, shuffle=True, random_state=0)[1].shape == (5, 2)


def test_weights_are_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        model = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        weights = np.ones(150)
        found = cross_validate(model, *IRIS, cv=2, params={"sample_weight": weights}, error_score="raise")
    assert found["test_score"].mean() > 0.8


def test_callbacks_of_scikit_learn_see_every_iteration():
    callback = pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = classifier().set_callbacks(monitor).fit(*IRIS)
    rows = [row for row in monitor.get_logs(select="most_recent").data if row["task_name"] == "iteration"]
    assert len(rows) == model.n_iter_
    assert rows[-1]["accuracy"] == model.score(*IRIS)


def test_copies_predict_the_same():
    for model in (classifier().fit(*IRIS), LogisticRegression().fit(*IRIS), wrap(perceptron, epochs=5).fit(*IRIS)):
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.predict_proba(IRIS[0]), model.predict_proba(IRIS[0]))


def test_threads_are_seen_and_limited():
    threads = whet.get_num_threads()
    found = [each for each in threadpoolctl.threadpool_info() if each["user_api"] == "whet"]
    assert [each["num_threads"] for each in found] == [threads]
    with threadpoolctl.threadpool_limits(1, user_api="whet"):
        assert whet.get_num_threads() == 1
    assert whet.get_num_threads() == threads


def test_threads_of_a_fit_end_with_it(monkeypatch):
    seen, threads = [], whet.get_num_threads()
    watch = callbacks.LambdaCallback(on_epoch_end=lambda *_: seen.append(whet.get_num_threads()))
    classifier(n_threads=1, callbacks=watch).fit(*IRIS)
    assert set(seen) == {1}
    assert whet.get_num_threads() == threads
    monkeypatch.delenv("WHET_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    seen.clear()
    classifier(callbacks=watch).fit(*IRIS)
    assert set(seen) == {1}
    assert whet.get_num_threads() == threads


# What theirs lack


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.2},
        {"normalization": "layer"},
        {"normalization": "batch"},
        {"activation": ["gelu"]},
        {"optimizer": optim.AdamW(0.01)},
        {"learning_rate_init": schedules.Cosine(0.01)},
        {"clip_norm": 0.01},
        {"ema": 0.9},
        {"label_smoothing": 0.1},
        {"class_weight": "balanced"},
        {"dtype": "float32", "precision": "bfloat16"},
        {"callbacks": callbacks.EarlyStopping("loss", patience=3)},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_that_scikit_learn_lacks(options):
    plain = classifier().fit(*IRIS)
    model = classifier().set_params(**options).fit(*IRIS)
    assert model.score(*IRIS) > 0.7
    np.testing.assert_allclose(model.predict_proba(IRIS[0]).sum(axis=1), 1, rtol=1e-3)
    same = all(np.array_equal(a, b) for a, b in zip(plain.coefs_, model.coefs_, strict=True))
    assert same == (next(iter(options)) in ("class_weight", "callbacks"))  # classes are balanced, nothing stops early


def test_validation_rows_of_ones_own():
    X, y = IRIS
    model = classifier().fit(X[::2], y[::2], X_val=X[1::2], y_val=y[1::2])
    assert len(model.validation_scores_) == model.n_iter_
    assert model.best_validation_score_ == max(model.validation_scores_) == model.score(X[1::2], y[1::2])


def test_losses_of_whet():
    X, y = DIABETES
    high = MLPRegressor(losses.QuantileLoss(0.9), max_iter=300, learning_rate_init=0.01, random_state=0).fit(X, y)
    assert 0.8 < (y <= high.predict(X)).mean() < 0.97


def test_class_weight_is_a_weight_of_rows():
    X, y = CANCER
    weights = np.where(y == 1, 3.0, 1.0)
    one = MLPClassifier((4,), solver="lbfgs", class_weight={1: 3.0}, random_state=0, max_iter=20).fit(X, y)
    other = MLPClassifier((4,), solver="lbfgs", random_state=0, max_iter=20).fit(X, y, weights)
    np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])


def test_a_wrapped_model_is_searched_by_nested_names():
    model = wrap(perceptron, optimizer=optim.Adam(0.001), epochs=20, random_state=0, model__width=8)
    grid = {"model__width": [4, 16], "optimizer__lr": [0.001, 0.03]}
    search = GridSearchCV(model, grid, cv=2).fit(*IRIS)
    assert search.best_params_["optimizer__lr"] == 0.03
    assert search.best_estimator_.model_.hidden == (search.best_params_["model__width"],)
    assert clone(search.best_estimator_).get_params()["model__width"] == search.best_params_["model__width"]
    with pytest.raises(ValueError, match="Invalid parameter 'width'"):
        model.set_params(width=3)
    with pytest.raises(TypeError, match="begin with 'model__', got 'width'"):
        wrap(perceptron, width=3)


def test_a_wrapped_module_is_not_trained_itself():
    module = nn.MLP(4, (8,), 3).initialize(5)
    before = module.fingerprint()
    model = wrap(module, keep_values=True, epochs=1, optimizer=optim.SGD(1e-9)).fit(*IRIS)
    assert module.fingerprint() == before
    np.testing.assert_allclose(model.model_.predict(IRIS[0]), module.predict(IRIS[0]), atol=1e-5)
    assert wrap(module, epochs=1, random_state=1).fit(*IRIS).model_.fingerprint() != before
    regressor = wrap(perceptron, "mse", epochs=30, optimizer="adam")
    assert regressor.fit(DIABETES[0], DIABETES[1]).predict(DIABETES[0]).shape == (442,)


def test_a_step_that_diverges_says_so():
    X, y = DIABETES
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        MLPRegressor(solver="sgd", learning_rate_init=1e6, activation="identity", random_state=0).fit(X, y)


def test_an_interrupt_keeps_what_is_trained():
    def interrupt(epoch, logs):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted by user"):
        model = classifier(callbacks=callbacks.LambdaCallback(on_epoch_end=interrupt)).fit(*IRIS)
    assert model.predict(IRIS[0]).shape == (150,)


def test_warnings_name_what_did_not_converge():
    for model in (MLPClassifier(max_iter=1), LogisticRegression(max_iter=1), SGDClassifier(max_iter=1), Lasso(0.01)):
        if isinstance(model, Lasso):
            model.set_params(max_iter=1, tol=1e-12)
        with pytest.warns(ConvergenceWarning):
            model.fit(*(DIABETES if isinstance(model, Lasso) else CANCER))
