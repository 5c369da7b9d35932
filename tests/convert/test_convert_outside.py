"""Nothing outside of the named sources is read; what has no end isn't begun."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from vaxseq.convert import convert
from vaxseq.convert.readers import images
from vaxseq.dataset import addresses, hdf5_external
from vaxseq.errors import BadRowError, SourceError, SourceNotFoundError, VaxseqError
from vaxseq.frame import open as open_dataset


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    with h5py.File("secret.h5", "w") as file:
        file["x"] = np.arange(4)
    Path("secret").write_bytes(np.arange(4, dtype="i8").tobytes())
    return tmp_path


def outside(kind: str) -> None:
    with h5py.File("a.h5", "w") as file:
        file["fine"] = np.arange(4)
        if kind == "external link":
            file["x"] = h5py.ExternalLink("secret.h5", "/x")
        elif kind == "deep external link":
            file["a/b/c/d/e/f/x"] = h5py.ExternalLink("secret.h5", "/x")
            file["x"] = h5py.SoftLink("/a/b/c/d/e/f/x")
        elif kind == "external storage":
            file.create_dataset("x", (4,), "i8", external=[(os.path.abspath("secret"), 0, 32)])
        else:
            layout = h5py.VirtualLayout((4,), "i8")
            layout[:] = h5py.VirtualSource("secret.h5", "x", (4,))
            file.create_virtual_dataset("x", layout)


@pytest.mark.parametrize("kind", ["external link", "deep external link", "external storage", "virtual dataset"])
def test_hdf5_that_leads_to_other_files(here, kind) -> None:
    outside(kind)
    with pytest.raises(SourceError, match=kind.removeprefix("deep ")):
        convert("a.h5", "o.arrow", progress=False)
    with pytest.raises(SourceError, match=kind.removeprefix("deep ")):
        open_dataset("a.h5")
    assert convert("a.h5", "o.arrow", allow_external=True, columns=["x"], progress=False).n_rows == 4
    with pytest.raises(SourceError, match="allow_external=True"):
        convert("a.h5", "p.arrow", progress=False)


def test_rows_that_were_declared_and_never_written(here) -> None:
    with h5py.File("a.h5", "w") as file:
        file.create_dataset("x", (10**12,), "f8", chunks=(10**6,))
        file["x"][0] = 1
    with pytest.raises(SourceError, match=r"declares 8,000,000,000,000 bytes.*MAX_UNWRITTEN_BYTES"):
        convert("a.h5", "o.arrow", progress=False)


def test_fill_values_in_measure_are_rows(here, monkeypatch) -> None:
    with h5py.File("a.h5", "w") as file:
        file.create_dataset("x", (10**5,), "f8", chunks=(10**3,))
        file["x"][0] = 1
    assert convert("a.h5", "o.arrow", progress=False).n_rows == 10**5
    with h5py.File("a.h5", "r") as file:
        monkeypatch.setattr(hdf5_external, "MAX_UNWRITTEN_BYTES", 1000)
        assert "of which 8,000 were ever written" in (hdf5_external.unwritten(file) or "")


@pytest.mark.parametrize("kind", ["named", "in a folder"])
def test_pipes_are_not_waited_for(here, kind) -> None:
    Path("raw").mkdir()
    os.mkfifo("raw/a.csv")
    if kind == "named":
        with pytest.raises(SourceError, match="a pipe, device or socket"):
            convert("raw/a.csv", "o.arrow", progress=False)
    else:
        with pytest.raises(SourceNotFoundError, match="no data files"):
            convert("raw", "o.arrow", progress=False)
    with pytest.raises(VaxseqError, match="a pipe, device or socket"):
        convert("/dev/zero", "o.arrow", format="csv", progress=False)


def pictures(folder: str) -> None:
    image = pytest.importorskip("PIL.Image")
    Path(folder, "a").mkdir(parents=True)
    image.new("RGB", (8, 8), "red").save(Path(folder, "a", "x.png"))


def test_labels_that_lead_out_of_the_folder(here) -> None:
    pictures("images")
    pictures("others")
    Path("labels.csv").write_text("file,label\na/x.png,1\n../others/a/x.png,2\n")
    with pytest.raises(BadRowError, match="outside of the folder; allow_external=True"):
        convert("images", "o.arrow", images="8x8", labels="labels.csv", progress=False)
    made = convert("images", "o.arrow", images="8x8", labels="labels.csv", allow_external=True, progress=False)
    assert made.n_rows == 2


def test_links_that_lead_out_of_the_folder(here) -> None:
    pictures("images")
    pictures("others")
    Path("images/a/y.png").symlink_to(Path("others/a/x.png").absolute())
    made = convert("images", "o.arrow", images="8x8", on_bad_rows="reject", progress=False)
    assert (made.n_rows, made.rejected_rows) == (1, 1)


def test_pipes_among_images(here) -> None:
    pictures("images")
    os.mkfifo("images/a/y.png")
    assert convert("images", "o.arrow", images="8x8", progress=False).n_rows == 1
    Path("labels.csv").write_text("file,label\na/x.png,1\na/y.png,2\n")
    with pytest.raises(BadRowError, match="expected a file"):
        convert("images", "p.arrow", images="8x8", labels="labels.csv", progress=False)


@pytest.mark.parametrize("filters", ["ignore", "error", "default"])
def test_a_bomb_is_refused_whatever_the_callers_filters(here, monkeypatch, filters, recwarn) -> None:
    import warnings

    pictures("images")
    monkeypatch.setattr(images, "MAX_PIXELS", 60)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", None)
    with warnings.catch_warnings():
        warnings.simplefilter(filters)
        with pytest.raises(BadRowError, match=r"8 x 8 pixels; at most 60 are taken \(MAX_PIXELS\)"):
            convert("images", "o.arrow", images="8x8", progress=False)


def test_only_pictures_are_decoded(here) -> None:
    pictures("images")
    Path("images/a/y.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(BadRowError, match="none of the formats BMP, GIF"):
        convert("images", "o.arrow", images="8x8", progress=False)


S = "hunter2"


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        (f"https://h/a.csv?auth={S}&jwt={S}&key={S}&day=1", "https://h/a.csv?day=1"),
        (f"https://h/a.csv?X-Amz-Signature={S}&X-Amz-Credential={S}", "https://h/a.csv"),
        (f"https://h/a.csv?sig={S}&sv=2;access_token={S}", "https://h/a.csv?sv=2"),
        (f"https://{S}@h/a.csv#access_token={S}", "https://h/a.csv"),
        (f"https:/h/a.csv?token={S}", "https:/h/a.csv"),
        (f"postgresql://me:{S}@h:5432/db?sslpassword={S}", "postgresql://me@h:5432/db"),
        (f"postgresql://me:x/{S}@h/db", "postgresql://me@h/db"),
        (f"mssql://h:1433;user=me;password={S};database=d", "mssql://h:1433;user=me;database=d"),
        (f"snowflake://me:{S}@account/db?private_key={S}", "snowflake://me@account/db"),
        (f"simplecache::https://me:{S}@h/a.csv?pwd={S}", "simplecache::https://h/a.csv"),
        ("s3://bucket/a@b.csv?versionId=3", "s3://bucket/a@b.csv?versionId=3"),
        ("https://h:8080/a@b.csv", "https://h:8080/a@b.csv"),
        ("folder/a.csv?token=3", "folder/a.csv?token=3"),
    ],
)
def test_addresses_without_secrets(address, seen) -> None:
    assert addresses.shown(address) == seen
    text = address
    for secret in sorted(addresses.secrets_of(address), key=len, reverse=True):
        text = text.replace(secret, "***")
    assert S not in text


@pytest.mark.slow
def test_a_header_longer_than_the_first_look(here) -> None:
    names = [f"column_{i}" for i in range(6_500)]
    Path("w.csv").write_text(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    made = convert("w.csv", "o.arrow", progress=False)
    assert (made.n_rows, list(made.schema.names)) == (1, names)
