"""A hundred steps of a two-layer network, from the same weights on the same batches, agree with PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import whet
from whet import nn, optim

STEPS, ROWS, FEATURES, HIDDEN, OUTPUTS = 100, 32, 12, 24, 5
TOLERANCE = {"float32": 1e-5, "float64": 1e-9}

OPTIMIZERS = {
    "sgd": ("SGD", {"lr": 0.05}),
    "sgd-momentum": ("SGD", {"lr": 0.02, "momentum": 0.9}),
    "sgd-dampening": ("SGD", {"lr": 0.02, "momentum": 0.9, "dampening": 0.3}),
    "sgd-nesterov-decay": ("SGD", {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    "adam": ("Adam", {"lr": 0.003}),
    "adam-decay": ("Adam", {"lr": 0.003, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.01}),
    "adamw": ("AdamW", {"lr": 0.003}),
    "adamw-decay": ("AdamW", {"lr": 0.003, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.3}),
    "sgd-norm": ("SGD", {"lr": 0.05, "clip_norm": 0.3}),
    "adam-norm": ("Adam", {"lr": 0.003, "clip_norm": 0.3}),
    "adamw-norm-value": ("AdamW", {"lr": 0.003, "clip_norm": 0.3, "clip_value": 0.02}),
    "sgd-value": ("SGD", {"lr": 0.05, "momentum": 0.9, "clip_value": 0.02}),
}


def batches(rng, loss, dtype):
    """A smooth task: no ReLU whose kink would turn a difference in the last bit into another path."""
    hidden = rng.normal(size=(FEATURES, OUTPUTS))
    for _ in range(STEPS):
        x = rng.normal(size=(ROWS, FEATURES)).astype(dtype)
        y = np.sin(x @ hidden)
        yield x, y.argmax(axis=1) if loss == "cross_entropy" else y.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_hundred_steps_agree_with_torch(torch, rng, optimizer, loss, dtype):
    kind, settings = OPTIMIZERS[optimizer]
    ours = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, OUTPUTS)).to(dtype)
    ours.initialize(0)
    theirs = torch.nn.Sequential(
        torch.nn.Linear(FEATURES, HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, OUTPUTS)
    ).to(getattr(torch, dtype))
    # PyTorch's names, shapes and layouts: weights move without a transpose.
    theirs.load_state_dict({name: torch.tensor(value.copy()) for name, value in ours.state_dict().items()})

    trainer = whet.Trainer(ours, loss=loss, optimizer=getattr(optim, kind)(**settings), seed=0)
    clipping = {name: settings[name] for name in ("clip_norm", "clip_value") if name in settings}
    settings = {name: value for name, value in settings.items() if name not in clipping}
    clipped = set()
    their_optimizer = getattr(torch.optim, kind)(theirs.parameters(), **settings)
    their_loss = getattr(torch.nn.functional, {"mse": "mse_loss"}.get(loss, loss))
    for x, y in batches(rng, loss, dtype):
        value = trainer.step(x, y)
        their_optimizer.zero_grad()
        their_value = their_loss(theirs(torch.tensor(x)), torch.tensor(y))
        their_value.backward()
        if "clip_norm" in clipping:
            norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), clipping["clip_norm"])
            clipped |= {"clip_norm"} if norm > clipping["clip_norm"] else set()
        if "clip_value" in clipping:
            largest = max(float(p.grad.abs().max()) for p in theirs.parameters())
            torch.nn.utils.clip_grad_value_(theirs.parameters(), clipping["clip_value"])
            clipped |= {"clip_value"} if largest > clipping["clip_value"] else set()
        their_optimizer.step()
        assert value == pytest.approx(their_value.item(), rel=TOLERANCE[dtype])
    assert clipped == set(clipping), "every limit counts at some step"

    # Relative to the parameter's size: a single element may pass through zero.
    for name, value in theirs.state_dict().items():
        difference = np.linalg.norm(ours.state_dict()[name] - value.numpy())
        assert difference <= TOLERANCE[dtype] * np.linalg.norm(value.numpy()), name


def test_weights_of_torch_give_its_predictions(torch, rng):
    theirs = torch.nn.Sequential(torch.nn.Linear(7, 9), torch.nn.GELU(), torch.nn.Linear(9, 3))
    ours = nn.Sequential(nn.Linear(7, 9), nn.GELU(), nn.Linear(9, 3))
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    x = rng.normal(size=(50, 7)).astype(np.float32)
    with torch.no_grad():
        want = theirs(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ours.predict(x), want, rtol=1e-5, atol=1e-6)
