"""A profile as a table, in a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vaxseq.display.html import Heading, page_part, paragraph, table
from vaxseq.display.tables import Display
from vaxseq.profile.measurement import TITLES, Measurement, Stage

_MAX_STAGES = 12  # stages; the rest is added up

Row = tuple[str, str, str, str]


def rich_profile(profile: Measurement) -> Any:
    """For a terminal."""
    from rich.console import Group
    from rich.text import Text

    stages = Display(_title(profile), _HEADINGS, tuple(_rows(profile)))
    lines = [Text.assemble((f"{name}: ", "dim"), text) for name, text in _lines(profile)]
    advice = [
        Text.assemble(("→ " if number else "⇒ ", "bold"), (one.text, "" if number else "bold"))
        for number, one in enumerate(profile.advice)
    ]
    return Group(stages, *lines, Text(), *advice)


def html_profile(profile: Measurement) -> str:
    """For a notebook."""
    return page_part(
        paragraph(_title(profile)),
        table(_HEADINGS, [list(row) for row in _rows(profile)], label=_title(profile)),
        *[paragraph(f"{name}: {text}") for name, text in _lines(profile)],
        *[paragraph(f"→ {one.text}") for one in profile.advice],
    )


_HEADINGS = (
    Heading("where a batch's time goes"),
    Heading("time", "number"),
    Heading("share", "number"),
    Heading("of it waiting", "number"),
)


def _title(profile: Measurement) -> str:
    size = _bytes(profile.batch_bytes)
    return f"{profile.dataset}: {profile.num_batches:,} batches of {profile.batch_rows:,} rows, {size} each"


def _rows(profile: Measurement) -> Iterator[Row]:
    total = sum(stage.seconds for stage in profile.stages) or 1.0
    ranked = sorted(profile.stages, key=lambda stage: -stage.seconds)
    for stage in ranked[:_MAX_STAGES]:
        waited = f"{stage.waited_s / stage.seconds:.0%}" if stage.waited_s > 0.005 * total else ""
        yield _named(stage), seconds(stage.seconds), f"{stage.seconds / total:.1%}", waited
    rest = ranked[_MAX_STAGES:]
    if rest:
        spent = sum(stage.seconds for stage in rest)
        yield f"{len(rest)} more", seconds(spent), f"{spent / total:.1%}", ""


def _named(stage: Stage) -> str:
    title = TITLES[stage.kind]
    if stage.kind == "line":
        return stage.name + (f" ({stage.doing})" if stage.doing else "")
    return f"{title} {stage.name}".rstrip()


def _lines(profile: Measurement) -> Iterator[tuple[str, str]]:
    rate = profile.batch_rows / profile.loader_s
    yield (
        "loader",
        (f"{seconds(profile.loader_s)} a batch, {rate:,.0f} rows/s; {seconds(profile.loader_cpu_s)} of processor time"),
    )
    if profile.step_s is not None and profile.fit_s is not None and profile.waiting is not None:
        yield (
            "training step",
            (
                f"{seconds(profile.step_s)} on batches in memory, {seconds(profile.fit_s)} with this dataset; "
                f"{profile.waiting:.1%} of it waiting for data"
            ),
        )
    yield "copying", f"{seconds(profile.copying_s)} until a batch is tensors on the device, a part of a training step"
    yield "storage", f"{_bytes(profile.disk_bytes)} and {profile.major_faults:,.1f} page faults a batch"
    yield "memory", f"{_bytes(profile.memory_bytes)} of this process"
    for one in profile.packed:
        yield "file", one


def seconds(value: float) -> str:
    """A time with the unit that suits it.

    >>> seconds(0.00215)
    '2.15 ms'
    """
    if value >= 1:
        return f"{value:.3g} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


def _bytes(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"
