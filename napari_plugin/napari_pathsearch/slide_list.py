"""The list of the library's slides: thumbnails, a search box; double click opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QModelIndex, QRect, QSize, Qt, Signal
from qtpy.QtGui import QPainter, QPalette
from qtpy.QtWidgets import (
    QAbstractItemView,
    QLabel,
    QLineEdit,
    QListView,
    QStackedLayout,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from napari_pathsearch.slide_model import (
    IS_FAULTY,
    NAME,
    SECOND_LINE,
    SLIDE_ID,
    THUMBNAIL,
    SlideModel,
)

if TYPE_CHECKING:
    from napari_pathsearch.session import Session

_GAP = 6


class _Delegate(QStyledItemDelegate):
    """Draws a slide: its thumbnail, its name, a quieter second line."""

    def sizeHint(  # noqa: N802
        self,
        option: QStyleOptionViewItem,  # noqa: ARG002
        index: QModelIndex,  # noqa: ARG002
    ) -> QSize:
        """Qt's: a row is as high as a thumbnail."""
        return QSize(160, THUMBNAIL + 2 * _GAP)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Qt's."""
        painter.save()
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        palette = option.palette
        if chosen:
            painter.fillRect(option.rect, palette.color(QPalette.ColorRole.Highlight))
        inner = option.rect.adjusted(_GAP, _GAP, -_GAP, -_GAP)
        self._picture(painter, inner, index, palette)
        text = inner.adjusted(THUMBNAIL + 2 * _GAP, 0, 0, 0)
        role = QPalette.ColorRole.HighlightedText if chosen else QPalette.ColorRole.Text
        colour = palette.color(role)
        painter.setPen(colour)
        metrics = option.fontMetrics
        name = metrics.elidedText(str(index.data(NAME)), Qt.TextElideMode.ElideMiddle, text.width())
        line = text.height() // 2
        painter.drawText(
            QRect(text.left(), text.top(), text.width(), line),
            int(Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignLeft),
            name,
        )
        colour.setAlphaF(0.65)
        painter.setPen(colour)
        second = metrics.elidedText(
            str(index.data(SECOND_LINE)), Qt.TextElideMode.ElideRight, text.width()
        )
        painter.drawText(
            QRect(text.left(), text.top() + line + 2, text.width(), line - 2),
            int(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft),
            second,
        )
        painter.restore()

    @staticmethod
    def _picture(painter: QPainter, inner: QRect, index: QModelIndex, palette: QPalette) -> None:
        place = QRect(inner.left(), inner.top(), THUMBNAIL, THUMBNAIL)
        pixmap = index.data(Qt.ItemDataRole.DecorationRole)
        if pixmap is None:
            faint = palette.color(QPalette.ColorRole.Text)
            faint.setAlphaF(0.12)
            painter.fillRect(place, faint)
            if index.data(IS_FAULTY):
                painter.setPen(palette.color(QPalette.ColorRole.Text))
                painter.drawText(place, int(Qt.AlignmentFlag.AlignCenter), "!")
            return
        size = pixmap.size().scaled(place.size(), Qt.AspectRatioMode.KeepAspectRatio)
        target = QRect(place.topLeft(), size)
        target.moveCenter(place.center())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawPixmap(target, pixmap)


class SlideList(QWidget):
    """Search box and list; says what to do where there is nothing to list.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional

    Attributes
    ----------
    model : SlideModel
    view : QListView
    search : QLineEdit
    """

    #: A slide was double-clicked, or Enter was pressed on it: its id.
    chosen = Signal(str)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.model = SlideModel(session, self)
        self.search = QLineEdit(self)
        self.search.setPlaceholderText("Search slides: name, case, diagnosis, scanner …")
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName("Search slides")
        self.search.setToolTip("All words must occur, in the name, the case or the columns")
        self.view = QListView(self)
        self.view.setModel(self.model)
        self.view.setItemDelegate(_Delegate(self.view))
        self.view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.view.setUniformItemSizes(True)
        self.view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.view.setAccessibleName("Slides of the library")
        self._empty = QLabel("", self)
        self._empty.setWordWrap(True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._stack = QStackedLayout()
        self._stack.addWidget(self.view)
        self._stack.addWidget(self._empty)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.search)
        layout.addLayout(self._stack, 1)
        self.search.textChanged.connect(self.model.search)
        self.view.activated.connect(self._activated)
        self.model.modelReset.connect(self._say_why_empty)
        session.library_changed.connect(self._say_why_empty)
        # What was typed may be a name
        session.names_hidden.connect(self.search.clear)
        self._say_why_empty()

    def _activated(self, index: QModelIndex) -> None:
        self.chosen.emit(index.data(SLIDE_ID))

    def _say_why_empty(self) -> None:
        library = self._session.library
        self.search.setEnabled(library is not None)
        if self.model.rowCount():
            self._stack.setCurrentWidget(self.view)
            return
        if library is None:
            words = (
                "No library is open.\n\nDrop a folder NAME.pathsearch on this window, open one "
                "with the button above, or make one from a folder of slides.\n\n"
                "A single slide can be dropped here too.\n\n"
                "To try it: File > Open Sample > pathsearch > Demo library."
            )
        elif self._session.slides:
            words = f"No slide matches “{self.search.text()}”."
        else:
            words = "This library is empty. Use “Add slides…”."
        self._empty.setText(words)
        self._stack.setCurrentWidget(self._empty)
