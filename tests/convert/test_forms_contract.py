"""Every form: what it reads, what it doesn't, and that a missing cell stays missing."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from vaxseq.convert.forms import forms
from vaxseq.convert.forms.base import read_with_nulls

DAY = dt.date(2021, 12, 31)
TIME = dt.datetime(2021, 12, 31, 17, 5)
# form -> what is written, and what it is; None: not in this form
CELLS = {
    "month_first": [("12/31/2021", DAY), ("12-31-2021 17:05", TIME), ("12/31/21 5:05 PM", TIME),
                    ("31/12/2021", None), ("12/31-2021", None), ("2/30/2021", None), ("12/31/2021 25:00", None),
                    ("12/31/2021 13:00 PM", None)],
    "day_first": [("31.12.2021", DAY), ("31/12/2021 17:05:00", TIME), ("Fri 31.12.2021", DAY), ("12/31/2021", None),
                  ("31.12.2021 17:60", None), ("29.02.2021", None), ("31:12:2021 17:05:00", TIME), ("31:12:21", None)],
    "year_first": [("2021/12/31", DAY), ("2021-12-31 17:05", TIME), ("2021/13/01", None),
                   ("2021-12-30 24:00", dt.datetime(2021, 12, 31)), ("2021-12-30 24:01", None),
                   ("2021:12:31 17:05", TIME), ("21:12:31", None)],
    "month_names": [("31-Dec-2021", DAY), ("31. Dezember 2021 17:05", TIME), ("31/Dec/21:17:05:00", TIME),
                    ("31-Foo-2021", None), ("31-Feb-2021", None)],
    "iso_weeks": [("2021-W52-5", DAY), ("2021W525", DAY), ("2021-W53-1", None),
                  ("2020-W53-5", dt.date(2021, 1, 1)), ("2021-W52-8", None)],
    "months": [("2021-12", dt.date(2021, 12, 1)), ("1962/01", dt.date(1962, 1, 1)), ("2021-13", None),
               ("3021-12", None), ("2021-12-31", None), ("2021-1", None)],
    "compact": [("20211231", DAY), ("20211231T1705", TIME), ("20211231_170500", TIME), ("20211301", None),
                ("2021123", None)],
    "decimal_point": [("1,234.5", 1234.5), ("-$5", None), ("1'234'567.25", 1234567.25), ("(12.5)", -12.5),
                      ("−3.5", -3.5), ("1,23", None), ("007", None), ("1.5D+03", 1500.0), ("12,34,567", None),
                      ("1.2.3", None), ("x", None), ("9007199254740993", None)],
    "decimal_comma": [("1.234,5", 1234.5), ("1 234,5", 1234.5), ("-0,25", -0.25), ("1,234.5", None), ("1.23", None),
                      ("1.234.567,25", 1234567.25), ("0.123,5", None)],
    "boolean_words": [("yes", True), ("NO", False), ("maybe", None)],
}  # fmt: skip
ORDERS = ("31-Dec-2021", "Dec 31, 2021 5:05 p.m.", "2021-Dec-31 17:05", "Fri Dec 31 17:05:00 2021", "31 décembre 2021")


def test_every_form_is_held_to_this_contract() -> None:
    assert set(CELLS) == set(forms())


@pytest.mark.parametrize("name", sorted(CELLS))
class TestForm:
    """What all of them keep."""

    def test_reads_what_is_in_the_form_and_nothing_else(self, name: str) -> None:
        cells = pa.array([cell for cell, _ in CELLS[name]])
        found = forms()[name].read(cells)
        assert found.wrong.tolist() == [value is None for _, value in CELLS[name]]
        for got, (_, value) in zip(found.values.to_pylist(), CELLS[name], strict=True):
            if isinstance(got, dt.datetime) and not isinstance(value, dt.datetime | None):
                value = dt.datetime.combine(value, dt.time())
            assert got == value

    def test_one_cell_is_read_as_among_others(self, name: str) -> None:
        for cell, value in CELLS[name]:
            alone = forms()[name].read(pa.array([cell]))
            if value is not None:
                assert alone.values.to_pylist() == [value]
                assert not alone.wrong[0]

    def test_missing_cells_stay_missing(self, name: str) -> None:
        cell, value = CELLS[name][0]
        found = read_with_nulls(forms()[name], pa.array([None, f" {cell} ", "", "NA"]), pa.array(["NA"]))
        assert found.values.to_pylist() == [None, value, None, None]
        assert not found.wrong.any()

    def test_nothing_is_no_value(self, name: str) -> None:
        found = forms()[name].read(pa.array([], pa.string()))
        assert len(found.values) == 0
        assert found.wrong.tolist() == []

    def test_garbage_is_wrong_and_never_raises(self, name: str) -> None:
        garbage = ["", " ", "\0", "9" * 40, "1e999", "-", "..", "٣", "0x1F", "inf", "nan", "1/2", "a" * 1000,
                   "99/99/9999 99:99", "1,2,3", "(1", "1)", "--1", "$", "%", "20219999T9999"]  # fmt: skip
        found = forms()[name].read(pa.array(garbage))
        assert found.wrong.all(), [cell for cell, wrong in zip(garbage, found.wrong, strict=True) if not wrong]


@pytest.mark.parametrize("cell", ORDERS)
def test_a_month_name_decides_in_any_order(cell: str) -> None:
    found = forms()["month_names"].read(pa.array([cell]))
    assert str(found.values[0].as_py())[:10] == "2021-12-31"


def test_zones_are_instants_in_utc() -> None:
    cells = [
        "2021-01-01 10:00 CET",
        "2021-07-01T10:00:00+0200",
        "2021-07-01 10:00 Europe/Berlin",
        "2021-07-01 8:00 AM GMT",
    ]
    found = forms()["year_first"].read(pa.array(cells))
    hours = [9, 8, 8, 8]
    assert found.values.type == pa.timestamp("s", "UTC")
    assert [one.hour for one in found.values.to_pylist()] == hours
    twice = forms()["year_first"].read(pa.array(["2021-10-31 02:30 Europe/Berlin", "2021-07-01 10:00 Europe/Berlin"]))
    assert twice.wrong.tolist() == [True, False]  # an hour that comes twice
    assert forms()["year_first"].read(pa.array(["2021-07-01 10:00 CST"])).wrong.all()  # Chicago's or China's


def test_fractions_of_a_second_decide_the_unit() -> None:
    found = forms()["day_first"].read(pa.array(["31.12.2021 17:05:01.25", "31.12.2021 17:05:01"]))
    assert found.values.type == pa.timestamp("ms")
    assert found.values[0].as_py() == dt.datetime(2021, 12, 31, 17, 5, 1, 250_000)
    nanos = forms()["day_first"].read(pa.array(["31.12.2021 17:05:01.123456789", "31.12.2600 17:05:01.123456789"]))
    assert nanos.values.type == pa.timestamp("ns")
    assert nanos.wrong.tolist() == [False, True]
    assert int(np.asarray(nanos.values.cast(pa.int64()).fill_null(0))[0]) % 10**9 == 123_456_789


@pytest.mark.parametrize(
    ("name", "cells", "affix", "values"),
    [
        ("decimal_point", ["12%", "3.5 %"], "%", [12, 3.5]),
        ("decimal_point", ["$5.00", "-$1.50"], "$", [5, -1.5]),
        ("decimal_point", ["5 km/h", "7.5 km/h"], "km/h", [5, 7.5]),
        ("decimal_comma", ["12,5 °C", "-4 °C"], "°C", [12.5, -4]),
        ("decimal_comma", ["1.234,00 €", "5 €"], "€", [1234, 5]),
    ],
)
def test_a_unit_is_told_when_all_carry_it(name, cells, affix, values) -> None:
    found = forms()[name].read(pa.array(cells))
    assert (found.affix, found.values.to_pylist(), found.wrong.any()) == (affix, values, False)
    other = forms()[name].read(pa.array([*cells, cells[0].replace(affix, "zz")]))
    assert other.wrong.tolist() == [False, False, True]
