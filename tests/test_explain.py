"""What a model has learnt: scikit-learn's permutation importance and partial dependence, Captum's formulas."""

from __future__ import annotations

import numpy as np
import pytest

import whet
from tests import reference_explain as reference
from tests.helpers import same_bits
from whet import explain, nn, optim


@pytest.fixture(scope="module")
def two_of_ten():
    """A model of ten columns of which two matter, and rows that it has not seen."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 10))
    y = 2 * x[:, 3] + np.sin(2 * x[:, 7]) + 0.1 * rng.normal(size=3000)
    model = nn.MLP(10, (32, 32), 1)
    model.fit(x[:2000], y[:2000], loss="mse", metrics=["r2"], epochs=30, seed=1)
    return model, x[2000:], y[2000:]


@pytest.fixture(scope="module")
def classifier():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1200, 5))
    y = (x[:, 0] + x[:, 1] ** 2 > 0.5).astype(int) + (x[:, 2] > 1)
    model = nn.MLP(5, (24,), 3)
    model.fit(x[:800], y[:800], loss="cross_entropy", metrics=["accuracy"], epochs=30, seed=1)
    return model, x[800:], y[800:]


def table_of(rows, seed=0):
    """Numbers with gaps, a category that matters, one that does not, and a target."""
    rng = np.random.default_rng(seed)
    size, noise = rng.normal(50, 20, rows), rng.normal(size=rows)
    kind = np.array(["red", "green", "blue"])[rng.integers(0, 3, rows)]
    other = np.array(["a", "b", "c", "d"])[rng.integers(0, 4, rows)]
    price = 3 * size + 100 * (kind == "red") - 40 * (kind == "blue") + rng.normal(size=rows)
    size[::17] = np.nan
    return {"size": size, "kind": kind, "noise": noise, "other": other, "price": price}


@pytest.fixture(scope="module")
def table_model():
    model = whet.TabularModel("price", hidden=(32,))
    model.fit(table_of(1500), epochs=25, seed=0)
    return model


def estimator(model, classes=None):
    """The model as scikit-learn's functions take it."""
    base = pytest.importorskip("sklearn.base", reason="scikit-learn is not installed")

    class Wrapped(base.ClassifierMixin if classes is not None else base.RegressorMixin, base.BaseEstimator):
        def fit(self, X, y):
            return self

        def predict(self, X):
            return model.predict(X)[:, 0] if classes is None else model.predict(X).argmax(axis=1)

        def predict_proba(self, X):
            return model.predict_proba(X)

        def __sklearn_is_fitted__(self):
            return True

    wrapped = Wrapped()
    wrapped.n_features_in_ = model._traced.width
    if classes is not None:
        wrapped.classes_ = np.arange(classes)
    return wrapped


# Permutation importance


@pytest.mark.parametrize("which", ["two_of_ten", "classifier"])
def test_permutation_importance_agrees_with_sklearn(which, request):
    inspection = pytest.importorskip("sklearn.inspection", reason="scikit-learn is not installed")
    model, x, y = request.getfixturevalue(which)
    wrapped = estimator(model, 3 if which == "classifier" else None)
    theirs = inspection.permutation_importance(wrapped, x, y, n_repeats=40, random_state=0)
    ours = explain.permutation_importance(model, x, y, n_repeats=40, seed=0)
    error = np.sqrt((theirs.importances_std**2 + ours.importances_std**2) / 40)
    assert (np.abs(ours.importances_mean - theirs.importances_mean) < 5 * error + 1e-6).all()
    np.testing.assert_allclose(ours.importances_std, theirs.importances_std, rtol=0.6, atol=1e-6)
    assert ours.baseline == pytest.approx(wrapped.score(x, y), abs=1e-6)


