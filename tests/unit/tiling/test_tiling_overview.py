"""The frame of overviews, and how much memory they take."""

from __future__ import annotations

import numpy as np
import pytest

from pathsearch.errors import ReadFailedError
from pathsearch.nouns import Level
from pathsearch.testing.memory import ArraySlide
from pathsearch.tiling import overview, shrunk, thumbnail


class HugeSlide(ArraySlide):
    """A slide of any declared size that answers grey, and remembers what it was asked."""

    def __init__(self, size, mpp, levels):
        super().__init__(np.zeros((1, 1, 3), np.uint8), mpp, bounds=(0, 0, *size))
        self._size = size
        self._levels = tuple(Level(size[0] // d, size[1] // d, float(d)) for d in levels)
        self.asked = []

    @property
    def size(self):
        return self._size

    @property
    def levels(self):
        return self._levels

    def read(self, x, y, w, h, mpp):
        self.asked.append((x, y, w, h, mpp))
        return np.full((h, w, 3), 200, np.uint8)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


@pytest.mark.parametrize("scale", [1.0, 2.5, 4.0, 7.3])
def test_each_pixel_is_the_mean_of_its_square(scale):
    pixels = noise(160, 220)
    seen = overview(ArraySlide(pixels, 0.5), 0.5 * scale)
    assert seen.scale == pytest.approx(scale)
    i, j = 3, 5
    if float(scale).is_integer():
        s = int(scale)
        square = pixels[i * s : (i + 1) * s, j * s : (j + 1) * s].reshape(-1, 3)
        np.testing.assert_allclose(seen.pixels[i, j], square.mean(axis=0), atol=0.51)
    assert seen.pixels.shape[:2] == (int(np.ceil(160 / scale)), int(np.ceil(220 / scale)))


def test_the_frame_begins_at_the_bounds():
    pixels = np.full((400, 400, 3), 255, np.uint8)
    pixels[120:128, 200:208] = 0
    seen = overview(ArraySlide(pixels, 1.0, bounds=(40, 24, 320, 320)), 8.0)
    assert (seen.x, seen.y) == (40, 24)
    dark = np.argwhere(seen.pixels[..., 0] < 128)
    assert dark.tolist() == [[(120 - 24) // 8, (200 - 40) // 8]]


def test_blocks_give_what_one_read_gives(monkeypatch):
    slide = ArraySlide(noise(700, 900), 0.5)
    monkeypatch.setattr("pathsearch.tiling.overviews.BLOCK_SOURCE_PIXELS", 1 << 40)
    whole = overview(slide, 1.35)
    monkeypatch.setattr("pathsearch.tiling.overviews.BLOCK_SOURCE_PIXELS", 1)
    blocks = overview(slide, 1.35)
    difference = np.abs(whole.pixels.astype(int) - blocks.pixels)
    assert difference.max() <= 1  # a rounding of x.5


def test_what_lies_outside_is_no_bright_line():
    # 100 pixels at 8 to 1 are 12.5: half of the last column is outside of the slide.
    slide = ArraySlide(np.full((100, 100, 3), 3, np.uint8), 1.0)
    seen = overview(slide, 8.0)
    assert seen.pixels.shape == (13, 13, 3)
    assert seen.pixels.max() == 3


def test_a_corrupt_place_costs_itself_only():
    pixels = noise(1024, 1024)
    seen = overview(ArraySlide(pixels, 0.5, broken=((500, 700, 100, 60),)), 4.0)
    good = overview(ArraySlide(pixels, 0.5), 4.0)
    assert seen.unreadable[700 // 8 + 1 : 760 // 8, 500 // 8 + 1 : 600 // 8].all()
    assert np.count_nonzero(seen.unreadable) <= 21 * 16  # 13 x 8, blocks of 4 around
    assert (seen.pixels[seen.unreadable] == 255).all()
    np.testing.assert_array_equal(seen.pixels[~seen.unreadable], good.pixels[~seen.unreadable])


def test_nothing_readable_is_an_error():
    slide = ArraySlide(noise(300, 300), 0.5, broken=((0, 0, 300, 300),))
    with pytest.raises(ReadFailedError):
        overview(slide, 4.0)


@pytest.mark.parametrize("levels", [(1,), (1, 4, 16, 64)])
def test_gigapixels_are_read_in_bounded_blocks(levels):
    slide = HugeSlide((200_000, 150_000), 0.25, levels)
    seen = overview(slide, 8.0)
    h, w = seen.pixels.shape[:2]
    assert h * w <= 1.01 * (1 << 23)
    scale = seen.scale
    finest = max(d for d in levels if d <= 1.02 * scale)
    most = max(bw * bh * (scale / finest) ** 2 for _, _, bw, bh, _ in slide.asked)
    assert most <= 1.05 * (1 << 24)
    # Every pixel once.
    assert sum(bw * bh for _, _, bw, bh, _ in slide.asked) == h * w


def test_thumbnails_keep_the_longest_side():
    picture, mpp = thumbnail(ArraySlide(noise(600, 900), 0.5), 300)
    assert picture.shape == (200, 300, 3)
    assert mpp == pytest.approx(1.5)


def test_thumbnails_are_never_enlarged():
    picture, mpp = thumbnail(ArraySlide(noise(60, 90), 0.5), 300)
    assert picture.shape == (60, 90, 3)
    assert mpp == 0.5


@pytest.mark.parametrize(("size", "longest"), [((1500, 1200), 100), ((1501, 1207), 93)])
def test_a_thumbnail_made_of_an_overview_is_that_of_the_slide(size, longest):
    slide = ArraySlide(noise(size[1], size[0]), 0.5)
    seen = overview(slide, 2.0)
    direct, _ = thumbnail(slide, longest)
    made = shrunk(seen, slide, longest)
    assert made.shape == direct.shape
    inner = np.s_[1:-1, 1:-1]  # a last row and column that lie partly outside differ
    assert np.abs(made[inner].astype(int) - direct[inner]).mean() < 4
    assert shrunk(seen, slide, 2000) is None
