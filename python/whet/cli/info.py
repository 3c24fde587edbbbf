"""whet info: a model, a table, or this installation."""

from __future__ import annotations

import argparse

from whet.cli.arguments import TABLES, Commands
from whet.cli.messages import describe_network, describe_task, line
from whet.cli.streams import open_model

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser("info", help="describe a model, a table, or this installation")
    parser.add_argument(
        "model",
        nargs="?",
        metavar="FILE",
        help=f"a model written by whet train, - for one from standard input; or a table, {', '.join(TABLES)}",
    )
    parser.add_argument("--target", metavar="COLUMN", help="of a table: the column to learn")
    parser.add_argument(
        "--test", metavar="TABLE", help="of a table: another one, whose rows that are also here are counted"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from whet.nn import Module
    from whet.runtime import build_info
    from whet.tabular import TabularModel

    if arguments.model is not None and arguments.model.lower().endswith(TABLES):
        _info_of_table(arguments)
        return
    if arguments.target is not None or arguments.test is not None:
        raise ValueError(f"--target and --test go with a table, {', '.join(TABLES)}; got {arguments.model or 'none'}")
    if arguments.model is None:
        for name, value in build_info().items():
            line(name, ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))
        return
    model = open_model(arguments.model)
    if not isinstance(model, TabularModel | Module):
        line("calibrated", repr(model))
        model = model.model
    if not isinstance(model, TabularModel):
        line("kind", "network")
        print(model.summary())
        line("fingerprint", model.fingerprint())
        return
    line("kind", "table")
    line("target", model.target)
    line("task", describe_task(model))
    for name, kind in model.preprocessor.kinds.items():
        line("column", f"{name} ({kind})")
    line("model", describe_network(model))
    line("fingerprint", model.network.fingerprint())


def _info_of_table(arguments: argparse.Namespace) -> None:
    from whet.data import as_dataset

    table = as_dataset(arguments.model).with_target(arguments.target)
    print(table.describe(**{} if arguments.test is None else {arguments.test: arguments.test}))
