"""The estimators against scikit-learn's checks of estimators."""

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: its checks cannot run")

from sklearn.utils.estimator_checks import estimator_checks_generator

import whet.sklearn
from whet import nn

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # some checks fit without convergence on purpose

# What scikit-learn lists for the class of the same name.
EXPECTED_FAILURES = {
    "SGDClassifier": {
        "check_sample_weight_equivalence_on_dense_data": "a row of weight 2 is no two steps",
        "check_sample_weight_equivalence_on_sparse_data": "a row of weight 2 is no two steps",
    },
}
EXPECTED_FAILURES["SGDRegressor"] = EXPECTED_FAILURES["SGDClassifier"]


def perceptron(inputs, outputs, width=16):
    return nn.MLP(inputs, (width,), outputs)


ESTIMATORS = [
    whet.sklearn.MLPClassifier(max_iter=30, learning_rate_init=0.01),
    whet.sklearn.MLPClassifier(solver="lbfgs", max_iter=100),
    whet.sklearn.MLPRegressor(max_iter=30, learning_rate_init=0.01),
    whet.sklearn.LinearRegression(),
    whet.sklearn.LinearRegression(positive=True),
    whet.sklearn.Ridge(),
    whet.sklearn.Ridge(solver="svd"),
    whet.sklearn.Lasso(),
    whet.sklearn.ElasticNet(max_iter=5),
    whet.sklearn.LogisticRegression(),
    whet.sklearn.LogisticRegression(solver="saga", l1_ratio=1),
    whet.sklearn.PoissonRegressor(),
    whet.sklearn.QuantileRegressor(alpha=0),
    whet.sklearn.SGDClassifier(max_iter=5),
    whet.sklearn.SGDRegressor(max_iter=5),
    whet.sklearn.wrap(perceptron, epochs=30, optimizer=whet.optim.Adam(0.01)),
    whet.sklearn.wrap(perceptron, "mse", epochs=30, optimizer=whet.optim.Adam(0.01)),
]
CHECKS = [
    pytest.param(estimator, check, id=f"{type(estimator).__name__}{i}-{check.func.__name__}")
    for i, given in enumerate(ESTIMATORS)
    for estimator, check in estimator_checks_generator(given)
]


@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_estimator_checks(estimator, check):
    why = EXPECTED_FAILURES.get(type(estimator).__name__, {}).get(check.func.__name__)
    if why is None:
        check(estimator)
        return
    with pytest.raises(AssertionError):
        check(estimator)
