"""Mapped files as vaex datasets that keep no file open, and that know when their file has changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import vaex.dataset
from vaex.arrow.dataset import DatasetArrowIPCFile
from vaex.hdf5.dataset import Hdf5MemoryMapped

from vaxseq.frame.arrays import ArrayColumn, is_array
from vaxseq.frame.file_changes import FileStamp
from vaxseq.frame.file_maps import map_file


@vaex.dataset.register
class MappedArrow(DatasetArrowIPCFile):
    """An Arrow file."""

    snake_name = "vaxseq-arrow"

    def _create_columns(self) -> None:
        before = self.__dict__.get("mark")
        content, self.mark = map_file(self.path)
        if before is not None:  # opened in another process
            before.check_same()
        self._source = None
        reader = pa.ipc.open_file(pa.py_buffer(content))
        batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        table = pa.Table.from_batches(batches, schema=reader.schema)
        columns = zip(table.schema.names, table.columns, strict=True)
        self._columns = {name: ArrayColumn(one) if is_array(one.type) else one for name, one in columns}

    def shape(self, column: str) -> tuple[int, ...]:
        """Shape of one row."""
        one = self._columns[column]
        return tuple(one.shape[1:]) if isinstance(one, ArrayColumn) else ()

    def chunk_iterator(self, *given: Any, **options: Any) -> Iterator[Any]:
        """What vaex reads, by its own passes."""
        self.mark.check()
        yield from super().chunk_iterator(*given, **options)

    def close(self) -> None:
        """Nothing is open."""


@vaex.dataset.register
class MappedHdf5(Hdf5MemoryMapped):
    """An HDF5 file; its contiguous arrays are mapped, others are read through the HDF5 library."""

    snake_name = "vaxseq-hdf5"

    file_map: dict[str, Any]
    mapping_map: dict[str, memoryview]

    def __init__(self, path: str, **options: Any) -> None:
        self.mark = FileStamp.of(path)
        super().__init__(path, **options)
        self._let_go()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "mark": self.mark}

    def __setstate__(self, state: dict[str, Any]) -> None:
        before = state.pop("mark")
        before.check_same()
        self.mark = FileStamp.of(state["path"])
        self._all_mmapped = True
        self._version = 1
        super().__setstate__({**state, "group": None})  # vaex would take any named group for its second layout
        self._let_go()

    def _get_mapping(self, path: str) -> memoryview:
        if path not in self.mapping_map:
            self.mapping_map[path], _ = map_file(path)
        return self.mapping_map[path]

    def _let_go(self) -> None:
        if self._all_mmapped:
            self.h5file.close()
            for file in self.file_map.values():
                file.close()
            self.file_map = {}

    def chunk_iterator(self, *given: Any, **options: Any) -> Iterator[Any]:
        """What vaex reads, by its own passes."""
        self.mark.check()
        yield from super().chunk_iterator(*given, **options)

    def close(self) -> None:
        """Lets go of the file."""
        self.mapping_map = {}
        super().close()


def open_mapped(path: str) -> Any:
    """The frame of an Arrow file or an HDF5 file; None for what vaex is to open by itself."""
    if path.endswith((".hdf5", ".h5")):
        made = MappedHdf5(path)
    else:
        with open(path, "rb") as file:
            if file.read(6) != b"ARROW1":
                return None
        made = MappedArrow(path, {})
    return vaex.from_dataset(made) if len(made) else None
