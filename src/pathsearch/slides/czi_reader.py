"""Zeiss CZI that OpenSlide refuses, through pylibCZIrw (extra `formats`)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pathsearch.errors import SlideUnreadableError
from pathsearch.nouns import Level, SlideInfo
from pathsearch.slides.colour import srgb_transform
from pathsearch.slides.guarded import GuardedSlide, RegionReader
from pathsearch.slides.mpp import number, resolve_mpp
from pathsearch.slides.pyramid import SlideFacts, check_size
from pathsearch.slides.readers import OpenRequest
from pathsearch.slides.resample import Pixels

_MAGIC = b"ZISRAWFILE"
_WHITE = (1.0, 1.0, 1.0)


class CziReader:
    """Brightfield (24-bit) CZI."""

    name = "czi"
    priority = 60

    def can_open(self, path: Path) -> bool:
        """Whether it is a CZI and pylibCZIrw is installed."""
        with path.open("rb") as file:
            is_czi = file.read(len(_MAGIC)) == _MAGIC
        return is_czi and find_spec("pylibCZIrw") is not None

    def open(self, path: Path, request: OpenRequest) -> GuardedSlide:
        """Open the first plane.

        Raises
        ------
        SlideUnreadableError, SlideTooLargeError, or one of the Mpp errors
        """
        from pylibCZIrw.czi import CziReader as Library

        try:
            czi = Library(str(path))
            box = czi.total_bounding_rectangle_no_pyramid
            kinds = set(czi.pixel_types.values())
            mpp_x, mpp_y, objective = czi_scaling(czi.metadata)
        except Exception as error:  # noqa: BLE001  libCZI's errors are plain RuntimeErrors
            reason = " ".join(str(error).split())
            raise SlideUnreadableError(
                f"{path}: libCZI cannot open it ({reason}).", path=str(path)
            ) from None
        try:
            if kinds != {"Bgr24"}:
                raise SlideUnreadableError(
                    f"{path}: holds {', '.join(sorted(kinds))} pixels; only 24-bit brightfield "
                    "CZI is read, export it as RGB.",
                    path=str(path),
                )
            levels = _levels(czi, box.w, box.h)
            check_size(box.w, box.h, request.settings.max_pixels, str(path))
            mpp = resolve_mpp(request.mpp, mpp_x, mpp_y, str(path))
        except BaseException:
            czi.close()
            raise
        if request.color == "srgb":
            srgb_transform(None, str(path))  # the format has no ICC profile; the log says so
        facts = SlideFacts(
            path=str(path),
            files=(path,),
            size=(box.w, box.h),
            mpp=mpp,
            levels=levels,
            info=SlideInfo("zeiss", "", objective, self.name),
        )
        return GuardedSlide(facts, _region_reader(czi, (box.x, box.y), levels), czi.close)


def _region_reader(czi: Any, origin: tuple[int, int], levels: tuple[Level, ...]) -> RegionReader:
    def read(level: int, x: int, y: int, w: int, h: int) -> Pixels:
        scale = round(levels[level].downsample)
        roi = (origin[0] + x * scale, origin[1] + y * scale, w * scale, h * scale)
        bgr = czi.read(roi=roi, zoom=1 / scale, background_pixel=_WHITE)
        rgb: Pixels = np.ascontiguousarray(bgr[:h, :w, ::-1])
        return rgb

    return read


def _levels(czi: Any, width: int, height: int) -> tuple[Level, ...]:
    """The resolutions that are stored: what libCZI scales by itself it only thins out."""
    scales = {1}

    def note(_number: int, block: Any) -> bool:
        zoom = block.get_zoom()
        scale = round(1 / zoom) if zoom > 0 else 1
        # A block at the edge is rounded to whole pixels, and its zoom with it.
        if scale > 1 and abs(zoom * scale - 1) < 0.02:
            scales.add(scale)
        return True

    czi.enumerate_subblocks(note)
    return tuple(
        Level(width // scale, height // scale, float(scale))
        for scale in sorted(scales)
        if min(width, height) // scale > 0
    )


def czi_scaling(metadata: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    """µm per pixel in x and y, and the objective's magnification, out of CZI metadata.

    Parameters
    ----------
    metadata : mapping
        As pylibCZIrw gives it. Distances are in metres per pixel.
    """
    root = _child(_child(metadata, "ImageDocument"), "Metadata")
    items = _child(_child(root, "Scaling"), "Items").get("Distance", [])
    by_axis = {}
    for item in items if isinstance(items, list) else [items]:
        metres = number(item.get("Value"))
        if metres is not None:
            by_axis[item.get("@Id")] = metres * 1e6
    objectives = _child(_child(_child(root, "Information"), "Instrument"), "Objectives")
    objective = objectives.get("Objective", {})
    first = objective[0] if isinstance(objective, list) and objective else objective
    power = number(first.get("NominalMagnification")) if isinstance(first, Mapping) else None
    return by_axis.get("X"), by_axis.get("Y"), power


def _child(node: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    child = node.get(name)
    return child if isinstance(child, Mapping) else {}
