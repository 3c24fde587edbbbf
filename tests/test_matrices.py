"""Optimizers that look at whole parameters, against their formulas and against PyTorch."""

from __future__ import annotations

from fnmatch import fnmatchcase

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whet
from tests import reference
from tests.helpers import outputs_of_both_sets
from tests.reference_optimizers import moments
from tests.test_optimizers import Peer, assert_near, copies, network
from tests.test_peers import batches
from whet import nn, optim, schedules
from whet.files import read_model

every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def follow_formula(dtype, optimizer, step):
    """A hundred steps of `optimizer`, and of step(name, p, g, state, t) -> (p, state) along the same gradients."""
    model = network(dtype)
    trainer = whet.Trainer(model, "mse", optimizer)
    want = {name: value.astype(np.float64) for name, value in copies(model).items()}
    states = {name: {} for name in want}
    for x, y in batches(np.random.default_rng(1), "mse", dtype):
        trainer.step(x, y)
        for name, gradient in trainer.gradients().items():
            want[name], states[name] = step(name, want[name], np.asarray(gradient, np.float64), states[name])
    assert_near(model.state_dict(), want, dtype)


def lamb(p, g, state, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.0):
    t, m, v, after = moments(state, g, betas)
    d = m / (1 - betas[0] ** t) / (np.sqrt(v / (1 - betas[1] ** t)) + eps) + weight_decay * p
    size, length = np.linalg.norm(p), np.linalg.norm(d)
    return p - lr * (size / length if size > 0 and length > 0 else 1) * d, after


@every_dtype
@pytest.mark.parametrize(
    "options", [{}, {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}], ids=["defaults", "all"]
)
def test_lamb_is_its_formula(dtype, options):
    follow_formula(dtype, optim.LAMB(**options), lambda name, p, g, state: lamb(p, g, state, **options))


def test_lamb_of_a_zero_parameter_takes_adams_step():
    model = nn.Linear(3, 2).to("float64").initialize(0)
    model.load_state_dict({"weight": np.zeros((2, 3)), "bias": np.zeros(2)})
    whet.Trainer(model, "mse", optim.LAMB(lr=0.1, eps=0.0)).step(np.ones((4, 3)), np.ones((4, 2)))
    np.testing.assert_allclose(model.state_dict()["weight"], 0.1, rtol=1e-12)


def test_a_method_clips_and_has_groups():
    options = {"lr": 0.02, "weight_decay": 0.1}

    def step(name, p, g, state):
        own = {**options, "weight_decay": 0.0} if name.endswith("bias") else options
        return lamb(p, np.clip(g, -0.01, 0.01), state, **own)

    follow_formula("float64", optim.LAMB(**options, clip_value=0.01, groups={"*.bias": {"weight_decay": 0.0}}), step)


def zeropower(grad, ns_coefficients, ns_steps, eps):
    """torch.optim._muon._zeropower_via_newtonschulz in the gradient's own dtype."""
    a, b, c = ns_coefficients
    x = grad.T if grad.size(0) > grad.size(1) else grad
    x = x / x.norm().clamp(min=eps)
    for _ in range(ns_steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if grad.size(0) > grad.size(1) else x


@every_dtype
@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.01},
        {"lr": 0.01, "nesterov": False, "momentum": 0.8, "ns_steps": 3},
        {"lr": 0.01, "weight_decay": 0.3, "adjust_lr_fn": "match_rms_adamw"},
    ],
    ids=["defaults", "plain", "rms"],
)
def test_muon_is_that_of_torch(wide_torch, monkeypatch, dtype, options):
    muon = pytest.importorskip("torch.optim._muon", reason="torch.optim.Muon came with PyTorch 2.9")
    monkeypatch.setattr(muon, "_zeropower_via_newtonschulz", zeropower)
    model = network(dtype)
    trainer = whet.Trainer(
        model, "mse", optim.Muon(**options, matrices=("*.weight",), others=optim.AdamW(0.003, betas=(0.8, 0.99)))
    )
    peer = Peer(wide_torch, model, dtype, "SGD", {"lr": 0.0})
    weights = [p for p in peer.module.parameters() if p.ndim == 2]
    biases = [p for p in peer.module.parameters() if p.ndim < 2]
    assert {tuple(p.shape) for p in weights} == {(24, 12), (5, 24)}  # a tall one and a wide one
    both = wide_torch.optim.Muon(weights, **options), wide_torch.optim.AdamW(biases, 0.003, betas=(0.8, 0.99))
    for x, y in batches(np.random.default_rng(1), "mse", dtype):
        loss = trainer.step(x, y)
        assert loss == pytest.approx(peer.backward(x, y), rel=1e-4 if dtype == "float32" else 1e-9)
        for each in both:
            each.step()
    assert_near(model.state_dict(), peer.values(), dtype)


