"""Callbacks of fit: when they are called, what they may do, and the rules of Keras' documentation.

Numbers to monitor are scripted: a metric returns the next one of a list, so that a rule is compared with what its
definition, or PyTorch's scheduler, says of that list.
"""

from __future__ import annotations

import csv
import math
import os
import signal

import numpy as np
import pytest

import whet
from whet import callbacks, nn, optim, schedules
from whet.metrics import Metric

STILL = optim.SGD(lr=0.0)


@pytest.fixture
def data(rng):
    X = rng.normal(size=(96, 5)).astype(np.float32)
    return X, (X @ rng.normal(size=5) + 0.1 * rng.normal(size=96)).astype(np.float32)


class Weights(callbacks.Callback):
    """Copies of the parameters after each epoch."""

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append({name: value.copy() for name, value in self.model.state_dict().items()})


def scripted(numbers, greater=False):
    """A metric "m" that is numbers[e] after epoch e on the validation rows."""
    calls = iter([number for each in numbers for number in (math.nan, each)])
    return Metric("m", lambda truth, prediction: next(calls), "outputs", greater)


def fit_to(numbers, data, *given, greater=False, model=None, optimizer=STILL, **options):
    """Trains so many epochs, in which "val_m" takes these values."""
    model = nn.Linear(5, 1) if model is None else model
    metrics = scripted(numbers, greater)
    arguments = dict(loss="mse", optimizer=optimizer, epochs=len(numbers), validation_data=data, metrics=metrics)
    return model.fit(*data, callbacks=given, **arguments, **options)


def same(a, b):
    return all(a[name].tobytes() == b[name].tobytes() for name in a)


# When they are called


def test_callbacks_are_called_in_order_with_what_the_history_has(data):
    calls = []

    class Recorder(callbacks.Callback):
        def __init__(self, name):
            self.name = name

        def on_train_begin(self, logs=None):
            calls.append((self.name, "begin", logs))

        def on_train_end(self, logs=None):
            calls.append((self.name, "end", logs))

        def on_epoch_begin(self, epoch, logs=None):
            calls.append((self.name, epoch, logs))

        def on_epoch_end(self, epoch, logs=None):
            calls.append((self.name, epoch, logs))
            assert self.model.history["loss"][-1] == logs["loss"]

    model = nn.Linear(5, 1)
    given = [Recorder("a"), Recorder("b")]
    history = model.fit(*data, loss="mse", epochs=2, validation_data=data, metrics="mae", callbacks=given)
    numbers = [{name: values[epoch] for name, values in history.items()} for epoch in (0, 1)]
    expected = [("begin", {}), (0, {}), (0, numbers[0]), (1, {}), (1, numbers[1]), ("end", numbers[1])]
    assert calls == [(name, when, logs) for when, logs in expected for name in ("a", "b")]
    assert set(numbers[0]) == {"loss", "lr", "mae", "val_loss", "val_mae"}
    assert all(each.model is model for each in given)
    assert history.stopped_by == "epochs"


def test_callbacks_change_no_bit(data):
    fits = []
    for given in ((), None, callbacks.Callback(), [callbacks.Callback(), callbacks.LambdaCallback()]):
        model = nn.MLP(5, (7,), 1, dropout=0.2)
        history = model.fit(*data, loss="mse", epochs=3, callbacks=given, optimizer=optim.Adam(ema=0.9), seed=4)
        fits.append((model.fingerprint(), dict(history)))
    assert all(each == fits[0] for each in fits)


def test_parameters_are_drawn_from_the_seed_of_the_fit_before_a_callback_reads_them(data):
    fingerprints = []
    model = nn.Linear(5, 1)
    reader = callbacks.LambdaCallback(on_train_begin=lambda logs: fingerprints.append(model.fingerprint()))
    model.fit(*data, loss="mse", epochs=1, callbacks=reader, seed=7)
    assert fingerprints == [nn.Linear(5, 1).initialize(7).fingerprint()]


