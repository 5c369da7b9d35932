"""A folder of images: decoded and resized once, to an array column of one shape."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from vaxseq.convert import storage
from vaxseq.convert.readers.arrays import arrow_type, to_arrow
from vaxseq.convert.readers.base import BadRow, Parsed, Piece, Reader, Request, Source, Unit, bad_option
from vaxseq.convert.readers.storable_types import storable, wanted_schema
from vaxseq.errors import MissingExtraError, SchemaError, SourceError, SourceNotFoundError

if TYPE_CHECKING:
    from PIL import Image

_UNIT_BYTES, _UNIT_FILES = 16 << 20, 1 << 14
_SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # none that another program would interpret
_PLUGINS = ("Bmp", "Gif", "Jpeg", "Png", "Ppm", "Tiff", "WebP")
MAX_PIXELS = 1 << 27
_MODES = {"rgb": ("RGB", (3,)), "rgba": ("RGBA", (4,)), "grayscale": ("L", ())}
_RESIZES = ("stretch", "crop", "pad")
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error,
           zlib.error, MemoryError, RuntimeError)  # fmt: skip  # what Pillow's decoders raise on damaged files


class ImagesReader(Reader):
    """Columns ``file``, ``label`` and ``image``. A row is a file below the folder, or a line of the file of labels.

    Without ``labels``, the label is the name of the sub-folder that a file is in; with it, the columns of that CSV,
    whose first column names the files. A file that can't be decoded is a bad row.
    """

    name = "images"
    options = {"images": None, "labels": None, "color_mode": "rgb", "resize": "stretch", "allow_external": False}
    takes_folders = True

    def __init__(self, source: Source, options: Mapping[str, Any]) -> None:
        super().__init__(source, options)
        try:
            for plugin in _PLUGINS:
                import_module(f"PIL.{plugin}ImagePlugin")
        except ImportError as error:
            raise MissingExtraError(f"{self.where}: Pillow isn't installed. pip install 'vaxseq[images]'") from error
        self._height, self._width = self._size()
        for key, known in (("color_mode", tuple(_MODES)), ("resize", _RESIZES)):
            if self.set[key] not in known:
                raise bad_option(self.where, key, self.set[key], f"one of {known}")
        self._mode, self._channels = _MODES[self.set["color_mode"]]
        self._shape = (self._height, self._width, *self._channels)
        self._root = source.path or ""
        self._files, self._labels = self._rows()
        fields = [("file", pa.string()), *((one.name, one.type) for one in self._labels.schema)]
        image = arrow_type(np.dtype(np.uint8), self._shape, self.where)
        self._schema = pa.schema([*fields, ("image", image)])
        if len(set(self._schema.names)) < len(self._schema.names):
            raise SchemaError(
                f"{self.where}: the labels may not have columns named 'file' or 'image' after the first; "
                f"got {self._labels.column_names}. Rename them."
            )

    def _size(self) -> tuple[int, int]:
        given = self.set["images"]
        parts = given.lower().split("x") if isinstance(given, str) else given
        try:
            height, width = (int(part) for part in parts)
        except (TypeError, ValueError):
            height = width = 0
        if not (0 < height <= 1 << 14 and 0 < width <= 1 << 14):
            raise bad_option(self.where, "images", given, "a size as HEIGHTxWIDTH, like '64x64'")
        return height, width

    def _rows(self) -> tuple[tuple[str, ...], pa.Table]:
        """File names below the folder, and the columns that go with them."""
        if self.set["labels"] is None:
            files = tuple(name for name, _, _ in _listed(self._root))
            if not files:
                raise SourceNotFoundError(
                    f"{self.where}: no images in the folder; expected names ending in {sorted(_SUFFIXES)}. "
                    "Check the path."
                )
            if not any("/" in name for name in files):
                return files, pa.table({})
            labels = [name.split("/")[0] if "/" in name else None for name in files]
            return files, pa.table({"label": pa.array(labels, pa.string())})
        path = os.fspath(self.set["labels"])
        storage.check_readable(path)
        try:
            table = pacsv.read_csv(path, convert_options=pacsv.ConvertOptions(strings_can_be_null=True))
        except FileNotFoundError as error:
            raise SourceNotFoundError(f"{path}: no such file of labels. Check the path.") from error
        except (OSError, pa.ArrowException) as error:
            raise SourceError(
                f"{path}: can't read the labels: {error}. Repair the file, or convert it first."
            ) from error
        wanted_schema(table.schema, path)  # names must differ
        names = table.column(0)
        if names.null_count or table.num_rows == 0:
            raise SourceError(f"{path}: the first column must name a file in each row; got {names.null_count} missing.")
        return tuple(names.cast(pa.string()).to_pylist()), storable(table.select(table.column_names[1:]))

    @classmethod
    def stamp(cls, source: Source) -> tuple[int, bytes]:
        _listed.cache_clear()
        found = _listed(source.path or "")
        labels = storage.stamp(os.fspath(source.data))[1] if source.data is not None else b""
        return sum(size for _, size, _ in found), repr(found).encode() + labels

    @classmethod
    def content(cls, source: Source) -> bytes:
        labels = storage.content(os.fspath(source.data)) if source.data is not None else b""
        return repr([(name, size) for name, size, _ in _listed(source.path or "")]).encode() + labels

    def schema(self) -> pa.Schema:
        return self._schema

    def units(self, index: int) -> Iterator[Unit]:
        count = min(max(_UNIT_BYTES // int(np.prod(self._shape)), 1), _UNIT_FILES)
        for start in range(0, len(self._files), count):
            yield Unit(index, start, min(start + count, len(self._files)))

    def pieces(self, unit: Unit, skip: int = 0) -> Iterator[Piece]:
        if not skip:
            yield Piece(self._files[unit.start : unit.stop], unit.start)

    def parse(self, piece: Piece, request: Request) -> Parsed:
        files = piece.raw
        keep = np.ones(len(files), bool)
        pixels = np.zeros((len(files), *self._shape), np.uint8)
        bad: list[BadRow] = []
        for row, name in enumerate(files):  # also when the image itself isn't asked for: rows don't depend on columns
            try:
                pixels[row] = self._decoded(self._inside(name))
            except FileNotFoundError:
                bad.append(BadRow(row, "image", name, "no such file"))
                keep[row] = False
            except _BROKEN as error:
                reason = str(error).replace(os.path.join(self._root, name), name)
                bad.append(BadRow(row, "image", name, f"can't decode the image ({reason or type(error).__name__})"))
                keep[row] = False
        labels = self._labels.slice(piece.start, len(files)) if self._labels.num_columns else pa.table({})
        columns = {"file": pa.chunked_array([pa.array(files, pa.string())])}
        columns |= {name: labels[name] for name in labels.column_names}
        columns["image"] = pa.chunked_array([to_arrow(pixels, None, self.where)])
        table = pa.table({name: columns[name] for name in request.columns})
        if keep.all():
            return Parsed(table)
        return Parsed(table.filter(pa.array(keep)), bad, np.flatnonzero(keep))

    def _decoded(self, path: str) -> npt.NDArray[np.uint8]:
        """The pixels, upright, in the chosen colours and size."""
        from PIL import Image, ImageOps, UnidentifiedImageError

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\..*")  # damage in what isn't pixels
            try:
                with Image.open(path, formats=_FORMATS) as image:
                    width, height = image.size
                    if width * height > MAX_PIXELS:
                        raise ValueError(f"{width} x {height} pixels; at most {MAX_PIXELS:,} are taken (MAX_PIXELS)")
                    image.load()
                    turned = ImageOps.exif_transpose(image)
                    return np.asarray(self._resized(self._coloured(turned)), np.uint8)
            except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
                raise ValueError(f"it has too many pixels: {error}") from error
            except UnidentifiedImageError as error:
                raise ValueError(f"none of the formats {', '.join(_FORMATS)}") from error

    def _inside(self, name: str) -> str:
        """Where a file is. What lies outside of the folder, by ``..`` or by a link, isn't read unasked."""
        path = os.path.join(self._root, name)
        if not self.set["allow_external"]:
            real, root = os.path.realpath(path), os.path.realpath(self._root)
            if os.path.commonpath([real, root]) != root:
                raise ValueError("it lies outside of the folder; allow_external=True reads it")
        if os.path.exists(path) and not storage.is_file(path):
            raise ValueError("a pipe, device or folder, expected a file")
        return path

    def _coloured(self, image: Image.Image) -> Image.Image:
        if image.mode.startswith("I;16") or image.mode in ("I", "F"):  # more than 8 bits: Pillow would cut them off
            values = np.asarray(image, np.float64)
            top = 65535.0 if image.mode != "F" else max(float(values.max(initial=0.0)), 1.0)
            from PIL import Image

            image = Image.fromarray(np.clip(np.rint(values * (255.0 / top)), 0, 255).astype(np.uint8))
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")
        return image if image.mode == self._mode else image.convert(self._mode)

    def _resized(self, image: Image.Image) -> Image.Image:
        """Bilinear over all pixels that a new one covers; crop and pad keep the shape of things."""
        from PIL import Image, ImageOps

        size, how = (self._width, self._height), Image.Resampling.BILINEAR
        if image.size == size:
            return image
        if self.set["resize"] == "crop":
            return ImageOps.fit(image, size, how)
        if self.set["resize"] == "pad":
            return ImageOps.pad(image, size, how)
        return image.resize(size, how)

    def locate(self, piece: Piece, rows: list[int]) -> list[tuple[int, str]]:
        return [(piece.start + row + 1, piece.raw[row]) for row in rows]

    def total_bytes(self) -> int:
        return self.stamp(self.source)[0]

    def estimate_bytes(self) -> int:
        return len(self._files) * int(np.prod(self._shape))


@lru_cache(maxsize=4)
def _listed(root: str) -> tuple[tuple[str, int, int], ...]:
    """(name below the root with /, size, time of change) of each image, sorted; hidden ones are left out."""
    if storage.is_url(root):
        raise SourceError(
            f"{storage.shown(root)}: images are read from a local folder; got a URL. Copy them here first."
        )
    if not os.path.isdir(root):
        raise SourceNotFoundError(f"{root}: no such folder of images. Check the path.")
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [one for one in folders if not one.startswith((".", "_"))]
        for name in names:
            path = os.path.join(folder, name)
            if os.path.splitext(name)[1].lower() in _SUFFIXES and not name.startswith((".", "_")):
                if not storage.is_file(path):
                    continue  # a pipe or device has no end
                about = os.stat(path) if os.path.exists(path) else os.lstat(path)
                found.append((Path(path).relative_to(root).as_posix(), about.st_size, about.st_mtime_ns))
    return tuple(sorted(found))
