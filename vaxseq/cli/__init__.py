"""The command line: parse, call a public function, print.

A verb is a module in this folder with a function of the verb's own name: ``cli/convert.py`` holds ``convert``, whose
annotated parameters are the options and whose docstring is the help. It is found by being there. Verbs import the
rooms they call inside the function, so that ``vaxseq --help`` answers at once. A module whose name starts with ``_``
is shared between verbs and isn't one.

Every verb takes ``--json``, which gives one document on standard output and nothing else there, and ``--quiet``.
Options that verbs share are declared once, in ``_options``. Progress, warnings and errors go to standard error.

Exit codes: 0 done, 1 a fault of vaxseq itself, 2 wrong use, file or data, 130 interrupted.
"""

from __future__ import annotations

import os
import pkgutil
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from importlib import import_module
from inspect import signature
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

# The order in which a person meets the verbs; others follow by name.
_ORDER = (
    "convert", "inspect", "compact", "verify", "explore", "draft", "schema", "check", "fit", "preview", "explain",
    "diff", "split", "materialize", "profile", "report", "export", "demo",
)  # fmt: skip

_WRONG_USE: Any = typer.BadParameter.__base__  # click's UsageError, which releases of typer have in different places


def verbs() -> tuple[str, ...]:
    """The verbs that are there, in the order of the help page."""
    found = {module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")}
    known = [verb for verb in _ORDER if verb in found]
    return (*known, *sorted(found.difference(known)))


class _ReaderGoneError(Exception):
    """Whoever read the output has closed it, as ``head`` does: nobody is there to be told more."""


@contextmanager
def _told_when_the_reader_is_gone(*kinds: type[BaseException]) -> Iterator[None]:
    """Typer would exit with 1, which is the code of a fault."""
    try:
        yield
    except kinds as error:
        raise _ReaderGoneError from error


class _Verb(TyperCommand):
    """A verb's options and help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        with _told_when_the_reader_is_gone(SystemExit):  # what rich makes of a closed pipe
            super().format_help(ctx, formatter)


class _Verbs(TyperGroup):
    """Imports a verb's module when the verb is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(verbs())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in verbs():
            return None
        if cmd_name not in self.commands:
            single = typer.Typer(add_completion=False, rich_markup_mode="rich")
            function = getattr(import_module(f"vaxseq.cli.{cmd_name}"), cmd_name)
            single.command(cmd_name, cls=_Verb, no_args_is_help=False)(_told_when_interrupted(function))
            self.commands[cmd_name] = typer.main.get_command(single)
        return self.commands[cmd_name]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        with _told_when_the_reader_is_gone(SystemExit):
            super().format_help(ctx, formatter)

    def make_context(self, *args: Any, **options: Any) -> Any:
        with _told_when_the_reader_is_gone(BrokenPipeError):
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        with _told_when_the_reader_is_gone(BrokenPipeError):
            return super().invoke(ctx)


def _told_when_interrupted(verb: Callable[..., None]) -> Callable[..., None]:
    @wraps(verb)
    def run(*args: Any, **options: Any) -> None:
        try:
            verb(*args, **options)
        except KeyboardInterrupt:
            _complain("interrupted")
            raise typer.Exit(130) from None

    return run


app = typer.Typer(
    name="vaxseq",
    cls=_Verbs,
    help="Train Keras on data larger than memory: convert, define features, fit, train.",
    epilog="Start with: vaxseq demo, and read on with: vaxseq help. "
    "Exit codes: 0 done, 2 wrong use, file or data, 1 a fault of vaxseq, 130 interrupted.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from vaxseq import __version__

        typer.echo(f"vaxseq {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    _debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (may stand anywhere).")
    ] = False,
) -> None:
    """Hold the options that come before a verb."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, turn errors into one message on stderr, and exit."""
    _open_streams()
    args = list(sys.argv[1:] if arguments is None else arguments)
    before, after = (args[: args.index("--")], args[args.index("--") :]) if "--" in args else (args, [])
    debug = "--debug" in before
    args = [arg for arg in before if arg != "--debug"] + after
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            try:
                app(args=args, prog_name="vaxseq")
            finally:
                sys.stdout.flush()
    except (_ReaderGoneError, BrokenPipeError):
        _let_go_of_stdout()
        sys.exit(0)
    except KeyboardInterrupt:
        _complain("interrupted")
        sys.exit(130)
    except SystemExit as end:
        if end.code == 130 and arguments is None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Arrow repeats a Ctrl-C that it met: the way out is taken
        wrong_use: Any = end.__context__
        while wrong_use is not None and not isinstance(wrong_use, _WRONG_USE):
            wrong_use = wrong_use.__context__
        if wrong_use is None:
            raise
        if "--json" in before:
            _show_error(wrong_use, wrong_use.format_message(), wrong_use.exit_code)
        sys.exit(wrong_use.exit_code)
    except Exception as error:  # the outermost frame: every error becomes a message and an exit code
        if debug:
            raise
        code, message = _explained(error, next((arg for arg in args if arg in verbs()), None))
        _complain(message)
        if "--json" in before:
            _show_error(error, message, code)
        sys.exit(code)


