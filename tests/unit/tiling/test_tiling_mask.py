"""What is tissue and what is not, on pictures painted by hand at 8 µm per pixel."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pathsearch.config import TissueSettings
from pathsearch.tiling import preview, tile, tissue_mask
from pathsearch.tiling.ink import ink_colours
from pathsearch.tiling.mask import glass_colour, is_fluorescence, optical_density, otsu

MPP = 8.0
GLASS = (243, 242, 244)
SIDE = 200
HAEMATOXYLIN, EOSIN, DAB = (0.62, 0.68, 0.34), (0.09, 0.52, 0.27), (0.27, 0.57, 0.78)
INKS = {
    "blue": (0.14, 0.24, 0.66),
    "green": (0.12, 0.52, 0.30),
    "black": (0.09, 0.09, 0.11),
    "red": (0.80, 0.10, 0.16),
}


class Painting:
    """Optical density on glass, and where tissue was painted."""

    def __init__(self, seed=0, glass=GLASS):
        self.od = np.zeros((SIDE, SIDE, 3))
        self.truth = np.zeros((SIDE, SIDE), bool)
        self.glass = np.asarray(glass, float)
        self.rng = np.random.default_rng(seed)

    def grain(self, sigma=0.8):
        noise = ndimage.gaussian_filter(self.rng.standard_normal((SIDE, SIDE)), sigma)
        return noise / noise.std()

    def tissue(self, part, dye=EOSIN, strength=0.35, spread=0.3):
        """Stained and structured."""
        amount = np.clip(strength * (1 + spread * self.grain()), 0, None)
        self.od[part] += (amount[..., None] * np.asarray(dye))[part]
        self.truth[part] = True
        return self

    def light(self, share):
        """Multiply by the light that passes, (h, w) or (h, w, 3)."""
        share = share if share.ndim == 3 else share[..., None]
        self.od += -np.log10(np.clip(share, 1e-3, None))
        return self

    def pixels(self):
        clean = self.glass * 10.0**-self.od + self.rng.normal(0, 0.6, self.od.shape)
        return np.clip(np.rint(clean), 0, 255).astype(np.uint8)


SECTION = np.s_[30:150, 20:120]


def iou(found, truth):
    union = np.count_nonzero(found | truth)
    return np.count_nonzero(found & truth) / union if union else 1.0


def away():
    """Distance to the middle of the free glass on the right, pixels."""
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.hypot(y - 90, x - 160), y, x


@pytest.mark.parametrize(
    ("dye", "strength", "spread"),
    [
        (EOSIN, 0.35, 0.3),
        (HAEMATOXYLIN, 0.5, 0.3),
        (DAB, 0.4, 0.4),  # immunohistochemistry, brown
        (HAEMATOXYLIN, 0.08, 0.35),  # its weak counterstain
        (EOSIN, 0.035, 0.9),  # fat: hardly anything, but structured
        (EOSIN, 0.8, 0.02),  # even and dense: muscle out of focus
    ],
)
def test_stained_tissue_is_found(dye, strength, spread):
    painting = Painting().tissue(SECTION, dye, strength, spread)
    found = tissue_mask(painting.pixels(), MPP)
    assert iou(found, painting.truth) > 0.93


@pytest.mark.parametrize(
    "glass", [(243, 242, 244), (230, 213, 228), (252, 252, 250), (215, 222, 221)]
)
def test_the_colour_of_the_glass_does_not_matter(glass):
    painting = Painting(glass=glass).tissue(SECTION)
    assert iou(tissue_mask(painting.pixels(), MPP), painting.truth) > 0.93
    assert not tissue_mask(Painting(glass=glass).pixels(), MPP).any()


def film(painting):
    r, _, _ = away()
    painting.od += 0.10 * np.exp(-((r / 25) ** 2))[..., None] * np.asarray(EOSIN)


def coverslip(painting):
    _, _, x = away()
    painting.light(1 - 0.5 * np.exp(-(((x - 160) / 2.0) ** 2)))


def bubble(painting):
    r, _, _ = away()
    painting.light(1 - 0.5 * np.exp(-(((r - 25) / 2.0) ** 2)))


def small_bubble(painting):
    r, _, _ = away()
    painting.light(1 - 0.5 * np.exp(-(((r - 9) / 2.5) ** 2)))


def dirt(painting):
    r, _, _ = away()
    painting.light(1 - 0.25 * np.exp(-((r / 10) ** 2)))


def black_border(painting):
    painting.light(np.where(np.arange(SIDE)[None, :] >= 170, 1e-3, 1.0).repeat(SIDE, 0))


def stitched_white(painting):
    painting.od[:, 165:] = 0
    painting.od[:20] = 0


def specks(painting):
    painting.od[40:42, 150:152] += 0.5 * np.asarray(HAEMATOXYLIN)
    painting.od[90:93, 170:172] += 0.5 * np.asarray(EOSIN)


@pytest.mark.parametrize(
    "what",
    [film, coverslip, bubble, small_bubble, dirt, black_border, stitched_white, specks],
    ids=lambda f: f.__name__,
)
def test_what_is_no_tissue_is_left_out(what):
    painting = Painting().tissue(SECTION)
    what(painting)
    found = tissue_mask(painting.pixels(), MPP)
    assert iou(found, painting.truth) > 0.93
    # The glass on the right, 60 µm and more from the section.
    assert not found[:, 128:].any()


@pytest.mark.parametrize("ink", INKS)
def test_pen_marks_are_left_out_and_the_tissue_beside_them_is_not(ink):
    painting = Painting().tissue(SECTION)
    r, y, _ = away()
    stroke = np.clip((40 - np.abs(r - 80)) / 2, 0, 1) * (np.abs(r - 80) < 18) * (y > 60)
    painting.light(np.asarray(INKS[ink]) ** stroke[..., None])
    under = ndimage.binary_dilation(stroke > 0, iterations=3)
    found = tissue_mask(painting.pixels(), MPP)
    assert not (found & (stroke >= 1)).any()
    assert iou(found & ~under, painting.truth & ~under) > 0.9
    kept = tissue_mask(painting.pixels(), MPP, TissueSettings(exclude_pen=False))
    if ink != "black":  # grey ink is no stain anyway
        assert np.count_nonzero(kept & (stroke >= 1)) > 0.5 * np.count_nonzero(stroke >= 1)


def test_colours_of_tissue_are_no_ink():
    amounts = np.linspace(0.1, 1.4, 12)
    od = [
        h * np.asarray(HAEMATOXYLIN) + e * np.asarray(other)
        for h in amounts
        for e in amounts
        for other in (EOSIN, DAB)
    ]
    dense, _ = ink_colours(np.asarray(od, np.float32).T[:, None, :])
    assert not dense.any()


def test_lumina_and_clefts_are_tissue_and_large_holes_are_not():
    painting = Painting().tissue(SECTION)
    painting.od[60:75, 50:65] = 0  # 120 µm
    hole = np.s_[90:145, 30:85]  # 440 µm
    painting.od[hole] = 0
    found = tissue_mask(painting.pixels(), MPP)
    assert found[60:75, 50:65].all()
    assert not found[100:135, 40:75].any()


def fluorescent(background=4, signal=30):
    rng = np.random.default_rng(3)
    pixels = np.zeros((SIDE, SIDE, 3))
    pixels[..., 2] = background + rng.poisson(1.0, (SIDE, SIDE))
    section = signal * (1 + 0.3 * ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), 1))
    pixels[(*SECTION, 2)] += section[SECTION]
    return np.clip(pixels, 0, 255).astype(np.uint8)


def test_fluorescence_is_noticed_and_handled():
    pixels = fluorescent()
    truth = np.zeros((SIDE, SIDE), bool)
    truth[SECTION] = True
    assert iou(tissue_mask(pixels, MPP), truth) > 0.95
    assert iou(tissue_mask(pixels, MPP, TissueSettings(mode="fluorescence")), truth) > 0.95


def test_an_empty_dark_slide_has_no_tissue():
    assert not tissue_mask(fluorescent(signal=0), MPP).any()
    assert not tissue_mask(np.zeros((50, 60, 3), np.uint8), MPP).any()


def test_black_borders_do_not_make_fluorescence():
    painting = Painting().tissue(SECTION)
    pixels = painting.pixels()
    framed = np.zeros((3 * SIDE, 3 * SIDE, 3), np.uint8)
    framed[SIDE : 2 * SIDE, SIDE : 2 * SIDE] = pixels
    assert not is_fluorescence(np.moveaxis(framed, 2, 0))
    found = tissue_mask(framed, MPP)[SIDE : 2 * SIDE, SIDE : 2 * SIDE]
    assert iou(found, painting.truth) > 0.93


@pytest.mark.parametrize("colour", [(255, 255, 255), (243, 242, 244), (0, 0, 0), (128, 128, 128)])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (64, 64)])
def test_even_pictures_of_any_shape_have_no_tissue(colour, shape):
    pixels = np.full((*shape, 3), colour, np.uint8)
    found = tissue_mask(pixels, MPP)
    assert found.shape == shape
    assert found.dtype == np.bool_
    assert not found.any()


def test_a_picture_full_of_tissue_is_all_tissue():
    painting = Painting().tissue(np.s_[:, :])
    assert tissue_mask(painting.pixels(), MPP).mean() > 0.98


@pytest.mark.parametrize("mpp", [4.0, 8.0, 16.0])
def test_the_mask_does_not_hang_on_the_resolution(mpp):
    painting = Painting().tissue(SECTION)
    pixels, truth = painting.pixels(), painting.truth
    if mpp == 4.0:
        pixels = ndimage.zoom(pixels, (2, 2, 1), order=1)
        truth = truth.repeat(2, 0).repeat(2, 1)
    elif mpp == 16.0:
        pixels = pixels.reshape(SIDE // 2, 2, SIDE // 2, 2, 3).mean((1, 3)).astype(np.uint8)
        truth = truth[::2, ::2]
    assert iou(tissue_mask(pixels, mpp), truth) > 0.9


def test_unreadable_pixels_are_never_tissue():
    painting = Painting().tissue(SECTION)
    ignore = np.zeros((SIDE, SIDE), bool)
    ignore[60:100, 40:80] = True
    found = tissue_mask(painting.pixels(), MPP, ignore=ignore)
    assert not found[ignore].any()
    assert iou(found & ~ignore, painting.truth & ~ignore) > 0.85


def test_settings_change_what_is_found():
    pale = Painting().tissue(SECTION, EOSIN, 0.02, 0.5)
    dull = tissue_mask(pale.pixels(), MPP, TissueSettings(sensitivity=0.3))
    keen = tissue_mask(pale.pixels(), MPP, TissueSettings(sensitivity=4.0))
    assert iou(keen, pale.truth) > 0.9
    assert dull.sum() < 0.2 * pale.truth.sum()
    assert tissue_mask(pale.pixels(), MPP, TissueSettings(mode="all")).all()


def test_glass_and_density_by_hand():
    planes = np.full((3, 10, 10), 240, np.uint8)
    planes[:, :3] = np.array([100, 50, 120])[:, None, None]
    np.testing.assert_array_equal(glass_colour(planes), [240, 240, 240])
    od = optical_density(planes, np.float32([240, 240, 240]))
    np.testing.assert_allclose(od[:, 0, 0], np.log10(246 / np.array([106, 56, 126])), rtol=1e-5)
    assert od[:, 9, 9].max() == 0.0


def test_otsu_parts_two_groups():
    values = np.concatenate([np.full(500, 1.0), np.full(300, 9.0)])
    assert 1.0 < otsu(values + np.linspace(0, 0.5, 800)) < 9.0


def test_the_preview_shows_slide_mask_and_numbers():
    from pathsearch.config import TileSpec
    from pathsearch.testing.memory import ArraySlide
    from pathsearch.tiling.previews import NARROWEST, PATCH, STRIP, TISSUE

    pixels = Painting().tissue(SECTION).pixels().repeat(4, 0).repeat(4, 1)
    slide = ArraySlide(pixels, 2.0, path="a/very long name.tiff")
    tiling = tile(slide, TileSpec(mpp=2.0, size_px=64))
    picture = preview(slide, tiling, max_px=400)
    assert picture.shape == (400 + STRIP, NARROWEST, 3)
    assert picture.dtype == np.uint8
    assert np.count_nonzero((picture == TISSUE).all(axis=2)) > 100
    shade = np.abs(picture.astype(int) - PATCH).max(axis=2) < 70
    assert np.count_nonzero(shade) > 20 * len(tiling)
    assert picture[400:].min() < 64  # text


def test_the_preview_marks_what_cannot_be_decoded_and_looks_for_tissue_once(monkeypatch):
    from pathsearch.config import TileSpec
    from pathsearch.testing.memory import ArraySlide
    from pathsearch.tiling import find_tissue, previews

    pixels = Painting().tissue(SECTION).pixels().repeat(4, 0).repeat(4, 1)
    slide = ArraySlide(pixels, 2.0, broken=((400, 400, 100, 60),))
    found = find_tissue(slide)
    assert 100 * 60 / pixels[..., 0].size <= found[0].unreadable_share < 0.1
    tiling = tile(slide, TileSpec(mpp=2.0, size_px=64), found=found)
    monkeypatch.setattr(previews, "find_tissue", None)
    picture = preview(slide, tiling, max_px=400, found=found)
    yellow = (picture == previews.UNREADABLE).all(axis=2)
    scale = max(pixels.shape) / 400
    ys, xs = np.nonzero(yellow)
    left = (picture.shape[1] - 400) // 2
    assert xs.min() - left <= 400 / scale
    assert xs.max() - left >= 499 / scale - 1
    assert ys.min() <= 400 / scale
    assert ys.max() >= 459 / scale - 1
    assert yellow.mean() < 0.1


@pytest.mark.data
def test_real_sections_and_the_film_of_eosin_beside_one(data_dir):
    from pathsearch.slides import open_slide
    from pathsearch.tiling.grid import find_tissue

    with open_slide(data_dir / "slides" / "her2st_C3.tiff") as slide:
        seen, mask = find_tissue(slide)

    # Places read off the picture, level-0 pixels.
    def at(x, y):
        return bool(mask[int(y / seen.scale), int(x / seen.scale)])

    assert at(4340, 2990)
    assert at(2380, 3210)
    assert not at(7150, 3860)  # film of eosin
    assert not at(5000, 6300)  # the same, below
    assert not at(2170, 5660)  # dust out of focus
    assert 0.16 < mask.mean() < 0.19


@pytest.mark.data
def test_real_fluorescence(data_dir):
    from pathsearch.slides import open_slide
    from pathsearch.tiling.grid import find_tissue

    with open_slide(data_dir / "slides" / "fluorescence-TRITC.ndpi") as slide:
        _, mask = find_tissue(slide)
    assert mask[60, 60]
    assert not mask[4, 4]
    assert not mask[-3, 40]
