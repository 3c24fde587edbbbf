"""One picture for every record: a row of cases, in it a mark for each peer, with the spread of its rounds."""

from __future__ import annotations

import importlib.util
import io
import re
import sys
import textwrap
from pathlib import Path

from bench.tables import Table, advantage, figures, number, peers_of, share

# Told apart by their shapes, not by their colours alone.
WHET = ("o", "#000000", "#000000")
EDGES = {
    "s": "#0072b2",
    "^": "#d55e00",
    "D": "#009e73",
    "v": "#cc79a7",
    "P": "#56748c",
    "X": "#7a5c00",
    "<": "#444444",
    ">": "#5b3fa0",
    "p": "#b00020",
    "*": "#1f8a9e",
    "h": "#8a8a00",
}
OTHERS = [(shape, "#ffffff", edge) for shape, edge in EDGES.items()]
LIMITS = [("|", "#777777", "#777777"), ("x", "#777777", "#777777")]
# Inches: a mark's line, between cases, a line of text, the width of a panel, what it needs above and below.
STEP, GAP, LINE, PANEL, ABOVE, BELOW = 0.14, 0.16, 0.17, 4.2, 0.35, 0.5


def styles(tables: list[Table]) -> dict[str, tuple[str, str, str]]:
    """Peer -> marker, its colour and that of its edge; the same in all panels."""
    names = list(dict.fromkeys(name for table in tables for name in peers_of(table)))
    limits = {limit for table in tables for limit in table["limits"].values()}
    others, ends = iter(OTHERS * len(names)), iter(LIMITS * len(names))
    return {name: WHET if name == "whet" else next(ends if name in limits else others) for name in names}


def label(table: Table, case: str, name: str) -> str:
    """The figure itself for whet, limits and what is not compared; else how many times as fast whet is."""
    ratio = advantage(table, case, name)
    if ratio is not None:
        return f"x{ratio:.2f}"
    part = share(table, case, name) if name == "whet" else None
    return number(figures(table, case, name)[1]) + (f" ({100 * part:.0f} %)" if part is not None else "")


def panel(axes, table: Table, marks: dict[str, tuple[str, str, str]]) -> None:
    height, ticks, seen = 0.0, [], []
    spots: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in marks}
    for case, row in table["cases"].items():
        top = height
        for name in [name for name in peers_of(table) if name in row["peers"]]:
            low, middle, high = figures(table, case, name)
            seen += [low, high]
            spots[name].append((height, low, middle, high))
            bold = {"fontweight": "bold"} if name == "whet" else {}
            text, away = label(table, case, name), dict(textcoords="offset points", xytext=(6, 0))
            axes.annotate(text, (high, height), va="center", fontsize=7, **away, **bold)
            height += STEP
        ticks.append((top + height - STEP) / 2)
        axes.axhline(height - STEP / 2 + GAP / 2, color="#dddddd", linewidth=0.6, zorder=1)
        height += GAP
    for name in [name for name in spots if spots[name]]:
        shape, face, edge = marks[name]
        heights, lows, middles, highs = zip(*spots[name], strict=True)
        axes.hlines(heights, lows, highs, color=edge, linewidth=1.6, zorder=2)
        size = 7 if shape == "|" else 5
        axes.plot(middles, heights, shape, markersize=size, mfc=face, mec=edge, mew=1.2, zorder=3)
    axes.set_yticks(ticks, table["cases"])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(height - STEP / 2 - GAP / 2, -STEP / 2 - GAP / 2)
    low, high = min(seen), max(seen)
    if low > 0 and high / low > 30:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.10g}")
        axes.set_xlim(low / 1.5, high * (high / low) ** 0.2)
    else:
        axes.set_xlim(0, high * 1.22)
    less = {"rate": ", more is better", "value": ""}.get(table["kind"], ", less is better")
    axes.set_xlabel(table["unit"] + less)
    axes.set_title(table["title"], fontsize=9, loc="left")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def tall(table: Table) -> float:
    return sum(len(row["peers"]) for row in table["cases"].values()) * STEP + len(table["cases"]) * GAP


