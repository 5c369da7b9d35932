"""Packed stores in a bucket: made once, fetched once by each machine, and never trusted unchecked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from s3_proxy import READS, WRITES, Proxy, s3_behind_proxy

import vaxseq as vs
from vaxseq.dataset import objects
from vaxseq.errors import OptionError, StoreError
from vaxseq.store import at_url, materializing

URL = "memory://lake/features.h5"
PLAIN: dict[str, Any] = {"inputs": ["x"], "targets": "y", "progress": False}


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path) -> None:
    on_machine("one", monkeypatch, tmp_path)
    monkeypatch.setattr(objects, "FIRST_WAIT_S", 0.001)


def on_machine(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From now on the cache is another machine's."""
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path / name))


@pytest.fixture
def frame(tmp_path) -> Any:
    draw = np.random.default_rng(0)
    table = pa.table({"x": draw.normal(size=5000), "z": draw.normal(size=5000), "y": np.arange(5000)})
    vs.convert(table, tmp_path / "a.arrow", progress=False)
    return vs.open(tmp_path / "a.arrow")


def bits(stored: Any) -> list[bytes]:
    return [one.tobytes() for one in (*stored.arrays(), stored.row_ids())]


def test_it_is_made_once_and_fetched_once_by_each_machine(frame, lake, tmp_path, monkeypatch) -> None:
    alone = vs.materialize(frame, None, tmp_path / "s.h5", shuffle_seed=3, **PLAIN)
    made = vs.materialize(frame, None, URL, shuffle_seed=3, **PLAIN)
    assert bits(made) == bits(alone)
    assert vs.verify(URL, progress=False).size_bytes == os.path.getsize(made.path)
    monkeypatch.setattr(materializing._Run, "write", lambda *_: pytest.fail("made again"))
    monkeypatch.setattr(at_url, "put_file", lambda *_: pytest.fail("sent again"))
    assert bits(vs.materialize(frame, None, URL, shuffle_seed=3, **PLAIN)) == bits(alone)
    on_machine("two", monkeypatch, tmp_path)
    options = {"inputs": ["x"], "targets": "y", "batch_size": 100}
    here = vs.Sequence(frame, store=tmp_path / "s.h5", **options)
    for _ in range(2):
        there = vs.Sequence(frame, store=URL, **options)
        for one, other in zip(here.batch(0, 7), there.batch(0, 7), strict=True):
            assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
        monkeypatch.setattr(at_url, "fetch_file", lambda *_: pytest.fail("fetched again"))


def test_another_one_is_refused_replaced_and_fetched_anew(frame, lake, tmp_path, monkeypatch) -> None:
    vs.materialize(frame, None, URL, **PLAIN)
    with pytest.raises(StoreError) as refused:
        vs.materialize(frame, None, URL, **{**PLAIN, "inputs": ["z"]})
    assert any("is the copy of memory://lake/features.h5" in note for note in refused.value.__notes__)
    on_machine("two", monkeypatch, tmp_path)
    other = vs.materialize(frame, None, URL, overwrite=True, **{**PLAIN, "inputs": ["z"]})
    on_machine("one", monkeypatch, tmp_path)
    assert bits(vs.materialize(frame, None, URL, **{**PLAIN, "inputs": ["z"]})) == bits(other)


def test_a_sequence_makes_it_where_it_is_not_there(frame, lake) -> None:
    train = vs.Sequence(frame, inputs=["x"], targets="y", batch_size=100, store=URL)
    assert np.asarray(train.batch(0, 3)[1]).tolist() == list(range(300, 400))
    assert lake.exists("/lake/features.h5")


