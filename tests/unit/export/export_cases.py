"""A small library of made-up slides, one of them with hostile names, and a search in it."""

from __future__ import annotations

import csv

from pathsearch.config import IndexSettings
from pathsearch.indexing import find_sources, index_slides
from pathsearch.indexing.manifest import read_manifest
from pathsearch.indexing.run import open_or_create
from pathsearch.nouns import Point, Query
from pathsearch.search import Searcher
from pathsearch.testing import PlainEncoder, make_slide

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
BREAKOUT = "\"'></button><script>document.title='owned'</script>"


def make_library(folder):
    slides = folder / "slides"
    slides.mkdir()
    rows = [
        ("a.tiff", HOSTILE, BREAKOUT, "=1+1", "lung"),
        ("b.tiff", "b.tiff", "patient-b", BREAKOUT, "skin"),
        ("c.tiff", "sub/c.tiff", "", "plain", "skin"),
    ]
    for number, row in enumerate(rows):
        make_slide(slides / row[0], size=(1800, 1500), mpp=0.5, seed=number)
    with (slides / "m.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "slide_id", "case_id", "remark", "organ"])
        writer.writerows(rows)
    encoder, settings = PlainEncoder(), IndexSettings()
    library = open_or_create(folder / "l.pathsearch", settings, encoder, "plain")
    sources = find_sources([slides], manifest=read_manifest(slides / "m.csv"), library=library)
    index_slides(library, sources, encoder, settings)
    return library


def search(library, k=12):
    searcher = Searcher(library, PlainEncoder())
    coords = library.read_segment(library.segments()[0]).coords[0].tolist()
    slide_id = library.segments()[0].slide_id
    point = Point(slide_id, coords[0] + 112, coords[1] + 112)
    return searcher, searcher.search(Query((point,), k=k))
