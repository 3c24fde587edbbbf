"""Trains what bench/published/record.jsonl lacks, a line for each training: `python -m bench.published`.

It may be ended and started again at any time. `--only TEXT` takes the runs whose name contains TEXT, `--list` says what
is missing. `python -m bench published` prints what the record holds.

Of equal libraries, one run in nine differs by more than two standard errors of five seeds: where one does, as many
seeds again decide.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Iterator

from bench.published import report
from bench.published.rows import rows_of
from bench.published.runs import Run, published
from bench.published.train import LIBRARIES, train


def in_doubt(run: Run) -> bool:
    """Whether the first seeds of a run say that the libraries differ."""
    first = {library: lines[: run.seeds] for library, lines in report.pairs(report.lines(), run).items()}
    return len(first["whet"]) == run.seeds and abs(report.apart(first)) > 2


def missing(only: str) -> Iterator[tuple[Run, int, str]]:
    """What the record lacks, by then: run, seed and library; first all runs once, then those in doubt."""
    runs = [run for run in published() if only in run.name]
    for again in (False, True):
        for run in runs:
            if again and not in_doubt(run):
                continue
            for seed in range(run.seeds * again, run.seeds * (1 + again)):
                for library in LIBRARIES:
                    if (run.name, library, seed) not in {(x["run"], x["library"], x["seed"]) for x in report.lines()}:
                        yield run, seed, library


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.published", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    prepared = functools.lru_cache(maxsize=12)(rows_of)
    for run, seed, library in missing(arguments.only):
        print(run.name, library, seed, flush=True)
        if not arguments.list:
            line = train(run, library, seed, prepared(run.dataset, seed))
            with open(report.RECORD, "a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
