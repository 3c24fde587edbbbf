"""The same bits for every number of threads, on AVX2 and on AVX-512, in every layout, whatever the other rows are."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import whet
from tests.helpers import layouts, outputs_of_both_sets, same_bits
from whet import _core, nn, optim

# Shapes that are no multiple of anything; rows that make one slab of 256 or several, the last one short.
TASKS = {
    "mse-small": dict(rows=61, features=7, hidden=(13,), outputs=3, batch_size=17, loss="mse"),
    "mse-slabs": dict(rows=1531, features=37, hidden=(29, 19), outputs=2, batch_size=701, loss="mse"),
    "cross_entropy-small": dict(rows=83, features=11, hidden=(9,), outputs=5, batch_size=31, loss="cross_entropy"),
    "cross_entropy-slabs": dict(
        rows=1301, features=101, hidden=(67,), outputs=11, batch_size=523, loss="cross_entropy"
    ),
}

# Beyond the signature: what is dropped, and gradients whose norm is clipped.
CLIPPED = optim.AdamW(lr=0.01, clip_norm=0.05)
ALL_TASKS = {
    **TASKS,
    "dropout": {**TASKS["mse-slabs"], "dropout": 0.3},
    "every-layer": dict(rows=1531, features=9, outputs=2, batch_size=701, loss="mse"),
    "dropout-blocks": dict(rows=17003, features=5, hidden=(7,), outputs=2, batch_size=17003, loss="mse", dropout=0.5),
}


def data(rows, features, outputs, loss, **_):
    """Multiples of a fixed number modulo 2^32: the same values wherever this runs."""
    values = np.arange(rows * features, dtype=np.uint64) * np.uint64(2654435761) % np.uint64(2**32)
    x = (values.reshape(rows, features) / 2**31 - 1).astype(np.float32)
    if loss == "cross_entropy":
        return x, np.arange(rows) * 7 % outputs
    return x, x[:, :outputs] * x[:, -outputs:]


class EveryLayer(nn.Module):
    """One of each kind of operation, on rows whose first column is a number of a table's row."""

    def __init__(self, features, outputs):
        self.table = nn.Embedding(7, 3)
        self.waves = nn.PeriodicEmbeddings(features - 1, 4, n_frequencies=5, frequency_init_scale=0.5, lite=False)
        self.bins = nn.PiecewiseLinearEmbeddings([[-1.0, -0.3, 0.2, 1.0]] * (features - 1), 2, activation=False)
        width = 3 + 7 + 6 * (features - 1)
        self.members = nn.LinearBatchEnsemble(width, 18, k=5, scaling_init="normal")
        self.norms = [nn.BatchNorm1d(width), nn.LayerNorm(18), nn.GroupNorm(3, 18), nn.RMSNorm(18)]
        self.drops = [nn.Dropout(0.2), nn.AlphaDropout(0.1)]
        self.gate, self.slope = nn.SwiGLU(18, 11), nn.PReLU(18)
        self.pair, self.heads = nn.Bilinear(9, 9, 18), nn.LinearEnsemble(18, outputs, k=5)

    def forward(self, x):
        F, index, numbers = nn.functional, x[:, :1], x[:, 1:]
        parts = [self.table(index), F.one_hot(index, 7), self.waves(numbers), self.bins(numbers)]
        h = self.drops[0](self.norms[0](nn.concatenate([part.flatten() for part in parts])))
        h = self.norms[1](self.slope(self.members(h)))
        row = self.norms[2](h.mean(axis=1))
        row = self.norms[3](self.gate(row) + self.pair(row[:, :9], row[:, 9:]))
        row = self.drops[1](row / (abs(row) + 1.0))
        weights = F.softmax(row) * F.where(row > 0.0, row, F.where(row >= -0.5, 0.5, row))
        return self.heads(h * weights.reshape(1, 18)).mean(axis=1)


def train(task, dtype="float32", optimizer=None):
    settings = ALL_TASKS[task]
    x, y = data(**settings)
    share = settings.get("dropout", 0)
    if "hidden" in settings:
        model = nn.MLP(settings["features"], settings["hidden"], settings["outputs"], "gelu", dropout=share).to(dtype)
    else:
        x[:, 0] = np.arange(len(x)) % 7
        model = EveryLayer(settings["features"], settings["outputs"]).to(dtype)
    batch_size = "auto" if isinstance(optimizer, optim.GD) else settings["batch_size"]
    optimizer = optimizer or (CLIPPED if share else optim.Adam(lr=0.01))
    model.fit(x, y, loss=settings["loss"], optimizer=optimizer, epochs=3, batch_size=batch_size, seed=7)
    return model


def test_the_model_of_every_layer_has_every_operation():
    """But for activations, of which each element depends on its own input alone."""
    graph = EveryLayer(9, 2)._graph(9)
    of_one_element = {entry["name"] for entry in _core.activations()}
    assert set(_core.op_names()) - of_one_element - {node["op"] for node in graph.nodes} == set()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("task", ALL_TASKS)
