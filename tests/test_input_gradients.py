"""The derivatives of outputs with respect to inputs: PyTorch's, of every layer, in float64."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import whet
from tests.helpers import outputs_of_both_sets, same_bits
from tests.test_activations import NAMES, values_and_gradients
from tests.test_layers import CASES, FEATURES, trained_side_by_side
from tests.test_reproducibility import EveryLayer
from whet import _core, explain, nn, optim

TOLERANCE = 1e-9
_configure = settings(
    max_examples=3, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def their_gradients(torch, model, x, output):
    inputs = torch.tensor(x, requires_grad=True)
    model(inputs)[:, output].sum().backward()
    return inputs.grad.numpy()


def assert_same(got, want):
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE * max(1, np.abs(want).max()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@_configure
@given(data=st.data())
def test_every_layer_agrees_with_torch(torch, case, data):
    """As it predicts, with what a few steps have made of running statistics: inside a model, and at its beginning."""
    drawn = case(torch, data.draw)
    ours, theirs = trained_side_by_side(torch, drawn, "float64", steps=3)
    rng = np.random.default_rng(2)
    x = rng.normal(size=(300, FEATURES))
    for output in range(2):
        got = explain.input_gradients(ours, x, target=output).values
        assert_same(got, their_gradients(torch, theirs, x, output))
    first = nn.Sequential(*list(ours)[1:]).to("float64")
    x = rng.normal(size=(300, drawn.width))
    got = explain.input_gradients(first, x, target=1).values
    assert_same(got, their_gradients(torch, theirs[1:], x, 1))


@pytest.mark.parametrize("name", NAMES)
def test_every_activation_agrees_with_torch(torch, name, rng):
    """Fused into a product, and as the first of all; by the formula where PyTorch has no such layer."""
    options = {"threshold": 0.1, "value": 0.2} if name == "Threshold" else {}
    layer, x = getattr(nn, name)(**options), rng.normal(size=(70, 5))
    inside = nn.Sequential(nn.Linear(5, 4), layer, nn.Linear(4, 1)).to("float64").initialize(0)
    first = nn.Sequential(layer, nn.Linear(5, 1)).to("float64").initialize(0)
    w, b, out, _ = inside.state_dict().values()
    inner = values_and_gradients(torch, layer, options, x @ w.T + b, np.repeat(out, 70, axis=0))[1] @ w
    outer = values_and_gradients(torch, layer, options, x, np.repeat(first.state_dict()["1.weight"], 70, axis=0))[1]
    tolerance = 1e-7 if name == "Hardsigmoid" else TOLERANCE  # PyTorch takes its sixth from float32
    for model, want in ((inside, inner), (first, outer)):
        np.testing.assert_allclose(explain.input_gradients(model, x).values, want, rtol=0, atol=tolerance)


@pytest.mark.parametrize("seed", range(12))
def test_random_models_agree_with_torch(torch, seed):
    rng = np.random.default_rng(seed)
    width, ours, theirs = int(rng.integers(1, 40)), [], []
    first = width
    for _ in range(int(rng.integers(1, 6))):
        out = int(rng.integers(1, 40))
        kind = str(rng.choice(["Tanh", "ReLU", "GELU", "SiLU", "LayerNorm", "BatchNorm1d", "Dropout", "Identity"]))
        arguments = (out,) if kind in ("LayerNorm", "BatchNorm1d") else (0.3,) if kind == "Dropout" else ()
        ours += [nn.Linear(width, out), getattr(nn, kind)(*arguments)]
        theirs += [torch.nn.Linear(width, out), getattr(torch.nn, kind)(*arguments)]
        width = out
    model = nn.Sequential(*ours).to("float64").initialize(seed)
    x, y = rng.normal(size=(700, first)), rng.normal(size=(700, width))
    model.fit(x, y, loss="mse", optimizer=optim.SGD(lr=1e-3), epochs=1, seed=seed)
    peer = torch.nn.Sequential(*theirs).double()
    peer.load_state_dict({key: torch.tensor(value.copy()) for key, value in model.state_dict().items()})
    peer.eval()
    for output in range(min(width, 3)):
        got = explain.input_gradients(model, x, target=output).values
        assert_same(got, their_gradients(torch, peer, x, output))


def every_layer():
    model = EveryLayer(9, 2).to("float64").initialize(1)
    rng = np.random.default_rng(0)
    x = rng.uniform(-0.9, 0.9, size=(600, 9))
    x[:, 0] = np.arange(len(x)) % 7
    model.fit(x, x[:, 1:3], loss="mse", epochs=2)
    return model, x


def test_all_operations_at_once_agree_with_differences(recwarn):
    model, x = every_layer()
    got = explain.input_gradients(model, x, target=1)
    assert [str(w.message).split(":")[0] for w in recwarn] == ["[input_gradients] x0"]
    assert (got.values[:, 0] == 0).all()
    step = 1e-6
    for column in range(1, 9):
        moved = [x.copy(), x.copy()]
        for each, sign in zip(moved, (1, -1), strict=True):
            each[:, column] += sign * step
        slope = (model.predict(moved[0]) - model.predict(moved[1]))[:, 1] / (2 * step)
        error = np.abs(got.values[:, column] - slope)
        assert np.quantile(error, 0.97) < 1e-6 * max(1, np.abs(slope).max())  # but for rows beside a kink


def differentiated(rows):
    """Bits that do not depend on how they were computed."""
    model, x = every_layer()
    with pytest.warns(whet.WhetWarning, match="looks them up"):
        return explain.input_gradients(model, x[:rows], target=0).values


def test_bits_do_not_depend_on_threads_or_rows(threads):
    found = []
    for number in (1, 2, 7):
        threads(number)
        found.append(differentiated(600))
    assert all(same_bits(each, found[0]) for each in found)
    assert same_bits(differentiated(37), found[0][:37])


def test_avx2_and_avx512_give_the_same_gradients():
    program = (
        "import hashlib; from tests.test_input_gradients import differentiated;"
        "print(hashlib.sha256(differentiated(300).tobytes()).hexdigest(), end='')"
    )
    assert len(outputs_of_both_sets(program)) == 1


def test_many_threads_may_ask_at_once():
    model = nn.MLP(7, (30,), 3, "gelu").to("float64").initialize(0)
    x = np.random.default_rng(0).normal(size=(3000, 7))
    want = explain.input_gradients(model, x, target=1).values
    graph, state = model._graph(7), model._state()
    shared, found = _core.Differentiator(graph, state), []

    def ask():
        dy, dx = np.zeros((len(x), 3)), np.empty_like(x)
        dy[:, 1] = 1
        for _ in range(5):
            shared.differentiate(x, dy, dx)
        found.append(dx)

    workers = [threading.Thread(target=ask) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 6
    assert all(same_bits(each, want) for each in found)


class Condition(nn.Module):
    """What a condition reads gets no gradient by it, and another's is not spoilt."""

    def __init__(self):
        self.linear = nn.Linear(3, 3)

    def forward(self, x):
        h = self.linear(x)
        return nn.functional.where(h, h * 2.0, x)


