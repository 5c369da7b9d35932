"""How far the cells of a binary Excel sheet reach, by its records; what it says of itself isn't relied on.

A record is a type of one or two bytes, a size of one to four, seven bits of it in each, and its content. Source:
[MS-XLSB] 2.1.4 and 2.3.
"""

from __future__ import annotations

import io
import struct
import zipfile
from typing import IO, cast

_ROW, _CELLS = 0, range(1, 12)  # BrtRowHdr; BrtCellBlank to BrtFmlaError
_NUMBER = struct.Struct("<I")
_PIECE_BYTES = 1 << 20


def xlsb_extent(package: zipfile.ZipFile, name: str) -> tuple[int, int]:
    """Rows and columns up to the last cell of a sheet."""
    rows = columns = 0
    with io.BufferedReader(cast(io.RawIOBase, package.open(name)), _PIECE_BYTES) as member:
        while head := member.read(1):
            kind = head[0]
            if kind & 0x80:
                kind = kind & 0x7F | _byte(member) << 7
            size = shift = 0
            more = True
            while more and shift < 28:
                byte = _byte(member)
                size |= (byte & 0x7F) << shift
                shift += 7
                more = bool(byte & 0x80)
            counted = (kind == _ROW or kind in _CELLS) and size >= _NUMBER.size
            if counted:
                (number,) = _NUMBER.unpack(_bytes(member, _NUMBER.size))
                size -= _NUMBER.size
                if kind == _ROW:
                    rows = max(rows, number + 1)
                else:
                    columns = max(columns, number + 1)
            while size:
                size -= len(_bytes(member, min(size, _PIECE_BYTES)))
    return rows, columns


def _byte(member: IO[bytes]) -> int:
    return _bytes(member, 1)[0]


def _bytes(member: IO[bytes], count: int) -> bytes:
    found = member.read(count)
    if len(found) < count:
        raise EOFError("a record of a sheet is cut short")
    return found
