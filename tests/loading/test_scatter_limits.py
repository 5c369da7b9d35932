"""Where there is no room for scratch, or something fails on the way: what is said, and that nothing is left behind."""

from __future__ import annotations

import errno
import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vaex
from prepared import PreparedPython

from vaxseq.dataset.memory_limit import memory_allowed, memory_room
from vaxseq.errors import MissingValueError, OptionError, ScratchError
from vaxseq.loading.scatter import folder, scratch_file, strategy
from vaxseq.loading.scatter.bucket import Bucket
from vaxseq.loading.scatter.buckets import Buckets
from vaxseq.loading.scatter.epoch import EpochBuckets
from vaxseq.training.sequence import Sequence

ROWS = 30_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    rng = np.random.default_rng(0)
    hole = rng.random(ROWS)
    hole[20_000] = np.nan
    path = tmp_path_factory.mktemp("limits") / "d.hdf5"
    vaex.from_arrays(a=rng.random(ROWS), hole=hole).export_hdf5(str(path))
    return str(path)


@pytest.fixture(autouse=True)
def little_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VAXSEQ_MEMORY", "200kB")
    monkeypatch.setenv("VAXSEQ_SCRATCH", str(tmp_path))


def make(path: str, **options: Any) -> Sequence:
    return Sequence(path, **{"inputs": ["a"], "batch_size": 500, "shuffle": "global"} | options)


def kind(sequence: Sequence) -> str:
    return sequence._pipeline.way(sequence._plan).kind


def read(sequence: Sequence) -> None:
    for index in range(len(sequence)):
        sequence.batch(0, index)


def test_a_missing_value_is_told_once_the_rows_are_scattered(data: str) -> None:
    sequence = make(data, inputs=["hole"])
    with pytest.raises(MissingValueError, match="row ids 20000"):
        read(sequence)


@pytest.mark.parametrize("at", ["write_pieces", "reserve"])
def test_a_disk_that_fills_up_is_told(at: str, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sequence = make(data)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(scratch_file, at, full)
    with pytest.raises(
        ScratchError, match=f"{tmp_path} can't take the 0.00 GB of an epoch .No space left.*scratch=None"
    ):
        read(sequence)
    monkeypatch.undo()
    with pytest.raises(ScratchError, match="can't take"):
        read(sequence)


def test_a_disk_that_fills_up_later_is_told_before_an_epoch_lacks_rows(data: str, monkeypatch: Any) -> None:
    check, write, scattered = Buckets.check, scratch_file.write_pieces, []

    def checked(buckets: Buckets) -> None:
        check(buckets)
        scattered.append(buckets)

    def until_then(*given: Any) -> None:
        if scattered:  # the first epoch's rows are: these would be the second's
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(*given)

    monkeypatch.setattr(Buckets, "check", checked)
    monkeypatch.setattr(scratch_file, "write_pieces", until_then)
    sequence = make(data, batch_size=100)
    with pytest.raises(ScratchError, match="can't take"):
        [sequence.batch(epoch, index) for epoch in (0, 1) for index in range(len(sequence))]
    assert scattered


def test_rows_whose_space_another_thread_gave_back_are_scattered_again(data: str, monkeypatch: Any) -> None:
    load, lost = EpochBuckets.load, []

    def freed(held: EpochBuckets, number: int) -> Bucket | None:
        if number == 1 and not lost:
            lost.append(held)
            held.moved(number, held.buckets.rows_of(number))
            held.served(number, held.buckets.rows_of(number))
        return load(held, number)

    monkeypatch.setattr(EpochBuckets, "load", freed)
    sequence = make(data)
    found = [sequence.batch(0, index) for index in range(len(sequence))]
    monkeypatch.undo()
    monkeypatch.setenv("VAXSEQ_MEMORY", "1GB")
    expected = make(data)
    assert kind(expected) == "memory" and lost
    for index, batch in enumerate(found):
        np.testing.assert_array_equal(batch, expected.batch(0, index))


def test_a_named_folder_without_room_is_refused(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategy, "room", lambda folder: 1000)
    with pytest.raises(ScratchError, match=r"has 0\.00 GB free of the 0\.00 GB that an epoch takes\. Make room"):
        make(data, scratch=tmp_path)
    assert kind(make(data)) == "one by one"


def test_without_scratch_the_cost_is_told_before_the_first_batch(data: str, monkeypatch: Any, caplog: Any) -> None:
    monkeypatch.setattr("vaxseq.loading.scatter.expectation._LONG_S", 0)
    with caplog.at_level(logging.WARNING, "vaxseq"):
        sequence = make(data, scratch=None)
    assert kind(sequence) == "one by one"
    told = caplog.records[0].getMessage()
    assert "scratch=None forbids scratch files" in told and "rows/s as measured" in told and 'shuffle="block"' in told
    read(sequence)
    assert "row by row from the disk" in repr(sequence)


def test_memory_is_no_scratch_unless_it_is_named(data: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folder, "file_system", lambda path: "tmpfs")
    assert kind(make(data)) == "scattered"  # VAXSEQ_SCRATCH names it
    monkeypatch.delenv("VAXSEQ_SCRATCH")
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path / "cache"))
    assert kind(make(data)) == "one by one"
    assert kind(make(data, scratch=tmp_path)) == "scattered"
    monkeypatch.setattr(folder, "file_system", lambda path: "ext4")
    assert kind(make(data)) == "scattered"


