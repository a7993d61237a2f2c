"""Pictures of places: read at a resolution, outlined, with a scale bar."""

from __future__ import annotations

import base64
import io
from collections import OrderedDict
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from pathsearch.errors import SlideError
from pathsearch.nouns import Footprint, Slide

if TYPE_CHECKING:
    from PIL.Image import Image

    from pathsearch.library import Library

#: Colour-blind safe (Okabe and Ito, 2008).
QUERY_COLOUR = (213, 94, 0)
MATCH_COLOUR = (0, 114, 178)
#: Slides held open at once.
_OPEN = 4
#: µm that a scale bar may stand for.
_BARS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)

_BAR = (20, 20, 20, 255)

Window = tuple[float, float, float, float]


class Pictures:
    """Reads pictures from a library's slides; a context manager that holds slides open.

    Parameters
    ----------
    library : Library
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._slides: OrderedDict[str, Slide] = OrderedDict()
        self._missing: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for slide in self._slides.values():
            slide.close()
        self._slides.clear()

    @property
    def missing(self) -> dict[str, str]:
        """Slides that could not be opened, and why, in a sentence."""
        return dict(self._missing)

    def slide(self, name: str) -> Slide:
        """The slide of that id, or of that path, opened and held.

        Raises
        ------
        SlideError
            It is not at hand, or cannot be opened.
        """
        from pathsearch.search.examples import find_record
        from pathsearch.slides import open_slide

        if name in self._slides:
            self._slides.move_to_end(name)
            return self._slides[name]
        record = find_record(self._library, name)
        if record is None:
            slide = open_slide(name)
        else:
            slide = open_slide(str(self._library.locate(record)), mpp=record.mpp)
        while len(self._slides) >= _OPEN:
            self._slides.popitem(last=False)[1].close()
        self._slides[name] = slide
        return slide

    def window(self, name: str, window: Window, longest: int) -> npt.NDArray[np.uint8] | None:
        """A rectangle of a slide.

        Parameters
        ----------
        name : str
            Id or path of the slide.
        window : (x, y, width, height)
            Level-0 pixels; it may reach outside the slide.
        longest : int
            Longer side of the picture, pixels; finer detail is averaged, coarser enlarged.

        Returns
        -------
        uint8 array, shape (h, w, 3), RGB, or None
            None where the slide is not at hand; `missing` says why.
        """
        from PIL import Image as Images

        if name in self._missing:
            return None
        x, y, width, height = window
        try:
            slide = self.slide(name)
            mpp = max(max(width, height) * slide.mpp / longest, slide.mpp)
            w, h = (max(1, round(side * slide.mpp / mpp)) for side in (width, height))
            crop = slide.read(x, y, w, h, mpp)
        except (SlideError, OSError) as error:
            self._missing[name] = str(error)
            return None
        if max(w, h) == longest:
            return crop
        scale = longest / max(w, h)
        size = max(1, round(w * scale)), max(1, round(h * scale))
        return np.asarray(Images.fromarray(crop).resize(size, Images.Resampling.LANCZOS))

    def around(
        self, name: str, box: Footprint, *, times: float, side: int
    ) -> tuple[Image | None, Window]:
        """A place with its surroundings, and the window that was read.

        Parameters
        ----------
        name : str
        box : Footprint
        times : float
            Side of the square window, in longer sides of the place.
        side : int
            Of the picture, pixels.
        """
        from PIL import Image as Images

        length = max(box.width, box.height) * times
        window = (
            box.x + box.width / 2 - length / 2,
            box.y + box.height / 2 - length / 2,
            length,
            length,
        )
        pixels = self.window(name, window, side)
        return (None if pixels is None else Images.fromarray(pixels)), window


def outlined(picture: Image, window: Window, box: Footprint, colour: tuple[int, int, int]) -> Image:
    """The picture with a place outlined, coloured on white so that it shows on any tissue."""
    from PIL import ImageDraw

    scale = picture.width / window[2]
    left, top = (box.x - window[0]) * scale, (box.y - window[1]) * scale
    right, bottom = left + box.width * scale, top + box.height * scale
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left - 2, top - 2, right + 2, bottom + 2), outline="white", width=4)
    draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=colour, width=2)
    return picture


def bar_of(longest: float) -> int | None:
    """The longest round length for a scale bar of at most so many µm; None for none."""
    return max((um for um in _BARS if um <= longest), default=None)


def with_scale_bar(picture: Image, mpp: float) -> Image:
    """The picture with a scale bar of a round length in its lower left corner.

    Parameters
    ----------
    picture : Image
    mpp : float
        µm per pixel of the picture.
    """
    from PIL import ImageDraw, ImageFont

    width, height = picture.size
    um = bar_of(width * 0.3 * mpp)
    if um is None:
        return picture
    length, gap, size = um / mpp, max(6, width // 40), max(11, width // 26)
    thick = max(3, size // 5)
    font = ImageFont.load_default(size)
    draw = ImageDraw.Draw(picture, "RGBA")
    # Pillow's own font has no µ: a u gets its tail below
    text = f"{um} um" if um < 1000 else f"{um // 1000} mm"
    box = draw.textbbox((0, 0), text, font=font)
    wide, high = max(length, box[2]) + 2 * gap, box[3] + thick + 3 * gap
    draw.rectangle((0, height - high, wide, height), fill=(255, 255, 255, 205))
    draw.rectangle((gap, height - gap - thick, gap + length, height - gap), fill=_BAR)
    at = (gap, height - high + gap)
    draw.text(at, text, fill=_BAR, font=font)
    if um < 1000:
        left = at[0] + draw.textlength(f"{um} u", font=font) - draw.textlength("u", font=font)
        left += size / 12
        foot = at[1] + box[3]
        # Pillow's rectangles hold both their ends
        right = left + max(1, size // 12) - 1
        draw.rectangle((left, foot - size * 0.4, right, foot + size * 0.2), fill=_BAR)
    return picture


def data_uri(picture: Image, *, quality: int = 80) -> str:
    """The picture as a WebP ``data:`` address."""
    held = io.BytesIO()
    picture.save(held, "WEBP", quality=quality, method=2)
    return "data:image/webp;base64," + base64.b64encode(held.getvalue()).decode("ascii")
