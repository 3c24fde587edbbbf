"""Numbers that stop being finite: what is said of them, for every place where they can begin; and the way back."""

from __future__ import annotations

import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest

import whet
from whet import callbacks, losses, nn, optim, schedules
from whet.nn import functional as F


class Exponential(nn.Module):
    """Whose exp is infinite for large rows."""

    def __init__(self):
        self.body, self.head = nn.Linear(4, 8), nn.Linear(8, 1)

    def forward(self, x):
        return self.head(F.exp(self.body(x)))


class Root(nn.Module):
    """Whose loss is finite, but not its gradient."""

    def __init__(self):
        self.body = nn.Linear(4, 1)

    def forward(self, x):
        return F.sqrt(F.abs(self.body(x)) * 0.0)


@pytest.fixture
def data(rng):
    return rng.normal(size=(600, 4)), rng.normal(size=600)


def fails(model, X, y, loss="mse", **arguments):
    """The error of a fit, which must leave the parameters as the last whole step left them."""
    model.initialize(1)
    before = model.fingerprint()
    with pytest.raises(whet.NonFiniteError) as raised:
        model.fit(X, y, loss=loss, **{"batch_size": 64, "seed": 1, "epochs": 3, **arguments})
    assert (model.fingerprint() == before) == (raised.value.step == 1)
    assert all(np.isfinite(value).all() for value in model.state_dict().values())
    return raised.value


@pytest.mark.parametrize("arguments", [{}, {"shuffle": False}, {"batch_size": 600}, {"validation_fraction": 0.25}])
def test_the_rows_are_those_of_the_data_given(data, arguments):
    X, y = data
    bad = [37, 411, 502]
    X[bad, 2] *= 1e6
    batch = arguments.get("batch_size", 64)
    error = fails(Exponential(), X, y, **arguments)
    assert error.epoch == 0
    assert error.layer == ""
    assert error.operation == "exp"
    assert set(error.rows) <= set(bad)
    assert batch < 600 or list(error.rows) == bad
    np.testing.assert_array_equal(error.features, X[error.rows].astype(np.float32))
    assert f"row {error.rows[0]} of X" in str(error) or f"({', '.join(map(str, error.rows))})" in str(error)
    assert "scale column 2 of X" in str(error)
    assert "exp" in str(error)
    assert not any(f"{value:.3f}"[:5] in str(error) for value in error.features.ravel())  # no values in messages


def test_the_layer_is_named(data):
    X, y = data
    error = fails(nn.MLP(4, (8,), 1), X, y, optimizer=optim.SGD(lr=1e8))
    assert (error.layer, error.operation) == ("2", "linear")
    assert error.step > 1
    assert "layer '2'" in str(error)
    assert "a lower learning rate, such as 1e+07" in error.advice
    assert "clip_norm=1.0" in error.advice
    assert not any("column" in words for words in error.advice)


def test_a_gradient_is_found_before_it_does_harm(data):
    error = fails(Root(), *data)
    words = "the gradient stopped being finite at step 1"
    assert str(error).startswith(f"[fit] {words} (epoch 0), which began in the gradient of sqrt")
    assert len(error.rows) == 64
    assert any("sqrt" in words for words in error.advice)


def test_a_step_of_a_loop_of_ones_own_names_itself(data):
    X, y = data
    with pytest.raises(
        whet.NonFiniteError, match=r"^\[step\] the gradient stopped being finite at step 1, which began"
    ):
        whet.Trainer(Root(), "mse", optim.SGD(lr=0.1)).step(X, y)


def test_a_parameter_gradient_that_overflows_has_no_rows():
    X, y = np.full((64, 1), 9e37), np.zeros(64)
    error = fails(nn.Linear(1, 1), X, y, loss=losses.L1Loss(reduction="sum"), batch_size=64)
    assert (error.step, error.operation, len(error.rows)) == (1, "linear", 0)
    assert "which began in the gradient of linear in the model's forward; the model" in str(error)


