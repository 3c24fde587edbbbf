"""Metrics against scikit-learn's functions of the same meaning."""

import numpy as np
import pytest

sk = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed: the reference of these tests")

import whet  # noqa: E402
from whet import losses, metrics, nn  # noqa: E402


@pytest.fixture(params=[0, 1, 2])
def rng(request):
    return np.random.default_rng(request.param)


def test_regression(rng):
    truth, prediction = rng.normal(size=(2, 57, 3))
    assert metrics.mae(truth, prediction) == pytest.approx(sk.mean_absolute_error(truth, prediction))
    assert metrics.rmse(truth, prediction) == pytest.approx(sk.root_mean_squared_error(truth, prediction))
    assert metrics.r2(truth, prediction) == pytest.approx(sk.r2_score(truth, prediction))


def test_shapes_of_one_column_are_equal(rng):
    truth, prediction = rng.normal(size=(2, 31))
    for metric in (metrics.mae, metrics.rmse, metrics.r2):
        assert metric(truth, prediction) == metric(truth, prediction[:, None]) == metric(truth[:, None], prediction)


@pytest.mark.parametrize("prediction", [[1.0, 1.0, 1.0], [1.0, 2.0, 1.0]])
def test_r2_of_a_constant_truth(prediction):
    assert metrics.r2([1.0, 1.0, 1.0], prediction) == sk.r2_score([1.0, 1.0, 1.0], prediction)


def test_labels(rng):
    truth, prediction = rng.integers(0, 4, size=(2, 200))
    assert metrics.accuracy(truth, prediction) == sk.accuracy_score(truth, prediction)
    assert metrics.f1(truth, prediction) == pytest.approx(sk.f1_score(truth, prediction, average="macro"))
    assert metrics.f1(truth > 1, prediction > 1) == pytest.approx(sk.f1_score(truth > 1, prediction > 1))


def test_f1_where_class_one_is_nowhere():
    assert metrics.f1([0, 0], [0, 0]) == 0


def test_probabilities(rng):
    truth = rng.integers(0, 3, size=300)
    scores = rng.random((300, 3)).round(1)  # ties
    probabilities = (scores + 0.1) / (scores + 0.1).sum(axis=1, keepdims=True)
    assert metrics.log_loss(truth, probabilities) == pytest.approx(sk.log_loss(truth, probabilities))
    expected = sk.roc_auc_score(truth, probabilities, multi_class="ovr")
    assert metrics.auc(truth, probabilities) == pytest.approx(expected)
    binary = truth > 0
    assert metrics.auc(binary, probabilities[:, 1]) == pytest.approx(sk.roc_auc_score(binary, probabilities[:, 1]))
    assert metrics.log_loss(binary, probabilities[:, 1]) == pytest.approx(sk.log_loss(binary, probabilities[:, 1]))


def test_log_loss_of_a_certain_mistake_is_finite():
    assert np.isfinite(metrics.log_loss([0, 1], np.array([[0.0, 1.0], [0.0, 1.0]])))


def test_auc_of_one_class_is_nan_with_a_warning():
    with pytest.warns(whet.WhetWarning, match="both classes"):
        assert np.isnan(metrics.auc([1, 1], [0.2, 0.3]))


@pytest.mark.parametrize(
    ("metric", "arguments"),
    [
        (metrics.log_loss, ([-1], [[0.5, 0.5]])),
        (metrics.log_loss, ([0.7], [[0.5, 0.5]])),
        (metrics.log_loss, ([5], [[0.5, 0.5]])),
        (metrics.log_loss, ([0, 1], [1.5, -2.0])),
        (metrics.log_loss, ([0, 2], [0.5, 0.5])),
        (metrics.auc, ([0, 1], [np.nan, 1])),
        (metrics.auc, (["a", "b"], [0.1, 0.2])),
        (metrics.rmse, (np.ones((2, 3)), np.ones((3, 2)))),
        (metrics.accuracy, (np.ones((3, 1)), np.ones((1, 3)))),
    ],
)
def test_what_has_no_meaning_is_refused(metric, arguments):
    with pytest.raises(ValueError, match=r"\[metrics\] expected"):
        metric(*arguments)


@pytest.mark.parametrize("metric", [metrics.mae, metrics.rmse, metrics.r2, metrics.accuracy, metrics.f1])
def test_shapes_that_do_not_fit_are_refused(metric):
    with pytest.raises(ValueError, match="one shape"):
        metric([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="not empty"):
        metric([], [])


def test_names():
    with pytest.raises(ValueError, match="expected one of accuracy, balanced_accuracy"):
        metrics.get("acc")
    with pytest.raises(TypeError, match="expected strings"):
        metrics.get([3])
    assert [metric.name for metric in metrics.get("auc")] == ["auc"]
    for name in ("loss", "lr", "epoch", "val_f1"):
        with pytest.raises(ValueError, match=f"another name than '{name}'"):
            metrics.get(metrics.F1(name=name))


def test_a_metric_of_ones_own(rng):
    bias = metrics.Metric("bias", lambda truth, output: float(np.mean(output - truth)), "values", False)
    X, y = rng.normal(size=(40, 2)), rng.normal(size=40)
    model = nn.Linear(2, 1)
    history = model.fit(X, y, loss="mse", epochs=2, metrics=bias)
    assert len(history["bias"]) == 2
    assert model.evaluate(X, y)["bias"] == pytest.approx(np.mean(model.predict(X)[:, 0] - y), abs=1e-6)


def test_class_metrics_need_a_loss_of_classes(rng):
    """Before anything is trained."""
    for loss, metric, outputs in (("mse", "accuracy", 1), ("cross_entropy", "rmse", 2)):
        model = nn.Linear(2, outputs).initialize(0)
        before = model.fingerprint()
        with pytest.raises(ValueError, match=f"{metric} needs a loss with"):
            model.fit(rng.normal(size=(9, 2)), rng.integers(0, 2, 9), loss=loss, metrics=metric)
        assert model.fingerprint() == before
        assert model.history is None


@pytest.mark.parametrize("loss", ["cross_entropy", "bce_with_logits"])
def test_reported_metrics_are_those_of_the_predictions(rng, loss):
    X, y = rng.normal(size=(150, 3)), rng.integers(0, 2, 150)
    model = nn.Linear(3, 2 if loss == "cross_entropy" else 1)
    model.fit(X, y, loss=loss, epochs=3, metrics=("accuracy", "auc", "log_loss", "f1"))
    found = model.evaluate(X, y)
    probability = model.predict_proba(X)[:, -1]
    assert found["accuracy"] == sk.accuracy_score(y, probability > 0.5)
    assert found["auc"] == pytest.approx(sk.roc_auc_score(y, probability))
    assert found["log_loss"] == pytest.approx(sk.log_loss(y, probability), rel=1e-5)
    assert found["log_loss"] == pytest.approx(found["loss"], rel=1e-5)
    assert found["f1"] == pytest.approx(sk.f1_score(y, probability > 0.5))


def test_no_probabilities_of_a_regression():
    with pytest.raises(ValueError, match="not a loss of probabilities"):
        losses.get("mse").probabilities(np.zeros((1, 1), np.float32))
