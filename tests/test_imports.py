"""The import table: which room may import which, read from the sources with ast. This is the one place that says it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "vaxseq"

# Every room may import `errors` and itself.
MAY_IMPORT = {
    "errors": set(),
    "schema": set(),
    "manifest": {"schema"},
    "expressions": set(),
    "layout": {"expressions"},
    "convert": {"schema", "manifest", "expressions"},
    "frame": {"schema", "manifest", "expressions"},
    "features": {"expressions", "schema", "frame", "layout"},
    "split": {"frame", "plan", "expressions"},
    "plan": set(),
    "selection": {"frame", "plan", "layout", "expressions"},
    "reader": {"frame", "plan", "layout", "expressions"},
    "loader": {"reader", "plan"},
    "store": {"reader", "manifest", "layout", "plan", "frame"},
    "training": {"plan", "selection", "reader", "loader", "store", "features", "layout", "frame", "expressions"},
    "profile": {"training"},
    "report": {"features", "frame", "expressions"},
    "cli": {"vaxseq", "demo"},  # the public names, as a user has them
    "demo": {"vaxseq"},
}

# What a method delegates to without its room leaning on it: allowed inside a function, not at the top of a module.
MAY_DELEGATE = {
    "features": {"training", "report"},  # FittedFeatures.to_keras, and how a notebook shows things
    "manifest": {"report"},
    "training": {"report"},
    "profile": {"report"},
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
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports_of(path: Path) -> list[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            if node.module == "vaxseq":  # from vaxseq import x: x may be a room
                rooms = [alias.name for alias in node.names if alias.name in MAY_IMPORT]
                others = [alias.name for alias in node.names if alias.name not in MAY_IMPORT]
                modules = [f"vaxseq.{name}" for name in rooms]
                modules += ["vaxseq"] if others and others != ["__version__"] else []
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
        parts = one.module.split(".")
        if parts[0] != "vaxseq":
            continue
        room = parts[1] if len(parts) > 1 else "vaxseq"
        allowed = MAY_IMPORT[one.room] | {"errors", one.room}
        if not one.top:
            allowed = allowed | MAY_DELEGATE.get(one.room, set())
        if room not in allowed:
            wrong.append(f"{one.place}: {one.room} may not import {one.module}")
    assert not wrong, "\n".join(wrong)


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
