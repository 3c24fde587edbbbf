"""Every optimizer trains as its peer does: a hundred steps from the same weights on the same batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whet
from tests import reference
from tests.test_peers import FEATURES, HIDDEN, OUTPUTS, batches
from whet import nn, optim, schedules

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}

betas = st.tuples(st.floats(0.5, 0.95), st.floats(0.9, 0.999))
decay = st.sampled_from([0.0, 0.01, 0.1])
flag = st.booleans()

#: What is drawn for each of them; all that is not named here keeps its default.
DRAWN = {
    "gd": {"lr": st.floats(0.001, 0.1), "weight_decay": decay},
    "sgd": {"lr": st.floats(0.001, 0.05), "momentum": st.sampled_from([0.0, 0.5, 0.9]), "weight_decay": decay},
    "adam": {"lr": st.floats(1e-4, 1e-2), "betas": betas, "weight_decay": decay, "amsgrad": flag},
    "adamw": {"lr": st.floats(1e-4, 1e-2), "betas": betas, "weight_decay": decay, "amsgrad": flag},
    "adamax": {"lr": st.floats(1e-4, 1e-2), "betas": betas, "weight_decay": decay},
    "nadam": {
        "lr": st.floats(1e-4, 1e-2),
        "betas": betas,
        "weight_decay": decay,
        "momentum_decay": st.floats(0, 0.1),
        "decoupled_weight_decay": flag,
    },
    "radam": {"lr": st.floats(1e-4, 1e-2), "betas": betas, "weight_decay": decay, "decoupled_weight_decay": flag},
    "schedule_free_adamw": {
        "lr": st.floats(1e-4, 1e-2),
        "betas": betas,
        "weight_decay": decay,
        "warmup_steps": st.sampled_from([0, 7, 200]),
    },
    "lion": {"lr": st.floats(1e-4, 1e-3), "betas": betas, "weight_decay": decay},
    "adagrad": {
        "lr": st.floats(1e-3, 0.1),
        "lr_decay": st.floats(0, 0.1),
        "weight_decay": decay,
        "initial_accumulator_value": st.floats(1e-3, 1),
    },
    "adadelta": {"lr": st.floats(0.1, 1), "rho": st.floats(0.5, 0.99), "weight_decay": decay},
    "rmsprop": {
        "lr": st.floats(1e-4, 1e-2),
        "alpha": st.floats(0.8, 0.99),
        "eps": st.just(1e-4),
        "weight_decay": decay,
        "momentum": st.sampled_from([0.0, 0.8]),
        "centered": flag,
    },
    "rprop": {"lr": st.floats(1e-4, 1e-3), "etas": st.just((0.4, 1.1)), "step_sizes": st.just((1e-5, 0.01))},
    "ftrl": {
        "lr": st.floats(0.01, 0.3),
        "initial_accumulator_value": st.floats(0.1, 1),
        "l1_regularization_strength": st.floats(0, 0.01),
        "l2_regularization_strength": decay,
        "l2_shrinkage_regularization_strength": decay,
        "beta": st.floats(0, 1),
    },
}

every_optimizer = pytest.mark.parametrize("name", whet.build_info()["optimizers"])
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def network(dtype):
    layers = nn.Linear(FEATURES, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, OUTPUTS)
    return nn.Sequential(*layers).to(dtype).initialize(0)


def copies(model):
    return {name: value.copy() for name, value in model.state_dict().items()}


def assert_near(ours, theirs, dtype):
    """Relative to the parameter's size: a single element may pass through zero."""
    for name, value in theirs.items():
        difference = np.linalg.norm(ours[name] - value)
        assert difference <= TOLERANCE[dtype] * np.linalg.norm(value), name


class Peer:
    """The same network in PyTorch, with the optimizer of that name."""

    def __init__(self, torch, model, dtype, kind, options):
        layers = torch.nn.Linear(FEATURES, HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, OUTPUTS)
        self.torch, self.module = torch, torch.nn.Sequential(*layers).to(getattr(torch, dtype))
        self.module.load_state_dict({name: torch.tensor(value) for name, value in copies(model).items()})
        self.optimizer = getattr(torch.optim, kind)(self.module.parameters(), **options)

    def backward(self, x, y):
        self.optimizer.zero_grad()
        loss = self.torch.nn.functional.mse_loss(self.module(self.torch.tensor(x)), self.torch.tensor(y))
        loss.backward()
        return loss.item()

    def step(self, x, y):
        loss = self.backward(x, y)
        self.optimizer.step()
        return loss

    def values(self):
        return {name: value.detach().numpy() for name, value in self.module.state_dict().items()}


