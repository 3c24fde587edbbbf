"""What `import whet` may not do to the process, and that there is one version."""

from __future__ import annotations

import importlib.metadata
import json
import re

import whet
from tests.helpers import ROOT, run_python

PROBE = """
import json, os, signal, sys, threading
import numpy

def state():
    tiny = numpy.float32(1e-40)
    return {
        "threads": len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else threading.active_count(),
        "signals": {str(s): str(signal.getsignal(s)) for s in signal.valid_signals()},
        "environment": dict(os.environ),
        "floating-point errors": numpy.geterr(),
        "subnormals": [float(tiny * numpy.float32(0.5)), float(numpy.nextafter(0.0, 1.0)) > 0, float(tiny + tiny)],
        "rounding": [0.1 + 0.2, 1 / 3, sum([1e16, 1.0, -1e16])],
        "directory": os.getcwd(),
        "recursion": sys.getrecursionlimit(),
    }

before, modules = state(), set(sys.modules)
import whet
after = state()
USE
print(json.dumps({"before": before, "after": after, "used": state(), "modules": sorted(set(sys.modules) - modules)}))
"""

# Imported when used, so that `import whet` stays fast.
HEAVY = {"pandas", "polars", "pyarrow", "duckdb", "narwhals", "sqlite3", "sklearn", "scipy"}
HEAVY |= {"torch", "safetensors", "tqdm", "matplotlib", "asyncio", "onnx", "onnxruntime"}

TRAINING = """
x = numpy.ones((600, 40), numpy.float32)
model = whet.nn.MLP(40, (30,), 1)
model.fit(x, x[:, 0], loss="mse", epochs=1)
model.predict(x)
"""


def probe(use="", **environment):
    return json.loads(run_python("-W", "error", "-c", PROBE.replace("USE", use), **environment))


def test_import_leaves_the_process_as_it_was():
    report = probe()
    for what, value in report["before"].items():
        assert report["after"][what] == value, what


def test_training_starts_threads_and_leaves_the_rest_as_it_was():
    report = probe(TRAINING, WHET_NUM_THREADS="3")
    for what, value in report["before"].items():
        if what != "threads":
            assert report["used"][what] == value, what


def test_one_thread_is_the_callers():
    report = probe(TRAINING, WHET_NUM_THREADS="1")
    assert report["used"]["threads"] == report["before"]["threads"]


def test_import_is_light():
    loaded = {name.partition(".")[0] for name in probe()["modules"]}
    assert not loaded & HEAVY


def test_training_on_arrays_needs_numpy_alone():
    loaded = {name.partition(".")[0] for name in probe(TRAINING)["modules"]}
    assert not loaded & {"pandas", "sklearn", "torch", "narwhals", "polars", "pyarrow", "scipy"}


def test_import_adds_less_than_50_milliseconds():
    """The best of five: a busy machine must not fail it."""
    program = "import time, numpy; t = time.perf_counter(); import whet; print(time.perf_counter() - t)"
    assert min(float(run_python("-c", program)) for _ in range(5)) < 0.050


def test_there_is_one_version():
    pyproject = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    changelog = re.search(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert pyproject
    assert changelog
    assert whet.__version__ == pyproject[1] == changelog[1] == importlib.metadata.version("whet")
    assert whet.build_info()["version"] == whet.__version__
