"""Checkpoints: every one of a fit is taken up again, and the fit ends with the bits it would have had."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import whet
from tests.helpers import ROOT
from tests.kill_runs import short_fit
from whet import callbacks, losses, nn, optim, schedules
from whet.errors import WhetWarning
from whet.files import checkpoints, read_model


@pytest.fixture
def data(rng):
    X = rng.normal(size=(120, 5)).astype(np.float32)
    return X, (X[:, 0] * X[:, 1] + 0.1 * rng.normal(size=120) > 0).astype(int)


def network(*layers):
    return nn.Sequential(nn.Linear(5, 8), *layers, nn.ReLU(), nn.Linear(8, 2))


class TwoInputs(nn.Module):
    def __init__(self):
        self.left, self.right, self.head = nn.Linear(3, 4), nn.Linear(2, 4), nn.Linear(8, 2)

    def forward(self, a, b):
        return self.head(nn.concatenate([self.left(a), self.right(b)]))


class Remembers(callbacks.Callback):
    """A callback of one's own, whose rate depends on all epochs so far."""

    def on_train_begin(self, logs=None):
        self.seen, self.mean = [], np.zeros(2)

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append((epoch, logs["loss"]))
        self.mean = self.mean + self.model.state_dict()["2.bias"]
        self.learning_rate = 0.01 / (1 + len(self.seen)) + abs(float(self.mean.sum())) / 1e3

    def state(self):
        return {"seen": list(self.seen), "mean": self.mean, "never": float("nan"), "nothing": None}

    def load_state(self, state):
        assert np.isnan(state["never"])
        assert state["nothing"] is None
        self.seen, self.mean = [tuple(each) for each in state["seen"]], state["mean"]


def squares(prediction, target):
    return (prediction - target) ** 2


CASES = {
    "plain": dict(optimizer=optim.SGD(lr=0.05, momentum=0.9)),
    "dropout, batch norm, average, metrics": dict(
        model=lambda: network(nn.BatchNorm1d(8), nn.Dropout(0.3)),
        optimizer=optim.Adam(lr=0.01, ema=0.9),
        metrics=("accuracy", "auc"),
        validation_fraction=0.25,
    ),
    "mean of the last steps, in order": dict(optimizer=optim.AdamW(lr=0.01, swa=0.6), shuffle=False),
    "schedules": dict(
        model=lambda: network(nn.Dropout(schedules.FlatCos(0.4))),
        optimizer=optim.AdamW(lr=schedules.OneCycle(0.02), weight_decay=schedules.Linear(0.1, 0), l1=1e-4),
    ),
    "early stopping that restores": dict(
        optimizer=optim.SGD(lr=0.5),
        epochs=9,
        validation_fraction=0.25,
        callbacks=lambda: [callbacks.EarlyStopping(patience=1, restore_best_weights=True)],
        metrics="accuracy",
    ),
    "rates changed by callbacks": dict(
        optimizer=optim.SGD(lr=schedules.Cosine(0.5), groups={"*.bias": {"lr": 0.1}}),
        callbacks=lambda: [
            callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.8),
            callbacks.ReduceLROnPlateau("loss", patience=1, cooldown=1, min_delta=0.02, factor=0.5, min_lr=0.01),
        ],
    ),
    "a callback of one's own": dict(optimizer=optim.SGD(lr=0.05), callbacks=lambda: [Remembers()]),
    "max_steps in the middle of an epoch": dict(max_steps=17, metrics="accuracy", validation_fraction=0.2),
    "several inputs": dict(model=TwoInputs, split=True),
    "bfloat16": dict(precision="bfloat16"),
    "float64": dict(model=lambda: network().to("float64")),
    "an average of its own": dict(optimizer=optim.ScheduleFreeAdamW(lr=0.01), validation_fraction=0.2),
    "matrices": dict(optimizer=optim.Muon(lr=0.01)),
    "rows and columns": dict(optimizer=optim.Adafactor()),
    "a search with a memory": dict(
        optimizer=optim.LBFGS(max_iter=3, history_size=4, ema=0.5), batch_size="auto", epochs=8, metrics="accuracy"
    ),
    "noise, full batches": dict(optimizer=optim.GD(lr=0.1, noise=0.1, clip_norm=1.0), batch_size="auto", epochs=12),
    "rollbacks": dict(
        loss="mse",
        one_column=True,
        optimizer=optim.SGD(lr=1.0, momentum=0.5),
        epochs=2,
        batch_size=2,
        on_nonfinite="rollback",
        record=True,
        metrics="mae",
    ),
    "masked rows": dict(masked=True, batch_size=10, metrics="accuracy"),
    "a loss of one's own": dict(loss=squares, one_column=True),
    "a loss of NumPy": dict(
        loss=losses.NumPyLoss(lambda p, t: (((p - t) ** 2).sum(axis=1), 2 * (p - t))), one_column=True
    ),
}
"""Arguments of a fit; `model` and `callbacks` make new ones, the others that fit does not know change the data."""


