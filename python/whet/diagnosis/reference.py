"""What models of no special care reach on rows that they have not seen, to compare a run with."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whet import optim
from whet._arrays import Floats
from whet.diagnosis.probes import by_mean
from whet.diagnosis.rows import Rows
from whet.errors import NonFiniteError, WhetWarning
from whet.losses import Loss, MSELoss
from whet.nn import MLP, Module
from whet.training.callbacks.monitors import EarlyStopping
from whet.training.rows import weighed

__all__ = ["Comparison", "Reference", "compare", "constant_loss", "refer"]

Index = NDArray[np.int64]

_NETWORKS: tuple[tuple[int, ...], ...] = ((), (64, 64))  # a linear model and a small network
_SEEDS = 2  # of each, where the luck of one initialisation would count
_BLOCKS = 50  # of rows, whose mean losses say how sure a difference is


@dataclass(frozen=True)
class Reference:
    """What others reach on rows that they were not trained on.

    Attributes:
        loss: of the best of them.
        constant: the loss of a constant prediction, in the same way.
        surprise: how many standard errors the first is below the second.
        skill: share of a constant prediction's errors, or of the variance, that is gone.
    """

    loss: float
    constant: float
    surprise: float
    skill: float


@dataclass(frozen=True)
class Comparison:
    """What others that were trained on the rows of a run reach on held-out rows.

    Attributes:
        loss: of the best of them.
        surprise: how many standard errors it is below the run's own.
    """

    loss: float
    surprise: float


def refer(features: Floats, target: NDArray[Any], loss: Loss, model: Module) -> Reference:
    """Trains a linear model and a small network on each half of the rows, and asks them for the other half."""
    order = np.random.default_rng(1).permutation(len(features))
    halves, width = (order[::2], order[1::2]), _width(target)
    scaled = _scaled(features)
    constant = _out_of_halves(halves, lambda known, asked: _constants(loss, target[known], len(asked), width)[0])
    usual = _block_losses(model, loss, constant, target)
    found = []
    for hidden in _NETWORKS:
        outputs = _out_of_halves(halves, lambda known, asked, h=hidden: _asked(scaled, target, loss, known, asked, h))
        found.append((_block_losses(model, loss, outputs, target), outputs))
    blocks, outputs = min(found, key=lambda pair: float(pair[0].mean()))
    surprise = _surprise(usual - blocks)
    skill = 1 - _missed(loss, outputs, target) / (_missed(loss, constant, target) or math.inf)
    return Reference(float(blocks.mean()), float(usual.mean()), surprise, skill)


def compare(model: Module, loss: Loss, rows: Rows, held: Rows) -> Comparison:
    """Trains a linear model and a small network on the rows of a run, as long as they do better on held-out ones."""
    features, target = np.concatenate([rows.features, held.features]), np.concatenate([rows.target, held.target])
    scaled, everything = _scaled(features), np.arange(len(features))
    known, asked = everything[: len(rows)], everything[len(rows) :]
    found = []
    for hidden in _NETWORKS:
        outputs = [_learned(scaled, target, loss, known, asked, asked, hidden, seed) for seed in range(_SEEDS)]
        found.append(np.mean([_block_losses(model, loss, each, held.target) for each in outputs], axis=0))
    best = min(found, key=lambda blocks: float(blocks.mean()))
    outputs_of_run = model._outputs(held.features)
    gain = _block_losses(model, loss, outputs_of_run, held.target) - best
    return Comparison(float(best.mean()), _surprise(gain))


def constant_loss(loss: Loss, target: NDArray[Any], model: Module) -> float:
    """The mean loss of the best constant prediction that is easily found."""
    rows = len(target)
    constants = _constants(loss, target, rows, _width(target))
    return min(float(_block_losses(model, loss, each, target).mean()) for each in constants)


def _scaled(features: Floats) -> Floats:
    """Columns may be out of scale, and a few rows may lie far away."""
    wide = features.astype(np.float64)
    spread = wide.std(axis=0)
    scaled: Floats = np.clip((wide - wide.mean(axis=0)) / np.where(spread > 0, spread, 1), -5, 5).astype(np.float32)
    return scaled


def _out_of_halves(halves: tuple[Index, Index], outputs: Any) -> Floats:
    """Raw outputs for all rows, each from what is known of the other half."""
    parts = [(asked, outputs(known, asked)) for known, asked in (halves, halves[::-1])]
    found = np.empty((len(halves[0]) + len(halves[1]), parts[0][1].shape[1]), np.float32)
    for asked, part in parts:
        found[asked] = part
    return found


def _asked(features: Floats, target: NDArray[Any], loss: Loss, known: Index, asked: Index, hidden: Any) -> Floats:
    """Raw outputs for the rows that are asked for, of a network trained on those that are known."""
    aside = max(len(known) // 5, 1)
    return _learned(features, target, loss, known[aside:], known[:aside], asked, hidden, 0)


def _learned(
    features: Floats,
    target: NDArray[Any],
    loss: Loss,
    known: Index,
    watched: Index,
    asked: Index,
    hidden: Any,
    seed: int,
) -> Floats:
    """Raw outputs for rows, of a network trained on those known for as long as it does better on those watched."""
    shift, scale, trained_with, y = np.zeros(1), np.ones(1), by_mean(loss), target
    if loss.kind == "values" and loss.link is None and loss.standardizes:
        shift, scale = target[known].mean(axis=0, dtype=np.float64), target[known].std(axis=0, dtype=np.float64)
        scale = np.where(scale > 0, scale, 1)
        trained_with, y = MSELoss(), ((target - shift) / scale).astype(np.float32)
    network = MLP(features.shape[1], hidden, _width(target)).initialize(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WhetWarning)
        try:
            network.fit(
                features[known],
                y[known],
                loss=trained_with,
                optimizer=optim.AdamW(lr=3e-3, weight_decay=1e-2, clip_norm=10.0),
                epochs=200,
                max_steps=2000,
                batch_size=32,
                validation_data=(features[watched], y[watched]),
                callbacks=EarlyStopping(patience=10, restore_best_weights=True),
                seed=seed,
            )
        except NonFiniteError:
            network.initialize(seed)
    outputs: Floats = network.predict(features[asked]).reshape(len(asked), -1) * scale + shift
    return outputs


def _width(target: NDArray[Any]) -> int:
    return int(target.max()) + 1 if target.ndim == 1 else target.shape[1]


def _constants(loss: Loss, target: NDArray[Any], rows: int, width: int) -> list[Floats]:
    """Constant raw outputs that are good for these targets, for so many rows; shape (rows, width) each."""
    if loss.kind == "classes":
        known = target if target.ndim == 2 else np.eye(width)[target]
        found = [np.log(np.maximum(known.mean(axis=0), 1e-9))]
    elif loss.kind == "labels":
        share = np.clip(target.mean(axis=0, dtype=np.float64), 1e-6, 1 - 1e-6)
        found = [np.log(share / (1 - share))]
    else:
        found = [target.mean(axis=0, dtype=np.float64), np.median(target, axis=0)]
        if loss.link == "exp":
            found = [np.log(np.maximum(each, 1e-9)) for each in found]
    return [np.tile(each.astype(np.float32), (rows, 1)) for each in found]


def _block_losses(model: Module, loss: Loss, outputs: Floats, target: NDArray[Any]) -> NDArray[np.float64]:
    """The mean losses of blocks of rows of raw outputs, blocks where no row counts left out."""
    loss, width = by_mean(loss), model._width()
    blocks = np.array_split(np.arange(len(target)), min(_BLOCKS, len(target)))
    found = []
    for block in blocks:
        output = np.ascontiguousarray(outputs[block], model.dtype)
        try:
            truth, weights = weighed(loss, target[block], output.shape[1], model.dtype, None, "diagnose")
        except ValueError:
            continue
        found.append(model._mean_loss(loss, output, width, truth, weights))
    return np.array(found or [math.nan])


def _surprise(gain: NDArray[np.float64]) -> float:
    """How many standard errors the mean gain of blocks is above none."""
    error = float(gain.std()) / math.sqrt(len(gain))
    return float(gain.mean()) / error if error > 0 else 0.0


def _missed(loss: Loss, outputs: Floats, target: NDArray[Any]) -> float:
    """Squared errors, or wrong classes."""
    if loss.kind == "values":
        return float(((loss.values(outputs) - target.reshape(len(target), -1)) ** 2).sum())
    labels = loss.labels(target)
    guessed = outputs.argmax(axis=1) if loss.kind == "classes" else (outputs > 0).reshape(labels.shape)
    return float((guessed != labels).sum())
