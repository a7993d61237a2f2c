"""Which slides hold this: slides and cases by how much of them looks like the question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, QRectF, QSortFilterProxyModel, Qt
from qtpy.QtGui import QColor, QPainter, QPalette
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_pathsearch.gallery.captions import Names
from napari_pathsearch.gallery.colours import FOUND

if TYPE_CHECKING:
    from napari_pathsearch.finder import Finder
    from pathsearch.review.across import Across
    from pathsearch.search.slide_shares import SlideShare

_SORT = int(Qt.ItemDataRole.UserRole) + 1
ShareRole = _SORT + 1
_HEADS = (
    ("Slide", "Double click: go to its best place"),
    ("Case", "The case it belongs to"),
    ("Of its tissue", "Share of the slide's patches that look like the question"),
    ("Area", "Ground that they cover, mm²"),
    ("Best match", "Cosine similarity of its best patch"),
)
_SLIDE, _CASE, _SHARE, _AREA, _BEST = range(5)
_NOWHERE = QModelIndex()


class SharesModel(QAbstractTableModel):
    """Slides, or cases, and how much of them looks like the question."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.shares: tuple[SlideShare, ...] = ()
        self.names = Names()
        self.by_case = False

    def show(self, shares: Sequence[SlideShare], names: Names, *, by_case: bool) -> None:
        """Replace everything."""
        self.beginResetModel()
        self.shares, self.names, self.by_case = tuple(shares), names, by_case
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802
        """Qt's."""
        return 0 if parent.isValid() else len(self.shares)

    def columnCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802
        """Qt's."""
        return 0 if parent.isValid() else len(_HEADS)

    def headerData(  # noqa: N802
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = int(Qt.ItemDataRole.DisplayRole),
    ) -> Any:
        """Qt's."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == int(Qt.ItemDataRole.DisplayRole):
            return _HEADS[section][0]
        return _HEADS[section][1] if role == int(Qt.ItemDataRole.ToolTipRole) else None

    def data(self, index: QModelIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """Qt's: the words, what to sort by, the share itself (`ShareRole`)."""
        if not index.isValid():
            return None
        one = self.shares[index.row()]
        if role == ShareRole:
            return one
        column, shown = index.column(), None
        if role == _SORT:
            shown = (one.slide_id, one.case_id, one.share, one.area_mm2, one.best)[column]
        elif role == int(Qt.ItemDataRole.DisplayRole):
            shown = self._words(one, column)
        elif role == int(Qt.ItemDataRole.TextAlignmentRole) and column >= _SHARE:
            shown = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        elif role == int(Qt.ItemDataRole.ToolTipRole):
            shown = f"{one.hits:,} of {one.patches:,} patches; their mean score {one.strength:.3f}"
        return shown

    def _words(self, one: SlideShare, column: int) -> str:
        if column == _SLIDE:
            name = self.names.slide(one.slide_id)
            several = "best in " if self.by_case and one.case_id else ""
            return f"{several}{name}" + ("  (asked from)" if one.own else "")
        return {
            _CASE: self.names.case(one.case_id) or "no case",
            _SHARE: f"{100 * one.share:.1f} %",
            _AREA: f"{one.area_mm2:.2f} mm²",
            _BEST: f"{one.best:.3f}",
        }[column]


class _Bar(QStyledItemDelegate):
    """The share as a bar with its figure."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Qt's."""
        share = index.data(ShareRole).share
        room = QRectF(option.rect).adjusted(6, 6, -66, -6)
        painter.save()
        painter.setPen(Qt.PenStyle.NoPen)
        faint = option.palette.color(QPalette.ColorRole.Text)
        faint.setAlphaF(0.12)
        painter.setBrush(faint)
        painter.drawRoundedRect(room, 2, 2)
        painter.setBrush(QColor(FOUND))
        room.setWidth(max(room.width() * share, 1.0) if share else 0.0)
        painter.drawRoundedRect(room, 2, 2)
        painter.setPen(option.palette.color(QPalette.ColorRole.Text))
        text = option.rect.adjusted(0, 0, -6, 0)
        painter.drawText(
            text,
            int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter),
            str(index.data()),
        )
        painter.restore()


class SlidesPage(QWidget):
    """The table, asked for when it is first looked at.

    Parameters
    ----------
    finder : Finder
    """

    def __init__(self, finder: Finder, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._finder = finder
        self._across: Across | None = None
        self._of: object = None
        self.model = SharesModel(self)
        self.table = QTableView(self)
        self.told = QLabel("", self)
        self.cases = QCheckBox("by case", self)
        self._lay_out()
        self.cases.toggled.connect(self._show)
        self.table.activated.connect(self._go)
        finder.session.names_hidden.connect(self._show)
        finder.library_changed.connect(self._forget)

    def _lay_out(self) -> None:
        proxy = QSortFilterProxyModel(self)
        proxy.setSourceModel(self.model)
        proxy.setSortRole(_SORT)
        self.table.setModel(proxy)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(_SHARE, Qt.SortOrder.DescendingOrder)
        self.table.setItemDelegateForColumn(_SHARE, _Bar(self.table))
        self.table.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QTableView.EditTrigger.NoEditTriggers)
        self.table.setAccessibleName("Slides that hold this")
        self.table.setShowGrid(False)
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 12)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(_SLIDE, QHeaderView.ResizeMode.Stretch)
        for column, width in ((_CASE, 170), (_SHARE, 260), (_AREA, 100), (_BEST, 100)):
            header.resizeSection(column, width)
        self.told.setWordWrap(True)
        self.told.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        line = QHBoxLayout()
        line.addWidget(self.told, 1)
        line.addWidget(self.cases, 0, Qt.AlignmentFlag.AlignTop)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addLayout(line)
        whole.addWidget(self.table, 1)

    # ------------------------------------------------------------------ asking

    def renew(self) -> None:
        """Ask about the round that is shown, with the verdicts so far."""
        seen, searcher = self._finder.seen, self._finder.session.searcher
        if seen is None or searcher is None:
            self._forget()
            return
        book, query = self._finder.book, seen.query
        if query.spec == "all":
            query = replace(query, spec=next(iter(searcher.library.specs)))
        self._of = wanted = object()
        self.told.setText("Comparing every patch of every slide …")

        def work(_: object) -> Across:
            from pathsearch.errors import ReviewError
            from pathsearch.review.across import across_slides

            try:
                review = book.stored()
            except ReviewError:  # not kept: then no verdicts choose the threshold
                review = None
            return across_slides(searcher, query, review=review)

        def done(across: Across) -> None:
            if self._of is wanted:
                self._across = across
                self._show()

        def failed(error: Exception) -> None:
            self._forget()
            self._finder.session.say(error)

        self._finder.session.run(work, lane="search", done=done, failed=failed)

    def _forget(self) -> None:
        self._across, self._of = None, None
        self._show()

    def _show(self, _: object = None) -> None:
        names = Names.of(self._finder.session)
        if self._across is None:
            self.told.setText("")
            self.model.show((), names, by_case=False)
            return
        by_case = self.cases.isChecked()
        shares = self._across.by_case() if by_case else self._across.shares
        self.told.setText(self._across.told)
        self.model.show(shares, names, by_case=by_case)

    def _go(self, index: QModelIndex) -> None:
        one: SlideShare = index.data(ShareRole)
        box = one.place
        self._finder.session.go_to(one.slide_id, (box.x, box.y, box.width, box.height))
