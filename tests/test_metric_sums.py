"""Metrics that the core sums in one pass: beside the functions of whet.metrics, in parts and while training."""

from __future__ import annotations

import numpy as np
import pytest

from whet import losses, metrics, nn, optim
from whet.training.measuring import Measuring

STILL = optim.SGD(lr=0.0)
AVERAGES = ("macro", "micro", "weighted")


def of_labels(truth, label, average):
    return {
        "accuracy": lambda **w: metrics.accuracy(truth, label, **w),
        **{
            f"{name}_{average}": lambda name=name, **w: getattr(metrics, name)(truth, label, average=average, **w)
            for name in ("precision", "recall", "f1")
        },
    }


def asked_of_labels(average):
    return ["accuracy", metrics.Precision(average), metrics.Recall(average), metrics.F1(average)]


def exact(got, want):
    assert got == pytest.approx(want, rel=1e-12, abs=1e-14)


def trained(model, X, y, loss, asked, weights, **options):
    """Metrics of an epoch of shuffled batches that changes nothing."""
    history = model.fit(
        X, y, loss=loss, metrics=asked, optimizer=STILL, epochs=1, batch_size=37, sample_weight=weights, **options
    )
    return {name: history[name][0] for name in history if name not in ("loss", "lr")}


@pytest.fixture(params=[False, True], ids=["plain", "weighted"])
def weights(request, rng):
    return rng.uniform(0.1, 2, 600) * (rng.random(600) > 0.1) if request.param else None


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("classes", [2, 5])
def test_classes(rng, weights, classes, average):
    X, y = rng.normal(size=(600, 4)), rng.integers(0, classes, 600)
    model = nn.Linear(4, classes).to("float64")
    asked = [*asked_of_labels(average), "balanced_accuracy", "log_loss", "brier", metrics.TopK(2)]
    p, given = model.predict(X), dict(sample_weight=weights)
    label = p.argmax(axis=1)
    likely = np.exp(p) / np.exp(p).sum(axis=1, keepdims=True)
    want = {name: function(**given) for name, function in of_labels(y, label, average).items()}
    want["balanced_accuracy"] = metrics.balanced_accuracy(y, label, **given)
    want["log_loss"], want["brier"] = metrics.log_loss(y, likely, **given), metrics.brier(y, likely, **given)
    want["top_k"] = metrics.top_k(y, p, **given)
    exact(trained(model, X, y, "cross_entropy", asked, weights), want)
    exact(model.evaluate(X, y, weights), {"loss": model.evaluate(X, y, weights)["loss"], **want})


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("loss", ["bce_with_logits", "soft_margin"])
def test_labels(rng, weights, labels, average, loss):
    X, y = rng.normal(size=(600, 4)), rng.integers(0, 2, (600, labels))
    model = nn.Linear(4, labels).to("float64")
    asked = [*asked_of_labels(average), "log_loss", "brier"]
    p, given = model.predict(X), dict(sample_weight=weights)
    truth = y[:, 0] if labels == 1 else y
    label, likely = (p > 0).astype(int).reshape(truth.shape), (1 / (1 + np.exp(-p))).reshape(truth.shape)
    want = {name: function(**given) for name, function in of_labels(truth, label, average).items()}
    want["log_loss"], want["brier"] = metrics.log_loss(truth, likely, **given), metrics.brier(truth, likely, **given)
    exact(trained(model, X, y, loss, asked, weights), want)
    exact(model.evaluate(X, y, weights), {"loss": model.evaluate(X, y, weights)["loss"], **want})


