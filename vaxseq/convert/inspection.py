"""What a dataset holds: schema, rows, missing values, ranges, sizes, and whether it memory-maps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa

from vaxseq.convert.raw_inspection import Facts, as_arguments, inspect_raw
from vaxseq.convert.readers import open_reader, readers
from vaxseq.convert.readers.base import Reader
from vaxseq.convert.readers.excel import ExcelReader
from vaxseq.convert.readers.named_arrays import ArraysReader
from vaxseq.convert.sources import check_sources, find_sources, fingerprint
from vaxseq.dataset.manifest import MANIFEST_NAME, Manifest
from vaxseq.dataset.notice import Notice
from vaxseq.dataset.schema import type_name
from vaxseq.display.html import Heading
from vaxseq.display.tables import Display
from vaxseq.errors import DatasetError
from vaxseq.expressions.values import from_raw


def inspect(source: str | os.PathLike[str], **reader_options: Any) -> Facts:
    r"""What a dataset or a file holds; of raw text, what `convert` would make of it.

    Text (CSV, JSON lines) of any size is looked at in a second or two: its first rows as they stand and as they would
    become, types, units, forms, what is likely but not certain, and the command to run. The notices' options may be
    passed here, too. Of everything else each row is read once, in bounded memory.

    Returns:
        A mapping of plain values that shows itself as a table, in a notebook too.

    Raises:
        SourceError: it can't be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(f"{folder}/a.csv").write_text("t,kw\n12/1/2021,1\n12/31/2021,2\n")
    ...     [one["type"] for one in inspect(f"{folder}/a.csv")["columns"]]
    ['date', 'int64']
    """
    path = source
    where = Path(path)
    manifest = None
    if where.is_file():
        check_sources(find_sources(str(path), None), {})  # before the manifest is looked for in it
    if where.exists():
        try:
            manifest = Manifest.load(where)
        except DatasetError:
            if where.is_dir() and (where / MANIFEST_NAME).exists():
                raise
    given = [str(one) for one in manifest.paths()] if manifest is not None else str(path)
    sources = find_sources(given, None)
    check_sources(sources, {})
    if manifest is None and all(readers()[one.format].is_text for one in sources):
        size = sum(fingerprint(one).size_bytes for one in sources)
        return inspect_raw(sources, str(path), size, reader_options)
    columns: dict[str, _Tally] = {}
    obstacles: list[str] = []
    rows = 0
    notices = list(manifest.notices) if manifest is not None else []
    units: dict[str, str] = {}
    for one in sources:
        with open_reader(one, {} if manifest is not None else reader_options) as reader:
            notices += [one for one in _told(reader) if one not in notices]
            units |= reader.column_units() if isinstance(reader, ArraysReader | ExcelReader) else {}
            obstacles += [one for one in [_obstacle(reader)] if one and one not in obstacles]
            for table in _tables(reader):
                rows += table.num_rows
                for name in table.column_names:
                    columns.setdefault(name, _Tally()).add(table[name])
    declared = {one.name: one for one in manifest.schema.columns} if manifest is not None else {}
    size = sum(fingerprint(source).size_bytes for source in sources)
    return DatasetFacts({
        "path": str(path), "format": manifest.format if manifest else sources[0].format, "rows": rows,
        "size_bytes": size,
        "fragments": len(sources), "memory_maps": not obstacles, "obstacles": obstacles,
        "rejected_rows": manifest.rejected_rows if manifest else None,
        "dropped_rows": manifest.dropped_rows if manifest else None,
        "columns": [
            {"name": name, "type": declared[name].type if name in declared else type_name(one.type),
             "unit": declared[name].unit if name in declared else units.get(name), **one.facts()}
            for name, one in columns.items()
        ],
        "notices": [one.to_dict() for one in notices],
    })  # fmt: skip


class DatasetFacts(Facts):
    """What a dataset holds."""

    def _display(self) -> Display:
        numbers = ("missing", "min", "max", "mean")
        headings = (Heading("column"), Heading("type", "code"), *(Heading(name, "number") for name in numbers))
        rows = tuple(
            (one["name"] + (f" ({one['unit']})" if one["unit"] else ""), one["type"],
             f"{one['missing']:,}" if one["missing"] else "", *(_written(one[key]) for key in numbers[1:]))
            for one in self["columns"]
        )  # fmt: skip
        files = f"{self['fragments']:,} file{'' if self['fragments'] == 1 else 's'}"
        title = f"{self['path']}: {self['rows']:,} rows, {self['size_bytes'] / 1e6:,.1f} MB, {files}, {self['format']}"
        maps = "It memory-maps." if self["memory_maps"] else "It doesn't memory-map: " + " ".join(self["obstacles"])
        notices = [Notice.from_dict(one) for one in self["notices"]]
        notes = [f"notice: {one}" + (f"  {as_arguments(one.options)}" if one.options else "") for one in notices]
        return Display(title, headings, rows, (*notes, maps), dict(self))


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):  # a time
        return value.replace("T", " ")
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _tables(reader: Reader) -> Iterator[pa.Table]:
    from vaxseq.convert.readers.base import Request

    types = {field.name: field.type for field in reader.schema() if field.name not in reader.unreadable()}
    reader.choose(tuple(types))
    for unit in reader.units(0):
        for piece in reader.pieces(unit):
            yield reader.parse(piece, Request(tuple(types), types)).table


def _told(reader: Reader) -> list[Notice]:
    """What a conversion would say of the source: columns that it can't take, arrays that it leaves out."""
    lost = reader.unreadable()
    others = [name for name in reader.schema_names() if name not in lost]
    found = [Notice(name, reason, (), {"columns": others}) for name, reason in lost.items()]
    return [*found, *(reader.notices if isinstance(reader, ArraysReader | ExcelReader) else ())]


