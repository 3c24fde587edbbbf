"""whet evaluate: predictions beside the target that a table holds."""

from __future__ import annotations

import argparse

from whet.cli.arguments import FILE, TABLE, Commands
from whet.cli.messages import line
from whet.cli.streams import load_table_model

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser("evaluate", help="compare predictions with the target that a table holds")
    parser.add_argument("model", **FILE)
    parser.add_argument("table", **TABLE)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    for name, value in load_table_model(arguments.model).evaluate(arguments.table).items():
        line(name, f"{value:.6g}")
