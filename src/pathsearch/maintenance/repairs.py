"""Take out what is damaged, so that the rest can be trusted and a rerun heals it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.library import Library
from pathsearch.library.durable import absolute, remove_tree, writing_to
from pathsearch.library.records import Problem
from pathsearch.maintenance.migration import migrate

if TYPE_CHECKING:
    from pathsearch.library import Writer

#: Damage of a segment's arrays or row: the segment is taken out, its slide indexed again.
_OF_SEGMENTS = frozenset(
    {
        "arrays-missing",
        "arrays-damaged",
        "arrays-changed",
        "vectors-not-finite",
        "vectors-not-unit",
        "norms-wrong",
        "coords-outside",
        "coords-twice",
        "tissue-range",
        "scales-wrong",
        "key-mismatch",
        "spec-unknown",
        "fingerprint-mismatch",
    }
)
_OF_INDEXES = frozenset({"index-missing", "index-damaged", "index-foreign"})
#: What a slide's row says until it is indexed again.
DAMAGED_CODE = "library-corrupt"


@dataclass(frozen=True)
class Repair:
    """What a repair did.

    Attributes
    ----------
    actions : tuple of str
        One line each.
    index_again : tuple of str
        Ids of slides whose patches were taken out; the next ``pathsearch index`` over
        their folder brings them back.
    left : tuple of Problem
        What is still wrong; errors here need a backup.
    """

    actions: tuple[str, ...]
    index_again: tuple[str, ...]
    left: tuple[Problem, ...]


def repair(path: Path | str, *, deep: bool = False, wait: float = 0.0) -> Repair:
    """Bring a library up to date, take out what is damaged, sweep what is left over.

    Never invents data: a damaged segment is removed and its slide marked, so that the
    next indexing run reads it again.

    Parameters
    ----------
    path : Path or str
        The library; also one of an older format.
    deep : bool
        As `Library.verify`.
    wait : float
        Seconds to wait for another writer.

    Raises
    ------
    LibraryError
        It cannot be opened at all; the message says what to restore.
    """
    path = absolute(path)
    actions = [f"brought from format {old} to {old + 1}" for old in migrate(path)]
    with Library.open(path, read_only=False) as library, library.writer(wait=wait) as writer:
        problems = library.verify(deep=deep)
        if any(p.code == "catalog-damaged" for p in problems):
            actions += _catalog(writer)
            problems = library.verify(deep=deep)
        again = _segments(library, writer, problems)
        actions += [f"{slide_id}: damaged patches taken out" for slide_id in again]
        actions += _slides(writer, problems)
        actions += _indexes(library, writer, problems)
        swept = writer.sweep()
        if swept:
            actions.append(f"{swept} left-overs removed")
        left = tuple(library.verify(deep=deep))
    return Repair(tuple(actions), tuple(again), left)


def _catalog(writer: Writer) -> list[str]:
    """Rows that belong to nothing, and SQLite's own indexes, can be mended."""
    with writer.transaction() as connection:
        connection.execute("REINDEX")
        orphans = connection.execute(
            "DELETE FROM segments WHERE slide_id NOT IN (SELECT slide_id FROM slides)"
        ).rowcount
        connection.execute("DELETE FROM log WHERE run NOT IN (SELECT number FROM runs)")
    actions = ["the catalog's own indexes built anew"]
    if orphans:
        actions.append(f"{orphans} rows without a slide removed")
    return actions


def _segments(library: Library, writer: Writer, problems: list[Problem]) -> list[str]:
    """Retire damaged segments and erase their arrays; the ids of their slides."""
    numbers = {p.segment for p in problems if p.code in _OF_SEGMENTS}
    damaged = [s for s in library.segments() if s.number in numbers]
    empty = {p.slide_id for p in problems if p.code == "slide-without-patches"}
    ids = sorted({s.slide_id for s in damaged} | empty)
    if not ids:
        return ids
    with writer.transaction() as connection:
        for segment in damaged:
            connection.execute("DELETE FROM segments WHERE number = ?", (segment.number,))
        for slide_id in ids:
            # A file time that no file has: the next run takes the slide for changed.
            connection.execute(
                "UPDATE slides SET status = 'failed', error_code = ?, error_message = ?, "
                "error_spec = '', file_mtime_ns = 0 WHERE slide_id = ?",
                (DAMAGED_CODE, "its stored patches were damaged; index it again.", slide_id),
            )
    kept = {s.key for s in library.segments(include_removed=True)}
    with writing_to(library.path):
        for segment in damaged:
            if segment.key not in kept:
                remove_tree(library.embeddings_path / segment.key)
    return ids


def _slides(writer: Writer, problems: list[Problem]) -> list[str]:
    numbers = [p.segment for p in problems if p.code == "removed-but-live"]
    if not numbers:
        return []
    with writer.transaction() as connection:
        for number in numbers:
            connection.execute("UPDATE segments SET removed = 1 WHERE number = ?", (number,))
    return [f"{len(numbers)} segments of removed slides taken out"]


def _indexes(library: Library, writer: Writer, problems: list[Problem]) -> list[str]:
    from pathsearch.search.build import rebuild_index

    actions = []
    for state in library.catalog.index_states():
        mine = [
            p for p in problems if p.code in _OF_INDEXES and f"index of {state.spec}:" in p.message
        ]
        if mine and state.spec in library.specs:
            writer.drop_index_state(state.spec)
            rebuild_index(library, writer, state.spec)
            actions.append(f"index of {state.spec} built anew")
    return actions
