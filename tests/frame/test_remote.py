"""Datasets in object stores: the same bits as from a local disk, in every order, whatever the network does."""

from __future__ import annotations

import asyncio
import os
import pickle
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest
from s3_proxy import READS, Proxy, s3_behind_proxy
from s3_server import HOST, credentials

from vaxseq.convert import convert
from vaxseq.dataset import objects, remote_file
from vaxseq.dataset.block_cache import BlockCache
from vaxseq.errors import DatasetError, OptionError, SourceError, SourceNotFoundError
from vaxseq.frame import open as open_dataset
from vaxseq.frame import remote, source_of
from vaxseq.store import materialize
from vaxseq.training.sequence import Sequence

ROWS = 60_000


def table() -> pa.Table:
    draw = np.random.default_rng(7)
    return pa.table(
        {
            "x": draw.normal(size=ROWS),
            "i": pa.array(draw.integers(0, 9, ROWS), mask=draw.random(ROWS) < 0.1),
            "s": [f"w{k % 7}" if k % 11 else None for k in range(ROWS)],
            "text": [f"row {k}" for k in range(ROWS)],
            "b": pa.array(draw.random(ROWS) < 0.5, mask=draw.random(ROWS) < 0.2),
            "t": pa.array(np.arange(ROWS) * 10**9, pa.timestamp("ns")),
            "a": pa.FixedSizeListArray.from_arrays(pa.array(draw.normal(size=3 * ROWS).astype("f4")), 3),
            "y": draw.integers(0, 2, ROWS),
        }
    )


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    """A folder of three fragments, the last ones appended, with words that the first doesn't have."""
    folder = tmp_path_factory.mktemp("local") / "ds"
    whole = table()
    for number in range(3):
        part = whole.slice(number * ROWS // 3, ROWS // 3)
        words = pa.array([f"part {number}" if k % 5 == 0 else w for k, w in enumerate(part["s"].to_pylist())])
        part = part.set_column(2, "s", words)
        convert(part, folder, append=bool(number), progress=False)
    return folder


@pytest.fixture(autouse=True)
def cold(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(objects, "FIRST_WAIT_S", 0.001)
    remote_file._held.clear()


@pytest.fixture
def lake(local, lake):
    """With the dataset in it."""
    lake.put(f"{local}/", "/lake/ds/", recursive=True)
    return lake


def check_equal(here: Any, there: Any) -> None:
    ours, theirs = source_of(here), source_of(there)
    assert ours.names == theirs.names
    assert ours.types() == theirs.types()
    ids = np.random.default_rng(1).integers(0, ours.n_rows, 3000)
    for name in ours.names:
        for one, other in (
            (ours.read([name], 777, 45_001), theirs.read([name], 777, 45_001)),
            (ours.gather([name], ids), theirs.gather([name], ids)),
            (ours.read([name], 5, 5), theirs.read([name], 5, 5)),
        ):
            a, b = one[name], other[name]
            assert (a.kind, len(a.data)) == (b.kind, len(b.data)), name
            if a.kind == "text":
                assert a.data.to_pylist() == b.data.to_pylist(), name
                continue
            assert a.data.dtype == b.data.dtype, name
            missing = a.is_missing()
            assert (missing == b.is_missing()).all(), name
            assert a.data[~missing].tobytes() == b.data[~missing].tobytes(), name


def check_orders(here: Any, there: Any, orders: tuple[Any, ...] = (False, "block", "global")) -> None:
    for shuffle in orders:
        options: dict[str, Any] = {"inputs": ["x", "a"], "targets": "y", "batch_size": 1000, "shuffle": shuffle}
        ours, theirs = Sequence(here, seed=3, **options), Sequence(there, seed=3, **options)
        for epoch in (0, 1):
            for number in range(len(ours)):
                for one, other in zip(ours.batch(epoch, number), theirs.batch(epoch, number), strict=True):
                    assert np.asarray(one).tobytes() == np.asarray(other).tobytes(), (shuffle, epoch, number)
                assert ours.row_ids(number, epoch).tolist() == theirs.row_ids(number, epoch).tolist()


def test_columns_orders_filters_and_stores_are_as_from_a_local_disk(local, lake, tmp_path) -> None:
    here, there = open_dataset(local), open_dataset("memory://lake/ds")
    assert len(there) == ROWS
    assert there.y.sum() == here.y.sum()
    assert there[there.i > 4].y.sum() == here[here.i > 4].y.sum()
    assert there[10_000:30_000].text.tolist() == here[10_000:30_000].text.tolist()
    check_equal(here, there)
    check_equal(here[here.i > 4], there[there.i > 4])
    check_equal(here, pickle.loads(pickle.dumps(there)))
    assert len(pickle.dumps(there)) < 4000
    check_orders(here, there)
    made = [
        materialize(one, None, tmp_path / f"{name}.h5", inputs=["x", "a"], targets="y", shuffle_seed=5, progress=False)
        for name, one in (("here", here), ("there", there))
    ]
    for one, other in zip(made[0].arrays(), made[1].arrays(), strict=True):
        assert one.tobytes() == other.tobytes()


def test_few_fragments_are_held_and_all_are_read(local, lake, monkeypatch) -> None:
    monkeypatch.setattr(remote, "_KEPT_FRAGMENTS", 1)
    there = open_dataset("memory://lake/ds")
    check_equal(open_dataset(local), there)
    assert len(there.dataset.rows.fragments._kept) == 1


def test_only_what_is_asked_for_is_fetched_and_only_once(lake) -> None:
    frame = open_dataset("memory://lake/ds")
    source_of(frame).read(["x"], 0, ROWS)
    before = remote_file.fetched[0]
    remote_file._held.clear()
    source_of(frame).read(["x"], 0, ROWS)
    assert remote_file.fetched[0] == before  # from the local disk
    whole = sum(one["size"] for one in lake.ls("/lake/ds", detail=True))
    remote_file._held.clear()
    uncached = open_dataset("memory://lake/ds", cache_bytes=0)
    source_of(uncached).read(["x"], 0, ROWS)
    assert 0 < remote_file.fetched[0] - before < whole


def test_a_block_that_was_changed_is_told(local, lake) -> None:
    frame = open_dataset("memory://lake/ds", cache_bytes=0)
    place = "/lake/ds/part-00000.arrow"
    content = bytearray(lake.cat(place))
    at = content.index(np.asarray(table()["x"][:4].to_numpy()).tobytes())
    content[at] ^= 1
    lake.pipe(place, bytes(content))
    remote_file._held.clear()
    with pytest.raises(DatasetError, match=r"memory://lake/ds/part-00000.arrow: bytes .* replaced since.*damaged"):
        source_of(frame).read(["x"], 0, 10)
    lake.pipe(place, bytes(content[:-100]))
    with pytest.raises(DatasetError, match=r"fragment 'part-00000.arrow' has .* expected"):
        open_dataset("memory://lake/ds")
    lake.rm(place)
    with pytest.raises(DatasetError, match=r"fragment 'part-00000.arrow' of its manifest isn't there"):
        open_dataset("memory://lake/ds")


def test_what_cannot_be_done_at_a_url_is_said(lake, tmp_path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"memory://lake/none: no dataset is there"):
        open_dataset("memory://lake/none")
    with pytest.raises(OptionError, match="signed and chained"):
        open_dataset("https://host/ds?X-Amz-Signature=f00")
    with pytest.raises(OptionError, match="cache_bytes: got -1"):
        open_dataset("memory://lake/ds", cache_bytes=-1)
    convert(pa.table({"x": [1]}), tmp_path / "h", target_format="hdf5", progress=False)
    lake.put(f"{tmp_path}/h/", "/lake/h/", recursive=True)
    with pytest.raises(DatasetError, match="hdf5 files is read from a local disk only"):
        open_dataset("memory://lake/h")


def blocks_in(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.rglob("*") if one.is_file() and one.name != "bytes")


def test_the_cache_is_bounded_and_drops_what_was_not_used_for_longest(tmp_path) -> None:
    cache = BlockCache(tmp_path / "c", 100 * 108)
    for number in range(50):
        cache.put(f"{number:04d}", bytes([number]) * 100)
    for number in range(0, 50, 2):
        os.utime(tmp_path / "c" / "00" / f"{number:04d}", ns=(0, 0))
    assert cache.get("0000") == bytes(100)  # used now
    for number in range(100, 160):
        cache.put(f"{number:04d}", bytes([number]) * 100)
        assert blocks_in(tmp_path / "c") <= 100 * 108
    assert cache.get("0000") == bytes(100)
    assert cache.get("0002") is None
    assert cache.get("0159") == bytes([159]) * 100
    cache.put("big", bytes(10**6))
    assert cache.get("big") is None


def test_a_torn_block_and_a_draft_of_a_killed_process_are_removed(tmp_path) -> None:
    cache = BlockCache(tmp_path / "c", 1000)
    cache.put("aa1", b"x" * 100)
    place = tmp_path / "c" / "aa" / "aa1"
    place.write_bytes(place.read_bytes()[:50])
    assert cache.get("aa1") is None
    assert not place.exists()
    draft = tmp_path / "c" / "aa" / "aa9.draft"
    draft.write_bytes(b"y" * 900)
    for number in range(12):
        cache.put(f"aa{number}", bytes(100))
    assert not draft.exists()
    assert blocks_in(tmp_path / "c") <= 1000


def test_room_is_made_among_its_own_files_only(tmp_path) -> None:
    others = [tmp_path / "c" / name for name in ("photos/a.jpg", "bb/thesis.txt")]
    for one in others:
        one.parent.mkdir(parents=True)
        one.write_bytes(b"mine" * 500)
    cache = BlockCache(tmp_path / "c", 1000)
    for number in range(30):
        cache.put(f"bb{number}", bytes(100))
    assert [one.read_bytes() for one in others] == [b"mine" * 500] * 2
    assert cache.get("bb0") is None and cache.get("bb29") == bytes(100)


WRITER = """
import sys
from pathlib import Path
from vaxseq.dataset.block_cache import BlockCache
cache = BlockCache(Path(sys.argv[1]), 200_000)
number = 0
while True:
    name = f"{number % 97:04d}"
    found = cache.get(name)
    assert found is None or found == name.encode() * 1000, name
    cache.put(name, name.encode() * 1000)
    number += int(sys.argv[2])
"""


@pytest.mark.slow
def test_processes_share_the_cache_and_are_killed_at_it(python, tmp_path) -> None:
    for _ in range(3):
        started = [
            python.popen(["-c", WRITER, tmp_path / "c", step], stderr=subprocess.PIPE) for step in ("1", "5", "7")
        ]
        while not (tmp_path / "c" / "00").is_dir() and all(one.poll() is None for one in started):
            time.sleep(0.01)
        time.sleep(0.3)
        for one in started:
            assert one.poll() is None, one.communicate()[1]
            one.kill()
            one.communicate()
        cache = BlockCache(tmp_path / "c", 200_000)
        cache.put("last", b"z" * 4000)
        assert blocks_in(tmp_path / "c") <= 200_000 + 4008  # and a draft that the kill left
        for path in (tmp_path / "c" / "00").iterdir():
            if path.suffix != ".draft":  # of a killed one; nobody asks for it
                assert cache.get(path.name) in (path.name.encode() * 1000, None)


@pytest.fixture
def bucket(local, monkeypatch, s3_port):
    """The dataset in a real S3 server, behind the proxy."""
    with s3_behind_proxy(monkeypatch, s3_port) as client:
        for path in local.iterdir():
            client.put_object(Bucket="lake", Key=f"ds/{path.name}", Body=path.read_bytes())
        yield client


@pytest.mark.server
@pytest.mark.slow
def test_s3_with_fifty_faults_loses_no_row(local, bucket) -> None:
    here = open_dataset(local)
    Proxy.delay_s = 0.002
    Proxy.faults = READS * 10
    random.seed(1)
    passes = 0
    while Proxy.faults and passes < 40:
        remote_file._held.clear()
        there = open_dataset("s3://lake/ds", cache_bytes=0)
        check_orders(here, there, (False, "block", "global") if passes == 0 else (False,))
        passes += 1
    assert len(Proxy.done) == 50
    check_equal(here, open_dataset("s3://lake/ds"))


@pytest.mark.server
@pytest.mark.slow
def test_s3_errors_name_the_place_and_no_secret(bucket) -> None:
    with pytest.raises(SourceNotFoundError, match="s3://lake/none: no dataset is there"):
        open_dataset("s3://lake/none")
    frame = open_dataset("s3://lake/ds", cache_bytes=0)
    remote_file._held.clear()
    Proxy.faults, Proxy.share = ["503"] * 10_000, 1.0
    fsspec.filesystem("s3").retries = 1
    source = source_of(frame)
    with pytest.raises(SourceError, match=r"s3://lake/ds/part-0000.\.arrow: can't be read: ") as caught:
        source.read(["x"], 0, ROWS)
    assert "testing-secret" not in str(caught.value)


def test_a_server_that_refuses_at_once_is_told_without_secrets(tmp_path) -> None:
    with pytest.raises(SourceError, match=r"ftp://u@127.0.0.1:9/a.csv: can't be reached: Conn") as caught:
        convert("ftp://u:hunter2@127.0.0.1:9/a.csv", tmp_path / "o.arrow", progress=False)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("failing", ["about", "read"])
def test_a_store_that_is_down_is_told_in_seconds_however_long_each_attempt_takes(monkeypatch, failing) -> None:
    """The store's own library repeats what it asks for, too."""
    clock = [0.0]
    monkeypatch.setattr(objects.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(objects.time, "sleep", lambda _: None)

    def refuse(*_: object, **__: object) -> Any:
        clock[0] += 7
        if failing == "about":
            raise ConnectionRefusedError("nobody listens")
        return [ConnectionRefusedError("nobody listens")]

    memory = fsspec.filesystem("memory")
    monkeypatch.setattr(memory, "info", refuse)
    monkeypatch.setattr(memory, "cat_ranges", refuse)
    with pytest.raises(SourceError, match="memory://lake/x: can't be read: ConnectionRefusedError"):
        objects.about("memory://lake/x") if failing == "about" else objects.read_ranges(
            [objects.Range("memory://lake/x", 0, 8)]
        )
    assert clock[0] == 14


def test_ranges_that_come_one_by_one_are_waited_for(monkeypatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(objects.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(objects.time, "sleep", lambda _: None)

    def one_more(paths: list[str], *_: object, **__: object) -> Any:
        clock[0] += 30
        return [b"x" * 8, *(OSError("timed out") for _ in paths[1:])]

    monkeypatch.setattr(fsspec.filesystem("memory"), "cat_ranges", one_more)
    asked = [objects.Range("memory://lake/x", 8 * k, 8 * k + 8) for k in range(4)]
    assert objects.read_ranges(asked) == [b"x" * 8] * 4


def test_an_address_where_nobody_listens_is_told_in_seconds(monkeypatch) -> None:
    pytest.importorskip("s3fs")
    for name, value in credentials(f"http://{HOST}:9").items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    waited: list[float] = []
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda delay, *rest: (waited.append(delay), sleep(0, *rest))[1])
    monkeypatch.setattr(objects, "time", SimpleNamespace(monotonic=lambda: sum(waited), sleep=waited.append))
    with pytest.raises(SourceError, match="s3://lake/ds/manifest.json: can't be read: EndpointConnectionError"):
        open_dataset("s3://lake/ds")
    assert 1 < sum(waited) < objects.PATIENCE_S + 16  # botocore alone repeats it five times, for up to 15 s


def test_threads_share_what_is_on_its_way(lake) -> None:
    frame = open_dataset("memory://lake/ds", cache_bytes=0)
    source = source_of(frame)
    source.read(["y"], 0, 1)
    before = remote_file.fetched[0]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: source.read(["x"], 0, 15_000)["x"].data.tobytes(), range(8)))
    assert len(set(found)) == 1
    assert remote_file.fetched[0] - before <= 2 * remote_file.CHUNK_BYTES
