"""The encoding of a text by its first bytes: told by what can be nothing else, never by chance."""

from __future__ import annotations

import codecs
import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

CERTAIN_WESTERN = "western"  # what cp1252, cp1250, Latin-1 and their kin all read alike; any other byte is an error
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
         (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_KIN = ("cp1252", "cp1250", "latin-1", "cp1254", "cp1257")
_POWER = re.compile(rb"m[\xb2\xb3](?![A-Za-z\x80-\xff])")  # square and cubic metres, which cp1250 has no words like
_BETWEEN = rb"[A-Za-z0-9 \t,;|()\[\]/\"'._%\r\n=:+-]"


def detect(head: bytes) -> str | None:
    """The encoding that these bytes can only be in; None when they are ambiguous.

    >>> detect("Zeit;°C".encode("utf-16"))
    'utf-16'
    >>> detect("temp,°C".encode("cp1252"))
    'western'
    """
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    if (wide := _wide(head)) is not None:
        return wide
    if _is_utf8(head):
        return "utf-8"
    return CERTAIN_WESTERN if _is_western(head) else None


def _wide(head: bytes) -> str | None:
    """UTF-16 without its mark: every other byte of most text is nought."""
    sample = head[:4096]
    if len(sample) < 4 or b"\0" not in sample:
        return None
    even, odd = sample[::2], sample[1::2]
    low, high = even.count(0) / len(even), odd.count(0) / len(odd)
    if high > 0.5 and low < 0.05:
        return "utf-16-le"
    return "utf-16-be" if low > 0.5 and high < 0.05 else None


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the last letter may be cut
    except UnicodeDecodeError:
        return False
    return True


def _is_western(head: bytes) -> bool:
    """Whether each byte beyond ASCII stands alone between letters, and all the encodings of this kind read it alike."""
    alike = _alike()
    head = _POWER.sub(b"m2", head)
    for found in re.finditer(rb"[\x80-\xff]+", head):
        around = head[max(found.start() - 1, 0) : found.start()], head[found.end() : found.end() + 1]
        if len(found[0]) > 2 or any(byte not in alike for byte in found[0]):
            return False
        if not all(re.match(_BETWEEN, one) or not one for one in around):
            return False
    return True


@cache
def _alike() -> frozenset[int]:
    found = []
    for byte in range(0x80, 0x100):
        read = {bytes([byte]).decode(name, "replace") for name in _KIN}
        if len(read) == 1 and "\N{REPLACEMENT CHARACTER}" not in read and byte >= 0xA0:
            found.append(byte)
    return frozenset(found)


class _Decoder(codecs.BufferedIncrementalDecoder):
    """Latin-1 that refuses every byte by which its kin differ."""

    def _buffer_decode(self, input: Buffer, errors: str, final: bool) -> tuple[str, int]:
        content = bytes(input)
        length = len(content) if final or not content.endswith(b"m") else len(content) - 1  # a power may follow
        plain = _POWER.sub(b"m2", content[:length])
        if (odd := _odd().search(plain)) is not None:
            raise UnicodeDecodeError(CERTAIN_WESTERN, plain, odd.start(), odd.end(), "encodings differ by this byte")
        return content[:length].decode("latin-1"), length


@cache
def _odd() -> re.Pattern[bytes]:
    return re.compile(b"[" + bytes(sorted(set(range(0x80, 0x100)) - _alike())) + b"]")


def _search(name: str) -> codecs.CodecInfo | None:
    if name != CERTAIN_WESTERN:
        return None
    latin = codecs.lookup("latin-1")
    return codecs.CodecInfo(latin.encode, latin.decode, incrementaldecoder=_Decoder, name=CERTAIN_WESTERN)


codecs.register(_search)
