"""The kinds of raw files: which come in right at once, and which by the options that notices and errors offer.

``python -m tests.convert.test_raw_kinds`` prints the table.
"""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.convert.raw_text import merged_options_of
from vaxseq.convert import convert
from vaxseq.dataset.notice import merged_options
from vaxseq.errors import VaxseqError

T, D = dt.datetime, dt.date
Content = str | bytes | Callable[[Path], object]


@dataclass(frozen=True)
class Kind:
    """A file as it is written, and the columns that it holds; others of it aren't looked at."""

    name: str
    content: Content
    rows: dict[str, list[Any]]
    at_once: bool = False
    file: str = "raw.csv"


def nearly() -> str:
    return "id,rain\n" + "".join(f"{i},{'Tr' if i == 321 else 20 + i % 8 / 4}\n" for i in range(500))


def sentinel() -> str:
    return "id,level\n" + "".join(f"{i},{-9999 if i in (7, 99) else 5 + i % 9 / 2}\n" for i in range(300))


def minutes(day: int, count: int) -> list[dt.datetime]:
    return [T(2016, 1, day, 23, 30) + dt.timedelta(minutes=10 * i) for i in range(count)]


def hive(path: Path) -> None:
    for year, value in (("2021", 1), ("__HIVE_DEFAULT_PARTITION__", 2)):
        (path / f"year={year}").mkdir(parents=True)
        pq.write_table(pa.table({"v": [value]}), path / f"year={year}" / "0.parquet")


def hdf5(arrays: dict[str, Any], **how: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "w", **how) as file:
            for name, values in arrays.items():
                file[name] = values

    return write


def parquet(columns: dict[str, Any]) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.table(columns), path)


