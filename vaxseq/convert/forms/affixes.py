"""What stands around a number: sign, currency, unit, percent, parentheses for minus."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaxseq.convert.forms.base import Mask
from vaxseq.convert.forms.fields import Fields
from vaxseq.convert.forms.units import is_unit

_BLANKS = r"[\x{00A0}\x{2007}\x{2009}\x{202F}]"
_DASHES = r"[\x{2212}\x{2012}\x{2013}]"
# before a number a currency alone, since T1 and T2 are names
_CURRENCY = r"(?:[A-Z]{0,3}\p{Sc}|EUR|USD|CHF|GBP|JPY|AUD|CAD|INR|CNY|SEK|NOK|DKK|PLN|CZK|HUF|kr|Kr|Rs|Fr\.?)?"
# a unit may have a figure in it (m3/h, CO2), but not a number
_UNIT = r"[\pL\p{Sc}%\x{2030}\x{00B0}\x{2032}\x{2033}](?:\d?[^\d\s,;:]){0,11}\d?(?: [^\d\s]{1,8})?"
_PATTERN = (
    r"^(?P<open>\()?(?P<s>[+-]?) ?(?P<pre>" + _CURRENCY + r") ?(?P<s2>[+-]?)(?P<num>\d[\d.,' ]*|[.,]\d+)"
    r"(?P<e>[eEdD][+-]?\d{1,3})?(?P<gap> ?)(?P<suf>" + _UNIT + r"|-|\)?;)?(?P<close>\))?$"
)


@dataclass(slots=True)
class Stripped:
    """Numbers without what stands around them. ``affix`` is the one that all carry; None: none of them."""

    digits: pa.Array
    exponents: pa.Array
    negative: Mask
    fits: Mask
    affix: str | None
    dressed: bool  # parentheses, a minus behind: likely, not certain


class _Same:
    """Cells that are equal when they are the same object, so that both decimal marks share one taking apart."""

    def __init__(self, cells: pa.Array) -> None:
        self.cells = cells

    def __hash__(self) -> int:
        return id(self.cells)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.cells is self.cells


def strip(cells: pa.Array) -> Stripped:
    """Takes cells apart, once for all forms of numbers."""
    found = _stripped(_Same(cells))
    return replace(found, fits=found.fits.copy())


@lru_cache(maxsize=1)
def _stripped(same: _Same) -> Stripped:
    """Takes cells apart; those that are no number, or carry another unit than most, don't fit."""
    cells = same.cells
    if pc.any(pc.match_substring_regex(cells, _BLANKS + "|" + _DASHES)).as_py():
        cells = pc.replace_substring_regex(cells, _BLANKS, " ")
        cells = pc.replace_substring_regex(cells, _DASHES, "-")
    fields = Fields(cells, _PATTERN)
    fits = fields.fits.copy()
    if not fits.any():
        return Stripped(cells, cells, fits, fits, None, dressed=False)
    opened, closed = (~np.asarray(pc.equal(fields.text(name), "")) for name in ("open", "close"))
    minus = [np.asarray(pc.equal(fields.text(name), "-")) for name in ("s", "s2", "suf")]
    signed = [~np.asarray(pc.equal(fields.text(name), "")) for name in ("s", "s2")]
    fits &= (opened == closed) & (sum(map(np.int8, [opened, *signed, minus[2]])) <= 1)
    negative = opened | minus[0] | minus[1] | minus[2]
    behind = pc.if_else(pa.array(minus[2]), "", fields.text("suf"))
    affixes = pc.binary_join_element_wise(fields.text("pre"), behind, "\x00")
    affix, fits = _most(affixes, fits)
    worded = affix is not None and any(map(str.isalpha, affix)) and not is_unit(affix)
    if worded and not pc.any(pc.equal(fields.text("gap"), " ")).as_py():
        affix, fits = None, np.zeros(len(fits), bool)  # 123n is a name
    digits = pc.utf8_trim_whitespace(fields.text("num"))
    exponents = pc.replace_substring_regex(pc.utf8_lower(fields.text("e")), "d", "e")
    dressed = bool(((opened | minus[2]) & fits).any())
    return Stripped(digits, exponents, negative, fits, affix, dressed)


def _most(affixes: pa.Array, fits: Mask) -> tuple[str | None, Mask]:
    """The affix of most cells, and the cells that carry it."""
    if not fits.any():
        return None, fits
    encoded = affixes.dictionary_encode()
    codes = np.asarray(encoded.indices)
    code = int(np.bincount(codes[fits]).argmax())
    word = encoded.dictionary[code].as_py()
    before, _, behind = word.partition("\x00")
    if before and behind:
        return None, np.zeros(len(fits), bool)
    return before or behind or None, fits & (codes == code)
