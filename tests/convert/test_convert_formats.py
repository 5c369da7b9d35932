"""One contract for every reader and every writer: convert, open, compare is the identity; damage is said."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import json
import lzma
import math
import os
import random
from pathlib import Path
from typing import Any, ClassVar

import fastavro
import h5py
import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from pyarrow import orc

from vaxseq.convert import convert
from vaxseq.convert.readers import ipc, readers
from vaxseq.convert.writers import writers
from vaxseq.dataset import hdf5_probe
from vaxseq.dataset.schema import type_name
from vaxseq.errors import VaxseqError

DAMAGES = int(os.environ.get("VAXSEQ_TEST_DAMAGES", "60"))  # by format
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
INSTANT = st.integers(-(2**62), 2**62)
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "bool": (pa.bool_(), st.booleans()),
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "float64": (pa.float64(), st.floats(allow_nan=False)),
    "float32": (pa.float32(), st.floats(allow_nan=False, width=32)),
    "text": (pa.string(), TEXT),
    "category": (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["a", "ä", ""])),
    "date": (pa.date32(), st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))),
    "instant": (pa.timestamp("ns"), INSTANT),
    "seconds": (pa.timestamp("s"), st.integers(-(10**10), 10**10)),
    "zoned": (pa.timestamp("us", "Europe/Paris"), st.integers(-(10**15), 10**15)),
    "duration": (pa.duration("ms"), st.integers(-(2**53), 2**53)),
    "decimal": (pa.decimal128(12, 2), st.decimals(-(10**9), 10**9, places=2)),
    "vector": (pa.list_(pa.float32(), 3), st.lists(st.floats(allow_nan=False, width=32), min_size=3, max_size=3)),
    "matrix": (pa.list_(pa.list_(pa.int16(), 2), 2), st.lists(st.lists(st.integers(-9, 9), min_size=2, max_size=2),
    min_size=2, max_size=2)),
}  # fmt: skip


@st.composite
def tables(draw: st.DrawFn, kinds: tuple[str, ...], nulls: bool = True) -> pa.Table:
    rows = draw(st.integers(1, 12))
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4, unique=True))
    columns = {}
    for name in chosen:
        kind, values = KINDS[name]
        cells = draw(st.lists(st.none() | values if nulls else values, min_size=rows, max_size=rows))
        columns[name] = pa.array(cells, kind)
    return pa.table(columns)


def plain(table: pa.Table) -> dict[str, list[Any]]:
    """Comparable values: instants as integers of their own unit with the unit, arrays as lists."""
    found = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_date(column.type):
            column = column.cast(pa.timestamp("s"))
        if pa.types.is_timestamp(column.type) or pa.types.is_duration(column.type):
            unit = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[column.type.unit]
            found[name] = [None if one is None else one * unit for one in column.cast(pa.int64()).to_pylist()]
        else:
            found[name] = [float(one) if type(one).__name__ == "Decimal" else one for one in column.to_pylist()]
    return found


def back(path: Path, folder: Path) -> dict[str, list[Any]]:
    """A dataset's values, through pyarrow; HDF5 through our reader."""
    if path.suffix == ".hdf5":
        path = Path(convert(path, folder / "back.arrow", overwrite=True, progress=False).location)
    return plain(pa.ipc.open_file(pa.memory_map(str(path))).read_all())


class ReaderContract:
    """What every format must do. A subclass names the kinds that it can hold and writes a table."""

    suffix: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]] = tuple(KINDS)
    nulls: ClassVar[bool] = True
    # The same writer stands behind every reader: what it makes of all kinds is tried on Arrow.
    examples: ClassVar[dict[str, int]] = {"o.arrow": 40, "o.hdf5": 10}

    def save(self, table: pa.Table, path: Path) -> None:
        raise NotImplementedError

    @pytest.mark.parametrize("target", ["o.arrow", "o.hdf5"])
    def test_identity(self, tmp_path_factory, target) -> None:
        folder = tmp_path_factory.mktemp("identity")

        @settings(
            max_examples=self.examples[target], deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
        )
        @given(tables(self.kinds, self.nulls))
        def check(table: pa.Table) -> None:
            source = folder / f"in{self.suffix}"
            self.save(table, source)
            made = convert(source, folder / target, overwrite=True, resume=False, progress=False)
            assert made.n_rows == table.num_rows
            assert back(folder / target, folder) == plain(table)

        check()

    @pytest.mark.slow
    def test_damage_is_an_error_or_a_right_result(self, tmp_path) -> None:
        table = pa.table(
            {name: pa.array([cell] * 3, KINDS[name][0]) for name, cell in SAMPLE.items() if name in self.kinds}
        )
        source = tmp_path / f"in{self.suffix}"
        self.save(table, source)
        good = source.read_bytes()
        chance = random.Random(0)
        for _ in range(DAMAGES):
            raw = bytearray(good)
            for _ in range(chance.randint(1, 8)):
                raw[chance.randrange(len(raw))] = chance.randrange(256)
            if chance.random() < 0.3:
                raw = raw[: chance.randrange(len(raw))]
            source.write_bytes(bytes(raw))
            target = tmp_path / "o.arrow"
            try:
                made = convert(source, target, overwrite=True, resume=False, on_bad_rows="reject", progress=False)
            except VaxseqError:
                assert not target.exists()
                continue
            pa.ipc.open_file(pa.memory_map(str(target))).read_all().validate(full=True)
            assert made.n_rows >= 0
            target.unlink()


