"""What optimizers do to gradients and parameters besides their own step: groups, penalties, limits, noise, averages."""

from __future__ import annotations

import math

import numpy as np
import pytest

import whet
from tests import reference
from tests.helpers import outputs_of_both_sets
from tests.test_optimizers import Peer, assert_near, copies, network
from tests.test_peers import batches
from whet import nn, optim, schedules

every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def peers_of(torch, dtype, optimizer, kind="SGD", **options):
    """A network and its trainer, the same in PyTorch, and their batches."""
    model = network(dtype)
    trainer = whet.Trainer(model, "mse", optimizer)
    return model, trainer, Peer(torch, model, dtype, kind, options), batches(np.random.default_rng(1), "mse", dtype)


def train_both(torch, dtype, optimizer, change, kind="SGD", after=lambda peer: None, **options):
    """A hundred steps of both; `change` is called with PyTorch's module between backward and step, `after` behind."""
    model, trainer, peer, data = peers_of(torch, dtype, optimizer, kind, **options)
    for x, y in data:
        loss = trainer.step(x, y)
        assert loss == pytest.approx(peer.backward(x, y), rel=1e-4 if dtype == "float32" else 1e-9)
        with torch.no_grad():
            change(peer.module)
            peer.optimizer.step()
            after(peer.module)
    assert_near(model.state_dict(), peer.values(), dtype)
    return trainer


@every_dtype
def test_l1_is_a_subgradient_after_clipping(wide_torch, dtype):
    def change(module):
        wide_torch.nn.utils.clip_grad_norm_(module.parameters(), 0.3)
        for p in module.parameters():
            p.grad += 0.01 * p.sign()

    optimizer = optim.SGD(0.05, momentum=0.9, l1=0.01, clip_norm=0.3)
    train_both(wide_torch, dtype, optimizer, change, lr=0.05, momentum=0.9)


@every_dtype
def test_centralize_takes_the_mean_of_each_row(wide_torch, dtype):
    def change(module):
        for p in module.parameters():
            if p.ndim > 1:
                p.grad -= p.grad.mean(dim=1, keepdim=True)

    train_both(wide_torch, dtype, optim.Adam(0.003, centralize=True), change, "Adam", lr=0.003)


@every_dtype
@pytest.mark.parametrize("clip", [None, 0.5])
def test_normalize_divides_by_the_norm_of_all(wide_torch, dtype, clip):
    def change(module):
        norm = math.sqrt(sum(float((p.grad**2).sum()) for p in module.parameters()))
        for p in module.parameters():
            p.grad /= norm
        if clip:
            wide_torch.nn.utils.clip_grad_norm_(module.parameters(), clip)

    train_both(wide_torch, dtype, optim.SGD(0.02, normalize=True, clip_norm=clip), change, lr=0.02)


@every_dtype
def test_max_norm_limits_the_rows_of_weights(wide_torch, dtype):
    limited = []

    def after(module):
        for p in module.parameters():
            if p.ndim > 1:
                limited.append((p.norm(dim=1) > 0.5).sum().item())
                p.copy_(wide_torch.renorm(p, 2, 0, 0.5))

    train_both(wide_torch, dtype, optim.SGD(0.1, max_norm=0.5), lambda module: None, after=after, lr=0.1)
    assert sum(limited) > 0


@every_dtype
def test_groups_have_numbers_of_their_own(wide_torch, dtype):
    optimizer = optim.AdamW(
        0.003, weight_decay=0.1, groups={"0.bias": {"lr": 0.01}, "*.bias": {"weight_decay": 0.0, "betas": (0.8, 0.9)}}
    )
    model, trainer, peer, data = peers_of(wide_torch, dtype, optimizer, "AdamW")
    first, last = peer.module[0], peer.module[2]
    peer.optimizer = wide_torch.optim.AdamW(
        [
            {"params": [first.weight, last.weight]},
            {"params": [first.bias], "lr": 0.01},
            {"params": [last.bias], "weight_decay": 0.0, "betas": (0.8, 0.9)},
        ],
        lr=0.003,
        weight_decay=0.1,
    )
    for x, y in data:
        trainer.step(x, y)
        peer.step(x, y)
    assert_near(model.state_dict(), peer.values(), dtype)


def test_a_group_may_be_of_all_and_changes_no_bit(rng):
    X, y = rng.normal(size=(100, 12)), rng.normal(size=(100, 5))
    plain, grouped = network("float32"), network("float32")
    plain.fit(X, y, loss="mse", optimizer=optim.Adam(0.01, weight_decay=0.1), epochs=3)
    groups = {"2.*": {"weight_decay": 0.1}, "*.bias": {"lr": 0.01}}
    grouped.fit(X, y, loss="mse", optimizer=optim.Adam(0.01, weight_decay=0.1, groups=groups), epochs=3)
    assert plain.fingerprint() == grouped.fingerprint()


