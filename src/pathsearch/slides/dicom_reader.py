"""DICOM that OpenSlide refuses, through wsidicom (extra `formats`)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pathsearch.errors import SlideUnreadableError
from pathsearch.nouns import Level, SlideInfo
from pathsearch.slides.colour import srgb_transform
from pathsearch.slides.dicom_files import is_dicom, series_of
from pathsearch.slides.guarded import GuardedSlide
from pathsearch.slides.mpp import number, resolve_mpp
from pathsearch.slides.pyramid import SlideFacts, check_size
from pathsearch.slides.readers import OpenRequest
from pathsearch.slides.resample import Pixels


class WsiDicomReader:
    """A DICOM series through wsidicom; only its volume files are ever opened."""

    name = "wsidicom"
    priority = 60

    def can_open(self, path: Path) -> bool:
        """Whether it is DICOM and wsidicom is installed."""
        return is_dicom(path) and find_spec("wsidicom") is not None

    def open(self, path: Path, request: OpenRequest) -> GuardedSlide:
        """Open the series that the file belongs to.

        Raises
        ------
        SlideUnreadableError, SlideTooLargeError, or one of the Mpp errors
        """
        heads = series_of(path)
        slide = _opened([head.path for head in heads if head.kind == "VOLUME"], path)
        try:
            facts = _facts(slide, path, tuple(head.path for head in heads), request)
        except BaseException:
            slide.close()
            raise
        numbers = [level.level for level in slide.levels]

        def read(level: int, x: int, y: int, w: int, h: int) -> Pixels:
            pixels: Pixels = slide.read_region((x, y), numbers[level], (w, h), as_array=True)
            return pixels

        return GuardedSlide(facts, read, slide.close)


def _opened(volumes: list[Path], path: Path) -> Any:
    from wsidicom import WsiDicom

    try:
        return WsiDicom.open(volumes)
    except Exception as error:  # noqa: BLE001  wsidicom and pydicom have many errors of their own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SlideUnreadableError(
            f"{path}: wsidicom cannot open it ({reason}).", path=str(path)
        ) from None


def _facts(slide: Any, path: Path, files: tuple[Path, ...], request: OpenRequest) -> SlideFacts:
    sizes = [(level.size.width, level.size.height) for level in slide.levels]
    width, height = sizes[0]
    check_size(width, height, request.settings.max_pixels, str(path))
    mpp = slide.levels[0].mpp
    scanner, objective, profile = _about(slide.metadata)
    return SlideFacts(
        path=str(path),
        files=files,
        size=(width, height),
        mpp=resolve_mpp(request.mpp, number(mpp.width), number(mpp.height), str(path)),
        levels=tuple(Level(w, h, (width / w + height / h) / 2) for w, h in sizes),
        info=SlideInfo(
            vendor="dicom",
            scanner=scanner,
            objective=objective,
            reader="wsidicom",
        ),
        to_srgb=srgb_transform(profile, str(path)) if request.color == "srgb" else None,
    )


def _about(metadata: Any) -> tuple[str, float | None, bytes | None]:
    """Scanner model, objective and ICC profile; nothing of the patient is looked at."""
    scanner = str(getattr(metadata.equipment, "model_name", None) or "")
    scanner = "" if scanner.lower() == "unknown" else scanner
    paths = metadata.pyramid.optical_paths
    if not paths:
        return scanner, None, None
    objective = getattr(paths[0].objective, "objective_power", None)
    return scanner, number(objective), paths[0].icc_profile
