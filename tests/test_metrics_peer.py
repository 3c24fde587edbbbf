"""Every metric and option against scikit-learn's, on drawn data: ties, classes that are missing, weights, one row."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sk = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed: the reference of these tests")

from whet import WhetWarning, metrics  # noqa: E402

AVERAGES = ["macro", "micro", "weighted"]
drawn = settings(max_examples=60, deadline=None)


@st.composite
def rows(draw, least=1):
    """(generator, rows, weights or None): what a test draws its arrays from."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(least, 40))
    weights = draw(st.sampled_from(["none", "real", "some are 0"]))
    given = {"none": None, "real": rng.uniform(0.1, 3, n), "some are 0": rng.integers(0, 3, n).astype(float)}[weights]
    return rng, n, given if given is None or given.any() else np.ones(n)


def quiet(function, *arguments, **options):
    """What scikit-learn says; its warnings are of what whet says by NaN or a number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


def same(got, want):
    assert got == pytest.approx(want, rel=1e-12, abs=1e-14, nan_ok=True)


@drawn
@given(rows(), st.integers(1, 5), st.sampled_from([int, np.int8, np.float64, str]))
def test_labels(drawn, classes, dtype):
    rng, n, weights = drawn
    truth, prediction = rng.integers(0, classes, (2, n)).astype(dtype)
    same(
        metrics.accuracy(truth, prediction, sample_weight=weights),
        sk.accuracy_score(truth, prediction, sample_weight=weights),
    )
    for adjusted in (False, True):
        want = quiet(sk.balanced_accuracy_score, truth, prediction, adjusted=adjusted, sample_weight=weights)
        if np.isfinite(want):
            same(metrics.balanced_accuracy(truth, prediction, adjusted=adjusted, sample_weight=weights), want)


@drawn
@given(rows(), st.integers(1, 5), st.sampled_from(AVERAGES), st.sampled_from([0.0, 1.0, np.nan]), st.booleans())
def test_precision_recall_and_f1(drawn, classes, average, zero, several):
    rng, n, weights = drawn
    shape = (2, n, classes) if several and classes > 1 else (2, n)
    truth, prediction = rng.integers(0, 2 if len(shape) == 3 else classes, shape)
    options = dict(average=average, zero_division=zero, sample_weight=weights)
    for name in ("precision", "recall", "f1"):
        want = quiet(getattr(sk, f"{name}_score"), truth, prediction, **options)
        same(getattr(metrics, name)(truth, prediction, **options), want)
    if len(shape) == 3:
        same(
            metrics.accuracy(truth, prediction, sample_weight=weights),
            sk.accuracy_score(truth, prediction, sample_weight=weights),
        )


@drawn
@given(rows(), st.sampled_from([0, 1]), st.sampled_from([0.0, 1.0]))
def test_one_label_of_interest(drawn, label, zero):
    rng, n, weights = drawn
    truth, prediction = rng.integers(0, 2, (2, n))
    truth[0], prediction[0] = 0, 1
    options = dict(pos_label=label, zero_division=zero, sample_weight=weights)
    for name in ("precision", "recall", "f1"):
        want = quiet(getattr(sk, f"{name}_score"), truth, prediction, **options)
        same(getattr(metrics, name)(truth, prediction, **options), want)
        same(getattr(metrics, name)(truth == 1, prediction == 1, **options), want)
        words = np.array(["no", "yes"])
        same(
            getattr(metrics, name)(
                words[truth], words[prediction], average="binary", **{**options, "pos_label": words[label]}
            ),
            want,
        )


@drawn
@given(rows(least=6), st.integers(3, 5))
def test_probabilities_of_classes(drawn, classes):
    rng, n, weights = drawn
    truth = np.concatenate([np.arange(classes), rng.integers(0, classes, n)])
    weights = None if weights is None else np.concatenate([np.ones(classes), weights])
    p = rng.uniform(size=(len(truth), classes)).round(1) + 0.05  # ties
    p /= p.sum(axis=1, keepdims=True)
    given = dict(sample_weight=weights)
    same(metrics.log_loss(truth, p, **given), sk.log_loss(truth, p, **given))
    for half in ("auto", True, False):
        want = sk.brier_score_loss(truth, p, scale_by_half=half, **given)
        same(metrics.brier(truth, p, scale_by_half=half, **given), want)
    for average in AVERAGES:
        want = sk.roc_auc_score(truth, p, multi_class="ovr", average=average, **given)
        same(metrics.roc_auc(truth, p, average=average, **given), want)
    for k in range(1, classes + 1):
        want = quiet(sk.top_k_accuracy_score, truth, p, k=k, **given)
        same(metrics.top_k(truth, p, k=k, **given), want)


@drawn
@given(rows(least=2))
def test_probabilities_of_one_label(drawn):
    rng, n, weights = drawn
    truth = rng.integers(0, 2, n)
    truth[:2] = 0, 1
    weights = None if weights is None else weights + (np.arange(n) < 2)
    p = rng.uniform(size=n).round(1)
    given = dict(sample_weight=weights)
    same(metrics.log_loss(truth, p, **given), sk.log_loss(truth, p, **given))
    for half in ("auto", True, False):
        want = sk.brier_score_loss(truth, p, scale_by_half=half, **given)
        same(metrics.brier(truth, p[:, None], scale_by_half=half, **given), want)
    both = np.column_stack([1 - p, p])
    same(metrics.brier(truth, both, **given), sk.brier_score_loss(truth, p, **given))
    for scores in (p, p[:, None], both, 20 * p - 7, (100 * p).astype(int)):
        same(metrics.roc_auc(truth, scores, **given), sk.roc_auc_score(truth, p, **given))


@drawn
@given(rows(least=2), st.integers(2, 4), st.sampled_from(AVERAGES))
def test_several_labels_a_row(drawn, labels, average):
    rng, n, weights = drawn
    truth = rng.integers(0, 2, (n, labels))
    truth[0], truth[1] = 0, 1
    weights = None if weights is None else weights + (np.arange(n) < 2)
    scores = rng.normal(size=(n, labels)).round(1)
    options = dict(average=average, sample_weight=weights)
    same(metrics.roc_auc(truth, scores, **options), sk.roc_auc_score(truth, scores, **options))


@drawn
@given(rows(least=2), st.integers(1, 3), st.booleans())
def test_numbers(drawn, outputs, flat):
    rng, n, weights = drawn
    truth, prediction = rng.normal(size=(2, n, outputs)) * rng.choice([1e-3, 1.0, 1e4], outputs)
    truth[rng.random(n) < 0.1] = 0
    if outputs == 1 and flat:
        truth, prediction = truth[:, 0], prediction[:, 0]
    given = dict(sample_weight=weights)
    same(metrics.mae(truth, prediction, **given), sk.mean_absolute_error(truth, prediction, **given))
    same(metrics.rmse(truth, prediction, **given), sk.root_mean_squared_error(truth, prediction, **given))
    same(metrics.mape(truth, prediction, **given), sk.mean_absolute_percentage_error(truth, prediction, **given))
    for how in ("uniform_average", "variance_weighted"):
        want = quiet(sk.r2_score, truth, prediction, multioutput=how, **given)
        assert metrics.r2(truth, prediction, multioutput=how, **given) == pytest.approx(want, rel=1e-9, abs=1e-9)


def test_a_label_that_nobody_gives_is_left_out_where_that_is_asked():
    truth, prediction = [0, 0, 1, 2], [0, 0, 0, 0]
    for zero, want in ((0.0, 0.5 / 3), (1.0, 2.5 / 3), (np.nan, 0.5)):
        assert metrics.precision(truth, prediction, average="macro", zero_division=zero) == pytest.approx(want)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.f1([0, 1, 2], [0, 1, 2], average="binary"), "two kinds"),
        (lambda: metrics.f1([0, 1], [0, 1], average="samples"), "average to be one of auto, binary"),
        (lambda: metrics.f1([0, 1], [0, 1], pos_label=5), r"pos_label to be one of \[0, 1\], got 5"),
        (lambda: metrics.recall([0, 1], [0, 1], zero_division=2), "zero_division 0, 1 or nan"),
        (lambda: metrics.balanced_accuracy([[0, 1]], [[0, 1]]), "one label a row"),
        (lambda: metrics.accuracy([[0, 2]], [[0, 1]]), "labels 0 and 1"),
        (lambda: metrics.top_k([0, 3], np.ones((2, 3))), "class indices from 0 to 2"),
        (lambda: metrics.top_k([0, 1], [1, 2]), "a score for every row and class"),
        (lambda: metrics.r2([1, 2], [1, 2], multioutput="raw_values"), "multioutput to be one of"),
        (lambda: metrics.brier([0, 1], [0.5, 2]), "probabilities from 0 to 1"),
        (lambda: metrics.mae([1, 2], [1, 2], sample_weight=[1]), r"sample_weight with shape \(2,\)"),
        (lambda: metrics.mae([1, 2], [1, 2], sample_weight=[0, 0]), "more than zero somewhere"),
        (lambda: metrics.mae([1, 2], [1, 2], sample_weight=[-1, 2]), "zero or more"),
        (lambda: metrics.F1(average="sums"), "average to be one of"),
        (lambda: metrics.TopK(0), "k to be at least 1"),
    ],
)
def test_what_has_no_meaning_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_errors_of_text_are_refused():
    for metric in (metrics.mae, metrics.rmse, metrics.mape, metrics.r2):
        with pytest.raises(TypeError, match=r"^\[metrics\] expected numbers, got <U1 and int64"):
            metric(["a", "b"], [1, 2])


def test_an_area_without_one_of_the_classes_is_nan():
    with pytest.warns(WhetWarning, match="both classes"):
        assert np.isnan(metrics.roc_auc([0, 1, 1], np.eye(3)))
