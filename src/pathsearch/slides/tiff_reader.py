"""Tiled TIFF, SVS and NDPI at the speed of the decoder, with OpenSlide as the reference."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from pathsearch.errors import SlideError, SlideUnreadableError
from pathsearch.nouns import SlideInfo
from pathsearch.slides.colour import srgb_transform
from pathsearch.slides.file_bytes import FileBytes
from pathsearch.slides.mpp import resolve_mpp
from pathsearch.slides.openslide_check import checked
from pathsearch.slides.openslide_reader import open_handle, openslide_facts
from pathsearch.slides.pyramid import SlideFacts
from pathsearch.slides.readers import OpenRequest
from pathsearch.slides.stored_tiles import StoredTiles, StoredTilesSlide
from pathsearch.slides.tiff_decode import decoder_for
from pathsearch.slides.tiff_structure import TiffStructure, is_tiff, read_structure

log = logging.getLogger(__name__)

#: Vendors, by OpenSlide's names, whose tiles lie side by side in one plane. Elsewhere they
#: overlap, or the levels' sizes are told in the vendor's own way: OpenSlide reads those.
_PLAIN_VENDORS = {None, "aperio", "generic-tiff", "hamamatsu"}


class TiffReader:
    """Tiled TIFF, BigTIFF, SVS, NDPI, OME-TIFF with sub-IFDs; flat TIFF by its strips."""

    name = "tiff"
    priority = 20

    def can_open(self, path: Path) -> bool:
        """Whether it is a TIFF of a vendor whose tiles are plain; reads the file's head."""
        import openslide

        return is_tiff(path) and openslide.OpenSlide.detect_format(str(path)) in _PLAIN_VENDORS

    def open(self, path: Path, request: OpenRequest) -> StoredTilesSlide:
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
        slide = _slide(facts, structure)
        try:
            differs = checked(slide, handle)
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


def _slide(facts: SlideFacts, structure: TiffStructure) -> StoredTilesSlide:
    levels = [
        StoredTiles(level.grid, level.offsets, level.counts, decoder_for(level))
        for level in structure.levels
    ]
    return StoredTilesSlide(facts, levels, [FileBytes(facts.path)] * len(levels))


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
