"""One command line: every verb, as it is found in the program, is run by the example of its own help.

A new verb is walked by being there. Its example names files of the folder below, or the folder learns to have them.
"""

from __future__ import annotations

import gzip
import json
import shlex
import shutil
from collections import defaultdict
from functools import wraps
from importlib import import_module
from inspect import signature
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import typer

import vaxseq
from vaxseq.cli import app, main, verbs

SLOW = {"demo", "report", "profile"}  # they start Keras
SHORTER = {"profile": ["--seconds", "0.5"]}


def commands() -> dict[str, Any]:
    group: Any = typer.main.get_command(app)
    return {verb: group.get_command(None, verb) for verb in verbs()}


COMMANDS = commands()
EACH = [pytest.param(verb, marks=[pytest.mark.slow] if verb in SLOW else []) for verb in COMMANDS]


def example(verb: str) -> list[str]:
    """The arguments of the first example in the verb's help."""
    lines = [line.strip() for line in COMMANDS[verb].help.splitlines()]
    shown = [line for line in lines if line.startswith(f"Example: vaxseq {verb}")]
    assert shown, f"{verb}: its docstring has no line 'Example: vaxseq {verb} ...'"
    return shlex.split(shown[0].removeprefix("Example: vaxseq")) + SHORTER.get(verb, [])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    """Files by the names that the examples use."""
    folder = tmp_path_factory.mktemp("prepared")
    rows = [f"{100 + i},{'AU'[i % 2]}A,N{i % 9},{i % 12 + 1},{i % 7},{i % 50}" for i in range(300)]
    (folder / "raw").mkdir()
    with gzip.open(folder / "raw" / "flights.csv.gz", "wt") as file:
        file.write("\n".join(["distance,carrier,tailnum,month,dep_delay,arr_delay", *rows]))
    definition = """\
inputs:
  x: {features: [{column: distance, steps: [standardize]}]}
targets:
  late: {expr: arr_delay >= 30}
"""
    (folder / "features.yaml").write_text(definition)
    vaxseq.convert(folder / "raw", folder / "flights.arrow", progress=False)
    for _ in range(2):
        vaxseq.convert(folder / "raw", folder / "day", append=True, again=True, progress=False)
    frame = vaxseq.open(folder / "flights.arrow")
    vaxseq.FeatureSet.load(folder / "features.yaml").fit(frame, progress=False).save(folder / "fitted.json")
    for month in ("may", "june"):
        (folder / f"fitted-{month}.json").write_text((folder / "fitted.json").read_text())
    for name, part in vaxseq.split(frame, {"train": 0.5, "test": 0.5}).items():
        part.export_arrow(str(folder / f"{name}.arrow"), as_stream=False)
    return folder


@pytest.fixture
def folder(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for one in prepared.iterdir():
        if one.name == "day":  # is written anew in place
            shutil.copytree(one, tmp_path / "day")
        else:
            (tmp_path / one.name).symlink_to(one)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    with pytest.raises(SystemExit) as end:
        main(args)
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def cleared(args: list[str]) -> list[str]:
    """The same, once what the example writes isn't there yet."""
    for before, arg in pairwise(args):
        if before in ("-o", "--output") or (args[0] == "convert" and arg == args[-1]):
            Path(arg).unlink(missing_ok=True)
    return args


@pytest.mark.parametrize("verb", EACH)
def test_json_is_one_document_and_nothing_else(verb: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *cleared(example(verb)), "--json")
    assert (code, err) == (0, "")
    assert isinstance(json.loads(out), dict | list)


@pytest.mark.parametrize("verb", EACH)
def test_quiet_is_quiet(verb: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, *cleared(example(verb)), "--quiet") == (0, "", "")


@pytest.mark.parametrize("verb", COMMANDS)
def test_wrong_use_exits_2_with_a_message_on_stderr(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, verb, "--no-such-option")
    assert (code, out) == (2, "")
    assert "--no-such-option" in err
    code, out, err = run(capsys, verb, "--no-such-option", "--json")
    said = json.loads(out)["error"]
    assert (code, said["exit_code"], said["kind"]) == (2, 2, "NoSuchOption")
    assert "--no-such-option" in said["message"]
    assert "--no-such-option" in err


@pytest.mark.parametrize("verb", COMMANDS)
@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (vaxseq.VaxseqError("flights.arrow: no column 'distnce'"), 2, "error: flights.arrow: no column 'distnce'"),
        (FileNotFoundError(2, "No such file", "x.arrow"), 2, "error: x.arrow: No such file"),
        (RuntimeError("a bug"), 1, "unexpected RuntimeError: a bug"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
    ],
    ids=["ours", "file", "fault", "interrupt"],
)
def test_exit_codes(
    verb: str,
    error: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @wraps(getattr(import_module(f"vaxseq.cli.{verb}"), verb))
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("vaxseq.cli.import_module", lambda _: SimpleNamespace(**{verb: fail}))
    found, out, err = run(capsys, *example(verb))
    assert (found, out) == (code, "")
    assert said in err
    assert "Traceback" not in err
    if code == 130:
        return
    found, out, err = run(capsys, *example(verb), "--json")
    assert found == code
    assert json.loads(out)["error"]["exit_code"] == code
    assert said in err


def options() -> dict[str, dict[str, Any]]:
    """Option -> verb -> its parameter."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for verb, command in COMMANDS.items():
        for parameter in command.params:
            if parameter.param_type_name == "option" and "--help" not in parameter.opts:
                found[max((str(one) for one in parameter.opts), key=len)][verb] = parameter
    return found


def takes(verb: str, name: str) -> str:
    """The type of a verb's parameter."""
    function = getattr(import_module(f"vaxseq.cli.{verb}"), verb)
    return str(get_args(signature(function, eval_str=True).parameters[name].annotation)[0])


@pytest.mark.parametrize("option", ["--json", "--quiet"])
def test_every_verb_has(option: str) -> None:
    assert set(options()[option]) == set(COMMANDS)


@pytest.mark.parametrize("option", options())
def test_an_option_is_the_same_at_every_verb(option: str) -> None:
    seen = {
        verb: (sorted([*one.opts, *one.secondary_opts]), one.help, takes(verb, one.name))
        for verb, one in options()[option].items()
    }
    first = next(iter(seen.values()))
    assert all(one == first for one in seen.values()), f"declare it once, in cli/_options.py: {seen}"


def test_a_letter_stands_for_one_option() -> None:
    letters: dict[str, set[str]] = defaultdict(set)
    for option, by_verb in options().items():
        for parameter in by_verb.values():
            for letter in [one for one in parameter.opts if not one.startswith("--")]:
                letters[letter].add(option)
    assert {"-o", "-q", "-w"} <= set(letters)
    assert all(len(names) == 1 for names in letters.values()), dict(letters)


def test_what_writes_takes_output() -> None:
    assert {"convert", "fit", "materialize", "report", "schema", "split", "demo"} <= set(options()["--output"])


def test_arguments_mean_the_same_at_every_verb() -> None:
    said: dict[str, set[str]] = defaultdict(set)
    for command in COMMANDS.values():
        for one in command.params:
            if one.param_type_name == "argument" and one.name in ("features", "fitted"):
                said[one.name].add(one.help)
    assert all(len(each) == 1 for each in said.values()), dict(said)
