"""Dropout: what is dropped, by the reference's random numbers; that predictions know nothing of it; files, seeds."""

from __future__ import annotations

import numpy as np
import pytest

import whet
from tests import reference
from tests.helpers import same_bits
from whet import nn, optim
from whet.nn import activations

SEED = 2**63 + 12345
STILL = optim.SGD(lr=0.0)


def numbers_of(model):
    return {name: np.array(value, np.float64) for name, value in model.state_dict().items()}


def two_layers(p, q, dtype="float64"):
    """A dropout that follows a fused activation, and one that stands before another."""
    layers = [nn.Linear(3, 7), nn.Tanh(), nn.Dropout(p), nn.Linear(7, 5), nn.Dropout(q), nn.GELU(), nn.Linear(5, 2)]
    return nn.Sequential(*layers).to(dtype).initialize(1)


def reference_step(numbers, x, y, step, p, q):
    """Mean squared error and gradients of `two_layers`. The dropouts are values 3 and 5 of its graph."""
    w0, b0, w1, b1, w2, b2 = numbers.values()
    first, second = (
        reference.dropout(SEED, step, node, len(x), width, share) for node, width, share in ((3, 7, p), (5, 5, q))
    )
    a = np.tanh(x @ w0.T + b0)
    h = (a * first) @ w1.T + b1
    z = h * second
    u = reference.gelu(z)
    loss, d = reference.mse(u @ w2.T + b2, y)
    dw2, db2 = d.T @ u, d.sum(axis=0)
    dh = d @ w2 * reference.gelu_derivative(z) * second
    dw1, db1 = dh.T @ (a * first), dh.sum(axis=0)
    dx = dh @ w1 * first * (1 - a * a)
    return loss, dict(zip(numbers, (dx.T @ x, dx.sum(axis=0), dw1, db1, dw2, db2), strict=True))


@pytest.mark.parametrize("rows", [1, 2, 7, 64])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-5)])
def test_forward_and_backward_are_those_of_the_reference(rng, rows, dtype, tolerance):
    """Every step has its own mask, the same one forward and backward."""
    x, y = rng.normal(size=(rows, 3)), rng.normal(size=(rows, 2))
    model = two_layers(0.4, 0.25, dtype)
    numbers = numbers_of(model)
    trainer = whet.Trainer(model, "mse", STILL, seed=SEED)
    for step in range(4):
        loss, gradients = reference_step(numbers, x, y, step, 0.4, 0.25)
        assert trainer.step(x, y) == pytest.approx(loss, rel=tolerance)
        for name, gradient in trainer.gradients().items():
            np.testing.assert_allclose(gradient, gradients[name], rtol=0, atol=tolerance, err_msg=f"{name}, {step}")


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-5)])
def test_alpha_dropout_keeps_mean_and_variance(rng, dtype, tolerance):
    """Forward and backward by the formula of torch.nn.AlphaDropout, with the reference's mask."""
    p, limit = 0.3, -1.7580993408473766
    scale = ((1 - p) * (1 + p * limit**2)) ** -0.5
    x, y = rng.normal(size=(400, 3)), rng.normal(size=(400, 6))
    model = nn.Sequential(nn.Linear(3, 6), nn.AlphaDropout(p)).to(dtype).initialize(1)
    trainer = whet.Trainer(model, "mse", STILL, seed=SEED)
    weight, bias = numbers_of(model).values()
    linear = x @ weight.T + bias
    kept = reference.dropout(SEED, 0, 2, 400, 6, p) > 0
    loss, d = reference.mse(scale * (np.where(kept, linear, limit) - p * limit), y)
    assert trainer.step(x, y) == pytest.approx(loss, rel=tolerance)
    d = scale * kept * d
    np.testing.assert_allclose(trainer.gradients()["0.weight"], d.T @ x, rtol=0, atol=tolerance)
    np.testing.assert_allclose(trainer.gradients()["0.bias"], d.sum(axis=0), rtol=0, atol=tolerance)
    np.testing.assert_allclose(model.predict(x), linear, rtol=0, atol=10 * tolerance)
    normal = rng.normal(size=200_000)
    dropped = scale * (np.where(rng.uniform(size=normal.size) < p, limit, normal) - p * limit)
    assert dropped.mean() == pytest.approx(0, abs=0.01)
    assert dropped.var() == pytest.approx(1, abs=0.01)


def test_a_batch_that_goes_in_blocks_is_one_batch(rng):
    """More rows than a block of the engine has: each row's numbers are those of its place in the batch."""
    x, y = rng.normal(size=(16_500, 3)), rng.normal(size=(16_500, 2))
    model = two_layers(0.5, 0.5)
    trainer = whet.Trainer(model, "mse", STILL, seed=SEED)
    loss, gradients = reference_step(numbers_of(model), x, y, 0, 0.5, 0.5)
    assert trainer.step(x, y) == pytest.approx(loss, rel=1e-12)
    for name, gradient in trainer.gradients().items():
        np.testing.assert_allclose(gradient, gradients[name], rtol=1e-9, atol=1e-12, err_msg=name)


