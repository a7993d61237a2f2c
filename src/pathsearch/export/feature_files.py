"""A library's vectors as HDF5, one file a slide, as TRIDENT and CLAM lay them out.

Of features that were imported, each number comes back to within the rounding to float16
of its unit vector: at most 2^-11 of itself, or 2^-25 of its vector's length where that is
more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pathsearch.errors import ExtraMissingError, UsageError
from pathsearch.library.durable import move, token, writing_to
from pathsearch.maintenance.feature_files import need_h5py

if TYPE_CHECKING:
    from pathsearch.export.pseudonyms import Pseudonyms
    from pathsearch.library import Library, SegmentArrays, SegmentRecord, SlideRecord

#: Rows a chunk: a few hundred kB, since one row a chunk makes reading 50 times slower.
_CHUNK = 256
_UNSAFE = re.compile(r'[\x00-\x1f<>:"|?*\\%]')

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    slides, patches : int
    files : int
    """

    slides: int
    patches: int
    files: int


def export_h5(
    library: Library,
    folder: Path,
    *,
    spec: str = "",
    progress: Progress | None = None,
    names: Pseudonyms | None = None,
) -> Exported:
    """Write one HDF5 file a slide: ``features`` (n, dim), ``coords`` (n, 2) and attributes.

    Parameters
    ----------
    library : Library
    folder : Path
        Made; it must not hold anything.
    spec : str
        Only this one; with several, each has a folder of its own.
    progress : callable, optional
        Told the slides done and all.
    names : Pseudonyms, optional
        Write pseudonyms for slides and cases, and none of the texts that came in with them.

    Raises
    ------
    UsageError
        The folder is not empty, or there is no such spec.
    ExtraMissingError
        ``h5py`` is not installed.
    LibraryWriteError
        The disk is full or cannot be written.
    """
    h5py = need_h5py(folder)
    segments = live_segments(library, spec)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is not empty; name a new folder for the files.")
    records = written_records(library, names)
    places = file_names(sorted(records[s].slide_id for s in {s.slide_id for s in segments}))
    several = len({s.spec for s in segments}) > 1
    rows = 0
    for done, segment in enumerate(segments):
        slide = records[segment.slide_id]
        place = (folder / segment.spec if several else folder) / places[slide.slide_id]
        arrays = library.read_segment(segment)
        with whole_file(place) as building, h5py.File(building, "w", locking=False) as file:
            _fill(file, library, segment, slide, arrays)
            if names is not None:
                _without_texts(file["coords"].attrs, slide.slide_id)
        rows += len(arrays)
        if progress is not None:
            progress(done + 1, len(segments))
    return Exported(len(places), rows, len(segments))


def written_records(library: Library, names: Pseudonyms | None) -> dict[str, SlideRecord]:
    """Slides as they are written, by their true ids: under pseudonyms where those are wanted."""
    records = {record.slide_id: record for record in library.slides()}
    if names is None:
        return records
    return {
        slide_id: replace(
            record,
            slide_id=names.name("slide", slide_id),
            case_id=names.name("case", record.case_id),
        )
        for slide_id, record in records.items()
    }


def _without_texts(attributes: Any, name: str) -> None:
    """Attributes that came in may name the slide, or a path of it: only numbers stay."""
    for key in list(attributes):
        if isinstance(attributes[key], str | bytes) and key != "encoder_fingerprint":
            del attributes[key]
    attributes["name"] = name


def live_segments(library: Library, spec: str) -> list[SegmentRecord]:
    """Segments with patches, of one spec or all; UsageError where there is no such spec."""
    if spec and spec not in library.specs:
        raise UsageError(f"{library.path} has no spec '{spec}': {', '.join(library.specs)}.")
    return library.segments(spec or None, include_empty=False)


