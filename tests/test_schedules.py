"""Schedules: the values of torch.optim.lr_scheduler, the same bits everywhere, and any number of an optimizer."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import whet
from whet import nn, optim, schedules
from whet._elementary import cos_pi, exp, log, normal_quantile, power

STEPS = 100

# A schedule and what PyTorch's of the same values is, over a hundred steps.
PEERS = {
    "constant": (schedules.Constant(0.3), lambda lr, o: lr.ConstantLR(o, 1.0)),
    "step": (schedules.Step(0.3, step_size=0.1, gamma=0.5), lambda lr, o: lr.StepLR(o, 10, 0.5)),
    "step-thirds": (schedules.Step(0.3, step_size=0.3), lambda lr, o: lr.StepLR(o, 30, 0.1)),
    "multi-step": (
        schedules.MultiStep(0.3, milestones=(0.4, 0.8)),
        lambda lr, o: lr.MultiStepLR(o, milestones=[40, 80], gamma=0.1),
    ),
    "linear": (schedules.Linear(0.3, end=0.06), lambda lr, o: lr.LinearLR(o, 1.0, 0.2, STEPS)),
    "exponential": (schedules.Exponential(0.3, gamma=0.04755250792540563), lambda lr, o: lr.ExponentialLR(o, 0.97)),
    "polynomial": (schedules.Polynomial(0.3, power=1.7), lambda lr, o: lr.PolynomialLR(o, STEPS, 1.7)),
    "polynomial-squared": (schedules.Polynomial(0.3, power=2), lambda lr, o: lr.PolynomialLR(o, STEPS, 2)),
    "inverse": (
        schedules.Inverse(0.3, decay_rate=4.0, power=0.5),
        lambda lr, o: lr.LambdaLR(o, lambda t: (1 + 4.0 * t / STEPS) ** -0.5),
    ),
    "cosine": (schedules.Cosine(0.3, end=0.01), lambda lr, o: lr.CosineAnnealingLR(o, STEPS, 0.01)),
    "restarts": (
        schedules.CosineRestarts(0.3, end=0.01, T_0=0.3),
        lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 30, 1, 0.01),
    ),
    "restarts-longer": (
        schedules.CosineRestarts(0.3, T_0=0.07, T_mult=2),
        lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 7, 2),
    ),
    "warm-up": (
        schedules.WarmUp(schedules.Cosine(0.3), share=0.1, start_factor=0.2),
        lambda lr, o: lr.SequentialLR(o, [lr.LinearLR(o, 0.2, 1.0, 10), lr.CosineAnnealingLR(o, 90)], [10]),
    ),
    "warm-up-number": (schedules.WarmUp(0.3, share=0.3), lambda lr, o: lr.LinearLR(o, 1 / 3, 1.0, 30)),
    **{
        # PyTorch's phases end a step early: a share of N + 1 steps less one is one of N.
        f"one-cycle-{strategy}-{phases}": (
            schedules.OneCycle(0.3, 0.25, strategy, div_factor=10.0, final_div_factor=100.0, three_phase=phases == 3),
            lambda lr, o, strategy=strategy, phases=phases: lr.OneCycleLR(
                o,
                0.3,
                total_steps=STEPS + 1,
                pct_start=(0.25 * STEPS + 1) / (STEPS + 1),
                anneal_strategy=strategy,
                cycle_momentum=False,
                div_factor=10.0,
                final_div_factor=100.0,
                three_phase=phases == 3,
            ),
        )
        for strategy in ("cos", "linear")
        for phases in (2, 3)
    },
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PEERS)
def test_values_are_those_of_torch(torch, name):
    schedule, make = PEERS[name]
    peer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = make(torch.optim.lr_scheduler, peer)
    expected = []
    for _ in range(STEPS):
        expected.append(peer.param_groups[0]["lr"])
        peer.step()
        scheduler.step()
    np.testing.assert_allclose(schedule.at(np.arange(STEPS) / STEPS), expected, rtol=1e-12, atol=1e-15)


def test_the_schedules_of_realmlp():
    t = np.arange(1000) / 1000
    coslog = 0.04 * (0.5 - 0.5 * np.cos(2 * np.pi * np.log2(1 + 15 * t)))
    np.testing.assert_allclose(schedules.CosLog4(0.04).at(t), coslog, rtol=1e-12, atol=1e-15)
    flat = 0.5 * (1 + np.cos(np.pi * (np.maximum(1, 2 * t) - 1)))
    np.testing.assert_allclose(schedules.FlatCos(0.15).at(t), 0.15 * flat, rtol=1e-11, atol=1e-16)


def test_a_function_of_ones_own():
    schedule = schedules.UserDefined(lambda t: 0.1 if t < 0.5 else 0.01)
    assert schedule.at(np.array([0.0, 0.4, 0.5])).tolist() == [0.1, 0.1, 0.01]
    with pytest.raises(ValueError, match="lr"):
        optim.Adam(lr=schedules.UserDefined(lambda t: -t))
    with pytest.raises(ValueError, match="finite"):
        optim.Adam(lr=schedules.UserDefined(lambda t: math.nan))
    with pytest.raises(TypeError, match="number"):
        optim.Adam(lr=schedules.UserDefined(lambda t: "fast"))
    with pytest.raises(TypeError, match="function"):
        schedules.UserDefined(0.1)


@given(st.floats(-700, 700), st.floats(1e-300, 1e300), st.floats(-1e6, 1e6))
def test_elementary_functions_are_right(x, y, z):
    assert exp(np.array([x]))[0] == pytest.approx(math.exp(x), rel=1e-15)
    assert log(np.array([y]))[0] == pytest.approx(math.log(y), rel=1e-15, abs=1e-16)
    near = z - 2 * round(z / 2)
    assert cos_pi(np.array([z]))[0] == pytest.approx(math.cos(math.pi * near), abs=1e-15)
    assert power(np.array([y]), 0.37)[0] == pytest.approx(y**0.37, rel=1e-13)


@given(st.floats(1e-300, 1 - 1e-16))
def test_the_normal_quantile_is_right(share):
    special = pytest.importorskip("scipy.special", reason="scipy is not installed")
    assert normal_quantile(np.array([share]))[0] == pytest.approx(special.ndtri(share), rel=1e-13, abs=1e-16)


def test_the_bits_of_the_normal_quantile():
    shares = np.concatenate([np.arange(1, 4096) / 4096, 10.0 ** -np.arange(1, 40)])
    digest = hashlib.sha256(normal_quantile(shares).astype("<f8").tobytes()).hexdigest()
    assert digest == "feae372ebb528dab99313e91b87a210d3a15d0bee84fabadf35af196fb026fe0"


def test_the_bits_of_all_values():
    """One hash of every schedule's values: the same on every machine."""
    t = np.arange(4096) / 4096
    own = {"coslog": schedules.CosLog4(0.04), "flat": schedules.FlatCos(0.15)}
    digest = hashlib.sha256()
    for schedule in [*(schedule for schedule, _ in PEERS.values()), *own.values()]:
        digest.update(schedule.at(t).astype("<f8").tobytes())
    assert digest.hexdigest() == "0f288bc044d0ed7fe74f13d6b23b6f8017ad15c68182b99fb3dcbe2bb177cbcf"


