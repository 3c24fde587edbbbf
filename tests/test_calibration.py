"""Probabilities that are right, and intervals and sets that hold the truth as often as they promise."""

from __future__ import annotations

import numpy as np
import pytest

import whet
from tests import reference, reference_explain
from tests.helpers import outputs_of_both_sets, same_bits
from whet import calibration, losses, nn

# Temperature


@pytest.fixture(scope="module")
def too_sure():
    """A classifier that has learnt its few rows by heart, and rows that it has not seen."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4300, 8))
    y = (x[:, :3] + 1.5 * rng.normal(size=(4300, 3))).argmax(axis=1)
    model = nn.MLP(8, (64,), 3)
    model.fit(x[:300], y[:300], loss="cross_entropy", metrics=["accuracy"], epochs=200, seed=0)
    return model, (x[300:2300], y[300:2300]), (x[2300:], y[2300:])


def log_loss(logits, y, temperature):
    z = logits.astype(np.float64) / temperature
    z = z - z.max(axis=1, keepdims=True)
    return (np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]).mean()


def test_the_temperature_is_where_the_log_loss_is_least(too_sure):
    model, held, _ = too_sure
    found = calibration.temperature_scaling(model, *held)
    optimize = pytest.importorskip("scipy.optimize", reason="SciPy is not installed")
    logits = model.predict(held[0])
    want = optimize.minimize_scalar(
        lambda t: log_loss(logits, held[1], t), bounds=(0.05, 50), method="bounded", options={"xatol": 1e-10}
    )
    assert found.temperature == pytest.approx(want.x, rel=1e-5)
    assert found.temperature > 1.5
    assert found.rows == 2000


def test_scaled_probabilities_are_right_on_other_rows(too_sure):
    model, held, (x, y) = too_sure
    scaled = calibration.temperature_scaling(model, *held)
    before = calibration.expected_calibration_error(y, model.predict_proba(x))
    after = calibration.expected_calibration_error(y, scaled.predict_proba(x))
    assert after < 0.05 < 0.1 < before
    assert same_bits(scaled.predict(x), model.predict(x))
    z = model.predict(x).astype(np.float64) / scaled.temperature
    want = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scaled.predict_proba(x), want, rtol=1e-9)


def test_the_temperature_of_labels():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 4))
    y = (x[:, 0] + rng.normal(size=3000) > 0).astype(float)
    model = nn.MLP(4, (64,), 1)
    model.fit(x[:200], y[:200], loss="bce_with_logits", epochs=200)
    found = calibration.temperature_scaling(model, x[200:], y[200:])
    z = model.predict(x[200:])[:, 0].astype(np.float64)
    pair = np.stack([np.zeros(len(z)), z], axis=1)
    here, near = (log_loss(pair, y[200:].astype(int), found.temperature * f) for f in (1, 1.01))
    assert here < near
    assert here < log_loss(pair, y[200:].astype(int), found.temperature / 1.01)
    np.testing.assert_allclose(found.predict_proba(x[200:])[:, 0], 1 / (1 + np.exp(-z / found.temperature)), rtol=1e-9)


def test_weights_and_ensembles_have_temperatures():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 4))
    y = (x[:, 0] + rng.normal(size=400) > 0).astype(int)
    model = nn.Sequential(nn.LinearBatchEnsemble(4, 16, k=4), nn.ReLU(), nn.LinearEnsemble(16, 2, k=4))
    model.fit(x[:200], y[:200], loss=losses.MemberLoss("cross_entropy"), epochs=100)
    weights = np.repeat([1.0, 0.0], 100)
    found = calibration.temperature_scaling(model, x[200:], y[200:], sample_weight=weights)
    part = calibration.temperature_scaling(model, x[200:300], y[200:300])
    assert found.temperature == pytest.approx(part.temperature, rel=1e-9)
    one = calibration.TemperatureScaled(model, 1.0, 1)
    np.testing.assert_allclose(one.predict_proba(x), model.predict_proba(x), atol=1e-6)


def test_no_temperature_is_best_where_all_is_right():
    x = np.linspace(-1, 1, 40).reshape(-1, 1)
    y = (x[:, 0] > 0).astype(int)
    model = nn.Linear(1, 2)
    model.fit(x, y, loss="cross_entropy", optimizer=whet.optim.Adam(lr=0.1), epochs=50)
    with pytest.warns(whet.WhetWarning, match="no temperature is best: the rows are all predicted right"):
        calibration.temperature_scaling(model, x, y)
    with pytest.warns(whet.WhetWarning, match="no better than by chance"):
        calibration.temperature_scaling(model, x, 1 - y)


# Reliability


def test_the_calibration_error_is_its_formula(rng):
    p = rng.dirichlet(np.ones(4), size=900)
    y = np.array([rng.choice(4, p=0.5 * row + 0.125) for row in p])
    for bins in (5, 15):
        want = reference_explain.expected_calibration_error(p.max(axis=1), p.argmax(axis=1) == y, bins)
        assert calibration.expected_calibration_error(y, p, n_bins=bins) == pytest.approx(want, abs=1e-12)
    labels = np.array(["a", "b", "c", "d"])
    named = calibration.expected_calibration_error(labels[y], p, classes=labels, n_bins=15)
    assert named == pytest.approx(want, abs=1e-12)
    twice = calibration.expected_calibration_error(np.r_[y, y[:100]], np.r_[p, p[:100]], n_bins=15)
    weighted = calibration.expected_calibration_error(
        y, p, n_bins=15, sample_weight=np.r_[np.full(100, 2), np.ones(800)]
    )
    assert weighted == pytest.approx(twice, abs=1e-12)


def test_a_bin_has_its_upper_edge():
    found = calibration.reliability([0, 1, 1, 1], [0.0, 0.5, 0.75, 1.0], n_bins=2)
    assert found.share.tolist() == [0.5, 0.5]
    assert found.confidence.tolist() == [0.25, 0.875]
    assert found.accuracy.tolist() == [0.5, 1.0]


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_the_curve_of_one_column_is_that_of_sklearn(rng, strategy):
    peer = pytest.importorskip("sklearn.calibration", reason="scikit-learn is not installed")
    p = rng.random(1000)
    y = (rng.random(1000) < p**1.5).astype(int)
    accuracy, confidence = peer.calibration_curve(y, p, n_bins=10, strategy=strategy)
    found = calibration.reliability(y, p, n_bins=10, strategy=strategy)
    np.testing.assert_allclose(found.accuracy, accuracy, atol=1e-12)
    np.testing.assert_allclose(found.confidence, confidence, atol=1e-12)
    assert found.share.sum() == pytest.approx(1)
    assert found.maximum_calibration_error == pytest.approx(np.abs(accuracy - confidence).max())


# Dropout


def test_draws_are_those_of_the_reference(rng):
    """The masks of training, of (seed, pass, node): here the values 3 and 5 of the graph."""
    from tests.test_dropout import numbers_of, two_layers

    x = rng.normal(size=(700, 3))
    model = two_layers(0.4, 0.25)
    w0, b0, w1, b1, w2, b2 = numbers_of(model).values()
    found = calibration.mc_dropout(model, x, n_passes=3, seed=2**63 + 12345)
    for number in range(3):
        first, second = (
            reference.dropout(2**63 + 12345, number, node, len(x), width, share)
            for node, width, share in ((3, 7, 0.4), (5, 5, 0.25))
        )
        h = (np.tanh(x @ w0.T + b0) * first) @ w1.T + b1
        np.testing.assert_allclose(found.samples[number], reference.gelu(h * second) @ w2.T + b2, atol=1e-12)
    np.testing.assert_allclose(found.mean, found.samples.mean(axis=0))
    np.testing.assert_allclose(found.std, found.samples.std(axis=0))


def drawn(rows=1000):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 6))
    layers = [nn.Linear(6, 40), nn.BatchNorm1d(40), nn.SELU(), nn.AlphaDropout(0.1), nn.Dropout(0.2), nn.Linear(40, 2)]
    model = nn.Sequential(*layers)
    model.fit(x[:600], x[:600, :2], loss="mse", epochs=2, seed=0)
    before = model.fingerprint()
    found = calibration.mc_dropout(model, x, n_passes=4, seed=3)
    assert model.fingerprint() == before  # running statistics, too
    return found.samples


def test_draws_do_not_depend_on_threads(threads):
    found = []
    for number in (1, 2, 7):
        threads(number)
        found.append(drawn())
    assert all(same_bits(each, found[0]) for each in found)
    assert not same_bits(found[0][0], found[0][1])


def test_avx2_and_avx512_draw_the_same():
    program = (
        "import hashlib; from tests.test_calibration import drawn;"
        "print(hashlib.sha256(drawn().tobytes()).hexdigest(), end='')"
    )
    assert len(outputs_of_both_sets(program)) == 1


def test_the_mean_of_many_draws_is_near_the_prediction_and_doubt_grows_outside():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(800, 1))
    model = nn.MLP(1, (64, 64), 1, dropout=0.1)
    model.fit(x, np.sin(3 * x[:, 0]), loss="mse", epochs=60, seed=0)
    near = calibration.mc_dropout(model, x[:200], n_passes=200)
    far = calibration.mc_dropout(model, x[:200] + 4, n_passes=50)
    assert np.abs(near.mean - model.predict(x[:200])).mean() < near.std.mean()
    assert far.std.mean() > 2 * near.std.mean()


def test_a_share_of_a_schedule_is_its_first():
    schedule = whet.schedules.Linear(0.5, end=0.0) if hasattr(whet.schedules, "Linear") else whet.schedules.FlatCos(0.5)
    scheduled = nn.Sequential(nn.Linear(3, 20), nn.Dropout(schedule), nn.Linear(20, 1)).initialize(0)
    plain = nn.Sequential(nn.Linear(3, 20), nn.Dropout(schedule.first), nn.Linear(20, 1)).initialize(0)
    x = np.random.default_rng(0).normal(size=(30, 3))
    a, b = (calibration.mc_dropout(model, x, n_passes=3).samples for model in (scheduled, plain))
    assert same_bits(a, b)


def test_classes_of_a_table_are_drawn_as_probabilities():
    rng = np.random.default_rng(0)
    table = {"x": rng.normal(size=300), "y": np.array(["no", "yes"])[(rng.random(300) > 0.5).astype(int)]}
    model = whet.TabularModel("y", network=lambda i, o: nn.MLP(i, (16,), o, dropout=0.3))
    model.fit(table, epochs=3)
    found = calibration.mc_dropout(model, table, n_passes=5)
    assert found.samples.shape == (5, 300, 2)
    np.testing.assert_allclose(found.samples.sum(axis=2), 1, atol=1e-5)
    assert found.outputs == ("no", "yes")


# Conformal prediction


def noisy(rows, seed):
    """Noise that grows with the first column."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 1, size=(rows, 3))
    return x, x[:, 1] + (0.05 + 0.5 * x[:, 0]) * rng.normal(size=rows)


