"""Files that change under an open frame or store: an error that names the file, never old and new rows together."""

from __future__ import annotations

import os
import pickle
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from prepared import PreparedPython

import vaxseq as vs
from vaxseq.errors import DatasetError
from vaxseq.frame import Source
from vaxseq.frame.file_changes import FileStamp, FileWatch
from vaxseq.frame.file_maps import map_file

TARGETS = ["d.arrow", "d.hdf5", "folder"]


def written(tmp_path: Path, name: str, rows: int = 20_000) -> tuple[Path, Path]:
    """A dataset, and the file that its rows are in."""
    data = pd.DataFrame({"a": np.arange(rows) * 1.0, "w": [f"w{i % 7}" for i in range(rows)]})
    manifest = vs.convert(data, tmp_path / name, progress=False)
    return tmp_path / name, manifest.paths()[0]


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 3)


def changed(file: Path) -> None:
    time.sleep(0.01)
    with open(file, "r+b") as opened:
        opened.seek(file.stat().st_size // 2)
        opened.write(b"\x07" * 512)


def replaced(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    os.replace(other, file)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    ("change", "said"), [(cut, "was cut short"), (changed, "was changed"), (replaced, "was replaced")]
)
def test_every_way_to_rows_says_so(tmp_path: Path, name: str, change: Any, said: str) -> None:
    path, file = written(tmp_path, name)
    frame = vs.open(path)
    plain = vs.Sequence(frame, inputs=["a"], batch_size=500, read_ahead=0)
    shuffled = vs.Sequence(frame, inputs=["a"], batch_size=500, shuffle="global", read_ahead=0)
    plain.batch(0, 0)
    shuffled.batch(0, 0)
    change(file)
    match = f"{file.name}: {said}"
    with pytest.raises(DatasetError, match=match):
        plain.batch(0, 30)
    with pytest.raises(DatasetError, match=match):
        shuffled.batch(0, 30)
    with pytest.raises(DatasetError, match=match):
        vs.Sequence(frame, inputs=["a"])
    features = {"version": 1, "inputs": {"x": {"features": [{"column": "a", "steps": ["standardize"]}]}}}
    with pytest.raises(DatasetError, match=match):
        vs.FeatureSet.from_dict(features).fit(frame, progress=False)
    with pytest.raises(DatasetError, match=match):
        vs.split(frame, {"train": 0.5, "test": 0.5}, by="hash", key="w")
    with pytest.raises(DatasetError, match=match):
        frame.mean("a")


@pytest.mark.parametrize("change", [cut, changed, replaced])
def test_a_store_says_so(tmp_path: Path, change: Any) -> None:
    path, _ = written(tmp_path, "d.arrow")
    store = tmp_path / "s.h5"
    vs.materialize(path, None, store, inputs=["a"], progress=False)
    sequence = vs.Sequence(path, inputs=["a"], batch_size=500, store=store, read_ahead=0)
    sequence.batch(0, 0)
    change(store)
    with pytest.raises(DatasetError, match="s.h5: was "):
        sequence.batch(0, 30)


@pytest.mark.slow
def test_a_truncated_file_does_not_end_the_process(tmp_path: Path, keras_python: PreparedPython) -> None:
    path, file = written(tmp_path, "d.arrow", 60_000)
    code = f"""
import os, vaxseq as vs
seq = vs.Sequence(vs.open({str(path)!r}), inputs=["a"], batch_size=1000, read_ahead=2)
seq[0]
os.truncate({str(file)!r}, 100_000)
try:
    for epoch in range(2):
        for i in range(len(seq)):
            seq[i]
except vs.VaxseqError as error:
    print("said", error)
"""
    done = keras_python.run(["-c", code])
    assert (done.returncode, done.stdout[:4]) == (0, "said"), done.stderr


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of each format, but for its suffix."""
    folder = tmp_path_factory.mktemp("whole")
    for suffix in ("arrow", "hdf5"):
        written(folder, f"whole.{suffix}", 400_000)
    return folder / "whole"


CUT_WHILE_READ = """
import os, shutil, sys
import numpy as np
import vaxseq as vs
from vaxseq.errors import DatasetError
from vaxseq.frame.file_changes import FileStamp

way, whole, path = sys.argv[1:]
shutil.copy(whole, path)
file = path
looked, cut = FileStamp.check, None

def check_and_cut(mark):
    looked(mark)
    if mark.path == cut:
        os.truncate(cut, 100_000)  # between the look and the read

FileStamp.check = check_and_cut
frame = vs.open(path)
held = frame.a.values
sequence = vs.Sequence(frame, inputs=["a"], batch_size=1000, read_ahead=2 * (way == "ahead"))
if way == "store":
    file = path + ".h5"
    vs.materialize(path, None, file, inputs=["a"], progress=False)
    sequence = vs.Sequence(path, inputs=["a"], batch_size=1000, store=file, read_ahead=0)
cut = file if way != "held" else None
try:
    if way == "vaex":
        frame.mean("a")
    elif way == "held":
        os.truncate(file, 100_000)
        np.asarray(held).sum()
    else:
        [sequence.batch(0, number) for number in range(300, len(sequence))]
    print("no error")
except DatasetError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="another system's signals")
@pytest.mark.parametrize("suffix", ["arrow", "hdf5"])
@pytest.mark.parametrize("way", ["in order", "ahead", "store", "vaex", "held"])
def test_a_file_that_is_cut_while_it_is_read_is_an_error(
    tmp_path: Path, whole: Path, keras_python: PreparedPython, suffix: str, way: str
) -> None:
    done = keras_python.run(["-c", CUT_WHILE_READ, way, f"{whole}.{suffix}", str(tmp_path / f"d.{suffix}")])
    assert done.returncode == 0, done.stderr
    expected = rf"{tmp_path}/d.{suffix}(.h5)?: was cut short( while it was read|: got 100,000 bytes)"
    assert re.match(expected, done.stdout), done.stdout + done.stderr
    assert "ctypes callback" not in done.stderr  # the error comes in the reading code alone