def trained(case, data, directory=None, **more):
    """The model, its history and its callbacks after a fit of the case."""
    options = dict(loss="cross_entropy", optimizer="adam", epochs=5, batch_size=16, seed=7)
    options |= CASES[case]
    X, y = data
    if options.pop("split", False):
        X = {"a": X[:, :3], "b": X[:, 3:]}
    if options.pop("one_column", False):
        y = np.stack([y, 1 - y], axis=1).astype(np.float32)
    if options.pop("masked", False):
        options["sample_weight"] = (np.arange(len(y)) % 3 > 0) * (np.arange(len(y)) > 40) * 1.5
        options["shuffle"] = False
    model = options.pop("model", network)()
    options["callbacks"] = options.pop("callbacks", list)()
    if directory is not None:
        options["checkpoint"] = directory
    history = model.fit(X, y, **{**options, **more})
    return model, history, options["callbacks"]


def assert_alike(one, other):
    assert one[0].fingerprint() == other[0].fingerprint()
    ours, theirs = one[1], other[1]
    assert list(ours) == list(theirs)
    assert all(np.array_equal(ours[name], theirs[name], equal_nan=True) for name in ours)
    assert ours.layers == theirs.layers
    assert [ours.stopped_by, ours.best_epoch, ours.steps] == [theirs.stopped_by, theirs.best_epoch, theirs.steps]
    for mine, yours in zip(one[2], other[2], strict=True):
        np.testing.assert_equal(mine.state(), yours.state())


@pytest.mark.filterwarnings("ignore:.*went back")
@pytest.mark.parametrize("case", CASES)
def test_from_every_checkpoint_the_same_bits(case, data, tmp_path):
    """Three steps apart, so in the middle of epochs, at their ends, and of the finished fit."""
    straight = trained(case, data)
    every = dict(checkpoint_every=3, checkpoint_keep=99)
    assert_alike(trained(case, data, tmp_path / "whole", **every), straight)
    files = checkpoints(tmp_path / "whole")
    assert len(files) >= straight[1].steps // 3
    best = whet.load(tmp_path / "whole" / "best.whet").fingerprint()
    threads = whet.get_num_threads()
    for i, file in enumerate(files):
        (tmp_path / str(i)).mkdir()
        shutil.copy(file, tmp_path / str(i))
        whet.set_num_threads(1 + i % 2)
        try:
            assert_alike(trained(case, data, tmp_path / str(i), **every, resume=True), straight)
        finally:
            whet.set_num_threads(threads)
        if (tmp_path / str(i) / "best.whet").exists():
            assert whet.load(tmp_path / str(i) / "best.whet").fingerprint() == best
    assert whet.load(files[0]).dtype == straight[0].dtype


@pytest.mark.parametrize("steps", [1, 5, 10])
def test_a_resumed_fit_goes_back_to_where_its_epoch_began(data, tmp_path, steps):
    with pytest.warns(WhetWarning, match="went back to the beginning of epoch 0"):
        straight = trained("rollbacks", data)
    every = dict(checkpoint_every=10**6)
    trained("rollbacks", data, tmp_path, max_steps=steps, **every)  # before it is not finite
    with pytest.warns(WhetWarning, match="went back to the beginning of epoch 0"):
        assert_alike(trained("rollbacks", data, tmp_path, resume=True, **every), straight)


def test_a_checkpoint_is_the_model_as_it_would_be(data, tmp_path):
    """Which is the average, where the optimizer keeps one."""
    case = "dropout, batch norm, average, metrics"
    model, history, _ = trained(case, data, tmp_path, epochs=2, max_steps=9, checkpoint_every=4, checkpoint_keep=9)
    files = checkpoints(tmp_path)
    assert [os.path.basename(file) for file in files] == [f"checkpoint-{n:08}.whet" for n in (9, 8, 4)]
    assert whet.load(files[0]).fingerprint() == model.fingerprint()
    assert whet.load(files[1]).fingerprint() == trained(case, data, epochs=2, max_steps=8)[0].fingerprint()
    _, description = read_model(files[0])
    kept = description["checkpoint"]
    assert kept["random"] == {"seed": 7}
    assert [kept[name] for name in ("steps", "epoch")] == [9, 1]
    assert kept["history"]["loss"] == history["loss"][:1]
    assert kept["identity"]["optimizer"].startswith("Adam(lr=0.01")


