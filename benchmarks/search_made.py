"""Libraries of drawn vectors for the search benchmarks, built once and kept."""

from __future__ import annotations

import json
import os
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.vectors import Mixture, Vectors, real_vectors

QUERIES = 300
ROWS_PER_SLIDE = 2000
#: Filters that are asked: one slide of a hundred; all but one case.
FILTERS = {"1% of slides": "batch = 7", "one case excluded": "case_id != c3"}


@dataclass(frozen=True)
class Case:
    """One size of one kind of vectors.

    Attributes
    ----------
    size : int
        Patches; 0 for the real vectors themselves.
    encoder : str
        What `load_encoder` takes; empty for the default one.
    """

    size: int
    encoder: str = ""

    @property
    def name(self) -> str:
        """Of the folder in which it is kept."""
        mark = Path(self.encoder).stem or "default"
        return f"{mark}-{self.size or 'real'}"


def vectors_of(case: Case, data: str, keep: Path) -> tuple[Callable[[int, int], Vectors], str]:
    """What draws (n, seed) unit vectors, and in words what they are."""
    if not (data and Path(data, "slides").is_dir()):
        rng = np.random.default_rng(0)
        made = rng.normal(size=(100, 128))[rng.integers(100, size=20_000)]
        made = (made + 0.7 * rng.normal(size=made.shape)).astype(np.float32)
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return Mixture(made).draw, "mixture fitted to made-up clusters (no real slides at hand)"
    stride = 56 if not case.encoder else 112
    real = real_vectors(Path(data), encoder=case.encoder, stride_px=stride, keep=keep)
    if case.size == 0:
        order = np.random.default_rng(0).permutation(len(real))
        return _Held(real[order]), f"{len(real)} vectors of real slides, {QUERIES} of them asked"
    parts = 200 if real.shape[1] < 512 else 40
    words = f"mixture of {parts} Gaussians fitted to {len(real)} vectors of real slides"
    return Mixture(real, parts).draw, words


class _Held:
    """Real vectors served as if drawn: the last ones for queries, the rest by number."""

    def __init__(self, rows: Vectors) -> None:
        self.rows = rows
        self.size = (len(rows) - QUERIES) // ROWS_PER_SLIDE * ROWS_PER_SLIDE

    def __call__(self, n: int, seed: int) -> Vectors:
        if seed >= 10**6:
            return self.rows[-n:]
        return self.rows[seed * ROWS_PER_SLIDE :][:n]


