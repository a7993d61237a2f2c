"""Real slides: the same pixels as OpenSlide, at every level, edges included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
import pytest

from pathsearch.errors import MppMissingError, ReadFailedError, SlideError
from pathsearch.slides import find_slides, open_slide, stream_patches
from pathsearch.slides.tiles import TiledSlide

JPEG_SLIDES = ["CMU-1-Small-Region.svs", "her2st_C2.tiff", "her2st_C3.tiff", "her2st_C4.tiff"]
#: OpenSlide cuts larger regions in parts of 4096 pixels, and interpolates in all but the first
#: where a level's downsample is not whole.
PART = 4096


@pytest.mark.parametrize("name", JPEG_SLIDES)
def test_every_level_equals_openslide(data_dir: Path, name: str) -> None:
    path = data_dir / "slides" / name
    with open_slide(path) as slide, openslide.OpenSlide(path) as reference:
        assert slide.info.reader == "tiff"
        assert isinstance(slide, TiledSlide)
        assert [level.downsample for level in slide.levels] == list(reference.level_downsamples)
        for number, level in enumerate(slide.levels):
            whole = level.downsample == round(level.downsample)
            corners = [(0, 0)]
            if whole:  # the far edge lies at a whole level-0 pixel too
                corners.append((level.width - 300, level.height - 300))
            for x, y in corners:
                size = (min(level.width - x, 1500), min(level.height - y, 1500))
                at = (round(x * level.downsample), round(y * level.downsample))
                theirs = np.asarray(reference.read_region(at, number, size).convert("RGB"))
                np.testing.assert_array_equal(slide.averaged(number, 1, x, y, *size), theirs)
            if level.width <= PART and level.height <= PART:
                size = (level.width, level.height)
                theirs = np.asarray(reference.read_region((0, 0), number, size).convert("RGB"))
                np.testing.assert_array_equal(slide.averaged(number, 1, 0, 0, *size), theirs)


def test_ndpi_pieces_between_restart_markers(data_dir: Path) -> None:
    path = data_dir / "slides" / "fluorescence-TRITC.ndpi"
    with open_slide(path) as slide, openslide.OpenSlide(path) as reference:
        assert slide.info.reader == "tiff"
        assert isinstance(slide, TiledSlide)
        sizes = [(level.width, level.height) for level in slide.levels]
        # The last three levels of OpenSlide's seven are not stored.
        assert sizes == list(reference.level_dimensions[:4])
        for number, size in enumerate(sizes):
            theirs = np.asarray(reference.read_region((0, 0), number, size).convert("RGB"))
            np.testing.assert_array_equal(slide.averaged(number, 1, 0, 0, *size), theirs)


def test_jpeg_2000_with_an_icc_profile(data_dir: Path) -> None:
    from io import BytesIO

    from PIL import Image, ImageCms

    path = data_dir / "slides" / "tcga-cr-7395-01a-01-ts1.svs"
    with pytest.raises(MppMissingError):
        open_slide(path)
    region = (2000, 1500, 300, 300)
    with openslide.OpenSlide(path) as reference:
        theirs = reference.read_region(region[:2], 0, region[2:]).convert("RGB")
        profile = reference.color_profile.tobytes()
    expected = ImageCms.profileToProfile(
        theirs, ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
    )
    assert isinstance(expected, Image.Image)
    with open_slide(path, mpp=0.25) as raw, open_slide(path, mpp=0.25, color="srgb") as srgb:
        assert raw.info.reader == "tiff"
        np.testing.assert_array_equal(raw.read(*region, 0.25), np.asarray(theirs))
        np.testing.assert_array_equal(srgb.read(*region, 0.25), np.asarray(expected))
    # The profile is sRGB's own: a made-up slide (test_slides_opening) shows that others count.
    np.testing.assert_array_equal(np.asarray(expected), np.asarray(theirs))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("empty.svs", "slide-unreadable"),
        ("text.svs", "slide-unreadable"),
        ("truncated.svs", "slide-unreadable"),
        ("mpp-wrong-by-100x.tiff", "mpp-insane"),
        ("tiny-pyramid-mpp-352.tiff", "mpp-insane"),
        ("unsupported-compression.tiff", "mpp-insane"),
    ],
)
def test_hostile_files_get_their_code(data_dir: Path, name: str, code: str) -> None:
    with pytest.raises(SlideError) as info:
        open_slide(data_dir / "hostile" / name)
    assert info.value.code == code


def test_one_corrupt_tile_and_nothing_but_corrupt_tiles(data_dir: Path) -> None:
    with open_slide(data_dir / "hostile" / "corrupt-tile.svs") as slide:
        corners = np.array([(x, y) for y in range(0, 2700, 224) for x in range(0, 1900, 224)])
        batches = list(stream_patches(slide, corners, 224, slide.mpp, threads=2))
    ok = np.concatenate([batch.ok for batch in batches])
    pixels = np.concatenate([batch.pixels for batch in batches])
    assert 0 < (~ok).sum() < 10
    assert (pixels[~ok] == 255).all()
    with (
        open_slide(data_dir / "hostile" / "read-fails.svs") as slide,
        pytest.raises(ReadFailedError),
    ):
        slide.read(0, 0, 16, 16, slide.mpp)


def test_every_found_file_opens_or_says_why(data_dir: Path) -> None:
    found = find_slides([data_dir / "slides", data_dir / "hostile"])
    errors: dict[str, SlideError] = {}
    for slide in found:
        try:
            open_slide(slide.path).close()
        except SlideError as error:
            errors[slide.path.name] = error
    assert len(found) == 15
    assert len(errors) == 7
    for name, error in errors.items():
        assert error.code != "slide-error"
        assert name in error.message
