"""Which DICOM files belong together. Only the heads are read."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

_MAGIC_AT = 128
_MAGIC = b"DICM"
#: TotalPixelMatrixRows; everything that is wanted here lies before it.
_LAST_TAG = 0x00480007


@dataclass(frozen=True, slots=True)
class DicomHead:
    """What tells the files of a folder apart.

    Attributes
    ----------
    path : Path
    series : str
        SeriesInstanceUID; of a file whose head cannot be read, its own path.
    kind : str
        Third value of ImageType: VOLUME, LABEL, OVERVIEW, THUMBNAIL or empty.
    pixels : int
        Size of the whole image in pixels (total pixel matrix).
    """

    path: Path
    series: str
    kind: str = ""
    pixels: int = 0


def is_dicom(path: Path) -> bool:
    """Whether the file has DICOM's magic number; False if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(_MAGIC_AT)
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def read_head(path: Path) -> DicomHead:
    """The head of one file; never fails on a damaged one."""
    from pydicom.filereader import read_partial

    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            head = read_partial(file, stop_when=lambda tag, _vr, _length: tag > _LAST_TAG)
            image_type = list(head.get("ImageType", []) or [])
            columns = int(head.get("TotalPixelMatrixColumns", 0) or 0)
            rows = int(head.get("TotalPixelMatrixRows", 0) or 0)
            series = str(head.get("SeriesInstanceUID", "") or path)
    except Exception:  # noqa: BLE001  pydicom raises whatever a damaged file makes it raise
        return DicomHead(path, str(path))
    kind = str(image_type[2]) if len(image_type) > 2 else ""
    return DicomHead(path, series, kind, columns * rows)


def series_of(path: Path, cache: dict[Path, list[DicomHead]] | None = None) -> list[DicomHead]:
    """The files in the folder of `path` that share its series, sorted by path.

    Parameters
    ----------
    path : Path
        A DICOM file.
    cache : dict, optional
        Heads per folder, filled on the way; so that a folder is read once, not once a file.
    """
    cache = {} if cache is None else cache
    folder = path.parent
    if folder not in cache:
        files = sorted(file for file in folder.iterdir() if file.is_file())
        cache[folder] = [
            read_head(file) for file in files if not file.name.startswith(".") and is_dicom(file)
        ]
    own = next((head.series for head in cache[folder] if head.path == path), None)
    if own is None:  # hidden, but named by the user
        return [read_head(path)]
    return [head for head in cache[folder] if head.series == own]


def volume_of(heads: list[DicomHead]) -> Path:
    """The file to open: the largest volume image, never the label or the macro by choice."""
    return max(heads, key=lambda head: (head.kind == "VOLUME", head.pixels)).path
