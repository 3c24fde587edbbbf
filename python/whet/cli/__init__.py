"""The command `whet`: a shell over TabularModel, with a file for each of its commands.

Results go to standard output, messages and progress to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage,
130 stopped by Ctrl-C, 141 nobody reads the output any more (as if killed by SIGPIPE). What takes time to import is
imported where it is used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from whet.cli import demo, evaluate, info, predict, train, tune
from whet.cli.arguments import STREAM
from whet.cli.messages import discard_output, message_of, say, warnings_as_messages

__all__ = ["main"]

_FAILED, _INTERRUPTED, _BROKEN_PIPE = 1, 130, 141


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
        with warnings_as_messages():
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
        say("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        discard_output()
        return _BROKEN_PIPE
    except Exception as error:
        if isinstance(error, OSError):
            discard_output()
        say(f"error: {message_of(error)}")
        return _FAILED
    return 0


def _check_usage(parser: argparse.ArgumentParser, arguments: Mapping[str, Any]) -> None:
    """Refuse options that do not go together."""
    if arguments.get("model") == arguments.get("table") == STREAM:
        parser.error("expected the model or the table on standard input, got both")
    for name in ("checkpoint_every", "resume"):
        if arguments.get(name) and arguments["checkpoint"] is None:
            parser.error(f"--{name.replace('_', '-')} needs --checkpoint RUN/")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="whet", description="Train and use neural networks on tables.")
    parser.add_argument("-V", "--version", action=_Version)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (demo, train, tune, predict, evaluate, info):
        command.add(commands)
    return parser


class _Version(argparse.Action):
    """Prints the version; unlike argparse's own, it is looked up only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="show the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from whet._core import __version__

        print(f"whet {__version__}")
        parser.exit()
