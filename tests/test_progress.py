"""What a fit shows of its progress, in a terminal, a notebook, a file and a pipe, and how often."""

from __future__ import annotations

import fcntl
import io
import os
import re
import struct
import sys
import termios
import threading
import types

import numpy as np
import pytest

from tests.helpers import run_python
from whet import callbacks, nn
from whet.training.callbacks import progress as module


@pytest.fixture
def data(rng):
    return rng.normal(size=(640, 3)), rng.normal(size=640)


class Clock:
    """Seconds pass where it is told to let them."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(module.time, "perf_counter", lambda: self.now)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(progress, clock, *, epochs=4, steps=10, seconds=1.0, validation=0.0, total=None):
    """Lets a training of so many seconds a step pass by."""
    progress.params = {"epochs": epochs, "steps": steps, "total_steps": total or epochs * steps, "rows": steps * 64}
    progress.on_train_begin({})
    for epoch in range(epochs):
        progress.on_epoch_begin(epoch)
        for step in range(epoch * steps + 1, (epoch + 1) * steps + 1):
            clock.now += seconds
            if step % progress.every_n_steps == 0:
                progress.on_step_end(step, {"loss": 0.5, "lr": 0.1})
        clock.now += validation
        progress.on_epoch_end(epoch, {"loss": 0.25, "lr": 0.1, "val_loss": 0.123456})
    progress._close()


def test_a_file_gets_whole_lines(monkeypatch):
    clock, out = Clock(monkeypatch), io.StringIO()
    shown(callbacks.Progress(stream=out), clock)
    lines = out.getvalue().splitlines()
    assert lines[0] == "epoch 1/4 [=====>              ]  25%  loss=0.25  val_loss=0.1235  64 rows/s  0:30 left"
    assert lines[-1] == "epoch 4/4 [====================] 100%  loss=0.25  val_loss=0.1235  64 rows/s  0:40"
    assert len(lines) == 4  # every ten seconds
    assert re.fullmatch(r"[ -~\n]*", out.getvalue())


def test_long_epochs_show_before_they_end(monkeypatch):
    clock, out = Clock(monkeypatch), io.StringIO()
    shown(callbacks.Progress(stream=out), clock, epochs=1, steps=1000, seconds=0.1)
    lines = out.getvalue().splitlines()
    assert 8 <= len(lines) <= 11
    assert lines[0].startswith("epoch 1/1 [==>                 ]  10%  loss=0.5  640 rows/s  1:30 left")


def test_hours_and_a_training_of_less_than_its_epochs(monkeypatch):
    clock, out = Clock(monkeypatch), io.StringIO()
    shown(callbacks.Progress(stream=out), clock, epochs=4, steps=10, seconds=600, total=30)
    lines = out.getvalue().splitlines()
    assert lines[9].startswith("epoch 1/4 [======>             ]  33%  loss=0.25")
    assert lines[9].endswith("3:20:00 left")
    assert lines[-1].startswith("epoch 4/4 [====================] 100%")
    assert lines[-1].endswith("6:40:00")


@pytest.mark.parametrize("share", [0.0, 0.02, 3.0])
def test_a_slow_screen_is_written_to_less_often(monkeypatch, share):
    """All that showing takes is below one percent, but for the first and the last time."""
    clock = Clock(monkeypatch)

    class Slow(io.StringIO):
        writes = 0

        def write(self, text):
            self.writes += 1
            clock.now += share
            return super().write(text)

    out = Slow()
    shown(callbacks.Progress(seconds=0.1, stream=out), clock, epochs=10, steps=100)
    assert share * (out.writes - 2) <= 0.01 * 1000
    assert out.writes > (500 if share == 0 else 3)


def test_the_clock_is_looked_at_every_now_and_then(monkeypatch):
    """A step may take a microsecond: between two looks there are many of them."""
    clock, calls = Clock(monkeypatch), []
    progress = callbacks.Progress(stream=io.StringIO())
    step_end = progress.on_step_end
    progress.on_step_end = lambda step, logs: (calls.append(step), step_end(step, logs))
    shown(progress, clock, epochs=1, steps=1_000_000, seconds=1e-6)
    assert len(calls) < 40
    assert calls[0] == 1


def test_a_terminal_has_one_line_of_its_width(monkeypatch):
    clock, out = Clock(monkeypatch), Terminal()
    shown(callbacks.Progress(stream=out), clock)
    text = out.getvalue()
    assert text.startswith("\r")
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert set(re.findall(r"[^ -~]", text)) == {"\r", "\n"}
    lines = text[:-1].split("\r")[1:]
    assert len(lines) > 20
    assert all(len(line) <= 79 for line in lines)
    monkeypatch.setenv("TERM", "dumb")
    out = Terminal()
    shown(callbacks.Progress(stream=out), clock)
    assert "\r" not in out.getvalue()


def test_a_real_terminal(data):
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
    got = []
    reader = threading.Thread(target=lambda: got.append(os.read(master, 1 << 16)))
    with open(slave, "w", encoding="ascii") as stream:
        nn.Linear(3, 1).fit(*data, loss="mse", epochs=3, callbacks=callbacks.Progress(stream=stream))
        reader.start()
        reader.join(10)
    os.close(master)
    text = got[0].decode().replace("\r\n", "\n")
    assert "epoch 3/3" in text
    assert max(len(line) for line in re.split(r"[\r\n]", text)) == 49


class Screen(Terminal):
    columns = 80

    def fileno(self):
        return 99


@pytest.fixture
def screen(monkeypatch):
    out = Screen()
    size = lambda handle: os.terminal_size((out.columns, 24))  # noqa: E731
    monkeypatch.setattr(module.os, "get_terminal_size", size)
    return out


@pytest.mark.parametrize("columns", [200, 120, 80, 60, 40, 20, 2])
def test_the_bar_has_the_room_that_the_terminal_leaves(monkeypatch, screen, columns):
    screen.columns = columns
    shown(callbacks.Progress(stream=screen), Clock(monkeypatch))
    lines = screen.getvalue()[:-1].split("\r")[1:]
    assert max(map(len, lines)) <= columns - 1
    bar = re.search(r"\[([=> ]*)\]", lines[-1])
    if columns >= 120:
        assert 20 < len(bar[1]) <= 60
    if 80 <= columns <= 120:
        assert columns - 1 - len(lines[-1].rstrip()) < 5  # a notch
        assert lines[-1].rstrip().endswith("left") or re.search(r"\d:\d\d$", lines[-1].rstrip())


def test_letters_of_two_columns_do_not_wrap(monkeypatch, screen):
    screen.columns = 60
    progress = callbacks.Progress(stream=screen)
    progress._screen = module._Terminal(screen)
    progress.params = {"total_steps": 10, "epochs": 1, "steps": 10, "rows": 10}
    progress._step, progress._first, progress._numbers = 5, 0, {"\u7cbe\u5ea6" * 20: 0.5}
    line = progress._fitting(1.0)
    assert module._columns(line) in (58, 59)
    assert len(line) < 59


def test_what_is_left_of_a_longer_line_is_erased(monkeypatch):
    out = Terminal()
    screen = module._Terminal(out)
    screen.show("a long line")
    screen.show("short")
    assert out.getvalue() == "\ra long line\rshort      "


def test_a_notebook_has_one_output_that_changes(monkeypatch):
    """As IPython has it, also where there are no widgets."""
    clock, outputs = Clock(monkeypatch), []

    class Handle:
        def update(self, content, raw):
            outputs[-1] = (content, raw)

    def display(content, raw, display_id):
        outputs.append((content, raw))
        return Handle()

    package, inner = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    package.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    inner.display = display
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", inner)
    shown(callbacks.Progress(), clock)
    ((content, raw),) = outputs
    assert raw
    assert content["text/plain"].startswith("epoch 4/4 [====")
    package.get_ipython = lambda: None  # a script that has imported IPython, or its terminal
    shown(callbacks.Progress(stream=io.StringIO()), clock)
    assert len(outputs) == 1


def test_a_pipe_and_a_process_without_a_standard_error():
    program = """