def test_schedules_check_their_numbers():
    for wrong in (
        lambda: schedules.Linear(-1),
        lambda: schedules.Linear(1, end=np.inf),
        lambda: schedules.Constant(math.nan),
        lambda: schedules.Step(1.0, step_size=0),
        lambda: schedules.Step(1.0, step_size=10),
        lambda: schedules.MultiStep(1.0, milestones=(2.0,)),
        lambda: schedules.Exponential(1.0, gamma=0),
        lambda: schedules.Polynomial(1.0, power=-1),
        lambda: schedules.Inverse(1.0, decay_rate=-1),
        lambda: schedules.CosineRestarts(1.0, T_mult=0.5),
        lambda: schedules.WarmUp(0.1, share=1.0),
        lambda: schedules.OneCycle(1.0, pct_start=0),
        lambda: schedules.OneCycle(1.0, pct_start=0.6, three_phase=True),
        lambda: schedules.OneCycle(1.0, anneal_strategy="exp"),
        lambda: schedules.OneCycle(1.0, div_factor=0),
    ):
        with pytest.raises(ValueError, match="expected"):
            wrong()
    for wrong in (lambda: schedules.MultiStep("fast"), lambda: schedules.MultiStep(1.0, 0.5)):
        with pytest.raises(TypeError, match="expected"):
            wrong()


