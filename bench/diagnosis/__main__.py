"""Does `whet.diagnose` name seeded faults, and does it leave sound runs alone?

    python -m bench.diagnosis                                  # the development sets, which rules are written by
    python -m bench.diagnosis --part held-out --draw 1 --write   # a measurement, into the record

WHET_DATA has to name the folder of data sets, and scikit-learn has to be there. Draws of the held-out part are
numbered: each is a measurement of its own, and rules that were changed after one are measured by the next.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from bench.diagnosis.cases import FAULTS, PARTS, SOUND, run_case

import whet

RECORD = Path(__file__).resolve().parent / "record.jsonl"
NONE = "nothing"


def judge(job: tuple[str, int, str, int]) -> dict[str, Any]:
    """Trains one case and asks for the diagnosis."""
    fault, number, part, seed = job
    whet.set_num_threads(1)
    case, run, in_vain = run_case(fault, number, part, seed)
    found = whet.diagnose(run.run, run.model, run.X, run.y, validation_data=run.validation)
    drawn = f"{case.name}, {len(run.X)} rows, {case.hidden} {case.activation}, {case.optimizer} {case.rate:.2g}"
    return {
        "part": part,
        "draw": seed,
        "fault": fault,
        "number": number,
        "case": drawn,
        "in_vain": in_vain,
        "faults": list(found.faults),
        "evidence": [each.evidence for each in found],
    }


def confusion(lines: list[dict[str, Any]]) -> str:
    """Markdown: a row for each seeded fault, a column for what was named."""
    named = [*FAULTS, *sorted({fault for line in lines for fault in line["faults"]} - set(FAULTS)), NONE]
    head = f"| seeded | runs | named | named first | {' | '.join(named)} |\n|---|{'---|' * (len(named) + 3)}\n"
    rows = []
    for seeded in (*FAULTS, SOUND):
        mine = [line["faults"] for line in lines if line["fault"] == seeded]
        if not mine:
            continue
        counts = Counter(fault for faults in mine for fault in (faults or [NONE]))
        right = NONE if seeded == SOUND else seeded
        first = sum((faults or [NONE])[0] == right for faults in mine)
        cells = [f"**{counts[each]}**" if each == right else str(counts[each] or "") for each in named]
        rows.append(f"| {seeded} | {len(mine)} | {counts[right] / len(mine):.0%} | {first} | {' | '.join(cells)} |")
    return head + "\n".join(rows)


def misses(lines: list[dict[str, Any]]) -> str:
    """Markdown: each case that was not named, or accused."""
    wrong = [
        line for line in lines if (line["fault"] not in line["faults"] if line["fault"] != SOUND else line["faults"])
    ]
    return "\n".join(f"- {line['fault']}: {line['case']}: {', '.join(line['faults']) or NONE}" for line in wrong)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.diagnosis", description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, default="development")
    parser.add_argument("--draw", type=int, default=0, help="which cases are drawn (%(default)s)")
    parser.add_argument("--cases", type=int, default=10, help="of each fault (%(default)s)")
    parser.add_argument("--sound", type=int, default=20, help="sound runs (%(default)s)")
    parser.add_argument("--only", default="", help="one fault")
    parser.add_argument("--write", action="store_true", help="add the cases to the record")
    arguments = parser.parse_args()
    faults = [fault for fault in (*FAULTS, SOUND) if arguments.only in ("", fault)]
    counts = {fault: arguments.sound if fault == SOUND else arguments.cases for fault in faults}
    numbers = range(max(counts.values()))
    jobs = [(fault, i, arguments.part, arguments.draw) for i in numbers for fault in faults if i < counts[fault]]
    lines = []
    with ProcessPoolExecutor(2) as workers:
        for line in workers.map(judge, jobs):
            lines.append(line)
            if arguments.write:
                with RECORD.open("a") as record:
                    record.write(json.dumps(line) + "\n")
    print(confusion(lines) + "\n\n" + misses(lines))


if __name__ == "__main__":
    main()
