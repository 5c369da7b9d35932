"""The profile's advice: what to do, by what was measured. Plain values in, plain values out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from vaxseq.profile.measurement import TITLES, Advice, Stage

_BOUND_WAIT_SHARE = 0.1  # of a step may go into waiting before the data is said to be the bottleneck
_MIN_GAIN = 1.15  # a gain below isn't worth a line, or is noise
_MIN_GAIN_OF_BIGGER_BATCHES = 1.5  # rows a second that bigger batches must bring to be called for
_SCATTERED_GAIN = 30  # of a scatter over reading row by row; measured: 50 to 1,000
_MIXED_BADLY = 1.5  # of 32 batches, the spread is known to an eighth
_LEADING_SHARE = 0.2  # of the work on a batch is worth naming
_PROCESSES = "waiting for processes"
_READING = ("reading", "decompressing", "in pandas", "in vaex", "in Arrow", "in polars")


class Bigger(NamedTuple):
    """What batches of another size measured: seconds to load one, and seconds of a step on one, or None."""

    rows: int
    loader_s: float | None
    step_s: float | None


class Accelerator(NamedTuple):
    """What the model works on beside the processor, and where batches are before they are asked for.

    ``ahead``: ``fit`` has them put there; ``kept``: they are gathered from rows there; ``fits``: these rows would fit.
    """

    name: str
    ahead: bool = False
    kept: bool = False
    fits: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What was measured; times in seconds per batch.

    ``ours``: the dataset is a Sequence, which reads ahead. ``held``: its packed files were unpacked when opened.
    """

    ours: bool
    stored: bool
    batch_rows: int
    loader_s: float
    loader_waited_s: float
    step_s: float | None
    fit_s: float | None
    waiting: float | None
    stages: tuple[Stage, ...]
    packed: tuple[str, ...]
    held: bool
    bigger: Bigger | None
    in_order_s: float | None
    children_s: float
    target_spread: float | None = None
    one_by_one: bool = False
    accelerator: Accelerator | None = None

    @property
    def copying_s(self) -> float:
        """Until a batch is tensors where the model works; a part of a step."""
        return sum(stage.seconds for stage in self.stages if stage.kind == "tensors")

    @property
    def work_s(self) -> float:
        """The loader's work on a batch, in one thread."""
        return sum(stage.seconds for stage in self.stages if stage.kind != "tensors") or self.loader_s

    def share(self, *kinds: str) -> float:
        """Of the work on a batch, what these kinds of stages take."""
        return sum(stage.seconds for stage in self.stages if stage.kind in kinds) / self.work_s

    @property
    def bound_by_model(self) -> bool:
        return self.waiting is not None and self.waiting < _BOUND_WAIT_SHARE

    def gain(self, loader_share: float) -> float:
        """How many times as many rows a second if this share of the loader's work were gone."""
        left = self.loader_s * (1 - min(loader_share, 0.999))
        if self.step_s is None or self.fit_s is None:
            return self.loader_s / left
        return max(1.0, self.fit_s / (max(self.step_s, left) if self.ours else self.step_s + left))


def advise(facts: Facts) -> tuple[Advice, ...]:
    """In order of gain, at least one; the first is the verdict.

    The model's being the bottleneck comes first where it is so; only what a step does beside the model's work, bigger
    batches and copies to its device, can come before it.
    """
    found = [one for one in _all(facts) if one.gain >= _MIN_GAIN]
    found.sort(key=lambda one: -one.gain)
    notes = [] if any(one.verdict == "compressed" for one in found) else list(_unpacked(facts))
    notes += _mixing(facts)
    if facts.bound_by_model:
        small = [one for one in found if one.verdict in ("batch_size", "device")]
        return (*small, _model(facts), *notes)
    return (*found, *notes) if found or notes else (_fine(facts),)


def _all(facts: Facts) -> Iterator[Advice]:
    yield from _batch_size(facts)
    yield from _packed(facts)
    yield from _storage(facts)
    yield from _features(facts)
    yield from _augment(facts)
    yield from _lines(facts)
    yield from _order(facts)
    yield from _scratch(facts)
    yield from _tensors(facts)
    yield from _ahead(facts)


def _model(facts: Facts) -> Advice:
    assert facts.fit_s is not None
    assert facts.waiting is not None
    times = facts.fit_s * (1 - facts.waiting) / facts.loader_s
    if times < _MIN_GAIN:
        text = f"Training hardly waits for data ({facts.waiting:.1%} of a step), but the loader has nothing to spare."
    else:
        text = (
            f"The model is the bottleneck: the loader could feed {_times(times)} more. "
            "Look at the model, the device and the precision; the data needs nothing."
        )
    return Advice("model", text, 1.0)


def _fine(facts: Facts) -> Advice:
    if facts.step_s is None:
        text = "Nothing stands out. Pass model= to see whether the model would wait for this loader at all."
    else:
        share = f"{facts.waiting:.0%}" if facts.waiting is not None else "part"
        text = (
            f"Waiting for data takes {share} of a step, and no piece of the work stands out. "
            "A packed store is the fastest there is: vaxseq.materialize."
        )
    return Advice("loader", text, 1.0)