@every_dtype
def test_adafactor_is_that_of_torch(wide_torch, dtype):
    # Long steps along the sign of the last gradient alone turn roundings into other signs.
    longest, latest = 0.1 if dtype == "float64" else 0.03, -0.3

    @settings(max_examples=6, deadline=None, derandomize=True, database=None)
    @given(
        lr=st.floats(1e-3, longest),
        beta2_decay=st.floats(-1.0, latest),
        eps=st.tuples(st.none() | st.floats(1e-9, 1e-2), st.floats(1e-4, 1e-2)),
        d=st.floats(1.0, 3.0),
        weight_decay=st.sampled_from([0.0, 0.01, 0.1]),
    )
    def check(**options):
        model = network(dtype)
        trainer = whet.Trainer(model, "mse", optim.Adafactor(**options))
        peer = Peer(wide_torch, model, dtype, "Adafactor", options)
        for x, y in batches(np.random.default_rng(1), "mse", dtype):
            assert trainer.step(x, y) == pytest.approx(peer.step(x, y), rel=1e-4 if dtype == "float32" else 1e-9)
        assert_near(model.state_dict(), peer.values(), dtype)

    check()


@every_dtype
def test_adafactor_of_several_axes_keeps_what_torch_keeps(wide_torch, tmp_path, rng, dtype):
    """Of three axes, the last two are a matrix for each index of the first; a column and a single element are ones."""
    layers = nn.Linear(5, 12), nn.Unflatten(1, (3, 4)), nn.LinearEnsemble(4, 2, k=3), nn.Flatten(), nn.Linear(6, 1)
    model = nn.Sequential(*layers).to(dtype).initialize(0)
    trainer = whet.Trainer(model, "mse", "adafactor")
    theirs = {name: wide_torch.nn.Parameter(wide_torch.tensor(value)) for name, value in copies(model).items()}
    peer = wide_torch.optim.Adafactor(theirs.values())
    for _ in range(100):
        trainer.step(rng.normal(size=(40, 5)), rng.normal(size=40))
        for name, gradient in trainer.gradients().items():
            theirs[name].grad = wide_torch.tensor(np.array(gradient))
        peer.step()
    assert_near(model.state_dict(), {name: value.detach().numpy() for name, value in theirs.items()}, dtype)
    trainer.save(tmp_path / "trainer.whet")
    tensors, _ = read_model(tmp_path / "trainer.whet")
    for name, value in theirs.items():
        kept = {key: each.numpy() for key, each in peer.state[value].items() if key != "step"}
        assert {key.split(".")[0] for key in tensors if key.endswith(f".{name}")} == {"parameters", *kept}
        for key, each in kept.items():
            found = tensors[f"{key}.{name}"]
            assert found.shape == each.shape
            np.testing.assert_allclose(found, each, rtol=1e-4 if dtype == "float32" else 1e-9)


@every_dtype
def test_the_others_of_muon_have_groups(wide_torch, monkeypatch, dtype):
    """No decay of biases, as published runs have it."""
    muon = pytest.importorskip("torch.optim._muon", reason="torch.optim.Muon came with PyTorch 2.9")
    monkeypatch.setattr(muon, "_zeropower_via_newtonschulz", zeropower)
    model = network(dtype)
    groups = {"2.bias": {"weight_decay": 0.0}, "*bias": {"lr": 0.002}}
    others = optim.AdamW(0.003, weight_decay=0.5, groups=groups)
    optimizer = optim.Muon(lr=0.01, matrices=("0.weight",), others=others)
    shapes = {name: array.shape for name, array in model.state_dict().items()}
    given = dict(zip(shapes, optimizer.assign(shapes, frozen=["0.bias"]).group_of, strict=True))
    assert given["0.weight"] == 0
    assert given["0.bias"] == -1
    trainer = whet.Trainer(model, "mse", optimizer)
    peer = Peer(wide_torch, model, dtype, "SGD", {"lr": 0.0})
    named = dict(zip(shapes, peer.module.parameters(), strict=True))
    numbers = {name: {"lr": 0.003, "weight_decay": 0.5} for name in shapes if name != "0.weight"}
    for name in numbers:
        numbers[name] |= next((extra for pattern, extra in groups.items() if fnmatchcase(name, pattern)), {})
    both = (
        wide_torch.optim.Muon([named["0.weight"]], lr=0.01),
        wide_torch.optim.AdamW([{"params": [named[name]], **each} for name, each in numbers.items()]),
    )
    for x, y in batches(np.random.default_rng(1), "mse", dtype):
        trainer.step(x, y)
        peer.backward(x, y)
        for each in both:
            each.step()
    assert_near(model.state_dict(), peer.values(), dtype)


def test_singular_values_come_near_one(rng):
    model = nn.Sequential(nn.Linear(40, 30, bias=False), nn.Linear(30, 1)).to("float64").initialize(0)
    before = copies(model)["0.weight"]
    optimizer = optim.Muon(lr=1.0, weight_decay=0.0)
    whet.Trainer(model, "mse", optimizer).step(rng.normal(size=(200, 40)), rng.normal(size=200))
    step = before - model.state_dict()["0.weight"]
    values = np.linalg.svd(step, compute_uv=False)
    assert 0.6 < values.max() < 1.3


