"""Give back the space of what is no longer in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pathsearch.library.durable import size_of

if TYPE_CHECKING:
    from pathsearch.library import Library, Writer


@dataclass(frozen=True)
class Compaction:
    """What a compaction did.

    Attributes
    ----------
    segments : int
        Superseded and removed segments that were erased.
    slides : int
        Removed slides that were forgotten.
    rebuilt : tuple of str
        Specs whose index held patches that are gone, and was built anew.
    bytes_freed : int
    """

    segments: int
    slides: int
    rebuilt: tuple[str, ...]
    bytes_freed: int


def compact(library: Library, *, wait: float = 0.0) -> Compaction:
    """Erase superseded segments and removed slides, and rebuild what pointed to them.

    Rows go first, files after: what a kill leaves behind is swept by the next writer. A
    reader that still holds such a segment gets `SegmentGoneError` and asks again.

    Parameters
    ----------
    library : Library
    wait : float
        Seconds to wait for another writer.
    """
    before = size_of(library.path)
    with library.writer(wait=wait) as writer:
        gone = {s.number for s in library.segments(include_removed=True) if s.removed}
        forgotten = [slide.slide_id for slide in library.slides("removed")]
        with writer.transaction() as connection:
            connection.execute("DELETE FROM segments WHERE removed = 1")
            connection.execute(
                "DELETE FROM slides WHERE status = 'removed' AND NOT EXISTS "
                "(SELECT 1 FROM segments WHERE segments.slide_id = slides.slide_id)"
            )
        rebuilt = rebuild_stale_indexes(library, writer)
        writer.sweep()
        writer.vacuum()
    freed = max(0, before - size_of(library.path))
    return Compaction(len(gone), len(forgotten), tuple(rebuilt), freed)


def rebuild_stale_indexes(library: Library, writer: Writer) -> list[str]:
    """Rebuild the index of each spec that covers a segment which is not in use any more."""
    from pathsearch.search.build import rebuild_index

    rebuilt = []
    for spec in library.specs:
        state = library.index_state(spec)
        live = {s.number for s in library.segments(spec)}
        if state is not None and not live.issuperset(state.covered):
            rebuild_index(library, writer, spec)
            rebuilt.append(spec)
    return rebuilt