def _batch_size(facts: Facts) -> Iterator[Advice]:
    bigger = facts.bigger
    if bigger is None:
        return
    scale = bigger.rows / facts.batch_rows
    if facts.step_s is not None and facts.fit_s is not None and bigger.step_s is not None:
        # a loader that can't be tried with bigger batches is taken to cost the same for each row
        load = bigger.loader_s if bigger.loader_s is not None else facts.loader_s * scale
        ahead = max(bigger.step_s, load) if facts.ours else bigger.step_s + load
        gain = facts.fit_s * scale / ahead
    elif bigger.loader_s is not None:
        gain = facts.loader_s * scale / bigger.loader_s
    else:
        return
    if gain >= _MIN_GAIN_OF_BIGGER_BATCHES:
        yield Advice(
            "batch_size",
            f"Batches of {facts.batch_rows:,} rows are small: most of the time goes into the fixed cost of a step. "
            f"batch_size={bigger.rows:,} does {_times(gain)} as many rows a second (scale the learning rate with it).",
            gain,
        )


def _packed(facts: Facts) -> Iterator[Advice]:
    if not facts.packed or facts.held:
        return
    reading = [stage for stage in facts.stages if stage.kind == "column" or stage.doing.startswith(_READING)]
    share = sum(stage.seconds for stage in reading) / facts.work_s
    if share >= _LEADING_SHARE:
        yield Advice(
            "compressed",
            f"{_first_file(facts)}: {share:.0%} of the time goes into reading it. "
            "Convert it once, to a file that is mapped: vaxseq convert.",
            facts.gain(share),
        )


def _unpacked(facts: Facts) -> Iterator[Advice]:
    """Reading costs little, since the file was unpacked whole: its memory is the matter."""
    if facts.packed and facts.held:
        yield Advice(
            "compressed",
            f"{_first_file(facts)}: its columns are held in memory, unpacked, however large they are. "
            "Convert it once, to a file that is mapped: vaxseq convert.",
            1.0,
        )


def _first_file(facts: Facts) -> str:
    more = len(facts.packed) - 1
    return facts.packed[0] + (f" (and {more} more)" if more else "")


def _storage(facts: Facts) -> Iterator[Advice]:
    waited = sum(stage.waited_s for stage in facts.stages if stage.doing != _PROCESSES)
    share = waited / facts.work_s
    if share >= _LEADING_SHARE:
        cure = "Copy the data to a local disk, or keep it there as a packed store (vaxseq.materialize)"
        more = "" if facts.ours else "; a vaxseq.Sequence also reads ahead while the model trains"
        yield Advice(
            "storage",
            f"{share:.0%} of a batch's time is waiting for storage, not work. {cure}{more}.",
            facts.gain(share),
        )


def _features(facts: Facts) -> Iterator[Advice]:
    if not facts.ours or facts.stored:
        return
    # a stage's own waiting is the storage's, not the feature's
    costs = {
        stage: (stage.seconds - stage.waited_s) / facts.work_s
        for stage in facts.stages
        if stage.kind in ("feature", "virtual column")
    }
    leading = sorted((stage for stage in costs if costs[stage] >= _LEADING_SHARE), key=lambda stage: -costs[stage])
    total = sum(costs[stage] for stage in leading)
    if not leading:
        return
    listed = " and ".join(f"{TITLES[stage.kind]} {stage.name!r} {costs[stage]:.0%}" for stage in leading[:3])
    yield Advice(
        "feature",
        f"{listed[0].upper()}{listed[1:]} of the time: compute it once "
        "with vaxseq.materialize and read it with store=.",
        facts.gain(total),
    )


def _augment(facts: Facts) -> Iterator[Advice]:
    share = facts.share("augment")
    if share >= _LEADING_SHARE:
        pooled = any(stage.kind == "augment" and stage.doing == _PROCESSES for stage in facts.stages)
        cure = (
            "It runs in processes as it is: more of them help as long as processors are left (augment_workers)."
            if pooled
            else "If it must be Python, let it run in a process pool (augment_workers)."
        )
        yield Advice(
            "augment",
            f"Augmentation takes {share:.0%} of the time. Work on whole arrays instead of row by row. {cure}",
            facts.gain(share),
        )


