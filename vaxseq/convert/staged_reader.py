"""The staged rows, group by group, as they were written."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator

import pyarrow as pa

from vaxseq.convert.stage import Draft, PieceKey, Stage
from vaxseq.convert.type_promotion import is_text
from vaxseq.convert.writers.ipc import IpcFile

Reread = Callable[[PieceKey, dict[str, pa.DataType]], pa.Table]


def staged_groups(
    stage: Stage, drafts: Iterable[Draft], reread: Reread, columns: Iterable[str] | None = None,
    *, typed: Container[str] = (),
) -> Iterator[tuple[list[PieceKey], pa.Table, set[str]]]:  # fmt: skip
    """(the pieces of a group, its rows, which columns were read again).

    A column that became text is text in every group: drafts from before are read again from the sources. ``typed``
    columns of text are values in these drafts already.
    """
    names = list(stage.types if columns is None else columns)
    for draft in drafts:
        late = {
            name for name in names
            if is_text(stage.types[name]) and not is_text(draft.types[name])
            and not pa.types.is_null(draft.types[name]) and name not in typed
        }  # fmt: skip
        _close(stage, draft)
        with pa.memory_map(str(stage.folder / draft.name)) as source:
            file = pa.ipc.open_file(source)
            at = 0
            for keys, rows, batches in draft.groups:
                table = pa.Table.from_batches([file.get_batch(at + one) for one in range(batches)], file.schema)
                at += batches
                table = table.select(names)
                if late and rows:
                    fresh = pa.concat_tables([reread(key, stage.types) for key in keys], promote_options="permissive")
                    for name in late:
                        table = table.set_column(table.column_names.index(name), name, fresh[name])
                yield keys, table, late


def _close(stage: Stage, draft: Draft) -> None:
    """Gives the draft a footer, so that it can be read; it can still be continued."""
    file = IpcFile(stage.folder / draft.name, draft.schema(), draft.blocks, draft.length, draft.sums)
    encoded = [name for name, kind in draft.types.items() if pa.types.is_dictionary(kind)]
    file.finish({name: stage.all_words(name) for name in encoded}, {})
