"""The dock widget: the library's slides, the question, and a line that says how it goes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QDockWidget,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QInputDialog,
    QMainWindow,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_pathsearch.ask.panel import is_picture
from napari_pathsearch.collect.shelf import places_on_canvas
from napari_pathsearch.collect.tab import CollectionsTab
from napari_pathsearch.find_tab import FindTab
from napari_pathsearch.index_bar import IndexBar
from napari_pathsearch.message_line import MessageLine
from napari_pathsearch.new_library import LibraryDialog
from napari_pathsearch.session import Session, session_of
from napari_pathsearch.slide_list import SlideList
from napari_pathsearch.zoom import ZoomBar
from pathsearch.config import SANE_MPP

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
    slides : SlideList
    find : FindTab
    collections : CollectionsTab
    index_bar : IndexBar
    messages : MessageLine
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self.session: Session = session_of(napari_viewer)
        self._tied = False
        self.setAcceptDrops(True)
        self.setMinimumWidth(330)
        self.tabs = QTabWidget(self)
        self.slides = SlideList(self.session, self)
        self.tabs.addTab(self.slides, "Slides")
        self.find = FindTab(self.session, self)
        self.tabs.addTab(self.find, "Find")
        self.collections = CollectionsTab(self.find.finder, self)
        self.tabs.addTab(self.collections, "Collections")
        self.index_bar = IndexBar(self.session, self)
        self.messages = MessageLine(self.session, self)
        self._hide = QCheckBox("Hide names", self)
        self._hide.setToolTip("Hide names and case numbers everywhere (Alt+H)")
        layout = QVBoxLayout(self)
        layout.addLayout(self._buttons())
        layout.addWidget(self.tabs, 1)
        zoom = ZoomBar(self.session, self)
        layout.addWidget(zoom)
        below = QHBoxLayout()
        below.addWidget(self._hide)
        below.addStretch(1)
        below.addWidget(zoom.label)
        layout.addLayout(below)
        layout.addWidget(self.index_bar)
        layout.addWidget(self.messages)
        self._hide.toggled.connect(partial(setattr, self.session, "hide_names"))
        self.session.names_hidden.connect(self._hide.setChecked)
        napari_viewer.bind_key("Alt-H", lambda _: self._hide.toggle(), overwrite=True)
        napari_viewer.bind_key("C", lambda _: self.collect(), overwrite=True)
        self.find.finder.news.changed.connect(self._badge)
        self.session.mpp_missing.connect(self.ask_mpp)
        self.slides.chosen.connect(self.session.open_slide)
        self.session.library_changed.connect(self._library_changed)
        self._library_changed()

    def _buttons(self) -> QGridLayout:
        grid = QGridLayout()
        self._add = QPushButton("Add slides…", self)
        self._locate = QPushButton("Locate slides…", self)
        buttons = (
            (QPushButton(self), "Open library…", "Open a folder NAME.pathsearch", self.ask_open),
            (QPushButton(self), "New library…", "Make a library from your slides", self.ask_new),
            (self._add, "Add slides…", "Index more slides into this library", self.ask_add),
            (
                self._locate,
                "Locate slides…",
                "Say where this library's slides are on this machine",
                self.ask_root,
            ),
        )
        for number, (button, text, tip, call) in enumerate(buttons):
            button.setText(text)
            button.setToolTip(tip)
            button.clicked.connect(call)
            grid.addWidget(button, number // 2, number % 2)
        return grid

    def _library_changed(self) -> None:
        library = self.session.library
        self._add.setEnabled(library is not None and not library.read_only)
        self._locate.setEnabled(library is not None)

    def _badge(self) -> None:
        """How many slides have come in since the latest search that was judged."""
        found = self.find.finder.news.found
        words = f"Find ({found[0].slides} new)" if found else "Find"
        self.tabs.setTabText(self.tabs.indexOf(self.find), words)

    def collect(self) -> None:
        """Collect what is marked on the slide, or else what is in view."""
        places = places_on_canvas(self.find.finder)
        if places:
            self.find.finder.shelf.collect(places)
        else:
            self.session.say("Open a slide of the library first: only its places are collected.")

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Qt's: the session ends with napari's window (a floating dock is another one)."""
        super().showEvent(event)
        if not self._tied and isinstance(self.window(), QMainWindow):
            self._tied = True
            self.window().destroyed.connect(self.session.close)

    def calm_window(self) -> None:
        """Put napari's layer controls away: the room is the tissue's.

        Looking, asking and judging need none of them; the menu "Window" brings them back.
        """
        for dock in self.window().findChildren(QDockWidget, "layer controls"):
            dock.hide()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Qt's: narrow, so that the slide has the room."""
        return QSize(380, 600)

    # ------------------------------------------------------------------------ open

    def open_path(self, path: str | Path, then: Any = None) -> None:
        """Open a library or a slide."""
        if Path(path).is_dir() and (
            Path(path).name.endswith(".pathsearch") or (Path(path) / "library.json").is_file()
        ):
            self.session.open_library(path, then)
        else:
            self.session.open_slide(path, then)

    def ask_open(self) -> None:
        """Ask for a library's folder."""
        found = QFileDialog.getExistingDirectory(self, "Open a library (a folder NAME.pathsearch)")
        if found:
            self.session.open_library(found)

    def ask_new(self) -> LibraryDialog:
        """Ask what a new library is made from."""
        return self._ask_index(LibraryDialog(None, self))

    def ask_add(self) -> LibraryDialog:
        """Ask what is added to the library."""
        return self._ask_index(LibraryDialog(self.session.library, self))

    def _ask_index(self, dialog: LibraryDialog) -> LibraryDialog:
        if self.index_bar.running:
            self.session.say("Slides are being indexed already; pause that first.", kind="warning")
            return dialog
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.ordered.connect(self.index_bar.begin)
        dialog.open()
        return dialog

    def ask_mpp(self, slide: str, again: Callable[[float], None]) -> QInputDialog:
        """Ask for the resolution that a slide's file does not say."""
        dialog = QInputDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle("Resolution")
        dialog.setInputMode(QInputDialog.InputMode.DoubleInput)
        dialog.setDoubleDecimals(4)
        dialog.setDoubleRange(*SANE_MPP)
        dialog.setDoubleValue(0.25)
        dialog.setLabelText(
            f"{self.session.name_of(slide)} does not say how many µm a pixel is.\n"
            "40x scanners make about 0.25, 20x scanners about 0.5:"
        )
        dialog.doubleValueSelected.connect(again)
        dialog.open()
        return dialog

    def ask_root(self) -> None:
        """Ask where the slides of the library's folders are on this machine."""
        library = self.session.library
        if library is None:
            return
        for name, folder in library.root_folders().items():
            found = QFileDialog.getExistingDirectory(
                self, f"Where is the folder “{name}” now? It was {folder}"
            )
            if found:
                self.set_root(name, found)

    def set_root(self, name: str, folder: str | Path) -> None:
        """Remember where a root is on this machine; the library itself is not changed."""
        from pathsearch.library import map_root

        library = self.session.library
        if library is None:
            return
        identity = library.library_id
        self.session.run(
            lambda _: map_root(identity, name, Path(folder)),
            done=lambda _: self.session.say(f"“{name}” is looked for in {folder} from now on."),
        )

    # ------------------------------------------------------------------- drag, drop

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Qt's: files may be dropped."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Qt's: libraries and slides open; a picture is asked with."""
        for url in event.mimeData().urls():
            if not url.isLocalFile():
                continue
            path = url.toLocalFile()
            if is_picture(path) and self.session.library is not None:
                self.tabs.setCurrentWidget(self.find)
                self.find.ask_resolution(path)
            else:
                self.open_path(path)
        event.acceptProposedAction()


def show_panel(viewer: napari.Viewer) -> Panel:
    """The viewer's panel, opened if it is not."""
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    return panel
