"""What a history is besides a mapping: a table, a picture, text; copies and files of it."""

from __future__ import annotations

import copy
import html.parser
import json
import pickle
import sys

import numpy as np
import pandas as pd
import pytest

from tests.helpers import same_bits
from whet import History, callbacks, nn
from whet.training.plots import panels


@pytest.fixture
def history(rng):
    X, y = rng.normal(size=(90, 3)), rng.normal(size=90)
    return nn.Linear(3, 1).fit(X, y, loss="mse", metrics=("mae", "r2"), epochs=4, validation_data=(X, y))


def long(epochs):
    found = History(0)
    for epoch in range(epochs):
        found.append(loss=1 / (1 + epoch), lr=0.1, val_loss=(epoch - 7.2) ** 2)
    return found


def test_its_class_is_public(history):
    assert type(history) is History


def test_a_table_of_pandas(history):
    frame = history.to_pandas()
    assert list(frame.columns) == list(history)
    assert frame.index.name == "epoch"
    assert list(frame.index) == [0, 1, 2, 3]
    for name in history:
        assert same_bits(frame[name].to_numpy(), np.array(history[name]))
    assert History(0).to_pandas().empty
    pd.testing.assert_frame_equal(frame, pd.DataFrame(dict(history)).rename_axis("epoch"))


def test_without_pandas_or_matplotlib_it_says_so(history, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"\[to_pandas\] needs pandas: pip install pandas"):
        history.to_pandas()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"\[plot\] needs matplotlib: pip install matplotlib"):
        history.plot()


def test_panels_join_training_and_validation():
    names = ["loss", "lr", "gradient_norm", "mae", "val_loss", "val_mae", "val_only"]
    assert panels(names) == {
        "loss": ["loss", "val_loss"],
        "mae": ["mae", "val_mae"],
        "only": ["val_only"],
        "lr": ["lr"],
        "gradient_norm": ["gradient_norm"],
    }


@pytest.fixture
def pyplot():
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is not installed: pip install 'whet[plot]'")
    pyplot.switch_backend("agg")
    yield pyplot
    pyplot.close("all")


def test_a_picture(history, pyplot, tmp_path):
    history._columns["gradient_norm"] = [4.0, 2.0, 1.0, 0.5]
    axes = history.plot()
    assert [each.get_title() for each in axes] == ["loss", "mae", "r2", "learning rate", "gradient norm"]
    for each, names in zip(axes, [["loss", "val_loss"], ["mae", "val_mae"], ["r2", "val_r2"], ["lr"]], strict=False):
        lines = [line for line in each.get_lines() if len(line.get_xdata()) == 4]
        assert [list(line.get_ydata()) for line in lines] == [history[name] for name in names]
        assert list(lines[0].get_xdata()) == [0, 1, 2, 3]
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["training", "validation"]
    assert axes[3].get_yscale() == axes[4].get_yscale() == "log"
    axes[0].figure.savefig(tmp_path / "history.png")
    assert (tmp_path / "history.png").stat().st_size > 1000


def test_pictures_of_little(pyplot):
    with pytest.raises(ValueError, match="at least one epoch"):
        History(0).plot()
    found = History(0)
    found.append(loss=float("nan"), lr=0.0)
    axes = found.plot()
    assert [each.get_title() for each in axes] == ["loss", "learning rate"]
    assert axes[1].get_yscale() == "linear"
    assert axes[0].get_lines()[0].get_marker() == "o"


class Cells(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.rows, self.bold, self.open = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.rows[-1].append(data)
        if self.open[-1] == "th":
            self.bold.append(data)


def test_an_epoch_of_nan_is_not_the_best():
    found = History(0)
    for loss in (np.nan, 2.0, 1.0):
        found.append(loss=loss)
    assert found.best_epoch == 2


def test_a_log_goes_on_with_its_own_names(rng, tmp_path):
    X, y, path = rng.normal(size=(90, 3)), rng.normal(size=90), tmp_path / "log.csv"
    nn.Linear(3, 1).fit(X, y, loss="mse", epochs=1, callbacks=callbacks.CSVLogger(path))
    before = path.read_text()
    log = callbacks.CSVLogger(path, append=True)
    with pytest.raises(ValueError, match=r"log.csv' to have the columns loss, mae, as .* got epoch, loss, lr"):
        nn.Linear(3, 1).fit(X, y, loss="mse", metrics=("mae",), epochs=1, callbacks=log)
    assert path.read_text() == before


def test_a_table_in_a_notebook(history):
    cells = Cells(history._repr_html_())
    assert cells.rows[0] == ["epoch", *history]
    assert [row[0] for row in cells.rows[1:5]] == ["0", "1", "2", "3"]
    assert cells.rows[1][1] == f"{history['loss'][0]:.4g}"
    assert cells.rows[5][0].startswith("4 epochs, 12 steps, ")
    assert cells.rows[5][0].endswith("stopped by epochs")
    assert str(history.best_epoch) in cells.bold


def test_a_long_table_shows_both_ends():
    cells = Cells(long(100)._repr_html_())
    first = [row[0] for row in cells.rows[1:-1]]
    assert first == ["0", "1", "2", "3", "4", "...", "95", "96", "97", "98", "99"]
    assert [row[0] for row in Cells(long(10)._repr_html_()).rows[1:-1]] == [str(epoch) for epoch in range(10)]
    assert len(Cells(History(0)._repr_html_()).rows) == 2


def test_names_are_escaped():
    found = History(0)
    found.append(**{"<b>&": 1.0})
    assert "&lt;b&gt;&amp;" in found._repr_html_()
    assert "<b>" not in found._repr_html_()


def test_copies_and_files(history):
    for twin in (copy.copy(history), copy.deepcopy(history), pickle.loads(pickle.dumps(history))):
        assert dict(twin) == dict(history)
        assert (twin.seed, twin.steps, twin.seconds, twin.stopped_by) == (0, 12, history.seconds, "epochs")
        assert twin.best_epoch == history.best_epoch
        assert repr(twin) == repr(history)
    assert json.loads(json.dumps(dict(history))) == dict(history)
