"""The question and a match in two linked canvases, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QCloseEvent, QKeyEvent
from qtpy.QtWidgets import QSplitter, QVBoxLayout, QWidget

from napari_pathsearch.gallery.colours import ASKED, FOUND
from napari_pathsearch.gallery.delegate import PictureSource
from napari_pathsearch.gallery.pictures import Place
from napari_pathsearch.pane import Sight, SlidePane, link
from pathsearch.nouns import Match, Picture, Point, Query, Region

if TYPE_CHECKING:
    from napari_pathsearch.session import Session

_UM_AROUND_A_POINT = 112.0


class SideBySide(QWidget):
    """Two panes that move and zoom together.

    Signals
    -------
    closed
    """

    closed = Signal()

    def __init__(self, source: PictureSource | None, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setWindowTitle("Question and match")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.asked, self.found = SlidePane(ASKED), SlidePane(FOUND)
        for pane in (self.asked, self.found):
            pane.set_source(source)
        link(self.asked, self.found)
        both = QSplitter(Qt.Orientation.Horizontal)
        both.addWidget(self.asked)
        both.addWidget(self.found)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(both)
        self.resize(1100, 560)

    def ask_about(self, sight: Sight | None) -> None:
        """Show the question."""
        self.asked.show_sight(sight, "Marked")

    def show_match(self, sight: Sight, title: str) -> None:
        """Show a match, at the zoom of the question."""
        zoom = self.asked.view[2] if self.asked.sight is not None else None
        right, down = self.asked.view[:2]
        self.found.show_sight(sight, title, zoom)
        if self.asked.sight is not None and zoom is not None:
            self.found.follow(right, down, zoom)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Escape closes."""
        if event.key() == Qt.Key.Key_Escape:
            self.close()
        else:
            super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Stop reading."""
        for pane in (self.asked, self.found):
            pane.set_source(None)
        self.closed.emit()
        super().closeEvent(event)


def match_sight(match: Match) -> Sight:
    """A match as a pane shows it."""
    box = match.footprint
    return Sight(Place(match.key.slide_id, box.x, box.y, box.width, box.height), match.mpp)


def asked_sight(session: Session, query: Query) -> Sight | None:
    """The first example of a question; None where it has no place in a slide."""
    for example in query.like:
        if isinstance(example, Picture):
            return None
        if isinstance(example, Region | Point):
            mpp = _mpp_of(session, example.slide)
            if mpp:
                return _sight_of(example, mpp)
    return None


def _mpp_of(session: Session, slide: str) -> float | None:
    record = session.record(slide)
    if record is not None and record.mpp:
        return record.mpp
    opened = session.opened.get(slide)
    return opened.slide.mpp if opened is not None else None


def _sight_of(example: Region | Point, mpp: float) -> Sight:
    if isinstance(example, Point):
        side = _UM_AROUND_A_POINT / mpp
        box = (example.x - side / 2, example.y - side / 2, side, side)
        return Sight(Place(example.slide, *box), mpp)
    rings = tuple(ring for polygon in example.polygons for ring in polygon)
    xs = [x for ring in rings for x, _ in ring]
    ys = [y for ring in rings for _, y in ring]
    left, top = min(xs), min(ys)
    place = Place(example.slide, left, top, max(xs) - left, max(ys) - top)
    return Sight(place, mpp, rings)
