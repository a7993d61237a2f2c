"""Indexing runs that are killed (kill -9) at random moments: kills survived, slides lost.

    python -m benchmarks.kills [--kills 100] [--seed 0] [--way index|parts]

*index* is one run with two readers, each in its child process, from the making of the library
to its search index. *parts* is a job array of two parts, one after the other, and their merge.
A run is started again and again, and killed at a moment drawn evenly from the time that an
undisturbed one takes, until one gets to its end; then a new library is begun. After every kill
the library is verified, and must hold every slide that was committed before; each one that got
to its end must equal the undisturbed one: rows, arrays, pictures, and no file more.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

# Threads that wait by spinning take the processor away from the others; before torch comes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pathsearch.config import IndexSettings
from pathsearch.indexing import find_sources, index_slides, merge
from pathsearch.indexing.target import open_or_create
from pathsearch.library import Library
from pathsearch.library.parts import part_folders
from pathsearch.testing import PlainEncoder, make_slide

SLIDES = 5
SETTINGS = IndexSettings(batch_size=16, workers=2)


@dataclass
class Count:
    """What came of the kills."""

    kills: int = 0
    with_slides: int = 0
    ended: int = 0
    lost: int = 0
    faults: list[str] = field(default_factory=list)

    def row(self) -> str:
        """A line of the table."""
        return (
            f"{self.kills:>7}{self.with_slides:>12}{self.ended:>11}{self.lost:>13}"
            f"{len(self.faults):>8}"
        )


def index(target: Path, slides: Path) -> None:
    """One run."""
    encoder = PlainEncoder()
    with open_or_create(target, SETTINGS, encoder, "plain") as library:
        index_slides(library, find_sources([slides], library=library), encoder, SETTINGS)


def parts(target: Path, slides: Path) -> None:
    """A job array of two, and its merge."""
    encoder = PlainEncoder()
    with open_or_create(target, SETTINGS, encoder, "plain") as library:
        for number in (1, 2):
            sources = find_sources([slides], library=library)
            index_slides(library, sources, encoder, SETTINGS, part=(number, 2))
        merge(library)


WAYS: dict[str, Callable[[Path, Path], None]] = {"index": index, "parts": parts}


def killed(run: Callable[[Path, Path], None], target: Path, slides: Path, after: float) -> bool:
    """Start a run in a process of its own; False where it ended before it was to be killed."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        status = 1
        try:
            run(target, slides)
            status = 0
        except BaseException:  # noqa: BLE001  the parent only learns the status
            traceback.print_exc()
        finally:
            os._exit(status)  # no clean-up of what belongs to the parent
    deadline = time.monotonic() + after
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            if status:
                raise RuntimeError(f"the run failed by itself (status {status})")
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def committed(target: Path, faults: list[str]) -> set[tuple[str, str]]:
    """The slides of a library and its parts with their arrays' digests; faults are noted."""
    if not target.exists():
        return set()
    found: set[tuple[str, str]] = set()
    with Library.open(target, read_only=True) as library:
        faults += [str(p) for p in library.verify(deep=True) if p.severity == "error"]
        found |= {(s.slide_id, s.digest) for s in library.segments()}
    with Library.open(target) as library:
        for folder in part_folders(library):
            with library.part(int(folder.name.split("-")[1]), 2) as part:
                found |= {(s.slide_id, s.digest) for s in part.segments()}
    return found


def content(target: Path) -> tuple[object, ...]:
    """All that must be equal, whatever the history."""
    with Library.open(target) as library:
        segments = sorted((s.slide_id, s.key, s.rows, s.digest) for s in library.segments())
        slides = [replace(record, file_mtime_ns=0) for record in library.slides()]
        pictures = [hashlib.sha256(library.thumbnail(s.slide_id) or b"").digest() for s in slides]
        indexed = [library.index_state(spec) is not None for spec in library.specs]
    # Where the index was built twice its folder has another number
    files = sorted(
        path.relative_to(target).as_posix()
        for path in target.rglob("*")
        if path.is_file() and "index" not in path.relative_to(target).parts[:1]
    )
    return segments, slides, pictures, indexed, files


def campaign(way: str, kills: int, seed: int, work: Path) -> Count:
    """Kill runs of one kind until there were enough."""
    run, drawn, count = WAYS[way], random.Random(seed), Count()  # noqa: S311
    slides = work / "slides"
    calm = work / f"calm-{way}.pathsearch"
    began = time.perf_counter()
    assert not killed(run, calm, slides, 600)
    whole = time.perf_counter() - began
    wanted = content(calm)
    while count.kills < kills:
        target = work / f"{way}-{count.ended}.pathsearch"
        had: set[tuple[str, str]] = set()
        while count.kills < kills and killed(run, target, slides, drawn.uniform(0, whole)):
            count.kills += 1
            now = committed(target, count.faults)
            count.with_slides += bool(now)
            count.lost += len(had - now)
            had = now
        if count.kills == kills:
            killed(run, target, slides, 600)
        count.ended += 1
        if content(target) != wanted:
            count.faults.append(f"{target.name} differs from the undisturbed library")
        count.lost += len(had - committed(target, count.faults))
        shutil.rmtree(target)
    return count


def main() -> int:
    """Print the table; 1 where anything was lost or wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="of each way")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--way", choices=list(WAYS), nargs="+", default=list(WAYS))
    words = parser.parse_args()
    if not hasattr(os, "fork"):
        print("Needs a system that can fork.")
        return 0
    wrong = 0
    logging.getLogger("pathsearch").setLevel(logging.ERROR)  # that locks are taken over
    with tempfile.TemporaryDirectory(prefix="pathsearch-bench-") as name:
        work = Path(name)
        (work / "slides").mkdir()
        for number in range(SLIDES):
            make_slide(work / "slides" / f"s{number}.tiff", size=(1300, 1300), seed=number)
        print(f"{SLIDES} made-up slides; 'with slides': some were committed when it was killed")
        print(f"{'':<8}{'kills':>7}{'with slides':>12}{'libraries':>11}{'slides lost':>13}"
              f"{'faults':>8}")  # fmt: skip
        for way in words.way:
            count = campaign(way, words.kills, words.seed, work)
            print(f"{way:<8}{count.row()}", flush=True)
            for fault in count.faults[:5]:
                print(f"    {fault}")
            wrong += count.lost + len(count.faults)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
