"""What estimators refuse, in which words, and that nothing of them has changed then."""

import copy
import pickle
import threading

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: the estimators need it")

import scipy.sparse
import sklearn
from sklearn.base import clone, is_classifier
from sklearn.linear_model import Lasso as PeersLasso

import whet.sklearn
from whet import callbacks, nn
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

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::RuntimeWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
LABELS = np.array(["ant", "bee", "cat"])[(X[:, 0] * 3).round().clip(-1, 1).astype(int) + 1]
COUNTS = np.abs(X @ np.arange(5.0)).round()


def perceptron(inputs, outputs):
    return nn.MLP(inputs, (4,), outputs)


def every_estimator():
    made = [getattr(whet.sklearn, name) for name in whet.sklearn.__all__ if not name.startswith(("Wrapped", "wrap"))]
    made = [each(max_iter=5) if "max_iter" in each().get_params() else each() for each in made]
    return [*made, MLPClassifier(solver="lbfgs"), wrap(perceptron, epochs=2), wrap(perceptron, "mse", epochs=2)]


EVERY = pytest.mark.parametrize("model", every_estimator(), ids=lambda each: type(each).__name__)


def target_of(model):
    return LABELS if is_classifier(model) else COUNTS


def wrong_calls(y):
    """Arguments that fit refuses: rows of three features, and something wrong."""
    few = X[:, :3]
    return [
        (np.where(few == few[0, 0], np.nan, few) + np.inf, y),
        (few, y[:9]),
        (few, np.full(60, np.nan)),
        (few, y, np.full(60, np.nan)),
        (np.full(few.shape, "word"), y),
        (few, np.zeros((60, 2, 2))),
    ]


@EVERY
def test_a_refused_fit_changes_nothing(model):
    y = target_of(model)
    fitted = clone(model).fit(X, y)
    before, predicted = dict(vars(fitted)), fitted.predict(X)
    for arguments in wrong_calls(y):
        names = ("X", "y", "sample_weight")
        with pytest.raises((ValueError, TypeError)):
            fitted.fit(**dict(zip(names, arguments, strict=False)))
        assert vars(fitted) is not before
        assert vars(fitted).keys() == before.keys()
        assert all(vars(fitted)[name] is before[name] for name in before)
        np.testing.assert_array_equal(fitted.predict(X), predicted)
    with pytest.raises((ValueError, TypeError)):
        clone(model).fit(X, y[:9])


@EVERY
def test_a_refused_first_fit_leaves_none(model):
    tried = clone(model)
    before = dict(vars(tried))
    with pytest.raises(ValueError, match="NaN"):
        tried.fit(X, target_of(model), sample_weight=np.full(60, np.nan))
    assert vars(tried) == before


@pytest.mark.parametrize("model", [SGDClassifier(), MLPClassifier((4,))], ids=lambda each: type(each).__name__)
def test_a_refused_pass_changes_nothing(model):
    passed = clone(model).partial_fit(X, LABELS, classes=["ant", "bee", "cat"])
    before = pickle.dumps(passed)
    for wrong in ((X[:, :3], LABELS), (X, LABELS[:9]), (X, LABELS, ["ant", "dog"])):
        with pytest.raises(ValueError, match=r"features|inconsistent|classes"):
            passed.partial_fit(*wrong[:2], **({"classes": wrong[2]} if len(wrong) > 2 else {}))
    assert pickle.dumps(passed) == before


def test_a_fit_that_diverges_changes_nothing():
    wild = SGDRegressor(warm_start=True, random_state=0).fit(X, COUNTS)
    shallow, coef, t = copy.copy(wild), wild.coef_.copy(), wild.t_
    for call in (wild.fit, wild.partial_fit):
        with pytest.raises(ValueError, match="overflow"):
            call(X * 1e200, COUNTS)
        np.testing.assert_array_equal(wild.coef_, coef)
        assert wild.t_ == t
    after = shallow.partial_fit(X, COUNTS).coef_
    np.testing.assert_array_equal(wild.partial_fit(X, COUNTS).coef_, after)  # and a copy's pass is its own

    for options in ({}, {"solver": "lbfgs"}):
        model = MLPRegressor(hidden_layer_sizes=(4,), warm_start=True, max_iter=3, **options).fit(X, COUNTS)
        predicted, losses = model.predict(X), list(getattr(model, "loss_curve_", []))
        with pytest.raises(ValueError, match="non-finite parameter weights"):
            model.fit(X * 1e200, COUNTS)
        np.testing.assert_array_equal(model.predict(X), predicted)
        assert getattr(model, "loss_curve_", []) == losses


@pytest.mark.parametrize("model", [SGDClassifier(max_iter=5), MLPClassifier((4,), max_iter=2)])
def test_a_fit_while_others_predict(model):
    failures, stop = [], threading.Event()
    fitted = clone(model).fit(X, LABELS)

    def predict():
        try:
            while not stop.is_set():
                assert fitted.predict(X).shape == (60,)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=predict) for _ in range(2)]
    for each in threads:
        each.start()
    for _ in range(50):
        fitted.fit(X, LABELS)
    stop.set()
    for each in threads:
        each.join()
    assert not failures


# Numbers that are too large


