"""The browser of an exploration's plots, driven by its traits as a click would."""

from __future__ import annotations

import builtins
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
import pytest

import vaxseq as vs
from vaxseq.errors import MissingExtraError


def make_widget() -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=300), "way": rng.choice(["up", "down"], 300), "p": rng.normal(size=(300, 3))}
    box = vs.explore(data, progress=False).widget()
    (choices, said, picture) = box.children
    return *choices.children, said, picture


def test_a_choice_draws_another_picture() -> None:
    column, against, said, picture = make_widget()
    assert column.options == ("x", "way", "p")
    assert against.options == ("(alone)", "x", "way")
    seen = [bytes(picture.value)]
    for trait, value in ((column, "way"), (against, "x"), (column, "p"), (column, "x"), (against, "(alone)")):
        trait.value = value
        seen.append(bytes(picture.value))
        if (column.value, against.value) == ("p", "x"):  # an array has no place on an axis
            assert "array" in said.value
            assert picture.value == b""
        else:
            assert said.value == ""
            assert bytes(picture.value).startswith(b"\x89PNG")
    assert seen[0] == seen[-1] == seen[-2]  # a column against itself is the column alone
    assert len(set(seen)) == 4


def test_no_figure_is_left_open() -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    make_widget()
    assert plt.get_fignums() == before


def test_hostile_names_are_text() -> None:
    data = pd.DataFrame({"<script>x</script>": np.arange(20.0), "$x$": np.arange(20.0)})
    box = vs.explore(data, progress=False).widget()
    assert isinstance(box, ipywidgets.VBox)
    box.children[0].children[0].value = "$x$"
    assert bytes(box.children[2].value).startswith(b"\x89PNG")


def test_without_ipywidgets_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    found = vs.explore({"x": np.arange(9.0)}, progress=False)
    known = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "ipywidgets":
            raise ImportError(name)
        return known(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"widget: needs ipywidgets .*pip install 'vaxseq\[notebook\]'"):
        found.widget()
