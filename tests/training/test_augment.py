"""Augmentation by a pool: what a thread would make, in memory that leaves no trace, whatever happens to a process."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vaxseq.errors import AugmentError, OptionError
from vaxseq.training.augment_pool import AugmentPool, ProcessDiedError
from vaxseq.training.augmenting import augmented

# Processes import this file: vaex and Keras are imported where they are needed.


def change(batch: Any, rng: np.random.Generator) -> Any:
    """Changes some parts in place, gives new arrays for others, and another shape for "twice"."""
    x, y, weight = batch
    x["noisy"] += rng.normal(size=x["noisy"].shape)
    given = {name: part if name == "noisy" else part[..., ::-1] for name, part in x.items()}
    if "twice" in x:
        given["twice"] = np.stack([x["twice"], rng.random(x["twice"].shape)], axis=1)
    return given, y, None if weight is None else weight * 2


class UnsendableError(Exception):
    """Pickle makes it again with one argument, and fails."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def trouble(batch: Any, rng: np.random.Generator) -> Any:
    """What a batch's first number asks for."""
    first = float(batch[0].flat[0])
    if first == 13:
        raise UnsendableError(1, 2)
    if first == 14:
        raise ZeroDivisionError("no way")
    if first == 15:
        os.kill(os.getpid(), signal.SIGKILL)
    return batch[0] + 1, *batch[1:]


def meet(batch: Any, rng: np.random.Generator) -> Any:
    """Goes on once another process is at work, too."""
    folder = Path(os.environ["VAXSEQ_TEST_FOLDER"])
    (folder / str(os.getpid())).touch()
    end = time.monotonic() + 30
    while len(list(folder.iterdir())) < 2:
        if time.monotonic() > end:
            (folder / "nobody came").touch()
        time.sleep(0.01)
    return batch


def some_batch(rows: int, seed: int, *, twice: bool = False, weighted: bool = True) -> Any:
    rng = np.random.default_rng(seed)
    x = {"noisy": rng.random((rows, 5, 3)), "plain": rng.integers(0, 255, (rows, 7), np.uint8)}
    if twice:
        x["twice"] = rng.random((rows, 40), np.float32)
    return x, rng.integers(0, 9, rows), rng.random(rows, np.float32) if weighted else None


def arrays_of(batch: Any) -> list[Any]:
    return [*(batch[0].values() if isinstance(batch[0], dict) else batch[:1]), *batch[1:]]


