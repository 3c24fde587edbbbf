"""How long does a training step take (Adam, float32), beside PyTorch, scikit-learn and NumPy by hand?"""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
from bench.harness import Options, Peer, Record, sweep
from bench.products import NUMPY

# Widths, rows of a batch, batches of the data set, epochs of one timed call.
CASES = {
    "8-1, 32": dict(widths=[8, 1], batch=32, batches=500, epochs=8),
    "10-32-32-1, 32": dict(widths=[10, 32, 32, 1], batch=32, batches=500, epochs=4),
    "100-256-256-1, 256": dict(widths=[100, 256, 256, 1], batch=256, batches=40, epochs=4),
    "784-128-10, 128": dict(widths=[784, 128, 10], batch=128, batches=100, epochs=2),
    "784-512-512-10, 256": dict(widths=[784, 512, 512, 10], batch=256, batches=20, epochs=2),
    "1024-2048-2048-100, 1024": dict(widths=[1024, 2048, 2048, 100], batch=1024, batches=2, epochs=1),
}

PEERS = {
    "whet": Peer("whet"),
    "whet Trainer": Peer("whet"),
    "torch": Peer("torch"),
    "torch fused": Peer("torch"),
    "scikit-learn": Peer("sklearn"),
    "numpy": NUMPY["numpy"],
    "numpy avx512": NUMPY["numpy avx512"],
}


def data(case):
    """Random rows; one output means regression, several mean classes."""
    rng = np.random.default_rng(0)
    rows, outputs = case["batch"] * case["batches"], case["widths"][-1]
    x = rng.normal(size=(rows, case["widths"][0])).astype(np.float32)
    if outputs == 1:
        return x, rng.normal(size=rows).astype(np.float32), "mse"
    return x, rng.integers(0, outputs, rows), "cross_entropy"


def prepare(peer, case, threads):
    makers = {"whet": whet_fit, "whet Trainer": whet_trainer, "scikit-learn": scikit_learn}
    if peer.startswith("torch"):
        return torch_eager(case, threads, fused="fused" in peer)
    return makers.get(peer, numpy_by_hand)(case)


def whet_fit(case):
    from whet import nn, optim

    x, y, loss = data(case)
    first, *hidden, last = case["widths"]
    model = nn.MLP(first, tuple(hidden), last)
    settings = dict(loss=loss, optimizer=optim.Adam(lr=1e-3), batch_size=case["batch"], epochs=case["epochs"])
    return lambda: model.fit(x, y, **settings), case["batches"] * case["epochs"]


def whet_trainer(case):
    """Batch by batch from Python, gathered by NumPy as PyTorch's loop does."""
    import whet
    from whet import nn, optim

    x, y, loss = data(case)
    first, *hidden, last = case["widths"]
    trainer = whet.Trainer(nn.MLP(first, tuple(hidden), last), loss=loss, optimizer=optim.Adam(lr=1e-3), seed=0)
    rng, batch = np.random.default_rng(0), case["batch"]

    def epoch():
        order = rng.permutation(len(x))
        for start in range(0, len(x), batch):
            rows = order[start : start + batch]
            trainer.step(x[rows], y[rows])

    return epoch, case["batches"]


def torch_eager(case, threads, fused):
    import torch

    torch.set_num_threads(threads)
    x, y, loss = data(case)
    widths, batch = case["widths"], case["batch"]
    layers = []
    for before, after in pairwise(widths):
        layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)
    criterion = torch.nn.MSELoss() if loss == "mse" else torch.nn.CrossEntropyLoss()
    tx, ty = torch.from_numpy(x), torch.from_numpy(y)
    if loss == "mse":
        ty = ty[:, None]

    def epoch():
        order = torch.randperm(len(tx))
        for start in range(0, len(tx), batch):
            rows = order[start : start + batch]
            optimizer.zero_grad(set_to_none=True)
            criterion(model(tx[rows]), ty[rows]).backward()
            optimizer.step()

    return epoch, case["batches"]


def scikit_learn(case):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    warnings.simplefilter("ignore", ConvergenceWarning)
    x, y, loss = data(case)
    hidden = tuple(case["widths"][1:-1])
    if not hidden:
        return None
    kind = MLPRegressor if loss == "mse" else MLPClassifier
    model = kind(hidden, batch_size=case["batch"], learning_rate_init=1e-3, alpha=0.0)
    classes = {} if loss == "mse" else {"classes": np.arange(case["widths"][-1])}
    return lambda: model.partial_fit(x, y, **classes), case["batches"]


def numpy_by_hand(case):
    """What a careful user writes: in place where that is easy, float32 throughout."""
    x, y, loss = data(case)
    rng, batch = np.random.default_rng(0), case["batch"]
    weights = [
        [rng.normal(size=(a, b)).astype(np.float32) / np.float32(a**0.5), np.zeros(b, np.float32)]
        for a, b in pairwise(case["widths"])
    ]
    moments = [[[np.zeros_like(p), np.zeros_like(p)] for p in layer] for layer in weights]
    count = 0

    def step(xb, yb):
        nonlocal count
        count += 1
        values = [xb]
        for i, (w, b) in enumerate(weights):
            z = values[-1] @ w
            z += b
            values.append(np.maximum(z, 0, out=z) if i < len(weights) - 1 else z)
        d = values[-1]
        if loss == "mse":
            d = 2 * (d - yb[:, None]) / len(xb)
        else:
            d = np.exp(d - d.max(axis=1, keepdims=True))
            d /= d.sum(axis=1, keepdims=True)
            d[np.arange(len(xb)), yb] -= 1
            d /= len(xb)
        scale = 1e-3 * (1 - 0.999**count) ** 0.5 / (1 - 0.9**count)
        for i in reversed(range(len(weights))):
            gradients = [values[i].T @ d, d.sum(axis=0)]
            if i:
                d = d @ weights[i][0].T
                d *= values[i] > 0
            for p, g, (m, v) in zip(weights[i], gradients, moments[i], strict=True):
                m *= 0.9
                m += 0.1 * g
                v *= 0.999
                v += 0.001 * g * g
                p -= scale * m / (np.sqrt(v) + 1e-8)

    def epoch():
        order = rng.permutation(len(x))
        for start in range(0, len(x), batch):
            rows = order[start : start + batch]
            step(x[rows], y[rows])

    return epoch, case["batches"]


def run(options: Options) -> Record:
    return sweep(__name__, PEERS, CASES, options, unit="microseconds per step", kind="time", scale=1e6)
