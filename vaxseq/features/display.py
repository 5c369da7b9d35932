"""Tables that show themselves: rich in a terminal, HTML in a notebook, plain text where neither is."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

from vaxseq.report.html import Head, Heading, Row, page_part, paragraph, table


@dataclass(frozen=True)
class Display:
    """A title, a table and lines below it."""

    title: str
    headings: tuple[Heading, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    data: Any = field(default=None, compare=False)  # the same as plain values, for --json

    def plain(self) -> Any:
        """The same as plain values that JSON can hold."""
        return self.data

    def __rich__(self) -> Any:
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        styles = {"number": "", "code": "", "text": "", "quiet": "dim", "warning": "yellow"}
        shown = Table(
            title=Text(self.title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
        )
        for heading in self.headings:
            right = heading.kind == "number"
            shown.add_column(
                heading.title, justify="right" if right else "left", style=styles[heading.kind], no_wrap=right
            )
        for row in self.rows:
            if isinstance(row, Head):
                shown.add_section()
                shown.add_row(
                    Text(row.name, style="bold"), Text(row.detail, style="dim"), *[""] * (len(self.headings) - 2)
                )
            else:
                shown.add_row(*[Text(cell) for cell in row])
        return Group(shown, *[Text(note) for note in self.notes])

    def __repr__(self) -> str:
        from rich.console import Console

        console = Console(file=io.StringIO(), force_jupyter=False, width=120, color_system=None)
        console.print(self)
        text: str = console.file.getvalue()  # type: ignore[attr-defined]
        return text.rstrip()

    def _repr_html_(self) -> str:
        return page_part(
            paragraph(self.title),
            table(self.headings, self.rows, label=self.title),
            *[paragraph(note) for note in self.notes],
        )
