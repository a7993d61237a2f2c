"""The contract of a reader, and the readers that are installed."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal, Protocol

from pathsearch.config import SlideSettings
from pathsearch.nouns import Slide

log = logging.getLogger(__name__)

#: The group of entry points; each names a class without parameters that is a `Reader`.
GROUP = "pathsearch.readers"

_BUILT_IN = {
    "openslide": "pathsearch.slides.openslide_reader:OpenSlideReader",
    "tiff": "pathsearch.slides.tiff_reader:TiffReader",
    "dicom": "pathsearch.slides.dicom_tiles:DicomReader",
    "picture": "pathsearch.slides.picture_reader:PictureReader",
    "wsidicom": "pathsearch.slides.dicom_reader:WsiDicomReader",
    "czi": "pathsearch.slides.czi_reader:CziReader",
    "isyntax": "pathsearch.slides.isyntax_reader:ISyntaxReader",
}


@dataclass(frozen=True)
class OpenRequest:
    """What a slide is opened with.

    Attributes
    ----------
    mpp : float, optional
        Overrides the file's µm per level-0 pixel.
    color : {'raw', 'srgb'}
    settings : SlideSettings
    """

    mpp: float | None = None
    color: Literal["raw", "srgb"] = "raw"
    settings: SlideSettings = field(default_factory=SlideSettings)


class Reader(Protocol):
    """One way to open slides. `pathsearch.testing` has the suite that it must pass."""

    @property
    def name(self) -> str:
        """How it is called in `SlideInfo.reader` and in messages."""
        ...

    @property
    def priority(self) -> int:
        """Lower is asked first. The tiled TIFF reader has 20, OpenSlide 50."""
        ...

    def can_open(self, path: Path) -> bool:
        """Whether it knows the format, from the name or the first bytes; quick."""
        ...

    def open(self, path: Path, request: OpenRequest) -> Slide:
        """Open the slide.

        Raises
        ------
        SlideUnreadableError
            This reader cannot; the next one is asked.
        SlideError
            Any other: the slide is refused.
        """
        ...


@cache
def installed_readers() -> tuple[Reader, ...]:
    """All readers, by priority: the built-in ones and those of entry points.

    One that cannot be imported is left out, with a line in the log.
    """
    sources = dict(_BUILT_IN)
    sources.update({point.name: point.value for point in entry_points(group=GROUP)})
    found = []
    for name, value in sources.items():
        try:
            found.append(_loaded(value))
        except Exception as error:  # noqa: BLE001  a plugin may fail in any way
            log.warning("The reader %r does not load (%s); it is left out.", name, error)
    return tuple(sorted(found, key=lambda reader: (reader.priority, reader.name)))


def _loaded(value: str) -> Reader:
    from importlib import import_module

    module, _, attribute = value.partition(":")
    reader: Reader = getattr(import_module(module), attribute)()
    return reader
