"""Windows of rows: where they may begin, and their arrays."""

from __future__ import annotations

from collections.abc import Callable

from vaxseq.features.program.recipe import Field, Recipe
from vaxseq.loading.windows.reading import Kind, Part, RunReader, WindowReader, check_inputs, input_kind
from vaxseq.loading.windows.runs import find_runs
from vaxseq.plan.window import Window, WindowIndex

__all__ = ["WindowReader", "find_runs", "window_reader"]


def window_reader(
    recipe: Recipe, window: Window, index: WindowIndex, reader_of: Callable[[tuple[Field, ...]], RunReader]
) -> WindowReader:
    """The reader of a recipe's fields over windows.

    Args:
        recipe: the fields of rows.
        window: what a window is.
        index: the windows.
        reader_of: makes a reader of rows for some of the recipe's fields, which it gives in this order.
    """
    check_inputs([field.name for field in recipe.of("input")], window)
    kinds: list[Kind] = [
        input_kind(field.name, window) if field.role == "input" else window.target for field in recipe.fields
    ]
    length, horizon = window.length, window.horizon
    spans: dict[Kind, tuple[int, int]] = {
        "past": (0, length),
        "future": (length, horizon),
        "static": (length - 1, 1),
        "last": (length + horizon - 1, 1),
        "mode": window.target_span,
        "mean": window.target_span,
        "sequence": window.target_span,
    }
    parts: list[Part] = []
    order: list[tuple[int, int]] = []
    for field, kind in zip(recipe.fields, kinds, strict=True):
        span = spans[kind]
        # targets are evaluated on their own rows only, and apart from inputs, which may be missing there
        same = [
            n
            for n, part in enumerate(parts)
            if (part.start, part.length) == span and part.apart == (field.role != "input")
        ]
        if same:
            part = parts[same[0]]
            parts[same[0]] = part._replace(fields=(*part.fields, field), kinds=(*part.kinds, kind))
        else:
            same = [len(parts)]
            parts.append(Part(None, (field,), (kind,), *span, field.role != "input"))
        order.append((same[0], len(parts[same[0]].fields) - 1))
    read = [part._replace(reader=reader_of(part.fields)) for part in parts]
    return WindowReader(read, order, window, index)
