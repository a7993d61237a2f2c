"""Which slide a file of regions belongs to."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import pytest

from pathsearch.errors import UsageError
from pathsearch.indexing import Source
from pathsearch.indexing.drawn import Drawn, with_regions
from pathsearch.tiling import Regions
from pathsearch.tiling.regions import regions_from


def source(slide_id, relative=None):
    relative = relative or slide_id
    return Source(slide_id, None, (), "root", None, relative)


def box(left, size=100):
    ring = [[left, 0], [left + size, 0], [left + size, size], [left, size], [left, 0]]
    return {"type": "Polygon", "coordinates": [ring]}


def wkb(polygon):
    """Little-endian WKB of a polygon, by hand."""
    rings = polygon["coordinates"]
    body = b"".join(
        struct.pack(f"<I{2 * len(ring)}d", len(ring), *(c for corner in ring for c in corner))
        for ring in rings
    )
    return struct.pack("<BII", 1, 3, len(rings)) + body


@pytest.fixture
def folder(tmp_path):
    def put(*names):
        for number, name in enumerate(names):
            file = tmp_path / "drawn" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(box(1000 * number)), encoding="utf-8")
        return tmp_path / "drawn"

    return put


def lefts(sources):
    """Where the regions of each slide begin: 1000 times the number of their file."""
    return [s.drawn and s.drawn.regions.geometry.bounds[0] // 1000 for s in sources]


@pytest.mark.parametrize(
    ("files", "slides", "wanted"),
    [
        (["a.svs.geojson", "b.geojson", "c.json"], ["a.svs", "b.tiff", "c.ndpi"], [0, 1, 2]),
        # Slides of one file name in two folders: the id, with its folder, decides.
        (["x/a.geojson", "y/a.svs.geojson"], ["x/a.svs", "y/a.svs"], [0, 1]),
        # QuPath knows no folders: the bare file name will do where one slide has it.
        (["a.geojson"], ["deep/er/a.svs"], [0]),
        # The surer name wins, whoever comes first.
        (["a.geojson", "x/a.geojson"], ["a.svs", "x/a.svs"], [0, 1]),
        (["a.geojson"], ["a.svs", "x/a.svs"], [0, None]),
        (["a.geojson"], ["x/a.svs", "a.svs"], [None, 0]),
        (["a.geojson", "a.svs.geojson"], ["a.svs"], [1]),
        (["b.geojson"], ["a.svs", "b.svs"], [None, 0]),
    ],
)
def test_a_file_belongs_to_the_slide_of_its_name(folder, files, slides, wanted):
    answer, _ = with_regions([source(name) for name in slides], folder(*files))
    assert [s.slide_id for s in answer] == slides
    assert lefts(answer) == wanted


def test_an_id_of_the_manifests_own_is_a_name_and_its_dots_are_no_endings(folder):
    slides = [source("S12.3", "scans/0001.svs"), source("S12", "scans/0002.svs")]
    answer, notes = with_regions(slides, folder("S12.geojson", "0001.geojson"))
    assert lefts(answer) == [1, 0]
    assert notes == []


def test_what_fits_nothing_is_named(folder):
    drawn = folder("a.geojson", "z.geojson")
    _, notes = with_regions([source("a.svs"), source("b.svs")], drawn)
    assert notes == [
        "Files of regions that fit no slide of this run: z.geojson.",
        "Slides without a file of regions: b.svs.",
    ]


@pytest.mark.parametrize(
    ("files", "slides", "words"),
    [
        (["a.geojson"], ["x/a.svs", "y/a.svs"], "could belong to x/a.svs or to y/a.svs"),
        (["a.geojson"], ["a.svs", "a.tiff"], "could belong to a.svs or to a.tiff"),
        (["a.geojson", "a.json"], ["a.svs"], "leave one out"),
        (["z.geojson"], ["a.svs"], "has the name of a slide"),
        (["notes.txt"], ["a.svs"], "holds no GeoJSON file"),
    ],
)
def test_what_is_unclear_is_refused(folder, files, slides, words):
    with pytest.raises(UsageError, match=words):
        with_regions([source(name) for name in slides], folder(*files))


def test_one_file_goes_with_one_slide(folder):
    file = folder("any name.geojson") / "any name.geojson"
    (only,), _ = with_regions([source("a.svs")], file, "restrict")
    assert only.drawn.token.startswith("restrict:")
    with pytest.raises(UsageError, match="2 slides"):
        with_regions([source("a.svs"), source("b.svs")], file)
    with pytest.raises(UsageError, match="no such file"):
        with_regions([source("a.svs")], file.with_name("missing.geojson"))


def test_none_takes_regions_back():
    (only,), notes = with_regions([source("a.svs")], Path("none"))
    assert only.drawn == Drawn(None)
    assert only.drawn.token == ""
    assert notes == []


def test_the_token_is_of_what_was_drawn_and_how():
    one, other = box(0), box(500)
    token = Drawn(regions_from([one, other])).token
    assert Drawn(regions_from([other, one])).token == token
    named = {"type": "Feature", "geometry": one, "properties": {"name": "tumour"}}
    assert Drawn(regions_from([named, other])).token == token
    assert Drawn(regions_from([one, other]), "restrict").token != token
    assert Drawn(regions_from([one])).token != token
    assert Drawn(regions_from([one, box(501)])).token != token
    # As docs/library-format.md has it; a change would index every such slide anew.
    assert (
        token == "replace:" + hashlib.sha256(b"".join(sorted([wkb(one), wkb(other)]))).hexdigest()
    )
    with pytest.raises(ValueError, match="digest"):
        _ = Drawn(Regions(regions_from(one).geometry)).token