def test_a_callback_may_end_the_training(data):
    class Enough(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                self.model.stop_training = True

    model = nn.Linear(5, 1)
    seen, version = Weights(), model._version()
    history = model.fit(*data, loss="mse", epochs=9, callbacks=[Enough(), seen])
    assert model._version() == version  # nothing that a model is made of has changed
    assert (len(history["loss"]), history.stopped_by) == (3, "Enough")
    assert len(seen.seen) == 3  # those after it are called, too
    assert model.stop_training
    assert len(model.fit(*data, loss="mse", epochs=4, callbacks=seen)["loss"]) == 4  # it counts for one fit
    assert not model.stop_training


def test_what_was_asked_for_before_an_epoch_ends_it_after_it(data):
    model = nn.Linear(5, 1)

    def stop(*_):
        model.stop_training = True

    for when in ("on_train_begin", "on_epoch_begin"):
        history = model.fit(*data, loss="mse", epochs=9, callbacks=callbacks.LambdaCallback(**{when: stop}))
        assert (len(history["loss"]), history.stopped_by) == (1, "stop_training")


def test_the_end_that_is_asked_for_first_counts(data):
    always = dict(on_epoch_end=lambda epoch, logs: setattr(model, "stop_training", True))
    model = nn.Linear(5, 1)
    history = model.fit(
        *data, loss="mse", epochs=1, stop_at={"loss": 1e9}, callbacks=callbacks.LambdaCallback(**always)
    )
    assert history.stopped_by == "stop_at"
    history = model.fit(*data, loss="mse", epochs=1, max_steps=1, callbacks=callbacks.LambdaCallback(**always))
    assert history.stopped_by == "LambdaCallback"


@pytest.mark.parametrize("when", ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end"])
@pytest.mark.parametrize("ema", [None, 0.5])
def test_what_a_callback_raises_leaves_a_whole_step_and_the_history(data, when, ema):
    class Broken(callbacks.Callback):
        pass

    def fail(self, *arguments):
        if len(arguments) == 1 or arguments[0] == 1:
            raise ZeroDivisionError("mine")

    setattr(Broken, when, fail)
    optimizer = optim.Adam(ema=ema)
    model, other = (nn.MLP(5, (4,), 1).initialize(1) for _ in range(2))
    with pytest.raises(ZeroDivisionError, match="mine"):
        model.fit(*data, loss="mse", optimizer=optimizer, epochs=3, callbacks=Broken())
    epochs = {"on_train_begin": 0, "on_epoch_begin": 1, "on_epoch_end": 2, "on_train_end": 3}[when]
    assert len(model.history.get("loss", [])) == epochs
    assert model.history.steps == 3 * epochs
    if epochs:
        other.fit(*data, loss="mse", optimizer=optimizer, epochs=epochs)
    assert model.fingerprint() == other.fingerprint()
    model.fit(*data, loss="mse", epochs=1)  # nothing is held any more


def test_ctrl_c_in_a_callback_is_an_interrupt(data):
    press = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: os.kill(os.getpid(), signal.SIGINT))
    model = nn.Linear(5, 1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data, loss="mse", epochs=9, callbacks=press)
    assert (len(model.history["loss"]), model.history.stopped_by) == (1, "interrupt")
    ended = []
    end = callbacks.LambdaCallback(on_train_end=ended.append)
    history = model.fit(*data, loss="mse", epochs=9, callbacks=[press, end], on_interrupt="return")
    assert history.stopped_by == "interrupt"
    assert len(ended) == 1


def test_a_callback_cannot_change_parameters_under_the_training(data):
    model = nn.Linear(5, 1)
    write = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: model.load_state_dict(model.state_dict()))
    with pytest.raises(RuntimeError, match="load_state_dict"):
        model.fit(*data, loss="mse", epochs=2, callbacks=write)
    zero = {"weight": np.zeros((1, 5)), "bias": np.zeros(1)}
    after = callbacks.LambdaCallback(on_train_end=lambda logs: model.load_state_dict(zero))
    model.fit(*data, loss="mse", epochs=2, callbacks=after)
    assert not model.state_dict()["weight"].any()


