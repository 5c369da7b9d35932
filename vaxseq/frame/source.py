"""A frame as the reader, the fit and the index see it: blocks of columns by physical row."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from vaxseq.errors import ColumnNotFoundError, FeatureTypeError, SelectionError, did_you_mean
from vaxseq.expressions.values import Mask, Value, from_raw
from vaxseq.frame.columns import Column
from vaxseq.frame.fetched import Fetcher
from vaxseq.frame.file_changes import FileWatch, stamps_of
from vaxseq.frame.fingerprint import frame_fingerprint, rows_fingerprint
from vaxseq.frame.mapped import Ids, Located, LocatedRuns
from vaxseq.frame.pieces import ColumnMaker, dataset_files
from vaxseq.frame.reading_threads import at_once
from vaxseq.frame.remote import RemoteColumn
from vaxseq.frame.vaex_internals import (
    active_range,
    as_array,
    block_scope,
    coded_columns,
    filter_block,
    filter_expressions,
    filter_of,
)

Span = tuple[int, int]


class Source:
    """The columns of a vaex frame, physical and virtual, by physical row: filters are told, not applied.

    Row ids count from 0 over the frame's own rows before its filter. Reading is thread-safe as long as
    nobody adds a column to the frame meanwhile, so a Source keeps a copy of the frame.
    """

    def __init__(self, frame: Any) -> None:
        self._frame = frame.copy()
        self.n_rows = int(frame.length_original())
        physical = [name for name in self._frame.dataset if name not in self._frame.virtual_columns]
        self._virtual = tuple(name for name in self._frame.get_column_names(hidden=True) if name not in physical)
        self.names: tuple[str, ...] = (*physical, *self._virtual)
        self._watch = FileWatch(stamps_of(self._frame.dataset))
        self._watch.check()
        self._maker = ColumnMaker(self._frame.dataset)
        self._fetcher = Fetcher()
        self._columns: dict[str, Column] = {}
        self._empty: dict[str, Value] = {}
        self._needs: dict[str, tuple[str, ...]] = {}
        self._filter = filter_of(self._frame)
        self._filter_names = [name for text in filter_expressions(self._filter) for name in _names_in(text)]
        self._filter_needs = self._expression_needs(self._filter_names)
        self._active = active_range(self._frame)

    @property
    def from_files(self) -> bool:
        """Whether the data's files are larger than what memory will keep of them."""
        return self._maker.large

    @property
    def on_disk(self) -> bool:
        """Whether that is so, and the files are of this machine."""
        return self._maker.on_disk

    @property
    def remote(self) -> bool:
        """Whether its files are in an object store."""
        return self._maker.remote

    @property
    def opens_elsewhere(self) -> bool:
        """Whether it lies in files or in a store, where another process finds it as well."""
        return self._watch.watches or self._maker.remote

    def read(self, names: Iterable[str], start: int, stop: int) -> dict[str, Value]:
        """Rows ``start`` to ``stop`` of these columns; memory-mapped columns come without a copy."""
        return self.read_spans(names, [(start, stop)])[0]

    def read_spans(self, names: Iterable[str], spans: Sequence[Span]) -> list[dict[str, Value]]:
        """The same of several (start, stop), all that lie in files at once."""
        physical, virtual, needs = self._parted(tuple(names), spans)
        readers = [self._column(name).read for name in physical] + [self._column(name).raw for name in needs]
        return [
            self._with_virtual(physical, virtual, needs, results, stop - start)
            for (start, stop), results in zip(spans, self._results(readers, (*physical, *needs), spans), strict=True)
        ]

    def raw(self, names: Iterable[str], start: int, stop: int) -> dict[str, Any]:
        """The same rows as arrays of the types that they are stored in, NumPy's or Arrow's."""
        names, spans = tuple(names), [(start, stop)]
        physical, virtual, needs = self._parted(names, spans)
        stored = tuple(dict.fromkeys((*physical, *needs)))
        [results] = self._results([self._column(name).raw for name in stored], stored, spans)
        found = dict(zip(stored, results, strict=True))
        if virtual:
            found |= self._blocks(virtual, {need: found[need] for need in needs}, stop - start)
        return {name: found[name] for name in names}

    def _parted(self, names: tuple[str, ...], spans: Sequence[Span]) -> tuple[list[str], list[str], list[str]]:
        """Which of the names are physical, which virtual, and the physical columns behind those."""
        for start, stop in spans:
            if not 0 <= start <= stop <= self.n_rows:
                raise SelectionError(f"rows {start} to {stop}: outside of the frame's {self.n_rows:,} rows")
        self._watch.check()
        virtual = [name for name in names if name in self._virtual]
        return [name for name in names if name not in self._virtual], virtual, self._all_needs(virtual)

    def _results(
        self, readers: list[Callable[..., Any]], names: tuple[str, ...], spans: Sequence[Span]
    ) -> list[list[Any]]:
        """For each of the spans what the readers, one of each of these columns, return."""
        fetched, left = None, True
        if self._maker.on_disk and self._maker.past_cache:
            each = [self._column(name).wanted(*span) for name in dict.fromkeys(names) for span in dict.fromkeys(spans)]
            fetched, left = self._fetcher.fetch([one for some in each for one in some]), not all(each)
        if self._maker.on_disk and left:
            found = iter(at_once(partial(read, *span, fetched) for span in spans for read in readers))
            return [list(islice(found, len(readers))) for _ in spans]
        if fetched is not None:
            return [[read(*span, fetched) for read in readers] for span in spans]
        for name in names:
            for span in spans:
                self._column(name).hint(*span)
        return [[read(*span) for read in readers] for span in spans]

    def check(self) -> None:
        """Refuses to go on with a file that has changed since it was opened.

        Raises:
            DatasetError: naming the file.
        """
        self._watch.check()

    def gather(self, names: Iterable[str], row_ids: Ids) -> dict[str, Value]:
        """The rows ``row_ids`` (int64, any order, repeats allowed) of these columns."""
        return self._gather(tuple(names), Located(row_ids))

    def _gather(self, names: tuple[str, ...], located: Located) -> dict[str, Value]:
        row_ids = located.ids
        if len(row_ids) and not (row_ids.min() >= 0 and row_ids.max() < self.n_rows):
            raise SelectionError(
                f"row ids {row_ids.min()} to {row_ids.max()}: outside of the frame's {self.n_rows:,} rows"
            )
        self._watch.check()
        if self._maker.remote:
            for name in {*names, *self._all_needs(name for name in names if name in self._virtual)}:
                column = None if name in self._virtual else self._column(name)
                if isinstance(column, RemoteColumn):
                    column.begin(row_ids)
        virtual = [name for name in names if name in self._virtual]
        needs = self._all_needs(virtual)
        physical = [name for name in names if name not in self._virtual]
        jobs: list[Callable[[], Any]] = [partial(self._column(name).gather, located) for name in physical]
        jobs += [partial(self._column(name).raw_gather, located) for name in needs]
        results = at_once(jobs) if self._maker.on_disk else [job() for job in jobs]
        return self._with_virtual(physical, virtual, needs, results, len(row_ids))

    def _with_virtual(
        self, physical: list[str], virtual: list[str], needs: list[str], results: list[Any], rows: int
    ) -> dict[str, Value]:
        """Columns that were read, first the physical ones, then those that the virtual ones need."""
        found: dict[str, Value] = dict(zip(physical, results[: len(physical)], strict=True))
        if virtual:
            found.update(self._evaluate(virtual, dict(zip(needs, results[len(physical) :], strict=True)), rows))
        return found

    def gather_runs(self, names: Iterable[str], starts: Ids, length: int) -> dict[str, Value]:
        """Rows start, ..., start + length - 1 for each of ``starts``, end to end."""
        return self._gather(tuple(names), LocatedRuns(starts, length))

    def empty(self, names: Iterable[str]) -> dict[str, Value]:
        """Zero rows of these columns, with their types: what a program is type-checked on."""
        for name in (names := tuple(names)):
            if name not in self._empty:
                # vaex's own functions don't all take zero rows, so a virtual column is cut from one row
                probe = min(1, self.n_rows) if name in self._virtual else 0
                try:
                    self._empty[name] = self.read([name], 0, probe)[name].slice(0, 0)
                except FeatureTypeError as error:
                    raise FeatureTypeError(f"column {name!r}: {error}") from error
        return {name: self._empty[name] for name in names}

    def types(self) -> dict[str, str]:
        """Column name -> a type's name, as in messages and state ("int64", "text", "float32[64]")."""
        return {name: self.type_of(name) for name in self.names if not name.startswith("__")}

    def type_of(self, name: str) -> str:
        """The name of a column's type; "unreadable: <reason>" for one that no feature can use."""
        try:
            value = self.empty([name])[name]
        except TypeError as error:
            return f"unreadable: {error.__cause__ or error}"
        if value.kind == "text":
            return "text"
        shape = "[" + ", ".join(str(size) for size in value.shape) + "]" if value.shape else ""
        return f"{value.data.dtype}{shape}"

    def shown(self) -> list[str]:
        """The columns that the frame itself shows, in its order: those hidden are behind others."""
        return [str(name) for name in self._frame.get_column_names()]

    def categories(self) -> dict[str, tuple[list[Any], int]]:
        """Columns of codes, as vaex's ``ordinal_encode`` makes them, what they stand for, and the first code."""
        return coded_columns(self._frame)

    @property
    def filtered(self) -> bool:
        """Whether the frame has a filter, or an active range, of its own."""
        return self._filter is not None or self._active != (0, self.n_rows)

    def filter_mask(self, start: int, stop: int) -> Mask | None:
        """The frame's own vaex filter on rows ``start`` to ``stop``, evaluated as vaex does; None is all rows."""
        mask: Mask | None = None
        if self._active != (0, self.n_rows):
            rows = np.arange(start, stop)
            mask = (rows >= self._active[0]) & (rows < self._active[1])
        if self._filter is None or start == stop:
            return mask
        self._watch.check()
        raw = {need: self._column(need).raw(start, stop) for need in self._filter_needs}
        found = filter_block(self._frame, self._filter, raw, stop - start)
        return found if mask is None else mask & found

    def fingerprint(self, columns: Iterable[str] | None = None) -> str:
        """Of the data's files or arrays, the filter, and the virtual columns: all, or those behind ``columns``."""
        virtual = self._frame.virtual_columns
        if columns is None:
            return frame_fingerprint(self._frame, virtual)
        wanted = [*columns, *self._filter_names]
        return frame_fingerprint(self._frame, [name for name in self._reached(wanted) if name in virtual])

    def rows_fingerprint(self, columns: Iterable[str]) -> str:
        """Of what these columns hold in all rows, whatever the filter and the frame's other columns."""
        return rows_fingerprint(self._frame, self._reached(columns))

    def frame(self) -> Any:
        """A copy of the vaex frame."""
        return self._frame.copy()

    def files(self) -> list[str]:
        """The files of the data."""
        return dataset_files(self._frame.dataset)

    def spec(self) -> FrameSpec:
        """A small picklable description, from which another process opens the same Source."""
        return FrameSpec(self._frame, self.fingerprint())

    def _column(self, name: str) -> Column:
        found = self._columns.get(name)
        if found is None:
            if name not in self.names:
                shown = [known for known in self.names if not known.startswith("__")]
                raise ColumnNotFoundError(f"column {name!r}: not in the data.{did_you_mean(name, shown)}")
            found = self._columns[name] = self._maker.column(name)
        return found

    def _evaluate(self, names: Sequence[str], raw: dict[str, Any], rows: int) -> dict[str, Value]:
        return {name: from_raw(block) for name, block in self._blocks(names, raw, rows).items()}

    def _blocks(self, names: Sequence[str], raw: dict[str, Any], rows: int) -> dict[str, Any]:
        """Virtual columns as vaex computes them; of no rows, cut from one row's."""
        if rows == 0:
            return {name: block[:0] for name, block in self._one_row(names).items()}
        scope = block_scope(self._frame, raw, rows)
        out = {}
        with np.errstate(all="ignore"):  # under a missing value lies anything
            for name in names:
                block = scope.evaluate(name)
                if not hasattr(block, "__len__"):
                    block = np.full(rows, block)
                out[name] = as_array(block)
        return out

    def _one_row(self, names: Sequence[str]) -> dict[str, Any]:
        if self.n_rows == 0:
            raise SelectionError("the frame has no rows, so its virtual columns have no type")
        raw = {need: self._column(need).raw(0, 1) for need in self._all_needs(names)}
        return self._blocks(names, raw, 1)

    def _all_needs(self, names: Iterable[str]) -> list[str]:
        needed: dict[str, None] = {}
        for name in names:
            if name not in self._needs:
                self._needs[name] = tuple(self._expression_needs([name]))
            needed.update(dict.fromkeys(self._needs[name]))
        return list(needed)

    def _expression_needs(self, names: Iterable[str]) -> list[str]:
        """Physical columns behind names."""
        return [name for name in self._reached(names) if name in self._frame.dataset]

    def _reached(self, names: Iterable[str]) -> list[str]:
        """Columns behind names, themselves included, each visited once."""
        seen: set[str] = set()
        stack, reached = list(names), []
        while stack:
            name = stack.pop()
            if name in seen:
                continue
            seen.add(name)
            reached.append(name)
            if name in self._frame.virtual_columns:
                stack.extend(_names_in(str(self._frame.virtual_columns[name])))
        return reached


class FrameSpec:
    """A frame by its files, columns and filter, for another process. Pickles small when the data is in files."""

    def __init__(self, frame: Any, fingerprint: str) -> None:
        self._frame, self.fingerprint = frame, fingerprint

    def open(self) -> Source:
        """The Source of the same rows and columns."""
        return Source(self._frame)

    def frame(self) -> Any:
        """The vaex frame."""
        return self._frame.copy()


def _names_in(expression: str) -> list[str]:
    """Names that a vaex expression reads, ``df['odd name']`` included. Only parsed, never evaluated."""
    if not expression.strip():
        return []
    tree = ast.parse(expression.strip(), mode="eval")
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            names.append(str(node.slice.value))
    return names
