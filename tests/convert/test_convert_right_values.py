"""Values that are easily taken for others: old and far times, large integers, indexes, partitions, axes, names."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vaxseq.convert import convert
from vaxseq.errors import SchemaError, SourceError
from vaxseq.frame import open as open_frame


def table_of(source: Any, target: Path, **options: Any) -> pa.Table:
    made = convert(source, target, overwrite=True, resume=False, progress=False, **options)
    return pa.ipc.open_file(pa.memory_map(str(made.location))).read_all()


def old_parquet(path: Path, **columns: pa.Array) -> Path:
    pq.write_table(pa.table(columns), path, use_deprecated_int96_timestamps=True)
    return path


@pytest.mark.parametrize("nested", [False, True])
def test_96_bit_times_keep_their_year(tmp_path, nested) -> None:
    times = [dt.datetime(1066, 10, 14), None, dt.datetime(2500, 1, 1, 0, 0, 0, 5)]
    cells = pa.array(times, pa.timestamp("us"))
    column = pa.StructArray.from_arrays([cells], ["t"]) if nested else cells
    found = table_of(old_parquet(tmp_path / "a.parquet", p=column), tmp_path / "o.arrow")
    assert found["p.t" if nested else "p"].to_pylist() == times


def test_96_bit_times_keep_their_nanoseconds(tmp_path) -> None:
    exact = pa.array([1, None, 10**18 + 1], pa.timestamp("ns"))
    found = table_of(old_parquet(tmp_path / "a.parquet", t=exact), tmp_path / "o.arrow")
    assert found["t"].cast(pa.int64()).to_pylist() == [1, None, 10**18 + 1]


def test_96_bit_times_that_no_unit_holds_are_refused(tmp_path) -> None:
    from vaxseq.convert.readers.parquet import exact_times

    coarse = pa.table({"t": pa.array([0, -(10**17)], pa.timestamp("us"))})
    wrapped = np.array([1, -(10**17)], np.int64) * np.array([1, 1000], np.int64)
    fine = pa.record_batch({"t": pa.array(wrapped).cast(pa.timestamp("ns"))})
    with pytest.raises(SchemaError, match="fractions of a microsecond beside years before 1678"):
        exact_times(coarse, fine, "a.parquet")


def test_a_default_partition_is_missing(tmp_path) -> None:
    for number, value in enumerate(("2020", "__HIVE_DEFAULT_PARTITION__")):
        (tmp_path / f"d/year={value}").mkdir(parents=True)
        pq.write_table(pa.table({"a": [number]}), tmp_path / f"d/year={value}/p.parquet")
    found = table_of(tmp_path / "d", tmp_path / "o.arrow")
    assert found.to_pydict() == {"a": [0, 1], "year": [2020, None]}


def test_an_index_that_says_something_comes_along(tmp_path) -> None:
    times = pd.date_range("2020", periods=2, name="t")
    assert table_of(pd.DataFrame({"v": [1, 2]}, index=times), tmp_path / "o.arrow").column_names == ["t", "v"]
    words = pd.DataFrame({"v": [1, 2]}, index=["a", "b"])
    assert table_of(words, tmp_path / "o.arrow").to_pydict() == {"index": ["a", "b"], "v": [1, 2]}
    two = pd.DataFrame({"v": [1]}, index=pd.MultiIndex.from_tuples([(1, "x")], names=["i", "k"]))
    assert table_of(two, tmp_path / "o.arrow").column_names == ["i", "k", "v"]
    selected = pd.DataFrame({"v": [1, 2, 3]}).query("v > 1")
    assert table_of(selected, tmp_path / "o.arrow").column_names == ["v"]
    clash = pd.DataFrame({"t": [5, 6]}, index=times)
    with pytest.raises(SourceError, match=r"the index \['t'\] can't become a column"):
        convert(clash, tmp_path / "e.arrow", progress=False)


@pytest.mark.parametrize(("shape", "order"), [([3, 2], [1, 0]), ([2, 3, 4], [2, 1, 0]), ([2, 3, 4], [0, 2, 1])])
@pytest.mark.parametrize("suffix", ["arrow", "hdf5"])
def test_permuted_tensors_come_in_the_order_of_their_axes(tmp_path, shape, order, suffix) -> None:
    size = int(np.prod(shape))
    kind = pa.fixed_shape_tensor(pa.int64(), shape, permutation=order)
    flat = np.arange(3 * size)
    tensors = pa.ExtensionArray.from_storage(kind, pa.FixedSizeListArray.from_arrays(pa.array(flat), size)).slice(1)
    convert(pa.table({"x": tensors}), tmp_path / f"o.{suffix}", progress=False)
    found = np.asarray(open_frame(tmp_path / f"o.{suffix}").evaluate("x"))
    expected = flat.reshape(3, *shape)[1:].transpose(0, *(axis + 1 for axis in order))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found, tensors.to_numpy_ndarray())


def test_a_cyclic_permutation_is_refused(tmp_path) -> None:
    kind = pa.fixed_shape_tensor(pa.int64(), [2, 3, 4], permutation=[1, 2, 0])
    storage = pa.FixedSizeListArray.from_arrays(pa.array(range(24), pa.int64()), 24)
    with pytest.raises(SchemaError, match="a cyclic permutation"):
        convert(pa.table({"x": pa.ExtensionArray.from_storage(kind, storage)}), tmp_path / "o.arrow", progress=False)


def test_a_name_with_nul_is_refused_until_it_is_renamed(tmp_path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a\\u0000b": 1, "c": 2}\n')
    with pytest.raises(SchemaError, match="a name can't hold the character NUL"):
        convert(tmp_path / "a.jsonl", tmp_path / "o.hdf5", progress=False)
    renamed = table_of(tmp_path / "a.jsonl", tmp_path / "o.arrow", rename={"a\0b": "ab"})
    assert renamed.to_pydict() == {"ab": [1], "c": [2]}


def test_names_with_commas_keep_their_place_in_hdf5(tmp_path) -> None:
    table = pa.table({"z": [1], "b, kW": [2], "a": [3], "m/n": [4]})
    for name in ("o", "again"):
        convert(table, tmp_path / f"{name}.hdf5", progress=False)
    assert open_frame(tmp_path / "o.hdf5").get_column_names() == ["z", "b, kW", "a", "m/n"]
    assert table_of(tmp_path / "o.hdf5", tmp_path / "back.arrow").equals(table)
