"""Trains what bench/published/record.jsonl lacks, a line for each training: `python -m bench.published`.

It may be ended and started again at any time. `--only TEXT` takes the runs whose name contains TEXT, `--list` says what
is missing. `python -m bench published` prints what the record holds.
"""

from __future__ import annotations

import argparse
import functools
import json

from bench.published import report
from bench.published.rows import rows_of
from bench.published.runs import published
from bench.published.train import LIBRARIES, train


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.published", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    prepared = functools.lru_cache(maxsize=12)(rows_of)
    for run in published():
        for seed in range(run.seeds):
            for library in LIBRARIES:
                done = {(line["run"], line["library"], line["seed"]) for line in report.lines()}
                if arguments.only not in run.name or (run.name, library, seed) in done:
                    continue
                if arguments.list:
                    print(run.name, library, seed)
                    continue
                line = train(run, library, seed, prepared(run.dataset, seed))
                with open(report.RECORD, "a") as file:
                    file.write(json.dumps(line) + "\n")
                print(line, flush=True)


if __name__ == "__main__":
    main()
