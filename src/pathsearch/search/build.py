"""Build the derived files of a spec from the library; always possible, never needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from pathsearch.errors import IndexFileError, LibraryReadOnlyError, UsageError
from pathsearch.index import IvfIndex, ranges
from pathsearch.index.files import IndexManifest, VectorFiles, finish, map_vectors
from pathsearch.index.ivf import Codes
from pathsearch.library.records import IndexState
from pathsearch.nouns import Array
from pathsearch.search.neighbours import Neighbours, Rows
from pathsearch.search.opening import checked_index
from pathsearch.search.percentile import QUERIES, RANKS, Background

if TYPE_CHECKING:
    from pathsearch.library import Library, SegmentRecord, Writer

#: From this size on, an approximate index is built beside the exact vectors.
IVF_FROM = 50_000
#: When more than this share of a spec's patches is not covered, the index is rebuilt.
UNCOVERED_SHARE = 0.05
_RECALL_QUERIES = 300

Kind = Literal["auto", "exact", "ivf", "ivf-rabitq"]


def uncovered_share(library: Library, spec: str) -> float:
    """Share of the spec's patches that its index does not cover, or covers in vain.

    Returns
    -------
    float
        0..1; 1.0 where there is no index or a damaged one, 0.0 where there are no patches.
    """
    segments = {s.number: s.rows for s in library.segments(spec)}
    state = library.index_state(spec)
    if state is None:
        return 1.0 if any(segments.values()) else 0.0
    if index_damage(library, spec):
        return 1.0
    covered = set(state.covered)
    fresh = sum(rows for number, rows in segments.items() if number not in covered)
    stale = sum(
        s.rows
        for s in library.segments(spec, include_removed=True)
        if s.removed and s.number in covered
    )
    return float(fresh + stale) / max(sum(segments.values()) + stale, 1)


def index_damage(library: Library, spec: str) -> str:
    """Why the index of a spec cannot be trusted; empty where it can, or there is none.

    Every file of it is read and compared with its sha256, the vectors of large ones apart.
    """
    state = library.index_state(spec)
    if state is None:
        return ""
    live = {s.number: s for s in library.segments(spec) if s.rows}
    try:
        checked_index(library, library.index_path / state.folder, live)
    except IndexFileError as error:
        return str(error)
    return ""


def rebuild_index(
    library: Library, writer: Writer, spec: str, *, kind: Kind | None = None, seed: int = 0
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
    kind : {'auto', 'exact', 'ivf', 'ivf-rabitq'}, optional
        What was chosen for this spec before, if not given; else ``auto``, which builds
        `ivf` from 50,000 patches on, and `ivf-rabitq` where the lists of `ivf` would take more
        than half of the machine's memory.
    seed : int
        Of the clustering and of the patches that recall and percentiles are measured on.

    Returns
    -------
    IndexManifest

    Raises
    ------
    UsageError
        The library has no such spec.
    LibraryReadOnlyError
        It was opened read-only.
    """
    if spec not in library.specs:
        raise UsageError(f"{library.path} has no spec '{spec}': {', '.join(library.specs)}.")
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
    chosen = kind or _chosen(state)
    manifest = _fill(working, library, spec, segments, chosen, seed)
    working.replace(final)
    facts: dict[str, str | int | float] = {
        "kind": manifest.kind,
        "recall_at10": manifest.recall_at10,
        "recall_at50": 1.0 if manifest.recall_at50 is None else manifest.recall_at50,
        "recall_queries": manifest.recall_queries,
        "size": manifest.size,
        "chosen": chosen,
    }
    covered = tuple(s.number for s in segments)
    writer.put_index_state(IndexState(spec, version, name, covered, _now(), facts))
    return manifest


def _chosen(state: IndexState | None) -> Kind:
    """The kind that the user asked for when the index was built last."""
    kind = "auto" if state is None else state.facts.get("chosen", "auto")
    return next((known for known in get_args(Kind) if known == kind), "auto")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _fill(
    folder: Path, library: Library, spec: str, segments: list[SegmentRecord], kind: Kind, seed: int
) -> IndexManifest:
    dim = library.encoder.dim
    size = VectorFiles(folder, dim).write(_pieces(library, segments))
    exact = map_vectors(folder, size, dim)
    manifest = IndexManifest(
        kind=kind_for(size, dim) if kind == "auto" else kind,
        spec=spec,
        encoder=library.encoder.fingerprint,
        size=size,
        dim=dim,
        recall_at50=1.0,
    )
    if size:
        rows = _rows(library, segments, folder)
        found = Neighbours.measure(exact, rows, queries=QUERIES, depth=RANKS[-1], seed=seed)
        Background.of(found).save(folder)
        if manifest.kind != "exact":
            codes: Codes = "RaBitQ" if manifest.kind == "ivf-rabitq" else "SQ8"
            index = IvfIndex.build(exact.vectors, exact.norms, seed=seed, codes=codes)
            manifest = replace(manifest, **_tuned(index, found, rows, seed))
            index.save(folder / "lists.faiss")
    finish(folder, manifest)
    return manifest


def kind_for(size: int, dim: int) -> str:
    """The kind of index for so many patches: chosen by what fits into memory."""
    if size < IVF_FROM:
        return "exact"
    # A byte a dimension and 8 of an id, in half of the memory: the rest is for the vectors
    # that candidates are scored from, and for other programs
    return "ivf" if size * (dim + 8) < _memory_bytes() // 2 else "ivf-rabitq"


def _memory_bytes() -> int:
    """The machine's memory; 8 GiB where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**33


def _tuned(index: IvfIndex, found: Neighbours, rows: Rows, seed: int) -> dict[str, Any]:
    """Set how many lists are visited; what was measured, as fields of the manifest."""
    asked = len(found.asked)
    some = np.random.default_rng(seed).choice(asked, min(_RECALL_QUERIES, asked), replace=False)
    truth = found.ordinals["slide"][some]
    vectors = found.vectors[some]
    allowed = [
        ranges.complement(
            ranges.from_ordinals(rows.excluded(int(found.asked[n]), "slide")), index.size
        )
        for n in some
    ]
    at10 = index.tune(vectors, truth, allowed)
    at50 = index.recall(vectors, truth, allowed, k=50)
    return {
        "nprobe": index.nprobe,
        "recall_at10": at10,
        "recall_at50": at50,
        "recall_queries": len(some),
    }


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
        slides=np.repeat(np.array(own_slides, np.int32), counts),
        cases=np.repeat(np.array(own_cases, np.int32), counts),
        coords=coords,
        footprints=np.repeat(np.array([s.footprint for s in segments], np.int32), counts),
    )
