"""The suffixes of slides, and which extra reads what the core does not."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

#: Files with these endings in a folder are slides.
SLIDE_SUFFIXES = frozenset(
    {
        ".svs", ".tif", ".tiff", ".btf", ".tf2", ".tf8", ".qptiff", ".ndpi", ".vms", ".vmu",
        ".mrxs", ".scn", ".svslide", ".bif", ".czi", ".isyntax", ".dcm", ".dicom",
    }
)  # fmt: skip

#: Fields of view; in a folder they are taken for slides only where that is asked for.
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})


@dataclass(frozen=True, slots=True)
class Extra:
    """A format that the core does not read.

    Attributes
    ----------
    format : str
        For the message.
    module : str
        The package that reads it.
    extra : str
        The extra that installs it.
    """

    format: str
    module: str
    extra: str = "formats"


_EXTRAS = {
    ".isyntax": Extra("Philips iSyntax", "isyntax"),
    ".czi": Extra("this Zeiss CZI", "pylibCZIrw"),
    ".dcm": Extra("this DICOM series", "wsidicom"),
    ".dicom": Extra("this DICOM series", "wsidicom"),
}


def needed_extra(path: Path) -> Extra | None:
    """The extra that might read this file and is not installed, or None."""
    extra = _EXTRAS.get(path.suffix.lower())
    if extra is None or find_spec(extra.module) is not None:
        return None
    return extra
