"""Frames, footprints and scaling, against numbers worked out without the code under test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_slides import Writer, picture

from pathsearch.config import SlideSettings
from pathsearch.errors import ResolutionTooCoarseError
from pathsearch.nouns import Slide
from pathsearch.slides import open_slide, stream_patches

READERS = ["tiff", "openslide"]


def weights(count: int, scale: float, start: float, length: int) -> np.ndarray:
    """Exact shares of source pixels in output pixels, (count, length)."""
    out = np.zeros((count, length))
    for i in range(count):
        low, high = start + i * scale, start + (i + 1) * scale
        for j in range(max(0, int(low)), min(length, int(np.ceil(high)))):
            out[i, j] = max(0.0, min(high, j + 1) - max(low, j)) / scale
    return out


def area_average(
    pixels: np.ndarray, x: float, y: float, w: int, h: int, scale: float
) -> np.ndarray:
    """The exact area average of a box, float64 (h, w, 3)."""
    down = weights(h, scale, y, pixels.shape[0])
    along = weights(w, scale, x, pixels.shape[1])
    return np.einsum("ij,jkc,lk->ilc", down, pixels.astype(float), along, optimize=True)


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest) -> SlideSettings:
    return SlideSettings(reader=request.param)


def test_native_pixels_lie_where_level_0_says(write_tiff: Writer, reader: SlideSettings) -> None:
    pixels = picture(700, 500)
    with open_slide(write_tiff(pixels), settings=reader) as slide:
        assert slide.size == (700, 500)
        assert slide.mpp == pytest.approx(0.5)
        assert slide.info.reader == reader.reader
        for x, y, w, h in [(0, 0, 10, 20), (123, 127, 130, 5), (690, 480, 10, 20)]:
            read = slide.read(x, y, w, h, 0.5)
            assert read.dtype == np.uint8
            assert read.flags.writeable
            np.testing.assert_array_equal(read, pixels[y : y + h, x : x + w])


def test_outside_the_slide_is_white_never_black(write_tiff: Writer, reader: SlideSettings) -> None:
    pixels = picture(300, 200)
    expected = np.full((120, 150, 3), 255, np.uint8)
    expected[20:, 30:] = pixels[:100, :120]
    with open_slide(write_tiff(pixels), settings=reader) as slide:
        np.testing.assert_array_equal(slide.read(-30, -20, 150, 120, 0.5), expected)
        corner = slide.read(290, 190, 50, 50, 0.5)
        np.testing.assert_array_equal(corner[:10, :10], pixels[190:, 290:])
        assert (corner[10:] == 255).all()
        assert (slide.read(5000, 5000, 20, 20, 0.5) == 255).all()
        assert (slide.read(-500, 0, 20, 20, 1.1) == 255).all()


def test_a_level_is_read_at_its_float_downsample(write_tiff: Writer, reader: SlideSettings) -> None:
    # 1001 / 500 and 1003 / 501: the level's downsample is 2.00198, not 2.
    pixels = picture(1001, 1003)
    path = write_tiff(pixels, levels=2)
    half = np.rint(pixels[:1002, :1000].reshape(501, 2, 500, 2, 3).mean((1, 3)))
    with open_slide(path, settings=reader) as slide:
        downsample = slide.levels[1].downsample
        assert downsample == pytest.approx((1001 / 500 + 1003 / 501) / 2)
        # Level-0 x = 961 is level pixel 480.02: column 480, not 961 / 2 = 480.5 -> 481.
        read = slide.read(961, 0, 16, 16, 0.5 * downsample)
        expected = half[:16, 480:496]
        assert np.abs(read.astype(int) - expected).mean() < 1.0


@pytest.mark.parametrize("ratio", [1.05, 1.38, 2.0, 2.7, 4.0, 7.3, 16.0])
def test_shrinking_is_an_area_average(
    write_tiff: Writer, reader: SlideSettings, ratio: float
) -> None:
    pixels = picture(1500, 1200)
    x, y = 96, 64
    size = min(60, int(1000 / ratio))
    with open_slide(write_tiff(pixels), settings=reader) as slide:
        read = slide.read(x, y, size, size, 0.5 * ratio)
    expected = area_average(pixels, x, y, size, size, ratio)
    # Pixel noise as here is the hardest case; on tissue it is half of this.
    assert np.abs(read - expected).mean() < (2.0 if ratio < 2 else 1.0)


def test_a_level_0_position_between_pixels_is_kept_when_shrinking(
    write_tiff: Writer, reader: SlideSettings
) -> None:
    pixels = picture(600, 600)
    with open_slide(write_tiff(pixels), settings=reader) as slide:
        read = slide.read(50.4, 70.7, 100, 100, 0.5 * 1.5)
    expected = area_average(pixels, 50.4, 70.7, 100, 100, 1.5)
    moved = area_average(pixels, 51.4, 70.7, 100, 100, 1.5)
    assert np.abs(read - expected).mean() < 1.5
    assert np.abs(read - moved).mean() > 2 * np.abs(read - expected).mean()


def real_average(
    pixels: np.ndarray, x: float, y: float, w: int, h: int, scale: float
) -> np.ndarray:
    """`area_average` over the pixels that there are; NaN where there are none."""
    down = weights(h, scale, y, pixels.shape[0])
    along = weights(w, scale, x, pixels.shape[1])
    sums = np.einsum("ij,jkc,lk->ilc", down, pixels.astype(float), along, optimize=True)
    with np.errstate(invalid="ignore"):
        return sums / (down.sum(1)[:, None, None] * along.sum(1)[None, :, None])


@pytest.mark.parametrize("ratio", [0.7, 1.05, 1.38, 2.0, 2.7, 4.0, 7.3, 16.0, 35.1])
def test_the_edge_is_made_of_the_slide_alone(
    write_tiff: Writer, reader: SlideSettings, ratio: float
) -> None:
    # Dark and smooth: a share of the white outside would be seen at once. No ratio divides
    # the sides, so that the last pixels straddle the edges.
    down, along = np.mgrid[0:397, 0:503]
    pixels = np.stack([20 + along // 12, 20 + down // 10, np.full_like(down, 30)], axis=2)
    pixels = pixels.astype(np.uint8)
    w, h = int(503 / ratio) + 4, int(397 / ratio) + 4
    # Where a whole factor serves, corners are rounded to its squares.
    corner = (-ratio, -2 * ratio) if ratio in {2.0, 4.0} else (-1.3 * ratio, -1.6 * ratio)
    with open_slide(write_tiff(pixels), settings=reader) as slide:
        read = slide.read(*corner, w, h, 0.5 * ratio)
        (batch,) = stream_patches(slide, np.array([corner]).round(), 64, 0.5 * ratio)
        streamed = slide.read(*np.round(corner), 64, 64, 0.5 * ratio)
    exact = real_average(pixels, *corner, w, h, ratio)
    there = ~np.isnan(exact).any(axis=2)
    assert there.any(axis=0).sum() == pytest.approx(503 / ratio, abs=2)
    assert np.abs(read[there] - exact[there]).max() < 3.0
    assert (read[~there] == 255).all()
    np.testing.assert_array_equal(batch.pixels[0], streamed)


@pytest.mark.parametrize("ratio", [0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.5])
def test_no_shift_on_a_grid(write_tiff: Writer, reader: SlideSettings, ratio: float) -> None:
    # Dark lines every 61 level-0 pixels, 10 wide: their centres are known.
    pixels = np.full((1200, 1200, 3), 230, np.uint8)
    for start in range(20, 1200, 61):
        pixels[start : start + 10] = 40
        pixels[:, start : start + 10] = 40
    mpp = 0.5 * ratio
    count = int(900 / ratio)
    with open_slide(write_tiff(pixels), settings=reader) as slide:
        read = slide.read(120, 120, count, count, mpp)
    for profile in (read.mean((0, 2)), read.mean((1, 2))):
        dark = 230 - profile
        positions = 120 + (np.arange(count) + 0.5) * ratio
        shifts = []
        for centre in 147 + 61 * np.arange(12):
            near = np.abs(positions - centre) < 25
            found = (positions[near] * dark[near]).sum() / dark[near].sum()
            shifts.append((found - centre) / max(1.0, ratio))
        assert np.abs(shifts).max() < 0.35
        # A single line falls anywhere between pixels; all of them together, everywhere.
        assert abs(np.mean(shifts)) < 0.05


def test_a_large_read_in_steps_equals_one_in_a_piece(
    write_tiff: Writer, reader: SlideSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tiff(picture(900, 700))
    for mpp in (0.5, 0.8, 1.0, 2.3):
        with open_slide(path, settings=reader) as slide:
            whole = slide.read(3, 5, 200, 150, mpp)
            monkeypatch.setattr("pathsearch.slides.pyramid._STEP_PIXELS", 5000)
            steps = slide.read(3, 5, 200, 150, mpp).astype(int)
            monkeypatch.undo()
        # The filter's weights are rounded from positions that count from the step's top.
        assert np.abs(steps - whole).max() <= 1
        assert (steps != whole).mean() < 0.01


def test_enlarging_stops_at_one_and_a_half(write_tiff: Writer, reader: SlideSettings) -> None:
    pixels = picture(300, 300)
    with open_slide(write_tiff(pixels), settings=reader) as slide:
        read = slide.read(60, 60, 150, 150, 0.5 / 1.5)
        assert np.abs(area_average(read, 0, 0, 100, 100, 1.5) - pixels[60:160, 60:160]).mean() < 4
        with pytest.raises(ResolutionTooCoarseError):
            slide.read(0, 0, 10, 10, 0.3)


def test_missing_tiles_are_background(tmp_path: Path, reader: SlideSettings) -> None:
    import tifffile

    pixels = picture(384, 256)
    path = tmp_path / "sparse.tiff"

    def tiles():  # the second of six is not stored
        for row in range(2):
            for column in range(3):
                tile = pixels[row * 128 : row * 128 + 128, column * 128 : column * 128 + 128]
                yield None if (row, column) == (0, 1) else np.ascontiguousarray(tile)

    tifffile.imwrite(
        path, tiles(), shape=pixels.shape, dtype=np.uint8, tile=(128, 128), photometric="rgb",
        resolution=(20000, 20000), resolutionunit="CENTIMETER", metadata=None,
    )  # fmt: skip
    expected = pixels.copy()
    expected[:128, 128:256] = 255
    with open_slide(path, settings=reader) as slide:
        np.testing.assert_array_equal(slide.read(0, 0, 384, 256, 0.5), expected)
        (batch,) = stream_patches(slide, np.array([[100, 30], [140, 10]]), 100, 0.5)
        assert batch.ok.all()
        np.testing.assert_array_equal(batch.pixels[0], expected[30:130, 100:200])
        np.testing.assert_array_equal(batch.pixels[1], expected[10:110, 140:240])
        assert (slide.read(136, 8, 50, 50, 1.0) == 255).all()


def test_closed_slides_and_empty_regions_are_refused(
    write_tiff: Writer, reader: SlideSettings
) -> None:
    slide: Slide = open_slide(write_tiff(picture(200, 200)), settings=reader)
    assert isinstance(slide, Slide)
    with pytest.raises(ValueError, match="empty"):
        slide.read(0, 0, 0, 5, 0.5)
    slide.close()
    slide.close()
    with pytest.raises(ValueError, match="closed"):
        slide.read(0, 0, 5, 5, 0.5)
