"""Forms: what text means. One form a file; a module here that defines a Form is found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from vaxseq.convert.forms.base import Form


@cache
def forms() -> dict[str, Form]:
    """Every form by its name."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    found: dict[str, Form] = {}
    waiting: list[type[Form]] = [*Form.__subclasses__()]
    while waiting:
        one = waiting.pop()
        waiting += one.__subclasses__()
        if "name" in vars(one):
            found[one.name] = one()
    return dict(sorted(found.items()))