def test_permutation_importance_is_its_formula(classifier):
    """With the same shuffles: those of (seed, column, repeat)."""
    model, x, y = classifier

    class Shuffles:
        def __init__(self):
            self.count = 0

        def permutation(self, column):
            order = np.random.default_rng((5, self.count // 3, self.count % 3)).permutation(len(column))
            self.count += 1
            return column[order]

    want = reference.permutation_importance(lambda X: (model.predict(X).argmax(axis=1) == y).mean(), x, 3, Shuffles())
    got = explain.permutation_importance(model, x, y, metric="accuracy", n_repeats=3, seed=5)
    np.testing.assert_allclose(got.importances, want, atol=1e-12)
    one = explain.permutation_importance(model, x, y, metric="accuracy", n_repeats=3, seed=5, features=[2])
    assert same_bits(one.importances, got.importances[2:3])


def test_the_two_columns_that_matter_lead(two_of_ten):
    model, x, y = two_of_ten
    for found in (
        explain.permutation_importance(model, x, y).importances_mean,
        explain.permutation_importance(model, x, y, metric="rmse").importances_mean,
        explain.permutation_importance(model, x, y, metric="loss").importances_mean,
        explain.input_gradients(model, x).importances,
        explain.integrated_gradients(model, x).importances,
    ):
        assert set(np.argsort(-found)[:2]) == {3, 7}
        assert np.sort(found)[-2] > 4 * np.sort(found)[-3]
    spread = [np.ptp(explain.partial_dependence(model, x, i).average) for i in range(10)]
    assert set(np.argsort(spread)[-2:]) == {3, 7}


def test_columns_of_a_table_are_shuffled_as_they_are(table_model):
    """Features of a category move together: as if the table itself had been shuffled before."""
    table = table_of(400, seed=1)
    got = explain.permutation_importance(table_model, table, metric="rmse", n_repeats=2, seed=3)
    assert got.names == ("size", "kind", "noise", "other")
    for i, name in enumerate(got.names):
        for repeat in range(2):
            order = np.random.default_rng((3, i, repeat)).permutation(400)
            score = table_model.evaluate({**table, name: table[name][order]})["rmse"]
            assert got.importances[i, repeat] == pytest.approx(score - got.baseline, abs=1e-9)
    mean = got.importances_mean
    assert min(mean[:2]) > 20 * max(mean[2:])
    assert list(got.to_pandas().index[:2]) in (["size", "kind"], ["kind", "size"])


def test_weights_count_in_importances(two_of_ten):
    model, x, y = two_of_ten
    weights = np.zeros(len(x))
    weights[:200] = 1
    got = explain.permutation_importance(model, x, y, sample_weight=weights, metric="rmse").baseline
    assert got == pytest.approx(np.sqrt(((model.predict(x[:200])[:, 0] - y[:200]) ** 2).mean()), rel=1e-5)


# Integrated gradients


def gradient_of(torch, model, output):
    peer = torch.nn.Sequential(
        *(
            torch.nn.Linear(*layer.weight.shape[::-1]) if isinstance(layer, nn.Linear) else torch.nn.GELU()
            for layer in model
        )
    ).double()
    peer.load_state_dict({name: torch.tensor(value.copy()) for name, value in model.state_dict().items()})

    def gradient(points):
        inputs = torch.tensor(points, requires_grad=True)
        peer(inputs)[:, output].sum().backward()
        return inputs.grad.numpy()

    return gradient


def test_integrated_gradients_are_captums_formula(torch):
    """Where the sums are right at once, no piece is halved, and the points are Captum's."""
    model = nn.MLP(6, (20, 20), 3, "gelu").to("float64").initialize(2)
    rng = np.random.default_rng(0)
    x, baseline = rng.normal(size=(40, 6)), rng.normal(size=6)
    want = reference.integrated_gradients(gradient_of(torch, model, 2), x, baseline, 50)
    got = explain.integrated_gradients(model, x, baseline=baseline, target=2, n_steps=50)
    np.testing.assert_allclose(got.values, want, atol=1e-12)
    assert same_bits(got.outputs, model.predict(x)[:, 2])
    np.testing.assert_allclose(got.baseline_outputs, model.predict(baseline[None])[0, 2])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "leaky_relu"])
