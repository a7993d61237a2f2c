"""Opening a slide with the reader that fits."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pathsearch.config import SlideSettings
from pathsearch.errors import SlideFormatError, SlideNotFoundError, SlideUnreadableError
from pathsearch.nouns import Slide
from pathsearch.slides.discovery import find_slides
from pathsearch.slides.formats import needed_extra
from pathsearch.slides.readers import OpenRequest, Reader, installed_readers


def open_slide(
    path: Path | str,
    *,
    mpp: float | None = None,
    color: Literal["raw", "srgb"] = "raw",
    settings: SlideSettings | None = None,
) -> Slide:
    """Open a slide.

    Parameters
    ----------
    path : Path or str
        The file; of a DICOM series any of its files or its folder, of an MRXS the `.mrxs`.
    mpp : float, optional
        µm per level-0 pixel; overrides what the file says.
    color : {'raw', 'srgb'}
        Pixels as stored, or with the slide's ICC profile applied.
    settings : SlideSettings, optional
        Which reader, and which declared sizes are refused.

    Returns
    -------
    Slide
        A context manager. Not picklable: open it in the process that reads it.

    Raises
    ------
    SlideNotFoundError
        There is no such file, or it is a folder that does not hold exactly one slide.
    SlideUnreadableError
        No reader opens it.
    SlideFormatError
        The reader of this format is an extra that is not installed.
    MppMissingError, MppInsaneError, MppAnisotropicError
        The file says no usable resolution, and `mpp` was not given.
    SlideTooLargeError
        The declared size is beyond ``settings.max_pixels``.
    """
    path = _only_slide_in(Path(path))
    _check_file(path)
    request = OpenRequest(mpp, color, settings or SlideSettings())
    reasons: list[str] = []
    for reader in _candidates(request.settings):
        if not reader.can_open(path):
            continue
        try:
            return reader.open(path, request)
        except SlideUnreadableError as error:
            reasons.append(error.message.removeprefix(f"{path}: ").rstrip("."))
    if request.settings.reader != "auto":
        reasons.append(f"only the reader '{request.settings.reader}' was asked, as set")
    _refuse(path, reasons)
    raise AssertionError("unreachable")


def _candidates(settings: SlideSettings) -> list[Reader]:
    readers = installed_readers()
    if settings.reader == "auto":
        return list(readers)
    return [reader for reader in readers if reader.name == settings.reader]


def _only_slide_in(path: Path) -> Path:
    """The path; of a folder that is one slide (a DICOM series), the file to open in it."""
    if not path.is_dir():
        return path
    found = find_slides([path])
    if len(found) != 1:
        raise SlideNotFoundError(
            f"{path}: is a folder with {len(found)} slides; name one of them.", path=str(path)
        )
    return found[0].path


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise SlideNotFoundError(
            f"{path}: cannot be opened ({error.strerror or error}).", path=str(path)
        ) from None
    if empty:
        raise SlideUnreadableError(f"{path}: the file is empty; copy it again.", path=str(path))


def _refuse(path: Path, reasons: list[str]) -> None:
    extra = needed_extra(path)
    if extra:
        raise SlideFormatError(
            f"{path}: reading {extra.format} needs an extra: "
            f"pip install 'napari-pathsearch[{extra.extra}]'.",
            path=str(path),
            extra=extra.extra,
        )
    why = "; ".join(dict.fromkeys(reasons)) or (
        "not a slide in a format that is known, or damaged at its head; "
        "check that it opens elsewhere, or copy it again"
    )
    raise SlideUnreadableError(f"{path}: cannot be opened: {why}.", path=str(path))
