"""Search at size: build time, memory, latency, recall, beside bare FAISS, usearch and hnswlib.

    python -m benchmarks.search [--sizes 100000 1000000] [--data DIR]

Vectors are drawn from a mixture fitted to the real slides' vectors (`--data` or
PATHSEARCH_DATA; without them, to made-up clusters, and the table says so). Every latency is
one query at a time, warm. "ours" is `Searcher.search` from a vector to matches with metadata
and percentile: exclusion, ranking and the catalog included.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from benchmarks.vectors import Mixture, Vectors, real_vectors

QUERIES = 300
K = 20
ROWS_PER_SLIDE = 2000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--data", default=os.environ.get("PATHSEARCH_DATA", ""))
    parser.add_argument("--no-peers", action="store_true")
    words = parser.parse_args()
    mixture, source = _mixture(words.data)
    print(f"vectors: {source}; {QUERIES} queries, k = {K}; ms are p50 / p95 of single queries")
    print(f"{'what':<34}{'n':>10}{'build s':>9}{'MB':>7}{'p50':>8}{'p95':>8}{'recall@10':>11}")
    for size in words.sizes:
        with tempfile.TemporaryDirectory(prefix="bench-search-") as folder:
            run_size(Path(folder), mixture, size, peers=not words.no_peers)


def _mixture(data: str) -> tuple[Mixture, str]:
    if data and Path(data, "slides").is_dir():
        real = real_vectors(Path(data))
        return Mixture(real), f"mixture of 200 Gaussians fitted to {len(real)} of real slides"
    rng = np.random.default_rng(0)
    made = rng.normal(size=(100, 128))[rng.integers(100, size=20_000)]
    made = (made + 0.7 * rng.normal(size=made.shape)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return Mixture(made), "mixture fitted to made-up clusters (no real slides at hand)"


def run_size(folder: Path, mixture: Mixture, size: int, *, peers: bool) -> None:
    """All rows of one size."""
    from pathsearch.library import Library
    from pathsearch.search import Searcher, rebuild_index

    library = make_library(folder / "l.pathsearch", mixture, size)
    queries = mixture.draw(QUERIES, seed=10**6)
    began = time.perf_counter()
    with library, library.writer() as writer:
        spec = next(iter(library.specs))
        manifest = rebuild_index(library, writer, spec)
        built = time.perf_counter() - began
        with Library.open(library.path) as reader:
            searcher = Searcher(reader, FixedEncoder(reader))
            pool = searcher.pool(spec)
            truth = pool.opened.exact.search(queries, 10)[1]
            _ours(searcher, pool, queries, truth, built, manifest.kind)
            index = pool.opened.index
            if manifest.kind == "ivf":
                _bare_faiss(index, queries, truth)
            if peers:
                vectors = np.asarray(pool.opened.exact.vectors, np.float32)
                _usearch(vectors, queries, truth)
                _hnswlib(vectors, queries, truth)


class FixedEncoder:
    """Stands in for the encoder: the queries are vectors already."""

    def __init__(self, library: object) -> None:
        record = library.encoder  # type: ignore[attr-defined]
        self.name, self.dim, self.fingerprint = record.name, record.dim, record.fingerprint
        self.input_px, self.mpp_range, self.copyable = 224, record.mpp_range, False


def make_library(path: Path, mixture: Mixture, size: int) -> object:
    """A library of `size` patches on slides of 2,000, two slides a case."""
    from pathsearch.config import TileSpec
    from pathsearch.library import EncoderRecord, Library, SlideRecord

    spec = TileSpec()
    dim = mixture.means.shape[1]
    record = EncoderRecord("drawn", dim, 224, (0.5, 0.5), "drawn")
    library = Library.create(path, specs=[spec], encoder=record, encoder_files=None)
    grid = np.stack([np.arange(ROWS_PER_SLIDE) % 50, np.arange(ROWS_PER_SLIDE) // 50], axis=1)
    with library.writer() as writer:
        writer.ensure_root("r", path.parent)
        for number in range(size // ROWS_PER_SLIDE):
            slide = SlideRecord(
                f"s{number:06d}", "r", f"s{number:06d}", case_id=f"c{number // 2}", width=30_000,
                height=30_000, mpp=0.25, fingerprint=str(number), file_size=1,
                metadata={"batch": number % 100},
            )  # fmt: skip
            segment = writer.open_segment(slide, spec, 448)
            vectors = mixture.draw(ROWS_PER_SLIDE, seed=number)
            segment.append(grid * 448, vectors, np.ones(ROWS_PER_SLIDE, np.float32))
            segment.commit(slide)
    return library


def _ours(
    searcher: object, pool: object, queries: Vectors, truth: Vectors, built: float, kind: str
) -> None:
    from pathsearch.nouns import PatchKey, Query, Vector

    size = pool.size  # type: ignore[attr-defined]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    asked = [Vector(tuple(q.tolist())) for q in queries]

    def ask(**words: object) -> list[list[int]]:
        found = []
        for vector in asked:
            answer = searcher.search(Query((vector,), k=K, **words))  # type: ignore[attr-defined]
            found.append([_ordinal(m.key) for m in answer.matches[:10]])
        return found

    def _ordinal(key: PatchKey) -> int:
        return int(key.slide_id[1:]) * ROWS_PER_SLIDE + key.y // 448 * 50 + key.x // 448

    for name, words in (
        ("", {}),
        (", 1% of slides allowed", {"where": "batch = 7"}),
        (", one case excluded", {"where": "case_id != c3"}),
    ):
        found, times = _timed(lambda words=words: ask(**words), searcher)
        recall = _recall(found, truth if not name else _filtered(searcher, pool, queries, words))
        _row(
            f"ours, {kind}{name}",
            size,
            built if not name else None,
            memory if not name else None,
            times,
            recall,
        )


def _timed(
    ask: Callable[[], list[list[int]]], searcher: object
) -> tuple[list[list[int]], list[float]]:
    times: list[float] = []
    search = searcher.search  # type: ignore[attr-defined]

    def timed(query: object) -> object:
        began = time.perf_counter()
        answer = search(query)
        times.append(1e3 * (time.perf_counter() - began))
        return answer

    searcher.search = timed  # type: ignore[attr-defined]
    try:
        ask()
        times.clear()
        return ask(), times
    finally:
        searcher.search = search  # type: ignore[attr-defined]


def _filtered(
    searcher: object, pool: object, queries: Vectors, words: dict[str, str]
) -> npt.NDArray[np.int64]:
    """The exact ten nearest under a filter."""
    from pathsearch.nouns import Query, Vector
    from pathsearch.search.allowed import allowed_ordinals

    query = Query((Vector((1.0,)),), **words)  # type: ignore[arg-type]
    allowed, _ = allowed_ordinals(pool, query, (), (), searcher.table)  # type: ignore[arg-type, attr-defined]
    found: npt.NDArray[np.int64] = pool.opened.exact.search(queries, 10, allowed)[1]  # type: ignore[attr-defined]
    return found


def _bare_faiss(index: object, queries: Vectors, truth: Vectors) -> None:
    import faiss

    parameters = faiss.SearchParametersIVF()
    parameters.nprobe = index.nprobe  # type: ignore[attr-defined]
    lists = index.lists  # type: ignore[attr-defined]
    found, times = _each(queries, lambda q: lists.search(q, K, params=parameters)[1][0])
    name = f"FAISS, the same lists (nprobe {index.nprobe})"  # type: ignore[attr-defined]
    _row(name, lists.ntotal, None, None, times, _recall(found, truth))


def _usearch(vectors: Vectors, queries: Vectors, truth: Vectors) -> None:
    try:
        from usearch.index import Index
    except ImportError:
        print("usearch: not installed")
        return
    began = time.perf_counter()
    index = Index(ndim=vectors.shape[1], metric="ip", dtype="f16")
    index.add(np.arange(len(vectors)), vectors)
    built = time.perf_counter() - began
    for expansion in (64, 128, 256, 512, 1024):
        index.expansion_search = expansion
        found, times = _each(queries, lambda q: index.search(q[0], K).keys)
        recall = _recall(found, truth)
        if recall >= 0.99:
            break
    memory = index.memory_usage / 1e6
    _row(f"usearch HNSW f16 (ef {expansion})", len(vectors), built, memory, times, recall)


def _hnswlib(vectors: Vectors, queries: Vectors, truth: Vectors) -> None:
    try:
        import hnswlib
    except ImportError:
        print("hnswlib: not installed")
        return
    began = time.perf_counter()
    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), ef_construction=200, M=16)
    index.add_items(vectors)
    built = time.perf_counter() - began
    for expansion in (32, 64, 128, 256, 512, 1024):
        index.set_ef(expansion)
        found, times = _each(queries, lambda q: index.knn_query(q, K)[0][0])
        recall = _recall(found, truth)
        if recall >= 0.99:
            break
    memory = index.index_file_size() / 1e6
    _row(f"hnswlib M16 (ef {expansion})", len(vectors), built, memory, times, recall)


def _each(
    queries: Vectors, search: Callable[[Vectors], Vectors]
) -> tuple[list[list[int]], list[float]]:
    for query in queries[:50]:
        search(query[None, :])
    found, times = [], []
    for query in queries:
        began = time.perf_counter()
        answer = search(query[None, :])
        times.append(1e3 * (time.perf_counter() - began))
        found.append([int(i) for i in answer[:10]])
    return found, times


def _recall(found: list[list[int]], truth: npt.NDArray[np.int64]) -> float:
    return float(
        np.mean([len(set(f) & set(t.tolist())) / 10 for f, t in zip(found, truth, strict=True)])
    )


def _row(
    what: str, n: int, built: float | None, memory: float | None, times: list[float], recall: float
) -> None:
    p50, p95 = np.percentile(times, [50, 95])
    cells = ["" if built is None else f"{built:.1f}", "" if memory is None else f"{memory:.0f}"]
    print(
        f"{what:<34}{n:>10}{cells[0]:>9}{cells[1]:>7}{p50:>8.2f}{p95:>8.2f}{recall:>11.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
