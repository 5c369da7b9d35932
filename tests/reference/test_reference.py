"""The reference pages: every snippet runs, every table is the code's own, every link leads somewhere.

The pages go on from the README's ten lines: a snippet finds the names and the files that these make, beside the flights
as a dataset and as a fitted state.
"""

from __future__ import annotations

import inspect
import os
import re
import shlex
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import vaxseq as vs
from vaxseq import errors
from vaxseq.cli import app, main, verbs
from vaxseq.convert.forms import forms
from vaxseq.convert.mapping import types_table
from vaxseq.convert.readers import readers
from vaxseq.dataset.schema import Schema
from vaxseq.errors import OptionError
from vaxseq.expressions.functions import table as expressions_table
from vaxseq.features.transforms.table import steps_table
from vaxseq.reference import page, topics

pytestmark = pytest.mark.usefixtures("quick_compiler")
ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "vaxseq" / "reference"
# run by processes of their own: tests/training/sharded_training.py, tests/training/test_service.py,
# tests/features/test_packaged_steps.py, tests/test_executors.py
ELSEWHERE = {
    "python ddp",
    "python processes",
    "python mirrored",
    "python workers",
    "python service",
    "python package",
    "python ray",
}
# what is long for steady figures alone
SHORTER = {"profile": {"seconds=2": "seconds=0.5", "--seconds 2": "--seconds 0.5"}}


def blocks(topic: str, language: str) -> list[str]:
    text = page(topic)
    for long, short in SHORTER.get(topic, {}).items():
        assert long in text
        text = text.replace(long, short)
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def having(language: str) -> list[str]:
    return [topic for topic in topics() if blocks(topic, language)]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder and the names, as the README's ten lines leave them."""
    folder = tmp_path_factory.mktemp("walked")
    (folder / "data_samples").symlink_to(ROOT / "data_samples")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [ten_lines] = re.findall(r"^## Ten lines\n+```python\n(.*?)^```$", readme, flags=re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "walked"}
    before = Path.cwd()
    os.chdir(folder)
    try:
        exec(compile(ten_lines, "README.md", "exec"), names)
        names["frame"] = vs.open("turbines.arrow")
        vs.convert("data_samples/nycflights_2013_01.csv.gz", "flights.arrow", progress=False)
        fitted = vs.FeatureSet.load("data_samples/flights.features.yaml").fit(vs.open("flights.arrow"), progress=False)
        fitted.save("flights.fitted.json")
    finally:
        os.chdir(before)
    return folder, names


