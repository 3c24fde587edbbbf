"""Signals to a fit that keeps checkpoints: it writes one, and goes on from it with the same bits.

tests/kill_runs.py stops fits at random moments; here it does so a dozen times for each signal.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from tests.helpers import ROOT, run_python
from whet import callbacks, nn
from whet.files import checkpoints, read_model

NEVER = 10**9  # steps


@pytest.fixture
def data(rng):
    X = rng.normal(size=(20_000, 20)).astype(np.float32)
    return X, X.sum(axis=1)


@pytest.fixture
def handled():
    """A handler of SIGTERM that notes calls; the one before comes back at the end."""
    calls = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: calls.append(number))
    yield calls
    signal.signal(signal.SIGTERM, before)


def fit(data, directory, epochs=3, **more):
    model = nn.MLP(20, (32,), 1)
    options = dict(loss="mse", epochs=epochs, batch_size=32, seed=5)
    if directory is not None:
        options |= dict(checkpoint=directory, checkpoint_every=NEVER, resume=True)
    return model, model.fit(*data, **options, **more)


def sends(number, step=100):
    """A callback that has another thread send a signal once so many steps are taken."""
    thread = threading.Timer(0.01, os.kill, [os.getpid(), number])

    def start(taken, logs):
        if taken == step:
            thread.start()

    return callbacks.LambdaCallback(on_step_end=start, every_n_steps=step)


def steps_in(directory):
    return [read_model(file)[1]["checkpoint"]["steps"] for file in checkpoints(str(directory))]


@pytest.mark.parametrize("number", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_stopped_at_random_moments(number):
    assert "all alike" in run_python("-m", "tests.kill_runs", "12", number)


def test_sigterm_writes_one_and_calls_the_handler_that_was_there(data, tmp_path, handled):
    """A handler that returns lets the fit go on."""
    handler = signal.getsignal(signal.SIGTERM)
    model, history = fit(data, tmp_path, epochs=10, callbacks=sends(signal.SIGTERM))
    assert handled == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is handler
    assert len(steps_in(tmp_path)) == 2
    assert 0 < steps_in(tmp_path)[1] < steps_in(tmp_path)[0] == history.steps
    assert model.fingerprint() == fit(data, None, epochs=10)[0].fingerprint()


def test_what_the_handler_raises_comes_out_of_fit_in_the_middle_of_an_epoch(rng, tmp_path):
    X = rng.normal(size=(400_000, 4)).astype(np.float32)

    def leave(number, frame):
        assert len(checkpoints(str(tmp_path))) == 1
        assert signal.getsignal(signal.SIGTERM) is not leave
        sys.exit(3)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        with pytest.raises(SystemExit):
            nn.Linear(4, 1).fit(
                X,
                X.sum(axis=1),
                loss="mse",
                epochs=10_000,
                batch_size=1,
                checkpoint=tmp_path,
                callbacks=sends(signal.SIGTERM),
            )
        assert signal.getsignal(signal.SIGTERM) is leave
    finally:
        signal.signal(signal.SIGTERM, before)
    (file,) = checkpoints(str(tmp_path))
    assert 0 < read_model(file)[1]["checkpoint"]["position"]["batches"] < len(X)


@pytest.mark.parametrize("when", ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end"])
def test_sigterm_between_epochs_is_not_lost(data, tmp_path, handled, when):
    def press(*_):
        if not handled:
            os.kill(os.getpid(), signal.SIGTERM)

    straight = fit(data, None)[0].fingerprint()
    model, _ = fit(data, tmp_path, callbacks=callbacks.LambdaCallback(**{when: press}))
    assert handled == [signal.SIGTERM]
    assert model.fingerprint() == straight
    assert fit(data, tmp_path, callbacks=callbacks.LambdaCallback())[0].fingerprint() == straight


@pytest.mark.parametrize("when", ["on_step_end", "on_epoch_begin", "on_epoch_end"])
def test_sigterm_while_a_callback_waits(data, tmp_path, handled, when):
    """The wait goes on to its end; then one is written, where the training stands, before another step."""
    told = []

    def wait(number, logs):
        if not told:
            threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGTERM]).start()
            while not os.path.exists(tmp_path / "go on"):
                if signal.getsignal(signal.SIGTERM).__self__.asked:
                    (tmp_path / "go on").touch()
            told.append(number)
            assert not handled
            assert not checkpoints(str(tmp_path))

    after = []
    look = callbacks.LambdaCallback(on_step_end=lambda step, logs: after.append((step, len(handled))))
    fit(data, tmp_path, 1 if when == "on_step_end" else 2, callbacks=[callbacks.LambdaCallback(**{when: wait}), look])
    assert handled == [signal.SIGTERM]
    at = {"on_step_end": 1, "on_epoch_begin": 0, "on_epoch_end": 625}[when]
    assert sorted(steps_in(tmp_path))[0] == at
    assert [count for step, count in after if step > at] == [1] * (after[-1][0] - at)


def test_by_default_sigterm_ends_the_process(tmp_path):
    script = """
import sys, numpy as np
from whet import callbacks, nn
X = np.random.default_rng(0).normal(size=(20_000, 20)).astype(np.float32)
begun = callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: print("epoch", flush=True))
nn.MLP(20, (32,), 1).fit(X, X.sum(axis=1), loss="mse", epochs=10**6, checkpoint=sys.argv[1], checkpoint_every=10**9,
                         callbacks=begun)
"""
    child = subprocess.Popen([sys.executable, "-c", script, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for _ in range(3):
        assert child.stdout.readline() == "epoch\n"
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=120)
    assert child.returncode == -signal.SIGTERM
    assert len(steps_in(tmp_path)) == 1


def test_handlers_stay_where_there_is_nothing_to_write_or_no_main_thread(data, tmp_path):
    handler = signal.getsignal(signal.SIGTERM)
    seen = []
    look = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(signal.getsignal(signal.SIGTERM)))
    fit(data, None, callbacks=look)
    thread = threading.Thread(target=fit, args=(data, tmp_path), kwargs=dict(callbacks=look))
    thread.start()
    thread.join()
    assert len(seen) == 6
    assert set(seen) == {handler}


def test_sigterm_that_is_ignored_stays_ignored(data, tmp_path):
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        press = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: os.kill(os.getpid(), signal.SIGTERM))
        fit(data, tmp_path, callbacks=press)
        assert len(steps_in(tmp_path)) == 1
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("on_interrupt", ["raise", "return"])
def test_ctrl_c_writes_one(data, tmp_path, on_interrupt):
    start = sends(signal.SIGINT)
    if on_interrupt == "raise":
        with pytest.raises(KeyboardInterrupt):
            fit(data, tmp_path, 10_000, callbacks=start)
    else:
        history = fit(data, tmp_path, 10_000, callbacks=start, on_interrupt="return")[1]
        assert history.stopped_by == "interrupt"
        assert history.steps == steps_in(tmp_path)[0]
    epochs = read_model(checkpoints(str(tmp_path))[0])[1]["checkpoint"]["epoch"] + 2
    resumed, history = fit(data, tmp_path, epochs, callbacks=callbacks.LambdaCallback())
    straight, whole = fit(data, None, epochs)
    assert resumed.fingerprint() == straight.fingerprint()
    assert history["loss"] == whole["loss"]
