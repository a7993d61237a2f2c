"""A library's slides into a library of another encoder: ``index --from``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pathsearch.errors import UsageError
from pathsearch.indexing.sources import Source

if TYPE_CHECKING:
    from pathsearch.config import TileSpec
    from pathsearch.library import Library


@dataclass(frozen=True)
class Carried:
    """What a library hands on.

    Attributes
    ----------
    sources : tuple of Source
        Its slides with their ids, roots, cases, metadata and the mpp that was used.
    specs : tuple of TileSpec
        Its magnifications.
    notes : tuple of str
        What could not be handed on.
    """

    sources: tuple[Source, ...]
    specs: tuple[TileSpec, ...]
    notes: tuple[str, ...] = ()


def carried(library: Library) -> Carried:
    """The slides and magnifications of a library, to be indexed into another.

    A slide whose file is missing fails when its turn comes, as any other would.

    Parameters
    ----------
    library : Library

    Raises
    ------
    UsageError
        There is not one slide whose file is known.
    """
    from pathsearch.slides.discovery import files_of

    folders = library.root_folders()
    sources, unseen = [], []
    for record in library.slides():
        if record.root not in folders:
            unseen.append(record.slide_id)
            continue
        path = folders[record.root] / record.path
        sources.append(
            Source(
                slide_id=record.slide_id,
                path=path,
                files=files_of(path) if path.exists() else (path,),
                root=record.root,
                root_path=folders[record.root],
                relative=record.path,
                case_id=record.case_id,
                mpp=record.mpp,
                metadata=record.metadata,
            )
        )
    if not sources:
        raise UsageError(
            f"{library.path}: has no slide whose file is known; another encoder needs the pixels."
        )
    return Carried(tuple(sources), tuple(library.specs.values()), _notes(library, unseen))


def _notes(library: Library, unseen: list[str]) -> tuple[str, ...]:
    notes = []
    if unseen:
        notes.append(
            f"{len(unseen)} slides (for instance {unseen[0]}) were imported without their files, "
            "and are not carried."
        )
    drawn = {s.slide_id for s in library.segments() if s.regions}
    if drawn:
        notes.append(
            f"{len(drawn)} slides were cut to regions of your own, which the library does not "
            "hold: give --regions again, or all their tissue is taken."
        )
    return tuple(notes)
