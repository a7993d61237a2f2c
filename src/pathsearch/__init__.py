"""Similar-tissue search for digital pathology.

The public names are loaded when they are first used: importing this package imports nothing
heavy and does nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathsearch.encoders import load_encoder
    from pathsearch.indexing import index_slides
    from pathsearch.library import Library
    from pathsearch.nouns import Match, Picture, Point, Query, Region, TileSpec, Vector
    from pathsearch.search import Searcher
    from pathsearch.slides import find_slides, open_slide

__version__ = "0.1.0"

__all__ = [
    "Library",
    "Match",
    "Picture",
    "Point",
    "Query",
    "Region",
    "Searcher",
    "TileSpec",
    "Vector",
    "__version__",
    "find_slides",
    "index_slides",
    "load_encoder",
    "open_slide",
]

_HOMES = {
    "Library": "library",
    "Match": "nouns",
    "Picture": "nouns",
    "Point": "nouns",
    "Query": "nouns",
    "Region": "nouns",
    "Searcher": "search",
    "TileSpec": "nouns",
    "Vector": "nouns",
    "find_slides": "slides",
    "index_slides": "indexing",
    "load_encoder": "encoders",
    "open_slide": "slides",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"pathsearch.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pathsearch' has no attribute '{name}'")