def test_the_last_ones_and_the_best_are_kept(data, tmp_path):
    for keep in (1, 4):
        directory = tmp_path / str(keep)
        case = "early stopping that restores"
        model, history, _ = trained(case, data, directory, checkpoint_keep=keep)
        assert history.stopped_by == "EarlyStopping"
        assert len(checkpoints(directory)) == keep
        assert whet.load(directory / "best.whet").fingerprint() == model.fingerprint()  # that which it restored
        best = read_model(directory / "best.whet")[1]["best"]
        assert best == {name: column[history.best_epoch] for name, column in history.items()} | {
            "epoch": history.best_epoch
        }


def test_resuming_without_a_checkpoint_begins(data, tmp_path):
    assert_alike(trained("plain", data, tmp_path / "new" / "run", resume=True), trained("plain", data))


def test_a_directory_in_use_is_not_begun_in(data, tmp_path):
    model, _, _ = trained("plain", data, tmp_path)
    with pytest.raises(ValueError, match=r"without checkpoints, or resume=True to go on from '.*checkpoint-00000040"):
        model.fit(*data, loss="cross_entropy", checkpoint=tmp_path)
    refused = []

    class Second(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            with pytest.raises(RuntimeError, match="another fit is writing checkpoints") as error:
                network().fit(*data, loss="cross_entropy", checkpoint=tmp_path / "run", resume=True)
            refused.append(error)

    network().fit(*data, loss="cross_entropy", epochs=1, checkpoint=tmp_path / "run", callbacks=Second())
    assert len(refused) == 1
    network().fit(*data, loss="cross_entropy", epochs=1, checkpoint=tmp_path / "run", callbacks=Second(), resume=True)


def test_arguments_that_need_a_directory(data):
    for name, value in (("checkpoint_every", 10), ("resume", True)):
        with pytest.raises(ValueError, match=f"expected checkpoint to name a directory, as {name}"):
            network().fit(*data, loss="cross_entropy", **{name: value})
    for name, value in (("checkpoint_every", 0), ("checkpoint_keep", 0)):
        with pytest.raises(ValueError, match=f"{name} to be at least 1"):
            network().fit(*data, loss="cross_entropy", checkpoint="never", **{name: value})
    with pytest.raises(TypeError, match="expected a path"):
        network().fit(*data, loss="cross_entropy", checkpoint=3)


def test_a_directory_that_cannot_be_made(data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file"):
        network().fit(*data, loss="cross_entropy", checkpoint=tmp_path / "file")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (dict(batch_size=17), r"batch_size \(16 before, now 17\)"),
        (dict(seed=8), r"seed \(7 before, now 8\)"),
        (dict(shuffle=False), "shuffle"),
        (dict(optimizer="sgd"), r"optimizer \(SGD\(lr=0.05.* now SGD\(lr=0.001"),
        (dict(loss=losses.CrossEntropyLoss(label_smoothing=0.1)), "loss"),
        (dict(precision="bfloat16"), "precision"),
        (dict(metrics="accuracy"), "metrics"),
        (dict(callbacks=[callbacks.TerminateOnNaN()]), "callbacks"),
        (dict(sample_weight=np.arange(120)), "sample_weight or class_weight"),
        (dict(class_weight="balanced"), "sample_weight or class_weight"),
        (dict(validation_fraction=0.5), "X; y; validation_data"),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else "",
)
def test_another_fit_is_refused_by_name(data, tmp_path, change, named):
    trained("plain", data, tmp_path)
    model = network().initialize(1)
    before = model.fingerprint()
    options = dict(loss="cross_entropy", batch_size=16, seed=7, optimizer=CASES["plain"]["optimizer"], epochs=5)
    with pytest.raises(ValueError, match=rf"checkpoint-00000040\.whet' to go on from it; other: {named}"):
        model.fit(*data, checkpoint=tmp_path, resume=True, **{**options, **change})
    assert model.fingerprint() == before
    assert model.history is None


def test_other_data_and_another_model_are_refused(data, tmp_path):
    trained("plain", data, tmp_path)
    X, y = data
    other = X.copy()
    other[3, 2] += 1e-6
    with pytest.raises(ValueError, match=r"other: X$"):
        trained("plain", (other, y), tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"other: y$"):
        trained("plain", (X, 1 - y), tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"other: the model$"):
        nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 2)).fit(
            X,
            y,
            loss="cross_entropy",
            batch_size=16,
            seed=7,
            epochs=5,
            **CASES["plain"],
            checkpoint=tmp_path,
            resume=True,
        )
    trained("plain", (np.asfortranarray(X), y.astype(np.int8)), tmp_path, resume=True)  # the same data otherwise


