"""The command line: what it prints, writes and answers, as a shell sees it."""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import whet
from tests.helpers import run_python
from whet import calibration, data
from whet.cli import main

SMALL = ("--hidden", "8", "--epochs", "3", "--seed", "1")


def whet_command(*arguments, **options):
    """Runs the command in a process of its own; its standard input is empty."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "whet", *map(str, arguments)],
        **{"input": b"", "capture_output": True, "timeout": 300, **options},
    )


@pytest.fixture(scope="module")
def penguins(tmp_path_factory):
    """The path of a table of penguins with a comma in one name."""
    path = tmp_path_factory.mktemp("cli") / "penguins.csv"
    table = data.load_penguins()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        for row in zip(*(table[name] for name in table), strict=True):
            cells = ["NA" if cell is None or cell != cell else cell for cell in row]
            writer.writerow(["Adelie, of course" if cell == "Adelie" else cell for cell in cells])
    return path


@pytest.fixture(scope="module")
def masses(penguins):
    """The penguins whose mass is known."""
    header, *rows = csv.reader(penguins.read_text().splitlines())
    path = penguins.parent / "masses.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *(row for row in rows if row[header.index("body_mass_g")] != "NA")])
    return path


@pytest.fixture(scope="module")
def model(penguins):
    path = penguins.parent / "m.whet"
    assert main(["train", str(penguins), "--target", "species", "--out", str(path), *SMALL]) == 0
    return path


def run(capsys, *arguments):
    """(exit code, standard output, standard error) of a run in this process."""
    capsys.readouterr()
    try:
        code = main(list(map(str, arguments)))
    except SystemExit as done:
        code = done.code
    return code, *capsys.readouterr()


def test_train_says_what_it_did(capsys, penguins, tmp_path):
    code, out, err = run(capsys, "train", penguins, "--target", "species", "--out", tmp_path / "m.whet", *SMALL)
    assert (code, err) == (0, "")
    for line in [
        r"table +344 rows, 4 numbers, 2 categories, 19 missing cells, target 'species'",
        r"task +classification, 3 classes",
        r"model +MLP 14-8-3, \d+ parameters",
        r"training +3 epochs in [\d.]+ s, loss",
        r"  accuracy +0\.\d+",
        rf"saved +{re.escape(str(tmp_path / 'm.whet'))}",
    ]:
        assert re.search(f"^{line}", out, re.MULTILINE), line
    assert whet.load(tmp_path / "m.whet").target == "species"


def test_train_without_out_says_that_nothing_is_kept(capsys, masses):
    code, out, err = run(capsys, "train", masses, "--target", "body_mass_g", *SMALL)
    assert code == 0
    assert "regression" in out
    assert re.search(r"^  rmse +\d", out, re.MULTILINE)
    assert err == "whet: the model is not kept; --out m.whet would write it\n"


def test_options_of_train_reach_the_model(capsys, penguins, masses, tmp_path):
    out = tmp_path / "m.whet"
    options = ["--task", "classification", "--lr", "0.01", "--batch-size", "50", "--epochs", "2", "--seed", "7"]
    run(capsys, "train", penguins, "--target", "species", "--hidden", "5,6", *options, "--out", out)
    want = whet.TabularModel("species", "classification", hidden=(5, 6))
    want.fit(data.read_csv(penguins), epochs=2, batch_size=50, optimizer=whet.optim.Adam(lr=0.01), seed=7)
    assert whet.load(out).network.fingerprint() == want.network.fingerprint()
    run(capsys, "train", masses, "--target", "body_mass_g", "--hidden", "", "--epochs", "1", "--out", out)
    assert len(whet.load(out).network.state_dict()) == 2


def test_predict_writes_predictions_and_probabilities(capsys, penguins, model, tmp_path):
    out = tmp_path / "p.csv"
    assert run(capsys, "predict", model, penguins, "--out", out) == (0, "", "")
    with out.open(newline="") as file:
        header, *rows = csv.reader(file)
    loaded = whet.load(model)
    assert header == ["prediction", *(f"probability_{name}" for name in loaded.classes_)]
    assert header[1] == "probability_Adelie, of course"
    assert [row[0] for row in rows] == loaded.predict(penguins).tolist()
    probability = np.array([row[1:] for row in rows], np.float32)
    np.testing.assert_array_equal(probability, loaded.predict_proba(penguins))
    assert run(capsys, "predict", model, penguins) == (0, out.read_text(), ""), "standard output by default"


def test_predictions_of_numbers_come_back_exactly(capsys, penguins, masses, tmp_path):
    run(capsys, "train", masses, "--target", "body_mass_g", "--out", tmp_path / "m.whet", "--epochs", "1")
    code, out, _ = run(capsys, "predict", tmp_path / "m.whet", penguins)
    header, *rows = out.splitlines()
    assert (code, header) == (0, "prediction")
    assert np.array_equal(np.array(rows, float), whet.load(tmp_path / "m.whet").predict(penguins))


def test_evaluate(capsys, penguins, model):
    code, out, err = run(capsys, "evaluate", model, penguins)
    assert (code, err) == (0, "")
    scores = {name: float(value) for name, value in map(str.split, out.splitlines())}
    want = whet.load(model).evaluate(penguins)
    assert scores == {name: pytest.approx(value, rel=1e-5) for name, value in want.items()}


def test_info(capsys, model):
    code, out, _ = run(capsys, "info", model)
    assert code == 0
    loaded = whet.load(model)
    for words in ["species", "classification, 3 classes", "island (category)", loaded.network.fingerprint()]:
        assert words in out
    code, out, _ = run(capsys, "info")
    assert code == 0
    assert re.search(rf"^version +{re.escape(whet.__version__)}$", out, re.MULTILINE)
    assert whet.build_info()["isa"] in out


def test_a_calibrated_model_is_shown_with_what_is_inside(capsys, penguins, model, tmp_path):
    calibration.conformal_classification(whet.load(model), penguins).save(tmp_path / "c.whet")
    code, out, _ = run(capsys, "info", tmp_path / "c.whet")
    assert code == 0
    first, *others = out.splitlines()
    assert first.split(maxsplit=1)[1].startswith("ConformalClassifier(TabularModel")
    assert others == run(capsys, "info", model)[1].splitlines()
    code, _, err = run(capsys, "predict", tmp_path / "c.whet", penguins)
    assert (code, "got ConformalClassifier, for Python alone" in err) == (1, True)


def test_info_of_a_network(capsys, tmp_path):
    network = whet.nn.MLP(3, (4,), 2).initialize(0)
    network.save(tmp_path / "n.whet")
    code, out, _ = run(capsys, "info", tmp_path / "n.whet")
    assert code == 0
    assert network.fingerprint() in out
    code, out, err = run(capsys, "evaluate", tmp_path / "n.whet", "t.csv")
    assert (code, out) == (1, "")
    assert "n.whet: expected a model of a table" in err


def test_version(capsys):
    assert run(capsys, "-V") == run(capsys, "--version") == (0, f"whet {whet.__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["train", "t.csv"],
        ["train", "--target", "y"],
        ["train", "t.csv", "--target", "y", "--task", "cluster"],
        ["train", "t.csv", "--target", "y", "--epochs", "0"],
        ["train", "t.csv", "--target", "y", "--epochs", "two"],
        ["train", "t.csv", "--target", "y", "--lr", "-1"],
        ["train", "t.csv", "--target", "y", "--lr", "nan"],
        ["train", "t.csv", "--target", "y", "--batch-size", "0"],
        ["train", "t.csv", "--target", "y", "--batch-size", "9" * 23],
        ["train", "t.csv", "--target", "y", "--validation", "1"],
        ["train", "t.csv", "--target", "y", "--out", ""],
        ["train", "t.csv", "--target", "y", "--hidden", "128;128"],
        ["train", "t.csv", "--target", "y", "--hidden", "0"],
        ["train", "t.csv", "--target", "y", "--seed", "-1"],
        ["train", "t.csv", "--target", "y", "--resume"],
        ["train", "t.csv", "--target", "y", "--checkpoint-every", "9"],
        ["train", "t.csv", "--target", "y", "--checkpoint", "run", "--checkpoint-every", "0"],
        ["predict", "m.whet"],
        ["predict", "m.whet", ""],
        ["predict", "-", "-"],
        ["evaluate", "-", "-"],
        ["info", "a", "b"],
        ["demo", "--seed", "x"],
    ],
)
def test_wrong_usage(capsys, arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("usage: whet")
    assert "whet" in err.splitlines()[-1]
    assert "error: " in err.splitlines()[-1]


def failing(tmp_path, penguins, model):
    """What fails: arguments, and words of the message."""
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\nsecret\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "other.csv").write_text("island,sex\nsecret,MALE\n")
    (tmp_path / "gaps.csv").write_text("x,y\n1,2\n3,\n")
    (tmp_path / "half.whet").write_bytes(model.read_bytes()[:100])
    train = ["train", penguins, "--target"]
    return [
        (["train", tmp_path / "nosuch.csv", "--target", "y"], ["nosuch.csv: No such file"]),
        (["train", tmp_path, "--target", "y"], [f"{tmp_path}: Is a directory"]),
        (["train", tmp_path / "ragged.csv", "--target", "a"], ["ragged.csv, line 3: expected 2 cells, got 1"]),
        (["train", tmp_path / "empty.csv", "--target", "a"], ["empty.csv", "empty"]),
        (["train", tmp_path / "gaps.csv", "--target", "y"], ["'y'", "missing in 1 of 2 rows"]),
        ([*train, "weight"], ["'weight'", "island"]),
        ([*train, "species", "--task", "regression"], ["'species'", "numbers"]),
        ([*train, "species", "--out", tmp_path / "no" / "m.whet"], [f"{tmp_path / 'no'}: No such directory"]),
        ([*train, "species", "--validation", "0.9999"], ["--validation of 0.9999 leaves none of 344 rows"]),
        ([*train, "species", "--out", tmp_path], [f"{tmp_path}: Is a directory"]),
        (["predict", tmp_path / "nosuch.whet", penguins], ["nosuch.whet: No such file"]),
        (["predict", tmp_path / "half.whet", penguins], ["half.whet"]),
        (["predict", penguins, penguins], ["penguins.csv: expected a model file"]),
        (["predict", model, tmp_path / "other.csv"], ["'bill_length_mm'", "missing"]),
        (["predict", model, penguins, "--out", tmp_path / "no" / "p.csv"], ["p.csv: No such file"]),
        (["evaluate", model, tmp_path / "other.csv"], ["'species'"]),
        (["info", tmp_path / "nosuch.whet"], ["nosuch.whet: No such file"]),
    ]


def test_a_failed_run_says_why_in_one_line(capsys, penguins, model, tmp_path):
    for arguments, words in failing(tmp_path, penguins, model):
        code, out, err = run(capsys, *arguments)
        assert (code, out) == (1, ""), arguments
        assert re.fullmatch(r"whet: error: [^\n]+\n", err), err
        assert "secret" not in err
        for word in words:
            assert word in err, (arguments, err)


def test_columns_too_many_are_a_message(capsys, penguins, model, tmp_path):
    lines = penguins.read_text().splitlines()
    more = tmp_path / "more.csv"
    more.write_text("\n".join([f"more,{lines[0]}", *(f"1,{line}" for line in lines[1:])]))
    code, out, err = run(capsys, "predict", model, more)
    assert (code, out) == run(capsys, "predict", model, penguins)[:2]
    assert err == "whet: warning: columns ['more'] were not there in training and are ignored\n"


# In processes of their own


def test_standard_input_and_output(penguins, tmp_path):
    table = penguins.read_bytes()
    trained = whet_command("train", "-", "--target", "species", "--out", "-", *SMALL, input=table)
    assert trained.returncode == 0
    assert b"accuracy" in trained.stderr, "the model is alone on standard output"
    path = tmp_path / "m.whet"
    path.write_bytes(trained.stdout)
    piped = whet_command("predict", "-", penguins, input=trained.stdout)
    named = whet_command("predict", path, "-", "--out", "-", input=table)
    assert piped.returncode == named.returncode == 0
    assert piped.stdout == named.stdout
    assert len(list(csv.reader(io.StringIO(named.stdout.decode())))) == 345
    assert named.stderr == b""


def test_demo_goes_from_a_table_to_a_test_error():
    done = whet_command("demo", "--epochs", "2", "--seed", "3")
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 0
    for line in [
        r"table +California housing: 20,640 rows, 8 numbers, 1 category, 207 missing cells",
        r"split +14,860 training, 1,652 validation, 4,128 test rows, seed 3",
        r"preprocessing +9 columns to 14 features",
        r"model +MLP 14-128-128-1, 18,561 parameters",
        r"  epoch 2 +training 0\.\d+  validation 0\.\d+",
        r"time +[\d.]+ s of training",
    ]:
        assert re.search(f"^{line}", out, re.MULTILINE), line
    assert err == "", "a progress bar is for a terminal"
    rows = re.findall(r"^  (mean|least|whet).* ([\d,]+) +(-?[\d.]+)$", out, re.MULTILINE)
    scores = {name: (float(rmse.replace(",", "")), float(r2)) for name, rmse, r2 in rows}
    table = data.load_california_housing()
    train, _, test = data.split(table, sizes=(0.72, 0.08, 0.2), seed=3)
    assert scores["mean"][0] == pytest.approx(np.sqrt(np.mean((test.labels - train.labels.mean()) ** 2)), abs=1)
    assert scores["mean"][0] > scores["least"][0] > scores["whet"][0]
    assert scores["least"][1] == pytest.approx(1 - scores["least"][0] ** 2 / test.labels.var(), abs=1e-3)
    below = 1 - scores["whet"][0] / scores["least"][0]
    assert f"{below:.1%} below" in out.splitlines()[-1]


@pytest.mark.parametrize("seed", range(5))
def test_the_demo_beats_least_squares_by_far(capsys, seed):
    """At least 20 % on average over these seeds; each is allowed a little less."""
    code, out, _ = run(capsys, "demo", "--seed", seed)
    assert code == 0
    assert float(re.search(r"([\d.]+)% below", out)[1]) > 19


def test_ctrl_c_saves_what_was_trained(penguins, tmp_path):
    out = tmp_path / "m.whet"
    command = [sys.executable, "-m", "whet", "train", penguins, "--target", "species", "--epochs", "100000000"]
    kept = ["--checkpoint", tmp_path / "run", "--checkpoint-every", "20"]  # the first one shows that it trains
    process = subprocess.Popen([*command, "--out", out, *kept], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while process.poll() is None and not list((tmp_path / "run").glob("checkpoint-*")):
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == b""
    assert b"Traceback" not in stderr
    assert b"whet: interrupted" in stderr
    assert whet.load(out).predict(penguins).shape == (344,)


def test_a_training_that_is_terminated_is_resumed(penguins, tmp_path):
    train = ["train", penguins, "--target", "species", "--epochs", "100", "--hidden", "8", "--out"]
    kept = ["--checkpoint", tmp_path / "run", "--checkpoint-every", "20"]
    assert whet_command(*train, tmp_path / "whole.whet").returncode == 0
    process = subprocess.Popen([sys.executable, "-m", "whet", *train, tmp_path / "m.whet", *kept])
    while not list((tmp_path / "run").glob("checkpoint-*")):
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == -signal.SIGTERM
    assert not (tmp_path / "m.whet").exists()
    newest = max((tmp_path / "run").glob("checkpoint-*"))
    assert whet_command("predict", newest, penguins).returncode == 0
    refused = whet_command(*train, tmp_path / "m.whet", *kept).stderr
    assert b"or --resume to go on from" in refused
    assert b"resume=True" not in refused
    other = whet_command(*train, tmp_path / "m.whet", *kept, "--resume", "--batch-size", "7", "--epochs", "101").stderr
    assert re.search(rb"other: .*--epochs, which the schedules depend on .*", other)
    assert re.search(rb"--batch-size \(\d+ before, now 7\)", other)
    again = whet_command(*train, tmp_path / "m.whet", *kept, "--resume")
    assert again.returncode == 0
    assert re.search(rb"whet: went on from step [\d,]+ in .*run\n", again.stderr)
    assert re.search(rb"epochs, the last of them from step \d+ on, in", again.stdout)
    loaded, whole = whet.load(tmp_path / "m.whet"), whet.load(tmp_path / "whole.whet")
    assert loaded.network.fingerprint() == whole.network.fingerprint()


def test_a_training_with_nothing_to_resume_says_so(penguins, tmp_path):
    train = ["train", penguins, "--target", "species", "--epochs", "1", "--checkpoint", tmp_path / "run", "--resume"]
    first = whet_command(*train)
    assert first.returncode == 0
    assert b"whet: there was no checkpoint to go on from in " in first.stderr


def test_a_training_tells_what_it_recorded(penguins):
    told = whet_command("train", penguins, "--target", "species", "--epochs", "2", "--record").stdout
    assert re.search(rb"layers +in the last epoch\n", told)
    assert re.search(rb"weight +gradient norm [\d.e-]+, update ratio [\d.e-]+\n", told)


def test_a_reader_that_goes_away_is_no_error(penguins, model):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        done = whet_command("predict", model, penguins, stdout=pipe, stderr=subprocess.PIPE, capture_output=False)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no device that is always full")
def test_a_full_disk_is_an_error(penguins, model):
    with open("/dev/full", "wb") as full:
        done = whet_command("predict", model, penguins, stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 1
    assert re.fullmatch(rb"whet: error: [^\n]*space[^\n]*\n", done.stderr)


def test_a_message_names_the_environment_variable():
    done = whet_command("info", env={**os.environ, "WHET_NUM_THREADS": "x"})
    assert done.stderr.startswith(b"whet: error: [WHET_NUM_THREADS] expected a number")


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("info - <&-", "standard input is closed"),
        ("train - --target x <&-", "standard input is closed"),
        ("info - </dev/null", "standard input: expected a model file"),
        ("predict {model} {table} >&-", "standard output is closed"),
        ("train {table} --target species --out - >&-", "standard output is closed"),
    ],
)
def test_closed_and_empty_streams(penguins, model, shell, words):
    command = f"{sys.executable} -m whet " + shell.format(model=model, table=penguins)
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert re.fullmatch(r"whet: error: [^\n]+\n", done.stderr)
    assert words in done.stderr


def test_training_with_rows_set_aside(capsys, penguins):
    options = ["--hidden", "8", "--epochs", "1", "--validation", "0.2"]
    code, out, _ = run(capsys, "train", penguins, "--target", "species", *options)
    assert code == 0
    assert re.search(r"^training +1 epoch in", out, re.MULTILINE)
    assert re.search(r"^validation +loss [\d.]+", out, re.MULTILINE)


def test_starting_is_light():
    """--version and --help import nothing that only training, tables or files need."""
    for option in ("--version", "--help"):
        assert run_python("-c", LIGHT, option).splitlines()[-1] == "set()"


LIGHT = """
import sys, whet.cli
try:
    whet.cli.main([sys.argv[1]])
