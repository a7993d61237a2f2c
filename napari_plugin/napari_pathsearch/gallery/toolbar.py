"""The line above the gallery: order, size, rounds, and what can be done with the matches."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QMenu, QPushButton, QSlider, QWidget

from napari_pathsearch import remembered
from napari_pathsearch.gallery.arrange import Order
from napari_pathsearch.gallery.view import LARGEST, SMALLEST

_SORTS = (
    ("rank", "closest first"),
    ("percentile", "percentile"),
    ("slide", "slide"),
    ("case", "case"),
    ("verdict", "verdict"),
)
_GROUPS = (
    ("nothing", "no groups"),
    ("slide", "by slide"),
    ("case", "by case"),
    ("verdict", "by verdict"),
)
_USUAL_SIDE = 150


class GalleryBar(QWidget):
    """Controls of the gallery.

    Signals
    -------
    ordered : Order
    resized : int
        Side of the pictures, screen pixels.
    round_wanted : int
    columns_wanted : list of str
    """

    ordered = Signal(object)
    resized = Signal(int)
    round_wanted = Signal(int)
    columns_wanted = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sort, self.group, self.rounds = QComboBox(), QComboBox(), QComboBox()
        self.size = QSlider(Qt.Orientation.Horizontal)
        self.columns = QPushButton()
        self.columns_menu = QMenu(self)
        self.actions_button, self.actions_menu = QPushButton(), QMenu(self)
        self.refine, self.more, self.review = QPushButton(), QPushButton(), QPushButton()
        self.beside, self.holding, self.review_menu = QPushButton(), QPushButton(), QMenu(self)
        for value, words in _SORTS:
            self.sort.addItem(words, value)
        for value, words in _GROUPS:
            self.group.addItem(words, value)
        self._lay_out()
        self.sort.currentIndexChanged.connect(self._ordered)
        self.group.currentIndexChanged.connect(self._ordered)
        self.rounds.activated.connect(lambda row: self.round_wanted.emit(row + 1))
        self.size.valueChanged.connect(self._resized)

    def _lay_out(self) -> None:
        self.size.setRange(SMALLEST, LARGEST)
        self.size.setValue(int(remembered.recall("side", _USUAL_SIDE)))
        self.size.setMaximumWidth(130)
        self.size.setToolTip("Size of the pictures")
        self.size.setAccessibleName("Size of the pictures")
        self.sort.setToolTip("Sort by")
        self.group.setToolTip("Group by")
        self.rounds.setToolTip("Rounds of this search: go back and compare")
        self.rounds.setVisible(False)
        for button, words, tip in (
            (self.refine, "Refine", "Search again with your verdicts (Ctrl+R)"),
            (self.more, "More", "Fetch further matches"),
            (self.review, "Review", "One match after the other, big, by keys"),
            (self.beside, "Side by side", "The question and the chosen match, moving together"),
            (self.holding, "Slides", "Which slides hold this: how much of each looks like it"),
            (self.columns, "Columns", "What a card says of its slide"),
            (self.actions_button, "Take along", "Export, copy, open an earlier review"),
        ):
            button.setText(words)
            button.setToolTip(tip)
        for button, menu in (
            (self.columns, self.columns_menu),
            (self.actions_button, self.actions_menu),
            (self.review, self.review_menu),
        ):
            button.setMenu(menu)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        self.holding.setCheckable(True)
        for widget in (self.refine, self.more, self.review, self.beside, self.holding):
            line.addWidget(widget)
        line.addWidget(self.rounds)
        line.addStretch(1)
        self._of_cards = (QLabel("Sort"), self.sort, self.group, self.columns, self.size)
        for widget in (*self._of_cards, self.actions_button):
            line.addWidget(widget)

    @property
    def order(self) -> Order:
        """What is set."""
        return Order(self.sort.currentData(), self.group.currentData())

    def enable_order(self, there: bool) -> None:
        """Order and size are of the cards: not where slides are listed."""
        for widget in self._of_cards:
            widget.setEnabled(there)

    def offer_columns(self, columns: Sequence[str], picked: Sequence[str]) -> None:
        """Columns that the slides have, to show and to sort by."""
        kept = self.sort.currentData()
        self.sort.blockSignals(True)
        while self.sort.count() > len(_SORTS):
            self.sort.removeItem(self.sort.count() - 1)
        for name in columns:
            self.sort.addItem(name, f"column:{name}")
        self.sort.setCurrentIndex(max(self.sort.findData(kept), 0))
        self.sort.blockSignals(False)
        self.columns_menu.clear()
        for name in columns:
            action = QAction(name, self.columns_menu)
            action.setCheckable(True)
            action.setChecked(name in picked)
            action.toggled.connect(self._columns_toggled)
            self.columns_menu.addAction(action)
        self.columns.setEnabled(bool(columns))

    def offer_rounds(self, words: Sequence[str], shown: int) -> None:
        """Rounds so far; `shown` from 1. One round needs no choice."""
        self.rounds.blockSignals(True)
        self.rounds.clear()
        self.rounds.addItems(list(words))
        self.rounds.setCurrentIndex(shown - 1)
        self.rounds.blockSignals(False)
        self.rounds.setVisible(len(words) > 1)

    def _ordered(self) -> None:
        self.ordered.emit(self.order)

    def _resized(self, side: int) -> None:
        remembered.remember("side", side)
        self.resized.emit(side)

    def _columns_toggled(self) -> None:
        picked = [a.text() for a in self.columns_menu.actions() if a.isChecked()]
        self.columns_wanted.emit(picked)
