"""A little indexing run that can be killed: `crash_child.py LIBRARY SLIDES [EVENT]`.

With EVENT it ends itself, as kill -9 would, at that file operation (counted from the
moment it has the lock); it prints the number of operations when it gets to the end.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from library_cases import COARSE, SPEC, grid, slide, unit_vectors

from pathsearch.library import Library, Writer

#: Python's own audit events for whatever touches the disk.
EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.listdir", "os.scandir"}
ROWS = 4100


def run(writer: Writer, slides: int) -> None:
    """Index made-up slides, skipping what is there, as the real run does."""
    library = writer.library
    writer.sweep()
    writer.ensure_root("archive", library.path.parent / "slides")
    number = writer.start_run("index")
    for n in range(slides):
        record = slide(f"s{n}")
        for spec, rows in ((SPEC, ROWS), (COARSE, 0 if n == 1 else 7)):
            key = writer.key_for(record, spec)
            if any(s.key == key for s in library.segments(spec.name)):
                continue
            segment = writer.open_segment(record, spec, 448)
            for start in range(0, rows, 1500):
                part = slice(start, min(rows, start + 1500))
                ones = np.ones(part.stop - start, np.float32)
                segment.append(
                    grid(rows)[part], unit_vectors(rows, n, library.encoder.dim)[part], ones
                )
            segment.commit(record)
        writer.save_thumbnail(record.slide_id, b"\xff\xd8\xff" + bytes([n]))
    writer.end_run(number, {"slides": slides})


def main() -> None:
    """Run, and die where it was asked for."""
    place, slides = Path(sys.argv[1]), int(sys.argv[2])
    die_at = int(sys.argv[3]) if len(sys.argv) > 3 else -1
    count = 0

    def audit(event: str, _arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event in EVENTS:
            count += 1
            if count == die_at:
                os._exit(9)

    with Library.open(place) as library, library.writer(wait=30) as writer:
        sys.stdout.write("held\n")
        sys.stdout.flush()
        sys.addaudithook(audit)
        run(writer, slides)
        sys.stdout.write(f"{count}\n")


if __name__ == "__main__":
    main()
