"""Made-up slides: what is in the file is what was drawn, and what was drawn is known."""

from __future__ import annotations

import tracemalloc

import numpy as np
import openslide
import pytest

from pathsearch.testing import Stain, draw_slide, make_slide
from pathsearch.testing.artefacts import NAMES
from pathsearch.testing.drawing import LABELS
from pathsearch.testing.layout import Board, Patchwork
from pathsearch.testing.pyramid import shrink, whole_spans
from pathsearch.testing.tissues import texture

BOARD = [["stroma", "fat"], ["glass", "lymphocytes"]]


def read(slide, x, y, w, h, level=0):
    return np.asarray(slide.read_region((x, y), level, (w, h)).convert("RGB"))


def weights(count, ratio, length):
    """How much of each source pixel lies in each span, from the definition."""
    low = np.arange(count)[:, None] * ratio
    cell = np.arange(length)[None, :]
    return np.clip(np.minimum(low + ratio, cell + 1) - np.maximum(low, cell), 0, None)


def area_mean(pixels, ratio, size):
    """The slow twin of the pyramid."""
    down = weights(size[1], ratio, pixels.shape[0])
    across = weights(size[0], ratio, pixels.shape[1])
    return np.stack([down @ pixels[..., c] @ across.T for c in range(3)], axis=2) / ratio**2


def test_openslide_sees_size_resolution_levels_and_pixels(tmp_path):
    made = make_slide(
        tmp_path / "a.tiff", size=(700, 500), mpp=0.37, seed=3, layout=BOARD,
        downsamples=(1, 2, 5), compression="deflate", tile=128,
    )  # fmt: skip
    with openslide.OpenSlide(made.path) as slide:
        assert slide.dimensions == (700, 500)
        assert slide.level_dimensions == ((700, 500), (350, 250), (140, 100))
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.37, rel=1e-4)
        assert float(slide.properties["openslide.mpp-y"]) == pytest.approx(0.37, rel=1e-4)
        np.testing.assert_array_equal(
            read(slide, 0, 0, 700, 500), made.drawing.pixels(0, 0, 700, 500)
        )
        np.testing.assert_array_equal(
            read(slide, 650, 470, 50, 30), made.drawing.pixels(650, 470, 50, 30)
        )


def test_levels_are_area_means_at_any_ratio(tmp_path):
    made = make_slide(
        tmp_path / "a.tiff", size=(203, 167), layout=BOARD, downsamples=(1, 2.6),
        compression="none", tile=64,
    )  # fmt: skip
    with openslide.OpenSlide(made.path) as slide:
        size = slide.level_dimensions[1]
        assert size == (78, 64)
        stored = read(slide, 0, 0, *size, level=1)
    expected = area_mean(made.drawing.pixels(0, 0, 203, 167), 2.6, size)
    # Down and across are rounded one after the other.
    assert np.abs(stored - expected).max() <= 1.0 + 1e-6


def test_shrink_equals_its_slow_twin_and_never_takes_half_spans():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (41, 7, 3), np.uint8)
    for ratio in (1.5, 2.0, 4.016):
        for start in (0.0, 0.5, 3.25):
            count = whole_spans(len(rows) - start, ratio)
            got = shrink(rows, start, count, ratio)
            for k in range(count):
                low, high = start + k * ratio, start + (k + 1) * ratio
                weight = np.clip(
                    np.minimum(high, np.arange(1, 42)) - np.maximum(low, np.arange(41)), 0, None
                )
                want = np.einsum("r,rmc->mc", weight, rows) / ratio
                assert np.abs(got[k] - want).max() <= 0.5 + 1e-6


def test_jpeg_stays_close_to_the_drawing(tmp_path):
    made = make_slide(tmp_path / "a.tiff", size=(512, 512), layout=BOARD, subsampling="444")
    with openslide.OpenSlide(made.path) as slide:
        difference = read(slide, 0, 0, 512, 512) - made.drawing.pixels(0, 0, 512, 512).astype(int)
    assert np.abs(difference).mean() < 4
    assert abs(difference.mean()) < 0.5


def test_aperio_look_with_images_that_nobody_may_show(tmp_path):
    made = make_slide(
        tmp_path / "a.svs", size=(900, 700), vendor="aperio", private_images=True,
        layout=BOARD, downsamples=(1, 4.0037),
    )  # fmt: skip
    with openslide.OpenSlide(made.path) as slide:
        assert slide.properties["openslide.vendor"] == "aperio"
        assert float(slide.properties["openslide.mpp-x"]) == 0.5
        assert slide.level_count == 2
        assert set(slide.associated_images) == {"label", "macro"}
        assert slide.level_dimensions == ((900, 700), (224, 174))


