"""`verify`: every row against its arrays, every file against its row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from pathsearch.errors import LibraryError, SegmentGoneError
from pathsearch.library import leftovers
from pathsearch.library.arrays import digest_of, norms_of
from pathsearch.library.building import ENCODER_FOLDER
from pathsearch.library.durable import sha256_of
from pathsearch.library.keys import segment_key
from pathsearch.library.records import (
    IndexState,
    Problem,
    SegmentArrays,
    SegmentRecord,
    SlideRecord,
)

if TYPE_CHECKING:
    from pathsearch.library.library import Library

#: Length of a unit vector after each number was rounded to float16 (11 bits).
_NORM_TOLERANCE = 3e-3
MANIFEST_NAME = "manifest.json"


def verify(library: Library, *, deep: bool = False) -> list[Problem]:
    """Check a library; reads every array once, changes nothing.

    Parameters
    ----------
    library : Library
    deep : bool
        Also check every page of the catalog, and the sha256 of every index file.

    Returns
    -------
    list of Problem
        Empty where all is well. Errors first.
    """
    found = list(_catalog(library, deep))
    slides = {slide.slide_id: slide for slide in library.slides("all")}
    for segment in library.segments():
        found += _segment(library, segment, slides.get(segment.slide_id))
    found += _slides(library, slides)
    found += _encoder(library)
    if not library.is_part:  # a part knows neither the indexes nor what others wrote
        found += _indexes(library, deep)
        found += _leftovers(library)
    return sorted(found, key=lambda p: p.severity != "error")


def _catalog(library: Library, deep: bool) -> Iterator[Problem]:
    check = "integrity_check" if deep else "quick_check"
    for (line,) in library.catalog.rows(f"PRAGMA {check}(20)"):
        if line != "ok":
            yield Problem(
                "error", "catalog-damaged", f"catalog.db: {line}; restore it from a backup."
            )
    for row in library.catalog.rows("PRAGMA foreign_key_check"):
        yield Problem(
            "error", "catalog-damaged", f"catalog.db: a row of {row[0]} belongs to no {row[2]}."
        )


def _segment(
    library: Library, segment: SegmentRecord, slide: SlideRecord | None
) -> Iterator[Problem]:
    where = f"{segment.slide_id} ({segment.spec}, segment {segment.number})"
    faults = [*_row_faults(library, segment, slide)]
    # Of a row without a slide the catalog's own check has spoken.
    if slide is not None and segment.rows:
        try:
            faults += _array_faults(library.read_segment(segment), segment, slide)
        except SegmentGoneError:
            pass  # removed while we looked
        except LibraryError as error:
            there = (library.embeddings_path / segment.key).exists()
            faults.append(("arrays-damaged" if there else "arrays-missing", error.message))
    for code, text in faults:
        yield Problem("error", code, f"{where}: {text}", segment.slide_id, segment.number)


def _row_faults(
    library: Library, segment: SegmentRecord, slide: SlideRecord | None
) -> Iterator[tuple[str, str]]:
    spec = library.specs.get(segment.spec)
    if spec is None:
        yield "spec-unknown", f"the library has no spec '{segment.spec}'."
    elif segment.key != segment_key(
        segment.slide_id,
        segment.fingerprint,
        segment.mpp,
        spec,
        library.encoder.fingerprint,
        regions=segment.regions,
    ):
        yield "key-mismatch", "its key is not that of its slide, spec and encoder; index it again."
    if slide is None:
        return
    if slide.status == "removed":
        yield "removed-but-live", "its slide is removed; run 'verify --repair'."
    # Where a spec or the whole slide failed, its row may state a newer content than its
    # last good segment has.
    elif not slide.error_code and slide.fingerprint != segment.fingerprint:
        yield "fingerprint-mismatch", "was written from another content of the slide."


def _array_faults(
    arrays: SegmentArrays, segment: SegmentRecord, slide: SlideRecord
) -> Iterator[tuple[str, str]]:
    if digest_of(arrays) != segment.digest:
        yield "arrays-changed", "the arrays are not what was committed; index it again."
    if not np.isfinite(arrays.vectors).all():
        yield "vectors-not-finite", "a vector holds NaN or infinity; index it again."
        return
    norms = norms_of(arrays.vectors)
    if np.abs(norms - 1.0).max() > _NORM_TOLERANCE:
        yield "vectors-not-unit", "a vector is not of length 1; index it again."
    if not np.array_equal(norms, arrays.norms):
        yield "norms-wrong", "the stored lengths are not those of the vectors; index it again."
    low, high = arrays.coords.min(axis=0), arrays.coords.max(axis=0)
    if low.min() < 0 or high[0] >= slide.width or high[1] >= slide.height:
        yield (
            "coords-outside",
            f"patches from {tuple(map(int, low))} to {tuple(map(int, high))} are not within the "
            f"slide of {slide.width} x {slide.height}; index it again.",
        )
    if len(np.unique(arrays.coords, axis=0)) < len(arrays):
        yield "coords-twice", "a patch is in it twice; index it again."
    if arrays.scales is not None and not (np.isfinite(arrays.scales) & (arrays.scales > 0)).all():
        yield "scales-wrong", "a stored length is not a positive number; import it again."
    tissue = arrays.tissue
    if not ((tissue >= 0) & (tissue <= 1)).all():
        yield "tissue-range", "a share of tissue is not within 0 to 1; index it again."


def _slides(library: Library, slides: dict[str, SlideRecord]) -> Iterator[Problem]:
    live: dict[str, int] = {}
    for segment in library.segments():
        live[segment.slide_id] = live.get(segment.slide_id, 0) + segment.rows
    known_roots = library.roots()
    for slide in slides.values():
        if slide.status == "indexed" and not live.get(slide.slide_id):
            yield Problem(
                "error",
                "slide-without-patches",
                f"{slide.slide_id}: is called indexed and has no patches; index it again.",
                slide.slide_id,
            )
        # No root at all: the features were imported, and the slide's file never seen
        if slide.root and slide.root not in known_roots and slide.status != "removed":
            yield Problem(
                "note",
                "root-unknown",
                f"{slide.slide_id}: its root '{slide.root}' is not in the library; it is searched, "
                "but its file cannot be found.",
                slide.slide_id,
            )


def _indexes(library: Library, deep: bool) -> Iterator[Problem]:
    numbers = {row[0] for row in library.catalog.rows("SELECT number FROM segments")}
    for state in library.catalog.index_states():
        yield from _index(library, state, numbers, deep)


def _index(library: Library, state: IndexState, numbers: set[int], deep: bool) -> Iterator[Problem]:
    def problem(severity: Any, code: str, text: str) -> Problem:
        return Problem(
            severity, code, f"index of {state.spec}: {text} Run 'pathsearch reindex' to mend it."
        )

    folder = library.index_path / state.folder
    if not folder.is_dir():
        yield problem("error", "index-missing", f"the folder {state.folder} is missing.")
        return
    last = max(numbers, default=0)
    if any(number > last for number in state.covered):
        yield problem("error", "index-foreign", "it covers segments that never were.")
    live = {segment.number for segment in library.segments(state.spec)}
    behind = len(live - set(state.covered))
    if behind:
        yield problem(
            "note",
            "index-behind",
            f"{behind} of {len(live)} segments are not in it yet; search compares with them one "
            "by one.",
        )
    try:
        files = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))["files"]
        listed = {str(name): str(digest) for name, digest in files.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        yield problem("error", "index-damaged", f"{MANIFEST_NAME} is missing or not readable.")
        return
    for name, digest in listed.items():
        path = folder / name
        if not path.is_file():
            yield problem("error", "index-damaged", f"{name} is missing.")
        elif deep and sha256_of(path) != digest:
            yield problem("error", "index-damaged", f"{name} is not what was written.")


def _encoder(library: Library) -> Iterator[Problem]:
    for name, digest in library.header.encoder_files.items():
        path = library.path / ENCODER_FOLDER / name
        if not path.is_file() or sha256_of(path) != digest:
            what = "is missing" if not path.is_file() else "is not what was copied"
            yield Problem(
                "error",
                "encoder-damaged",
                f"{ENCODER_FOLDER}/{name}: {what}; restore it from a backup, or from the encoder "
                f"'{library.encoder.name}' that the library was made with.",
            )


def _leftovers(library: Library) -> Iterator[Problem]:
    for path in leftovers.find(library):
        name = path.relative_to(library.path).as_posix()
        yield Problem(
            "note", "left-over", f"{name}: of a run that was cut off; 'verify --repair' removes it."
        )
