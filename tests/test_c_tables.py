"""whet.export.to_c of a TabularModel: a row's columns in, the class or number that predict gives out."""

from __future__ import annotations

import ctypes
import itertools
import subprocess
from pathlib import Path

import numpy as np
import pytest

import whet
from tests.c_programs import assert_same, compiled, found, predicted
from tests.helpers import ROOT
from whet import _elementary, data, export, losses, nn
from whet.data import Dataset, Preprocessor
from whet.export import c_source
from whet.export.c_source.literals import identifier, number, string

# Texts that C could misread, and columns whose names it refuses.
LEVELS = [
    "plain",
    'a "quote"',
    "back\\slash",
    "??/ ??= ?",
    "*/ /*",
    "übel",
    "漢字",
    "new\nline",
    "",
    "3",
    "%d",
    "copy(1)",
]
NAMES = {"number": ["class", "a b", "a-b", "1st", "NAN"], "text": ["while", "a_b", "ä", "*/", "of"]}


def table(count=200, seed=0, target="label", gaps=0.2):
    generator = np.random.default_rng(seed)
    columns = {}
    for name in NAMES["number"]:
        numbers = generator.normal(size=count) * generator.choice([0.01, 1, 1000]) + generator.normal()
        columns[name] = np.where(generator.random(count) < gaps, np.nan, np.round(numbers, 3))
    for name in NAMES["text"]:
        cells = generator.choice(np.array(LEVELS, object), count)
        cells[generator.random(count) < gaps] = None
        columns[name] = cells
    score = np.nan_to_num(columns["class"]) + (columns["while"] == "plain")
    labels = {"label": np.array(['lo"w', "middle", "high"], object)[np.digitize(score, [0, 0.7])], "price": score + 3}
    return Dataset(columns, labels[target], target=target)


def changed(rows, column, cells):
    """The rows with other first cells in a column."""
    column_of_rows = rows.features[column].copy()
    column_of_rows[: len(cells)] = cells
    return rows.with_columns({column: column_of_rows})


class Row:
    """Rows of a table as a program in C has them."""

    def __init__(self, model):
        self.kinds, taken = model.preprocessor.kinds, []
        for name in self.kinds:
            taken.append(identifier(name, taken))
        types = [ctypes.c_double if kind == "number" else ctypes.c_char_p for kind in self.kinds.values()]
        self.type = type("Row", (ctypes.Structure,), {"_fields_": list(zip(taken, types, strict=True))})

    def of(self, data, i):
        cells = [data.features[name][i] for name in self.kinds]
        return self.type(*(c.encode() if isinstance(c, str) else None if c is None else float(c) for c in cells))


def outcomes(library, model, data):
    row, rows = Row(model), range(data.rows)
    library.model_predict.restype = ctypes.c_int if model.task == "classification" else ctypes.c_double
    return np.array([library.model_predict(ctypes.byref(row.of(data, i))) for i in rows])


def probabilities(library, model, data):
    out, row = np.full((data.rows, len(model.classes_)), np.nan, np.float32), Row(model)
    for i, each in enumerate(out):
        library.model_predict_proba(ctypes.byref(row.of(data, i)), each.ctypes.data_as(ctypes.c_void_p))
    return out


SCALERS = ["RobustScaler", "StandardScaler", "MinMaxScaler", "QuantileScaler", data.RobustScaler(clip=None), None]


@pytest.mark.parametrize("scaler", SCALERS, ids=str)
def test_classes_and_probabilities_are_those_of_predict(tmp_path, scaler):
    model = whet.TabularModel("label", hidden=(8,), preprocessor=Preprocessor(scaler=scaler))
    model.fit(table(), epochs=2)
    export.to_c(model, tmp_path / "m.c")
    library = compiled(tmp_path, "m")
    unseen = changed(table(100, seed=1), "while", ["unknown", "pla", "plainer"])
    assert list(model.classes_[outcomes(library, model, unseen)]) == list(model.predict(unseen))
    assert_same(probabilities(library, model, unseen), model.predict_proba(unseen))
    names = (ctypes.c_char_p * 3).in_dll(library, "model_classes")
    assert [name.decode() for name in names] == list(model.classes_)


