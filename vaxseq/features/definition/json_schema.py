"""The JSON Schema of a definition file, from which editors complete."""

from __future__ import annotations

from typing import Any

from vaxseq.features.definition.blocks import STEP_ITEM
from vaxseq.features.definition.definition import Definition
from vaxseq.features.transforms import STEPS


def json_schema() -> dict[str, Any]:
    """The schema of the whole file, its steps with their options included (JSON Schema 2020-12).

    >>> json_schema()["title"]
    'vaxseq feature definition'
    """
    schema = Definition.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    bare = [name for name in sorted(STEPS) if not _required(name)]
    choices: list[dict[str, Any]] = [{"enum": bare, "description": "A step with its default options."}]
    for name in sorted(STEPS):
        step = STEPS[name].model_json_schema()
        definitions.update(step.pop("$defs", {}))
        step.pop("title", None)
        step["description"] = STEPS[name].docs
        options: dict[str, Any] = step
        if STEPS[name].short is not None:
            options = {"anyOf": [step, step["properties"][str(STEPS[name].short)]]}
        if not _required(name):
            options = {"anyOf": [options, {"type": "null"}]}
        choices.append(
            {
                "type": "object",
                "properties": {name: options},
                "required": [name],
                "additionalProperties": False,
            }
        )
    _refer_to_steps(schema)
    definitions["Step"] = {"anyOf": choices}
    derived = definitions["DerivedColumn"]
    definitions["DerivedColumn"] = {
        "anyOf": [{"type": "string", "description": "An expression over columns."}, {"type": "number"}, derived]
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vaxseq feature definition",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _refer_to_steps(node: Any) -> None:
    if isinstance(node, dict):
        if node.get("items") == STEP_ITEM:
            node["items"] = {"$ref": "#/$defs/Step"}
        for value in node.values():
            _refer_to_steps(value)
    elif isinstance(node, list):
        for value in node:
            _refer_to_steps(value)


def _required(name: str) -> bool:
    return any(field.is_required() for field in STEPS[name].model_fields.values())
