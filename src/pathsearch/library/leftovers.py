"""What killed runs leave behind: found for `verify`, removed under the writer's lock."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.errors import LibraryWriteError
from pathsearch.library.durable import remove_file, remove_tree, writing_to
from pathsearch.library.keys import thumbnail_stem
from pathsearch.library.segment_writer import TEMPORARY

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from pathsearch.library.library import Library
    from pathsearch.library.writer import Writer

#: Our own names: nothing else in the folders is ever touched.
_GROUP = re.compile(r"^(tmp-)?[0-9a-f]{40}(-[0-9a-f]{8})?$")
_TEMPORARY_FILE = re.compile(r"^tmp-.+-[0-9a-f]{8}$")
_THUMBNAIL = re.compile(r"^[0-9a-f]{40}\.(jpg|png)$")


def find(library: Library) -> list[Path]:
    """Files and folders that no row stands for.

    Index folders count only where their name is an older version's of a spec that the
    catalog knows (``NAME-v3``), or temporary; thumbnails where their slide has no row.
    """
    return [*groups(library), *_temporary_files(library), *_indexes(library), *_pictures(library)]


def groups(library: Library) -> list[Path]:
    """Zarr groups without a row, of this catalog or of a part's."""
    known = known_keys(library)
    return sorted(
        path
        for path in library.embeddings_path.iterdir()
        if _GROUP.match(path.name) and path.name not in known
    )


def known_keys(library: Library) -> set[str]:
    """Keys of all rows, removed ones too: their arrays go with a compaction."""
    from pathsearch.library.parts import part_keys

    keys = {row[0] for row in library.catalog.rows("SELECT DISTINCT key FROM segments")}
    return keys | part_keys(library)


def _temporary_files(library: Library) -> list[Path]:
    from pathsearch.library.parts import half_made_parts

    found = half_made_parts(library)
    for folder in (library.path, library.path / "thumbnails"):
        if folder.is_dir():
            found += [p for p in folder.iterdir() if _TEMPORARY_FILE.match(p.name)]
    return sorted([*found, *library.path.glob("parts/tmp-merged-*")])


def _indexes(library: Library) -> list[Path]:
    if not library.index_path.is_dir():
        return []
    used = {state.folder for state in library.catalog.index_states()}
    return sorted(p for p in library.index_path.iterdir() if p.is_dir() and p.name not in used)


def _pictures(library: Library) -> list[Path]:
    folder = library.path / "thumbnails"
    if not folder.is_dir():
        return []
    from pathsearch.library.parts import part_slide_ids

    ids = {row[0] for row in library.catalog.rows("SELECT slide_id FROM slides")}
    known = {thumbnail_stem(slide_id) for slide_id in ids | part_slide_ids(library)}
    return sorted(p for p in folder.iterdir() if _THUMBNAIL.match(p.name) and p.stem not in known)


def sweep(writer: Writer) -> int:
    """Remove the left-overs; nothing of a part run that may still be going on.

    Returns
    -------
    int
        Number of files and folders removed.
    """
    from pathsearch.library.parts import parts_at_work

    library = writer.library
    found = [*_temporary_files(library), *_indexes(library)]
    if not parts_at_work(library):
        found += [*groups(library), *_pictures(library)]
    count = 0
    with writing_to(library.path):
        for path in found:
            try:
                (remove_tree if path.is_dir() else remove_file)(path)
                count += 1
            except (LibraryWriteError, PermissionError):
                # Windows: a viewer has an old index open. The next sweep gets it.
                log.info("%s: still in use, kept for now", path)
    return count


__all__ = ["TEMPORARY", "find", "groups", "known_keys", "sweep"]
