"""Open a slide and read its pixels at a resolution in µm per pixel."""

from __future__ import annotations

from pathsearch.slides.discovery import FoundSlide, find_slides
from pathsearch.slides.opening import open_slide
from pathsearch.slides.readers import OpenRequest, Reader, installed_readers
from pathsearch.slides.resolution import Resolution, choose_resolution
from pathsearch.slides.streaming import PatchReader, limit_bad, stream_patches

__all__ = [
    "FoundSlide",
    "OpenRequest",
    "PatchReader",
    "Reader",
    "Resolution",
    "choose_resolution",
    "find_slides",
    "installed_readers",
    "limit_bad",
    "open_slide",
    "stream_patches",
]
