"""What leaves the viewer: tables, annotations for QuPath, a page, coordinates."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QWidget

from pathsearch.nouns import Match

if TYPE_CHECKING:
    from napari_pathsearch.finder import Finder

#: Words of the menu and kind of file.
KINDS = (
    ("Table (CSV)…", "csv"),
    ("Annotations for QuPath (GeoJSON)…", "geojson"),
)
_FILTERS = {
    "csv": "Table (*.csv)",
    "geojson": "GeoJSON (*.geojson)",
}


def place_of(match: Match) -> str:
    """A match's place as `pathsearch query --like` takes it; level-0 pixels."""
    box = match.footprint
    return f"{match.key.slide_id}#{box.x},{box.y},{box.width},{box.height}"


def export(
    finder: Finder, chosen: Sequence[Match], kind: str, target: str, parent: QWidget | None
) -> None:
    """Write matches to a file, in the background.

    Parameters
    ----------
    finder : Finder
    chosen : sequence of Match
        What to write; empty for all that is shown.
    kind : {'csv', 'geojson'}
    target : str
        Empty asks the user, without blocking.
    parent : QWidget or None
    """
    seen = finder.seen
    matches = tuple(chosen) or (seen.found if seen is not None else ())
    if not matches:
        finder.session.say("There are no matches to write yet.")
        return
    if target:
        _write(finder, matches, kind, Path(target))
        return
    dialog = QFileDialog(parent, "Save as", f"matches.{kind}", _FILTERS[kind])
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(kind)
    dialog.fileSelected.connect(lambda path: _write(finder, matches, kind, Path(path)))
    dialog.open()


def _write(finder: Finder, matches: tuple[Match, ...], kind: str, target: Path) -> None:
    text = _WRITERS[kind]

    def work(_: object) -> Path:
        target.write_text(text(matches), encoding="utf-8")
        return target

    def done(path: Path) -> None:
        where = "Names are in the file." if finder.session.hide_names else ""
        finder.session.say(f"Wrote {len(matches)} matches to {path}. {where}".strip())
        review = finder.book.review
        finder.book.ask_store(
            lambda store: store.log_export(kind, path, review=review, items=len(matches))
        )

    finder.session.run(work, done=done)


def _csv(matches: tuple[Match, ...]) -> str:
    from pathsearch.export import matches_to_csv

    return matches_to_csv(matches)


def _geojson(matches: tuple[Match, ...]) -> str:
    from pathsearch.export import matches_to_geojson

    return json.dumps(matches_to_geojson(matches), allow_nan=False)


_WRITERS: dict[str, Callable[[tuple[Match, ...]], str]] = {"csv": _csv, "geojson": _geojson}
