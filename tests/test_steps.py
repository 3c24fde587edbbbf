"""Callbacks between the steps of an epoch: when they are called, what they may do; who has none pays nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from whet import callbacks, nn, optim, schedules
from whet.training import loop


@pytest.fixture
def data(rng):
    return rng.normal(size=(320, 3)), rng.normal(size=320)


class Steps(callbacks.Callback):
    """Notes its calls."""

    def __init__(self, every_n_steps):
        self.every_n_steps = every_n_steps
        self.seen = []

    def on_step_end(self, step, logs=None):
        self.seen.append((step, logs))


def fit(data, *given, model=None, **options):
    """Ten steps an epoch."""
    model = nn.Linear(3, 1) if model is None else model
    arguments = {"loss": "mse", "epochs": 3, "batch_size": 32, **options}
    return model.fit(*data, callbacks=given, **arguments)


@pytest.fixture
def engine_calls(monkeypatch):
    """The most steps that each call of the engine was to take."""
    calls, make = [], loop.core_trainer

    class Counted:
        def __init__(self, trainer):
            object.__setattr__(self, "trainer", trainer)

        def __getattr__(self, name):
            return getattr(self.trainer, name)

        def __setattr__(self, name, value):
            setattr(self.trainer, name, value)

        def epoch(self, *arguments):
            calls.append(arguments[6])
            return self.trainer.epoch(*arguments)

    monkeypatch.setattr(loop, "core_trainer", lambda *arguments: Counted(make(*arguments)))
    return calls


def test_an_epoch_is_one_call_of_the_engine_unless_steps_are_asked_for(data, engine_calls):
    fit(data, callbacks.EarlyStopping("loss", patience=9), callbacks.LambdaCallback(on_epoch_end=lambda e, logs: None))
    assert engine_calls == [10, 10, 10]
    engine_calls.clear()
    fit(data, Steps(4))
    assert engine_calls == [4, 4, 2, 2, 4, 4, 4, 4, 2]


@pytest.mark.parametrize("every", [1, 3, 10, 25, 1000])
def test_calls_come_at_multiples_of_n(data, every):
    a, b = Steps(every), Steps(4)
    history = fit(data, a, b)
    assert [step for step, _ in a.seen] == [*range(every, 31, every)]
    assert [step for step, _ in b.seen] == [*range(4, 31, 4)]
    for step, logs in a.seen:
        assert set(logs) == {"loss", "lr"}
        if step % 10 == 0:
            assert logs["loss"] == history["loss"][step // 10 - 1]


def test_the_loss_is_the_mean_of_the_epoch_so_far(data):
    steps = Steps(3)
    fit(data, steps, optimizer=optim.SGD(lr=0.0), epochs=1, shuffle=False, model=nn.Linear(3, 1).to("float64"))
    model = nn.Linear(3, 1).to("float64").initialize(0)
    squares = (model.predict(data[0])[:, 0] - data[1]) ** 2
    for step, logs in steps.seen:
        assert logs["loss"] == pytest.approx(squares[: 32 * step].mean(), rel=1e-12)


def test_callbacks_between_steps_change_no_bit(data):
    fits = []
    for given in ((), (Steps(1),), (Steps(7), Steps(3))):
        model = nn.MLP(3, (5,), 1, dropout=0.2)
        optimizer = optim.AdamW(lr=schedules.OneCycle(1e-2), ema=0.9, accumulate=2)
        history = fit(data, *given, model=model, optimizer=optimizer, metrics="mae", validation_fraction=0.1)
        fits.append((model.fingerprint(), dict(history)))
    assert all(each == fits[0] for each in fits)


def test_steps_of_an_end_by_max_steps(data):
    steps = Steps(2)
    history = fit(data, steps, max_steps=15)
    assert [step for step, _ in steps.seen] == [*range(2, 15, 2)]
    assert history.stopped_by == "max_steps"


def test_batches_that_weigh_nothing_are_no_steps(data):
    steps, weights = Steps(2), np.repeat([1.0, 0.0], 160)
    fit(data, steps, sample_weight=weights, shuffle=False)
    assert [step for step, _ in steps.seen] == [*range(2, 16, 2)]


def test_a_callback_may_end_the_training_between_steps(data):
    def enough(step, logs):
        model.stop_training = step == 13

    model, after = nn.Linear(3, 1), Steps(1)
    given = callbacks.LambdaCallback(on_step_end=enough), after
    history = fit(data, *given, model=model, metrics="mae", validation_fraction=0.0)
    assert (history.steps, history.stopped_by, len(history["loss"])) == (13, "LambdaCallback", 2)
    assert len(after.seen) == 13
    assert math.isnan(history["mae"][1])  # of the epoch that was cut short
    assert fit(data, model=model).stopped_by == "epochs"
    assert fit(data, Steps(5), model=model).stopped_by == "epochs"


def test_a_callback_may_set_the_rate_between_steps(data):
    """The training is that with a schedule of the same rates."""
    rates = {5: 0.02, 13: 0.001, 20: 0.005}

    class Rates(callbacks.Callback):
        every_n_steps = 1

        def on_step_end(self, step, logs=None):
            self.learning_rate = rates.get(step, self.learning_rate)

    def rate_at(progress):
        step = round(progress * 30)
        return 0.1 if step < 5 else 0.02 if step < 13 else 0.001 if step < 20 else 0.005

    a, b, seen = nn.Linear(3, 1), nn.Linear(3, 1), Steps(1)
    history = fit(data, Rates(), seen, model=a, optimizer=optim.SGD(lr=0.1))
    fit(data, model=b, optimizer=optim.SGD(lr=schedules.UserDefined(rate_at)))
    assert a.fingerprint() == b.fingerprint()
    assert [logs["lr"] for step, logs in seen.seen if step in rates] == [*rates.values()]
    assert history["lr"] == [0.02, 0.005, 0.005]


def test_an_error_between_steps_leaves_the_model_at_a_whole_step(data):
    def fail(step, logs):
        if step == 13:
            raise ZeroDivisionError

    a, b = nn.Linear(3, 1), nn.Linear(3, 1)
    with pytest.raises(ZeroDivisionError):
        fit(data, callbacks.LambdaCallback(on_step_end=fail, every_n_steps=13), model=a)
    assert a.history.stopped_by is None
    assert a.history.steps == 13
    fit(data, model=b, max_steps=13)
    assert a.fingerprint() == b.fingerprint()


class Counter(callbacks.Callback):
    """Remembers how many steps it saw, and lowers the rate once."""

    every_n_steps = 2

    def on_train_begin(self, logs=None):
        self.calls = 0

    def on_step_end(self, step, logs=None):
        self.calls += 1
        if self.calls == 6:
            self.learning_rate = 0.5 * self.learning_rate

    def state(self):
        return {"calls": self.calls}

    def load_state(self, state):
        self.calls = state["calls"]


@pytest.mark.parametrize("steps", [11, 12, 13, 17])
def test_a_fit_that_is_resumed_between_steps_knows_what_its_callbacks_did(data, tmp_path, steps):
    whole, parts = nn.Linear(3, 1), nn.Linear(3, 1)
    a, b = Counter(), Counter()
    fit(data, a, model=whole)
    fit(data, Counter(), model=parts, checkpoint=tmp_path, checkpoint_every=5, max_steps=steps)
    again = nn.Linear(3, 1)
    history = fit(data, b, model=again, checkpoint=tmp_path, checkpoint_every=5, resume=True)
    assert (a.calls, b.calls, history.steps) == (15, 15, 30)
    assert again.fingerprint() == whole.fingerprint()
    assert dict(history) == dict(whole.history)


def test_what_callbacks_know_of_the_fit(data):
    steps = Steps(1)
    assert dict(steps.params) == {}
    fit(data, steps, optimizer=optim.Adam(), max_steps=25)
    told = {**steps.params, "loss": None, "optimizer": None}
    assert told == dict(epochs=3, steps=10, total_steps=25, rows=320, batch_rows=32, loss=None, optimizer=None)
    assert steps.params["loss"].startswith("MSELoss(")
    assert steps.params["optimizer"].startswith("Adam(")


@pytest.mark.parametrize(("every", "error"), [(0, ValueError), (2.5, TypeError), (True, TypeError), ("2", TypeError)])
def test_wrong_numbers_of_steps(data, every, error):
    with pytest.raises(error, match=r"\[Steps\] expected every_n_steps"):
        fit(data, Steps(every))
    with pytest.raises(error, match=r"\[LambdaCallback\] expected every_n_steps"):
        callbacks.LambdaCallback(on_step_end=print, every_n_steps=every)


@pytest.mark.parametrize("wrong", [-3, 0, 2.5, "x", True])
def test_the_number_of_steps_is_checked_whenever_it_changes(rng, wrong):
    class Changing(callbacks.Callback):
        every_n_steps = 2

        def on_step_end(self, step, logs=None):
            self.every_n_steps = wrong

    with pytest.raises((TypeError, ValueError), match="every_n_steps"):
        nn.Linear(2, 1).fit(rng.normal(size=(400, 2)), rng.normal(size=400), loss="mse", callbacks=Changing())
