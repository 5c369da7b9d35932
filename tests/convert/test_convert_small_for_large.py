"""Small files that would make large work are refused before anything is read."""

from __future__ import annotations

import io
from pathlib import Path

import fastavro
import pytest

import vaxseq as vs
from vaxseq.convert.readers import excel
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
