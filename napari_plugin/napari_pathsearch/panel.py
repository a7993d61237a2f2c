"""The dock widget: the library's slides, the question, and a line that says how it goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QLabel, QTabWidget, QVBoxLayout, QWidget

from napari_pathsearch.session import Session, session_of
from napari_pathsearch.words import Message

if TYPE_CHECKING:
    import napari

PLUGIN, WIDGET = "napari-pathsearch", "pathsearch"


class Panel(QWidget):
    """napari's dock widget of this plugin.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        napari passes it by this name.

    Attributes
    ----------
    session : Session
    tabs : QTabWidget
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self.session: Session = session_of(napari_viewer)
        self.tabs = QTabWidget(self)
        self._line = QLabel("", self)
        self._line.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tabs)
        layout.addWidget(self._line)
        self.session.said.connect(self._show)

    def open_path(self, path: str | Path) -> None:
        """Open a library or a slide."""
        if Path(path).is_dir() and (Path(path) / "library.json").is_file():
            self.session.open_library(path)
        else:
            self.session.open_slide(path)

    def _show(self, message: Message) -> None:
        self._line.setText(message.line)
        self._line.setToolTip(message.details)


def show_panel(viewer: napari.Viewer) -> Panel:
    """The viewer's panel, opened if it is not."""
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    return panel
