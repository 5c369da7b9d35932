"""A report says what the conversion of its dataset noticed."""

from __future__ import annotations

from pathlib import Path

import vaxseq as vs


def test_a_notice_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,kw\n" + "".join(f"{i},{i % 7}\n" for i in range(50)) + "50,Tr\n")
    vs.convert(tmp_path / "a.csv", tmp_path / "a.arrow", progress=False)
    made = vs.report(tmp_path / "a.arrow", tmp_path / "report.html", progress=False)
    (finding,) = [one for one in made.findings if one.title == "As it was written"]
    assert finding.column == "kw"
    assert "50 of 51 are numbers" in finding.text
    assert "null_values" in finding.text
    assert "50 of 51 are numbers" in (tmp_path / "report.html").read_text("utf-8")
    (tmp_path / "b.csv").write_text("t,kw\n1,2\n2,3\n")
    vs.convert(tmp_path / "b.csv", tmp_path / "b.arrow", progress=False)
    made = vs.report(vs.open(tmp_path / "b.arrow"), tmp_path / "b.html", progress=False)
    assert not [one for one in made.findings if one.title == "As it was written"]
