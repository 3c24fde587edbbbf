from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import whet


@pytest.fixture(scope="module", autouse=True)
def ctrl_c():
    """Ctrl-C interrupts, also where a shell that ran the tests in the background has it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def threads():
    """Sets the number of threads, until the test ends."""
    before = whet.get_num_threads()
    yield whet.set_num_threads
    whet.set_num_threads(before)


@pytest.fixture(scope="session")
def torch():
    """PyTorch, where it is installed."""
    module = pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'whet[peers]'")
    module.set_num_threads(1)
    return module


@pytest.fixture(scope="session")
def outside_data():
    """The folder of data sets that may not be shipped."""
    folder = os.environ.get("WHET_DATA")
    if not folder:
        pytest.skip("WHET_DATA does not name a folder of data sets")
    return Path(folder)


@pytest.fixture(scope="module")
def side_by_side(request):
    """Runs a function, which waits for a process of its own, on the parameter of each case of a test, two at a time."""
    pool, started = ThreadPoolExecutor(2), {}

    def result(function, parameter):
        if not started:
            items = [item for item in request.session.items if item.module is request.module]
            for item in items:
                if "side_by_side" in item.fixturenames:
                    (each,) = item.callspec.params.values()
                    started[each] = pool.submit(function, each)
        return started[parameter].result()

    yield result
    pool.shutdown(cancel_futures=True)


@pytest.fixture
def wide_torch(torch):
    """PyTorch with float64 as its default: NAdam keeps the product of its momenta in that, and else in float32."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(before)
