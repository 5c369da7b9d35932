"""The table of all steps for the documentation, made from the registry."""

from __future__ import annotations

from vaxseq.features.transforms.base import STEPS


def steps_table() -> str:
    """A Markdown table: step, what it does, its options, what it learns, its width, what becomes of a missing value."""
    rows = ["| step | what it does | options | learns | width | a missing value |", "|---|---|---|---|---|---|"]
    for name, step in sorted(STEPS.items()):
        if not step.__module__.startswith("vaxseq."):  # of a user's package
            continue
        options = ", ".join(f"`{option}`" for option in step.model_fields) or "–"
        cells = (f"`{name}`", step.docs, options, step.learns, step.width, step.on_missing)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)
