"""Small HTML tables for notebooks: calm, readable on light and dark pages, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape as _escape
from typing import Literal

from vaxseq.errors import printable

# Colours are the page's own, thinned; so a dark notebook stays dark. The class is written three times because a
# notebook's own rules for tables, which put all text to the right, would win otherwise.
_STYLE = """
.vaxseq{font-size:13px;line-height:1.45;color:inherit;background:transparent;overflow-x:auto;margin:4px 0 12px}
.vaxseq.vaxseq.vaxseq p{margin:2px 0 6px}
.vaxseq.vaxseq.vaxseq table{border-collapse:collapse;border:0;margin:0;color:inherit;background:transparent}
.vaxseq.vaxseq.vaxseq th,.vaxseq.vaxseq.vaxseq td{padding:3px 12px 3px 0;border:0;
border-bottom:1px solid rgba(128,128,128,.25);text-align:left;
vertical-align:top;background:transparent;color:inherit;max-width:40em;white-space:normal}
.vaxseq.vaxseq.vaxseq tr{background:transparent;text-align:left}
.vaxseq.vaxseq.vaxseq th{font-weight:600;border-bottom:1px solid rgba(128,128,128,.6)}
.vaxseq.vaxseq.vaxseq tr.group .quiet{font-weight:400;margin-left:6px}
.vaxseq.vaxseq.vaxseq tr.group td{font-weight:600;padding-top:9px}
.vaxseq.vaxseq.vaxseq .number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.vaxseq.vaxseq.vaxseq .quiet{opacity:.65}
.vaxseq.vaxseq.vaxseq .warning{font-weight:600}
.vaxseq.vaxseq.vaxseq code{font-size:12px;background:rgba(128,128,128,.13);padding:0 3px;border-radius:3px;
color:inherit}
""".replace("\n", "")

Kind = Literal["text", "number", "code", "quiet", "warning"]


@dataclass(frozen=True, slots=True)
class Heading:
    """One column of a table and how its cells look. A narrow terminal does without a ``spare`` one."""

    title: str
    kind: Kind = "text"
    spare: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """A row that heads the rows below it."""

    name: str
    detail: str = ""


Row = Sequence[str] | Head


def escape(text: str) -> str:
    """Text as HTML shows it, control characters written out.

    >>> escape("a<b")
    'a&lt;b'
    """
    return _escape(printable(text))


def page_part(*parts: str) -> str:
    """The parts as one block with its style, as a notebook cell shows it."""
    return f'<div class="vaxseq"><style>{_STYLE}</style>{"".join(parts)}</div>'


def paragraph(text: str) -> str:
    """A line of text above or below a table."""
    return f"<p>{escape(text)}</p>"


def table(headings: Sequence[Heading], rows: Iterable[Row], *, label: str) -> str:
    """A table; ``label`` is for screen readers.

    >>> table([Heading("x", "number")], [["1"]], label="numbers")[:28]
    '<table aria-label="numbers">'
    """
    head = "".join(f'<th scope="col"{_class(one.kind)}>{escape(one.title)}</th>' for one in headings)
    body = "".join(_row(headings, row) for row in rows)
    return f'<table aria-label="{escape(label)}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _row(headings: Sequence[Heading], row: Row) -> str:
    if isinstance(row, Head):
        detail = f' <span class="quiet">{escape(row.detail)}</span>' if row.detail else ""
        return f'<tr class="group"><td colspan="{len(headings)}">{escape(row.name)}{detail}</td></tr>'
    cells = "".join(_cell(heading.kind, text) for heading, text in zip(headings, row, strict=True))
    return f"<tr>{cells}</tr>"


def _cell(kind: Kind, text: str) -> str:
    if kind == "code" and text:
        return f"<td><code>{escape(text)}</code></td>"
    return f"<td{_class(kind)}>{escape(text)}</td>"


def _class(kind: Kind) -> str:
    return f' class="{kind}"' if kind in ("number", "quiet", "warning") else ""
