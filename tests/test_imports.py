"""The import table: which room may import which, read from the sources with ast. This is the one place that says it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import vaxseq

PACKAGE = Path(__file__).resolve().parent.parent / "vaxseq"

EVERYWHERE = {"errors", "progress", "display", "report.html"}  # what every room may import, besides itself
MAY_IMPORT = {
    "errors": set(),
    "progress": set(),
    "display": set(),
    "recycling": set(),
    "schema": set(),
    "hdf5_form": set(),
    "manifest": {"schema"},
    "expressions": set(),
    "layout": {"expressions"},
    "convert": {"schema", "manifest", "expressions", "hdf5_form"},
    "frame": {"schema", "manifest", "expressions", "hdf5_form", "recycling"},
    "series": {"plan", "expressions"},
    "features": {"expressions", "schema", "frame", "layout", "plan", "selection", "series"},
    "split": {"frame", "plan", "expressions"},
    "plan": set(),
    "selection": {"frame", "plan", "layout", "expressions"},
    "served": {"selection", "features", "frame", "layout", "plan", "expressions"},
    "reader": {"frame", "plan", "layout", "expressions"},
    "windowing": {"reader", "selection", "frame", "plan", "layout", "expressions", "series"},
    "loader": {"reader", "plan", "expressions", "recycling"},
    "store": {"served", "selection", "reader", "manifest", "layout", "plan", "frame", "features", "expressions"},
    "items": {"served", "store", "windowing", "loader", "reader", "plan", "layout"},
    "training": {"items", "served", "loader", "plan", "features", "layout", "frame", "expressions", "reader", "store"},
    "profile": {"training", "loader", "reader", "layout", "frame", "expressions"},  # it runs them apart, with a clock
    "report": {"features", "frame", "expressions", "split", "selection", "manifest", "schema"},
    "report.html": set(),  # plain values to HTML: everything that a notebook shows stands on it
    "cli": {
        "vaxseq",
        "convert",
        "manifest",
        "features",
        "split",
        "store",
        "report",
        "profile",
        "demo",
    },  # by their front doors
    "demo": {"vaxseq"},
}

# What a method delegates to without its room leaning on it: allowed inside a function, not at the top of a module.
MAY_DELEGATE = {
    "features": {"training"},  # FittedFeatures.to_keras
}

# Packages that only some rooms may import; a user's script, which the demo is, makes Keras models.
GUARDED = {
    "vaex": {"frame"},
    "keras": {"training", "demo"},
    "torch": {"training"},
    "jax": {"training"},
    "tensorflow": {"training"},
}


class Import(NamedTuple):
    room: str
    place: str
    module: str
    top: bool


def room_of(path: Path) -> str:
    return room_in(".".join(("vaxseq", *path.relative_to(PACKAGE).with_suffix("").parts)))


def room_in(module: str) -> str:
    """The room that a module of ours is in; "vaxseq" for the package itself."""
    parts = module.split(".")[1:]
    return next((room for room in (".".join(parts[:2]), parts[0] if parts else "vaxseq") if room in MAY_IMPORT), module)


def imports_of(path: Path) -> list[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {  # of a function, or for type checkers alone: not run when the module is imported
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        or (isinstance(outer, ast.If) and isinstance(outer.test, ast.Name) and outer.test.id == "TYPE_CHECKING")
        for node in ast.walk(outer)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            if node.module == "vaxseq":  # a public name, or a room that is none
                names = {alias.name for alias in node.names} - {"__version__"}
                modules = ["vaxseq" if name in vaxseq._EXPORTS else f"vaxseq.{name}" for name in sorted(names)]
            else:
                modules = [node.module or ""]
        else:
            continue
        place = f"{path.relative_to(PACKAGE.parent)}:{node.lineno}"
        found += [Import(room_of(path), place, module, id(node) not in inside) for module in modules]
    return found


def sources() -> list[Path]:
    skipped = {"__init__", "__main__"}
    return [path for path in sorted(PACKAGE.rglob("*.py")) if not (path.parent == PACKAGE and path.stem in skipped)]


ALL = [one for path in sources() for one in imports_of(path)]


def test_every_room_is_in_the_table() -> None:
    assert {room_of(path) for path in sources()} <= set(MAY_IMPORT)


def test_rooms_import_what_the_table_allows() -> None:
    wrong = []
    for one in ALL:
        if one.module.split(".")[0] != "vaxseq":
            continue
        room = room_in(one.module)
        allowed = MAY_IMPORT[one.room] | EVERYWHERE | {one.room}
        if not one.top:
            allowed = allowed | MAY_DELEGATE.get(one.room, set())
        if room not in allowed:
            wrong.append(f"{one.place}: {one.room} may not import {one.module}")
    assert not wrong, "\n".join(wrong)


def test_verbs_enter_rooms_by_the_front_door() -> None:
    deep = [one for one in ALL if one.room == "cli" and one.module.startswith("vaxseq.") and one.module.count(".") > 1]
    wrong = [f"{one.place}: {one.module}" for one in deep if not one.module.startswith("vaxseq.cli.")]
    assert not wrong, f"import from the room's __init__: {wrong}"


@pytest.mark.parametrize("package", GUARDED)
def test_guarded_packages_stay_in_their_rooms(package: str) -> None:
    wrong = [one.place for one in ALL if one.module.split(".")[0] == package and one.room not in GUARDED[package]]
    assert not wrong, f"only {sorted(GUARDED[package])} may import {package}: {wrong}"


def test_plan_is_pure() -> None:
    """Plans read nothing and know neither vaex, Arrow nor Keras."""
    allowed = {"numpy", "vaxseq"} | set(sys.stdlib_module_names) - {"io", "pathlib", "os", "shutil", "tempfile"}
    assert not [one for one in ALL if one.room == "plan" and one.module.split(".")[0] not in allowed]


def test_the_table_has_no_circle() -> None:
    def walk(room: str, trail: tuple[str, ...]) -> None:
        assert room not in trail, " -> ".join((*trail, room))
        for other in MAY_IMPORT.get(room, ()):
            walk(other, (*trail, room))

    for room in MAY_IMPORT:
        walk(room, ())


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