def test_a_schedule_of_a_group_and_of_l1(rng):
    X, y = rng.normal(size=(64, 12)), rng.normal(size=(64, 5))
    one, other = network("float64"), network("float64")
    halves = schedules.MultiStep(0.1, milestones=(0.5,), gamma=0.5)
    optimizer = optim.SGD(0.05, l1=halves, groups={"*.bias": {"lr": halves, "l1": 0.0}})
    one.fit(X, y, loss="mse", optimizer=optimizer, epochs=4, batch_size=64)
    for rate in (0.1, 0.1 * 0.5):
        by_hand = optim.SGD(0.05, l1=rate, groups={"*.bias": {"lr": rate, "l1": 0.0}})
        other.fit(X, y, loss="mse", optimizer=by_hand, epochs=2, batch_size=64)
    assert one.fingerprint() == other.fingerprint()


def test_frozen_parameters_stay_and_have_no_part_in_the_norm(rng):
    X, y = rng.normal(size=(64, 12)), rng.normal(size=(64, 5))
    model = network("float64")
    before = copies(model)
    model[0].weight.requires_grad = model[2].bias.requires_grad = False
    whet.Trainer(model, "mse", optim.SGD(1.0, clip_norm=0.125)).step(X, y)
    moved = {name: before[name] - value for name, value in model.state_dict().items()}
    assert not moved["0.weight"].any()
    assert not moved["2.bias"].any()
    assert math.sqrt(sum(np.sum(d * d) for d in moved.values())) == pytest.approx(0.125, rel=1e-5)


@pytest.mark.parametrize("accumulate", [2, 3])
@every_dtype
def test_accumulate_is_one_batch_of_all_rows(rng, accumulate, dtype):
    X, y = rng.normal(size=(60, 12)), rng.normal(size=(60, 5))
    weights = rng.uniform(0.5, 2, size=60)
    one, other = network(dtype), network(dtype)
    whole = whet.Trainer(one, "mse", optim.Adam(0.01))
    parts = whet.Trainer(other, "mse", optim.Adam(0.01, accumulate=accumulate))
    for _ in range(5):
        whole.step(X, y, weights)
        for rows in np.array_split(np.arange(60), accumulate):
            before = parts.steps
            parts.step(X[rows], y[rows], weights[rows])
        assert parts.steps == before + 1 == whole.steps
        for name, gradient in parts.gradients().items():
            atol = 1e-6 if dtype == "float32" else 1e-15
            np.testing.assert_allclose(gradient, whole.gradients()[name], rtol=0, atol=atol)
    np.testing.assert_allclose(other.predict(X), one.predict(X), rtol=0, atol=1e-4 if dtype == "float32" else 1e-10)


def test_fit_accumulates_batches_into_steps(rng):
    X, y = rng.normal(size=(100, 12)), rng.normal(size=(100, 5))
    one, other = network("float32"), network("float32")
    one.fit(X, y, loss="mse", optimizer=optim.Adam(accumulate=4), epochs=2, batch_size=8)
    other.fit(X, y, loss="mse", epochs=2, batch_size=32)
    assert one.history.steps == 8
    assert one.fingerprint() == other.fingerprint()


def test_dropout_of_every_batch_of_a_step_is_another(rng):
    X, y = np.ones((64, 4)), np.zeros((64, 2))
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2)).initialize(0)
    trainer = whet.Trainer(model, "mse", optim.SGD(0.1, accumulate=3))
    assert len({trainer.step(X, y) for _ in range(3)}) == 3


def expected_noise(seed, step, first, count, dtype):
    """Box and Muller on words 0 and 1 of block {place, 0}; float32 takes 23 bits of a word, float64 all 32."""
    bits = 23 if dtype == "float32" else 32
    words = [reference.philox([first + i, 0, step, 8], seed)[:2] for i in range(count)]
    u, v = (np.array(words, np.uint64) >> np.uint64(32 - bits)).T / 2.0**bits
    return np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * v)


