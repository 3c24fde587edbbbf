"""Runs with one seeded fault each, and sound ones: drawn by (fault, number, draw), the same on every machine."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from bench.diagnosis import sets

import whet
from whet import nn, optim
from whet.callbacks import EarlyStopping
from whet.data import Dataset, LabelEncoder, Preprocessor, TargetScaler

FAULTS = (
    "rate too high",
    "rate too low",
    "unscaled features",
    "constant feature",
    "leaked label",
    "dead units",
    "class imbalance",
    "overfitting",
    "underfitting",
    "no signal",
)
SOUND = "sound"

# A run is clearly worse where its loss is so many times that of another, and more by so much of a constant's.
_CLEAR, _CLEAR_GAP = 1.2, 0.05
# Faults that are none where the run does well all the same.
_HURT = ("rate too high", "rate too low", "underfitting", "overfitting")
_OTHER_RATES = (10.0, 3.0, 1 / 3)  # times a sound run's own
_ATTEMPTS = 50
# Rows that a sound run sees, each as often as there are epochs, unless it stops early.
SEEN = 200_000
# Of networks to write rules by, and of those to measure on: no width or depth is in both. What was measured on is
# looked at when rules are mended, so that mended rules are measured on fresh ones.
_STYLES: dict[str, dict[str, Any]] = {
    "development": {
        "sets": sets.DEVELOPMENT,
        "hidden": [(32,), (64,), (64, 32), (100, 100)],
        "activations": ["relu", "tanh"],
        "optimizers": ["adam", "sgd"],
        "batches": ["auto", 64],
    },
    "held-out": {
        "sets": sets.HELD_OUT,
        "hidden": [(48,), (80,), (128, 128), (96, 48), (40, 40, 40)],
        "activations": ["relu", "gelu", "silu", "elu"],
        "optimizers": ["adam", "adamw", "momentum", "rmsprop"],
        "batches": ["auto", 50, 128],
    },
    "fresh": {
        "sets": sets.FRESH,
        "hidden": [(40,), (72,), (120,), (56, 56), (112, 48), (64, 48, 36)],
        "activations": ["relu", "tanh", "gelu", "mish", "softplus"],
        "optimizers": ["adam", "adamw", "momentum", "nadam"],
        "batches": ["auto", 40, 100],
    },
    "last": {
        "sets": sets.LAST,
        "hidden": [(60,), (88,), (144,), (84, 84), (100, 60), (72, 56, 40)],
        "activations": ["relu", "tanh", "silu", "mish", "selu"],
        "optimizers": ["adam", "adamw", "momentum", "radam"],
        "batches": ["auto", 32, 80],
    },
}
PARTS = tuple(_STYLES)
# A rate that trains well, drawn between these.
_RATES: dict[str, tuple[Callable[..., optim.Optimizer], float, float]] = {
    "adam": (optim.Adam, 1e-3, 4e-3),
    "adamw": (optim.AdamW, 1e-3, 4e-3),
    "nadam": (optim.NAdam, 1e-3, 4e-3),
    "radam": (optim.RAdam, 1e-3, 4e-3),
    "rmsprop": (optim.RMSprop, 5e-4, 2e-3),
    "sgd": (optim.SGD, 0.03, 0.1),
    "momentum": (lambda lr, **options: optim.SGD(lr=lr, momentum=0.9, **options), 5e-3, 2e-2),
}


@dataclass
class Case:
    """A run before it has begun; a fault changes one thing in it."""

    fault: str
    name: str
    table: Dataset
    rng: np.random.Generator
    hidden: tuple[int, ...]
    activation: str
    optimizer: str
    rate: float
    batch_size: Any
    seed: int
    epochs: int
    dropout: float = 0.0
    stops_early: bool = True
    penalties: dict[str, float] = field(default_factory=dict)
    on_matrix: Callable[[Any], Any] | None = None
    on_network: Callable[[nn.Module], None] | None = None
    without: Case | None = None  # the same case before its fault was seeded


@dataclass(frozen=True)
class Finished:
    """A run, as `whet.diagnose` takes it."""

    run: Any
    model: nn.Module
    X: Any
    y: Any
    validation: tuple[Any, Any]


def run_case(fault: str, number: int, part: str, seed: int) -> tuple[Case, Finished, int]:
    """Draws and trains the case of that number; and says how many were drawn in vain before it.

    A penalty, dropout, a narrow layer or another rate may do no harm, too few rows may hold nothing to learn, and a
    network that is good elsewhere may still be poor: none is what it was drawn as, and the next one is drawn.
    """
    for attempt in range(_ATTEMPTS):
        case = draw(fault, number, part, seed, attempt)
        run = train(case)
        others = [train(other) for other in _others(fault, number, part, seed, attempt)]
        is_worse = _has_overfitted if fault == "overfitting" else _is_clearly_worse
        if any(is_worse(run, other) for other in others) == (fault in _HURT) or not others:
            return case, run, attempt
    raise RuntimeError(f"no case {number} of {fault} in {_ATTEMPTS} attempts")


def _others(fault: str, number: int, part: str, seed: int, attempt: int) -> Iterator[Case]:
    """What a case is compared with: itself without its fault; if sound, itself at other rates and the usual network."""
    if fault == "overfitting":
        yield replace(draw(fault, number, part, seed, attempt), stops_early=True)
    elif fault in _HURT:
        yield draw(fault, number, part, seed, attempt).without
    if fault == SOUND:
        for factor in _OTHER_RATES:
            case = draw(fault, number, part, seed, attempt)
            yield replace(case, rate=factor * case.rate)
        case = draw(fault, number, part, seed, attempt)
        yield replace(case, hidden=(128, 128), activation="relu", optimizer="adam", rate=3e-3)


def _is_clearly_worse(run: Finished, other: Finished) -> bool:
    """Whether a run is clearly worse than another one, on the rows that both were trained on and on those held out."""
    if isinstance(run.run, whet.NonFiniteError):
        return True
    constant = _loss_of_a_constant(run)
    for mine, theirs in [((run.X, run.y), (other.X, other.y)), (run.validation, other.validation)]:
        loss, best = run.model.evaluate(*mine)["loss"], other.model.evaluate(*theirs)["loss"]
        if not (loss > _CLEAR * best and loss - best > _CLEAR_GAP * constant):
            return False
    return True


def _has_overfitted(run: Finished, stopped: Finished) -> bool:
    """Whether a run is clearly worse on the rows held out than itself stopped early, which has learned something."""
    constant = _loss_of_a_constant(run)
    loss, best = (each.model.evaluate(*each.validation)["loss"] for each in (run, stopped))
    return loss > _CLEAR * best and loss - best > _CLEAR_GAP * constant and constant - best > _CLEAR_GAP * constant


def _loss_of_a_constant(run: Finished) -> float:
    """Of the shares of the classes, or of the mean."""
    shares = np.bincount(run.y) / len(run.y) if run.y.dtype.kind == "i" else np.ones(0)
    shares = shares[shares > 0]
    return -float((shares * np.log(shares)).sum()) if len(shares) else 1.0


def draw(fault: str, number: int, part: str, seed: int, attempt: int = 0) -> Case:
    """The case of that number: data sets take turns, all else is drawn."""
    style = _STYLES[part]
    rng = np.random.default_rng([seed, number, zlib.crc32(f"{fault} {part}".encode()), *([attempt] * (attempt > 0))])
    fitting = [name for name in style["sets"] if _suits(fault, name)]
    name = fitting[number % len(fitting)]
    optimizer = str(rng.choice(style["optimizers"]))
    _, low, high = _RATES[optimizer]
    table = sets.load(name, int(rng.integers(800, sets.MOST_ROWS)), rng)
    case = Case(
        fault=fault,
        name=name,
        table=table,
        rng=rng,
        hidden=style["hidden"][rng.integers(len(style["hidden"]))],
        activation=str(rng.choice(style["activations"])),
        optimizer=optimizer,
        rate=float(low * (high / low) ** rng.uniform()),
        batch_size=style["batches"][rng.integers(len(style["batches"]))],
        seed=int(rng.integers(1000)),
        epochs=int(np.clip(SEEN / table.rows, 150, 1000)),
    )
    return replace(_SEEDS[fault](case), without=case) if fault != SOUND else case


def train(case: Case) -> Finished:
    """Trains as the case says; a training that ends in numbers that are not finite is a run, too."""
    cut = case.rng.permutation(case.table.rows)
    held = case.table.rows * 3 // 10
    parts = case.table.take(np.sort(cut[held:])), case.table.take(np.sort(cut[:held]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", whet.WhetWarning)
        steps = Preprocessor().fit(parts[0])
        X, X_held = (np.array(steps.transform(part)) for part in parts)
    classes = case.name in sets.CLASSES
    encoder = (LabelEncoder() if classes else TargetScaler()).fit(parts[0].labels)
    y, y_held = (encoder.transform(part.labels) for part in parts)
    if case.on_matrix is not None:
        X, X_held = case.on_matrix(X), case.on_matrix(X_held)
    outputs = len(encoder.classes) if classes else 1
    network = nn.MLP(X.shape[1], case.hidden, outputs, case.activation, case.dropout).initialize(case.seed)
    if case.on_network is not None:
        case.on_network(network)
    make = _RATES[case.optimizer][0]
    stopping = [EarlyStopping(patience=15, restore_best_weights=True)] if case.stops_early else []
    arguments = {
        "loss": "cross_entropy" if classes else "mse",
        "optimizer": make(lr=case.rate, **case.penalties),
        "epochs": case.epochs,
        "batch_size": case.batch_size,
        "validation_data": (X_held, y_held),
        "callbacks": stopping,
        "seed": case.seed,
    }
    run: Any
    try:
        run = network.fit(X, y, **arguments)
    except whet.NonFiniteError as error:
        run = error
    return Finished(run, network, X, y, (X_held, y_held))


def _suits(fault: str, name: str) -> bool:
    """Whether a fault makes sense there: classes to be rare, or a curve that what is too small cannot follow."""
    if fault == "class imbalance":
        return name in sets.CLASSES
    if fault == "overfitting":
        return name not in ("rings", "digits", "mnist")  # what is learned from few rows is right on the others there
    return True


def _too_high(case: Case) -> Case:
    factor = float(10 ** case.rng.uniform(2, 3))
    return replace(case, rate=case.rate * factor, stops_early=False, epochs=int(case.rng.integers(20, 60)))


def _too_low(case: Case) -> Case:
    factor = float(10 ** -case.rng.uniform(2, 3.5))
    return replace(case, rate=case.rate * factor, stops_early=False, epochs=int(case.rng.integers(20, 60)))


def _unscaled(case: Case) -> Case:
    place, factor, shift = case.rng.uniform(), float(10 ** case.rng.uniform(2, 5)), case.rng.uniform(-3, 3)

    def change(X: Any) -> Any:
        X = X.copy()
        column = int(place * min(X.shape[1], 5))  # numbers stand first
        X[:, column] = factor * (X[:, column] + shift)
        return X

    return replace(case, on_matrix=change)


def _constant(case: Case) -> Case:
    value = float(case.rng.choice([0.0, 1.0, -2.5, 0.01, 7.0]))
    return replace(case, table=_with(case.table, "c", np.full(case.table.rows, value)))


def _with(table: Dataset, name: str, column: Any) -> Dataset:
    return Dataset({**table.features, name: column}, labels=table.labels, kinds=table.kinds, target=table.target)


def _leaked(case: Case) -> Case:
    rng, rows = case.rng, case.table.rows
    if case.name in sets.CLASSES:
        codes = LabelEncoder().fit(case.table.labels).transform(case.table.labels).astype(float)
        wrong = rng.uniform(size=rows) < rng.choice([0.0, 0.01, 0.02])
        codes[wrong] = rng.permutation(codes)[wrong]
        column = rng.choice([1.0, -3.0]) * codes + rng.choice([0.0, 0.05]) * rng.normal(size=rows)
    else:
        y = np.asarray(case.table.labels, float)
        y = (y - y.mean()) / y.std()
        noisy = y + rng.choice([0.0, 0.03, 0.07]) * rng.normal(size=rows)
        column = [noisy, np.exp(noisy / 2), -(noisy**3) - noisy][rng.integers(3)]
    return replace(case, table=_with(case.table, "leak", column))


def _dead(case: Case) -> Case:
    share, depth = case.rng.uniform(0.6, 1.0), float(10 ** case.rng.uniform(1.3, 2))
    layer, draws = int(case.rng.integers(len(case.hidden))), case.rng.uniform(size=max(case.hidden))

    def kill(network: nn.Module) -> None:
        names = [name for name in network.state_dict() if name.endswith("bias")]
        values = {name: np.array(array) for name, array in network.state_dict().items()}
        bias = values[names[layer]]
        bias[draws[: len(bias)] < share] = -depth
        network.load_state_dict(values)

    return replace(case, activation="relu", on_network=kill)


def _imbalanced(case: Case) -> Case:
    labels = LabelEncoder().fit(case.table.labels).transform(case.table.labels)
    rare = int(case.rng.integers(labels.max() + 1))
    others = np.flatnonzero(labels != rare)
    usual = len(others) / labels.max()
    kept = max(3, int(case.rng.uniform(0.01, 0.06) * usual))
    rows = np.concatenate([others, case.rng.permutation(np.flatnonzero(labels == rare))[:kept]])
    return replace(case, table=case.table.take(np.sort(rows)))


def _overfitted(case: Case) -> Case:
    rng = case.rng
    table = case.table.take(np.sort(rng.permutation(case.table.rows)[: int(rng.integers(100, 300))]))
    labels, noisy = np.array(table.labels), rng.uniform(size=table.rows) < rng.uniform(0.15, 0.3)
    labels[noisy] = rng.permutation(labels)[noisy]
    table = Dataset(dict(table.features), labels=labels, kinds=table.kinds, target=table.target)
    hidden = tuple(max(width, 64) for width in case.hidden)
    return replace(case, table=table, hidden=hidden, stops_early=False, epochs=int(rng.integers(1500, 3000)))


def _underfitted(case: Case) -> Case:
    rng, drawn = case.rng, case.hidden
    kind = str(rng.choice(["penalty", "dropout", *(["narrow", "linear"] if case.name in sets.CURVED else [])]))
    if kind == "linear":
        return replace(case, hidden=())
    if kind == "narrow":
        return replace(case, hidden=(int(rng.integers(1, 3)),) * len(drawn))
    if kind == "dropout":
        return replace(case, dropout=float(rng.uniform(0.7, 0.97)), hidden=tuple(width // 4 for width in drawn))
    size = float(10 ** rng.uniform(-1.5, 0.3))
    if case.optimizer == "adamw":
        return replace(case, penalties={"weight_decay": 50 * size})
    return replace(case, penalties={str(rng.choice(["l1", "weight_decay"])): size})


def _shuffled(case: Case) -> Case:
    labels = np.array(case.table.labels)[case.rng.permutation(case.table.rows)]
    table = Dataset(dict(case.table.features), labels=labels, kinds=case.table.kinds, target=case.table.target)
    return replace(case, table=table, stops_early=bool(case.rng.integers(2)), epochs=int(case.rng.integers(30, 100)))


_SEEDS: dict[str, Callable[[Case], Case]] = {
    "rate too high": _too_high,
    "rate too low": _too_low,
    "unscaled features": _unscaled,
    "constant feature": _constant,
    "leaked label": _leaked,
    "dead units": _dead,
    "class imbalance": _imbalanced,
    "overfitting": _overfitted,
    "underfitting": _underfitted,
    "no signal": _shuffled,
}
