"""A copy of a library that is whole, also while a run writes to it."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.errors import LibraryError, UsageError
from pathsearch.library.building import (
    ENCODER_FOLDER,
    INDEX_FOLDER,
    THUMBNAIL_FOLDER,
    check_free,
    move_into_place,
)
from pathsearch.library.catalog import CATALOG_NAME, Catalog
from pathsearch.library.durable import (
    absolute,
    copy_tree,
    is_within,
    sync_tree,
    token,
    writing_to,
)
from pathsearch.library.header import HEADER_NAME
from pathsearch.review.files import REVIEW_FOLDER
from pathsearch.review.upkeep import back_up_reviews

if TYPE_CHECKING:
    from pathsearch.library import Library

#: Tries where a compaction takes arrays away between the catalog's copy and theirs.
_TRIES = 3


def back_up(library: Library, target: Path | str) -> Path:
    """Copy a library, as of one moment.

    The catalog is copied through SQLite's own backup, never as a file; the arrays that it
    names never change, so they can be copied at leisure.

    Parameters
    ----------
    library : Library
    target : Path or str
        The copy; it must not exist. A library like any other.

    Returns
    -------
    Path
        The copy.

    Raises
    ------
    LibraryExistsError
        There is something at `target`.
    UsageError
        `target` is within the library.
    """
    target = absolute(target)
    if is_within(target, library.path):
        raise UsageError(f"{target}: is within the library; name a place outside it.")
    check_free(target)
    building = target.with_name(f".{target.name}.new-{token()}")
    with writing_to(target):
        for _ in range(_TRIES):
            try:
                building.mkdir(parents=True)
                _copy(library, building)
                sync_tree(building)
                move_into_place(building, target)
            except FileNotFoundError:
                shutil.rmtree(building, ignore_errors=True)
            except BaseException:
                shutil.rmtree(building, ignore_errors=True)
                raise
            else:
                return target
    raise LibraryError(
        f"{library.path}: arrays were removed while they were copied; run the backup again when "
        "no compaction runs, or 'pathsearch verify' if this comes back.",
        path=str(library.path),
    )


def _copy(library: Library, building: Path) -> None:
    library.catalog.backup_to(building / CATALOG_NAME)
    shutil.copy2(library.path / HEADER_NAME, building / HEADER_NAME)
    catalog = Catalog(building / CATALOG_NAME, read_only=True)
    with contextlib.closing(catalog):
        keys = {s.key for s in catalog.segments("WHERE rows > 0 AND removed = 0")}
        indexes = {state.folder for state in catalog.index_states()}
    store = library.header.embeddings
    (building / store).mkdir()
    shutil.copy2(library.path / store / "zarr.json", building / store / "zarr.json")
    for key in sorted(keys):
        copy_tree(library.path / store / key, building / store / key)
    (building / INDEX_FOLDER).mkdir()
    for name in sorted(indexes):
        copy_tree(library.index_path / name, building / INDEX_FOLDER / name)
    (building / THUMBNAIL_FOLDER).mkdir()
    for folder in (THUMBNAIL_FOLDER, ENCODER_FOLDER):
        if (library.path / folder).is_dir():
            copy_tree(library.path / folder, building / folder)
    back_up_reviews(library, building / REVIEW_FOLDER)