def test_attributions_sum_to_the_difference_of_outputs(activation, dtype):
    rng = np.random.default_rng(3)
    x = 3 * rng.normal(size=(60, 12)).astype(dtype)
    model = nn.MLP(12, (64, 64, 64), 4, activation).to(dtype)
    model.fit(x, rng.integers(0, 4, 60), loss="cross_entropy", epochs=60, optimizer=optim.Adam(lr=0.01))
    for n_steps in (5, 50):
        found = explain.integrated_gradients(model, x, baseline=0.5, target=1, n_steps=n_steps)
        rise = model.predict(x)[:, 1] - model.predict(np.full((1, 12), 0.5, dtype))[0, 1]
        scale = np.maximum(1, np.abs(rise))
        assert (np.abs(found.values.sum(axis=1) - rise) <= 1.2e-4 * scale).all()
        assert (np.abs(found.convergence_delta) <= 1e-4 * scale).all()


def test_halving_finds_what_many_points_find():
    """Kinks are found, whatever the number of points: each value, not their sum alone."""
    rng = np.random.default_rng(4)
    model = nn.MLP(8, (40, 40), 1, "relu").to("float64").initialize(0)
    x = 4 * rng.normal(size=(20, 8))
    shares = (np.arange(5000) + 0.5) / 5000
    points = (shares[:, None, None] * x).reshape(-1, 8)
    fine = x * explain.input_gradients(model, points).values.reshape(5000, 20, 8).mean(axis=0)
    coarse = explain.integrated_gradients(model, x, n_steps=8, tolerance=1e-6).values
    np.testing.assert_allclose(coarse, fine, atol=2e-3 * np.abs(fine).max())
    many = explain.integrated_gradients(model, np.tile(x, (30, 1)), n_steps=8, tolerance=1e-6).values
    assert same_bits(many, np.tile(coarse, (30, 1)))  # in blocks, each row by itself


def test_a_jump_on_the_way_is_told():
    class Jump(nn.Module):
        def forward(self, x):
            return nn.functional.where(x > 0.3, x, x * 0.0 - 1.0)

    with pytest.warns(whet.WhetWarning, match="miss the difference of outputs by up to 1.3"):
        found = explain.integrated_gradients(Jump(), [[1.0]])
    assert found.convergence_delta[0] == pytest.approx(-1.3, abs=1e-6)


def test_the_default_target_is_the_class_predicted(classifier):
    model, x, _ = classifier
    found = explain.integrated_gradients(model, x)
    likely = model.predict(x).argmax(axis=1)
    assert same_bits(found.target, likely)
    one_by_one = explain.integrated_gradients(model, x, target=likely)
    assert same_bits(found.values, one_by_one.values)
    only = explain.input_gradients(model, x[:5], target=2)
    assert (only.target == 2).all()


def test_a_table_is_explained_by_its_columns_in_its_units(table_model):
    table = table_of(300, seed=2)
    found = explain.integrated_gradients(table_model, table)
    assert found.names == ("size", "kind", "noise", "other")
    np.testing.assert_allclose(found.outputs, table_model.predict(table), rtol=1e-4)
    rise = found.outputs - found.baseline_outputs
    np.testing.assert_allclose(found.values.sum(axis=1), rise, atol=1e-4 * np.abs(rise).max())
    assert found.values[table["kind"] == "red", 1].mean() - found.values[table["kind"] == "blue", 1].mean() > 100
    mean = explain.integrated_gradients(table_model, table, baseline="mean")
    assert np.ptp(mean.baseline_outputs) == 0
    slope = explain.input_gradients(table_model, table)
    assert slope.importances[0] > 10 * slope.importances[2]
    times = explain.input_gradients(table_model, table, multiply_by_inputs=True)
    np.testing.assert_allclose(times.values[:, 1], slope.values[:, 1])  # of the row's own category, which is 1