def shorter(svg: str) -> str:
    """Without what is said in every text and means nothing, and with hundredths of a point: half the bytes."""
    font = "font-family: 'DejaVu Sans', sans-serif"
    svg = svg.replace(f" {font};", "").replace("; text-anchor: start", "").replace("<svg ", f'<svg style="{font}" ', 1)
    svg = re.sub(r' transform="rotate\(-0 [^"]*\)"| id="(text|line2d)_\d+"', "", svg)
    return re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", svg)


def head(record: Table, tables: list[Table], compared: bool) -> list[str]:
    machine = record["machine"]
    where = (
        f"{machine['processor']}, {machine['processors']} processors, {machine['time'][:10]}, {machine['whet']['isa']}"
    )
    versions = ", ".join(f"{package} {version}" for package, version in machine["versions"].items())
    told = "marks: medians; lines: quartiles"
    kinds = {table["kind"] for table in tables} if compared else set()
    if kinds & {"rate", "time"}:
        told += "; x: how many times as fast as the peer whet is"
    if "amount" in kinds:
        told += (
            ", or how many times as much the peer needs" if kinds & {"rate", "time"} else "; x: times what whet needs"
        )
    if any(table["limits"] for table in tables):
        told += "; %: what whet reaches of the machine's limit"
    return [f"{record['benchmark']}: {record['question']}", f"{where}; {versions}", told]


def draw(record: Table, folder: Path, name: str) -> list[Path]:
    """Writes folder/name.svg and .png; without matplotlib says that they are left out."""
    tables = [table for table in record["tables"] if table["cases"]]
    if not tables:
        return []
    if importlib.util.find_spec("matplotlib") is None:
        print("plots are left out: matplotlib is not installed (pip install 'whet[plot]')", file=sys.stderr)
        return []
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from PIL import Image

    matplotlib.rcParams.update({"font.size": 8, "svg.fonttype": "none", "svg.hashsalt": "whet"})
    matplotlib.rcParams["font.sans-serif"] = ["DejaVu Sans"]  # a list of ten would stand in each text of the SVG
    marks = styles(tables)
    margin = 0.25 + 0.07 * max(len(case) for table in tables for case in table["cases"])
    rows = [tables[i : i + 2] for i in range(0, len(tables), 2)]
    width = len(rows[0]) * (margin + PANEL) + 0.25
    title, *small = head(record, tables, "whet" in marks)
    texts = [(line, {"size": 10, "weight": "bold"}) for line in textwrap.wrap(title, int(width / 0.093))]
    texts += [(line, {"size": 7}) for part in small for line in textwrap.wrap(part, int(width / 0.061))]
    columns = max(1, int(width / (0.65 + 0.07 * max(map(len, marks)))))
    top = 0.1 + LINE * len(texts) + 0.2 * -(-len(marks) // columns)
    height = top + sum(ABOVE + max(map(tall, row)) + BELOW for row in rows)
    figure = Figure((width, height))
    for row in rows:
        top += ABOVE
        for i, table in enumerate(row):
            left, bottom = i * (margin + PANEL) + margin, height - top - tall(table)
            place = (left / width, bottom / height, PANEL / width, tall(table) / height)
            panel(figure.add_axes(place), table, marks)
        top += max(map(tall, row)) + BELOW
    for i, (line, style) in enumerate(texts):
        figure.text(0.1 / width, 1 - (0.1 + LINE * (i + 0.5)) / height, line, va="center", **style)
    handles = [
        Line2D([], [], marker=shape, mfc=face, mec=edge, mew=1.2, color=edge, linewidth=1.2, label=peer)
        for peer, (shape, face, edge) in marks.items()
    ]
    corner = (0.0, 1 - (0.1 + LINE * len(texts)) / height)
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=corner, ncols=columns, frameon=False)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.svg", folder / f"{name}.png"]
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    paths[0].write_text("".join(f"{line.rstrip()}\n" for line in shorter(text.getvalue()).splitlines()))
    pixels = io.BytesIO()
    figure.savefig(pixels, format="png", dpi=110)
    # A palette: a third of the bytes.
    Image.open(pixels).convert("RGB").quantize(256).save(paths[1], optimize=True)
    return paths
