"""A plugin of pytest that puts whet's estimators in the place of scikit-learn's, for scikit-learn's own tests.

    python -m pytest -p tests.in_the_place_of_sklearn --pyargs sklearn.neural_network.tests.test_mlp

Its tests import the classes from the packages below, and so get whet's.
"""

import sklearn.linear_model
import sklearn.neural_network

import whet.sklearn

for _room in (sklearn.neural_network, sklearn.linear_model):
    for _name in whet.sklearn.__all__:
        if hasattr(_room, _name):
            setattr(_room, _name, getattr(whet.sklearn, _name))