def build(case: Case, folder: Path, data: str, keep: Path, *, peers: bool) -> None:
    """Make the library, its index, the exact answers and the peers' indexes; facts.json last."""
    from pathsearch.library import Library
    from pathsearch.search import rebuild_index

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    draw, words = vectors_of(case, data, keep)
    size = case.size or draw.size  # type: ignore[attr-defined]
    facts: dict[str, Any] = {"vectors": words}
    began = _clock()
    library = make_library(folder / "l.pathsearch", draw, size)
    facts["library_s"] = _since(began)
    spec = next(iter(library.specs))
    with library, library.writer() as writer:
        before, began = _peak(), _clock()
        # The real vectors are few: auto would compare with each
        manifest = rebuild_index(library, writer, spec, kind="auto" if case.size else "ivf")
        facts["index_s"] = _since(began)
    facts |= {
        "size": size, "dim": manifest.dim, "kind": manifest.kind, "nprobe": manifest.nprobe,
        "recall_at10": manifest.recall_at10, "recall_at50": manifest.recall_at50,
        "before_mib": before, "peak_mib": _peak(),
    }  # fmt: skip
    with Library.open(folder / "l.pathsearch") as reader:
        asked = draw(QUERIES, 10**6)
        np.save(folder / "queries.npy", asked)
        exact = _truths(reader, spec, asked, folder)
        if peers:
            facts["peers"] = build_peers(np.asarray(exact.vectors, np.float32), folder)
    (folder / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _truths(library: Any, spec: str, asked: Vectors, folder: Path) -> Any:
    """The exact ten nearest, of everything and under each filter."""
    from pathsearch.nouns import Query, Vector
    from pathsearch.search import Searcher
    from pathsearch.search.allowed import allowed_ordinals

    searcher = Searcher(library, FixedEncoder(library))
    pool = searcher.pool(spec)
    exact = pool.opened.exact
    np.save(folder / "truth.npy", exact.search(asked, 10)[1])
    for number, where in enumerate(FILTERS.values()):
        query = Query((Vector((1.0,)),), where=where)
        allowed, _ = allowed_ordinals(pool, query, (), (), searcher.table)
        np.save(folder / f"truth-{number}.npy", exact.search(asked, 10, allowed)[1])
    return exact


class FixedEncoder:
    """Stands in for the encoder: the queries are vectors already."""

    def __init__(self, library: Any) -> None:
        record = library.encoder
        self.name, self.dim, self.fingerprint = record.name, record.dim, record.fingerprint
        self.input_px, self.mpp_range, self.copyable = 224, record.mpp_range, False


def make_library(path: Path, draw: Callable[[int, int], Vectors], size: int) -> Any:
    """A library of `size` patches on slides of 2,000, two slides a case."""
    from pathsearch.config import TileSpec
    from pathsearch.library import EncoderRecord, Library

    spec = TileSpec()
    dim = draw(1, 0).shape[1]
    record = EncoderRecord("drawn", dim, 224, (0.5, 0.5), "drawn")
    library = Library.create(path, specs=[spec], encoder=record, encoder_files=None)
    with library.writer() as writer:
        writer.ensure_root("r", path.parent)
        for number in range(size // ROWS_PER_SLIDE):
            add_slide(writer, spec, number, draw)
    return library


def add_slide(writer: Any, spec: Any, number: int, draw: Callable[[int, int], Vectors]) -> None:
    """Commit the slide of that number; its patches lie 50 in a row."""
    from pathsearch.library import SlideRecord

    slide = SlideRecord(
        f"s{number:06d}", "r", f"s{number:06d}", case_id=f"c{number // 2}", width=30_000,
        height=30_000, mpp=0.25, fingerprint=str(number), file_size=1,
        metadata={"batch": number % 100},
    )  # fmt: skip
    grid = np.stack([np.arange(ROWS_PER_SLIDE) % 50, np.arange(ROWS_PER_SLIDE) // 50], axis=1)
    segment = writer.open_segment(slide, spec, 448)
    segment.append(grid * 448, draw(ROWS_PER_SLIDE, number), np.ones(ROWS_PER_SLIDE, np.float32))
    segment.commit(slide)


def ordinal_of(key: Any) -> int:
    """The ordinal of a patch in a library that `make_library` made and nobody changed."""
    return int(key.slide_id[1:]) * ROWS_PER_SLIDE + key.y // 448 * 50 + key.x // 448


def recall(found: list[list[int]], truth: npt.NDArray[np.int64]) -> float:
    """Share of the exact ten nearest that were found."""
    return float(
        np.mean([len(set(f) & set(t.tolist())) / 10 for f, t in zip(found, truth, strict=True)])
    )


def build_peers(vectors: Vectors, folder: Path) -> dict[str, Any]:
    """HNSW graphs of usearch and hnswlib, saved; [wall, CPU] seconds of each that is there."""
    facts: dict[str, Any] = {}
    try:
        from usearch.index import Index

        began = _clock()
        graph = Index(ndim=vectors.shape[1], metric="ip", dtype="f16")
        graph.add(np.arange(len(vectors)), vectors, threads=os.cpu_count() or 1)
        facts["usearch"] = _since(began)
        graph.save(str(folder / "usearch.graph"))
    except ImportError:
        pass
    try:
        import hnswlib

        began = _clock()
        small = hnswlib.Index(space="ip", dim=vectors.shape[1])
        small.init_index(max_elements=len(vectors), ef_construction=200, M=16)
        small.add_items(vectors)
        facts["hnswlib"] = _since(began)
        small.save_index(str(folder / "hnswlib.graph"))
    except ImportError:
        pass
    return facts


def _clock() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float]) -> list[float]:
    return [round(now - then, 1) for now, then in zip(_clock(), began, strict=True)]


def _peak() -> float:
    """Largest resident memory of this process so far, MiB, mapped files included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