class Untouched(nn.Module):
    def forward(self, x):
        return nn.functional.where(x > 0.0, 1.0, 2.0)


def test_conditions_pass_no_gradient(torch, rng):
    model = Condition().to("float64").initialize(0)
    w, b = (torch.tensor(each.copy()) for each in model.state_dict().values())
    x = rng.normal(size=(50, 3))
    inputs = torch.tensor(x, requires_grad=True)
    h = inputs @ w.T + b
    torch.where(h != 0, h * 2, inputs)[:, 2].sum().backward()
    for _ in range(3):
        assert_same(explain.input_gradients(model, x, target=2).values, inputs.grad.numpy())
    flat = explain.input_gradients(Untouched().to("float64"), x, target=0).values
    assert (flat == 0).all()


def test_an_identity_has_the_gradient_of_its_output(rng):
    x = rng.normal(size=(5, 3))
    got = explain.input_gradients(nn.Sequential(nn.Dropout(0.5)), x, target=1).values
    assert same_bits(got, np.tile([0.0, 1.0, 0.0], (5, 1)))


def test_the_core_refuses_other_shapes():
    model = nn.Linear(3, 2).to("float64")
    core = _core.Differentiator(model._graph(3), model._state())
    x, dy = np.zeros((4, 3)), np.zeros((4, 2))
    with pytest.raises(ValueError, match=r"\[differentiate\] expected a gradient of outputs of shape \(4, 2\)"):
        core.differentiate(x, np.zeros((4, 3)), np.empty((4, 3)))
    with pytest.raises(ValueError, match=r"\[differentiate\] expected room for gradients of shape \(4, 3\)"):
        core.differentiate(x, dy, np.empty((3, 3)))
    with pytest.raises(ValueError, match=r"\[differentiate\] expected features of shape \(4, 3\)"):
        core.differentiate(np.zeros((4, 5)), dy, np.empty((4, 5)))