def test_matrices_are_all_but_the_last_or_those_that_match():
    shapes = {"0.weight": (4, 3), "0.bias": (4,), "1.weight": (4, 4), "2.weight": (2, 4)}
    assert optim.Muon().assign(shapes).group_of == [0, 1, 0, 1]
    assert optim.Muon(matrices=("[12].weight",)).assign(shapes).group_of == [1, 1, 0, 0]
    assert optim.Muon().assign(shapes, frozen=("1.weight",)).group_of == [0, 1, -1, 1]
    assert optim.Muon(matrices=("[12].weight",)).assign(shapes, frozen=("1.weight",)).group_of == [1, 1, -1, 0]
    with pytest.raises(ValueError, match=r"two axes, 0\.bias"):
        optim.Muon(matrices=("0.*",)).assign(shapes)
    with pytest.raises(ValueError, match=r"patterns of matrices that match some of 0.weight.* got 'x'"):
        whet.Trainer(network("float32"), "mse", optim.Muon(matrices=("x",)))


@pytest.mark.parametrize("name", ["lamb", "muon", "adafactor"])
def test_methods_train_save_and_follow_schedules(tmp_path, rng, name):
    X, y = rng.normal(size=(100, 12)), rng.normal(size=(100, 5))
    kind = type(optim.get(name))
    model = network("float32")
    history = model.fit(X, y, loss="mse", optimizer=kind(lr=schedules.Cosine(0.01), ema=0.9), epochs=20)
    assert history["loss"][-1] < history["loss"][0]
    one, two, three = (network("float32") for _ in range(3))
    whole, first, second = (whet.Trainer(each, "mse", name) for each in (one, two, three))
    for _ in range(4):
        whole.step(X, y)
    for _ in range(2):
        first.step(X, y)
    first.save(tmp_path / "trainer.whet")
    second.load(tmp_path / "trainer.whet")
    for _ in range(2):
        second.step(X, y)
    assert one.fingerprint() == three.fingerprint()


@pytest.mark.parametrize("name", ["lamb", "muon", "adafactor"])
def test_methods_have_the_same_bits_on_every_number_of_threads(threads, rng, name):
    X, y = rng.normal(size=(300, 40)), rng.normal(size=(300, 3))
    prints = set()
    for number in (1, 2, 3, 4):
        threads(number)
        model = nn.MLP(40, (200, 70), 3).initialize(1)
        model.fit(X, y, loss="mse", optimizer=name, epochs=2, batch_size=70)
        prints.add(model.fingerprint())
    assert len(prints) == 1


PROGRAM = """
import numpy as np
from whet import nn
X = (np.arange(3000) * 2654435761 % 2**32 / 2**31 - 1).reshape(100, 30)
for dtype in ("float32", "float64"):
    for name in ("lamb", "muon", "adafactor", "schedule_free_adamw"):
        model = nn.MLP(30, (33, 19), 2, "gelu").to(dtype).initialize(1)
        model.fit(X, X[:, :2] * X[:, 2:4], loss="mse", optimizer=name, epochs=2, batch_size=17)
        print(model.fingerprint())
"""


def test_methods_have_the_same_bits_on_avx2_and_avx512():
    assert len(outputs_of_both_sets(PROGRAM)) == 1


def test_methods_check_their_arguments():
    for wrong, word in [
        (lambda: optim.Muon(momentum=1.0), "momentum"),
        (lambda: optim.Muon(ns_steps=0), "ns_steps"),
        (lambda: optim.Muon(adjust_lr_fn="best"), "adjust_lr_fn"),
        (lambda: optim.Muon(groups={"*.bias": {"lr": 0.1}}), "groups"),
        (lambda: optim.Muon(l1=0.1), "l1"),
        (lambda: optim.LAMB(l1=schedules.Linear(0.1)), "l1"),
        (lambda: optim.LAMB(eps=-1), "eps"),
        (lambda: optim.Adafactor(eps=(None, -1.0)), "eps"),
        (lambda: optim.Adafactor(d=0.5), "d at least 1"),
        (lambda: optim.Adafactor(beta2_decay=0.1), "beta2_decay"),
        (lambda: whet.ops.update("muon", np.ones((2, 2)), np.ones((2, 2)), {}), "expected one of gd"),
    ]:
        with pytest.raises(ValueError, match=word):
            wrong()
    with pytest.raises(TypeError, match="others"):
        optim.Muon(others=optim.Adam())
    for eps in (1e-3, (1e-3,), (1e-3, None), ("a", 1e-3)):
        with pytest.raises(TypeError, match="eps"):
            optim.Adafactor(eps=eps)
    with pytest.raises(TypeError, match="matrices"):
        optim.Muon(matrices="*.weight")
    assert reference.OPTIMIZERS.keys().isdisjoint({"lamb", "muon", "adafactor", "lbfgs"})
