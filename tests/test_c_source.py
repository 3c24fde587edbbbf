"""whet.export.to_c: the file compiles without a warning, and computes the bits of predict."""

from __future__ import annotations

import random
import re
import subprocess

import numpy as np
import pytest

import whet
from tests.c_programs import PLAIN, assert_same, compiled, found, predicted, probable
from tests.test_reproducibility import EveryLayer
from whet import _core, export, losses, nn
from whet.export.c_source.graph import Network, Translation

COMPILERS = ("gcc", "clang")
# What may change the code, and may change no bit.
OPTIONS = {
    "plain": PLAIN,
    "none": ("-O0",),
    "native": ("-O3", "-march=native"),
    "contracting": ("-std=gnu11", "-O3", "-march=native"),
}
CHECKED = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")


def rows(features, count=50, seed=0, dtype="float32"):
    return np.random.default_rng(seed).normal(size=(count, features)).astype(dtype)


def with_statistics(model, seed=0):
    """The model with parameters and running statistics that tell everything apart."""
    model.initialize(seed)
    generator = np.random.default_rng(seed)
    changed = {}
    for name, value in model.state_dict().items():
        drawn = generator.uniform(0.2, 2.0, value.shape)
        changed[name] = drawn.astype(value.dtype) if value.ndim < 2 and "running" in name else value
        if value.ndim == 1 and "running" not in name:
            changed[name] = (value + generator.normal(size=value.shape) / 2).astype(value.dtype)
    model.load_state_dict(changed)
    return model


# Modules


@pytest.mark.parametrize(("options", "dtype"), [*((name, "float32") for name in OPTIONS), ("plain", "float64")])
@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_operation_has_the_bits_of_predict(tmp_path, compiler, options, dtype):
    model, X = with_statistics(EveryLayer(9, 2).to(dtype)), rows(9, dtype=dtype)
    X[:, 0] = np.arange(len(X)) % 7
    want = model.predict(X)
    export.to_c(model, tmp_path / "m.c")
    library = compiled(tmp_path, "m", compiler=compiler, options=OPTIONS[options])
    assert_same(predicted(library, X, 2), want)


class Functions(nn.Module):
    """Every activation beside the others, with options that are not the defaults."""

    def __init__(self, moved=0.25):
        self.moved = moved

    def forward(self, x):
        options = [(e["name"], {n: v + self.moved for n, v in e["options"].items()}) for e in _core.activations()]
        return nn.concatenate([x.apply(name, **given) for name, given in options])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_activation_has_its_bits(tmp_path, dtype):
    drawn = np.random.default_rng(1).normal(size=(4000, 1)) * np.repeat([1.0, 10, 40, 1e4], 1000)[:, None]
    limits = np.array([0.0, -0.0, 1, -1, 0.55, 0.9277344, 4.1, 20, -20, 88.8, -87.5, 710, -709, 1e30, -1e30, 1e-9])
    X = np.concatenate([drawn, limits[:, None], drawn[:1000] * 1e-6]).astype(dtype)
    model = Functions().to(dtype)
    want = model.predict(X)
    export.to_c(model, tmp_path / "m.c")
    got = predicted(compiled(tmp_path, "m"), X, len(_core.activations()))
    # Below the smallest normal number the kernels have zeros.
    got[abs(got) < np.finfo(dtype).tiny] = 0
    want[abs(want) < np.finfo(dtype).tiny] = 0
    assert_same(np.nan_to_num(got, nan=7) + 0, np.nan_to_num(want, nan=7) + 0)


