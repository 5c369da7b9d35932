"""Steps of text: lower, strip, length and a regex flag. They run in NumPy and Arrow, never in the Keras layer."""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import field_validator

from vaxseq.expressions.texts import to_text, to_value
from vaxseq.expressions.values import Kind, Value
from vaxseq.features.transforms.base import Apply, Learned, Step


class Text(Step):
    """What the steps of text share."""

    accepts: ClassVar[frozenset[Kind]] = frozenset({"text"})
    width: ClassVar[str] = "text"

    def encode(self, learned: Learned) -> Apply | None:
        return self.compile(learned)

    def keras(self, ops: Any, x: Any, learned: Learned) -> Any:
        return x


class Lower(Text):
    """Lower case, by Unicode."""

    name: ClassVar[str] = "lower"
    docs: ClassVar[str] = "lower case, by Unicode"

    def compile(self, learned: Learned) -> Apply:
        return lambda value: to_text(value.data, pc.utf8_lower)


class Strip(Text):
    """Without white space at both ends."""

    name: ClassVar[str] = "strip"
    docs: ClassVar[str] = "without white space at both ends"

    def compile(self, learned: Learned) -> Apply:
        return lambda value: to_text(value.data, pc.utf8_trim_whitespace)


class Length(Text):
    """The number of characters."""

    name: ClassVar[str] = "length"
    docs: ClassVar[str] = "number of characters (Unicode code points)"
    width: ClassVar[str] = "1"

    def compile(self, learned: Learned) -> Apply:
        return lambda value: to_value(value.data, pc.utf8_length)


class Matches(Text):
    """Whether a regular expression is found in the text (RE2: linear time, no backtracking)."""

    name: ClassVar[str] = "matches"
    short: ClassVar[str | None] = "pattern"
    docs: ClassVar[str] = "whether the regular expression `pattern` (RE2 syntax) is found"
    width: ClassVar[str] = "1"

    pattern: str
    ignore_case: bool = False

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            pc.match_substring_regex(pa.array([""]), pattern)
        except pa.ArrowInvalid as error:
            raise ValueError(f"not a regular expression of RE2 ({error})") from error
        return pattern

    def compile(self, learned: Learned) -> Apply:
        pattern, ignore_case = self.pattern, self.ignore_case
        return lambda value: _flag(value, pattern, ignore_case)


def _flag(value: Value, pattern: str, ignore_case: bool) -> Value:
    return to_value(value.data, lambda texts: pc.match_substring_regex(texts, pattern, ignore_case=ignore_case))