@pytest.fixture(scope="module")
def regressions():
    x, y = noisy(1500, 0)
    plain, quantiles = nn.MLP(3, (32,), 1), nn.MLP(3, (32,), 3)
    plain.fit(x, y, loss="mse", epochs=20, seed=0)
    quantiles.fit(x, y, loss=losses.QuantileLoss((0.95, 0.05, 0.5)), epochs=40, seed=0)
    return plain, quantiles


def covered(intervals, y):
    return ((intervals[:, 0] <= y) & (y <= intervals[:, 1])).mean()


@pytest.mark.parametrize("method", ["absolute", "normalized", "quantile"])
@pytest.mark.parametrize("level", [0.8, 0.9])
def test_intervals_cover_what_they_promise(regressions, method, level):
    """On average over held-out parts; any one part is off by about sqrt(level (1 - level) / rows)."""
    plain, quantiles = regressions
    model = quantiles if method == "quantile" else plain
    spread = (lambda X: 0.05 + 0.5 * np.asarray(X)[:, 0]) if method == "normalized" else None
    shares, widths = [], []
    for seed in range(1, 21):
        found = calibration.conformal_regression(model, *noisy(400, seed), spread=spread)
        assert found.method == method
        x, y = noisy(2000, 100 + seed)
        intervals = found.predict_interval(x, level)
        shares.append(covered(intervals, y))
        widths.append(np.diff(intervals, axis=1)[:, 0])
    assert np.mean(shares) == pytest.approx(level, abs=0.012)
    assert max(abs(share - level) for share in shares) < 0.09
    wide = widths[-1]
    if method == "absolute":
        assert np.ptp(wide) < 1e-9
    else:  # wide where the noise is
        assert wide[x[:, 0] > 0.8].mean() > 2 * wide[x[:, 0] < 0.2].mean()