def _obstacle(reader: Reader) -> str | None:
    """Why the file doesn't memory-map, and what to do; None when it does."""
    remedy = "Convert it: vaxseq convert SOURCE TARGET.arrow"
    path = reader.source.path or ""
    if reader.name == "arrow":
        with pa.memory_map(path) as source:
            if source.read(6) != b"ARROW1":
                return f"{path} is an Arrow stream, which is read from its start. {remedy}"
            file = pa.ipc.open_file(source)
            columns = file.get_batch(0).columns if file.num_record_batches else []
            source.seek(0)
            whole = source.read_buffer()
            inside = range(whole.address, whole.address + whole.size)
            if any(one is not None and one.size and one.address not in inside for c in columns for one in c.buffers()):
                return f"{path} is compressed Arrow, which is unpacked into memory. {remedy}"
        return None
    if reader.name == "hdf5":
        with h5py.File(path, "r") as file:
            if "table/columns" not in file:
                return f"{path} isn't laid out as a dataset. {remedy}"
        chunked: list[str] = []
        with h5py.File(path, "r") as file:
            file.visititems(
                lambda name, one: chunked.append(name) if isinstance(one, h5py.Dataset) and one.chunks else None
            )
        return f"{path} has chunked arrays ({chunked[0]}). {remedy}" if chunked else None
    return f"{path} is {reader.name}, which has to be parsed. {remedy}"


class _Tally:
    """Missing values, smallest, largest and mean of a column, block by block."""

    def __init__(self) -> None:
        self.type: pa.DataType = pa.null()
        self.missing = self.count = 0
        self.low: Any = None
        self.high: Any = None
        self.total = 0.0

    def add(self, column: pa.ChunkedArray) -> None:
        self.type = column.type
        if pa.types.is_null(column.type):
            self.missing += len(column)
            return
        value = from_raw(column)
        absent = value.is_missing()
        self.missing += int(absent.sum())
        if value.kind == "text" or len(value) == 0:
            return
        present = value.data[~absent]
        if present.size == 0:
            return
        low, high = present.min(), present.max()
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)
        if value.kind in ("int", "float", "bool"):
            self.total += float(present.sum(dtype=np.float64))
            self.count += present.size

    def facts(self) -> dict[str, Any]:
        return {
            "missing": self.missing,
            "min": _plain(self.low),
            "max": _plain(self.high),
            "mean": self.total / self.count if self.count else None,
        }


def _plain(value: Any) -> Any:
    if isinstance(value, np.datetime64 | np.timedelta64):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value
