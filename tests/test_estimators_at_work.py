"""The estimators inside scikit-learn's tools, beside its own classes, and what theirs lack."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: the estimators need it")

import sklearn
import sklearn.linear_model
import sklearn.neural_network
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.preprocessing import StandardScaler

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


def difference(one, other):
    pairs = zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True)
    return max(np.abs(a - b).max() for a, b in pairs)


@pytest.mark.parametrize("learning_rate", ["constant", "adaptive"])
def test_a_pass_after_a_fit_goes_on_with_its_moments_and_rate(learning_rate):
    given = {"shuffle": False, "random_state": 1, "max_iter": 10, "batch_size": 50, "n_iter_no_change": 1}
    given |= {"solver": "sgd", "learning_rate": learning_rate, "tol": 1.0, "momentum": 0.5, "hidden_layer_sizes": (5,)}
    want, got = sklearn.neural_network.MLPClassifier(**given).fit(*IRIS), MLPClassifier(**given).fit(*IRIS)
    assert (got.n_iter_ == want.n_iter_ == 10) == (learning_rate == "adaptive")
    for _ in range(3):
        got = pickle.loads(pickle.dumps(got)).partial_fit(*IRIS)
        want.partial_fit(*IRIS)
    assert difference(got, want) < 1e-12 if learning_rate == "constant" else difference(got, want) < 1e-3


def test_passes_after_a_fit_are_a_longer_fit():
    given = {"shuffle": False, "random_state": 1, "batch_size": 50, "hidden_layer_sizes": (5,), "tol": 0}
    want, got = (MLPClassifier(max_iter=epochs, **given).fit(*IRIS) for epochs in (7, 4))
    for _ in range(3):
        got.partial_fit(*IRIS)
    assert difference(got, want) == 0
    got.set_params(alpha=10.0).partial_fit(*IRIS)  # what is set after a fit counts from then on
    assert difference(got, want.partial_fit(*IRIS)) > 0
    assert difference(got.set_params(solver="sgd").partial_fit(*IRIS), want) > 0


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


def test_weights_are_routed():
    with sklearn.config_context(enable_metadata_routing=True):
        model = classifier().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        weights = np.ones(150)
        found = cross_validate(model, *IRIS, cv=2, params={"sample_weight": weights}, error_score="raise")
    assert found["test_score"].mean() > 0.8


def test_a_pickle_goes_on_with_the_moments():
    fitted = classifier().fit(*IRIS)
    loaded = pickle.loads(pickle.dumps(fitted))
    assert fitted.partial_fit(*IRIS).model_.fingerprint() == loaded.partial_fit(*IRIS).model_.fingerprint()
    assert loaded.model_.fingerprint() != classifier().fit(*IRIS).model_.fingerprint()


@pytest.mark.parametrize("before", [{"solver": "lbfgs"}, {"early_stopping": True}])
@pytest.mark.parametrize("after", [{}, {"early_stopping": True}])
def test_a_fit_goes_on_from_one_of_another_kind(before, after):
    usual = {"solver": "adam", "early_stopping": False, "warm_start": True}
    model = classifier(**before).fit(*IRIS).set_params(**{**usual, **after})
    seen = len(getattr(model, "loss_curve_", []))
    model.fit(*IRIS)
    assert len(model.loss_curve_) == seen + model.n_iter_
    assert (model.best_loss_ is None) == bool(after)
    assert (model.best_validation_score_ is not None) >= bool(after)
    passed = classifier(**before).fit(*IRIS).set_params(**usual).partial_fit(*IRIS)
    assert passed.best_loss_ == passed.loss_curve_[-1] == passed.loss_


@pytest.mark.parametrize("model", [SGDClassifier(random_state=0), LogisticRegression()])
def test_a_warm_start_from_sparse_coefficients(model):
    dense, sparse = (clone(model).set_params(warm_start=True).fit(*IRIS) for _ in range(2))
    np.testing.assert_array_equal(sparse.sparsify().fit(*IRIS).coef_, dense.fit(*IRIS).coef_)


def test_copies_predict_the_same():
    for model in (classifier().fit(*IRIS), LogisticRegression().fit(*IRIS), wrap(perceptron, epochs=5).fit(*IRIS)):
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.predict_proba(IRIS[0]), model.predict_proba(IRIS[0]))


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


def test_a_perceptron_is_searched_by_the_numbers_of_its_optimizer():
    grid = {"optimizer__lr": [1e-6, 0.03], "optimizer__clip_norm": [1.0]}
    search = GridSearchCV(classifier(optimizer=optim.AdamW(weight_decay=0.1)), grid, cv=2).fit(*IRIS)
    assert search.best_estimator_.optimizer == optim.AdamW(0.03, weight_decay=0.1, clip_norm=1.0)
    named = classifier(optimizer="adam")
    assert "optimizer__lr" not in named.get_params()
    assert named.set_params(optimizer__lr=0.5).get_params()["optimizer__lr"] == 0.5
    assert named.set_params(optimizer="sgd", optimizer__lr=0.1).optimizer == optim.SGD(0.1)
    for model, words in (
        (named, "Invalid parameter 'rate' for optimizer SGD"),
        (classifier(), "expected an optimizer"),
    ):
        before = model.get_params()
        with pytest.raises(ValueError, match=words):
            model.set_params(alpha=3.0, optimizer__rate=1.0)
        assert model.get_params() == before


@pytest.mark.parametrize(
    ("loss", "y", "words"),
    [
        ("bce_with_logits", IRIS[1], "two classes, as bce_with_logits takes, got 3; cross_entropy takes more"),
        ("hinge", IRIS[1], "two classes, as hinge takes, got 3"),
        ("cross_entropy", np.eye(3, dtype=int)[IRIS[1]], "a class for each row, as cross_entropy takes"),
        ("mse", IRIS[1], "a loss of labels, got mse"),
    ],
)
def test_a_wrapped_loss_has_a_place_for_the_labels(loss, y, words):
    with pytest.raises(ValueError, match=words):
        wrap(perceptron).set_params(loss=loss).fit(IRIS[0], y)


def test_a_wrapped_function_makes_a_module():
    with pytest.raises(TypeError, match="expected model to make a module, got NoneType"):
        wrap(lambda inputs, outputs: None).fit(*IRIS)


def test_coefficients_are_copied_in():
    one, other = (classifier(normalization="layer").fit(*IRIS) for _ in range(2))
    one.coefs_ = [values * 2 for values in other.coefs_]
    one.intercepts_ = other.intercepts_
    np.testing.assert_array_equal(one.coefs_[1], other.coefs_[1] * 2)
    assert difference_of_predictions(one, other) > 0
    one.coefs_ = other.coefs_
    assert difference_of_predictions(one, other) == 0
    with pytest.raises(ValueError, match=r"\[coefs_\] expected arrays of shapes \[\(4, 16\), \(16, 3\)\], got"):
        one.coefs_ = [other.coefs_[0] + 1, other.coefs_[1][:, :2]]
    assert difference_of_predictions(one, other) == 0
    with pytest.raises(AttributeError, match="before fit"):
        classifier().coefs_ = other.coefs_


def difference_of_predictions(one, other):
    return np.abs(one.predict_proba(IRIS[0]) - other.predict_proba(IRIS[0])).max()


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