COMPOUND = np.array([(1, 2.5, b"ab"), (3, 4.5, b"c")], dtype=[("i", "i4"), ("v", "f8"), ("s", "S4")])
STEPS = "".join(f"{t:%d/%m/%Y %H:%M},{i / 4}\n" for i, t in enumerate(minutes(9, 6)))
KINDS = [
    Kind("month first, told by one value", "t,kw\n12/1/2021 7:45,1.5\n12/2/2021 0:00,2.5\n12/31/2021 17:05,0.5\n",
         {"t": [T(2021, 12, 1, 7, 45), T(2021, 12, 2), T(2021, 12, 31, 17, 5)], "kw": [1.5, 2.5, 0.5]}, at_once=True),
    Kind("day first, decimal commas", "Zeit;Leistung\n01.12.2021 07:45;1,5\n31.12.2021 17:05;1.250,75\n",
         {"Zeit": [T(2021, 12, 1, 7, 45), T(2021, 12, 31, 17, 5)], "Leistung": [1.5, 1250.75]}, at_once=True),
    Kind("day or month first", "t,kw\n01/02/2021,1\n03/04/2021,2\n", {"t": [D(2021, 1, 2), D(2021, 3, 4)]}),
    Kind("day or month first, the steps tell", "t,v\n" + STEPS, {"t": minutes(9, 6)}),
    Kind("names of months", "day,v\n31-Dec-2021,1\n01-Jan-2022,2\n", {"day": [D(2021, 12, 31), D(2022, 1, 1)]},
         at_once=True),
    Kind("24:00", "t,v\n2021-12-31 23:00,1\n2021-12-31 24:00,2\n", {"t": [T(2021, 12, 31, 23), T(2022, 1, 1)]},
         at_once=True),
    Kind("a date, a colon, a time", "t,v\n20090101:0010,1\n20091231:2310,2\n",
         {"t": [T(2009, 1, 1, 0, 10), T(2009, 12, 31, 23, 10)]}, at_once=True),
    Kind("two header lines",
         ",January,January,February\n[kWh],Sat,Sun,Sat\n00:00,15.0,14.5,14.25\n00:15,13.5,13.25,12\n",
         {"January Sat": [15.0, 13.5], "January Sun": [14.5, 13.25], "February Sat": [14.25, 12.0]}),
    Kind("a line of units", "time,temp,rh\ns,degC,%\n0,20.5,41\n10,20.75,40\n",
         {"time": [0, 10], "temp": [20.5, 20.75], "rh": [41, 40]}),
    Kind("a station's line", '4711,"PIER",NO,59.9\nt,level\n2021-01-01 00:00,1.25\n2021-01-01 00:10,1.5\n',
         {"t": [T(2021, 1, 1), T(2021, 1, 1, 0, 10)], "level": [1.25, 1.5]}),
    Kind("a logger's four lines", '"TOA5","CR1000"\n"TIMESTAMP","RECORD","T"\n"TS","RN","DegC"\n"","","Avg"\n'
         '"2021-01-01 00:00:00",0,1.5\n"2021-01-01 00:10:00",1,"NAN"\n"2021-01-01 00:20:00",2,1.7\n',
         {"TIMESTAMP": [T(2021, 1, 1, 0, at) for at in (0, 10, 20)], "RECORD": [0, 1, 2], "T": [1.5, None, 1.7]}),
    Kind("a spreadsheet's title, padded", "PV Data,,,\nLocation:,15013 Parkway,,\nLat:,39.7,,\n,,,\nMonth,Day,Hour,kW\n"
         + "".join(f"1,1,{i},{i / 4}\n" for i in range(24)) + "Totals,,,69\n",
         {"Month": [1] * 24, "Hour": list(range(24)), "kW": [i / 4 for i in range(24)]}),
    Kind("a title above, remarks below", "Latitude:\t45.0\nSlope: 30 deg.\n\ntime,G,T\n20160101:0010,0.0,3.5\n"
         "20160101:0110,1.5,3\n20160101:0210,2.5,2\n\nG: irradiance (W/m2), plane\nT: air, 2 m\n(c) 2021\n",
         {"time": [T(2016, 1, 1, at, 10) for at in range(3)], "G": [0.0, 1.5, 2.5], "T": [3.5, 3.0, 2.0]}),
    Kind("remarks far below", "t,v,w\n" + "".join(f"{i},{i / 4},x\n" for i in range(9000)) + "\nv: a thing\n(c) 2021\n",
         {"t": list(range(9000)), "v": [i / 4 for i in range(9000)]}),
    Kind("many comments, the last with the names", "# a file\n" + "#  about, it\n" * 70 +
         "# period;TOA;GHI\n2020-01-01;1.5;2\n2020-01-02;2.5;3\n",
         {"period": [D(2020, 1, 1), D(2020, 1, 2)], "TOA": [1.5, 2.5], "GHI": [2, 3]}, at_once=True),
    Kind("blanks between columns, below a title",
         " Alamosa\n  37.70  105.92 2317 m version 1\n 2016  1  0.000  91.65 -1.8 0 1\n"
         " 2016  2  0.017  91.83 -1.5 0 1\n 2016  3  0.033  92.00 -1.2 0 1\n 2016  4  0.050  92.18 -1.0 0 1\n",
         {"column_0": [2016] * 4, "column_1": [1, 2, 3, 4], "column_4": [-1.8, -1.5, -1.2, -1.0]}, file="raw.dat"),
    Kind("single quotes", "'time PST', level\n'2001-08-15 19:06:55', 27.5\n'2001-08-15 19:07:55', 27.25\n",
         {"time PST": [T(2001, 8, 15, 19, 6, 55), T(2001, 8, 15, 19, 7, 55)], "level": [27.5, 27.25]}),
    Kind("the header again", "t,v\n1,2.5\n2,3.5\nt,v\n3,4.5\n", {"t": [1, 2, 3], "v": [2.5, 3.5, 4.5]}),
    Kind("no header", "-1,0.25,0.5\n1,0.75,0.5\n1,-0.25,1.5\n", {"column_0": [-1, 1, 1]}),
    Kind("no header, missing in the first row", "4.5,0,nan,nan\n4.25,0.5,1.5,2.5\n4,0.75,1.25,0.5\n",
         {"column_0": [4.5, 4.25, 4.0], "column_3": [None, 2.5, 0.5]}),
    Kind("an open quote", 'id,note\n1,ok\n2,"5 inch pipe\n3,ok\n4,ok\n', {"id": [1, 3, 4]}),
    Kind("thousands, currency, percent, units",
         'n,price,share,temp\n"1,234",$5.00,12%,12.3 °C\n"12,345",$1.50,3.5%,-4 °C\n',
         {"n": [1234, 12345], "price": [5.0, 1.5], "share": [12.0, 3.5], "temp": [12.3, -4.0]}),
    Kind("all but one are numbers", nearly(), {"id": list(range(500)), "rain": [
        None if i == 321 else 20 + i % 8 / 4 for i in range(500)]}),
    Kind("-9999 for missing", sentinel(), {"level": [
        None if i in (7, 99) else 5 + i % 9 / 2 for i in range(300)]}),
    Kind("-9999 among decimal commas",
         "t;v\n" + "".join(f"{i};{'-9999' if i == 9 else f'{i},25'}\n" for i in range(30)),
         {"v": [None if i == 9 else i + 0.25 for i in range(30)]}),
    Kind("yes and no", "id,on\n1,yes\n2,no\n3,yes\n", {"on": [True, False, True]}, at_once=True),
    Kind("a line that names the delimiter", "sep=;\na;b\n1;x\n2;y\n", {"a": [1, 2], "b": ["x", "y"]}, at_once=True),
    Kind("UTF-16", "a\tb\n1\tÅ\n2\tø\n".encode("utf-16"), {"a": [1, 2], "b": ["Å", "ø"]}, at_once=True),
    Kind("cp1252",
         "where,v\nMünchen,1\nKöln,2\n".encode("cp1252"), {"where": ["München", "Köln"], "v": [1, 2]}, at_once=True),
    Kind("JSON lines with objects and lists",
         '{"t": 1, "p": {"x": 0.5}, "tags": ["a", "b"]}\n{"t": 2, "p": null, "tags": []}\n',
         {"t": [1, 2], "p.x": [0.5, None], "tags": ["a|b", ""]}, at_once=True, file="raw.jsonl"),
    Kind("a JSON array", '[{"t": 1, "p": {"x": 0.5}}, {"t": 2, "p": {"x": 2.5}}]', {"p.x": [0.5, 2.5]}, at_once=True,
         file="raw.json"),
    Kind("a portal's answer in JSON",
         '{"meta": {"months": [{"m": 1}, {"m": 2}]}, "out": {"hourly": [{"t": "20130101:0055", "P": 0.5}, '
         '{"t": "20130101:0155", "P": 1.5}, {"t": "20130101:0255", "P": 2.5}]}}',
         {"t": [T(2013, 1, 1, at, 55) for at in range(3)], "P": [0.5, 1.5, 2.5]}, file="raw.json"),
    Kind("lists of one length", parquet({"s": [[1.0, 2.0], [4.0, 5.0]], "y": [0, 1]}), {"s": [[1.0, 2.0], [4.0, 5.0]]},
         at_once=True, file="raw.parquet"),
    Kind("ragged lists", parquet({"e": [[1, 2], [], [3]], "w": [["a", "b"], ["a"], None]}),
         {"e": [[1, 2], [None, None], [3, None]], "e.length": [2, 0, 1], "w": ["a|b", "a", None]}, at_once=True,
         file="raw.parquet"),
    Kind("structs", parquet({"pos": [{"x": 1.0, "y": None}, {"x": 2.0, "y": 3.0}]}),
         {"pos.x": [1.0, 2.0], "pos.y": [None, 3.0]}, at_once=True, file="raw.parquet"),
    Kind("Hive partitions, one missing", hive, {"v": [1, 2], "year": [2021, None]}, at_once=True, file="hive"),
    Kind("HDF5 arrays of two lengths", hdf5({"x": np.arange(5.0), "slow/y": np.arange(7.0)}),
         {"y": list(map(float, range(7)))}, file="raw.h5"),
    Kind("HDF5 compound", hdf5({"log": COMPOUND}), {"i": [1, 3], "v": [2.5, 4.5], "s": ["ab", "c"]}, at_once=True,
         file="raw.h5"),
    Kind("MATLAB 7.3",
         hdf5({"t": np.arange(5.0).reshape(1, 5), "acc": np.arange(15.0).reshape(3, 5)}, userblock_size=512),
         {"t": [0.0, 1.0, 2.0, 3.0, 4.0], "acc": [[i, i + 5.0, i + 10.0] for i in map(float, range(5))]}, at_once=True,
         file="raw.mat"),
]  # fmt: skip


