"""The pace of a whole indexing run beside reading alone and encoding alone."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from benchmarks.big_slide import write_repeated_tile

if TYPE_CHECKING:
    from pathsearch.config import IndexSettings
    from pathsearch.indexing import Source
    from pathsearch.nouns import Encoder

#: What encoding alone is given, again and again.
BATCHES = 8
#: Copies of each real slide, so that a run lasts some seconds.
COPIES = 2


@dataclass
class Pace:
    """Patches a second, the best of the rounds."""

    patches: int = 0
    reading: list[float] = field(default_factory=list)
    encoding: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)

    def row(self, workers: int) -> str:
        """A line of the table."""
        r, e, whole = max(self.reading), max(self.encoding), max(self.whole)
        limit = 1 / (1 / r + 1 / e)
        return (
            f"  {workers:>7}{self.patches:>9}{r:>11.0f}{e:>11.0f}{limit:>17.0f}{whole:>9.0f}"
            f"{whole / limit:>8.0%}"
        )


def print_pace(
    folder: Path, data: Path | None, encoder: str, workers: Sequence[int], rounds: int
) -> None:
    """One line for each number of workers."""
    from pathsearch.config import IndexSettings
    from pathsearch.encoders import DEFAULT, load_encoder
    from pathsearch.indexing import find_sources

    what = _slides(folder, data)
    loaded = load_encoder(encoder or DEFAULT, device="cpu")
    how = f"{loaded.name}, {getattr(loaded, 'runtime', '?')}, {getattr(loaded, 'precision', '?')}"
    print(f"\npace on {os.cpu_count()} cores: {what}; {how}; best of {rounds}; patches/s")
    print("  reading: slides opened, tissue found, patches cut; nothing encoded or written")
    print(
        f"  {'workers':>7}{'patches':>9}{'r, reading':>11}{'e, encode':>11}"
        f"{'1/(1/r + 1/e)':>17}{'whole':>9}{'share':>8}"
    )
    for many in workers:
        settings = IndexSettings(workers=many)
        print(_measured(find_sources([folder]), loaded, settings, rounds).row(many), flush=True)


def _slides(folder: Path, data: Path | None) -> str:
    folder.mkdir(parents=True)
    if data is None:
        path = write_repeated_tile(folder / "made.tiff", 12_000, downsamples=(1, 4, 16))
        return f"a made-up slide of 12,000 px, {path.stat().st_size} bytes"
    found = sorted((data / "slides").glob("her2st_*.tiff"))
    for copy in range(COPIES):
        for path in found:
            shutil.copyfile(path, folder / f"{path.stem}-{copy}.tiff")
    return f"{COPIES} copies of {', '.join(path.stem for path in found)}"


def _measured(
    sources: Sequence[Source], encoder: Encoder, settings: IndexSettings, rounds: int
) -> Pace:
    """The three figures in turn, so that a slow minute of the machine hits all of them."""
    pace = Pace()
    for _ in range(rounds):
        read, batches, seconds = _reading(sources, settings)
        pace.patches = read
        pace.reading.append(read / seconds)
        pace.encoding.append(encoding_rate(encoder, batches))
        pace.whole.append(whole_run(sources, encoder, settings)[0])
    return pace


def _reading(
    sources: Sequence[Source], settings: IndexSettings
) -> tuple[int, list[np.ndarray], float]:
    """Patches, some of their pixels, and seconds of the reading half alone."""
    from pathsearch.indexing.pipeline import Readers
    from pathsearch.indexing.reading import Stamp, Task
    from pathsearch.nouns import Batch

    tasks = [Task(source, Stamp.of(source), settings.specs) for source in sources]
    patches, kept = 0, []
    began = time.perf_counter()
    with Readers(tasks, settings, lambda *_: None) as readers:
        for _, event in readers:
            if isinstance(event, Batch):
                patches += len(event.ok)
                if len(kept) < BATCHES and len(event.ok) == settings.batch_size:
                    kept.append(event.pixels)
    return patches, kept, time.perf_counter() - began


def encoding_rate(encoder: Encoder, batches: list[np.ndarray], seconds: float = 3.0) -> float:
    """Patches a second of an encoder alone, with the threads that indexing gives it."""
    from pathsearch.indexing.threads import encoding_threads

    with encoding_threads():
        encoder.encode(batches[0])
        done, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            for pixels in batches:
                encoder.encode(pixels)
                done += len(pixels)
        return done / (time.perf_counter() - began)


def whole_run(
    sources: Sequence[Source], encoder: Encoder, settings: IndexSettings
) -> tuple[float, int]:
    """Patches a second, and patches, of a run into a new library with its search index."""
    from pathsearch.indexing import index_slides
    from pathsearch.indexing.target import open_or_create

    with tempfile.TemporaryDirectory(prefix="pathsearch-bench-") as name:
        target = Path(name) / "l.pathsearch"
        with open_or_create(target, settings, encoder, "builtin") as library:
            report = index_slides(library, sources, encoder, settings)
        assert not report.of("failed"), report.of("failed")
        return report.patches / report.seconds, report.patches
