"""The estimators against scikit-learn's checks of estimators."""

import inspect
import re

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: its checks cannot run")

from sklearn.base import clone
from sklearn.utils.estimator_checks import estimator_checks_generator

import whet.sklearn
from whet import nn, optim

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # some checks fit without convergence on purpose

# What scikit-learn lists for the class of the same name.
EXPECTED_FAILURES = {
    "SGDClassifier": {
        "check_sample_weight_equivalence_on_dense_data": "a row of weight 2 is no two steps",
        "check_sample_weight_equivalence_on_sparse_data": "a row of weight 2 is no two steps",
    },
}
EXPECTED_FAILURES["Ridge"] = {"check_non_transformer_estimators_n_iter": "n_iter_ is None for direct solvers"}
EXPECTED_FAILURES["SGDRegressor"] = EXPECTED_FAILURES["SGDClassifier"]


def perceptron(inputs, outputs):
    return nn.MLP(inputs, (16,), outputs).to("float64")


SEARCH = optim.LBFGS()  # with batches, a row of weight 2 is not that row twice


ESTIMATORS = [
    whet.sklearn.MLPClassifier(solver="lbfgs", max_iter=100),
    whet.sklearn.MLPRegressor(max_iter=100),
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
    whet.sklearn.wrap(perceptron, epochs=5, optimizer=SEARCH),
    whet.sklearn.wrap(perceptron, "mse", epochs=5, optimizer=SEARCH),
]
CHECKS = [
    pytest.param(estimator, check, id=f"{type(estimator).__name__}{i}-{check.func.__name__}")
    for i, given in enumerate(ESTIMATORS)
    for estimator, check in estimator_checks_generator(given)
]


# scikit-learn's own list has its MLPRegressor like this in that check: with other batches, weights mean less than rows.
SETTINGS = {("MLPRegressor", "check_sample_weight_equivalence_on_dense_data"): {"solver": "sgd", "tol": 0.01}}


@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_estimator_checks(estimator, check):
    estimator = clone(estimator).set_params(**SETTINGS.get((type(estimator).__name__, check.func.__name__), {}))
    why = EXPECTED_FAILURES.get(type(estimator).__name__, {}).get(check.func.__name__)
    if why is None:
        check(estimator)
        return
    with pytest.raises((AssertionError, TypeError)):
        check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda each: type(each).__name__)
def test_the_docstring_has_every_argument_and_every_attribute(estimator):
    X = np.random.default_rng(0).normal(size=(60, 3))
    fitted = clone(estimator).fit(X, X[:, 0] > 0)
    described = "\n".join(re.findall(r"^ {8}(\S.*): ", type(estimator).__doc__, re.MULTILINE))
    arguments = inspect.signature(type(estimator)).parameters
    left = [name for name in vars(fitted) if name.endswith("_") and not name.startswith("_")]
    assert [name for name in (*arguments, *left) if not re.search(rf"\b{name}\b", described)] == []
