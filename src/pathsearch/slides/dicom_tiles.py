"""DICOM whole-slide images in JPEG at the speed of the decoder, with OpenSlide as the reference.

Frames of a "tiled full" image lie in reading order (DICOM PS3.3, C.7.6.17.3), each an item of the
encapsulated pixel data (PS3.5, A.4). What is stored in other ways is left to OpenSlide.
"""

from __future__ import annotations

import logging
import struct
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pathsearch.errors import SlideUnreadableError
from pathsearch.slides.dicom_files import is_dicom, series_of
from pathsearch.slides.file_bytes import FileBytes
from pathsearch.slides.openslide_check import checked
from pathsearch.slides.openslide_reader import open_handle, openslide_facts
from pathsearch.slides.pyramid import SlideFacts
from pathsearch.slides.readers import OpenRequest
from pathsearch.slides.stored_tiles import StoredTiles, StoredTilesSlide
from pathsearch.slides.tiff_decode import JpegDecoder, tile_frame
from pathsearch.slides.tiles import TileGrid

log = logging.getLogger(__name__)

_JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
_PIXEL_DATA = 0x7FE00010
_ITEM = b"\xfe\xff\x00\xe0"
_TAG_AND_LENGTH = struct.Struct("<4sI")
#: Without a table of offsets every frame's header is visited: not for more than these.
_MOST_WITHOUT_TABLE = 100_000


@dataclass(frozen=True)
class _Volume:
    """One level of the series."""

    path: Path
    grid: TileGrid
    is_rgb: bool
    offsets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


class DicomReader:
    """DICOM series whose levels are tiled in full and stored as baseline JPEG."""

    name = "dicom"
    priority = 30

    def can_open(self, path: Path) -> bool:
        """Whether it is DICOM; reads the file's head."""
        return is_dicom(path)

    def open(self, path: Path, request: OpenRequest) -> StoredTilesSlide:
        """Open the series that the file belongs to.

        Raises
        ------
        SlideUnreadableError
            It is stored in another way, or its pixels differ from OpenSlide's.
        SlideError
            SlideTooLargeError, or one of the Mpp errors.
        """
        handle = open_handle(path)
        facts = openslide_facts(handle, path, request)
        volumes = [read_volume(head.path) for head in series_of(path) if head.kind == "VOLUME"]
        volumes.sort(key=lambda volume: -volume.grid.width)
        sizes = [(volume.grid.width, volume.grid.height) for volume in volumes]
        if sizes != [(level.width, level.height) for level in facts.levels]:
            raise SlideUnreadableError(
                f"{path}: its files make other levels than OpenSlide finds.", path=str(path)
            )
        slide = _slide(facts, volumes)
        try:
            differs = checked(slide, handle)
        except BaseException:
            slide.close()
            raise
        if differs:
            slide.close()
            log.warning("%s: read through OpenSlide, since %s.", path, differs)
            raise SlideUnreadableError(f"{path}: {differs}.", path=str(path))
        return slide


def _slide(facts: SlideFacts, volumes: list[_Volume]) -> StoredTilesSlide:
    facts = replace(facts, info=replace(facts.info, reader=DicomReader.name))
    levels = [
        StoredTiles(
            volume.grid,
            volume.offsets.reshape(1, -1),
            volume.counts.reshape(1, -1),
            JpegDecoder(
                (volume.grid.tile_height, volume.grid.tile_width),
                tile_frame(None, volume.is_rgb),
                volume.is_rgb,
                None,
            ),
        )
        for volume in volumes
    ]
    files: list[FileBytes] = []
    try:
        for volume in volumes:
            files.append(FileBytes(str(volume.path)))  # noqa: PERF401  closed if one fails
    except BaseException:
        for file in files:
            file.close()
        raise
    return StoredTilesSlide(facts, levels, files)


