"""From tables to matrices, against scikit-learn."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import sklearn.impute
import sklearn.preprocessing
from hypothesis import given
from hypothesis import strategies as st

import whet
from tests.helpers import same_bits
from whet import data

MATRIX = st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).lognormal(sigma=3, size=(20, 3)))


@given(MATRIX)
def test_scalers_as_in_scikit_learn(X):
    train, other = X[:12], X[12:]
    for ours, theirs in [
        (data.StandardScaler(), sklearn.preprocessing.StandardScaler()),
        (data.MinMaxScaler(), sklearn.preprocessing.MinMaxScaler()),
        (data.RobustScaler(clip=None), sklearn.preprocessing.RobustScaler()),
    ]:
        np.testing.assert_allclose(
            ours.fit(train).transform(other), theirs.fit(train).transform(other), rtol=1e-9, atol=1e-12
        )
        # (x - c) / s * s + c: three roundings of numbers of at most |x| + |c|, both within the column's largest.
        largest = np.abs(X).max(axis=0)
        assert (np.abs(ours.inverse(ours.transform(other)) - other) <= 8 * np.finfo(np.float64).eps * largest).all()


def like_scikit_learn(ours):
    """scikit-learn's transformer with as many quantiles, of the same numbers with the same noise."""
    return lambda train: sklearn.preprocessing.QuantileTransformer(
        n_quantiles=len(ours.quantiles_[0]), output_distribution="normal", subsample=10**9
    ).fit(train)


@given(MATRIX, st.sampled_from([None, 2, 7, 100]))
def test_quantiles_as_in_scikit_learn(X, count):
    X[:, 1], X[:, 2] = np.round(X[:, 1]), np.minimum(X[:, 2], np.median(X[:, 2]))  # equal numbers, many at the end
    train, other = X[:12], np.concatenate([X, [[-1e9] * 3, [1e9] * 3]])
    ours = data.QuantileScaler(n_quantiles=count, noise=0).fit(train)
    assert len(ours.quantiles_[0]) == min(count or 10, 12)
    theirs = like_scikit_learn(ours)(train)
    np.testing.assert_allclose(ours.transform(other), theirs.transform(other), rtol=1e-12, atol=1e-12)
    z = np.random.default_rng(0).normal(size=(9, 3))
    np.testing.assert_allclose(ours.inverse(z), theirs.inverse_transform(z), rtol=1e-12, atol=1e-9)


def test_noise_parts_equal_numbers(rng):
    """Nine in ten are 0, as in a column of capital gains: without noise they would all lie at the end."""
    train = np.where(rng.random((4000, 2)) < 0.9, 0.0, rng.lognormal(8, 1, (4000, 2)))
    plain, noisy = data.QuantileScaler(noise=0).fit(train), data.QuantileScaler().fit(train)
    assert len(noisy.quantiles_[0]) == 4000 // 30
    assert plain.transform([[0.0, 0.0]])[0, 0] < -5
    assert abs(noisy.transform([[0.0, 0.0]])[0, 0]) < 1
    assert data.QuantileScaler(seed=1).fit(train) != noisy == data.QuantileScaler(seed=0).fit(train)
    assert not np.array_equal(*np.array(noisy.quantiles_)[:, :60]), "each column has noise of its own"
    noise = np.stack([whet._core.random_normal(0, i, 0.0, 1e-5, 4000) for i in range(2)], axis=1)
    theirs = like_scikit_learn(noisy)(train + noise)
    np.testing.assert_allclose(noisy.transform(train), theirs.transform(train), rtol=1e-12, atol=1e-12)


