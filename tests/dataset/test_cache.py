"""Files of the cache appear whole, and what killed processes began is removed by the next one that writes there."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaxseq as vs
from vaxseq.dataset.cache import draft_of

LAGGED = {
    "series": {"order_by": "t"},
    "inputs": {"x": {"features": [{"column": "v", "steps": [{"lag": 1}, {"impute": {"strategy": "mean"}}]}]}},
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VAXSEQ_CACHE", str(tmp_path / "cache"))
    data = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=500, freq="h"), "v": np.arange(500.0)})
    vs.convert(data, tmp_path / "d.arrow", progress=False)
    return tmp_path / "cache"


def values(folder: Path) -> bytes:
    """The features of all rows, which look back."""
    frame = vs.open(folder / "d.arrow")
    fitted = vs.FeatureSet.from_dict(LAGGED).fit(frame, progress=False)
    return np.asarray(vs.Sequence(frame, fitted, batch_size=500)[0]).tobytes()


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with draft_of(tmp_path / "a") as draft:
        draft.write_bytes(b"one")
        assert not (tmp_path / "a").exists()
    with pytest.raises(FileNotFoundError), draft_of(tmp_path / "a") as draft:
        draft.rename(tmp_path / "none" / "b")
    assert [one.name for one in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"one"


def test_a_killed_process_s_draft_goes_and_a_living_one_s_stays(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from vaxseq.dataset.cache import draft_of
with draft_of(Path({str(tmp_path)!r}, "rows-" + "0" * 32 + ".npz")) as draft:
    draft.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    [left] = tmp_path.iterdir()
    (tmp_path / "thesis.draft").write_text("mine")
    names = [f"rows-{digit * 32}.npz" for digit in "ab"]
    with draft_of(tmp_path / names[0]) as first:
        first.write_bytes(b"first")
        assert not left.exists()
        with draft_of(tmp_path / names[1]) as second:
            second.write_bytes(b"second")
    assert sorted(one.name for one in tmp_path.iterdir()) == [*names, "thesis.draft"]


@pytest.mark.parametrize("cut", [0, 100, 3_000])
def test_a_damaged_column_of_the_past_is_made_again_with_a_word(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture, cut: int
) -> None:
    expected = values(tmp_path)
    [file] = cache.glob("history-*")
    assert vs.verify(cache, progress=False).files == (str(file),)
    whole = file.read_bytes()
    file.write_bytes(whole[:cut])
    with caplog.at_level(logging.WARNING, logger="vaxseq"):
        assert values(tmp_path) == expected
    assert [one for one in caplog.messages if "it is made again" in one]
    assert file.read_bytes() == whole


def test_rot_in_a_column_of_the_past_is_found(tmp_path: Path, cache: Path) -> None:
    values(tmp_path)
    [file] = cache.glob("history-*")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)
    with pytest.raises(vs.VaxseqError, match=r"history-\w+\.hdf5: column '__history_\w+', rows "):
        vs.verify(cache, progress=False)


def test_a_column_of_the_past_that_is_cut_short_under_a_sequence_is_told(tmp_path: Path, cache: Path) -> None:
    frame = vs.open(tmp_path / "d.arrow")
    fitted = vs.FeatureSet.from_dict(LAGGED).fit(frame, progress=False)
    sequence = vs.Sequence(frame, fitted, batch_size=10, read_ahead=0)
    [file] = cache.glob("history-*")
    os.truncate(file, 100)
    with pytest.raises(vs.VaxseqError, match=f"{file.name}: was cut short"):
        sequence.batch(0, 30)


def test_what_was_explored_is_shown_though_it_cannot_be_kept(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.write_text("a file where the folder is to be")
    with caplog.at_level(logging.WARNING, logger="vaxseq"):
        assert vs.explore(tmp_path / "d.arrow", progress=False).rows == 500
    assert [one for one in caplog.messages if "isn't kept" in one]