class OfBatches(callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "sequence of whet.callbacks, got int"),
        ("EarlyStopping", "sequence of whet.callbacks, got str"),
        ([print], "whet.callbacks.Callback, got builtin_function"),
        ([callbacks.Callback(), object()], "whet.callbacks.Callback, got object"),
        ([callbacks.EarlyStopping], "got EarlyStopping itself: make one"),
        (OfBatches(), "without on_train_batch_end"),
    ],
)
def test_other_objects_are_refused(data, given, message):
    model = nn.Linear(5, 1).initialize(0)
    before = model.fingerprint()
    with pytest.raises(TypeError, match=message):
        model.fit(*data, loss="mse", callbacks=given)
    assert model.fingerprint() == before
    assert model.history is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: callbacks.EarlyStopping(mode="least"), "'auto', 'min' or 'max'"),
        (lambda: callbacks.EarlyStopping(patience=-1), "patience"),
        (lambda: callbacks.EarlyStopping(min_delta=math.nan), "min_delta"),
        (lambda: callbacks.ReduceLROnPlateau(factor=1.0), "factor"),
        (lambda: callbacks.ReduceLROnPlateau(min_lr=-1.0), "min_lr"),
        (lambda: callbacks.CSVLogger("log", separator="tab"), "one character"),
    ],
)
def test_numbers_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: callbacks.EarlyStopping(monitor=3),
        lambda: callbacks.EarlyStopping(patience=1.5),
        lambda: callbacks.EarlyStopping(restore_best_weights="no"),
        lambda: callbacks.LearningRateScheduler(0.1),
        lambda: callbacks.LambdaCallback(on_epoch_end=3),
        lambda: callbacks.CSVLogger(3),
        lambda: callbacks.ModelCheckpoint(None),
    ],
)
def test_kinds_are_checked(make):
    with pytest.raises(TypeError, match=r"^\[\w+\] expected"):
        make()


@pytest.mark.parametrize("cls", [callbacks.EarlyStopping, callbacks.ReduceLROnPlateau])
def test_a_monitor_that_will_not_be_there_is_refused_before_the_first_step(data, cls):
    model = nn.Linear(5, 1)
    with pytest.raises(ValueError, match=r"one of loss, mae, got 'val_loss'; give fit validation_data"):
        model.fit(*data, loss="mse", metrics="mae", callbacks=cls())
    with pytest.raises(ValueError, match=r"one of loss, val_loss, got 'val_accuracy'"):
        model.fit(*data, loss="mse", validation_data=data, callbacks=cls(monitor="val_accuracy"))
    assert model.history is None


# EarlyStopping


def early_stopping(numbers, patience, delta=0.0, greater=False, baseline=None, start=0):
    """(epochs trained, best epoch) by the definition, of numbers without NaN.

    The best epoch is improved on by more than `delta`. The end is the first epoch without improvement, after epoch 0,
    that has `patience` epochs or more since the last best one that also improves on the baseline.
    """
    numbers = [-number if greater else number for number in numbers]
    limit = math.inf if baseline is None else (-baseline if greater else baseline)
    best, since = None, start - 1
    for epoch in range(start, len(numbers)):
        if best is None or numbers[epoch] + delta < numbers[best]:
            best = epoch
            since = epoch if numbers[epoch] + delta < limit else since
        elif epoch - since >= patience and epoch > 0:
            return epoch + 1, best
    return len(numbers), best


