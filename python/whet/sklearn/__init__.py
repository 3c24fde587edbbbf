"""Estimators with scikit-learn's interface. Needs the extra ``whet[sklearn]``."""

from whet.sklearn.generalized import PoissonRegressor, QuantileRegressor
from whet.sklearn.linear import ElasticNet, Lasso, LinearRegression, Ridge
from whet.sklearn.logistic import LogisticRegression
from whet.sklearn.mlp import MLPClassifier, MLPRegressor
from whet.sklearn.sgd import SGDClassifier, SGDRegressor
from whet.sklearn.wrapper import WrappedClassifier, WrappedRegressor, wrap

__all__ = [
    "ElasticNet",
    "Lasso",
    "LinearRegression",
    "LogisticRegression",
    "MLPClassifier",
    "MLPRegressor",
    "PoissonRegressor",
    "QuantileRegressor",
    "Ridge",
    "SGDClassifier",
    "SGDRegressor",
    "WrappedClassifier",
    "WrappedRegressor",
    "wrap",
]
