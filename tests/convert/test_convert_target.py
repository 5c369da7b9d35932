"""A target takes the place of nothing but a dataset of ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vaxseq.convert import convert
from vaxseq.dataset.manifest import Manifest
from vaxseq.errors import DatasetError, OptionError, VaxseqError


@pytest.fixture
def source(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.csv"
    path.write_text("t,v\n1,2\n")
    return path


@pytest.mark.parametrize("target", [".", "/", "..", "./", "", "/proc"])
def test_folders_in_use_are_refused(source, target) -> None:
    with pytest.raises(OptionError, match="expected a name for the dataset"):
        convert(source, target, overwrite=True, progress=False)
    assert source.exists()


def test_a_url_that_a_path_has_mangled_is_no_target(source) -> None:
    with pytest.raises(OptionError, match="target s3:/bucket/d: got a URL as a path, expected it as text"):
        convert(source, Path("s3://bucket/d"), progress=False)


@pytest.mark.parametrize("name", ["thesis.txt", "sub/thesis.txt", "manifest.json"])
def test_another_folder_is_never_replaced(source, name) -> None:
    mine = Path("mine") / name
    mine.parent.mkdir(parents=True)
    mine.write_text("{}")
    with pytest.raises(DatasetError, match="not replaced"):
        convert(source, "mine", overwrite=True, progress=False)
    assert mine.read_text() == "{}"
    assert not Path("mine.partial").exists()


def test_a_dataset_with_a_stranger_in_it_is_not_replaced(source) -> None:
    convert(source, "d", progress=False)
    Path("d/notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match=r"it holds 'notes.txt'"):
        convert(source, "d", overwrite=True, progress=False)
    Path("d/notes.txt").unlink()
    assert convert(source, "d", overwrite=True, progress=False).n_rows == 1


@pytest.mark.parametrize("name", ["o.arrow", "o.hdf5"])
def test_another_file_is_never_replaced(source, name) -> None:
    Path(name).write_bytes(b"mine" * 1000)
    with pytest.raises(DatasetError, match="isn't a dataset that vaxseq made"):
        convert(source, name, overwrite=True, progress=False)
    assert Path(name).read_bytes() == b"mine" * 1000


@pytest.mark.parametrize("target", ["raw", "raw/a.arrow"])
def test_a_source_is_never_replaced(source, target) -> None:
    Path("raw").mkdir()
    convert(source, "raw/a.arrow", progress=False)
    with pytest.raises(OptionError, match="and would be lost"):
        convert("raw/*.arrow", target, overwrite=True, progress=False)
    assert Manifest.load("raw/a.arrow").n_rows == 1


def test_a_link_to_the_source_is_seen_through(source) -> None:
    Path("raw").mkdir()
    os.rename(source, "raw/a.csv")
    Path("link").symlink_to("raw")
    with pytest.raises(OptionError, match="and would be lost"):
        convert("raw/a.csv", "link", overwrite=True, progress=False)
    assert Path("raw/a.csv").exists()


@pytest.mark.parametrize("name", ["d.partial", "d.partial-done"])
def test_a_folder_of_the_working_folders_name_stays(source, name) -> None:
    Path(name).mkdir()
    Path(name, "mine.txt").write_text("mine")
    with pytest.raises(DatasetError, match=f"{name} is in the way"):
        convert(source, "d", progress=False)
    assert Path(name, "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("target", ["o.arrow", "d"])
def test_the_old_dataset_stays_until_the_new_one_is_whole(source, target) -> None:
    convert(source, target, progress=False)
    Path("bad.csv").write_text("t,v\n1,2\n3,x\n")
    with pytest.raises(VaxseqError, match="not a int64"):
        convert("bad.csv", target, schema={"columns": {"v": "int64"}}, overwrite=True, progress=False)
    assert Manifest.load(target).n_rows == 1


@pytest.mark.parametrize("target", ["o.arrow", "d"])
def test_what_comes_to_the_target_meanwhile_stays(source, target, monkeypatch) -> None:
    from vaxseq.convert import run

    def late(*given, **options):
        Path(target).mkdir()
        Path(target, "mine.txt").write_text("mine")
        return commit(*given, **options)

    commit = run.commit
    monkeypatch.setattr(run, "commit", late)
    with pytest.raises(DatasetError, match="came to be while the sources were converted"):
        convert(source, target, progress=False)
    assert Path(target, "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("target", ["o.arrow", "o.hdf5", "folder"])
def test_what_gets_its_name_is_on_the_disk_by_then(source, monkeypatch, target) -> None:
    """Each file's size when it was waited for last, and that of what takes the target's place."""
    synced: dict[int, int] = {}
    placed: list[str] = []
    sync, replace = os.fsync, os.replace

    def noted(file: int) -> None:
        about = os.fstat(file)
        synced[about.st_ino] = about.st_size
        sync(file)

    def checked(old: str | Path, new: str | Path) -> None:
        if Path(new).name == target:
            placed.append(target)
            for path in [Path(old), *Path(old).glob("*")]:
                assert path.is_dir() or synced.get(path.stat().st_ino) == path.stat().st_size, path
        replace(old, new)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "replace", checked)
    convert(source, target, progress=False)
    assert placed == [target]
    assert os.stat(".").st_ino in synced
