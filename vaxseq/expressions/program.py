"""The one NumPy program: a graph of array functions, each node computed once, in order."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vaxseq.expressions.values import Value, as_float, widen

Function = Callable[..., Value]


@dataclass(frozen=True, slots=True)
class _Call:
    function: Function
    arguments: tuple[int, ...]


class ProgramBuilder:
    """Collects nodes; the same function of the same nodes is one node."""

    def __init__(self) -> None:
        self._nodes: list[_Call | str] = []
        self._known: dict[Hashable, int] = {}

    def column(self, name: str) -> int:
        """The node that loads a physical column, as it is stored."""
        return self._add(("column", name), name)

    def apply(self, function: Function, *arguments: int, key: Hashable = None) -> int:
        """The node ``function(*values)``. ``key`` tells two functions apart; without one, the object does.

        The function takes Values and returns a Value of as many rows, row by row: its result for a row
        depends on that row alone, so that it may be called on any block.
        """
        return self._add((key if key is not None else function, arguments), _Call(function, arguments))

    def number(self, node: int) -> int:
        """The node widened to int64 or float64."""
        return self.apply(widen, node)

    def floats(self, node: int) -> int:
        """The node as float64 with NaN where missing."""
        return self.apply(as_float, node)

    def build(self, outputs: list[int] | tuple[int, ...]) -> Program:
        """The program for these output nodes, without the nodes that none of them needs."""
        needed: set[int] = set()
        stack = list(outputs)
        while stack:
            node = stack.pop()
            if node not in needed:
                needed.add(node)
                call = self._nodes[node]
                if isinstance(call, _Call):
                    stack.extend(call.arguments)
        order = sorted(needed)  # a node is added after its arguments, so this order is topological
        place = {node: slot for slot, node in enumerate(order)}
        loads: list[tuple[int, str]] = []
        calls: list[tuple[int, Function, tuple[int, ...]]] = []
        last_use = {slot: slot for slot in range(len(order))}
        for slot, node in enumerate(order):
            entry = self._nodes[node]
            if isinstance(entry, str):
                loads.append((slot, entry))
            else:
                arguments = tuple(place[argument] for argument in entry.arguments)
                calls.append((slot, entry.function, arguments))
                for argument in arguments:
                    last_use[argument] = slot
        kept = {place[node] for node in outputs}
        frees = tuple(
            tuple(s for s, last in last_use.items() if last == slot and s not in kept and s != slot)
            for slot, _, _ in calls
        )
        return Program(tuple(loads), tuple(calls), frees, tuple(place[node] for node in outputs), len(order))

    def _add(self, key: Hashable, entry: _Call | str) -> int:
        node = self._known.get(key)
        if node is None:
            node = self._known[key] = len(self._nodes)
            self._nodes.append(entry)
        return node


@dataclass(frozen=True, slots=True)
class Program:
    """Runs the nodes on blocks of columns. Thread-safe: it keeps nothing between runs."""

    _loads: tuple[tuple[int, str], ...]
    _calls: tuple[tuple[int, Function, tuple[int, ...]], ...]
    _frees: tuple[tuple[int, ...], ...]
    _outputs: tuple[int, ...]
    _size: int

    @property
    def columns(self) -> tuple[str, ...]:
        """The physical columns that it loads."""
        return tuple(name for _, name in self._loads)

    def run(self, columns: Mapping[str, Value]) -> list[Value]:
        """The output nodes' Values for these columns' Values (all of one length)."""
        slots: list[Value | None] = [None] * self._size
        for slot, name in self._loads:
            slots[slot] = columns[name]
        with np.errstate(all="ignore"):  # NaN, inf and 1/0 are data here; missing values are checked at the end
            for (slot, function, arguments), free in zip(self._calls, self._frees, strict=True):
                slots[slot] = function(*[slots[argument] for argument in arguments])
                for done in free:
                    slots[done] = None
        return [slots[slot] for slot in self._outputs]  # type: ignore[misc]

    def only(self, outputs: Sequence[int]) -> Program:
        """The part of the program that these of its outputs need, in this order."""
        wanted = [self._outputs[output] for output in outputs]
        needed, stack = set(wanted), list(wanted)
        arguments_of = {slot: arguments for slot, _, arguments in self._calls}
        while stack:
            for argument in arguments_of.get(stack.pop(), ()):
                if argument not in needed:
                    needed.add(argument)
                    stack.append(argument)
        builder = ProgramBuilder()
        node: dict[int, int] = {}
        loads = dict(self._loads)
        functions = {slot: (function, arguments) for slot, function, arguments in self._calls}
        for slot in sorted(needed):
            if slot in loads:
                node[slot] = builder.column(loads[slot])
            else:
                function, arguments = functions[slot]
                node[slot] = builder.apply(function, *(node[argument] for argument in arguments), key=slot)
        return builder.build([node[slot] for slot in wanted])
