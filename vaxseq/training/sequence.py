"""``Sequence``: a function from (epoch, batch index) to arrays, and the dataset that ``model.fit`` takes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from vaxseq.dataset.fanout import check_executor
from vaxseq.display.html import Heading
from vaxseq.display.tables import Display, Shown
from vaxseq.errors import OptionError, SelectionError
from vaxseq.features.program.names import plain_names
from vaxseq.features.program.recipe import Columns, Field, Recipe
from vaxseq.features.tables.served import served_table
from vaxseq.frame import FrameSpec
from vaxseq.frame.attaching import attach_column
from vaxseq.loading.loader import within
from vaxseq.loading.query import Query
from vaxseq.loading.scatter.expectation import Expectation
from vaxseq.loading.scatter.folder import check_scratch
from vaxseq.plan.plan import BatchPlan, Resampling
from vaxseq.plan.quality import ShuffleQuality, quality
from vaxseq.plan.shuffle import block_items
from vaxseq.plan.stateful_lanes import Lanes
from vaxseq.plan.window import Window
from vaxseq.training.augment_pool import AugmentPool
from vaxseq.training.augmenting import Augment
from vaxseq.training.balancing import draws_of, targets_of
from vaxseq.training.batches import BatchMaker, named_arrays
from vaxseq.training.class_weights import ClassWeights, class_weights
from vaxseq.training.description import Description, describe
from vaxseq.training.device_feed import DeviceFeed, check_resident
from vaxseq.training.devices import check_device
from vaxseq.training.epoch_dataset import EpochDataset
from vaxseq.training.examples import Examples, examples_of
from vaxseq.training.joining import vector
from vaxseq.training.pipeline import Pipeline, rows_of
from vaxseq.training.resident import Resident
from vaxseq.training.shards import shard_of
from vaxseq.training.summary import summary

if TYPE_CHECKING:
    from vaxseq.features import FittedFeatures


class Sequence(Shown, EpochDataset):
    """Batches of a vaex frame for ``model.fit``, ``evaluate`` and ``predict``: lazily read, deterministic.

    Args:
        frame: a vaex frame (filtered, sliced, concatenated, with virtual columns), another table (pandas, polars,
            Arrow, DuckDB, a dict of arrays), or a dataset's path.
        fitted: fitted features; they say what the inputs, targets and weights are. Or leave it out and give
        inputs: column names: a list is one float32 matrix (batch, columns), a dict several named inputs.
        targets: column names likewise; one column has shape (batch,). Whole numbers become int32, else float32.
        sample_weight: a column of weights.
        batch_size: rows of a batch.
        where: a condition on the columns, as in a definition file; a row for which it is missing is left out.
        rows: a slice, positions or boolean mask over the rows that the frame's filter and ``where`` leave.
        window: serve windows of rows, shape (batch, length, ...), instead of rows; the definition's by default.
        shuffle: False; "global" (or True): any row anywhere, another order each epoch, exact at any size; "block":
            16 blocks of neighbours from all over the data, up to 48 MB, shuffled by rounds, read nearly in order. The
            means of batches of sorted data vary 1.0 to 1.2 times as much as a uniform shuffle's (``shuffle_quality``).
            Whatever ``fit``'s own ``shuffle`` is.
        seed: of the order.
        shard: (index, count) for one of several training processes, or "auto" to ask the backend and the
            environment: each row in one shard, equally many batches in all.
        drop_remainder: leave out the last rows that don't fill a batch.
        pad: fill the last batch with rows of weight 0, so that all batches have one shape. For fit; Keras
            divides a loss by the rows of a batch, the padded ones included. ``evaluate`` and ``predict`` get none.
        on_missing: "error", or "drop" to leave out rows whose target or weight is missing.
        class_weight: class -> weight, multiplied into the sample weights. Classes by number, or by name; a number that
            never comes by in the rows served is refused, for which the target is read until all have.
        balance: class -> share: an epoch draws rows so that the classes of the target come in these shares, exactly;
            as many draws as there are rows of the classes with a share above 0. Classes by number, or by name; all
            must be named. Or the name of a column of weights: a row is drawn in proportion, the nearest whole number
            of times above or below.
        augment: ``function(batch, rng)`` that returns the batch, changed: a tuple of NumPy arrays like it, of as many
            rows. It may change the arrays in place. ``rng`` is a NumPy generator made of the seed, the epoch and the
            batch, so runs repeat.
        augment_workers: processes that run ``augment``, for a function that is slow in Python; it must be one of a
            module, not of a notebook, and the program start below ``if __name__ == "__main__"``. They share memory
            with this process and work on batches ahead. 0: in the threads that read ahead.
        store: a packed store's file, or its URL (see ``materialize``), made there when it isn't there yet, or "auto"
            for one in the cache folder: the features are computed once, and read at the memory's pace. A store that was
            made from other data, rows or features is refused. Batches follow the store's order of rows. Or "device":
            the final rows are kept on the device, if they fit into half of its free memory, and batches are gathered
            there, in the same order.
        read_ahead: batches prepared ahead in a background thread, rounded up to whole chunks; 0 for none. A store's
            batches in order are copied when asked for: that takes less time than a thread's help. Never more than
            256 MB at once, or one chunk.
        scratch: where rows are put into a global order that memory can't hold: a folder on a disk, which takes about
            as many bytes as an epoch's arrays, gone when the program ends; "auto": $VAXSEQ_SCRATCH, else the cache
            folder; None forbids it, and each row is then read by itself. What fits into memory needs none.
        executor: any ``concurrent.futures.Executor``, open as long as this is read, to share the passes over the data
            that come before a first batch: those of a store that isn't there yet, and of a global order that memory
            can't hold. The batches are the same. It stays behind when a Sequence is pickled.

    Raises:
        OptionError: an option that can't be; also Keras's ``workers`` of 2 or more.
        SelectionError: no rows, or no batches, are left.
        ColumnNotFoundError, FeatureTypeError, ExpressionError: what it says about the columns.

    A batch is a tuple (x,), (x, y) or (x, y, weight) of new contiguous arrays; torch tensors on that backend.
    A missing value in an input is an error that names the feature and the rows.

    >>> import numpy as np, vaex
    >>> frame = vaex.from_arrays(x=np.arange(5.0), y=np.arange(5))
    >>> train = Sequence(frame, inputs=["x"], targets="y", batch_size=2, shuffle="global")
    >>> len(train), train.num_rows
    (3, 5)
    >>> sorted(int(row) for i in range(3) for row in train.row_ids(i))
    [0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        frame: Any,
        fitted: FittedFeatures | None = None,
        *,
        inputs: Columns | Mapping[str, Columns] | None = None,
        targets: Columns | Mapping[str, Columns] | None = None,
        sample_weight: str | None = None,
        batch_size: int = 1024,
        where: str | None = None,
        rows: slice | npt.ArrayLike | None = None,
        window: Window | None = None,
        shuffle: bool | Literal["global", "block"] = False,
        seed: int = 0,
        shard: tuple[int, int] | Literal["auto"] | None = None,
        drop_remainder: bool = False,
        pad: bool = False,
        on_missing: Literal["error", "drop"] = "error",
        class_weight: Mapping[Any, float] | None = None,
        balance: Mapping[Any, float] | str | None = None,
        augment: Augment | None = None,
        augment_workers: int = 0,
        store: str | os.PathLike[str] | None = None,
        read_ahead: int = 2,
        scratch: str | os.PathLike[str] | None = "auto",
        workers: int = 0,
        use_multiprocessing: bool = False,
        device: Any = "auto",
        executor: Executor | None = None,
    ) -> None:
        self._options: dict[str, Any] = {
            "inputs": inputs, "targets": targets, "sample_weight": sample_weight, "batch_size": batch_size,
            "where": where, "rows": rows, "window": window, "shuffle": shuffle, "seed": seed, "shard": shard,
            "drop_remainder": drop_remainder, "pad": pad, "on_missing": on_missing, "class_weight": class_weight,
            "balance": balance, "augment": augment, "augment_workers": augment_workers, "store": store,
            "read_ahead": read_ahead, "scratch": scratch, "device": device,
        }  # fmt: skip
        super().__init__(workers=workers, use_multiprocessing=use_multiprocessing)
        if isinstance(read_ahead, bool) or read_ahead < 0 or read_ahead != int(read_ahead):
            raise OptionError(f"read_ahead: got {read_ahead!r}, expected a number of batches, 0 for none")
        check_scratch(scratch)
        check_device(device)
        check_executor(executor)
        on_device = store == "device"
        if on_device:
            check_resident(augment, device)
        served = Query(
            frame,
            fitted,
            inputs=inputs,
            targets=targets,
            sample_weight=sample_weight,
            where=where,
            rows=rows,
            on_missing=on_missing,
        )
        inputs, targets, sample_weight = served.plain
        self._options |= {"inputs": inputs, "targets": targets, "sample_weight": sample_weight, "where": served.where}
        self._served, self._source, self._fitted = served, served.source, served.fitted
        if window is None and fitted is not None and fitted.window is not None:
            window = Window(**fitted.window)
        self._items = examples_of(served, None if on_device else store, window, executor)
        self._recipe = replace(served.recipe, fields=self._items.fields)
        classes = _classes(fitted, self._recipe)
        draws: Resampling | None = None
        if window is not None and window.lanes and self._items.windows is not None:
            if shuffle or balance is not None or shard is not None or pad:
                raise OptionError(
                    "window lanes: got shuffle, balance, shard or pad, expected none of them: lanes are read in order, "
                    "in whole batches."
                )
            draws = Lanes(self._items.windows, batch_size)
        if balance is not None:
            draws = draws_of(balance, self._items, self._source, served.recipe, classes, seed)
        shard_index, shard_count = shard_of(shard)
        plan = BatchPlan(
            self._items.index.n if draws is None else draws.n,
            batch_size,
            shuffle="global" if shuffle is True else shuffle,
            seed=seed,
            shard_index=shard_index,
            shard_count=shard_count,
            drop_remainder=drop_remainder,
            pad=pad,
            block_items=block_items(self._items.reader.row_bytes()),
            resampling=draws,
        )
        if plan.num_batches == 0:
            raise SelectionError(
                f"drop_remainder: {plan.n_items:,} {self._items.unit} don't fill one step of {plan.step_items:,}. "
                "Use a smaller batch_size, or drop_remainder=False."
            )
        pipeline = Pipeline(
            self._items,
            partial(BatchMaker, self._recipe, self._class_weights(class_weight, classes, served)),
            read_ahead,
            augment,
            _pool(augment, augment_workers),
            scratch,
            executor,
        )
        self._device = DeviceFeed(device, Resident(pipeline) if on_device else None)
        self._serve(pipeline, plan, partial(_content, served, window, self._items))

    def _class_weights(self, wanted: Mapping[Any, float] | None, classes: Any, served: Query) -> ClassWeights | None:
        if wanted is None:
            return None
        targets = tuple(field for field in self._items.fields if field.role == "target")
        made = class_weights(wanted, targets, classes)
        if classes is None:
            made.check(targets_of(self._items, targets[0], self._source, served.recipe))
        return made

    @property
    def num_rows(self) -> int:
        """Rows of an epoch, or windows, over all shards; with ``balance`` its draws."""
        return self._plan.n_items

    @property
    def batch_size(self) -> int:
        """Rows of a batch, of this shard."""
        return self._plan.batch_size

    @property
    def inputs(self) -> dict[str, Field]:
        """Input name -> its field: ``shape`` of one row and ``dtype``, as for ``keras.Input``."""
        return {field.name: field for field in self._recipe.of("input")}

    @property
    def targets(self) -> dict[str, Field]:
        """Target name -> its field: ``shape`` of one row and ``dtype``."""
        return {field.name: field for field in self._recipe.of("target")}

    @property
    def feature_names(self) -> list[str] | dict[str, list[str]]:
        """The names of the input matrix's columns; of several inputs a dict by name. Of windows, a row's."""
        fields = self._served.recipe.of("input")
        known = {one.name: plain_names(one) for one in fields} if self._fitted is None else self._fitted.matrix_names()
        names = {name: list(columns) for name, columns in known.items()}
        return next(iter(names.values())) if len(names) == 1 else names

    def row_ids(self, index: int, epoch: int | None = None) -> npt.NDArray[np.int64]:
        """The row ids of a batch, shape (rows,), without the padding; of the current epoch by default.

        Of a window, it is the last row that its target looks at.
        """
        plan = self._epochs.current.plan if epoch is None else self._plan
        return rows_of(self._items, plan, self.epoch if epoch is None else epoch, within(index, plan))

    def describe(self, *, seconds: float = 0.25) -> Description:
        """What this Sequence serves: rows in and left out, batches, shapes, order, memory, bytes and time of an epoch.

        Args:
            seconds: how long to read batches, to tell how long an epoch's take; 0 to read none.

        >>> import numpy as np, vaex
        >>> frame = vaex.from_arrays(x=np.arange(10.0), y=np.arange(10))
        >>> told = Sequence(frame, inputs=["x"], targets="y", batch_size=4, where="x > 2").describe()
        >>> told.rows, told.items, told.left_out, told.num_batches
        (10, 7, {'where=x > 2': 3}, 2)
        """
        return describe(self._served, self._items, self._pipeline, self._plan, self._device, seconds=seconds)

    def show(self, rows: int = 3, *, index: int = 0, epoch: int = 0) -> Display:
        """The first rows of a batch as a table, raw values beside what the model gets.

        Args:
            rows: how many, at most.
            index: of the batch.
            epoch: whose order the batch is of.

        >>> import numpy as np, vaex
        >>> Sequence(vaex.from_arrays(x=np.arange(4.0) / 3), inputs=["x"], batch_size=2).show(1).rows[1]
        ('x', '0', '0')
        """
        if isinstance(rows, bool) or rows < 1:
            raise OptionError(f"show rows: got {rows!r}, expected at least 1")
        ids = self.row_ids(index, epoch)[:rows]
        arrays = named_arrays(self._served.recipe.fields, self.batch(epoch, index))
        title = f"Batch {within(index, self._plan):,} of epoch {epoch}, its first {len(ids)} of {len(arrays[0]):,} rows"
        fields = self._served.recipe.fields
        return served_table(self._fitted, self._source, fields, [one[: len(ids)] for one in arrays], ids, title)

    def lane_starts(self, index: int) -> npt.NDArray[np.bool_]:
        """With ``Window(lanes=True)``: which rows of a batch don't go on from the batch before, shape (batch,).

        All of batch 0, and rows in which another series begins: a stateful layer's state must be reset there.

        Raises:
            OptionError: there are no lanes.
        """
        lanes = self._plan.resampling
        if not isinstance(lanes, Lanes):
            raise OptionError("lane_starts: there are no lanes. Give the Sequence a Window with lanes=True.")
        return lanes.begins(within(index, self._plan))

    def shuffle_quality(self, *, epoch: int = 0) -> ShuffleQuality:
        """How near the order of an epoch comes to a uniform shuffle: measured, each figure beside the uniform one.

        Label runs are those of the hardest case: items sorted by a label of ten equal classes.

        >>> import numpy as np, vaex
        >>> frame = vaex.from_arrays(x=np.arange(50_000.0))
        >>> measured = Sequence(frame, inputs=["x"], shuffle="global").shuffle_quality()
        >>> abs(measured.lag1) < 0.02, round(measured.displacement, 1)
        (True, 0.3)
        """
        return quality(self._plan, epoch=epoch)

    def attach(self, predictions: npt.ArrayLike, name: str, *, epoch: int | None = None) -> Any:
        """The frame with predictions as a column, joined by row id; rows that weren't predicted are missing.

        Args:
            predictions: what ``model.predict(self)`` returned, shape (rows,), (rows, 1) or (rows, k).
            name: of the new column.
            epoch: whose order the predictions are in. By default that of the last ``predict``, which is epoch 0's; or
                of the loop that read a whole epoch since.

        Raises:
            OptionError: the number of rows isn't this Sequence's, the epoch isn't clear, the frame has a column of
                that name, or rows are drawn several times (balance).
        """
        if self._plan.resampling is not None and not isinstance(self._plan.resampling, Lanes):
            raise OptionError("attach: balance draws rows several times. Predict with a Sequence without balance.")
        values = vector(predictions)
        places, real = self._joining.places(len(values), epoch)
        return attach_column(self._source.frame(), name, self._items.row_ids(places), values[real])

    def __getstate__(self) -> dict[str, Any]:
        return {
            "spec": self._source.spec(),
            "fitted": self._fitted,
            "options": self._options,
            "place": self._epochs.state(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        spec: FrameSpec = state["spec"]
        self.__init__(spec.frame(), state["fitted"], **state["options"])  # type: ignore[misc]
        self._epochs.restore(state["place"])

    def _display(self) -> Display:
        lines = summary(
            self._items, self._recipe, self._pipeline, self._epochs.whole, self._device, self._expectation,
            self._source.n_rows,
        )  # fmt: skip
        return Display("", (Heading("Sequence"), Heading("")), tuple(lines))

    @cached_property
    def _expectation(self) -> Expectation | None:
        return self._pipeline.expectation(self._plan)


def _content(served: Query, window: Window | None, items: Examples) -> dict[str, str]:
    """Fingerprints of what is read, for a position."""
    return {**served.content, "examples": repr((window, items.order))}


def _pool(augment: Augment | None, workers: int) -> AugmentPool | None:
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
        raise OptionError(f"augment_workers: got {workers!r}, expected a number of processes, 0 for none")
    if augment is not None and not callable(augment):
        raise OptionError(f"augment: got {augment!r}, expected a function of (batch, rng) that returns the batch")
    return AugmentPool(augment, workers) if augment is not None and workers else None


def _classes(fitted: FittedFeatures | None, recipe: Recipe) -> list[Any] | None:
    targets = recipe.of("target")
    return None if fitted is None or not targets else fitted.classes(targets[0].name)
