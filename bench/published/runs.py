"""Which published runs are repeated, and how each was configured: read from WHET_DATA/published_runs.csv.gz.

Rows come from two repositories: that of TabM (Gorishniy et al., ICLR 2025, arXiv 2410.24210) and that of optimizers of
perceptrons on tables (arXiv 2604.15297). Where both have a model, the configuration that takes fewer operations is
repeated.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABM, OPTIMIZERS = "tabm-repo(2410.24210)", "tabular-dl-optimizers(2604.15297)"

# In the order of running: AdamW without members, then what takes longer. Seeds: five, of TabM three.
CHOSEN = (
    ("california", "mlp", "adamw", TABM),
    ("adult", "mlp-periodic", "adamw", TABM),
    ("california", "mlp-periodic", "adamw", TABM),
    ("adult", "mlp-piecewiselinear", "adamw", OPTIMIZERS),
    ("california", "mlp-piecewiselinear", "adamw", OPTIMIZERS),
    ("california", "tabm", "muon", OPTIMIZERS),
    ("adult", "tabm", "muon", OPTIMIZERS),
    ("adult", "mlp", "adamw", TABM),
    ("adult", "mlp-piecewiselinear", "adamw-ema", OPTIMIZERS),
    ("california", "mlp-piecewiselinear", "adamw-ema", OPTIMIZERS),
    ("california", "mlp", "sgd", OPTIMIZERS),
    ("california", "mlp-piecewiselinear", "muon", OPTIMIZERS),
    ("adult", "tabm", "adamw-ema", OPTIMIZERS),
    ("adult", "mlp-piecewiselinear", "muon", OPTIMIZERS),
    ("adult", "tabm", "adamw", OPTIMIZERS),
    ("california", "mlp", "adamw-ema", OPTIMIZERS),
    ("california", "mlp", "muon", OPTIMIZERS),
    ("california", "tabm", "adamw-ema", OPTIMIZERS),
    ("california", "mlp", "muon-ema", OPTIMIZERS),
    ("california", "tabm", "adamw", OPTIMIZERS),
)


@dataclass(frozen=True)
class Run:
    dataset: str
    model: str
    optimizer: str
    mean: float
    deviation: float
    published_seeds: int
    parameters: int
    ms_per_step: float
    gpu: str
    blocks: int
    width: int
    dropout: float
    members: int  # of TabM; 0 for a single model
    outputs: int
    embedding: dict[str, Any]  # of the numbers; empty for none
    optimizing: dict[str, Any]
    batch: int
    patience: int
    clip_norm: float

    @property
    def name(self) -> str:
        return f"{self.dataset} {self.model} {self.optimizer}"

    @property
    def seeds(self) -> int:
        return 3 if self.members else 5

    @property
    def metric(self) -> str:
        return "rmse" if self.dataset == "california" else "accuracy"

    @property
    def undecayed(self) -> list[str]:
        """Patterns of the parameters without weight decay."""
        kinds = {"periodic": ["embeddings.periodic.*"], "piecewise": ["embeddings.linear0.weight"]}
        return ["*bias", *kinds.get(self.embedding.get("kind", ""), [])]


def _embedding(model: dict[str, Any], bins: dict[str, Any]) -> dict[str, Any]:
    given = model.get("num_embeddings")
    if given is None:
        return {}
    if given["type"] == "PeriodicEmbeddings":
        names = {"n_frequencies": "n_frequencies", "frequency_init_scale": "scale", "d_embedding": "width"}
        return {"kind": "periodic", **{ours: given[theirs] for theirs, ours in names.items()}}
    return {"kind": "piecewise", "n_bins": bins["n_bins"], "width": given["d_embedding"]}


def parse(row: dict[str, str]) -> Run:
    """A row of the file; both repositories' spellings."""
    config = json.loads(row["config"])
    model = config["model"]
    backbone = model["backbone"]
    members = model.get("k") or backbone.get("k") or 0
    embedding = _embedding(model, config.get("bins") or config.get("model_num_embeddings_bins") or {})
    if members and embedding:
        raise ValueError(f"[published] expected members without embeddings, got {row['model']}")
    return Run(
        dataset=row["dataset"],
        model=row["model"],
        optimizer=row["optimizer"],
        mean=float(row["mean"]),
        deviation=float(row["std"]),
        published_seeds=int(row["n_seeds"]),
        parameters=int(row["n_params"]),
        ms_per_step=float(row["ms_per_step"]),
        gpu=row["gpu"],
        blocks=backbone["n_blocks"],
        width=backbone["d_block"],
        dropout=backbone["dropout"],
        members=members,
        outputs=2 if row["dataset"] == "adult" and row["source"] == TABM else 1,
        embedding=embedding,
        optimizing=config["optimizer"],
        batch=config["batch_size"],
        patience=config["patience"],
        clip_norm=config["gradient_clipping_norm"],
    )


def folder() -> Path:
    return Path(os.environ.get("WHET_DATA", ""))


def published(chosen: tuple[tuple[str, str, str, str], ...] = CHOSEN) -> list[Run]:
    """The chosen runs, in that order.

    Raises:
        FileNotFoundError: WHET_DATA names no folder with the file.
    """
    with gzip.open(folder() / "published_runs.csv.gz", "rt") as file:
        rows = {(row["dataset"], row["model"], row["optimizer"], row["source"]): row for row in csv.DictReader(file)}
    return [parse(rows[key]) for key in chosen]