def test_the_normal_numbers_of_a_quantile_scaler(rng):
    X = rng.lognormal(sigma=2, size=(5000, 1))
    scaler = data.QuantileScaler().fit(X)
    z = scaler.transform(X)
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.02
    np.testing.assert_allclose(scaler.inverse(z), X, rtol=0.05)
    np.testing.assert_allclose(scaler.transform([[-1e300], [1e300]]), [[-5.19933758], [5.19933758]])
    constant = data.QuantileScaler(noise=0).fit([[7.0]] * 5)
    np.testing.assert_allclose(constant.transform([[6.0], [7.0], [8.0]]), [[-5.19933758], [0], [5.19933758]])
    np.testing.assert_array_equal(constant.inverse([[-1.0], [1.0]]), [[7], [7]])
    assert data.QuantileScaler().fit([[1.0]]).transform([[1.0]]).shape == (1, 1)


def test_a_table_model_keeps_its_quantiles(rng, tmp_path):
    table = mixed(rng, 300).with_columns({"y": rng.normal(size=300)})
    scaler = data.QuantileScaler(n_quantiles=20)
    model = whet.TabularModel("y", hidden=(8,), preprocessor=data.Preprocessor(scaler=scaler))
    model.fit(table, epochs=2)
    model.save(tmp_path / "model.whet")
    assert same_bits(whet.load(tmp_path / "model.whet").predict(table), model.predict(table))
    assert scaler.quantiles_ is None, "the step that was given is copied"
    assert repr(model.preprocessor._scaler) == "QuantileScaler(n_quantiles=20, noise=1e-05, seed=0)"


def test_quantiles_that_are_refused():
    for wrong in ({"n_quantiles": 1}, {"noise": -1.0}, {"noise": np.inf}, {"seed": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong)).removeprefix("n_")):
            data.QuantileScaler(**wrong)
    with pytest.raises(RuntimeError, match="fit first"):
        data.QuantileScaler().transform([[1.0]])
    with pytest.raises(ValueError, match=r"row 1, column 0"):
        data.QuantileScaler().fit([[1.0], [np.nan]])
    with pytest.raises(ValueError, match="at least one row"):
        data.QuantileScaler().fit(np.empty((0, 2)))
    with pytest.raises(ValueError, match=r"column 1.*float64"):
        data.QuantileScaler().fit([[0, -1.7e308], [1, 1.7e308]])
    with pytest.raises(TypeError, match="base class"):
        data.steps.Scaler().fit([[1.0]])


def test_the_smooth_clip():
    X = np.array([[0.0], [1], [2], [3], [4], [1e200], [-1e300]])
    scaler = data.RobustScaler().fit(X[:5])
    z = (X[:5] - 2) / 2
    np.testing.assert_allclose(scaler.transform(X)[:5], z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-15)
    np.testing.assert_allclose(scaler.transform(X)[5:], [[3], [-3]])
    np.testing.assert_allclose(scaler.inverse(scaler.transform(X[:5])), X[:5], atol=1e-14)
    rare = np.array([[0.0]] * 9 + [[4.0]])
    np.testing.assert_allclose(data.RobustScaler(clip=None).fit(rare).transform(rare)[-1], 2, err_msg="half the range")
    with pytest.raises(ValueError, match="within"):
        scaler.inverse([[3.5]])


@pytest.mark.parametrize("scaler", [data.StandardScaler, data.MinMaxScaler, data.RobustScaler])
def test_constant_and_huge_columns(scaler):
    np.testing.assert_allclose(scaler().fit([[0.1]] * 7).transform([[0.1]]), [[0]], atol=1e-15)
    with pytest.raises(ValueError, match=r"column 1.*float64"):
        scaler().fit([[0, -1e308], [1, 1e308], [2, 1e308], [3, -1e308]])
    with pytest.raises(RuntimeError, match="fit first"):
        scaler().transform([[1.0]])
    with pytest.raises(ValueError, match=r"row 1, column 0"):
        scaler().fit([[1.0], [np.nan]])
    with pytest.raises(ValueError, match=r"\(rows, 2\), got \(1, 3\)"):
        scaler().fit(np.eye(2)).transform([[1, 2, 3]])


