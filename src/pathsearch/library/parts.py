"""Part catalogs: the runs of a job array write side by side and are merged at the end.

A part has a catalog and a lock of its own in ``parts/``; its groups are in the library's
one Zarr store, under keys that no other part computes, since no slide is in two parts.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.library.lock import holder_of

if TYPE_CHECKING:
    from pathsearch.library.library import Library

PARTS_FOLDER = "parts"
_NAME = re.compile(r"^part-(\d+)-of-(\d+)$")


def part_folders(library: Library) -> list[Path]:
    """Folders of the parts that were not merged yet, in the order of their numbers."""
    folder = library.path / PARTS_FOLDER
    if not folder.is_dir():
        return []
    found = [p for p in folder.iterdir() if _NAME.match(p.name) and (p / "catalog.db").exists()]
    return sorted(found, key=lambda p: [int(n) for n in _NAME.findall(p.name)[0]])


def part_keys(library: Library) -> set[str]:
    """Keys of all segments that parts have committed."""
    from pathsearch.library.catalog import Catalog

    keys: set[str] = set()
    for folder in part_folders(library):
        with contextlib.closing(
            Catalog(folder / "catalog.db", read_only=library.read_only)
        ) as catalog:
            keys |= {row[0] for row in catalog.rows("SELECT DISTINCT key FROM segments")}
    return keys


def parts_at_work(library: Library) -> list[Path]:
    """Parts with a lock; one whose process died keeps it until it is run again or merged."""
    return [p for p in part_folders(library) if holder_of(p / "writer.lock") is not None]
