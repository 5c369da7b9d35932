"""What vaxseq relies on in vaex beyond its documented interface, one test a thing: what moved is said in one line."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import vaex

import vaxseq
from vaxseq.frame import vaex_internals as internals

ROOM = Path(vaxseq.__file__).parent / "frame"


@pytest.fixture
def frame() -> Any:
    made = vaex.from_arrays(x=np.arange(6.0), y=np.array([1, 1, 0, 0, 1, 1]))
    made["double"] = made.x * 2
    return made


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "numbers.arrow"
    table = pa.table({"x": [1.0, 2.0, 3.0], "y": [1, 2, 3]})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return str(path)


def test_the_seam_alone_uses_underscored_names() -> None:
    """Attributes that begin with one underscore belong to ``self``; everything else of that kind is vaex's."""

    def foreign(path: Path) -> Iterator[str]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls", "other")):
                    yield f"{path.name}:{node.lineno}: {ast.unparse(node)}"

    elsewhere = [path for path in sorted(ROOM.rglob("*.py")) if path.name != "vaex_internals.py"]
    found = [one for path in elsewhere for one in foreign(path)]
    assert not found, f"belongs into vaex_internals.py: {found}"
    assert list(foreign(ROOM / "vaex_internals.py"))


def test_dataset_trees(frame: Any) -> None:
    tree = frame.dataset
    renamed, dropped = tree.renamed({"x": "z"}), tree.dropped("y")
    merged = dropped.merged(vaex.dataset.DatasetArrays({"w": np.zeros(6)}))
    both = vaex.dataset.DatasetConcatenated([tree, tree], resolver="strict")
    assert isinstance(renamed, internals.Renamed), "vaex moved: DatasetRenamed, what dataset.renamed gives"
    assert (renamed.reverse["z"], renamed.original) == ("x", tree), "vaex moved: DatasetRenamed.reverse, .original"
    assert isinstance(dropped, internals.Dropped), "vaex moved: DatasetDropped, what dataset.dropped gives"
    assert isinstance(merged, internals.Merged), "vaex moved: DatasetMerged, what dataset.merged gives"
    assert internals.children(merged) == [merged.left, merged.right], "vaex moved: DatasetMerged.left, .right"
    assert isinstance(both, internals.Concatenated), "vaex moved: DatasetConcatenated"
    assert internals.children(both) == [tree, tree], "vaex moved: DatasetConcatenated.datasets"
    assert internals.children(renamed) == [tree], "vaex moved: the .original of a dataset made of one other"


def test_slices_of_a_file(file: str) -> None:
    cut = vaex.open(file)[1:3].dataset
    assert isinstance(cut, internals.Sliced), "vaex moved: DatasetSlicedArrays, what a slice of a frame gives"
    assert (cut.start, cut.end) == (1, 3), "vaex moved: DatasetSlicedArrays.start, .end"
    assert Path(cut.original.path).samefile(file), "vaex moved: the .path of an opened file's dataset"


def test_concatenated_frames(file: str) -> None:
    both = vaex.concat([vaex.open(file), vaex.open(file)]).dataset
    assert isinstance(both, internals.Concatenated), "vaex moved: what vaex.concat gives"


def test_stored_columns(file: str, tmp_path: Path) -> None:
    column = internals.stored_column(vaex.open(file).dataset, "x")
    assert isinstance(column, pa.ChunkedArray), "vaex moved: ColumnProxy.ds._columns, the table behind an Arrow file"
    assert column.to_pylist() == [1.0, 2.0, 3.0], "vaex moved: what ds._columns holds"
    hdf5 = str(tmp_path / "numbers.hdf5")
    vaex.open(file).export_hdf5(hdf5)
    column = internals.stored_column(vaex.open(hdf5).dataset, "x")
    assert isinstance(column, np.ndarray), "vaex moved: a number column of an HDF5 file is a mapped ndarray"


def test_row_numbers() -> None:
    numbers = vaex.vrange(0, 6)
    assert isinstance(numbers, internals.RowNumbers), "vaex moved: ColumnVirtualRange, what vaex.vrange gives"
    assert (numbers.start, numbers.stop, numbers.step) == (0, 6, 1), "vaex moved: ColumnVirtualRange.start, .stop"
    part = numbers.trim(2, 4)
    assert (part.start, part.stop) == (2, 4), "vaex moved: ColumnVirtualRange.trim"


