"""The way from a raw file to a score, the same for each sample, through public names only."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt

import vaxseq as vs

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Job:
    """One sample: where it comes from, how it is split, what is trained and how that is scored."""

    title: str
    source: str
    definition: str
    dataset: str
    split: Mapping[str, Any]
    model: Callable[[Any], Any]  # a first batch's inputs -> a compiled Keras model
    epochs: int
    batch_size: int
    measure: str
    score: Callable[[Array, Array], float]
    baseline: str
    guess: Callable[[Array, int], Array]  # the training targets and a number of rows -> a trivial prediction of them
    on_missing: Literal["error", "drop"] = "error"


@dataclass(frozen=True)
class Step:
    """One line of the table."""

    name: str
    what: str
    rows: int
    size_bytes: int | None
    seconds: float


@dataclass
class Outcome:
    """What a job did, and how well its model does beside the trivial baseline."""

    job: Job
    score: float = float("nan")
    baseline: float = float("nan")
    steps: list[Step] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Time of all steps together."""
        return sum(step.seconds for step in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values that JSON can hold."""
        return {
            "sample": self.job.title.split(":")[0].lower(),
            "measure": self.job.measure,
            "score": self.score,
            "baseline": self.baseline,
            "seconds": self.seconds,
            "steps": [asdict(step) for step in self.steps],
        }


def run_job(job: Job, samples: Path, output: Path, *, seed: int, tell: Callable[[str], None]) -> Outcome:
    """Convert, split, fit, train and score one sample; files go to ``output``."""
    outcome = Outcome(job)
    clock = _Clock(outcome, tell)
    source, definition, path = samples / job.source, samples / job.definition, output / job.dataset

    clock.start("convert")
    manifest = vs.convert(source, path, overwrite=True, progress=False)
    clock.stop(f"{job.source} → {job.dataset}", manifest.n_rows, path.stat().st_size)

    clock.start("split")
    frame = vs.open(path)
    parts = vs.split(frame, seed=seed, **job.split)
    sizes = ", ".join(f"{name} {len(part):,}" for name, part in parts.items())
    clock.stop(f"by {job.split['by']}: {sizes}", len(frame))

    clock.start("fit")
    fitted = vs.FeatureSet.load(definition).fit(parts["train"], progress=False)
    state = output / job.definition.replace(".features.yaml", ".fitted.json")
    fitted.save(state)
    clock.stop(f"{job.definition} → {state.name}", len(parts["train"]), state.stat().st_size)

    clock.start("sequence")
    train = vs.Sequence(
        parts["train"], fitted, batch_size=job.batch_size, shuffle="global", seed=seed, on_missing=job.on_missing
    )
    test = vs.Sequence(parts["test"], fitted, batch_size=4096, on_missing=job.on_missing)
    first = train.batch(0, 0)
    clock.stop(f"{len(train)} batches of {_shapes(first[0])}", train.num_rows, _bytes(first) * len(train))

    clock.start("train")
    keras.utils.set_random_seed(seed)
    model = job.model(first[0])
    model.fit(train, epochs=job.epochs, verbose=0)
    clock.stop(f"{job.epochs} epochs, {model.count_params():,} weights", train.num_rows * job.epochs)

    clock.start("score")
    truth = _targets(test)
    predicted = model.predict(test, verbose=0)
    predicted = predicted[:, 0] if predicted.shape[1] == 1 else predicted
    outcome.score = job.score(truth, predicted)
    outcome.baseline = job.score(truth, job.guess(_targets(train), len(truth)))
    clock.stop(f"on rows held out: {job.measure} {outcome.score:.3f}", len(truth))
    return outcome


class _Clock:
    """Times the steps and keeps their lines."""

    def __init__(self, outcome: Outcome, tell: Callable[[str], None]) -> None:
        self._outcome, self._tell = outcome, tell
        self._name, self._began = "", 0.0

    def start(self, name: str) -> None:
        self._tell(f"{self._outcome.job.dataset.split('.')[0]}: {name}")
        self._name, self._began = name, time.perf_counter()

    def stop(self, what: str, rows: int, size_bytes: int | None = None) -> None:
        seconds = time.perf_counter() - self._began
        self._outcome.steps.append(Step(self._name, what, rows, size_bytes, seconds))


def _arrays(part: Any) -> list[Array]:
    return list(part.values()) if isinstance(part, dict) else [part]


def _shapes(inputs: Any) -> str:
    return " + ".join("×".join(map(str, np.shape(array))) for array in _arrays(inputs))


def _bytes(batch: tuple[Any, ...]) -> int:
    return sum(int(np.asarray(array).nbytes) for part in batch for array in _arrays(part))


def _targets(sequence: Any) -> Array:
    """The targets of an epoch, in the order of its batches."""
    return np.concatenate([np.asarray(sequence.batch(0, index)[1]) for index in range(len(sequence))])