def _lines(facts: Facts) -> Iterator[Advice]:
    """The user's own code, function by function."""
    functions: dict[tuple[str, str], float] = {}
    where: dict[tuple[str, str], Stage] = {}
    for stage in facts.stages:
        if stage.kind != "line":
            continue
        kind = stage.doing if stage.doing == _PROCESSES else "work"
        if stage.waited_s > stage.seconds / 2 and kind == "work":
            continue  # the storage's
        if facts.packed and stage.doing.startswith(_READING):
            continue  # the file's
        key = (kind, stage.name.partition(" at ")[0])
        functions[key] = functions.get(key, 0.0) + stage.seconds
        if key not in where or stage.seconds > where[key].seconds:
            where[key] = stage
    for (kind, function), spent in functions.items():
        share = spent / facts.work_s
        if share < _LEADING_SHARE:
            continue
        line = where[kind, function]
        if kind == _PROCESSES:
            yield Advice(
                "processes",
                f"`{line.name}` waits for other processes {share:.0%} of the time, in which they work "
                f"{facts.children_s / facts.loader_s:.1f} processors' worth. Arrays are pickled there and back: send "
                "row numbers instead of arrays, or use vaxseq.Sequence(augment=), which shares memory.",
                facts.gain(share),
            )
        else:
            doing = f", {line.doing}" if line.doing else ""
            yield Advice(
                "code",
                f"`{line.name}` takes {share:.0%} of a batch{doing}. If it runs item by item, do it once for the whole "
                "batch, or declare it as a feature of a vaxseq.Sequence, which computes by chunks and reads ahead.",
                facts.gain(share),
            )


def _order(facts: Facts) -> Iterator[Advice]:
    if facts.in_order_s is not None:
        gain = facts.gain(1 - facts.in_order_s / facts.loader_s) if facts.in_order_s < facts.loader_s else 1.0
        yield Advice(
            "order",
            f"Keras asks for the batches in a random order, so each is read alone: {_times(gain)} faster in turn. "
            "Pass shuffle=False to fit, and shuffle rows with the Sequence's own shuffle=.",
            gain,
        )


def _scratch(facts: Facts) -> Iterator[Advice]:
    if facts.one_by_one:
        yield Advice(
            "order",
            "The data is larger than memory and its order is global, so each row is read by itself, many times slower "
            "than in order. Give scratch= (or VAXSEQ_SCRATCH) a folder on a disk with room for an epoch's arrays, or "
            'take shuffle="block".',
            facts.gain(1 - 1 / _SCATTERED_GAIN),
        )


def _mixing(facts: Facts) -> Iterator[Advice]:
    if facts.target_spread is not None and facts.target_spread >= _MIXED_BADLY:
        yield Advice(
            "order",
            f"The target's mean varies {facts.target_spread:.1f} times as much from batch to batch as in a uniform "
            'shuffle, so training sees the data in lumps. A Sequence\'s shuffle="global" brings it to 1, "block" near '
            "it.",
            1.0,
        )


def _tensors(facts: Facts) -> Iterator[Advice]:
    spent = facts.copying_s
    if facts.fit_s is None or spent <= _LEADING_SHARE * facts.fit_s:
        return
    if facts.accelerator is not None:
        yield from _device(facts, facts.accelerator, facts.fit_s)
        return
    yield Advice(
        "tensors",
        f"Turning arrays into tensors takes {spent / facts.fit_s:.0%} of a step: give contiguous float32 arrays, "
        "and few large inputs instead of many small ones.",
        facts.fit_s / (facts.fit_s - spent / 2),
    )


def _device(facts: Facts, accelerator: Accelerator, fit_s: float) -> Iterator[Advice]:
    """A step was measured with its copy in it; ahead of time, the copy costs no more than what it takes longer."""
    if accelerator.kept:
        return
    spent = facts.copying_s
    beside = max(fit_s - spent, spent)
    copies = f"Copying a batch to {accelerator.name} takes {spent / fit_s:.0%} of a step"
    if not facts.ours:
        cure = 'A vaxseq.Sequence puts batches there ahead (device="auto"), or keeps rows there (store="device").'
        yield Advice("device", f"{copies}, while the model waits. {cure}", fit_s / beside)
    elif accelerator.fits:
        cure = 'The rows served fit there: with store="device" they are copied once, and batches gathered on it'
        more = "." if accelerator.ahead else ', or with device="auto" put there ahead, while the model works.'
        yield Advice("device", f"{copies}. {cure}{more}", fit_s / (fit_s - spent))
    elif not accelerator.ahead:
        cure = 'With device="auto" they are put there ahead, while the model works.'
        yield Advice("device", f"{copies}, while the model waits. {cure}", fit_s / beside)
    elif 2 * spent > fit_s:
        half = max(fit_s - spent, spent / 2)
        cure = "Fewer bytes a row are there sooner: dtype: float16 for a block, codes that the model embeds or expands."
        yield Advice("device", f"{copies}: copies made ahead are waited for as well. {cure}", spent / half)


def _ahead(facts: Facts) -> Iterator[Advice]:
    if facts.ours or facts.step_s is None:
        return
    gain = (facts.step_s + facts.loader_s) / max(facts.step_s, facts.loader_s)
    yield Advice(
        "read_ahead",
        "Reading and training take turns here: a loader that reads ahead, such as a vaxseq.Sequence, does both "
        "at once.",
        gain,
    )


def _times(value: float) -> str:
    return f"{value:.0f}×" if value >= 10 else f"{value:.1f}×"