def test_members_of_an_ensemble_count_alike():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 4))
    model = nn.Sequential(nn.LinearBatchEnsemble(4, 16, k=8), nn.GELU(), nn.LinearEnsemble(16, 1, k=8)).to("float64")
    model.fit(x, x[:, 0], loss=whet.losses.MemberLoss("mse"), epochs=3)
    found = explain.integrated_gradients(model, x)
    np.testing.assert_allclose(found.outputs, model.predict(x).mean(axis=(1, 2)), atol=1e-12)
    assert np.abs(found.convergence_delta).max() <= 1e-4
    assert explain.permutation_importance(model, x, x[:, 0]).importances_mean.argmax() == 0


def test_columns_that_are_looked_up_have_none_and_a_warning():
    class Looks(nn.Module):
        def __init__(self):
            self.table, self.head = nn.Embedding(5, 3), nn.Linear(5, 1)

        def forward(self, x):
            return self.head(nn.concatenate([self.table(x[:, 1:2]).flatten(), x[:, :1], x[:, 2:]]))

    model = Looks().to("float64").initialize(0)
    x = np.random.default_rng(0).normal(size=(20, 3))
    x[:, 1] = np.arange(20) % 5
    with pytest.warns(whet.WhetWarning, match=r"\[integrated_gradients\] kind: an embedding looks them up"):
        found = explain.integrated_gradients(model, x, feature_names=["size", "kind", "age"])
    assert (found.values[:, 1] == 0).all()
    assert np.abs(found.convergence_delta).max() < 1e-12
    held = x * [[0, 1, 0]]
    np.testing.assert_allclose(found.baseline_outputs, model.predict(held)[:, 0])


def test_categories_of_a_table_that_are_looked_up_are_named():
    table = table_of(200)
    steps = whet.data.Preprocessor(encoder=whet.data.OrdinalEncoder(), imputer=whet.data.Imputer(indicator=False))

    class Looks(nn.Module):
        def __init__(self, features, outputs):
            self.table, self.head = nn.Embedding(6, 3), nn.Linear(2 + 2 * 3, outputs)

        def forward(self, x):
            return self.head(nn.concatenate([x[:, :2], self.table(x[:, 2:]).flatten()]))

    model = whet.TabularModel("price", network=Looks, preprocessor=steps)
    model.fit(table, epochs=3)
    with pytest.warns(whet.WhetWarning, match=r"\[input_gradients\] kind, other: an embedding looks them up"):
        found = explain.input_gradients(model, table)
    assert (found.values[:, [1, 3]] == 0).all()
    assert (found.values[:, [0, 2]] != 0).all()
    assert explain.permutation_importance(model, table).names == ("size", "kind", "noise", "other")


# Partial dependence


@pytest.mark.parametrize("which", ["two_of_ten", "classifier"])
@pytest.mark.parametrize("features", [[3], [0, 3]])
@pytest.mark.parametrize("percentiles", [(0, 1), (0.05, 0.95)])
def test_partial_dependence_agrees_with_sklearn(which, features, percentiles, request):
    inspection = pytest.importorskip("sklearn.inspection", reason="scikit-learn is not installed")
    model, x, _ = request.getfixturevalue(which)
    x = x[:200].astype(np.float32)
    wrapped = estimator(model, 3 if which == "classifier" else None)
    theirs = inspection.partial_dependence(
        wrapped, x, features, kind="both", percentiles=percentiles, grid_resolution=13, method="brute"
    )
    ours = explain.partial_dependence(model, x, features, kind="both", percentiles=percentiles, grid_resolution=13)
    for mine, other in zip(ours.grid_values, theirs["grid_values"], strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6)
    np.testing.assert_allclose(ours.average, theirs["average"], atol=2e-5)
    np.testing.assert_allclose(ours.individual, theirs["individual"], atol=2e-5)
    alone = explain.partial_dependence(model, x, features, percentiles=percentiles, grid_resolution=13)
    np.testing.assert_allclose(alone.average, ours.average, atol=1e-6)
    assert alone.individual is None


