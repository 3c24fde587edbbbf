"""The command `whet`: a shell over TabularModel.

Results go to standard output, messages and progress to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage,
130 stopped by Ctrl-C, 141 nobody reads the output any more (as if killed by SIGPIPE). What takes time to import is
imported where it is used.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from whet.data import Dataset
    from whet.tabular import TabularModel
    from whet.training.history import History

__all__ = ["main"]

_FAILED, _INTERRUPTED, _BROKEN_PIPE = 1, 130, 141
_STREAM = "-"
_TABLES = (".csv", ".csv.gz", ".npz", ".parquet", ".pq")
# The name of the function that found an error, which says little to who did not call it; an environment variable does.
_WHERE = re.compile(r"^\[(?!WHET_)\w+\] ")
_MOST = 2**62  # what the compiled core surely takes


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: what follows the name of the command; that of the process by default.

    Returns:
        The exit code.

    Raises:
        SystemExit: with 2 for wrong usage, with 0 after --help and --version.
    """
    try:
        with _warnings_as_messages():
            try:
                parser = _parser()
                if not (sys.argv[1:] if argv is None else argv):
                    parser.print_help(sys.stderr)
                    parser.exit(2, "\nwhet: error: expected a command\n")
                arguments = parser.parse_args(argv)
                arguments.given = sys.argv[1:] if argv is None else list(argv)
                _check_usage(parser, vars(arguments))
                arguments.run(arguments)
            finally:
                # Here rather than at exit, where Python could no longer say what went wrong.
                if sys.stdout is not None:
                    sys.stdout.flush()
    except KeyboardInterrupt:
        _say("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return _BROKEN_PIPE
    except Exception as error:
        if isinstance(error, OSError):
            _discard_output()
        _say(f"error: {_message(error)}")
        return _FAILED
    return 0


def _check_usage(parser: argparse.ArgumentParser, arguments: Mapping[str, Any]) -> None:
    """Refuse options that do not go together."""
    if arguments.get("model") == arguments.get("table") == _STREAM:
        parser.error("expected the model or the table on standard input, got both")
    for name in ("checkpoint_every", "resume"):
        if arguments.get(name) and arguments["checkpoint"] is None:
            parser.error(f"--{name.replace('_', '-')} needs --checkpoint RUN/")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="whet", description="Train and use neural networks on tables.")
    parser.add_argument("-V", "--version", action=_Version)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    table: dict[str, Any] = {
        "metavar": "TABLE",
        "help": "a CSV file with a header, gzipped or not, or a Parquet or npz file; - is CSV from standard input",
    }
    file: dict[str, Any] = {"metavar": "m.whet", "help": "a file written by whet train; - is standard input"}

    demo = commands.add_parser("demo", help="train on the bundled California housing data, and say what was done")
    demo.add_argument(
        "--epochs", type=_count, metavar="N", default=40, help="passes over the training rows (%(default)s)"
    )
    demo.add_argument("--seed", type=_seed, metavar="N", default=0, help="of the split and the training (%(default)s)")
    demo.set_defaults(run=_demo)

    train = commands.add_parser("train", help="train on a table")
    train.add_argument("table", **table)
    train.add_argument("--target", required=True, metavar="COLUMN", help="the column to learn")
    train.add_argument(
        "--task", choices=("auto", "classification", "regression"), default="auto", help="what to learn (%(default)s)"
    )
    train.add_argument(
        "--hidden",
        type=_widths,
        default=(128, 128),
        metavar="W,W,...",
        help="widths of the hidden layers (128,128); '' for a linear model",
    )
    train.add_argument("--epochs", type=_count, metavar="N", default=40, help="passes over the rows (%(default)s)")
    train.add_argument(
        "--lr", type=_rate, metavar="RATE", help="learning rate of Adam (0.003, and 0.0003 for the last fifth)"
    )
    train.add_argument(
        "--batch-size", type=_batch, default="auto", metavar="N|auto", help="rows per step (%(default)s)"
    )
    train.add_argument("--seed", type=_seed, metavar="N", default=0, help="of the training (%(default)s)")
    train.add_argument(
        "--validation",
        type=_fraction,
        default=0.0,
        metavar="FRACTION",
        help="of the rows, set aside by seed; the last loss on them is printed",
    )
    train.add_argument("--out", type=_path, metavar="m.whet", help="where to write the model; - is standard output")
    train.add_argument(
        "--report", type=_path, metavar="r.html", help="a page to write about the run, with its diagnosis"
    )
    train.add_argument("--checkpoint", type=_path, metavar="RUN/", help="a directory to write checkpoints to")
    train.add_argument(
        "--checkpoint-every", type=_count, metavar="N", help="steps from one checkpoint to the next (an epoch)"
    )
    train.add_argument("--resume", action="store_true", help="go on from the newest good checkpoint, if there is one")
    train.set_defaults(run=_train)

    predict = commands.add_parser("predict", help="predict the target of each row of a table")
    predict.add_argument("model", **file)
    predict.add_argument("table", **table)
    predict.add_argument(
        "--out",
        type=_path,
        default=_STREAM,
        metavar="p.csv",
        help="where to write the predictions; standard output by default",
    )
    predict.set_defaults(run=_predict)

    evaluate = commands.add_parser("evaluate", help="compare predictions with the target that a table holds")
    evaluate.add_argument("model", **file)
    evaluate.add_argument("table", **table)
    evaluate.set_defaults(run=_evaluate)

    info = commands.add_parser("info", help="describe a model, a table, or this installation")
    info.add_argument(
        "model",
        nargs="?",
        metavar="FILE",
        help=f"a model written by whet train, - for one from standard input; or a table, {', '.join(_TABLES)}",
    )
    info.add_argument("--target", metavar="COLUMN", help="of a table: the column to learn")
    info.add_argument(
        "--test", metavar="TABLE", help="of a table: another one, whose rows that are also here are counted"
    )
    info.set_defaults(run=_info)
    return parser


