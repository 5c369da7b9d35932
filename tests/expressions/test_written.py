"""A vaex frame's own expressions stand wherever a name or a condition does, and are vetted as text is."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import vaex

import vaxseq as vs
from vaxseq.errors import ExpressionError, OptionError
from vaxseq.expressions import name_of, parse, text_of


def make_frame(rows: int = 100):
    rng = np.random.default_rng(2)
    columns = {
        "x": rng.normal(size=rows),
        "wind speed": rng.normal(size=rows),
        "class": rng.integers(0, 3, rows),
        "s": pa.array([["Ab", "c", None][number % 3] for number in range(rows)]),
        "t": np.datetime64("2024-01-01T00:00:00", "s") + np.arange(rows) * 3600,
        "k": rng.integers(0, 4, rows),
    }
    return vaex.from_dataset(vaex.dataset.DatasetArrays(columns))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda f: f.x, "x"),
        (lambda f: f["wind speed"], "col('wind speed')"),
        (lambda f: (f.x > 0) & (f["wind speed"] < 2), "(x > 0) & (col('wind speed') < 2)"),
        (lambda f: ~(f["class"] > 1), "~(col('class') > 1)"),
        (lambda f: f.s.str.lower() == "ab", "s.str.lower() == 'ab'"),
        (lambda f: f.s != "it's", 's != "it\'s"'),
        (lambda f: f.s.str.contains("b"), "s.str.contains('b')"),
        (lambda f: f.t.dt.hour > 5, "t.dt.hour > 5"),
        (lambda f: f.t > np.datetime64("2024-01-02"), "t > '2024-01-02'"),
        (lambda f: f.s.isin(["Ab", "c"]), "s in ['Ab', 'c']"),
        (lambda f: f.x.log1p() + f.x.clip(0, 1), "log1p(x) + clip(x, 0, 1)"),
        (lambda f: f.func.where(f.x > 1, 1, 0), "where(x > 1, 1, 0)"),
        (lambda f: -(f.x**2) / 3, "-x ** 2 / 3"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_expression_reads_as_its_text(make, text: str) -> None:
    written = text_of(make(make_frame()))
    assert written == text
    assert parse(written).text == parse(make(make_frame())).text


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda f: f.x.apply(lambda value: value), "no such function 'lambda_function'"),
        (lambda f: f.x.map(dict.fromkeys(f.x.unique(), 1)), "no such function '_map'"),
    ],
)
def test_what_text_may_not_an_expression_may_not(make, said: str) -> None:
    expression = make(make_frame(5))
    with pytest.raises(ExpressionError, match=said):
        parse(expression)


def test_conditions_of_a_frame_choose_the_rows_that_their_text_does() -> None:
    frame = make_frame()
    fs = vs.FeatureSet.from_dict({"inputs": {"n": {"features": [{"expr": frame.x * 2, "name": "double"}]}}})
    fitted = fs.fit(frame, where=frame.x > 0, progress=False)
    assert fitted.state.where == "x > 0"
    train = vs.Sequence(frame, fitted, where=frame.s.str.lower() == "ab", batch_size=8)
    assert train.num_rows == 34
    repeated = vs.Sequence(frame, fitted, where="s.str.lower() == 'ab'", batch_size=8)
    assert np.asarray(train.batch(0, 1)[0]).tobytes() == np.asarray(repeated.batch(0, 1)[0]).tobytes()
    assert len(fitted.preview(frame, where=frame.k == 1).rows) > 0


def test_columns_of_a_frame_stand_for_their_names(tmp_path) -> None:
    frame = make_frame()
    train = vs.Sequence(
        frame, inputs=[frame.x, frame["wind speed"]], targets=frame["class"], sample_weight=frame.k, batch_size=50
    )
    plain = vs.Sequence(frame, inputs=["x", "wind speed"], targets="class", sample_weight="k", batch_size=50)
    for mine, other in zip(train.batch(0, 0), plain.batch(0, 0), strict=True):
        np.testing.assert_array_equal(mine, other)
    parts = vs.split(frame, {"a": 0.5, "b": 0.5}, by="group", key=frame.k)
    assert parts.rows == vs.split(frame, {"a": 0.5, "b": 0.5}, by="group", key="k").rows
    assert list(vs.explore(frame, columns=[frame.x], progress=False)) == ["x"]
    stored = vs.materialize(frame, None, tmp_path / "s.h5", inputs=[frame.x], progress=False)
    assert stored.rows == 100


def test_more_than_a_column_is_no_name() -> None:
    frame = make_frame()
    with pytest.raises(OptionError, match=r"inputs: got the expression 'x \* 2', expected a column"):
        vs.Sequence(frame, inputs=[frame.x * 2])
    assert name_of("x", "inputs") == "x"