def assert_equal(one: Any, two: Any) -> None:
    for a, b in zip(arrays_of(one), arrays_of(two), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
        assert getattr(a, "dtype", None) == getattr(b, "dtype", None)


@pytest.fixture(scope="module")
def changing() -> AugmentPool:
    return AugmentPool(change, 1)


@pytest.fixture(scope="module")
def troubled() -> AugmentPool:
    return AugmentPool(trouble, 1)


@pytest.mark.slow
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_process_makes_what_a_thread_makes(changing: AugmentPool, twice: bool, weighted: bool) -> None:
    for sizes in ([8], [8, 8, 8, 3], [1], [600, 20]):
        keys = [(seed, 1, 2) for seed in range(len(sizes))]
        make = partial(some_batch, twice=twice, weighted=weighted)
        wanted = [augmented(change, make(rows, key[0]), key) for rows, key in zip(sizes, keys, strict=True)]
        given = [make(rows, key[0]) for rows, key in zip(sizes, keys, strict=True)]
        for one, two, batch in zip(changing.run(given, keys), wanted, given, strict=True):
            assert_equal(one, two)
            assert one[0]["noisy"] is batch[0]["noisy"]  # copied back into the memory that was there
            assert all(array is None or array.flags.owndata for array in arrays_of(one))


@pytest.mark.slow
def test_an_error_is_that_of_its_batch_alone(troubled: AugmentPool) -> None:
    batches = [(np.full((4, 2), float(value)), np.arange(4)) for value in (1, 13, 14, 2)]
    one, two, three, four = troubled.run(batches, [(0, 0, i) for i in range(4)])
    assert_equal(one, (np.full((4, 2), 2.0), np.arange(4)))
    assert_equal(four, (np.full((4, 2), 3.0), np.arange(4)))
    assert isinstance(three, ZeroDivisionError)
    assert "in trouble\n" in three.__notes__[0]
    assert isinstance(two, RuntimeError)
    assert str(two) == "UnsendableError: 1 and 2"


@pytest.mark.slow
def test_a_process_that_died_is_told_and_replaced(troubled: AugmentPool) -> None:
    with pytest.raises(ProcessDiedError, match=r"was killed \(short of memory\?\) or crashed"):
        troubled.run([(np.full(3, 15.0),)], [(0, 0, 0)])
    (after,) = troubled.run([(np.full(3, 1.0),)], [(0, 0, 0)])
    assert_equal(after, (np.full(3, 2.0),))


@pytest.mark.slow
@pytest.mark.backend
def test_a_crash_names_its_batch_and_spares_the_others(caplog: pytest.LogCaptureFixture) -> None:
    import vaex

    from vaxseq.training.sequence import Sequence

    frame = vaex.from_arrays(x=np.arange(10.0, 50.0))
    data = Sequence(frame, inputs=["x"], batch_size=5, augment=trouble, augment_workers=1, rows=slice(3, None))
    for number in range(len(data)):
        if number:
            assert np.asarray(data[number][0])[0, 0] == 14 + 5 * number
        else:
            with pytest.raises(AugmentError, match=r"batch 0 of epoch 0 failed.*1 and 2; its 5 row ids: 3, 4, 5"):
                data[0]
    rows = slice(5, None)
    data = Sequence(frame, inputs=["x"], batch_size=5, augment=trouble, augment_workers=1, rows=rows)
    with caplog.at_level(logging.WARNING, "vaxseq"):
        crashed = pytest.raises(AugmentError, match=r"batch 0 of epoch 0 failed.*was killed.*its 5 row ids: 5, 6")
        with crashed:
            data.batch(0, 0)
        assert [np.asarray(data.batch(0, number)[0])[0, 0] for number in (1, 2, 3)] == [21, 26, 31]
        with crashed:
            data.batch(0, 0)
    assert "starting anew" in caplog.text


@pytest.mark.slow
@pytest.mark.backend
def test_a_sequence_serves_the_same_by_pool_and_by_threads() -> None:
    import vaex

    from vaxseq import Window
    from vaxseq.training.sequence import Sequence

    rng = np.random.default_rng(0)
    columns = {name: rng.random(900) for name in ("a", "b", "w", "y")}
    frame = vaex.from_arrays(**columns, image=rng.random((900, 4, 5), np.float32))
    plain: dict[str, Any] = {"inputs": {"noisy": ["a", "b"], "image": "image"}, "targets": "y", "sample_weight": "w"}
    kinds: list[dict[str, Any]] = [
        plain | {"shuffle": "global"},
        plain | {"pad": True, "batch_size": 250},
        plain | {"window": Window(6, stride=2), "shuffle": "block", "inputs": {"noisy": ["a", "b"], "c": "b"}},
    ]
    for kind in kinds:
        options = {"batch_size": 64, "augment": change} | kind
        threads, pool = Sequence(frame, **options), Sequence(frame, **options, augment_workers=1)
        for epoch in range(2):
            for number in range(len(pool)):
                assert_equal(pool.batch(epoch, number), threads.batch(epoch, number))


@pytest.mark.slow
@pytest.mark.backend
def test_all_processes_are_at_work_though_a_chunk_is_one_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import vaex

    from vaxseq.training.sequence import Sequence

    monkeypatch.setenv("VAXSEQ_TEST_FOLDER", str(tmp_path))
    frame = vaex.from_arrays(x=np.arange(1000 * 300.0).reshape(1000, 300))
    data = Sequence(frame, inputs="x", batch_size=1000 // 12, augment=meet, augment_workers=2)
    data._epochs.whole.loader.chunk_batches = 1
    (tmp_path / "somebody").touch()
    for number in range(3):  # the third is the first for which others are read ahead
        data.batch(0, number)
    # what is read ahead by now has met somebody; one that begins later would wait for a process that has no more to do
    while time.time() - max(path.stat().st_mtime for path in tmp_path.iterdir()) < 2:
        time.sleep(0.1)
    for path in tmp_path.iterdir():
        path.unlink()
    for number in range(3, 11):
        data.batch(0, number)
    assert all(path.name.isdigit() for path in tmp_path.iterdir()), "one process was left to work alone"


def inside(pid: int) -> bool:
    """Whether a process is there, and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], seconds: float = 30) -> bool:
    """Whether these processes end within a while."""
    end = time.monotonic() + seconds
    while any(map(inside, pids)):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def shared_files() -> list[str]:
    """Shared memory that this process has open, and all that has a name."""
    links = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            links.append(os.readlink(path))
        except OSError:  # the folder's own
            continue
    return sorted(link for link in links if "memfd:vaxseq" in link) + named()


def named() -> list[str]:
    """Shared memory in the system's folder; a test server's and the names of semaphores come and go."""
    return sorted(name for name in os.listdir("/dev/shm") if not name.startswith(("sem.", "PostgreSQL.", "pytest-of-")))


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@linux
@pytest.mark.slow
def test_nothing_is_left_of_a_pool_that_is_gone() -> None:
    gc.collect()
    before = shared_files()
    pool = AugmentPool(trouble, 2)
    (kept,) = pool.run([(np.zeros((100, 100)),)], [(0, 0, 0)])
    pids = [one.pid for one in pool._crew._executor._processes.values() if one.pid]
    assert len(pids) == 2
    assert len(shared_files()) >= len(before) + pool.tasks
    del pool
    gc.collect()
    assert shared_files() == before
    assert gone(pids)
    assert not isinstance(kept, Exception)
    assert kept[0].sum() == 100 * 100  # what was handed out lives on


SCRIPT = """
import os, sys, time
import numpy as np
from vaxseq.training.augment_pool import AugmentPool

def slowly(batch, rng):
    time.sleep({seconds})
    return batch

if __name__ == "__main__":
    from concurrent.futures import ThreadPoolExecutor
    pool = AugmentPool(slowly, 2)
    pool.run([(np.zeros(1000),)], [(0, 0, 0)])
    print(*[one.pid for one in pool._crew._executor._processes.values()], flush=True)
    ThreadPoolExecutor(1).submit(pool.run, [(np.zeros(1000),)], [(0, 0, 0)])
    time.sleep({then})
"""


@linux
@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_processes_end_with_their_parent(tmp_path: Path, killed: bool) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(seconds=0.2, then=60 if killed else 0.1))
    before = named()
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as main:
        assert main.stdout is not None
        pids = [int(pid) for pid in main.stdout.readline().split()]
        assert len(pids) == 2
        if killed:
            time.sleep(0.1)
            main.kill()
        assert gone([*pids, main.pid])
        assert main.stderr is not None
        said = main.stderr.read()
        assert not said or (killed and "leaked semaphore objects to clean up" in said)  # Python's own, which it removes
    assert main.returncode == (-signal.SIGKILL if killed else 0)
    assert named() == before


def test_processes_of_a_pool_start_without_keras_and_vaex() -> None:
    code = "import sys, vaxseq.training.augment_pool; print({'keras', 'vaex'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_a_function_that_processes_cannot_import_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match=r"can't import .*<lambda>.*Give a function of a module"):
        AugmentPool(lambda batch, rng: batch, 2)
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "typed_in", change, raising=False)
    monkeypatch.setattr(change, "__module__", "__main__")
    monkeypatch.setattr(change, "__qualname__", "typed_in")
    monkeypatch.delattr(main, "__file__", raising=False)
    monkeypatch.setattr(main, "__spec__", None)
    with pytest.raises(OptionError, match=r"can't import typed_in, which was made in a notebook.*Put it into a file"):
        AugmentPool(change, 2)
