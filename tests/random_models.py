"""Models drawn from a seed, of every layer of whet.nn, for what has to agree with whet on any of them."""

from __future__ import annotations

import numpy as np

from whet import nn

ROWS = 9
# Two or three numbers normalised are little more than signs, which magnify any difference in the last bit.
WIDTHS = (4, 5, 8, 13)
ACTIVATIONS = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


def pick(rng, choices):
    return choices[int(rng.integers(len(choices)))]


def activation(rng):
    name = pick(rng, ACTIVATIONS)
    options = {
        "CELU": {"alpha": 0.7},
        "ELU": {"alpha": 1.3},
        "GELU": {"approximate": pick(rng, ["none", "tanh"])},
        "Hardshrink": {"lambd": 0.3},
        "Hardtanh": {"min_val": -0.4, "max_val": 0.9},
        "LeakyReLU": {"negative_slope": 0.2},
        "Softplus": pick(rng, [{}, {"beta": 2.0, "threshold": 1.0}]),
        "Softshrink": {"lambd": 0.1},
        "Threshold": {"threshold": 0.1, "value": pick(rng, [0.0, -0.5])},
    }
    return getattr(nn, name)(**options.get(name, {}))


class Two(nn.Module):
    """Of two halves of a row."""

    def __init__(self, first, second, out, bias):
        self.layer, self.first = nn.Bilinear(first, second, out, bias), first

    def forward(self, x):
        return self.layer(x[:, : self.first], x[:, self.first :])


class Arithmetic(nn.Module):
    """Operators and functions, with parameters, numbers and values of other shapes."""

    def __init__(self, width):
        self.shift, self.table = nn.Parameter((width,), nn.init.Zeros()), nn.Parameter((3, width), nn.init.Zeros())
        self.weight = nn.Parameter((width, 3), nn.init.Zeros())

    def forward(self, x):
        F = nn.functional
        wide = (x - self.shift) * self.table  # rows (3, width)
        row = wide.sum(axis=1) / (abs(x).mean() + 2.0) - 1.0 / (F.square(x) + 1.5)
        row = F.where(row > self.shift, self.shift, F.where(x >= 0.25, 0.5, row))
        row = F.clamp(row, -1.5, 2.0) + F.sqrt(abs(x) + 0.1) * F.exp(-abs(x)) + F.log(F.square(x) + 1.0)
        small = F.softmax(row @ self.weight)
        parts = [small, F.log_softmax(x), F.logsumexp(wide).flatten(), F.maximum(x, self.shift), F.sin(x) ** 3]
        numbers = F.one_hot(F.clamp(x[:, :1], 0.0, 0.0), 3) + wide.mean(keepdims=True).flatten()
        return nn.concatenate([*parts, numbers, F.minimum(wide, x.reshape(1, -1))[:, 1:, [0, 2]].flatten()])


