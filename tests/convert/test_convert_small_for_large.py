"""Small files that would make large work are refused before anything is read."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import fastavro
import pytest

import vaxseq as vs
from vaxseq.convert.readers import excel
from vaxseq.convert.readers.xlsb_extent import xlsb_extent
from vaxseq.errors import SchemaError, SourceError


def number(value: int) -> bytes:
    """As Avro writes it."""
    value, raw = value << 1, b""
    while value > 127:
        raw, value = raw + bytes([value & 127 | 128]), value >> 7
    return raw + bytes([value])


@pytest.mark.parametrize("kind", ["null", {"type": "fixed", "name": "f", "size": 0}])
def test_records_that_take_no_bytes(tmp_path: Path, kind: object) -> None:
    inner = {"type": "record", "name": "inner", "fields": [{"name": "a", "type": kind}]}
    written = io.BytesIO()
    fastavro.writer(written, {"type": "record", "name": "r", "fields": [{"name": "i", "type": inner}]}, [])
    raw = written.getvalue()
    (tmp_path / "a.avro").write_bytes(raw + number(2**50) + number(0) + raw[-16:])
    with pytest.raises(SchemaError, match="a.avro: its records take no bytes"):
        vs.convert(tmp_path / "a.avro", tmp_path / "o.arrow", progress=False)


def test_cells_that_lie_far_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for place, value in {"A1": "a", "B1": "b", "A2": 1, "B2": 2, "ZZ1": "far", "ZZ1048576": 3}.items():
        book.active[place] = value
    book.save(tmp_path / "far.xlsx")
    with pytest.raises(
        SourceError, match=r"far.xlsx: xl/worksheets/sheet1.xml reaches over 1,048,576 rows and 702 col"
    ):
        vs.convert(tmp_path / "far.xlsx", tmp_path / "o.arrow", progress=False)
    del book.active["ZZ1048576"]
    book.active.delete_rows(3, 1048576)
    book.active["ZZ2"] = 3
    book.save(tmp_path / "wide.xlsx")
    monkeypatch.setattr(excel, "_BLOCK_BYTES", 50)  # what is looked for lies across pieces
    made = vs.convert(tmp_path / "wide.xlsx", tmp_path / "o.arrow", columns=["a", "far"], progress=False)
    assert made.n_rows == 1
    monkeypatch.setattr(excel, "_MOST_CELLS", 1403)
    with pytest.raises(SourceError, match="reaches over 2 rows and 702 columns"):
        vs.convert(tmp_path / "wide.xlsx", tmp_path / "o.arrow", progress=False, overwrite=True)


def binary_sheet(*cells: tuple[int, int]) -> bytes:
    """Records of an .xlsb's sheet: its own word of its size (small), a row and a number by cell, a comment."""

    def record(kind: int, content: bytes) -> bytes:
        head = bytes([kind]) if kind < 128 else bytes([kind & 127 | 128, kind >> 7])
        size = len(content)
        return head + (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + content

    body = record(129, b"") + record(148, bytes(16)) + record(145, b"")
    for row, column in cells:
        body += record(0, row.to_bytes(4, "little") + bytes(21))
        body += record(5, column.to_bytes(4, "little") + bytes(12)) + record(637, bytes(1000))
    return body + record(146, b"") + record(130, b"")


def test_cells_of_a_binary_sheet_that_lie_far_apart(tmp_path: Path) -> None:
    def write(*cells: tuple[int, int]) -> None:
        with zipfile.ZipFile(tmp_path / "far.xlsb", "w") as package:
            package.writestr("xl/worksheets/sheet1.bin", binary_sheet(*cells))

    write((0, 0), (3, 7), (1, 2))
    with zipfile.ZipFile(tmp_path / "far.xlsb") as package:
        assert xlsb_extent(package, "xl/worksheets/sheet1.bin") == (4, 8)
    write((0, 0), (1_048_575, 16_383), (1, 1))
    with pytest.raises(SourceError, match=r"sheet1.bin reaches over 1,048,576 rows and 16,384 columns"):
        vs.convert(tmp_path / "far.xlsb", tmp_path / "o.arrow", progress=False)
    with zipfile.ZipFile(tmp_path / "far.xlsb", "w") as package:
        package.writestr("xl/worksheets/sheet1.bin", binary_sheet((0, 0))[:-500])
    with pytest.raises(SourceError, match="far.xlsb: can't read the workbook: a record of a sheet is cut short"):
        vs.convert(tmp_path / "far.xlsb", tmp_path / "o.arrow", progress=False)