def test_a_longer_fit_goes_on_where_no_schedule_depends_on_it(data, tmp_path):
    trained("plain", data, tmp_path / "epochs", epochs=2)
    assert_alike(trained("plain", data, tmp_path / "epochs", epochs=4, resume=True), trained("plain", data, epochs=4))
    trained("plain", data, tmp_path / "steps", max_steps=11)
    assert_alike(trained("plain", data, tmp_path / "steps", resume=True), trained("plain", data))
    for case in ("schedules", "mean of the last steps, in order"):
        trained(case, data, tmp_path / case, epochs=2)
        with pytest.raises(ValueError, match=r"which the schedules depend on \(16 before, now 32\)"):
            trained(case, data, tmp_path / case, epochs=4, resume=True)
    shorter = trained("plain", data, tmp_path / "epochs", epochs=3, resume=True)
    assert (len(shorter[1]["loss"]), shorter[1].stopped_by) == (4, "epochs")


def test_a_fit_that_is_over_is_over(data, tmp_path):
    case = "early stopping that restores"
    straight = trained(case, data, tmp_path)
    files = {file: os.stat(file).st_mtime_ns for file in checkpoints(tmp_path)}
    assert_alike(trained(case, data, tmp_path, resume=True), straight)
    assert files == {file: os.stat(file).st_mtime_ns for file in checkpoints(tmp_path)}


def test_seconds_of_all_parts_count(data, tmp_path):
    slow = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: time.sleep(0.2))
    options = dict(loss="cross_entropy", checkpoint=tmp_path, callbacks=slow)
    first = network().fit(*data, epochs=2, **options)
    second = network().fit(*data, epochs=9, max_seconds=first.seconds + 0.1, resume=True, **options)
    assert (len(second["loss"]), second.stopped_by) == (3, "max_seconds")


def test_seconds_end_in_the_middle_of_an_epoch_and_a_fit_of_more_goes_on_there(rng, tmp_path):
    X = rng.normal(size=(400_000, 4)).astype(np.float32)
    options = dict(loss="mse", epochs=1, batch_size=1, metrics="mae", checkpoint=tmp_path, seed=2)
    model = nn.Linear(4, 1)
    first = model.fit(X, X.sum(axis=1), max_seconds=0.05, **options)
    assert (first.stopped_by, len(first["loss"])) == ("max_seconds", 1)
    assert 0 < first.steps < len(X)
    assert 0.05 <= first.seconds < 5
    assert np.isnan(first["mae"][0])
    straight = nn.Linear(4, 1)
    by_steps = straight.fit(X, X.sum(axis=1), max_steps=first.steps, **{**options, "checkpoint": None})
    assert straight.fingerprint() == model.fingerprint()
    assert straight.history["loss"] == first["loss"] == by_steps["loss"]
    resumed = nn.Linear(4, 1)
    whole = resumed.fit(X, X.sum(axis=1), resume=True, **options)
    assert (whole.resumed_at, whole.steps, whole.stopped_by) == (first.steps, len(X), "epochs")
    again = straight.initialize(2).fit(X, X.sum(axis=1), **{**options, "checkpoint": None})
    assert dict(again) == dict(whole)
    assert resumed.fingerprint() == straight.fingerprint()


@pytest.mark.parametrize("callback", [None, callbacks.LambdaCallback(on_step_end=lambda step, logs: None)])
def test_no_seconds_at_all_are_one_step(data, callback):
    history = network().fit(*data, loss="cross_entropy", batch_size=16, max_seconds=0, callbacks=callback)
    assert (history.steps, history.stopped_by) == (1, "max_seconds")


class Leaving(BaseException):
    pass


