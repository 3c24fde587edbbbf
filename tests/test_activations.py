"""Activations as layers at random options and inputs, the kinks among them, against those of torch.nn.

Those that PyTorch lacks are compared with their formula in reference.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whet
from tests.helpers import same_bits
from tests.reference import ACTIVATIONS
from whet import _core, nn, ops
from whet.nn import activations

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}

number = st.floats(-4, 4, width=32, allow_subnormal=False)
positive = st.floats(0.125, 4, width=32)

#: What is drawn; of an activation not named here, the settings that its formula is tested with.
OPTIONS = {
    "CELU": st.fixed_dictionaries({"alpha": positive}),
    "ELU": st.fixed_dictionaries({"alpha": number}),
    "GELU": st.fixed_dictionaries({"approximate": st.sampled_from(["none", "tanh"])}),
    "Hardshrink": st.fixed_dictionaries({"lambd": number}),
    "Hardtanh": st.tuples(number, positive).map(lambda pair: {"min_val": pair[0], "max_val": pair[0] + pair[1]}),
    "LeakyReLU": st.fixed_dictionaries({"negative_slope": number}),
    "ReLU6": st.just({}),
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


def formula_of(layer):
    return ACTIVATIONS[core_of(layer)[0]]


def options_of(name):
    if name in OPTIONS:
        return OPTIONS[name] if name == "Threshold" else st.one_of(st.just({}), OPTIONS[name])
    return st.sampled_from(formula_of(getattr(nn, name)()).settings)


def values_and_gradients(torch, layer, options, x, dy):
    """By PyTorch's layer of that name, or by the formula."""
    formula = formula_of(layer)
    if not formula.torch:
        wide, options = x.astype(np.float64), core_of(layer)[1]
        return formula.value(wide, **options), dy * formula.derivative(wide, **options)
    tensor = torch.tensor(x, requires_grad=True)
    y = getattr(torch.nn, type(layer).__name__)(**options)(tensor)
    y.backward(torch.tensor(dy))
    return y.detach().numpy(), tensor.grad.numpy()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_are_those_of_the_peer(torch, name, dtype):
    @settings(max_examples=15, deadline=None)
    @given(
        options_of(name),
        st.lists(st.one_of(number, st.floats(-40, 40, width=32, allow_subnormal=False)), max_size=20),
    )
    def compare(options, given_x):
        layer = getattr(nn, name)(**options)
        kinks = [0.0, -0.0, -3.0, 3.0, 6.0]
        kinks += [sign * value for value in options.values() if not isinstance(value, str) for sign in (1, -1)]
        x = np.array([*given_x, *kinks, 0.5, -0.5, 1.0, -1.0], dtype)
        dy = np.linspace(-2, 2, len(x), dtype=dtype)

        want, slope = values_and_gradients(torch, layer, options, x, dy)
        tolerance = TOLERANCE[dtype]
        if name == "Hardsigmoid":
            tolerance = max(tolerance, 1e-7)  # PyTorch multiplies gradients by 1 / 6 in float32
        y = nn.Sequential(layer).to(dtype).predict(x[:, None])[:, 0]
        np.testing.assert_allclose(y, want, rtol=tolerance, atol=tolerance, err_msg=str(options))
        op, core_options = core_of(layer)
        dx = ops.activation_gradient(op, x, dy, **core_options)
        np.testing.assert_allclose(dx, slope, rtol=tolerance, atol=tolerance, err_msg=str(options))

    compare()


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_those_of_the_peer(torch, name):
    """Those of PyTorch, or of the core where PyTorch has no such layer."""
    if name == "Threshold":
        with pytest.raises(TypeError, match="threshold"):
            nn.Threshold()
        return
    layer = getattr(nn, name)()
    if formula_of(layer).torch:
        theirs = vars(getattr(torch.nn, name)())
    else:
        theirs = next(entry["options"] for entry in _core.activations() if entry["name"] == layer.op)
    for option, value in layer._arguments().items():
        assert theirs[option] == value


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


def test_every_activation_of_the_core_can_be_had():
    layers = [getattr(nn, name) for name in activations.__all__]
    shown = {vars(layer).get("op") for layer in layers} | set(vars(nn.functional)) | {"gelu", "gelu_tanh"}  # nn.GELU's
    hidden = {"affine", "reciprocal"}  # what arithmetic becomes
    assert set(whet.build_info()["activations"]) - shown == hidden
