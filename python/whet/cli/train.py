"""whet train: a model of a table."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING

from whet.cli.arguments import STREAM, TABLE, Commands, batch, count, fraction, path, rate, seed, widths
from whet.cli.messages import (
    describe,
    describe_history,
    describe_layers,
    describe_network,
    describe_task,
    line,
    say,
    watched,
)
from whet.cli.streams import check_writable, save

if TYPE_CHECKING:
    from whet.data import Dataset
    from whet.errors import NonFiniteError
    from whet.tabular import TabularModel
    from whet.training.history import History

__all__ = ["add"]

# What fit calls otherwise than this command.
_FLAGS = {
    "epochs or max_steps": "--epochs",
    "resume=True": "--resume",
    "checkpoint_every": "--checkpoint-every",
    "batch_size": "--batch-size",
    "validation_data": "--validation",
    "validation_fraction": "--validation",
    "seed": "--seed",
}


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser("train", help="train on a table")
    parser.add_argument("table", **TABLE)
    parser.add_argument("--target", required=True, metavar="COLUMN", help="the column to learn")
    parser.add_argument(
        "--task", choices=("auto", "classification", "regression"), default="auto", help="what to learn (%(default)s)"
    )
    parser.add_argument(
        "--hidden",
        type=widths,
        default=(128, 128),
        metavar="W,W,...",
        help="widths of the hidden layers (128,128); '' for a linear model",
    )
    parser.add_argument("--epochs", type=count, metavar="N", default=40, help="passes over the rows (%(default)s)")
    parser.add_argument(
        "--lr", type=rate, metavar="RATE", help="learning rate of Adam (0.003, and 0.0003 for the last fifth)"
    )
    parser.add_argument(
        "--batch-size", type=batch, default="auto", metavar="N|auto", help="rows per step (%(default)s)"
    )
    parser.add_argument("--seed", type=seed, metavar="N", default=0, help="of the training (%(default)s)")
    parser.add_argument(
        "--validation",
        type=fraction,
        default=0.0,
        metavar="FRACTION",
        help="of the rows, set aside by seed; the last loss on them is printed",
    )
    parser.add_argument("--out", type=path, metavar="m.whet", help="where to write the model; - is standard output")
    parser.add_argument(
        "--report", type=path, metavar="r.html", help="a page to write about the run, with its diagnosis"
    )
    parser.add_argument(
        "--record", action="store_true", help="note gradient norms, update ratios and dead units of every epoch"
    )
    parser.add_argument("--checkpoint", type=path, metavar="RUN/", help="a directory to write checkpoints to")
    parser.add_argument(
        "--checkpoint-every", type=count, metavar="N", help="steps from one checkpoint to the next (an epoch)"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the newest good checkpoint, if there is one")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from whet import optim
    from whet.data import as_dataset
    from whet.errors import NonFiniteError
    from whet.tabular import TabularModel

    check_writable(arguments.out)
    if arguments.report is not None:
        _check_report(arguments.report)
    table = as_dataset(arguments.table)
    model = TabularModel(arguments.target, arguments.task, hidden=arguments.hidden)
    try:
        history = model.fit(
            table,
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            optimizer=None if arguments.lr is None else optim.Adam(lr=arguments.lr),
            seed=arguments.seed,
            validation_fraction=arguments.validation,
            checkpoint=arguments.checkpoint,
            checkpoint_every=arguments.checkpoint_every,
            resume=arguments.resume,
            record=arguments.record,
            progress=watched(),
        )
    except NonFiniteError as error:
        if arguments.report is not None:
            _report(model, error, table, arguments)
        raise
    except ValueError as error:
        raise ValueError(_in_flags(str(error))) from None
    except KeyboardInterrupt:
        _say_resumed(arguments, model.history)
        if model.history is not None and arguments.out is not None:
            save(model, arguments.out)
            say(f"saved what was trained so far to {arguments.out}")
        raise
    _say_resumed(arguments, history)
    if arguments.out is None:
        say("the model is not kept; --out m.whet would write it")
    else:
        save(model, arguments.out)
    report = sys.stderr if arguments.out == STREAM else sys.stdout
    line("table", describe(table.with_target(arguments.target)), report)
    line("task", describe_task(model), report)
    line("model", describe_network(model), report)
    line("training", describe_history(history), report)
    if arguments.validation:
        line("validation", f"loss {history['val_loss'][-1]:.4g} on the {arguments.validation:.3g} set aside", report)
    if arguments.record:
        line("layers", "in the last epoch", report)
        for name, words in describe_layers(history).items():
            line(f"  {name}", words, report)
    line("scores", "on all rows of the table" if arguments.validation else "on the training rows", report)
    for name, value in model.evaluate(table).items():
        line(f"  {name}", f"{value:.6g}", report)
    if arguments.report is not None:
        _report(model, history, table, arguments)
        line("report", arguments.report, report)
    if arguments.out is not None:
        line("saved", "standard output" if arguments.out == STREAM else arguments.out, report)


def _check_report(name: str) -> None:
    """Find out before a long training that its report could not be written."""
    from whet.reporting import require

    if name == STREAM:
        raise ValueError("expected a file for --report, got standard output")
    require()
    check_writable(name)


def _report(model: TabularModel, run: History | NonFiniteError, table: Dataset, arguments: argparse.Namespace) -> None:
    import shlex

    from whet._prepared import set_aside
    from whet.reporting import report

    given = held_out = table.with_target(arguments.target)
    if arguments.validation:
        parts = set_aside(given, model.task, arguments.validation, arguments.seed)
        given, held_out = (given.take(part) for part in parts)
    command = shlex.join(["whet", *arguments.given])
    aside = held_out if arguments.validation else None
    source = None if arguments.table == STREAM else arguments.table
    report(model, run, given, arguments.report, held_out=aside, command=command, source=source)


def _in_flags(message: str) -> str:
    """Name the flags of a training in place of fit's arguments."""
    for argument, flag in _FLAGS.items():
        message = re.sub(rf"\b{argument}\b", flag, message)
    return message


def _say_resumed(arguments: argparse.Namespace, history: History | None) -> None:
    if not arguments.resume or history is None:
        return
    if history.resumed_at is None:
        say(f"there was no checkpoint to go on from in {arguments.checkpoint}: this training began at the beginning")
    else:
        say(f"went on from step {history.resumed_at:,} in {arguments.checkpoint}")