@pytest.mark.parametrize("greater", [False, True])
@pytest.mark.parametrize("restore", [False, True])
def test_early_stopping_is_that_of_the_definition(data, rng, greater, restore):
    lengths = set()
    for case in range(60):
        numbers = (rng.integers(0, 40, size=12) / 8).tolist()  # exact, with ties
        options = dict(
            patience=int(rng.integers(0, 5)),
            baseline=[None, 2.0][case % 2],
            start_from_epoch=int(rng.integers(0, 4)),
            min_delta=[0.0, 0.5, -0.5][case % 3],
        )
        stopping = callbacks.EarlyStopping(
            "val_m", mode=["auto", "max" if greater else "min"][case // 2 % 2], **options
        )
        stopping.restore_best_weights = restore
        seen = Weights()
        model = nn.Linear(5, 1)
        optimizer = optim.SGD(lr=0.01)
        history = fit_to(numbers, data, seen, stopping, greater=greater, model=model, optimizer=optimizer)
        length, best = early_stopping(
            numbers,
            options["patience"],
            abs(options["min_delta"]),
            greater,
            options["baseline"],
            options["start_from_epoch"],
        )
        assert (len(history["loss"]), history.best_epoch, stopping.best_epoch) == (length, best, best), (
            numbers,
            options,
        )
        assert stopping.best == numbers[best]
        stopped = length < len(numbers) or history.stopped_by == "EarlyStopping"
        assert history.stopped_by == ("EarlyStopping" if stopped else "epochs")
        assert stopping.stopped_epoch == (length - 1 if stopped else 0)
        assert same(model.state_dict(), seen.seen[best if restore else -1])
        assert restore or stopping.best_weights is None
        lengths.add(length)
    assert len(lengths) > 5  # the cases tell something


def test_nan_is_no_improvement(data):
    stopping = callbacks.EarlyStopping("val_m", patience=2)
    history = fit_to([math.nan, 1.0, math.nan, math.nan, 0.0], data, stopping)
    assert (len(history["loss"]), history.best_epoch, stopping.best) == (4, 1, 1.0)
    history = fit_to([math.nan, 2.0, 1.0, 1.0, 0.0], data, callbacks.EarlyStopping("val_m"))
    assert (len(history["loss"]), history.best_epoch) == (4, 2)  # the first epoch is never the last


def test_a_callback_may_serve_again(data):
    stopping = callbacks.EarlyStopping("val_m", patience=1, restore_best_weights=True)
    for numbers, epochs, best in ([1.0, 2.0, 3.0], 2, 0), ([9.0, 8.0, 9.0, 7.0], 3, 1):
        history = fit_to(numbers, data, stopping)
        assert (len(history["loss"]), history.best_epoch) == (epochs, best)


@pytest.mark.parametrize(
    "optimizer",
    [
        optim.Adam(lr=0.01),
        optim.Adam(lr=0.01, ema=0.9),
        optim.SGD(lr=0.01, swa=0.2),
        optim.ScheduleFreeAdamW(lr=0.01),
        optim.Muon(lr=0.01),
    ],
    ids=["alone", "ema", "swa", "schedule-free", "muon"],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_best_weights_are_restored_bit_for_bit(data, optimizer, dtype):
    """Running statistics of a BatchNorm included; they are what a fit that ends there leaves, average or not."""

    def network():
        return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1)).to(dtype).initialize(0)

    model, other = network(), network()
    seen, stopping = Weights(), callbacks.EarlyStopping("val_m", patience=3, restore_best_weights=True)
    history = fit_to([5, 4, 3, 4, 3, 4, 5, 2], data, stopping, seen, model=model, optimizer=optimizer)
    assert (len(history["loss"]), history.best_epoch) == (6, 2)
    assert same(model.state_dict(), seen.seen[2])
    assert not same(seen.seen[2], seen.seen[5])
    assert (seen.seen[2]["1.running_mean"] != seen.seen[5]["1.running_mean"]).any()
    assert model.evaluate(*data)["loss"] == history["val_loss"][2]
    stop = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(other, "stop_training", epoch == 2))
    fit_to([5, 4, 3, 4, 3, 4, 5, 2], data, stop, model=other, optimizer=optimizer)
    assert model.fingerprint() == other.fingerprint()


