"""``draft``: a definition that a specialist would begin with, from one scan of the data."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from vaxseq.errors import ColumnNotFoundError, OptionError, did_you_mean
from vaxseq.expressions import Expression, names_of, parse, text_of
from vaxseq.features import FeatureSet
from vaxseq.frame import source_of
from vaxseq.report.column import ColumnSummary
from vaxseq.report.drafting import writing
from vaxseq.report.drafting.choice import Choice, choose
from vaxseq.report.drafting.giveaways import giveaways
from vaxseq.report.drafting.sample import Sample, take_sample
from vaxseq.report.drafting.series import Past, past_of
from vaxseq.report.drafting.target import Answer, answer_of
from vaxseq.report.drafting.text_times import text_times
from vaxseq.report.drafting.words import distinct, reference, word
from vaxseq.report.exploration import explore

_RESERVED = frozenset({"numeric", "target", "weight"})
_TARGET = "the target"  # of the sample's columns; no column of a file that vaex opens is lost for it


def draft(
    frame: Any,
    target: Any = None,
    *,
    group_by: str | Sequence[str] | None = None,
    order_by: str | None = None,
    exclude: str | Sequence[str] = (),
    progress: bool = True,
) -> FeatureSet:
    """A definition to begin with: steps by what the columns hold, each with its reason as a comment.

    One scan of all columns (kept in the cache folder, as `explore` keeps it) and a sample of up to 131,072 rows.
    Columns that give the target away, that identify rows or say nothing are left out and named at the top of the file.
    The draft fits the data that it was drafted from; ``to_yaml`` and ``save`` keep its comments.

    Args:
        frame: a table (vaex, pandas, polars, Arrow, DuckDB, a dict of arrays) or a dataset's path: the training rows.
        target: what is to be predicted: a column, or an expression as ``"arr_delay >= 30"``.
        group_by: columns that tell series apart, as ``"device"``: lags and running means are proposed.
        order_by: the column that orders a series, as a time.
        exclude: columns to leave out, or patterns, as ``"arr_*"``: above all what isn't known when the model is asked.
        progress: shows a bar when standard error is a terminal.

    Raises:
        ColumnNotFoundError: an unknown column.
        OptionError: nothing is left to learn from.

    >>> import numpy as np, vaex
    >>> x = np.linspace(0, 6, 500)
    >>> y = x + np.random.default_rng(0).normal(size=500)
    >>> fs = draft(vaex.from_arrays(x=x, wave=np.cos(9 * x), y=y, copy=2 * y), "y")
    >>> [feature.column for feature in fs.inputs["numeric"].features]
    ['x', 'wave']
    >>> print(fs.to_yaml().splitlines()[3])
    #   copy: it goes with the target, value for value: rank correlation 1.0000
    """
    source = source_of(frame)
    groups = _listed(names_of(group_by, "draft group_by"))
    order = names_of(order_by, "draft order_by")
    types = source.types()
    aim = _aim(target, types)
    dropped = list(_excluded(_listed(names_of(exclude, "draft exclude")), types))
    for name in [*groups, *([order] if order else [])]:
        if name not in types:
            raise ColumnNotFoundError(f"draft: column {name!r} isn't in the data.{did_you_mean(name, types)}")
    explored = explore(frame if isinstance(frame, str | os.PathLike) else source, progress=progress)
    summaries = dict(explored)
    out: dict[str, str] = dict.fromkeys(dropped, "as you asked")
    out |= {name: f"it can't be read: {why}" for name, why in explored.unreadable.items()}
    answer: Answer | None = None
    sample: Sample | None = None
    if aim is not None:
        for name in sorted(aim.names):
            out[name] = "the target" if aim.text == reference(name) else "the target is made of it"
        sample = take_sample(source, [name for name in summaries if name not in out or name in aim.names])
        answer = _answer(sample, summaries, aim)
    out |= text_times(source, [name for name, one in summaries.items() if one.kind == "text" and name not in out])
    codes = frozenset(source.categories())
    chosen = [
        one
        for name, summary in summaries.items()
        if name not in out and (name != order or summary.kind == "datetime")
        for one in choose(summary, category=name in codes or name in groups)
    ]
    out |= {one.column: one.why for one in chosen if one.where == "out"}
    if sample is not None:
        seen = {**summaries, _TARGET: sample.summary(_TARGET, "float64")}
        names = [name for name in summaries if name not in out and name != order]
        told = giveaways(sample, seen, _TARGET, names, groups=groups, order=order)
        out |= told
    kept = [one for one in chosen if one.where != "out" and _reads(one) not in out]
    past = past_of(source, groups, order, [summaries[name] for name in summaries if name not in out], kept)
    if not kept:
        left = "; ".join(f"{name}: {why}" for name, why in list(out.items())[:5])
        raise OptionError(f"draft: no column is left to learn from. {left}")
    text = _text(explored.rows, len(summaries), kept, out, answer, past)
    return FeatureSet.from_text(text, where="draft")


def _aim(target: Any, types: dict[str, str]) -> Expression | None:
    """The target as an expression; a column of any name by ``col``."""
    if target is None:
        return None
    text = text_of(target)
    if text in types:
        return parse(reference(text), where="draft target")
    found = parse(text, where="draft target")
    for name in sorted(found.names):
        if name not in types:
            raise ColumnNotFoundError(f"draft target: column {name!r} isn't in the data.{did_you_mean(name, types)}")
    return found


def _answer(sample: Sample, summaries: dict[str, ColumnSummary], aim: Expression) -> Answer:
    """What the target is, and its values in the sample, as numbers."""
    (name,) = aim.names if len(aim.names) == 1 else ("",)
    column = name if name and aim.text == reference(name) else None
    value = sample.columns[column] if column else sample.with_expression(_TARGET, aim)
    summary = summaries[column] if column else sample.summary(_TARGET, "")
    answer = answer_of(summary, column, aim.text)
    sample.columns[_TARGET] = answer.codes(value)
    return answer


def _excluded(patterns: Iterable[str], types: dict[str, str]) -> Iterable[str]:
    for pattern in patterns:
        found = [name for name in types if name == pattern or fnmatchcase(name, pattern)]
        if not found:
            raise ColumnNotFoundError(f"draft exclude: {pattern!r} isn't in the data.{did_you_mean(pattern, types)}")
        yield from found


def _listed(names: Any) -> list[str]:
    return [names] if isinstance(names, str) else list(names or ())


def _reads(one: Choice) -> str:
    """The data's column that a choice is made of."""
    if one.derived:
        return next(iter(parse(next(iter(one.derived.values()))).names))
    return one.column


