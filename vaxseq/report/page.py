"""The report as one HTML file that loads nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from vaxseq.display.html import escape, page_part
from vaxseq.report.findings import Finding
from vaxseq.report.formatting import number, share

_HEADS = (
    ("column", False), ("role", False), ("type", False), ("distribution", None), ("missing", True), ("distinct", True),
    ("mean", True), ("drift (PSI)", True), ("tells alone", True),
)  # fmt: skip
_WIDE = ("role", "type", "distinct", "mean", "tells alone")  # left to the detail on a telephone

MARK = '<meta name="generator" content="vaxseq report">'


@dataclass(frozen=True)
class Contents:
    """All that the page shows."""

    title: str
    rows: int
    parts: Mapping[str, int]
    columns: Sequence[dict[str, Any]]
    findings: Sequence[Finding]
    checked: Sequence[str]
    unreadable: Mapping[str, str]
    learned: str | None  # what follows are tables, as notebooks show them
    batch: str | None
    profile: str | None


def page(contents: Contents) -> str:
    """The whole file."""
    assets = files("vaxseq.report") / "assets"
    style, script = ((assets / name).read_text("utf-8") for name in ("page.css", "page.js"))
    data = json.dumps({"parts": list(contents.parts), "columns": list(contents.columns)}, allow_nan=False)
    data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    sections = [
        ("findings", "To look at", _findings(contents)),
        ("columns", "Columns and features", _columns(contents)),
        ("targets", "Targets", _targets(contents)),
        ("missing", "Missing values", _missing(contents)),
        ("learned", "What was learned", contents.learned),
        ("batch", "A batch", contents.batch),
        ("profile", "Where the time goes", contents.profile),
    ]
    shown = [(key, title, text) for key, title, text in sections if text]
    links = "".join(f'<a href="#{key}">{escape(title)}</a>' for key, title, _ in shown)
    body = "".join(
        f'<section id="{key}" aria-labelledby="h-{key}"><h2 id="h-{key}">{escape(title)}</h2>{text}</section>'
        for key, title, text in shown
    )
    rows = f"{contents.rows:,} rows, {len(contents.columns):,} columns and features"
    if len(contents.parts) > 1:
        rows += "; " + ", ".join(f"{name} {count:,}" for name, count in contents.parts.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'{MARK}<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; img-src data:\">"
        f"<title>{escape(contents.title)}: report</title><style>{style}</style></head><body>"
        '<a class="skip" href="#columns">Skip to the columns</a>'
        f'<header><div class="in"><h1>{escape(contents.title)}</h1><p class="quiet">{escape(rows)}</p>'
        f'<nav aria-label="Sections">{links}</nav></div></header><main>{body}'
        "<footer>Made by vaxseq from one pass over all rows of each part. Quantiles are within 1 % of a number, "
        "≈ is within 1.6 %.</footer></main>"
        f'<script type="application/json" id="data">{data}</script><script>{script}</script></body></html>'
    )


def _findings(contents: Contents) -> str:
    items = []
    for one in contents.findings:
        link = f' <a href="#columns" data-column="{escape(one.column)}">Show it</a>' if one.column else ""
        items.append(f'<li class="{one.kind}"><b>{escape(one.title)}.</b> {escape(one.text)}{link}</li>')
    if not items:
        items.append('<li class="good"><b>Nothing stands out.</b></li>')
    checked = f'<p class="quiet">Looked for: {escape("; ".join(contents.checked))}.</p>'
    left = "".join(
        f'<p class="quiet">{escape(name)} was left out: {escape(why)}</p>' for name, why in contents.unreadable.items()
    )
    return f'<ul class="findings">{"".join(items)}</ul>{checked}{left}'


def _columns(contents: Contents) -> str:
    roles = list(dict.fromkeys(one["role"] for one in contents.columns))
    options = "".join(f'<option value="{escape(role)}">{escape(role)}</option>' for role in roles)
    keep = [name for name, _ in _HEADS]
    if all(one["psi"] is None for one in contents.columns):
        keep.remove("drift (PSI)")
    if all(one["alone"] is None for one in contents.columns):
        keep.remove("tells alone")
    head = "".join(
        f'<th scope="col"{_class(name, numeric)}>'
        + (f"<button type=button>{escape(name)}</button>" if numeric is not None else escape(name))
        + "</th>"
        for name, numeric in _HEADS
        if name in keep
    )
    rows = "".join(_row(number_, one, keep) for number_, one in enumerate(contents.columns))
    return (
        '<div class="bar" role="search"><label for="search">Search</label>'
        '<input type="search" id="search" autocomplete="off" placeholder="name, type or role">'
        f'<label for="role">Show</label><select id="role"><option value="">all</option>'
        f'<option value="!">to look at</option>{options}</select>'
        '<span id="count" class="quiet" role="status"></span>'
        '<span class="quiet keys"><kbd>/</kbd> search, <kbd>↑</kbd> <kbd>↓</kbd> move, <kbd>Enter</kbd> opens</span>'
        "</div>"
        f'<div><table class="columns" aria-label="Columns and features"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(place: int, one: dict[str, Any], keep: Sequence[str]) -> str:
    unit = f' <span class="quiet">{escape(one["unit"])}</span>' if one["unit"] else ""
    look = ' <span class="tag bad">look</span>' if one["look"] else ""
    about = "≈ " if one["about"] else ""
    cells = {
        "column": (one["name"], f"<button type=button aria-expanded=false>{escape(one['name'])}</button>{unit}{look}"),
        "role": (one["role"], f'<span class="tag">{escape(one["role"])}</span>'),
        "type": (one["type"], f'<span class="quiet">{escape(one["type"])}</span>'),
        "distribution": ("", _spark(one["spark"])),
        "missing": (one["missing"], share(one["missing"]) if one["missing"] else ""),
        "distinct": (one["distinct"], f"{about}{one['distinct']:,}"),
        "mean": ("" if one["mean"] is None else one["mean"], number(one["mean"])),
        "drift (PSI)": ("" if one["psi"] is None else one["psi"], "" if one["psi"] is None else f"{one['psi']:.2f}"),
        "tells alone": (
            "" if one["alone"] is None else one["alone"],
            "" if one["alone"] is None else f"{one['alone']:.2f}",
        ),
    }
    kinds = dict(_HEADS)
    shown = "".join(
        f'<td data-key="{escape(str(cells[name][0]))}"{_class(name, kinds[name])}>{cells[name][1]}</td>'
        for name in keep
    )
    text = escape(f"{one['name']} {one['type']} {one['role']} {one['unit'] or ''}".lower())
    return (
        f'<tr data-i="{place}" data-text="{text}" data-role="{escape(one["role"])}" data-look="{int(one["look"])}">'
        f"{shown}</tr>"
    )


def _class(name: str, numeric: bool | None) -> str:
    found = [*(["n"] if numeric else []), *(["wide"] if name in _WIDE else [])]
    return f' class="{" ".join(found)}"' if found else ""


def _spark(counts: Sequence[int]) -> str:
    """One path a row: 500 of them draw without lag."""
    top, width = max(counts, default=0) or 1, 110 / max(1, len(counts))
    path = "".join(
        f"M{place * width:.1f},22V{22 - 21 * count / top:.1f}h{max(width - 0.3, 0.4):.1f}V22z"
        for place, count in enumerate(counts)
        if count
    )
    return (
        f'<svg width="110" height="22" viewBox="0 0 110 22" aria-hidden="true"><path class="spark" d="{path}"/></svg>'
    )


def _targets(contents: Contents) -> str:
    blocks = []
    for one in contents.columns:
        if one["role"] != "target":
            continue
        lines = [
            (top["value"], [_track(part, place) for place, part in enumerate(top["shares"])]) for top in one["tops"]
        ] or [(line[0], [escape(text) for text in line[1:]]) for line in one["numbers"]]
        rows = "".join(
            f"<tr><td>{escape(name)}</td>" + "".join(f'<td class="n">{cell}</td>' for cell in cells) + "</tr>"
            for name, cells in lines
        )
        first = "value" if one["tops"] else ""
        heads = "".join(f'<th scope="col" class="n">{escape(name)}</th>' for name in contents.parts)
        blocks.append(
            f'<h3>{escape(one["name"])}</h3><table class="plain" aria-label="Balance of {escape(one["name"])}">'
            f'<thead><tr><th scope="col">{first}</th>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        )
    return "".join(blocks)


def _missing(contents: Contents) -> str:
    found = sorted((one for one in contents.columns if one["missing"]), key=lambda one: -one["missing"])
    if not found:
        return "<p>No value is missing.</p>"
    rows = "".join(
        f'<tr><td><a href="#columns" data-column="{escape(one["name"])}">{escape(one["name"])}</a></td>'
        f'<td class="n">{_track(one["missing"], 0)}</td></tr>'
        for one in found[:30]
    )
    more = (
        f"<p>{len(found) - 30:,} more columns have missing values: sort the table above.</p>" if len(found) > 30 else ""
    )
    return (
        '<table class="plain" aria-label="Missing values"><thead><tr><th scope="col">column</th>'
        f'<th scope="col" class="n">missing</th></tr></thead><tbody>{rows}</tbody></table>{more}'
    )


def _track(part: float, place: int) -> str:
    inner = f'<i style="width:{100 * part:.2f}%;background:var(--s{place % 6})"></i>'
    return f'<span class="track" aria-hidden="true">{inner}</span><span class="share">{share(part)}</span>'


def as_part(html: str) -> str:
    """A table as notebooks show it, in a box that scrolls."""
    return f'<div class="scroll">{html or page_part()}</div>'