class Shared(nn.Module):
    """What a dropout reads is read by others too, before and after it."""

    def __init__(self, activation):
        self.linear, self.act, self.drop = nn.Linear(4, 5), activations.get(activation), nn.Dropout(0.4)
        self.head = nn.Linear(15, 1)

    def forward(self, x):
        h = self.act(self.linear(x))
        first, second = self.drop(h), self.drop(self.drop(h))
        return self.head(nn.concatenate([first, h, second]))


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "softplus", "identity"])
@pytest.mark.parametrize("make", [lambda f: nn.MLP(4, (9, 6), 1, f, dropout=0.3), Shared], ids=["chain", "shared"])
def test_a_gradient_passes_dropout_and_an_activation(rng, make, activation):
    """The derivative of the activation before a dropout may be taken after it: a difference shows what is right."""
    x, y = rng.normal(size=(33, 4)), rng.normal(size=(33, 1))
    model = make(activation).to("float64").initialize(2)
    trainer = whet.Trainer(model, "mse", STILL, seed=5)
    trainer.step(x, y)
    start, gradients = numbers_of(model), {name: g.copy() for name, g in trainer.gradients().items()}

    def loss_at(name, change):
        model.load_state_dict({**start, name: start[name] + change})
        return whet.Trainer(model, "mse", STILL, seed=5).step(x, y)

    for name, gradient in gradients.items():
        direction = rng.normal(size=gradient.shape)
        slope = (loss_at(name, 1e-6 * direction) - loss_at(name, -1e-6 * direction)) / 2e-6
        assert np.sum(gradient * direction) == pytest.approx(slope, rel=2e-6, abs=2e-8), name


def test_shares_and_means_are_kept():
    """One row of a million features: the gradient of a linear layer behind it shows what was kept."""
    n = 10**6
    for p in (0.1, 0.5, 0.75):
        model = nn.Sequential(nn.Dropout(p), nn.Linear(n, 1, weight_init="zeros", bias_init="zeros"))
        trainer = whet.Trainer(model, "mse", STILL, seed=3)
        trainer.step(np.ones((1, n), np.float32), [[-0.5]])
        kept = trainer.gradients()["1.weight"][0]  # 2 (0 + 0.5) x
        assert set(np.unique(kept)) == {np.float32(0), np.float32(1 / (1 - p))}
        deviation = np.sqrt(p * (1 - p) / n)
        assert abs(np.mean(kept == 0) - p) < 5 * deviation
        assert abs(np.mean(kept, dtype=np.float64) - 1) < 5 * deviation / (1 - p)


def test_two_layers_and_two_steps_draw_apart():
    n = 10_000
    model = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5), nn.Linear(n, 1, weight_init="zeros", bias_init="zeros"))
    trainer = whet.Trainer(model, "mse", STILL, seed=3)
    kept = []
    for _ in range(2):
        trainer.step(np.ones((1, n), np.float32), [[-0.5]])
        kept.append(trainer.gradients()["2.weight"][0] != 0)
    for mask in (*kept, kept[0] == kept[1]):
        share = {True: 0.25, False: 0.25**2 + 0.75**2}[mask is kept[0] or mask is kept[1]]
        assert abs(mask.mean() - share) < 5 * np.sqrt(share * (1 - share) / n)


def test_a_share_of_one_keeps_nothing_and_a_share_of_none_all(rng):
    x, y = rng.normal(size=(9, 3)), rng.normal(size=(9, 2))
    trainer = whet.Trainer(two_layers(1.0, 0.0), "mse", STILL)
    trainer.step(x, y)
    gradients = trainer.gradients()
    assert not gradients["0.weight"].any()
    assert not gradients["3.weight"].any()
    assert gradients["3.bias"].all()
    trainer = whet.Trainer(two_layers(0.0, 0), "mse", STILL)
    loss = trainer.step(x, y)
    assert loss == pytest.approx(trainer.evaluate(x, y)["loss"], rel=1e-14)


