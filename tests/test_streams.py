"""Streams: the order of their rows, the same results as in memory, resuming, errors, and memory that stays flat."""

from __future__ import annotations

import itertools
import os
import threading

import numpy as np
import pytest

import whet
from tests.helpers import run_python
from whet import metrics, nn, optim, schedules
from whet.data import Stream
from whet.data.streams.windows import drawn, laid_out
from whet.training.fit import Plan
from whet.training.streaming import Streamed

pa = pytest.importorskip("pyarrow", reason="PyArrow is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="PyArrow is not installed")

ROWS, GROUP, WINDOW, BATCH = 3000, 100, 500, 64


def table(rows=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 5)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] > 0).astype(np.int64)


def columns(X, y):
    return pa.table({f"x{i}": X[:, i] for i in range(X.shape[1])} | {"y": y})


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """The same rows as a Parquet file, a CSV file and maps."""
    folder = tmp_path_factory.mktemp("streams")
    X, y = table()
    parquet.write_table(columns(X, y), folder / "t.parquet", row_group_size=GROUP)
    lines = [",".join([*(repr(float(cell)) for cell in row), str(label)]) for row, label in zip(X, y, strict=True)]
    (folder / "t.csv").write_text("x0,x1,x2,x3,x4,y\n" + "\n".join(lines) + "\n")
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    return folder


def of_file(paths, **options):
    return Stream(paths / "t.parquet", target="y", window_rows=WINDOW, **options)


def batches(X, y, rows=50):
    def made():
        for first in range(0, len(X), rows):
            yield X[first : first + rows], y[first : first + rows]

    return made


def plan(**options):
    defaults = dict.fromkeys(("class_weight", "stop_at", "max_steps", "max_seconds", "checkpoint", "checkpoint_every"))
    fixed = dict(loss="cross_entropy", optimizer="adam", epochs=2, batch_size=BATCH, metrics=(), callbacks=())
    more = dict(checkpoint_keep=3, resume=False, on_interrupt="raise", on_nonfinite="raise", record=False)
    others = dict(progress=False, shuffle=True, precision="float32", seed=0)
    known = {**defaults, **fixed, **more, **others, **options}
    return Plan(**dict(known.items()))


def order(stream, epoch=0, done=0, **options):
    """The rows of an epoch as they are trained on, and the lengths of its batches."""
    source = Streamed(stream, nn.MLP(5, (), 2), plan(**options))
    with source.parts(epoch, done) as parts:
        found = [(part.first, part.end, part.rows.places) for part in parts]
    for (_, end, rows), (first, *_) in itertools.pairwise(found):
        assert end == first
        assert len(rows) % BATCH == 0
    return np.concatenate([rows for *_, rows in found]), found


def planned(epoch):
    """The same, without reading."""
    rows = []
    windows = laid_out([GROUP] * (ROWS // GROUP), drawn(0, epoch, -1, ROWS // GROUP).tolist(), WINDOW)
    for number, window in enumerate(windows):
        there = np.concatenate([np.arange(block * GROUP, (block + 1) * GROUP) for block in window.blocks])
        placed = np.empty_like(there)
        placed[drawn(0, epoch, number, window.rows)] = there
        rows.append(placed)
    return np.concatenate(rows)


def model():
    return nn.MLP(5, (8,), 2)


def fitted(X, y=None, **options):
    made = model()
    history = made.fit(X, y, **{"loss": "cross_entropy", "epochs": 2, "batch_size": BATCH, **options})
    return made, history


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "whet-reader"]


@pytest.fixture(autouse=True)
def no_reader_is_left():
    yield
    assert not readers()


# Order


def test_every_epoch_has_every_row_once_in_an_order_of_its_own_that_the_seed_says(paths):
    first, again = order(of_file(paths))[0], order(of_file(paths))[0]
    np.testing.assert_array_equal(np.sort(first), np.arange(ROWS))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, planned(0))
    assert (first != order(of_file(paths), epoch=1)[0]).mean() > 0.9
    assert (first != order(of_file(paths), seed=1)[0]).mean() > 0.9
    np.testing.assert_array_equal(order(of_file(paths), shuffle=False)[0], np.arange(ROWS))


