"""The command line: quick help, one clear message for an error, exit codes, no colour where none is wanted."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prepared import PreparedPython

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
def forked(python: PreparedPython, monkeypatch: pytest.MonkeyPatch) -> Callable[..., subprocess.CompletedProcess[str]]:
    """As run, in a process that has imported what the verbs do."""
    monkeypatch.setenv("COLUMNS", "100")
    return lambda *args: python.run(["-m", "vaxseq", *args])


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


def processor_times(*codes: str) -> list[float]:
    """Of each the least of some runs in a new process, in seconds; by turns, as the machine's pace changes."""
    times: list[list[float]] = []
    for _ in range(10):
        times.append([])
        for code in codes:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times[-1].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return [min(of) for of in zip(*times, strict=True)]


def test_it_answers_in_well_under_half_a_second() -> None:
    """0.35 s where typer and rich alone take 0.2; beside them, so that a busy machine doesn't count."""
    codes = "import typer.main, typer.rich_utils", "import vaxseq", "from vaxseq.cli import main; main(['--help'])"
    bare, imported, helped = processor_times(*codes)
    assert imported < bare / 2
    assert helped < 2 * bare


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_has_help_with_an_example(
    verb: str, forked: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    shown = forked(verb, "--help")
    assert shown.returncode == 0, shown.stderr
    assert f"vaxseq {verb}" in shown.stdout.replace("Usage: vaxseq", "")


def test_an_unknown_verb_and_an_unknown_option_exit_2(forked: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    wrong = forked("convrt")
    assert wrong.returncode == 2
    assert "convrt" in wrong.stderr
    assert forked("demo", "--sped").returncode == 2


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


def test_the_shell_completes_verbs_and_options() -> None:
    def completed(words: str, place: int) -> list[str]:
        return run(_VAXSEQ_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(place)).stdout.split()

    assert completed("vaxseq explo", 1) == ["explore"]
    assert completed("vaxseq report --sp", 2) == ["--split"]
    # without a look at the processes above, which may be no shell's
    shown = run("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "complete -o default" in shown.stdout


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


def test_a_python_argument_is_told_as_an_option(flights: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_of("convert", "flights.csv", "flights.arrow") == 2
    assert "replace it with --overwrite." in capsys.readouterr().err
    Path("features.yaml").write_text(DEFINITION.replace("COLUMN", "distance").replace("STEP", "standardize"))
    Path("gaps.csv").write_text("distance,carrier,arr_delay\n100,AA,5\n250,UA,\n")
    vaxseq.convert("gaps.csv", "gaps.arrow", progress=False)
    assert exit_of("fit", "features.yaml", "gaps.arrow", "-o", "fitted.json") == 0
    assert exit_of("materialize", "fitted.json", "gaps.arrow", "store.h5") == 2
    assert "Pass --on-missing drop to leave such rows out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["fit", "flights.arrow", "features.yaml"], "If this is the data, name it after the definition file"),
        (["preview", "flights.arrow", "fitted.json"], "If this is the data, name it after the state file"),
        (["report", "flights.arrow", "features.yaml"], "A definition file has to be fitted first: vaxseq fit"),
        (["preview", "fitted.json", "flights.arrow", "--where", "carrier = 'UA'"], "Equality is written =="),
        (["preview", "fitted.json", "flights.arrow", "--where", "a > 1 && b"], "Conditions are joined by and"),
        (["convert", "flights.csv", "flights.parquet"], "got '.parquet', a format that is only read. Expected .arrow"),
        (["materialize", "fitted.json", "flights.arrow", "s.arrow"], "a store is an HDF5 file. Name it so, as s.h5."),
        (["report", "flights.arrow", "-o", "no/page.html"], "there is no folder no. Make it"),
        (["report", "flights.arrow", "--split", "a=flights.arrow", "--split", "a=flights.arrow"], "got 'a' twice"),
    ],
)
def test_a_slip_of_the_hand_is_told(
    args: list[str], said: str, flights: None, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("features.yaml").write_text(DEFINITION.replace("COLUMN", "distance").replace("STEP", "standardize"))
    assert exit_of("fit", "features.yaml", "flights.arrow", "-o", "fitted.json") == 0
    before = sorted(Path().iterdir())
    capsys.readouterr()
    assert exit_of(*args) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("columns", [None, "60"])
def test_a_pipe_gets_whole_rows_and_a_narrow_terminal_lines(
    columns: str | None, flights: None, python: PreparedPython
) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    environment |= {"COLUMNS": columns} if columns else {}
    out = python.run(["-m", "vaxseq", "explore", "flights.arrow"], env=environment, check=True).stdout
    lines = [line.rstrip() for line in out.splitlines()]
    assert "\x1b" not in out
    if columns:
        assert max(map(len, lines)) <= 60
    else:
        assert lines[1].split()[:2] == ["column", "type"]
        assert len(lines) == 3 + 3
    assert all(name in out for name in ("distance", "carrier", "arr_delay"))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["nonsense", "jax"])
def test_without_a_backend_it_says_what_to_install(backend: str, flights: None, python: PreparedPython) -> None:
    Path("features.yaml").write_text(DEFINITION.replace("COLUMN", "distance").replace("STEP", "standardize"))
    assert exit_of("fit", "features.yaml", "flights.arrow", "-o", "fitted.json") == 0
    Path("jax.py").write_text("raise ModuleNotFoundError(\"No module named 'jax'\")")
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": f".:{os.environ.get('PYTHONPATH', '')}"}
    done = python.run(["-m", "vaxseq", "profile", "fitted.json", "flights.arrow"], env=environment)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: keras: can't load its backend (")
    assert "pip install 'vaxseq[jax]'" in done.stderr
    assert f"Set KERAS_BACKEND={'torch' if backend == 'jax' else 'jax'} in the environment (" in done.stderr
    done = python.run(["-m", "vaxseq", "report", "flights.arrow", "fitted.json"], env=environment)
    assert done.returncode == 0, done.stderr
    assert "Without a profile: keras: can't load its backend" in done.stdout


def test_inspect_shows_times_and_truths(flights: None, capsys: pytest.CaptureFixture[str]) -> None:
    Path("times.csv").write_text("when,late\n2013-01-01T05:00:00,true\n2013-01-02T06:30:00,false\n")
    vaxseq.convert("times.csv", "times.arrow", progress=False)
    assert exit_of("inspect", "times.arrow") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[3] == ["when", "timestamp[s]", "2013-01-01", "05:00:00", "2013-01-02", "06:30:00"]
    assert lines[4] == ["late", "bool", "False", "True", "0.5"]
    assert lines[5] == ["It", "memory-maps."]
