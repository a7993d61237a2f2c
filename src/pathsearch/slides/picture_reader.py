"""Flat pictures as slides of one level: PNG, JPEG and BMP fields of view."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from pathsearch.errors import SlideTooLargeError, SlideUnreadableError
from pathsearch.nouns import Level, SlideInfo
from pathsearch.slides.colour import srgb_transform
from pathsearch.slides.guarded import GuardedSlide
from pathsearch.slides.mpp import resolve_mpp
from pathsearch.slides.pyramid import WHITE, SlideFacts, check_size
from pathsearch.slides.readers import OpenRequest
from pathsearch.slides.resample import Pixels, composite

_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"BM")
#: A picture is held whole in memory.
MAX_PICTURE_PIXELS = 1 << 28
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}


class PictureReader:
    """PNG, JPEG and BMP through Pillow. They have no resolution: one must be given."""

    name = "picture"
    priority = 80

    def can_open(self, path: Path) -> bool:
        """Whether the first bytes are those of a PNG, a JPEG or a BMP."""
        with path.open("rb") as file:
            return file.read(4).startswith(_MAGIC)

    def open(self, path: Path, request: OpenRequest) -> GuardedSlide:
        """Open the picture and decode it.

        Resolutions inside such files are those of printers and screens, and are not used.

        Raises
        ------
        MppMissingError, SlideTooLargeError, SlideUnreadableError
        """
        mpp = resolve_mpp(request.mpp, None, None, str(path))
        pixels, profile = _decoded(path, min(request.settings.max_pixels, MAX_PICTURE_PIXELS))
        height, width = pixels.shape[:2]

        def read(_level: int, x: int, y: int, w: int, h: int) -> Pixels:
            return pixels[y : y + h, x : x + w]

        srgb = request.color == "srgb"
        facts = SlideFacts(
            path=str(path),
            files=(path,),
            size=(width, height),
            mpp=mpp,
            levels=(Level(width, height, 1.0),),
            info=SlideInfo(vendor="picture", reader=self.name),
            to_srgb=srgb_transform(profile, str(path)) if srgb else None,
        )
        return GuardedSlide(facts, read, lambda: None)


def _decoded(path: Path, max_pixels: int) -> tuple[Pixels, bytes | None]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # The size is checked here, by a limit of our own.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
        with image:
            check_size(image.width, image.height, max_pixels, str(path))
            if image.mode not in _MODES:
                raise SlideUnreadableError(
                    f"{path}: has pixels of kind {image.mode}; save it as 8-bit RGB.",
                    path=str(path),
                )
            profile = image.info.get("icc_profile")
            if image.has_transparency_data:
                return composite(np.asarray(image.convert("RGBA")), WHITE), profile
            return np.asarray(image.convert("RGB")), profile
    except Image.DecompressionBombError as error:
        raise SlideTooLargeError(f"{path}: {error}", path=str(path)) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise SlideUnreadableError(
            f"{path}: the picture is damaged ({error}).", path=str(path)
        ) from None
