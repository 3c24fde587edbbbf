"""scikit-learn's own tests, run on whet's estimators in a process of their own; see in_the_place_of_sklearn.py."""

import os
import subprocess
import sys

import pytest

from tests.helpers import ROOT

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed: there are no tests of it to run")

NAMES = [
    "neural_network.tests.test_mlp",
    "linear_model.tests.test_base",
    "linear_model.tests.test_coordinate_descent",
    "linear_model.tests.test_logistic",
    "linear_model.tests.test_quantile",
    "linear_model.tests.test_ridge",
    "linear_model.tests.test_sgd",
    "linear_model._glm.tests.test_glm",
]


def run(name):
    """The output of one of these files."""
    options = ["-q", "--tb=short", "-p", "no:cacheprovider", "-o", "filterwarnings="]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *options,
            "-p",
            "tests.in_the_place_of_sklearn",
            "--pyargs",
            f"sklearn.{name}",
        ],
        cwd=ROOT,
        # One thread of BLAS: its threads wait for each other on small matrices, for minutes where other work runs, too.
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]


@pytest.mark.skipif(
    not sklearn.__version__.startswith("1.9."), reason="the tests that are left out were chosen for scikit-learn 1.9"
)
@pytest.mark.parametrize("name", NAMES)
def test_scikit_learns_tests_pass(side_by_side, name):
    side_by_side(run, name)
