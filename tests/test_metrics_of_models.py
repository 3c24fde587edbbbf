"""Metrics in fit, evaluate and TabularModel: what they read of every kind of loss and model, and what is refused."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

sk = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed: the reference of these tests")

import whet  # noqa: E402
from whet import callbacks, losses, metrics, nn, optim  # noqa: E402
from whet.errors import WhetWarning  # noqa: E402
from whet.tabular import TabularModel  # noqa: E402

STILL = optim.SGD(lr=0.0)
OF_CLASSES = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier")


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def ours(model, X, y, loss, asked, **options):
    """What fit, with a rate of 0, and evaluate say; both see the same predictions."""
    history = model.fit(X, y, loss=loss, metrics=asked, optimizer=STILL, epochs=1, batch_size=64, **options)
    found = model.evaluate(X, y, options.get("sample_weight"))
    for name, value in found.items():
        assert history[name][-1] == pytest.approx(value, rel=1e-5, nan_ok=True)
    return found


@pytest.fixture(params=[False, True], ids=["plain", "weighted"])
def weights(request, rng):
    return rng.uniform(0.1, 2, 200) if request.param else None


def test_classes(rng, weights):
    X, y = rng.normal(size=(200, 4)), rng.integers(0, 3, 200)
    model = nn.MLP(4, (8,), 3).to("float64")
    asked = (*OF_CLASSES, metrics.F1(average="weighted"), metrics.TopK(2), metrics.Recall("micro", name="r"))
    found = ours(model, X, y, "cross_entropy", asked, sample_weight=weights)
    p, given = model.predict_proba(X), dict(sample_weight=weights)
    label = p.argmax(axis=1)
    want = {
        "loss": sk.log_loss(y, p, **given),
        "accuracy": sk.accuracy_score(y, label, **given),
        "balanced_accuracy": sk.balanced_accuracy_score(y, label, **given),
        "precision": sk.precision_score(y, label, average="macro", zero_division=0, **given),
        "recall": sk.recall_score(y, label, average="macro", **given),
        "f1": sk.f1_score(y, label, average="macro", **given),
        "roc_auc": sk.roc_auc_score(y, p, multi_class="ovr", **given),
        "log_loss": sk.log_loss(y, p, **given),
        "brier": sk.brier_score_loss(y, p, **given),
        "f1_weighted": sk.f1_score(y, label, average="weighted", **given),
        "top_k": sk.top_k_accuracy_score(y, p, k=2, **given),
        "r": sk.recall_score(y, label, average="micro", **given),
    }
    assert found == pytest.approx(want, rel=1e-9)


def test_one_label(rng, weights):
    X, y = rng.normal(size=(200, 4)), rng.integers(0, 2, 200)
    model = nn.Linear(4, 1).to("float64")
    found = ours(
        model, X, y, "bce_with_logits", (*OF_CLASSES, metrics.F1(pos_label=0, name="f0")), sample_weight=weights
    )
    p, given = model.predict_proba(X)[:, 0], dict(sample_weight=weights)
    label = p > 0.5
    want = {
        "loss": sk.log_loss(y, p, **given),
        "accuracy": sk.accuracy_score(y, label, **given),
        "balanced_accuracy": sk.balanced_accuracy_score(y, label, **given),
        "precision": sk.precision_score(y, label, **given),
        "recall": sk.recall_score(y, label, **given),
        "f1": sk.f1_score(y, label, **given),
        "roc_auc": sk.roc_auc_score(y, p, **given),
        "log_loss": sk.log_loss(y, p, **given),
        "brier": sk.brier_score_loss(y, p, **given),
        "f0": sk.f1_score(y, label, pos_label=0, **given),
    }
    assert found == pytest.approx(want, rel=1e-9)


def test_several_labels_a_row(rng, weights):
    X, y = rng.normal(size=(200, 4)), rng.integers(0, 2, (200, 3))
    model = nn.Linear(4, 3).to("float64")
    asked = [name for name in OF_CLASSES if name != "balanced_accuracy"]
    found = ours(model, X, y, "bce_with_logits", asked, sample_weight=weights)
    p, given = model.predict_proba(X), dict(sample_weight=weights)
    label = p > 0.5
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, label, **given))
    for name in ("precision", "recall", "f1"):
        want = getattr(sk, f"{name}_score")(y, label, average="macro", **given)
        assert found[name] == pytest.approx(want)
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(y, p, **given))
    assert found["log_loss"] == pytest.approx(found["loss"])
    columns = [sk.brier_score_loss(y[:, i], p[:, i], **given) for i in range(3)]
    assert found["brier"] == pytest.approx(np.mean(columns))
    for asked, message in ((metrics.BalancedAccuracy(), "one label a row, got 3"), (metrics.TopK(), "with classes")):
        with pytest.raises(ValueError, match=message):
            model.fit(X, y, loss="bce_with_logits", metrics=asked)


@pytest.mark.parametrize(
    ("loss", "read"),
    [
        ("mse", lambda z: z),
        ("poisson", np.exp),
        ("gamma", np.exp),
        (losses.PoissonNLLLoss(log_input=False), lambda z: z),
    ],
)
def test_numbers_are_in_the_targets_unit(rng, weights, loss, read):
    X, y = rng.normal(size=(200, 4)), rng.uniform(0.5, 3, 200)
    model = nn.Sequential(nn.Linear(4, 1), nn.Softplus()).to("float64")
    found = ours(model, X, y, loss, ("mae", "rmse", "mape", "r2"), sample_weight=weights)
    value, given = read(model.predict(X)[:, 0]), dict(sample_weight=weights)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(y, value, **given))
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(y, value, **given))
    assert found["mape"] == pytest.approx(sk.mean_absolute_percentage_error(y, value, **given))
    assert found["r2"] == pytest.approx(sk.r2_score(y, value, **given))


class Members(nn.Module):
    """Rows become (4 members, outputs)."""

    def __init__(self, outputs):
        self.view, self.linear = nn.EnsembleView(k=4), nn.LinearEnsemble(3, outputs, k=4)

    def forward(self, x):
        return self.linear(self.view(x))


@pytest.mark.parametrize(
    ("kind", "outputs"), [("mse", 2), ("bce_with_logits", 1), ("bce_with_logits", 2), ("cross_entropy", 3)]
)
def test_metrics_of_members_are_of_their_mean(rng, weights, kind, outputs):
    X = rng.normal(size=(200, 3))
    y = {"mse": rng.normal(size=(200, 2)), "cross_entropy": rng.integers(0, 3, 200)}.get(kind)
    y = rng.integers(0, 2, (200, outputs)) if y is None else y
    model, given = Members(outputs).to("float64"), dict(sample_weight=weights)
    asked = ("mae", "r2") if kind == "mse" else ("accuracy", "f1", "roc_auc", "log_loss", "brier")
    found = ours(model, X, y, losses.MemberLoss(kind), asked, **given)
    output = model.predict(X)
    assert output.shape == (200, 4, outputs)
    if kind == "mse":
        mean = output.mean(axis=1)
        assert found["mae"] == pytest.approx(sk.mean_absolute_error(y, mean, **given))
        assert found["r2"] == pytest.approx(sk.r2_score(y, mean, **given))
        with pytest.raises(ValueError, match="not a loss of probabilities"):
            model.predict_proba(X)
        return
    p = (softmax(output) if kind == "cross_entropy" else 1 / (1 + np.exp(-output))).mean(axis=1)
    np.testing.assert_allclose(model.predict_proba(X), p, rtol=1e-12)
    label = p.argmax(axis=1) if kind == "cross_entropy" else p > 0.5
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, label, **given))
    average = "binary" if outputs == 1 else "macro"
    assert found["f1"] == pytest.approx(sk.f1_score(y, label, average=average, **given))
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr", **given))
    if outputs != 2:
        assert found["log_loss"] == pytest.approx(sk.log_loss(y, p, **given))
        assert found["brier"] == pytest.approx(sk.brier_score_loss(y, p, **given))


def test_members_of_a_table(rng):
    X = rng.normal(size=200)
    table = {"x": X, "y": np.where(X > 0, "yes", "no"), "z": 100 + 5 * X}
    for target, kind in (("y", "cross_entropy"), ("z", "mse")):
        model = whet.TabularModel(target, network=lambda features, outputs: Wide(features, outputs))
        model.fit(
            table, loss=losses.MemberLoss(kind), epochs=60, optimizer=optim.Adam(lr=0.05), validation_fraction=0.2
        )
        found = model.evaluate(table)
        predicted = model.predict(table)
        assert predicted.shape == (200,)
        if target == "y":
            assert found["accuracy"] == np.mean(predicted == table["y"]) > 0.95
            assert model.predict_proba(table).shape == (200, 2)
        else:
            assert found["rmse"] == pytest.approx(np.sqrt(np.mean((predicted - table["z"]) ** 2)))
            assert found["r2"] > 0.9


class Wide(Members):
    def __init__(self, features, outputs):
        self.view, self.linear = nn.EnsembleView(k=4), nn.LinearEnsemble(features, outputs, k=4)


class Spread(nn.Module):
    """A mean and a variance, side by side or as a tuple."""

    def __init__(self, several=False):
        self.mean, self.deviation, self.several = nn.Linear(3, 1), nn.Linear(3, 1), several

    def forward(self, x):
        parts = self.mean(x), nn.functional.exp(self.deviation(x))
        return parts if self.several else nn.concatenate(parts)


def test_means_of_a_likelihood(rng):
    X, y = rng.normal(size=(200, 3)), rng.normal(size=200)
    model = Spread()
    found = ours(model, X, y, "gaussian_nll", ("mae", "r2"))
    assert found["mae"] == pytest.approx(np.mean(abs(y - model.predict(X)[:, 0])), rel=1e-6)


@pytest.mark.parametrize(
    ("model", "loss", "y", "metric", "message"),
    [
        (nn.Linear(3, 2), lambda p, t: (p[:, :1] - t) ** 2, 1, "mae", r"each column of y, got \(2,\) for \(1,\)"),
        (Spread(True), lambda p, t: (p[0] - t) ** 2, 2, "mae", "a model with one output, got one with several"),
        (nn.Linear(3, 2), "cosine_embedding", 1, "rmse", "an output for each column"),
        (nn.Linear(3, 1), lambda p, t: (p - t) ** 2, 1, "accuracy", "a loss with classes"),
        (nn.Linear(3, 1), "hinge", 1, "log_loss", "a loss of probabilities"),
        (nn.Linear(3, 1), "hinge", 1, "r2", "a loss without classes"),
        (nn.Linear(3, 3), "cross_entropy", 0, metrics.F1("binary"), "'binary' needs two classes"),
        (nn.Linear(3, 1), "mse", 1, ["mae", "mae"], "different names, got 'mae' twice"),
        (nn.Linear(3, 1), "mse", 1, metrics.MAE, None),
        (nn.Linear(3, 1), "mse", 1, [3], None),
    ],
)  # fmt: skip
def test_what_a_model_cannot_have_is_refused_before_training(rng, model, loss, y, metric, message):
    target = np.ones((20, y)) if y else rng.integers(0, 3, 20)
    before = model.initialize(0).fingerprint()
    with pytest.raises(ValueError if message else TypeError, match=message):
        model.fit(rng.normal(size=(20, 3)), target, loss=loss, metrics=metric)
    assert model.fingerprint() == before
    assert model.history is None


# Functions of one's own


def test_functions_see_targets_and_predictions(rng, weights):
    seen = {}

    def look(truth, prediction):
        seen["truth"], seen["prediction"] = truth, prediction
        return len(truth)

    X = rng.normal(size=(200, 3))
    labels, classes, numbers = rng.integers(0, 2, 200), rng.integers(0, 3, 200), rng.uniform(size=200)
    for model, loss, y, shape in (
        (nn.Linear(3, 1), "mse", numbers, (200,)),
        (nn.Linear(3, 1), "bce_with_logits", labels, (200,)),
        (nn.Linear(3, 3), "cross_entropy", classes, (200, 3)),
        (nn.Linear(3, 2), "mse", np.column_stack([numbers] * 2), (200, 2)),
        (Members(1), losses.MemberLoss("bce_with_logits"), labels, (200,)),
    ):
        assert ours(model, X, y, loss, look, sample_weight=weights)["look"] == 200
        np.testing.assert_allclose(seen["truth"], y, rtol=1e-6)
        assert seen["prediction"].shape == shape
        want = model.predict(X) if loss == "mse" else model.predict_proba(X)
        assert np.array_equal(seen["prediction"].reshape(want.shape), want)
    model = nn.Linear(3, 1)
    ours(model, X, numbers, "poisson", look)
    np.testing.assert_allclose(seen["prediction"], np.exp(model.predict(X)[:, 0]), rtol=1e-6)
    model = Spread(True)
    ours(model, X, numbers, lambda p, t: (p[0] - t) ** 2 + p[1], look)
    assert [part.shape for part in seen["prediction"]] == [(200, 1), (200, 1)]


def test_functions_take_weights_if_they_can(rng):
    X, y, weights = rng.normal(size=(90, 3)), rng.normal(size=90), rng.uniform(size=90)

    def plain(truth, prediction):
        return np.mean(abs(truth - prediction))

    asked = [sk.mean_absolute_error, "mae", plain, metrics.Metric("first", lambda t, p: p[0, 0], "outputs", True)]
    model = nn.Linear(3, 1)
    found = ours(model, X, y, "mse", asked, sample_weight=weights)
    assert found["mean_absolute_error"] == pytest.approx(found["mae"])
    assert found["plain"] == pytest.approx(np.mean(abs(y - model.predict(X)[:, 0])), rel=1e-6)
    assert found["first"] == model.predict(X)[0, 0]
    assert metrics.get(metrics.f1) == metrics.get("f1")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_functions_cannot_write_to_what_they_get(rng, place):
    """What was written to would be what other metrics read, and the user's own y and weights."""

    def zeros(truth, prediction, sample_weight):
        (truth, prediction, sample_weight)[place][...] = 0
        return 0.0

    X, y, weights = rng.normal(size=(9, 3)), rng.normal(size=(9, 1)), np.ones(9)
    with pytest.raises(ValueError, match="read-only"):
        nn.Linear(3, 1).to("float64").fit(X, y, loss="mse", metrics=zeros, sample_weight=weights, epochs=1)


