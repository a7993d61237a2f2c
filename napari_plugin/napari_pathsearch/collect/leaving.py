"""A collection leaves the viewer: pages, packs, pictures, tables, annotations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.review.records import Collection

if TYPE_CHECKING:
    from napari_pathsearch.finder import Finder
    from pathsearch.export.dossier import Dossier
    from pathsearch.library import Library

KINDS = (
    ("A page (HTML)…", "page"),
    ("A quiz: a page that hides the answers…", "quiz"),
    ("A pack that opens without the slides (zip)…", "pack"),
    ("Pictures with scale bars, in a folder…", "pictures"),
    ("A contact sheet (PDF)…", "sheet"),
    ("Annotations for QuPath, in a folder…", "annotations"),
    ("A table (CSV)…", "table"),
)
#: Kinds that are a folder.
FOLDERS = ("pictures", "annotations")
_ENDINGS = {"page": "html", "quiz": "html", "pack": "zip", "sheet": "pdf", "table": "csv"}


def proposed(name: str, kind: str) -> str:
    """A file name for a collection."""
    safe = "".join(c if c.isalnum() or c in " -_" else "_" for c in name).strip() or "collection"
    ending = _ENDINGS.get(kind)
    return f"{safe}.{ending}" if ending else safe


def write(finder: Finder, collection: Collection, kind: str, target: Path) -> None:
    """Write a collection in the background, and say where it is.

    Parameters
    ----------
    finder : Finder
    collection : Collection
    kind : str
        One of `KINDS`.
    target : Path
        A file; a folder for `FOLDERS`.
    """
    session = finder.session
    library, hidden = session.library, session.hide_names
    if library is None:
        return

    def work(_: object) -> int:
        from pathsearch.export.dossier import masked, of_collection
        from pathsearch.export.pseudonyms import Pseudonyms
        from pathsearch.review import Reviews

        dossier = of_collection(library, collection, quiz=kind == "quiz")
        if hidden:
            dossier = masked(dossier, library, Pseudonyms.of_user())
        _write(library, dossier, kind, target)
        with Reviews(library) as reviews:
            reviews.log_export(kind, target, items=len(dossier.items), pseudonymised=hidden)
        return len(dossier.items)

    def done(count: int) -> None:
        masked = " Names are replaced by pseudonyms." if hidden else ""
        session.say(f"Wrote {count} places to {target}.{masked}")

    session.say(f"Writing {target.name} …")
    session.run(work, done=done)


def _write(library: Library, dossier: Dossier, kind: str, target: Path) -> None:
    from pathsearch.export import files
    from pathsearch.export.pack import write_pack
    from pathsearch.export.page import write_page

    if kind in ("page", "quiz"):
        write_page(target, library, dossier)
    elif kind == "pack":
        write_pack(target, library, dossier)
    elif kind == "pictures":
        files.write_patches(target, library, dossier, times=3.0, bar=True)
    elif kind == "sheet":
        files.write_sheet(target, library, dossier)
    elif kind == "annotations":
        files.write_geojson(target, dossier)
    else:
        files.write_csv(target, dossier)