def test_partial_dependence_of_a_table_sets_the_column_itself(table_model):
    table = table_of(120, seed=3)
    kinds = explain.partial_dependence(table_model, table, "kind", kind="individual")
    assert kinds.grid_values[0].tolist() == ["blue", "green", "red"]
    for i, kind in enumerate(kinds.grid_values[0]):
        want = table_model.predict({**table, "kind": np.full(120, kind)})
        np.testing.assert_allclose(kinds.individual[0, :, i], want, rtol=1e-6)
    assert np.diff(kinds.average[0]).min() > 20
    both = explain.partial_dependence(table_model, table, ("size", "kind"), grid_resolution=5)
    assert both.average.shape == (1, 5, 3)
    want = table_model.predict({**table, "size": np.full(120, both.grid_values[0][2]), "kind": np.full(120, "red")})
    assert both.average[0, 2, 2] == pytest.approx(want.mean(), rel=1e-6)
    own = explain.partial_dependence(table_model, table, "size", custom_values={"size": [10.0, 20.0]})
    assert own.grid_values[0].tolist() == [10, 20]


# What results show


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def test_results_show_themselves(two_of_ten, table_model, pyplot):
    model, x, y = two_of_ten
    names = [f"column {i}" for i in range(10)]
    importance = explain.permutation_importance(model, x, y, feature_names=names)
    gradients = explain.input_gradients(model, x, feature_names=names)
    line = explain.partial_dependence(model, x, "column 3", kind="both", feature_names=names)
    square = explain.partial_dependence(table_model, table_of(50), ("kind", "other"))
    assert repr(importance).startswith("PermutationImportance(10 columns by r2: column 3 ")
    assert repr(gradients).startswith("Attributions(gradient, 1000 rows, 10 columns: column 3 ")
    assert repr(line).startswith("PartialDependence(column 3: 50 values, from -")
    for result in (importance, gradients, line, square):
        assert result._repr_html_().startswith("<table>")
        assert result.plot().figure is not None
        assert len(result.to_pandas())
    assert [label.get_text() for label in importance.plot().get_yticklabels()][-1] == "column 3"
    assert gradients.plot(row=5).get_xlabel() == "gradient of row 5"
    assert list(square.to_pandas().columns) == ["kind", "other", "prediction"]
    _, place = pyplot.subplots()
    assert line.plot(ax=place) is place


def test_names_come_from_a_frame(two_of_ten):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    model, x, _ = two_of_ten
    frame = pandas.DataFrame(x, columns=[f"c{i}" for i in range(10)])
    assert explain.input_gradients(model, frame).names[3] == "c3"


# What is refused


