"""JSON that isn't one object a line: an array, or objects over several lines, as one object a line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator

from vaxseq.errors import SourceError

_BLOCK = 1 << 20
_LONGEST = 1 << 28  # characters of one element
_SPACE = " \t\r\n"
_decode = json.JSONDecoder().raw_decode


def is_lines(head: bytes) -> bool:
    """Whether the first line that isn't blank is a whole value other than an array of objects."""
    lines = head.lstrip(b" \t\r\n").split(b"\n", 1)
    if lines[0].startswith(b"["):
        return False
    try:
        json.loads(lines[0])
    except (ValueError, RecursionError):
        # a bad first line of many is a bad row; an object that goes on below is none
        return not lines[0].strip().endswith((b"{", b"[", b",", b":")) or len(lines) == 1
    return True


class Elements:
    """The elements of a JSON text, each on a line of its own; ``path`` leads to the array within an object."""

    def __init__(self, chunks: Iterable[bytes], where: str, path: tuple[str, ...] = ()) -> None:
        self._chunks = iter(chunks)
        self._utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.where, self._path = where, path
        self._text, self._at, self._lines, self._ended = "", 0, 0, False
        self.found = 0

    def blocks(self) -> Iterator[bytes]:
        """Lines in blocks of about a megabyte.

        Raises:
            SourceError: no JSON, or nothing where ``path`` leads.
        """
        held: list[str] = []
        size = 0
        for element in self._elements():
            held.append(element.replace("\n", " ").replace("\r", " ") + "\n")
            size += len(held[-1])
            if size > _BLOCK:
                yield "".join(held).encode("utf-8", "surrogateescape")
                held, size = [], 0
        if held:
            yield "".join(held).encode("utf-8", "surrogateescape")

    def _elements(self) -> Iterator[str]:
        for key in self._path:
            self._enter(key)
        if self._peek() == "[":
            self._at += 1
            while self._peek() not in ("]", ""):
                yield self._value()
                if self._peek() == ",":
                    self._at += 1
                elif self._peek() != "]":
                    raise self._wrong("expected a comma or the end of the array")
            if self._peek() == "":
                raise self._wrong("the array isn't closed: the file is cut off")
            return
        if self._path:
            raise self._wrong(f"records={'.'.join(self._path)!r} leads to no array")
        while self._peek() != "":
            yield self._value()

    def _enter(self, wanted: str) -> None:
        """Goes to the value of a key of the object that begins here."""
        if self._peek() != "{":
            raise self._wrong(f"expected an object with the key {wanted!r}")
        self._at += 1
        while self._peek() == '"':
            key = json.loads(self._value(count=False))
            if self._peek() != ":":
                raise self._wrong("expected a colon")
            self._at += 1
            if key == wanted:
                return
            self._value(count=False)
            if self._peek() == ",":
                self._at += 1
        raise self._wrong(f"no key {wanted!r} there; records= names the path to the array, such as 'data.rows'")

    def _peek(self) -> str:
        """The next character that isn't blank; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _value(self, *, count: bool = True) -> str:
        """The text of the value that begins here."""
        self._peek()
        while True:
            try:
                _, end = _decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if isinstance(error, RecursionError) or len(self._text) - self._at > _LONGEST or self._ended:
                    raise self._wrong(getattr(error, "msg", str(error))) from error
            else:
                if end < len(self._text) or self._ended:  # a number may go on in the next block
                    found = self._text[self._at : end]
                    self._at = end
                    self.found += count
                    return found
            size = max(len(self._text) - self._at, _BLOCK)
            while len(self._text) - self._at < 2 * size and self._more():
                pass

    def _more(self) -> bool:
        if self._ended:
            return False
        block = next(self._chunks, None)
        self._ended = block is None
        self._lines += self._text.count("\n", 0, self._at)
        self._text = self._text[self._at :] + self._utf8.decode(block or b"", final=block is None)
        self._at = 0
        return True

    def _wrong(self, what: str) -> SourceError:
        line = self._lines + self._text.count("\n", 0, self._at) + 1
        return SourceError(f"{self.where}: line {line}: after {self.found} elements: {what}. Repair the JSON.")