def file_names(slide_ids: list[str]) -> dict[str, PurePosixPath]:
    """A file for each slide, named like it; no id leads out of the folder, no two clash.

    The ending of the slide's file is left out, as TRIDENT and CLAM do, unless two slides
    would then share a name.
    """
    plain = {slide_id: _safe(slide_id) for slide_id in slide_ids}
    short: dict[str, int] = {}
    for path in plain.values():
        short[path.with_suffix("").as_posix().casefold()] = (
            short.get(path.with_suffix("").as_posix().casefold(), 0) + 1
        )
    return {
        slide_id: path.with_suffix(".h5")
        if short[path.with_suffix("").as_posix().casefold()] == 1
        else path.with_name(path.name + ".h5")
        for slide_id, path in plain.items()
    }


def _safe(slide_id: str) -> PurePosixPath:
    """The id as a relative path; what a file system or a parent folder would take is coded."""
    parts = []
    for part in slide_id.split("/"):
        coded = _UNSAFE.sub(lambda found: f"%{ord(found.group()):02X}", part)
        parts.append(f"%2E{coded[1:]}" if coded.startswith(".") else coded or "%2F")
    return PurePosixPath(*parts)


@contextmanager
def whole_file(place: Path) -> Iterator[Path]:
    """A name to write under, moved to its place when all went well."""
    building = place.with_name(f".{place.name}-{token()}")
    with writing_to(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield building
            move(building, place)
        finally:
            building.unlink(missing_ok=True)


def _fill(
    file: Any,
    library: Library,
    segment: SegmentRecord,
    slide: SlideRecord,
    arrays: SegmentArrays,
) -> None:
    vectors = original_vectors(arrays).astype(_dtype_of(segment))
    chunk = (min(len(vectors), _CHUNK), vectors.shape[1])
    features = file.create_dataset("features", data=vectors, chunks=chunk)
    coords = file.create_dataset("coords", data=arrays.coords)
    if arrays.scales is None:  # of patches that were chosen elsewhere it was not measured
        file.create_dataset("tissue", data=arrays.tissue)
    features.attrs.update(name=slide.slide_id, encoder=library.encoder.name)
    for name, value in _attributes(library, segment, slide).items():
        coords.attrs[name] = value


def original_vectors(arrays: SegmentArrays) -> npt.NDArray[np.float32]:
    """Vectors as they came in, float32 (n, dim): of their first length, else of length 1."""
    wide = arrays.vectors.astype(np.float32)
    if arrays.scales is None:
        return np.asarray(wide / arrays.norms[:, None], np.float32)
    return np.asarray(wide * arrays.scales[:, None], np.float32)


def _dtype_of(segment: SegmentRecord) -> np.dtype[Any]:
    stated = str(segment.facts.get("features_dtype", "float32")).removeprefix("torch.")
    return np.dtype(stated if stated in ("float16", "float32", "float64") else "float32")


def _attributes(
    library: Library, segment: SegmentRecord, slide: SlideRecord
) -> dict[str, str | int | float | list[Any]]:
    """What came in, completed by what the library knows; names as TRIDENT has them."""
    spec = library.specs[segment.spec]
    known: dict[str, str | int | float | list[Any]] = {
        "patch_size": spec.size_px,
        "patch_size_level0": segment.footprint,
        "overlap": spec.size_px - spec.stride_px,
        "name": slide.slide_id,
        "level0_width": slide.width,
        "level0_height": slide.height,
        "level0_mpp": segment.mpp,
        "spec_mpp": spec.mpp,
        "encoder_fingerprint": library.encoder.fingerprint,
    }
    if slide.objective:
        shrunk = segment.footprint / spec.size_px
        known["level0_magnification"] = slide.objective
        known["target_magnification"] = slide.objective / shrunk
    came: dict[str, Any] = json.loads(str(segment.facts.get("features_attributes", "{}")))
    return known | came


def need_pyarrow(path: Path) -> Any:
    """The module, or ExtraMissingError."""
    try:
        import pyarrow as pa
    except ImportError:
        raise ExtraMissingError(
            f"{path}: Parquet needs an extra: pip install 'napari-pathsearch[parquet]'.",
            extra="parquet",
        ) from None
    return pa