def test_wrong_arguments_are_named(two_of_ten, classifier, table_model):
    model, x, y = two_of_ten
    with pytest.raises(TypeError, match=r"\[permutation_importance\] expected y"):
        explain.permutation_importance(model, x)
    with pytest.raises(TypeError, match="expected no y and no names for a TabularModel"):
        explain.permutation_importance(table_model, table_of(20), np.zeros(20))
    with pytest.raises(TypeError, match=r"expected an nn\.Module or a TabularModel, got str"):
        explain.input_gradients("model", x)
    with pytest.raises(ValueError, match="expected a metric whose direction is known, got <lambda>"):
        explain.permutation_importance(model, x, y, metric=lambda truth, prediction: 0.0)
    with pytest.raises(ValueError, match="expected one target, or one for each of 1000 rows"):
        explain.input_gradients(model, x, target=[0, 0])
    with pytest.raises(ValueError, match=r"expected a target among 0, 1, 2, got 7"):
        explain.input_gradients(classifier[0], classifier[1], target=7)
    with pytest.raises(ValueError, match="expected a target: the model has 2 outputs"):
        explain.input_gradients(nn.Linear(10, 2), x)
    with pytest.raises(ValueError, match="expected a column among size, kind, noise, other, got 'age'"):
        explain.partial_dependence(table_model, table_of(20), "age")
    with pytest.raises(ValueError, match="expected a column below 10, got 10"):
        explain.partial_dependence(model, x, 10)
    with pytest.raises(TypeError, match=r"a column by name or number, got 1\.5"):
        explain.partial_dependence(model, x, 1.5)
    with pytest.raises(TypeError, match=r"a column by name or number, got 1\.5"):
        explain.partial_dependence(model, x, [1.5])
    with pytest.raises(ValueError, match="expected one column or two different ones"):
        explain.partial_dependence(model, x, [1, 1])
    with pytest.raises(
        ValueError, match=r"expected percentiles between 0 and 1, the lower one first, got 5.0 and 95.0"
    ):
        explain.partial_dependence(model, x, 1, percentiles=(5, 95))
    with pytest.raises(ValueError, match="expected a kind among average"):
        explain.partial_dependence(model, x, 0, kind="mean")
    with pytest.raises(ValueError, match="expected tolerance at least 1e-09"):
        explain.integrated_gradients(model, x, tolerance=0)
    with pytest.raises(ValueError, match="expected a baseline of one finite number or of 10"):
        explain.integrated_gradients(model, x, baseline=[1.0, 2.0])
    with pytest.raises(ValueError, match="expected a baseline of numbers or 'mean', got 'zero'"):
        explain.integrated_gradients(model, x, baseline="zero")
    with pytest.raises(ValueError, match="expected 10 different names, got 2"):
        explain.input_gradients(model, x, feature_names=["a", "b"])
    with pytest.raises(ValueError, match="expected at least one row"):
        explain.input_gradients(model, x[:0])
    with pytest.raises(RuntimeError, match="not fitted"):
        explain.input_gradients(whet.TabularModel("price"), table_of(20))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m, x: explain.partial_dependence(m, x, 1.5), TypeError, "a column by name or number, got 1.5"),
        (lambda m, x: explain.partial_dependence(m, x, [True]), TypeError, "a column by name or number, got True"),
        (lambda m, x: explain.partial_dependence(m, x, None), TypeError, "a column by name or number, got None"),
        (lambda m, x: explain.partial_dependence(m, x, 0, percentiles=3), TypeError, "to be two numbers, got 3"),
        (lambda m, x: explain.partial_dependence(m, x, 0, custom_values=[1]), TypeError, "to map columns to values"),
        (lambda m, x: explain.partial_dependence(m, x, 0, custom_values={0: []}), ValueError, "not empty; got .0,."),
        (lambda m, x: explain.partial_dependence(m, x, 0, custom_values={0: ["a"]}), TypeError, "values of x0 to hold"),
        (
            lambda m, x: explain.partial_dependence(m, x, 0, custom_values={0: [np.nan]}),
            ValueError,
            "values of x0 has a",
        ),
        (lambda m, x: explain.integrated_gradients(m, x, baseline={"a": 1}), TypeError, "expected baseline to hold"),
        (lambda m, x: explain.integrated_gradients(m, x, baseline=["a"] * 10), TypeError, "expected baseline to hold"),
        (lambda m, x: explain.input_gradients(m, x, feature_names=3), TypeError, "a sequence of names, got 3"),
        (lambda m, x: explain.input_gradients(m, x, feature_names=["a"] * 10), ValueError, "different names, .*: a, a"),
    ],
)
def test_columns_values_and_baselines_are_checked(two_of_ten, call, error, message):
    model, x, _ = two_of_ten
    with pytest.raises(error, match=message):
        call(model, x)


def test_one_column_may_stand_alone(two_of_ten):
    model, x, y = two_of_ten
    for one, several in ((3, [3]), ("x3", ["x3"])):
        found, wanted = (explain.permutation_importance(model, x, y, features=each) for each in (one, several))
        assert found.names == wanted.names == ("x3",)
        np.testing.assert_array_equal(found.importances, wanted.importances)


def test_every_number_that_an_embedding_looks_up_has_its_place_in_a_grid():
    model = nn.Sequential(nn.Embedding(100, 3), nn.Flatten(), nn.Linear(6, 1)).initialize(0)
    x = np.random.default_rng(0).integers(0, 100, size=(300, 2))
    found = explain.partial_dependence(model, x, 0)
    np.testing.assert_array_equal(found.grid_values[0], np.unique(x[:, 0]))


def test_importing_whet_does_not_import_it():
    from tests.helpers import run_python

    run_python("-c", "import sys, whet; assert 'whet.explain' not in sys.modules; whet.explain.partial_dependence")