class Places(nn.Module):
    """Dropout in places where it has to vanish from predictions."""

    def __init__(self, first, between, last):
        self.first, self.between, self.last = first, between, last
        self.linear, self.act, self.head = nn.Linear(4, 4), nn.ReLU(), nn.Linear(8, 3)

    def forward(self, x):
        dropped = self.first(x)
        h = self.act(self.between(self.linear(dropped)))
        return self.last(self.head(nn.concatenate([dropped + h, self.first(h)])))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_do_not_know_of_it(rng, dtype):
    x, y = rng.normal(size=(700, 4)), rng.normal(size=(700, 3))
    plain = Places(nn.Identity(), nn.Identity(), nn.Identity()).to(dtype).initialize(4)
    ours = Places(nn.Dropout(), nn.Dropout(0.9), nn.Dropout(0.1)).to(dtype).initialize(4)
    assert same_bits(ours.predict(x), plain.predict(x))
    ours.fit(x, y, loss="mse", epochs=2, metrics="mae")
    plain.load_state_dict(ours.state_dict())
    plain._loss, plain._metrics = ours._loss, ours._metrics
    assert same_bits(ours.predict(x), plain.predict(x))
    assert ours.evaluate(x, y) == plain.evaluate(x, y)
    alone = nn.Sequential(nn.Dropout(0.7), nn.Dropout()).to(dtype)
    assert same_bits(alone.predict(x), x.astype(dtype))
    assert alone.predict(x[:0]).shape == (0, 4)


def test_the_seed_alone_says_what_is_dropped(rng):
    x, y = rng.normal(size=(200, 6)), rng.normal(size=200)

    def fitted(seed, **settings):
        model = nn.MLP(6, (32, 16), 1, dropout=0.2).initialize(0)
        model.fit(x, y, loss="mse", epochs=2, batch_size=50, seed=seed, shuffle=False, **settings)
        return model.fingerprint()

    assert fitted(7) == fitted(7) != fitted(8)
    assert fitted(7, max_steps=5) == fitted(7, max_steps=5) != fitted(7)
    trainer = whet.Trainer(nn.MLP(6, (32, 16), 1, dropout=0.2).initialize(0), "mse", "adam", seed=7)
    for start in (0, 50, 100, 150) * 2:
        trainer.step(x[start : start + 50], y[start : start + 50])
    assert trainer.model.fingerprint() == fitted(7)


def test_a_saved_trainer_goes_on_with_its_seed(rng, tmp_path):
    x, y = rng.normal(size=(30, 6)), rng.normal(size=30)
    straight, first, second = (
        whet.Trainer(nn.MLP(6, (8,), 1, dropout=0.5).initialize(2), "mse", "adamw", seed=seed) for seed in (9, 9, 1)
    )
    losses = [straight.step(x, y) for _ in range(6)]
    assert [first.step(x, y) for _ in range(3)] == losses[:3]
    first.save(tmp_path / "trainer")
    second.load(tmp_path / "trainer")
    assert [second.step(x, y) for _ in range(3)] == losses[3:]
    assert second.seed == 9


class Custom(nn.Module):
    """Its class is not in a file, its graph is."""

    def __init__(self):
        self.inner, self.drop, self.head = nn.Linear(4, 8), nn.Dropout(0.25), nn.Linear(8, 1)

    def forward(self, x):
        return self.head(self.drop(self.inner(x)))


@pytest.mark.parametrize(
    "make",
    [Custom, lambda: nn.MLP(4, (8, 8), 1, dropout=0.25), lambda: nn.Sequential(nn.Dropout(0.3), nn.Linear(4, 1))],
)
def test_a_file_keeps_it(rng, tmp_path, make):
    x, y = rng.normal(size=(60, 4)), rng.normal(size=60)
    model = make()
    model.fit(x, y, loss="mse", epochs=2)
    model.save(tmp_path / "model.whet")
    loaded = whet.load(tmp_path / "model.whet")
    assert same_bits(loaded.predict(x), model.predict(x))
    for each in (model, loaded):
        each.fit(x, y, loss="mse", epochs=2, seed=4)
    assert loaded.fingerprint() == model.fingerprint()


def test_an_mlp_has_one_after_each_hidden_layer():
    model = nn.MLP(4, (8, 5), 1, dropout=0.25)
    assert [layer.p for layer in model if isinstance(layer, nn.Dropout)] == [0.25, 0.25]
    assert [type(layer).__name__ for layer in model[:3]] == ["Linear", "ReLU", "Dropout"]
    assert len(nn.MLP(4, (8, 5), 1)) == 5
    assert "Dropout(p=0.25)" in repr(model)
    operations = [row[1] for row in model.summary().rows]
    assert operations == ["linear + bias + relu", "dropout", "linear + bias + relu", "dropout", "linear + bias"]
    assert model.summary().count("parameters, input * relu'") == 2, "derivatives are taken where products are made"


def test_an_operation_with_another_share_is_refused():
    class Wrong(nn.Module):
        def forward(self, x):
            return x.apply("dropout", p=1.5)

    with pytest.raises(ValueError, match=r"\[dropout\] expected p from 0 to 1, got 1.5"):
        Wrong().predict(np.ones((2, 3)))