except SystemExit:
    pass
print({"pandas", "tqdm", "narwhals", "safetensors", "tempfile", "whet.data", "whet.tabular"} & set(sys.modules))
"""


def test_tuning_prints_the_table_and_writes_the_best_model(capsys, penguins, tmp_path):
    journal, out = tmp_path / "runs.jsonl", tmp_path / "m.whet"
    options = ["--target", "species", "--trials", "4", "--epochs", "2", "--metric", "accuracy", "--journal", journal]
    code, printed, messages = run(capsys, "tune", penguins, *options, "--out", out)
    assert code == 0
    assert messages.count(" of 4: accuracy ") == 4
    table = printed.splitlines()[2:7]
    assert table[0].split()[:2] == ["trial", "model.hidden"]
    scores = [float(line.split()[-3]) for line in table[1:]]
    assert scores == sorted(scores, reverse=True)
    for name in ("lr", "weight_decay"):
        assert re.search(rf"^best optimizer.{name} +0\.\d+$", printed, re.MULTILINE)
    assert whet.load(out).classes_.tolist()[0] == "Adelie, of course"
    before = journal.read_bytes()
    code, again, messages = run(capsys, "tune", penguins, *options, "--method", "random")
    assert code == 0
    assert journal.read_bytes() == before
    assert again.splitlines()[2:7] == table
    assert "not kept" in messages
    code, _, messages = run(capsys, "tune", penguins, *options, "--seed", "1")
    assert code == 1
    assert "with other rows, seed" in messages


def test_tuning_by_halving_and_folds(capsys, penguins):
    options = ["--trials", "3", "--epochs", "3", "--method", "halving", "--folds", "2"]
    code, printed, _ = run(capsys, "tune", penguins, "--target", "species", *options)
    assert code == 0
    assert [line.split()[-2] for line in printed.splitlines()[3:6]] == ["3", "1", "1"]


def test_ctrl_c_prints_what_is_tuned_so_far(penguins, tmp_path):
    journal = tmp_path / "runs.jsonl"
    command = [sys.executable, "-m", "whet", "tune", penguins, "--target", "species", "--journal", journal]
    process = subprocess.Popen([*command, "--epochs", "300"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"model.hidden" in stdout
    assert len(stdout.splitlines()) >= 5
    assert b"Traceback" not in stderr
    assert b"whet: interrupted" in stderr
    assert b"the same command goes on from" in stderr