def read_volume(path: Path) -> _Volume:
    """Where the frames of one file lie.

    Raises
    ------
    SlideUnreadableError
        They are stored in a way that is not read here.
    """
    from pydicom.filereader import read_partial

    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            head = read_partial(file, stop_when=lambda tag, _vr, _length: tag >= _PIXEL_DATA)
            grid = _grid(head, path)
            offsets, counts = _frames(file, head, grid.rows * grid.columns)
            is_rgb = str(head.PhotometricInterpretation) == "RGB"
            return _Volume(path, grid, is_rgb, offsets, counts)
    except SlideUnreadableError:
        raise
    except Exception as error:  # noqa: BLE001  pydicom raises whatever damage makes it raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SlideUnreadableError(
            f"{path}: its frames are not found ({reason}).", path=str(path)
        ) from None


def _grid(head: Any, path: Path) -> TileGrid:
    """The grid of frames, if they are of the kind that is read here."""
    kept = {
        "tiled in full": head.get("DimensionOrganizationType", "TILED_FULL") == "TILED_FULL",
        "baseline JPEG": head.file_meta.TransferSyntaxUID == _JPEG_BASELINE,
        "8-bit colour": (head.BitsAllocated, head.SamplesPerPixel) == (8, 3),
        "RGB or YCbCr": head.PhotometricInterpretation in {"RGB", "YBR_FULL", "YBR_FULL_422"},
        "one focal plane": int(head.get("TotalPixelMatrixFocalPlanes", 1) or 1) == 1,
        "one optical path": int(head.get("NumberOfOpticalPaths", 1) or 1) == 1,
    }
    missing = [name for name, holds in kept.items() if not holds]
    grid = TileGrid(
        int(head.TotalPixelMatrixColumns),
        int(head.TotalPixelMatrixRows),
        int(head.Columns),
        int(head.Rows),
    )
    if not missing and int(head.NumberOfFrames) != grid.rows * grid.columns:
        missing = ["as many frames as tiles"]
    if missing:
        raise SlideUnreadableError(f"{path}: is not {', '.join(missing)}.", path=str(path))
    return grid


def _frames(
    file: BinaryIO, head: Any, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Place and length of each frame's bytes in the file."""
    element = file.read(12)
    if element[:4] != b"\xe0\x7f\x10\x00" or element[8:] != b"\xff\xff\xff\xff":
        raise ValueError("the pixel data are not encapsulated")
    table = _item(file)
    first = file.tell()
    if "ExtendedOffsetTable" in head:
        starts = np.frombuffer(head.ExtendedOffsetTable, "<u8").astype(np.int64)
        lengths = np.frombuffer(head.ExtendedOffsetTableLengths, "<u8").astype(np.int64)
    elif table:
        starts = np.frombuffer(table, "<u4").astype(np.int64)
        lengths = _lengths(file, first, starts)
    else:
        starts, lengths = _visited(file, first, count)
    if not len(starts) == len(lengths) == count:
        raise ValueError(f"{len(starts)} frames for {count} tiles")
    return first + starts + _TAG_AND_LENGTH.size, lengths


def _item(file: BinaryIO) -> bytes:
    tag, length = _TAG_AND_LENGTH.unpack(file.read(_TAG_AND_LENGTH.size))
    if tag != _ITEM:
        raise ValueError("no item where one begins")
    return file.read(length)


def _lengths(file: BinaryIO, first: int, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Lengths of frames that are one item each, from where the next one starts."""
    file.seek(first + int(starts[-1]))
    tag, last = _TAG_AND_LENGTH.unpack(file.read(_TAG_AND_LENGTH.size))
    if tag != _ITEM:
        raise ValueError("no item where the last frame begins")
    return np.append(np.diff(starts) - _TAG_AND_LENGTH.size, last)


def _visited(
    file: BinaryIO, first: int, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Places and lengths by going from item to item."""
    if count > _MOST_WITHOUT_TABLE:
        raise ValueError("too many frames without a table of offsets")
    starts, lengths, at = [], [], 0
    for _ in range(count):
        file.seek(first + at)
        tag, length = _TAG_AND_LENGTH.unpack(file.read(_TAG_AND_LENGTH.size))
        if tag != _ITEM:
            raise ValueError("no item where a frame begins")
        starts.append(at)
        lengths.append(length)
        at += _TAG_AND_LENGTH.size + length
    return np.array(starts, np.int64), np.array(lengths, np.int64)
