"""The tab "Find": the question; its matches come in a dock below the canvas."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_pathsearch.ask.panel import AskPanel
from napari_pathsearch.finder import finder_of
from napari_pathsearch.gallery.dock import MatchesDock
from napari_pathsearch.judge.news import NewsLine
from napari_pathsearch.session import Session


class FindTab(AskPanel):
    """`AskPanel`, and the gallery that opens with the first answer.

    Attributes
    ----------
    matches : MatchesDock
    news : NewsLine
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        self.finder = finder_of(session)
        super().__init__(self.finder, parent)
        self.matches = MatchesDock(self.finder)
        self.news = NewsLine(self.finder, self)
        self.layout().insertWidget(0, self.news)
        self._dock: Any = None
        self.finder.round_shown.connect(self._open_dock)
        self.destroyed.connect(self.matches.deleteLater)

    def _open_dock(self, _: object) -> None:
        if self._dock is None:
            window = self.finder.session.viewer.window
            self._dock = window.add_dock_widget(self.matches, name="Matches", area="bottom")
            self._make_room()
        elif not self._dock.isVisible():
            self._dock.show()

    def _make_room(self) -> None:
        """Whole cards from the start; the user may drag the edge."""
        dock, window = self.matches.parent(), self.matches.window()
        while dock is not None and not isinstance(dock, QDockWidget):
            dock = dock.parent()
        if dock is not None and isinstance(window, QMainWindow):
            high = self.matches.wanted_height()
            window.resizeDocks([dock], [high], Qt.Orientation.Vertical)