class _Version(argparse.Action):
    """Prints the version; unlike argparse's own, it is looked up only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from whet._core import __version__

        print(f"whet {__version__}")
        parser.exit()


def _demo(arguments: argparse.Namespace) -> None:
    import time

    import numpy as np

    from whet import data, metrics
    from whet.tabular import TabularModel

    start = time.perf_counter()
    table = data.load_california_housing()
    parts = data.split(table, sizes=(0.72, 0.08, 0.2), seed=arguments.seed)
    train, validation, test = parts
    _line("table", f"California housing: {_describe(table)}")
    _line(
        "split",
        f"{train.rows:,} training, {validation.rows:,} validation, {test.rows:,} test rows, seed {arguments.seed}",
    )

    model = TabularModel(table.target or "")
    history = model.fit(
        train, validation_data=validation, epochs=arguments.epochs, seed=arguments.seed, progress=_watched()
    )
    truth = _numbers(test)
    predicted = {
        "mean of training rows": np.full(test.rows, _numbers(train).mean()),
        "least squares": _least_squares(
            model.preprocessor.transform(train), _numbers(train), model.preprocessor.transform(test)
        ),
        "whet": model.predict(test),
    }
    total = time.perf_counter() - start

    _line(
        "preprocessing",
        f"{train.columns} columns to {len(model.preprocessor.feature_names)} features, fitted on the training rows:",
    )
    _line("", "gaps filled with the median and marked, numbers scaled by quartiles and clipped smoothly,")
    _line("", "categories one-hot, target standardised")
    _line("model", _describe_network(model))
    _line("losses", "mean squared error of the standardised target")
    for epoch, (loss, held) in enumerate(zip(history["loss"], history["val_loss"], strict=True), 1):
        if epoch in (1, len(history["loss"])) or epoch % 5 == 0:
            _line(f"  epoch {epoch}", f"training {loss:.4f}  validation {held:.4f}")
    _line("time", f"{history.seconds:.1f} s of training, {total:.1f} s from table to test error")
    _line("test rows", f"{'RMSE (dollars)':>14}  {'R2':>6}")
    errors = {name: metrics.rmse(truth, values) for name, values in predicted.items()}
    for name, values in predicted.items():
        _line(f"  {name}", f"{errors[name]:>14,.0f}  {metrics.r2(truth, values):>6.3f}")
    change = 1 - errors["whet"] / errors["least squares"]
    print(f"whet's test RMSE is {abs(change):.1%} {'below' if change >= 0 else 'above'} that of least squares.")


def _train(arguments: argparse.Namespace) -> None:
    from whet import optim
    from whet.data import as_dataset
    from whet.errors import NonFiniteError
    from whet.tabular import TabularModel

    _check_writable(arguments.out)
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
            progress=_watched(),
        )
    except NonFiniteError as error:
        if arguments.report is not None:
            _report(model, error, table, arguments)
        raise
    except KeyboardInterrupt:
        if model.history is not None and arguments.out is not None:
            _save(model, arguments.out)
            _say(f"saved what was trained so far to {arguments.out}")
        raise
    if arguments.out is None:
        _say("the model is not kept; --out m.whet would write it")
    else:
        _save(model, arguments.out)
    report = sys.stderr if arguments.out == _STREAM else sys.stdout
    _line("table", _describe(table.with_target(arguments.target)), report)
    _line("task", _describe_task(model), report)
    _line("model", _describe_network(model), report)
    _line("training", _describe_history(history), report)
    if arguments.validation:
        _line("validation", f"loss {history['val_loss'][-1]:.4g} on the {arguments.validation:.3g} set aside", report)
    _line("scores", "on all rows of the table" if arguments.validation else "on the training rows", report)
    for name, value in model.evaluate(table).items():
        _line(f"  {name}", f"{value:.6g}", report)
    if arguments.report is not None:
        _report(model, history, table, arguments)
        _line("report", arguments.report, report)
    if arguments.out is not None:
        _line("saved", "standard output" if arguments.out == _STREAM else arguments.out, report)


def _check_report(path: str) -> None:
    """Find out before a long training that its report could not be written."""
    from whet.reporting import require

    if path == _STREAM:
        raise ValueError("expected a file for --report, got standard output")
    require()
    _check_writable(path)


def _report(model: TabularModel, run: Any, table: Dataset, arguments: argparse.Namespace) -> None:
    import shlex

    from whet.reporting import report
    from whet.tabular import set_aside

    given = held_out = table.with_target(arguments.target)
    if arguments.validation:
        parts = set_aside(given, model.task, arguments.validation, arguments.seed)
        given, held_out = (given.take(part) for part in parts)
    command = shlex.join(["whet", *arguments.given])
    report(model, run, given, arguments.report, held_out=held_out if arguments.validation else None, command=command)


def _predict(arguments: argparse.Namespace) -> None:
    from whet.data import as_dataset
    from whet.data.columns import text

    model = _load(arguments.model)
    kinds = model.preprocessor.kinds
    table = as_dataset(arguments.table, wanted=kinds, ignored=(model.target,), kinds=kinds)
    header, columns = ["prediction"], [[text(label) for label in model.predict(table).tolist()]]
    if model.task == "classification":
        probabilities = model.predict_proba(table)
        header += [f"probability_{text(label)}" for label in model.classes_.tolist()]
        # Nine digits tell all float32 apart.
        columns += [[f"{probability:.9g}" for probability in column] for column in probabilities.T]
    with _output(arguments.out) as lines:
        import csv

        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(zip(*columns, strict=True))


def _evaluate(arguments: argparse.Namespace) -> None:
    for name, value in _load(arguments.model).evaluate(arguments.table).items():
        _line(name, f"{value:.6g}")


def _info(arguments: argparse.Namespace) -> None:
    from whet.runtime import build_info
    from whet.tabular import TabularModel

    if arguments.model is not None and arguments.model.lower().endswith(_TABLES):
        _info_of_table(arguments)
        return
    if arguments.target is not None or arguments.test is not None:
        raise ValueError(f"--target and --test go with a table, {', '.join(_TABLES)}; got {arguments.model or 'none'}")
    if arguments.model is None:
        for name, value in build_info().items():
            _line(name, ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))
        return
    model = _open_model(arguments.model)
    if not isinstance(model, TabularModel):
        _line("kind", "network")
        print(model.summary())
        _line("fingerprint", model.fingerprint())
        return
    _line("kind", "table")
    _line("target", model.target)
    _line("task", _describe_task(model))
    for name, kind in model.preprocessor.kinds.items():
        _line("column", f"{name} ({kind})")
    _line("model", _describe_network(model))
    _line("fingerprint", model.network.fingerprint())


def _info_of_table(arguments: argparse.Namespace) -> None:
    from whet.data import as_dataset

    table = as_dataset(arguments.model).with_target(arguments.target)
    print(table.describe(**{} if arguments.test is None else {arguments.test: arguments.test}))


def _count(value: str) -> int:
    return _whole(value, 1, "a whole number of at least 1")


def _seed(value: str) -> int:
    return _whole(value, 0, "a whole number of at least 0", 2**64 - 1)


def _whole(value: str, least: int, what: str, most: int = _MOST) -> int:
    if not re.fullmatch(r"[0-9]{1,4000}", value) or int(value) < least:
        raise argparse.ArgumentTypeError(f"expected {what}, got {value!r}")
    if int(value) > most:
        raise argparse.ArgumentTypeError(f"expected {what} and at most {most}, got {value!r}")
    return int(value)


def _batch(value: str) -> int | str:
    return value if value == "auto" else _whole(value, 1, "auto or a whole number of at least 1")


def _rate(value: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(value) < float("inf"):
            return float(value)
    raise argparse.ArgumentTypeError(f"expected a positive number, got {value!r}")


def _fraction(value: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(value) < 1:
            return float(value)
    raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {value!r}")


def _path(value: str) -> str:
    if not value:
        raise argparse.ArgumentTypeError("expected the name of a file or -, got nothing")
    return value


def _widths(value: str) -> tuple[int, ...]:
    return tuple(_whole(width, 1, "widths such as 128,128") for width in value.split(",")) if value else ()


def _least_squares(
    X: npt.NDArray[np.float32], y: npt.NDArray[np.float64], X_test: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Fit a linear model with intercept, and predict: shape (rows of X_test,)."""
    import numpy as np

    design, test = (np.column_stack([part, np.ones(len(part))]).astype(np.float64) for part in (X, X_test))
    prediction: npt.NDArray[np.float64] = test @ np.linalg.lstsq(design, y, rcond=None)[0]
    return prediction