def test_rows_of_a_block_come_within_a_window_and_windows_are_shuffled(paths):
    rows = order(of_file(paths))[0]
    for block in range(ROWS // GROUP):
        places = np.flatnonzero(rows // GROUP == block)
        assert np.ptp(places) < WINDOW
    # A batch has rows of all blocks of its window.
    assert len(np.unique(rows[:BATCH] // GROUP)) == WINDOW // GROUP


def test_every_row_is_as_likely_at_every_place():
    places = np.array([np.argsort(planned(epoch)) for epoch in range(40)])
    # The mean of 40 uniform places has a standard deviation of ROWS / sqrt(12 * 40).
    deviation = (places.mean(axis=0) - (ROWS - 1) / 2) / (ROWS / np.sqrt(12 * 40))
    assert abs(deviation.mean()) < 0.01
    assert 0.6 < deviation.std() < 1.4  # of 30 blocks, whose rows stay near each other
    assert np.abs(deviation).max() < 4


def test_windows_differ_as_the_documentation_says():
    """Of a file sorted by a column, k of n blocks have a mean with (1 - k / n) / k of the blocks' variance."""
    k, n = WINDOW // GROUP, ROWS // GROUP
    blocks = np.arange(n, dtype=float)
    means = np.array([(planned(epoch) // GROUP).reshape(-1, WINDOW).mean(axis=1)[:3] for epoch in range(60)])
    expected = blocks.var(ddof=1) / k * (1 - k / n)
    assert 0.7 < means.var() / expected < 1.4


def test_a_window_of_all_blocks_is_a_shuffle_of_all_rows(paths):
    rows = order(Stream(paths / "t.parquet", target="y"))[0]
    assert np.abs(np.corrcoef(rows[:-1], rows[1:])[0, 1]) < 0.05
    assert len(np.unique(rows[:200] // GROUP)) == ROWS // GROUP


def test_only_the_last_batch_is_short(paths):
    found = order(of_file(paths))[1]
    assert len(found) == ROWS // WINDOW
    assert found[-1][1] == -(-ROWS // BATCH)


def test_a_batch_may_be_larger_than_a_window(paths):
    _small, history = fitted(Stream(paths / "t.parquet", target="y", window_rows=GROUP), batch_size=1000)
    assert history.steps == 6


@pytest.mark.parametrize("done", [1, 7, 8, 15, 40, 46])
def test_an_epoch_is_taken_up_in_the_part_that_has_the_next_batch(paths, done):
    whole = order(of_file(paths))[1]
    rest = order(of_file(paths), done=done)[1]
    kept = [part for part in whole if part[1] > done]
    assert [part[:2] for part in rest] == [part[:2] for part in kept]
    np.testing.assert_array_equal(rest[0][2], kept[0][2])


# Results


def test_all_sources_give_the_same_bits_with_any_number_of_threads(paths, threads):
    X, y = table()
    maps = Stream(
        (np.load(paths / "X.npy", mmap_mode="r"), np.load(paths / "y.npy", mmap_mode="r")), window_rows=WINDOW
    )
    found = set()
    for count in (1, 2):
        threads(count)
        found |= {fitted(stream, shuffle=False)[0].fingerprint() for stream in (of_file(paths), maps, batches(X, y))}
        found.add(fitted(Stream(paths / "t.csv", target="y", window_rows=WINDOW), shuffle=False)[0].fingerprint())
        found.add(fitted(X, y, shuffle=False)[0].fingerprint())
    assert len(found) == 1
    threads(1)
    one = fitted(of_file(paths))[0].fingerprint()
    threads(2)
    assert fitted(of_file(paths))[0].fingerprint() == one


def test_a_stream_learns_as_well_as_rows_in_memory(paths):
    X, y = table()
    _, history = fitted(of_file(paths), epochs=10, metrics="accuracy")
    _, expected = fitted(X, y, epochs=10, metrics="accuracy")
    assert abs(history["accuracy"][-1] - expected["accuracy"][-1]) < 0.01
    assert history["accuracy"][-1] > 0.95


NAMES = ["accuracy", "balanced_accuracy", "precision", "recall", "f1", "top_k", "log_loss", "brier"]


def test_metrics_evaluation_and_prediction_are_those_of_rows_in_memory(paths):
    X, y = table()
    made, history = fitted(of_file(paths), shuffle=False, metrics=NAMES, validation_data=of_file(paths))
    same, expected = fitted(X, y, shuffle=False, metrics=NAMES, validation_data=(X, y))
    assert list(history) == list(expected)
    for name in history:
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-6)
    np.testing.assert_array_equal(made.predict(of_file(paths)), same.predict(X))
    np.testing.assert_array_equal(made.predict(lambda: (part for part, _ in batches(X, y)())), same.predict(X))
    evaluated, told = made.evaluate(of_file(paths)), same.evaluate(X, y)
    np.testing.assert_allclose(list(evaluated.values()), list(told.values()), rtol=1e-6)


@pytest.mark.parametrize("loss", ["mse", "bce_with_logits"])
def test_metrics_of_parts_with_weights_are_those_of_all(rng, loss):
    outputs = 2 if loss == "mse" else 1
    truth = rng.normal(size=(400, outputs)) + 3 if loss == "mse" else rng.integers(0, 2, (400, 1)).astype(float)
    output, weights = rng.normal(size=truth.shape) + (loss == "mse") * 3, rng.random(400) * (np.arange(400) >= 100)
    described = whet.losses.get(loss)
    for metric in metrics.get(["mae", "rmse", "mape", "r2"] if loss == "mse" else [*NAMES[:5], *NAMES[6:]]):
        sums = metrics.Sums([metric])
        for rows in (slice(0, 100), slice(100, 101), slice(101, 400)):
            sums.add(metrics.Predictions(truth[rows], output[rows], described, weights[rows]))
        whole = metric.score(metrics.Predictions(truth, output, described, weights))
        np.testing.assert_allclose(metric.whole(sums), whole, rtol=1e-12)


def test_weights_come_with_the_batches_or_as_a_column(paths, tmp_path):
    X, y = table()
    w = np.random.default_rng(1).random(ROWS).astype(np.float32) * (np.arange(ROWS) >= 2 * GROUP)
    parquet.write_table(columns(X, y).append_column("w", pa.array(w)), tmp_path / "w.parquet", row_group_size=GROUP)
    expected = fitted(X, y, sample_weight=w, shuffle=False)[0].fingerprint()
    stream = Stream(tmp_path / "w.parquet", target="y", weight="w", window_rows=WINDOW)
    assert fitted(stream, shuffle=False)[0].fingerprint() == expected
    assert fitted(Stream((X, y, w)), shuffle=False)[0].fingerprint() == expected
    weighted = fitted(X, y, class_weight={0: 3.0}, shuffle=False)[0].fingerprint()
    assert fitted(of_file(paths), class_weight={0: 3.0}, shuffle=False)[0].fingerprint() == weighted


def test_a_table_model_learns_from_a_stream_what_it_learns_from_the_table(tmp_path):
    rng = np.random.default_rng(0)
    x, gaps = rng.normal(size=2000) * 3 + 10, rng.exponential(size=2000)
    gaps[::17] = np.nan
    kind = rng.choice(["a", "b", "c", None], 2000, p=[0.5, 0.3, 0.1, 0.1])
    label = np.where((x > 10) ^ (kind == "a"), "yes", "no")
    frame = pa.table({"x": x, "gaps": pa.array(gaps, from_pandas=True), "kind": list(kind), "label": label})
    parquet.write_table(frame, tmp_path / "t.parquet", row_group_size=300)
    stream = Stream(tmp_path / "t.parquet", target="label", window_rows=700)
    for scaler in ("RobustScaler", "StandardScaler", "MinMaxScaler", "QuantileScaler"):
        preprocessor = whet.data.Preprocessor(scaler=scaler)
        streamed = whet.TabularModel("label", preprocessor=preprocessor)
        in_memory = whet.TabularModel("label", preprocessor=preprocessor)
        streamed.fit(stream, epochs=3, validation_data=stream, class_weight="balanced")
        in_memory.fit(frame, epochs=1)
        features = frame.drop(["label"])
        expected = in_memory.preprocessor.transform(features)
        np.testing.assert_allclose(streamed.preprocessor.transform(features), expected, atol=2e-6)
    assert streamed.evaluate(stream)["accuracy"] > 0.95
    assert streamed.evaluate(stream).keys() <= streamed.evaluate(frame).keys() | {"log_loss"}
    np.testing.assert_array_equal(streamed.predict(stream), streamed.predict(frame))
    np.testing.assert_array_equal(streamed.predict_proba(stream), streamed.predict_proba(frame))


def test_a_sample_of_a_stream_is_drawn_from_all_rows_alike():
    from whet.data.streams.learning import Sample

    drawn = []
    for seed in range(30):
        sample = Sample(1, seed)
        sample.most = 100
        for first in range(0, 5000, 250):
            sample.add(np.arange(first, first + 250, dtype=float).reshape(-1, 1))
        drawn.append(sample.rows()[:, 0])
        assert len(np.unique(drawn[-1])) == 100
    assert abs(np.mean(drawn) - 2499.5) < 4 * 5000 / np.sqrt(12 * 3000)


# Generators


def test_an_iterator_is_read_once_for_one_epoch():
    X, y = table()
    made, _history = fitted(batches(X, y)(), epochs=1, shuffle=False)
    assert made.fingerprint() == fitted(X, y, epochs=1, shuffle=False)[0].fingerprint()
    with pytest.raises(ValueError, match=r"expected epochs=1 where X is an iterator.*function that returns a fresh"):
        fitted(batches(X, y)())
    with pytest.raises(ValueError, match="expected epochs=1 where validation_data is an iterator"):
        fitted(X, y, validation_data=batches(X, y)())
    once = Stream(batches(X, y)())
    fitted(once, epochs=1)
    with pytest.raises(ValueError, match="can be read once, and has been"):
        fitted(once, epochs=1)


def test_a_stream_without_an_end_is_read_as_far_as_it_is_needed():
    X, y = table(500)
    asked = []

    def endless():
        while True:
            asked.append(1)
            yield X[:50], y[:50]

    _, history = fitted(endless(), epochs=1, max_steps=4, batch_size="auto")
    assert history.steps == 4
    assert history.stopped_by == "max_steps"
    assert len(asked) <= 10


def test_a_schedule_needs_the_number_of_steps():
    X, y = table()
    cosine = optim.Adam(lr=schedules.Cosine(1e-3))
    with pytest.raises(ValueError, match="a schedule needs the number of steps: give max_steps, or rows"):
        fitted(batches(X, y), optimizer=cosine)
    told = fitted(Stream(batches(X, y), rows=ROWS), optimizer=cosine, shuffle=False)[0]
    assert told.fingerprint() == fitted(X, y, optimizer=cosine, shuffle=False)[0].fingerprint()
    with pytest.raises(ValueError, match="expected 2000 rows, as the stream was told, got 3000"):
        fitted(Stream(batches(X, y), rows=2000))


def test_progress_of_a_stream_without_a_known_end(capsys):
    fitted(batches(*table()), progress=True)
    assert "epoch 2/2  step" in capsys.readouterr().err


# Checkpoints


@pytest.mark.parametrize("steps", [3, 8, 16, 47, 60])
@pytest.mark.parametrize("kind", ["file", "function"])
def test_a_fit_is_resumed_in_the_middle_of_an_epoch_with_the_same_bits(paths, tmp_path, steps, kind):
    X, y = table()
    source = of_file(paths) if kind == "file" else Stream(batches(X, y), window_rows=WINDOW)
    options = {"metrics": ["accuracy", "f1"], "epochs": 2}
    whole, expected = fitted(source, **options)
    fitted(source, **options, max_steps=steps, checkpoint=tmp_path / "run", checkpoint_every=5)
    made, history = fitted(source, **options, checkpoint=tmp_path / "run", checkpoint_every=5, resume=True)
    assert made.fingerprint() == whole.fingerprint()
    assert dict(history) == dict(expected)


def test_a_fit_is_not_resumed_with_another_file_or_an_iterator(paths, tmp_path):
    X, y = table()
    fitted(of_file(paths), checkpoint=tmp_path / "run", max_steps=5)
    X[-1, 0] += 1
    parquet.write_table(columns(X, y), tmp_path / "other.parquet", row_group_size=GROUP)
    other = Stream(tmp_path / "other.parquet", target="y", window_rows=WINDOW)
    with pytest.raises(ValueError, match=r"expected data and settings.*other: X"):
        fitted(other, checkpoint=tmp_path / "run", resume=True)
    with pytest.raises(ValueError, match="resume=True reads rows again, which an iterator cannot"):
        fitted(batches(X, y)(), epochs=1, checkpoint=tmp_path / "run", resume=True)


# Errors


def test_a_missing_value_is_named_by_its_row_in_the_file(tmp_path):
    X, y = table()
    X[17 * GROUP + 5, 3] = np.nan
    parquet.write_table(columns(X, y), tmp_path / "t.parquet", row_group_size=GROUP)
    with pytest.raises(ValueError, match=r"NaN\), first in row 1705, column 3.*t.parquet, in the block.* row 1700"):
        fitted(Stream(tmp_path / "t.parquet", target="y", window_rows=WINDOW))


def test_an_infinite_loss_names_the_rows_of_the_file(paths):
    X, y = table()
    y = y.astype(np.float32)
    X[1234] = 1e30
    with pytest.raises(whet.NonFiniteError) as caught:
        nn.MLP(5, (), 1).fit(Stream((X, y)), loss="mse", batch_size=BATCH)
    assert 1234 in caught.value.rows


def test_a_file_that_changes_is_refused(tmp_path):
    X, y = table()
    path = tmp_path / "t.parquet"
    parquet.write_table(columns(X, y), path, row_group_size=GROUP)
    stream = Stream(path, target="y", window_rows=WINDOW)
    parquet.write_table(columns(X[::-1], y), path, row_group_size=GROUP)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ValueError, match=r"t\.parquet: expected a file that stays as it is while it is read"):
        fitted(stream)


def test_a_batch_of_another_form_is_named():
    X, y = table()

    def wider():
        yield X[:100], y[:100]
        yield np.ones((50, 6), np.float32), y[:50]

    def text():
        yield X[:100], y[:100]
        yield np.full((50, 5), "a"), y[:50]

    def weighted():
        yield X[:100], y[:100]
        yield X[:50], y[:50], np.ones(50)

    def four():
        yield X[:10], y[:10], y[:10], y[:10]

    with pytest.raises(ValueError, match=r"expected X with 5 features, got shape \(50, 6\); of batch 1.* row 100"):
        fitted(wider)
    with pytest.raises(TypeError, match=r"expected X to hold numbers, got dtype <U1.*; of batch 1"):
        fitted(text)
    with pytest.raises(ValueError, match="weights of all rows or of none"):
        fitted(weighted)
    with pytest.raises(TypeError, match="got 4 parts in batch 0"):
        fitted(four)


def test_files_without_rows_or_columns_are_refused(tmp_path, paths):
    X, y = table()
    parquet.write_table(columns(X[:0], y[:0]), tmp_path / "empty.parquet")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "head.csv").write_text("x,y\n")
    for name in ("empty.parquet", "head.csv", "empty.csv"):
        with pytest.raises(
            ValueError, match=f"expected (at least one row|a table with a header).*{name}|{name}.*empty"
        ):
            Stream(tmp_path / name)
    with pytest.raises(ValueError, match=r"expected the columns \['z'\], which are missing"):
        Stream(paths / "t.parquet", target="z")
    parquet.write_table(columns(X.astype(np.float64), y), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match=r"other.parquet: expected the columns of .*x0 float, .*got x0 double"):
        Stream([paths / "t.parquet", tmp_path / "other.parquet"])
    with pytest.raises(OSError, match="No such file"):
        Stream(tmp_path / "none.parquet")
    with pytest.raises(TypeError, match=r"\[Stream\] expected paths of Parquet or CSV files"):
        Stream(5)


def test_what_is_wrong_in_a_file_is_told(tmp_path, paths):
    with pytest.raises(ValueError, match=r"more than once: \['x1'\]"):
        Stream(paths / "t.parquet", target="y", columns=["x1", "x0", "x1"])
    with pytest.raises(TypeError, match="expected a list of column names, got the text 'x1'"):
        Stream(paths / "t.parquet", target="y", columns="x1")
    bytes_of = bytearray((paths / "t.parquet").read_bytes())
    bytes_of[4:40] = b"\xff" * 36  # where the first page tells its length
    (tmp_path / "damaged.parquet").write_bytes(bytes_of)
    with pytest.raises(ValueError, match=r"damaged.parquet: expected a Parquet file \("):
        fitted(Stream(tmp_path / "damaged.parquet", target="y"))
    (tmp_path / "marked.csv").write_bytes(b'\xef\xbb\xbf"a","y"\n1,2\n3,4\n')
    stream = Stream(tmp_path / "marked.csv", target="y")
    assert stream.names == ("a",)
    assert [block.X["a"].tolist() for block in stream._in_order()] == [[1, 3]]


def test_batches_may_be_records():
    rows = [{"a": float(i % 7), "b": "xy"[i % 2], "y": float(i % 7 + i % 2)} for i in range(700)]
    model = whet.TabularModel("y", "regression", hidden=())
    model.fit(Stream(lambda: (rows[i : i + 3] for i in range(0, 700, 3))), epochs=40)
    assert model.evaluate(Stream(lambda: iter([rows])))["r2"] > 0.9


class BrokenError(Exception):
    """Of a source."""


def test_what_a_generator_raises_reaches_the_caller_and_nothing_hangs():
    X, y = table()

    def broken():
        yield from list(batches(X, y)())[:30]
        raise BrokenError("the disk is gone")

    with pytest.raises(BrokenError, match="the disk is gone"):
        fitted(broken, epochs=1)
    with pytest.raises(ValueError, match="expected at least one row, got none from"):
        fitted(iter([]), epochs=1)
    with pytest.raises(ValueError, match="expected at least one row, got none from made"):
        fitted(batches(X[:0], y[:0]))


def test_a_generator_is_closed_when_the_training_ends_early():
    X, y = table()
    closed = []

    def source():
        try:
            yield from batches(X, y)()
        finally:
            closed.append(threading.current_thread().name)

    fitted(Stream(source, window_rows=200), max_steps=3)
    assert closed[-1] == "whet-reader"


def test_sparse_features_are_refused():
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    X, y = sparse.csr_matrix(np.eye(4, dtype=np.float32)), np.ones(4, np.float32)
    with pytest.raises(TypeError, match="got a sparse matrix"):
        Stream((X, y))
    with pytest.raises(TypeError, match="expected arrays in batch 0, got csr_matrix"):
        nn.Linear(4, 1).fit(lambda: [(X, y)], loss="mse")


def test_records_and_seconds_of_a_stream():
    X = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)
    y = X.sum(axis=1)
    streamed = nn.MLP(3, (4,), 1).fit(Stream((X, y)), loss="mse", epochs=2, batch_size=50, shuffle=False, record=True)
    held = nn.MLP(3, (4,), 1).fit(X, y, loss="mse", epochs=2, batch_size=50, shuffle=False, record=True)
    assert streamed["gradient_norm"] == held["gradient_norm"]
    assert streamed.layers == held.layers
    ended = nn.MLP(3, (4,), 1).fit(Stream((X, y)), loss="mse", epochs=2, batch_size=50, max_seconds=1e-9)
    assert (ended.stopped_by, ended.steps) == ("max_seconds", 1)


def test_what_needs_all_rows_at_once_is_refused(paths):
    for options, words in (
        ({"metrics": "auc"}, "auc needs the predictions of all rows at once"),
        ({"optimizer": optim.LBFGS()}, "LBFGS takes all rows in a step"),
        ({"class_weight": "balanced"}, "expected class_weight as {class: factor} for a stream"),
        ({"validation_fraction": 0.1}, "expected y and sample_weight in the batches or columns of a stream"),
    ):
        with pytest.raises(ValueError, match=words):
            fitted(of_file(paths), **options)
    with pytest.raises(ValueError, match="expected right answers"):
        fitted(Stream(paths / "t.parquet"))
    with pytest.raises(TypeError, match="expected y: only a stream"):
        fitted(table()[0])


HANGS = """
import os, signal, threading, time, numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)
from whet import nn
def source():
    yield np.ones((64, 2)), np.ones(64)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    time.sleep(1000)
try:
    nn.MLP(2, (), 1).fit(source(), loss="mse", epochs=1, validation_data=(np.ones((3, 2)), np.ones(3)), max_steps=1,
                         batch_size=64)
except KeyboardInterrupt:
    pass
print("ended")
"""


def test_a_process_ends_though_a_generator_hangs():
    assert "ended" in run_python("-c", HANGS)


# Memory


def test_a_map_larger_than_memory_is_not_shuffled_row_by_row_without_a_word(paths, monkeypatch):
    X, y = (np.load(paths / f"{name}.npy", mmap_mode="r") for name in ("X", "y"))
    fitted(X, y)
    monkeypatch.setattr(os, "sysconf", lambda name: 100)
    with pytest.warns(whet.WhetWarning, match=r"more than the memory: whet.data.Stream"):
        fitted(X, y)
    fitted(Stream((X, y)))


FLAT = """
import sys, numpy as np
from bench.memory import peak
from whet import nn
from whet.data import Stream
stream = Stream((np.load(sys.argv[1], mmap_mode="r"), np.load(sys.argv[2], mmap_mode="r")), window_rows=20_000)
model = nn.MLP(64, (16,), 1)
model.fit(stream, loss="mse", epochs=1, max_steps=3, metrics="rmse")
before = peak()
model.fit(stream, loss="mse", epochs=2, metrics="rmse", validation_data=stream, batch_size=1024)
model.evaluate(stream)
print(before, peak())
"""


def test_memory_stays_flat_however_large_the_map_is(tmp_path):
    """150 MB of rows; windows of 5 MB, blocks of 4 and what malloc keeps are 21 to 38 MB, as of 450 MB of rows."""
    X = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float32, (600_000, 64))
    X[:] = np.random.default_rng(0).normal(size=64)
    np.save(tmp_path / "y.npy", np.zeros(600_000, np.float32))
    del X
    before, after = map(int, run_python("-c", FLAT, str(tmp_path / "X.npy"), str(tmp_path / "y.npy")).split())
    assert after - before < 60 * 1024
