"""The arrays of windows: rows evaluated once, laid out as (windows, length, ...); targets of the rows they look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from vaxseq.errors import OptionError, did_you_mean
from vaxseq.expressions.values import Mask
from vaxseq.features.program.recipe import Field
from vaxseq.loading.readers.frame import Arrays, Span, take_runs
from vaxseq.plan.window import Window, WindowIndex, Windows

Ids = npt.NDArray[np.int64]
Kind = Literal["past", "future", "static", "last", "mode", "mean", "sequence"]

MASK = "mask"
_WHOLE = ("past", "future", "sequence")  # fields that hold all rows of a window
_MIN_PER_RUN = 8  # with fewer windows a run than this, windows are gathered one by one


class RunReader(Protocol):
    """Reads rows, one by one or in runs, by row id."""

    @property
    def from_files(self) -> bool: ...

    def read(self, start: int, stop: int) -> Arrays: ...

    def gather(self, row_ids: Ids) -> Arrays: ...

    def runs(self, starts: Ids, length: int, *, out: Arrays | None = None) -> Arrays: ...


class Part(NamedTuple):
    """Fields that are read together: over which rows of a window, counted from its start, and what becomes of them."""

    reader: RunReader | None
    fields: tuple[Field, ...]
    kinds: tuple[Kind, ...]
    start: int
    length: int
    apart: bool

    def rows(self, start: int, stop: int) -> Arrays:
        """Rows by their ids."""
        assert self.reader is not None
        return self.reader.read(start, stop)

    def at(self, row_ids: Ids) -> Arrays:
        """Rows by their ids, in any order."""
        assert self.reader is not None
        return self.reader.gather(row_ids)

    def runs(self, starts: Ids, out: Arrays) -> None:
        """The part's rows of windows whose rows begin at ``starts``, into arrays (windows, length, ...)."""
        assert self.reader is not None
        flat = [array.reshape(len(starts) * self.length, *array.shape[2:]) for array in out]
        self.reader.runs(starts, self.length, out=flat)


def input_kind(name: str, window: Window) -> Kind:
    """Over which rows an input is read."""
    if name in window.future:
        return "future"
    return "static" if name in window.static else "past"


def check_inputs(names: list[str], window: Window) -> None:
    """Refuses inputs that the window names and that aren't there."""
    for option, wanted in (("future_inputs", window.future), ("static_inputs", window.static)):
        for name in wanted:
            if name not in names:
                raise OptionError(f"window {option}: no input {name!r}.{did_you_mean(name, names)}")


def window_field(field: Field, kind: Kind, window: Window) -> Field:
    """A row's field as the field of a window."""
    shape = field.shape
    if kind == "past":
        shape = (window.length, *shape)
    elif kind == "future":
        shape = (window.horizon, *shape)
    elif kind == "sequence":
        shape = (window.target_span[1], *shape)
    dtype = np.dtype(np.float32) if kind == "mean" and field.dtype.kind in "iub" else field.dtype
    return Field(field.role, field.name, dtype, shape, field.parts)


class WindowReader:
    """Reads windows by number, as a FrameReader reads rows by id; the numbers are an index's.

    A window with fewer rows than its length is padded with zeros on the left; an input "mask" of shape
    (length,) then tells rows (1) from padding (0).
    """

    random_access = True  # a buffer of windows would hold each row many times
    worth_keeping = False  # so would a file
    chunk_bytes = 8 << 20  # several are held at once; larger ones leave the caches and are no quicker

    def __init__(self, parts: list[Part], order: list[tuple[int, int]], window: Window, index: WindowIndex) -> None:
        """``order``: for each field of a batch, its (part, place in the part)."""
        self._parts, self._order, self._window, self.index = parts, order, window, index
        kinds = [(parts[part].fields[place], parts[part].kinds[place]) for part, place in order]
        self.fields = [window_field(field, kind, window) for field, kind in kinds]
        if index.pads:
            names = [field.name for field in self.fields if field.role == "input"]
            if MASK in names:
                raise OptionError(
                    f"window min_valid: adds an input {MASK!r}, which is there already. Rename that input."
                )
            self.fields.insert(len(names), Field("input", MASK, np.dtype(np.float32), (window.length,), ()))

    def over(self, index: WindowIndex) -> WindowReader:
        """The reader of other windows of the same form."""
        return WindowReader(self._parts, self._order, self._window, index)

    @property
    def from_files(self) -> bool:
        """Whether memory can't hold what the windows are read from."""
        return any(part.reader is not None and part.reader.from_files for part in self._parts)

    def row_bytes(self) -> int:
        """Bytes of one window over all fields."""
        return sum(field.width * field.dtype.itemsize for field in self.fields)

    def empty(self, rows: int) -> Arrays:
        """Arrays to be filled, one for each field."""
        return [np.empty((rows, *field.shape), field.dtype) for field in self.fields]

    def read(self, start: int, stop: int, mask: Mask | None = None, *, out: Arrays | None = None) -> Arrays:
        """Windows ``start`` to ``stop`` (those under ``mask``)."""
        numbers = np.arange(start, stop)
        return self.gather(numbers if mask is None else numbers[mask], out=out)

    def read_spans(self, spans: Sequence[Span], places: Sequence[Arrays]) -> None:
        """Windows of several (start, stop, mask), each into arrays of its own."""
        for span, place in zip(spans, places, strict=True):
            self.read(*span, out=place)

    def gather(self, row_ids: Ids, *, out: Arrays | None = None) -> Arrays:
        """The windows of these numbers, in their order."""
        windows = self.index.windows(row_ids)
        places = self.empty(len(row_ids)) if out is None else out
        full = windows.rows == self._window.length
        if full.all():
            self._fill(windows, places, _full)
            return places
        for some, rows_of in ((full, _full), (~full, partial(_padded, length=self._window.length))):
            if some.any():
                found = self.empty(int(some.sum()))
                self._fill(Windows(*(one[some] for one in windows)), found, rows_of)
                for array, values in zip(places, found, strict=True):
                    array[some] = values
        return places

    def _fill(self, windows: Windows, out: Arrays, rows_of: Callable[[Part, Windows, Arrays], None]) -> None:
        length, order = self._window.length, iter(self._order)
        places: list[dict[int, npt.NDArray[Any]]] = [{} for _ in self._parts]
        for field, array in zip(self.fields, out, strict=True):
            if field.name == MASK and not field.parts:
                array[...] = np.arange(length) >= (length - windows.rows)[:, None]
            else:
                part, place = next(order)
                places[part][place] = array
        for one, arrays in zip(self._parts, places, strict=True):
            rows_of(one, windows, [arrays[place] for place in range(len(one.fields))])