def test_the_number_of_threads_does_not_change_the_model(threads, task, dtype):
    prints = set()
    for number in (1, 2, 3, 4, 7, 8, 16):
        threads(number)
        prints.add(train(task, dtype).fingerprint())
    assert len(prints) == 1


@pytest.mark.parametrize("task", ALL_TASKS)
def test_avx2_and_avx512_give_the_same_model(task):
    program = f"from tests.test_reproducibility import train; print(train({task!r}).fingerprint(), end='')"
    assert outputs_of_both_sets(program) == {train(task).fingerprint()}


@pytest.mark.parametrize("task", TASKS)
def test_a_second_run_gives_the_same_model_and_another_seed_another(task):
    assert train(task).fingerprint() == train(task).fingerprint()
    settings = TASKS[task]
    model = nn.MLP(settings["features"], settings["hidden"], settings["outputs"])
    assert model.initialize(1).fingerprint() != model.initialize(2).fingerprint()


@pytest.mark.parametrize("task", TASKS)
def test_the_layout_of_the_data_does_not_change_the_model(task):
    settings = TASKS[task]
    x, y = data(**settings)
    prints = set()
    for form in layouts(x).values():
        model = nn.MLP(settings["features"], settings["hidden"], settings["outputs"])
        model.fit(form, y, loss=settings["loss"], epochs=1, batch_size=settings["batch_size"], seed=1)
        prints.add(model.fingerprint())
    for form in layouts(y).values():
        model = nn.MLP(settings["features"], settings["hidden"], settings["outputs"])
        model.fit(x, form, loss=settings["loss"], epochs=1, batch_size=settings["batch_size"], seed=1)
        prints.add(model.fingerprint())
    assert len(prints) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("task", TASKS)
def test_the_prediction_of_a_row_does_not_depend_on_the_others(threads, task, dtype):
    model = train(task, dtype)
    x, _ = data(**TASKS[task])
    together = model.predict(x)
    for number in (1, 2):
        threads(number)
        for rows in (slice(0, 1), slice(5, 8), slice(1, 40), slice(3, len(x)), slice(len(x) - 1, len(x))):
            assert same_bits(model.predict(x[rows]), np.ascontiguousarray(together[rows]))
        order = np.random.default_rng(0).permutation(len(x))
        assert same_bits(model.predict(x[order]), together[order])


def test_the_trainer_and_fit_take_the_same_steps():
    """One batch of all rows in their order: an epoch of fit is a step of Trainer."""
    x, y = data(**TASKS["mse-slabs"])
    fitted, stepped = (nn.MLP(37, (5,), 2).initialize(3) for _ in range(2))
    fitted.fit(x, y, loss="mse", optimizer=optim.SGD(lr=0.1), epochs=4, batch_size=len(x), shuffle=False)
    trainer = whet.Trainer(stepped, loss="mse", optimizer=optim.SGD(lr=0.1), seed=0)
    for _ in range(4):
        trainer.step(x, y)
    assert fitted.fingerprint() == stepped.fingerprint()


def test_the_fingerprint_follows_every_bit_of_the_state():
    model = nn.MLP(3, (4,), 2).initialize(0)
    first, state = model.fingerprint(), {name: value.copy() for name, value in model.state_dict().items()}
    assert len(bytes.fromhex(first)) == 32
    model.load_state_dict(state)
    assert model.fingerprint() == first
    for name, value in state.items():
        changed = value.copy()
        changed.flat[-1] = np.nextafter(changed.flat[-1], np.float32(9))
        model.load_state_dict({**state, name: changed})
        assert model.fingerprint() != first
    model.load_state_dict(state)
    assert model.to("float64").fingerprint() != first


# The training signature: what this fixed run gives, on any processor with FMA. It changes when the arithmetic of a
# kernel, the random numbers, the order of a sum or an initialiser changes, and only then. Such a commit puts the new
# hash here, and its message and the changelog say what changed and why; any other commit that changes it has a defect.
SIGNATURE = "42de9b373dca523185c13e364340f6d2577ab3ef452eba315f1988beb50aa078"


def signature():
    digest = hashlib.sha256()
    for task in TASKS:
        for optimizer in (optim.GD(lr=0.1), optim.SGD(lr=0.05, momentum=0.9, nesterov=True), optim.Adam(lr=0.01)):
            for dtype in ("float32", "float64"):
                digest.update(train(task, dtype, optimizer).fingerprint().encode())
    return digest.hexdigest()


def test_the_training_signature():
    if whet.build_info()["isa"] == "baseline":
        pytest.skip("processors without FMA are outside the promise of equal bits")
    assert signature() == SIGNATURE, (
        "python -m tests.test_reproducibility prints the new one; see the comment above SIGNATURE"
    )


if __name__ == "__main__":
    print(signature())
