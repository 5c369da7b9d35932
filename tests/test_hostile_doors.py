"""No door evaluates hostile text: load, check, fit, transform, where=, split, Sequence and a frame's repr."""

from __future__ import annotations

import ast
import importlib.util
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import vaex
import yaml

import vaxseq as vs
from vaxseq.cli import main
from vaxseq.errors import VaxseqError
from vaxseq.features.learning.state_file import _digest


def _beside(name: str) -> ModuleType:
    """Another test module; pytest's importlib mode puts none on the path."""
    spec = importlib.util.spec_from_file_location(
        f"hostile_{name}", Path(__file__).parent.joinpath(*name.split("/")).with_suffix(".py")
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SECURITY = _beside("expressions/test_expressions_security")
ROWS = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("doors")


@pytest.fixture(scope="module")
def frame(folder: Path) -> vaex.dataframe.DataFrame:
    rng = np.random.default_rng(0)
    table = pa.table({"x": rng.normal(size=ROWS), "y": rng.normal(size=ROWS)})
    vs.convert(table, folder / "d.arrow", progress=False)
    return vs.open(folder / "d.arrow")


@pytest.fixture(scope="module")
def texts(folder: Path) -> list[str]:
    """Each hostile text, aimed at a file of ours."""
    sentinel = str(folder / "sentinel")
    return [one.replace("{sentinel}", sentinel).replace("{{", "{").replace("}}", "}") for one in SECURITY.HOSTILE]


BAD = {"os.system", "subprocess.Popen", "os.exec", "ctypes.dlopen", "builtins.input"}
SEEN: list[str] = []
COMPILED: list[str] = []
WATCHING = False


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    """What runs code, and each source text that is compiled from no file (ast.parse says <unknown>)."""
    if not WATCHING:
        return
    if event in BAD or (event == "open" and str(arguments[0]).endswith("sentinel")):
        SEEN.append(f"{event} {arguments!r}")
    elif event == "compile" and arguments[0] is not None and str(arguments[1]) == "<string>":
        source = arguments[0]
        COMPILED.append(source.decode() if isinstance(source, bytes) else str(source))


sys.addaudithook(_note)


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Nothing may run code or open the file that the texts aim at; COMPILED has what was compiled."""
    global WATCHING
    SEEN.clear()
    COMPILED.clear()
    WATCHING = True
    try:
        yield
    finally:
        WATCHING = False
    assert not SEEN
    assert not (folder / "sentinel").exists()


@contextmanager
def never_compiled(folder: Path, text: str) -> Iterator[None]:
    """As `watched`; nor may the text be compiled (dataclasses and typer compile texts of their own)."""
    with watched(folder):
        yield
    text = text.strip()
    assert not [one for one in COMPILED if one.strip() == text or (len(text) >= 8 and text in one)]


GOOD = {"inputs": {"x": {"features": [{"column": "x", "steps": ["standardize"]}]}}}


def definitions(text: str) -> list[dict[str, Any]]:
    """The text in each place of a definition that an expression can have."""
    return [
        {**GOOD, "columns": {"d": text}, "targets": {"t": {"column": "d"}}},
        {"inputs": {"x": {"features": [{"name": "f", "expr": text, "steps": []}]}}},
        {**GOOD, "targets": {"t": {"expr": text}}},
        {**GOOD, "weights": {"expr": text}},
    ]


def refused(call: Callable[[], Any], text: str) -> None:
    try:
        call()
    except VaxseqError:
        return
    pytest.fail(f"not refused: {text[:200]!r}")


def test_from_dict_and_load(folder: Path, texts: list[str]) -> None:
    """Most are refused here; what reads like an expression of unknown names waits for the data (next test)."""
    path = folder / "hostile.yaml"
    accepted = set()
    for number, text in enumerate(texts):
        kind = definitions(text)[number % 4]
        path.write_text(yaml.safe_dump(kind), encoding="utf-8")
        with never_compiled(folder, text):
            for read in (lambda kind=kind: vs.FeatureSet.from_dict(kind), lambda: vs.FeatureSet.load(path)):
                try:
                    read()
                except VaxseqError:
                    continue
                accepted.add(text)
    assert len(accepted) < len(texts) / 10, accepted


def test_fit_and_transform(folder: Path, frame: Any, texts: list[str]) -> None:
    """What a definition may hold, as a name that the data lacks, is refused by the data."""
    for text in texts:
        for kind in definitions(text):
            with never_compiled(folder, text):
                refused(lambda kind=kind: vs.FeatureSet.from_dict(kind).fit(frame, progress=False), text)


def test_where_of_fit_and_of_a_sequence(folder: Path, frame: Any, texts: list[str]) -> None:
    definition = vs.FeatureSet.from_dict(GOOD)
    fitted = definition.fit(frame, progress=False)
    for text in texts:
        if not text.strip():
            continue  # an empty where= may mean none
        with never_compiled(folder, text):
            refused(lambda text=text: definition.fit(frame, where=text, progress=False), text)
            refused(lambda text=text: vs.Sequence(frame, fitted, where=text, batch_size=4), text)


def test_split_takes_names_and_no_expressions(folder: Path, frame: Any, texts: list[str]) -> None:
    for text in texts:
        with never_compiled(folder, text):
            refused(lambda text=text: vs.split(frame, {"a": 0.5, "b": 0.5}, by="hash", key=text), text)
            refused(lambda text=text: vs.split(frame, {"a": 0.5, "b": 0.5}, stratify=text), text)


def test_check_on_the_command_line(folder: Path, frame: Any, texts: list[str]) -> None:
    path = folder / "checked.yaml"
    for number, text in enumerate(texts[::2]):
        kinds = definitions(text)
        path.write_text(yaml.safe_dump(kinds[number % len(kinds)]), encoding="utf-8")
        quiet = redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO())
        with never_compiled(folder, text), quiet[0], quiet[1], pytest.raises(SystemExit) as done:
            main(["check", str(path), str(folder / "d.arrow")])
        assert done.value.code == 2, text


def test_a_state_file_with_hostile_text(folder: Path, frame: Any, texts: list[str]) -> None:
    """A state is vetted like a definition, even with a sha256 that fits."""
    import json

    whole = vs.FeatureSet.from_dict({**GOOD, "columns": {"d": "x + 1"}, "targets": {"t": {"column": "d"}}})
    content = json.loads(whole.fit(frame, progress=False).to_json())
    content.pop("sha256")
    for text in texts:
        content["definition"]["columns"]["d"] = text
        forged = json.dumps({**content, "sha256": _digest(content)})
        with never_compiled(folder, text):
            refused(lambda forged=forged: vs.FittedFeatures.from_json(forged), text)


INJECTED = [
    "x\"], open('{sentinel}', 'w'), df[\"x",
    "x'], open('{sentinel}', 'w'), df['x",
    "x\\\"], open('{sentinel}', 'w'), df[\\\"x",
    "x), open('{sentinel}', 'w'), (x",
    "x\\",
    "df",
    "__builtins__",
]


@pytest.mark.slow
def test_names_in_the_repr_of_a_transformed_frame(folder: Path, texts: list[str]) -> None:
    """vaex evaluates a virtual column when it shows a frame: that is our function of columns, never a name's text."""
    names = [text for text in texts if text.strip() and text.isprintable() and len(text) < 500 and text != "x"][::2]
    names += [name.replace("{sentinel}", str(folder / "sentinel")) for name in INJECTED]
    assert len(names) > 100
    for name in names:
        frame = vaex.from_arrow_table(pa.table({"x": np.arange(5.0), name: np.arange(5.0)}))
        both = [{"name": "f", "expr": f"x + col({name!r})"}, {"column": name}]
        definition: dict[str, Any] = {"columns": {"d": "x + 1"}, "inputs": {"x": {"features": both}}}
        with watched(folder):
            try:
                bound = vs.FeatureSet.from_dict(definition).fit(frame, progress=False).transform(frame)
            except VaxseqError:  # a name that no definition may have
                bound = vs.FeatureSet.from_dict({**definition, **GOOD}).fit(frame, progress=False).transform(frame)
        with watched(folder):
            repr(bound)
        assert COMPILED
        for source in COMPILED:
            assert harmless(ast.parse(source.strip(), mode="eval").body), source


def harmless(node: ast.expr) -> bool:
    """A name, a column by its name, or a function of such."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and all(map(harmless, node.args)) and not node.keywords
    if isinstance(node, ast.Subscript):
        return isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Constant)
    return isinstance(node, ast.Name)


def test_the_watch_would_see_code_run(folder: Path) -> None:
    for text in ("__import__('os').system('true')", "1 + 1"):
        with pytest.raises(AssertionError), never_compiled(folder, text):
            eval(text)