@pytest.mark.parametrize("error", [SystemExit, Leaving])
@pytest.mark.parametrize("when", ["on_step_end", "on_epoch_begin", "on_epoch_end"])
def test_what_leaves_the_process_leaves_a_checkpoint(data, tmp_path, error, when):
    def leave(number, logs):
        if number == {"on_step_end": 11}.get(when, 1):  # of 8 in an epoch
            raise error

    options = dict(loss="cross_entropy", epochs=3, batch_size=16, checkpoint_every=10**6)
    model = network()
    with pytest.raises(error):
        model.fit(*data, checkpoint=tmp_path, callbacks=callbacks.LambdaCallback(**{when: leave}), **options)
    (file,) = checkpoints(tmp_path)
    steps = {"on_step_end": 11, "on_epoch_begin": 8, "on_epoch_end": 16}[when]
    assert read_model(file)[1]["checkpoint"]["steps"] == model.history.steps == steps
    resumed = network()
    resumed.fit(*data, checkpoint=tmp_path, callbacks=callbacks.LambdaCallback(), resume=True, **options)
    straight = network()
    straight.fit(*data, loss="cross_entropy", epochs=3, batch_size=16)
    assert resumed.fingerprint() == straight.fingerprint()


def test_a_log_has_every_epoch_once(data, tmp_path):
    log = tmp_path / "log.csv"

    def stops(epoch, logs):
        if epoch == 3:
            raise RuntimeError("stop")

    def fit(stop, **more):
        seen = [callbacks.CSVLogger(log), callbacks.LambdaCallback(on_epoch_end=stops if stop else None)]
        return network().fit(*data, loss="cross_entropy", epochs=6, callbacks=seen, **more)

    fit(False)
    whole = log.read_text()
    with pytest.raises(RuntimeError, match="stop"):
        fit(True, checkpoint=tmp_path / "run")
    assert len(log.read_text().splitlines()) == 5
    fit(False, checkpoint=tmp_path / "run", resume=True)
    assert log.read_text() == whole


def test_a_state_that_no_file_can_hold(data, tmp_path):
    class Odd(callbacks.Callback):
        def state(self):
            return {"what": {1, 2}}

    with pytest.raises(
        TypeError, match=r"\[checkpoint\] expected checkpoint/callbacks/0/what to be made of .* got set"
    ):
        network().fit(*data, loss="cross_entropy", checkpoint=tmp_path, callbacks=Odd())


# Damage and faults


def flip(path, place=-100, bit=3):
    with open(path, "r+b") as file:
        file.seek(place, os.SEEK_END if place < 0 else os.SEEK_SET)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1 << bit]))


def test_damaged_files_are_named_and_left_out(data, tmp_path):
    straight = trained("plain", data, tmp_path)
    newest, second, oldest = (tmp_path / os.path.basename(file) for file in checkpoints(tmp_path))
    flip(newest)
    second.write_bytes(second.read_bytes()[:-1])
    for damaged in (newest, second):
        with pytest.raises(
            ValueError, match=rf"{damaged.name}'.*; the last good checkpoint beside it is '.*{oldest.name}'"
        ):
            whet.load(damaged)
    with pytest.warns(WhetWarning, match=rf"going on from '.*{oldest.name}': .*{newest.name}.*; .*{second.name}"):
        assert_alike(trained("plain", data, tmp_path, resume=True), straight)
    assert whet.load(newest).fingerprint() == straight[0].fingerprint()
    for file in checkpoints(tmp_path):
        flip(tmp_path / os.path.basename(file))
    with pytest.raises(ValueError, match="expected a good checkpoint"):
        trained("plain", data, tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"its checksum$"):
        whet.load(newest)


def test_a_damaged_one_of_more_steps_does_not_count_among_the_last(data, tmp_path):
    trained("plain", data, tmp_path)
    flip(tmp_path / "checkpoint-00000040.whet")
    (tmp_path / "checkpoint-00000024.whet").unlink()
    with pytest.warns(WhetWarning, match="going on"):
        trained("plain", data, tmp_path, resume=True, max_steps=36, checkpoint_keep=1)
    assert [os.path.basename(file) for file in checkpoints(tmp_path)] == [
        "checkpoint-00000040.whet",
        "checkpoint-00000036.whet",
    ]


def test_every_bit_of_a_model_file_counts(tmp_path):
    path = tmp_path / "m.whet"
    nn.Linear(2, 1).initialize(0).save(path)
    for place in range(path.stat().st_size):
        for bit in range(8):
            flip(path, place, bit)
            with pytest.raises(ValueError, match=r"expected a (whole whet )?model file"):
                whet.load(path)
            flip(path, place, bit)
    whet.load(path)