def test_intervals_are_their_formulas(regressions):
    plain, quantiles = regressions
    (x, y), (later, _) = noisy(99, 1), noisy(50, 2)
    margin = reference_explain.conformal_quantile(np.abs(y - plain.predict(x)[:, 0]), 0.9)
    got = calibration.conformal_regression(plain, x, y).predict_interval(later, 0.9)
    value = plain.predict(later)[:, 0].astype(np.float64)
    np.testing.assert_allclose(got, np.stack([value - margin, value + margin], axis=1), atol=1e-6)
    high, low = quantiles.predict(x)[:, 0], quantiles.predict(x)[:, 1]
    margin = reference_explain.conformal_quantile(np.maximum(low - y, y - high), 0.9)
    got = calibration.conformal_regression(quantiles, x, y).predict_interval(later, 0.9)
    want = quantiles.predict(later)[:, [1, 0]] + np.array([-margin, margin])
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_intervals_of_a_level_need_rows(regressions):
    x, y = noisy(9, 3)
    found = calibration.conformal_regression(regressions[0], x, y)
    intervals = found.predict_interval(x, 0.9)
    assert np.diff(intervals)[0, 0] / 2 == pytest.approx(found.scores[-1])
    with pytest.raises(
        ValueError, match=r"\[predict_interval\] expected at least 19 held-out rows for that level, got 9"
    ):
        found.predict_interval(x, 0.95)
    with pytest.raises(ValueError, match="confidence_level"):
        found.predict_interval(x, 1.0)