FAULT_OF_ANOTHER = """
import faulthandler, mmap, os, signal, sys, time
import vaxseq as vs

how = sys.argv[3]
frames = [vs.open(sys.argv[1])]
if "handler" in how:
    faulthandler.enable()
    if "again" in how:
        frames.append(vs.open(sys.argv[1]))
if "sent" in how:
    os.kill(os.getpid(), signal.SIGBUS)
    time.sleep(1)
else:
    with open(sys.argv[2], "w+b") as file:
        file.write(b"x" * 10_000), file.flush()
        other = mmap.mmap(file.fileno(), 10_000)
        file.truncate(0)
        other[9_000]
print("alive")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="another system's signals")
@pytest.mark.parametrize("how", ["", "handler", "handler again", "sent", "sent, handler again"])
def test_the_fault_of_another_s_map_is_its_own(tmp_path: Path, python: PreparedPython, how: str) -> None:
    path, _ = written(tmp_path, "d.arrow")
    done = python.run(["-c", FAULT_OF_ANOTHER, str(path), str(tmp_path / "other"), how])
    assert (done.returncode, done.stdout) == (-signal.SIGBUS, "")
    assert ("Bus error" in done.stderr) == ("handler" in how)


def test_an_append_leaves_an_open_frame_alone(tmp_path: Path) -> None:
    path, _ = written(tmp_path, "folder")
    frame = vs.open(path)
    vs.convert(pd.DataFrame({"a": [0.5], "w": ["w1"]}), path, append=True, progress=False)
    assert len(vs.Sequence(frame, inputs=["a"], batch_size=20_000)[0][0]) == 20_000


def test_a_file_that_is_gone_is_still_mapped(tmp_path: Path) -> None:
    path, file = written(tmp_path, "d.arrow")
    source = Source(vs.open(path))
    file.unlink()
    assert source.read(["a"], 5, 7)["a"].data.tolist() == [5.0, 6.0]


@pytest.mark.parametrize("name", TARGETS)
def test_a_frame_pickles_and_notices_a_change_where_it_is_opened(tmp_path: Path, name: str) -> None:
    path, file = written(tmp_path, name)
    sent = pickle.dumps(vs.open(path))
    assert pickle.loads(sent).a.to_numpy()[:3].tolist() == [0.0, 1.0, 2.0]
    changed(file)
    with pytest.raises(DatasetError, match="was changed, since it was opened"):
        pickle.loads(sent)


def test_a_frame_of_vaexs_own_layout_pickles(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.hdf5", "w") as file:
        file["data/x"] = np.arange(5.0)
    assert pickle.loads(pickle.dumps(vs.open(tmp_path / "v.hdf5"))).x.values.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["arrow", "hdf5"])
def test_many_fragments_keep_no_file_open(tmp_path: Path, name: str) -> None:
    data = pd.DataFrame({"a": np.arange(300.0)})
    for _ in range(40):
        vs.convert(data, tmp_path / "d", append=True, target_format=name, progress=False)
    before = len(os.listdir("/proc/self/fd"))
    frame = vs.open(tmp_path / "d")
    sequence = vs.Sequence(frame, inputs=["a"], batch_size=100, shuffle="global", read_ahead=0)
    total = sum(float(np.asarray(sequence.batch(0, i)[0]).sum()) for i in range(len(sequence)))
    assert total == 40 * data["a"].sum()
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_a_map_goes_with_its_last_part(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(bytes(range(256)) * 64)

    def mapped() -> bool:
        return str(tmp_path / "bytes") in Path("/proc/self/maps").read_text()

    content, mark = map_file(str(tmp_path / "bytes"))
    part = np.frombuffer(content, np.uint8)[1000:1004]
    del content
    assert mapped()
    assert not part.flags.writeable
    assert part.tolist() == [232, 233, 234, 235]
    del part
    assert not mapped()
    assert mark.size == 256 * 64


def test_many_files_are_looked_at_a_tenth_of_the_time(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / str(number)).write_bytes(b"x")
    watch = FileWatch(FileStamp.of(str(tmp_path / str(number))) for number in range(40))
    watch.check()
    (tmp_path / "7").write_bytes(b"xx")
    deadline = time.monotonic() + 60

    def look() -> None:
        while time.monotonic() < deadline:
            watch.check()

    with pytest.raises(DatasetError, match="7: was changed"):
        look()
