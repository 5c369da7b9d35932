"""Datasets made in object stores: the rows of a local conversion, whole or not there, whoever is killed or hurries."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from s3_proxy import WRITES, Proxy, s3_behind_proxy

from vaxseq.cli import main
from vaxseq.convert import compact, convert, stage, uploading
from vaxseq.convert.readers import delimited
from vaxseq.dataset import objects
from vaxseq.dataset.verifying import verify
from vaxseq.errors import DatasetError, OptionError, SourceError
from vaxseq.frame import open as open_dataset

LAKE = "memory://lake/ds"
SMALL = [(delimited, "_SMALLEST", 8_000), (delimited, "_ROWS", 1), (stage, "MIN_BATCH_ROWS", 400)]  # many fragments


@pytest.fixture(autouse=True)
def places(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VAXSEQ_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setattr(objects, "FIRST_WAIT_S", 0.001)
    for place, name, value in SMALL:
        monkeypatch.setattr(place, name, value)


@pytest.fixture
def bucket(monkeypatch, s3_port):
    with s3_behind_proxy(monkeypatch, s3_port) as client:
        yield client


def csv(folder: Path, name: str, first: int, rows: int, words: str = "ab") -> Path:
    table = pa.table(
        {
            "x": np.arange(first, first + rows),
            "v": np.arange(first, first + rows) / 8,
            "s": [words[k % len(words)] for k in range(rows)],
        }
    )
    pa.csv.write_csv(table, folder / name)
    return folder / name


def rows_at(where: Any) -> dict[str, list[Any]]:
    frame = open_dataset(where, cache_bytes=0)
    return {name: frame[name].tolist() for name in ("x", "v", "s")}


def scratch_left(tmp_path: Path) -> list[str]:
    return [str(one) for one in (tmp_path / "scratch").rglob("*") if one.is_file()]


def names(client: Any) -> set[str]:
    return {one["Key"].removeprefix("ds/") for one in client.list_objects_v2(Bucket="lake").get("Contents", [])}


def test_a_folder_in_a_store_is_what_a_local_one_is(tmp_path, lake) -> None:
    options: dict[str, Any] = {"fragment_bytes": 20_000, "progress": False}
    first, second = csv(tmp_path, "a.csv", 0, 3000), csv(tmp_path, "b.csv", 3000, 1000, "cdb")
    for target in (tmp_path / "ds", LAKE):
        convert(first, target, **options)
        made = convert(second, target, append=True, **options)
        assert made.n_rows == 4000
        assert made.location == str(target)
    assert rows_at(LAKE) == rows_at(tmp_path / "ds")
    local, there = (
        json.loads((tmp_path / "ds" / "manifest.json").read_text()),
        json.loads(lake.cat("/lake/ds/manifest.json")),
    )
    sizes = [[(one["rows"], one["size_bytes"]) for one in raw["fragments"]] for raw in (local, there)]
    assert sizes[0] == sizes[1]
    assert len(sizes[0]) > 2
    for raw in (local, there):
        del raw["fragments"], raw["checksum"]
    assert local == there
    assert verify(LAKE, progress=False).size_bytes == sum(one.size_bytes for one in made.fragments)
    assert scratch_left(tmp_path) == []
    lake.get("/lake/ds/", f"{tmp_path}/back/", recursive=True)  # a copy is a dataset as any other
    convert(csv(tmp_path, "c.csv", 4000, 10), tmp_path / "back", append=True, progress=False)
    convert(first, tmp_path / "back", overwrite=True, progress=False)
    convert(LAKE, tmp_path / "again.arrow", progress=False)  # in the manifest's order
    assert open_dataset(tmp_path / "again.arrow").x.tolist() == list(range(4000))


def test_overwrite_keeps_the_old_one_until_the_new_is_whole(tmp_path, lake, monkeypatch) -> None:
    source = csv(tmp_path, "a.csv", 0, 1000)
    convert(source, LAKE, progress=False)
    with pytest.raises(DatasetError, match="memory://lake/ds: the target exists already"):
        convert(source, LAKE, progress=False)
    old = rows_at(LAKE)
    bad = tmp_path / "bad.csv"
    bad.write_text("x,v,s\n1,2,a\nno,2,a\n")
    schema = {"columns": {"x": "int64"}}
    with pytest.raises(ValueError, match="no"):
        convert(bad, LAKE, overwrite=True, schema=schema, progress=False)
    assert rows_at(LAKE) == old

    seen = []
    put = uploading.put_if_unchanged

    def looked(url: str, *rest: Any) -> bool:
        seen.append(rows_at(LAKE))  # all fragments of the new one are there by now
        return put(url, *rest)

    monkeypatch.setattr(uploading, "put_if_unchanged", looked)
    made = convert(csv(tmp_path, "b.csv", 7, 500), LAKE, overwrite=True, fragment_bytes=5_000, progress=False)
    assert seen == [old]
    assert rows_at(LAKE)["x"] == list(range(7, 507))
    assert {one.path for one in made.fragments} | {"manifest.json"} == {
        one["name"].rpartition("/")[2] for one in lake.ls("/lake/ds", detail=True)
    }


def test_rejects_go_beside_it(tmp_path, lake) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("x\n1\nno\n2\n")
    made = convert(bad, LAKE, schema={"columns": {"x": "int64"}}, on_bad_rows="reject", progress=False)
    assert (made.n_rows, made.rejected_rows) == (2, 1)
    with lake.open("/lake/ds.rejects.parquet") as file:
        assert pa.parquet.read_table(file)["value"].to_pylist() == ["no"]


def test_what_cannot_be_a_target_is_said(tmp_path, lake) -> None:
    source = csv(tmp_path, "a.csv", 0, 10)
    for target, said in (
        ("https://host/ds", "can be read, not written"),
        ("memory://lake/ds?x=1", "signed and chained"),
        ("memory://lake/ds.arrow", "the name of one file"),
        ("nothing://lake/ds", "expected a scheme"),
    ):
        with pytest.raises((OptionError, SourceError), match=said):
            convert(source, target, progress=False)
    with pytest.raises(OptionError, match="target_format='hdf5', which can't be read in place"):
        convert(source, LAKE, target_format="hdf5", progress=False)
    with pytest.raises(OptionError, match="pass it as text|Pass it"):
        convert(source, Path("s3://lake/ds"), progress=False)
    with pytest.raises(OptionError, match="got a URL"):
        compact(LAKE)
    lake.pipe("/lake/other/notes.txt", b"mine")
    for options in ({}, {"overwrite": True}):
        with pytest.raises(DatasetError, match=r"memory://lake/other: not written: it holds 'notes.txt'"):
            convert(source, "memory://lake/other", progress=False, **options)
    lake.put_file(str(source), "/lake/raw/a.csv")
    with pytest.raises(OptionError, match="is there, and would be lost"):
        convert("memory://lake/raw/a.csv", "memory://lake/raw", progress=False)
    convert(source, f"file://{tmp_path}/plain", progress=False)
    assert rows_at(tmp_path / "plain")["x"] == list(range(10))


def between(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Has ``act`` done just before the first manifest is put, by a run with a scratch of its own."""
    put = uploading.put_if_unchanged
    mine = os.environ["VAXSEQ_SCRATCH"]
    acts = [act]

    def first(url: str, *rest: Any) -> bool:
        if acts:
            monkeypatch.setenv("VAXSEQ_SCRATCH", f"{mine}-other")
            acts.pop()()
            monkeypatch.setenv("VAXSEQ_SCRATCH", mine)
        return put(url, *rest)

    monkeypatch.setattr(uploading, "put_if_unchanged", first)