def test_the_stated_resolution_may_be_wrong_or_missing(tmp_path):
    for stated in (None, 50.0):
        made = make_slide(tmp_path / "a.tiff", size=(256, 256), layout=BOARD, stated_mpp=stated)
        with openslide.OpenSlide(made.path) as slide:
            found = slide.properties.get("openslide.mpp-x")
        assert (found is None) if stated is None else float(found) == pytest.approx(50)
        assert made.mpp == 0.5


def test_the_same_bytes_from_any_number_of_threads(tmp_path):
    options = {"size": (1000, 600), "seed": 5, "artefacts": NAMES, "tile": 128}
    one = make_slide(tmp_path / "a.tiff", threads=1, **options)
    four = make_slide(tmp_path / "b.tiff", threads=4, **options)
    assert one.path.read_bytes() == four.path.read_bytes()
    other = make_slide(tmp_path / "c.tiff", **options | {"seed": 6})
    assert other.path.read_bytes() != one.path.read_bytes()


def test_memory_does_not_grow_with_the_height(tmp_path):
    peaks = []
    for height in (1024, 6144):
        drawing_options = {"layout": BOARD, "seed": 1, "downsamples": (1, 4, 16)}
        make_slide(tmp_path / "warm.tiff", size=(512, 256), layout=BOARD, seed=1)
        tracemalloc.start()
        make_slide(tmp_path / "a.tiff", size=(512, height), threads=1, **drawing_options)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize("artefacts", [(), NAMES])
def test_any_part_is_drawn_the_same_alone(artefacts):
    drawing = draw_slide((900, 700), seed=4, artefacts=artefacts)
    whole = drawing.pixels(0, 0, 900, 700)
    for x, y, w, h in [(0, 0, 256, 256), (255, 511, 300, 17), (701, 233, 129, 400)]:
        np.testing.assert_array_equal(drawing.pixels(x, y, w, h), whole[y : y + h, x : x + w])


def test_parts_of_one_tissue_are_found_without_looking_at_each_pixel():
    """The fast path of `pixels` against the label of every pixel."""
    drawing = draw_slide((3000, 3000), seed=8)
    alone = 0
    for y in range(0, 3000, 250):
        for x in range(0, 3000, 250):
            only = drawing._only_area(x, y, 200, 200)
            if only is not None:
                alone += 1
                assert (drawing._area_grid(x, y, 200, 200) == only).all()
    assert alone > 20


def test_grids_of_areas_equal_single_places():
    drawings = [draw_slide((900, 700), seed=2, mpp=0.3), draw_slide((900, 700), layout=BOARD)]
    for drawing in drawings:
        y, x = np.mgrid[100:260, 300:500]
        np.testing.assert_array_equal(
            drawing._area_grid(300, 100, 200, 160), drawing._area_at(x, y)
        )


def test_borders_are_no_nearer_than_said():
    """`on_grid`'s distance is a lower bound: the fast path rests on it."""
    rng = np.random.default_rng(0)
    for areas in (Patchwork((4000.0, 3000.0), LABELS[1:], 1, 700.0, 2), Board((4000, 3000), BOARD)):
        xs, ys = np.sort(rng.uniform(0, 4000, 40)), np.sort(rng.uniform(0, 3000, 30))
        area, border = areas.on_grid(xs, ys)
        gx, gy = np.meshgrid(xs, ys)
        for turn in np.linspace(0, 2 * np.pi, 24, endpoint=False):
            inside = 0.99 * border
            near = areas.at(gx + inside * np.cos(turn), gy + inside * np.sin(turn))
            np.testing.assert_array_equal(near, area)


def test_a_board_says_what_lies_where():
    drawing = draw_slide((800, 400), layout=BOARD)
    assert drawing.label_at(399.4, 199.4) == "stroma"
    assert drawing.label_at(400, 0) == "fat"
    assert drawing.label_at(0, 399) == "glass"
    assert drawing.label_at(799, 399) == "lymphocytes"
    assert drawing.labels == ("stroma", "fat", "lymphocytes")
    # 0.5 µm per pixel, 8 µm per pixel of the map: 16 pixels each, 50 x 25 of them.
    codes = drawing.label_map(8.0)
    assert codes.shape == (25, 50)
    assert LABELS[codes[0, 24]] == "stroma"
    assert LABELS[codes[0, 25]] == "fat"
    truth = drawing.tissue_truth(8.0)
    # The glass: columns 0 to 24, and rows 12 to 24, whose middles are at 200 and below.
    assert truth.sum() == 50 * 25 - 25 * 13
    labels, share = drawing.patch_labels(np.array([[0, 0], [300, 0], [600, 300]]), 100)
    assert labels == ["stroma", "stroma", "lymphocytes"]
    np.testing.assert_allclose(share, 1)


