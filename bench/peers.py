"""How whet and its peers train one multi-layer perceptron: shared by all benchmarks of whole training.

All do the same work: linear layers with ReLU between them, Adam at 1e-3, the mean squared error or the cross-entropy,
batches of rows in a new order each epoch, from arrays in memory. Each does it as a careful user of it would.
"""

from __future__ import annotations

import abc
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from bench.harness import LeftOutError, Peer
from bench.products import NUMPY

TORCH = Peer("torch")
JAX = Peer("jax", {"JAX_PLATFORMS": "cpu"}, pinned=True)

PEERS = {
    "whet": Peer("whet"),
    "whet bfloat16": Peer("whet"),
    "whet Trainer": Peer("whet"),
    "torch": TORCH,
    "torch fused": TORCH,
    "torch compile": Peer("torch", {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}),  # its first call is a user's first
    "torch bfloat16": TORCH,
    "jax jit": JAX,
    "jax scan": JAX,
    "scikit-learn": Peer("sklearn"),
    **NUMPY,
}


@dataclass(frozen=True)
class Task:
    """Integer targets of shape (rows,) mean classes, float32 ones of shape (rows, outputs) a regression."""

    widths: list[int]
    batch: int
    x: np.ndarray
    y: np.ndarray
    seed: int = 0

    @property
    def loss(self) -> str:
        return "mse" if self.y.dtype == np.float32 else "cross_entropy"


def random_task(widths: list[int], batch: int, rows: int, regression: bool | None = None) -> Task:
    """Random rows; without a word on it, one output means regression and several mean classes."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, widths[0]), np.float32)
    if widths[-1] == 1 if regression is None else regression:
        return Task(widths, batch, x, rng.standard_normal((rows, widths[-1]), np.float32))
    return Task(widths, batch, x, rng.integers(0, widths[-1], rows))


class Training(abc.ABC):
    """One model on its way. Subclasses say what a batch, or an epoch, or a whole training is."""

    whole = False  # whether `train` is one call whose own cost many epochs share

    def __init__(self, task: Task) -> None:
        self.task = task
        self.rng = np.random.default_rng(task.seed)

    def orders(self) -> Iterator[np.ndarray]:
        """The rows of each batch of an epoch."""
        order, batch = self.rng.permutation(len(self.task.x)), self.task.batch
        for start in range(0, len(order), batch):
            yield order[start : start + batch]

    def batches(self) -> Iterable[tuple[Any, Any]]:
        return ((self.task.x[rows], self.task.y[rows]) for rows in self.orders())

    def step(self, x: Any, y: Any) -> None:
        raise TypeError(f"{type(self).__name__} takes no single steps")

    def epoch(self) -> None:
        """One more epoch, the optimizer going on."""
        for x, y in self.batches():
            self.step(x, y)

    def train(self, epochs: int) -> None:
        """So many epochs in the way that is shortest; the optimizer may start anew."""
        for _ in range(epochs):
            self.epoch()

    @abc.abstractmethod
    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Predictions, or a number for each class."""


def whet_model(widths: list[int]):
    from whet import nn

    first, *hidden, last = widths
    return nn.MLP(first, tuple(hidden), last)


class Whet(Training):
    whole = True

    def __init__(self, task: Task, precision: str = "float32") -> None:
        from whet import optim

        super().__init__(task)
        self.model = self.network()
        self.settings = dict(loss=task.loss, optimizer=optim.Adam(lr=1e-3), batch_size=task.batch, seed=task.seed)
        self.settings["precision"] = precision

    def network(self):
        return whet_model(self.task.widths)

    def train(self, epochs: int, **more) -> None:
        try:
            self.model.fit(self.task.x, self.task.y, epochs=epochs, **self.settings, **more)
        except ValueError as error:
            raise LeftOutError(str(error)) from None

    def outputs(self, x):
        return self.model.predict(x)


class WhetTrainer(Training):
    """Batch by batch from Python, gathered by NumPy."""

    def __init__(self, task: Task) -> None:
        import whet
        from whet import optim

        super().__init__(task)
        self.model = whet_model(task.widths)
        self.trainer = whet.Trainer(self.model, loss=task.loss, optimizer=optim.Adam(lr=1e-3), seed=task.seed)

    def step(self, x, y):
        self.trainer.step(x, y)

    def outputs(self, x):
        return self.model.predict(x)


