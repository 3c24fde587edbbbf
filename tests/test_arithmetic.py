"""What ``forward`` may do with traced values, against PyTorch's tensors: values, and gradients of all parameters."""

from __future__ import annotations

import numpy as np
import pytest

import whet
from tests.helpers import same_bits
from whet import nn, optim
from whet.nn import functional as F

N = nn.init.Normal(0.0, 1.0)


class Traced(nn.Module):
    """A function of x and of parameters of given shapes."""

    def __init__(self, function, shapes):
        self.function = function
        self.parameters = [nn.Parameter(shape, N) for shape in shapes]

    def forward(self, x):
        return self.function(F, x, *self.parameters)


class Torch:
    """PyTorch under the names of whet.nn.functional."""

    def __init__(self, torch):
        self.torch = torch

    def __getattr__(self, name):
        return getattr(self.torch, name)

    def maximum(self, a, b):
        return self.torch.maximum(a, self.torch.as_tensor(b, dtype=a.dtype))

    def minimum(self, a, b):
        return self.torch.minimum(a, self.torch.as_tensor(b, dtype=a.dtype))

    def concatenate(self, values, axis=-1):
        return self.torch.cat(values, axis)

    def stack(self, values):
        return self.torch.stack(values, 1)

    def logsumexp(self, x):
        return self.torch.logsumexp(x, -1, keepdim=True)

    def softmax(self, x):
        return self.torch.softmax(x, -1)

    def log_softmax(self, x):
        return self.torch.log_softmax(x, -1)

    def where(self, condition, a, b):
        return self.torch.where(condition, a, b)


def shaped(x, *shape):
    return x.reshape(*shape) if isinstance(x, nn.Value) else x.reshape(len(x), *shape)


def mean(x, axis, keep=False):
    return x.mean(axis=axis, keepdims=keep) if isinstance(x, nn.Value) else x.mean(dim=axis, keepdim=keep)


def total(x, axis, keep=False):
    return x.sum(axis=axis, keepdims=keep) if isinstance(x, nn.Value) else x.sum(dim=axis, keepdim=keep)