SAMPLE: dict[str, Any] = {
    "bool": True, "int64": 7, "float64": 1.5, "text": "x", "date": dt.date(2020, 1, 2), "instant": 10**18,
    "vector": [1.0, 2.0, 3.0],
    "matrix": [[1, 2], [3, 4]], "category": "a",
}  # fmt: skip


class TestParquet(ReaderContract):
    suffix = ".parquet"
    kinds = tuple(name for name in KINDS if name not in ("duration", "seconds"))

    def save(self, table: pa.Table, path: Path) -> None:
        pq.write_table(table, path, store_schema=True)


class TestArrow(ReaderContract):
    suffix = ".arrow"
    examples = {"o.arrow": 40, "o.hdf5": 40}

    def save(self, table: pa.Table, path: Path) -> None:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)


class TestArrowInLargeBatches(TestArrow):
    """Rows are read by ranges, as where no memory may hold a batch."""

    @pytest.fixture(autouse=True)
    def _large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ipc, "_READ_BYTES", 0)
        monkeypatch.setattr(ipc, "_ROWS", 5)

    def test_what_only_whole_batches_can_be_read_of(self, tmp_path) -> None:
        table = pa.table({"m": pa.array([[("a", 1)], [("a", 2)]], pa.map_(pa.string(), pa.int64()))})
        self.save(table, tmp_path / "in.arrow")
        feather.write_feather(pa.table({"a": [1, 2]}), tmp_path / "lz4.arrow", compression="lz4")
        for name, columns in (("in", {"m.a": [1, 2]}), ("lz4", {"a": [1, 2]})):
            convert(tmp_path / f"{name}.arrow", tmp_path / f"{name}-o.arrow", progress=False)
            assert back(tmp_path / f"{name}-o.arrow", tmp_path) == columns


class TestFeather(ReaderContract):
    suffix = ".feather"

    def save(self, table: pa.Table, path: Path) -> None:
        feather.write_feather(table, path, compression="zstd")


class TestHdf5(ReaderContract):
    suffix = ".hdf5"
    kinds = ("bool", "int64", "uint64", "int8", "float64", "float32", "text", "instant", "vector", "matrix")
    nulls = False

    @pytest.mark.slow
    def test_damage_is_an_error_or_a_right_result(self, tmp_path, forked_probe) -> None:
        super().test_damage_is_an_error_or_a_right_result(tmp_path)

    def save(self, table: pa.Table, path: Path) -> None:
        self._write(table, path)
        hdf5_probe.trust(path)  # trying each in another process would take long

    def _write(self, table: pa.Table, path: Path) -> None:
        with h5py.File(path, "w") as file:
            for name in table.column_names:
                if name == "text":
                    file.create_dataset(name, data=table[name].to_pylist(), dtype=h5py.string_dtype())
                elif name == "instant":
                    file.create_dataset(name, data=table[name].cast(pa.int64()).to_numpy()).attrs["dtype"] = (
                        "datetime64[ns]"
                    )
                else:
                    file[name] = np.array(table[name].to_pylist(), dtype=_numpy(table[name].type))


class TestNpz(ReaderContract):
    suffix = ".npz"
    kinds = ("bool", "int64", "uint64", "int8", "float64", "float32", "vector", "matrix")
    nulls = False

    def save(self, table: pa.Table, path: Path) -> None:
        np.savez(
            path,
            **{name: np.array(table[name].to_pylist(), dtype=_numpy(table[name].type)) for name in table.column_names},
        )


class TestOrc(ReaderContract):
    suffix = ".orc"
    kinds = ("bool", "int64", "int8", "float64", "float32", "text", "date", "decimal")

    def save(self, table: pa.Table, path: Path) -> None:
        orc.write_table(table, path)


class TestAvro(ReaderContract):
    suffix = ".avro"
    kinds = ("bool", "int64", "float64", "text")
    types: ClassVar[dict[str, str]] = {"bool": "boolean", "int64": "long", "float64": "double", "text": "string"}

    def save(self, table: pa.Table, path: Path) -> None:
        fields = [{"name": name, "type": ["null", self.types[name]]} for name in table.column_names]
        with open(path, "wb") as file:
            fastavro.writer(file, {"type": "record", "name": "r", "fields": fields}, table.to_pylist())


