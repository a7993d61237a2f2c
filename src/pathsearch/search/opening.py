"""Open index files, and trust them only as far as they agree with the library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pathsearch.errors import IndexFileError, LibraryCorruptError
from pathsearch.index.files import OpenIndex, open_folder

if TYPE_CHECKING:
    from pathsearch.library import Library, SegmentRecord

#: Name, size and time of each file of a folder.
Stamp = tuple[tuple[str, int, int], ...]

#: Segments of which the index's rows are compared with the library's.
_ROWS_COMPARED = 4


def stamp_of(folder: Path) -> Stamp:
    """Names, sizes and times of a folder's files: whether somebody changed it."""
    try:
        facts = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    except OSError:
        return ()
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in facts)


def checked_index(
    library: Library, folder: Path, segments: Mapping[int, SegmentRecord]
) -> OpenIndex:
    """Open an index folder, and compare a few of its rows with the library's own.

    Raises
    ------
    IndexFileError
        It is damaged, of another encoder, or its rows are not the library's.
    """
    opened = open_folder(folder)
    if opened.manifest.encoder != library.encoder.fingerprint:
        raise IndexFileError(f"{folder} is of another encoder.", path=str(folder))
    held = [row for row in opened.segments.tolist() if row[0] in segments]
    for number, start, stop in held[:: max(1, len(held) // _ROWS_COMPARED)]:
        segment = segments[number]
        if stop - start == segment.rows:
            try:
                stored = library.read_rows(segment, [0, segment.rows - 1])
            except LibraryCorruptError:  # the index may be all that is left of it
                continue
            at = [start, stop - 1]
            same = np.array_equal(opened.exact.vectors[at], stored.vectors)
            if same and np.array_equal(opened.coords[at], stored.coords):
                continue
        raise IndexFileError(
            f"{folder} does not hold the patches of {segment.slide_id}.", path=str(folder)
        )
    return opened
