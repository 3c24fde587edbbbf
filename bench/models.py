"""How whet and its peers train one chain of layers beyond the multi-layer perceptron, on the ways of peers.py.

A layer is a list: a kind and its sizes. Kinds that whet.nn and torch.nn both have go by their common name; the others
are made here, in PyTorch as its own packages for tables do, with fewer calls where it has them, and in plain JAX.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from bench import peers

Layer = list[Any]
TURN = 2 * np.pi


@dataclass(frozen=True)
class Task(peers.Task):
    layers: list[Layer] = field(default_factory=list)


def edges(count: int) -> np.ndarray:
    """Those of bins for numbers of a standard normal distribution."""
    return np.linspace(-2, 2, count + 1)


def bounds(features: int, count: int) -> list[np.ndarray]:
    """Factor, shift, least and largest value of each bin's share; the outer bins are open at their ends."""
    factor = np.broadcast_to(1 / np.diff(edges(count)), (features, count))
    low, high = np.zeros((features, count)), np.ones((features, count))
    low[:, 0], high[:, -1] = -np.inf, np.inf
    return [each.astype(np.float32) for each in (factor, -edges(count)[:-1] * factor, low, high)]


def whet_layer(kind: str, *sizes: Any):
    from whet import nn

    class Tables(nn.Module):
        """A table for each category, or one for all; the numbers of a row stand behind its categories."""

        def __init__(self, counts: list[int], width: int, columns: int) -> None:
            self.tables, self.columns = [nn.Embedding(count, width) for count in counts], columns

        def forward(self, x):
            each = self.columns // len(self.tables)
            parts = [x[:, i * each : (i + 1) * each] for i in range(len(self.tables))]
            vectors = [table(part).flatten() for table, part in zip(self.tables, parts, strict=True)]
            return nn.concatenate([*vectors, x[:, self.columns :]])

    if kind == "Tables":
        return Tables(*sizes)
    if kind == "Periodic":
        features, frequencies, width = sizes
        embeddings = nn.PeriodicEmbeddings(features, width, n_frequencies=frequencies, lite=False)
        return nn.Sequential(embeddings, nn.Flatten())
    if kind == "Piecewise":
        features, count, width = sizes
        bins = [edges(count).tolist()] * features
        return nn.Sequential(nn.PiecewiseLinearEmbeddings(bins, width, activation=True), nn.Flatten())
    if kind in ("LinearBatchEnsemble", "LinearEnsemble"):
        return getattr(nn, kind)(*sizes[:2], k=sizes[2])
    return getattr(nn, kind)(*sizes)


def torch_layers(torch):
    """The kinds that torch.nn lacks."""
    nn = torch.nn

    def drawn(*shape: int, fan: int = 0):
        return nn.Parameter(torch.empty(shape).uniform_(-1, 1) * max(fan, 1) ** -0.5)

    class Tables(nn.Module):
        def __init__(self, counts, width, columns):
            super().__init__()
            self.tables, self.columns = nn.ModuleList(nn.Embedding(count, width) for count in counts), columns

        def forward(self, x):
            categories, numbers = x[:, : self.columns].long(), x[:, self.columns :]
            if len(self.tables) == 1:
                return torch.cat([self.tables[0](categories).flatten(1), numbers], 1)
            vectors = [table(column) for table, column in zip(self.tables, categories.unbind(1), strict=True)]
            return torch.cat([*vectors, numbers], 1)

    class Grouped(nn.Module):
        """A linear layer of its own for each of n inputs."""

        def __init__(self, n, before, after):
            super().__init__()
            self.weight, self.bias = drawn(n, before, after, fan=before), drawn(n, 1, after, fan=before)

        def forward(self, x):
            return torch.baddbmm(self.bias, x.transpose(0, 1), self.weight).transpose(0, 1)

    class Periodic(nn.Module):
        def __init__(self, features, frequencies, width):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(features, frequencies) * 0.01)
            self.linear = Grouped(features, 2 * frequencies, width)

        def forward(self, x):
            angle = TURN * self.weight * x[..., None]
            return torch.relu(self.linear(torch.cat([angle.cos(), angle.sin()], -1))).flatten(1)

    class Piecewise(nn.Module):
        def __init__(self, features, count, width):
            super().__init__()
            for name, value in zip(("factor", "shift", "low", "high"), bounds(features, count), strict=True):
                self.register_buffer(name, torch.from_numpy(value), persistent=name in ("factor", "shift"))
            self.linear = Grouped(features, count, width)

        def forward(self, x):
            shares = torch.addcmul(self.shift, self.factor, x[..., None]).clamp(self.low, self.high)
            return torch.relu(self.linear(shares)).flatten(1)

    class LinearBatchEnsemble(nn.Module):
        def __init__(self, before, after, k):
            super().__init__()
            self.weight, self.bias = drawn(after, before, fan=before), drawn(k, after, fan=before)
            self.r, self.s = nn.Parameter(torch.ones(k, before)), nn.Parameter(torch.ones(k, after))

        def forward(self, x):
            x = x[:, None] if x.dim() == 2 else x
            return torch.addcmul(self.bias, nn.functional.linear(x * self.r, self.weight), self.s)

    class LinearEnsemble(Grouped):
        def __init__(self, before, after, k):
            super().__init__(k, before, after)

    made = (Tables, Periodic, Piecewise, LinearBatchEnsemble, LinearEnsemble)
    return {kind.__name__: kind for kind in made}


