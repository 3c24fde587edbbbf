"""A plugin of pytest that puts whet's estimators in the place of scikit-learn's, for scikit-learn's own tests.

    python -m pytest -p tests.in_the_place_of_sklearn -o filterwarnings= --pyargs sklearn.neural_network.tests.test_mlp

Its tests import the classes from the packages below, and so get whet's. A test that is named in not_in_the_place.txt,
with its reason, is left out.
"""

from fnmatch import fnmatchcase
from pathlib import Path

import sklearn.linear_model
import sklearn.neural_network

import whet.sklearn

for _room in (sklearn.neural_network, sklearn.linear_model):
    for _name in whet.sklearn.__all__:
        if hasattr(_room, _name):
            setattr(_room, _name, getattr(whet.sklearn, _name))


def left_out():
    """{module: {pattern of a test: reason}}."""
    found, module = {}, ""
    for line in Path(__file__).with_name("not_in_the_place.txt").read_text().splitlines():
        if line.startswith("["):
            module = line.strip("[]")
        elif line and not line.startswith("#"):
            pattern, _, reason = line.partition("  ")
            found.setdefault(module, {})[pattern] = reason.strip()
    return found


def pytest_configure(config):
    """Marks that scikit-learn's own configuration knows."""
    config.addinivalue_line("markers", "no_check_spmatrix: of scikit-learn's tests")


def pytest_collection_modifyitems(config, items):
    """Leaves tests out; a pattern that no test has any more is an error."""
    patterns = left_out()
    unused = {(item.module.__name__, pattern) for item in items for pattern in patterns.get(item.module.__name__, ())}
    kept, out = [], []
    for item in items:
        module = item.module.__name__
        matching = [each for each in patterns.get(module, ()) if fnmatchcase(item.name, each.replace("[", "[[]"))]
        unused -= {(module, each) for each in matching}
        (out if matching else kept).append(item)
    if unused and not config.option.keyword:
        raise LookupError(f"no such tests: {sorted(unused)}")
    config.hook.pytest_deselected(items=out)
    items[:] = kept