def classes_of(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4))
    return x, (1.2 * x + rng.normal(size=(rows, 4))).argmax(axis=1)


@pytest.fixture(scope="module")
def classifier():
    x, y = classes_of(1000, 0)
    model = nn.MLP(4, (32,), 4)
    model.fit(x, y, loss="cross_entropy", epochs=15, seed=0)
    return model


@pytest.mark.parametrize("method", ["lac", "aps"])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_sets_cover_what_they_promise(classifier, method, level):
    shares, sizes = [], []
    for seed in range(1, 21):
        found = calibration.conformal_classification(classifier, *classes_of(400, seed), method=method, seed=seed)
        x, y = classes_of(2000, 100 + seed)
        sets = found.predict_set(x, level)
        shares.append(sets[np.arange(len(y)), y].mean())
        sizes.append(sets.sum(axis=1).mean())
    assert np.mean(shares) == pytest.approx(level, abs=0.012)
    assert 1 < np.mean(sizes) < 3


def test_sets_are_their_formulas(classifier):
    (x, y), (later, _) = classes_of(60, 1), classes_of(30, 2)
    p, q = classifier.predict_proba(x).astype(np.float64), classifier.predict_proba(later).astype(np.float64)
    margin = reference_explain.conformal_quantile(1 - p[np.arange(60), y], 0.9)
    got = calibration.conformal_classification(classifier, x, y).predict_set(later, 0.9)
    assert np.array_equal(got, 1 - q <= margin)
    u = [np.random.default_rng((7, i)).random((n, 1))[:, 0] for i, n in ((0, 60), (1, 30))]
    scores = [reference_explain.adaptive_score(p[i], y[i], u[0][i]) for i in range(60)]
    margin = reference_explain.conformal_quantile(scores, 0.9)
    want = [[reference_explain.adaptive_score(q[i], c, u[1][i]) <= margin + 1e-12 for c in range(4)] for i in range(30)]
    got = calibration.conformal_classification(classifier, x, y, method="aps", seed=7).predict_set(later, 0.9)
    assert np.array_equal(got, np.array(want))