class Torch(Training):
    def __init__(self, task: Task, threads: int, fused: bool = False, bfloat16: bool = False) -> None:
        import torch

        super().__init__(task)
        torch.set_num_threads(threads)
        torch.manual_seed(task.seed)
        self.torch, self.bfloat16 = torch, bfloat16
        self.model = self.network()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=fused)
        self.criterion = torch.nn.MSELoss() if task.loss == "mse" else torch.nn.CrossEntropyLoss()
        self.x, self.y = torch.from_numpy(task.x), torch.from_numpy(task.y)

    def network(self):
        layers = []
        for before, after in pairwise(self.task.widths):
            layers += [self.torch.nn.Linear(before, after), self.torch.nn.ReLU()]
        return self.torch.nn.Sequential(*layers[:-1])

    def loss(self, x, y):
        if not self.bfloat16:
            return self.criterion(self.model(x), y)
        with self.torch.autocast("cpu", dtype=self.torch.bfloat16):
            return self.criterion(self.model(x), y)

    def batches(self):
        order = self.torch.randperm(len(self.x))
        return ((self.x.index_select(0, rows), self.y.index_select(0, rows)) for rows in order.split(self.task.batch))

    def step(self, x, y):
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(x, y).backward()
        self.optimizer.step()

    def outputs(self, x):
        with self.torch.no_grad():
            return self.model(self.torch.from_numpy(x)).numpy()


class TorchLoader(Torch):
    """With the loader that PyTorch's tutorials begin with."""

    def __init__(self, task: Task, threads: int) -> None:
        from torch.utils.data import DataLoader, TensorDataset

        super().__init__(task, threads)
        self.loader = DataLoader(TensorDataset(self.x, self.y), batch_size=task.batch, shuffle=True)

    def batches(self):
        return self.loader


class TorchCompile(Torch):
    """Forward and backward compiled; Adam is the fused one: a compiled one is no faster, and compiles for longer."""

    def __init__(self, task: Task, threads: int) -> None:
        super().__init__(task, threads, fused=True)
        self.loss = self.torch.compile(self.loss)

    def epoch(self):
        try:
            super().epoch()
        except RuntimeError as error:
            raise LeftOutError(f"torch.compile fails: {str(error).splitlines()[0]}") from None


class ScikitLearn(Training):
    whole = True

    def __init__(self, task: Task) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        super().__init__(task)
        warnings.simplefilter("ignore", ConvergenceWarning)
        kind = MLPRegressor if task.loss == "mse" else MLPClassifier
        settings = dict(batch_size=task.batch, learning_rate_init=1e-3, alpha=0.0, random_state=task.seed)
        endless = dict(warm_start=True, tol=0.0, n_iter_no_change=np.inf)
        self.model = kind(hidden_layer_sizes=task.widths[1:-1], **settings, **endless)
        self.y = task.y.ravel() if task.widths[-1] == 1 else task.y
        self.classes = {} if task.loss == "mse" else {"classes": np.arange(task.widths[-1])}

    def epoch(self):
        self.model.partial_fit(self.task.x, self.y, **self.classes)

    def train(self, epochs: int) -> None:
        self.model.set_params(max_iter=epochs).fit(self.task.x, self.y)

    def outputs(self, x):
        if self.task.loss == "mse":
            return self.model.predict(x).reshape(len(x), -1)
        return self.model.predict_proba(x)


def first_parameters(task: Task) -> list[tuple[np.ndarray, np.ndarray]]:
    """PyTorch's: uniform, with the inverse root of the inputs as bound."""
    rng = np.random.default_rng(task.seed)
    draw = lambda bound, *shape: rng.uniform(-bound, bound, shape).astype(np.float32)  # noqa: E731
    return [(draw(a**-0.5, a, b), draw(a**-0.5, b)) for a, b in pairwise(task.widths)]