def _numbers(table: Dataset) -> npt.NDArray[np.float64]:
    import numpy as np

    return np.asarray(table.labels, np.float64)


def _load(path: str) -> TabularModel:
    from whet.tabular import TabularModel

    model = _open_model(path)
    if not isinstance(model, TabularModel):
        raise ValueError(f"{path}: expected a model of a table, written by whet train; got a network alone")
    return model


def _open_model(path: str) -> Any:
    from whet.models import load

    if path != _STREAM:
        with open(path, "rb") as file:
            _check_model(file.read(9), path)
        return load(path)
    if sys.stdin is None:
        raise ValueError("standard input is closed; expected a model there")
    content = sys.stdin.buffer.read()
    _check_model(content, "standard input")
    with _temporary() as name:
        with open(name, "wb") as stream:
            stream.write(content)
        try:
            return load(name)
        except ValueError as error:
            raise ValueError(str(error).replace(repr(name), "standard input")) from None


def _check_model(start: bytes, where: str) -> None:
    """Say in plain words what is no model file at all: those begin with eight bytes of length and a brace."""
    if start[8:9] != b"{":
        what = "something else" if start else "nothing"
        raise ValueError(f"{where}: expected a model file, written by whet train or save; got {what}")


def _save(model: TabularModel, path: str) -> None:
    if path != _STREAM:
        model.save(path)
        return
    with _temporary() as file:
        model.save(file)
        with open(file, "rb") as stream:
            sys.stdout.buffer.write(stream.read())


