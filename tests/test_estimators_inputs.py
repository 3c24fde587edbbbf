"""What the estimators are given: sparse rows, columns with categories or gaps, tables of several kinds."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: the estimators need it")

import scipy.sparse
from sklearn import linear_model as peers
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from whet import nn
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
    wrap,
)
from whet.sklearn.squares import LARGEST, Centered

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
SPARSE = scipy.sparse.random_array((120, 40), density=0.1, format="csr", rng=1)
NUMBERS = np.abs(SPARSE @ RNG.normal(size=40))
WEIGHTS = RNG.uniform(0.5, 2, 120)


def perceptron(inputs, outputs):
    return nn.MLP(inputs, (4,), outputs)


def options(**more):
    return {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0, **more}


# Sparse rows

REGRESSORS = [
    LinearRegression(),
    Ridge(),
    Ridge(alpha=0),
    Ridge(solver="svd"),
    Ridge(fit_intercept=False),
    Ridge(positive=True),
    Lasso(alpha=0.01),
    ElasticNet(alpha=0.01, fit_intercept=False),
    PoissonRegressor(),
    QuantileRegressor(alpha=0.01),
    MLPRegressor(**options()),
    MLPRegressor(**options(early_stopping=True)),
    MLPRegressor(**options(solver="lbfgs")),
]


@pytest.mark.parametrize("rows", [120, 30])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("model", REGRESSORS, ids=lambda each: type(each).__name__)
def test_sparse_rows_give_the_predictions_of_dense_ones(model, weighted, rows):
    X, y, weights = SPARSE[:rows], NUMBERS[:rows], WEIGHTS[:rows] if weighted else None
    want = clone(model).fit(X.toarray(), y, sample_weight=weights).predict(X.toarray())
    for kind in (scipy.sparse.csr_array, scipy.sparse.csc_matrix):
        got = clone(model).fit(kind(X), y, sample_weight=weights).predict(kind(X))
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("model", [MLPClassifier(**options()), LogisticRegression(), wrap(perceptron, epochs=3)])
def test_classes_of_sparse_rows(model):
    y = np.where(np.greater(NUMBERS, np.median(NUMBERS)), "many", "few")
    if "random_state" in model.get_params():
        model.set_params(random_state=0)
    want = clone(model).fit(SPARSE.toarray(), y).predict_proba(SPARSE.toarray())
    np.testing.assert_allclose(clone(model).fit(SPARSE, y).predict_proba(SPARSE), want, rtol=1e-6)


def test_a_pass_over_sparse_rows():
    dense, sparse = (MLPRegressor(**options(batch_size=32)) for _ in range(2))
    for _ in range(3):
        dense.partial_fit(SPARSE.toarray(), NUMBERS)
        sparse.partial_fit(SPARSE, NUMBERS)
    np.testing.assert_array_equal(dense.coefs_[0], sparse.coefs_[0])


@pytest.mark.parametrize(
    "model",
    [
        LinearRegression(),
        Ridge(),
        ElasticNet(),
        LogisticRegression(max_iter=3),
        PoissonRegressor(max_iter=3),
        MLPRegressor(**options(max_iter=1)),
        wrap(perceptron, "mse", epochs=1),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_matrix_that_no_memory_holds_is_not_unpacked(model):
    width = 2_000_000  # 3 GB, and products of features beyond all memory
    columns = RNG.integers(0, width, size=(200, 5))
    X = scipy.sparse.csr_array((np.ones(1000), columns.ravel(), np.arange(201) * 5), shape=(200, width))
    if isinstance(model, MLPRegressor):
        model.set_params(hidden_layer_sizes=(2,))
    y = RNG.integers(0, 2, size=200)
    assert model.fit(X, y).predict(X).shape == (200,)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("positive", [False, True])
def test_wide_sparse_rows_descend_as_scikit_learns(weighted, fit_intercept, positive):
    X = scipy.sparse.random_array((80, LARGEST + 100), density=0.02, format="csr", rng=3)
    X.data -= 0.3
    y = X[:, :5] @ np.array([3.0, -2, 1, 2, 4]) + 10 + 0.1 * RNG.normal(size=80)
    weights = RNG.uniform(0.5, 2, 80) if weighted else None
    told = {"alpha": 0.005, "fit_intercept": fit_intercept, "positive": positive, "tol": 1e-12, "max_iter": 20_000}
    for ours, theirs in (ElasticNet(**told), peers.ElasticNet(**told)), (Lasso(**told), peers.Lasso(**told)):
        ours.fit(X, y, sample_weight=weights)
        theirs.fit(X, y, sample_weight=weights)
        assert np.count_nonzero(theirs.coef_) > 5
        np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
        assert ours.intercept_ == pytest.approx(theirs.intercept_, abs=1e-6)
        assert ours.dual_gap_ == pytest.approx(theirs.dual_gap_, abs=1e-9)
    drawn = ElasticNet(**{**told, "selection": "random", "random_state": 0}).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(drawn.predict(X), ElasticNet(**told).fit(X, y, weights).predict(X), atol=1e-5)


def test_a_matrix_with_many_rows_and_columns_is_solved_by_products_alone():
    n = 5000
    X = scipy.sparse.random_array((n + 100, n), density=0.0005, format="csr", rng=2) + scipy.sparse.eye_array(
        n + 100, n
    )
    y = X @ np.ones(n) + 3
    model = Ridge(alpha=1e-6).fit(X, y)
    assert model.solver_ == "lsqr"
    np.testing.assert_allclose(model.predict(X), y, atol=1e-3)


def test_centred_rows_are_the_same_sparse_or_not():
    from whet.sklearn.squares import SparseCentered

    y = np.stack([NUMBERS, NUMBERS**2], axis=1)
    for weights in (None, WEIGHTS):
        dense, sparse = Centered(SPARSE.toarray(), y, weights, True), SparseCentered(SPARSE, y, weights, True)
        for name in ("gram", "kernel", "dense"):
            np.testing.assert_allclose(getattr(sparse, name)(), getattr(dense, name)(), atol=1e-12)
        np.testing.assert_allclose(sparse.times(np.ones(40)), dense.times(np.ones(40)), atol=1e-12)
        np.testing.assert_allclose(sparse.transposed(y), dense.transposed(y), atol=1e-9)
        np.testing.assert_allclose(sparse.column(3), dense.column(3), atol=1e-12)


# Columns with categories or gaps


def coded(rows=300):
    """Three codes without an order, a number with gaps that mean something, another number; and their sum."""
    rng = np.random.default_rng(3)
    codes, known, plain = rng.integers(0, 3, rows), rng.random(rows) > 0.3, rng.normal(size=rows)
    hidden = rng.normal(size=rows)
    X = np.stack([codes.astype(float), np.where(known, hidden, np.nan), plain], axis=1)
    return X, np.array([2.0, -3.0, 2.0])[codes] + np.where(known, 0, 4) + plain


def error(model, X, y):
    return np.sqrt(np.mean((model.fit(X, y).predict(X) - y) ** 2))


def test_categories_and_gaps_are_learnt():
    X, y = coded()
    tuned = {"max_iter": 300, "learning_rate_init": 0.02, "random_state": 0, "hidden_layer_sizes": (8,)}
    assert error(MLPRegressor(categorical_features=[0], **tuned), X, y) < 0.3
    assert error(MLPRegressor(categorical_features=None, activation="identity", **tuned), X, y) > 1.5
    assert error(MLPRegressor(categorical_features=[0], activation="identity", **tuned), X, y) < 0.3


@pytest.mark.parametrize("named", [[0], [True, False, False], ["code"], np.array(["code"], object), "from_dtype"])
def test_columns_are_named_in_every_way(named):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed: there are no tables to name columns of")
    X, y = coded()
    table = pandas.DataFrame(X, columns=["code", "gaps", "plain"])
    want = MLPRegressor(categorical_features=[0], **options()).fit(X, y)
    if isinstance(named, str):
        table["code"] = table["code"].astype("category")
    got = MLPRegressor(categorical_features=named, **options()).fit(table, y)
    np.testing.assert_array_equal(got.predict(table), want.predict(X))
    assert want.coefs_[0].shape == (2 + 3 + 1, 8)  # numbers, categories, gaps
    assert want.n_features_in_ == got.n_features_in_ == 3
    assert list(got.feature_names_in_) == ["code", "gaps", "plain"]


def test_words_are_categories_of_every_kind_of_table():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    polars = pytest.importorskip("polars", reason="polars is not installed")
    X, y = coded()
    words = np.array(["red", "green", "blue"])[X[:, 0].astype(int)]
    one = pandas.DataFrame({"word": pandas.Categorical(words), "plain": X[:, 2]})
    other = polars.DataFrame({"word": polars.Series(words, dtype=polars.Categorical), "plain": X[:, 2]})
    cells = np.array([[word, number] for word, number in zip(words, X[:, 2], strict=True)], object)
    found = [
        MLPRegressor(**options(**more)).fit(rows, y).predict(rows)
        for rows, more in ((one, {}), (other, {}), (cells, {"categorical_features": [0]}))
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_what_fit_has_not_seen():
    X, y = coded()
    model = MLPRegressor(categorical_features=[0], **options()).fit(X[:, [0, 2]], y)
    strange = np.array([[7.0, 0.5], [np.nan, 0.5], [1.0, np.nan], [1.0, X[:, 2].mean()]])
    found = model.predict(strange)
    assert found[0] == found[1]  # no category of those known
    assert found[2] == pytest.approx(found[3])  # a gap is the mean
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(strange), found)


def test_gaps_of_categories_are_a_category():
    X, y = coded()
    X[::5, 0] = np.nan
    assert MLPRegressor(categorical_features=[0], **options()).fit(X, y).coefs_[0].shape[0] == 2 + 4 + 1


def test_columns_pass_through_all_ways_of_training():
    X, y = coded()
    labels = np.where(y > 0, "high", "low")
    for more in ({"solver": "lbfgs"}, {"early_stopping": True}, {"dtype": "float32"}):
        model = MLPClassifier(categorical_features=[0], **options(**more))
        assert model.fit(X, labels).predict_proba(X).shape == (300, 2)
    model.partial_fit(X[:50], labels[:50])
    held = MLPClassifier(categorical_features=[0], **options()).fit(X, labels, X_val=X[:9], y_val=labels[:9])
    assert len(held.validation_scores_) == 5
    assert np.isfinite(cross_val_score(MLPClassifier(categorical_features=[0], **options()), X, labels, cv=2)).all()


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ([True], "mask of shape"),
        ([3], "indices in categorical_features from 0 to 2"),
        (["code"], "X with names of columns"),
        ([0.5], "of bool, int or str"),
    ],
)
def test_wrong_names_of_columns_are_refused(named, words):
    X, y = coded()
    with pytest.raises(ValueError, match=words):
        MLPRegressor(categorical_features=named, **options()).fit(X, y)


def test_what_columns_cannot_be():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    X, y = coded()
    with pytest.raises(ValueError, match=r"got \['other'\] not in"):
        MLPRegressor(categorical_features=["other"], **options()).fit(pandas.DataFrame(X, columns=list("abc")), y)
    with pytest.raises(TypeError, match="no categorical_features with a sparse X"):
        MLPRegressor(categorical_features=[0], **options()).fit(SPARSE, NUMBERS)
    with pytest.raises(ValueError, match="infinity"):
        MLPRegressor(**options()).fit([[1.0], [np.inf]], [1, 2])
    holed = SPARSE.copy()
    holed.data[0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        MLPRegressor(**options()).fit(holed, NUMBERS)
    with pytest.raises(ValueError, match="NaN"):
        Ridge().fit(X, y)


def test_predictions_learn_nothing():
    """Gaps are filled with what the fit has seen, not with what was predicted first."""
    X = np.random.default_rng(0).normal(size=(60, 5))
    y = (X[:, 0] > 0).astype(int)
    gaps = X.copy()
    gaps[::7, 1] = np.nan
    model = MLPClassifier((4,), max_iter=2, random_state=0)
    sparse = clone(model).fit(scipy.sparse.csr_array(X), y)
    before = pickle.dumps(sparse)
    for predict in (sparse.predict, lambda rows: clone(model).fit(scipy.sparse.csr_array(X), y).partial_fit(rows, y)):
        with pytest.raises(ValueError, match="Input X contains NaN"):
            predict(gaps)
    np.testing.assert_array_equal(sparse.predict_proba(X), sparse.predict_proba(scipy.sparse.csr_array(X)))
    assert pickle.dumps(sparse) == before

    dense = clone(model).fit(gaps, y)
    np.testing.assert_array_equal(dense.predict_proba(scipy.sparse.csr_array(X)), dense.predict_proba(X))
    marked = clone(model).set_params(categorical_features=[0]).fit(X.round(), y)
    with pytest.raises(TypeError, match="no sparse X where columns have categories"):
        marked.predict(scipy.sparse.csr_array(X))