@pytest.mark.parametrize("wrong", [lambda t, p: None, lambda t, p: p, lambda t, p: "0.5"])
def test_functions_return_a_number(rng, wrong):
    with pytest.raises(TypeError, match="<lambda> to return one number"):
        nn.Linear(3, 1).fit(rng.normal(size=(9, 3)), np.ones(9), loss="mse", metrics=wrong)


def test_the_direction_of_a_function_is_asked_for(rng):
    def bias(truth, prediction):
        return float(np.mean(prediction - truth))

    data = rng.normal(size=(40, 3)), rng.normal(size=40)
    arguments = dict(loss="mse", metrics=bias, epochs=2, validation_data=data)
    with pytest.raises(ValueError, match="stop_at to name what has a direction, got the function 'bias'"):
        nn.Linear(3, 1).fit(*data, stop_at={"bias": 1.0}, **arguments)
    with pytest.raises(
        ValueError, match="mode 'min' or 'max': nobody knows which is better of the function 'val_bias'"
    ):
        nn.Linear(3, 1).fit(*data, callbacks=callbacks.EarlyStopping("val_bias"), **arguments)
    nn.Linear(3, 1).fit(*data, callbacks=callbacks.EarlyStopping("val_bias", mode="min"), **arguments)


# Weights, files and tables


