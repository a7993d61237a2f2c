"""Resolution, vendor and scanner of a TIFF that OpenSlide does not describe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from pathsearch.slides.mpp import number

_UNITS = {"µm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "pixel": None}


@dataclass(frozen=True, slots=True)
class TiffMetadata:
    """What is kept of a TIFF's description.

    Attributes
    ----------
    vendor : str
        'aperio', 'hamamatsu', 'ome' or 'generic-tiff'.
    mpp_x, mpp_y : float or None
        µm per pixel by the description; the resolution tags are read elsewhere.
    objective : float or None
    scanner : str
    """

    vendor: str
    mpp_x: float | None = None
    mpp_y: float | None = None
    objective: float | None = None
    scanner: str = ""


def read_metadata(tiff: Any, page: Any) -> TiffMetadata:
    """Metadata of the main image.

    Parameters
    ----------
    tiff : tifffile.TiffFile
    page : tifffile.TiffPage
        Its first page.
    """
    description = page.description or ""
    if description.startswith("Aperio"):
        return aperio_metadata(description)
    if tiff.is_ndpi:
        return TiffMetadata("hamamatsu")
    if tiff.is_ome:
        return ome_metadata(description)
    return TiffMetadata("generic-tiff")


def aperio_metadata(description: str) -> TiffMetadata:
    """Metadata out of an SVS's description, ``... |MPP = 0.4990|AppMag = 20|...``."""
    fields = {}
    for part in description.split("|")[1:]:
        key, _, value = part.partition("=")
        fields[key.strip()] = value.strip()
    mpp = number(fields.get("MPP"))
    return TiffMetadata(
        "aperio", mpp, mpp, number(fields.get("AppMag")), fields.get("ScanScope ID", "")
    )


def ome_metadata(description: str) -> TiffMetadata:
    """Metadata out of OME-XML; of a damaged one only the vendor.

    Formula and units: OME schema 2016-06, ``Pixels/@PhysicalSizeX`` with its
    ``PhysicalSizeXUnit`` (µm by default).
    """
    # OME-XML has no document type; what has one may expand entities without end.
    if "<!DOCTYPE" in description or "<!ENTITY" in description:
        return TiffMetadata("ome")
    try:
        root = ET.fromstring(description)  # noqa: S314
    except ET.ParseError:
        return TiffMetadata("ome")
    pixels = root.find(".//{*}Image/{*}Pixels")
    objective = root.find(".//{*}Objective")
    microscope = root.find(".//{*}Microscope")
    return TiffMetadata(
        "ome",
        _physical(pixels, "X"),
        _physical(pixels, "Y"),
        number(objective.get("NominalMagnification")) if objective is not None else None,
        (microscope.get("Model") or "") if microscope is not None else "",
    )


def _physical(pixels: Any, axis: str) -> float | None:
    if pixels is None:
        return None
    size = number(pixels.get(f"PhysicalSize{axis}"))
    unit = _UNITS.get(pixels.get(f"PhysicalSize{axis}Unit", "µm").replace("μ", "µ"))
    return size * unit if size is not None and unit is not None else None
