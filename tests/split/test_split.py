"""Parts of a frame are disjoint, complete, the same everywhere, and what their rule promises."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import vaex
from hypothesis import given, settings
from hypothesis import strategies as st

import vaxseq as vs
from vaxseq.cli import main
from vaxseq.errors import ColumnNotFoundError, MissingValueError, OptionError, SelectionError
from vaxseq.expressions.values import from_raw
from vaxseq.frame import source_of
from vaxseq.split.hashing import hash_column, hash_keys
from vaxseq.split.ranks import smallest, sortable, unsorted

FRACTIONS = {"train": 0.7, "validation": 0.2, "test": 0.1}


def columns(rows: int = 2_000, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    hole = rng.random(rows) < 0.05
    device = rng.integers(0, max(2, rows // 25), rows)
    return {
        "x": np.arange(rows),
        "device": device,
        "tail": pa.array([f"dévice {one}" for one in device], mask=hole),
        "code": pa.array(device, mask=hole),
        "label": pa.array(rng.choice(["rare", "some", "often"], rows, p=[0.03, 0.27, 0.7])),
        "t": rng.permutation(rows).astype("M8[h]").astype("M8[s]"),
        "hour": rng.integers(0, rows, rows).astype(np.float32),
    }


@pytest.fixture(scope="module")
def frame() -> Any:
    return vaex.from_arrays(**columns())


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    table = pa.table({name: pa.array(column) for name, column in columns().items()})
    with pa.OSFile(str(tmp_path / "data.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=300)
    return tmp_path / "data.arrow"


def rows_of(part: Any) -> np.ndarray:
    return np.asarray(part.x.to_numpy())


def check_parts(parts: Any, whole: Any) -> list[np.ndarray]:
    """Disjoint and complete, up to what was dropped; the counts told are the counts there."""
    found = [rows_of(part) for part in parts.values()]
    together = np.concatenate(found)
    assert len(np.unique(together)) == len(together)
    assert set(together.tolist()) <= set(rows_of(whole).tolist())
    assert len(together) + parts.dropped == len(whole)
    if parts.rows:
        assert list(parts.rows.values()) == [len(one) for one in found]
    return found


WAYS: list[dict[str, Any]] = [
    {},
    {"stratify": "label"},
    {"by": "hash", "key": "device"},
    {"by": "hash", "key": ["tail", "device"]},
    {"by": "group", "key": "tail"},
    {"by": "group", "key": ["code", "label"]},
    {"by": "time", "key": "t"},
    {"by": "time", "key": "hour"},
    {"by": "time", "key": "t", "gap": "30h"},
]


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_parts_are_disjoint_and_complete_with_and_without_a_filter(frame, options):
    for whole in (frame, frame[frame.x % 3 != 0], frame[500:1500], frame[frame.x < 900][100:800]):
        parts = vs.split(whole, FRACTIONS, **options)
        assert list(parts) == list(FRACTIONS)
        check_parts(parts, whole)


@settings(max_examples=30)
@given(st.integers(1, 3000), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 2**40), st.booleans())
def test_random_sizes_are_exact(rows, weights, seed, filtered):
    whole = vaex.from_arrays(x=np.arange(rows))
    if filtered:
        whole = whole[whole.x % 2 == 0]
    fractions = {str(number): weight / sum(weights) for number, weight in enumerate(weights)}
    exact = np.array(list(fractions.values())) * len(whole)
    if np.floor(exact).min() < 1:
        return
    parts = vs.split(whole, fractions, seed=seed)
    found = check_parts(parts, whole)
    assert (np.abs([len(one) for one in found] - exact) < 1).all()


def test_the_same_seed_gives_the_same_parts_in_another_process_and_file_format(dataset, python):
    code = (
        f"import json, vaxseq as vs; ways = {WAYS!r}; "
        f"parts = [vs.split({str(dataset)!r}, {FRACTIONS!r}, seed=3, **way) for way in ways]; "
        "print(json.dumps([[part.x.tolist() for part in one.values()] for one in parts]))"
    )
    shown = json.loads(python.run(["-c", code], check=True).stdout)
    for way, found in zip(WAYS, shown, strict=True):
        in_memory = vs.split(vaex.from_arrays(**columns()), FRACTIONS, seed=3, **way)
        assert found == [rows_of(part).tolist() for part in in_memory.values()], way


def test_another_seed_gives_other_random_and_hash_parts(frame):
    for options in ({}, {"by": "hash", "key": "device"}, {"stratify": "label"}):
        one, two = (rows_of(vs.split(frame, FRACTIONS, seed=seed, **options)["train"]) for seed in (0, 1))
        assert set(one.tolist()) != set(two.tolist())


def test_parts_are_lazy_frames_that_keep_virtual_columns_and_pickle_small(frame):
    whole = frame.copy()
    whole["twice"] = whole.x * 2
    part = vs.split(whole, FRACTIONS)["test"]
    assert part.twice.tolist() == (rows_of(part) * 2).tolist()
    assert part.get_column_names() == whole.get_column_names()
    again = pickle.loads(pickle.dumps(source_of(part).spec())).open()
    assert again.filter_mask(0, 50).tolist() == source_of(part).filter_mask(0, 50).tolist()
    narrower = part[part.x < 100]
    assert rows_of(narrower).tolist() == [x for x in rows_of(part).tolist() if x < 100]


def test_parts_can_be_split_again(frame):
    outer = vs.split(frame, {"keep": 0.8, "test": 0.2}, by="group", key="device")
    inner = vs.split(outer["keep"], {"train": 0.75, "validation": 0.25})
    check_parts(inner, outer["keep"])
    assert inner.rows["train"] == round(0.75 * outer.rows["keep"])


def test_fingerprints_tell_parts_apart(frame):
    prints = {
        source_of(part).fingerprint()
        for seed in (0, 1)
        for options in ({}, {"stratify": "label"}, {"by": "hash", "key": "device"})
        for part in vs.split(frame, FRACTIONS, seed=seed, **options).values()
    }
    assert len(prints) == 18


# --- stratified ---


@settings(max_examples=40)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=30), st.integers(0, 2**32), st.booleans())
def test_stratified_parts_keep_each_class_to_a_row_and_the_whole_too(sizes, seed, filtered):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    whole = vaex.from_arrays(x=np.arange(len(labels)), label=labels)
    if filtered:
        whole = whole[whole.x % 5 != 0]
    if len(whole) < 40:
        return
    parts = vs.split(whole, FRACTIONS, seed=seed, stratify="label")
    found = check_parts(parts, whole)
    there = np.bincount(labels[rows_of(whole)], minlength=len(sizes))
    for share, part in zip(FRACTIONS.values(), found, strict=True):
        assert (np.abs(np.bincount(labels[part], minlength=len(sizes)) - share * there) < 1 + 1e-6).all()
        assert abs(len(part) - share * len(whole)) < 3


def test_small_classes_do_not_all_round_the_same_way():
    whole = vaex.from_arrays(x=np.arange(300), label=np.arange(300) % 60)
    parts = vs.split(whole, FRACTIONS, stratify="label")  # each class of five rows: 3.5, 1 and 0.5
    assert parts.rows == {"train": 210, "validation": 60, "test": 30}


def test_missing_classes_are_a_class(frame):
    parts = vs.split(frame, {"a": 0.5, "b": 0.5}, stratify="tail")
    missing = [int(part["tail"].ismissing().sum()) for part in parts.values()]
    assert abs(missing[0] - missing[1]) <= 1


# --- hash and group ---


@pytest.mark.parametrize("by", ["hash", "group"])
@pytest.mark.parametrize("key", ["device", "tail", "code"])
def test_no_key_is_in_two_parts(frame, by, key):
    parts = vs.split(frame, {"a": 0.6, "b": 0.4}, by=by, key=key)
    keys = [set(part[key].tolist()) for part in parts.values()]
    assert not keys[0] & keys[1]  # None, the missing key, included
    assert keys[0] | keys[1] == set(frame[key].tolist())


def test_a_keys_part_by_hash_never_changes_when_rows_are_added():
    few, many = (vs.split(vaex.from_arrays(**columns(n)), FRACTIONS, by="hash", key="device") for n in (1000, 3000))
    for name in FRACTIONS:
        later = set(many[name].device.tolist())
        known = {part: set(few[part].device.tolist()) for part in FRACTIONS}
        assert not any(later & known[other] for other in FRACTIONS if other != name)


def test_hash_parts_come_near_their_fractions():
    whole = vaex.from_arrays(x=np.arange(200_000))
    found = check_parts(vs.split(whole, FRACTIONS, by="hash", key="x"), whole)
    assert np.abs(np.array([len(one) for one in found]) / 200_000 - list(FRACTIONS.values())).max() < 0.005


def test_groups_are_balanced_by_their_rows():
    sizes = [900, 500, 300, 100, 100, 50, 50]
    groups = np.repeat(np.arange(7), sizes)
    parts = vs.split(vaex.from_arrays(x=np.arange(2000), g=groups), {"a": 0.5, "b": 0.5}, by="group", key="g")
    assert parts.rows == {"a": 1000, "b": 1000}


def test_hashes_depend_on_values_alone():
    whole = np.array([3, -7, 2**52], np.int64)
    same = [
        whole,
        whole.astype(np.float64),
        pa.array(whole),
        pa.array(whole, pa.float64()),
        np.ma.array(whole, mask=[False, False, False]),
    ]
    assert len({tuple(hash_column(from_raw(one)).tolist()) for one in same}) == 1
    words = ["", "a", "b", "ab", "ba", "dé", "x" * 300]
    texts = [
        pa.array(words),
        pa.array(words, pa.large_string()),
        pa.array(words).dictionary_encode(),
        pa.array(["skip", *words])[1:],
        pa.array(["skip", *words]).dictionary_encode()[1:],
    ]
    assert len({tuple(hash_column(from_raw(one)).tolist()) for one in texts}) == 1
    assert len(set(hash_column(from_raw(texts[0])).tolist())) == len(words)
    seconds = np.array(["2020-01-01", "2021-02-03"], "M8[s]")
    assert hash_column(from_raw(seconds)).tolist() == hash_column(from_raw(seconds.astype("M8[ns]"))).tolist()


def test_hashes_are_pinned_and_missing_is_one_key():
    """A changed hash would move keys between train and test."""
    found = [
        *hash_column(from_raw(np.array([0, 1, -1]))).tolist(),
        *hash_column(from_raw(np.array([0.5, np.nan]))).tolist(),
        *hash_column(from_raw(pa.array(["", "tail", None]))).tolist(),
        *hash_keys([from_raw(np.array([1])), from_raw(pa.array(["a"]))]).tolist(),
    ]
    assert found == [
        0, 16294208416658607535, 3703370420611038912,
        12540125890274689216, 9977475688515658944,
        5315247485915715789, 2880339759754810845, 9977475688515658944,
        15862775569712571514,
    ]  # fmt: skip
    assert found[4] == found[7]


@given(st.lists(st.text(max_size=12), max_size=40, unique=True))
def test_different_texts_hash_differently_and_slices_the_same(words):
    column = pa.array([*words, None], pa.string())
    found = hash_column(from_raw(column)).tolist()
    assert len(set(found)) == len(words) + 1
    at = len(words) // 2
    assert hash_column(from_raw(column[at:])).tolist() == found[at:]


# --- time ---


@given(
    st.integers(0, 2**32),
    st.integers(2, 400),
    st.sampled_from(["M8[h]", "M8[ns]", "i8", "f8", "f4"]),
    st.integers(1, 99),
)
@settings(max_examples=40)
def test_parts_in_time_follow_each_other_and_sizes_are_near(seed, rows, dtype, percent):
    rng = np.random.default_rng(seed)
    times = rng.integers(-50, max(1, rows // 2), rows).astype(dtype)  # with ties
    whole = vaex.from_arrays(x=np.arange(rows), t=times)
    cut = np.sort(times)[min(round(percent / 100 * rows), rows - 1)]
    early = int((times < cut).sum())
    fractions = {"early": percent / 100, "late": 1 - percent / 100}
    if early == 0:
        with pytest.raises(SelectionError, match="part 'early' would have no rows"):
            vs.split(whole, fractions, by="time", key="t")
        return
    parts = vs.split(whole, fractions, by="time", key="t")
    found = check_parts(parts, whole)
    assert len(found[0]) == early
    assert times[found[0]].max() < cut <= times[found[1]].min()


def test_a_slip_names_the_parts(frame):
    parts = vs.split(frame, {"train": 0.8, "validation": 0.2})
    with pytest.raises(KeyError, match="no part 'valid'. Did you mean 'validation'?"):
        parts["valid"]
    with pytest.raises(OptionError, match=r"got a Parts of frames, expected one frame. Name one of its parts: \['tr"):
        vs.split(parts, {"a": 1})


def test_a_gap_leaves_out_the_rows_before_a_cut(frame):
    parts = vs.split(frame, FRACTIONS, by="time", key="t", gap="36h")
    found = check_parts(parts, frame)
    times = columns()["t"]
    for early, late in pairwise(found):
        assert times[late].min() - times[early].max() > np.timedelta64(36, "h")
    assert parts.dropped == 2 * 36
    assert "dropped in the gap: 72 rows" in repr(parts)
    numbers = vs.split(frame, FRACTIONS, by="time", key="x", gap=10)
    assert numbers.dropped == 20


def test_parts_end_at_given_dates(frame):
    parts = vs.split(frame, {"train": "1970-02-01", "validation": "1970-03-01", "test": None}, by="time", key="t")
    assert parts.rows == {"train": 31 * 24, "validation": 28 * 24, "test": 2000 - 59 * 24}
    check_parts(parts, frame)
    assert vs.split(frame, {"a": 100, "b": None}, by="time", key="x").rows == {"a": 100, "b": 1900}
    uneven = vs.split(frame, {"a": "1970-01-01T05:00:00.5", "b": None}, by="time", key="t")
    assert uneven.rows["a"] == 6  # five o'clock is before that, though the column knows whole seconds only


def test_an_end_with_an_offset_is_taken_in_utc(frame):
    ends = [
        "1970-02-01T01:00:00+01:00",
        datetime(1970, 2, 1, tzinfo=UTC),
        datetime(1970, 2, 1),
        np.datetime64("1970-02"),
    ]
    for end in ends:
        assert vs.split(frame, {"a": end, "b": None}, by="time", key="t").rows["a"] == 31 * 24


def test_whole_ends_are_exact_beyond_what_a_float_holds():
    big = 2**60
    whole = vaex.from_arrays(x=np.arange(10), t=np.arange(big, big + 10))
    assert vs.split(whole, {"a": big + 3, "b": None}, by="time", key="t").rows == {"a": 3, "b": 7}


@given(st.data())
def test_ranks_are_those_of_the_sorted_numbers(data):
    kind = data.draw(st.sampled_from(["i8", "f8", "f4", "u8", "M8[s]"]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    raw = rng.integers(-(2**62), 2**62, data.draw(st.integers(1, 300)))
    numbers = np.abs(raw).astype(kind) if kind == "u8" else raw.astype(kind)
    if kind.startswith("f"):
        numbers *= rng.choice([1.0, 1e-30, 0.0, -1e-300], len(numbers)).astype(kind)
    ranks = sorted(data.draw(st.lists(st.integers(0, len(numbers) - 1), max_size=5)))
    words = smallest(ranks, lambda count: map(count, np.array_split(sortable(numbers), 3)), 2**64 - 1)
    found = [unsorted(word, numbers.dtype)[0] for word in words]
    assert found == np.sort(numbers)[ranks].tolist() if kind != "M8[s]" else found == list(np.sort(numbers)[ranks])


# --- refusals ---


@pytest.mark.parametrize(
    ("fractions", "options", "error", "message"),
    [
        ({"a": 0.5, "b": 0.4}, {}, OptionError, r"they sum to 0.9, expected 1"),
        ({"a": 0.0, "b": 1.0}, {}, OptionError, r"fractions\['a'\]: got 0.0"),
        ({"a": "1"}, {}, OptionError, r"got '1', expected a number"),
        ({}, {}, OptionError, r"got \{\}, expected names with fractions"),
        (FRACTIONS, {"by": "rows"}, OptionError, r"by: got 'rows'"),
        (FRACTIONS, {"by": "hash"}, OptionError, r"by='hash' needs one"),
        (FRACTIONS, {"key": "device"}, OptionError, r"by='random' takes none.*Did you mean"),
        (FRACTIONS, {"by": "time", "key": ["t", "x"]}, OptionError, r"takes one column"),
        (FRACTIONS, {"by": "time", "key": "label"}, OptionError, r"'label': got text, expected times or numbers"),
        (FRACTIONS, {"by": "hash", "key": "devise"}, ColumnNotFoundError, r"Did you mean 'device'"),
        (FRACTIONS, {"stratify": "label", "by": "hash", "key": "x"}, OptionError, r"goes with by='random'"),
        (FRACTIONS, {"gap": "1h"}, OptionError, r"goes with by='time'"),
        (FRACTIONS, {"gap": "1 week", "by": "time", "key": "t"}, OptionError, r"split gap: got '1 week'"),
        (FRACTIONS, {"gap": 5, "by": "time", "key": "t"}, OptionError, r"got 5, expected a length of time"),
        (FRACTIONS, {"gap": "5h", "by": "time", "key": "x"}, OptionError, r"got '5h', expected a number"),
        (FRACTIONS, {"gap": "9999h", "by": "time", "key": "t"}, SelectionError, r"part 'train' would have no rows"),
        (FRACTIONS, {"seed": -1}, OptionError, r"seed: got -1"),
        (FRACTIONS, {"by": "time", "key": "code"}, MissingValueError, r"'code': \d+ rows have no time. Filter them"),
        ({"a": "NaT", "b": None}, {"by": "time", "key": "t"}, OptionError, r"got 'NaT', expected a date"),
        ({"a": "soon", "b": None}, {"by": "time", "key": "t"}, OptionError, r"got 'soon', expected a date"),
        ({"a": 5, "b": 5, "c": None}, {"by": "time", "key": "x"}, OptionError, r"each later than the one before"),
        ({"a": 0.9999, "b": 0.0001}, {}, SelectionError, r"part 'b' would have no rows. Give it a larger"),
        ({"a": 0.5, "b": 0.5}, {"by": "group", "key": "one"}, SelectionError, r"'b' would have no rows. There are too"),
    ],
)
def test_what_cannot_be_is_refused(frame, fractions, options, error, message):
    whole = frame.copy()
    whole["one"] = whole.x * 0
    with pytest.raises(error, match=message):
        vs.split(whole, fractions, **options)


def test_a_filter_that_leaves_nothing_is_told(frame):
    with pytest.raises(SelectionError, match="leaves none of its 2,000 rows"):
        vs.split(frame[frame.x < 0], FRACTIONS)


# --- command line ---


def run(*args: object) -> object:
    with pytest.raises(SystemExit) as done:
        main([str(arg) for arg in args])
    return done.value.code


def test_the_verb_shows_and_writes_the_parts(dataset, tmp_path, capsys):
    arguments = ["split", dataset, "-p", "train=0.8", "-p", "test=0.2", "--by", "group", "-k", "tail"]
    assert run(*arguments, "--json", "-o", tmp_path / "parts") == 0
    told = json.loads(capsys.readouterr().out)
    parts = vs.split(str(dataset), {"train": 0.8, "test": 0.2}, by="group", key="tail")
    assert told["rows"] == parts.rows
    for name, file in told["files"].items():
        again = vs.open(file)
        assert again.x.tolist() == rows_of(parts[name]).tolist()
        assert again["tail"].tolist() == parts[name]["tail"].tolist()
    assert run(*arguments, "-o", tmp_path / "parts") == 2
    assert "is there already" in capsys.readouterr().err
    assert run(*arguments) == 0
    assert "train" in capsys.readouterr().out


def test_the_verb_cuts_in_time(dataset, capsys):
    assert run("split", dataset, "-p", "a=1970-02-01", "-p", "b", "--by", "time", "-k", "t", "--gap", "1d") == 0
    shown = capsys.readouterr().out
    assert "720" in shown
    assert "dropped in the gap: 24 rows" in shown
    assert run("split", dataset, "-p", "a=0.5", "-p", "a=0.5") == 2
    assert "expected another name" in capsys.readouterr().err
