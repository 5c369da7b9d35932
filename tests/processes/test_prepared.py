"""A program forked from a prepared interpreter is told from one that began anew by its speed alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from prepared import PreparedPython

TELLING = """
import os, sys, threading
print(sys.argv, os.environ["COLOUR"], __name__, sys.modules["__main__"].__dict__ is globals(), "vaex" in sys.modules)
print(os.getcwd(), sys.path[0], threading.active_count())
print("here", file=sys.stderr)
"""


def test_arguments_environment_and_folder_are_as_with_a_new_interpreter(python: PreparedPython, tmp_path: Path) -> None:
    env = {**os.environ, "COLOUR": "red"}
    (tmp_path / "script.py").write_text(TELLING)
    for arguments in (["-c", TELLING, "a", "-b"], [str(tmp_path / "script.py"), "a"]):
        anew = subprocess.run([sys.executable, *arguments], env=env, cwd=tmp_path, capture_output=True, text=True)
        forked = python.run(arguments, env=env, cwd=tmp_path)
        assert forked.stdout == anew.stdout.replace("True False\n", "True True\n")
        assert (forked.stderr, forked.returncode) == (anew.stderr, anew.returncode) == ("here\n", 0)


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [
        ("raise SystemExit(7)", 7, ""),
        ("import sys; sys.exit('no')", 1, "no\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
        ("import atexit, sys; atexit.register(print, 'late', file=sys.stderr)", 0, "late\n"),
        (
            "import sys; from threading import Timer; Timer(0.1, print, ['last'], {'file': sys.stderr}).start()",
            0,
            "last\n",
        ),
    ],
)
def test_programs_end_as_they_would(python: PreparedPython, program: str, code: int, said: str) -> None:
    done = python.run(["-c", program])
    assert done.returncode == code
    assert done.stderr.endswith(said)


def test_programs_read_what_they_are_sent_and_can_be_killed(python: PreparedPython) -> None:
    with python.popen(
        ["-c", "for line in open(0): print(line.upper(), end='', flush=True)"], stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write("one\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ONE\n"
        assert process.poll() is None
        process.kill()
        assert process.wait() == -signal.SIGKILL


def test_programs_do_not_share_their_chance(python: PreparedPython) -> None:
    program = "import random, numpy; print(random.random(), numpy.random.rand())"
    one, two = (python.run(["-c", program]).stdout.split() for _ in range(2))
    assert not set(one) & set(two)


def test_an_environment_that_comes_too_late_is_refused(python: PreparedPython, keras_python: PreparedPython) -> None:
    with pytest.raises(AssertionError, match="KERAS_BACKEND is read by what is imported already"):
        keras_python.run(["-c", ""], env={**os.environ, "KERAS_BACKEND": "other"})
    with pytest.raises(AssertionError, match="VAEX_HOME is read by what is imported already"):
        python.run(["-c", ""], env={**os.environ, "VAEX_HOME": "other"})


def test_it_ends_though_a_fork_still_holds_its_socket() -> None:
    python = PreparedPython(["json"], keras=False)
    assert python.run(["-c", "print(1)"]).stdout == "1\n"
    assert python._client is not None
    held = os.dup(python._client.fileno())  # as a fork has it
    closing = threading.Thread(target=python.close, daemon=True)
    closing.start()
    closing.join(20)
    ended = not closing.is_alive()
    os.close(held)
    assert ended
