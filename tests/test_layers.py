"""Every layer against PyTorch: a hundred training steps from the same weights, with settings drawn by hypothesis."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import whet
from tests.helpers import same_bits
from whet import nn, optim

FEATURES = 6
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
# Two or three numbers normalised are little more than signs, whose jumps magnify any difference in the last bit.
NORMALIZED = st.integers(4, 40)


class Case:
    """A layer between two linear ones: ours, and how PyTorch says the same."""

    def __init__(self, ours, theirs, width, out):
        self.ours, self.theirs, self.width, self.out = ours, theirs, width, out


def counterpart(torch, forward, **parameters):
    """A module of PyTorch from a function, with parameters and buffers of the given names."""

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            for name, value in parameters.items():
                if isinstance(value, torch.nn.Module):
                    setattr(self, name, value)
                elif value is not None:
                    setattr(self, name, torch.nn.Parameter(torch.zeros(*value)))

        def forward(self, x):
            return forward(self, x)

    return Module()


def lines(layer, count, width):
    """Our layer on rows of shape (count, width)."""
    return nn.Sequential(nn.Unflatten(1, (count, width)), layer, nn.Flatten())


def their_lines(torch, layer, count, width):
    return torch.nn.Sequential(torch.nn.Unflatten(1, (count, width)), layer, torch.nn.Flatten())


def layer_norm(torch, draw):
    width = draw(NORMALIZED)
    arguments = dict(
        eps=draw(st.sampled_from([1e-5, 0.1])), elementwise_affine=draw(st.booleans()), bias=draw(st.booleans())
    )
    return Case(nn.LayerNorm(width, **arguments), torch.nn.LayerNorm(width, **arguments), width, width)


def layer_norm_of_lines(torch, draw):
    count, width = draw(st.integers(1, 4)), draw(NORMALIZED)
    ours = lines(nn.LayerNorm(width), count, width)
    return Case(ours, their_lines(torch, torch.nn.LayerNorm(width), count, width), count * width, count * width)


def rms_norm(torch, draw):
    width, eps = draw(NORMALIZED), draw(st.sampled_from([None, 1e-5, 0.1]))
    arguments = dict(eps=eps, elementwise_affine=draw(st.booleans()))
    return Case(nn.RMSNorm(width, **arguments), torch.nn.RMSNorm(width, **arguments), width, width)


def group_norm(torch, draw):
    groups = draw(st.integers(1, 4))
    width = groups * draw(NORMALIZED)
    affine = draw(st.booleans())
    return Case(
        nn.GroupNorm(groups, width, affine=affine), torch.nn.GroupNorm(groups, width, affine=affine), width, width
    )


def batch_norm(torch, draw):
    width = draw(st.integers(1, 40))
    arguments = dict(eps=draw(st.sampled_from([1e-5, 0.1])), momentum=draw(st.sampled_from([0.1, 0.7, None])))
    arguments["affine"] = draw(st.booleans())
    return Case(nn.BatchNorm1d(width, **arguments), torch.nn.BatchNorm1d(width, **arguments), width, width)


def glu(torch, draw):
    half = draw(st.integers(1, 20))
    return Case(nn.GLU(), torch.nn.GLU(), 2 * half, half)


def swiglu(torch, draw):
    width, hidden, out = (draw(st.integers(1, 20)) for _ in range(3))
    silu = torch.nn.functional.silu
    theirs = counterpart(
        torch,
        lambda self, x: self.w3(silu(self.w1(x)) * self.w2(x)),
        w1=torch.nn.Linear(width, hidden),
        w2=torch.nn.Linear(width, hidden),
        w3=torch.nn.Linear(hidden, out),
    )
    return Case(nn.SwiGLU(width, hidden, out), theirs, width, out)


def prelu(torch, draw):
    width = draw(st.integers(1, 20))
    count = draw(st.sampled_from([1, width]))
    return Case(nn.PReLU(count, init=0.1), torch.nn.PReLU(count, init=0.1), width, width)


def softmax(torch, draw):
    width = draw(st.integers(1, 20))
    return Case(nn.Softmax(), torch.nn.Softmax(dim=-1), width, width)


def log_softmax(torch, draw):
    width = draw(st.integers(1, 20))
    return Case(nn.LogSoftmax(), torch.nn.LogSoftmax(dim=-1), width, width)


def scale(torch, draw):
    width = draw(st.integers(1, 20))
    theirs = counterpart(torch, lambda self, x: x * self.weight, weight=(width,))
    return Case(nn.Scale(width, init=0.5), theirs, width, width)


def ntk_linear(torch, draw):
    width, out = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    bias = draw(st.booleans())
    theirs = counterpart(
        torch,
        lambda self, x: x @ self.weight.T / math.sqrt(width) + (self.bias if bias else 0),
        weight=(out, width),
        bias=(out,) if bias else None,
    )
    return Case(nn.NTKLinear(width, out, bias), theirs, width, out)


class OurBilinear(nn.Module):
    def __init__(self, *sizes, bias):
        self.layer, self.first = nn.Bilinear(*sizes, bias=bias), sizes[0]

    def forward(self, x):
        return self.layer(x[:, : self.first], x[:, self.first :])


def bilinear(torch, draw):
    first, second, out = (draw(st.integers(1, 6)) for _ in range(3))
    bias = draw(st.booleans())
    layer = torch.nn.Bilinear(first, second, out, bias=bias)
    theirs = counterpart(
        torch, lambda self, x: self.layer(x[:, :first].contiguous(), x[:, first:].contiguous()), layer=layer
    )
    return Case(OurBilinear(first, second, out, bias=bias), theirs, first + second, out)


def residual(torch, draw):
    width = draw(st.integers(1, 20))
    inner = torch.nn.Linear(width, width)

    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module("0", inner)

        def forward(self, x):
            return x + torch.tanh(inner(x))

    return Case(nn.Residual(nn.Linear(width, width), nn.Tanh()), Theirs(), width, width)


def parallel(torch, draw):
    width, first, second = (draw(st.integers(1, 9)) for _ in range(3))

    class Theirs(torch.nn.Sequential):
        def forward(self, x):
            return torch.cat([layer(x) for layer in self], dim=-1)

    theirs = Theirs(torch.nn.Linear(width, first), torch.nn.Linear(width, second))
    return Case(nn.Parallel(nn.Linear(width, first), nn.Linear(width, second)), theirs, width, first + second)


def n_linear(torch, draw):
    n, width, out = (draw(st.integers(1, 7)) for _ in range(3))
    bias = draw(st.booleans())
    theirs = counterpart(
        torch,
        lambda self, x: torch.einsum("rni,nio->rno", x, self.weight) + (self.bias if bias else 0),
        weight=(n, width, out),
        bias=(n, out) if bias else None,
    )
    ours = lines(nn.NLinear(n, width, out, bias), n, width)
    return Case(ours, their_lines(torch, theirs, n, width), n * width, n * out)


def linear_ensemble(torch, draw):
    """The same rows for all members."""
    k, width, out = (draw(st.integers(1, 7)) for _ in range(3))
    theirs = counterpart(
        torch,
        lambda self, x: torch.einsum("ri,kio->rko", x, self.weight) + self.bias,
        weight=(k, width, out),
        bias=(k, out),
    )
    ours = nn.Sequential(nn.LinearEnsemble(width, out, k=k), nn.Tanh(), nn.MeanEnsemble())
    return Case(
        ours, torch.nn.Sequential(theirs, torch.nn.Tanh(), counterpart(torch, lambda _, x: x.mean(1))), width, out
    )


def batch_ensemble(torch, draw):
    k, width, out = (draw(st.integers(1, 7)) for _ in range(3))
    scaling = draw(st.sampled_from(["ones", "normal", "random-signs"]))
    theirs = counterpart(
        torch,
        lambda self, x: ((x[:, None] * self.r) @ self.weight.T) * self.s + self.bias,
        weight=(out, width),
        r=(k, width),
        s=(k, out),
        bias=(k, out),
    )
    ours = nn.Sequential(nn.LinearBatchEnsemble(width, out, k=k, scaling_init=scaling), nn.Flatten())
    return Case(ours, torch.nn.Sequential(theirs, torch.nn.Flatten()), width, k * out)


def scaled_view(torch, draw):
    k, width = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    theirs = counterpart(torch, lambda self, x: x[:, None].expand(-1, k, -1) * self.weight, weight=(k, width))
    ours = nn.Sequential(nn.EnsembleView(k=k), nn.ScaleEnsemble(k, width), nn.Flatten())
    return Case(ours, torch.nn.Sequential(torch.nn.Identity(), theirs, torch.nn.Flatten()), width, k * width)


def linear_embeddings(torch, draw):
    n, d = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    inner = counterpart(torch, lambda self, x: x[..., None] * self.weight + self.bias, weight=(n, d), bias=(n, d))
    theirs = counterpart(torch, lambda self, x: torch.relu(self.linear(x)), linear=inner)
    return Case(
        nn.Sequential(nn.LinearReLUEmbeddings(n, d), nn.Flatten()),
        torch.nn.Sequential(theirs, torch.nn.Flatten()),
        n,
        n * d,
    )


def periodic(torch, draw):
    n, d, k, lite = draw(st.integers(1, 5)), draw(st.integers(1, 7)), draw(st.integers(1, 7)), draw(st.booleans())

    def waves(self, x):
        angle = 2 * math.pi * self.weight * x[..., None]
        return torch.cat([torch.cos(angle), torch.sin(angle)], dim=-1)

    own = counterpart(
        torch,
        lambda self, x: torch.einsum("rni,nio->rno", x, self.weight) + self.bias,
        weight=(n, 2 * k, d),
        bias=(n, d),
    )
    theirs = counterpart(
        torch,
        lambda self, x: torch.relu(self.linear(self.periodic(x))),
        periodic=counterpart(torch, waves, weight=(n, k)),
        linear=torch.nn.Linear(2 * k, d) if lite else own,
    )
    ours = nn.PeriodicEmbeddings(n, d, n_frequencies=k, frequency_init_scale=0.3, lite=lite)
    return Case(nn.Sequential(ours, nn.Flatten()), torch.nn.Sequential(theirs, torch.nn.Flatten()), n, n * d)


def pbld(torch, draw):
    n, d, k = draw(st.integers(1, 5)), draw(st.integers(2, 7)), draw(st.integers(1, 7))

    def forward(self, x):
        waves = torch.cos(2 * math.pi * self.weight_1 * x[..., None] + self.bias_1)
        learnt = torch.einsum("rni,nio->rno", waves, self.weight_2) + self.bias_2
        return torch.cat([x[..., None], learnt], dim=-1)

    shapes = dict(weight_1=(n, k), bias_1=(n, k), weight_2=(n, k, d - 1), bias_2=(n, d - 1))
    ours = nn.Sequential(nn.PBLDEmbeddings(n, d, k), nn.Flatten())
    return Case(ours, torch.nn.Sequential(counterpart(torch, forward, **shapes), torch.nn.Flatten()), n, n * d)


def drawn_bins(draw, n):
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    return [np.sort(rng.normal(size=draw(st.integers(2, 6)))).tolist() for _ in range(n)]


def encoding(torch, bins):
    """Gorishniy et al., 2022, section 3.1: feature by feature."""

    def forward(self, x):
        parts = []
        for i, edges in enumerate(bins):
            count = len(edges) - 1
            row = []
            for t in range(count):
                share = (x[:, i] - edges[t]) / (edges[t + 1] - edges[t])
                if t > 0:
                    share = share.clamp(min=0)
                if t < count - 1:
                    share = share.clamp(max=1)
                row.append(share)
            parts.append(row)
        return parts

    return counterpart(torch, forward)


def piecewise_encoding(torch, draw):
    n = draw(st.integers(1, 5))
    bins = drawn_bins(draw, n)
    parts = encoding(torch, bins)
    theirs = counterpart(torch, lambda self, x: torch.stack([s for row in parts(x) for s in row], dim=1))
    return Case(nn.PiecewiseLinearEncoding(bins), theirs, n, sum(len(edges) - 1 for edges in bins))


def piecewise_embeddings(torch, draw):
    n, d, version = draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.sampled_from(["A", "B"]))
    bins = drawn_bins(draw, n)
    most = max(len(edges) - 1 for edges in bins)
    parts = encoding(torch, bins)

    def forward(self, x):
        rows = [row[:-1] + [torch.zeros_like(x[:, 0])] * (most - len(row)) + row[-1:] for row in parts(x)]
        shares = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
        y = torch.einsum("rni,nio->rno", shares, self.linear.weight)
        if version == "A":
            return torch.relu(y + self.linear.bias)
        return torch.relu(self.linear0.bias + self.linear0.weight * x[..., None] + y)

    inner = counterpart(torch, None, weight=(n, most, d), bias=(n, d) if version == "A" else None)
    first = {"linear0": counterpart(torch, None, weight=(n, d), bias=(n, d))} if version == "B" else {}
    theirs = counterpart(torch, forward, **first, linear=inner)
    ours = nn.PiecewiseLinearEmbeddings(bins, d, activation=True, version=version)
    return Case(nn.Sequential(ours, nn.Flatten()), torch.nn.Sequential(theirs, torch.nn.Flatten()), n, n * d)


CASES = [
    layer_norm,
    layer_norm_of_lines,
    rms_norm,
    group_norm,
    batch_norm,
    glu,
    swiglu,
    prelu,
    softmax,
    log_softmax,
    scale,
    ntk_linear,
    bilinear,
    residual,
    parallel,
    n_linear,
    linear_ensemble,
    batch_ensemble,
    scaled_view,
    linear_embeddings,
    periodic,
    pbld,
    piecewise_encoding,
    piecewise_embeddings,
]
_configure = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def trained_side_by_side(torch, case, dtype, steps=100):
    """Trains ours and theirs from the same weights, and returns both."""
    rng = np.random.default_rng(0)
    ours = nn.Sequential(nn.Linear(FEATURES, case.width), case.ours, nn.Linear(case.out, 2)).to(dtype).initialize(3)
    theirs = torch.nn.Sequential(torch.nn.Linear(FEATURES, case.width), case.theirs, torch.nn.Linear(case.out, 2))
    theirs = theirs.to(getattr(torch, dtype))
    # Constants that follow from the bins are no parameters of the formula.
    state = {name: torch.tensor(value.copy()) for name, value in ours.state_dict().items() if ".impl." not in name}
    theirs.load_state_dict(state)
    trainer = whet.Trainer(ours, "mse", optim.SGD(lr=0.01))
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.01)
    for _ in range(steps):
        x = rng.normal(size=(33, FEATURES)).astype(dtype)
        y = np.sin(x[:, :2]).astype(dtype)
        loss = trainer.step(x, y)
        optimizer.zero_grad()
        their_loss = ((theirs(torch.tensor(x)) - torch.tensor(y)) ** 2).mean()
        their_loss.backward()
        optimizer.step()
        assert loss == pytest.approx(their_loss.item(), rel=TOLERANCE[dtype])
    return ours, theirs.eval()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@_configure
@given(data=st.data(), dtype=st.sampled_from(["float64", "float32"]))
def test_a_hundred_steps_agree_with_torch(torch, case, data, dtype):
    drawn = case(torch, data.draw)
    ours, theirs = trained_side_by_side(torch, drawn, dtype)
    weights = ours.state_dict()
    for name, value in theirs.state_dict().items():
        want = value.numpy()
        assert weights[name].shape == want.shape
        assert np.linalg.norm(weights[name] - want) <= TOLERANCE[dtype] * (np.linalg.norm(want) + 1e-3), name
    x = np.random.default_rng(1).normal(size=(17, FEATURES)).astype(dtype)
    with torch.no_grad():
        wanted = theirs(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ours.predict(x), wanted, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    # And back: their weights are loaded as they are.
    ours.load_state_dict({**weights, **{name: value.numpy() for name, value in theirs.state_dict().items()}})
    np.testing.assert_allclose(ours.predict(x), wanted, rtol=TOLERANCE[dtype] / 10, atol=TOLERANCE[dtype] / 10)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@settings(max_examples=2, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_saved_model_predicts_the_same_and_trains_on(torch, tmp_path_factory, case, data):
    drawn = case(torch, data.draw)
    model = nn.Sequential(nn.Linear(FEATURES, drawn.width), drawn.ours, nn.Linear(drawn.out, 2)).initialize(0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, FEATURES)), rng.normal(size=(40, 2))
    model.fit(x, y, loss="mse", epochs=2)
    path = tmp_path_factory.mktemp("files") / "model.whet"
    model.save(path)
    loaded = whet.load(path)
    assert same_bits(loaded.predict(x), model.predict(x))
    loaded.fit(x, y, loss="mse", epochs=1, seed=3)
    model.fit(x, y, loss="mse", epochs=1, seed=3)
    assert loaded.fingerprint() == model.fingerprint()


def test_members_begin_as_those_of_tabm(tmp_path):
    """One sign for each feature's inputs, and the same bias for all, from where they part."""
    layer = nn.LinearBatchEnsemble(
        6, 50, k=40, scaling_init=("random-signs", "ones"), first_scaling_init_chunks=[1, 3, 2]
    )
    start = nn.Sequential(layer, nn.MeanEnsemble()).initialize(0)
    state = start.state_dict()
    r = state["0.r"]
    assert set(np.unique(r)) == {-1, 1}
    assert (r[:, 1:4] == r[:, 1:2]).all()
    assert (r[:, 4] == r[:, 5]).all()
    assert not (r[:, 0] == r[:, 1]).all()
    assert (state["0.s"] == 1).all()
    assert (state["0.bias"] == state["0.bias"][:1]).all()
    assert 0.15 < state["0.bias"][0].std() * 6**0.5 / 2 < 0.4  # uniform within 1 / sqrt(6)
    start.save(tmp_path / "model.whet")
    again = whet.load(tmp_path / "model.whet")
    assert again[0].first_scaling_init_chunks == [1, 3, 2]
    assert again.fingerprint() == start.fingerprint()
    for wrong in ({"scaling_init": ("ones",)}, {"scaling_init": "twos"}, {"first_scaling_init_chunks": [1, 2]}):
        with pytest.raises(ValueError, match="scaling_init"):
            nn.LinearBatchEnsemble(6, 5, k=4, **wrong)