@pytest.mark.parametrize(
    ("scratch", "told"), [(3, "got 3, expected 'auto'"), ("/no/such/folder", "no folder '/no/such/folder'")]
)
def test_what_is_no_folder_is_refused(data: str, scratch: Any, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        make(data, scratch=scratch)


def test_the_way_and_its_cost_are_told(data: str, tmp_path: Path) -> None:
    sequence = make(data)
    shown = repr(sequence)
    assert f"scattered over 0.00 GB of scratch in {tmp_path}" in shown and "rows/s, the first after" in shown
    told = sequence.describe()
    assert ROWS * 8 <= told.scratch_bytes < ROWS * 9 and told.first_batch_s is not None and told.expected_s is not None
    assert told.way.startswith("scattered over")
    assert kind(make(data, shuffle=False)) == "in order"
    assert kind(make(data, shuffle="block")) == "in blocks"


@pytest.mark.slow
def test_a_kill_leaves_nothing(keras_python: PreparedPython, data: str, tmp_path: Path) -> None:
    code = (
        "import sys; from vaxseq.training.sequence import Sequence\n"
        "made = Sequence(sys.argv[1], inputs=['a'], batch_size=500, shuffle='global')\n"
        "for epoch in range(100_000):\n"
        "    for index in range(len(made)): made.batch(epoch, index)\n"
        "    print(epoch, flush=True)\n"
    )
    running = keras_python.popen(["-c", code, data])
    assert running.stdout is not None
    assert running.stdout.readline() == "0\n"
    links = [os.readlink(one) for one in Path(f"/proc/{running.pid}/fd").iterdir() if one.exists() or one.is_symlink()]
    assert any(link.startswith(str(tmp_path)) for link in links), "no scratch file is open"
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_program_that_ends_does_not_wait_for_an_epoch(keras_python: PreparedPython, data: str) -> None:
    code = (
        "import sys, time; from vaxseq.training.sequence import Sequence\n"
        "from vaxseq.loading.readers.frame import FrameReader\n"
        "read = FrameReader.read\n"
        "def slow(*given, **named): time.sleep(0.05); return read(*given, **named)\n"
        "FrameReader.read = slow\n"
        "made = Sequence(sys.argv[1], inputs=['a'], batch_size=4, shuffle='global', read_ahead=8)\n"
        "made._epochs.whole.loader._chunk_for(0, 0)\n"
        "for index in range(3): made._epochs.whole.loader._chunk_for(0, index)\n"
        "time.sleep(0.3); print('done', flush=True)\n"
    )
    running = keras_python.popen(["-c", code, data])
    assert running.stdout is not None
    assert running.stdout.readline() == "done\n"
    begun = time.monotonic()
    running.communicate(timeout=60)
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(("told", "size"), [("1000", 1000), ("1.5 GB", 1_500_000_000), ("2m", 2_000_000)])
def test_memory_may_be_told(told: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAXSEQ_MEMORY", told)
    assert memory_allowed() == memory_room() == size


def test_memory_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAXSEQ_MEMORY", "much")
    with pytest.raises(OptionError, match="VAXSEQ_MEMORY: got 'much', expected a number of bytes"):
        memory_allowed()


def test_memory_left_is_less_than_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAXSEQ_MEMORY")
    allowed, left = memory_allowed(), memory_room()
    assert allowed is not None and left is not None and 0 < left < allowed