class ByHand(Training):
    """What a careful user writes with NumPy: in place where that is easy, float32 throughout."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.weights = first_parameters(task)
        self.moments = [[(np.zeros_like(p), np.zeros_like(p)) for p in layer] for layer in self.weights]
        self.count = 0

    def forward(self, x):
        values = [x]
        for i, (w, b) in enumerate(self.weights):
            z = values[-1] @ w
            z += b
            values.append(np.maximum(z, 0, out=z) if i < len(self.weights) - 1 else z)
        return values

    def step(self, x, y):
        values = self.forward(x)
        d = values[-1]
        if self.task.loss == "mse":
            d = 2 * (d - y) / d.size
        else:
            d = np.exp(d - d.max(axis=1, keepdims=True))
            d /= d.sum(axis=1, keepdims=True)
            d[np.arange(len(d)), y] -= 1
            d /= len(d)
        self.count += 1
        scale = 1e-3 * (1 - 0.999**self.count) ** 0.5 / (1 - 0.9**self.count)
        for i in reversed(range(len(self.weights))):
            gradients = values[i].T @ d, d.sum(axis=0)
            if i:
                d = d @ self.weights[i][0].T
                d *= values[i] > 0
            for p, g, (m, v) in zip(self.weights[i], gradients, self.moments[i], strict=True):
                m *= 0.9
                m += 0.1 * g
                v *= 0.999
                v += 0.001 * g * g
                p -= scale * m / (np.sqrt(v) + 1e-8)

    def outputs(self, x):
        return self.forward(x)[-1]


class Jax(Training):
    """One compiled function for a step, with the rows gathered in it; NumPy draws the order."""

    def __init__(self, task: Task) -> None:
        import jax

        super().__init__(task)
        self.jax = jax
        parameters = jax.tree.map(jax.numpy.asarray, self.first())
        zeros = lambda: jax.tree.map(jax.numpy.zeros_like, parameters)  # noqa: E731
        self.state = parameters, zeros(), zeros(), jax.numpy.zeros((), jax.numpy.float32)
        self.x, self.y = jax.numpy.asarray(task.x), jax.numpy.asarray(task.y)
        self.update, self.predict = jax.jit(self.descend, donate_argnums=0), jax.jit(self.forward)

    def first(self):
        return first_parameters(self.task)

    def forward(self, parameters, x):
        for i, (w, b) in enumerate(parameters):
            x = x @ w + b
            if i < len(parameters) - 1:
                x = x * (x > 0)
        return x

    def loss(self, parameters, x, y, count):
        """The loss of a batch, and what `keep` takes of it."""
        np, z = self.jax.numpy, self.forward(parameters, x)
        if self.task.loss == "mse":
            return np.mean((z - y) ** 2), None
        chosen = np.take_along_axis(z, y[:, None], axis=1)[:, 0]
        return np.mean(self.jax.nn.logsumexp(z, axis=1) - chosen), None

    def keep(self, parameters, kept):
        return parameters

    def descend(self, state, x, y, rows):
        np, tree = self.jax.numpy, self.jax.tree
        parameters, means, squares, count = state
        gradients, kept = self.jax.grad(self.loss, has_aux=True)(parameters, x[rows], y[rows], count)
        count = count + 1
        means = tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, gradients)
        squares = tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, gradients)
        scale = 1e-3 * np.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        moved = lambda p, m, v: p - scale * m / (np.sqrt(v) + 1e-8)  # noqa: E731
        return self.keep(tree.map(moved, parameters, means, squares), kept), means, squares, count

    def epoch(self):
        for rows in self.orders():
            self.state = self.update(self.state, self.x, self.y, rows)
        self.jax.block_until_ready(self.state)

    def outputs(self, x):
        return np.asarray(self.predict(self.state[0], x))


class JaxScan(Jax):
    """A compiled function for the epoch."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.update = self.jax.jit(self.pass_over, donate_argnums=0)

    def pass_over(self, state, x, y, order):
        batch = self.task.batch
        whole = len(order) // batch * batch
        state, _ = self.jax.lax.scan(
            lambda state, rows: (self.descend(state, x, y, rows), None), state, order[:whole].reshape(-1, batch)
        )
        return self.descend(state, x, y, order[whole:]) if whole < len(order) else state

    def epoch(self):
        order = self.rng.permutation(len(self.task.x)).astype(np.int32)
        self.state = self.update(self.state, self.x, self.y, order)
        self.jax.block_until_ready(self.state)


def make(peer: str, task: Task, threads: int) -> Training:
    """The training of a peer of PEERS."""
    makers: dict[str, Callable[[], Training]] = {
        "whet": lambda: Whet(task),
        "whet bfloat16": lambda: Whet(task, "bfloat16"),
        "whet Trainer": lambda: WhetTrainer(task),
        "torch": lambda: Torch(task, threads),
        "torch fused": lambda: Torch(task, threads, fused=True),
        "torch compile": lambda: TorchCompile(task, threads),
        "torch bfloat16": lambda: Torch(task, threads, fused=True, bfloat16=True),
        "torch DataLoader": lambda: TorchLoader(task, threads),
        "jax jit": lambda: Jax(task),
        "jax scan": lambda: JaxScan(task),
        "scikit-learn": lambda: ScikitLearn(task),
    }
    return makers.get(peer, lambda: ByHand(task))()
