"""Build the derived files of a spec from the library; always possible, never needed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from pathsearch.errors import LibraryReadOnlyError
from pathsearch.index import IvfIndex
from pathsearch.index.files import IndexManifest, VectorFiles, finish, map_vectors
from pathsearch.library.records import IndexState
from pathsearch.nouns import Array
from pathsearch.search.percentile import Background, Rows

if TYPE_CHECKING:
    from pathsearch.library import Library, SegmentRecord, Writer

#: From this size on, an approximate index is built beside the exact vectors.
IVF_FROM = 50_000
#: When more than this share of a spec's patches is not covered, the index is rebuilt.
UNCOVERED_SHARE = 0.05
_RECALL_QUERIES = 300

Kind = Literal["auto", "exact", "ivf"]


def uncovered_share(library: Library, spec: str) -> float:
    """Share of the spec's patches that its index does not cover, or covers in vain.

    Returns
    -------
    float
        0..1; 1.0 where there is no index, 0.0 where there are no patches.
    """
    segments = {s.number: s.rows for s in library.segments(spec)}
    state = library.index_state(spec)
    if state is None:
        return 1.0 if any(segments.values()) else 0.0
    covered = set(state.covered)
    fresh = sum(rows for number, rows in segments.items() if number not in covered)
    stale = sum(
        s.rows
        for s in library.segments(spec, include_removed=True)
        if s.removed and s.number in covered
    )
    return float(fresh + stale) / max(sum(segments.values()) + stale, 1)


def rebuild_index(
    library: Library, writer: Writer, spec: str, *, kind: Kind = "auto", seed: int = 0
) -> IndexManifest:
    """Build a new index folder from all live segments, then switch to it.

    The folder is written under a temporary name and renamed when it is whole; the catalog
    row comes last. Readers keep the folder that they have open.

    Parameters
    ----------
    library : Library
    writer : Writer
        Of the same library.
    spec : str
    kind : {'auto', 'exact', 'ivf'}
        ``auto`` builds `ivf` from 50,000 patches on.
    seed : int
        Of the clustering and of the patches that recall and percentiles are measured on.

    Returns
    -------
    IndexManifest
    """
    if library.read_only:
        raise LibraryReadOnlyError(f"{library.path} is read-only: its index stays as it is.")
    segments = [s for s in library.segments(spec) if s.rows]
    state = library.index_state(spec)
    version = (state.version if state else 0) + 1
    base = Path(library.path) / "index"
    name = f"v{version:06d}-{spec}"
    working, final = base / f"{name}.tmp", base / name
    for left_over in (working, final):
        if left_over.exists():
            shutil.rmtree(left_over)
    working.mkdir(parents=True)
    manifest = _fill(working, library, spec, segments, kind, seed)
    working.replace(final)
    facts: dict[str, str | int | float] = {
        "kind": manifest.kind,
        "recall_at10": manifest.recall_at10,
        "size": manifest.size,
    }
    covered = tuple(s.number for s in segments)
    writer.put_index_state(IndexState(spec, version, name, covered, _now(), facts))
    return manifest


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _fill(
    folder: Path, library: Library, spec: str, segments: list[SegmentRecord], kind: Kind, seed: int
) -> IndexManifest:
    dim = library.encoder.dim
    size = VectorFiles(folder, dim).write(_pieces(library, segments))
    exact = map_vectors(folder, size, dim)
    nprobe, recall, asked = 0, 1.0, 0
    if kind == "auto":
        kind = "ivf" if size >= IVF_FROM else "exact"
    if kind == "ivf":
        index = IvfIndex.build(exact.vectors, exact.norms, seed=seed)
        own = np.random.default_rng(seed).choice(size, min(_RECALL_QUERIES, size), replace=False)
        queries = np.asarray(exact.vectors[np.sort(own)], np.float32)
        recall = index.tune(queries, own=np.sort(own))
        nprobe, asked = index.nprobe, len(own)
        index.save(folder / "lists.faiss")
    if size:
        Background.measure(exact, _rows(library, segments, folder), seed=seed).save(folder)
    manifest = IndexManifest(
        kind=kind,
        spec=spec,
        encoder=library.encoder.fingerprint,
        size=size,
        dim=dim,
        nprobe=nprobe,
        recall_at10=recall,
        recall_queries=asked,
    )
    finish(folder, manifest)
    return manifest


def _pieces(
    library: Library, segments: list[SegmentRecord]
) -> Iterator[tuple[int, Array, Array, Array]]:
    for segment in segments:
        arrays = library.read_segment(segment)
        yield segment.number, arrays.vectors, arrays.norms, arrays.coords


def _rows(library: Library, segments: list[SegmentRecord], folder: Path) -> Rows:
    slides = {record.slide_id: record for record in library.slides()}
    names = sorted(slides)
    slide_number = {name: number for number, name in enumerate(names)}
    case_names = [slides[name].case_id or "\0" + name for name in names]
    case_number = {case: number for number, case in enumerate(sorted(set(case_names)))}
    counts = [s.rows for s in segments]
    own_slides = [slide_number[s.slide_id] for s in segments]
    own_cases = [case_number[case_names[number]] for number in own_slides]
    coords = np.fromfile(folder / "coords.i32", "<i4").reshape(-1, 2)
    return Rows(
        slides=np.repeat(np.array(own_slides, np.int64), counts),
        cases=np.repeat(np.array(own_cases, np.int64), counts),
        coords=coords,
        footprints=np.repeat(np.array([s.footprint for s in segments], np.int64), counts),
    )
