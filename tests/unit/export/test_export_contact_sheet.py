"""The picture of the matches."""

from __future__ import annotations

import numpy as np

from pathsearch import slides
from pathsearch.config import IndexSettings, SlideSettings
from pathsearch.export.contact_sheet import contact_sheet
from pathsearch.indexing import find_sources, index_slides
from pathsearch.indexing.run import open_or_create
from pathsearch.nouns import Footprint, Match, PatchKey
from pathsearch.testing import PlainEncoder, make_slide


def matches_of(library):
    spec = next(iter(library.specs))
    rows = [(s.slide_id, *library.read_segment(s).coords[0]) for s in library.segments()]
    rows = [*rows, *rows[::-1]]
    return [
        Match(n, PatchKey(name, spec, x, y), Footprint(x, y, 224, 224), 0.5, 0.9, 50.0)
        for n, (name, x, y) in enumerate(((a, int(b), int(c)) for a, b, c in rows), 1)
    ]


def test_a_slide_is_opened_once_and_each_match_shows_its_own_place(tmp_path, monkeypatch):
    (tmp_path / "slides").mkdir()
    for number in range(2):
        make_slide(tmp_path / "slides" / f"{number}.tiff", size=(1500, 1500), seed=number)
    settings, encoder = IndexSettings(slides=SlideSettings(isolate=False)), PlainEncoder()
    opened = []
    open_slide = slides.open_slide

    def counting(path, **words):
        opened.append(path)
        return open_slide(path, **words)

    with open_or_create(tmp_path / "l.pathsearch", settings, encoder, "plain") as library:
        sources = find_sources([tmp_path / "slides"], library=library)
        index_slides(library, sources, encoder, settings)
        matches = matches_of(library)
        alone = [np.asarray(contact_sheet(library, [], [m], side=64)) for m in matches]
        monkeypatch.setattr(slides, "open_slide", counting)
        sheet = np.asarray(contact_sheet(library, [], matches, side=64, columns=4))
        assert len(opened) == len(set(opened)) == 2
        (tmp_path / "slides" / "1.tiff").unlink()
        gone = np.asarray(contact_sheet(library, [], matches, side=64, columns=4))
    for number in range(4):
        left = 14 + number * (64 + 14)
        here = np.s_[14 : 14 + 64, left : left + 64]
        assert np.array_equal(sheet[here], alone[number][14 : 14 + 64, 14 : 14 + 64])
        grey = (gone[here] == 225).all()
        assert grey == (matches[number].key.slide_id == "1.tiff")