# Each: a function of rows of six features and of parameters, and the parameters' shapes.
CASES = {
    "numbers": (lambda F, x, p: (1.5 - (x @ p) * 2.0) / 4.0 + 1.0 - (-(x @ p)), [(6, 4)]),
    "number over value": (lambda F, x, p: 2.0 / ((x @ p) * (x @ p) + 1.0), [(6, 4)]),
    "powers": (lambda F, x, p: (x @ p) ** 3 + ((x @ p) ** 2 + 1.0) ** -2 + ((x @ p) ** 2 + 1.0) ** 0.5, [(6, 4)]),
    "functions": (
        lambda F, x, p: F.exp(x @ p) + F.log((x @ p) ** 2 + 1.0) + F.sqrt(F.square(x @ p) + 1.0) + F.abs(x @ p),
        [(6, 4)],
    ),
    "sine and cosine": (lambda F, x, p: F.sin((x @ p) * 9.0) * F.cos(x @ p), [(6, 4)]),
    "row of parameters": (lambda F, x, p, q: (x @ p) * q + q, [(6, 4), (4,)]),
    "row less value": (lambda F, x, p, q: q - (x @ p), [(6, 4), (4,)]),
    "row over value": (lambda F, x, p, q: q / ((x @ p) * (x @ p) + 1.0), [(6, 4), (4,)]),
    "one parameter": (lambda F, x, p, q: (x @ p) * q - q, [(6, 4), (1,)]),
    "extremes": (lambda F, x, p, q: F.maximum(x @ p, x @ q) - F.minimum(x @ p, 0.3), [(6, 4), (6, 4)]),
    "clamp": (lambda F, x, p: F.clamp(x @ p, -0.5, 0.5) * (x @ p), [(6, 4)]),
    "where": (lambda F, x, p, q: F.where((x @ p) > 0.0, x @ q, (x @ p) * 2.0), [(6, 4), (6, 4)]),
    "where of comparisons": (lambda F, x, p, q: F.where((x @ p) <= (x @ q), x @ q, (x @ p) ** 2), [(6, 4), (6, 4)]),
    "where with one column": (lambda F, x, p, q: F.where((x @ p) >= 0.0, x @ q, (x @ p) * 2.0), [(6, 4), (6, 1)]),
    "slices": (
        lambda F, x, p: F.concatenate([(x @ p)[:, 1:3], (x @ p)[:, [0, 3]], x[:, 2:4], (x @ p)[..., -1:]]),
        [(6, 4)],
    ),
    "matrix of parameters": (lambda F, x, p, q: shaped(shaped(x @ p, 2, 3) * q, 6), [(6, 6), (2, 3)]),
    "row for each line": (lambda F, x, p, q: shaped(shaped(x @ p, 2, 3) * q - q, 6), [(6, 6), (3,)]),
    "column for each line": (lambda F, x, p, q: shaped(shaped(x @ p, 2, 3) * q + q, 6), [(6, 6), (2, 1)]),
    "number for each line": (lambda F, x, p, q: shaped(shaped(x @ p, 2, 3) * q - q, 6), [(6, 6), (1,)]),
    "one line for many": (lambda F, x, p, q: shaped(shaped(x @ p, 1, 3) * q + q, 12), [(6, 3), (4, 3)]),
    "one column for many": (lambda F, x, p, q: shaped(shaped(x @ p, 3, 1) * q + q, 12), [(6, 3), (3, 4)]),
    "outer product": (lambda F, x, p, q: shaped(shaped(x @ p, 3, 1) * shaped(x @ q, 1, 4), 12), [(6, 3), (6, 4)]),
    "lines less one": (lambda F, x, p, q: shaped(shaped(x @ p, 3, 4) - shaped(x @ q, 1, 4), 12), [(6, 12), (6, 4)]),
    "lines by column": (lambda F, x, p, q: shaped(shaped(x @ p, 3, 4) * shaped(x @ q, 3, 1), 12), [(6, 12), (6, 3)]),
    "lines by number": (lambda F, x, p, q: shaped(shaped(x @ p, 3, 4) / shaped(x @ q, 1, 1), 12), [(6, 12), (6, 1)]),
    "product over lines": (lambda F, x, p, q: shaped(shaped(x @ p, 3, 4) @ q, 6), [(6, 12), (4, 2)]),
    "mean of a row": (lambda F, x, p: (x @ p) * mean(x @ p, -1, True), [(6, 4)]),
    "sum over lines": (lambda F, x, p: total(shaped(x @ p, 3, 4) * shaped(x @ p, 3, 4), 1), [(6, 12)]),
    "mean over lines": (lambda F, x, p: mean(shaped(x @ p, 3, 4) * shaped(x @ p, 3, 4), 1), [(6, 12)]),
    "mean of lines": (lambda F, x, p: mean(shaped(x @ p, 3, 4) * shaped(x @ p, 3, 4), 2), [(6, 12)]),
    "mean of lines, kept": (
        lambda F, x, p: shaped(mean(shaped(x @ p, 3, 4), -1, True) * shaped(x @ p, 3, 4), 12),
        [(6, 12)],
    ),
    "mean over lines, kept": (
        lambda F, x, p: shaped(mean(shaped(x @ p, 3, 4), 1, True) * shaped(x @ p, 3, 4), 12),
        [(6, 12)],
    ),
    "softmax": (lambda F, x, p: F.softmax(x @ p) * (x @ p) + F.log_softmax(x @ p), [(6, 19)]),
    "softmax of lines": (lambda F, x, p: shaped(F.softmax(shaped(x @ p, 3, 4)), 12), [(6, 12)]),
    "logsumexp": (lambda F, x, p: shaped(F.logsumexp(shaped(x @ p, 3, 4) * 50.0), 3), [(6, 12)]),
    "stack": (lambda F, x, p, q: shaped(F.stack([x @ p, x @ p, (x @ p) * 2.0]) * q, 12), [(6, 4), (3, 4)]),
    "parts of lines": (
        lambda F, x, p: shaped(shaped(x @ p, 3, 4)[:, 1:, [0, 2]], 4) * shaped(shaped(x @ p, 3, 4)[:, 0], 4),
        [(6, 12)],
    ),
    "lines side by side": (
        lambda F, x, p: shaped(F.concatenate([shaped(x @ p, 3, 4), shaped(x @ p, 3, 4)[..., :2]]), 18),
        [(6, 12)],
    ),
    "lines below each other": (
        lambda F, x, p: shaped(F.concatenate([shaped(x @ p, 3, 4), shaped(x @ p, 3, 4)[:, :2]], 1), 20),
        [(6, 12)],
    ),
}


