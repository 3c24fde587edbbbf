"""Estimators with scikit-learn's interface. Needs the extra ``whet[sklearn]``."""

from whet.sklearn.mlp import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
