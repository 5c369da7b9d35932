"""A dataset as the source: its fragments in their order, nothing else of its folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from vaxseq.convert import convert
from vaxseq.dataset.manifest import Manifest
from vaxseq.errors import DatasetError


def test_a_folder_of_ours_is_its_fragments(tmp_path: Path) -> None:
    for number in range(12):
        words = pd.Categorical([f"w{number}", "w0"])
        convert(pd.DataFrame({"i": [number, 99], "w": words}), tmp_path / "d", append=True, progress=False)
    made = convert(tmp_path / "d", tmp_path / "o.arrow", progress=False)
    found = pa.ipc.open_file(pa.memory_map(str(tmp_path / "o.arrow"))).read_all()
    assert found["i"].to_pylist()[::2] == list(range(12))
    assert found["w"].to_pylist()[::2] == [f"w{number}" for number in range(12)]
    assert len(made.sources) == 12
    (tmp_path / "d" / Manifest.load(tmp_path / "d").fragments[3].path).unlink()
    with pytest.raises(DatasetError, match="part-00003.arrow' of its manifest isn't there"):
        convert(tmp_path / "d", tmp_path / "p.arrow", progress=False)
