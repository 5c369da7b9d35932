"""Folders of images: labels, shapes, colours, orientation, and broken files as bad rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vaxseq.cli import main
from vaxseq.convert import convert, stage
from vaxseq.convert.readers import images
from vaxseq.dataset.manifest import Manifest
from vaxseq.errors import BadRowError, DatasetError, OptionError, SchemaError, SourceNotFoundError

Image = pytest.importorskip("PIL.Image")


def rows_of(manifest: Manifest) -> pa.Table:
    return pa.concat_tables([pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path in manifest.paths()])


def pixels_of(table: pa.Table) -> np.ndarray:
    return np.array(table["image"].to_pylist(), np.uint8)


@pytest.fixture
def photos(tmp_path) -> Path:
    """Two classes of plain-coloured images, in several formats and sizes."""
    folder = tmp_path / "photos"
    for number in range(6):
        label = ("cat", "dog")[number % 2]
        (folder / label).mkdir(parents=True, exist_ok=True)
        suffix = ("png", "bmp", "png")[number // 2]
        image = Image.new("RGB", (10 + number, 20), (number * 40, 7, 255 - number))
        image.save(folder / label / f"{number}.{suffix}")
    (folder / "cat" / ".hidden.png").write_bytes(b"")
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_the_class_is_the_sub_folder(tmp_path, photos) -> None:
    made = convert(photos, tmp_path / "o.arrow", images="8x4", progress=False)
    assert [(one.name, one.type) for one in made.schema.columns] == [
        ("file", "text"), ("label", "category"), ("image", "uint8[8,4,3]"),
    ] or [one.type for one in made.schema.columns]  # fmt: skip
    table = rows_of(made)
    assert table["file"].to_pylist() == ["cat/0.png", "cat/2.bmp", "cat/4.png", "dog/1.png", "dog/3.bmp", "dog/5.png"]
    assert [str(one) for one in table["label"].to_pylist()] == ["cat"] * 3 + ["dog"] * 3
    found = pixels_of(table)
    assert found.shape == (6, 8, 4, 3)
    assert found[:, 0, 0].tolist() == [[n * 40, 7, 255 - n] for n in (0, 2, 4, 1, 3, 5)]
    assert (found == found[:, :1, :1]).all()


def test_labels_from_a_csv_and_what_a_model_gets(tmp_path, photos) -> None:
    import vaxseq as vs

    (tmp_path / "labels.csv").write_text("name,species,age\ndog/5.png,d,5\ncat/0.png,c,1.5\n")
    made = convert(photos, tmp_path / "o.arrow", images=(6, 5), labels=tmp_path / "labels.csv", color_mode="grayscale",
                   columns=["species", "age", "image"], progress=False)  # fmt: skip
    assert rows_of(made).select(["species", "age"]).to_pydict() == {"species": ["d", "c"], "age": [5.0, 1.5]}
    batch = vs.Sequence(vs.open(tmp_path / "o.arrow"), inputs="image", targets="age", batch_size=2)[0]
    expected = [np.asarray(Image.open(photos / name).convert("L"))[0, 0] for name in ("dog/5.png", "cat/0.png")]
    assert batch[0].shape == (2, 6, 5)
    assert batch[0][:, 0, 0].tolist() == expected


def test_crop_and_pad_keep_the_proportions(tmp_path) -> None:
    folder = tmp_path / "wide"
    folder.mkdir()
    strip = np.zeros((4, 12, 3), np.uint8)
    strip[:, 4:8] = 200
    Image.fromarray(strip).save(folder / "a.png")
    turned = Image.fromarray(strip)
    exif = turned.getexif()
    exif[0x0112] = 6  # a camera held on its side
    turned.save(folder / "b.png", exif=exif)
    made = {
        how: pixels_of(rows_of(convert(folder, tmp_path / f"{how}.arrow", images="4x4", resize=how, progress=False)))
        for how in ("crop", "pad", "stretch")
    }
    assert (made["crop"] == 200).all()  # the middle, also of the one that is turned
    assert made["pad"][0, 0].max() == 0
    assert made["pad"][0, 1:3, 2, 0].max() > 90
    assert made["stretch"][0, 0, :, 0].tolist() == made["stretch"][1, :, 0, 0].tolist()
    assert "label" not in Manifest.load(tmp_path / "pad.arrow").schema


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "I;16", "LA"])
def test_every_mode_becomes_eight_bits(tmp_path, mode) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    if mode == "I;16":
        Image.fromarray(np.full((5, 5), 257 * 90, np.uint16)).save(folder / "a.png")
    else:
        plain = Image.new("RGB", (5, 5), (90, 90, 90))
        made = plain.quantize(4) if mode == "P" else plain.convert(mode)
        made.save(folder / ("a.tif" if mode == "CMYK" else "a.png"))
    found = pixels_of(rows_of(convert(folder, tmp_path / "o.arrow", images="5x5", progress=False)))
    assert found.shape == (1, 5, 5, 3)
    if mode != "1":
        assert abs(found.astype(int) - 90).max() <= 6


def test_a_broken_image_is_a_bad_row(tmp_path, photos) -> None:
    (photos / "cat" / "1.jpg").write_bytes(b"no image at all")
    whole = (photos / "dog" / "1.png").read_bytes()
    (photos / "dog" / "4.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadRowError, match=r"line 2: column 'image': can't decode the image .*; got 'cat/1.jpg'"):
        convert(photos, tmp_path / "o.arrow", images="8x8", progress=False)
    made = convert(photos, tmp_path / "p.arrow", images="8x8", on_bad_rows="reject", progress=False)
    assert (made.n_rows, made.rejected_rows) == (6, 2)
    assert pq.read_table(tmp_path / "p.arrow.rejects.parquet")["text"].to_pylist() == ["cat/1.jpg", "dog/4.png"]
    assert rows_of(made)["file"].to_pylist() == [
        "cat/0.png", "cat/2.bmp", "cat/4.png", "dog/1.png", "dog/3.bmp", "dog/5.png",
    ]  # fmt: skip


def test_any_damage_is_a_bad_row(tmp_path) -> None:
    import random

    folder = tmp_path / "in"
    folder.mkdir()
    chance = random.Random(0)
    noise = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    for suffix in ("png", "jpg", "gif", "tif", "bmp", "webp"):
        path = folder / f"0.{suffix}"
        Image.fromarray(noise).save(path)
        good = path.read_bytes()
        for number in range(1, 30):
            raw = bytearray(good)
            for _ in range(chance.randint(1, 6)):
                raw[chance.randrange(len(raw) if chance.random() < 0.5 else 64)] = chance.randrange(256)
            (folder / f"{number}.{suffix}").write_bytes(bytes(raw))
    made = convert(folder, tmp_path / "o.arrow", images="4x4", on_bad_rows="reject", progress=False)
    assert made.n_rows >= 6
    assert made.n_rows + made.rejected_rows == 180


def test_processes_make_the_same_and_a_changed_folder_is_noticed(tmp_path, photos, monkeypatch) -> None:
    monkeypatch.setattr(images, "_UNIT_FILES", 2)
    one = convert(photos, tmp_path / "a.arrow", images="8x8", progress=False)
    two = convert(photos, tmp_path / "b.arrow", images="8x8", workers=2, progress=False)
    assert rows_of(one).equals(rows_of(two))
    assert one.sources[0].size_bytes == sum(path.stat().st_size for path in photos.glob("*/[0-9].*"))
    real = images.ImagesReader.parse
    count = [0]

    def stopped(self, *given):
        count[0] += 1
        if count[0] == 3:
            raise KeyboardInterrupt
        return real(self, *given)

    monkeypatch.setattr(images.ImagesReader, "parse", stopped)
    monkeypatch.setattr(stage, "MIN_BATCH_ROWS", 1)  # what was read is kept at once
    with pytest.raises(KeyboardInterrupt):
        convert(photos, tmp_path / "c.arrow", images="8x8", progress=False)
    labels = tmp_path / "labels.csv"
    labels.write_text("f,y\n" + "".join(f"cat/{number}.png,1\n" for number in (0, 4, 0, 4, 0, 4)))
    count[0] = 0
    with pytest.raises(KeyboardInterrupt):
        convert(photos, tmp_path / "d.arrow", images="8x8", labels=labels, progress=False)
    labels.write_text(labels.read_text().replace("1", "2"))
    with pytest.raises(DatasetError, match="a source may have changed"):
        convert(photos, tmp_path / "d.arrow", images="8x8", labels=labels, progress=False)
    Image.new("L", (3, 3)).save(photos / "dog" / "9.png")
    with pytest.raises(DatasetError, match="a source may have changed"):
        convert(photos, tmp_path / "c.arrow", images="8x8", progress=False)


def test_mistakes_are_named(tmp_path, photos) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "l.csv").write_text("name,image\ncat/0.png,1\n")
    (tmp_path / "m.csv").write_text("name,y\nnone.png,1\n")
    for given, options, kind, message in [
        (photos, {"images": "8"}, OptionError, "option images; got '8', expected a size as HEIGHTxWIDTH"),
        (photos, {"images": "8x8", "color_mode": "bgr"}, OptionError, "option color_mode; got 'bgr'"),
        (photos, {"images": "8x8", "resize": "bend"}, OptionError, "option resize; got 'bend'"),
        (tmp_path / "none", {"images": "8x8"}, SourceNotFoundError, "none: no such folder of images"),
        (tmp_path / "empty", {"images": "8x8"}, SourceNotFoundError, "no images in the folder"),
        (photos, {"images": "8x8", "labels": "none.csv"}, SourceNotFoundError, "none.csv: no such file"),
        (photos, {"images": "8x8", "labels": tmp_path / "l.csv"}, SchemaError, "may not have columns named"),
        (photos, {"images": "8x8", "labels": tmp_path / "m.csv"}, BadRowError, "line 1: .*; got 'none.png'"),
    ]:  # fmt: skip
        with pytest.raises(kind, match=message):
            convert(given, tmp_path / "o.arrow", progress=False, resume=False, **options)


def test_the_command_line(tmp_path, photos) -> None:
    with pytest.raises(SystemExit) as ended:
        main(
            ["convert", str(photos), str(tmp_path / "o.arrow"), "--images", "16x12", "--option", "color_mode=grayscale"]
        )
    assert ended.value.code == 0
    assert pixels_of(rows_of(Manifest.load(tmp_path / "o.arrow"))).shape == (6, 16, 12)
