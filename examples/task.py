"""A task as schedulers such as Airflow run it: commands whose exit codes say whether to go on, to try again or to stop.

`run` is what a BashOperator with retries does. The training is killed once, as a scheduler does to what takes too long.
"""

import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from whet.data import load_california_housing, split

TARGET = "median_house_value"
DONE, WRONG_USAGE = 0, 2  # 1 is a failure, 130 is Ctrl-C, and below 0 is a signal: all of these are worth another try


def run(*arguments, retries=2, killed=None):
    """The command's exit code; wrong usage is not tried again, as it would be wrong again."""
    command = [sys.executable, "-m", "whet", *map(str, arguments)]
    for attempt in range(1 + retries):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if killed is not None and attempt == 0:
            while not any(killed.glob("*.whet")) and process.poll() is None:
                time.sleep(0.01)
            process.kill()
        output, errors = process.communicate()
        print(f"whet {arguments[0]}, attempt {attempt + 1}: exit code {process.returncode}")
        if process.returncode in (DONE, WRONG_USAGE):
            break
    print(*output.splitlines(), *errors.splitlines()[-1:], sep="\n")
    return process.returncode


def write(path, table):
    """A CSV file, as the task before this one would leave it."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(list(table))
        writer.writerows(zip(*(table[name] for name in table), strict=True))


with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary)
    for name, part in zip(("sold", "new"), split(load_california_housing(), sizes=(0.8, 0.2), seed=0), strict=True):
        write(folder / f"{name}.csv", part)
    # The same command again goes on from the newest checkpoint, and ends with the bits of a run without a pause.
    train = ["train", folder / "sold.csv", "--target", TARGET, "--epochs", 20, "--out", folder / "m.whet"]
    train += ["--checkpoint", folder / "run", "--resume"]
    assert run(*train, killed=folder / "run") == DONE
    assert run("evaluate", folder / "m.whet", folder / "new.csv") == DONE
    assert run("predict", folder / "m.whet", folder / "new.csv", "--out", folder / "predictions.csv") == DONE
    print(len((folder / "predictions.csv").read_text().splitlines()) - 1, "predictions")
    assert run("predict", folder / "m.whet", folder / "missing.csv", retries=1) == 1
    assert run("predict", folder / "m.whet") == WRONG_USAGE
