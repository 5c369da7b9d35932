"""verify: every byte counts, and the message says where."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import vaxseq as vs
from vaxseq.cli import main
from vaxseq.convert import stage
from vaxseq.convert.readers import delimited
from vaxseq.dataset import checksums
from vaxseq.dataset.checksums import CHUNK_BYTES, ChunkChecksums, StretchChecksums, check_seal
from vaxseq.errors import DatasetError, SourceNotFoundError

FLIPS = int(os.environ.get("VAXSEQ_TEST_FLIPS", "50"))  # by kind of file
ROWS = 200_000


def table() -> pa.Table:
    rows = np.arange(ROWS)
    return pa.table({
        "t": rows, "v": pa.array(rows / 7, mask=rows % 5 == 0), "w": pd.Categorical([f"w{i % 9}" for i in rows]),
        "u": [f"row {i}" for i in rows],
    })  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    for target in ("o.arrow", "o.hdf5", "d", "d"):
        vs.convert(table(), folder / target, append=target == "d", progress=False)
    vs.materialize(folder / "o.arrow", None, folder / "s.h5", inputs=["t"], progress=False)
    return folder


FILES = ["o.arrow", "o.hdf5", "d/part-00001.arrow", "s.h5"]


@pytest.mark.parametrize("name", [*FILES, "d"])
def test_what_was_written_is_as_it_was_written(made: Path, name: str) -> None:
    found = vs.verify(made / name, progress=False)
    assert found.size_bytes == sum(os.path.getsize(file) for file in found.files)
    assert "as they were written" in repr(found)


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_is_found(made: Path, tmp_path: Path, name: str) -> None:
    raw = (made / name).read_bytes()
    path = tmp_path / Path(name).name
    path.write_bytes(raw)
    assert check_seal(path) == []
    rng = np.random.default_rng(0)
    near_the_end = len(raw) - 1 - rng.integers(0, 3000, FLIPS)
    for at in [*rng.integers(0, len(raw), FLIPS).tolist(), *near_the_end.tolist()]:
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(bytes([raw[at] ^ (1 << int(rng.integers(8)))]))
            file.flush()
            damaged = check_seal(path)
            assert damaged, f"bit at {at} of {len(raw)}"
            assert any(one.start <= at < one.stop for one in damaged)
            file.seek(at)
            file.write(raw[at : at + 1])
    assert check_seal(path) == []


def flip(path: Path, value: bytes) -> None:
    """Changes a bit of the first place where the bytes stand."""
    raw = path.read_bytes()
    at = raw.index(value)
    path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])


@pytest.mark.parametrize(
    ("target", "column", "value"),
    [
        ("o.arrow", "t", np.array([150_000], "i8").tobytes()), ("o.arrow", "v", np.array([150_001 / 7]).tobytes()),
        ("o.arrow", "u", b"row 150001"), ("o.hdf5", "t", np.array([150_000], "i8").tobytes()),
        ("o.hdf5", "u", b"row 150001"), ("s.h5", "inputs/inputs", np.array([150_000], "f4").tobytes()),
    ],
)  # fmt: skip
def test_the_column_and_its_rows_are_named(made: Path, tmp_path: Path, target: str, column: str, value: bytes) -> None:
    path = tmp_path / target
    path.write_bytes((made / target).read_bytes())
    flip(path, value)
    with pytest.raises(DatasetError, match=rf"{target}: column '{column}', rows [\d,]+ to [\d,]+ differ") as caught:
        vs.verify(path, progress=False)
    line = next(one for one in str(caught.value).splitlines() if f"'{column}'" in one)
    first, last = (int(word.replace(",", "")) for word in line.split("rows ")[1].split(" differ")[0].split(" to "))
    assert first <= 150_001 <= last
    if column != "u":
        assert last - first <= 8 * CHUNK_BYTES // 32


def test_the_fragment_is_named_and_the_command_ends_with_2(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        vs.convert(table(), tmp_path / "d", append=True, progress=False)
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(tmp_path / "d"), "--json"])
    assert ended.value.code == 0
    assert len(json.loads(capsys.readouterr().out)["files"]) > 1
    flip(tmp_path / "d" / "part-00001.arrow", np.array([150_000], "i8").tobytes())
    with pytest.raises(SystemExit) as ended:
        main(["verify", str(tmp_path / "d"), "--quiet"])
    assert ended.value.code == 2
    assert "part-00001.arrow: column 't', rows" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["o.arrow", "o.hdf5", "s.h5"])
@pytest.mark.parametrize("rest", [0.0, 0.3, 0.999])
def test_a_file_that_was_cut(made: Path, tmp_path: Path, name: str, rest: float) -> None:
    raw = (made / name).read_bytes()
    (tmp_path / name).write_bytes(raw[: int(len(raw) * rest)])
    with pytest.raises(DatasetError, match="differs|has no checksums"):
        vs.verify(tmp_path / name, progress=False)


def test_a_file_of_others_has_no_checksums(tmp_path: Path) -> None:
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink, pa.ipc.new_file(sink, table().schema) as writer:
        writer.write_table(table())
    with pytest.raises(DatasetError, match="has no checksums, so it can't be verified"):
        vs.verify(tmp_path / "x.arrow", progress=False)
    with pytest.raises(SourceNotFoundError, match="no such dataset or store"):
        vs.verify(tmp_path / "none", progress=False)


def test_a_run_that_goes_on_seals_what_an_earlier_one_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("i,w\n" + "".join(f"{i},w{i % 5}\n" for i in range(30_000)))
    monkeypatch.setattr(stage, "MIN_BATCH_ROWS", 1000)
    monkeypatch.setattr(delimited, "_SMALLEST", 8_000)
    monkeypatch.setattr(delimited, "_ROWS", 1)
    add, count = stage.Stage.add, []

    def stopped(*given: object) -> None:
        count.append(1)
        if len(count) == 7:
            raise KeyboardInterrupt
        add(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(stage.Stage, "add", stopped)
    with pytest.raises(KeyboardInterrupt):
        vs.convert(tmp_path / "a.csv", tmp_path / "o.arrow", progress=False)
    assert vs.convert(tmp_path / "a.csv", tmp_path / "o.arrow", progress=False).n_rows == 30_000
    assert vs.verify(tmp_path / "o.arrow", progress=False).size_bytes


@pytest.mark.parametrize("sizes", [[1], [CHUNK_BYTES], [CHUNK_BYTES - 1, 2, CHUNK_BYTES * 3], [7] * 100])
def test_pieces_of_any_size_give_the_same_sums(tmp_path: Path, sizes: list[int]) -> None:
    content = np.random.default_rng(0).bytes(sum(sizes))
    (tmp_path / "x").write_bytes(content)
    sums, at = ChunkChecksums(), 0
    for size in sizes:
        sums.add(content[at : at + size])
        at += size
        copied = sums.copy()
        copied.add(b"more")
    assert sums.chunks() == ChunkChecksums.of(tmp_path / "x", len(content)).chunks()


@pytest.mark.parametrize("start", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 5])
@pytest.mark.parametrize("size", [0, 3, CHUNK_BYTES, 3 * CHUNK_BYTES + 9])
def test_what_a_writer_hashed_of_a_stretch_is_not_read_again(tmp_path: Path, start: int, size: int) -> None:
    content = np.random.default_rng(0).bytes(start + size + CHUNK_BYTES)
    (tmp_path / "x").write_bytes(content)
    stretch = StretchChecksums(start)
    for at in range(start, start + size, 10_007):
        stretch.add(content[at : min(at + 10_007, start + size)])
    known = stretch.chunks()
    assert set(known) == {
        number for number in range(9) if number * CHUNK_BYTES >= start and (number + 1) * CHUNK_BYTES <= start + size
    }
    read: list[int] = []
    found = ChunkChecksums.of(tmp_path / "x", len(content), read.append, known)
    assert found.chunks() == ChunkChecksums.of(tmp_path / "x", len(content)).chunks()
    assert sum(read) == len(content) - len(known) * CHUNK_BYTES


def test_columns_of_hdf5_are_hashed_as_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    of = checksums._chunks_of
    monkeypatch.setattr(
        checksums, "_chunks_of", lambda path, start, stop: read.append(stop - start) or of(path, start, stop)
    )
    rows = np.arange(ROWS)
    more = {"flag": rows % 3 == 0, "pair": pa.FixedSizeListArray.from_arrays(np.arange(2.0 * ROWS), 2)}
    vs.convert(pa.table({**table().to_pydict(), **more}), tmp_path / "o.hdf5", progress=False)
    assert sum(read) < 0.4 * os.path.getsize(tmp_path / "o.hdf5")  # where two datasets meet
    assert check_seal(tmp_path / "o.hdf5") == []


def test_a_file_s_sums_are_the_same_whoever_reads_them_and_end_where_it_ends(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(checksums, "_STRETCH_BYTES", 2 * CHUNK_BYTES)
    content = np.random.default_rng(0).bytes(7 * CHUNK_BYTES + 13)
    (tmp_path / "x").write_bytes(content)
    alone = ChunkChecksums()
    alone.add(content)
    told: list[int] = []
    shared = ChunkChecksums.of(tmp_path / "x", len(content), told.append)
    assert shared.chunks() == alone.chunks()
    assert shared.length == sum(told) == len(content)
    for cut in (0, 5, 3 * CHUNK_BYTES, 5 * CHUNK_BYTES + 1):
        (tmp_path / "x").write_bytes(content[:cut])
        alone = ChunkChecksums()
        alone.add(content[:cut])
        assert ChunkChecksums.of(tmp_path / "x", len(content)).chunks() == alone.chunks()