def test_validation_is_weighted(rng):
    X, y, weights = rng.normal(size=(90, 3)), rng.normal(size=90), rng.uniform(size=90)
    model = nn.Linear(3, 1)
    history = model.fit(X, y, loss="mse", metrics="r2", epochs=2, validation_data=(X, y, weights))
    want = model.evaluate(X, y, weights)
    assert (history["val_loss"][-1], history["val_r2"][-1]) == (want["loss"], want["r2"])
    assert want["loss"] == pytest.approx(np.average((y - model.predict(X)[:, 0]) ** 2, weights=weights), rel=1e-5)
    assert want != model.evaluate(X, y)
    history = model.fit(X, y, loss="mse", epochs=1, validation_fraction=0.3, sample_weight=weights)
    apart = np.sort(whet._core.random_permutation(0, 90)[:27])
    assert history["val_loss"][-1] == pytest.approx(model.evaluate(X[apart], y[apart], weights[apart])["loss"])
    with pytest.raises(ValueError, match=r"\[evaluate\] expected sample_weight with shape \(90,\)"):
        model.evaluate(X, y, weights[:3])
    with pytest.raises(TypeError, match="validation_data to be"):
        model.fit(X, y, loss="mse", validation_data=(X, y, weights, 1))


def test_weights_of_a_table(rng):
    table = {"x": rng.normal(size=80), "y": rng.normal(size=80), "c": rng.choice(["a", "b", "c"], 80)}
    weights = rng.uniform(size=80)
    model = whet.TabularModel("y")
    model.fit(table, epochs=2)
    found = model.evaluate(table, weights)
    assert found["mae"] == pytest.approx(
        sk.mean_absolute_error(table["y"], model.predict(table), sample_weight=weights)
    )
    model = whet.TabularModel("c")
    history = model.fit(table, epochs=2, metrics=["f1", sk.log_loss], sample_weight=weights, validation_fraction=0.5)
    found = model.evaluate(table, weights)
    want = sk.f1_score(table["c"], model.predict(table), average="macro", sample_weight=weights)
    assert found["f1"] == pytest.approx(want)
    want = sk.log_loss(table["c"], model.predict_proba(table), sample_weight=weights)
    assert found["log_loss"] == pytest.approx(want, rel=1e-5)
    assert {"val_f1", "val_log_loss"} <= set(history)