@every_optimizer
def test_every_optimizer_is_drawn_here(name):
    assert name in DRAWN


@every_dtype
@every_optimizer
def test_a_hundred_steps_are_those_of_the_peer(wide_torch, name, dtype):
    formula = reference.OPTIMIZERS[name]

    @settings(max_examples=4, deadline=None, derandomize=True, database=None)
    @given(options=st.fixed_dictionaries(DRAWN[name]))
    def check(options):
        model = network(dtype)
        trainer = whet.Trainer(model, "mse", type(optim.get(name))(**options))
        rng = np.random.default_rng(1)
        if formula.torch:
            peer = Peer(wide_torch, model, dtype, formula.torch, options)
            for x, y in batches(rng, "mse", dtype):
                assert trainer.step(x, y) == pytest.approx(peer.step(x, y), rel=TOLERANCE[dtype])
            assert_near(model.state_dict(), peer.values(), dtype)
        else:  # the formula, along the gradients of this model
            want = {key: value.astype(np.float64) for key, value in copies(model).items()}
            states = {key: {} for key in want}
            for x, y in batches(rng, "mse", dtype):
                trainer.step(x, y)
                for key, gradient in trainer.gradients().items():
                    want[key], states[key] = formula.step(
                        want[key], np.asarray(gradient, np.float64), states[key], **options
                    )
            assert_near(model.state_dict(), want, dtype)

    check()


@every_optimizer
def test_a_saved_trainer_goes_on_with_the_same_bits(tmp_path, name):
    """The slots and the number of steps are all that an optimizer remembers."""
    data = list(batches(np.random.default_rng(0), "mse", "float32"))[:20]
    whole, first, second = (network("float32") for _ in range(3))
    one, two = (whet.Trainer(model, "mse", name) for model in (whole, first))
    for x, y in data:
        one.step(x, y)
    for x, y in data[:10]:
        two.step(x, y)
    two.save(tmp_path / "trainer.whet")
    three = whet.Trainer(second, "mse", name)
    three.load(tmp_path / "trainer.whet")
    for x, y in data[10:]:
        three.step(x, y)
    assert second.fingerprint() == whole.fingerprint()


@every_optimizer
def test_an_optimizer_by_name_lowers_the_loss(name):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    y = X @ [1.0, -2.0, 0.5, 0.0]
    history = nn.Linear(4, 1).fit(X, y, loss="mse", optimizer=name, epochs=20)
    assert history["loss"][-1] < history["loss"][0]


def test_ftrl_sets_weights_to_zero(rng):
    X = rng.normal(size=(500, 20))
    y = 3 * X[:, 0] - 2 * X[:, 7]
    model = nn.Linear(20, 1)
    model.fit(X, y, loss="mse", optimizer=optim.Ftrl(lr=0.5, l1_regularization_strength=20.0), epochs=20)
    weights = model.state_dict()["weight"][0]
    assert set(np.flatnonzero(weights)) == {0, 7}


def test_a_mean_of_squares_that_cancels_is_no_root_of_less_than_zero():
    """A gradient that never changes: the variance of centered RMSprop is zero but for rounding."""
    p, g, state = np.ones(1000, np.float32), np.linspace(0.1, 3, 1000, dtype=np.float32), {}
    for _ in range(2000):
        whet.ops.update("rmsprop", p, g, state, alpha=0.5, centered=True)
    assert np.isfinite(p).all()


@every_optimizer
def test_a_gradient_that_is_not_a_number_does_not_vanish(name):
    p, state = np.ones(3), {}
    whet.ops.update(name, p, np.array([1.0, np.nan, 0.0]), state)
    np.testing.assert_array_equal(np.isnan(p), [False, True, False])


def test_steps_far_on_cost_no_more():
    """The product of NAdam's momenta after 2^40 steps: what has come to nothing is left out."""
    p, state = np.ones(3), {"step": 2**40, "exp_avg": np.zeros(3), "exp_avg_sq": np.ones(3)}
    whet.ops.update("nadam", p, np.ones(3), state)
    np.testing.assert_allclose(p, 1 - 2e-3 * (0.9 * 0.1 + 0.1) / 1, rtol=1e-4)