def test_active_range(frame: Any) -> None:
    assert internals.active_range(frame) == (0, 6), "vaex moved: frame._index_start, ._index_end"
    frame.set_active_range(1, 4)
    assert internals.active_range(frame) == (1, 4), "vaex moved: what set_active_range sets"


def test_filters(frame: Any) -> None:
    assert internals.filter_of(frame) is None, "vaex moved: frame.filtered"
    kept = frame[frame.x > 1][frame.y == 1]
    found = internals.filter_of(kept)
    assert found is not None, "vaex moved: get_selection(FILTER_SELECTION_NAME)"
    texts = list(dict.fromkeys(internals.filter_expressions(found)))
    assert texts == ["(y == 1)", "(x > 1)"], "vaex moved: a selection's boolean_expression, previous_selection"
    columns = {"x": np.arange(6.0), "y": np.array([1, 1, 0, 0, 1, 1])}
    mask = internals.filter_block(kept, found, columns, 6)
    assert mask.tolist() == [False, False, False, False, True, True], "vaex moved: selection.evaluate with a scope"
    assert "x > 1" in str(found.to_dict()), "vaex moved: selection.to_dict, of which fingerprints are made"


def test_missing_truths_of_filters(frame: Any) -> None:
    kept = frame[frame.x > 1]
    columns = {"x": pa.array([None, 2.0, 3.0]), "y": np.zeros(3, int)}
    mask = internals.filter_block(kept, internals.filter_of(kept), columns, 3)
    assert mask.tolist() == [False, True, True], "vaex moved: array_types.to_numpy masks what is missing"


def test_block_scope(frame: Any) -> None:
    scope = internals.block_scope(frame, {"x": np.array([5.0, 7.0])}, 2)
    assert np.asarray(scope.evaluate("double")).tolist() == [10.0, 14.0], "vaex moved: scopes._BlockScope on arrays"
    arguments = list(inspect.signature(vaex.scopes._BlockScope).parameters)
    assert arguments[:3] == ["df", "i1", "i2"], "vaex moved: the arguments of _BlockScope"


def test_functions_on_blocks(frame: Any) -> None:
    frame.add_function("_ours", _doubled)
    frame.add_virtual_column("ours", "_ours(x)")
    scope = internals.block_scope(frame, {"x": np.array([5.0, 7.0])}, 2)
    assert np.asarray(scope.evaluate("ours")).tolist() == [10.0, 14.0], "vaex moved: add_function, called"
    assert frame.ours.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0], "vaex moved: add_virtual_column"
    assert "_ours" in internals.functions_of(frame), 'vaex moved: state_get()["functions"]'
    assert "ours" in frame.virtual_columns, "vaex moved: frame.virtual_columns"


def _doubled(x: Any) -> Any:
    return np.asarray(x) * 2


def test_other_column_types() -> None:
    text = vaex.string_column(["a", "b"])
    assert internals.as_array(text).to_pylist() == ["a", "b"], "vaex moved: array_types.to_arrow"


def test_joined_columns(frame: Any, file: str) -> None:
    joined = frame[frame.x > 3].copy()
    internals.join_array(joined, "more", np.arange(6) * 10)
    assert joined["more"].tolist() == [40, 50], "vaex moved: frame.dataset and .column_names can be set under a filter"
    assert joined.more.tolist() == [40, 50], "vaex moved: _save_assign_expression makes a column an attribute"
    assert "more" not in frame.get_column_names(), "vaex moved: frame.copy is apart from its origin"
    opened = vaex.open(file)
    one = vaex.from_arrays(z=np.arange(3))
    internals.join_dataset(one, "x", opened.dataset.dropped("y"))
    assert one["x"].tolist() == [1.0, 2.0, 3.0], "vaex moved: dataset.merged"


def test_hidden_names(frame: Any) -> None:
    internals.join_array(frame, "__row", vaex.vrange(0, 6))
    assert "__row" not in frame.get_column_names(), "vaex moved: names that begin with two underscores are hidden"
    assert "__row" in frame.get_column_names(hidden=True), "vaex moved: get_column_names(hidden=True)"
    assert frame.length_original() == 6, "vaex moved: length_original"


def test_codes_and_their_labels(frame: Any) -> None:
    frame["word"] = frame.y.astype("str")
    frame.categorize("y", labels=["no", "yes"], min_value=0, inplace=True)
    assert internals.coded_columns(frame) == {"y": (["no", "yes"], 0)}
