"""``vaxseq schema``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def schema(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it to a file.", show_default=False)
    ] = None,
) -> None:
    """Print the JSON Schema of a feature-definition file, from which editors complete and check.

    Example: vaxseq schema -o features.schema.json
    Then begin the file with: # yaml-language-server: $schema=features.schema.json
    """
    import json

    from vaxseq.features import json_schema

    text = json.dumps(json_schema(), indent=2)
    if output is None:
        typer.echo(text)
    else:
        output.write_text(text + "\n", encoding="utf-8")
        typer.echo(f"written: {output}")