def test_optimizers_check_their_numbers():
    assert optim.Adam(lr=np.float32(0.25)).options()["lr"] == 0.25
    for name in whet.build_info()["optimizers"]:
        optimizer = type(optim.get(name))
        for value in (-1, 10**400, math.nan, math.inf):
            with pytest.raises(ValueError, match="lr"):
                optimizer(lr=value)
        for value in ("fast", True, None):
            with pytest.raises(TypeError, match="lr"):
                optimizer(lr=value)
    with pytest.raises(ValueError, match="nesterov"):
        optim.SGD(nesterov=True)
    with pytest.raises(TypeError, match="nesterov"):
        optim.SGD(momentum=0.9, nesterov="no")
    for values in (None, (0.9, "x"), (0.9,)):
        with pytest.raises(TypeError, match="betas"):
            optim.Adam(betas=values)
    with pytest.raises(ValueError, match="betas"):
        optim.Adam(betas=(0.9, 1.0))
    with pytest.raises(ValueError, match="betas"):
        optim.Adam(betas=(0.9, schedules.Linear(0.9, end=1.5)))
    with pytest.raises(ValueError, match="alpha"):
        optim.RMSprop(alpha=1.0)
    with pytest.raises(ValueError, match="etas"):
        optim.Rprop(etas=(1.2, 0.5))
    with pytest.raises(ValueError, match="lr above 0"):
        optim.Ftrl(lr=0)
    with pytest.raises(ValueError, match=r"expected one of gd, sgd, .* adam, .* got 'adamm'"):
        optim.get("adamm")


def test_an_option_chooses_what_is_kept():
    for optimizer, slots in [
        (optim.Adam(), ["exp_avg", "exp_avg_sq"]),
        (optim.AdamW(amsgrad=True), ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"]),
        (optim.RMSprop(), ["square_avg"]),
        (optim.RMSprop(momentum=0.5, centered=True), ["square_avg", "momentum_buffer", "grad_avg"]),
        (optim.SGD(), []),
    ]:
        options = {name: value for name, value in vars(optimizer).items() if name in optimizer.arguments()}
        p, state = np.ones(3), {}
        whet.ops.update(optimizer.name, p, np.ones(3), state, **options)
        assert list(state) == [*slots, "step"]


def schedule_free_model(y, z, beta1):
    """The authors' x, from what they keep: y = (1 - beta1) z + beta1 x."""
    return z + (y - z) / beta1


def test_the_model_of_schedule_free_is_the_mean():
    options = {"lr": 0.01, "betas": (0.8, 0.99), "weight_decay": 0.1, "warmup_steps": 10}
    model = network("float64")
    trainer = whet.Trainer(model, "mse", optim.ScheduleFreeAdamW(**options))
    y = copies(model)
    states = {name: {} for name in y}
    for batch in batches(np.random.default_rng(1), "mse", "float64"):
        trainer.step(*batch)
        for name, gradient in trainer.gradients().items():
            y[name], states[name] = reference.OPTIMIZERS["schedule_free_adamw"].step(
                y[name], np.asarray(gradient), states[name], **options
            )
    assert_near(model.state_dict(), y, "float64")
    trainer.swap_average()
    want = {name: schedule_free_model(y[name], state["z"], 0.8) for name, state in states.items()}
    assert_near(model.state_dict(), want, "float64")


def test_fit_leaves_the_mean_of_schedule_free(rng):
    X, y = rng.normal(size=(64, 12)), rng.normal(size=(64, 5))
    fitted, stepped = network("float64"), network("float64")
    history = fitted.fit(
        X, y, loss="mse", optimizer="schedule_free_adamw", epochs=5, batch_size=64, validation_data=(X, y)
    )
    trainer = whet.Trainer(stepped, "mse", "schedule_free_adamw")
    for epoch in range(5):
        trainer.step(X, y)
        assert trainer.evaluate(X, y)["loss"] == history["val_loss"][epoch]
    assert fitted.fingerprint() != stepped.fingerprint()
    trainer.swap_average()
    assert fitted.fingerprint() == stepped.fingerprint()
    with pytest.raises(ValueError, match="needs no schedule"):
        optim.ScheduleFreeAdamW(lr=schedules.Cosine(0.1))
    with pytest.raises(ValueError, match="a mean of its own"):
        optim.ScheduleFreeAdamW(ema=0.9)
