"""Part catalogs: the runs of a job array write side by side and are merged at the end.

A part has a catalog and a lock of its own in ``parts/part-I-of-N/``. Its groups are in
the library's one Zarr store, under keys that no other part computes, since no slide is in
two parts. Until the merge, search does not see them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.errors import LibraryReadOnlyError, UsageError
from pathsearch.library.catalog import CATALOG_NAME, Catalog, create_catalog
from pathsearch.library.durable import move, remove_tree, sync_tree, token, writing_to
from pathsearch.library.lock import LOCK_NAME, holder_of

if TYPE_CHECKING:
    from pathsearch.library.library import Library

PARTS_FOLDER = "parts"
#: Folders of merged parts that are being removed start with this.
MERGED = "tmp-merged-"
_NAME = re.compile(r"^part-(\d+)-of-(\d+)$")


def part_catalog(library: Library, number: int, count: int) -> Catalog:
    """The catalog of one part, made where it is missing.

    Parameters
    ----------
    library : Library
        The whole library.
    number : int
        From 1.
    count : int
        Number of parts.

    Raises
    ------
    UsageError
        `number` is not within 1 to `count`, or parts of another division are unmerged.
    LibraryReadOnlyError
        The library cannot be written.
    """
    if not 1 <= number <= count:
        raise UsageError(f"--part {number}/{count}: the first number goes from 1 to the second.")
    if library.read_only:
        raise LibraryReadOnlyError(
            f"{library.path}: cannot be written, so no part can be made.", path=str(library.path)
        )
    for folder in part_folders(library):
        if not folder.name.endswith(f"-of-{count}"):
            raise UsageError(
                f"--part {number}/{count}: {folder.name} of another division is still there; run "
                "'pathsearch index --merge' first, or divide as before."
            )
    place = library.path / PARTS_FOLDER / f"part-{number}-of-{count}"
    if not (place / CATALOG_NAME).exists():
        _make(library, place)
    return Catalog(place / CATALOG_NAME, read_only=False)


def _make(library: Library, place: Path) -> None:
    building = place.with_name(f"tmp-{place.name}-{token()}")
    with writing_to(place):
        building.mkdir(parents=True)
        create_catalog(building / CATALOG_NAME, library.library_id)
        sync_tree(building)
        try:
            os.rename(building, place)  # noqa: PTH104  never over a folder with content
        except OSError:
            shutil.rmtree(building, ignore_errors=True)
            if not (place / CATALOG_NAME).exists():  # else: started twice, both may go on
                raise


def part_folders(library: Library) -> list[Path]:
    """Folders of the parts that were not merged yet, in the order of their numbers."""
    folder = library.path / PARTS_FOLDER
    if not folder.is_dir():
        return []
    found = [p for p in folder.iterdir() if _NAME.match(p.name) and (p / CATALOG_NAME).exists()]
    return sorted(found, key=lambda p: [int(n) for n in _NAME.findall(p.name)[0]])


def half_made_parts(library: Library) -> list[Path]:
    """What a part that was killed while its folder was made has left, since it was run again.

    Without the finished folder beside it, it may be of a part that is just starting.
    """
    folder = library.path / PARTS_FOLDER
    found = []
    for path in folder.glob("tmp-part-*") if folder.is_dir() else ():
        name = path.name.removeprefix("tmp-").rpartition("-")[0]
        if _NAME.match(name) and (folder / name / CATALOG_NAME).exists():
            found.append(path)
    return found


def part_keys(library: Library) -> set[str]:
    """Keys of all segments that parts have committed."""
    return _column(library, "SELECT DISTINCT key FROM segments")


def part_slide_ids(library: Library) -> set[str]:
    """Ids of all slides that parts have rows of."""
    return _column(library, "SELECT slide_id FROM slides")


def _column(library: Library, sql: str) -> set[str]:
    found: set[str] = set()
    for folder in part_folders(library):
        opened = Catalog(folder / CATALOG_NAME, read_only=library.read_only)
        with contextlib.closing(opened) as catalog:
            found |= {row[0] for row in catalog.rows(sql)}
    return found


def parts_at_work(library: Library) -> list[Path]:
    """Parts with a lock; one whose process died keeps it until it is run again or merged."""
    return [p for p in part_folders(library) if holder_of(p / LOCK_NAME) is not None]


def drop_part(folder: Path) -> None:
    """Forget a part that was merged, and what it left when it was killed at its start."""
    with writing_to(folder):
        for half_made in folder.parent.glob(f"tmp-{folder.name}-*"):
            remove_tree(half_made)
        gone = folder.with_name(f"{MERGED}{folder.name}-{token()}")
        move(folder, gone)  # at once: no part can start again in a half-removed folder
        remove_tree(gone)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()  # the last one
