"""Tell where the slides of a library are on this machine, or for everyone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.errors import LibraryError, UsageError
from pathsearch.library.durable import absolute
from pathsearch.library.roots import join, map_root, mapped_roots

if TYPE_CHECKING:
    from pathsearch.library import Library

#: Missing slides that are named one by one.
NAMED = 20


@dataclass(frozen=True)
class Relocation:
    """What was found at the new place.

    Attributes
    ----------
    root : str
    folder : str
        Where it is now.
    found : int
        Slides of the root that are there.
    missing : int
        Slides of the root that are not.
    examples : tuple of str
        Ids of the first missing ones.
    changed : tuple of str
        Ids of slides whose file has another size than when it was indexed.
    """

    root: str
    folder: str
    found: int
    missing: int
    examples: tuple[str, ...]
    changed: tuple[str, ...]


def relocate(
    library: Library, root: str, folder: Path | str, *, for_everyone: bool = False
) -> Relocation:
    """Map a root to where its slides are now.

    By default only this user on this machine is concerned: the mapping is kept in the
    user's own settings, and the library, which may be a colleague's, is not touched.

    Parameters
    ----------
    library : Library
    root : str
        Name of the root; see `Library.roots`.
    folder : Path or str
        Where it is now.
    for_everyone : bool
        Change the place that the library itself remembers, and forget this user's own.

    Raises
    ------
    UsageError
        The library has no such root, or there is no such folder.
    LibraryError
        None of the root's slides is there; then nothing was changed.
    """
    folder = absolute(folder)
    known = library.roots()
    if root not in known:
        raise UsageError(
            f"{library.path.name} has no root '{root}'; it has {', '.join(known) or 'none'}.",
            root=root,
        )
    if not folder.is_dir():
        raise UsageError(f"{folder}: is not a folder.", path=str(folder))
    result = _look(library, root, folder)
    if result.missing and not result.found:
        raise LibraryError(
            f"{folder}: none of the {result.missing} slides of root '{root}' is there (for "
            f"instance {result.examples[0]}); name the folder that holds them.",
            path=str(folder),
        )
    if for_everyone:
        with library.writer() as writer:
            writer.move_root(root, folder)
        if root in mapped_roots(library.library_id):
            map_root(library.library_id, root, None)
    else:
        map_root(library.library_id, root, folder)
    return result


def _look(library: Library, root: str, folder: Path) -> Relocation:
    found, missing, changed = 0, [], []
    for slide in library.slides():
        if slide.root != root:
            continue
        place = join(folder, slide.path)
        if not place.exists():
            missing.append(slide.slide_id)
            continue
        found += 1
        if slide.file_size and place.is_file() and place.stat().st_size != slide.file_size:
            changed.append(slide.slide_id)
    return Relocation(
        root, str(folder), found, len(missing), tuple(missing[:NAMED]), tuple(changed[:NAMED])
    )