def test_embedded_categories_and_other_fillings(tmp_path):
    steps = {
        "imputer": data.Imputer("mean", indicator=False),
        "encoder": data.OrdinalEncoder(max_categories=4),
        "category_imputer": data.CategoryImputer("most_frequent"),
    }

    class Network(nn.Module):
        def __init__(self):
            self.table, self.body = nn.Embedding(8, 3), nn.Linear(20, 3)

        def forward(self, x):
            return self.body(nn.concatenate([x[:, :5], self.table(x[:, 5:]).flatten()]))

    model = whet.TabularModel("label", network=Network(), preprocessor=Preprocessor(**steps))
    with pytest.warns(whet.WhetWarning, match="most frequent are kept"):
        model.fit(table(), epochs=2)
    export.to_c(model, tmp_path / "m.c")
    library, unseen = compiled(tmp_path, "m"), table(100, seed=1)
    assert_same(probabilities(library, model, unseen), model.predict_proba(unseen))


@pytest.mark.parametrize(
    "loss", ["mse", "poisson", losses.QuantileLoss((0.1, 0.4, 0.9)), losses.MemberLoss("mse")], ids=str
)
def test_numbers_are_those_of_predict(tmp_path, loss):
    def network(features, outputs):
        if isinstance(loss, losses.MemberLoss):
            return nn.Sequential(nn.LinearEnsemble(features, 8, k=4), nn.ReLU(), nn.LinearEnsemble(8, outputs, k=4))
        return nn.MLP(features, (8,), 3 if isinstance(loss, losses.QuantileLoss) else outputs)

    model = whet.TabularModel("price", network=network)
    model.fit(table(target="price"), loss=loss, epochs=2)
    export.to_c(model, tmp_path / "m.c")
    unseen = table(100, seed=1, target="price")
    got, want = outcomes(compiled(tmp_path, "m"), model, unseen), model.predict(unseen)
    if loss == "poisson":  # of which NumPy takes the exponential
        np.testing.assert_allclose(got, want, rtol=1e-5)
    else:
        assert_same(got, want)


def test_a_float64_network_computes_so(tmp_path):
    model = whet.TabularModel("price", network=lambda i, o: nn.MLP(i, (8,), o).to("float64"))
    model.fit(table(target="price"), epochs=2)
    export.to_c(model, tmp_path / "m.c")
    unseen = table(100, seed=1, target="price")
    np.testing.assert_allclose(outcomes(compiled(tmp_path, "m"), model, unseen), model.predict(unseen), rtol=1e-14)


def test_what_predict_refuses_has_no_class(tmp_path):
    for target, wanted in (("label", -1), ("price", np.nan)):
        model = whet.TabularModel(target, hidden=(4,), preprocessor=Preprocessor(scaler="QuantileScaler"))
        model.fit(table(target=target, gaps=0), epochs=1)
        export.to_c(model, tmp_path / f"{target}.c")
        rows = changed(table(3, target=target, gaps=0), "class", [np.inf, -np.inf, 1e300])
        got = outcomes(compiled(tmp_path, target), model, rows)
        np.testing.assert_array_equal(got[:2], [wanted, wanted])
        assert got[2] >= -0.5


def test_numbers_that_float32_cannot_hold_have_no_class(tmp_path):
    model = whet.TabularModel("label", hidden=(4,), preprocessor=Preprocessor(scaler=None))
    model.fit(table(gaps=0), epochs=1)
    export.to_c(model, tmp_path / "m.c")
    rows = changed(table(1, gaps=0), "class", [1e300])
    assert outcomes(compiled(tmp_path, "m"), model, rows) == [-1]


def test_a_table_of_numbers_alone_and_one_of_text_alone(tmp_path):
    whole = table(gaps=0)
    for kind, names in NAMES.items():
        some = Dataset({name: whole.features[name] for name in names}, whole.labels, target="label")
        model = whet.TabularModel("label", hidden=(4,))
        model.fit(some, epochs=1)
        export.to_c(model, tmp_path / f"{kind}.c")
        assert_same(probabilities(compiled(tmp_path, kind), model, some), model.predict_proba(some))


