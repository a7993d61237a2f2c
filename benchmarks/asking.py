"""From a region to the list: encoding included, the command line's cold start, and a map.

    python -m benchmarks.asking [--data DIR] [--encoder E] [--keep DIR]

The three whole sections are indexed; then regions of 1, 4 and 16 patches are asked in a process
that is warm, and once by `pathsearch query` in a process of its own. The last row compares a
made-up slide of 100,000 patches with a question. Limits: 300 ms for a region of up to 16 patches,
1,000 ms for the map.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

TIMES = 30
#: Matches that the command gives unless told otherwise.
K = 20
#: Region's side in patches; a single patch is averaged over its eight views.
SIDES = (1, 2, 4)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("PATHSEARCH_DATA", ""))
    parser.add_argument("--encoder", default="")
    parser.add_argument("--keep", help="folder for the library, to run again quickly")
    words = parser.parse_args()
    paths = sorted(Path(words.data, "slides").glob("her2st_*.tiff")) if words.data else []
    if not paths:
        print("No slides: set PATHSEARCH_DATA or give --data.")
        return
    with tempfile.TemporaryDirectory(prefix="bench-asking-") as scratch:
        folder = Path(words.keep or scratch)
        library = _library(folder / "asking.pathsearch", paths, words.encoder)
        print(f"{'question':<52}{'p50 ms':>9}{'p95 ms':>9}{'limit':>8}")
        _regions(library)
        _cold(library)
        _map()


def _library(path: Path, slides: list[Path], encoder: str) -> Path:
    from pathsearch.config import IndexSettings
    from pathsearch.encoders import DEFAULT, load_encoder
    from pathsearch.indexing import find_sources, index_slides
    from pathsearch.indexing.target import open_or_create

    source = encoder or DEFAULT
    loaded, settings = load_encoder(source), IndexSettings()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_or_create(path, settings, loaded, source) as library:
        report = index_slides(library, find_sources(slides, library=library), loaded, settings)
        patches = sum(s.rows for s in library.segments())
        print(f"{len(slides)} slides, {patches} patches, {loaded.name}; {report.seconds:.0f} s")
    return path


def _places(library: Any, side: int, number: int) -> list[tuple[str, int, int, int]]:
    """Squares of `side` by `side` patches on tissue: slide, x, y, width in level-0 pixels."""
    segments = [s for s in library.segments() if s.rows]
    rng = np.random.default_rng(side)
    found = []
    for _ in range(number):
        segment = segments[int(rng.integers(len(segments)))]
        coords = library.read_segment(segment).coords
        x, y = coords[int(rng.integers(len(coords)))].tolist()
        found.append((segment.slide_id, x, y, side * segment.footprint))
    return found


def _regions(path: Path) -> None:
    from pathsearch.library import Library
    from pathsearch.nouns import Query, Region
    from pathsearch.search import Searcher

    with Library.open(path) as library:
        searcher = Searcher(library)
        for side in SIDES:
            times = []
            for slide, x, y, width in _places(library, side, TIMES + 3):
                query = Query((Region.rectangle(slide, x, y, width, width),), exclude="slide")
                began = time.perf_counter()
                searcher.search(query)
                times.append(1e3 * (time.perf_counter() - began))
            what = f"region of {side * side} patches" + (", eight views each" if side < 3 else "")
            _row(what, times[3:], 300)


def _cold(path: Path) -> None:
    from pathsearch.library import Library

    with Library.open(path) as library:
        slide, x, y, width = _places(library, 2, 1)[0]
    start = "import sys; from pathsearch.cli import main; main(sys.argv[1:])"
    line = [sys.executable, "-c", start, "query", str(path), "--json"]
    line += ["--like", f"{slide}#{x},{y},{width},{width}"]
    times = []
    for _ in range(4):
        began = time.perf_counter()
        done = subprocess.run(line, check=True, capture_output=True)
        times.append(1e3 * (time.perf_counter() - began))
        if len(json.loads(done.stdout)["matches"]) != K:
            raise AssertionError("the command did not answer")
    _row("'pathsearch query' from its cold start", times[1:], None)


def _map() -> None:
    from benchmarks.search_made import FixedEncoder

    from pathsearch.config import TileSpec
    from pathsearch.library import EncoderRecord, Library, SlideRecord
    from pathsearch.nouns import Query, Vector
    from pathsearch.search import Searcher, rebuild_index

    side, dim = 317, 256
    rng = np.random.default_rng(0)
    grid = np.stack(np.divmod(np.arange(100_000), side)[::-1], axis=1)
    vectors = rng.standard_normal((len(grid), dim), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    slide = SlideRecord(
        "s", "r", "s", width=side * 448, height=side * 448, mpp=0.25, fingerprint="f", file_size=1
    )
    with tempfile.TemporaryDirectory(prefix="bench-map-") as folder:
        record = EncoderRecord("drawn", dim, 224, (0.5, 0.5), "drawn")
        path = Path(folder, "l.pathsearch")
        with Library.create(path, specs=[TileSpec()], encoder=record) as library:
            with library.writer() as writer:
                writer.ensure_root("r", Path(folder))
                segment = writer.open_segment(slide, TileSpec(), 448)
                segment.append(grid * 448, vectors, np.ones(len(grid), np.float32))
                segment.commit(slide)
                rebuild_index(library, writer, TileSpec().name, kind="exact")
            searcher = Searcher(library, FixedEncoder(library))
            times = []
            for row in vectors[:12]:
                began = time.perf_counter()
                searcher.map(Query((Vector(tuple(row.tolist())),)), "s")
                times.append(1e3 * (time.perf_counter() - began))
    _row(f"map of 100,000 patches of {dim} numbers", times[2:], 1000)


def _row(what: str, times: list[float], limit: int | None) -> None:
    p50, p95 = np.percentile(times, [50, 95])
    bound = "" if limit is None else str(limit)
    print(f"{what:<52}{p50:>9.1f}{p95:>9.1f}{bound:>8}", flush=True)


if __name__ == "__main__":
    main()
