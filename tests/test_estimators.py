"""The scikit-learn estimators against scikit-learn's own checks, and beside its own networks on real data."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: its checks cannot run")

from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from whet.sklearn import MLPClassifier, MLPRegressor

CHECKS = [
    pair
    for estimator in (MLPClassifier, MLPRegressor)
    for pair in estimator_checks_generator(estimator(max_iter=30, learning_rate_init=0.01))
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # some checks fit without convergence on purpose
@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=[check.func.__name__ for _, check in CHECKS])
def test_estimator_checks(estimator, check):
    check(estimator)


def test_classifier_in_a_pipeline():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    scores = cross_val_score(make_pipeline(StandardScaler(), MLPClassifier(max_iter=100)), X, names)
    assert scores.mean() > 0.9


def test_regressor_in_a_pipeline():
    X, y = load_diabetes(return_X_y=True)
    model = make_pipeline(StandardScaler(), MLPRegressor(max_iter=100, learning_rate_init=0.01))
    assert cross_val_score(model, X, y).mean() > 0.4


def test_probabilities_belong_to_the_classes():
    X, y = load_iris(return_X_y=True)
    model = MLPClassifier(max_iter=50).fit(X, y)
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict(X))
