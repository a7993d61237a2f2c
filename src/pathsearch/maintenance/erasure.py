"""Erase a patient, or single slides, from a library, and say what was not reached."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.errors import LibraryError, SlideNotFoundError, UsageError
from pathsearch.library.building import THUMBNAIL_FOLDER, THUMBNAIL_TYPES
from pathsearch.library.catalog import now
from pathsearch.library.durable import remove_file, remove_tree, writing_to
from pathsearch.library.keys import thumbnail_stem
from pathsearch.library.parts import part_folders
from pathsearch.review.files import REVIEW_FOLDER
from pathsearch.review.upkeep import erase_from_reviews, reviews_with

if TYPE_CHECKING:
    from pathsearch.library import Library, Writer

ERASED = "(erased)"
#: Shorter identifiers ("12") stand in any file by chance; they are checked row by row.
_TELLING = 6
#: Log lines that hold an identifier of this length are erased, rather one too many.
_ERASED_IN_TEXT = 3
#: Key in the meta table while an erasure is under way: what a killed one may go on with.
_BEGUN = "purge"
#: Raw vectors: their bytes are numbers, and are not searched for words.
_NO_WORDS = (".f16", ".f32", ".i32", ".faiss")

#: What no program can erase from here; part of every receipt.
NOT_REACHED = (
    "Copies and backups of this library, and of its catalog, made elsewhere.",
    "Exports already made: result tables, GeoJSON, HTML, pictures, feature files.",
    "Encoders trained on these slides: a network can hold traces of what it was trained on.",
    "Reviews and settings in other users' own folders, on this machine and others.",
    "The slides themselves, and the manifests and log files outside the library.",
    "Blocks that the disk's own hardware, snapshots or versioning keep after a deletion.",
)


@dataclass(frozen=True)
class Receipt:
    """Proof of an erasure, without identifiers.

    Attributes
    ----------
    library_id : str
    at : str
        ISO 8601, UTC.
    slides, segments, patches, thumbnails : int
        Erased.
    log_lines : int
        Erased lines and texts that named what was erased.
    review_rows : int
        Rows of reviews and collections that were erased or blanked.
    indexes : tuple of str
        Specs whose index files were erased, and built anew where `rebuilt`.
    rebuilt : bool
    verified : bool
        Always True: an erasure that cannot be verified is an error.
    not_reached : tuple of str
        Sentences for the person who asked.
    """

    library_id: str
    at: str
    slides: int
    segments: int
    patches: int
    thumbnails: int
    log_lines: int
    review_rows: int
    indexes: tuple[str, ...]
    rebuilt: bool
    verified: bool
    not_reached: tuple[str, ...]


@dataclass(frozen=True)
class _Target:
    """What has to go: rows by id, and words that may not remain anywhere."""

    slide_ids: tuple[str, ...]
    case_ids: tuple[str, ...]
    keys: tuple[str, ...]
    words: tuple[str, ...]
    patches: int
    segments: int


def purge(
    library: Library,
    *,
    case_ids: Sequence[str] = (),
    slide_ids: Sequence[str] = (),
    wait: float = 0.0,
    rebuild: bool = True,
) -> Receipt:
    """Erase cases or slides: vectors, index files, thumbnails, rows, log lines, reviews.

    The catalog is written anew, then every file of the library is searched for what was
    erased. A purge that is killed is repeated with the same words: it goes on where it was.

    Parameters
    ----------
    library : Library
    case_ids, slide_ids : sequence of str
        What to erase; at least one.
    wait : float
        Seconds to wait for another writer.
    rebuild : bool
        Build the erased indexes anew; without, search compares with every patch.

    Raises
    ------
    SlideNotFoundError
        One of the words is no case and no slide of the library; nothing is erased.
    UsageError
        Nothing was named, or parts of a job array are not merged yet.
    LibraryError
        Something of it is still there; the message says in which file.
    """
    if not case_ids and not slide_ids:
        raise UsageError("name the cases or the slides to erase.")
    if part_folders(library):
        raise UsageError(
            f"{library.path}: parts of a job array are not merged yet; run 'pathsearch index "
            "--merge' first, so that they are erased too."
        )
    with library.writer(wait=wait) as writer:
        target = _target(library, case_ids, slide_ids)
        # Before the rows that tell which slides these are: a killed purge is repeated whole
        review_rows = erase_from_reviews(library, target.slide_ids, target.case_ids, target.words)
        indexes = tuple(sorted({s.spec for s in library.catalog.index_states()}))
        with writer.transaction() as connection:
            log_lines = _erase_rows(connection, target)
            connection.execute("DELETE FROM index_state")
        thumbnails = _erase_files(library, target)
        writer.sweep()
        writer.vacuum()
        _check(library, target)
        with writer.transaction() as connection:
            connection.execute("DELETE FROM meta WHERE key = ?", (_BEGUN,))
        if rebuild:
            _rebuild(library, writer, indexes)
        run = writer.start_run("remove --purge")
        writer.end_run(run, {"slides": len(target.slide_ids), "patches": target.patches})
    return Receipt(
        library_id=library.library_id,
        at=now(),
        slides=len(target.slide_ids),
        segments=target.segments,
        patches=target.patches,
        thumbnails=thumbnails,
        log_lines=log_lines,
        review_rows=review_rows,
        indexes=indexes,
        rebuilt=rebuild,
        verified=True,
        not_reached=NOT_REACHED,
    )


def _target(library: Library, case_ids: Sequence[str], slide_ids: Sequence[str]) -> _Target:
    every = library.slides("all")
    wanted_cases, wanted_ids = set(case_ids) - {""}, set(slide_ids)
    slides = [s for s in every if s.case_id in wanted_cases or s.slide_id in wanted_ids]
    ids = {s.slide_id for s in slides}
    unknown = (wanted_ids - ids) | (wanted_cases - {s.case_id for s in slides})
    begun = set(library.catalog.meta(_BEGUN).split())
    wrong = sorted(word for word in unknown if _mark(word) not in begun)
    if wrong:
        raise SlideNotFoundError(
            f"{', '.join(wrong)}: no such case or slide in {library.path.name}; nothing was "
            "erased.",
            unknown=wrong,
        )
    segments = [s for s in library.segments(include_removed=True) if s.slide_id in ids]
    words = {s.slide_id for s in slides} | {s.path for s in slides} | unknown
    # A case whose other slides stay (only one of its slides is erased) keeps its name.
    gone_cases = wanted_cases | {s.case_id for s in slides}
    gone_cases -= {s.case_id for s in every if s.slide_id not in ids} | {""}
    return _Target(
        slide_ids=tuple(sorted(ids)),
        case_ids=tuple(sorted(gone_cases)),
        keys=tuple(sorted({s.key for s in segments})),
        words=tuple(sorted(words | gone_cases, key=len, reverse=True)),
        patches=sum(s.rows for s in segments),
        segments=len(segments),
    )


def _mark(word: str) -> str:
    """Stands for a word while its erasure is under way, without being it."""
    return hashlib.sha256(word.encode("utf-8", "surrogatepass")).hexdigest()


def _erase_rows(connection: sqlite3.Connection, target: _Target) -> int:
    count = 0
    for slide_id in target.slide_ids:
        connection.execute("DELETE FROM segments WHERE slide_id = ?", (slide_id,))
        connection.execute("DELETE FROM slides WHERE slide_id = ?", (slide_id,))
        count += connection.execute("DELETE FROM log WHERE slide_id = ?", (slide_id,)).rowcount
    for word in target.words:
        if len(word) < _ERASED_IN_TEXT:
            continue
        for sql in (
            "DELETE FROM log WHERE instr(message, :word) > 0 OR slide_id = :word",
            "UPDATE runs SET command = :erased WHERE instr(command, :word) > 0",
            "UPDATE slides SET error_message = :erased WHERE instr(error_message, :word) > 0",
        ):
            values = {"word": word, "erased": ERASED}
            count += connection.execute(sql, values).rowcount
    # The folder of a root may be called after the case; a root without slides has no use.
    connection.execute("DELETE FROM roots WHERE name NOT IN (SELECT root FROM slides)")
    marks = " ".join(sorted(map(_mark, target.words)))
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_BEGUN, marks))
    return count


def _erase_files(library: Library, target: _Target) -> int:
    thumbnails = 0
    with writing_to(library.path):
        for key in target.keys:
            remove_tree(library.embeddings_path / key)
        for slide_id in target.slide_ids:
            for ending in THUMBNAIL_TYPES:
                path = library.path / THUMBNAIL_FOLDER / (thumbnail_stem(slide_id) + ending)
                thumbnails += path.exists()
                remove_file(path)
        # All of them: a folder of before the last rebuild holds the vectors too.
        for folder in [*library.index_path.glob("*"), *library.path.glob("before-v*")]:
            remove_tree(folder) if folder.is_dir() else remove_file(folder)
    return thumbnails


def _check(library: Library, target: _Target) -> None:
    """Raise LibraryError where a row, a folder or a word is still there."""
    left = [key for key in target.keys if (library.embeddings_path / key).exists()]
    ids = {s.slide_id for s in library.slides("all")} & set(target.slide_ids)
    cases = {s.case_id for s in library.slides("all")} & set(target.case_ids)
    where = ["catalog.db"] if ids or cases else []
    where += [f"embeddings.zarr/{key}" for key in left]
    where += _files_with(library, _telling(library, target))
    if where:
        raise LibraryError(
            f"{library.path}: the erasure is not complete, something is left in "
            f"{', '.join(sorted(set(where)))}; close what has the library open and run it again.",
            files=sorted(set(where)),
        )


def _telling(library: Library, target: _Target) -> list[bytes]:
    """Words whose presence in a file proves a left-over: not a part of what stays."""
    stays = [w for s in library.slides("all") for w in (s.slide_id, s.path, s.case_id)]
    stays += [*library.roots(), *library.roots().values(), str(library.path)]
    header = (library.path / "library.json").read_text(encoding="utf-8")
    return [
        word.encode("utf-8")
        for word in target.words
        if len(word) >= _TELLING and word not in header and not any(word in kept for kept in stays)
    ]


def _files_with(library: Library, words: list[bytes]) -> list[str]:
    found: list[str] = []
    if not words:
        return found
    for folder, _, names in os.walk(library.path):
        for name in names:
            path = Path(folder, name)
            inside = path.relative_to(library.path)
            # The catalog and the reviews are asked through SQLite below: on POSIX, reading and
            # closing them by hand would drop this process's locks. Chunks hold numbers.
            if name.endswith(_NO_WORDS) or name.startswith("catalog.db") or "c" in inside.parts:
                continue
            if inside.parts[0] == REVIEW_FOLDER:
                continue
            data = path.read_bytes()
            if any(word in data for word in words):
                found.append(inside.as_posix())
    found += reviews_with(library, words)
    if any(word in library.catalog.image() for word in words):
        found.append("catalog.db")
    return found


def _rebuild(library: Library, writer: Writer, specs: Sequence[str]) -> None:
    from pathsearch.search.build import rebuild_index

    for spec in specs:
        if library.segments(spec, include_empty=False):
            rebuild_index(library, writer, spec)
