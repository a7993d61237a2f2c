"""Hostile files are what they claim to be, and each ends as it should."""

from __future__ import annotations

import numpy as np
import openslide
import pytest

from pathsearch.errors import SlideError
from pathsearch.slides import open_slide, stream_patches
from pathsearch.testing import HOSTILE, made_slides, make_hostile


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_hostile(tmp_path_factory.mktemp("hostile"))


def outcome(path):
    """The code of the error, or which patches could be read."""
    try:
        with open_slide(path) as slide:
            side = 128
            w, h = slide.size
            xy = np.array([(x, y) for y in range(0, h, side) for x in range(0, w, side)], np.int64)
            ok = [batch.ok for batch in stream_patches(slide, xy, side, slide.mpp)]
            return np.concatenate(ok)
    except SlideError as error:
        return "two lines" if "\n" in str(error) else error.code


@pytest.mark.parametrize("kind", HOSTILE, ids=lambda kind: kind.name)
def test_each_ends_as_the_table_says(folder, kind):
    found = outcome(folder[kind.name])
    if isinstance(found, str):
        assert found in kind.codes
    else:
        # It opened and some of it can be read: then it must not pass for whole.
        assert not found.all()


def test_a_corrupt_tile_costs_only_its_patches(folder):
    ok = outcome(folder["corrupt tile"]).reshape(8, 8)
    # Tile 5 of 4 x 4, each of 2 x 2 patches: rows 2 and 3, columns 2 and 3.
    assert not ok[2:4, 2:4].any()
    assert ok.sum() == 60


def test_they_are_wrong_in_one_way_only(folder):
    with openslide.OpenSlide(folder["without mpp"]) as slide:
        assert "openslide.mpp-x" not in slide.properties
        assert slide.read_region((0, 0), 0, (64, 64)).getpixel((5, 5))[3] == 255
    with openslide.OpenSlide(folder["wrong mpp"]) as slide:
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(50)
    with open_slide(folder["wrong mpp"], mpp=0.5) as slide:
        assert slide.read(0, 0, 64, 64, 0.5).min() < 255
    with pytest.raises(openslide.OpenSlideError):
        openslide.OpenSlide(folder["text"])


def test_made_slides_are_of_different_laboratories(tmp_path):
    made = made_slides(tmp_path / "new", 2, size=(256, 256), layout=[["glass"]], seed=5)
    assert [m.path.name for m in made] == ["made-0.tiff", "made-1.tiff"]
    assert made[0].drawing.stain != made[1].drawing.stain