@pytest.mark.parametrize("words", ["ab", "xyz"])  # the dictionary goes on, or has to be made anew
def test_of_two_appends_at_once_none_is_lost(tmp_path, lake, monkeypatch, words) -> None:
    convert(csv(tmp_path, "a.csv", 0, 400), LAKE, progress=False)
    other, mine = csv(tmp_path, "b.csv", 400, 300, words), csv(tmp_path, "c.csv", 700, 200, "pq")
    conversions = []
    whole = uploading._Run._begin
    monkeypatch.setattr(uploading._Run, "_begin", lambda self, mark: (conversions.append(mark), whole(self, mark)))
    between(monkeypatch, lambda: convert(other, LAKE, append=True, progress=False))
    made = convert(mine, LAKE, append=True, progress=False)
    assert made.n_rows == 900
    found = rows_at(LAKE)
    assert found["x"] == list(range(900))
    assert found["s"] == [*"ab" * 200, *(words * 300)[:300], *"pq" * 100]
    assert len(conversions) == (2 if words == "ab" else 3)
    assert len(lake.ls("/lake/ds")) == 4
    assert scratch_left(tmp_path) == []


def test_the_same_source_appended_twice_at_once_is_taken_once(tmp_path, lake, monkeypatch) -> None:
    convert(csv(tmp_path, "a.csv", 0, 400), LAKE, progress=False)
    source = csv(tmp_path, "b.csv", 400, 300)
    between(monkeypatch, lambda: convert(source, LAKE, append=True, progress=False))
    with pytest.raises(DatasetError, match="is in the dataset already"):
        convert(source, LAKE, append=True, progress=False)
    assert rows_at(LAKE)["x"] == list(range(700))
    assert len(lake.ls("/lake/ds")) == 3  # what was sent in vain is gone


