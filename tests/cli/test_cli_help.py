"""`vaxseq help`: the topics, a page as it is in a pipe, and drawn in a terminal."""

from __future__ import annotations

import json
import sys

import pytest

from vaxseq.cli import main
from vaxseq.reference import page, topics


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_without_a_topic_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "help")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[3:-1]] == list(topics())
    assert json.loads(run(capsys, "help", "--json")[1]) == topics()


@pytest.mark.parametrize("topic", topics())
def test_a_pipe_gets_the_page_as_it_is(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "help", topic) == (0, page(topic), "")
    answer = json.loads(run(capsys, "help", topic, "--json")[1])
    assert answer == {"topic": topic, "about": topics()[topic], "text": page(topic)}


@pytest.mark.parametrize("topic", topics())
def test_a_terminal_gets_it_drawn(
    topic: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, out, err = run(capsys, "help", topic)
    assert (code, err) == (0, "")
    assert page(topic).splitlines()[0].removeprefix("# ") in out
    assert max(map(len, out.splitlines())) <= 80
    assert not any(mark in out for mark in ("<!--", "|---|", "```"))


def test_a_slip_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "help", "step")
    assert (code, out) == (2, "")
    assert "no topic 'step'. Did you mean 'steps'?" in err
    code, _, err = run(capsys, "help", "convert")
    assert code == 2
    assert "vaxseq VERB --help" in err