@pytest.mark.parametrize("rows", [1, 7, 300])
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_torch(torch, rng, case, rows):
    function, shapes = CASES[case]
    model = Traced(function, shapes).to("float64").initialize(1)
    x = rng.normal(size=(rows, 6))
    theirs = [torch.tensor(value.copy(), requires_grad=True) for value in model.state_dict().values()]
    wanted = function(Torch(torch), torch.tensor(x), *theirs)
    got = model.predict(x)
    np.testing.assert_allclose(got, wanted.detach().numpy(), rtol=1e-12, atol=1e-12)

    y = rng.normal(size=got.shape)
    trainer = whet.Trainer(model, "mse", optim.SGD(lr=0.0))
    loss = trainer.step(x, y)
    their_loss = ((wanted - torch.tensor(y)) ** 2).mean()
    their_loss.backward()
    assert loss == pytest.approx(their_loss.item(), rel=1e-12)
    for gradient, parameter in zip(trainer.gradients().values(), theirs, strict=True):
        scale = max(1.0, float(parameter.grad.abs().max()))
        np.testing.assert_allclose(gradient, parameter.grad.numpy(), rtol=1e-10, atol=1e-12 * scale)


@pytest.mark.parametrize("case", CASES)
def test_a_row_does_not_depend_on_the_others(rng, case):
    model = Traced(*CASES[case]).initialize(1)
    x = rng.normal(size=(300, 6)).astype(np.float32)
    whole = model.predict(x)
    assert same_bits(whole[:1], model.predict(x[:1]))
    assert same_bits(whole[100:117], model.predict(x[100:117]))


def test_numpy_functions_and_numbers_work_on_traced_values(rng):
    class Model(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(4, 3)

        def forward(self, x):
            h = self.layer(x)
            return np.float64(2) * np.exp(-h) + np.maximum(np.float32(0.5), h) - np.absolute(h)

    x = rng.normal(size=(5, 4))
    model = Model().to("float64")
    h = nn.Sequential(model.layer).to("float64").predict(x)
    np.testing.assert_allclose(model.predict(x), 2 * np.exp(-h) + np.maximum(0.5, h) - abs(h), rtol=1e-12)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[:, :, np.array([2, 0])],
        lambda x: x[:, :, np.array([True, False, True])],
        lambda x: x[:, :, [False, True, True]],
        lambda x: x[:, :, (2, 1)],
        lambda x: x[:, np.int64(1)],
        lambda x: x[:, ..., 1],
        lambda x: x[..., 1, :],
        lambda x: x[:, 1, [0, 2]],
        lambda x: x == 1.0,
        lambda x: x != 1.0,
        lambda x: x == x[:, ::-1],
        lambda x: np.float64(1) == x,
        lambda x: np.float64(0) < x,
        lambda x: np.float32(1) >= x,
    ],
)
def test_indices_and_comparisons_are_those_of_numpy(rng, function):
    class Model(nn.Module):
        def forward(self, x):
            return function(x.reshape((2, -1))) * 1.0

    x = rng.integers(-1, 3, size=(7, 6)).astype(np.float32)
    np.testing.assert_array_equal(Model().predict(x), function(x.reshape(7, 2, 3)) * 1.0)


