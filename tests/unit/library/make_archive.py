"""Writes the library that is kept of each format version: `make_archive.py`, by hand.

Run once when the format changes; never again, since the file stands for what users have.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from library_cases import COARSE, ENCODER, SPEC, grid, put, slide, unit_vectors

from pathsearch.errors import MppMissingError
from pathsearch.library import FORMAT_VERSION, IndexState, Library, SlideRecord

ARCHIVE = Path(__file__).parents[2] / "data" / f"library-v{FORMAT_VERSION}.zip"


def fill(library: Library) -> None:
    """One of everything that a library can hold."""
    with library.writer() as writer:
        writer.ensure_root("archive", "/archive/slides")
        run = writer.start_run("index")
        record = slide("a/b.svs", case_id="case-1", bounds=(0, 0, 9, 9), metadata={"stain": "H&E"})
        put(writer, record, 6)
        put(writer, record, 2, seed=1, spec=COARSE)
        put(writer, slide("c.tiff", "older"), 3, seed=2)
        put(writer, slide("c.tiff"), 4, seed=3)
        writer.put_empty(slide("blank.svs"), SPEC, 448)
        writer.put_failure(SlideRecord("bad.svs", "archive", "bad.svs"), MppMissingError("no mpp"))
        put(writer, slide("gone.svs"), 2, seed=4)
        elsewhere = slide("elsewhere.svs")
        segment = writer.open_segment(elsewhere, SPEC, 448, facts={"precision": "float16"})
        ones = np.ones(3, np.float32)
        segment.append(grid(3), unit_vectors(3, 5), ones, ones * 2)
        segment.commit(elsewhere, bad_patches=1)
        writer.remove_slides(["gone.svs"])
        writer.save_thumbnail("a/b.svs", b"\xff\xd8\xff")
        writer.log(run, "mpp-missing: no mpp", slide_id="bad.svs")
        writer.end_run(run, {"indexed": 2})
        writer.put_index_state(IndexState(SPEC.name, 1, "not-kept", (1,), ""))
        writer.drop_index_state(SPEC.name)


def main() -> None:
    """Refuses to overwrite."""
    if ARCHIVE.exists():
        sys.exit(f"{ARCHIVE} exists, and stays as it is")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "kept.pathsearch")
        files = Path(folder, "encoder")
        files.mkdir()
        (files / "config.json").write_text("{}")
        encoder = replace(ENCODER, storage="copy")
        with Library.create(
            place, specs=[SPEC, COARSE], encoder=encoder, encoder_files=files
        ) as library:
            fill(library)
        ARCHIVE.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(ARCHIVE, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as kept:
            for path in sorted(place.rglob("*")):
                kept.write(path, path.relative_to(place.parent))


if __name__ == "__main__":
    main()
