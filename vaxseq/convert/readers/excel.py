"""Excel and OpenDocument sheets, through python-calamine."""

from __future__ import annotations

import datetime as dt
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from vaxseq.convert import storage
from vaxseq.convert.readers.base import Piece, TypedReader, Unit, bad_option
from vaxseq.convert.readers.nesting import check_distinct
from vaxseq.convert.readers.xlsb_extent import xlsb_extent
from vaxseq.dataset.notice import Notice
from vaxseq.errors import MissingExtraError, SchemaError, SourceError, SourceNotFoundError, VaxseqError

_ROWS = 1 << 16
_MOST_ROWS, _MOST_CELLS = 1 << 20, 100_000_000
_DAMAGE = (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error)
_WIDE, _ROW = re.compile(rb"\br=[\"']([A-Z]{2,3})\d"), re.compile(rb"\br=[\"'][A-Z]{1,3}(\d{1,7})[\"']")
_BINARY_SHEET = re.compile(r"xl/worksheets/(?!binaryIndex).*\.bin")
_BLOCK_BYTES, _LONGEST_MATCH = 1 << 20, 16
_SHOWN = 3


class ExcelReader(TypedReader):
    """One sheet, its first row the names. A sheet has a million rows at most, so it is read whole."""

    name = "excel"
    suffixes = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
    options = {"sheet": None, "skip_rows": 0}

    def __init__(self, source: Any, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        try:
            import python_calamine
        except ImportError as error:
            raise MissingExtraError(
                f"{self.where}: python-calamine isn't installed. pip install 'vaxseq[excel]'"
            ) from error
        skip = self.set["skip_rows"]
        if not isinstance(skip, int) or isinstance(skip, bool) or skip < 0:
            raise bad_option(self.where, "skip_rows", skip, "how many rows stand above the names")
        try:
            with storage.open_bytes(source.path) as file:
                self._check_extent(file)
                book = python_calamine.CalamineWorkbook.from_filelike(file)
                rows = self._sheet(book).to_python(skip_empty_area=False)
        except FileNotFoundError as error:
            raise SourceNotFoundError(f"{self.where}: no such file. Check the path.") from error
        except (python_calamine.CalamineError, *_DAMAGE) as error:
            if isinstance(error, VaxseqError):
                raise
            raise SourceError(
                f"{self.where}: can't read the workbook: {error}. It is damaged or no workbook."
            ) from error
        filled = [(number, row) for number, row in enumerate(rows, 1) if number > skip and any(map(_there, row))]
        self._numbers = [number for number, _ in filled[1:]]
        rows = [row for _, row in filled]
        if not rows:
            raise SourceError(f"{self.where}: the sheet is empty. Choose another with sheet=.")
        names = _names(rows[0])
        kept = [place for place, name in enumerate(names) if name or any(row[place] != "" for row in rows[1:])]
        names = [names[place] or f"column_{place + 1}" for place in kept]
        check_distinct(names, self.where)
        self._columns = {
            name: _column([row[place] for row in rows[1:]]) for place, name in zip(kept, names, strict=True)
        }
        self._rows = len(rows) - 1
        cells = {name: [row[place] for row in rows[1:]] for place, name in zip(kept, names, strict=True)}
        self.notices = [one for name in names for one in self._told(name, cells[name])]

    def _check_extent(self, file: Any) -> None:
        """Refuses cells that lie far apart: the library lays out all between them, or ends the process by a signal."""
        zipped = zipfile.is_zipfile(file)
        file.seek(0)
        if not zipped:
            return
        with zipfile.ZipFile(file) as package:
            for name in package.namelist():
                height, width = _extent(package, name)
                if width * height > _MOST_CELLS:
                    raise SourceError(
                        f"{self.where}: {name} reaches over {height:,} rows and {width:,} columns; expected up to "
                        f"{_MOST_CELLS:,} cells. Delete what stands far from the table."
                    )
        file.seek(0)

    def _told(self, name: str, cells: list[Any]) -> list[Notice]:
        """That a few words among numbers make the column text."""
        words = [place for place, cell in enumerate(cells) if isinstance(cell, str) and cell != ""]
        others = sum(cell != "" for cell in cells) - len(words)
        if not words or len(words) >= others:
            return []
        lines = tuple(f"line {self._numbers[place]}: {cells[place]!r}" for place in words[:_SHOWN])
        return [Notice(name, f"{others:,} of {others + len(words):,} cells are no words; the column is text", lines)]

    def column_units(self) -> dict[str, str]:
        """A sheet tells none."""
        return {}

    def _sheet(self, book: Any) -> Any:
        asked = self.set["sheet"]
        names = book.sheet_names
        if asked is None:
            filled = [name for name in names if book.get_sheet_by_name(name).height > 1]
            if len(filled) > 1:
                raise SchemaError(
                    f"{self.where}: the workbook has {len(filled)} sheets with rows, {filled}. Choose one with sheet=.",
                    options={"sheet": filled[0]},
                )
            return book.get_sheet_by_name((filled or names)[0])
        if asked not in names:
            raise bad_option(self.where, "sheet", asked, f"one of {names}")
        return book.get_sheet_by_name(asked)

    def schema(self) -> pa.Schema:
        return pa.schema([(name, column.type) for name, column in self._columns.items()])

    def units(self, index: int) -> Iterator[Unit]:
        yield Unit(index, 0, self._rows)

    def pieces(self, unit: Unit, skip: int = 0) -> Iterator[Piece]:
        table = pa.table(self._columns)
        for start in range(skip * _ROWS, self._rows, _ROWS):
            yield Piece(table.slice(start, _ROWS), start)

    def locate(self, piece: Piece, rows: list[int]) -> list[tuple[int, str]]:
        texts = [text for _, text in super().locate(piece, rows)]
        return [(self._numbers[piece.start + row], text) for row, text in zip(rows, texts, strict=True)]


def _extent(package: zipfile.ZipFile, name: str) -> tuple[int, int]:
    """Rows and columns that a member's cells reach over; (0, 0) where they can't be too many."""
    if _BINARY_SHEET.fullmatch(name):
        return xlsb_extent(package, name)
    width = max((_column_number(one[1]) for one in _found(package, name, _WIDE)), default=0)
    if width * _MOST_ROWS <= _MOST_CELLS:
        return 0, 0
    return max((int(one[1]) for one in _found(package, name, _ROW)), default=0), width


def _found(package: zipfile.ZipFile, name: str, pattern: re.Pattern[bytes]) -> Iterator[re.Match[bytes]]:
    """What a pattern matches in a member, read in pieces."""
    with package.open(name) as member:
        rest = b""
        while block := member.read(_BLOCK_BYTES):
            rest += block
            yield from pattern.finditer(rest)
            rest = rest[-_LONGEST_MATCH:]


def _column_number(letters: bytes) -> int:
    """A is 1, Z 26, AA 27."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _there(cell: Any) -> bool:
    return bool(cell != "")


def _names(row: Sequence[Any]) -> list[str]:
    return [str(int(one)) if isinstance(one, float) and one == int(one) else str(one).strip() for one in row]


def _column(cells: list[Any]) -> pa.Array:
    """Cells of one kind as that; numbers as integers where all are whole; a mixture as text."""
    values = [None if cell == "" else cell for cell in cells]
    kinds = {type(cell) for cell in values if cell is not None}
    if not kinds:
        return pa.nulls(len(values))
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds <= {int, float}:
        whole = all(cell is None or (cell == int(cell) and abs(cell) < 2**53) for cell in values if cell == cell)
        return pa.array([None if cell is None else int(cell) for cell in values] if whole else values,
                        pa.int64() if whole else pa.float64())  # fmt: skip
    if kinds == {dt.date}:
        return pa.array(values, pa.date32())
    if kinds <= {dt.date, dt.datetime}:
        times = [
            cell if cell is None or isinstance(cell, dt.datetime) else dt.datetime.combine(cell, dt.time())
            for cell in values
        ]
        return pa.array(times, pa.timestamp("us"))
    if kinds == {dt.time}:
        return pa.array(values, pa.time64("us"))
    if kinds == {dt.timedelta}:
        return pa.array(values, pa.duration("us"))
    return pa.array([None if cell is None else _text(cell) for cell in values], pa.string())


def _moment(cell: dt.date) -> dt.datetime:
    return cell if isinstance(cell, dt.datetime) else dt.datetime.combine(cell, dt.time())


def _text(cell: Any) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell == int(cell) and abs(cell) < 2**53:
        return str(int(cell))
    return cell.isoformat() if isinstance(cell, dt.date | dt.time) else str(cell)
