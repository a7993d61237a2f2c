"""What leaves the viewer: pages, tables, annotations for QuPath, coordinates.

Matches leave with the verdicts on them. While names are hidden, they leave with pseudonyms.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QWidget

from pathsearch.nouns import Match, PatchKey

if TYPE_CHECKING:
    from napari_pathsearch.finder import Finder
    from pathsearch.export.dossier import Dossier
    from pathsearch.library import Library
    from pathsearch.review import Review

#: Words of the menu and kind of file. 'session' kinds write all rounds.
KINDS = (
    ("Page with pictures (HTML)…", "html"),
    ("Table (CSV)…", "csv"),
    ("Annotations for QuPath, a file a slide (GeoJSON)…", "geojson"),
    ("Page of the whole session, all rounds (HTML)…", "session html"),
    ("Table of the whole session, all rounds (CSV)…", "session csv"),
)
_FILTERS = {"csv": "Table (*.csv)", "html": "Page (*.html)"}


def place_of(match: Match) -> str:
    """A match's place as `pathsearch query --like` takes it; level-0 pixels."""
    box = match.footprint
    return f"{match.key.slide_id}#{box.x},{box.y},{box.width},{box.height}"


def export(
    finder: Finder, chosen: Sequence[Match], kind: str, target: str, parent: QWidget | None
) -> None:
    """Write matches with their verdicts, in the background.

    Parameters
    ----------
    finder : Finder
    chosen : sequence of Match
        What to write; empty for all of the round that is shown.
    kind : str
        One of `KINDS`.
    target : str
        A file, or for GeoJSON a folder; empty asks the user, without blocking.
    parent : QWidget or None
    """
    seen = finder.seen
    matches = tuple(chosen) or (seen.found if seen is not None else ())
    if not matches:
        finder.session.say("There are no matches to write yet.")
        return
    keys = None if kind.startswith("session") else {match.key for match in matches}
    ending = kind.rsplit(maxsplit=1)[-1]
    if target:
        _write(finder, keys, ending, Path(target))
        return
    if ending == "geojson":
        dialog = QFileDialog(parent, "A folder for the annotations, a file a slide")
        dialog.setFileMode(QFileDialog.FileMode.Directory)
    else:
        dialog = QFileDialog(parent, "Save as", f"matches.{ending}", _FILTERS[ending])
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(ending)
    dialog.fileSelected.connect(lambda path: _write(finder, keys, ending, Path(path)))
    dialog.open()


def _write(finder: Finder, keys: Collection[PatchKey] | None, ending: str, target: Path) -> None:
    library, book, hidden = finder.session.library, finder.book, finder.session.hide_names
    if library is None:
        return

    def work(_: object) -> int:
        from pathsearch.review import Reviews

        review = book.stored()
        dossier = dossier_of(library, review, keys, hidden=hidden)
        _written(library, dossier, ending, target)
        with Reviews(library) as reviews:
            reviews.log_export(
                ending,
                target,
                review=review.review,
                items=len(dossier.items),
                pseudonymised=hidden,
            )
        return len(dossier.items)

    def done(count: int) -> None:
        masked = " Names are replaced by pseudonyms." if hidden else ""
        finder.session.say(f"Wrote {count} matches to {target}.{masked}")

    finder.session.say(f"Writing {target.name} …")
    finder.session.run(work, done=done)


def dossier_of(
    library: Library, review: Review, keys: Collection[PatchKey] | None, *, hidden: bool
) -> Dossier:
    """What is written of a review: some matches (None for all), with verdicts."""
    from pathsearch.export.dossier import masked, of_review
    from pathsearch.export.pseudonyms import Pseudonyms

    dossier = of_review(library, review)
    if keys is not None:
        wanted = {(key.slide_id, key.spec, key.x, key.y) for key in keys}
        items = [
            item
            for item in dossier.items
            if (item.source, item.spec, item.footprint.x, item.footprint.y) in wanted
        ]
        numbered = tuple(replace(item, number=n) for n, item in enumerate(items, 1))
        dossier = replace(dossier, items=numbered)
    return masked(dossier, library, Pseudonyms.of_user()) if hidden else dossier


def _written(library: Library, dossier: Dossier, ending: str, target: Path) -> None:
    from pathsearch.export.files import write_csv, write_geojson
    from pathsearch.export.page import write_page

    if ending == "html":
        write_page(target, library, dossier)
    elif ending == "csv":
        write_csv(target, dossier)
    else:
        write_geojson(target, dossier)
