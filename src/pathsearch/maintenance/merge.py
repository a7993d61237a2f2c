"""Fold the part catalogs of a job array into the library."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.errors import LibraryCorruptError, SlideIdClashError
from pathsearch.library.catalog import CATALOG_NAME, Catalog
from pathsearch.library.changes import commit_within, put_failure_within, upsert_slide
from pathsearch.library.lock import LOCK_NAME, WriterLock
from pathsearch.library.parts import drop_part, part_folders
from pathsearch.library.records import SegmentRecord, SlideRecord

if TYPE_CHECKING:
    import sqlite3

    from pathsearch.library import Library


@dataclass(frozen=True)
class Merge:
    """What a merge did.

    Attributes
    ----------
    parts : int
        Part catalogs that were folded in.
    slides : int
        Slides that they had rows of.
    segments : int
        Segments that are new in the library.
    failed : int
        Slides that failed in their part.
    missing : tuple of int
        Numbers of parts that have not begun, out of the division that was found.
    """

    parts: int
    slides: int
    segments: int
    failed: int
    missing: tuple[int, ...]


@dataclass(frozen=True)
class _Found:
    slide: SlideRecord
    segments: list[SegmentRecord]


def merge_parts(library: Library, *, wait: float = 0.0) -> Merge:
    """Make what parts have committed a part of the library, as one run would have.

    Everything in one transaction, slides in the order of their ids, so that the numbers
    do not depend on how the work was divided. May be killed and repeated.

    Raises
    ------
    LibraryLockedError
        A part, or another writer, is still at work; then nothing was merged.
    LibraryCorruptError
        The arrays of a part are missing; the message names the part to run again.
    SlideIdClashError
        Parts were run over folders of one name at different places; nothing was merged.
    """
    folders = part_folders(library)
    with library.writer(wait=wait) as writer, contextlib.ExitStack() as held:
        catalogs = [_held(folder, held, wait) for folder in folders]
        found = sorted(_all(catalogs), key=lambda f: f.slide.slide_id)
        _check_arrays(library, found)
        before = len(library.segments(include_removed=True))
        with writer.transaction() as connection:
            for catalog in catalogs:
                _roots(connection, catalog)
            for item in found:
                _merge_slide(connection, item)
            for catalog in catalogs:
                _runs(connection, catalog)
        segments = len(library.segments(include_removed=True)) - before
        held.close()
        for folder in folders:
            drop_part(folder)
        writer.sweep()
    failed = sum(1 for f in found if f.slide.error_code)
    return Merge(len(folders), len(found), segments, failed, _missing(folders))


def _held(folder: Path, held: contextlib.ExitStack, wait: float) -> Catalog:
    """A part's catalog, under the part's own lock."""
    catalog = Catalog(folder / CATALOG_NAME, read_only=False)
    held.callback(catalog.close)
    lock = WriterLock(folder / LOCK_NAME, catalog)
    lock.acquire(wait)
    held.callback(lock.release)
    return catalog


def _all(catalogs: list[Catalog]) -> list[_Found]:
    found = []
    for catalog in catalogs:
        live: dict[str, list[SegmentRecord]] = {}
        for segment in catalog.segments("WHERE removed = 0"):
            live.setdefault(segment.slide_id, []).append(segment)
        found += [_Found(s, live.get(s.slide_id, [])) for s in catalog.slides()]
    return found


def _check_arrays(library: Library, found: list[_Found]) -> None:
    for item in found:
        for segment in item.segments:
            if segment.rows and not (library.embeddings_path / segment.key).is_dir():
                raise LibraryCorruptError(
                    f"{library.path}: the arrays of {segment.slide_id} are missing; delete the "
                    f"folder {library.path / 'parts'} and run the parts again.",
                    slide_id=segment.slide_id,
                )


def _roots(connection: sqlite3.Connection, part: Catalog) -> None:
    known = dict(connection.execute("SELECT name, path FROM roots").fetchall())
    for name, path in part.rows("SELECT name, path FROM roots"):
        if known.setdefault(name, path) != path:
            raise SlideIdClashError(
                f"root '{name}' is {known[name]} and {path}: one id could be two slides; delete "
                f"the folder {part.path.parent} and run that part again over the same folders.",
                root=name,
            )
        connection.execute("INSERT OR IGNORE INTO roots VALUES (?, ?)", (name, path))


def _merge_slide(connection: sqlite3.Connection, item: _Found) -> None:
    slide = item.slide
    for segment in item.segments:
        commit_within(connection, slide, replace(segment, number=0))
    if not item.segments and not slide.error_code:
        upsert_slide(connection, slide)
    if slide.error_code:
        failure = (slide.error_code, slide.error_message, slide.error_spec)
        put_failure_within(connection, slide, failure)


def _runs(connection: sqlite3.Connection, part: Catalog) -> None:
    columns = "started, ended, command, software, counts"
    for number, *row in part.rows(f"SELECT number, {columns} FROM runs ORDER BY number"):  # noqa: S608
        cursor = connection.execute(
            f"INSERT INTO runs ({columns}) VALUES (?, ?, ?, ?, ?)",  # noqa: S608
            row,
        )
        for line in part.log(number):
            connection.execute(
                "INSERT INTO log VALUES (?, ?, ?, ?)",
                (cursor.lastrowid, line.at, line.slide_id, line.message),
            )


def _missing(folders: list[Path]) -> tuple[int, ...]:
    if not folders:
        return ()
    numbers = {int(folder.name.split("-")[1]) for folder in folders}
    count = int(folders[0].name.split("-")[3])
    return tuple(n for n in range(1, count + 1) if n not in numbers)
