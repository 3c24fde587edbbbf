"""Files of ONNX that others have written: read where whet has their operations, refused by name where not."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings

import numpy as np
import pytest

import whet
from tests.test_onnx import HELPER, KIND, assert_same, computed, written
from whet import export, nn

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

RNG = np.random.default_rng(0)
INITIALIZERS = {
    "W": RNG.normal(size=(4, 4)),
    "V": RNG.normal(size=(4, 3)),
    "B": RNG.normal(size=4),
    "R": RNG.normal(size=(1, 4)),
    "C": RNG.normal(size=(1, 1, 4)),
    "P": RNG.uniform(0.5, 1, 4),
    "M": RNG.normal(size=(1, 4, 1)),
    "G": RNG.normal(size=(2, 2, 3)),
    "half": np.array(0.5),
    "two": np.array(2.0),
    "root": np.array(np.sqrt(2)),
    "one": np.array(1.0),
}
BLOCK = "H = Constant <value = int64[3] {0, 2, 2}> () Z = Reshape (X, H)"  # X as rows of shape (2, 2)

# The body of a graph that makes Y of X (n, 4).
CASES = {
    "Gemm": "Y = Gemm (X, W, B)",
    "Gemm of a transposed weight": "Y = Gemm <transB = 1> (X, W, R)",
    "Gemm with factors": "Y = Gemm <alpha = 0.5, beta = 0.0> (X, W, B)",
    "Gemm and a number": "Y = Gemm (X, V, half)",
    "MatMul": "H = MatMul (X, V) Y = Relu (H)",
    "MatMul of a transposed weight": "T = Transpose <perm = [1, 0]> (W) Y = MatMul (X, T)",
    "Einsum": f'{BLOCK} Y = Einsum <equation = "ngi, gio -> ngo"> (Z, G)',
    "arithmetic": "A = Add (X, B) S = Sub (R, A) M1 = Mul (S, C0) D = Div (M1, two) N = Neg (D) Y = Sum (N, X, half)",
    "rows of several axes": f"{BLOCK} A = Mul (Z, two) F = Flatten (A) Y = Sub (F, X)",
    "a number of one element": "K = Constant <value = float[1] {0.3}> () Y = Add (X, K)",
    "powers": "A = Abs (X) Q = Pow (A, half) S = Pow (X, two) Y = Add (Q, S)",
    "comparisons": "A = Greater (X, half) D = Less (X, B) O = Or (A, D) N = Not (O) E = And (N, A) F = Or (E, D) "
    "Y = Cast <to = 1> (F)",
    "comparisons that include": "A = GreaterOrEqual (X, B) D = LessOrEqual (X, half) E = And (A, D) "
    "Y = Cast <to = 1> (E)",
    "equal": "S = Sub (X, X) A = Add (S, half) E = Equal (A, half) Y = Cast <to = 1> (E)",
    "truth of numbers": "S = Relu (X) T = Cast <to = 9> (S) F = Cast <to = 1> (T) Y = Add (F, X)",
    "Where": "A = Greater (X, half) Y = Where (A, X, B)",
    "Max and Min": "A = Max (X, B, half) Y = Min (A, one)",
    "Clip": "Y = Clip (X, , half)",
    "Clip on both sides": "N = Neg (half) Y = Clip (X, N, one)",
    "PRelu": "Y = PRelu (X, P)",
    "gelu": "D = Div (X, root) E = Erf (D) A = Add (E, one) M1 = Mul (X, A) Y = Mul (M1, half)",
    "gelu by halves": "D = Div (X, root) E = Erf (D) A = Add (one, E) H = Mul (half, X) Y = Mul (H, A)",
    "gelu the other way": "D = Div (X, root) E = Erf (D) A = Add (E, one) H = Mul (A, half) Y = Mul (H, X)",
    "HardSigmoid": "Y = HardSigmoid (X)",
    "Selu and Elu": "A = Selu (X) Y = Elu <alpha = 0.3> (A)",
    "LeakyRelu": "Y = LeakyRelu (X)",
    "Shrink": "Y = Shrink <lambd = 0.2, bias = 0.2> (X)",
    "sigmoid times x": "S = Sigmoid (X) Y = Mul (X, S)",
    "Softmax": "Y = Softmax <axis = 1> (X)",
    "LogSoftmax": "Y = LogSoftmax (X)",
    "LayerNormalization": "Y = LayerNormalization <epsilon = 0.1> (X, P, B)",
    "LayerNormalization without a shift": "Y = LayerNormalization (X, P)",
    "BatchNormalization": "Y = BatchNormalization <epsilon = 0.1> (X, P, B, R0, P0)",
    "BatchNormalization that shares an array": "Y = BatchNormalization (X, P, B, B, P)",
    "Dropout": "Y = Dropout (X)",
    "sums": "K = Constant <value = int64[1] {1}> () A = ReduceSum (X, K) D = ReduceMean (X, K) Y = Add (A, D)",
    "sums of all": f"{BLOCK} K = Constant <value = int64[2] {{1, -1}}> () Y = ReduceSum (Z, K)",
    "sums without axes": f"{BLOCK} K = Constant <value = int64[1] {{1}}> () Y = ReduceMean <keepdims = 0> (Z, K)",
    "norms": "K = Constant <value = int64[1] {-1}> () A = ReduceL2 (X, K) D = ReduceSumSquare (X, K) "
    "E = ReduceLogSumExp (X, K) S = Add (A, D) Y = Add (S, E)",
    "one number for a row": "K = Constant <value = int64[1] {1}> () A = ReduceSum <keepdims = 0> (X, K) "
    "U = Unsqueeze (A, K) Y = Mul (U, X)",
    "Reshape by Shape": "S = Shape (X) Z0 = Constant <value = int64 {0}> () N = Gather (S, Z0) "
    "K = Constant <value = int64[1] {0}> () U = Unsqueeze (N, K) L = Constant <value = int64[2] {2, 2}> () "
    "T = Concat <axis = 0> (U, L) R1 = Reshape (X, T) K2 = Constant <value = int64[1] {2}> () "
    "A = ReduceMean (R1, K2) Y = Flatten (A)",
    "Squeeze and Unsqueeze": "K = Constant <value = int64[1] {1}> () U = Unsqueeze (X, K) A = Mul (U, C) "
    "Y = Squeeze (A, K)",
    "Transpose that moves nothing": "K = Constant <value = int64[1] {2}> () U = Unsqueeze (X, K) "
    "T = Transpose <perm = [0, 2, 1]> (U) S = Softmax <axis = -1> (T) Y = Flatten (S)",
    "Slice": "A = Constant <value = int64[1] {1}> () E = Constant <value = int64[1] {9999}> () Y = Slice (X, A, E, A)",
    "Slice backwards": "A = Constant <value = int64[1] {-1}> () E = Constant <value = int64[1] {-9999}> () "
    "K = Constant <value = int64[1] {1}> () Y = Slice (X, A, E, K, A)",
    "Split": "A, D = Split <axis = 1, num_outputs = 2> (X) Y = Concat <axis = -1> (D, A)",
    "Split in parts": "K = Constant <value = int64[2] {1, 3}> () A, D = Split <axis = 1> (X, K) "
    "Y = Concat <axis = 1> (D, A)",
    "Gather of elements": "K = Constant <value = int64[3] {3, 0, 0}> () Y = Gather <axis = 1> (X, K)",
    "Gather of one element": "K = Constant <value = int64 {2}> () G1 = Gather <axis = 1> (X, K) "
    "U = Constant <value = int64[1] {1}> () Y = Unsqueeze (G1, U)",
    "an embedding": "A = Sub (X, X) I = Cast <to = 7> (A) E = Gather (W, I) Y = Flatten (E)",
    "a weight that is computed": "A = Mul (W, half) D = Sqrt (P) E = Div (A, D) Y = MatMul (X, E)",
}


def model_of(body, dtype="float", opset=20, others=""):
    """A model whose graph has that body."""
    text = f'<ir_version: 9, opset_import: ["" : {opset}]> g ({dtype}[n, 4] X{others}) => (float Y) {{ {body} }}'
    model = onnx.parser.parse_model(text)
    model.graph.output[0].CopyFrom(HELPER.make_tensor_value_info("Y", KIND.FLOAT, None))
    used = {name for node in model.graph.node for name in node.input}
    arrays = {name: array.astype(np.float32) for name, array in INITIALIZERS.items()}
    arrays |= {"C0": arrays["C"][0], "R0": arrays["R"][0], "P0": arrays["P"] * 2}
    arrays["H16"] = arrays["W"].astype(np.float16)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a, n) for n, a in arrays.items() if n in used)
    return model


def saved(model, path):
    path.write_bytes(model.SerializeToString())
    return path


def rows():
    return np.random.default_rng(1).normal(size=(7, 4)).astype(np.float32)


@pytest.mark.parametrize("case", CASES)
def test_what_others_write_is_read(case, tmp_path):
    model, X = model_of(CASES[case]), rows()
    path = saved(model, tmp_path / "m.onnx")
    read = export.from_onnx(path)
    assert_same([read.predict(X)], computed(path, X), 1e-5)
    assert_same([export.from_onnx(written(read, path)).predict(X)], [read.predict(X)], 1e-5)


def test_running_statistics_are_arrays_of_their_own(tmp_path):
    """They change while training, and what they were equal to does not."""
    model = model_of("A = Mul (X, B) Y = BatchNormalization <momentum = 0.6> (A, P, B, B, P)")
    read = export.from_onnx(saved(model, tmp_path / "m.onnx"))
    trained = {name: each.requires_grad for name, each in read.named_parameters()}
    own = {"Y.running_mean": False, "Y.running_var": False, "Y.num_batches_tracked": False}
    assert trained == {"B": True, "P": True, **own}
    read.fit(rows(), rows(), loss="mse", optimizer="sgd", epochs=1)
    state = read.state_dict()
    assert not np.array_equal(state["B"], state["Y.running_mean"])
    assert state["Y.num_batches_tracked"] == 1


def test_numbers_in_half_precision(tmp_path):
    """No product has operands of two types: the runtime casts."""
    model, X = model_of("F = Cast <to = 1> (H16) Y = MatMul (X, F)"), rows()
    path = saved(model, tmp_path / "m.onnx")
    read = export.from_onnx(path)
    assert read.dtype == "float32"
    assert_same([read.predict(X)], computed(path, X), 1e-5)


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 22])
def test_older_and_newer_versions(opset, tmp_path):
    """Axes, limits and parts were attributes once."""
    old = opset < 13
    body = (
        "S = ReduceSum <axes = [1], keepdims = 0> (X) U = Unsqueeze <axes = [1]> (S) "
        if old
        else "K = Constant <value = int64[1] {1}> () S = ReduceSum <keepdims = 0> (X, K) U = Unsqueeze (S, K) "
    )
    body += "A = Add (U, X) L = Clip <max = 0.5> (A) " if opset < 11 else "A = Add (U, X) L = Clip (A, , half) "
    body += (
        "A0, A1 = Split <axis = 1, split = [1, 3]> (L) "
        if old
        else "P2 = Constant <value = int64[2] {1, 3}> () A0, A1 = Split <axis = 1> (L, P2) "
    )
    body += "D = Concat <axis = 1> (A1, A0) Y = Softmax <axis = 1> (D)"
    X, path = rows(), saved(model_of(body, opset=opset), tmp_path / "m.onnx")
    assert_same([export.from_onnx(path).predict(X)], computed(path, X), 1e-5)


# What cannot be read: (the body of a graph, words of the message)
REFUSED = {
    "an operation that whet has not": ("Y = Tan (X)", ["Tan of node 'Y'", "no such operation"]),
    "one without rows": ("A = Tan (W) Y = MatMul (X, A)", ["Tan of node 'A'"]),
    "a product of rows": ("T = Transpose (X) Y = MatMul (X, T)", ["Transpose of node 'T'", "order"]),
    "two values": ("Y = MatMul (X, X)", ["MatMul of node 'Y'", "same for all rows"]),
    "a sum over rows": ("K = Constant <value = int64[1] {0}> () Y = ReduceSum (X, K)", ["ReduceSum", "rows"]),
    "a sum over all": ("Y = ReduceMean (X)", ["ReduceMean", "rows"]),
    "rows side by side": ("Y = Concat <axis = 0> (X, X)", ["Concat", "behind that of the rows"]),
    "rows in another shape": ("H = Constant <value = int64[2] {-1, 2}> () Y = Reshape (X, H)", ["Reshape", "2"]),
    "all as one": ("Y = Flatten <axis = 0> (X)", ["Flatten", "axis 1"]),
    "numbers of their own for each row": ("Y = Add (X, W)", ["Add of node 'Y'", "(4, 4)"]),
    "erf alone": ("Y = Erf (X)", ["Erf of node 'Y'", "GELU"]),
    "erf that comes to something else": ("D = Div (X, root) E = Erf (D) Y = Mul (E, X)", ["Mul", "GELU"]),
    "erf that is the output": ("D = Div (X, root) Y = Erf (D)", ["output 'Y'"]),
    "a strange Shrink": ("Y = Shrink <lambd = 0.5, bias = 0.1> (X)", ["Shrink", "0.1"]),
    "a strange Einsum": ('Y = Einsum <equation = "ni, ij -> nj"> (X, W)', ["Einsum", "ni,ij->nj"]),
    "whole numbers as numbers": ("I = Cast <to = 7> (X) F = Cast <to = 7> (I) Y = Neg (F)", ["Neg", "Gather"]),
    "an output without rows": ("Y = Neg (W)", ["output 'Y'"]),
    "a value that nothing makes": ("Y = Add (X, Q)", ["Add of node 'Y'", "the input 'Q' to be made by a node before"]),
    "an output that nothing makes": ("A = Relu (X)", ["the output 'Y' to be made by a node before"]),
    "nodes in a circle": ("A = Relu (Y) Y = Relu (A)", ["Relu of node 'A'", "the input 'Y' to be made"]),
    "a large power": ("K = Constant <value = float {9.5}> () Y = Pow (X, K)", ["Pow", "9.5"]),
    "softmax over another axis": (
        "U = Constant <value = int64[1] {2}> () A = Unsqueeze (X, U) Y = Softmax <axis = 1> (A)",
        ["Softmax", "last"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_whet_cannot_compute_is_refused_by_name(case, tmp_path):
    body, words = REFUSED[case]
    path = saved(model_of(body), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=r"^\[from_onnx\]") as raised:
        export.from_onnx(path)
    assert all(word in str(raised.value) for word in words), str(raised.value)


def test_inputs_that_are_no_rows_of_numbers_are_refused(tmp_path):
    for kind, shape, word in (
        (KIND.STRING, ["n", 4], "STRING"),
        (KIND.FLOAT, ["n", "m"], "known"),
        (KIND.FLOAT, [], "known"),
    ):
        model = model_of("Y = Relu (X)")
        model.graph.input[0].CopyFrom(HELPER.make_tensor_value_info("X", kind, shape))
        with pytest.raises(ValueError, match=word):
            export.from_onnx(saved(model, tmp_path / "m.onnx"))


def test_files_that_are_no_models_are_refused(tmp_path):
    good = model_of("Y = MatMul (X, W)").SerializeToString()
    for damaged in (b"", b"no model", good[:-9], good[: len(good) // 2]):
        (tmp_path / "m.onnx").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"^\[from_onnx\]"):
            export.from_onnx(tmp_path / "m.onnx")
    with pytest.raises(OSError, match="missing"):
        export.from_onnx(tmp_path / "missing.onnx")
    with pytest.raises(TypeError, match="path"):
        export.from_onnx(7)


def test_a_small_file_takes_no_large_memory(tmp_path):
    model = model_of("A = Add (wide, tall) D = MatMul (X, A) Y = Relu (D)")
    wide = np.zeros((1, 300_000), np.float32)
    for name, array in (("wide", wide), ("tall", wide.T)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
    with pytest.raises(ValueError, match=r"Add of node 'A'.*more numbers"):
        export.from_onnx(saved(model, tmp_path / "m.onnx"))


def test_damaged_bytes_are_an_error_or_another_model(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "m.onnx"
    whole = model_of(
        f"{CASES['BatchNormalization']} K = Constant <value = int64[2] {{1, 3}}> () "
        "A, D = Split <axis = 1> (X, K) N = Cast <to = 1> (A)"
    ).SerializeToString()
    for _ in range(300):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 2):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        with contextlib.suppress(ValueError, OSError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of numbers that are no longer finite
            export.from_onnx(path)


def test_a_custom_domain_is_refused(tmp_path):
    model = model_of("Y = Relu (X)")
    model.graph.node[0].domain = "com.example"
    with pytest.raises(ValueError, match="Relu of node 'Y'"):
        export.from_onnx(saved(model, tmp_path / "m.onnx"))


def test_several_axes_and_whole_numbers(tmp_path):
    model = model_of("F = Flatten (X) A = Mul (F, two) Y = Add (A, T)", others=", int64[n, 3] I")
    model.graph.input[0].CopyFrom(HELPER.make_tensor_value_info("X", KIND.FLOAT, [5, 2, 2]))
    model.graph.node.insert(0, HELPER.make_node("Gather", ["W", "I"], ["E"]))
    model.graph.node.insert(1, HELPER.make_node("ReduceSum", ["E", "axis"], ["T"], keepdims=0))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "axis"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(INITIALIZERS["W"].astype(np.float32), "W"))
    X, indices = np.random.default_rng(0).normal(size=(5, 2, 2)).astype(np.float32), np.arange(15).reshape(5, 3) % 4
    path = saved(model, tmp_path / "m.onnx")
    read = export.from_onnx(path)
    found = read.predict({"X": X.reshape(5, 4), "I": indices})
    assert_same([found], computed(path, {"X": X, "I": indices}), 1e-5)


# Numbers in a file of their own


def beside(tmp_path, **changes):
    """A model whose weights lie in a file beside it."""
    path = tmp_path / "m.onnx"
    onnx.save(model_of("Y = MatMul (X, W)"), path, save_as_external_data=True, location="m.data", size_threshold=0)
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = changes.get(entry.key, entry.value)
    return saved(model, path)


def test_numbers_in_a_file_beside(tmp_path):
    path, X = beside(tmp_path), rows()
    assert_same([export.from_onnx(path).predict(X)], computed(path, X), 1e-5)


@pytest.mark.parametrize("location", ["../m.data", "/etc/hostname", "sub/m.data", "..", ""])
def test_no_other_folder_is_read(location, tmp_path):
    with pytest.raises(ValueError, match="a file beside the model"):
        export.from_onnx(beside(tmp_path, location=location))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"offset": "a"}, "a whole number as place of 'W' in 'm.data'"),
        ({"length": "4"}, "expected 'W' to have as many"),
    ],
)
def test_a_place_that_cannot_be_names_the_numbers(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export.from_onnx(beside(tmp_path, **changes))


def test_no_link_no_pipe_and_nothing_short_is_read(tmp_path):
    path, numbers = beside(tmp_path), tmp_path / "m.data"
    whole = numbers.read_bytes()
    numbers.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="bytes"):
        export.from_onnx(path)
    numbers.unlink()
    with pytest.raises(OSError, match=r"m\.data"):
        export.from_onnx(path)
    (tmp_path / "secret").write_bytes(whole)
    numbers.symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match=r"m\.data"):
        export.from_onnx(path)
    numbers.unlink()
    os.link(tmp_path / "secret", numbers)
    with pytest.raises(ValueError, match="links"):
        export.from_onnx(path)
    numbers.unlink()
    os.mkfifo(numbers)
    with pytest.raises(ValueError, match="plain file"):
        export.from_onnx(path)
    numbers.unlink()
    numbers.mkdir()
    with pytest.raises(ValueError, match="plain file"):
        export.from_onnx(path)


# Writing


def test_what_cannot_be_written(tmp_path, monkeypatch):
    path = tmp_path / "m.onnx"
    with pytest.raises(
        TypeError, match=r"expected an nn\.Module, a TabularModel or an estimator of whet\.sklearn, got dict"
    ):
        export.to_onnx({}, path)
    with pytest.raises(TypeError, match="path"):
        export.to_onnx(nn.Linear(2, 1), 7)
    with pytest.raises(ValueError, match="how many features it takes"):
        export.to_onnx(nn.Sequential(nn.ReLU()), path)
    with pytest.raises(RuntimeError, match="not fitted"):
        export.to_onnx(whet.TabularModel("y"), path)
    model = whet.TabularModel("y", hidden=(2,))
    model.fit({"label": np.arange(9.0), "y": np.arange(9) % 2}, epochs=1)
    with pytest.raises(ValueError, match="'label'"):
        export.to_onnx(model, path)
    assert not path.exists()
    with pytest.raises(OSError, match="nowhere"):
        export.to_onnx(nn.Linear(2, 1), tmp_path / "nowhere" / "m.onnx")


def test_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    for action in (lambda: export.to_onnx(nn.Linear(2, 1), tmp_path / "m.onnx"), lambda: export.from_onnx("m.onnx")):
        with pytest.raises(ImportError, match=r"needs the package onnx: pip install onnx"):
            action()


# PyTorch


class Theirs:
    """Networks of PyTorch, each with the shape of its rows."""

    @staticmethod
    def perceptron(torch):
        return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(8, 3))

    @staticmethod
    def normalized(torch):
        return torch.nn.Sequential(
            torch.nn.Linear(6, 8),
            torch.nn.BatchNorm1d(8),
            torch.nn.GELU(),
            torch.nn.LayerNorm(8),
            torch.nn.SiLU(),
            torch.nn.Linear(8, 1),
            torch.nn.Softplus(),
        )

    @staticmethod
    def residual(torch):
        class Residual(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.second = torch.nn.Linear(6, 6), torch.nn.Linear(6, 6)
                self.head = torch.nn.Linear(12, 2)

            def forward(self, x):
                block = x + self.second(torch.tanh(self.first(x))) * 0.5
                block = torch.cat([block[:, 2:], block[:, :2], x.clamp(min=0)], dim=1)
                return torch.log_softmax(self.head(block), dim=-1).squeeze(-1)

        return Residual()


@pytest.mark.filterwarnings("ignore")  # of their exporter
@pytest.mark.parametrize("version", [11, 17, 20])
@pytest.mark.parametrize("name", ["perceptron", "normalized", "residual"])
def test_networks_of_pytorch(name, version, torch, tmp_path):
    torch.manual_seed(0)
    theirs, path = getattr(Theirs, name)(torch), tmp_path / "m.onnx"
    X = torch.randn(40, 6)
    theirs(X)  # the running statistics are no longer zero and one
    theirs.eval()
    axes = {"x": {0: "rows"}}
    torch.onnx.export(theirs, (X[:2],), path, dynamo=False, opset_version=version, input_names=["x"], dynamic_axes=axes)
    ours = export.from_onnx(path)
    with torch.no_grad():
        wanted = theirs(X).numpy()
    assert_same([ours.predict(X.numpy())], [wanted], 1e-5)
    trained = {key: tuple(value.shape) for key, value in theirs.named_parameters()}
    found = {key: value.shape for key, value in ours.named_parameters() if value.requires_grad}
    if version > 11:  # else the exporter takes normalisations apart
        assert found == trained
    ours.fit(X.numpy(), np.zeros((40, wanted.shape[1]), np.float32), loss="mse", epochs=1)


@pytest.mark.filterwarnings("ignore")  # of their exporter
def test_pytorchs_newer_exporter(torch, tmp_path):
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    torch.manual_seed(0)
    theirs, path = Theirs.normalized(torch), tmp_path / "m.onnx"
    X = torch.randn(40, 6)
    theirs(X)
    theirs.eval()
    torch.onnx.export(theirs, (X,), path, dynamo=True, verbose=False, external_data=True)
    with torch.no_grad():
        wanted = theirs(X).numpy()
    ours = export.from_onnx(path)
    assert_same([ours.predict(X.numpy()[:7])], [wanted[:7]], 1e-5)
    names = {name for name, each in ours.named_parameters() if each.requires_grad}
    assert "0.weight" in names
    assert names <= dict(theirs.named_parameters()).keys()  # the exporter takes the batch norm into the layer before it
