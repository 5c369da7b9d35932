"""What a conversion noticed: kept with the dataset, and usable as the options of the next call."""

from __future__ import annotations

import json
import pickle

from vaxseq.dataset.manifest import Fragment, Manifest
from vaxseq.dataset.notice import Notice, merged_options
from vaxseq.dataset.schema import Column, Schema
from vaxseq.errors import SourceError


def test_a_manifest_keeps_its_notices() -> None:
    notice = Notice("kw", "2 of 3 are numbers", ("line 4: 'Tr'",), {"null_values": {"kw": ["Tr"]}})
    schema = Schema((Column("kw", "text"),))
    made = Manifest(schema, 3, (Fragment("a", 3, 10),), "arrow", notices=(notice,), forms={"t": "day_first"})
    again = Manifest.from_dict(json.loads(json.dumps(made.to_dict())), "")
    assert again == made
    assert again.notices == (notice,)
    assert again.forms == {"t": "day_first"}
    assert "notice: column 'kw': 2 of 3 are numbers" in repr(made)


def test_options_of_several_notices_are_one_call() -> None:
    one = Notice("a", "", (), {"null_values": {"a": ["-"]}, "header": False})
    two = Notice("a", "", (), {"null_values": {"a": ["Tr", "-"], "b": ["x"]}, "header": True})
    assert merged_options([one, two]) == {"null_values": {"a": ["-", "Tr"], "b": ["x"]}, "header": False}
    assert merged_options([]) == {}


def test_an_error_carries_options_also_from_another_process() -> None:
    error = SourceError("a.csv: two header lines.", options={"header_rows": 2})
    assert str(error) == "a.csv: two header lines."
    assert pickle.loads(pickle.dumps(error)).options == {"header_rows": 2}
    assert SourceError("x").options == {}
