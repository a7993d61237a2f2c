"""Philips iSyntax, through pyisyntax (extra `formats`)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from pathsearch.errors import SlideUnreadableError
from pathsearch.nouns import Level, SlideInfo
from pathsearch.slides.colour import srgb_transform
from pathsearch.slides.guarded import GuardedSlide
from pathsearch.slides.mpp import number, resolve_mpp
from pathsearch.slides.pyramid import WHITE, SlideFacts, check_size
from pathsearch.slides.readers import OpenRequest
from pathsearch.slides.resample import Pixels, composite


class ISyntaxReader:
    """iSyntax by its suffix: the format starts with XML and has no magic number."""

    name = "isyntax"
    priority = 60

    def can_open(self, path: Path) -> bool:
        """Whether the suffix is iSyntax's and pyisyntax is installed."""
        return path.suffix.lower() == ".isyntax" and find_spec("isyntax") is not None

    def open(self, path: Path, request: OpenRequest) -> GuardedSlide:
        """Open the slide.

        Raises
        ------
        SlideUnreadableError, SlideTooLargeError, or one of the Mpp errors
        """
        from isyntax import ISyntax

        _check_head(path)
        try:
            slide = ISyntax.open(path)
        except Exception as error:  # noqa: BLE001  the library's errors are its own
            reason = " ".join(str(error).split()) or type(error).__name__
            raise SlideUnreadableError(
                f"{path}: libisyntax cannot open it ({reason}).", path=str(path)
            ) from None
        try:
            width, height = slide.dimensions
            check_size(width, height, request.settings.max_pixels, str(path))
            mpp = resolve_mpp(request.mpp, number(slide.mpp_x), number(slide.mpp_y), str(path))
            profile = slide.read_icc_profile() if request.color == "srgb" else None
            sizes, downsamples = slide.level_dimensions, slide.level_downsamples
        except BaseException:
            slide.close()
            raise

        def read(level: int, x: int, y: int, w: int, h: int) -> Pixels:
            return composite(slide.read_region(x, y, w, h, level), WHITE)

        srgb = request.color == "srgb"
        facts = SlideFacts(
            path=str(path),
            files=(path,),
            size=(width, height),
            mpp=mpp,
            levels=tuple(
                Level(w, h, float(downsample))
                for (w, h), downsample in zip(sizes, downsamples, strict=True)
            ),
            info=SlideInfo("philips", "", None, self.name),
            to_srgb=srgb_transform(bytes(profile) if profile else None, str(path))
            if srgb
            else None,
        )
        return GuardedSlide(facts, read, slide.close)


def _check_head(path: Path) -> None:
    """The C library aborts on some files that are not iSyntax: look first."""
    with path.open("rb") as file:
        head = file.read(4096)
    if b"<DataObject" not in head:
        raise SlideUnreadableError(f"{path}: is not an iSyntax file.", path=str(path))
