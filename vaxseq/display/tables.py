"""Tables that show themselves: rich in a terminal, HTML in a notebook, plain text where neither is."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vaxseq.display.html import Head, Heading, Row, page_part, paragraph, table
from vaxseq.errors import printable

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Display", "Head", "Heading", "Row", "Shown", "as_text"]

_WIDTH = 120  # of text where there is no terminal
_GAP = 2  # spaces between two columns
_MIN_TEXT_WIDTH = 16  # characters that a column of text keeps at least, if it has so many
_FOLDABLE_WIDTH = 12  # wider numbers are times, and may be folded between day and hour
_STYLES = {"number": "", "code": "", "text": "", "quiet": "dim", "warning": "yellow"}


class Shown:
    """What has a ``Display`` shows itself: in a terminal, in a notebook, as text."""

    __slots__ = ()

    def _display(self) -> Display:
        raise NotImplementedError

    def __rich__(self) -> Any:
        return self._display()

    def __repr__(self) -> str:
        return as_text(self._display())

    def _repr_html_(self) -> str:
        return self._display()._repr_html_()


@dataclass(frozen=True, repr=False)
class Display:
    """A title, a table and lines below it.

    In a terminal too narrow for the table, the columns that can be spared are left out; where that doesn't do, each
    row becomes a few lines of text.
    """

    title: str
    headings: tuple[Heading, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    data: Any = field(default=None, compare=False)  # the same as plain values, for --json

    def __post_init__(self) -> None:
        for name, text in (
            ("title", printable(self.title)),
            ("headings", tuple(replace(one, title=printable(one.title)) for one in self.headings)),
            ("rows", tuple(map(_row, self.rows))),
            ("notes", tuple(map(printable, self.notes))),
        ):
            object.__setattr__(self, name, text)

    def plain(self) -> Any:
        """The same as plain values that JSON can hold."""
        return self.data

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.text import Text

        if self.title:
            yield Text(self.title, style="bold")
        kept, widths = self._fitting(options.max_width)
        if widths:
            yield from self._as_table(kept, widths)
        else:
            yield from self._as_lines(options.max_width)
        left = [one.title for place, one in enumerate(self.headings) if place not in kept]
        if left:
            yield Text(f"left out, for want of width: {', '.join(left)}", style="dim")
        for note in self.notes:
            yield Text(note)

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return page_part(
            *([paragraph(self.title)] if self.title else []),
            table(self.headings, self.rows, label=self.title or self.headings[0].title),
            *[paragraph(note) for note in self.notes],
        )

    def _fitting(self, room: int) -> tuple[list[int], list[int]]:
        """The columns that a table has, and their widths; no widths when there is no room for a table."""
        kept = list(range(len(self.headings)))
        spare = [place for place in reversed(kept) if self.headings[place].spare]
        while True:
            widths = self._widths(kept, room - _GAP * (len(kept) - 1))
            if widths or not spare:
                return (kept, widths) if widths else (list(range(len(self.headings))), [])
            kept.remove(spare.pop(0))

    def _widths(self, kept: Sequence[int], room: int) -> list[int]:
        """As wide as the cells; where that is too much, times are folded first, then the widest text gives way."""
        cells = [[self.headings[place].title, *[row[place] for row in self._lines()]] for place in kept]
        widths = [max(map(_cells, column)) for column in cells]
        least = [_least(self.headings[place].kind, column) for place, column in zip(kept, cells, strict=True)]
        while sum(widths) > room:
            soft = [place for place in range(len(widths)) if widths[place] > least[place]]
            if not soft:
                return []
            widest = max(soft, key=lambda place: (self.headings[kept[place]].kind == "number", widths[place]))
            widths[widest] -= 1
        return widths

    def _lines(self) -> list[Sequence[str]]:
        return [row for row in self.rows if not isinstance(row, Head)]

    def _as_table(self, kept: Sequence[int], widths: Sequence[int]) -> Iterator[Any]:
        """One table for each head, all of the same widths, so that a head isn't squeezed into a column."""
        from rich.text import Text

        part = self._table(kept, widths, heads=True)
        for row in self.rows:
            if isinstance(row, Head):
                yield part
                yield Text.assemble((row.name, "bold"), "  ", (row.detail, "dim"))
                part = self._table(kept, widths, heads=False)
            else:
                part.add_row(*[Text(row[place]) for place in kept])
        yield part

    def _table(self, kept: Sequence[int], widths: Sequence[int], *, heads: bool) -> Table:
        from rich import box
        from rich.table import Table

        made = Table(
            box=box.SIMPLE_HEAD if heads else box.SIMPLE, show_edge=False, show_header=heads, pad_edge=False,
            padding=(0, _GAP - 1, 0, 0),
        )  # fmt: skip
        for place, width in zip(kept, widths, strict=True):
            one = self.headings[place]
            made.add_column(
                one.title,
                width=width,
                style=_STYLES[one.kind],
                justify="right" if one.kind == "number" else "left",
                overflow="fold",
            )
        return made

    def _as_lines(self, room: int) -> Iterator[Any]:
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        names = max((_cells(row[0]) for row in self._lines()), default=0)
        beside = names <= room // 3
        for row in self.rows:
            if isinstance(row, Head):
                yield Text.assemble((row.name, "bold"), "  ", (row.detail, "dim"))
                continue
            said = Text(" · ", style="dim").join(
                Text.assemble((f"{one.title} ".lstrip(), "dim"), (cell, _STYLES[one.kind]))
                for one, cell in zip(self.headings[1:], row[1:], strict=True)
                if cell
            )
            if beside:
                line = Table.grid(padding=(0, _GAP, 0, 0))
                line.add_column(width=names)
                line.add_column(overflow="fold")
                line.add_row(row[0], said)
                yield line
            else:
                yield Text(row[0], overflow="fold")
                yield Padding(said, (0, 0, 0, 4))


def _row(row: Row) -> Row:
    if isinstance(row, Head):
        return Head(printable(row.name), printable(row.detail))
    return tuple(map(printable, row))


def as_text(shown: Any) -> str:
    """What rich shows, without colours, as wide as the terminal."""
    from rich.console import Console

    file = io.StringIO()
    width = shutil.get_terminal_size((_WIDTH, 24)).columns
    console = Console(file=file, force_jupyter=False, width=width, color_system=None)
    console.print(shown, highlight=False)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()).rstrip()


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, text.splitlines()), default=0)


def _least(kind: str, column: Sequence[str]) -> int:
    """The width that a column needs: its longest word, and of text some more."""
    widest = max(map(_cells, column))
    word = max((_cells(word) for cell in column for word in cell.split()), default=0)
    if kind == "number":
        return word if widest > _FOLDABLE_WIDTH else widest
    return max(word, min(widest, _MIN_TEXT_WIDTH))