def test_maps_agree_with_single_places():
    drawing = draw_slide((2000, 1600), seed=9)
    codes = drawing.label_map(20.0)
    rng = np.random.default_rng(1)
    for i, j in zip(rng.integers(0, 40, 60), rng.integers(0, 50, 60), strict=True):
        assert LABELS[codes[i, j]] == drawing.label_at((j + 0.5) * 40, (i + 0.5) * 40)
    assert set(drawing.labels) == set(LABELS) - {"glass"}
    assert 0.3 < (codes > 0).mean() < 0.8


def test_ink_and_black_borders_hide_tissue():
    plain = draw_slide((4000, 4000), seed=3)
    marked = draw_slide((4000, 4000), seed=3, artefacts=("pen", "black"))
    before, after = plain.tissue_truth(8.0), marked.tissue_truth(8.0)
    assert (before & ~after).sum() > 50
    assert not (after & ~before).any()
    border = next(a for a in marked.artefacts if type(a).__name__ == "BlackBorder")
    left, top, right, bottom = (round(v / 0.5) for v in border.area)
    assert (marked.pixels((left + right) // 2 - 5, (top + bottom) // 2 - 5, 10, 10) == 0).all()


def test_tissues_look_as_they_should():
    """Colours that any pathologist would expect, in optical density."""
    density = {}
    for name in LABELS:
        pixels = draw_slide((600, 600), layout=[[name]], stain=Stain()).pixels(0, 0, 600, 600)
        od = -np.log10((pixels.reshape(-1, 3) + 1.0) / 245.0)
        density[name] = od.mean(axis=0)
    assert np.abs(density["glass"]).max() < 0.02
    assert density["fat"].max() < 0.1
    red = {name: value[0] for name, value in density.items()}  # haematoxylin takes red light
    assert red["lymphocytes"] > red["tumour"] > red["glands"] > red["stroma"] > red["fat"]
    pink = {name: value[1] / (value[0] + 0.02) for name, value in density.items()}
    assert min(pink["muscle"], pink["necrosis"], pink["stroma"]) > 2 * pink["lymphocytes"]
    assert density["mucus"][0] > density["mucus"][2]  # bluish
    assert density["muscle"][1] > density["stroma"][1]


def test_laboratories_differ_and_other_stains_are_other_colours():
    def middle(stain):
        drawing = draw_slide((300, 300), layout=[["glands"]], stain=stain)
        return drawing.pixels(0, 0, 300, 300).reshape(-1, 3).mean(axis=0)

    plain = middle(Stain())
    colours = np.stack([middle(Stain.varied(seed)) for seed in range(8)])
    assert colours.std(axis=0).min() > 2
    np.testing.assert_allclose(middle(Stain.varied(7, amount=0)), plain, atol=3)
    brown = middle(Stain(kind="ihc"))
    assert brown[0] > brown[1] > brown[2]
    dark = middle(Stain(kind="fluorescence"))
    assert dark.max() < 120
    assert dark.argmax() == 2


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"layout": ["stroma", "cheese"]}, "cheese"),
        ({"layout": []}, "at least one"),
        ({"layout": [["stroma"], ["fat", "fat"]]}, "one length"),
        ({"artefacts": ("thumbprint",)}, "thumbprint"),
        ({"mpp": 100.0}, "0.05 to 10"),
        ({"size": (0, 5)}, "at least one pixel"),
        ({"tile": 100}, "multiple of 16"),
        ({"downsamples": (2, 4)}, "rise from 1"),
        ({"downsamples": (1, 4, 4)}, "rise from 1"),
        ({"downsamples": (1, 4000)}, "no pixels"),
        ({"compression": "zip"}, "zip"),
        ({"vendor": "acme"}, "acme"),
    ],
)
def test_options_that_do_not_fit_are_named(tmp_path, options, word):
    with pytest.raises(ValueError, match=word):
        make_slide(tmp_path / "a.tiff", **{"size": (64, 64), "layout": [["fat"]]} | options)


@pytest.mark.parametrize("name", [name for name in LABELS if name != "glass"])
def test_textures_repeat_without_a_seam(name):
    square = texture(name, 0.5)
    planes = np.stack([square >> 8, square & 255]).astype(float)
    steps = np.abs(planes - np.roll(planes, 1, axis=1)).mean(axis=(0, 2))
    # Row 0 against the last one is a step like any other.
    assert steps[0] <= steps[1:].max()
    steps = np.abs(planes - np.roll(planes, 1, axis=2)).mean(axis=(0, 1))
    assert steps[0] <= steps[1:].max()


def test_textures_show_the_same_lengths_at_any_resolution():
    """Nuclei keep their µm: the share of dark pixels does not depend on the resolution."""
    share = [float((texture("lymphocytes", mpp) >> 8 > 60).mean()) for mpp in (0.3, 0.5, 1.0)]
    assert max(share) - min(share) < 0.08
    side = [len(texture("lymphocytes", mpp)) * mpp for mpp in (0.3, 0.5, 1.0)]
    assert min(side) > 250
