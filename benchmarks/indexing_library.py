"""The cost of a large library: `index` when nothing has changed, `list`, and opening it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathsearch.library import SlideRecord

#: Patches of each slide, and slides of a folder.
ROWS, FOLDER = 20, 100
LIMITS = {"index": 10.0, "list": 1.0, "open": 0.2}
#: Opens a library as any program does that has already imported the package.
_OPENING = """
import sys, time
from pathsearch.library import Library
best = 1e9
for _ in range(5):
    began = time.perf_counter()
    with Library.open(sys.argv[1]):
        pass
    best = min(best, time.perf_counter() - began)
print(best)
"""


def print_library(folder: Path, slides: int) -> None:
    """Make the library where it is not there yet, then one line a command."""
    archive, library = folder / "archive", folder / "l.pathsearch"
    if not library.exists():
        began = time.perf_counter()
        make_archive(archive, slides)
        make_library(library, archive, slides)
        print(f"\nlibrary: made in {time.perf_counter() - began:.0f} s")
    print(f"\nlibrary: {slides} slides of {ROWS} patches\n  {'':<44}{'seconds':>9}{'target':>9}")
    words = [sys.executable, "-m", "pathsearch"]
    index = [*words, "index", str(archive), "--library", str(library), "--json"]
    first, said = timed(index)
    unchanged = json.loads(said.splitlines()[-1])["unchanged"]
    assert unchanged == slides, said
    print(f"  {'index, the first time (its search index too)':<44}{first:>9.1f}")
    again, said = timed(index)
    _line("index, nothing has changed", again, "index")
    _line("list", timed([*words, "list", str(library)])[0], "list")
    _line("list --failed", timed([*words, "list", str(library), "--failed"])[0], "list")
    opened = float(timed([sys.executable, "-c", _OPENING, str(library)])[1])
    _line("opening it, in a program that runs", opened, "open")


def _line(what: str, seconds: float, limit: str) -> None:
    print(f"  {what:<44}{seconds:>9.3f}{LIMITS[limit]:>9.1f}", flush=True)


def timed(command: list[str]) -> tuple[float, str]:
    """Seconds of a command, the start of Python included, and its standard output."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    assert done.returncode == 0, done.stderr
    return seconds, done.stdout


def make_archive(folder: Path, slides: int) -> None:
    """Small files with the names of slides, a hundred a folder; they are never opened."""
    for number in range(slides):
        path = place(folder, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"II*\0" + bytes(28))


def place(folder: Path, number: int) -> Path:
    """Where a slide lies."""
    return folder / f"batch-{number // FOLDER:04d}" / f"slide-{number:06d}.svs"


def make_library(path: Path, archive: Path, slides: int) -> None:
    """What indexing such an archive would leave, made without reading anything.

    The arrays of all slides are links to those of the first: files as many as there would be.
    """
    from pathsearch.config import IndexSettings
    from pathsearch.encoders import DEFAULT, load_encoder
    from pathsearch.indexing.target import open_or_create
    from pathsearch.library.changes import commit_within

    encoder = load_encoder(DEFAULT, device="cpu")
    corners = np.stack([np.arange(ROWS), np.zeros(ROWS)], axis=1).astype(np.int64) * 448
    vectors = np.random.default_rng(0).standard_normal((ROWS, encoder.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with (
        open_or_create(path, IndexSettings(), encoder, DEFAULT) as library,
        library.writer() as writer,
    ):
        writer.ensure_root(archive.name, archive)
        spec = next(iter(library.specs.values()))
        segment = writer.open_segment(slide_record(archive, 0), spec, 448)
        segment.append(corners, vectors, np.ones(ROWS, np.float32))
        first = segment.commit(slide_record(archive, 0))
        store = library.embeddings_path
        with writer.transaction() as connection:
            for number in range(1, slides):
                record = slide_record(archive, number)
                draft = replace(
                    first, number=0, slide_id=record.slide_id, fingerprint=record.fingerprint,
                    key=writer.key_for(record, spec),
                )  # fmt: skip
                shutil.copytree(store / first.key, store / draft.key, copy_function=os.link)
                commit_within(connection, record, draft)


def slide_record(archive: Path, number: int) -> SlideRecord:
    """The row of a slide whose file is unchanged."""
    from pathsearch.library import SlideRecord

    file = place(archive, number)
    relative, stat = file.relative_to(archive).as_posix(), file.stat()
    return SlideRecord(
        slide_id=relative, root=archive.name, path=relative, case_id=f"case {number // 3}",
        width=20_000, height=20_000, mpp=0.25, fingerprint=f"{number:064x}",
        file_size=stat.st_size, file_mtime_ns=stat.st_mtime_ns,
        metadata={"block": number % 7, "site": f"hospital {number % 11}"},
    )  # fmt: skip