def test_options_and_names_are_saved(rng, tmp_path):
    X, y = rng.normal(size=(60, 3)), rng.integers(0, 3, 60)
    asked = ("auc", "f1", metrics.F1("weighted"), metrics.TopK(1), metrics.Recall(zero_division=1.0, name="r"), len_of)
    model = nn.Linear(3, 3)
    history = model.fit(X, y, loss="cross_entropy", metrics=asked, epochs=1)
    assert [*history][2:] == ["auc", "f1", "f1_weighted", "top_1", "r", "len_of"]
    model.save(tmp_path / "m.whet")
    found = model.evaluate(X, y)
    del found["len_of"]
    loaded = whet.load(tmp_path / "m.whet")
    with pytest.warns(WhetWarning, match="'len_of' is absent"):
        assert loaded.evaluate(X, y) == found
    assert loaded._metrics[:-1] == model._metrics[:-1]
    table = whet.TabularModel("y")
    table.fit({"x": X[:, 0], "y": y}, metrics=asked, epochs=1)
    table.save(tmp_path / "t.whet")
    with pytest.warns(WhetWarning, match="'len_of' is absent"):
        assert {*whet.load(tmp_path / "t.whet").evaluate({"x": X[:, 0], "y": y})} == found.keys()


def test_what_is_no_description_of_a_metric_is_refused():
    for wrong in ({"metric": "f2"}, {"metric": "f1", "beta": 2}, {"name": "f1"}, 3):
        with pytest.raises(ValueError, match=r"\[metrics\] expected the description of a metric"):
            metrics.restored([wrong])
    asked = metrics.F1(zero_division=float("nan"))
    assert repr(metrics.restored(json.loads(json.dumps(metrics.own([asked]))))) == repr((asked,))


def len_of(truth, prediction):
    return len(truth)


def own_error(truth, prediction):
    return float(abs(truth - prediction).max())


def test_functions_of_a_loaded_model_are_told_to_be_absent(rng, tmp_path):
    X, y = rng.normal(size=(60, 3)), rng.normal(size=60)
    model = nn.Linear(3, 1)
    model.fit(X, y, loss="mse", metrics=["mae", own_error], epochs=1)
    table = TabularModel("y", hidden=())
    table.fit({"x": X[:, 0], "y": y}, metrics=["mae", own_error], epochs=1)
    for each, rows in ((model, (X, y)), (table, ({"x": X[:, 0], "y": y},))):
        each.save(tmp_path / "a.whet")
        loaded = whet.load(tmp_path / "a.whet")
        loaded.save(tmp_path / "b.whet")
        for twin in (loaded, whet.load(tmp_path / "b.whet")):
            with pytest.warns(WhetWarning, match="the metric 'own_error' is absent: it is a function") as told:
                found = twin.evaluate(*rows)
            assert len(told) == 1
            wanted = each.evaluate(*rows)
            assert found == {name: wanted[name] for name in ("loss", "mae")}
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                twin.evaluate(*rows)
