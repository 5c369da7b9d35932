"""``profile``: measure a dataset, ours or anyone's, alone and under a model."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from vaxseq.errors import OptionError
from vaxseq.profile.advice import Accelerator, Bigger, Facts, advise
from vaxseq.profile.files import Packed, open_files, packed_files, reachable_hdf5
from vaxseq.profile.measurement import Stage
from vaxseq.profile.meters import memory_bytes
from vaxseq.profile.parts import measure_parts
from vaxseq.profile.reading import Loaded, batch_order, joined, load, rows_of
from vaxseq.profile.result import Profile
from vaxseq.training.snapshot import unchanged
from vaxseq.training.timed_fit import (
    Steps,
    check_dataset,
    check_model,
    insides,
    is_sequence,
    on_accelerator,
    resized,
    step_fit,
    timed_fit,
    to_tensors,
)

_SMALL_ROWS = 512  # larger batches aren't tried larger
_BEFORE_IN_TURN = 4  # batches that a Sequence reads by themselves, until it is clear that they come in turn
_SCALE = 8


def profile(dataset: Any, model: Any = None, *, seconds: float = 10, shuffle: bool = True) -> Profile:
    """Find out where a batch's time goes, whether the model waits for data, and what to do about it.

    It reads batches as ``model.fit`` would, alone and under the model. A Sequence is measured on a copy, piece by
    piece: each column, each feature, the gather, the write, the conversion to tensors. Any other PyDataset is read
    with its own ``__getitem__`` (and its ``on_epoch_end`` when an epoch is over), and a look at the stack every 2 ms
    tells which of its lines the time goes to; a small function called in a loop may count for the loop's line.
    Nothing is slowed down when no profile is running.

    The model trains for some seconds; its weights, optimizer, metrics, history and seeds are put back afterwards.

    Args:
        dataset: a ``vaxseq.Sequence``, or any ``keras.utils.PyDataset``.
        model: a compiled Keras model; without one only the loader is measured.
        seconds: about how long it may take.
        shuffle: as for ``model.fit``, whose default is True: another PyDataset's batches are asked for in a random
            order. A Sequence's come in its own.

    Returns:
        A `Profile`: prints a table, shows itself in a notebook, ``to_json()``.

    Raises:
        OptionError: not a PyDataset, no batches, or a model that isn't compiled.

    For more than this answers, take a function that reads ``[dataset[i] for i in range(100)]`` to Python's own
    ``cProfile`` (every call, at some cost), or run the script under ``py-spy record --native`` (threads and C too).

    >>> import vaex, numpy as np, vaxseq
    >>> frame = vaex.from_arrays(x=np.arange(10_000.0), y=np.arange(10_000))
    >>> found = profile(vaxseq.Sequence(frame, inputs=["x"], targets="y"), seconds=0.2)
    >>> found.batch_rows, found.num_batches
    (1024, 10)
    """
    check_dataset(dataset)
    if model is not None:
        check_model(model)
    if isinstance(seconds, bool) or not seconds > 0:
        raise OptionError(f"seconds: got {seconds!r}, expected a number above 0")
    if is_sequence(dataset):
        measured = _sequence(dataset, model, seconds / 6)
    else:
        measured = _other(dataset, model, seconds / 6, shuffle)
    facts, loaded = measured
    return Profile(
        dataset=type(dataset).__name__,
        num_batches=int(dataset.num_batches),
        batch_rows=facts.batch_rows,
        batch_bytes=loaded.bytes,
        loader_s=facts.loader_s,
        loader_cpu_s=loaded.cpu_s,
        loader_waited_s=facts.loader_waited_s,
        step_s=facts.step_s,
        fit_s=facts.fit_s,
        waiting=facts.waiting,
        stages=facts.stages,
        disk_bytes=loaded.disk_bytes,
        major_faults=loaded.major_faults,
        memory_bytes=memory_bytes(),
        packed=facts.packed,
        advice=advise(facts),
    )


def _sequence(dataset: Any, model: Any, share: float) -> tuple[Facts, Loaded]:
    """One of ours, on a copy, in its own order, which fit asks for whatever its shuffle= is."""
    subject = resized(dataset, dataset.batch_size)
    inside = insides(subject)
    # the pass over the data that scatters it is an epoch's, not a batch's
    loaded = load(subject, share, shuffle=False, skipped=_BEFORE_IN_TURN if inside.way == "scattered" else 0)
    large = None
    if loaded.rows < _SMALL_ROWS and dataset.num_rows >= _SCALE * loaded.rows and inside.way != "scattered":
        large = load(resized(dataset, _SCALE * dataset.batch_size), share / 2, shuffle=False)
    to_tensors(loaded.kept[0])  # the first of a shape is compiled, which isn't a batch's time
    stages = measure_parts(inside, lambda epoch: batch_order(subject, epoch, shuffle=False), share)
    large_batch = None if large is None else large.kept[0]
    under = _under(model, subject, loaded.kept, large_batch, share, shuffle=False)
    bigger = None if large is None else Bigger(large.rows, large.each_s, under.large_s)
    stored = inside.stored
    packed = [] if stored else packed_files(inside.source.files())
    facts = _facts(
        loaded, under, stages, packed, bigger, None, ours=True, stored=stored, one_by_one=inside.way == "one by one",
        accelerator=_accelerator(model, dataset),
    )  # fmt: skip
    return facts, loaded


def _other(dataset: Any, model: Any, share: float, shuffle: bool) -> tuple[Facts, Loaded]:
    """Somebody else's, with its own ``__getitem__``."""
    loaded = load(dataset, 2 * share, shuffle=shuffle, stacks=True)
    large = joined(loaded.kept[:_SCALE]) if loaded.rows < _SMALL_ROWS and len(loaded.kept) > 1 else None
    under = _under(model, dataset, loaded.kept, large, share, shuffle)
    bigger = None if large is None else Bigger(rows_of(large), None, under.large_s)
    stages = (*loaded.stages, Stage("tensors", "", _tensors_s(loaded.kept), 0.0))
    held = reachable_hdf5(dataset)
    others = packed_files(path for path in open_files() if path not in {one.path for one in held})
    facts = _facts(
        loaded, under, stages, [*held, *others], bigger, None, ours=False, stored=False,
        accelerator=_accelerator(model, None),
    )  # fmt: skip
    return facts, loaded