class Whet(peers.Whet):
    def __init__(self, task: Task) -> None:
        from whet import losses

        super().__init__(task)
        if any(kind == "LinearEnsemble" for kind, *_ in task.layers):
            self.settings["loss"] = losses.MemberLoss()

    def network(self):
        from whet import nn

        return nn.Sequential(*(whet_layer(*layer) for layer in self.task.layers))


def product_flops(task: Task) -> int:
    """Of the matrix products of a row in a training step: forward, of the weights' gradients, and of those of inputs
    that anything before needs.
    """
    graph = Whet(task).model._graph(task.x.shape[1])
    sizes, flops = [int(np.prod(shape)) for shape in graph.parameter_shapes], 0
    for step in graph.plan("float32"):
        if step["op"] in ("linear", "grouped_linear"):
            shape = graph.shape(step["output"])
            lines = int(np.prod(shape[:-1])) if step["op"] == "linear" else 1
            flops += 2 * sizes[step["parameters"][0]] * lines * (2 + step["input_gradient"])
    return flops


class Torch(peers.Torch):
    def network(self):
        own = torch_layers(self.torch)
        find = lambda kind: own.get(kind) or getattr(self.torch.nn, kind)  # noqa: E731
        return self.torch.nn.Sequential(*(find(kind)(*sizes) for kind, *sizes in self.task.layers))

    def loss(self, x, y):
        prediction = self.model(x)
        if prediction.dim() == 3:  # members, all with the same target
            y = y[:, None].expand_as(prediction)
        return self.criterion(prediction, y)

    def outputs(self, x):
        self.model.eval()
        try:
            return super().outputs(x)
        finally:
            self.model.train()


class TorchCompile(Torch, peers.TorchCompile):
    pass


class Jax(peers.Jax):
    """Parameters are a dictionary for each layer; running statistics stand among them and get no gradient."""

    def first(self):
        return [jax_parameters(self.rng, *layer) for layer in self.task.layers]

    def through(self, parameters, x, key):
        """Outputs, and the running statistics of this batch; without a key, as a prediction."""
        kept = {}
        for i, ((kind, *sizes), p) in enumerate(zip(self.task.layers, parameters, strict=True)):
            if kind == "Dropout" and key is not None:
                mask = self.jax.random.bernoulli(self.jax.random.fold_in(key, i), 1 - sizes[0], x.shape)
                x = self.jax.numpy.where(mask, x / (1 - sizes[0]), 0.0)
            elif kind == "BatchNorm1d":
                x, kept[i] = jax_batch_norm(self.jax.numpy, p, x, key is not None)
            elif kind != "Dropout":
                x = jax_layer(self.jax, kind, sizes, p, x)
        return x, kept

    def forward(self, parameters, x):
        return self.through(parameters, x, None)[0]

    def loss(self, parameters, x, y, count):
        # JAX's own generator: XLA's, "rbg", takes several times as long on a processor.
        key = self.jax.random.fold_in(self.jax.random.key(self.task.seed), count.astype("int32"))
        z, kept = self.through(parameters, x, key)
        return self.jax.numpy.mean((z - (y[:, None] if z.ndim == 3 else y)) ** 2), kept

    def keep(self, parameters, kept):
        return [{**p, **kept.get(i, {})} for i, p in enumerate(parameters)]


class JaxScan(Jax, peers.JaxScan):
    pass


