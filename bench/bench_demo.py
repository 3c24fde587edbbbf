"""How far below least squares is the demo's test error, over five splits of California housing?"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys

from bench import tables
from bench.harness import Options, Record

SEEDS = range(5)


def run(options: Options) -> Record:
    """Runs the command itself: what it prints is what users see."""
    rows: dict[str, dict[str, float]] = {}
    print("| seed | mean | least squares | whet | below least squares | seconds |\n|---|---|---|---|---|---|")
    for seed in SEEDS:
        command = [sys.executable, "-m", "whet", "demo", "--seed", str(seed)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        errors = {
            name: float(number.replace(",", ""))
            for name, number in re.findall(
                r"^  (mean|least squares|whet)\D*?\s([\d,]+)\s+-?\d\.\d+$", said, re.MULTILINE
            )
        }
        errors["below"] = 1 - errors["whet"] / errors["least squares"]
        seconds = re.search(r"([\d.]+) s from table", said)
        errors["seconds"] = float(seconds[1]) if seconds else float("nan")
        dollars = " | ".join(f"{errors[name]:,.0f}" for name in ("mean", "least squares", "whet"))
        print(f"| {seed} | {dollars} | {errors['below']:.2%} | {errors['seconds']:.1f} |")
        rows[f"seed {seed}"] = errors
    print(f"on average {statistics.mean(row['below'] for row in rows.values()):.2%} below least squares")
    by_name = {name: [row[name] for row in rows.values()] for name in ("whet", "mean", "least squares")}
    made = tables.make("five splits", {"test RMSE": by_name}, unit="dollars", kind="value")
    return {"seeds": rows, "tables": [made]}