def test_best_weights_are_restored_when_the_epochs_are_over_or_an_interrupt_returns(data):
    for ends in (None, 4):

        def press(epoch, logs, ends=ends):
            if epoch == ends:
                os.kill(os.getpid(), signal.SIGINT)

        model = nn.Linear(5, 1)
        given = (Weights(), callbacks.EarlyStopping("val_m", patience=9, restore_best_weights=True))
        press = callbacks.LambdaCallback(on_epoch_end=press)
        options = dict(model=model, optimizer=optim.SGD(lr=0.01), on_interrupt="return")
        history = fit_to([3, 2, 1, 2, 3, 4], data, *given, press, **options)
        assert history.stopped_by == ("epochs" if ends is None else "interrupt")
        assert same(model.state_dict(), given[0].seen[2])


# Learning rates


@pytest.mark.parametrize("greater", [False, True])
def test_reduce_on_plateau_is_pytorchs(torch, data, rng, greater):
    """Keras counts one epoch of patience, and one of cooldown, more."""
    for case in range(20):
        numbers = (rng.integers(0, 30, size=25) / 8).tolist()
        patience, cooldown = int(rng.integers(1, 4)), int(rng.integers(0, 4))
        delta, floor = [0.0, 0.5][case % 2], [0.0, 0.003][case // 2 % 2]
        rates = {"a": 0.1, "b": 0.04}
        peer = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in rates.values()])
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            peer,
            mode="max" if greater else "min",
            factor=0.5,
            patience=patience - 1,
            threshold=delta,
            threshold_mode="abs",
            cooldown=max(cooldown - 1, 0),
            min_lr=floor,
            eps=0,
        )
        expected = []
        for number in numbers:
            expected.append([group["lr"] for group in peer.param_groups])
            scheduler.step(number)
        reduce = callbacks.ReduceLROnPlateau("val_m", 0.5, patience, "auto", delta, cooldown, floor)
        seen = []
        spy = callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs, seen=seen, reduce=reduce: seen.append(now(reduce))
        )
        optimizer = optim.SGD(lr=0.1, groups={"bias": {"lr": 0.04}})
        history = fit_to(numbers, data, reduce, spy, greater=greater, optimizer=optimizer)
        assert seen == expected
        assert history["lr"] == [first for first, _ in expected]
        assert len({first for first, _ in expected}) > 2


def now(callback):
    """The rates of all groups at the next step."""
    rates = callback._rates()
    return [rates._now(group) for group in rates.assignment.groups]


def test_a_reduced_rate_is_that_of_the_steps(data):
    """Each group's parameters move by its own reduced rate; plain gradient descent tells."""
    model, by_hand = (nn.Linear(5, 1).to("float64").initialize(0) for _ in range(2))
    reduce = callbacks.ReduceLROnPlateau("val_m", factor=0.25, patience=1)
    fit_to([1, 1, 1], data, reduce, model=model, optimizer=optim.GD(lr=0.5, groups={"bias": {"lr": 0.25}}))
    for lr in (0.5, 0.5, 0.125):
        optimizer = optim.GD(lr=lr, groups={"bias": {"lr": lr / 2}})
        by_hand.fit(*data, loss="mse", optimizer=optimizer, epochs=1)
    assert model.fingerprint() == by_hand.fingerprint()


def test_a_schedule_is_reduced_from_then_on(data):
    schedule = schedules.Linear(0.1, end=0.02)
    reduce = callbacks.ReduceLROnPlateau("val_m", factor=0.5, patience=1, min_lr=0.03)
    history = fit_to([1, 1, 2, 0, 0], data, reduce, optimizer=optim.GD(lr=schedule))
    shares = schedule.at(np.arange(5) / 5)
    expected = [shares[0], shares[1], shares[2] / 2, max(shares[3] / 4, 0.03), max(shares[4] / 4, 0.03)]
    assert history["lr"] == expected


def test_a_rate_below_the_least_is_not_raised(data):
    reduce = callbacks.ReduceLROnPlateau("val_m", factor=0.5, patience=1, min_lr=0.05)
    seen = []
    spy = callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(now(reduce)))
    optimizer = optim.SGD(lr=0.08, groups={"bias": {"lr": 0.01}})
    fit_to([1, 1, 1, 1], data, reduce, spy, optimizer=optimizer)
    assert seen == [[0.08, 0.01]] * 2 + [[0.05, 0.01]] * 2