@pytest.fixture
def names(walked: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The same names, in a folder of the test's own that has the same files."""
    for one in walked[0].iterdir():
        (tmp_path / one.name).symlink_to(one.resolve())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    return dict(walked[1])


@pytest.mark.slow
@pytest.mark.backend
@pytest.mark.parametrize("topic", having("python"))
def test_python(topic: str, names: dict[str, Any]) -> None:
    for block in blocks(topic, "python"):
        exec(compile(block, f"{topic}.md", "exec"), names)
    if topic == "serving":
        assert 700 < names["power_kw"][0] < 1150  # 90 % of the rows with this wind give 844 to 1001 kW
    if topic == "folds":
        scores = [trial.score for trial in names["tuner"].oracle.get_best_trials(2)]
        assert len(set(scores)) == 2
        assert scores == sorted(scores)
        assert set(names["best"]) == {"units", "rate"}
    if topic == "exporting":
        record = {"Ws_avg": 8.2, "Va_avg": -1.5, "Ot_avg": 6.0}
        served = names["model"].predict(names["fitted"].transform_records(record)["wind"], verbose=0)
        np.testing.assert_array_equal(names["predicted"], served)
    if topic == "training":
        left = [row for one in names["two"] for i in range(len(one)) for row in one.row_ids(i)]
        assert len(left) == len(set(left)) == names["two"][0].num_rows - 4 * 5 * 256
        for changed in (names["images"], names["pictures"]):
            assert np.asarray(changed.batch(0, 0)[0]).shape == (1024, 8, 8)


@pytest.mark.slow
@pytest.mark.parametrize("topic", having("sh"))
def test_commands(topic: str, names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    for line in [line for block in blocks(topic, "sh") for line in block.splitlines()]:
        program, *arguments = shlex.split(line)
        assert program == "vaxseq", f"no test runs {line!r}"
        for before, arg in pairwise(arguments):
            if before in ("-o", "--output"):
                Path(arg).unlink(missing_ok=True)
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0, f"{line}\n{capsys.readouterr().err}"


@pytest.mark.parametrize("topic", having("yaml"))
@pytest.mark.slow
def test_definitions_fit_the_flights(topic: str, names: dict[str, Any]) -> None:
    for block in blocks(topic, "yaml"):
        Path("page.yaml").write_text(block, encoding="utf-8")
        fitted = vs.FeatureSet.load("page.yaml").fit(vs.open("flights.arrow"), progress=False)
        assert fitted.feature_set.to_dict()["version"] == 1


def test_definitions_of_series_fit_the_turbines(names: dict[str, Any]) -> None:
    order = ["Wind_turbine_name", "Date_time"]
    vs.convert("turbines.arrow", "series.arrow", sort_by=order, progress=False)
    [block] = blocks("steps", "yaml series")
    Path("page.yaml").write_text(block, encoding="utf-8")
    fitted = vs.FeatureSet.load("page.yaml").fit(vs.open("series.arrow"), progress=False)
    made = vs.Sequence(vs.open("series.arrow"), fitted, batch_size=100, on_missing="drop")
    assert np.asarray(made.batch(0, 0)[0]).shape == (100, 2)


def test_schemas_are_kept(names: dict[str, Any]) -> None:
    [block] = blocks("sources", "yaml schema")
    Path("schema.yaml").write_text(block, encoding="utf-8")
    declared = Schema.load("schema.yaml")
    source, chosen = "data_samples/nycflights_2013_01.csv.gz", list(declared.names)
    made = vs.convert(source, "declared.arrow", schema="schema.yaml", columns=chosen, progress=False)
    assert made.schema.names == declared.names
    assert made.schema.column("distance") == declared.column("distance")


def test_every_block_is_run_by_some_test() -> None:
    run = {"python", "sh", "yaml", "yaml series", "yaml schema", "text"} | ELSEWHERE
    for topic in topics():
        fences = re.findall(r"^```(.*)$", page(topic), flags=re.MULTILINE)
        assert set(fences[::2]) <= run, topic
        assert set(fences[1::2]) <= {""}, topic


def row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def first_line(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").splitlines()[0]


def verbs_table() -> str:
    group: Any = typer.main.get_command(app)
    about = {verb: group.get_command(None, verb).help.splitlines()[0] for verb in verbs()}
    lines = ["| verb | what it does |", "|---|---|"]
    return "\n".join([*lines, *(row(f"`{verb}`", told) for verb, told in about.items())])


def names_table() -> str:
    about = [row(f"`vaxseq.{name}`", first_line(getattr(vs, name))) for name in vs.__all__]
    return "\n".join(["| name | what it is |", "|---|---|", *about])


def errors_table() -> str:
    lines = ["| error | also a | raised when |", "|---|---|---|"]
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.VaxseqError):
            bases = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
            lines.append(row(f"`{kind.__name__}`", bases, first_line(kind)))
    return "\n".join(lines)


def readers_table() -> str:
    lines = ["| format | suffixes | options |", "|---|---|---|"]
    for name, reader in readers().items():
        options = ", ".join(f"`{key}`" for key in reader.options) or "–"
        lines.append(row(f"`{name}`", ", ".join(f"`{one}`" for one in reader.suffixes) or "–", options))
    return "\n".join(lines)


def forms_table() -> str:
    lines = ["| form | cells are | written as |", "|---|---|---|"]
    return "\n".join([*lines, *(row(f"`{name}`", form.of, form.says) for name, form in forms().items())])


def topics_table() -> str:
    lines = ["| topic | what it is about |", "|---|---|"]
    lines += [row(f"[{topic}](vaxseq/reference/{topic}.md)", about) for topic, about in topics().items()]
    return "\n".join(lines)


TABLES: dict[str, tuple[Path, Callable[[], str]]] = {
    "errors": (PAGES / "errors.md", errors_table),
    "expressions": (PAGES / "expressions.md", expressions_table),
    "forms": (PAGES / "sources.md", forms_table),
    "names": (PAGES / "python.md", names_table),
    "readers": (PAGES / "sources.md", readers_table),
    "steps": (PAGES / "steps.md", steps_table),
    "topics": (ROOT / "README.md", topics_table),
    "types": (PAGES / "sources.md", types_table),
    "verbs": (PAGES / "commands.md", verbs_table),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_the_code_s_own(name: str) -> None:
    """UPDATE_TABLES=1 writes them anew."""
    file, table = TABLES[name]
    text = file.read_text(encoding="utf-8")
    begin, end = f"<!-- table: {name} -->\n", "<!-- end -->"
    before, _, rest = text.partition(begin)
    fresh = f"{before}{begin}\n{table().strip()}\n\n{end}{rest.partition(end)[2]}"
    if os.environ.get("UPDATE_TABLES") == "1":
        file.write_text(fresh, encoding="utf-8")
    else:
        assert fresh == text, f"the table in {file.name} is out of date: run this test with UPDATE_TABLES=1"


def test_every_table_is_checked() -> None:
    marked = [name for path in [*PAGES.glob("*.md"), ROOT / "README.md"] for name in marks(path)]
    assert sorted(marked) == sorted(TABLES)


def marks(path: Path) -> list[str]:
    return re.findall(r"<!-- table: (\w+) -->", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("topic", topics())
def test_a_page_has_a_title_and_says_what_it_is_about(topic: str) -> None:
    title, blank, about, after = page(topic).splitlines()[:4]
    assert title.startswith("# ")
    assert (blank, after) == ("", "")
    assert about == topics()[topic]
    assert about.endswith(".")


@pytest.mark.parametrize("topic", topics())
def test_links_lead_somewhere(topic: str) -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", page(topic)) if "://" not in target]
    assert all((PAGES / target).exists() for target in targets)
    named = re.findall(r"vaxseq help (\w+)", page(topic))
    assert set(named) <= set(topics())


@pytest.mark.parametrize("topic", topics())
def test_lines_of_text_fit(topic: str) -> None:
    outside = re.sub(r"^```.*?^```$", "", page(topic), flags=re.MULTILINE | re.DOTALL)
    assert max(len(line) for line in outside.splitlines() if not line.startswith("|")) <= 125


def test_the_topics_that_a_person_meets() -> None:
    wanted = "sources definition expressions sequence windows training store profile commands errors"
    assert set(wanted.split()) <= set(topics())
    assert next(iter(topics())) == "sources"


def test_an_unknown_topic_is_told() -> None:
    with pytest.raises(OptionError, match="no topic 'window'. Did you mean 'windows'"):
        page("window")
