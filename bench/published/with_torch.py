"""The published models in PyTorch, written as plainly as its users do; parameters have the names of with_whet."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from bench.published.rows import Rows
from bench.published.runs import Run
from torch import nn


def drawn(fan: int, *shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(-1, 1) * fan**-0.5)


class NLinear(nn.Module):
    """A linear layer of its own for each of n inputs: (rows, n, before) -> (rows, n, after)."""

    def __init__(self, n: int, before: int, after: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = drawn(before, n, before, after)
        self.bias = drawn(before, n, after) if bias else None

    def forward(self, x):
        x = (x.transpose(0, 1) @ self.weight).transpose(0, 1)
        return x if self.bias is None else x + self.bias


class Frequencies(nn.Module):
    def __init__(self, n: int, count: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.trunc_normal_(torch.empty(n, count), 0.0, scale, -3 * scale, 3 * scale))

    def forward(self, x):
        angle = 2 * math.pi * self.weight * x[..., None]
        return torch.cat([angle.cos(), angle.sin()], -1)


class PeriodicEmbeddings(nn.Module):
    def __init__(self, n: int, count: int, scale: float, width: int) -> None:
        super().__init__()
        self.periodic = Frequencies(n, count, scale)
        self.linear = NLinear(n, 2 * count, width)

    def forward(self, x):
        return torch.relu(self.linear(self.periodic(x)))


class Shares(nn.Module):
    """The share of each bin that lies below the number; the first is open downwards, the last one upwards.

    The last bin of every number stands in the last column, also where it has fewer bins than others.
    """

    def __init__(self, bins: list[np.ndarray]) -> None:
        super().__init__()
        most = max(map(len, bins)) - 1
        weight, bias = np.zeros((len(bins), most)), np.zeros((len(bins), most))
        for i, edges in enumerate(bins):
            places = [*range(len(edges) - 2), most - 1]
            weight[i, places] = 1 / np.diff(edges)
            bias[i, places] = -edges[:-1] / np.diff(edges)
        low, high = np.zeros_like(weight), np.ones_like(weight)
        low[:, 0], high[:, -1] = -np.inf, np.inf
        for i, edges in enumerate(bins):
            if len(edges) == 2:
                low[i, -1] = -np.inf
        for name, value in {"weight": weight, "bias": bias, "low": low, "high": high}.items():
            kind = torch.get_default_dtype()
            self.register_buffer(name, torch.tensor(value, dtype=kind), persistent=name in ("weight", "bias"))

    def forward(self, x):
        return torch.addcmul(self.bias, self.weight, x[..., None]).clamp(self.low, self.high)


class Affine(nn.Module):
    def __init__(self, n: int, width: int) -> None:
        super().__init__()
        self.weight, self.bias = drawn(width, n, width), drawn(width, n, width)

    def forward(self, x):
        return torch.addcmul(self.bias, self.weight, x[..., None])


class PiecewiseLinearEmbeddings(nn.Module):
    """A straight line, and what bends it, which begins as nothing."""

    def __init__(self, bins: list[np.ndarray], width: int) -> None:
        super().__init__()
        self.linear0, self.impl = Affine(len(bins), width), Shares(bins)
        self.linear = NLinear(len(bins), max(map(len, bins)) - 1, width, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, x):
        return self.linear0(x) + self.linear(self.impl(x))


class BatchEnsemble(nn.Module):
    """One weight for all members; scalings of inputs and outputs and a bias of each one's own.

    The first layer knows how many inputs each feature has: a member's scaling of them begins as one sign.
    """

    def __init__(self, before: int, after: int, members: int, features: list[int] | None = None) -> None:
        super().__init__()
        self.weight = drawn(before, after, before)
        first = torch.ones(members, before)
        if features is not None:
            signs = torch.randint(0, 2, (members, len(features))) * 2.0 - 1
            first = signs.repeat_interleave(torch.tensor(features), dim=1)
        self.r, self.s = nn.Parameter(first), nn.Parameter(torch.ones(members, after))
        self.bias = nn.Parameter(drawn(before, after).detach().expand(members, after).clone())

    def forward(self, x):
        return torch.addcmul(self.bias, nn.functional.linear(x * self.r, self.weight), self.s)


class Network(nn.Module):
    def __init__(
        self, run: Run, numbers: int, cardinalities: tuple[int, ...], bins: list[np.ndarray] | None = None
    ) -> None:
        super().__init__()
        given, each = run.embedding, run.embedding.get("width", 1)
        self.numbers, self.members, self.embeddings = numbers, run.members, None
        if given.get("kind") == "periodic":
            self.embeddings = PeriodicEmbeddings(numbers, given["n_frequencies"], given["scale"], each)
        elif given:
            self.embeddings = PiecewiseLinearEmbeddings(bins or [], each)
        widths = [numbers * each + sum(cardinalities), *[run.width] * run.blocks]
        pairs = list(pairwise(widths))
        if run.members:
            first = BatchEnsemble(*pairs[0], run.members, [1] * numbers + list(cardinalities))
            layers = [first, *(BatchEnsemble(*pair, run.members) for pair in pairs[1:])]
            self.output: nn.Module = NLinear(run.members, run.width, run.outputs)
        else:
            layers = [nn.Linear(*pair) for pair in pairs]
            self.output = nn.Linear(run.width, run.outputs)
        self.hidden = nn.ModuleList(layers)
        self.dropout = nn.Dropout(run.dropout)

    def forward(self, x):
        if self.embeddings is not None:
            vectors = self.embeddings(x[:, : self.numbers]).flatten(1)
            x = torch.cat([vectors, x[:, self.numbers :]], 1)
        if self.members and x.dim() == 2:
            x = x[:, None].expand(-1, self.members, -1)
        for layer in self.hidden:
            x = self.dropout(torch.relu(layer(x)))
        return self.output(x).flatten(1)


class Muon:
    """Of Jordan et al., with the iteration in the parameter's own type: bfloat16 is slow on most processors."""

    def __init__(self, parameters: list[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        self.parameters, self.lr, self.weight_decay, self.momentum = parameters, lr, weight_decay, momentum
        self.buffers = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def step(self) -> None:
        for p, buffer in zip(self.parameters, self.buffers, strict=True):
            buffer.lerp_(p.grad, 1 - self.momentum)
            along = self.orthogonal(p.grad.lerp(buffer, self.momentum))
            p.mul_(1 - self.lr * self.weight_decay)
            p.add_(along, alpha=-self.lr * max(1, p.shape[0] / p.shape[1]) ** 0.5)

    @staticmethod
    def orthogonal(x: torch.Tensor, steps: int = 5) -> torch.Tensor:
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        x = x / x.norm().clamp(min=1e-7)
        for _ in range(steps):
            gram = x @ x.T
            x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
        return x.T if tall else x


def optimizers_of(run: Run, model: nn.Module) -> list[Any]:
    given: dict[str, Any] = dict(run.optimizing)
    kind, muon, _ = given.pop("type"), given.pop("muon", None), given.pop("ema_decay", None)
    matrices, groups = [], [{"params": []}, {"params": [], "weight_decay": 0.0}]
    for name, parameter in model.named_parameters():
        if muon and fnmatchcase(name, "hidden.*.weight"):
            matrices.append(parameter)
        else:
            groups[any(fnmatchcase(name, pattern) for pattern in run.undecayed)]["params"].append(parameter)
    if muon:
        return [Muon(matrices, muon["lr"], given["weight_decay"]), torch.optim.AdamW(groups, **given, fused=True)]
    return [getattr(torch.optim, kind)(groups, **given, fused=True)]


class Learner:
    def __init__(self, run: Run, rows: Rows, seed: int) -> None:
        torch.set_num_threads(1)
        torch.manual_seed(seed)
        bins = None
        if run.embedding.get("kind") == "piecewise":
            shares = np.linspace(0, 1, run.embedding["n_bins"] + 1)
            numbers = rows.train.x[:, : rows.numbers].astype(np.float64)
            bins = [np.unique(column) for column in np.quantile(numbers, shares, axis=0).T]
        self.model = Network(run, rows.numbers, rows.cardinalities, bins)
        self.optimizers, self.clip_norm = optimizers_of(run, self.model), run.clip_norm
        self.average = None
        if "ema_decay" in run.optimizing:
            from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

            following = get_ema_multi_avg_fn(run.optimizing["ema_decay"])
            self.average = AveragedModel(self.model, multi_avg_fn=following)
        two = run.outputs == 2
        self.kind = torch.int64 if two else torch.get_default_dtype()
        self.criterion = (
            nn.MSELoss() if run.metric == "rmse" else nn.CrossEntropyLoss() if two else nn.BCEWithLogitsLoss()
        )

    def step(self, x: np.ndarray, y: np.ndarray) -> None:
        """One on rows (rows, inputs), or (rows, members, inputs)."""
        self.model.train()
        self.model.zero_grad(set_to_none=True)
        prediction, target = self.model(torch.from_numpy(x)), torch.from_numpy(y).to(self.kind)
        self.criterion(prediction, target if self.kind == torch.int64 else target.view_as(prediction)).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        for each in self.optimizers:
            each.step()
        if self.average is not None:
            self.average.update_parameters(self.model)

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """What the model, or its average, says: (rows, outputs or members)."""
        model = self.model if self.average is None else self.average
        model.eval()
        with torch.inference_mode():
            return torch.cat([model(part) for part in torch.from_numpy(x).split(4096)]).numpy()