def random_model(draw, width, depth):
    """Layers as they come, of rows of one axis or two."""
    layers, shape = [], (width,)
    activations = [
        "GELU",
        "ReLU",
        "Tanh",
        "SiLU",
        "Sigmoid",
        "ELU",
        "Softplus",
        "Mish",
        "LeakyReLU",
        "SELU",
        "Hardswish",
    ]
    for _ in range(depth):
        n, out = shape[-1], draw.choice([1, 3, 8, 16, 17, 33])
        flat = len(shape) == 1
        kinds = {
            "linear": lambda n=n, out=out: nn.Linear(n, out, bias=draw.random() < 0.7),
            "activation": lambda: getattr(nn, draw.choice(activations))(),
            "layer_norm": lambda n=n: nn.LayerNorm(n),
            "rms_norm": lambda n=n: nn.RMSNorm(n),
            "softmax": lambda: draw.choice([nn.Softmax, nn.LogSoftmax])(),
            "residual": lambda n=n: nn.Residual(nn.Sequential(nn.Linear(n, n), nn.Tanh())),
            "dropout": lambda: nn.Dropout(0.3),
        }
        if flat:
            kinds |= {
                "batch_norm": lambda n=n: nn.BatchNorm1d(n),
                "members": lambda out=out: nn.EnsembleView(k=3),
                "numbers": lambda n=n: nn.PBLDEmbeddings(n, 3, 5),
                "waves": lambda n=n: nn.PeriodicEmbeddings(n, 4, n_frequencies=3, lite=draw.random() < 0.5),
                "prelu": lambda n=n: nn.PReLU(n),
            }
        else:
            kinds |= {
                "flatten": lambda: nn.Flatten(),
                "mean": lambda: nn.MeanEnsemble(),
                "own": lambda s=shape, out=out: nn.NLinear(s[0], s[1], out),
                "batch_ensemble": lambda s=shape, out=out: nn.LinearBatchEnsemble(
                    s[1], out, k=s[0], scaling_init="normal"
                ),
            }
        layer = kinds[draw.choice(list(kinds))]()
        graph = nn.Sequential(nn.Unflatten(1, shape), layer) if len(shape) > 1 else layer
        traced = graph._graph(int(np.prod(shape))) if not isinstance(layer, nn.Dropout | nn.Flatten) else None
        if traced is not None:
            shape = tuple(traced.shape(traced.output))
        elif isinstance(layer, nn.Flatten):
            shape = (int(np.prod(shape)),)
        layers.append(layer)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(int(np.prod(shape)), draw.choice([1, 2, 10])))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_models_have_the_bits_of_predict(tmp_path, dtype):
    known = []
    for seed in range(8):
        draw = random.Random(f"{dtype} {seed}")
        X = rows(draw.choice([1, 5, 16, 40]), seed=seed, dtype=dtype)
        model = with_statistics(random_model(draw, X.shape[1], draw.randint(1, 8)).to(dtype), seed)
        known.append((X, model.predict(X)))
        export.to_c(model, tmp_path / f"m{seed}.c", name=f"m{seed}")
    library = compiled(tmp_path, *(f"m{i}" for i in range(len(known))), options=("-O1",))
    for i, (X, want) in enumerate(known):
        assert_same(predicted(library, X, want.shape[1], f"m{i}"), want)


def test_probabilities_have_their_bits(tmp_path):
    X, y = rows(6, 200), np.arange(200) % 3
    model = nn.MLP(6, (12,), 3)
    model.fit(X, y, loss="cross_entropy", epochs=2)
    export.to_c(model, tmp_path / "classes.c")
    assert_same(probable(compiled(tmp_path, "classes"), X, 3), model.predict_proba(X))
    two = nn.MLP(6, (12,), 1)
    two.fit(X, y % 2, loss="bce_with_logits", epochs=2)
    export.to_c(two, tmp_path / "two.c")
    assert_same(probable(compiled(tmp_path, "two"), X, 1), two.predict_proba(X))


def test_probabilities_of_members_are_their_mean(tmp_path):
    X, y = rows(6, 200), np.arange(200) % 3
    model = nn.Sequential(nn.LinearBatchEnsemble(6, 12, k=5, scaling_init="normal"), nn.ReLU(), nn.NLinear(5, 12, 3))
    model.fit(X, y, loss=losses.MemberLoss("cross_entropy"), epochs=2)
    export.to_c(model, tmp_path / "m.c")
    np.testing.assert_allclose(probable(compiled(tmp_path, "m"), X, 3), model.predict_proba(X), rtol=1e-6)


class Pieces(nn.Module):
    """Parts of rows and numbers in every place: what lies in no array of its own."""

    def forward(self, x):
        F, pair = nn.functional, x.reshape(2, 3)
        parts = [
            x[:, 2:5],
            x[:, [5, 0]],
            pair[:, 1, :],
            pair[:, :, 2],
            F.where(x[:, :1], 2.0, -1.0),
            F.maximum(x[:, 1:2], 0.5),
        ]
        parts += [x[:, 1:3].apply("relu"), (pair * pair[:, :1, :])[:, :, :1].flatten(), (pair / x[:, 3:4]).sum(axis=1)]
        return nn.concatenate([*parts, F.one_hot(x[:, :1] * 0.0, 3), 1.0 - x, 1.0 / (x * x + 1.0)])[:, 1:]


def test_parts_and_numbers_stand_where_they_belong(tmp_path):
    model, X = Pieces(), rows(6)
    want = model.predict(X)
    export.to_c(model, tmp_path / "m.c")
    assert_same(predicted(compiled(tmp_path, "m"), X, want.shape[1]), want)


class Named(nn.Module):
    """Attributes and a class, as Python takes them, that are other things in C."""

    def __init__(self):
        self.copy, self.größe, self.P_W = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.P_W(self.größe(self.copy(x)))


def test_names_of_layers_are_none_of_c(tmp_path):
    model, X = Named().initialize(0), rows(3)
    export.to_c(model, tmp_path / "m.c", name="linear")
    assert_same(predicted(compiled(tmp_path, "m"), X, 3, "linear"), model.predict(X))


class Several(nn.Module):
    """Two inputs, two outputs, an operation that nobody reads."""

    def __init__(self):
        self.first, self.second = nn.Linear(3, 4), nn.Linear(2, 4)

    def forward(self, left, right):
        h = self.first(left) * self.second(right)
        self.first(left).apply("exp")
        return h.reshape(2, 2), nn.functional.where(h > 0.0, 1.0, h)


