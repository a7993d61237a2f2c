"""Where the tiles of a TIFF lie: a plain description, taken from tifffile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pathsearch.errors import SlideUnreadableError
from pathsearch.nouns import Level
from pathsearch.slides.mpp import from_tiff_tags, number
from pathsearch.slides.pyramid import check_size
from pathsearch.slides.tiff_metadata import TiffMetadata, read_metadata
from pathsearch.slides.tiles import TileGrid

#: Tiles (of a flat file: strips) beyond this many pixels are not decoded.
MAX_TILE_PIXELS = 1 << 26
_REDUCED = 1
_ICC_TAG = 34675
_NDPI_LENS, _NDPI_Z_OFFSET = 65421, 65424
_MINISWHITE, _MINISBLACK, _RGB, _YCBCR = 0, 1, 2, 6


@dataclass(frozen=True)
class TiffLevel:
    """One level of the main image.

    Attributes
    ----------
    grid : TileGrid
        A flat file's strips count as tiles as wide as the image.
    offsets, counts : int64 arrays, shape (planes, rows * columns)
        Where each tile's bytes start, and how many there are; 0 bytes: nothing stored.
        `planes` is 1, or 3 where the colours are stored apart.
    page : tifffile.TiffPage
        For its decoder (made while the file is open) and JPEG tables.
    """

    grid: TileGrid
    offsets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    page: Any


@dataclass(frozen=True)
class TiffStructure:
    """The main image of a TIFF: neither label nor macro.

    Attributes
    ----------
    levels : tuple of TiffLevel
        Finest first.
    metadata : TiffMetadata
    tag_mpp : (float or None, float or None)
        µm per pixel in x and y by the resolution tags.
    icc : bytes or None
    """

    levels: tuple[TiffLevel, ...]
    metadata: TiffMetadata
    tag_mpp: tuple[float | None, float | None]
    icc: bytes | None

    def pyramid(self) -> tuple[Level, ...]:
        """The levels, with downsamples as OpenSlide works them out: the mean of x and y."""
        first = self.levels[0].grid
        return tuple(
            Level(
                level.grid.width,
                level.grid.height,
                (first.width / level.grid.width + first.height / level.grid.height) / 2,
            )
            for level in self.levels
        )


def is_tiff(path: Path) -> bool:
    """Whether the file has the magic number of a TIFF or BigTIFF."""
    with path.open("rb") as file:
        return file.read(4) in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}


def read_structure(tiff: Any, path: str, max_pixels: int) -> TiffStructure:
    """Describe the main image of an open TIFF.

    The first page is the finest level. Further ones are its sub-IFDs (OME-TIFF), and the
    pages of the same proportions that are tiled and either marked as reduced images or,
    in an SVS, come after it, or, in an NDPI, have a magnification and lie in focus; label and
    macro images do not.

    Parameters
    ----------
    tiff : tifffile.TiffFile
    path : str
        For messages.
    max_pixels : int
        Larger declared sizes are refused.

    Raises
    ------
    SlideTooLargeError, SlideUnreadableError
    """
    pages = list(tiff.pages)
    if not pages:
        raise SlideUnreadableError(
            f"{path}: this TIFF holds no image; it is probably cut short, copy it again.",
            path=path,
        )
    first = pages[0]
    check_size(first.imagewidth, first.imagelength, max_pixels, path)
    metadata = read_metadata(tiff, first)
    found = [first, *_reduced_pages(pages, metadata.vendor)]
    levels = [_level(page, path) for page in found]
    levels.sort(key=lambda level: -level.grid.width)
    tag = first.tags.get(_ICC_TAG)
    icc = tag.value if tag is not None and isinstance(tag.value, bytes) else None
    return TiffStructure(tuple(levels), metadata, _tag_mpp(first), icc)


def _reduced_pages(pages: list[Any], vendor: str) -> list[Any]:
    first = pages[0]
    candidates = list(first.pages) if first.subifds else []
    candidates += [page for page in pages[1:] if page.is_tiled and _may_be_level(page, vendor)]
    sizes = {(first.imagewidth, first.imagelength)}
    kept = []
    for page in candidates:
        size = (page.imagewidth, page.imagelength)
        if size not in sizes and _same_image(first, page):
            sizes.add(size)
            kept.append(page)
    return kept


def _may_be_level(page: Any, vendor: str) -> bool:
    if vendor == "hamamatsu":
        # The macro image and the map have negative magnifications; other focal planes an offset.
        lens, offset = page.tags.get(_NDPI_LENS), page.tags.get(_NDPI_Z_OFFSET)
        in_focus = offset is None or offset.value == 0
        return lens is not None and lens.value > 0 and in_focus
    return page.subfiletype == _REDUCED or vendor == "aperio"


def _same_image(first: Any, page: Any) -> bool:
    """Whether a page is the first one made smaller: same kind, same proportions."""
    if min(page.imagewidth, page.imagelength) < 1 or page.imagewidth >= first.imagewidth:
        return False
    across = first.imagewidth / page.imagewidth
    down = first.imagelength / page.imagelength
    # A level's sides are rounded to whole pixels, so small levels may be off by more.
    slack = 0.01 * across + 2 * across / min(page.imagewidth, page.imagelength)
    same_kind = (page.samplesperpixel, page.bitspersample) == (
        first.samplesperpixel,
        first.bitspersample,
    )
    return same_kind and abs(across - down) <= slack


def _level(page: Any, path: str) -> TiffLevel:
    _check_kind(page, path)
    width, height = page.imagewidth, page.imagelength
    if page.is_tiled:
        grid = TileGrid(width, height, page.tilewidth, page.tilelength)
    else:
        grid = TileGrid(width, height, width, min(page.rowsperstrip or height, height))
    if grid.tile_width * grid.tile_height > MAX_TILE_PIXELS:
        raise SlideUnreadableError(
            f"{path}: is stored in pieces of {grid.tile_width} x {grid.tile_height} pixels, too "
            "large to read in parts; convert it to a tiled pyramid.",
            path=path,
        )
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    offsets = np.asarray(page.dataoffsets, np.int64)
    counts = np.asarray(page.databytecounts, np.int64)
    if not len(offsets) == len(counts) == planes * grid.rows * grid.columns:
        raise SlideUnreadableError(
            f"{path}: its table of tiles is damaged ({len(offsets)} places and {len(counts)} "
            f"lengths for {planes * grid.rows * grid.columns} tiles); copy the file again.",
            path=path,
        )
    _ = page.decode  # a cached property that looks into the file
    return TiffLevel(grid, offsets.reshape(planes, -1), counts.reshape(planes, -1), page)


def _check_kind(page: Any, path: str) -> None:
    """Refuse what is not 8-bit RGB or grey.

    Raises
    ------
    SlideUnreadableError
    """
    if (
        min(page.imagewidth, page.imagelength) < 1
        or page.bitspersample != 8
        or int(page.sampleformat) != 1
        or page.imagedepth > 1
        or (page.samplesperpixel, page.photometric) not in _KINDS
    ):
        raise SlideUnreadableError(
            f"{path}: holds {page.samplesperpixel} channels of {page.bitspersample} bits, "
            f"photometric interpretation {int(page.photometric)}; only 8-bit RGB and grey images "
            "are read, export it as RGB.",
            path=path,
        )


_KINDS = frozenset(
    {(samples, kind) for samples in (3, 4) for kind in (_RGB, _YCBCR)}
    | {(1, _MINISBLACK), (1, _MINISWHITE)}
)


def _tag_mpp(page: Any) -> tuple[float | None, float | None]:
    """µm per pixel in x and y by a page's resolution tags, None where they say nothing."""
    unit = page.tags.get("ResolutionUnit")
    # Without the tag the unit is inches, by the TIFF specification.
    unit_value = int(unit.value) if unit is not None else 2
    values = []
    for name in ("XResolution", "YResolution"):
        tag = page.tags.get(name)
        ratio = tag.value if tag is not None else None
        pixels = ratio[0] / ratio[1] if isinstance(ratio, tuple) and ratio[1] else None
        values.append(from_tiff_tags(number(pixels), unit_value))
    return values[0], values[1]
