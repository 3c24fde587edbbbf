"""Lists the benchmarks; `python -m bench NAME ...` runs some.

`python -m bench compare OLD.json NEW.json` tells two records of one benchmark apart, and `python -m bench report
RECORD.json ...` prints the Markdown of records and draws their plots in bench/plots.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from pathlib import Path

from bench import tables
from bench.harness import Options, alone, perform
from bench.plot import draw

PLOTS = Path(__file__).resolve().parent / "plots"


def benchmarks() -> dict[str, str]:
    """Name -> question."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        question = ast.get_docstring(ast.parse(path.read_text())) or ""
        found[path.stem.removeprefix("bench_")] = question.splitlines()[0]
    return found


def compare(given: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench compare", description="What changed between two records?")
    parser.add_argument("old", metavar="OLD.json")
    parser.add_argument("new", metavar="NEW.json")
    arguments = parser.parse_args(given)
    old, new = tables.read(arguments.old), tables.read(arguments.new)
    if old["benchmark"] != new["benchmark"]:
        parser.error(f"{arguments.old} is of {old['benchmark']}, {arguments.new} of {new['benchmark']}")
    print(tables.differences(old, new))


def report(given: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench report", description="Records as Markdown, with plots.")
    parser.add_argument("record", nargs="+", metavar="RECORD.json")
    for path in parser.parse_args(given).record:
        record = tables.read(path)
        name = record["benchmark"]
        drawn = draw(record, PLOTS, name)
        print(f"## {record['question']}\n\n`python -m bench {name}`: {tables.where(record)}\n")
        for table in record["tables"]:
            print(tables.markdown(table) + "\n")
        if drawn:
            print(f"![{name}](../plots/{name}.svg)\n")


def run(given: list[str]) -> None:
    known = benchmarks()
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[[], *known], help="a benchmark of the list")
    parser.add_argument("--rounds", type=int, default=Options.rounds, help="turns of each peer (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=Options.seconds, help="length of a turn (default %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose name contains TEXT")
    parser.add_argument("--peer", action="append", default=[], help="only this peer beside whet; may be repeated")
    arguments = parser.parse_args(given)
    if not arguments.name:
        for name, question in known.items():
            print(f"{name:8}  {question}")
    modules = [importlib.import_module(f"bench.bench_{name}") for name in arguments.name]
    peers = list(dict.fromkeys(peer for module in modules for peer in getattr(module, "PEERS", {})))
    for peer in arguments.peer:
        if peer not in peers:
            parser.error(f"expected --peer among {', '.join(peers) or 'none'}, got {peer!r}")
    options = Options(arguments.rounds, arguments.seconds, arguments.only, tuple(arguments.peer))
    for name in arguments.name:
        with alone():
            path = perform(name, options)
        print(f"\nrecorded in {path}")
        for drawn in draw(tables.read(path), path.parent, path.stem):
            print(f"drawn in {drawn}")


def main() -> None:
    command, *rest = sys.argv[1:] or [""]
    if command == "compare":
        compare(rest)
    elif command == "report":
        report(rest)
    else:
        run(sys.argv[1:])


if __name__ == "__main__":
    main()
