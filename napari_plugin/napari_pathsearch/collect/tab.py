"""The tab "Collections": places in an order, with captions, to show and to take along."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QModelIndex, QPoint, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QListView,
    QMenu,
    QPushButton,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from napari_pathsearch.collect import leaving
from napari_pathsearch.collect.place_model import PlaceDelegate, PlaceModel, PlaceRole
from napari_pathsearch.gallery.captions import Names

if TYPE_CHECKING:
    from napari_pathsearch.collect.shelf import Shelf
    from napari_pathsearch.finder import Finder
    from pathsearch.review.records import Place

_EMPTY = (
    "No collection yet.\n\nChoose matches and press C to gather them, or press C on a slide: what "
    "is marked is taken, or else what is in view."
)
_EMPTY_ONE = "This collection is empty. Choose matches and press C."


class CollectionsTab(QWidget):
    """Shows the shelf's current collection.

    Parameters
    ----------
    finder : Finder
    parent : QWidget, optional
    """

    def __init__(self, finder: Finder, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._finder = finder
        self.shelf: Shelf = finder.shelf
        self.names = QComboBox()
        self.model = PlaceModel(self)
        self.view = _Places(self)
        self.delegate = PlaceDelegate(self.view)
        self.up, self.down, self.caption = QPushButton("Up"), QPushButton("Down"), QPushButton()
        self.more, self.menu = QPushButton("Take along"), QMenu(self)
        self._empty = QLabel(_EMPTY)
        self._lay_out()
        self._fill_menu()
        self._connect()
        self._take_library()

    def _lay_out(self) -> None:
        self.names.setAccessibleName("Collection")
        self.names.setToolTip("The collection that C adds to")
        self.more.setMenu(self.menu)
        self.more.setToolTip("Pages, quizzes, packs, pictures, QuPath annotations; rename, delete")
        self.up.setToolTip("Move the chosen place up (Alt+Up)")
        self.down.setToolTip("Move the chosen place down (Alt+Down)")
        self.caption.setText("Caption…")
        self.caption.setToolTip("Say something of the chosen place (F2)")
        self.view.setModel(self.model)
        self.view.setItemDelegate(self.delegate)
        self._empty.setWordWrap(True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._stack = QStackedLayout()
        self._stack.addWidget(self.view)
        self._stack.addWidget(self._empty)
        top = QHBoxLayout()
        top.addWidget(self.names, 1)
        top.addWidget(self.more)
        below = QHBoxLayout()
        for button in (self.caption, self.up, self.down):
            below.addWidget(button, 1)
        whole = QVBoxLayout(self)
        whole.addLayout(top)
        whole.addLayout(self._stack, 1)
        whole.addLayout(below)

    def _fill_menu(self) -> None:
        for words, kind in leaving.KINDS:
            self.menu.addAction(words, partial(self.export, kind))
        self.menu.addSeparator()
        self.menu.addAction("Rename…", self.ask_rename)
        self.menu.addAction("Delete this collection…", self.ask_delete)

    def _connect(self) -> None:
        session = self._finder.session
        self.shelf.changed.connect(self._show)
        self.shelf.name_wanted.connect(self.ask_name)
        self._finder.library_changed.connect(self._take_library)
        session.names_hidden.connect(self._show)
        self.names.textActivated.connect(self.shelf.choose)
        self.view.activated.connect(self._go)
        self.view.customContextMenuRequested.connect(self._menu)
        self.caption.clicked.connect(self.ask_caption)
        self.up.clicked.connect(partial(self.move_place, -1))
        self.down.clicked.connect(partial(self.move_place, 1))
        self.view.keys = {
            (Qt.Key.Key_F2, False): self.ask_caption,
            (Qt.Key.Key_Delete, False): self.take_out,
            (Qt.Key.Key_Up, True): partial(self.move_place, -1),
            (Qt.Key.Key_Down, True): partial(self.move_place, 1),
        }

    # ------------------------------------------------------------------ what is shown

    def _take_library(self) -> None:
        if self.delegate.source is not None:
            self.delegate.source.loader.ready.disconnect(self._on_picture)
        self.delegate.source = self._finder.source
        if self.delegate.source is not None:
            self.delegate.source.loader.ready.connect(self._on_picture)
        self._show()

    def _on_picture(self, _: object) -> None:
        self.view.viewport().update()

    def _show(self, _: object = None) -> None:
        shelf, row = self.shelf, self.view.currentIndex().row()
        self.names.blockSignals(True)
        self.names.clear()
        names = Names.of(self._finder.session)
        for collection in shelf.collections:
            self.names.addItem(collection.name)
        self.names.setCurrentIndex(self.names.findText(shelf.current))
        self.names.blockSignals(False)
        places = shelf.get(shelf.current).places if shelf.current else ()
        self.model.show(places, names)
        if places:
            self.view.setCurrentIndex(self.model.index(min(max(row, 0), len(places) - 1)))
        self._empty.setText(_EMPTY_ONE if shelf.current else _EMPTY)
        self._stack.setCurrentWidget(self.view if places else self._empty)
        self.names.setEnabled(bool(shelf.collections))
        self.more.setEnabled(bool(shelf.current))
        for button in (self.up, self.down, self.caption):
            button.setEnabled(bool(places))

    def _go(self, index: QModelIndex) -> None:
        place: Place = index.data(PlaceRole)
        box = place.footprint
        self._finder.session.go_to(place.slide_id, (box.x, box.y, box.width, box.height), context=2)

    def chosen(self) -> list[Place]:
        """The chosen places, in their order."""
        rows = sorted(index.row() for index in self.view.selectionModel().selectedIndexes())
        return [self.model.places[row] for row in rows]

    # ------------------------------------------------------------------ changing

    def ask_name(self, items: list[Any]) -> QInputDialog:
        """Ask which collection places go to. Never blocks."""
        dialog = self._asking("Collect", "A collection: choose one, or name a new one.")
        dialog.setComboBoxItems([c.name for c in self.shelf.collections] or ["Teaching"])
        dialog.setComboBoxEditable(True)
        dialog.textValueSelected.connect(lambda name: self.shelf.add(items, name))
        dialog.open()
        return dialog

    def ask_caption(self) -> None:
        """Ask for the caption of the first chosen place."""
        for place in self.chosen()[:1]:
            dialog = self._asking("Caption", "What should be said of this place?")
            dialog.setTextValue(place.caption)
            edit = partial(self._captioned, place.place)
            dialog.textValueSelected.connect(edit)
            dialog.open()

    def _captioned(self, place: str, text: str) -> None:
        self.shelf.edit(self.shelf.current, place, caption=text)

    def ask_class(self) -> None:
        """Ask for the class of the chosen places: the answer of a quiz."""
        places = self.chosen()
        if places:
            dialog = self._asking("Class", "Their class; in a quiz it is the answer.")
            dialog.setTextValue(places[0].label)

            def chosen(text: str) -> None:
                for place in places:
                    self.shelf.edit(self.shelf.current, place.place, label=text)

            dialog.textValueSelected.connect(chosen)
            dialog.open()

    def move_place(self, by: int) -> None:
        """Move the first chosen place up or down."""
        row = self.view.currentIndex().row()
        if 0 <= row < len(self.model.places) and 0 <= row + by < len(self.model.places):
            place = self.model.places[row]
            self.view.setCurrentIndex(self.model.index(row + by))
            self.shelf.edit(self.shelf.current, place.place, position=row + by + 1)

    def take_out(self) -> None:
        """Take the chosen places out."""
        places = [place.place for place in self.chosen()]
        if places:
            self.shelf.remove(self.shelf.current, places)

    def ask_rename(self) -> None:
        """Ask for another name."""
        dialog = self._asking("Rename", "Another name for this collection")
        dialog.setTextValue(self.shelf.current)
        dialog.textValueSelected.connect(partial(self.shelf.rename, self.shelf.current))
        dialog.open()

    def ask_delete(self) -> None:
        """Ask whether the collection may go; its name has to be typed by nobody, a click does."""
        from qtpy.QtWidgets import QMessageBox

        name, kind = self.shelf.current, QMessageBox.StandardButton
        box = QMessageBox(
            QMessageBox.Icon.Question,
            "Delete",
            f"Take “{name}” off the list? Its places stay in the slides.",
            kind.Yes | kind.Cancel,
            self,
        )
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.accepted.connect(partial(self.shelf.delete, name))
        box.open()

    def _asking(self, title: str, label: str) -> QInputDialog:
        dialog = QInputDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(title)
        dialog.setLabelText(label)
        return dialog

    def _menu(self, at: QPoint) -> None:
        if not self.chosen():
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Go there", partial(self._go, self.view.currentIndex()))
        menu.addAction("Caption…\tF2", self.ask_caption)
        menu.addAction("Class…", self.ask_class)
        menu.addSeparator()
        menu.addAction("Take out\tDel", self.take_out)
        menu.popup(self.view.viewport().mapToGlobal(at))

    # ------------------------------------------------------------------ export

    def export(self, kind: str, target: str = "") -> None:
        """Write the current collection; without a target, the user is asked."""
        name = self.shelf.current
        if not name:
            return
        if target:
            leaving.write(self._finder, self.shelf.get(name), kind, Path(target))
            return
        dialog = QFileDialog(self, "Save as", leaving.proposed(name, kind))
        if kind in leaving.FOLDERS:
            dialog.setFileMode(QFileDialog.FileMode.Directory)
        else:
            dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(
            lambda path: leaving.write(self._finder, self.shelf.get(name), kind, Path(path))
        )
        dialog.open()


class _Places(QListView):
    """The list; some keys change it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.keys: dict[tuple[Any, bool], Any] = {}
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setAccessibleName("Places of the collection")

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """F2 captions, Del takes out, Alt+arrows move."""
        alt = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        call = self.keys.get((Qt.Key(event.key()), alt))
        if call is not None:
            call()
        else:
            super().keyPressEvent(event)