def test_what_is_damaged_or_cannot_be_a_store_is_said(frame, lake, tmp_path, monkeypatch) -> None:
    vs.materialize(frame, None, URL, **PLAIN)
    content = bytearray(lake.cat("/lake/features.h5"))
    content[len(content) // 2] ^= 1
    lake.pipe("/lake/features.h5", bytes(content))
    with pytest.raises(StoreError, match="memory://lake/features.h5: isn't a store as materialize wrote it: its bytes"):
        vs.materialize(frame, None, URL, **PLAIN)
    vs.materialize(frame, None, URL, overwrite=True, **PLAIN)
    assert vs.verify(URL, progress=False).files
    with pytest.raises(OptionError, match="can be read, not written"):
        vs.materialize(frame, None, "https://127.0.0.1:9/s.h5", overwrite=True, **PLAIN)
    with pytest.raises(OptionError, match="a store is an HDF5 file"):
        vs.materialize(frame, None, "memory://lake/s.arrow", **PLAIN)


def killed(surroundings: dict[str, str], data: str) -> None:
    """Runs in a process of its own, which ends when the store is to be sent."""
    os.environ.update(surroundings)
    at_url.put_file = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    vs.materialize(vs.open(data), None, "s3://lake/features.h5", **PLAIN)


@pytest.mark.server
@pytest.mark.slow
def test_s3_killed_and_with_faults(frame, tmp_path, forkserver, monkeypatch, s3_port) -> None:
    with s3_behind_proxy(monkeypatch, s3_port) as bucket:
        run = forkserver.Process(target=killed, args=(dict(os.environ), str(tmp_path / "a.arrow")))
        run.start()
        run.join()
        assert run.exitcode == -signal.SIGKILL
        assert "Contents" not in bucket.list_objects_v2(Bucket="lake")
        written = materializing._Run.write
        monkeypatch.setattr(materializing._Run, "write", lambda *_: pytest.fail("made again"))
        Proxy.faults, Proxy.write_faults, Proxy.share = READS[:3], WRITES[1:], 1.0
        made = vs.materialize(frame, None, "s3://lake/features.h5", **PLAIN)  # what was made is sent
        monkeypatch.setattr(materializing._Run, "write", written)
        on_machine("two", monkeypatch, tmp_path)
        assert bits(vs.materialize(frame, None, "s3://lake/features.h5", **PLAIN)) == bits(made)
        assert Proxy.done


def test_copies_are_bounded_and_those_in_use_stay(frame, lake, tmp_path, monkeypatch) -> None:
    urls = [f"memory://lake/{name}.h5" for name in "abc"]
    made = [vs.materialize(frame, None, url, **PLAIN) for url in urls[:2]]
    size = os.path.getsize(made[0].path)
    monkeypatch.setattr(at_url, "_MOST_BYTES", int(2.5 * size))
    made.append(vs.materialize(frame, None, urls[2], **PLAIN))
    assert all(os.path.exists(one.path) for one in made), "this process has used all of them"
    at_url._in_use.clear()  # as if it had ended
    for age, one in enumerate(made):
        os.utime(Path(one.path).parent / "used", (1000 - age, 1000 - age))  # the last one for longest
    options = {"inputs": ["x"], "targets": "y", "batch_size": 100}
    assert len(vs.Sequence(frame, store=urls[2], **options)) == 50  # in use, and now used last
    assert [os.path.exists(one.path) for one in made] == [True, False, True]
    assert len(vs.Sequence(frame, store=urls[1], **options)) == 50  # fetched anew, and the first one goes
    assert [os.path.exists(one.path) for one in made] == [False, True, True]


def test_what_else_lies_among_the_copies_stays(frame, lake, monkeypatch) -> None:
    folder = Path(vs.materialize(frame, None, URL, **PLAIN).path).parent
    stores = folder.parent
    strangers = [stores / ".DS_Store", stores / "mine" / "notes.txt", folder / "aside" / "notes.txt"]
    for path in strangers:
        path.parent.mkdir(exist_ok=True)
        path.write_text("kept")
    monkeypatch.setattr(at_url, "_MOST_BYTES", 0)
    assert os.path.exists(vs.materialize(frame, None, "memory://lake/other.h5", **PLAIN).path)
    at_url._in_use.clear()
    vs.materialize(frame, None, "memory://lake/third.h5", **PLAIN)
    assert not list(folder.glob("*.h5"))
    assert [path.read_text() for path in strangers] == ["kept"] * 3


def test_copies_without_a_mark_of_use_count_and_go_by_their_folder_s_time(frame, lake, monkeypatch) -> None:
    made = [vs.materialize(frame, None, f"memory://lake/{name}.h5", **PLAIN) for name in "abc"]
    folders = [Path(one.path).parent for one in made]
    at_url._in_use.clear()
    (folders[1] / "used").unlink()
    for folder, age in zip(folders, (3000, 1000, 2000), strict=True):
        os.utime(folder / "used" if folder != folders[1] else folder, (age, age))
    monkeypatch.setattr(at_url, "_MOST_BYTES", int(2.5 * os.path.getsize(made[0].path)))
    at_url._make_room(folders[0].parent)
    assert [os.path.exists(one.path) for one in made] == [True, False, True]
    at_url._make_room(folders[0].parent)
    assert [os.path.exists(one.path) for one in made] == [True, False, True], "what is left is within the bound"


def test_another_process_s_copy_stays(frame, lake, tmp_path, monkeypatch) -> None:
    made = vs.materialize(frame, None, URL, **PLAIN)
    folder = Path(made.path).parent
    at_url._in_use.clear()
    program = (
        f"import fcntl; file = open({str(folder / 'used')!r}); fcntl.flock(file, fcntl.LOCK_SH); print(1, flush=True)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{program}; input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    monkeypatch.setattr(at_url, "_MOST_BYTES", 0)
    at_url._make_room(folder.parent)
    assert os.path.exists(made.path)
    holder.communicate(b"\n")
    at_url._make_room(folder.parent)
    assert sorted(one.name for one in folder.iterdir()) == ["lock", "used"]
