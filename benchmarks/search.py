"""Search at size: build time, memory, latency, recall, beside bare FAISS, usearch and hnswlib.

    python -m benchmarks.search [--sizes 0 100000 1000000] [--encoder E] [--keep DIR] [--build-only]

Vectors are drawn from a mixture fitted to the real slides' vectors (`--data` or
PATHSEARCH_DATA; without them, to made-up clusters, and the table says so); size 0 is the real
vectors themselves. Every latency is one query at a time, warm, in a process of its own. "ours"
is `Searcher.search` from a vector to matches with metadata, percentile and bias line:
exclusion, filters, ranking and the catalog included. Memory is what that process holds at the
end, its own and, after the +, mapped files that the system may take back. Build times are wall
and CPU seconds. With `--keep`, what was built is used again: build first (`--build-only`),
time later on a quiet machine. The peers are used where they are installed (pip install usearch
hnswlib); their graphs are searched at the least width that reaches our recall.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.search_made import FILTERS, Case, FixedEncoder, build, ordinal_of, recall
from benchmarks.vectors import Vectors

K = 20
HEAD = f"{'what':<40}{'n':>10}{'build s (CPU)':>16}{'MiB':>14}{'p50':>8}{'p95':>8}{'recall@10':>11}"


def main() -> None:
    """Print the table."""
    words = _words()
    if words.step:
        _STEPS[words.step](words)
        return
    print(f"Latencies in ms, one query at a time, k = {K}; build s: wall (CPU) seconds")
    with tempfile.TemporaryDirectory(prefix="bench-search-") as scratch:
        keep = Path(words.keep or scratch)
        keep.mkdir(parents=True, exist_ok=True)
        for size in words.sizes:
            folder = keep / Case(size, words.encoder).name
            if not (folder / "facts.json").exists():
                _child("build", size, keep, words)
            if not words.build_only:
                _child("time", size, keep, words)
        if not words.build_only:
            _larger(keep)


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[0, 100_000, 1_000_000])
    parser.add_argument("--encoder", default="", help="the default encoder where empty")
    parser.add_argument("--data", default=os.environ.get("PATHSEARCH_DATA", ""))
    parser.add_argument("--keep", help="folder for what is built")
    parser.add_argument("--build-only", action="store_true")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--step", choices=sorted(_STEPS), help=argparse.SUPPRESS)
    return parser.parse_args()


def _child(step: str, size: int, keep: Path, words: argparse.Namespace) -> None:
    """One step in a process of its own, so that its memory is its own."""
    line = [sys.executable, "-m", "benchmarks.search", "--step", step, "--sizes", str(size)]
    line += ["--keep", str(keep), "--data", words.data, "--encoder", words.encoder]
    subprocess.run([*line, *(["--no-peers"] if words.no_peers else [])], check=True)


def _case(words: argparse.Namespace) -> tuple[Case, Path]:
    case = Case(words.sizes[0], words.encoder)
    return case, Path(words.keep) / case.name


def _build(words: argparse.Namespace) -> None:
    case, folder = _case(words)
    build(case, folder, words.data, Path(words.keep), peers=not words.no_peers)


def _time(words: argparse.Namespace) -> None:
    from pathsearch.library import Library
    from pathsearch.search import Searcher

    _, folder = _case(words)
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    queries, truth = np.load(folder / "queries.npy"), np.load(folder / "truth.npy")
    print(f"\n{facts['size']} x {facts['dim']}: {facts['vectors']}")
    with Library.open(folder / "l.pathsearch") as library:
        began = time.perf_counter()
        searcher = Searcher(library, FixedEncoder(library))
        pool = searcher.pool(next(iter(library.specs)))
        searcher.table  # noqa: B018 - reads the catalog, as the first question does
        opened = time.perf_counter() - began
        manifest = pool.opened.manifest  # type: ignore[union-attr]
        print(
            f"opened in {opened:.2f} s; promised recall@10 {manifest.recall_at10:.4f}, @50 "
            f"{manifest.recall_at50:.4f}; building held {facts['peak_mib']:.0f} MiB at most, "
            f"mapped files included ({facts['before_mib']:.0f} before)"
        )
        print(HEAD)
        rows = _ours(searcher, queries, folder, facts)
        if manifest.kind != "exact":
            rows["faiss"] = _bare_faiss(pool.opened.index, queries, truth)  # type: ignore[union-attr]
        if not words.no_peers:
            _peers(folder, queries, truth, facts, rows["ours"]["recall"])
    (folder / "timed.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


def _ours(searcher: Any, queries: Vectors, folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    from pathsearch.nouns import Query, Vector

    vectors = [Vector(tuple(q.tolist())) for q in queries]
    rows = {}
    filters = {"": "", **FILTERS}
    for number, (name, where) in enumerate(filters.items()):
        asked = [Query((v,), k=K, where=where) for v in vectors]

        def ask(query: Query) -> list[int]:
            return [ordinal_of(m.key) for m in searcher.search(query).matches[:10]]

        found, times = _each(asked, ask)
        truth = np.load(folder / ("truth.npy" if not number else f"truth-{number - 1}.npy"))
        label = f"ours, {facts['kind']}" + (f", {name}" if name else "")
        cells = (facts["index_s"], _memory()) if not number else (None, "")
        rows[name or "ours"] = _row(label, facts["size"], *cells, times, recall(found, truth))
    return rows


def _bare_faiss(index: Any, queries: Vectors, truth: Any) -> dict[str, float]:
    import faiss

    parameters = faiss.SearchParametersIVF()
    parameters.nprobe = index.nprobe
    lists = index.lists
    found, times = _each(
        queries, lambda q: lists.search(q[None, :], K, params=parameters)[1][0][:10].tolist()
    )
    name = f"FAISS, the same lists (nprobe {index.nprobe})"
    return _row(name, lists.ntotal, None, "", times, recall(found, truth))


def _peers(folder: Path, queries: Vectors, truth: Any, facts: Any, least: float) -> None:
    size = facts["size"]
    for name, opened in (("usearch", _usearch), ("hnswlib", _hnswlib)):
        path, built = folder / f"{name}.graph", facts.get("peers", {}).get(name)
        if not path.exists():
            print(f"{name}: not installed when this was built")
            continue
        try:
            search, memory = opened(path, queries.shape[1])
        except ImportError:
            print(f"{name}: not installed")
            continue
        for width in (32, 64, 128, 256, 512, 1024):
            found, times = _each(queries, partial(search, width=width))
            share = recall(found, truth)
            if share >= min(least, 0.999):
                break
        _row(f"{name} HNSW (width {width})", size, built, f"{memory:.0f}", times, share)


def _usearch(path: Path, dim: int) -> tuple[Callable[..., list[int]], float]:
    from usearch.index import Index

    graph = Index(ndim=dim, metric="ip", dtype="f16")
    graph.load(str(path))

    def search(query: Vectors, width: int) -> list[int]:
        graph.expansion_search = width
        return [int(i) for i in graph.search(query, K).keys[:10]]

    return search, graph.memory_usage / 2**20


def _hnswlib(path: Path, dim: int) -> tuple[Callable[..., list[int]], float]:
    import hnswlib

    graph = hnswlib.Index(space="ip", dim=dim)
    graph.load_index(str(path))

    def search(query: Vectors, width: int) -> list[int]:
        graph.set_ef(max(width, K))
        return [int(i) for i in graph.knn_query(query, K)[0][0][:10]]

    return search, graph.index_file_size() / 2**20


def _each(asked: Any, search: Callable[[Any], list[int]]) -> tuple[list[list[int]], list[float]]:
    """What every question finds, and its ms; all are asked once before."""
    for one in asked:
        search(one)
    found, times = [], []
    for one in asked:
        began = time.perf_counter()
        answer = search(one)
        times.append(1e3 * (time.perf_counter() - began))
        found.append(answer)
    return found, times


def _memory() -> str:
    """MiB of this process, its own + mapped files; empty where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return ""
    held = {line.split(":")[0]: int(line.split()[1]) // 1024 for line in lines if "Rss" in line}
    return f"{held['RssAnon']} + {held['RssFile']}"


def _row(
    what: str, n: int, built: list[float] | None, memory: str, times: list[float], share: float
) -> dict[str, float]:
    p50, p95 = np.percentile(times, [50, 95]).tolist()
    build_s = f"{built[0]:.0f} ({built[1]:.0f})" if built else ""
    print(
        f"{what:<40}{n:>10}{build_s:>16}{memory:>14}{p50:>8.2f}{p95:>8.2f}{share:>11.3f}",
        flush=True,
    )
    return {"p50": p50, "p95": p95, "recall": share}


def _larger(keep: Path) -> None:
    """What larger libraries would take, by arithmetic from the largest that was measured."""
    timed = [p.parent for p in keep.glob("*/timed.json") if "real" not in p.parent.name]
    cases = [json.loads((p / "facts.json").read_text(encoding="utf-8")) for p in timed]
    for n, dim in ((5 * 10**7, 1024), (10**8, 128)):
        same = [(f, p) for f, p in zip(cases, timed, strict=True) if f["dim"] == dim]
        if not same:
            continue
        facts, folder = max(same, key=lambda pair: pair[0]["size"])
        rows = json.loads((folder / "timed.json").read_text(encoding="utf-8"))
        times = n / facts["size"]
        # Lists number as the root of n: those visited for one recall hold as many rows more
        visited = times**0.5
        vectors, bytes_, bits = (n * size / 2**30 for size in (2 * dim, dim + 8, dim // 8 + 16))
        p95, hours = rows["ours"]["p95"], times**1.5 * facts["index_s"][1] / 3600
        print(
            f"\n{n:.0e} x {dim}, by arithmetic from {facts['size']:.0e}: vectors {vectors:.0f} GiB "
            f"on disk, lists {bytes_:.0f} GiB (ivf) or {bits:.0f} GiB (ivf-rabitq); p95 "
            f"{visited:.1f} times {p95:.1f} = {visited * p95:.0f} ms where the lists are in "
            f"memory; building {hours:.0f} CPU hours."
        )


_STEPS: dict[str, Callable[[argparse.Namespace], None]] = {"build": _build, "time": _time}

if __name__ == "__main__":
    main()