@pytest.fixture
def data(rng):
    X = rng.normal(size=(64, 6))
    return X, X @ rng.normal(size=(6, 2))


def test_any_number_of_an_optimizer_may_be_a_schedule(wide_torch, data):
    """Ten epochs of two steps; PyTorch is given the numbers of every step."""
    X, y = data
    rate, decay = schedules.OneCycle(0.01), schedules.FlatCos(0.3)
    beta1, beta2 = schedules.Linear(0.95, end=0.85), schedules.Cosine(0.99, end=0.9)
    ours = nn.Linear(6, 2).to("float64").initialize(0)
    theirs = wide_torch.nn.Linear(6, 2)
    theirs.load_state_dict({name: wide_torch.tensor(value.copy()) for name, value in ours.state_dict().items()})
    optimizer = optim.AdamW(lr=rate, betas=(beta1, beta2), weight_decay=decay)
    history = ours.fit(X, y, loss="mse", optimizer=optimizer, epochs=10, batch_size=32, shuffle=False)
    peer = wide_torch.optim.AdamW(theirs.parameters())
    for step in range(20):
        at = [float(each.at(np.array([step / 20]))[0]) for each in (rate, decay, beta1, beta2)]
        peer.param_groups[0].update(lr=at[0], weight_decay=at[1], betas=(at[2], at[3]))
        rows = slice(32 * (step % 2), 32 * (step % 2) + 32)
        peer.zero_grad()
        loss = wide_torch.nn.functional.mse_loss(theirs(wide_torch.tensor(X[rows])), wide_torch.tensor(y[rows]))
        loss.backward()
        peer.step()
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=1e-9, err_msg=name)
    np.testing.assert_array_equal(history["lr"], rate.at(np.arange(10) / 10))


def test_a_schedule_of_momentum_is_that_of_every_step(data):
    X, y = data
    slow, fast = (nn.Linear(6, 2).initialize(0) for _ in range(2))
    options = {"loss": "mse", "epochs": 3, "batch_size": 64}
    slow.fit(X, y, optimizer=optim.SGD(0.1, momentum=schedules.Constant(0.5)), **options)
    fast.fit(X, y, optimizer=optim.SGD(0.1, momentum=0.5), **options)
    assert slow.fingerprint() == fast.fingerprint()


def test_a_trainer_has_no_length():
    for optimizer in (optim.SGD(lr=schedules.Linear(0.1)), optim.Adam(betas=(0.9, schedules.Cosine(0.9)))):
        with pytest.raises(ValueError, match="a schedule needs a length"):
            whet.Trainer(nn.Linear(6, 1), "mse", optimizer)
    for option in ({"lr": schedules.Linear(0.1)}, {"betas": (0.9, schedules.Linear(0.1))}):
        with pytest.raises(TypeError, match="a schedule needs a length"):
            whet.ops.update("adam", np.ones(3), np.ones(3), {}, **option)
    with pytest.raises(ValueError, match="a schedule needs a length"):
        whet.Trainer(nn.Linear(6, 1), "mse", optim.Adam(groups={"bias": {"lr": schedules.Cosine(0.9)}}))