def _full(part: Part, windows: Windows, out: Arrays) -> None:
    """The part's arrays of windows that have all their rows."""
    rows = [
        array if kind in _WHOLE else np.empty((len(array), part.length, *field.shape), field.dtype)
        for array, field, kind in zip(out, part.fields, part.kinds, strict=True)
    ]
    _read_rows(part, windows, rows)
    for array, read, kind in zip(out, rows, part.kinds, strict=True):
        if kind not in _WHOLE:
            array[...] = _reduced(read, kind)


def _padded(part: Part, windows: Windows, out: Arrays, *, length: int) -> None:
    """The part's arrays of windows that lack rows: they lie at the end of ``length``, zeros before them."""
    begins = windows.starts + windows.rows - length + part.start
    there = np.arange(part.length) >= (windows.starts - begins)[:, None]
    rows = part.at((begins[:, None] + np.arange(part.length))[there])
    cuts = np.cumsum(there.sum(axis=1))[:-1]
    for array, kind, laid in zip(rows, part.kinds, out, strict=True):
        if kind in _WHOLE:
            laid[...] = 0
            laid[there] = array
        else:
            laid[...] = np.concatenate([_reduced(one[None], kind) for one in np.split(array, cuts)])


def _read_rows(part: Part, windows: Windows, out: Arrays) -> None:
    """The part's rows of each window into arrays (windows, length, ...): neighbours of one run are read together."""
    starts = windows.starts + part.start
    cuts = np.flatnonzero(np.diff(windows.runs) != 0) + 1
    firsts = np.concatenate([[0], cuts])
    lasts = np.concatenate([cuts, [len(starts)]])
    ascending = bool((np.diff(starts) >= 0).all())
    covered = int((starts[lasts - 1] + part.length - starts[firsts]).sum()) if len(starts) else 0
    scattered = len(starts) < _MIN_PER_RUN * len(firsts) or covered > len(starts) * part.length
    if not ascending or part.length == 1 or scattered:
        part.runs(starts, out)
        return
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        begin = int(starts[first])
        rows = part.rows(begin, int(starts[last - 1]) + part.length)
        for array, place in zip(rows, out, strict=True):
            take_runs(array, starts[first:last] - begin, part.length, out=place[first:last])


def _reduced(rows: npt.NDArray[Any], kind: Kind) -> npt.NDArray[Any]:
    """(windows, length, ...) to what a field that doesn't hold it whole makes of it."""
    if kind in ("last", "static"):
        return rows[:, -1]
    if kind == "mean":
        return np.asarray(rows.mean(axis=1, dtype=np.float64))
    return _mode(rows)


def _mode(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The commonest value of each window; of equally common ones the smallest."""
    values, codes = np.unique(rows, return_inverse=True)
    codes = codes.reshape(rows.shape[0], rows.shape[1], -1)
    best = np.empty((codes.shape[0], codes.shape[2]), values.dtype)
    for column in range(codes.shape[2]):
        counts = np.zeros((len(codes), len(values)), np.int64)
        np.add.at(counts, (np.arange(len(codes))[:, None], codes[:, :, column]), 1)
        best[:, column] = values[counts.argmax(axis=1)]
    return best.reshape(rows.shape[0], *rows.shape[2:])
