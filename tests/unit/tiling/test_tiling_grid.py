"""Frames, footprints and shares of tissue, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pathsearch.config import TileSpec, TissueSettings
from pathsearch.errors import ReadFailedError, ResolutionTooCoarseError
from pathsearch.testing.memory import ArraySlide
from pathsearch.tiling import tile
from pathsearch.tiling.grid import grid_lines, shares

GLASS = (243, 242, 244)
EVERYWHERE = TissueSettings(mode="all")


def stained_slide(width, height, boxes, mpp=0.5, **more):
    """Glass with rectangles (x, y, w, h) of speckled pink."""
    pixels = np.full((height, width, 3), GLASS, np.uint8)
    rng = np.random.default_rng(0)
    for x, y, w, h in boxes:
        grain = rng.integers(-40, 40, (h // 16 + 1, w // 16 + 1, 1)).repeat(16, 0).repeat(16, 1)
        pink = np.clip(np.array([205, 130, 175]) + grain[:h, :w], 0, 255)
        pixels[y : y + h, x : x + w] = pink
    return ArraySlide(pixels, mpp, background=GLASS, **more)


@pytest.mark.parametrize(
    ("size_px", "spec_mpp", "slide_mpp", "footprint"),
    [
        (224, 0.5, 0.5, 224),
        (224, 0.5, 0.25, 448),
        (224, 0.5, 0.499, 224),  # 224.449
        (224, 0.5, 0.2275, 492),  # 492.3
        (224, 1.0, 0.69, 325),  # 324.6
        (96, 2.0, 0.2281750559, 841),  # 841.5 less a little
    ],
)
def test_footprints_are_whole_level_0_pixels(size_px, spec_mpp, slide_mpp, footprint):
    slide = ArraySlide(np.full((900, 900, 3), 200, np.uint8), slide_mpp)
    tiling = tile(slide, TileSpec(size_px=size_px, mpp=spec_mpp), tissue=EVERYWHERE)
    assert tiling.footprint == footprint


def test_the_grid_is_in_reading_order_and_wholly_inside():
    slide = ArraySlide(np.full((700, 1000, 3), 200, np.uint8), 0.5)
    tiling = tile(slide, TileSpec(size_px=224), tissue=EVERYWHERE)
    expected = [(x, y) for y in (0, 224, 448) for x in (0, 224, 448, 672)]
    assert [tuple(p) for p in tiling.xy.tolist()] == expected
    assert tiling.xy.dtype == np.int64
    assert tiling.tissue.dtype == np.float32
    np.testing.assert_allclose(tiling.tissue, 1.0)
    assert tiling.tissue_share == pytest.approx(1.0)


def test_a_stride_below_the_size_overlaps():
    slide = ArraySlide(np.full((224, 448, 3), 200, np.uint8), 0.5)
    tiling = tile(slide, TileSpec(size_px=224, stride_px=112), tissue=EVERYWHERE)
    assert tiling.xy.tolist() == [[0, 0], [112, 0], [224, 0]]


def test_the_grid_starts_at_the_bounds():
    slide = ArraySlide(np.full((900, 900, 3), 200, np.uint8), 0.5, bounds=(100, 50, 449, 300))
    tiling = tile(slide, TileSpec(size_px=224), tissue=EVERYWHERE)
    assert tiling.xy.tolist() == [[100, 50], [324, 50]]


@pytest.mark.parametrize(("length", "count"), [(223, 0), (224, 1), (447, 1), (448, 2), (449, 2)])
def test_patches_end_inside(length, count):
    xs, ys = grid_lines((7, 3, length, 224), 224, 224)
    assert len(xs) == count
    assert len(ys) == 1
    assert all(x >= 7 and x + 224 <= 7 + length for x in xs)


def test_the_share_of_tissue_is_known_by_hand():
    # Pixels of the mask are 16 level-0 pixels wide, and the box lies on their borders.
    slide = stained_slide(2240, 1120, [(224, 224, 784, 448)])
    tiling = tile(slide, TileSpec(size_px=224, min_tissue=0.0))
    assert len(tiling) == 10 * 5
    share = tiling.tissue.reshape(5, 10)
    inside = share[1:3, 1:4]
    half = share[1:3, 4]  # the box covers the left half of this column
    assert inside.min() > 0.97
    assert np.abs(half - 0.5).max() < 0.15
    # Smoothing reaches one or two pixels of the mask, not a patch.
    assert share[4].max() == 0.0
    assert share[:, 6:].max() == 0.0
    # The mask is up to one of its pixels (8 µm) larger at each side.
    low, high = 784 * 448 / (2240 * 1120), 816 * 480 / (2240 * 1120)
    assert low < tiling.tissue_share < high


def test_only_patches_with_enough_tissue_are_kept():
    slide = stained_slide(2240, 1120, [(224, 224, 784, 448)])
    every = tile(slide, TileSpec(size_px=224, min_tissue=0.0))
    kept = tile(slide, TileSpec(size_px=224, min_tissue=0.7))
    enough = every.tissue >= 0.7
    np.testing.assert_array_equal(kept.xy, every.xy[enough])
    assert kept.xy.tolist() == [[x, y] for y in (224, 448) for x in (224, 448, 672)]


def test_an_empty_slide_has_no_patches():
    tiling = tile(stained_slide(1000, 1000, []), TileSpec())
    assert len(tiling) == 0
    assert tiling.xy.shape == (0, 2)
    assert tiling.tissue_share == 0.0


def test_a_slide_smaller_than_a_patch_has_none():
    assert len(tile(stained_slide(200, 200, [(0, 0, 200, 200)]), TileSpec())) == 0


def test_too_coarse_a_slide_is_refused_before_anything_else():
    slide = ArraySlide(np.full((900, 900, 3), 255, np.uint8), 1.0)
    with pytest.raises(ResolutionTooCoarseError):
        tile(slide, TileSpec(mpp=0.5))
    tile(slide, TileSpec(mpp=0.7))


def test_a_corrupt_place_in_tissue_stays_in_the_grid():
    # Otherwise the patches there would pass for glass, and nobody would count them.
    box = (0, 0, 1568, 1568)
    whole = tile(stained_slide(1568, 1568, [box]), TileSpec())
    hurt = tile(stained_slide(1568, 1568, [box], broken=((700, 700, 120, 120),)), TileSpec())
    np.testing.assert_array_equal(hurt.xy, whole.xy)


def test_a_corrupt_place_on_glass_makes_no_tissue():
    box = (0, 0, 500, 1568)
    whole = tile(stained_slide(1568, 1568, [box]), TileSpec())
    hurt = tile(stained_slide(1568, 1568, [box], broken=((1300, 700, 120, 120),)), TileSpec())
    np.testing.assert_array_equal(hurt.xy, whole.xy)


def test_a_corrupt_middle_does_not_hide_the_resolution():
    slide = stained_slide(1024, 1024, [(0, 0, 1024, 1024)], broken=((500, 500, 30, 30),))
    assert len(tile(slide, TileSpec())) == 16


def test_nothing_readable_is_an_error():
    slide = stained_slide(1024, 1024, [], broken=((0, 0, 1024, 1024),))
    with pytest.raises(ReadFailedError):
        tile(slide, TileSpec())


@given(
    seed=st.integers(0, 99),
    side=st.floats(0.3, 9.0),
    left=st.lists(st.floats(-3, 14), min_size=1, max_size=4),
    top=st.lists(st.floats(-3, 11), min_size=1, max_size=4),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_shares_equal_a_sum_over_pixels(seed, side, left, top):
    cover = np.random.default_rng(seed).random((9, 12), np.float32)
    got = shares(cover, np.array(left), np.array(top), side)

    def overlap(start, n):
        cell = np.arange(n)
        return np.clip(np.minimum(start + side, cell + 1) - np.maximum(start, cell), 0, None)

    for i, y in enumerate(top):
        for j, x in enumerate(left):
            slow = overlap(y, 9) @ cover @ overlap(x, 12) / side**2
            assert got[i, j] == pytest.approx(min(slow, 1.0), abs=1e-6)


def test_shares_of_no_squares():
    assert shares(np.ones((4, 4), np.float32), np.zeros(0), np.zeros(3), 2.0).shape == (3, 0)
