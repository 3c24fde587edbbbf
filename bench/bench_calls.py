"""How long does one call on a small array take, from Python?

One thread; 32 numbers as 4 x 8 where rows matter. NumPy's and PyTorch's calls are the nearest that a user would write.
The call stands in a loop of Python code whose own time, some 10 ns, is in every figure.
"""

from __future__ import annotations

import numpy as np
from bench.harness import Options, Peer, Record, sweep
from bench.products import normal, tensors

PEERS = {"whet": Peer("whet"), "numpy": Peer("numpy"), "torch": Peer("torch")}

TIMES = 100

# Case -> peer -> what is called.
CALLS = {
    "matmul": {"whet": "ops.matmul(a, b)", "numpy": "np.matmul(a, b)", "torch": "torch.mm(a, b)"},
    "matmul out=": {
        "whet": "ops.matmul(a, b, out=out)",
        "numpy": "np.matmul(a, b, out=out)",
        "torch": "torch.mm(a, b, out=out)",
    },
    "activation relu": {
        "whet": "ops.activation('relu', x)",
        "numpy": "np.maximum(x, 0)",
        "torch": "torch.relu(x)",
    },
    "activation gelu": {"whet": "ops.activation('gelu', x)", "torch": "torch.nn.functional.gelu(x)"},
    "activation_gradient relu": {
        "whet": "ops.activation_gradient('relu', x, dy)",
        "numpy": "dy * (x > 0)",
        "torch": "torch.ops.aten.threshold_backward(dy, x, 0)",
    },
    "softmax": {"whet": "ops.softmax(x)", "numpy": "softmax(x)", "torch": "torch.softmax(x, 1)"},
    "loss cross_entropy": {
        "whet": "ops.loss('cross_entropy', x, labels)",
        "numpy": "cross_entropy(x, labels)",
        "torch": "cross_entropy(prediction, labels)",
    },
    "update adam": {"whet": "ops.update('adam', p, dy, state)", "numpy": "adam(p, dy)", "torch": "optimizer.step()"},
    "one_hot": {
        "whet": "ops.one_hot(classes, 10)",
        "numpy": "np.eye(10, dtype=np.float32)[classes]",
        "torch": "torch.nn.functional.one_hot(classes, 10)",
    },
}
SIZES = (1, 8, 32)


def prepare(peer, case, threads):
    statement = CALLS[case["call"]].get(peer)
    if statement is None:
        return None
    rng, n = np.random.default_rng(0), case["n"]
    names = {
        "a": normal(n, n),
        "b": normal(n, n),
        "out": np.empty((n, n), np.float32),
        "x": normal(4, 8),
        "dy": normal(4, 8),
        "p": normal(4, 8),
        "labels": rng.integers(0, 8, 4),
        "classes": rng.integers(0, 10, 32),
    }
    if peer == "torch":
        names = for_torch(threads, names)
    elif peer == "numpy":
        names |= by_hand()
    else:
        from whet import ops

        names |= {"ops": ops, "state": {}}
    arguments = ", ".join(f"{name}={name}" for name in names)  # locals: found at once
    exec(f"def calls({arguments}):\n    for _ in range({TIMES}):\n        {statement}", names)
    return names["calls"], TIMES


def for_torch(threads, arrays):
    import torch

    names = dict(zip(arrays, tensors(threads, *arrays.values()), strict=True))
    parameter = torch.nn.Parameter(names["p"])
    parameter.grad = names["dy"]
    prediction = torch.nn.Parameter(names["x"].clone())

    def cross_entropy(x, labels):
        x.grad = None
        torch.nn.functional.cross_entropy(x, labels).backward()

    optimizer = torch.optim.Adam([parameter], fused=True)
    return names | {
        "torch": torch,
        "optimizer": optimizer,
        "prediction": prediction,
        "cross_entropy": cross_entropy,
    }


def by_hand():
    def softmax(x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def cross_entropy(x, labels):
        d = softmax(x)
        rows = np.arange(len(x))
        loss = -np.log(d[rows, labels]).mean()
        d[rows, labels] -= 1
        return loss, d / len(x)

    moments = np.zeros((2, 4, 8), np.float32)
    count = 0

    def adam(p, g):
        nonlocal count
        count += 1
        m, v = moments
        m *= 0.9
        m += 0.1 * g
        v *= 0.999
        v += 0.001 * g * g
        p -= 1e-3 * (1 - 0.999**count) ** 0.5 / (1 - 0.9**count) * m / (np.sqrt(v) + 1e-8)

    return {"np": np, "softmax": softmax, "cross_entropy": cross_entropy, "adam": adam}


def run(options: Options) -> Record:
    cases = {}
    for call in CALLS:
        if call.startswith("matmul"):
            cases |= {f"{call} {n}x{n}x{n}": {"call": call, "n": n} for n in SIZES}
        else:
            cases[call] = {"call": call, "n": 1}
    return sweep(__name__, PEERS, cases, options, unit="ns", kind="time", scale=1e9, threads=(1,))
