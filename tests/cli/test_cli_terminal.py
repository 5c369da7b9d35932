"""What a terminal gets is text, and streams may be closed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prepared import PreparedPython

from vaxseq.convert import convert
from vaxseq.display.html import Heading, table
from vaxseq.display.progress import FileProgress
from vaxseq.display.tables import Display, Head
from vaxseq.errors import ColumnNotFoundError, printable

EVIL = "a\x1b[31mred\x9b2J\u202egnp.exe\r\x07"


def harmless(text: str) -> bool:
    return not any(mark in text for mark in ("\x1b", "\x9b", "\u202e", "\r", "\x07"))


def test_control_characters_are_written_out() -> None:
    assert printable(EVIL) == r"a\x1b[31mred\x9b2J\u202egnp.exe\r\x07"
    assert printable("line\n\ttab é 日本 👩‍🔬") == "line\n\ttab é 日本 👩‍🔬"
    assert printable("\udcff").encode() == b"\\udcff"


def test_errors_tables_and_pages() -> None:
    assert harmless(str(ColumnNotFoundError(f"no column {EVIL}")))
    shown = Display(EVIL, (Heading(EVIL), Heading("x")), ((EVIL, "1"), Head(EVIL, EVIL)), (EVIL,))
    assert harmless(repr(shown))
    assert harmless(shown._repr_html_())
    assert harmless(table([Heading(EVIL)], [[EVIL]], label=EVIL))


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with FileProgress(EVIL, [1], 7, show=True):
        pass
    assert harmless(capsys.readouterr().err)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("terminal")
    pq.write_table(pa.table({EVIL: [1, 2], "w": [EVIL, "x"]}), folder / "a.parquet")
    convert(folder / "a.parquet", folder / "o.arrow", progress=False)
    return folder


@pytest.fixture
def data(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


@pytest.mark.slow
def test_names_and_values_of_a_stranger(python: PreparedPython, data: Path) -> None:
    for arguments in (
        ["inspect", "o.arrow"], ["convert", "a.parquet", "p.arrow", "--columns", "b"], ["inspect", EVIL],
        ["explore", "o.arrow"], ["split", "o.arrow", "s", "--by", "hash", "--key", "none"],
    ):  # fmt: skip
        answer = python.run(["-m", "vaxseq", *arguments])
        assert harmless(answer.stdout + answer.stderr), arguments


# as a new interpreter finds them: the numbers are free for the next files, and Python has no file for them
CLOSED = """
import os, runpy, sys
for number in map(int, sys.argv[1]):
    os.close(number)
    name = ("stdin", "stdout", "stderr")[number]
    setattr(sys, name, None)
    setattr(sys, f"__{name}__", None)
del sys.argv[1]
runpy.run_module("vaxseq", run_name="__main__", alter_sys=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["1", "2", "12", "0"])
def test_closed_streams(python: PreparedPython, data: Path, tmp_path: Path, closed: str) -> None:
    shown = ["--help", "inspect o.arrow"] if closed.startswith("1") else []
    for verb in (*shown, f"convert a.parquet {tmp_path}/closed.arrow"):
        answer = python.run(["-c", CLOSED, closed, *verb.split()])
        assert (answer.returncode, answer.stderr) == (0, ""), verb
    assert pa.ipc.open_file(tmp_path / "closed.arrow").read_all().num_rows == 2


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["--help", "convert a.parquet closed.arrow --overwrite"])
def test_a_new_process_with_closed_streams(data: Path, verb: str) -> None:
    command = f"{sys.executable} -m vaxseq {verb} >&- 2>&-"
    assert subprocess.run(command, shell=True, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "code"),
    [
        ("inspect o.arrow", 0), ("inspect o.arrow --json", 0), ("explore o.arrow", 0), ("--help", 0), ("--version", 0),
        ("inspect --help", 0), ("help sources", 0), ("inspect none.arrow --json", 2), ("inspect --none --json", 2),
        ("inspect none.arrow 2>&1", 2), ("inspect --none 2>&1", 2),
    ],
)  # fmt: skip
def test_a_reader_that_goes_away(python: PreparedPython, data: Path, verb: str, code: int) -> None:
    reader, writer = os.pipe()
    command = ["-m", "vaxseq", *verb.removesuffix(" 2>&1").split()]
    stderr = writer if verb.endswith(" 2>&1") else subprocess.PIPE
    with python.popen(command, stdout=writer, stderr=stderr) as process:
        os.close(writer)
        os.close(reader)
        said = process.communicate()[1]
    assert process.returncode == code
    assert ("Traceback" not in said) if code else (said == "")


@pytest.mark.slow
def test_a_reader_of_a_new_process_goes_away(data: Path) -> None:
    command = f"set -o pipefail; {sys.executable} -m vaxseq inspect o.arrow | true"
    answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (answer.returncode, answer.stderr) == (0, "")
