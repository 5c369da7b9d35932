"""Manifests: they come back as they were, and damage is said."""

from __future__ import annotations

import json

import pytest

from vaxseq.dataset.manifest import Fragment, Manifest
from vaxseq.dataset.schema import Column, Schema
from vaxseq.errors import DatasetError, SourceNotFoundError


def test_round_trip_and_damage(tmp_path) -> None:
    schema = Schema((Column("x", "int64", unit="m"),))
    made = Manifest(schema, 3, (Fragment("a", 1, 10), Fragment("b", 2, 20)), "arrow", location=str(tmp_path))
    made.save(tmp_path)
    assert Manifest.load(tmp_path) == made
    assert [path.name for path in made.paths()] == ["a", "b"]
    raw = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(raw | {"n_rows": 4}))
    with pytest.raises(DatasetError, match="don't add up to 4 rows"):
        Manifest.load(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(DatasetError, match="can't read the manifest"):
        Manifest.load(tmp_path)
    with pytest.raises(SourceNotFoundError, match="no such dataset"):
        Manifest.load(tmp_path / "nothing")


@pytest.mark.parametrize("path", ["../a", "/a", "a//b", "a\0", "a\ud800"])
def test_a_fragment_s_path_is_text_below_the_folder(tmp_path, path: str) -> None:
    Manifest(Schema((Column("x", "int64"),)), 1, (Fragment("a", 1, 10),), "arrow").save(tmp_path)
    raw = json.loads((tmp_path / "manifest.json").read_text())
    raw.pop("digest", None)
    raw["fragments"][0]["path"] = path
    (tmp_path / "manifest.json").write_text(json.dumps(raw))
    with pytest.raises(DatasetError, match="fragments.0.path"):
        Manifest.load(tmp_path)