def test_several_inputs_and_outputs_stand_side_by_side(tmp_path):
    model = Several().initialize(1)
    inputs = {"left": rows(3), "right": rows(2, seed=1)}
    first, second = model.predict(inputs)
    export.to_c(model, tmp_path / "m.c")
    got = predicted(compiled(tmp_path, "m"), np.concatenate(list(inputs.values()), axis=1), 8)
    assert_same(got, np.concatenate([first.reshape(-1, 4), second], axis=1))
    text = (tmp_path / "m.c").read_text()
    assert "x has 5 numbers: 3 of left, 2 of right. out has 8, of shape (2, 2) and (4)." in text
    assert "exp_of" not in text


def test_without_fma_it_agrees_to_rounding(tmp_path):
    model, X = nn.MLP(20, (32, 32), 4, "gelu").initialize(0), rows(20)
    export.to_c(model, tmp_path / "m.c")
    got = predicted(compiled(tmp_path, "m", options=("-O2", "-DWHET_NO_FMA")), X, 4)
    np.testing.assert_allclose(got, model.predict(X), rtol=1e-5, atol=1e-6)


def test_fast_math_is_refused_by_the_file(tmp_path):
    export.to_c(nn.MLP(2, (3,), 1).initialize(0), tmp_path / "m.c")
    with pytest.raises(AssertionError, match="leave out -ffast-math"):
        compiled(tmp_path, "m", options=("-ffast-math",))


def test_a_row_of_a_table_that_is_not_there_is_nan(tmp_path):
    model = nn.Sequential(nn.Embedding(4, 2), nn.Flatten()).initialize(0)
    X = np.arange(4, dtype=np.float32).reshape(4, 1)
    want = model.predict(X)
    export.to_c(model, tmp_path / "m.c")
    library = compiled(tmp_path, "m", options=CHECKED)
    assert_same(predicted(library, X, 2), want)
    wrong = np.array([[4], [-1], [0.5], [np.nan], [np.inf], [1e20]], np.float32)
    assert np.isnan(predicted(library, wrong, 2)).all()


def test_memory_is_used_again(tmp_path):
    export.to_c(nn.MLP(8, (64,) * 12, 1).initialize(0), tmp_path / "m.c")
    assert re.findall(r"float (t\d+)\[(\d+)\];", (tmp_path / "m.c").read_text()) == [("t0", "64"), ("t1", "64")]


PROGRAM = """
#include <stdio.h>
int main(void) {
  static float x[9], out[2];
  while (fread(x, sizeof x, 1, stdin) == 1) {
    model_predict(x, out);
    fwrite(out, sizeof out, 1, stdout);
  }
  return 0;
}
"""


@pytest.mark.parametrize("compiler", COMPILERS)
def test_no_address_is_out_of_bounds_and_nothing_undefined(tmp_path, compiler):
    program = found(compiler)
    if program is None:
        pytest.skip(f"{compiler} is not installed")
    model, X = with_statistics(EveryLayer(9, 2)), rows(9)
    X[:, 0] = np.arange(len(X)) % 7
    want = model.predict(X)
    export.to_c(model, tmp_path / "m.c")
    (tmp_path / "main.c").write_text(f'#include "{tmp_path / "m.c"}"\n{PROGRAM}')
    built = [program, "-std=c99", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run([*built, tmp_path / "main.c", "-lm", "-o", tmp_path / "main"], check=True)
    done = subprocess.run([tmp_path / "main"], input=X.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[:4000]
    assert_same(np.frombuffer(done.stdout, np.float32).reshape(-1, 2), want)


# What is refused


def test_every_operation_of_the_core_can_be_written():
    graph = nn.Linear(1, 1)._graph(1)
    translation = Translation(Network(graph, [("w", np.ones((1, 1))), ("b", np.ones(1))], [""], "float64"))
    assert [op for op in _core.op_names() if translation._rule(op) is None] == []


class Unknown:
    """A graph with an operation that no whet has."""

    nodes = ({"op": "convolve", "inputs": [0], "output": 1, "options": {}, "parameters": []},)
    output = 1

    def shape(self, value):
        return (3,)


def test_an_operation_that_cannot_be_written_is_named_with_its_layer():
    with pytest.raises(ValueError, match=r"\[to_c\] expected .*, got 'convolve' in layer 'body.2'"):
        Translation(Network(Unknown(), [], ["body.2"], "float32"))


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(
        TypeError, match=r"\[to_c\] expected an nn.Module, a TabularModel or an estimator of whet.sklearn, got dict"
    ):
        export.to_c({}, tmp_path / "m.c")
    with pytest.raises(RuntimeError, match="not fitted"):
        export.to_c(whet.TabularModel("y"), tmp_path / "m.c")
    with pytest.raises(ValueError, match="does not say how many features it takes"):
        export.to_c(nn.ReLU(), tmp_path / "m.c")
    with pytest.raises(ValueError, match="does not say how many features it takes"):
        export.to_c(nn.Sequential(nn.Embedding(4, 2), nn.Flatten()), tmp_path / "m.c")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "2d", "a-b", "while", "ä", "a b"])
def test_a_name_that_c_does_not_allow_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"\[to_c\] expected name to be one that C allows"):
        export.to_c(nn.Linear(2, 1), tmp_path / "m.c", name=name)