@every_dtype
def test_noise_is_drawn_from_seed_step_and_place(rng, dtype):
    X, y = rng.normal(size=(60, 12)), rng.normal(size=(60, 5))
    model, plain = network(dtype), network(dtype)
    noisy = whet.Trainer(model, "mse", optim.SGD(0.0, noise=(0.09, 0.7)), seed=5)
    quiet = whet.Trainer(plain, "mse", optim.SGD(0.0))
    for step in range(3):
        noisy.step(X, y)
        quiet.step(X, y)
        place = 0
        for name, gradient in quiet.gradients().items():
            want = expected_noise(5, step, place, gradient.size, dtype).reshape(gradient.shape)
            found = (noisy.gradients()[name] - gradient) / math.sqrt(0.09 / (1 + step) ** 0.7)
            np.testing.assert_allclose(found, want, rtol=0, atol=2e-5 if dtype == "float32" else 1e-12)
            place += -(-gradient.size // (64 // gradient.itemsize)) * (64 // gradient.itemsize)


@every_dtype
def test_noise_is_normal(dtype):
    model = nn.Linear(500, 400).to(dtype).initialize(0)
    trainer = whet.Trainer(model, "mse", optim.SGD(0.0, noise=1.0))
    trainer.step(np.zeros((1, 500)), model.predict(np.zeros((1, 500))))
    sample = np.sort(np.asarray(trainer.gradients()["weight"], np.float64).ravel())
    below = np.array([0.5 * math.erfc(-z / math.sqrt(2)) for z in sample[::97]])
    assert abs(below - np.arange(sample.size)[::97] / sample.size).max() < 1.63 / math.sqrt(sample.size)


@every_dtype
def test_ema_is_that_of_torch(wide_torch, dtype):
    model, trainer, peer, data = peers_of(wide_torch, dtype, optim.SGD(0.05, ema=0.9), lr=0.05)
    average = wide_torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    followed = wide_torch.optim.swa_utils.AveragedModel(peer.module, multi_avg_fn=average)
    rows = next(batches(np.random.default_rng(2), "mse", dtype))
    for x, y in data:
        trainer.step(x, y)
        peer.step(x, y)
        followed.update_parameters(peer.module)
    assert_near(model.state_dict(), peer.values(), dtype)
    raw = copies(model)
    own = trainer.evaluate(*rows)["loss"]
    assert_near(model.state_dict(), raw, dtype)
    trainer.swap_average()
    assert_near(model.state_dict(), {n: v.detach().numpy() for n, v in followed.module.state_dict().items()}, dtype)
    assert trainer.evaluate(*rows)["loss"] == own
    for call in (lambda: trainer.step(*rows), lambda: trainer.save("nowhere.whet")):
        with pytest.raises(RuntimeError, match="swap_average"):
            call()
    trainer.swap_average()
    assert all((value == raw[name]).all() for name, value in model.state_dict().items())


def test_an_average_goes_on_from_a_file(tmp_path):
    data = list(batches(np.random.default_rng(0), "mse", "float32"))[:20]
    whole, first, second = (network("float32") for _ in range(3))
    one, two = (whet.Trainer(model, "mse", optim.Adam(ema=0.8)) for model in (whole, first))
    for x, y in data:
        one.step(x, y)
    for x, y in data[:10]:
        two.step(x, y)
    two.save(tmp_path / "trainer.whet")
    three = whet.Trainer(second, "mse", optim.Adam(ema=0.8))
    three.load(tmp_path / "trainer.whet")
    for x, y in data[10:]:
        three.step(x, y)
    for trainer in (one, three):
        trainer.swap_average()
    assert second.fingerprint() == whole.fingerprint()
    with pytest.raises(ValueError, match="other parameters or slots"):
        whet.Trainer(network("float32"), "mse", optim.Adam()).load(tmp_path / "trainer.whet")


def test_fit_leaves_the_average_in_the_model(rng):
    X, y = rng.normal(size=(64, 12)), rng.normal(size=(64, 5))
    averaged, by_hand = network("float64"), network("float64")
    options = {"loss": "mse", "batch_size": 32, "shuffle": False}
    history = averaged.fit(X, y, optimizer=optim.SGD(0.1, swa=0.5), epochs=4, validation_data=(X, y), **options)
    sums = {name: np.zeros_like(value) for name, value in copies(by_hand).items()}
    for step in range(8):
        rows = slice(32 * (step % 2), 32 * (step % 2) + 32)
        by_hand.fit(X[rows], y[rows], optimizer=optim.SGD(0.1), epochs=1, **options)
        if step == 3:
            assert history["val_loss"][1] == pytest.approx(by_hand.evaluate(X, y)["loss"], rel=1e-12)
        if step >= 4:
            sums = {name: sums[name] + value / 4 for name, value in by_hand.state_dict().items()}
    for name, value in averaged.state_dict().items():
        np.testing.assert_allclose(value, sums[name], rtol=1e-10, atol=1e-14)
    assert history["val_loss"][-1] == averaged.evaluate(X, y)["loss"]


def test_an_average_is_left_when_training_stops_early(rng):
    X, y = rng.normal(size=(64, 12)), rng.normal(size=(64, 5))
    stopped, plain = network("float64"), network("float64")
    stopped.fit(X, y, loss="mse", optimizer=optim.SGD(0.1, ema=0.5), epochs=9, max_steps=1)
    plain.fit(X, y, loss="mse", optimizer=optim.SGD(0.1), epochs=9, max_steps=1)
    assert stopped.fingerprint() == plain.fingerprint()  # the average of one step
    plain.fit(X, y, loss="mse", optimizer=optim.SGD(0.1, swa=0.9), epochs=1, batch_size=64)
    assert np.isfinite(plain.evaluate(X, y)["loss"])


ALL = dict(l1=1e-4, clip_norm=0.5, clip_value=0.1, centralize=True, noise=0.01, max_norm=1.0, ema=0.9, normalize=True)


@every_dtype
def test_all_of_it_together_has_the_same_bits_on_every_number_of_threads(threads, rng, dtype):
    X, y = rng.normal(size=(300, 40)), rng.normal(size=(300, 3))
    groups = {"*.bias": {"lr": 0.02}}
    prints = set()
    for number in (1, 2, 3, 4):
        threads(number)
        model = nn.MLP(40, (300,), 3).to(dtype).initialize(1)
        model.fit(X, y, loss="mse", optimizer=optim.AdamW(groups=groups, **ALL), epochs=2, batch_size=70)
        prints.add(model.fingerprint())
    assert len(prints) == 1


PROGRAM = """
import numpy as np
from tests.test_shaping import ALL
from whet import nn, optim
X = (np.arange(3000) * 2654435761 % 2**32 / 2**31 - 1).reshape(100, 30)
for dtype in ("float32", "float64"):
    for name in ("AdamW", "NAdam", "RAdam", "Lion", "RMSprop", "Rprop", "Ftrl", "Adadelta"):
        kind = getattr(optim, name)
        model = nn.MLP(30, (33,), 2, "gelu").to(dtype).initialize(1)
        model.fit(X, X[:, :2] * X[:, 2:4], loss="mse", optimizer=kind(**ALL), epochs=2, batch_size=17)
        print(model.fingerprint())
"""


def test_all_of_it_has_the_same_bits_on_avx2_and_avx512():
    assert len(outputs_of_both_sets(PROGRAM)) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ({"l1": -1}, ValueError, "l1"),
        ({"max_norm": 0}, ValueError, "max_norm"),
        ({"accumulate": 0}, ValueError, "accumulate"),
        ({"accumulate": 2.5}, TypeError, "accumulate"),
        ({"centralize": "no"}, TypeError, "centralize"),
        ({"noise": -1}, ValueError, "noise"),
        ({"noise": (1, 2, 3)}, TypeError, "noise"),
        ({"ema": 1.0}, ValueError, "ema"),
        ({"ema": 0}, ValueError, "ema"),
        ({"ema": 0.9, "swa": 0.5}, ValueError, "both"),
        ({"swa": 1}, ValueError, "swa"),
        ({"groups": ["*.bias"]}, TypeError, "groups"),
        ({"groups": {"*.bias": 0.1}}, TypeError, "groups"),
        ({"groups": {"*.bias": {"clip_norm": 1.0}}}, ValueError, "lr, betas, eps, weight_decay, l1, got 'clip_norm'"),
        ({"groups": {"*.bias": {"lr": -1}}}, ValueError, "lr"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(arguments, error, word):
    with pytest.raises(error, match=word):
        optim.Adam(**arguments)


def test_groups_have_to_match_and_to_keep_the_slots():
    model = network("float32")
    wrong = optim.Adam(groups={"bias": {"lr": 0.1}})
    message = r"match some of 0.weight, 0.bias, 2.weight, 2.bias, got 'bias'"
    with pytest.raises(ValueError, match=message):
        whet.Trainer(model, "mse", wrong)
    before = model.fingerprint()
    with pytest.raises(ValueError, match=message):
        model.fit(np.ones((3, 12)), np.ones((3, 5)), loss="mse", optimizer=wrong)
    assert model.fingerprint() == before
    with pytest.raises(ValueError, match="keep what the optimizer keeps"):
        optim.SGD(0.1, groups={"*.bias": {"momentum": 0.9}})
    with pytest.raises(ValueError, match="needs a length"):
        whet.Trainer(model, "mse", optim.Adam(swa=0.5))
    with pytest.raises(ValueError, match="needs an optimizer with ema"):
        whet.Trainer(model, "mse").swap_average()


def test_what_is_given_is_shown():
    optimizer = optim.GD(groups={"*.bias": {"lr": 0.1}}, ema=0.99)
    assert repr(optimizer) == "GD(lr=0.001, weight_decay=0.0, groups={'*.bias': {'lr': 0.1}}, ema=0.99)"