def test_what_leads_nowhere_gets_no_gradient(rng):
    """A comparison passes none on, and what the output does not depend on has none."""

    class Model(nn.Module):
        def __init__(self):
            self.a, self.b, self.unused = nn.Linear(3, 2), nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x):
            self.unused(x)
            return F.where(self.a(x) > 0.0, self.b(x), 0.0)

    model = Model()
    trainer = whet.Trainer(model, "mse", optim.SGD(lr=0.1))
    trainer.step(rng.normal(size=(20, 3)), rng.normal(size=(20, 2)))
    gradients = trainer.gradients()
    assert gradients["b.weight"].any()
    for name in ("a.weight", "a.bias", "unused.weight", "unused.bias"):
        assert not gradients[name].any()


@pytest.mark.parametrize(
    ("forward", "error", "message"),
    [
        (lambda x, p: x[:, 7:], IndexError, "expected indices of the 6 elements"),
        (lambda x, p: x[:, 9], IndexError, "expected indices of the 6 elements"),
        (lambda x, p: x[0], IndexError, "expected : for the rows"),
        (lambda x, p: x[:, True], IndexError, "expected indices of the 6 elements, got True, in Broken"),
        (lambda x, p: x[:, None], IndexError, "expected indices of the 6 elements, got None, in Broken"),
        (lambda x, p: x[:, "a"], IndexError, "expected indices of the 6 elements, got 'a', in Broken"),
        (lambda x, p: x.reshape(2, 3)[:, [0, 1], [0, 1]], IndexError, "one may be a list"),
        (lambda x, p: x.sum(axis="a"), TypeError, "expected one axis, a whole number, got 'a', in Broken"),
        (lambda x, p: x.reshape(2.5, 2), TypeError, "expected whole numbers, got .2.5, 2., in Broken"),
        (lambda x, p: np.sum(x, axis=1), TypeError, "no array for np.sum: see its methods"),
        (lambda x, p: F.where(x > 0, "a", 0.0), TypeError, "a number, got str, in Broken"),
        (lambda x, p: F.one_hot(x[:, :1], 2.5), TypeError, "num_classes to be an integer"),
        (lambda x, p: (), TypeError, "a tuple of them, got tuple"),
        (lambda x, p: nn.Bilinear(2, 3, 1)(x), TypeError, "missing 1 required .* 'x2', in Bilinear"),
        (lambda x, p: x.sum(axis=0), ValueError, "rows are independent"),
        (lambda x, p: x.sum(axis=4), ValueError, "expected an axis from 1 to 1"),
        (lambda x, p: x.reshape(4), ValueError, "expected a shape of 6 elements for .6,., got .4,."),
        (lambda x, p: x.reshape(1, 1, 1, 6), ValueError, "one to three sizes"),
        (lambda x, p: x**0.3, ValueError, "whole number .* got 0.3, in Broken"),
        (lambda x, p: x ** float("inf"), ValueError, "whole number"),
        (lambda x, p: x**x, ValueError, "whole number"),
        (lambda x, p: x @ x, TypeError, "expected a parameter on the right"),
        (lambda x, p: x[:, :4] @ p, ValueError, r"expected an input with 6 features for a weight of shape \(6, 4\)"),
        (lambda x, p: x * p, ValueError, r"got \(6,\) and \(6, 4\)"),
        (lambda x, p: list(x), TypeError, "no elements to go through"),
        (lambda x, p: F.exp(3.0), TypeError, "expected a traced value, got float"),
        (lambda x, p: nn.concatenate([x, x.reshape(2, 3)]), ValueError, "differ in axis"),
    ],
)
def test_errors_name_what_was_expected_and_where(forward, error, message):
    class Broken(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter((6, 4), N)

        def forward(self, x):
            return forward(x, self.weight)

    with pytest.raises(error, match=message):
        Broken().predict(np.ones((2, 6)))