@contextlib.contextmanager
def _temporary() -> Iterator[str]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        yield os.path.join(folder, "m.whet")


@contextlib.contextmanager
def _output(path: str) -> Iterator[IO[str]]:
    if path == _STREAM:
        _check_writable(path)
        yield sys.stdout
        return
    with open(path, "w", encoding="utf-8", newline="") as file:
        yield file


def _check_writable(path: str | None) -> None:
    """Find out before a long training that its result could not be written."""
    if path == _STREAM and sys.stdout is None:
        raise ValueError("standard output is closed; --out FILE writes to a file")
    if path in (None, _STREAM):
        return
    folder = os.path.dirname(os.path.abspath(str(path)))
    if not os.path.isdir(folder):
        raise FileNotFoundError(2, "No such directory", folder)
    if os.path.isdir(str(path)):
        raise IsADirectoryError(21, "Is a directory", path)
    if not os.access(folder, os.W_OK):
        raise PermissionError(13, "Permission denied", folder)


def _describe(table: Dataset) -> str:
    return re.sub(r"^Dataset\((.*)\)$", r"\1", repr(table))


def _describe_task(model: TabularModel) -> str:
    return f"classification, {len(model.classes_)} classes" if model.task == "classification" else model.task


def _describe_network(model: TabularModel) -> str:
    shapes = [array.shape for array in model.network.state_dict().values()]
    widths = [str(shape[1]) for shape in shapes if len(shape) == 2] + [str(shapes[-1][0])] if shapes else []
    number = sum(array.size for array in model.network.state_dict().values())
    return f"{type(model.network).__name__} {'-'.join(widths)}, {number:,} parameters"


def _describe_history(history: History) -> str:
    losses = history["loss"]
    epochs = f"{len(losses)} epoch{'' if len(losses) == 1 else 's'}"
    resumed = "" if history.resumed_at is None else f", the last of them from step {history.resumed_at} on,"
    return (
        f"{epochs}{resumed} in {history.seconds:.1f} s, "
        f"loss {losses[0]:.4g} at first, {losses[-1]:.4g} at last, on the training rows"
    )


def _watched() -> bool:
    """Tell whether someone looks at standard error, where a progress bar goes."""
    return sys.stderr is not None and sys.stderr.isatty()


def _line(name: str, value: str, stream: IO[str] | None = None) -> None:
    print(f"{name:<24}{value}".rstrip(), file=stream)


def _say(message: str) -> None:
    print(f"whet: {message}", file=sys.stderr)


def _message(error: Exception) -> str:
    """Put an error into one line."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    message = " ".join(str(error).split())
    return _WHERE.sub("", message) or type(error).__name__


@contextlib.contextmanager
def _warnings_as_messages() -> Iterator[None]:
    """Show warnings in one line each on standard error."""
    import warnings

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        _say("warning: " + _WHERE.sub("", str(message)))

    with warnings.catch_warnings():
        from whet.errors import WhetWarning

        warnings.simplefilter("always", WhetWarning)
        warnings.showwarning = show
        yield


def _discard_output() -> None:
    """Send what is still buffered nowhere, so that Python does not complain at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
