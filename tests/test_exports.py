"""The public names: sorted, lazily resolved, there, and the ones of the contract."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import vaxseq

CONTRACT = {
    "convert", "Manifest", "open", "FeatureSet", "FittedFeatures", "FittedLayer", "split", "Sequence", "Window",
    "ResumeTraining", "materialize", "profile", "Profile", "explore", "Exploration", "inspect", "report", "VaxseqError",
    "draft", "export", "folds", "verify", "compact",
}  # fmt: skip


def test_all_is_sorted_and_of_the_contract() -> None:
    assert vaxseq.__all__ == sorted(vaxseq.__all__)
    assert set(vaxseq.__all__) <= CONTRACT


@pytest.mark.parametrize("name", vaxseq.__all__)
def test_a_name_is_there_and_documented(name: str) -> None:
    value = getattr(vaxseq, name)
    assert value is getattr(importlib.import_module(vaxseq._EXPORTS[name]), name)
    assert (inspect.getdoc(value) or "").strip(), f"{name} has no docstring"
    assert name in dir(vaxseq)


def test_a_submodule_does_not_hide_the_function_of_its_name() -> None:
    """Importing ``vaxseq.convert`` binds the module on the package; the public name must stay the function."""
    for name, module in vaxseq._EXPORTS.items():
        importlib.import_module(module)
        assert not inspect.ismodule(getattr(vaxseq, name)), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'VaxseqErr'. Did you mean 'VaxseqError'"):
        vaxseq.VaxseqErr  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(vaxseq.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == vaxseq._EXPORTS