@pytest.mark.parametrize("strategy", ["mean", "median"])
def test_filling_gaps_as_in_scikit_learn(rng, strategy):
    X = np.where(rng.random((40, 4)) < [0.3, 0.0, 0.2, 0.0], np.nan, rng.normal(size=(40, 4)))
    train, other = X[:25], X[25:]
    theirs = sklearn.impute.SimpleImputer(strategy=strategy, add_indicator=True).fit(train)
    ours = data.Imputer(strategy).fit(train)
    np.testing.assert_allclose(ours.transform(other), theirs.transform(other), rtol=1e-15)
    assert data.Imputer(indicator=False).fit(train).transform(other).shape == (15, 4)
    empty = data.Imputer().fit([[np.nan, 1.0], [np.nan, 2.0]])
    np.testing.assert_array_equal(empty.transform([[np.nan, np.nan]]), [[0, 1.5]])


def test_categories_as_in_scikit_learn(rng):
    cells = rng.choice(np.array(["a", "b", "c", "d"], object), (50, 2))
    train, other = cells[:30], np.concatenate([cells[30:], [["e", "a"]]])
    theirs = sklearn.preprocessing.OneHotEncoder(sparse_output=False, handle_unknown="ignore").fit(train)
    np.testing.assert_array_equal(data.OneHotEncoder().fit(train).transform(other), theirs.transform(other))
    gaps = train.copy()
    gaps[:5, 0] = None
    frequent = data.CategoryImputer("most_frequent").fit(gaps).transform(gaps)
    want = sklearn.impute.SimpleImputer(strategy="most_frequent", missing_values=None).fit_transform(gaps)
    np.testing.assert_array_equal(frequent, want)
    assert gaps[0, 0] is None
    assert set(data.CategoryImputer().fit(gaps).transform(gaps)[:5, 0]) == {"(missing)"}


def test_ordinal_codes_as_in_scikit_learn(rng):
    cells = rng.choice(np.array(["a", "b", "c", "d"], object), (50, 2))
    train, other = cells[:30], np.concatenate([cells[30:], [["e", "a"]]])
    theirs = sklearn.preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=4).fit(train)
    ours = data.OrdinalEncoder().fit(train)
    np.testing.assert_array_equal(ours.transform(other), theirs.transform(other))
    np.testing.assert_array_equal(ours.transform([[None, "z"]]), [[4, 4]])
    assert ours.cardinalities == (5, 5)
    assert data.OrdinalEncoder(max_categories=2).fit(train).cardinalities == (3, 3)
    with pytest.raises(TypeError, match="base class"):
        data.steps.Encoder().fit(train).transform(train)


def test_the_codes_of_a_table_are_what_embeddings_take(rng):
    train, other = mixed(rng, 200), mixed(rng, 20)
    fitted = data.Preprocessor(encoder=data.OrdinalEncoder()).fit(train)
    assert fitted.feature_names == ("a", "c", "a is missing", "b", "d")
    assert fitted.cardinalities == (4, 3)  # x, y, (missing) and others; two and others
    new = data.Dataset({**other.features, "b": ["z"] * 20})
    np.testing.assert_array_equal(fitted.transform(new)[:, 3], 3)
    again = data.Preprocessor.from_description(json.loads(json.dumps(fitted.describe())))
    assert same_bits(again.transform(other), fitted.transform(other))
    assert again.cardinalities == fitted.cardinalities
    assert data.Preprocessor().fit(train).cardinalities == ()

    class Network(whet.nn.Module):
        def __init__(self):
            self.tables = [whet.nn.Embedding(count, 2) for count in fitted.cardinalities]
            self.last = whet.nn.Linear(3 + 2 * len(self.tables), 1)

        def forward(self, x):
            vectors = [table(x[:, 3 + i : 4 + i]).flatten() for i, table in enumerate(self.tables)]
            return self.last(whet.nn.concatenate([x[:, :3], *vectors]))

    table = train.with_columns({"y": rng.normal(size=200)})
    model = whet.TabularModel("y", network=Network(), preprocessor=fitted)
    model.fit(table, epochs=1)
    assert np.isfinite(model.predict(new)).all()


