"""What indexing one slide costs: each slide is opened and looked over once."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from pathsearch.config import IndexSettings, SlideSettings, TileSpec
from pathsearch.indexing import find_sources
from pathsearch.indexing.run import index_slides, open_or_create
from pathsearch.slides import open_slide
from pathsearch.testing import PlainEncoder, make_slide


class Counting:
    """Opens slides and keeps account."""

    def __init__(self):
        self.opened = []
        self.overviews = []

    def open_slide(self, path, **words):
        self.opened.append(words["color"])
        return open_slide(path, **words)

    def overview(self, slide, mpp):
        from pathsearch.tiling.overviews import overview

        self.overviews.append(mpp)
        return overview(slide, mpp)


@pytest.mark.parametrize("color", ["raw", "srgb"])
def test_a_slide_is_opened_and_looked_over_once_for_all_specs(tmp_path, monkeypatch, color):
    (tmp_path / "slides").mkdir()
    make_slide(tmp_path / "slides" / "a.tiff", size=(5000, 2000), mpp=1.0)
    specs = (TileSpec(mpp=2.0, size_px=64), TileSpec(mpp=4.0, size_px=64, color=color))
    settings = IndexSettings(specs=specs, slides=SlideSettings(isolate=False))
    counting, encoder = Counting(), PlainEncoder()

    monkeypatch.setattr("pathsearch.slides.open_slide", counting.open_slide)
    monkeypatch.setattr("pathsearch.tiling.grid.overview", counting.overview)
    monkeypatch.setattr("pathsearch.tiling.thumbnail", None)
    with open_or_create(tmp_path / "l.pathsearch", settings, encoder, "plain") as library:
        sources = find_sources([tmp_path / "slides"], library=library)
        report = index_slides(library, sources, encoder, settings)
        picture = library.thumbnail("a.tiff")
    assert report.patches > 100
    # Colours are a property of the open slide: each needs one of its own.
    assert counting.opened == list(dict.fromkeys(["raw", color]))
    assert counting.overviews == [8.0] * len(counting.opened)
    assert Image.open(BytesIO(picture)).size == (512, 205)
