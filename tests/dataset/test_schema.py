"""Schemas: names of types, YAML, and every problem at once."""

from __future__ import annotations

import pyarrow as pa
import pytest

from vaxseq.dataset.schema import Column, Schema, type_name, type_of
from vaxseq.errors import ColumnNotFoundError, SchemaError


@pytest.mark.parametrize(
    "name",
    ["bool", "int8", "uint64", "float16", "float64", "text", "category", "date", "timestamp[ns]",
     "timestamp[us, UTC]", "duration[ms]", "time[ns]", "decimal(10,2)", "float32[8,8]"],
)  # fmt: skip
def test_type_names_round_trip(name) -> None:
    assert type_name(type_of(name)) == name


def test_schema_round_trips_and_lists_every_problem() -> None:
    schema = Schema((Column("x", "int64", nullable=False, minimum=0), Column("c", "category", categories=("a", "b"))))
    assert Schema.from_dict(schema.to_dict()) == schema
    assert schema.to_arrow().field("x").type == pa.int64()
    with pytest.raises(SchemaError) as caught:
        Schema.from_dict({"columns": [{"name": "a", "typ": "int64"}, {"name": "b", "type": "int65"}, {"name": "c"}]})
    assert len(str(caught.value).splitlines()) == 4
    with pytest.raises(ColumnNotFoundError, match="'x'"):
        schema.column("xx")
