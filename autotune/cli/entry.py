"""The entry: which commands there are, and one sentence and an exit code for all that can go wrong.

Exit codes: 0 done; 2 a request that makes no sense; 1 a failure; 130 after Ctrl-C, 143 after SIGTERM.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import TextIO

import click

from autotune.cli.operators import Operators
from autotune.cli.start import INTERRUPTED
from autotune.errors import AutotuneError, UsageError
from autotune.tensor_expr.operators import get_operator, operators
from autotune.version import VERSION

TERMINATED = 143  # 128 + SIGTERM

# Modules with a ``command``, loaded when it is asked for: some import LLVM or XGBoost, which --help must not wait for.
COMMANDS = {
    "best": ("autotune.cli.best", "the best kernel that the database has for an operator"),
    "db": ("autotune.cli.db", "look at a tuning database, check it, exchange it with others"),
    "explain": ("autotune.cli.explain", "a kernel's schedule, loop nest and assembly"),
    "fuzz": ("autotune.cli.fuzz", "check random schedules of random operators beside NumPy"),
    "operators": ("autotune.cli.list_operators", "the operators, by family"),
    "replay": ("autotune.cli.replay", "run a search again from its log, and compare"),
    "tune-many": ("autotune.cli.tune_many", "tune a network's operators under one budget"),
    "targets": ("autotune.cli.list_targets", "the targets, and which of them this machine runs"),
}


class Commands(Operators):
    """A command for each operator, which tunes it, and the commands of ``COMMANDS``."""

    kind = "operator or command"

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*operators(), *COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            command: click.Command = import_module(COMMANDS[cmd_name][0]).command
            return command
        if cmd_name in operators():
            tuning: click.Command = import_module("autotune.cli.tune").tune_command(get_operator(cmd_name))
            return tuning
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_commands(ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Find fast kernels by search, and keep every measurement. For example: autotune conv2d --trials 200",
)
@click.version_option(VERSION, prog_name="autotune")
def autotune() -> None:
    """Nothing of its own: the commands do the work."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. SIGTERM ends it as Ctrl-C does, with a code of its own."""
    _prepare_streams()
    warnings.showwarning = _warn
    with _termination() as terminated:
        code = _run(arguments)
    return TERMINATED if terminated and code == INTERRUPTED else code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = autotune.main(arguments, prog_name="autotune", standalone_mode=False)
        sys.stdout.flush()  # here, where a broken pipe is still caught
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except AutotuneError as error:
        code = _complain(str(error), 2 if isinstance(error, UsageError) else 1)
    except Warning as warning:  # one that the user's filter makes an error
        code = _complain(str(warning), 1)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted: every trial that finished is kept; the same command resumes.", err=True)
        code = INTERRUPTED
    except MemoryError:
        code = _complain("this machine has not enough memory for it", 1)
    except BrokenPipeError:
        # What is still buffered has nowhere to go; without this, Python would complain about it while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        code = _complain(_cause(error), 1)
    return code if isinstance(code, int) else 0


@contextmanager
def _termination() -> Iterator[list[int]]:
    """SIGTERM raises KeyboardInterrupt and is noted in the list."""
    noted: list[int] = []

    def terminate(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        raise KeyboardInterrupt

    ours = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGTERM, terminate)
    try:
        yield noted
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _prepare_streams() -> None:
    """Closed streams lead nowhere: else a database would get descriptor 1, and what is printed would land in it.

    Names of files need not be text, but can always be printed.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (for as long as the process lives)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _cause(error: OSError) -> str:
    if error.filename is None and isinstance(error, FileNotFoundError):
        try:
            os.getcwd()
        except FileNotFoundError:
            return "the working directory no longer exists; change to another one first"
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)


def _warn(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
    line: str | None = None,
) -> None:  # fmt: skip
    """One sentence, without the place in our code."""
    click.echo(f"Warning: {message}", err=True)


def _complain(sentence: str, code: int) -> int:
    click.echo(f"Error: {sentence}", err=True)
    return code
