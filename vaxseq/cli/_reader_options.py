"""``--option key=value``, a reader's options, as they are typed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def read_options(given: Iterable[str] | None) -> dict[str, Any]:
    """Options by name.

    Raises:
        OptionError: no ``key=value``.
    """
    return dict(_read(one) for one in given or ())


def pair(given: str, name: str) -> tuple[str, str]:
    """``key=value`` taken apart.

    Raises:
        OptionError: it isn't one.
    """
    from vaxseq.errors import OptionError

    key, mark, value = given.partition("=")
    if not mark or not key:
        raise OptionError(f"convert: {name}; got {given!r}, expected key=value.")
    return key, value


def _read(given: str) -> tuple[str, Any]:
    """A value is YAML, so that true, 3 and [a, b] mean what they say; what YAML can't read is text."""
    import yaml

    key, value = pair(given, "--option")
    if value in ("\\t", "\t"):
        return key, "\t"
    try:
        read = yaml.safe_load(value)
    except yaml.YAMLError:
        return key, value
    if isinstance(read, dict) and value.startswith("{"):  # a lone ? is a mapping to YAML
        return key, read
    return key, read if isinstance(read, bool | int | str | list) else value


def mapping(given: str, name: str) -> dict[str, Any]:
    """The mapping that an option's YAML text is.

    Raises:
        OptionError: it is none.
    """
    import yaml

    from vaxseq.errors import OptionError

    try:
        read = yaml.safe_load(given)
    except yaml.YAMLError:
        read = None
    if not isinstance(read, dict):
        raise OptionError(f"convert: {name}; got {given!r}, expected a mapping such as {{order_by: t, every: 10s}}.")
    return read