def _show_error(error: Exception, message: str, code: int) -> None:
    from vaxseq.cli._output import show

    try:
        show(json=True, data={"error": {"kind": type(error).__name__, "message": message, "exit_code": code}})
    except BrokenPipeError:
        _let_go_of_stdout()


def _let_go_of_stdout() -> None:
    """Lets the interpreter flush it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _open_streams() -> None:
    """Makes streams that were closed lead to nowhere; else the next file to be opened would take their place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))


def _explained(error: Exception, verb: str | None) -> tuple[int, str]:
    """The exit code, and the error in words for a person."""
    from vaxseq.errors import VaxseqError

    if isinstance(error, VaxseqError):
        said = _as_options("\n".join([str(error), *getattr(error, "__notes__", [])]), verb)
        return 2, said + _to_type(error, verb)
    if isinstance(error, OSError):
        return 2, f"{error.filename or 'vaxseq'}: {error.strerror or error}"
    return 1, f"unexpected {type(error).__name__}: {error}\nThis is a fault in vaxseq. --debug shows where."


def _to_type(error: Any, verb: str | None) -> str:
    """The options that let a conversion go on, as they are typed."""
    if verb != "convert" or not error.options:
        return ""
    from vaxseq.convert import as_arguments

    return f"\n  {as_arguments(error.options)}"


def _warn(*warning: Any, **_: Any) -> None:
    """Print a warning for a person, without the line of code that it came from."""
    _print("warning: ", "bold yellow", str(warning[0]))


def _as_options(message: str, verb: str | None) -> str:
    """Arguments that a message names as in Python, as the options that they are here: overwrite=True, --overwrite."""
    if verb is None:
        return message
    known = signature(getattr(import_module(f"vaxseq.cli.{verb}"), verb)).parameters

    def written(found: re.Match[str]) -> str:
        name, value = found["name"], found["value"]
        option = name.replace("_", "-")
        if name not in known:
            return found[0]
        return {"True": f"--{option}", "False": f"--no-{option}"}.get(value, f"--{option} {value[1:-1]}")

    return re.sub(r"\b(?P<name>[a-z_]+)=(?P<value>True|False|\"\w+\"|'\w+')", written, message)


def _complain(message: str) -> None:
    _print("error: ", "bold red", message)


def _print(kind: str, style: str, message: str) -> None:
    from rich.text import Text

    from vaxseq.cli._output import Output
    from vaxseq.errors import printable

    with suppress(BrokenPipeError):  # the exit code still tells
        Output(stderr=True, soft_wrap=True, highlight=False).print(Text.assemble((kind, style), printable(message)))