def test_learning_rate_scheduler(data):
    asked = []

    def tenth_after_two(epoch, lr):
        asked.append((epoch, lr))
        return lr if epoch < 2 else lr * 0.1

    model, by_hand = (nn.Linear(5, 1).to("float64").initialize(0) for _ in range(2))
    scheduler = callbacks.LearningRateScheduler(tenth_after_two)
    optimizer = optim.GD(lr=0.1, groups={"bias": {"lr": 0.2}})
    history = model.fit(*data, loss="mse", optimizer=optimizer, epochs=4, callbacks=scheduler)
    expected = [0.1, 0.1, 0.1 * 0.1, 0.1 * 0.1 * 0.1]
    assert history["lr"] == expected
    assert asked == list(enumerate([0.1, *expected[:-1]]))
    for lr in expected:
        by_hand.fit(*data, loss="mse", optimizer=optim.GD(lr=lr, groups={"bias": {"lr": 2 * lr}}), epochs=1)
    for name, value in model.state_dict().items():
        np.testing.assert_allclose(value, by_hand.state_dict()[name], rtol=1e-12)


def test_a_rate_is_set_exactly(data, rng):
    rates = rng.random(40).tolist()
    scheduler = callbacks.LearningRateScheduler(lambda epoch, lr: rates[epoch])
    optimizer = optim.Adam(lr=0.3, groups={"bias": {"lr": 0.0}})
    model = nn.Linear(5, 1).initialize(0)
    bias = model.state_dict()["bias"].copy()
    assert model.fit(*data, loss="mse", optimizer=optimizer, epochs=40, callbacks=scheduler)["lr"] == rates
    assert (model.state_dict()["bias"] == bias).all()  # its ratio to the others stays 0


def test_a_learning_rate_of_zero_can_be_set(data):
    warm = callbacks.LearningRateScheduler(lambda epoch, lr: 0.01 * epoch)
    history = nn.Linear(5, 1).fit(*data, loss="mse", optimizer=STILL, epochs=3, callbacks=warm)
    assert history["lr"] == [0.0, 0.01, 0.02]
    from_zero = optim.SGD(lr=schedules.UserDefined(lambda progress: progress))
    with pytest.raises(ValueError, match="a schedule that is at 0"):
        nn.Linear(5, 1).fit(
            *data, loss="mse", optimizer=from_zero, callbacks=callbacks.LearningRateScheduler(lambda epoch, lr: 0.1)
        )


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf])
def test_a_scheduler_that_returns_no_rate(data, rate):
    with pytest.raises(ValueError, match="learning_rate"):
        nn.Linear(5, 1).fit(*data, loss="mse", callbacks=callbacks.LearningRateScheduler(lambda epoch, lr: rate))


def test_rates_are_those_of_a_fit(data):
    own = callbacks.Callback()
    with pytest.raises(RuntimeError, match="before it is given to a fit"):
        _ = own.learning_rate
    nn.Linear(5, 1).fit(*data, loss="mse", optimizer=optim.Adam(lr=0.25), epochs=1, callbacks=own)
    assert own.learning_rate == 0.25


# The others


def test_terminate_on_nan_returns_at_the_last_whole_step(data):
    model, other = (nn.Linear(5, 1).initialize(0) for _ in range(2))
    diverging = dict(loss="mse", optimizer=optim.SGD(lr=1e6), epochs=50)
    with pytest.raises(whet.NonFiniteError):
        other.fit(*data, **diverging)
    ended = []
    end = callbacks.LambdaCallback(on_train_end=ended.append)
    history = model.fit(*data, callbacks=[callbacks.TerminateOnNaN(), end], **diverging)
    assert history.stopped_by == "TerminateOnNaN"
    assert model.fingerprint() == other.fingerprint()
    assert history.steps == other.history.steps
    assert len(ended) == 1