def test_true_and_1_are_two_categories():
    cells = np.array([[True], [1], [None], [1.0], ["1"]], object)
    encoder = data.OneHotEncoder().fit(cells)
    assert encoder.levels_ == (("1", "True"),)
    assert encoder.transform(cells).tolist() == [[0, 1], [1, 0], [0, 0], [1, 0], [1, 0]]


def test_rare_categories():
    cells = np.array([["a"]] * 5 + [["b"]] * 3 + [["c"]] * 3 + [["d"]], object)
    encoder = data.OneHotEncoder(max_categories=2).fit(cells)
    assert encoder.levels_ == (("a", "b"),)
    np.testing.assert_array_equal(encoder.transform([["b"], ["d"], [None]]), [[0, 1], [0, 0], [0, 0]])
    with pytest.warns(whet.WhetWarning, match=r"'id' has 100 categories.*64"):
        data.Preprocessor().fit(data.Dataset({"id": [f"n{number}" for number in range(100)]}))


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b", "a", "b"], ["a", "b"]),
        ([True, False, True], [False, True]),
        ([3, 1, 3], [1, 3]),
        ([3.0, 1.0, 3.0], [1, 3]),
        ([1.5, 0.5, 1.5], [0.5, 1.5]),
        (np.array([3, 1, 3], np.uint8), [1, 3]),
    ],
)
def test_labels_come_back_as_they_were(labels, classes):
    encoder = data.LabelEncoder().fit(labels)
    assert encoder.classes.tolist() == classes
    assert encoder.classes.dtype == np.array(classes).dtype
    assert encoder.transform(labels).tolist() == [1, 0, 1]
    assert encoder.inverse([1, 0, 1]).tolist() == list(labels)
    again = data.LabelEncoder.from_description(json.loads(json.dumps(encoder.describe())))
    assert again == encoder
    assert again.classes.dtype == encoder.classes.dtype


def test_labels_that_are_refused():
    encoder = data.LabelEncoder().fit(["a", "b"])
    with pytest.raises(ValueError, match="2 known classes, got 2 others, first in row 1") as raised:
        encoder.transform(["a", "secret", "secret"])
    assert "secret" not in str(raised.value)
    with pytest.raises(ValueError, match="1 missing, first in row 1"):
        encoder.transform(["a", None])
    with pytest.raises(ValueError, match="two classes"):
        data.LabelEncoder().fit(["a", "a"])
    with pytest.raises(RuntimeError, match="fit first"):
        data.LabelEncoder().transform(["a"])


def test_the_target_is_standardised(rng):
    y = rng.lognormal(size=50)
    scaler = data.TargetScaler().fit(y)
    np.testing.assert_allclose(scaler.transform(y), (y - y.mean()) / y.std(), rtol=1e-12)
    np.testing.assert_allclose(scaler.inverse(scaler.transform(y)), y, rtol=1e-12)
    np.testing.assert_array_equal(data.TargetScaler().fit([7.0, 7.0]).transform([7.0, 8.0]), [0, 1])
    for bad, words in [([1, np.inf], "infinite, first in row 1"), (["a", "b"], "numbers"), ([1, None], "missing")]:
        with pytest.raises(ValueError, match=words):
            data.TargetScaler().fit(bad)
    with pytest.raises(ValueError, match="float64"):
        data.TargetScaler().fit([1e200, -1e200])


def mixed(rng, rows):
    return data.Dataset(
        {
            "a": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(5, 3, rows)),
            "b": rng.choice(np.array(["x", "y", None]), rows),
            "c": rng.integers(0, 9, rows),
            "d": rng.choice([True, False], rows),
        }
    )