@pytest.mark.parametrize(
    ("loss", "outputs", "read"),
    [
        ("mse", 1, lambda z: z),
        ("mse", 3, lambda z: z),
        ("poisson", 2, np.exp),
        (losses.QuantileLoss((0.1, 0.4, 0.9)), 3, lambda z: z[:, 1:2]),
        ("gaussian_nll", 4, lambda z: z[:, :2]),
        (lambda prediction, y: ((prediction - y) ** 2).mean(), 2, lambda z: z),
    ],
    ids=["one", "several", "link", "quantiles", "means", "function"],
)
def test_values(rng, weights, loss, outputs, read):
    X = rng.normal(size=(600, 4))
    model = nn.Sequential(nn.Linear(4, outputs), nn.Softplus()).to("float64")
    values = read(model.predict(X))
    y = rng.uniform(0.5, 3, values.shape) + 1000 * (loss == "mse")
    given = dict(sample_weight=weights)
    want = {name: getattr(metrics, name)(y, values, **given) for name in ("mae", "rmse", "mape", "r2")}
    want["r2_variance_weighted"] = metrics.r2(y, values, multioutput="variance_weighted", **given)
    asked = ["mae", "rmse", "mape", "r2", metrics.R2("variance_weighted")]
    exact(trained(model, X, y, loss, asked, weights), want)
    exact(model.evaluate(X, y, weights), {"loss": model.evaluate(X, y, weights)["loss"], **want})


def test_rows_that_the_loss_ignores_are_left_out(rng):
    X, y = rng.normal(size=(600, 4)), rng.integers(0, 3, 600)
    model = nn.Linear(4, 3).to("float64")
    asked = ["accuracy", "balanced_accuracy", "log_loss", "top_k"]
    for ignored in (-100, 1, 255):
        some = np.where(rng.random(600) < 0.3, ignored, y)
        kept = some != ignored
        loss = losses.CrossEntropyLoss(ignore_index=ignored)
        found = trained(model, X, some, loss, asked, None)
        want = model.evaluate(X[kept], some[kept])
        exact(found, {name: want[name] for name in found})


def test_a_zero_weight_counts_no_row_but_names_its_class():
    """As precision and recall of labels that occur, whatever rows of them weigh."""
    truth, output = np.array([0, 1, 2]), np.eye(4)[[0, 1, 2]]
    weights = np.array([1.0, 1.0, 0.0])
    seen = metrics.Predictions(truth, output, losses.get("cross_entropy"), weights)
    assert metrics.Recall("macro").score(seen) == metrics.recall(truth, truth, average="macro", sample_weight=weights)


def test_bits_do_not_depend_on_threads(rng, threads):
    X, y = rng.normal(size=(5000, 8)), rng.integers(0, 4, 5000)
    asked = ["accuracy", "log_loss", "brier", "top_k", "roc_auc"]
    found = []
    for n in (1, 2):
        threads(n)
        model = nn.MLP(8, (16,), 4)
        history = model.fit(
            X, y, loss="cross_entropy", metrics=asked, epochs=2, validation_fraction=0.3, batch_size=700
        )
        found.append({name: history[name] for name in history})
    assert found[0] == found[1]


def test_predictions_are_kept_only_for_what_reads_all_of_them(rng, monkeypatch):
    X, y = rng.normal(size=(100, 3)), rng.integers(0, 2, 100)
    kept = []
    original = Measuring.predictions
    monkeypatch.setattr(Measuring, "predictions", lambda *given: kept.append(original(*given)) or kept[-1])
    model = nn.Linear(3, 2)
    for asked, shape in ((["accuracy", "f1", "log_loss", "brier", "top_k"], None), (["auc"], (100, 2))):
        model.fit(X, y, loss="cross_entropy", metrics=asked, epochs=1)
        assert getattr(kept[-1], "shape", None) == shape


def test_what_a_step_that_throws_has_summed_is_forgotten(rng, tmp_path):
    """Interrupted in the second block of rows of a step and resumed: metrics are those of a fit without a pause."""
    X, y = rng.normal(size=(40_000, 3)), rng.normal(size=40_000)
    calls = 0

    def squares(prediction, target):
        nonlocal calls
        calls += 1
        if calls == 4:
            assert len(target) < 10_000, "a batch is two blocks of rows"
            raise KeyboardInterrupt
        apart = prediction - target
        return (apart**2)[:, 0], 2 * apart

    def fitted(**options):
        model = nn.Linear(3, 1).to("float64")
        loss = losses.NumPyLoss(squares)
        history = model.fit(X, y, loss=loss, metrics=["mae", "r2"], epochs=2, batch_size=20_000, **options)
        return [*history["mae"], *history["r2"]]

    kept = dict(checkpoint=tmp_path / "run", checkpoint_every=1)
    with pytest.raises(KeyboardInterrupt):
        fitted(**kept)
    assert fitted(resume=True, **kept) == fitted()