import sys
import numpy as np
from whet import nn
if {closed}:
    sys.stderr = None
X, y = np.ones((64, 2)), np.ones(64)
nn.Linear(2, 1).fit(X, y, loss="mse", epochs=3, progress=True)
"""
    piped = f"import subprocess, sys; p = subprocess.run([sys.executable, '-c', {program.format(closed=False)!r}], "
    text = run_python("-c", piped + "capture_output=True, check=True); print(repr(p.stderr), p.stdout)")
    assert re.match(r"b'epoch 3/3 \[=+\] 100%  loss=[^\\]*\\n' b''", text), text
    assert run_python("-c", program.format(closed=True)) == ""


@pytest.mark.parametrize("error", [BrokenPipeError, UnicodeEncodeError("ascii", "x", 0, 1, "no"), ValueError])
def test_a_screen_that_fails_does_not_end_the_training(data, error):
    class Broken(io.StringIO):
        def write(self, text):
            raise error

    history = nn.Linear(3, 1).fit(*data, loss="mse", epochs=3, callbacks=callbacks.Progress(0, Broken()))
    assert history.stopped_by == "epochs"


def test_it_ends_its_line_where_an_error_ends_the_training(data):
    def fail(epoch, logs):
        raise ZeroDivisionError

    out = Terminal()
    given = [callbacks.Progress(0, out), callbacks.LambdaCallback(on_epoch_end=fail)]
    with pytest.raises(ZeroDivisionError):
        nn.Linear(3, 1).fit(*data, loss="mse", epochs=3, callbacks=given)
    assert out.getvalue().endswith("\n")
    assert "epoch 1/3" in out.getvalue()


def test_progress_changes_no_bit(data):
    prints = set()
    for given in ((), callbacks.Progress(0, io.StringIO()), callbacks.Progress(0, Terminal())):
        model = nn.MLP(3, (5,), 1, dropout=0.1)
        model.fit(*data, loss="mse", epochs=3, batch_size=8, callbacks=given, seed=1)
        prints.add(model.fingerprint())
    assert len(prints) == 1


def test_names_do_not_break_the_line(data):
    def odd(truth, prediction):
        return 1.0

    odd.__name__ = "o\x1bd\nd"
    out = io.StringIO()
    nn.Linear(3, 1).fit(*data, loss="mse", epochs=1, metrics=odd, callbacks=callbacks.Progress(stream=out))
    assert out.getvalue().count("\n") == 1
    assert "odd=1" in out.getvalue()


@pytest.mark.parametrize(("arguments", "error"), [((-1,), ValueError), (("1",), TypeError), ((None, 3), TypeError)])
def test_wrong_arguments(arguments, error):
    with pytest.raises(error, match="Progress"):
        callbacks.Progress(*arguments)


def test_a_fit_that_is_taken_up_again_tells_the_rate_of_its_own_steps(monkeypatch):
    clock, out = Clock(monkeypatch), io.StringIO()
    progress = callbacks.Progress(0, out)
    progress.params = {"epochs": 3, "steps": 20, "total_steps": 60, "rows": 640}
    progress.on_train_begin({})
    for step in range(51, 61):
        clock.now += 1
        progress.on_step_end(step, {"loss": 0.5, "lr": 0.1})
    progress.on_epoch_end(2, {"loss": 0.5, "lr": 0.1})
    progress._close()
    lines = out.getvalue().splitlines()
    assert lines[0] == "epoch 3/3 [=================>  ]  85%  loss=0.5  32 rows/s  0:09 left"
    assert lines[-1] == "epoch 3/3 [====================] 100%  loss=0.5  32 rows/s  0:10"


def test_more_epochs_than_are_trained(data):
    out = io.StringIO()
    nn.Linear(3, 1).fit(*data, loss="mse", epochs=9, max_steps=25, callbacks=callbacks.Progress(0, out))
    assert out.getvalue().splitlines()[-1].startswith("epoch 2/9 [====================] 100%")
    assert np.all([len(line) < 200 for line in out.getvalue().splitlines()])