def test_from_a_table_to_a_matrix(rng):
    train, other = mixed(rng, 50), mixed(rng, 20)
    fitted = data.Preprocessor(scaler="StandardScaler").fit(train)
    X = fitted.transform(other)
    assert fitted.feature_names == ("a", "c", "a is missing", "b=(missing)", "b=x", "b=y", "d=False", "d=True")
    assert (X.dtype, X.shape, X.flags.c_contiguous) == (np.float32, (20, 8), True)
    filled = np.where(np.isnan(train["a"]), np.nanmedian(train["a"]), train["a"])
    want = (np.where(np.isnan(other["a"]), np.nanmedian(train["a"]), other["a"]) - filled.mean()) / filled.std()
    np.testing.assert_allclose(X[:, 0], want, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(X[:, 2], np.isnan(other["a"]))
    np.testing.assert_array_equal(X[:, 4], other["b"] == "x")
    np.testing.assert_array_equal(X[:, 7], other["d"] == True)  # noqa: E712
    assert repr(fitted) == "Preprocessor(4 columns to 8 features)"


def test_nothing_leaks_from_other_rows(rng):
    """Rows that fit does not see change nothing in how a row is transformed."""
    train, other = mixed(rng, 50), mixed(rng, 20)
    fitted = data.Preprocessor().fit(train)
    before, alone = json.dumps(fitted.describe()), fitted.transform(other.take([3]))
    assert same_bits(fitted.transform(other)[3:4], alone)
    assert json.dumps(fitted.describe()) == before


def test_order_and_form_of_the_columns_do_not_matter(rng):
    train = mixed(rng, 50)
    fitted = data.Preprocessor().fit(train)
    want = fitted.transform(train)
    assert same_bits(fitted.transform(train.select(train.names[::-1])), want)
    as_text = {**train.features, "d": [str(cell) for cell in train["d"]], "c": [float(cell) for cell in train["c"]]}
    assert same_bits(fitted.transform(data.Dataset(as_text)), want)
    with pytest.warns(whet.WhetWarning, match=r"\['more'\].*ignored"):
        assert same_bits(fitted.transform(train.with_columns({"more": np.arange(50)})), want)
    with pytest.raises(ValueError, match=r"\['a', 'd'\].*missing"):
        fitted.transform(train.drop(["a", "d"]))


def test_unknown_categories_and_new_gaps(rng):
    fitted = data.Preprocessor().fit(data.Dataset({"a": [1.0, 2.0, 3.0], "b": ["x", "y", "y"]}))
    X = fitted.transform(data.Dataset({"a": [None, 2.0], "b": ["z", None]}))
    np.testing.assert_array_equal(X, np.zeros((2, 3)), "a gap is the median, which scales to 0; unknown is all zeros")
    assert fitted.transform(data.Dataset({"a": [], "b": []})).shape == (0, 3)


@pytest.mark.parametrize("scaler", ["RobustScaler", "StandardScaler", "MinMaxScaler", "QuantileScaler", None])
def test_a_preprocessor_survives_json(rng, scaler):
    train, other = mixed(rng, 50), mixed(rng, 20)
    fitted = data.Preprocessor(scaler=scaler, category_imputer=data.CategoryImputer("most_frequent")).fit(train)
    again = data.Preprocessor.from_description(json.loads(json.dumps(fitted.describe(), allow_nan=False)))
    assert same_bits(again.transform(other), fitted.transform(other))
    assert again.feature_names == fitted.feature_names
    assert again.describe() == json.loads(json.dumps(again.describe())) | again.describe()


def test_tables_a_preprocessor_refuses():
    train = data.Dataset({"a": [1.0, 2.0, 4.0], "b": ["x", "y", "z"]})
    fitted = data.Preprocessor(scaler="StandardScaler").fit(train)
    before = json.dumps(fitted.describe())
    for bad, words in [
        ({"a": [1.0, np.inf], "b": ["x", "y"]}, r"'a'.*finite.*row 1"),
        ({"a": [1.0, "secret"], "b": ["x", "y"]}, r"'a'.*numbers.*text in row 1"),
        ({"a": [1.0, 1e300], "b": ["x", "y"]}, r"'a'.*float32.*row 1"),
    ]:
        with pytest.raises(ValueError, match=words) as raised:
            fitted.transform(data.Dataset(bad))
        assert "secret" not in str(raised.value)
    with pytest.raises(ValueError, match=r"'a'.*row 2"):
        fitted.fit(data.Dataset({"a": [1, 2, np.inf]}))
    assert json.dumps(fitted.describe()) == before, "a fit that fails changes nothing"
    with pytest.raises(ValueError, match="got 0 and 2"):
        fitted.fit(train.take([]))
    with pytest.raises(RuntimeError, match="fit first"):
        data.Preprocessor().transform(train)
    with pytest.raises(ValueError, match=r"StandardScaler.*'Scaler'"):
        data.Preprocessor(scaler="Scaler")


@pytest.mark.parametrize("name", ["imputer", "category_imputer", "encoder"])
def test_steps_that_are_none(name):
    with pytest.raises(TypeError, match=rf"{name}.*got str"):
        data.Preprocessor(**{name: "median"})


def test_numbers_written_as_text_and_other_tables():
    fitted = data.Preprocessor().fit({"a": [1.0, 2.0, 4.0]})
    want = fitted.transform({"a": [2.0, None, 4.0]})
    assert same_bits(fitted.transform({"a": ["2", "NA", " 4.0"]}), want)
    assert data.Preprocessor().fit(np.eye(3)).transform(np.eye(3)).shape == (3, 3)
    with pytest.raises(ValueError, match="text in row 0"):
        fitted.transform({"a": ["\u0663"]})
    with pytest.raises(ValueError, match=r"'a'.*row 1"):
        data.Preprocessor().fit(data.read_csv(io.StringIO("a\n1\n1e400\n")))


@pytest.mark.parametrize("encoder", [data.OneHotEncoder(), data.OrdinalEncoder()])
def test_every_feature_knows_its_column(encoder):
    table = {"kind": ["a", "b", "a", "c"], "size": [1.0, np.nan, 2.0, 3.0], "age": [1, 2, 3, 4], "more": list("xyxy")}
    steps = data.Preprocessor(encoder=encoder).fit(table)
    assert len(steps.feature_columns) == steps.transform(table).shape[1]
    assert set(steps.feature_columns) == set(table)
    for name, column in zip(steps.feature_names, steps.feature_columns, strict=True):
        assert name.split("=")[0].removesuffix(" is missing") == column


def test_what_was_learnt_before_is_forgotten():
    """Steps that have been used keep tables to look categories up in."""
    first, second = {"a": ["x", "y"], "b": [1.0, 2.0]}, {"c": ["y", "z", "x"], "a": ["x", "w", "w"]}
    prepared = data.Preprocessor().fit(first)
    prepared.transform(first)
    with pytest.raises(ValueError, match="at least one row"):
        prepared.fit({"c": []})
    assert prepared.transform(first)[:, 1:].tolist() == [[1, 0], [0, 1]]
    prepared.fit(second)
    assert prepared.feature_names == ("c=x", "c=y", "c=z", "a=w", "a=x")
    assert prepared.transform(second).tolist() == [[0, 1, 0, 0, 1], [0, 0, 1, 1, 0], [1, 0, 0, 1, 0]]
    encoder = data.OneHotEncoder().fit([["x"], ["y"]])
    assert encoder.transform([["y"]]).tolist() == [[0, 1]]
    assert encoder.fit([["y"], ["z"]]).transform([["y"], ["x"]]).tolist() == [[1, 0], [0, 0]]