class Table(nn.Module):
    """Of which the rows of a batch name one entry, and whose gradient is large."""

    def __init__(self):
        self.table = nn.Embedding(70_000, 1)

    def forward(self, x):
        return self.table(x) * 1e37


@pytest.mark.parametrize("kind", ["dense", "sparse", "table"])
def test_a_large_gradient_of_few_rows_is_bounded_or_looked_at(kind):
    """Where it is far less to read, norms say that a gradient is finite; where they do not, it is still looked at."""
    model = Table() if kind == "table" else nn.Linear(300, 300)
    rows = np.zeros((16, 1 if kind == "table" else 300))
    if kind != "table":
        rows[:, 0] = 1e37
    X = rows
    if kind == "sparse":
        X = pytest.importorskip("scipy.sparse", reason="SciPy is not installed").csr_array(rows)
    y = np.zeros_like(rows)
    model.initialize(1)
    arguments = {"loss": losses.L1Loss(reduction="sum"), "optimizer": optim.SGD(lr=1e-37), "batch_size": 16}
    model.fit(X, y, epochs=1, **arguments)  # beyond what norms can vouch for, and finite: 1.6e38
    stacked = np.concatenate([rows] * 4)
    X = type(X)(stacked) if kind == "sparse" else stacked
    error = fails(model, X, np.concatenate([y] * 4), **{**arguments, "batch_size": 64})
    assert (error.step, len(error.rows)) == (1, 0)
    assert "the gradient stopped being finite" in str(error)


def test_a_loss_of_large_targets(data):
    X, y = data
    error = fails(nn.Linear(4, 1), X, y * 1e5, epochs=100, optimizer=optim.SGD(lr=3e3))
    assert (error.layer, error.operation) == (None, "loss")
    assert "scale y, whose numbers are large" in error.advice


def test_a_loss_of_ones_own_is_named(data):
    error = fails(nn.Linear(4, 1), *data, loss=lambda p, t: F.exp((p - t) * 1000.0))
    assert "which began in the output of exp in the loss" in str(error)
    assert error.layer is None
    error = fails(nn.Linear(4, 1), *data, loss=losses.NumPyLoss(lambda p, t: (p[:, 0] * np.nan, p)))
    assert (error.operation, len(error.rows)) == ("loss", 64)


def test_a_parameter_is_looked_at_when_an_epoch_ends(rng):
    model = nn.Linear(1, 1)
    with pytest.raises(whet.NonFiniteError, match="the parameter weight was not finite; the model is not") as raised:
        model.fit(np.full((8, 1), 3.0), np.full(8, -3.0), loss="mse", optimizer=optim.SGD(lr=1e38), epochs=1)
    assert raised.value.layer == ""
    assert len(raised.value.rows) == 0


def test_a_step_of_a_trainer_says_as_much(data):
    X, y = data
    X[[5, 9]] *= 1e6
    trainer = whet.Trainer(Exponential(), "mse")
    with pytest.raises(
        whet.NonFiniteError, match=r"at step 1, which began in the output of exp .* in 2 rows of X \(5, 9\)"
    ):
        trainer.step(X, y)
    assert trainer.steps == 0
    X[[5, 9]] = 0
    assert np.isfinite(trainer.step(X, y))


@pytest.mark.parametrize("batch_size", [500, 100_000])
def test_rows_of_later_blocks_count_on(rng, batch_size):
    """A batch larger than the cache goes through in blocks."""
    X, y = rng.normal(size=(20_000, 4)), rng.normal(size=20_000)
    X[[17_003, 19_999]] *= 1e7
    error = fails(Exponential(), X, y, batch_size=batch_size, shuffle=False, epochs=1)
    assert set(error.rows) <= {17_003, 19_999}
    assert 17_003 in error.rows


def test_the_error_travels(data):
    X, y = data
    X[3] *= 1e7
    error = fails(Exponential(), X, y)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.step == error.step
    np.testing.assert_array_equal(again.rows, error.rows)


