"""A search of 64 configurations over adult: one copy of the rows, killed and gone on with, the best of a plain loop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests import search_adult
from tests.helpers import ROOT, run_python
from whet import nn, optim
from whet.data import split_indices
from whet.tune.space import Space


@pytest.fixture(scope="module")
def journal(outside_data, tmp_path_factory):
    """The journal of a search that was killed three times."""
    path = tmp_path_factory.mktemp("search") / "runs.jsonl"
    for lines in (8, 24, 40):
        command = [sys.executable, "-m", "tests.search_adult", "kill", str(path)]
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ)
        while not path.exists() or path.read_bytes().count(b"\n") < lines:
            time.sleep(0.01)
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        kept = path.read_bytes()
        assert lines <= kept.count(b"\n") < 65
        done = kept[: kept.rfind(b"\n") + 1]
    run_python("-m", "tests.search_adult", "kill", str(path))
    assert path.read_bytes().startswith(done)
    return path


def test_nothing_that_is_finished_is_repeated(journal):
    records = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    assert sorted(record["trial"] for record in records) == list(range(64))


def test_the_best_is_that_of_the_loop_written_by_hand(journal):
    X, y = search_adult.rows()
    train, held = split_indices(len(X), (0.8, 0.2), seed=0, stratify=y)
    (Xt, yt), (Xv, yv) = (X[train], y[train]), (X[held], y[held])
    scores = []
    for params in Space(search_adult.SPACE).random(0, 64):
        model = nn.MLP(X.shape[1], params["model.hidden"], 2)
        optimizer = optim.Adam(lr=params["optimizer.lr"])
        model.fit(Xt, yt, optimizer=optimizer, batch_size=params["fit.batch_size"], **search_adult.FIT)
        scores.append(model.evaluate(Xv, yv)["loss"])
    found = search_adult.search(X, y, journal=journal)
    assert {each.index: each.score for each in found.trials} == dict(enumerate(scores))
    assert found.best.score == min(scores)
    assert found.best.index == scores.index(min(scores))


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="this system does not tell peaks of memory")
def test_there_is_one_copy_of_the_rows(outside_data):
    """Eight trials at once need no more rows than one: those that are laid in order once.

    Seven trials more took 0.86 to 1.32 times the rows' bytes, in operands, batches and the allocator's arenas of their
    threads. Copies of the training rows, 80 % of them, would be 5.6 times.
    """
    one, rows = map(int, run_python("-m", "tests.search_adult", "memory", "1").split())
    eight, _ = map(int, run_python("-m", "tests.search_adult", "memory", "8").split())
    assert one < 1.25 * rows, (one, eight, rows)
    assert eight - one < 2 * rows, (one, eight, rows)
