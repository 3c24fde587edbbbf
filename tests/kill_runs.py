"""A fit that is stopped by signals at random moments, and resumed each time, ends as one that nobody stopped.

`python -m tests.kill_runs 200 SIGKILL` stops it 200 times; the suite does with fewer. SIGINT and SIGTERM do as well.
A fit that reaches its end is compared, and another one begun, until all signals are sent.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import whet
from whet import callbacks, nn, optim, schedules

LONGEST = 0.2  # seconds from one signal to the next


def fit(directory: str | None) -> str:
    """All that is random, or kept from step to step. Returns what tells two such fits apart."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 16)).astype(np.float32)
    y = (X[:, 0] * X[:, 1] + 0.3 * rng.normal(size=4000) > 0).astype(int)
    model = nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 2))
    history = model.fit(
        X,
        y,
        loss="cross_entropy",
        optimizer=optim.AdamW(lr=schedules.OneCycle(1e-2), ema=0.99),
        epochs=40,
        batch_size=600,
        metrics="accuracy",
        validation_fraction=0.1,
        callbacks=callbacks.EarlyStopping(patience=1000, restore_best_weights=True),
        checkpoint=directory,
        checkpoint_every=None if directory is None else 4,
        resume=directory is not None,
    )
    return f"{model.fingerprint()} {sorted(history.items())}"


def short_fit(directory: str) -> str:
    """Two epochs, each with a checkpoint that is the best."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(64, 4)).astype(np.float32)
    model = nn.MLP(4, (8,), 1)
    history = model.fit(X, X.sum(axis=1), loss="mse", epochs=2, batch_size=8, checkpoint=directory, resume=True)
    return f"{model.fingerprint()} {sorted(history.items())}"


def stopped(directory: Path, number: signal.Signals, delay: float | None) -> bool:
    """Takes the fit up in a process of its own, and sends it a signal, if not None. Returns whether it had ended."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            (directory / "result").write_text(fit(str(directory / "run")))
            code = 0
        except KeyboardInterrupt:
            code = 130
        finally:
            os._exit(code)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, number)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
        return True
    by_signal = os.WIFSIGNALED(status) and os.WTERMSIG(status) == number
    assert by_signal or (os.WIFEXITED(status) and os.WEXITSTATUS(status) == 130), f"exit status {status}"
    return False


def main(count: int, number: signal.Signals) -> None:
    """Sends so many signals."""
    warnings.simplefilter("error", whet.errors.WhetWarning)  # none of these files is damaged
    want = fit(None)
    draw = random.Random(count)
    sent = fits = 0
    while sent < count:
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder)
            while not stopped(directory, number, draw.uniform(0, LONGEST) if sent < count else None):
                sent += 1
            assert (directory / "result").read_text() == want
            fits += 1
    print(f"{sent} times {number.name}, {fits} fits, all alike")


if __name__ == "__main__":
    main(int(sys.argv[1]), signal.Signals[sys.argv[2]])