def _accelerator(model: Any, sequence: Any) -> Accelerator | None:
    """Where the model works, if that isn't the processor, and how a Sequence's batches get there."""
    found = None if model is None else on_accelerator(sequence)
    return None if found is None else Accelerator(*found)


class _Under(NamedTuple):
    """Steps of a model: on batches in memory, on the dataset, and the seconds of one on a larger batch."""

    steps: Steps | None = None
    fit: Steps | None = None
    large_s: float | None = None


def _under(model: Any, dataset: Any, kept: list[Any], large: Any, share: float, shuffle: bool) -> _Under:
    if model is None:
        return _Under()
    with unchanged(model, kept[0]):
        last = dataset[int(dataset.num_batches) - 1]
        if rows_of(last) != rows_of(kept[0]):
            step_fit(model, [last], 0)  # an odd last batch has a shape of its own, which JAX and TensorFlow compile
        steps = step_fit(model, kept, share)
        fit = timed_fit(model, dataset, 2 * share, shuffle=shuffle)
        large_s = None if large is None else step_fit(model, [large], share / 2).each_s
    return _Under(steps, fit, large_s)


def _facts(
    loaded: Loaded,
    under: _Under,
    stages: tuple[Stage, ...],
    packed: list[Packed],
    bigger: Bigger | None,
    in_order_s: float | None,
    *,
    ours: bool,
    stored: bool,
    one_by_one: bool = False,
    accelerator: Accelerator | None = None,
) -> Facts:
    return Facts(
        ours=ours,
        stored=stored,
        batch_rows=loaded.rows,
        loader_s=loaded.each_s,
        loader_waited_s=loaded.waited_s,
        step_s=None if under.steps is None else under.steps.each_s,
        fit_s=None if under.fit is None else under.fit.each_s,
        waiting=_waiting(under, loaded.each_s),
        stages=stages,
        packed=tuple(map(str, packed)),
        held=bool(packed) and all(one.held for one in packed),
        bigger=bigger,
        in_order_s=in_order_s,
        children_s=loaded.children_s,
        target_spread=loaded.target_spread,
        one_by_one=one_by_one,
        accelerator=accelerator,
    )


def _waiting(under: _Under, loader_s: float) -> float | None:
    """The share of a step that waits for data; where other threads read, what the step takes longer than without.

    That is the difference of two fits, which vary by themselves; no step waits longer than a batch takes to load.
    """
    if under.steps is None or under.fit is None:
        return None
    if under.fit.waited_s is not None:
        return under.fit.waited_s / under.fit.seconds
    return max(0.0, min(under.fit.each_s - under.steps.each_s, loader_s)) / under.fit.each_s


def _tensors_s(batches: list[Any]) -> float:
    to_tensors(batches[0])
    start = time.perf_counter()
    for batch in batches:
        to_tensors(batch)
    return (time.perf_counter() - start) / len(batches)
