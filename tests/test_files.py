"""Model files: round trips, damage, versions, and writes that fail."""

import contextlib
import json
import os

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import whet
from whet import nn, optim
from whet.files import FORMAT


class Custom(nn.Module):
    def __init__(self):
        self.first, self.act, self.second = nn.Linear(4, 4), nn.LeakyReLU(0.2), nn.Linear(8, 2)

    def forward(self, x):
        return self.second(nn.concatenate([x + self.act(self.first(x)), x]))


MODELS = {
    "sequential": lambda: nn.Sequential(nn.Linear(4, 5), nn.Softplus(2.0, 10.0), nn.Linear(5, 2, bias=False)),
    "mlp": lambda: nn.MLP(4, (3, 3), 2, activation="gelu_tanh"),
    "linear": lambda: nn.Linear(4, 2, weight_init="orthogonal"),
    "custom": Custom,
    "nested": lambda: nn.Sequential(Custom(), nn.ELU(0.5)),
}


@pytest.fixture(params=MODELS)
def model(request, rng):
    model = MODELS[request.param]()
    model.fit(rng.normal(size=(40, 4)), rng.integers(0, 2, 40), loss="cross_entropy", epochs=2, metrics="accuracy")
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_round_trip(model, dtype, rng, tmp_path):
    model.to(dtype)
    X, y = rng.normal(size=(20, 4)), rng.integers(0, 2, 20)
    model.save(tmp_path / "m.whet")
    loaded = whet.load(tmp_path / "m.whet")
    assert loaded.fingerprint() == model.fingerprint()
    assert loaded.dtype == dtype
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert loaded.evaluate(X, y) == model.evaluate(X, y)


def test_what_is_loaded_trains_on_alike(model, rng, tmp_path):
    X, y = rng.normal(size=(40, 4)), rng.integers(0, 2, 40)
    model.save(tmp_path / "m.whet")
    loaded = whet.load(tmp_path / "m.whet")
    for one in (model, loaded):
        one.fit(X, y, loss="cross_entropy", optimizer=optim.SGD(lr=0.1, momentum=0.9), epochs=3)
    assert loaded.fingerprint() == model.fingerprint()
    loaded.save(tmp_path / "again.whet")
    assert whet.load(tmp_path / "again.whet").fingerprint() == model.fingerprint()


def test_models_of_whets_own_layers_come_back_as_themselves(tmp_path):
    for name in ("sequential", "mlp", "linear"):
        model = MODELS[name]()
        model.save(tmp_path / "m.whet")
        loaded = whet.load(tmp_path / "m.whet")
        assert type(loaded) is type(model)
        assert repr(loaded) == repr(model)
        assert loaded.initialize(3).fingerprint() == model.initialize(3).fingerprint()


def test_the_file_is_safetensors_with_json(model, tmp_path):
    path = tmp_path / "m.whet"
    model.save(path)
    tensors = load_file(path)
    assert list(tensors) == sorted(model.state_dict())
    with safe_open(path, framework="numpy") as file:
        description = json.loads(file.metadata()["whet"])
    assert description["format"] == FORMAT
    assert description["whet"] == whet.__version__


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "m.whet"
    nn.Linear(2, 1).save(path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="expected a whole whet model file"):
            whet.load(path)


def test_damage_is_never_more_than_an_error(tmp_path):
    """A byte changed anywhere: the file loads or is refused with ValueError, and nothing else happens."""
    path = tmp_path / "m.whet"
    nn.Linear(2, 1).save(path)
    whole = path.read_bytes()
    for position in range(len(whole)):
        for value in (0, 0x7B, 0xFF):
            path.write_bytes(whole[:position] + bytes([value]) + whole[position + 1 :])
            with contextlib.suppress(ValueError):
                whet.load(path)


def rewrite(path, **changes):
    with safe_open(path, framework="numpy") as file:
        description = json.loads(file.metadata()["whet"])
    description.pop("crc32", None)
    save_file(load_file(path), path, metadata={"whet": json.dumps({**description, **changes})})


def test_other_versions_and_kinds_are_refused(tmp_path):
    path = tmp_path / "m.whet"
    nn.Linear(2, 1).save(path)
    rewrite(path, format=FORMAT + 1, whet="9.9")
    with pytest.raises(ValueError, match=rf"format {FORMAT} or older, got {FORMAT + 1}: .* written by whet 9\.9"):
        whet.load(path)
    rewrite(path, format=FORMAT, kind="forest")
    with pytest.raises(ValueError, match="got 'forest'"):
        whet.load(path)
    rewrite(path, kind="module", module={"class": "system", "arguments": {}})
    with pytest.raises(ValueError, match="expected a layer of"):
        whet.load(path)


def test_files_that_are_no_models(tmp_path):
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ValueError, match="expected a whole whet model file"):
        whet.load(tmp_path / "text")
    save_file({"a": np.ones(3)}, tmp_path / "plain")
    with pytest.raises(ValueError, match="no whet metadata"):
        whet.load(tmp_path / "plain")
    with pytest.raises(FileNotFoundError):
        whet.load(tmp_path / "missing")
    with pytest.raises(OSError, match="directory"):
        whet.load(tmp_path)


def test_a_write_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.whet"
    model = nn.Linear(2, 1).initialize(0)
    model.save(path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            with pytest.raises(OSError, match="No space"):
                model.initialize(1).save(path)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["m.whet"]
    with pytest.raises(FileNotFoundError):
        model.save(tmp_path / "no" / "m.whet")


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path):
    (tmp_path / "latest.whet").symlink_to(tmp_path / "run7.whet")
    model = nn.Linear(2, 1)
    model.save(tmp_path / "latest.whet")
    assert (tmp_path / "latest.whet").is_symlink()
    assert whet.load(tmp_path / "run7.whet").fingerprint() == model.fingerprint()
    model.save("/dev/null")
    assert not os.path.isfile("/dev/null")
    with pytest.raises(OSError, match="directory"):
        model.save(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        {"nodes": []},
        {"output": 99},
        {"output": -1},
        {"inputs": [99]},
        {"inputs": [-1]},
        {"inputs": []},
        {"parameters": [99]},
        {"parameters": [-1]},
    ],
    ids=str,
)
def test_a_damaged_graph_is_refused(tmp_path, damage):
    path = tmp_path / "m.whet"
    Custom().save(path)
    with safe_open(path, framework="numpy") as file:
        graph = json.loads(file.metadata()["whet"])["graph"]
    for name, value in damage.items():
        (graph if name in ("nodes", "output") else graph["nodes"][0])[name] = value
    rewrite(path, graph=graph)
    with pytest.raises(ValueError, match="expected a whole whet model file"):
        whet.load(path)
