"""The estimators in scikit-learn's tools with several jobs, in processes and threads: no hang, no thread too many."""

import os

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed: the estimators need it")

import joblib
import scipy.optimize
import threadpoolctl
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import StackingClassifier
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score, learning_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import whet
from whet import callbacks
from whet.sklearn import LogisticRegression, MLPClassifier, SGDClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IRIS = StandardScaler().fit_transform(load_iris().data), load_iris().target


def classifier(**more):
    return MLPClassifier((16,), max_iter=40, learning_rate_init=0.01, random_state=0, **more)


def search(n_jobs):
    found = GridSearchCV(classifier(), {"alpha": [1e-4, 1e-2]}, cv=2, n_jobs=n_jobs).fit(*IRIS)
    return found.cv_results_["mean_test_score"]


def score(n_jobs):
    return cross_val_score(make_pipeline(StandardScaler(), classifier()), *IRIS, cv=2, n_jobs=n_jobs)


def columns(n_jobs):
    X, y = IRIS
    steps = [("numbers", StandardScaler(), [0, 1]), ("classes", OneHotEncoder(), [2])]
    rows = np.concatenate([X[:, :2], np.round(X[:, 2:3])], axis=1)
    return make_pipeline(ColumnTransformer(steps, n_jobs=n_jobs), classifier()).fit(rows, y).score(rows, y)


def stack(n_jobs):
    models = [("mlp", classifier()), ("linear", LogisticRegression())]
    return StackingClassifier(models, SGDClassifier(random_state=0), cv=2, n_jobs=n_jobs).fit(*IRIS).score(*IRIS)


def calibrated(n_jobs):
    return CalibratedClassifierCV(classifier(), cv=2, n_jobs=n_jobs).fit(*IRIS).predict_proba(IRIS[0])


def importance(n_jobs):
    found = permutation_importance(classifier().fit(*IRIS), *IRIS, n_repeats=2, random_state=0, n_jobs=n_jobs)
    return found.importances_mean


def curve(n_jobs):
    return learning_curve(classifier(), *IRIS, cv=2, shuffle=True, random_state=0, n_jobs=n_jobs)[2]


TOOLS = [search, score, columns, stack, calibrated, importance, curve]


@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize("n_jobs", [2, -1])
@pytest.mark.parametrize("tool", TOOLS, ids=lambda each: each.__name__)
def test_jobs_find_what_one_job_finds(tool, n_jobs, backend):
    with joblib.parallel_config(backend=backend):
        found = tool(n_jobs)
    np.testing.assert_array_equal(found, tool(1))
    assert np.mean(found) > 0


def threads_of_a_fit():
    """Those that the core may use in the middle of a fit, and those that this process has."""
    seen = []

    def look(*_):
        seen.append((whet.get_num_threads(), len(os.listdir("/proc/self/task"))))

    classifier(callbacks=callbacks.LambdaCallback(on_epoch_end=look)).fit(*IRIS)
    return max(seen)


@pytest.mark.parametrize("inner", [None, 1])
def test_processes_share_the_processors(inner, monkeypatch):
    monkeypatch.delenv("WHET_NUM_THREADS", raising=False)
    with joblib.parallel_config(backend="loky", n_jobs=2, inner_max_num_threads=inner):
        found = joblib.Parallel()(joblib.delayed(threads_of_a_fit)() for _ in range(4))
    allowed = inner or max(joblib.cpu_count() // 2, 1)
    assert {threads for threads, _ in found} == {allowed}


def test_threads_share_one_pool():
    threads_of_a_fit()
    _, before = threads_of_a_fit()
    with joblib.parallel_config(backend="threading", n_jobs=4):
        found = joblib.Parallel()(joblib.delayed(threads_of_a_fit)() for _ in range(8))
    assert max(running for _, running in found) <= before + 8  # joblib's own: four that work, those that wait for them


def test_threads_are_seen_and_limited():
    threads = whet.get_num_threads()
    found = [each for each in threadpoolctl.threadpool_info() if each["user_api"] == "whet"]
    assert [each["num_threads"] for each in found] == [threads]
    with threadpoolctl.threadpool_limits(1, user_api="whet"):
        assert whet.get_num_threads() == 1
    assert whet.get_num_threads() == threads


def test_threads_of_a_fit_end_with_it(monkeypatch):
    seen, threads = [], whet.get_num_threads()
    watch = callbacks.LambdaCallback(on_epoch_end=lambda *_: seen.append(whet.get_num_threads()))
    classifier(n_threads=1, callbacks=watch).fit(*IRIS)
    assert set(seen) == {1}
    assert whet.get_num_threads() == threads
    monkeypatch.delenv("WHET_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    seen.clear()
    classifier(callbacks=watch).fit(*IRIS)
    assert set(seen) == {1}
    assert whet.get_num_threads() == threads


def blas_threads():
    return {
        each["filepath"]: each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"
    }


def test_searches_of_scipy_leave_the_processors_to_the_core(monkeypatch):
    before, seen, minimize = blas_threads(), [], scipy.optimize.minimize

    def watched(*arguments, **options):
        seen.append(set(blas_threads().values()))
        return minimize(*arguments, **options)

    monkeypatch.setattr(scipy.optimize, "minimize", watched)
    LogisticRegression().fit(*IRIS)
    assert seen == [{1}]
    joblib.Parallel(n_jobs=4, backend="threading")(joblib.delayed(LogisticRegression().fit)(*IRIS) for _ in range(12))
    assert {1} in seen[1:]
    assert blas_threads() == before