def written(value: Any, kind: pa.DataType) -> str:
    """A value as a text file has it."""
    if isinstance(value, dt.timedelta):
        return str(value // dt.timedelta(milliseconds=1))
    if isinstance(value, dt.date):  # instants too
        return value.isoformat()
    return repr(value) if isinstance(value, float) else str(value)


class _TextContract(ReaderContract):
    """A text source takes its types from the schema here; what it infers has tests of its own."""

    kinds = ("int64", "uint64", "int8", "float64", "float32", "text", "category", "bool", "date", "instant", "seconds",
             "zoned", "duration", "decimal")  # fmt: skip
    examples = {"o.arrow": 60, "o.hdf5": 10}

    @pytest.mark.parametrize("target", ["o.arrow", "o.hdf5"])
    def test_identity(self, tmp_path_factory, target) -> None:
        folder = tmp_path_factory.mktemp("identity")

        @settings(
            max_examples=self.examples[target], deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
        )
        @given(tables(self.kinds))
        def check(table: pa.Table) -> None:
            source = folder / f"in{self.suffix}"
            self.save(table, source)
            schema = {"columns": {field.name: type_name(field.type) for field in table.schema}}
            options = {"schema": schema, "columns": table.column_names, "overwrite": True, "resume": False}
            convert(source, folder / target, progress=False, **options)
            assert back(folder / target, folder) == plain(table)

        check()


class TestCsv(_TextContract):
    suffix = ".csv"

    def save(self, table: pa.Table, path: Path) -> None:
        """A last column of zeros keeps a row of one null from being a blank line."""

        def cell(value: Any, kind: pa.DataType) -> str:
            if value is None:
                return ""
            return '"' + value.replace('"', '""') + '"' if isinstance(value, str) else written(value, kind)

        rows = zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
        lines = [",".join([*map(cell, row, table.schema.types), "0"]) for row in rows]
        path.write_bytes(("\n".join([",".join([*table.column_names, "_"]), *lines]) + "\n").encode())


class _Compressed(TestCsv):
    """Only damage differs from the plain text."""

    test_identity = None

    def save(self, table: pa.Table, path: Path) -> None:
        super().save(table, path)
        path.write_bytes(self.compress(path.read_bytes()))

    def compress(self, raw: bytes) -> bytes:
        raise NotImplementedError


class TestGzip(_Compressed):
    suffix = ".csv.gz"

    def compress(self, raw: bytes) -> bytes:
        return gzip.compress(raw)


class TestBzip2(_Compressed):
    suffix = ".csv.bz2"

    def compress(self, raw: bytes) -> bytes:
        return bz2.compress(raw)


class TestXz(_Compressed):
    suffix = ".csv.xz"

    def compress(self, raw: bytes) -> bytes:
        return lzma.compress(raw)


class TestZstandard(_Compressed):
    suffix = ".csv.zst"

    def compress(self, raw: bytes) -> bytes:
        return pa.compress(raw, "zstd", asbytes=True)


class TestJsonLines(_TextContract):
    suffix = ".jsonl"

    @pytest.mark.slow
    def test_damage_is_an_error_or_a_right_result(self, tmp_path) -> None:
        super().test_damage_is_an_error_or_a_right_result(tmp_path)

    def save(self, table: pa.Table, path: Path) -> None:
        def cell(value: Any, kind: pa.DataType) -> Any:
            if isinstance(value, float) and not math.isfinite(value):
                assume(False)  # JSON has no infinities
            return value if value is None or isinstance(value, bool | int | float | str) else written(value, kind)

        rows = zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
        cells = [dict(zip(table.column_names, map(cell, row, table.schema.types), strict=True)) for row in rows]
        path.write_text("".join(json.dumps(row) + "\n" for row in cells))


def test_objects_in_memory_come_through(tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("memory")

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(tables(tuple(KINDS)), st.sampled_from(["table", "batches", "reader"]))
    def check(table: pa.Table, form: str) -> None:
        data = {"table": table, "batches": iter(table.to_batches(max_chunksize=3)), "reader": table.to_reader()}[form]
        convert(data, folder / "o.arrow", overwrite=True, progress=False)
        assert back(folder / "o.arrow", folder) == plain(table)

    check()


def _numpy(kind: pa.DataType) -> np.dtype[Any]:
    while pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return np.dtype(kind.to_pandas_dtype())


def test_every_reader_and_writer_has_its_contract_here() -> None:
    assert set(readers()) >= {
        "arrow", "avro", "csv", "duckdb", "excel", "hdf5", "jsonl", "matlab", "memory", "npy", "orc", "parquet",
    }  # fmt: skip
    assert set(writers()) == {"arrow", "hdf5"}


def test_vaex_opens_both_targets(tmp_path) -> None:
    import vaex

    table = pa.table({
        "i": pa.array([2**60 + 1, None, 3]), "s": ["a", None, "ü"], "b": [True, None, False], "t": pa.array([1,
        None, 3], pa.timestamp("ns")),
        "f": [1.5, None, 2.0], "v": pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.int64(), 2)), "a/b": [1, 2, 3],
    })  # fmt: skip
    for suffix in ("arrow", "hdf5"):
        frame = vaex.open(str(convert(table, tmp_path / f"o.{suffix}", progress=False).location))
        assert len(frame) == 3
        assert frame.i.tolist() == [2**60 + 1, None, 3]
        assert frame.s.tolist() == ["a", None, "ü"]
        assert frame.b.tolist() == [True, None, False]
        assert frame.f.tolist() == [1.5, None, 2.0]