def test_one_label_is_two_classes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1500, 2))
    y = (x[:, 0] + 0.5 * rng.normal(size=1500) > 0).astype(int)
    model = nn.MLP(2, (16,), 1)
    model.fit(x[:500], y[:500], loss="bce_with_logits", epochs=20)
    for method in ("lac", "aps"):
        found = calibration.conformal_classification(model, x[500:1000], y[500:1000], method=method)
        sets = found.predict_set(x[1000:], 0.9)
        assert sets.shape == (500, 2)
        assert 0.85 < sets[np.arange(500), y[1000:]].mean() < 0.95


# Real data


def shares_of(model, held, later):
    found = calibration.conformal_regression(model, held)
    return covered(found.predict_interval(later), later.labels.astype(np.float64))


@pytest.mark.parametrize("name", ["california_housing", "bike_hour"])
def test_nine_of_ten_real_rows_lie_in_their_intervals(outside_data, name):
    target = {"california_housing": "median_house_value", "bike_hour": "cnt"}[name]
    table = whet.data.read_csv(outside_data / f"{name}.csv.gz").with_target(target)
    if name == "bike_hour":
        table = table.drop(["instant", "dteday", "casual", "registered"])  # counts that the target is a sum of
    shares = []
    for seed in range(2):
        parts = whet.data.split_indices(table.rows, (0.6, 0.2, 0.2), seed=seed)
        learnt, held, later = (table.take(part) for part in parts)
        model = whet.TabularModel(target, task="regression", hidden=(64,))
        model.fit(learnt, epochs=6, seed=seed)
        shares.append(shares_of(model, held, later))
    assert all(abs(share - 0.9) <= 0.02 for share in shares), shares


# Files


def test_wrappers_save_with_the_model(regressions, classifier, tmp_path):
    plain, quantiles = regressions
    x, y = noisy(200, 5)
    labels = classes_of(200, 5)
    for made, ask in (
        (calibration.conformal_regression(plain, x, y), lambda w: w.predict_interval(x)),
        (calibration.conformal_regression(quantiles, x, y), lambda w: w.predict_interval(x)),
        (calibration.conformal_classification(classifier, *labels), lambda w: w.predict_set(labels[0])),
        (
            calibration.conformal_classification(classifier, *labels, method="aps", seed=4),
            lambda w: w.predict_set(labels[0]),
        ),
        (calibration.temperature_scaling(classifier, *labels), lambda w: w.predict_proba(labels[0])),
    ):
        made.save(tmp_path / "model.whet")
        again = whet.load(tmp_path / "model.whet")
        assert type(again) is type(made)
        assert same_bits(ask(again), ask(made))
        assert repr(again) == repr(made)
        assert again.model.fingerprint() == made.model.fingerprint()


