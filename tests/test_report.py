"""whet.report: a page that needs nothing else, whatever names a table has."""

from __future__ import annotations

import html.parser
import re
import subprocess
import sys

import numpy as np
import pytest

import whet
from tests.helpers import ROOT
from tests.test_diagnosis import Halves, curved
from whet import data, nn, optim
from whet.cli import main
from whet.reporting import measured
from whet.reporting.measured import Measured

pytest.importorskip("matplotlib", reason="the pictures of a report are drawn with matplotlib")

VOID = {"meta", "br", "path", "use", "rect", "image", "circle", "line"}


class Page(html.parser.HTMLParser):
    """Whether tags are closed in their order, and what the page has."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.links = [], [], []
        self.text = ""
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href", "data")]
        self.open += [tag] * (tag not in VOID)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, text):
        self.text += text


def page_of(path):
    found = Page(path.read_text(encoding="utf-8"))
    assert "script" not in found.tags
    assert all(link.startswith(("#", "data:")) for link in found.links)
    return found


def penguins():
    return data.split(data.load_penguins(), seed=0, stratify="species")


def test_a_report_of_a_table_of_classes(tmp_path):
    train, held = penguins()
    model = whet.TabularModel("species", hidden=(16,))
    history = model.fit(train, validation_data=held, metrics=["accuracy"], epochs=10)
    told = {"command": "whet train penguins.csv", "source": "from/here.csv"}
    whet.report(model, history, train, tmp_path / "r.html", held_out=held, **told)
    page = page_of(tmp_path / "r.html")
    for words in (
        "Diagnosis",
        "Calibration",
        "Columns that matter",
        "What columns do",
        "'from/here.csv',",
        "partial dependence on island",
        "bill_length_mm",
        "whet train penguins.csv",
    ):
        assert words in page.text
    assert page.tags.count("svg") == 12
    assert f"{model.evaluate(held)['accuracy']:.4g}" in page.text


def test_a_report_of_a_table_of_numbers_and_of_arrays(tmp_path):
    table = data.load_california_housing().take(slice(0, 400))
    model = whet.TabularModel("median_house_value", hidden=(16,))
    whet.report(model, model.fit(table, epochs=3), table, tmp_path / "r.html")
    page = page_of(tmp_path / "r.html")
    assert "No rows were held out" in page.text
    assert "residuals" in page.text
    X = np.random.default_rng(0).normal(size=(200, 3))
    network = nn.MLP(3, (8,), 1)
    network.fit(X, X[:, 0] > 0, loss="bce_with_logits", epochs=3)
    whet.report(network, None, (X, X[:, 0] > 0), tmp_path / "n.html", held_out=(X[:50], X[:50, 0] > 0))
    assert "model.fit(" in page_of(tmp_path / "n.html").text


def test_a_report_of_a_model_of_several_inputs(tmp_path):
    X, y = curved()
    given, model = ({"right": X[:, 2:], "left": X[:, :2]}, y), Halves()
    history = model.fit(*given, loss="mse", epochs=2)
    whet.report(model, history, given, tmp_path / "run.html")
    assert "right.3" in page_of(tmp_path / "run.html").text


def test_the_code_of_a_report_repeats_the_run(tmp_path):
    table = data.load_penguins()
    model = whet.TabularModel("species", hidden=(8,))
    model.fit(table, epochs=3, validation_fraction=0.2, seed=7)
    whet.report(model, None, table, tmp_path / "r.html")
    code = "import whet" + page_of(tmp_path / "r.html").text.partition("import whet")[2]
    space = {"table": table}
    exec(code, space)
    assert space["model"].network.fingerprint() == model.network.fingerprint()
    assert dict(space["history"]) == dict(model.history)


def test_names_from_outside_are_escaped(tmp_path):
    rng = np.random.default_rng(0)
    evil = '<script>alert("x")</script>&$x_1$'
    labels = np.array(["<b>$a$</b>", "c\nd", evil])[rng.integers(3, size=90)]
    table = data.Dataset({evil: rng.normal(size=90), "\x07": ["<i>"] * 90}, labels=labels, target=f"{evil}t")
    model = whet.TabularModel(f"{evil}t", hidden=(4,))
    whet.report(model, model.fit(table, epochs=2), table, tmp_path / "r.html", command=evil)
    page = page_of(tmp_path / "r.html")
    assert evil in page.text
    assert "<b>$a$</b>" in page.text
    assert "b" not in page.tags[page.tags.index("section") :]


@pytest.mark.parametrize(("rows", "columns", "classes"), [(1, 2, 0), (2, 1, 2), (300, 200, 100), (60, 3, 50)])
def test_tables_of_every_shape(tmp_path, rows, columns, classes):
    rng = np.random.default_rng(0)
    y = np.arange(rows) % classes if classes else rng.normal(size=rows)
    labels = [f"c{i}" for i in y] if classes else y
    table = data.Dataset(rng.normal(size=(rows, columns)), labels=labels)
    model = whet.TabularModel("target", "classification" if classes else "regression", hidden=(4,))
    whet.report(model, model.fit(table, epochs=1), table, tmp_path / "r.html")
    page_of(tmp_path / "r.html")


def test_a_failed_run_has_a_report(tmp_path):
    table = data.load_california_housing().take(slice(0, 300))
    model = whet.TabularModel("median_house_value", hidden=(16,))
    with pytest.raises(whet.NonFiniteError) as raised:
        model.fit(table, optimizer=optim.SGD(lr=1e6), epochs=5)
    whet.report(model, raised.value, table, tmp_path / "r.html")
    text = page_of(tmp_path / "r.html").text
    assert "The training failed" in text
    assert "rate too high" in text


def test_the_command_line_writes_a_report(tmp_path, capsys):
    path = ROOT / "python/whet/data/files/penguins.csv"
    out = tmp_path / "r.html"
    arguments = ["train", str(path), "--target", "species", "--epochs", "3", "--validation", "0.2"]
    assert main([*arguments, "--report", str(out)]) == 0
    assert f"report                  {out}" in capsys.readouterr().out
    assert f"whet {' '.join(arguments)} --report {out}" in page_of(out).text
    assert "held-out rows" in page_of(out).text
    failing = tmp_path / "f.html"
    assert main([*arguments, "--lr", "1e30", "--report", str(failing)]) == 1
    assert "The training failed" in page_of(failing).text
    assert main([*arguments, "--report", str(tmp_path / "no" / "r.html")]) == 1
    assert main([*arguments, "--report", "-"]) == 1
    assert "expected a file for --report" in capsys.readouterr().err


def test_without_matplotlib_there_is_a_clear_error(tmp_path):
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import whet\nfrom whet import nn\nm = nn.MLP(1, (), 1)\nm.fit([[1.0]], [1.0], loss='mse')\n"
        "whet.report(m, None, ([[1.0]], [1.0]), sys.argv[1])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "r.html")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert "ImportError: [report] needs matplotlib: pip install matplotlib" in done.stderr
    assert not list(tmp_path.iterdir())


def test_wrong_arguments(tmp_path):
    X = np.zeros((4, 2))
    model = nn.MLP(2, (), 1)
    with pytest.raises(TypeError, match="expected an nn"):
        whet.report(None, None, (X, X[:, 0]), tmp_path / "r.html")
    with pytest.raises(ValueError, match="no history"):
        whet.report(model, None, (X, X[:, 0]), tmp_path / "r.html")
    model.fit(X, X[:, 0], loss="mse")
    with pytest.raises(TypeError, match=r"expected data to be \(X, y\)"):
        whet.report(model, None, X, tmp_path / "r.html")


def test_sparse_rows_are_refused_by_name(tmp_path):
    sparse = pytest.importorskip("scipy.sparse", reason="scipy is not installed")
    X = np.eye(8, 3, dtype=np.float32)
    model = nn.Linear(3, 1)
    model.fit(X, X[:, 0], loss="mse")
    with pytest.raises(TypeError, match="expected a dense X, got a sparse one"):
        whet.report(model, None, (sparse.csr_matrix(X), X[:, 0]), tmp_path / "r.html")
    with pytest.raises(TypeError, match=r"\[diagnose\] expected a dense X"):
        whet.diagnose(model.history, model, sparse.csr_matrix(X), X[:, 0])


def test_numbers_of_a_report():
    said = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.65, 0.35]])
    truth = np.array([0, 1, 0, 0])
    seen = Measured(4, {}, ("a", "b"), truth, said.argmax(axis=1), said)
    assert measured.confusion(seen).tolist() == [[2, 1], [0, 1]]
    what, found = measured.calibration(seen)
    assert what == "said probability of b"
    assert found.confidence.tolist() == [0.1, 0.35, 0.7, 0.8]
    assert found.accuracy.tolist() == [0, 0, 0, 1]
    assert found.expected_calibration_error == pytest.approx((0.1 + 0.35 + 0.7 + 0.2) / 4)


def test_the_column_that_matters_leads():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 5)).astype(np.float32)
    model = nn.MLP(5, (16,), 1)
    model.fit(X, X[:, 3], loss="mse", epochs=40, optimizer=optim.Adam(lr=3e-3))
    before = X.copy()
    found = measured.importance(model, (X, X[:, 3]))
    assert found[0][0] == "x3"
    # Two independent values of variance 1 differ by one of variance 2.
    assert found[0][1] == pytest.approx(2, rel=0.2)
    assert all(abs(rise) < 0.1 for _, rise, _ in found[1:])
    for each in measured.attributions(model, (X, X[:, 3])):
        assert each.names == ("x0", "x1", "x2", "x3", "x4")
        assert each.importances.argmax() == 3
        assert each.importances[3] > 10 * np.delete(each.importances, 3).max()
    (flat, steep) = measured.dependence(model, (X, X[:, 3]), ["x0", "x3"])
    assert np.ptp(flat.average) < 0.1
    np.testing.assert_allclose(np.diff(steep.average[0]), np.diff(steep.grid_values[0]), rtol=0.3)
    np.testing.assert_array_equal(X, before)


def test_columns_of_a_frame_and_of_several_inputs_have_their_names(rng):
    pandas = pytest.importorskip("pandas", reason="a frame is one of pandas")
    arrow = pytest.importorskip("pyarrow", reason="a table is one of PyArrow")

    class Both(nn.Module):
        def __init__(self):
            self.body = nn.Linear(3, 1)

        def forward(self, hour, weather):
            return self.body(nn.concatenate([hour, weather]))

    X = rng.normal(size=(50, 3))
    frame, inputs = pandas.DataFrame(X, columns=["a", "b", "c"]), {"weather": X[:, 1:], "hour": X[:, :1]}
    for model, given, names in (
        (nn.Linear(3, 1), frame, {"a", "b", "c"}),
        (nn.Linear(3, 1), arrow.Table.from_pandas(frame), {"a", "b", "c"}),
        (Both(), inputs, {"hour", "weather.0", "weather.1"}),
    ):
        model.fit(given, X[:, 0], loss="mse", epochs=1)
        assert {name for name, *_ in measured.importance(model, (given, X[:, 0]))} == names


def test_pages_are_the_same_but_for_their_date(tmp_path):
    train, _ = penguins()
    model = whet.TabularModel("species", hidden=(4,))
    model.fit(train, epochs=2)
    for name in ("a", "b"):
        whet.report(model, None, train, tmp_path / name)
    first, second = (re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "", (tmp_path / name).read_text()) for name in ("a", "b"))
    assert first == second