def test_csv_logger(data, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("what was there\n")
    model = nn.Linear(5, 1)
    arguments = dict(loss="mse", epochs=2, validation_data=data)
    first = model.fit(*data, callbacks=callbacks.CSVLogger(path), **arguments)
    assert path.read_text().splitlines()[0] == "epoch,loss,lr,val_loss"
    second = model.fit(*data, callbacks=callbacks.CSVLogger(path, append=True), **arguments)
    with open(path, newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["epoch"] for line in lines] == ["0", "1", "0", "1"]
    for name in ("loss", "lr", "val_loss"):
        assert [float(line[name]) for line in lines] == first[name] + second[name]
    other = tmp_path / "log.tsv"
    model.fit(*data, callbacks=callbacks.CSVLogger(other, separator="\t", append=True), **arguments)
    assert other.read_text().splitlines()[0] == "epoch\tloss\tlr\tval_loss"
    with pytest.raises(OSError, match="nowhere"):
        model.fit(*data, callbacks=callbacks.CSVLogger(tmp_path / "nowhere" / "log.csv"), **arguments)


def test_model_checkpoint_saves_every_epoch(data, tmp_path):
    seen = Weights()
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    checkpoint = callbacks.ModelCheckpoint(tmp_path / "runs" / "{epoch:02d}-{val_loss:.3f}.whet")
    optimizer = optim.Adam(lr=0.01, ema=0.9)
    history = fit_to([3, 2, 1], data, seen, checkpoint, model=model, optimizer=optimizer)
    names = [f"{epoch + 1:02d}-{loss:.3f}.whet" for epoch, loss in enumerate(history["val_loss"])]
    assert sorted(os.listdir(tmp_path / "runs")) == names
    for name, expected, loss in zip(names, seen.seen, history["val_loss"], strict=True):
        saved = whet.load(tmp_path / "runs" / name)
        assert same(saved.state_dict(), expected)
        assert saved._loss == model._loss
        model_loss = saved._evaluate(data[0], data[1].reshape(-1, 1), saved._loss, ())["loss"]
        assert model_loss == loss  # the average, as it was evaluated


def test_model_checkpoint_keeps_the_best(data, tmp_path):
    path = tmp_path / "best.whet"
    seen, model = Weights(), nn.Linear(5, 1)
    best = callbacks.ModelCheckpoint(path, "val_m", save_best_only=True)
    fit_to([3, 1, 2, 1, math.nan], data, seen, best, model=model, optimizer=optim.SGD(lr=0.01))
    assert same(whet.load(path).state_dict(), seen.seen[1])
    assert best.best == 1
    fit_to([2, 1.5], data, best, model=model, optimizer=optim.SGD(lr=0.01))  # not better than what is saved
    assert same(whet.load(path).state_dict(), seen.seen[1])
    fit_to([2, 0.5], data, seen, best, model=model, optimizer=optim.SGD(lr=0.01))
    assert same(whet.load(path).state_dict(), seen.seen[1])
    assert best.best == 0.5
    most = callbacks.ModelCheckpoint(path, "val_m", save_best_only=True)
    fit_to([1, 3, 2], data, seen, most, model=model, greater=True, optimizer=optim.SGD(lr=0.01))
    assert same(whet.load(path).state_dict(), seen.seen[1])


def test_a_path_that_cannot_be_made_is_refused_before_the_first_step(data, tmp_path):
    model = nn.Linear(5, 1)
    for pattern in ("{val_loss}.whet", "{0}.whet", "{epoch:q}.whet", "{epoch"):
        with pytest.raises(ValueError, match="filepath"):
            model.fit(*data, loss="mse", callbacks=callbacks.ModelCheckpoint(tmp_path / pattern))
    with pytest.raises(ValueError, match="monitor"):
        model.fit(*data, loss="mse", callbacks=callbacks.ModelCheckpoint(tmp_path / "m", save_best_only=True))
    assert model.history is None
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        model.fit(*data, loss="mse", callbacks=callbacks.ModelCheckpoint(tmp_path / "folder"))
    assert len(model.history["loss"]) == 1
