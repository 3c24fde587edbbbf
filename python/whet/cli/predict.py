"""whet predict: the target of each row of a table."""

from __future__ import annotations

import argparse

from whet.cli.arguments import FILE, STREAM, TABLE, Commands, path
from whet.cli.streams import load_table_model, output

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser("predict", help="predict the target of each row of a table")
    parser.add_argument("model", **FILE)
    parser.add_argument("table", **TABLE)
    parser.add_argument(
        "--out",
        type=path,
        default=STREAM,
        metavar="p.csv",
        help="where to write the predictions; standard output by default",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from whet.data import as_dataset
    from whet.data.columns import text

    model = load_table_model(arguments.model)
    kinds = model.preprocessor.kinds
    table = as_dataset(arguments.table, wanted=kinds, ignored=(model.target,), kinds=kinds)
    header, columns = ["prediction"], [[text(label) for label in model.predict(table).tolist()]]
    if model.task == "classification":
        probabilities = model.predict_proba(table)
        header += [f"probability_{text(label)}" for label in model.classes_.tolist()]
        # Nine digits tell all float32 apart.
        columns += [[f"{probability:.9g}" for probability in column] for column in probabilities.T]
    with output(arguments.out) as lines:
        import csv

        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(zip(*columns, strict=True))
