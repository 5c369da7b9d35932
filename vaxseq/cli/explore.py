"""``vaxseq explore``."""

from __future__ import annotations

from vaxseq.cli._options import Columns, Data, Json, Quiet, listed


def explore(data: Data, columns: Columns = None, quiet: Quiet = False, json: Json = False) -> None:
    """Show what every column holds, from one pass over all rows.

    Example: vaxseq explore flights.arrow
    """
    import vaxseq
    from vaxseq.cli._output import show

    found = vaxseq.explore(data, columns=listed(columns), progress=not (quiet or json))
    show(found, json=json, quiet=quiet, data=found.to_dict())
