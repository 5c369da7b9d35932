"""Many reads or writes in one call: the file's bytes, however many, and where the system has no queue for them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaxseq.frame import queued_io
from vaxseq.frame.pages import PAGE, PAST_CACHE, aligned_bytes
from vaxseq.frame.queued_io import read_pieces, write_pieces

PAGES = 300


@pytest.fixture(scope="module")
def content() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, PAGES * PAGE - 100, np.uint8)


@pytest.fixture(scope="module")
def file(content: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    path = tmp_path_factory.mktemp("queued") / "f"
    path.write_bytes(content.tobytes())
    opened = os.open(path, os.O_RDONLY)
    if PAST_CACHE:
        with contextlib.suppress(OSError):  # some file systems have no such reads
            fcntl.fcntl(opened, fcntl.F_SETFL, PAST_CACHE)
    yield opened
    os.close(opened)


def check(file: int, content: np.ndarray, begins: list[int], pages: list[int]) -> None:
    offsets, sizes = np.array(begins) * PAGE, np.array(pages) * PAGE
    memory, places = aligned_bytes(int(sizes.sum())), np.cumsum(sizes) - sizes
    came = read_pieces(file, offsets, sizes, memory, places)
    for low, size, place, count in zip(offsets, sizes, places, came, strict=True):
        assert count == min(size, len(content) - low)
        np.testing.assert_array_equal(memory[place : place + count], content[low : low + count])


@given(st.lists(st.tuples(st.integers(0, PAGES - 1), st.integers(1, 5)), max_size=80))
def test_pieces_are_the_files_bytes_in_any_number(
    file: int, content: np.ndarray, pieces: list[tuple[int, int]]
) -> None:
    check(file, content, [one for one, _ in pieces], [one for _, one in pieces])


@pytest.mark.parametrize("why", ["another system", "refused"])
def test_without_a_queue_they_are_read_one_by_one(
    why: str, file: int, content: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queued_io, "_here", type("Here", (), {})())
    if why == "refused":

        def refuse(*given: object) -> int:
            queued_io.ctypes.set_errno(errno.EPERM)
            return -1

        monkeypatch.setattr(queued_io, "_system", lambda: refuse)
    else:
        monkeypatch.setattr(queued_io.sys, "platform", "darwin")
    check(file, content, [7, 0, 299], [2, 1, 1])
    assert not hasattr(queued_io._here, "queue")


@pytest.mark.parametrize("queue", [True, False])
@pytest.mark.parametrize("count", [1, 3, 200])
def test_what_is_written_is_read(count: int, queue: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not queue:
        monkeypatch.setattr(queued_io, "_queue", lambda: None)
    rng, file = np.random.default_rng(count), os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    if PAST_CACHE:
        with contextlib.suppress(OSError):
            fcntl.fcntl(file, fcntl.F_SETFL, PAST_CACHE)
    memory = aligned_bytes(count * 2 * PAGE).reshape(count, -1)
    memory[:] = rng.integers(0, 255, memory.shape, np.uint8)
    offsets = rng.permutation(count) * 2 * PAGE
    write_pieces(file, offsets, list(memory))
    os.close(file)
    written = np.frombuffer((tmp_path / "f").read_bytes(), np.uint8).reshape(count, -1)
    np.testing.assert_array_equal(written[offsets // (2 * PAGE)], memory)


@pytest.mark.parametrize("queue", [True, False])
def test_a_write_that_comes_short_goes_on(queue: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, write = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT), os.pwrite
    pieces = [np.full(PAGE, fill, np.uint8) for fill in (1, 2)]

    class Short:
        def move(self, what: int, file: int, offsets: np.ndarray, *given: np.ndarray) -> np.ndarray:
            return np.array([write(file, pieces[0][:70].data, PAGE), 0])

    monkeypatch.setattr(queued_io, "_queue", Short if queue else lambda: None)
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: write(file, data[:1000], at))
    write_pieces(file, np.array([PAGE, 0]), pieces)
    os.close(file)
    assert (tmp_path / "f").read_bytes() == b"\2" * PAGE + b"\1" * PAGE


def test_an_error_of_a_write_is_raised(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    file, memory = os.open(tmp_path / "f", os.O_RDONLY), aligned_bytes(2 * PAGE).reshape(2, -1)
    with pytest.raises(OSError, match="Bad file descriptor"):
        write_pieces(file, np.array([0, PAGE]), list(memory))
    os.close(file)


def test_an_error_of_a_read_is_raised(tmp_path: Path) -> None:
    sizes, memory = np.array([PAGE, PAGE]), aligned_bytes(2 * PAGE)
    (tmp_path / "f").touch()
    file = os.open(tmp_path / "f", os.O_WRONLY)
    with pytest.raises(OSError, match="Bad file descriptor"):
        read_pieces(file, np.array([0, PAGE]), sizes, memory, np.array([0, PAGE]))
    os.close(file)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_a_forks_child_makes_a_queue_of_its_own(file: int, content: np.ndarray) -> None:
    check(file, content, [1, 2], [1, 1])
    child = os.fork()
    if not child:
        status = 1
        try:
            check(file, content, [5, 290], [3, 2])
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    check(file, content, [1, 2], [1, 1])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux queues reads")
def test_queues_end_with_their_threads(file: int, content: np.ndarray) -> None:
    ended = []
    really = queued_io._Queue.__del__

    class Told(queued_io._Queue):
        def __del__(self) -> None:
            ended.append(self)
            really(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queued_io, "_Queue", Told)
        thread = threading.Thread(target=check, args=(file, content, [1, 2], [1, 1]))
        thread.start()
        thread.join()
    assert len(ended) == 1