def came(folder: Path, kind: Kind) -> tuple[str, dict[str, Any]]:
    """("at once", "by its options" or "not", the options that were taken)."""
    source = folder / kind.file
    if callable(kind.content):
        kind.content(source)
    else:
        source.write_bytes(kind.content if isinstance(kind.content, bytes) else kind.content.encode())
    taken: dict[str, Any] = {}
    for step in range(6):
        try:
            made = convert(source, folder / "o.arrow", progress=False, overwrite=True, resume=False, **taken)
        except VaxseqError as error:
            offered = error.options
        else:
            with pa.memory_map(str(folder / "o.arrow")) as file:
                if same(pa.ipc.open_file(file).read_all(), kind.rows):
                    return ("by its options" if step else "at once"), taken
            offered = merged_options(made.notices)
        fresh = merged_options_of(taken, offered)
        if fresh == taken:
            break
        taken = fresh
    return "not", taken


def same(table: pa.Table, rows: dict[str, list[Any]]) -> bool:
    if not set(rows) <= set(table.column_names):
        return False
    found = {name: [None if one != one else one for one in table[name].to_pylist()] for name in rows}
    return found == rows


@pytest.mark.parametrize("kind", KINDS, ids=lambda one: one.name)
def test_a_kind_comes_in_right(tmp_path: Path, kind: Kind) -> None:
    how, taken = came(tmp_path, kind)
    assert how == ("at once" if kind.at_once else "by its options"), taken


def main() -> None:
    counts: Counter[str] = Counter()
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            how, taken = came(Path(folder), kind)
        counts[how] += 1
        sys.stdout.write(f"{kind.name:45} {how:15} {taken or ''}\n")
    sys.stdout.write(f"{len(KINDS)} kinds: {dict(counts)}\n")


if __name__ == "__main__":
    main()
