"""Hostile files give a VaxseqError that names the place, and nothing else; `VAXSEQ_TEST_MUTATIONS` sets how many.

A hundred thousand of each document: VAXSEQ_TEST_MUTATIONS=100000 pytest tests/fuzz/test_mutations.py -k documents
"""

from __future__ import annotations

import importlib.util
import os
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vaxseq.errors import VaxseqError

MUTATIONS = int(os.environ.get("VAXSEQ_TEST_MUTATIONS", "150"))
FIRST = int(os.environ.get("VAXSEQ_TEST_FIRST_SEED", "0"))


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[f"fuzz_{name}"] = made
    spec.loader.exec_module(made)
    return made


mutations, targets = module("mutations"), module("targets")


def outcome(target: Any, given: Any) -> str:
    """ "read", or the message that refuses it. Anything else is raised."""
    try:
        target(given)
    except VaxseqError as error:
        return str(error)
    return "read"


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numbers of a stranger may overflow
@pytest.mark.parametrize("kind", ["fitted", "manifest"])
def test_documents(kind: str) -> None:
    document = targets.fitted_document() if kind == "fitted" else targets.manifest_document()
    target = targets.load_fitted if kind == "fitted" else targets.load_manifest
    assert outcome(target, document) == "read"
    refused = 0
    for seed in range(FIRST, FIRST + MUTATIONS):
        changed, said = mutations.mutated(document, seed)
        try:
            message = outcome(target, changed)
        except BaseException as error:
            error.add_note(f"seed {seed}: {said}")
            raise
        refused += message != "read"
        assert message == "read" or len(message) > 20
    assert refused > MUTATIONS / 3


CORPUS = sorted(Path(__file__).with_name("corpus").iterdir())  # what a fuzzer has found, smallest inputs only


@pytest.mark.parametrize("found", CORPUS, ids=lambda found: found.name)
def test_what_was_found_is_refused_by_name_or_read(found: Path) -> None:
    message = outcome(targets.READERS[found.suffix], found.read_bytes())
    assert message == "read" or f"source{found.suffix}" in message


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("suffix", sorted(targets.READERS))
def test_sources(suffix: str, forked_probe: None) -> None:
    raw = targets.seed_of(suffix)
    assert outcome(targets.READERS[suffix], raw) == "read"
    count = MUTATIONS if suffix != ".hdf5" else min(MUTATIONS, 12)  # each new HDF5 file is tried by a process first
    for seed in range(FIRST, FIRST + count):
        chance = random.Random(seed)
        changed = bytearray(raw)
        for _ in range(chance.choice((1, 1, 2, 8))):
            at = chance.randrange(len(changed))
            kind = chance.randrange(4)
            if kind == 0:
                changed[at] ^= 1 << chance.randrange(8)
            elif kind == 1:
                changed[at : at + chance.randrange(1, 40)] = b""
            elif kind == 2:
                changed[at:at] = chance.randbytes(chance.randrange(1, 20))
            else:
                changed[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\x00\x00\x00\x00"))
            changed = changed or bytearray(b"\0")
        try:
            outcome(targets.READERS[suffix], bytes(changed))
        except BaseException as error:
            error.add_note(f"{suffix}, seed {seed}")
            raise
