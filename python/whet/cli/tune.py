"""whet tune: a search for the arguments of a table's model."""

from __future__ import annotations

import argparse
import functools
import sys
from typing import Any

from whet.cli.arguments import STREAM, TABLE, Commands, count, fraction, path, seed
from whet.cli.messages import describe, line, say
from whet.cli.streams import check_writable, save

__all__ = ["add"]

_HIDDEN = ((64,), (128,), (256,), (64, 64), (128, 128), (256, 256), (128, 128, 128))
_BATCHES = (32, 64, 128, 256, 512)


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "tune",
        help="search for widths, learning rate, weight decay and batch size, and train the best",
        description="Train many models, each with other widths of hidden layers, learning rate, weight decay and rows "
        "per step; judge each by rows it has not seen; print them, the best first; train that one on all rows.",
    )
    parser.add_argument("table", **TABLE)
    parser.add_argument("--target", required=True, metavar="COLUMN", help="the column to learn")
    parser.add_argument(
        "--task", choices=("auto", "classification", "regression"), default="auto", help="what to learn (%(default)s)"
    )
    parser.add_argument("--trials", type=count, metavar="N", default=64, help="how many models (%(default)s)")
    parser.add_argument(
        "--method",
        choices=("random", "halving"),
        default="random",
        help="train all to the end, or go on with the better ones alone (%(default)s)",
    )
    parser.add_argument("--epochs", type=count, metavar="N", default=40, help="passes over the rows (%(default)s)")
    held = parser.add_mutually_exclusive_group()
    held.add_argument(
        "--validation", type=fraction, default=0.2, metavar="FRACTION", help="of the rows, to judge by (%(default)s)"
    )
    held.add_argument("--folds", type=count, metavar="K", help="judge by cross-validation instead")
    parser.add_argument("--metric", default="loss", metavar="NAME", help="to judge by, such as rmse (%(default)s)")
    parser.add_argument("--seed", type=seed, metavar="N", default=0, help="of search and training (%(default)s)")
    parser.add_argument("--threads", type=count, metavar="N", help="models trained at once (all processors)")
    parser.add_argument(
        "--journal", type=path, metavar="runs.jsonl", help="keeps what is done, and goes on from it if it is there"
    )
    parser.add_argument("--out", type=path, metavar="m.whet", help="where to write the model; - is standard output")
    parser.set_defaults(run=_run)


def _space() -> dict[str, Any]:
    from whet import tune

    return {
        "model.hidden": tune.choice(_HIDDEN),
        "optimizer.lr": tune.log_uniform(3e-4, 3e-2),
        "optimizer.weight_decay": tune.log_uniform(1e-6, 1e-3),
        "fit.batch_size": tune.choice(_BATCHES),
    }


def _run(arguments: argparse.Namespace) -> None:
    from whet import tune
    from whet.data import as_dataset
    from whet.tabular import TabularModel

    check_writable(arguments.out)
    table = as_dataset(arguments.table)
    found = tune.search(
        functools.partial(TabularModel, arguments.target, arguments.task),
        _space(),
        table,
        method=arguments.method,
        trials=arguments.trials,
        epochs=arguments.epochs,
        validation=arguments.validation,
        folds=arguments.folds,
        metric=arguments.metric,
        seed=arguments.seed,
        threads=arguments.threads,
        journal=arguments.journal,
        refit=arguments.out is not None,
        progress=True,
    )
    report = sys.stderr if arguments.out == STREAM else sys.stdout
    line("table", describe(table.with_target(arguments.target)), report)
    line("trials", f"{len(found.trials)} in {found.seconds:.1f} s, {found.threads} at once", report)
    print(found, file=report)
    if found.stopped_by == "interrupt":
        if arguments.journal is not None:
            say(f"the same command goes on from {arguments.journal}")
        raise KeyboardInterrupt
    for name, value in found.best_params.items():
        line(f"best {name}", f"{value:.6g}" if isinstance(value, float) else str(value), report)
    if arguments.out is None:
        say("the best model is not kept; --out m.whet would train it on all rows and write it")
    else:
        save(found.model, arguments.out)
        line("saved", "standard output" if arguments.out == STREAM else arguments.out, report)