def _text(
    rows: int, columns: int, kept: Sequence[Choice], out: dict[str, str], answer: Answer | None, past: Past | None
) -> str:
    numeric = [one for one in kept if one.where == "numeric"] + (list(past.features) if past else [])
    lines = [
        writing.comment(f"Drafted from {rows:,} rows of {columns} columns. Each line is a proposal, below its reason."),
        writing.comment("Leave out what isn't known at the time when the model is to be asked."),
        *writing.listed("Left out:", sorted(out.items(), key=lambda one: one[1] in ("as you asked", "the target"))),
        "version: 1",
        "",
    ]
    derived = {name: written for one in kept for name, written in one.derived.items()}
    if derived:
        lines += [*writing.mapping("columns", {name: writing.flow(text) for name, text in derived.items()}, {}), ""]
    if past is not None:
        lines += [*past.lines, ""]
    lines.append("inputs:")
    if numeric:
        lines += writing.block("numeric", "float32", numeric)
    alone = [one for one in kept if one.where in ("codes", "array")]
    names = distinct([word(one.column) for one in alone], _RESERVED)
    for name, one in zip(names, alone, strict=True):
        lines += writing.block(name, "int32" if one.where == "codes" else "float32", [one])
    if answer is not None:
        lines += ["", *answer.lines]
    return "\n".join(lines) + "\n"
