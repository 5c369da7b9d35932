"""How the demo shows what it did."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from vaxseq.demo.job import Outcome


def steps_table(outcome: Outcome) -> Table:
    """Each step of a job with its rows, sizes and times."""
    table = Table(
        title=outcome.job.title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    table.add_column("step", no_wrap=True)
    table.add_column("what", overflow="fold")
    for name in ("rows", "size", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for step in outcome.steps:
        table.add_row(step.name, step.what, f"{step.rows:,}", _size(step.size_bytes), f"{step.seconds:.2f} s")
    return table


def scores_table(outcomes: Sequence[Outcome]) -> Table:
    """The scores beside their trivial baselines."""
    table = Table(
        title="Scores on rows held out",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
    )
    table.add_column("sample")
    table.add_column("measure")
    table.add_column("model", justify="right", style="bold green")
    table.add_column("baseline", justify="right")
    table.add_column("which is")
    table.add_column("time", justify="right")
    for one in outcomes:
        sample, measure, baseline = one.job.title.split(":")[0], one.job.measure, one.job.baseline
        table.add_row(sample, measure, f"{one.score:.3f}", f"{one.baseline:.3f}", baseline, f"{one.seconds:.1f} s")
    return table


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return ""
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"