def test_batches_that_come_once_are_not_lost_in_silence(tmp_path, lake, monkeypatch) -> None:
    convert(csv(tmp_path, "a.csv", 0, 400), LAKE, progress=False)
    other = csv(tmp_path, "b.csv", 400, 300, "xyz")
    table = pa.table({"x": [1], "v": [1.0], "s": ["n"]})
    between(monkeypatch, lambda: convert(other, LAKE, append=True, progress=False))
    with pytest.raises(DatasetError, match="batches that come once can't be read again"):
        convert(iter(table.to_batches()), LAKE, append=True, progress=False)
    assert rows_at(LAKE)["x"] == list(range(700))
    between(monkeypatch, lambda: convert(csv(tmp_path, "c.csv", 0, 9, "z"), LAKE, append=True, progress=False))
    assert convert(table, LAKE, append=True, progress=False).n_rows == 710  # a table can


def test_of_two_first_conversions_at_once_the_later_is_refused(tmp_path, lake, monkeypatch) -> None:
    between(monkeypatch, lambda: convert(csv(tmp_path, "b.csv", 5, 50), LAKE, progress=False))
    with pytest.raises(DatasetError, match="the target exists already"):
        convert(csv(tmp_path, "a.csv", 0, 10), LAKE, progress=False)
    assert rows_at(LAKE)["x"] == list(range(5, 55))
    assert len(lake.ls("/lake/ds")) == 2


def test_what_stopped_runs_left_is_swept_when_it_is_old(tmp_path, lake, monkeypatch) -> None:
    lake.pipe("/lake/ds/part-00000-0123456789ab.arrow", b"half")
    convert(csv(tmp_path, "a.csv", 0, 10), LAKE, progress=False)
    assert lake.exists("/lake/ds/part-00000-0123456789ab.arrow")  # another run may be at it
    monkeypatch.setattr(uploading, "_LEFT_S", -60.0)
    convert(csv(tmp_path, "b.csv", 10, 10), LAKE, append=True, progress=False)
    assert not lake.exists("/lake/ds/part-00000-0123456789ab.arrow")
    assert rows_at(LAKE)["x"] == list(range(20))


def killed(
    surroundings: dict[str, str], source: str, options: dict[str, Any], name: str, after: int, late: bool
) -> None:
    """Runs in a process of its own, which ends at the nth call of a function of uploading."""
    os.environ.update(surroundings)
    real = getattr(uploading, name)
    calls = itertools.count(1)  # threads share it

    def dying(*arguments: Any, **more: Any) -> Any:
        number = next(calls)
        if number == after and not late:
            os.kill(os.getpid(), signal.SIGKILL)
        found = real(*arguments, **more)
        if number == after and late:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    for place, what, value in SMALL:
        setattr(place, what, value)
    setattr(uploading, name, dying)
    convert(source, "s3://lake/ds", progress=False, fragment_bytes=20_000, **options)


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize("mode", ["new", "append", "overwrite"])
def test_killed_between_any_two_steps_it_goes_on(tmp_path, bucket, forkserver, mode) -> None:
    source, before = csv(tmp_path, "a.csv", 0, 3000), csv(tmp_path, "b.csv", 5000, 500, "ca")
    options = {} if mode == "new" else {mode: True}
    moments = [("put_file", 1, False), ("put_file", 3, True), ("put_if_unchanged", 1, False)]
    moments += [("put_if_unchanged", 1, True), ("remove", 1, False)]
    for moment in moments:
        for key in names(bucket):
            bucket.delete_object(Bucket="lake", Key=f"ds/{key}")
        old = {"x": [], "v": [], "s": []}
        if mode != "new":
            convert(before, "s3://lake/ds", progress=False)
            old = rows_at("s3://lake/ds")
        run = forkserver.Process(target=killed, args=(dict(os.environ), str(source), options, *moment))
        run.start()
        run.join()
        assert run.exitcode == -signal.SIGKILL, moment
        done = moment[0] == "remove" or moment == ("put_if_unchanged", 1, True)
        if mode != "new" and not done:
            assert rows_at("s3://lake/ds") == old, moment
        sent = names(bucket)
        made = convert(source, "s3://lake/ds", progress=False, fragment_bytes=20_000, **options)
        found = rows_at("s3://lake/ds")
        assert found["x"] == [*(old["x"] if mode == "append" else []), *range(3000)], moment
        assert verify("s3://lake/ds", progress=False).files
        assert names(bucket) == {one.path for one in made.fragments} | {"manifest.json"}, moment
        kept = {one.path for one in made.fragments}
        assert {one for one in sent if "-" in one[5:]} - kept <= set() or mode == "overwrite", moment  # none sent twice
        assert scratch_left(tmp_path) == [], moment


