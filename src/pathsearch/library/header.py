"""``library.json``: what a library is, before anything else of it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pathsearch.config import TileSpec
from pathsearch.errors import (
    ConfigError,
    LibraryCorruptError,
    LibraryFormatError,
    LibraryNotFoundError,
)
from pathsearch.library.durable import write_file
from pathsearch.library.records import EncoderRecord

#: What this version writes. Raise it with every change that an older version would
#: misread, add a step to `pathsearch.maintenance.migrate`, keep a library of each in tests.
FORMAT_VERSION = 1
FORMAT = "pathsearch-library"
HEADER_NAME = "library.json"


@dataclass(frozen=True, slots=True)
class Header:
    """The content of ``library.json``.

    Attributes
    ----------
    library_id : str
        32 hex digits, made at creation; a copy of the folder keeps it.
    created : str
        ISO 8601, UTC.
    written_by : str
        Version of the software that made it.
    encoder : EncoderRecord
    specs : tuple of TileSpec
        Names are unique.
    embeddings : str
        Where the arrays are, relative to the folder.
    encoder_files : mapping
        Hex sha256 of each file of the encoder's copy, by its path below ``encoder/``.
    format_version : int
    """

    library_id: str
    created: str
    written_by: str
    encoder: EncoderRecord
    specs: tuple[TileSpec, ...]
    embeddings: str = "embeddings.zarr"
    encoder_files: Mapping[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def with_spec(self, spec: TileSpec) -> Header:
        """A copy that holds `spec` too."""
        return replace(self, specs=(*self.specs, spec))


def write_header(folder: Path, header: Header) -> None:
    """Write ``library.json``, whole or not at all."""
    raw: dict[str, Any] = {
        "format": FORMAT,
        "format_version": header.format_version,
        "library_id": header.library_id,
        "created": header.created,
        "written_by": header.written_by,
        "embeddings": header.embeddings,
        "encoder": asdict(header.encoder),
        "encoder_files": dict(header.encoder_files),
        "specs": [spec.model_dump(mode="json") for spec in header.specs],
    }
    text = json.dumps(raw, indent=2, ensure_ascii=False) + "\n"
    write_file(folder / HEADER_NAME, text.encode("utf-8"))


def read_raw_header(folder: Path) -> dict[str, Any]:
    """``library.json`` as it stands, of any format version.

    Raises
    ------
    LibraryNotFoundError
        There is no library at `folder`.
    LibraryCorruptError
        The file is not what a library's header looks like.
    """
    path = folder / HEADER_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        what = "there is nothing" if not folder.exists() else "this is not a library"
        raise LibraryNotFoundError(
            f"{folder}: {what} (no {HEADER_NAME}); "
            "make a library with 'pathsearch index SLIDES --library FOLDER'.",
            path=str(folder),
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _corrupt(path, f"cannot be read ({reason})") from None
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise _corrupt(path, f"is not valid JSON ({error.msg}, line {error.lineno})") from None
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise LibraryNotFoundError(
            f"{folder}: its {HEADER_NAME} is not that of a pathsearch library.", path=str(folder)
        )
    if not isinstance(raw.get("format_version"), int):
        raise _corrupt(path, "states no format_version")
    return raw


def read_header(folder: Path) -> Header:
    """The header of a library in the current format.

    Raises
    ------
    LibraryNotFoundError, LibraryCorruptError
        As `read_raw_header`.
    LibraryFormatError
        The library is of a newer or an older format; the message says what to do.
    """
    raw = read_raw_header(folder)
    check_version(folder, raw["format_version"])
    path = folder / HEADER_NAME
    try:
        encoder = dict(raw["encoder"])
        low, high = encoder["mpp_range"]
        encoder["mpp_range"] = (float(low), float(high))
        specs = tuple(TileSpec(**spec) for spec in raw["specs"])
        header = Header(
            library_id=str(raw["library_id"]),
            created=str(raw["created"]),
            written_by=str(raw["written_by"]),
            encoder=EncoderRecord(**encoder),
            specs=specs,
            embeddings=str(raw["embeddings"]),
            encoder_files={str(n): str(d) for n, d in raw.get("encoder_files", {}).items()},
            format_version=raw["format_version"],
        )
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
        reason = " ".join(str(error).split())
        raise _corrupt(path, f"does not hold what it must ({reason})") from None
    if not _is_inside(header.embeddings):
        raise _corrupt(path, f"places the embeddings outside the library ({header.embeddings})")
    return header


def check_version(folder: Path, version: int) -> None:
    """Raise LibraryFormatError unless `version` is the current one."""
    if version > FORMAT_VERSION:
        raise LibraryFormatError(
            f"{folder}: written in library format {version}, this version reads "
            f"{FORMAT_VERSION}; update with 'pip install -U napari-pathsearch'.",
            path=str(folder),
            version=version,
        )
    if version < FORMAT_VERSION:
        raise LibraryFormatError(
            f"{folder}: written in library format {version}, the current one is "
            f"{FORMAT_VERSION}; run 'pathsearch verify --repair {folder}' once to bring it up "
            "to date (keeps a backup of the catalog).",
            path=str(folder),
            version=version,
        )


def _is_inside(relative: str) -> bool:
    parts = relative.replace("\\", "/").split("/")
    return bool(relative) and ".." not in parts and parts[0] != "" and ":" not in parts[0]


def _corrupt(path: Path, reason: str) -> LibraryCorruptError:
    return LibraryCorruptError(
        f"{path}: {reason}; restore this file from a backup.", path=str(path)
    )
