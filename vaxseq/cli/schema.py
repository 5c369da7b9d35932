"""``vaxseq schema``."""

from __future__ import annotations

from vaxseq.cli._options import Json, Output, Quiet


def schema(output: Output = None, quiet: Quiet = False, json: Json = False) -> None:
    """Print the JSON Schema of a feature-definition file, from which editors complete and check.

    Example: vaxseq schema -o features.schema.json
    Then begin the file with: # yaml-language-server: $schema=features.schema.json
    """
    from json import dumps

    from vaxseq.cli._output import show
    from vaxseq.display.text_file import write_text
    from vaxseq.features import json_schema

    described = json_schema()
    text = dumps(described, indent=2)
    if output is None:
        show(text, json=json, quiet=quiet, data=described)
    else:
        write_text(output, text + "\n", what="a JSON Schema", mark=b'"$schema"')
        show(f"written: {output}", json=json, quiet=quiet, data={"path": str(output)})
