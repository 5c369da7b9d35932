"""The import table: which room may import which, read from the sources with ast. This is the one place that says it.

Every import counts: at the top of a module, inside a function, under TYPE_CHECKING.
"""

from __future__ import annotations

import ast
import functools
import graphlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import vaxseq

PACKAGE = Path(__file__).resolve().parent.parent / "vaxseq"

# From the top floor down: a room imports what it names here, which always stands further down.
ROOMS = {
    "cli": {"reference", "demo", "vaxseq", "convert", "features", "display"},
    "demo": {"vaxseq"},
    "testing": {"training", "features", "expressions"},
    "steps": {"features", "expressions"},
    "sklearn": {"loading", "features", "frame", "dataset"},
    "mlflow": {"training", "features"},
    "vaxseq": {"profile", "report", "training", "store", "convert", "split", "features", "frame", "dataset", "plan"},
    "reference": set(),
    "profile": {"training", "loading", "features", "frame", "expressions", "display"},
    "report": {"split", "features", "frame", "dataset", "expressions", "display"},
    "training": {"store", "loading", "features", "frame", "dataset", "plan", "display"},
    "store": {"loading", "features", "frame", "dataset", "plan", "expressions", "display"},
    "loading": {"features", "frame", "dataset", "plan", "expressions", "display"},
    "convert": {"frame", "dataset", "expressions", "display"},
    "split": {"frame", "plan", "dataset", "expressions", "display"},
    "features": {"frame", "dataset", "plan", "expressions", "display"},
    "frame": {"dataset", "expressions"},
    "dataset": {"display"},
    "plan": set(),
    "expressions": set(),
    "display": set(),
    "errors": set(),
}  # and errors, every room
DOORS = {"vaxseq", "mlflow", "sklearn", "steps", "testing"}  # public modules that users import, not rooms
AT_MOST = 17

# The same inside features/: a definition doesn't know how it is fitted, nor a state how it is shown.
FEATURES = ["facade", "tables", "records", "learning", "history", "program", "definition", "transforms", "learners"]

# Packages that only some rooms may import; a user's script, which the demo is, makes Keras models.
GUARDED = {
    "vaex": {"frame"},
    "keras": {"training", "demo"},
    "torch": {"training"},
    "jax": {"training"},
    "tensorflow": {"training"},
}


class Import(NamedTuple):
    importer: str
    place: str
    imported: str

    @property
    def rooms(self) -> tuple[str, str]:
        return room_of(self.importer), room_of(self.imported)


def module_of(path: Path) -> str:
    parts = ("vaxseq", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The room that a module of ours is in; "vaxseq" for the package's own __init__."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


SOURCES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__main__.py"}


def imported_by(node: ast.AST) -> Iterator[str]:
    """The modules that a node imports, as they are named in the source."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: a relative import"
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            public = node.module == "vaxseq" and alias.name in vaxseq._EXPORTS
            yield whole if whole in SOURCES and not public else node.module or ""
    elif isinstance(node, ast.Call) and isinstance(function := node.func, ast.Name | ast.Attribute):
        called = function.id if isinstance(function, ast.Name) else function.attr
        if called in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value)


def imports_of(module: str, path: Path) -> Iterator[Import]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for imported in imported_by(node):
            yield Import(module, f"{path.relative_to(PACKAGE.parent)}:{getattr(node, 'lineno', 0)}", imported)


@functools.cache
def every() -> list[Import]:
    return [one for module, path in SOURCES.items() for one in imports_of(module, path)]


def ours() -> list[Import]:
    return [one for one in every() if one.imported.split(".")[0] == "vaxseq"]


def test_every_room_is_in_the_table_and_they_are_few() -> None:
    assert {room_of(module) for module in SOURCES} == set(ROOMS)
    assert len(set(ROOMS) - DOORS) <= AT_MOST


def test_the_table_only_points_down() -> None:
    floors = list(ROOMS)
    up = [f"{room} -> {other}" for room in ROOMS for other in ROOMS[room] if floors.index(other) <= floors.index(room)]
    assert not up


def test_rooms_import_what_the_table_allows() -> None:
    wrong = []
    for one in ours():
        room, other = one.rooms
        if other not in ROOMS[room] | {room, "errors"}:
            wrong.append(f"{one.place}: {room} may not import {one.imported}")
    assert not wrong, "\n".join(wrong)


def test_the_table_allows_no_more_than_is_used() -> None:
    used = {one.rooms for one in ours()}
    assert not [f"{room} -> {other}" for room in ROOMS for other in ROOMS[room] if (room, other) not in used]


def test_features_are_declared_learned_computed_served_and_shown_apart() -> None:
    floors = {f"vaxseq.features.{name}": floor for floor, name in enumerate(FEATURES)}

    def floor(module: str) -> int | None:
        return floors.get(".".join(module.split(".")[:3]))

    inside = {module for module in SOURCES if module.startswith("vaxseq.features.")}
    assert not [module for module in inside if floor(module) is None]
    pairs = [(one.place, floor(one.importer), floor(one.imported)) for one in ours()]
    assert not [place for place, here, there in pairs if here is not None and there is not None and there < here]


def test_no_file_is_in_a_circle_of_imports() -> None:
    graph: dict[str, set[str]] = {module: set() for module in SOURCES}
    for one in ours():
        if one.imported in SOURCES and one.imported != one.importer:
            graph[one.importer].add(one.imported)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_verbs_enter_rooms_by_the_front_door() -> None:
    deep = [one for one in ours() if one.rooms[0] == "cli" and one.rooms[1] not in ("cli", "display", "dataset")]
    wrong = [f"{one.place}: {one.imported}" for one in deep if one.imported.count(".") > 1]
    assert not wrong, f"import from the room's __init__: {wrong}"


@pytest.mark.parametrize("package", GUARDED)
def test_guarded_packages_stay_in_their_rooms(package: str) -> None:
    found = [one for one in every() if one.imported.split(".")[0] == package]
    wrong = [one.place for one in found if room_of(one.importer) not in GUARDED[package]]
    assert not wrong, f"only {sorted(GUARDED[package])} may import {package}: {wrong}"


def test_plan_is_pure() -> None:
    """Plans read nothing and know neither vaex, Arrow nor Keras."""
    allowed = {"numpy", "vaxseq"} | set(sys.stdlib_module_names) - {"io", "pathlib", "os", "shutil", "tempfile"}
    plan = [one for one in every() if room_of(one.importer) == "plan"]
    assert plan
    assert not [one for one in plan if one.imported.split(".")[0] not in allowed]


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_importing_vaxseq_loads_nothing_heavy() -> None:
    loaded = json.loads(run_python("import json, sys, vaxseq; print(json.dumps(sorted(sys.modules)))"))
    assert not {"vaex", "keras", "numpy", "pandas", "pyarrow", "pydantic", "rich", "typer"} & set(loaded)


def test_help_loads_neither_vaex_nor_keras() -> None:
    code = """
import json, sys
from vaxseq.cli import main
try:
    main(["--help"])
except SystemExit as done:
    assert done.code == 0
    print("\\n" + json.dumps(sorted(sys.modules)))
"""
    loaded = json.loads(run_python(code).splitlines()[-1])
    assert not {"vaex", "keras", "numpy", "pandas", "pyarrow"} & set(loaded)
