"""What adding and removing slides costs a library that is being searched, and its recall after.

    python -m benchmarks.search_changes [--size 1000000] [--data DIR] [--keep DIR]

One slide of a hundred is added, then one of a hundred removed, by one process while another
that has the library open asks. "searchable" is from the commit to the end of the first question
that knows of it. Recall@10 is against comparing with every patch, on 300 questions. The library is
that of `benchmarks.search` with the same `--keep`; it is copied, and the copy is changed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.search_made import ROWS_PER_SLIDE, Case, FixedEncoder, add_slide, build, vectors_of
from benchmarks.vectors import Vectors

SHARE = 0.01
QUERIES = 300


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--data", default=os.environ.get("PATHSEARCH_DATA", ""))
    parser.add_argument("--keep")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-changes-", dir=words.keep) as scratch:
        keep = Path(words.keep or scratch)
        case = Case(words.size)
        folder = keep / case.name
        if not (folder / "facts.json").exists():
            build(case, folder, words.data, keep, peers=False)
        draw, what = vectors_of(case, words.data, keep)
        print(f"{words.size} patches: {what}")
        copy = Path(scratch, "l.pathsearch")
        shutil.copytree(folder / "l.pathsearch", copy, copy_function=_linked)
        _run(copy, draw, np.load(folder / "queries.npy")[:QUERIES], words.size // ROWS_PER_SLIDE)


def _linked(source: str, target: str) -> None:
    """A hard link for what is never rewritten, a copy of the catalog."""
    if source.endswith((".db", ".json", ".lock")):
        shutil.copy2(source, target)
    else:
        os.link(source, target)


def _run(path: Path, draw: Any, queries: Vectors, slides: int) -> None:
    from pathsearch.library import Library
    from pathsearch.search import Searcher

    print(
        f"{'':<34}{'committed s':>12}{'searchable s':>14}{'p50 ms':>8}{'p95':>7}{'recall@10':>11}"
    )
    changed = max(1, int(SHARE * slides))
    with Library.open(path) as library, Library.open(path) as other:
        searcher = Searcher(other, FixedEncoder(other))
        _row("before", None, None, *_asked(searcher, queries))
        spec = next(iter(library.specs.values()))
        with library.writer() as writer:
            began = time.perf_counter()
            for number in range(slides, slides + changed):
                add_slide(writer, spec, number, draw)
            committed = time.perf_counter() - began
            late = _first(searcher, draw(ROWS_PER_SLIDE, slides)[0], f"s{slides:06d}", there=True)
            _row(f"{changed} slides added", committed, late, *_asked(searcher, queries))
            gone = [f"s{number:06d}" for number in range(0, slides, slides // changed)][:changed]
            probe = draw(ROWS_PER_SLIDE, 0)[0]
            began = time.perf_counter()
            writer.remove_slides(gone)
            committed = time.perf_counter() - began
            late = _first(searcher, probe, gone[0], there=False)
            _row(f"{changed} slides removed", committed, late, *_asked(searcher, queries))


def _first(searcher: Any, vector: Vectors, slide_id: str, *, there: bool) -> float:
    """Seconds of the first question after a change, which must know of it."""
    from pathsearch.nouns import Query, Vector

    began = time.perf_counter()
    answer = searcher.search(Query((Vector(tuple(vector.tolist())),), k=1))
    seconds = time.perf_counter() - began
    if (answer.matches[0].key.slide_id == slide_id) != there:
        raise AssertionError(f"{slide_id}: the first question after the change missed it")
    return seconds


def _asked(searcher: Any, queries: Vectors) -> tuple[list[float], float]:
    from pathsearch.nouns import Query, Vector

    asked = [Query((Vector(tuple(q.tolist())),), k=20) for q in queries]
    pool = searcher.pool(next(iter(searcher.library.specs)))
    allowed = _all_but(pool)
    for query in asked[:100]:
        searcher.search(query)
    times, shares = [], []
    for query, vector in zip(asked, queries, strict=True):
        began = time.perf_counter()
        answer = searcher.search(query)
        times.append(1e3 * (time.perf_counter() - began))
        truth = pool.search(vector, 10, allowed, exact=True)[1]
        places = [(m.key.slide_id, m.key.x, m.key.y) for m in answer.matches[:10]]
        segments = [s.slide_id for s in pool.segment_of(truth)]
        exact = {(i, x, y) for i, (x, y) in zip(segments, pool.coords(truth).tolist(), strict=True)}
        shares.append(len(exact & set(places)) / len(exact))
    return times, float(np.mean(shares))


def _all_but(pool: Any) -> Any:
    from pathsearch.index import ranges

    return ranges.complement(pool.removed, pool.size)


def _row(
    what: str, committed: float | None, late: float | None, times: list[float], recall: float
) -> None:
    cells = ["" if value is None else f"{value:.2f}" for value in (committed, late)]
    p50, p95 = np.percentile(times, [50, 95])
    print(
        f"{what:<34}{cells[0]:>12}{cells[1]:>14}{p50:>8.2f}{p95:>7.2f}{recall:>11.3f}", flush=True
    )


if __name__ == "__main__":
    main()
