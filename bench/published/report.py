"""What the record of the repeated trainings says, beside what was published."""

from __future__ import annotations

import json
import math
import statistics
from itertools import combinations
from pathlib import Path
from typing import Any

from bench.published.runs import Run
from bench.published.train import LIBRARIES

RECORD = Path(__file__).resolve().parent / "record.jsonl"
HEADINGS = (
    *(
        "run",
        "published",
        "whet",
        "PyTorch",
        "difference in standard errors, paired (not)",
        "whet to published",
        "steps",
    ),
    *("ms a step: whet", "PyTorch", "A100"),
)


def lines() -> list[dict[str, Any]]:
    """The record: a line for each training."""
    return [json.loads(line) for line in RECORD.read_text().splitlines()] if RECORD.is_file() else []


def error(values: list[float]) -> float:
    """The standard error of a mean."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def pairs(record: list[dict[str, Any]], run: Run) -> dict[str, list[dict[str, Any]]]:
    """Library -> the trainings of a run, those of the seeds that both libraries have, in the same order."""
    found = {
        library: {line["seed"]: line for line in record if (line["run"], line["library"]) == (run.name, library)}
        for library in LIBRARIES
    }
    both = sorted(set.intersection(*(set(each) for each in found.values())))
    return {library: [each[seed] for seed in both] for library, each in found.items()}


def apart(both: dict[str, list[dict[str, Any]]]) -> float:
    """The mean difference of the libraries on the same rows, in its standard errors; NaN for fewer than two seeds."""
    differences = [ours["test"] - theirs["test"] for ours, theirs in zip(both["whet"], both["torch"], strict=True)]
    spread = error(differences)
    return statistics.fmean(differences) / spread if spread else math.nan


def away(run: Run, mean: float) -> str:
    """How far a mean is from the published one, and whether that is within 3 % or a point."""
    distance = 100 * (mean / run.mean - 1 if run.metric == "rmse" else mean - run.mean)
    limit = 3 if run.metric == "rmse" else 1
    return f"{distance:+.2f} {'%' if run.metric == 'rmse' else 'points'}{'' if abs(distance) <= limit else ' (!)'}"


def row(run: Run, both: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The cells of a run's line in the table."""
    tests = {library: [line["test"] for line in each] for library, each in both.items()}
    means = {library: statistics.fmean(values) for library, values in tests.items()}
    paired, plain = apart(both), (means["whet"] - means["torch"]) / math.hypot(*map(error, tests.values()))
    steps = {library: statistics.fmean(line["steps"] for line in each) for library, each in both.items()}
    least = {library: min(line["ms_per_step"] for line in each) for library, each in both.items()}
    return [
        f"{run.name} ({len(both['whet'])} seeds)",
        f"{run.mean:.4f} ± {run.deviation:.4f}",
        *(f"{means[library]:.4f} ± {error(tests[library]):.4f}" for library in LIBRARIES),
        f"{paired:+.1f}{' (!)' if abs(paired) > 2 else ''} ({plain:+.1f})",
        away(run, means["whet"]),
        f"{steps['whet']:.0f}, {steps['torch']:.0f}",
        *(f"{least[library]:.2f}" for library in LIBRARIES),
        f"{run.ms_per_step:.2f}",
    ]


def table(runs: list[Run], record: list[dict[str, Any]]) -> str:
    """The runs that both libraries have trained, as Markdown."""
    made = [f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    for run in runs:
        both = pairs(record, run)
        if both["whet"]:
            made.append(f"| {' | '.join(row(run, both))} |")
    return "\n".join(made)


def order(runs: list[Run], record: list[dict[str, Any]]) -> list[str]:
    """For two runs of a data set whose published means differ by more than two standard errors: is the order kept?"""
    told = []
    for one, other in combinations(runs, 2):
        gap = one.mean - other.mean
        errors = [run.deviation / math.sqrt(run.published_seeds) for run in (one, other)]
        ours = [[line["test"] for line in pairs(record, run)["whet"]] for run in (one, other)]
        if one.dataset != other.dataset or abs(gap) <= 2 * math.hypot(*errors) or not all(ours):
            continue
        both = min(map(len, ours))
        differences = [a - b for a, b in zip(*(values[:both] for values in ours), strict=True)]
        found = statistics.fmean(differences)
        told.append(
            f"{'kept' if found * gap > 0 else 'NOT kept'}: {one.name} against {other.name}, "
            f"published {gap:+.4f}, here {found:+.4f} ± {error(differences):.4f}"
        )
    return told
