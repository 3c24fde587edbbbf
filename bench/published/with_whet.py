"""The published models in whet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from bench.published.rows import Rows
from bench.published.runs import Run

import whet
from whet import nn, optim


def _embeddings(run: Run, numbers: int, bins: list[list[float]]) -> nn.Module | None:
    given = run.embedding
    if not given:
        return None
    if given["kind"] == "piecewise":
        return nn.PiecewiseLinearEmbeddings(bins, given["width"], activation=False, version="B")
    settings = {"n_frequencies": given["n_frequencies"], "frequency_init_scale": given["scale"]}
    return nn.PeriodicEmbeddings(numbers, given["width"], **settings, lite=False)


class Network(nn.Module):
    """Embeddings of the numbers, if any, beside the categories; linear layers with ReLU and dropout; an output.

    While it trains, each member of an ensemble has rows of its own: the inputs of all stand side by side.
    """

    def __init__(
        self, run: Run, numbers: int, cardinalities: tuple[int, ...], bins: list[list[float]] | None = None
    ) -> None:
        self.numbers, self.members, self.inputs = numbers, run.members, numbers + sum(cardinalities)
        self.embeddings = _embeddings(run, numbers, bins or [])
        widths = [numbers * run.embedding.get("width", 1) + sum(cardinalities), *[run.width] * run.blocks]
        pairs = list(pairwise(widths))
        if run.members:
            features = [1] * numbers + list(cardinalities)
            first = {"scaling_init": ("random-signs", "ones"), "first_scaling_init_chunks": features}
            more: list[dict[str, Any]] = [first, *[{}] * (run.blocks - 1)]
            self.hidden = [
                nn.LinearBatchEnsemble(*pair, k=run.members, **given) for pair, given in zip(pairs, more, strict=True)
            ]
            self.output = nn.LinearEnsemble(run.width, run.outputs, k=run.members)
        else:
            self.hidden = [nn.Linear(*pair) for pair in pairs]
            self.output = nn.Linear(run.width, run.outputs)
        self.dropouts = [nn.Dropout(run.dropout) for _ in pairs]

    def forward(self, x):
        if x.shape[0] != self.inputs:
            x = x.reshape(self.members, self.inputs)
        if self.embeddings is not None:
            vectors = self.embeddings(x[:, : self.numbers]).flatten()
            x = nn.concatenate([vectors, x[:, self.numbers :]]) if self.inputs > self.numbers else vectors
        for layer, dropout in zip(self.hidden, self.dropouts, strict=True):
            x = dropout(nn.functional.maximum(layer(x), 0.0))
        return self.output(x).flatten()


def optimizer_of(run: Run) -> optim.Optimizer:
    given: dict[str, Any] = dict(run.optimizing)
    kind, muon, ema = given.pop("type"), given.pop("muon", None), given.pop("ema_decay", None)
    groups = {pattern: {"weight_decay": 0.0} for pattern in run.undecayed}
    shared = {"clip_norm": run.clip_norm, "ema": ema}
    if kind == "Muon":
        others = optim.AdamW(**{**given, "betas": tuple(given["betas"])}, groups=groups)
        matrices = {"matrices": ("hidden.*.weight",), "weight_decay": given["weight_decay"]}
        return optim.Muon(lr=muon["lr"], **matrices, others=others, **shared)
    return getattr(optim, kind)(**given, groups=groups, **shared)


def loss_of(run: Run) -> str:
    if run.metric == "rmse":
        return "mse"
    return "cross_entropy" if run.outputs == 2 else "bce_with_logits"


class Learner:
    def __init__(self, run: Run, rows: Rows, seed: int, dtype: str = "float32") -> None:
        whet.set_num_threads(1)
        bins = None
        if run.embedding.get("kind") == "piecewise":
            bins = nn.compute_bins(rows.train.x[:, : rows.numbers], run.embedding["n_bins"])
        self.model = Network(run, rows.numbers, rows.cardinalities, bins).to(dtype)
        self.averages = "ema_decay" in run.optimizing
        self.trainer = whet.Trainer(self.model, loss_of(run), optimizer_of(run), seed=seed)

    def step(self, x: np.ndarray, y: np.ndarray) -> None:
        """One on rows (rows, inputs), or (rows, members, inputs)."""
        self.trainer.step(x.reshape(len(x), -1), y)

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """What the model, or its average, says: (rows, outputs or members)."""
        with self._average():
            return self.model.predict(x)

    @contextlib.contextmanager
    def _average(self) -> Iterator[None]:
        if self.averages:
            self.trainer.swap_average()
        try:
            yield
        finally:
            if self.averages:
                self.trainer.swap_average()
