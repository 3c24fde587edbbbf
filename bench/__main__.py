"""`python -m bench` lists the benchmarks; `python -m bench NAME ...` runs some."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from bench.harness import Options, alone, save


def benchmarks() -> dict[str, str]:
    """Name -> question."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        module = importlib.import_module(f"bench.{path.stem}")
        found[path.stem.removeprefix("bench_")] = (module.__doc__ or "").splitlines()[0]
    return found


def main() -> None:
    known = benchmarks()
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[[], *known], help="a benchmark of the list")
    parser.add_argument("--rounds", type=int, default=Options.rounds, help="turns of each peer (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=Options.seconds, help="length of a turn (default %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose name contains TEXT")
    parser.add_argument("--peer", action="append", default=[], help="only this peer beside whet; may be repeated")
    arguments = parser.parse_args()
    if not arguments.name:
        for name, question in known.items():
            print(f"{name:8}  {question}")
    for name in arguments.name:
        options = Options(arguments.rounds, arguments.seconds, arguments.only, tuple(arguments.peer))
        with alone():
            record = importlib.import_module(f"bench.bench_{name}").run(options)
            print(f"\nrecorded in {save(name, record)}")


if __name__ == "__main__":
    main()