def test_a_table_model_saves_with_its_intervals(tmp_path):
    rng = np.random.default_rng(0)
    table = {"a": rng.normal(size=400), "b": np.array(["x", "y"])[rng.integers(0, 2, 400)]}
    table["t"] = 100 * table["a"] + 50 * (table["b"] == "x") + 10 * rng.normal(size=400)
    model = whet.TabularModel("t", hidden=(16,))
    model.fit(table, epochs=20)
    made = calibration.conformal_regression(model, table)
    made.save(tmp_path / "model.whet")
    again = whet.load(tmp_path / "model.whet")
    assert same_bits(again.predict_interval(table), made.predict_interval(table))
    np.testing.assert_allclose(again.predict(table), model.predict(table))
    np.testing.assert_allclose(made.predict_interval(table).mean(axis=1), model.predict(table), rtol=1e-5)
    assert repr(again) == "ConformalRegressor(TabularModel, method='absolute', from 400 rows)"


def test_wrappers_cannot_be_changed_or_saved_with_a_spread(regressions, tmp_path):
    x, y = noisy(200, 5)
    made = calibration.conformal_regression(regressions[0], x, y, spread=lambda X: np.ones(len(X)))
    with pytest.raises(AttributeError, match="cannot be changed"):
        made.method = "absolute"
    with pytest.raises(TypeError, match="its spread is another"):
        made.save(tmp_path / "model.whet")


# What results show, and what is refused


def test_results_show_themselves(too_sure):
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    model, held, (x, y) = too_sure
    found = calibration.reliability(y, model.predict_proba(x))
    assert repr(found).startswith("Reliability(")
    network = nn.MLP(8, (8,), 2, dropout=0.5)
    spread = calibration.mc_dropout(network, x[:20], n_passes=3)
    assert repr(spread).startswith("DropoutPredictions(3 passes, 20 rows, mean deviation ")
    for result in (found, spread):
        assert result._repr_html_().startswith("<table>")
        assert result.plot().figure is not None
        assert len(result.to_pandas())
    scaled = calibration.temperature_scaling(model, *held)
    assert repr(scaled) == f"TemperatureScaled(MLP, temperature={scaled.temperature:.4g}, from 2000 rows)"
    pyplot.close("all")


def test_wrong_arguments_are_named(regressions, classifier, rng):
    x, y = noisy(30, 0)
    labels = classes_of(30, 0)
    with pytest.raises(ValueError, match="expected a model with dropout"):
        calibration.mc_dropout(regressions[0], x)
    with pytest.raises(ValueError, match="expected a model with probabilities"):
        calibration.temperature_scaling(regressions[0], x, y)
    with pytest.raises(ValueError, match="expected a fitted model of numbers"):
        calibration.conformal_regression(classifier, *labels)
    with pytest.raises(ValueError, match="expected a fitted model with probabilities"):
        calibration.conformal_classification(regressions[0], x, y)
    with pytest.raises(ValueError, match="expected a method among lac, aps, got 'raps'"):
        calibration.conformal_classification(classifier, *labels, method="raps")
    with pytest.raises(ValueError, match="expected a spread of 30 finite numbers above 0"):
        calibration.conformal_regression(regressions[0], x, y, spread=lambda X: np.zeros(len(X)))
    with pytest.raises(TypeError, match="expected a spread that is a model or a function of X, got int"):
        calibration.conformal_regression(regressions[0], x, y, spread=3)
    with pytest.raises(TypeError, match="expected spread to hold numbers"):
        calibration.conformal_regression(regressions[0], x, y, spread=lambda X: ["a"] * len(X))
    with pytest.raises(ValueError, match="expected no spread for a model of quantiles"):
        calibration.conformal_regression(regressions[1], x, y, spread=lambda X: np.ones(len(X)))
    with pytest.raises(ValueError, match="expected probabilities from 0 to 1"):
        calibration.reliability([0, 1], [[2.0, -1.0], [0.5, 0.5]])
    with pytest.raises(ValueError, match=r"expected truth among the classes \[0, 1\], got another first in row 1"):
        calibration.reliability([0, 2], [[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(ValueError, match="expected a strategy among"):
        calibration.reliability([0, 1], [0.5, 0.5], strategy="kmeans")
    with pytest.raises(ValueError, match="not empty"):
        calibration.reliability([], [])
