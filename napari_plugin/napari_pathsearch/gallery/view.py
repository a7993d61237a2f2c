"""The gallery: matches as cards, chosen by mouse and keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qtpy.QtCore import QEvent, QModelIndex, QPoint, Qt, Signal
from qtpy.QtGui import QHelpEvent, QKeyEvent, QPaintEvent, QResizeEvent
from qtpy.QtWidgets import QListView, QToolTip, QWidget

from napari_pathsearch.gallery.arrange import Order
from napari_pathsearch.gallery.captions import CardWords
from napari_pathsearch.gallery.colours import Shades
from napari_pathsearch.gallery.delegate import MatchDelegate, PictureSource
from napari_pathsearch.gallery.model import GalleryModel, RowRole
from pathsearch.nouns import Match, PatchKey

#: Keys that judge the chosen matches.
JUDGING = {
    Qt.Key.Key_A: "accept",
    Qt.Key.Key_R: "reject",
    Qt.Key.Key_U: "unsure",
}
SMALLEST, LARGEST = 80, 420


class GalleryView(QListView):
    """Cards that wrap; headings take a line of their own.

    Signals
    -------
    picked : Match
        Clicked, or reached with Return: the viewer goes there.
    judged : list of PatchKey, str
        A verdict by key on what is chosen.
    undo_wanted, note_wanted, end_neared
        Ctrl+Z, N, and scrolled to the last line.
    collect_wanted : bool
        C; True with Shift: into another collection.
    menu_wanted : QPoint
        Where, on the screen.
    """

    picked = Signal(object)
    judged = Signal(list, str)
    undo_wanted = Signal()
    note_wanted = Signal()
    collect_wanted = Signal(bool)
    end_neared = Signal()
    menu_wanted = Signal(QPoint)

    def __init__(self, shades: Shades, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.cards = GalleryModel(self)
        self.delegate = MatchDelegate(shades, self)
        self.spec_tooltip: Callable[[Match], str] = lambda match: str(match.rank)
        self.setModel(self.cards)
        self.setItemDelegate(self.delegate)
        self.setViewMode(QListView.ViewMode.ListMode)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(True)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setSelectionMode(QListView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # Always there: a bar that comes and goes would lay the cards out twice
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setMouseTracking(False)
        self.setAccessibleName("Matches")
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(
            lambda at: self.menu_wanted.emit(self.viewport().mapToGlobal(at))
        )
        self.clicked.connect(self._pick)
        self._source: PictureSource | None = None
        self.verticalScrollBar().valueChanged.connect(self._maybe_near_end)

    # ------------------------------------------------------------------ what is shown

    def set_source(self, source: PictureSource | None) -> None:
        """Where pictures come from."""
        if self._source is not None:
            self._source.loader.ready.disconnect(self._on_ready)
        self._source = source
        self.delegate.set_source(source)
        if source is not None:
            source.loader.ready.connect(self._on_ready)
        self.viewport().update()

    def set_words(self, words: CardWords) -> None:
        """What captions say."""
        self.delegate.words = words
        self._lay_out()

    def set_shades(self, shades: Shades) -> None:
        """Colours of the theme."""
        self.delegate.shades = shades
        self.viewport().update()

    def set_side(self, side: int) -> None:
        """Size of the pictures, screen pixels; what was in view stays in view."""
        self.delegate.side = min(max(side, SMALLEST), LARGEST)
        self._lay_out()

    def set_order(self, order: Order) -> None:
        """Arrange anew; what is chosen stays chosen."""
        chosen = self.chosen_keys()
        self.cards.set_order(order)
        self.choose(chosen)

    def chosen(self) -> list[Match]:
        """The chosen matches, in the order of the rows."""
        rows = sorted(index.row() for index in self.selectionModel().selectedIndexes())
        found = [self.cards.index(row).data(RowRole) for row in rows]
        return [row for row in found if isinstance(row, Match)]

    def chosen_keys(self) -> list[PatchKey]:
        """Their keys."""
        return [match.key for match in self.chosen()]

    def choose(self, keys: Sequence[PatchKey]) -> None:
        """Choose matches; those that are not shown are passed over."""
        selection = self.selectionModel()
        flag = selection.SelectionFlag
        selection.clearSelection()
        for number, key in enumerate(keys):
            index = self.cards.index_of(key)
            if index.isValid():
                selection.select(index, flag.Select)
                if number == 0:
                    selection.setCurrentIndex(index, flag.NoUpdate)
                    self.scrollTo(index)

    def choose_next(self) -> None:
        """Go on to the match after the last chosen one."""
        chosen = self.chosen_keys()
        if not chosen:
            return
        row = self.cards.index_of(chosen[-1]).row() + 1
        while row < self.cards.rowCount():
            match = self.cards.index(row).data(RowRole)
            if isinstance(match, Match):
                self.choose([match.key])
                return
            row += 1

    def first_in_view(self) -> PatchKey | None:
        """The match at the top, to come back to."""
        index = self.indexAt(QPoint(self.delegate.side // 2, self.delegate.side // 4))
        row = index.data(RowRole) if index.isValid() else None
        return row.key if isinstance(row, Match) else None

    def come_back(self, key: PatchKey | None) -> None:
        """Put a match at the top again; None is the first."""
        self.executeDelayedItemsLayout()
        index = self.cards.index_of(key) if key is not None else QModelIndex()
        if index.isValid():
            self.scrollTo(index, QListView.ScrollHint.PositionAtTop)
        else:
            self.scrollToTop()

    # ------------------------------------------------------------------ Qt

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """A, R, U judge; N notes; C collects; Ctrl+Z undoes; Return goes there; arrows move."""
        control = event.modifiers() & Qt.KeyboardModifier.ControlModifier
        key = event.key()
        if control and key == Qt.Key.Key_Z:
            self.undo_wanted.emit()
        elif not control and key in JUDGING:
            chosen = self.chosen_keys()
            if chosen:
                self.judged.emit(chosen, JUDGING[key])
        elif not control and key == Qt.Key.Key_N:
            self.note_wanted.emit()
        elif not control and key == Qt.Key.Key_C:
            self.collect_wanted.emit(bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._pick(self.currentIndex())
        else:
            super().keyPressEvent(event)

    def keyboardSearch(self, search: str) -> None:  # noqa: N802
        """Letters are commands here, not a search."""

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """What is in view now is loaded before what was in view."""
        if self._source is not None:
            self._source.loader.begin()
        super().paintEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Headings are as wide as the view."""
        self.delegate.line_width = max(self.viewport().width() - 2, 1)
        super().resizeEvent(event)

    def viewportEvent(self, event: QEvent) -> bool:  # noqa: N802
        """The tooltip of a card is made when it is wanted."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            row = self.indexAt(event.pos()).data(RowRole)
            if isinstance(row, Match):
                QToolTip.showText(event.globalPos(), self.spec_tooltip(row), self)
            else:
                QToolTip.hideText()
            return True
        return bool(super().viewportEvent(event))

    def _pick(self, index: QModelIndex) -> None:
        row = index.data(RowRole) if index.isValid() else None
        if isinstance(row, Match):
            self.picked.emit(row)

    def _on_ready(self, _key: object) -> None:
        # Several that come at once are painted at once: update() only marks the view
        self.viewport().update()

    def _maybe_near_end(self, value: int) -> None:
        bar = self.verticalScrollBar()
        if bar.maximum() > 0 and value >= bar.maximum():
            self.end_neared.emit()

    def _lay_out(self) -> None:
        kept = self.first_in_view() if self.verticalScrollBar().value() else None
        self.scheduleDelayedItemsLayout()
        if kept is not None:
            self.executeDelayedItemsLayout()
            self.scrollTo(self.cards.index_of(kept), QListView.ScrollHint.PositionAtTop)
        self.viewport().update()
