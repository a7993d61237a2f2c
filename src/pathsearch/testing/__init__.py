"""For tests: made-up slides with known tissue, hostile files, suites for new back ends."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathsearch.testing.drawing import SlideDrawing, draw_slide
    from pathsearch.testing.encoder_suite import EncoderSuite
    from pathsearch.testing.hostile import HOSTILE, Hostile, made_slides, make_hostile
    from pathsearch.testing.index_suite import IndexSuite
    from pathsearch.testing.made_slide import MadeSlide, make_slide
    from pathsearch.testing.memory import ArraySlide
    from pathsearch.testing.plain_encoder import PlainEncoder
    from pathsearch.testing.reader_suite import ReaderSuite
    from pathsearch.testing.stain import Stain

__all__ = [
    "HOSTILE",
    "ArraySlide",
    "EncoderSuite",
    "Hostile",
    "IndexSuite",
    "MadeSlide",
    "PlainEncoder",
    "ReaderSuite",
    "SlideDrawing",
    "Stain",
    "draw_slide",
    "made_slides",
    "make_hostile",
    "make_slide",
]

_HOMES = {
    "HOSTILE": "hostile",
    "ArraySlide": "memory",
    "EncoderSuite": "encoder_suite",
    "Hostile": "hostile",
    "IndexSuite": "index_suite",
    "MadeSlide": "made_slide",
    "PlainEncoder": "plain_encoder",
    "ReaderSuite": "reader_suite",
    "SlideDrawing": "drawing",
    "Stain": "stain",
    "draw_slide": "drawing",
    "made_slides": "hostile",
    "make_hostile": "hostile",
    "make_slide": "made_slide",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
