"""Slides that are open in the viewer: the file, its pixels and its layer."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathsearch.slide_pixels import SlidePixels
from napari_pathsearch.tiles import Pixels, TileStore

if TYPE_CHECKING:
    from napari.layers import Image

    from pathsearch.library import Library, SlideRecord
    from pathsearch.nouns import Slide

#: Key of a layer's metadata that names the slide it belongs to.
TAG = "pathsearch_slide"
#: Key of the layer of a slide itself: its `OpenedSlide`.
OPENED = "pathsearch_opened"


@dataclass(eq=False)
class OpenedSlide:
    """One slide that is open.

    Attributes
    ----------
    name : str
        Its id in the library, else the path of its file: what a query calls it.
    slide : Slide
    pixels : SlidePixels
    record : SlideRecord or None
        None for a slide outside the library.
    layer : napari.layers.Image or None
        None until it is shown.
    """

    name: str
    slide: Slide
    pixels: SlidePixels
    record: SlideRecord | None = None
    layer: Image | None = None

    def layer_data(self, title: str) -> tuple[list[Any], dict[str, Any], str]:
        """Data, arguments and kind of the layer that shows it."""
        mpp = self.slide.mpp
        arguments = {
            "name": title,
            "multiscale": True,
            "rgb": True,
            "interpolation2d": "linear",
            "scale": (mpp, mpp),
            "units": ("um", "um"),
            "metadata": {TAG: self.name, OPENED: self},
        }
        return list(self.pixels.arrays), arguments, "image"

    def close(self) -> None:
        """Give the file back."""
        self.pixels.close()


def open_file(
    path: Path | str,
    store: TileStore,
    *,
    name: str = "",
    mpp: float | None = None,
    on_fault: Callable[[Exception], None] | None = None,
) -> OpenedSlide:
    """Open a slide outside the library; takes a while.

    Raises
    ------
    SlideError
        As `pathsearch.slides.open_slide`.
    """
    from pathsearch.slides import open_slide

    slide = open_slide(path, mpp=mpp)
    return OpenedSlide(name or str(path), slide, _pixels(slide, store, None, on_fault))


def open_record(
    library: Library,
    record: SlideRecord,
    store: TileStore,
    on_fault: Callable[[Exception], None] | None = None,
) -> OpenedSlide:
    """Open a slide of the library, at the resolution that the library knows; takes a while.

    Raises
    ------
    SlideNotFoundError
        Its file is not on this machine, or was moved.
    SlideError
        As `pathsearch.slides.open_slide`.
    """
    from pathsearch.slides import open_slide

    slide = open_slide(library.locate(record), mpp=record.mpp)
    thumbnail = thumbnail_pixels(library, record.slide_id)
    pixels = _pixels(slide, store, thumbnail, on_fault)
    return OpenedSlide(record.slide_id, slide, pixels, record)


def _pixels(
    slide: Slide,
    store: TileStore,
    thumbnail: Pixels | None,
    on_fault: Callable[[Exception], None] | None,
) -> SlidePixels:
    try:
        return SlidePixels(slide, store, thumbnail, on_fault)
    except BaseException:
        slide.close()
        raise


def thumbnail_pixels(library: Library, slide_id: str) -> Pixels | None:
    """The library's small picture of a slide, uint8 (h, w, 3); None where there is none."""
    from PIL import Image, UnidentifiedImageError

    stored = library.thumbnail(slide_id)
    if stored is None:
        return None
    try:
        with Image.open(io.BytesIO(stored)) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError):
        return None  # a damaged thumbnail is no reason to refuse the slide