def test_what_killed_runs_left_is_removed_and_nothing_else(data, tmp_path):
    left = [".checkpoint-00000008.whet.abc_12.tmp", ".best.whet.xyz.tmp"]
    others = [".notes.whet.abc.tmp", "notes.txt", "checkpoint-8.whet", ".checkpoint-00000008.whet.tmp"]
    for name in (*left, *others):
        (tmp_path / name).write_text("")
    trained("plain", data, tmp_path)
    assert not set(left) & set(os.listdir(tmp_path))
    assert set(others) <= set(os.listdir(tmp_path))


@pytest.mark.parametrize("call", ["fsync", "fstat", "replace"])
def test_one_that_cannot_be_written_is_a_warning(data, tmp_path, monkeypatch, call):
    straight = trained("plain", data)
    real, calls = getattr(os, call), []

    def fails(*arguments):
        calls.append(arguments)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os, call, fails)
    with pytest.warns(WhetWarning, match="goes on without this checkpoint: .*No space left on device: '.*whet'"):
        assert_alike(trained("plain", data, tmp_path), straight)
    monkeypatch.undo()
    assert len(checkpoints(tmp_path)) == 3
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
    assert_alike(trained("plain", data, tmp_path, resume=True), straight)


SHORT_FIT = "import sys; from tests.kill_runs import short_fit; print(short_fit(sys.argv[1]))"
FAULTS = [
    (call, fault, i + 1)
    for call, count, faults in (
        ("write", 4, ("error=ENOSPC", "error=EIO", "retval=50")),  # which loses bytes that the file counts as written
        ("fsync", 8, ("error=ENOSPC", "error=EIO")),
        ("rename", 4, ("error=ENOSPC", "error=EIO")),
    )
    for fault in faults
    for i in range(count)
]


def test_faults_of_every_call_lose_nothing_but_the_newest(tmp_path):
    strace = shutil.which("strace")
    if strace is None or subprocess.run([strace, "-f", "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace is not installed, or may not trace")
    want = short_fit(str(tmp_path / "straight"))

    def run(case):
        call, fault, when = case
        directory = tmp_path / f"{call}-{fault}-{when}"
        inject = ["-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={when}"]
        command = [strace, "-f", "--seccomp-bpf", "-qq", "-o", os.devnull, *inject, sys.executable, "-c", SHORT_FIT]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [*command, directory], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
        )
        return case, directory, done

    with ThreadPoolExecutor(2) as pool:
        for case, directory, done in pool.map(run, FAULTS):
            assert (done.returncode, done.stdout) == (0, want + "\n"), (case, done.stderr)
            assert "goes on without this checkpoint" in done.stderr, case
            assert not [name for name in os.listdir(directory) if name.endswith(".tmp")], case
            files = checkpoints(str(directory))
            assert files, case
            for file in files:
                whet.load(file)
            assert short_fit(str(directory)) == want, case


def test_a_model_of_other_widths_is_another(tmp_path, rng):
    X, y = rng.normal(size=(64, 6)), rng.normal(size=64)
    nn.MLP(6, (1,), 1).fit(X, y, loss="mse", epochs=1, checkpoint=tmp_path)
    model = nn.MLP(6, (9,), 1).initialize(0)
    before = model.fingerprint()
    with pytest.raises(ValueError, match="other: the model"):
        model.fit(X, y, loss="mse", epochs=2, checkpoint=tmp_path, resume=True)
    assert model.fingerprint() == before


def test_what_is_no_file_is_no_checkpoint(tmp_path, rng):
    X, y = rng.normal(size=(64, 6)), rng.normal(size=64)
    os.mkfifo(tmp_path / "checkpoint-00000001.whet")
    (tmp_path / "checkpoint-00009999.whet").mkdir()
    history = nn.Linear(6, 1).fit(X, y, loss="mse", epochs=1, checkpoint=tmp_path, resume=True)
    assert len(history["loss"]) == 1


def test_the_directory_stays_where_it_was(tmp_path, rng, monkeypatch):
    class Moves(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            monkeypatch.chdir("/")

    monkeypatch.chdir(tmp_path)
    nn.Linear(6, 1).fit(
        rng.normal(size=(64, 6)), rng.normal(size=64), loss="mse", epochs=2, checkpoint="run", callbacks=Moves()
    )
    assert len(list((tmp_path / "run").glob("checkpoint-*.whet"))) == 2
