"""The command line: quick help, one clear message for an error, exit codes, no colour where none is wanted."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import vaxseq
import vaxseq.cli
from vaxseq.cli import main, verbs

BOOM = '''
"""A verb for tests."""
from typing import Annotated
import typer
from vaxseq.errors import ColumnNotFoundError

def boom(kind: Annotated[str, typer.Argument()], number: Annotated[int, typer.Option()] = 1) -> None:
    """Fail in some way."""
    if kind == "ours":
        error = ColumnNotFoundError("flights.arrow: no column 'distnce'. Did you mean 'distance'?")
        error.add_note("while reading rows 0 to 10")
        raise error
    if kind == "file":
        open("/no/such/file")
    if kind == "fault":
        raise RuntimeError("a bug")
    if kind == "interrupt":
        raise KeyboardInterrupt
    print(f"{kind} [red]{number}[/red]")
'''


def run(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "COLUMNS": "100", **environment}
    return subprocess.run([sys.executable, "-m", "vaxseq", *args], capture_output=True, text=True, env=env, check=False)


@pytest.fixture
def boom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "boom.py").write_text(BOOM)
    monkeypatch.setattr(vaxseq.cli, "__path__", [*vaxseq.cli.__path__, str(tmp_path)])
    assert "boom" in verbs()


def exit_of(*args: str) -> object:
    with pytest.raises(SystemExit) as done:
        main(args)
    return done.value.code


def test_version_and_help() -> None:
    assert run("--version").stdout == f"vaxseq {vaxseq.__version__}\n"
    shown = run("--help")
    assert shown.returncode == 0
    assert all(verb in shown.stdout for verb in verbs())


@pytest.mark.parametrize("code", ["import vaxseq", "from vaxseq.cli import main; main(['--help'])"])
def test_it_answers_in_well_under_half_a_second(code: str) -> None:
    """In processor time, so that other work on the machine doesn't count; on an idle one a person waits as long."""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 0.4, times


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    shown = run(verb, "--help")
    assert shown.returncode == 0, shown.stderr
    assert f"vaxseq {verb}" in shown.stdout.replace("Usage: vaxseq", "")


def test_an_unknown_verb_and_an_unknown_option_exit_2() -> None:
    wrong = run("convrt")
    assert wrong.returncode == 2
    assert "convrt" in wrong.stderr
    assert run("demo", "--sped").returncode == 2


def test_our_errors_are_one_message_and_exit_2(boom: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_of("boom", "ours") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "error: flights.arrow: no column 'distnce'. Did you mean 'distance'?",
        "while reading rows 0 to 10",
    ]


@pytest.mark.parametrize("args", [("--debug", "boom", "ours"), ("boom", "ours", "--debug")])
def test_debug_shows_the_traceback(args: tuple[str, ...], boom: None) -> None:
    with pytest.raises(vaxseq.VaxseqError, match="distnce"):
        main(args)


def test_a_missing_file_is_wrong_use(boom: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_of("boom", "file") == 2
    assert capsys.readouterr().err == "error: /no/such/file: No such file or directory\n"


def test_a_fault_of_ours_says_so(boom: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_of("boom", "fault") == 1
    assert "unexpected RuntimeError: a bug" in capsys.readouterr().err


def test_an_interrupt_exits_130(boom: None) -> None:
    assert exit_of("boom", "interrupt") == 130


def test_options_after_two_dashes_are_left_alone(boom: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_of("boom", "--", "--debug") == 0
    assert "--debug" in capsys.readouterr().out


def test_no_color_is_honoured() -> None:
    coloured = run("--help", FORCE_COLOR="1", TERM="xterm-256color")
    plain = run("--help", FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="1")
    assert "\x1b[1;3" in coloured.stdout  # a colour
    assert "\x1b[3" not in plain.stdout
    assert "\x1b[1;3" not in plain.stdout


DEFINITION = """
inputs:
  x: {features: [{column: COLUMN, steps: [STEP]}]}
targets:
  late: {expr: arr_delay >= 30}
"""


@pytest.fixture
def flights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("flights.csv").write_text("distance,carrier,arr_delay\n100,AA,5\n250,UA,40\n80,AA,31\n")
    vaxseq.convert("flights.csv", "flights.arrow", progress=False)


@pytest.mark.parametrize(
    ("column", "step", "args", "said"),
    [
        (
            "distance",
            "standardize",
            ["flight.arrow"],
            "flight.arrow: no such file, folder or pattern. Did you mean 'flights.arrow'?",
        ),
        ("distnce", "standardize", ["flights.arrow"], "column 'distnce' isn't in the data. Did you mean 'distance'?"),
        ("distance", "standardise", ["flights.arrow"], "unknown step 'standardise'. Did you mean 'standardize'?"),
        ("carrier", "standardize", ["flights.arrow"], "step 'standardize': can't take this column; got text"),
        ("distance", "standardize", ["flights.arrow", "--where", "distance < 0"], "no training rows"),
        ("distance", "standardize", ["flights.arrow", "--where", "distnce < 0"], "Did you mean 'distance'?"),
        ("distance", "standardize", ["flights.arrow", "--where", "__import__('os')"], "isn't allowed"),
    ],
)
def test_a_mistake_is_one_clear_message(
    column: str, step: str, args: list[str], said: str, flights: None, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("features.yaml").write_text(DEFINITION.replace("COLUMN", column).replace("STEP", step))
    assert exit_of("fit", "features.yaml", *args, "-o", "fitted.json") == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert err.startswith("error: ")
    assert not Path("fitted.json").exists()
