"""The reference formulas themselves, against finite differences and against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from tests import reference, torch_losses
from tests.reference_losses import targets_of

ACTIVATION_SETTINGS = [
    pytest.param(name, settings, id=f"{name}-{i}")
    for name, formula in reference.ACTIVATIONS.items()
    for i, settings in enumerate(formula.settings)
]
LOSS_TARGETS = [
    pytest.param(name, kind, settings, id=f"{name}-{kind}-{i}")
    for name, formula in reference.LOSSES.items()
    for kind in formula.targets
    for i, settings in enumerate(formula.settings)
]
OPTIMIZER_SETTINGS = [
    pytest.param(name, settings, id=f"{name}-{i}")
    for name, formula in reference.OPTIMIZERS.items()
    for i, settings in enumerate(formula.settings)
    if formula.torch
]


@pytest.mark.parametrize(("name", "settings"), ACTIVATION_SETTINGS)
def test_derivatives_are_differences_of_values(name, settings):
    formula = reference.ACTIVATIONS[name]
    x = formula.domain(np.linspace(-6, 6, 501) + 0.003)
    for kink in formula.kinks:
        x = x[abs(x - kink) > 2e-5]
    h = 1e-5 * (abs(x) if formula.pole else 1)
    slope = (formula.value(x + h, **settings) - formula.value(x - h, **settings)) / (2 * h)
    np.testing.assert_allclose(formula.derivative(x, **settings), slope, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("name", "kind", "settings"), LOSS_TARGETS)
def test_loss_gradients_are_differences_of_values(rng, name, kind, settings):
    h = 1e-5
    prediction, target = rng.normal(size=(5, 4)), targets_of(kind, 5, 4, rng)

    def value(p):
        return reference.LOSSES[name].value(p, target, **settings)

    _, gradient = value(prediction)
    for index in np.ndindex(prediction.shape):
        above, below = prediction.copy(), prediction.copy()
        above[index] += h
        below[index] -= h
        slope = (value(above)[0] - value(below)[0]) / (2 * h)
        assert gradient[index] == pytest.approx(slope, rel=1e-7, abs=1e-10)


@pytest.mark.parametrize(
    ("name", "settings"), [each for each in ACTIVATION_SETTINGS if reference.ACTIVATIONS[each.values[0]].torch]
)
def test_activations_are_those_of_torch(torch, name, settings):
    functional = torch.nn.functional
    theirs = (
        {
            "identity": lambda x: x,
            "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
            "log_sigmoid": functional.logsigmoid,
            "threshold": lambda x, threshold=0.0, value=0.0: functional.threshold(x, threshold, value),
            "affine": lambda x, scale=1.0, shift=0.0: x * scale + shift,
        }.get(name)
        or getattr(torch, name, None)
        or getattr(functional, name)
    )
    x = reference.ACTIVATIONS[name].domain(np.concatenate([np.linspace(-30, 30, 801), [0.0, -0.0, 0.5, -0.5, 3, -3]]))
    t = torch.tensor(x, requires_grad=True)
    y = theirs(t, **settings)
    y.sum().backward()
    np.testing.assert_allclose(reference.ACTIVATIONS[name].value(x, **settings), y.detach(), rtol=1e-12, atol=1e-14)
    rtol = 1e-7 if name == "hardsigmoid" else 1e-11  # PyTorch multiplies by 1 / 6 in float32
    np.testing.assert_allclose(reference.ACTIVATIONS[name].derivative(x, **settings), t.grad, rtol=rtol, atol=1e-14)


@pytest.mark.parametrize(("name", "kind", "settings"), LOSS_TARGETS)
def test_losses_are_those_of_torch(torch, rng, name, kind, settings):
    prediction, target = rng.normal(size=(7, 3)), targets_of(kind, 7, 3, rng)
    t = torch.tensor(prediction, requires_grad=True)
    loss = torch_losses.function(torch, name)(t, torch.tensor(target), **settings)
    loss.backward()
    value, gradient = reference.LOSSES[name].value(prediction, target, **settings)
    assert value == pytest.approx(loss.item(), rel=1e-13)
    np.testing.assert_allclose(gradient, t.grad, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("name", "settings"), OPTIMIZER_SETTINGS)
def test_optimizers_are_those_of_torch(wide_torch, rng, name, settings):
    p = rng.normal(size=20)
    t = wide_torch.tensor(p, requires_grad=True)
    theirs, state = getattr(wide_torch.optim, reference.OPTIMIZERS[name].torch)([t], **settings), {}
    for _ in range(5):
        g = rng.normal(size=20)
        t.grad = wide_torch.tensor(g)
        theirs.step()
        p, state = reference.OPTIMIZERS[name].step(p, g, state, **settings)
        np.testing.assert_allclose(p, t.detach(), rtol=1e-12, atol=1e-15)
    for key, value in state.items():
        np.testing.assert_allclose(value, theirs.state[t][key], rtol=1e-12, atol=1e-15)
