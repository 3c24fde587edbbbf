"""What a run leaves behind, and how it is told: tables of cases and peers with all rounds, as JSON and as Markdown.

A table is a dictionary: a title, the unit and kind of its figures, and for each case the work and each peer's rounds.
Of kind "rate" or "time", rounds are seconds for the case's work; of the other kinds, the figures themselves: "amount"
is what whoever needs less of it is better, such as memory, and "value" is not compared.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

Table = dict[str, Any]
Kind = Literal["rate", "time", "amount", "value"]


def make(
    title: str,
    rounds: dict[str, dict[str, list[float]]],
    *,
    unit: str,
    kind: Kind,
    scale: float = 1.0,
    work: dict[str, float] | None = None,
    limits: dict[str, str] | None = None,
) -> Table:
    """Figures are `scale` times the work in a second ("rate"), the seconds for a unit of work, or the value."""
    cases = {
        case: {"work": work[case] if work else 1, "peers": {name: list(taken) for name, taken in row.items()}}
        for case, row in rounds.items()
    }
    return {"title": title, "unit": unit, "kind": kind, "scale": scale, "limits": limits or {}, "cases": cases}


def peers_of(table: Table) -> list[str]:
    """whet first, limits last."""
    names = list(dict.fromkeys(name for case in table["cases"].values() for name in case["peers"]))
    limits = set(table["limits"].values())
    return sorted(names, key=lambda name: (name in limits, name != "whet"))


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def figures(table: Table, case: str, name: str) -> tuple[float, float, float]:
    """Quartiles and median of a peer, in the table's unit."""
    row, scale = table["cases"][case], table["scale"]
    low, middle, high = quartiles(row["peers"][name])
    if table["kind"] == "rate":  # the other way round: the longest time is the lowest rate
        return scale * row["work"] / high, scale * row["work"] / middle, scale * row["work"] / low
    scale /= row["work"]
    return scale * low, scale * middle, scale * high


def advantage(table: Table, case: str, name: str) -> float | None:
    """How many times what whet takes a peer takes, by their medians; None where nothing is compared."""
    row = table["cases"][case]["peers"]
    if table["kind"] == "value" or not {"whet", name} <= row.keys() or name in {"whet", *table["limits"].values()}:
        return None
    mine = statistics.median(row["whet"])
    return statistics.median(row[name]) / mine if mine else None


def share(table: Table, case: str, name: str) -> float | None:
    """The part of what the machine allows, measured in the same run, that a peer reaches."""
    row, limit = table["cases"][case]["peers"], table["limits"].get(name)
    if limit not in row or name not in row:
        return None
    return statistics.median(row[limit]) / statistics.median(row[name])


def number(value: float) -> str:
    """Three significant digits, and all those of a large integer part."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def markdown(table: Table) -> str:
    """A row for each case, a column for each peer."""
    peers = peers_of(table)
    once = all(len(rounds) == 1 for row in table["cases"].values() for rounds in row["peers"].values())
    explained = f"**{table['title']}**, {table['unit']}" + ("" if once else ": median (quartiles)")
    if table["kind"] != "value" and "whet" in peers:
        explained += ", x: whet's advantage"
    if table["limits"]:
        explained += f", %: of {' or '.join(dict.fromkeys(table['limits'].values()))}"
    lines = [explained, "", f"| | {' | '.join(peers)} |", "|---" * (len(peers) + 1) + "|"]
    for case, row in table["cases"].items():
        cells = []
        for name in peers:
            if name not in row["peers"]:
                cells.append("-")
                continue
            low, middle, high = map(number, figures(table, case, name))
            cell = f"{middle} ({low}-{high})" if len(row["peers"][name]) > 1 else middle
            ratio, part = advantage(table, case, name), share(table, case, name)
            cell += f" x{ratio:.2f}" if ratio is not None else ""
            cell += f" {100 * part:.0f} %" if part is not None else ""
            cells.append(cell)
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return "\n".join(lines)


def read(path: str | Path) -> Table:
    """A record that a run has kept."""
    record = json.loads(Path(path).read_text())
    if "tables" not in record:
        raise ValueError(f"{path} holds no tables: it was recorded before benchmarks kept them")
    return record


def where(record: Table) -> str:
    """The machine, the date and the versions of a record, in a line."""
    machine = record["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['processor']}, {machine['processors']} processors, {machine['time'][:10]}, "
        f"{machine['whet']['isa']}, {versions}, commit {machine['commit']}"
    )


def differences(old: Table, new: Table) -> str:
    """How many times as fast as in the old record each peer is in the new one, by their medians."""
    lines = [f"old: {where(old)}", f"new: {where(new)}", ""]
    before = {table["title"]: table for table in old["tables"] if table["kind"] in {"rate", "time"}}
    for table in new["tables"]:
        past = before.get(table["title"])
        if past is None or table["kind"] not in {"rate", "time"}:
            continue
        peers = [name for name in peers_of(table) if name in peers_of(past)]
        lines += [f"**{table['title']}**: old time / new time", ""]
        lines += [f"| | {' | '.join(peers)} | whet beside the others |", "|---" * (len(peers) + 2) + "|"]
        for case, row in table["cases"].items():
            if case not in past["cases"]:
                continue
            cells, ratios = [], {}
            for name in peers:
                now, then = row["peers"].get(name), past["cases"][case]["peers"].get(name)
                if not now or not then:
                    cells.append("-")
                    continue
                a, b = quartiles(then), quartiles(now)
                ratios[name] = a[1] / b[1]
                cells.append(f"{ratios[name]:.2f}{' ~' if a[0] <= b[2] and b[0] <= a[2] else ''}")
            others = [ratio for name, ratio in ratios.items() if not name.startswith("whet")]
            drift = statistics.geometric_mean(others) if others and "whet" in ratios else None
            cells.append(f"{ratios['whet'] / drift:.2f}" if drift else "-")
            lines.append(f"| {case} | {' | '.join(cells)} |")
        lines.append("")
    lines += [
        "More than 1: faster now. ~: the quartiles of the two overlap. The last column divides whet's by the mean",
        "ratio of the peers whose code is the same in both: what the machine did in between drops out.",
    ]
    return "\n".join(lines)
