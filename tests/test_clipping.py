"""What an optimizer asks to be done to gradients: clipping by the norm of all of them, and by value."""

from __future__ import annotations

import math

import numpy as np
import pytest

import whet
from tests import reference
from whet import nn, optim

RATE = 0.5


@pytest.fixture
def data(rng):
    return rng.normal(size=(300, 6)), rng.normal(size=(300, 3))


def model(dtype="float64"):
    return nn.MLP(6, (17,), 3, activation="tanh").to(dtype).initialize(3)


def values(module):
    return {name: value.copy() for name, value in module.state_dict().items()}


@pytest.mark.parametrize(
    "clipping", [{"norm": 0.1}, {"value": 0.01}, {"norm": 0.1, "value": 0.02}, {"norm": 1e3}], ids=str
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_step_is_along_the_clipped_gradient_and_the_gradient_stays(data, clipping, dtype):
    plain = whet.Trainer(model(dtype), "mse", optim.SGD(lr=RATE))
    plain.step(*data)
    ours = model(dtype)
    before = values(ours)
    limits = {f"clip_{name}": limit for name, limit in clipping.items()}
    trainer = whet.Trainer(ours, "mse", optim.SGD(lr=RATE, **limits))
    trainer.step(*data)
    gradients = trainer.gradients()
    for name, gradient in plain.gradients().items():
        np.testing.assert_array_equal(gradients[name], gradient, err_msg=name)
    used = reference.clipped([np.asarray(g, np.float64) for g in gradients.values()], **clipping)
    for (name, value), gradient in zip(ours.state_dict().items(), used, strict=True):
        atol = 1e-6 if dtype == "float32" else 1e-14
        np.testing.assert_allclose(before[name] - value, RATE * gradient, rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("optimizer", [optim.GD, optim.SGD, optim.Adam, optim.AdamW])
def test_limits_that_are_not_reached_change_no_bit(data, optimizer):
    free, limited = model(), model()
    free.fit(*data, loss="mse", optimizer=optimizer(lr=0.01), epochs=3)
    limited.fit(*data, loss="mse", optimizer=optimizer(lr=0.01, clip_norm=1e6, clip_value=1e6), epochs=3)
    assert free.fingerprint() == limited.fingerprint()


@pytest.mark.parametrize("optimizer", [optim.GD, optim.SGD, optim.Adam, optim.AdamW])
def test_fit_clips(data, optimizer):
    free, limited, by_value = model(), model(), model()
    free.fit(*data, loss="mse", optimizer=optimizer(lr=0.01), epochs=3)
    limited.fit(*data, loss="mse", optimizer=optimizer(lr=0.01, clip_norm=1e-3), epochs=3)
    by_value.fit(*data, loss="mse", optimizer=optimizer(lr=0.01, clip_value=1e-5), epochs=3)
    assert len({free.fingerprint(), limited.fingerprint(), by_value.fingerprint()}) == 3


def test_the_norm_is_of_all_rows_where_a_batch_goes_in_blocks(rng):
    """70,000 rows are summed in several passes: the step is as long as the limit says."""
    X, y = rng.normal(size=(70_000, 5)), rng.normal(size=70_000) + 3
    ours = nn.Linear(5, 1).to("float64").initialize(0)
    before = values(ours)
    ours.fit(X, y, loss="mse", optimizer=optim.GD(lr=1.0, clip_norm=0.125), epochs=1)
    length = math.sqrt(sum(np.sum((value - before[name]) ** 2) for name, value in ours.state_dict().items()))
    assert length == pytest.approx(0.125, rel=1e-6)


def test_squares_beyond_float32_do_not_overflow():
    """A gradient of 1e25: its square is no float32, its norm is."""
    ours = nn.Linear(1, 1, bias=False).initialize(0)
    before = values(ours)["weight"][0, 0]
    trainer = whet.Trainer(ours, "mse", optim.SGD(lr=1.0, clip_norm=0.25))
    x = np.float32(1e12)
    trainer.step([[x]], [[np.float32(-1e13)]])
    assert abs(trainer.gradients()["weight"][0, 0]) > 1e24
    assert before - ours.state_dict()["weight"][0, 0] == pytest.approx(0.25, rel=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_norm_that_is_not_finite_stops_before_the_step(dtype):
    """Loss finite, gradient not: the parameters, the slots and the counters stay."""
    ours = nn.Linear(2, 1).to(dtype).initialize(0)
    ours.load_state_dict({"weight": [[0.0, 0.0]], "bias": [0.0]})
    before = ours.fingerprint()
    trainer = whet.Trainer(ours, "mse", optim.AdamW(clip_norm=1.0))
    large, far = (1e30, 1e15) if dtype == "float32" else (1e150, 1e50)  # then the norm's squares are infinite
    words = "the gradient stopped being finite" if dtype == "float32" else "the norm of the gradient became inf"
    with pytest.raises(whet.NonFiniteError, match=f"{words} at step 1"):
        trainer.step([[large, 1.0]], [far])
    assert ours.fingerprint() == before
    assert trainer.steps == 0
    trainer.step([[1.0, 1.0]], [1.0])
    assert trainer.steps == 1


def test_clipping_is_no_argument_of_a_single_update():
    with pytest.raises(
        ValueError, match=r"\[adam\] expected arguments among lr, betas, eps, weight_decay, amsgrad, got 'clip_norm'"
    ):
        whet.ops.update("adam", np.ones(3), np.ones(3), {}, clip_norm=1.0)


def test_limits_are_shown_where_they_are_given():
    assert repr(optim.SGD(0.1)) == "SGD(lr=0.1, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False)"
    assert repr(optim.GD(clip_norm=1.0)) == "GD(lr=0.001, weight_decay=0.0, clip_norm=1.0)"
    assert optim.AdamW().weight_decay == 0.01
    assert optim.AdamW(clip_norm=1.0) != optim.AdamW()
