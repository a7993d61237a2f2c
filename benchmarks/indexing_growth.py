"""Seconds and memory of indexing against the number of patches."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from benchmarks.big_slide import write_repeated_tile
from benchmarks.reading_memory import peak_bytes

PATCH = 64
MPP = 0.5
#: Slides, and patches along the side of each.
ROWS = ((1, 32), (1, 100), (10, 100), (1, 317))
MILLION = (100, 100)


def print_growth(folder: Path, *, million: bool) -> None:
    """One line for each archive, indexed in an interpreter of its own."""
    folder.mkdir(parents=True)
    print(f"\ngrowth: made-up slides, patches of {PATCH} px at {MPP} µm/px, PlainEncoder")
    print(
        f"  {'':>16}{'slides to segments':>28}{'search index':>25}{'peak memory, MB':>34}\n"
        f"  {'slides':>7}{'patches':>9}{'seconds':>10}{'µs a patch':>18}"
        f"{'seconds':>11}{'µs a patch':>14}{'imports':>9}{'slides':>8}{'reader':>8}{'index':>9}"
    )
    for slides, side in (*ROWS, MILLION) if million else ROWS:
        place = folder / f"{slides}-of-{side}"
        place.mkdir()
        for n in range(slides):
            path = place / f"s{n:03d}.tiff"
            write_repeated_tile(path, side * PATCH, mpp=MPP, seed=n, downsamples=(1, 4, 16, 64))
        program = "import sys; from benchmarks.indexing_growth import run; run(sys.argv[1])"
        command = [sys.executable, "-c", program, str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            why = done.stderr.strip().splitlines()[-1]
            print(f"  {slides:>7}{slides * side**2:>9} failed: {why}")
            continue
        print(_row(slides, json.loads(done.stdout.splitlines()[-1])), flush=True)


def _row(slides: int, found: dict[str, float]) -> str:
    n = found["patches"]
    own, index = found["slides_s"], found["index_s"]
    memory = [f"{found[name] / 1e6:.0f}" for name in ("imports", "slides", "reader", "index")]
    return (
        f"  {slides:>7}{n:>9.0f}{own:>10.1f}{1e6 * own / n:>18.0f}"
        f"{index:>11.1f}{1e6 * index / n:>14.0f}"
        f"{memory[0]:>9}{memory[1]:>8}{memory[2]:>8}{memory[3]:>9}"
    )


def run(folder: str) -> None:
    """Index the slides of a folder; print seconds and peak bytes as JSON."""
    from pathsearch.config import IndexSettings, TileSpec
    from pathsearch.indexing import find_sources, index_slides
    from pathsearch.indexing.report import Listener
    from pathsearch.indexing.target import open_or_create
    from pathsearch.search import build
    from pathsearch.testing import PlainEncoder

    class Noting(Listener):
        """Notes the moment at which the index is begun."""

        at = peak = 0.0

        def building(self, spec: str) -> None:  # noqa: ARG002
            self.at, self.peak = time.perf_counter(), peak_bytes()

    settings = IndexSettings(specs=(TileSpec(size_px=PATCH, stride_px=PATCH, mpp=MPP),))
    encoder, told, readers = PlainEncoder(), Noting(), _Children()
    assert build.IVF_FROM  # imported, so that its libraries count as imports
    import faiss  # noqa: F401
    import torch  # noqa: F401

    imports = peak_bytes()
    with open_or_create(Path(folder, "l.pathsearch"), settings, encoder, "plain") as library:
        began = time.perf_counter()
        with readers:
            report = index_slides(library, find_sources([folder]), encoder, settings, listener=told)
        ended = time.perf_counter()
    assert not report.of("failed"), report.of("failed")
    found = {
        "patches": report.patches,
        "slides_s": told.at - began,
        "index_s": ended - told.at,
        "imports": imports,
        "slides": told.peak,
        "reader": readers.peak,
        "index": peak_bytes(),
    }
    print(json.dumps({name: float(np.asarray(value)) for name, value in found.items()}))


class _Children:
    """The most memory that processes of this one have held together; looks 20 times a second."""

    def __init__(self) -> None:
        self.peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        import psutil

        own = psutil.Process()
        while not self._ended.wait(0.05):
            total = 0
            for child in own.children(recursive=True):
                try:
                    total += child.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.peak = max(self.peak, total)
