"""``materialize``: compute the selected rows' features once, into a packed store."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.addresses import is_url
from vaxseq.dataset.checksums import seal_file
from vaxseq.dataset.fanout import submitted
from vaxseq.dataset.processes import with_workers
from vaxseq.display.progress import progress_bar
from vaxseq.errors import OptionError, StoreError, VaxseqError
from vaxseq.features.program.recipe import Columns, Field
from vaxseq.loading.query import OnMissing, Query
from vaxseq.loading.query_spec import QuerySpec
from vaxseq.loading.row_unit import RowUnit
from vaxseq.loading.scatter.folder import Scratch, check_scratch
from vaxseq.plan.rows import RowIndex
from vaxseq.plan.shuffle import order, order_of
from vaxseq.store import writing
from vaxseq.store.at_url import store_at_url
from vaxseq.store.file import StoreFile, check_replaceable, create, read

if TYPE_CHECKING:
    from vaxseq.features import FittedFeatures

_UNIT_BYTES = 32 << 20
_BUCKET_BYTES = 128 << 20
_MAX_ROWS_READ_PER_ROW = 8


# a store under such a name would tell something untrue
_FOREIGN_SUFFIXES = (".arrow", ".feather", ".ipc", ".parquet", ".csv", ".npz")


def materialize(
    frame: Any,
    fitted: FittedFeatures | None,
    path: str | os.PathLike[str],
    *,
    inputs: Columns | Mapping[str, Columns] | None = None,
    targets: Columns | Mapping[str, Columns] | None = None,
    sample_weight: str | None = None,
    where: str | None = None,
    rows: slice | npt.ArrayLike | None = None,
    on_missing: OnMissing = "error",
    shuffle_seed: int | None = None,
    scratch: Scratch = "auto",
    overwrite: bool = False,
    executor: Executor | None = None,
    progress: bool = True,
) -> StoreFile:
    """Compute the features of the selected rows once, into a file that training reads at the memory's pace.

    The file is plain HDF5: ``inputs/<name>``, ``targets/<name>``, ``weights/<name>`` and ``row_id``, each one
    contiguous dataset. It appears at ``path`` when it is complete; a run that was stopped goes on where it was.

    Args:
        frame: a table (vaex, pandas, polars, Arrow, DuckDB, a dict of arrays) or a dataset's path.
        fitted: fitted features, or None with ``inputs``.
        path: the file to make, or its URL: it is made in the cache folder, which keeps a copy, and sent there.
        inputs: column names, as for ``Sequence``; what is served must be given alike to both.
        targets: likewise.
        sample_weight: likewise.
        where: likewise.
        rows: likewise.
        on_missing: likewise.
        shuffle_seed: write the rows in one global random order (out of core), so that a block shuffle of the
            store is as good as a global one; None keeps the data's order.
        scratch: where a shuffled store's rows are put into their order, as many bytes as the store: a folder; "auto":
            $VAXSEQ_SCRATCH, else beside the store; None takes no scratch and reads each row by itself, which is slow
            where memory can't hold the data.
        overwrite: replace a store that is there; otherwise one that was made from the same is kept as it is.
        executor: where units of rows are computed: any ``concurrent.futures.Executor`` whose workers see the
            same files; None is this process.
        progress: show a progress bar when standard error is a terminal.

    Returns:
        What the store says of itself: ``rows``, ``fields``, ``fingerprints``.

    Raises:
        StoreError: the path holds a store made from something else; too little disk space; another run is writing it.
        SelectionError, MissingValueError, ...: as ``Sequence``.

    >>> import tempfile, os, vaex, numpy as np
    >>> frame = vaex.from_arrays(x=np.arange(4.0), y=np.arange(4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     stored = materialize(frame, None, os.path.join(folder, "s.h5"), inputs=["x"], targets="y", progress=False)
    ...     stored.rows, stored.row_ids().tolist()
    (4, [0, 1, 2, 3])
    """
    if Path(path).suffix in _FOREIGN_SUFFIXES:
        raise OptionError(f"{path}: a store is an HDF5 file. Name it so, as {Path(path).with_suffix('.h5')}.")
    served = Query(
        frame, fitted, inputs=inputs, targets=targets, sample_weight=sample_weight, where=where, rows=rows,
        on_missing=on_missing,
    )  # fmt: skip
    if shuffle_seed is not None and (isinstance(shuffle_seed, bool) or shuffle_seed < 0):
        raise OptionError(f"shuffle_seed: got {shuffle_seed!r}, expected a whole number of at least 0, or None")
    check_scratch(scratch)

    def made(place: Path, anew: bool) -> StoreFile:
        return store_of(served, place, shuffle_seed, scratch, overwrite=anew, executor=executor, progress=progress)

    if is_url(text := os.fspath(path)):
        return store_at_url(text, served.fingerprints, made, overwrite=overwrite)
    return made(Path(path), overwrite)


def store_of(
    served: Query,
    path: Path,
    shuffle_seed: int | None,
    scratch: Scratch = "auto",
    *,
    overwrite: bool = False,
    executor: Executor | None = None,
    progress: bool = True,
    wait: bool = False,
) -> StoreFile:
    """The store of what is served: the one at ``path`` if it was made from the same, or a new one.

    With ``wait``, one that another process is writing is waited for.
    """
    if path.exists() and not overwrite:
        stored = read(path)
        stored.check(served.fingerprints)
        if stored.shuffle_seed != shuffle_seed:
            raise StoreError(
                f"{path}: the store was written with shuffle_seed={stored.shuffle_seed}, got {shuffle_seed}. "
                "Pass overwrite=True to write it anew."
            )
        if any(Path(f"{path}{end}").exists() for end in (".part", ".part.journal", ".part.buckets", ".lock")):
            with suppress(StoreError), _Run(served, path, shuffle_seed, scratch, wait=False) as run:
                run.clear()  # a run was killed after its last step but this
        return stored
    check_replaceable(path)
    part, journal = Path(f"{path}.part"), Path(f"{path}.part.journal")
    if part.exists() and part.stat().st_size and not journal.exists():
        raise StoreError(
            f"{path}: {part} is in the way: no run of materialize has left it. Move it away, or give another path."
        )
    if not path.parent.is_dir():
        raise StoreError(f"{path}: the folder {path.parent} isn't there. Make it first.")
    with _Run(served, path, shuffle_seed, scratch, wait=wait) as run:
        if overwrite or not path.exists():  # another process may have made it meanwhile
            run.write(executor, progress)
    stored = read(path)
    stored.check(served.fingerprints)
    return stored


class _Run:
    """One writing of a store, beside its path until it is complete."""

    def __init__(
        self,
        served: Query,
        path: Path,
        shuffle_seed: int | None,
        scratch: Scratch,
        *,
        wait: bool,
    ) -> None:
        self._served, self._path, self._seed, self._wait = served, path, shuffle_seed, wait
        self._index: RowIndex = served.index
        fields = served.recipe.fields
        row_bytes = sum(field.width * field.dtype.itemsize for field in fields) + 8
        self._unit_rows = max(1, min(1 << 18, _UNIT_BYTES // row_bytes))
        self._bucket_rows = max(1, _BUCKET_BYTES // row_bytes)
        self._need_bytes = self._index.n * row_bytes
        self._part, self._journal = Path(f"{path}.part"), Path(f"{path}.part.journal")
        self._buckets = None if shuffle_seed is None else _buckets_path(path, scratch)
        self._job = writing.Job(
            QuerySpec.of(served), self._index.n, str(self._part),
            None if self._buckets is None else str(self._buckets), shuffle_seed, self._bucket_rows,
        )  # fmt: skip

    def __enter__(self) -> Self:
        name = f"{self._path}.lock"
        while True:
            try:
                self._lock = open(name, "a")
            except OSError as error:
                raise StoreError(
                    f"{self._path}: can't be written there ({error.strerror}). Give another path; "
                    'for store="auto", VAXSEQ_CACHE names the folder.'
                ) from error
            self._take_lock()
            # the run that held it may have removed the file on leaving, and a third made it anew
            if os.path.exists(name) and os.path.samestat(os.fstat(self._lock.fileno()), os.stat(name)):
                return self
            self._lock.close()

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if not self._wait:
                self._lock.close()
                raise StoreError(f"{self._path}: another run is writing this store. Wait for it to end.") from error
            logging.getLogger("vaxseq").info("%s: waiting for the process that writes it", self._path)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        if not os.fstat(self._lock.fileno()).st_size:  # else it was somebody's file before
            Path(self._lock.name).unlink(missing_ok=True)
        self._lock.close()

    def write(self, executor: Executor | None, progress: bool) -> None:
        """Compute and write what isn't there yet, and put it at its path.

        Raises:
            StoreError: a disk is full, or fails.
        """
        try:
            with with_workers(executor, worth=self._served.source.opens_elsewhere) as pool:
                self._write(pool, progress)
        except OSError as error:
            if isinstance(error, VaxseqError):
                raise
            raise StoreError(f"{self._path}: not finished ({error}). Run it again to go on where it was.") from error

    def _write(self, executor: Executor | None, progress: bool) -> None:
        done = self._resumed()
        if done is None:
            self._begin()
            done = set()
        description = writing.describe(self._job)
        total = self._index.n * (1 if self._buckets is None else 2)
        with (
            open(self._journal, "a", encoding="ascii") as journal,
            progress_bar(progress, f"materialize {self._path.name}", total, "rows") as advance,
        ):

            def finished(name: str, rows: int) -> None:
                advance(rows)
                journal.write(f"{name}\n")
                journal.flush()

            _run_all(executor, writing.write_unit, self._units(description, done, advance), finished)
            if self._buckets is not None:
                buckets = range(-(-self._index.n // self._bucket_rows))
                calls = ((f"bucket {k}", (description, k)) for k in buckets if f"bucket {k}" not in done)
                _run_all(executor, writing.settle_bucket, calls, finished)
        seal_file(self._part)
        os.replace(self._part, self._path)
        self.clear()

    def _units(
        self, description: bytes, done: set[str], advance: Callable[[int], None]
    ) -> Iterator[tuple[str, tuple[Any, ...]]]:
        begins = np.arange(0, self._index.n, self._bucket_rows, dtype=np.int64) if self._buckets is not None else None
        for number, start in enumerate(range(0, self._index.n, self._unit_rows)):
            stop = min(start + self._unit_rows, self._index.n)
            offsets = None
            if begins is not None and self._seed is not None:
                offsets = begins.copy()
                bucket = order(self._index.n, self._seed, 0, start, stop) // self._bucket_rows
                begins = begins + np.bincount(bucket, minlength=len(begins))
            if f"unit {number}" in done:
                advance(stop - start)
            else:
                yield f"unit {number}", (description, start, self._rows(start, stop), offsets)

    def _rows(self, start: int, stop: int) -> RowUnit:
        if self._seed is not None and self._buckets is None:  # the rows that the store has there
            items = order_of(self._index.n, self._seed, 0, np.arange(start, stop))
            return RowUnit.of(self._index.select(items))
        if self._index.ascending:
            low, high, mask = self._index.span(start, stop)
            if high - low <= _MAX_ROWS_READ_PER_ROW * (stop - start):
                return RowUnit(low, high, mask)
        return RowUnit.of(self._index.ids(start, stop))

    def _begin(self) -> None:
        self.clear()
        needs = {self._path.parent: self._need_bytes}
        if self._buckets is not None:
            shared = os.stat(self._buckets.parent).st_dev == os.stat(self._path.parent).st_dev
            folder = self._path.parent if shared else self._buckets.parent
            needs[folder] = needs.get(folder, 0) + self._need_bytes
        for folder, need in needs.items():
            free = shutil.disk_usage(folder).free
            if free < need * 1.01:
                raise StoreError(
                    f"{self._path}: needs {need / 1e9:.2f} GB in {folder}, whose disk has {free / 1e9:.2f} GB free. "
                    "Make room, give another path or another scratch=, or select fewer rows."
                )
        fields = self._served.recipe.fields
        self._journal.write_text("", encoding="ascii")  # first: what lies beside it is ours
        create(self._part, self._index.n, fields, self._served.fingerprints, self._seed, self._index.row_stop)
        if self._buckets is not None:
            # the rows as they come, their ids, and (as its row_id) the store row that each is to have
            ids = Field("weight", "row id", np.dtype(np.int64), (), ())
            create(self._buckets, self._index.n, [*fields, ids], {}, self._seed, 1 << 40)
        self._journal.write_text(self._header() + "\n", encoding="ascii")

    def _header(self) -> str:
        """What a run must agree on to be gone on with; after a crash of the machine written pages may be lost."""
        boot = Path("/proc/sys/kernel/random/boot_id")
        session = boot.read_text(encoding="ascii").strip() if boot.exists() else ""
        shape = [self._index.n, self._seed, self._unit_rows, self._bucket_rows, str(self._buckets)]
        return json.dumps([self._served.fingerprints, shape, session], sort_keys=True)

    def _resumed(self) -> set[str] | None:
        """The parts that an earlier run of the same finished, or None to begin anew."""
        if not self._journal.exists() or not self._part.exists():
            return None
        header, _, rest = self._journal.read_text(encoding="ascii").partition("\n")
        if header != self._header() or (self._buckets is not None and not self._buckets.exists()):
            return None
        complete, _, _ = rest.rpartition("\n")
        self._journal.write_text(f"{header}\n{complete}\n" if complete else f"{header}\n", encoding="ascii")
        return set(complete.splitlines())

    def clear(self) -> None:
        """Removes what isn't the store."""
        for file in (self._part, self._buckets, self._journal):
            if file is not None:
                file.unlink(missing_ok=True)


def _buckets_path(path: Path, scratch: Scratch) -> Path | None:
    """The file in which a shuffled store's rows are sorted; one name for one store, so that a stopped run goes on."""
    if scratch is None:
        return None
    folder = os.environ.get("VAXSEQ_SCRATCH") if scratch == "auto" else os.fspath(scratch)
    if not folder:
        return Path(f"{path}.part.buckets")
    Path(folder).mkdir(parents=True, exist_ok=True)
    key = hashlib.blake2b(str(path.resolve()).encode(), digest_size=8).hexdigest()
    return Path(folder) / f"{path.name}.{key}.buckets"


def _run_all(
    executor: Executor | None,
    function: Callable[..., int],
    calls: Iterator[tuple[str, tuple[Any, ...]]],
    finished: Callable[[str, int], None],
) -> None:
    """Call the function for all; with an executor a few more at once than it has workers, so memory stays bounded."""
    if executor is None:
        for name, arguments in calls:
            finished(name, function(*arguments))
        return
    try:
        with submitted(executor, ((name, (function, *arguments)) for name, arguments in calls)) as futures:
            for name, future in futures:
                finished(name, future.result())
    except VaxseqError:
        raise
    except Exception as error:
        raise StoreError(
            f"materialize: a worker failed ({type(error).__name__}: {error}). Run it again to go on."
        ) from error
