"""DICOM frames, found in every way in which they are listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import simplejpeg
from made_slides import picture
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import JPEGBaseline8Bit, generate_uid

from pathsearch.config import SlideSettings
from pathsearch.errors import SlideUnreadableError
from pathsearch.slides import find_slides, open_slide, stream_patches
from pathsearch.slides.dicom_tiles import read_volume

TILES = [simplejpeg.encode_jpeg(picture(64, 64, seed)) for seed in range(6)]


def volume(path: Path, table: str, **changes: Any) -> Path:
    """A volume image of 3 x 2 frames; 180 x 120 pixels."""
    data = Dataset()
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    data.SOPInstanceUID = generate_uid()
    data.SeriesInstanceUID = "1.2.3"
    data.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
    data.DimensionOrganizationType = "TILED_FULL"
    data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows = 180, 120
    data.Columns = data.Rows = 64
    data.NumberOfFrames = 6
    data.BitsAllocated, data.SamplesPerPixel = 8, 3
    data.PhotometricInterpretation = "YBR_FULL_422"
    data.NumberOfOpticalPaths = data.TotalPixelMatrixFocalPlanes = 1
    for name, value in changes.items():
        setattr(data, name, value)
    if table == "extended":
        frames, data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = encapsulate_extended(
            TILES
        )
        data.PixelData = frames
    else:
        data.PixelData = encapsulate(TILES, has_bot=table == "basic")
    data["PixelData"].is_undefined_length = True
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("table", ["basic", "extended", "none"])
def test_frames_are_found(tmp_path: Path, table: str) -> None:
    path = volume(tmp_path / "a.dcm", table)
    found = read_volume(path)
    assert (found.grid.columns, found.grid.rows) == (3, 2)
    assert not found.is_rgb
    data = path.read_bytes()
    for tile, offset, count in zip(TILES, found.offsets, found.counts, strict=True):
        stored = data[offset : offset + count]
        # An item has an even length: a byte may be added.
        assert stored[: len(tile)] == tile
        assert len(stored) - len(tile) <= 1


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"DimensionOrganizationType": "TILED_SPARSE"}, "tiled in full"),
        ({"PhotometricInterpretation": "MONOCHROME2"}, "RGB or YCbCr"),
        ({"NumberOfOpticalPaths": 3}, "one optical path"),
        ({"TotalPixelMatrixFocalPlanes": 2}, "one focal plane"),
        ({"NumberOfFrames": 5}, "as many frames as tiles"),
    ],
)
def test_what_is_stored_in_another_way_is_left_to_openslide(
    tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    path = volume(tmp_path / "a.dcm", "basic", **changes)
    with pytest.raises(SlideUnreadableError, match=f"is not .*{what}"):
        read_volume(path)


def test_a_table_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = volume(tmp_path / "a.dcm", "none")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 6000])
    with pytest.raises(SlideUnreadableError, match="frames are not found"):
        read_volume(path)


def test_a_real_series_equals_openslide(data_dir: Path) -> None:
    (found,) = find_slides([data_dir / "slides" / "CMU-1-dicom"])
    with open_slide(found.path) as slide, openslide.OpenSlide(found.path) as reference:
        assert slide.info.reader == "dicom"
        width, height = slide.size
        theirs = np.asarray(reference.read_region((0, 0), 0, slide.size).convert("RGB"))
        np.testing.assert_array_equal(slide.read(0, 0, width, height, slide.mpp), theirs)
        settings = SlideSettings(reader="openslide")
        with open_slide(found.path, settings=settings) as plain:
            assert plain.info.reader == "openslide"
            assert plain.fingerprint == slide.fingerprint
        xy = np.array([(x, y) for y in range(0, 2900, 500) for x in range(0, 2200, 500)])
        for batch in stream_patches(slide, xy, 100, slide.mpp, threads=2):
            for patch, (x, y) in zip(batch.pixels, xy[batch.first :], strict=False):
                inside = theirs[y : y + 100, x : x + 100]
                np.testing.assert_array_equal(patch[: len(inside), : inside.shape[1]], inside)
