"""Text: comparison, joining and the .str accessors, by Arrow; on a dictionary's values where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.expressions.broadcast import text_nulls, truth
from vaxseq.expressions.table import TEXT, Operand, function, literal, mismatch, takes
from vaxseq.expressions.values import Value, from_raw, widen

_COMPARE: dict[str, Callable[..., Any]] = {
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
    "==": pc.equal,
    "!=": pc.not_equal,
}


def plain(data: pa.Array) -> pa.Array:
    """Text without a dictionary."""
    return data.dictionary.take(data.indices) if isinstance(data, pa.DictionaryArray) else data


def mapped(data: pa.Array, fn: Callable[[pa.Array], pa.Array]) -> tuple[pa.Array, pa.Array | None]:
    """``fn`` of the distinct values and the codes into them, or of the rows and None."""
    if isinstance(data, pa.DictionaryArray) and len(data.dictionary) <= len(data):
        return fn(data.dictionary), data.indices
    return fn(plain(data)), None


def to_value(data: pa.Array, fn: Callable[[pa.Array], pa.Array]) -> Value:
    """``fn`` from texts to numbers or truth values."""
    result, codes = mapped(data, fn)
    value = from_raw(result if codes is None else result.take(codes))
    if value.kind == "bool":
        return truth(value.data if value.missing is None else value.data.copy(), value.missing)
    return widen(value)


def to_text(data: pa.Array, fn: Callable[[pa.Array], pa.Array]) -> Value:
    """``fn`` from texts to texts; a dictionary stays one, of distinct values."""
    result, codes = mapped(data, fn)
    if codes is None:
        return Value(result)
    distinct = result.dictionary_encode()
    return Value(pa.DictionaryArray.from_arrays(distinct.indices.take(codes), distinct.dictionary))


def compare(sign: str, a: Operand, b: Operand) -> Value:
    """Two texts compared by code point; one may be a constant."""
    fn = _COMPARE[sign]
    if isinstance(a, Value) and isinstance(b, str):
        return to_value(a.data, lambda values: fn(values, pa.scalar(b, values.type)))
    if isinstance(b, Value) and isinstance(a, str):
        return to_value(b.data, lambda values: fn(pa.scalar(a, values.type), values))
    x, y = rows(a, b)
    return to_value(fn(x, y), lambda result: result)


def join(a: Operand, b: Operand) -> Operand:
    """One text after the other."""
    for one in (a, b):
        if isinstance(one, Value) and one.kind != "text":
            raise mismatch("'+' doesn't take these kinds together", a, b)
    if isinstance(a, str) and isinstance(b, str):
        return a + b
    if isinstance(a, Value) and isinstance(b, str):
        return to_text(a.data, lambda values: _joined(values, pa.scalar(b, values.type)))
    if isinstance(b, Value) and isinstance(a, str):
        return to_text(b.data, lambda values: _joined(pa.scalar(a, values.type), values))
    return Value(_joined(*rows(a, b)))


def _joined(a: Any, b: Any) -> pa.Array:
    return pc.binary_join_element_wise(a, b, pa.scalar("", a.type))


def rows(a: Operand, b: Operand) -> tuple[pa.Array, pa.Array]:
    """Both as plain text arrays of one type and length."""
    n = len(a) if isinstance(a, Value) else len(b)
    pair = [
        plain(one.data) if isinstance(one, Value) else pa.array([one], pa.large_string()).take(np.zeros(n, np.int64))
        for one in (a, b)
    ]
    if pair[0].type != pair[1].type:
        pair = [one.cast(pa.large_string()) for one in pair]
    return pair[0], pair[1]


def is_in(value: Value, choices: tuple[str, ...]) -> Value:
    """Whether the text is one of ``choices``; missing where it is."""

    def fn(values: pa.Array) -> pa.Array:
        found = pc.is_in(values, value_set=pa.array(choices, values.type))
        return pc.if_else(values.is_null(), pa.scalar(None, pa.bool_()), found) if values.null_count else found

    return to_value(value.data, fn)


def filled(value: Value, text: str) -> Value:
    """The text with ``text`` where it is missing."""
    if text_nulls(value.data) is None:
        return value
    array = plain(value.data)
    return Value(array.fill_null(pa.scalar(text, array.type)))


def _check_regex(pattern: str, regex: bool) -> str | None:
    if not regex:
        return None
    try:
        pc.match_substring_regex(pa.scalar("x", pa.string()), pattern=pattern)
    except pa.ArrowInvalid as error:
        return f"a regular expression of RE2's syntax; got {pattern!r} ({error})"
    return None


def _maps(name: str, fn: Callable[[pa.Array], Any], doc: str) -> None:
    @function(f"str.{name}", takes("s", TEXT), group="texts", doc=doc)
    def kernel(value: Value) -> Value:
        return to_text(value.data, fn)


def _tells(name: str, fn: Callable[[pa.Array], Any], doc: str) -> None:
    @function(f"str.{name}", takes("s", TEXT), group="texts", doc=doc)
    def kernel(value: Value) -> Value:
        return to_value(value.data, fn)


_maps("lower", pc.utf8_lower, "in lower case")
_maps("upper", pc.utf8_upper, "in upper case")
_maps("title", pc.utf8_title, "each word capitalised")
_maps("capitalize", pc.utf8_capitalize, "the first letter in upper case")
_tells("len", pc.utf8_length, "number of characters")
_tells("byte_length", pc.binary_length, "number of UTF-8 bytes")
_tells("isalnum", pc.utf8_is_alnum, "whether all are letters or digits")
_tells("isalpha", pc.utf8_is_alpha, "whether all are letters")
_tells("isdigit", pc.utf8_is_digit, "whether all are digits")
_tells("islower", pc.utf8_is_lower, "whether in lower case")
_tells("isupper", pc.utf8_is_upper, "whether in upper case")
_tells("isspace", pc.utf8_is_space, "whether all are spaces")


def _strips(name: str, spaces: Callable[..., Any], characters: Callable[..., Any], doc: str) -> None:
    @function(f"str.{name}", takes("s", TEXT), literal("to_strip", str, default=""), group="texts", doc=doc)
    def kernel(value: Value, to_strip: str) -> Value:
        if to_strip:
            return to_text(value.data, lambda values: characters(values, characters=to_strip))
        return to_text(value.data, spaces)


_strips("strip", pc.utf8_trim_whitespace, pc.utf8_trim, "without spaces (or the given characters) at both ends")
_strips("lstrip", pc.utf8_ltrim_whitespace, pc.utf8_ltrim, "without them at the start")
_strips("rstrip", pc.utf8_rtrim_whitespace, pc.utf8_rtrim, "without them at the end")


@function("str.startswith", takes("s", TEXT), literal("pat", str), group="texts", doc="whether it starts with ``pat``")
def startswith(value: Value, pat: str) -> Value:
    return to_value(value.data, lambda values: pc.starts_with(values, pattern=pat))


@function("str.endswith", takes("s", TEXT), literal("pat", str), group="texts", doc="whether it ends with ``pat``")
def endswith(value: Value, pat: str) -> Value:
    return to_value(value.data, lambda values: pc.ends_with(values, pattern=pat))


@function(
    "str.contains",
    takes("s", TEXT),
    literal("pattern", str),
    literal("regex", bool, default=True),
    group="texts",
    vet=_check_regex,
    doc="whether ``pattern`` (RE2's syntax, or plain with regex=False) occurs in it",
)
def contains(value: Value, pattern: str, regex: bool) -> Value:
    find = pc.match_substring_regex if regex else pc.match_substring
    return to_value(value.data, lambda values: find(values, pattern=pattern))


@function(
    "str.count",
    takes("s", TEXT),
    literal("pat", str),
    literal("regex", bool, default=False),
    group="texts",
    vet=_check_regex,
    doc="how often ``pat`` occurs in it",
)
def count(value: Value, pat: str, regex: bool) -> Value:
    tally = pc.count_substring_regex if regex else pc.count_substring
    return to_value(value.data, lambda values: tally(values, pattern=pat))


@function(
    "str.replace",
    takes("s", TEXT),
    literal("pat", str),
    literal("repl", str),
    literal("regex", bool, default=False),
    group="texts",
    vet=lambda pat, repl, regex: _check_regex(pat, regex),
    doc="every ``pat`` replaced by ``repl``",
)
def replace(value: Value, pat: str, repl: str, regex: bool) -> Value:
    put = pc.replace_substring_regex if regex else pc.replace_substring
    return to_text(value.data, lambda values: put(values, pattern=pat, replacement=repl))


@function(
    "str.slice",
    takes("s", TEXT),
    literal("start", int, default=0),
    literal("stop", int, default=None),
    group="texts",
    doc="characters ``start`` to ``stop``; negative counts from the end",
)
def slice_(value: Value, start: int, stop: int | None) -> Value:
    return to_text(value.data, lambda values: pc.utf8_slice_codeunits(values, start=start, stop=stop))