def jax_parameters(rng: np.random.Generator, kind: str, *sizes: Any) -> dict[str, Any]:
    def drawn(*shape: int, fan: int = 1) -> np.ndarray:
        return rng.uniform(-(fan**-0.5), fan**-0.5, shape).astype(np.float32)

    def grouped(n: int, before: int, after: int) -> dict[str, np.ndarray]:
        return {"weight": drawn(n, before, after, fan=before), "bias": drawn(n, after, fan=before)}

    def constant(value: float, *shape: int) -> np.ndarray:
        return np.full(shape, value, np.float32)

    if kind == "Linear":
        return {"weight": drawn(sizes[0], sizes[1], fan=sizes[0]), "bias": drawn(sizes[1], fan=sizes[0])}
    if kind in ("LayerNorm", "BatchNorm1d"):
        affine = {"weight": constant(1, sizes[0]), "bias": constant(0, sizes[0])}
        running = {"mean": constant(0, sizes[0]), "variance": constant(1, sizes[0])}
        return affine if kind == "LayerNorm" else {**affine, **running}
    if kind == "Tables":
        counts, width, _ = sizes
        return {"tables": [rng.standard_normal((count, width), np.float32) for count in counts]}
    if kind == "Periodic":
        features, frequencies, width = sizes
        frequency = 0.01 * rng.standard_normal((features, frequencies), np.float32)
        return {"frequency": frequency, **grouped(features, 2 * frequencies, width)}
    if kind == "Piecewise":
        return grouped(*sizes)
    if kind == "LinearBatchEnsemble":
        before, after, k = sizes
        scales = {"r": constant(1, k, before), "s": constant(1, k, after)}
        return {**scales, "weight": drawn(before, after, fan=before), "bias": drawn(k, after, fan=before)}
    return grouped(sizes[2], *sizes[:2]) if kind == "LinearEnsemble" else {}


def jax_batch_norm(np, p, x, training: bool):
    if not training:
        return (x - p["mean"]) * (p["variance"] + 1e-5) ** -0.5 * p["weight"] + p["bias"], {}
    mean, variance = x.mean(axis=0), x.var(axis=0)
    found = {"mean": mean, "variance": variance * len(x) / (len(x) - 1)}
    kept = {name: 0.9 * p[name] + 0.1 * value for name, value in found.items()}
    return (x - mean) * (variance + 1e-5) ** -0.5 * p["weight"] + p["bias"], kept


def jax_layer(jax, kind: str, sizes: list[Any], p, x):
    np = jax.numpy
    grouped = lambda x: np.einsum("rni,nio->rno", x, p["weight"]) + p["bias"]  # noqa: E731
    if kind == "Linear":
        return x @ p["weight"] + p["bias"]
    if kind == "LayerNorm":
        mean, variance = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
        return (x - mean) * (variance + 1e-5) ** -0.5 * p["weight"] + p["bias"]
    if kind == "Tables":
        columns = sizes[2]
        each = columns // len(p["tables"])
        codes = x[:, :columns].astype("int32").reshape(len(x), -1, each)
        vectors = [table[codes[:, i]].reshape(len(x), -1) for i, table in enumerate(p["tables"])]
        return np.concatenate([*vectors, x[:, columns:]], axis=1)
    if kind == "Periodic":
        angle = TURN * p["frequency"] * x[..., None]
        return jax.nn.relu(grouped(np.concatenate([np.cos(angle), np.sin(angle)], axis=2))).reshape(len(x), -1)
    if kind == "Piecewise":
        factor, shift, low, high = bounds(*sizes[:2])
        return jax.nn.relu(grouped(np.clip(x[..., None] * factor + shift, low, high))).reshape(len(x), -1)
    if kind == "LinearBatchEnsemble":
        x = x[:, None] if x.ndim == 2 else x
        return ((x * p["r"]) @ p["weight"]) * p["s"] + p["bias"]
    if kind == "LinearEnsemble":
        return grouped(x)
    return jax.nn.gelu(x, approximate=False) if kind == "GELU" else x * (x > 0)


def make(peer: str, task: Task, threads: int) -> peers.Training:
    """The training of a peer."""
    makers: dict[str, Callable[[], peers.Training]] = {
        "whet": lambda: Whet(task),
        "torch fused": lambda: Torch(task, threads, fused=True),
        "torch compile": lambda: TorchCompile(task, threads),
        "jax jit": lambda: Jax(task),
        "jax scan": lambda: JaxScan(task),
    }
    return makers[peer]()