def test_two_models_stand_in_one_program(tmp_path):
    model = whet.TabularModel("label", hidden=(4,))
    model.fit(table(), epochs=1)
    export.to_c(model, tmp_path / "first.c", name="first")
    export.to_c(model.network, tmp_path / "second.c", name="second")
    X = np.random.default_rng(0).normal(size=(9, len(model.preprocessor.feature_names))).astype(np.float32)
    assert_same(predicted(compiled(tmp_path, "first", "second"), X, 3, "second"), model.network.predict(X))


def test_the_program_of_the_page_prints_what_predict_says(tmp_path):
    """The page itself is run by test_docs."""
    if found("gcc") is None:
        pytest.skip("gcc is not installed")
    page = (ROOT / "docs" / "howto" / "c.md").read_text(encoding="utf-8")
    model = whet.TabularModel("species", hidden=(16,))
    model.fit(data.load_penguins(), epochs=2)
    export.to_c(model, tmp_path / "penguins.c", name="penguins")
    (tmp_path / "main.c").write_text(page.split("```c\n")[1].split("```")[0])
    compile_it = [found("gcc"), "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "main.c", "-lm", "-o", "main"]
    subprocess.run(compile_it, cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "main"], check=True, capture_output=True, text=True).stdout
    cells = {"bill_length_mm": 47.6, "bill_depth_mm": 14.5, "flipper_length_mm": None, "body_mass_g": 5400}
    row = {name: [cell] for name, cell in {"island": "Biscoe", "sex": "MALE", **cells}.items()}
    assert printed == f"{model.predict(row)[0]}, {model.predict_proba(row).max():.6f}\n"


def test_the_coefficients_of_the_quantile_are_those_of_the_preprocessor():
    text = (Path(c_source.__file__).parent / "table.c").read_text().split("QUANTILE_")
    for block, pairs in zip(text[1:4], (_elementary.MIDDLE, _elementary.NEAR, _elementary.FAR), strict=True):
        written = [float(each) for each in block[block.index("{") + 1 : block.index("}")].split(",")]
        assert written == list(itertools.chain(*pairs))


def test_categories_with_the_end_of_text_in_them_are_refused(tmp_path):
    rows = changed(table(), "ä", ["a\0b"])
    model = whet.TabularModel("label", hidden=(4,))
    model.fit(rows, epochs=1)
    with pytest.raises(ValueError, match=r"\[to_c\] column 'ä': expected categories without the character 0"):
        export.to_c(model, tmp_path / "m.c")


def test_outputs_that_are_no_row_are_refused(tmp_path):
    model = whet.TabularModel("price", network=lambda i, o: nn.Sequential(nn.Linear(i, 4), nn.Unflatten(1, (4, 1))))
    model.fit(table(target="price"), loss=lambda p, t: (p.mean(axis=1) - t) ** 2, epochs=1)
    with pytest.raises(ValueError, match="expected a network whose rows of outputs have one axis"):
        export.to_c(model, tmp_path / "m.c")


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -17.0, 0.1, 1e-45, 3.4e38, 1e300, 5e-324, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_literals_are_exact(value, dtype):
    with np.errstate(over="ignore"):
        wanted = np.dtype(dtype).type(value)
        text = number(value, dtype).removesuffix("f")
    words = {"NAN": np.nan, "INFINITY": np.inf, "-INFINITY": -np.inf}
    got = np.dtype(dtype).type(words[text] if text in words else float.fromhex(text) if "x" in text else float(text))
    assert got.tobytes() == wanted.tobytes()


def test_text_is_plain_and_whole():
    assert string('a"\\?\n é') == r'"a\042\134\077\012 \303\251"'


def test_names_are_such_that_c_takes():
    names = []
    for text in ("age", "AGE", "a b", "a-b", "2nd", "while", "", "ä", "unix"):
        names.append(identifier(text, names))
    assert names == ["age", "age_2", "a_b", "a_b_2", "c_2nd", "c_while", "c_", "c__2", "c_unix"]