@pytest.mark.parametrize("model", [LogisticRegression(), PoissonRegressor()], ids=lambda each: type(each).__name__)
def test_a_search_turns_back_where_the_loss_overflows(model):
    assert np.isfinite(clone(model).fit(X * 1e30, target_of(model)).coef_).all()
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        clone(model).fit(X * 1e200, target_of(model))


# Words


@pytest.mark.parametrize("model", [each for each in every_estimator() if not type(each).__name__.startswith("SGD")])
def test_weights_are_not_negative(model):
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        clone(model).fit(X, target_of(model), sample_weight=np.linspace(-1, 1, 60))


@pytest.mark.parametrize("model", [LinearRegression(), Ridge(), Lasso(), ElasticNet()])
def test_a_sparse_target_is_refused(model):
    with pytest.raises(TypeError, match=r"Sparse data was passed for y.*toarray"):
        model.fit(X, scipy.sparse.csr_array(np.ones((60, 2))))


@pytest.mark.parametrize("model", [LogisticRegression(), Lasso(), PoissonRegressor()])
def test_a_warm_start_needs_the_same_features(model):
    model = clone(model).set_params(warm_start=True).fit(X, target_of(model))
    with pytest.raises(ValueError, match=r"shape \(\d, 5\) with warm_start.*\(\d, 3\)"):
        model.fit(X[:, :3], target_of(model))


def test_a_quantile_of_truth_values():
    truth = COUNTS > 2
    found = QuantileRegressor(alpha=0.01).fit(X, truth).predict(X)
    np.testing.assert_array_equal(found, QuantileRegressor(alpha=0.01).fit(X, truth.astype(float)).predict(X))
    with pytest.raises(ValueError, match="could not convert string to float"):
        QuantileRegressor().fit(X, LABELS)


def test_validation_rows_are_whole():
    whole = {"X_val": X, "y_val": COUNTS}
    for given, words in (
        ({"X_val": X}, "expected y_val with X_val"),
        ({"y_val": COUNTS}, "expected X_val with y_val"),
        ({"sample_weight_val": COUNTS}, "expected X_val with y_val"),
        ({"X_val": X[:1], "y_val": COUNTS[:1]}, "expected two rows or more in X_val"),
        ({"X_val": X, "y_val": np.stack([COUNTS] * 2, axis=1)}, r"columns of y, \(1,\), got \(2,\)"),
    ):
        with pytest.raises(ValueError, match=words):
            MLPRegressor(max_iter=2).fit(X, COUNTS, **given)
    with pytest.raises(ValueError, match="expected no X_val with solver 'lbfgs'"):
        MLPRegressor(solver="lbfgs").fit(X, COUNTS, **whole)


@pytest.mark.parametrize("given", [{"X_val": X, "y_val": LABELS}, {}], ids=["given", "drawn"])
def test_callbacks_see_the_loss_of_validation_rows(given):
    seen = []
    told = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["val_loss"]))
    options = {"max_iter": 3, "random_state": 0, "early_stopping": not given}
    model = MLPClassifier((4,), callbacks=[told], **options).fit(X, LABELS, **given)
    assert len(seen) == 3
    assert model.model_.fingerprint() == MLPClassifier((4,), **options).fit(X, LABELS, **given).model_.fingerprint()
    with pytest.raises(ValueError, match="an estimator X_val or early_stopping=True"):
        MLPClassifier(callbacks=callbacks.EarlyStopping()).fit(X, LABELS)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"hidden_layer_sizes": (8.5,)}, TypeError, r"sequence of int, got \(8.5,\)"),
        ({"hidden_layer_sizes": [[8]]}, TypeError, r"sequence of int, got \[\[8\]\]"),
        ({"precision": "bfloat16"}, ValueError, "expected dtype='float32', or rows of it"),
        ({"categorical_features": {}}, ValueError, "categorical_features of bool, int or str"),
        ({"solver": "lbfgs", "ema": 0.9}, ValueError, "expected no ema with solver 'lbfgs'"),
        ({"solver": "lbfgs", "clip_norm": 1.0}, ValueError, "expected no clip_norm with solver 'lbfgs'"),
        ({"solver": "lbfgs", "callbacks": []}, ValueError, "expected no callbacks with solver 'lbfgs'"),
    ],
)
def test_parameters_of_perceptrons(options, error, words):
    with pytest.raises(error, match=words):
        MLPClassifier(**options).fit(X, LABELS)


def test_dropout_with_an_optimizer_in_the_place_of_the_solver():
    assert MLPClassifier(solver="lbfgs", optimizer="adam", dropout=0.1, max_iter=1).fit(X, LABELS).n_iter_ == 1


def test_sparse_coefficients_are_of_scikit_learns_kind():
    ours, peers = Lasso(alpha=0.1).fit(X, COUNTS), PeersLasso(alpha=0.1).fit(X, COUNTS)
    assert type(ours.sparse_coef_) is type(peers.sparse_coef_)
    kinds = [scipy.sparse.csr_matrix]
    if "sparse_interface" in sklearn.get_config():
        with sklearn.config_context(sparse_interface="sparray"):
            assert isinstance(ours.sparse_coef_, scipy.sparse.csr_array)
            kinds.append(type(SGDRegressor().fit(X, COUNTS).sparsify().coef_))
    assert kinds in ([scipy.sparse.csr_matrix], [scipy.sparse.csr_matrix, scipy.sparse.csr_array])
    assert LinearRegression().fit(X.astype(np.float32), COUNTS).singular_.dtype == np.float32
