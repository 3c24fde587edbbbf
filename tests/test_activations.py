"""Activations as layers against those of torch.nn, at random options and inputs, the kinks among them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers import same_bits
from whet import nn, ops
from whet.nn import activations

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}

number = st.floats(-4, 4, width=32, allow_subnormal=False)
positive = st.floats(0.125, 4, width=32)

OPTIONS = {
    "CELU": st.fixed_dictionaries({"alpha": positive}),
    "ELU": st.fixed_dictionaries({"alpha": number}),
    "GELU": st.fixed_dictionaries({"approximate": st.sampled_from(["none", "tanh"])}),
    "Hardshrink": st.fixed_dictionaries({"lambd": number}),
    "Hardtanh": st.tuples(number, positive).map(lambda pair: {"min_val": pair[0], "max_val": pair[0] + pair[1]}),
    "LeakyReLU": st.fixed_dictionaries({"negative_slope": number}),
    "Softplus": st.fixed_dictionaries({"beta": positive, "threshold": st.floats(1, 30, width=32)}),
    "Softshrink": st.fixed_dictionaries({"lambd": positive}),
    "Threshold": st.fixed_dictionaries({"threshold": number, "value": number}),
}
NAMES = [name for name in activations.__all__ if name not in ("Activation", "get")]


def core_of(layer):
    """The layer's name in the core and its options there."""
    if isinstance(layer, nn.GELU):
        return "gelu" if layer.approximate == "none" else "gelu_tanh", {}
    return layer.op, {"min_val": 0.0, "max_val": 6.0} if isinstance(layer, nn.ReLU6) else layer._arguments()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_are_those_of_torch(torch, name, dtype):
    @settings(max_examples=15, deadline=None)
    @given(
        st.one_of(st.just({}) if name != "Threshold" else st.nothing(), OPTIONS.get(name, st.just({}))),
        st.lists(st.one_of(number, st.floats(-40, 40, width=32, allow_subnormal=False)), max_size=20),
    )
    def compare(options, given_x):
        layer, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
        kinks = [0.0, -0.0, -3.0, 3.0, 6.0]
        kinks += [sign * value for value in options.values() if not isinstance(value, str) for sign in (1, -1)]
        x = np.array([*given_x, *kinks, 0.5, -0.5, 1.0, -1.0], dtype)
        dy = np.linspace(-2, 2, len(x), dtype=dtype)

        tensor = torch.tensor(x, requires_grad=True)
        y = theirs(tensor)
        y.backward(torch.tensor(dy))
        tolerance = TOLERANCE[dtype]
        if name == "Hardsigmoid":
            tolerance = max(tolerance, 1e-7)  # PyTorch multiplies gradients by 1 / 6 in float32
        model = nn.Sequential(layer).to(dtype)
        np.testing.assert_allclose(
            model.predict(x[:, None])[:, 0], y.detach().numpy(), rtol=tolerance, atol=tolerance, err_msg=str(options)
        )
        op, core_options = core_of(layer)
        dx = ops.activation_gradient(op, x, dy, **core_options)
        np.testing.assert_allclose(dx, tensor.grad.numpy(), rtol=tolerance, atol=tolerance, err_msg=str(options))

    compare()


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_those_of_torch(torch, name):
    if name == "Threshold":
        with pytest.raises(TypeError, match="threshold"):
            nn.Threshold()
        return
    layer, theirs = getattr(nn, name)(), getattr(torch.nn, name)()
    for option, value in layer._arguments().items():
        assert getattr(theirs, option) == value


@pytest.mark.parametrize("name", [name for name in NAMES if name != "Identity"])
def test_layers_train_save_and_show(tmp_path, rng, name):
    import whet

    layer = nn.Threshold(0.1, -0.5) if name == "Threshold" else getattr(nn, name)()
    model = nn.Sequential(nn.Linear(3, 8), layer, nn.Linear(8, 1))
    X = rng.normal(size=(64, 3))
    model.fit(X, X[:, 0], loss="mse", epochs=1)
    assert name in repr(model)
    assert name.lower().replace("6", "") in model.summary().lower().replace("_", "") or name == "ReLU6"
    model.save(str(tmp_path / "model.whet"))
    loaded = whet.load(str(tmp_path / "model.whet"))
    assert type(loaded[1]) is type(layer)
    assert loaded[1]._arguments() == layer._arguments()
    assert same_bits(loaded.predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.CELU(0), "alpha"),
        (lambda: nn.Softshrink(-1), "lambd"),
        (lambda: nn.Hardtanh(1, -1), "min_val"),
        (lambda: nn.Hardshrink("much"), "lambd"),
        (lambda: nn.Threshold(float("nan"), 0), "threshold"),
        (lambda: nn.MLP(1, (2,), 1, activation="threshold"), "mish"),
    ],
)
def test_wrong_options_are_refused(make, words):
    with pytest.raises((TypeError, ValueError), match=words):
        make()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_sines_far_from_zero(rng, name, dtype):
    """Beyond the range in which they are exact they stay between -1 and 1."""
    largest = float(np.finfo(dtype).max)
    near = {"float32": 1e5, "float64": 1e8}[dtype]
    x = np.concatenate([rng.uniform(-near, near, 4000), np.arange(-2000, 2000) * np.pi / 2]).astype(dtype)
    got = ops.activation(name, x)
    want = getattr(np, name)(x.astype(np.longdouble))
    assert (abs(got - want) <= 2 * np.finfo(dtype).eps * abs(want)).all()
    y = ops.activation(name, np.array([1e7, -1e9, 1e15, largest, -largest], dtype))
    assert (abs(y) <= 1).all()
    assert np.isnan(ops.activation(name, np.array([np.inf, -np.inf, np.nan], dtype))).all()