@pytest.mark.server
@pytest.mark.slow
def test_s3_with_fifty_faults_takes_every_row_once(tmp_path, bucket) -> None:
    random.seed(2)
    Proxy.delay_s = 0.002
    Proxy.write_faults = [*WRITES * 12, *WRITES[:2]]
    expected, number = 0, 0
    while Proxy.write_faults and number < 60:
        source = csv(tmp_path, f"{number}.csv", expected, 700, "abcdefghij"[number % 9 :])
        convert(source, "s3://lake/ds", append=True, fragment_bytes=8_000, progress=False)
        expected, number = expected + 700, number + 1
    assert len(Proxy.done) == 50
    assert rows_at("s3://lake/ds")["x"] == list(range(expected))
    assert len(names(bucket)) == 1 + len(verify("s3://lake/ds", progress=False).files)


@pytest.mark.server
@pytest.mark.slow
def test_a_store_that_does_not_answer_is_said_without_secrets(tmp_path, bucket, monkeypatch) -> None:
    monkeypatch.setattr(objects, "ATTEMPTS", 2)
    Proxy.write_faults, Proxy.share = ["503"] * 10_000, 1.0
    fsspec.filesystem("s3").retries = 1
    with pytest.raises(SourceError, match=r"s3://lake/ds/part-00000-.*: can't be written: ") as caught:
        convert(csv(tmp_path, "a.csv", 0, 10), "s3://lake/ds", progress=False)
    assert "testing-secret" not in str(caught.value)
    Proxy.calm()
    assert convert(tmp_path / "a.csv", "s3://lake/ds", progress=False).n_rows == 10
    held = [path.read_bytes() for path in (tmp_path / "scratch").rglob("*") if path.is_file()]
    assert not any(b"testing-secret" in one for one in held)


def test_verify_names_the_rows_that_differ(tmp_path, lake) -> None:
    convert(csv(tmp_path, "a.csv", 0, 90_000), LAKE, progress=False)
    [place] = [one for one in lake.ls("/lake/ds", detail=False) if one.endswith(".arrow")]
    content = bytearray(lake.cat(place))
    at = content.index((np.arange(70_000, 70_004) / 8).tobytes())
    content[at] ^= 1
    lake.pipe(place, bytes(content))
    with pytest.raises(DatasetError, match=r"memory:/.*arrow: column 'v', rows [\d,]+ to [\d,]+ differ") as caught:
        verify(LAKE, progress=False)
    low, high = (int(one.replace(",", "")) for one in re.findall(r"rows ([\d,]+) to ([\d,]+)", str(caught.value))[0])
    assert low <= 70_000 < high < 90_001
    assert high - low < 40_000
    lake.pipe(place, bytes(content[:-100]))
    with pytest.raises(DatasetError, match="expected"):
        verify(LAKE, progress=False)


def test_the_command_line_takes_a_url(tmp_path, lake, capsys) -> None:
    source = str(csv(tmp_path, "a.csv", 0, 10))
    for words in (
        ["convert", source, "--output", LAKE, "--quiet"],
        ["convert", str(csv(tmp_path, "b.csv", 10, 5)), LAKE, "--append"],
        ["verify", LAKE],
    ):
        with pytest.raises(SystemExit) as done:
            main(words)
        assert not done.value.code
    assert "memory://lake/ds: 2 files" in capsys.readouterr().out
    assert rows_at(LAKE)["x"] == list(range(15))


def test_a_dataset_that_is_replaced_while_it_is_opened_is_opened_as_it_is_now(tmp_path, lake, monkeypatch) -> None:
    convert(csv(tmp_path, "a.csv", 0, 10), LAKE, progress=False)
    listed = objects.listed
    replacing = [csv(tmp_path, "b.csv", 7, 5)]

    def late(url: str) -> Any:
        if replacing:
            convert(replacing.pop(), LAKE, overwrite=True, progress=False)
        return listed(url)

    monkeypatch.setattr(objects, "listed", late)
    assert rows_at(LAKE)["x"] == list(range(7, 12))
