"""Tiled TIFF and SVS at the speed of the decoder, with OpenSlide as the reference."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pathsearch.errors import ReadFailedError, SlideError, SlideUnreadableError
from pathsearch.nouns import SlideInfo
from pathsearch.slides.colour import srgb_transform
from pathsearch.slides.file_bytes import FileBytes
from pathsearch.slides.mpp import resolve_mpp
from pathsearch.slides.openslide_reader import open_handle, openslide_facts
from pathsearch.slides.pyramid import SlideFacts
from pathsearch.slides.readers import OpenRequest
from pathsearch.slides.resample import Pixels, average
from pathsearch.slides.tiff_check import difference_from_openslide
from pathsearch.slides.tiff_decode import decode_or_fail, decoder_for
from pathsearch.slides.tiff_structure import TiffStructure, is_tiff, read_structure
from pathsearch.slides.tiles import TiledSlide, TileKey, fitted

log = logging.getLogger(__name__)

#: Vendors, by OpenSlide's names, whose tiles lie side by side in one plane. Elsewhere they
#: overlap, or the levels' sizes are told in the vendor's own way: OpenSlide reads those.
_PLAIN_VENDORS = {None, "aperio", "generic-tiff"}

#: What the comparison with OpenSlide gave, by path, size and time of change: a slide is opened
#: several times in a run, and comparing takes most of the time that opening takes.
_DIFFERENCES: dict[tuple[str, int, int], str] = {}
_REMEMBERED = 4096


class TiffReader:
    """Tiled TIFF, BigTIFF, SVS, OME-TIFF with sub-IFDs; flat TIFF by its strips."""

    name = "tiff"
    priority = 20

    def can_open(self, path: Path) -> bool:
        """Whether it is a TIFF of a vendor whose tiles are plain; reads the file's head."""
        import openslide

        return is_tiff(path) and openslide.OpenSlide.detect_format(str(path)) in _PLAIN_VENDORS

    def open(self, path: Path, request: OpenRequest) -> TiffSlide:
        """Open the slide.

        Raises
        ------
        SlideUnreadableError
            The file's kind is not read here, or its pixels differ from OpenSlide's.
        SlideError
            SlideTooLargeError, or one of the Mpp errors.
        """
        structure = _structure(path, request)
        handle = _reference(path)
        facts = _facts(path, structure, handle, request)
        slide = TiffSlide(facts, structure)
        try:
            differs = _checked(slide, handle, path)
        except BaseException:
            slide.close()
            raise
        if differs and request.settings.reader == "auto":
            slide.close()
            log.warning("%s: read through OpenSlide, since %s.", path, differs)
            raise SlideUnreadableError(f"{path}: {differs}.", path=str(path))
        if differs:
            log.warning("%s: %s; read as TIFF all the same, as set.", path, differs)
        return slide


def _checked(slide: TiffSlide, handle: Any, path: Path) -> str:
    """`difference_from_openslide`, worked out once for a file that does not change."""
    if handle is None:
        return ""
    stat = path.stat()
    key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    if key not in _DIFFERENCES:
        differs = difference_from_openslide(slide, handle)
        if len(_DIFFERENCES) >= _REMEMBERED:
            _DIFFERENCES.clear()
        _DIFFERENCES[key] = differs
    return _DIFFERENCES[key]


def _structure(path: Path, request: OpenRequest) -> TiffStructure:
    import tifffile

    # Its remarks on damaged files go to the log, and not to stderr where there is none.
    tifffile.logger().addHandler(logging.NullHandler())
    try:
        with tifffile.TiffFile(path) as tiff:
            return read_structure(tiff, str(path), request.settings.max_pixels)
    except SlideError:
        raise
    except Exception as error:  # noqa: BLE001
        # tifffile raises whatever damaged tags make it raise.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SlideUnreadableError(
            f"{path}: its TIFF structure is damaged ({reason}).", path=str(path)
        ) from None


def _reference(path: Path) -> Any:
    """The slide in OpenSlide, None where that does not open it."""
    try:
        return open_handle(path)
    except SlideUnreadableError:
        return None


def _facts(path: Path, structure: TiffStructure, handle: Any, request: OpenRequest) -> SlideFacts:
    """OpenSlide's facts where it knows the format; else the file's own."""
    own = structure.metadata
    levels = structure.pyramid()
    if handle is not None and own.vendor != "ome":
        facts = openslide_facts(handle, path, request)
        return replace(facts, levels=levels, info=replace(facts.info, reader="tiff"))
    tag_x, tag_y = structure.tag_mpp
    to_srgb = srgb_transform(structure.icc, str(path)) if request.color == "srgb" else None
    return SlideFacts(
        path=str(path),
        files=(path,),
        size=(levels[0].width, levels[0].height),
        mpp=resolve_mpp(request.mpp, own.mpp_x or tag_x, own.mpp_y or tag_y, str(path)),
        levels=levels,
        info=SlideInfo(own.vendor, own.scanner, own.objective, "tiff"),
        to_srgb=to_srgb,
    )


class TiffSlide(TiledSlide):
    """A slide whose tiles are read and decoded directly."""

    def __init__(self, facts: SlideFacts, structure: TiffStructure) -> None:
        super().__init__(facts, [level.grid for level in structure.levels])
        self._tables = structure.levels
        self._decoders = [decoder_for(level) for level in structure.levels]
        self._file = FileBytes(facts.path)

    def stored_tiles(self, level: int) -> npt.NDArray[np.int64]:
        """Bytes of each tile of a level, 0 where nothing is stored; in reading order."""
        counts: npt.NDArray[np.int64] = self._tables[level].counts.min(axis=0)
        return counts

    def decode_tile(self, key: TileKey) -> Pixels | None:
        """The pixels of one tile, averaged by the key's factor; None where none are stored.

        Raises
        ------
        ReadFailedError
        """
        grid = self._grids[key.level]
        number = key.row * grid.columns + key.column
        parts = self._bytes_of(key.level, number)
        if parts is None:
            return None
        decoder = self._decoders[key.level]
        inside = grid.inside(key.column, key.row)
        factor = key.factor
        if factor == 1 or not (inside[0] % factor or inside[1] % factor):
            pixels = decode_or_fail(decoder, parts, number, factor, self.path)
            if pixels is not None:
                return self._large_enough(pixels, inside, factor)
        pixels = decode_or_fail(decoder, parts, number, 1, self.path)
        assert pixels is not None
        pixels = self._large_enough(pixels, inside, 1)
        return average(fitted(pixels, grid, inside, self._facts.background), factor)

    def _bytes_of(self, level: int, number: int) -> list[bytes] | None:
        """A tile's bytes, one entry a plane; None where nothing is stored."""
        table = self._tables[level]
        parts = []
        for plane in range(len(table.offsets)):
            offset, count = table.offsets.item(plane, number), table.counts.item(plane, number)
            if not offset or not count:
                return None
            parts.append(self._file.read(offset, count))
        return parts

    def _large_enough(self, pixels: Pixels, inside: tuple[int, int], factor: int) -> Pixels:
        w, h = -(-inside[0] // factor), -(-inside[1] // factor)
        if pixels.shape[0] < h or pixels.shape[1] < w:
            raise ReadFailedError(
                f"{self.path}: a tile holds {pixels.shape[1]} x {pixels.shape[0]} pixels "
                f"instead of {w} x {h}.",
                path=self.path,
            )
        return pixels

    def close(self) -> None:
        """Give the file back. Reading afterwards raises ValueError."""
        super().close()
        self._file.close()