def test_terminate_on_nan_ends_for_gradients_too(data):
    model = Root().initialize(1)
    before = model.fingerprint()
    history = model.fit(*data, loss="mse", epochs=2, callbacks=callbacks.TerminateOnNaN())
    assert history.stopped_by == "TerminateOnNaN"
    assert model.fingerprint() == before


def test_batch_norm_and_dropout_are_run_again_as_they_were(rng):
    X, y = rng.normal(size=(64, 4)), rng.normal(size=64)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), Root.__new__(Root))
    model[3].body = nn.Linear(8, 1)
    error = fails(model, X, y, batch_size=64)
    assert error.operation == "sqrt"
    assert error.layer == "3"


OPTIMIZERS = [optim.get(name) for name in sorted(optim._CLASSES)]
OPTIMIZERS += [replace(each, lr=schedules.Cosine(0.5)) for each in OPTIMIZERS if each.name != "schedule_free_adamw"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_what_is_advised_is_what_the_optimizer_takes(data, optimizer):
    X, y = data
    with pytest.raises(whet.NonFiniteError) as caught:
        Exponential().initialize(1).fit(1e3 * X, y, loss="mse", optimizer=optimizer)
    named = {"a lower learning rate, such as ": "lr", "clip_norm=": "clip_norm"}
    advised = [(words, start) for words in caught.value.advice for start in named if words.startswith(start)]
    assert advised
    for words, start in advised:
        replace(optimizer, **{named[start]: float(words.removeprefix(start))})


# The way back


def test_a_rollback_halves_the_rate_until_the_epoch_ends(data):
    X, _ = data
    model = nn.MLP(4, (8,), 1).initialize(1)
    with pytest.warns(
        whet.WhetWarning, match="went back to the beginning of epoch 0 and halved the learning rate: the loss"
    ) as told:
        history = model.fit(X, X[:, 0], loss="mse", optimizer=optim.SGD(lr=40.0), epochs=4, seed=1, batch_size=64,
                            on_nonfinite="rollback")  # fmt: skip
    times = sum("went back" in str(each.message) for each in told)
    assert history["lr"][0] == 40.0 / 2**times
    assert history.stopped_by == "epochs"
    other = nn.MLP(4, (8,), 1).initialize(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.fit(X, X[:, 0], loss="mse", optimizer=optim.SGD(lr=40.0 / 2**times), epochs=4, seed=1, batch_size=64)
    assert other.fingerprint() == model.fingerprint()


@pytest.mark.parametrize(
    "optimizer", [optim.Adam(lr=200.0), optim.SGD(lr=50.0, momentum=0.9, ema=0.9), optim.LAMB(lr=100.0)]
)
def test_slots_and_averages_go_back_too(data, optimizer):
    X, y = data
    first, second = (Exponential().initialize(1) for _ in range(2))
    with pytest.warns(whet.WhetWarning, match="halved"):
        history = first.fit(
            X, y, loss="mse", optimizer=optimizer, epochs=1, batch_size=64, seed=1, on_nonfinite="rollback"
        )
    second.fit(X, y, loss="mse", optimizer=replace(optimizer, lr=history["lr"][0]), epochs=1, batch_size=64, seed=1)
    assert first.fingerprint() == second.fingerprint()


def test_what_no_rate_mends_is_raised_in_the_end(data):
    model = Root().initialize(1)
    before = model.fingerprint()
    with pytest.warns(whet.WhetWarning, match="halved") as told, pytest.raises(whet.NonFiniteError, match="sqrt"):
        model.fit(*data, loss="mse", on_nonfinite="rollback")
    assert model.fingerprint() == before
    assert sum("halved" in str(each.message) for each in told) == 10


def test_other_choices_are_refused(data):
    with pytest.raises(ValueError, match="on_nonfinite 'raise' or 'rollback', got 'skip'"):
        nn.Linear(4, 1).fit(*data, loss="mse", on_nonfinite="skip")
