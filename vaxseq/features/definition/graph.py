"""The order in which derived columns can be computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def order_columns(needs: Mapping[str, Iterable[str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names, each after the ones it needs, and a circle of names (first = last) if there is one.

    Names that aren't keys are physical columns and need nothing. No recursion: a chain may be long.

    >>> order_columns({"b": ["a"], "a": ["x"]})
    (('a', 'b'), ())
    >>> order_columns({"a": ["b"], "b": ["a"]})
    ((), ('a', 'b', 'a'))
    """
    done: dict[str, None] = {}
    for root in needs:
        trail: dict[str, None] = {}
        stack = [(root, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                del trail[name]
                done[name] = None
            elif name in trail:
                names = list(trail)
                return tuple(done), (*names[names.index(name) :], name)
            elif name in needs and name not in done:
                trail[name] = None
                stack.append((name, True))
                stack.extend((one, False) for one in sorted(needs[name], reverse=True))
    return tuple(done), ()
