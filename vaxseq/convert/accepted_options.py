"""Converting with everything taken that a source's notices and errors offer and that loses nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vaxseq.convert.run import convert
from vaxseq.dataset.manifest import Manifest
from vaxseq.dataset.notice import Notice, merged_options
from vaxseq.errors import VaxseqError

_LOSSLESS = frozenset(("header", "header_rows", "units_rows", "skip_rows", "names", "columns", "delimiter"))
_MOST_ROUNDS = 5


def convert_accepting(
    sources: Any, target: Any, *, taken: Callable[[Mapping[str, Any]], None], **options: Any
) -> Manifest:
    """Converts; where that stops, or notices something, it does so again with the options that lose nothing.

    ``taken`` is told of the options before each new attempt. What loses a row or a value is left to the caller.

    Raises:
        VaxseqError: what can't be set right in this way.
    """
    options = dict(options)
    for _ in range(_MOST_ROUNDS):
        try:
            manifest = convert(sources, target, **options)
        except VaxseqError as error:
            fresh = {key: value for key, value in error.options.items() if key not in options}
            if not fresh or not error.lossless or not set(error.options) <= _LOSSLESS:
                raise
        else:
            given = [Notice(None, "", (), {key: options[key] for key in ("forms", "null_values") if key in options})]
            offered = merged_options([*given, *(one for one in manifest.notices if one.lossless)])
            fresh = {key: value for key, value in offered.items() if options.get(key) != value}
            if not fresh or options.get("append"):
                return manifest
            options["overwrite"] = True  # what this call has just made
        taken(fresh)
        options |= fresh
    return manifest
