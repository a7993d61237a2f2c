"""Reading through OpenSlide: the reference for every format that it knows."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pathsearch.errors import ReadFailedError, SlideUnreadableError
from pathsearch.nouns import Level, SlideInfo
from pathsearch.slides.colour import srgb_transform
from pathsearch.slides.discovery import files_of
from pathsearch.slides.mpp import from_tiff_tags, number, resolve_mpp
from pathsearch.slides.pyramid import WHITE, PyramidSlide, SlideFacts, check_size
from pathsearch.slides.readers import OpenRequest
from pathsearch.slides.resample import Pixels, composite

log = logging.getLogger(__name__)

#: Vendor properties that name the scanner, best first. No other property is kept.
_SCANNER = (
    "dicom.ManufacturerModelName",
    "hamamatsu.Product",
    "philips.DICOM_MANUFACTURERS_MODEL_NAME",
    "leica.device-model",
    "ventana.ScannerModel",
    "mirax.GENERAL.SLIDE_SCANNER",
    "aperio.ScanScope ID",
)


class OpenSlideReader:
    """Opens whatever OpenSlide opens."""

    name = "openslide"
    priority = 50

    def can_open(self, path: Path) -> bool:
        """Whether OpenSlide recognises the format; reads the file's head."""
        import openslide

        return openslide.OpenSlide.detect_format(str(path)) is not None

    def open(self, path: Path, request: OpenRequest) -> OpenSlideSlide:
        """Open the slide.

        Raises
        ------
        SlideError
            SlideUnreadableError, SlideTooLargeError, or one of the Mpp errors.
        """
        handle = open_handle(path)
        width, height = handle.dimensions
        check_size(width, height, request.settings.max_pixels, str(path))
        return OpenSlideSlide(openslide_facts(handle, path, request), handle)


def open_handle(path: Path) -> Any:
    """An openslide.OpenSlide.

    Raises
    ------
    SlideUnreadableError
    """
    import openslide

    try:
        return openslide.OpenSlide(str(path))
    except openslide.OpenSlideError as error:
        raise SlideUnreadableError(
            f"{path}: OpenSlide cannot open it ({error}).", path=str(path)
        ) from None


def openslide_facts(handle: Any, path: Path, request: OpenRequest) -> SlideFacts:
    """What OpenSlide says about an open slide, and the mpp by the rules.

    Raises
    ------
    MppMissingError, MppInsaneError, MppAnisotropicError
    """
    properties = handle.properties
    mpp_x, mpp_y = stated_mpp(properties)
    return SlideFacts(
        path=str(path),
        files=files_of(path),
        size=tuple(handle.dimensions),
        mpp=resolve_mpp(request.mpp, mpp_x, mpp_y, str(path)),
        levels=tuple(
            Level(width, height, float(downsample))
            for (width, height), downsample in zip(
                handle.level_dimensions, handle.level_downsamples, strict=True
            )
        ),
        info=SlideInfo(
            vendor=properties.get("openslide.vendor", ""),
            scanner=_scanner(properties),
            objective=number(properties.get("openslide.objective-power")),
            reader="openslide",
        ),
        bounds=_bounds(properties, handle.dimensions),
        background=_background(properties.get("openslide.background-color", "")),
        to_srgb=srgb_transform(_profile(handle), str(path)) if request.color == "srgb" else None,
    )


def _scanner(properties: Mapping[str, str]) -> str:
    named = (properties.get(key, "") for key in _SCANNER)
    return next((name for name in named if name and name.lower() != "unknown"), "")


def stated_mpp(properties: Mapping[str, str]) -> tuple[float | None, float | None]:
    """µm per pixel in x and y: OpenSlide's own properties, then the TIFF's tags."""
    values = []
    for axis in "xy":
        value = number(properties.get(f"openslide.mpp-{axis}"))
        if value is None:
            value = from_tiff_tags(
                number(properties.get(f"tiff.{axis.upper()}Resolution")),
                properties.get("tiff.ResolutionUnit"),
            )
        values.append(value)
    return values[0], values[1]


def _bounds(
    properties: Mapping[str, str], size: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    try:
        x, y, w, h = (
            int(float(properties[f"openslide.bounds-{key}"]))
            for key in ("x", "y", "width", "height")
        )
    except (KeyError, ValueError):
        return None
    left, top = min(max(x, 0), size[0]), min(max(y, 0), size[1])
    right, bottom = min(x + w, size[0]), min(y + h, size[1])
    if right <= left or bottom <= top:
        return None
    return left, top, right - left, bottom - top


def _background(text: str) -> tuple[int, int, int]:
    try:
        red, green, blue = bytes.fromhex(text.lstrip("#"))
    except ValueError:
        return WHITE
    return red, green, blue


def _profile(handle: Any) -> bytes | None:
    profile = handle.color_profile
    return profile.tobytes() if profile is not None else None


class OpenSlideSlide(PyramidSlide):
    """A slide read through OpenSlide.

    OpenSlide takes level-0 coordinates at every level. Where a level's downsample is not whole,
    most of its pixels lie between whole level-0 pixels, and OpenSlide interpolates: such
    levels come a little softer than they are stored, at the right place.
    """

    def __init__(self, facts: SlideFacts, handle: Any) -> None:
        super().__init__(facts)
        self._handle = handle
        self._swap = threading.Lock()

    def _stored(self, level: int, x: int, y: int, w: int, h: int) -> Pixels:
        handle = self._handle
        self.check_open()
        downsample = self.levels[level].downsample
        corner = (round(x * downsample), round(y * downsample))
        try:
            return self._region(handle, corner, level, (w, h))
        except ReadFailedError:
            # After an error an OpenSlide handle fails for ever, also for the reads of other
            # threads that are innocent: each goes to a fresh handle before it gives up.
            fresh = self._fresh_handle()
        try:
            pixels = self._region(fresh, corner, level, (w, h))
        except ReadFailedError:
            self._replace(handle, self._fresh_handle())
            raise
        self._replace(handle, fresh)
        return pixels

    def _region(
        self, handle: Any, corner: tuple[int, int], level: int, size: tuple[int, int]
    ) -> Pixels:
        import openslide

        try:
            rgba = np.asarray(handle.read_region(corner, level, size))
        except openslide.OpenSlideError as error:
            raise ReadFailedError(
                f"{self.path}: pixels at x={corner[0]}, y={corner[1]} cannot be read ({error}).",
                path=self.path,
                x=corner[0],
                y=corner[1],
            ) from None
        return composite(rgba, self._facts.background)

    def _fresh_handle(self) -> Any:
        try:
            return open_handle(Path(self.path))
        except SlideUnreadableError as error:
            raise ReadFailedError(
                f"{self.path}: does not open any more ({error}).", path=self.path
            ) from None

    def _replace(self, old: Any, new: Any) -> None:
        """Put `new` in the place of `old`, unless another thread was quicker."""
        with self._swap:
            if self._handle is old and not self._closed:
                self._handle = new

    def close(self) -> None:
        """Give the file back.

        The handle closes when its last reference goes: closing it under another thread's
        read would crash the process.
        """
        with self._swap:
            self._closed = True
            self._handle = None