def of_row(rng, width):
    """(a layer for rows of that width, the shape of what it makes); the shape may be of members."""
    out, k, bias = pick(rng, WIDTHS), int(rng.integers(1, 4)), bool(rng.integers(2))
    # Narrow bins magnify what differs in the last bit.
    edges = [(np.cumsum(rng.uniform(0.3, 1.0, int(rng.integers(2, 6)))) - 1.5).tolist() for _ in range(width)]
    scaling = pick(rng, ["ones", "normal", "random-signs"])
    half = max(width // 2, 1)
    layers = [
        (nn.Linear(width, out, bias), (out,)),
        (nn.NTKLinear(width, out, bias), (out,)),
        (nn.MLP(width, (out,), 4, pick(rng, ["relu", "gelu", "tanh"]), 0.3), (4,)),
        (nn.SwiGLU(width, out, bias=bias), (width,)),
        (Two(half, width - half, out, bias), (out,)),
        (nn.Scale(width), (width,)),
        (nn.PReLU(pick(rng, [1, width])), (width,)),
        (nn.Residual(nn.Linear(width, out), nn.Tanh(), nn.Linear(out, width)), (width,)),
        (nn.Parallel(nn.Linear(width, 3), nn.Sequential(nn.Linear(width, out), nn.ReLU())), (3 + out,)),
        (nn.Dropout(0.4), (width,)),
        (nn.AlphaDropout(0.4), (width,)),
        (nn.BatchNorm1d(width, affine=bias), (width,)),
        (nn.LayerNorm(width, pick(rng, [1e-5, 0.1]), bias, bool(rng.integers(2))), (width,)),
        (nn.RMSNorm(width, pick(rng, [None, 0.1]), bias), (width,)),
        (nn.GroupNorm(pick(rng, [g for g in (1, 2) if width % g == 0]), width, 0.1, bias), (width,)),
        (nn.Softmax(), (width,)),
        (nn.LogSoftmax(), (width,)),
        (Arithmetic(width), (3 + 3 * width + 3 + 3 + 4,)),
        (nn.Unflatten(1, (width, 1)), (width, 1)),
        (nn.Reshape((1, -1)), (1, width)),
        (nn.LinearEmbeddings(width, out), (width, out)),
        (nn.LinearReLUEmbeddings(width, out), (width, out)),
        (nn.PeriodicEmbeddings(width, out, n_frequencies=3, frequency_init_scale=0.3, lite=bias), (width, out)),
        (nn.PBLDEmbeddings(width, out, n_frequencies=3), (width, out)),
        (nn.PiecewiseLinearEmbeddings(edges, out, activation=bias, version=pick(rng, "AB")), (width, out)),
        (nn.PiecewiseLinearEncoding(edges), (sum(len(each) - 1 for each in edges),)),
        (nn.EnsembleView(k=k), (k, width)),
        (nn.LinearBatchEnsemble(width, out, bias, k=k, scaling_init=scaling), (k, out)),
        (nn.LinearEnsemble(width, out, bias, k=k), (k, out)),
        (nn.ScaleEnsemble(k, width, init=scaling), (k, width)),
    ]
    if width % 2 == 0:
        layers.append((nn.GLU(), (width // 2,)))
    return pick(rng, layers)


def of_members(rng, k, width):
    """The same for rows of shape (k, width)."""
    out, bias = pick(rng, WIDTHS), bool(rng.integers(2))
    layers = [
        (nn.Flatten(), (k * width,)),
        (nn.MeanEnsemble(), (width,)),
        (nn.Linear(width, out, bias), (k, out)),
        (nn.NLinear(k, width, out, bias), (k, out)),
        (nn.LinearEnsemble(width, out, bias, k=k), (k, out)),
        (nn.LinearBatchEnsemble(width, out, bias, k=k), (k, out)),
        (nn.ScaleEnsemble(k, width), (k, width)),
        (nn.Softmax(), (k, width)),
    ]
    if width >= 4:
        layers += [(nn.LayerNorm(width), (k, width)), (nn.RMSNorm(width), (k, width))]
    return pick(rng, layers)


def of_indices(rng, width):
    """The same for whole numbers from 0 to 6."""
    bags = [nn.EmbeddingBag(7, 5, mode) for mode in ("mean", "sum")]
    return pick(rng, [(nn.Embedding(7, 5, pick(rng, [None, 2])), (width, 5)), *((bag, (5,)) for bag in bags)])


class Several(nn.Module):
    """Two inputs, two outputs."""

    def __init__(self, rng):
        self.table, self.body, self.act = nn.Embedding(7, 3), nn.Linear(9, 5), activation(rng)

    def forward(self, kind, numbers):
        h = self.act(self.body(nn.concatenate([self.table(kind).flatten(), numbers])))
        return h[:, :2], h.reshape(1, 5)


def randomize(model, rng):
    """Every parameter drawn, so that no scale is one and no shift is zero."""
    state = {}
    for name, array in model.state_dict().items():
        if name.endswith("num_batches_tracked") or "single_bin_mask" in name:
            state[name] = array
        elif name.endswith("running_var"):
            state[name] = rng.uniform(0.5, 2.0, array.shape)
        elif name.endswith(("impl.weight", "impl.bias")):
            state[name] = array  # the edges of bins
        else:
            state[name] = rng.normal(0.0, 1 / np.sqrt(array.shape[-1] if array.ndim > 1 else 4), array.shape)
    model.load_state_dict(state)


def random_model(seed):
    """(a model, rows for it as `predict` takes them)"""
    rng = np.random.default_rng(seed)
    dtype = "float64" if seed % 4 == 3 else "float32"
    if seed % 25 == 24:
        model = Several(rng).to(dtype)
        X = {"kind": rng.integers(0, 7, (ROWS, 2)).astype(dtype), "numbers": rng.normal(size=(ROWS, 3)).astype(dtype)}
    else:
        model, X = _chain(rng)
        model, X = model.to(dtype), X.astype(dtype)
    model.predict(X)
    randomize(model, rng)
    return model, X


def _chain(rng):
    width = pick(rng, WIDTHS)
    X, shape, layers = rng.normal(size=(ROWS, width)), (width,), []
    if rng.integers(6) == 0:
        X = rng.integers(0, 7, (ROWS, width)).astype(float)
        layer, shape = of_indices(rng, width)
        layers.append(layer)
    for _ in range(int(rng.integers(2, 7))):
        if np.prod(shape) > 200:
            layer, shape = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 8)), (8,)
        else:
            layer, shape = of_row(rng, *shape) if len(shape) == 1 else of_members(rng, *shape)
        layers += [layer, activation(rng)]
        if len(shape) == 1 and shape[0] < 4:
            layers.append(nn.Linear(shape[0], 4))
            shape = (4,)
    return nn.Sequential(*layers), X
