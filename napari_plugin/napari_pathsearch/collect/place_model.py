"""The places of a collection as a Qt model, and how one is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QObject, QRect, QSize, Qt
from qtpy.QtGui import QPainter, QPalette
from qtpy.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from napari_pathsearch.gallery.captions import Names
from napari_pathsearch.gallery.delegate import PictureSource
from napari_pathsearch.gallery.loader import Loaded
from napari_pathsearch.gallery.pictures import Place as Spot
from pathsearch.review.records import Place

PlaceRole = int(Qt.ItemDataRole.UserRole) + 1
_SIDE, _GAP = 72, 6
_NOWHERE = QModelIndex()


class PlaceModel(QAbstractListModel):
    """Places in their order."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.places: tuple[Place, ...] = ()
        self.names = Names()

    def show(self, places: Sequence[Place], names: Names) -> None:
        """Replace everything."""
        self.beginResetModel()
        self.places, self.names = tuple(places), names
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802
        """Qt's."""
        return 0 if parent.isValid() else len(self.places)

    def data(self, index: QModelIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """Qt's: a place (`PlaceRole`), and what is said of it."""
        if not 0 <= index.row() < len(self.places):
            return None
        place = self.places[index.row()]
        if role == PlaceRole:
            return place
        if role == int(Qt.ItemDataRole.DisplayRole):
            return self.heading(index.row())
        if role == int(Qt.ItemDataRole.ToolTipRole):
            return "\n".join(
                part for part in (self.heading(index.row()), self.second(place)) if part
            )
        return None

    def heading(self, row: int) -> str:
        """Number, and caption."""
        caption = self.names.text(self.places[row].caption) or "no caption (F2)"
        return f"{row + 1}  {caption}"

    def second(self, place: Place) -> str:
        """Class, slide and case."""
        parts = (
            self.names.text(place.label),
            self.names.slide(place.slide_id),
            self.names.case(place.case_id),
        )
        return " · ".join(part for part in parts if part)


class PlaceDelegate(QStyledItemDelegate):
    """Draws a place: its picture, its caption, a quieter second line."""

    source: PictureSource | None = None

    def sizeHint(  # noqa: N802
        self,
        option: QStyleOptionViewItem,  # noqa: ARG002
        index: QModelIndex,  # noqa: ARG002
    ) -> QSize:
        """Qt's."""
        return QSize(160, _SIDE + 2 * _GAP)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Qt's."""
        place, model = index.data(PlaceRole), index.model()
        painter.save()
        palette = option.palette
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        if chosen:
            painter.fillRect(option.rect, palette.color(QPalette.ColorRole.Highlight))
        inner = option.rect.adjusted(_GAP, _GAP, -_GAP, -_GAP)
        self._picture(painter, QRect(inner.left(), inner.top(), _SIDE, _SIDE), place, palette)
        text = inner.adjusted(_SIDE + 2 * _GAP, 0, 0, 0)
        role = QPalette.ColorRole.HighlightedText if chosen else QPalette.ColorRole.Text
        colour, metrics = palette.color(role), option.fontMetrics
        middle = text.top() + text.height() // 2
        for line, top, alpha in (
            (model.heading(index.row()), middle - metrics.height() - 1, 1.0),
            (model.second(place), middle + 1, 0.65),
        ):
            colour.setAlphaF(alpha)
            painter.setPen(colour)
            box = QRect(text.left(), top, text.width(), metrics.height())
            shown = metrics.elidedText(line, Qt.TextElideMode.ElideRight, box.width())
            painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter), shown)
        painter.restore()

    def _picture(self, painter: QPainter, where: QRect, place: Place, palette: QPalette) -> None:
        device = painter.device()
        ratio = device.devicePixelRatioF() if device is not None else 1.0
        loaded = self._loaded(place, round(_SIDE * ratio))
        if loaded is None or loaded.image is None:
            faint = palette.color(QPalette.ColorRole.Text)
            faint.setAlphaF(0.12)
            painter.fillRect(where, faint)
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(where, loaded.image)

    def _loaded(self, place: Place, side: int) -> Loaded | None:
        if self.source is None:
            return None
        pictures, box = self.source.pictures, place.footprint
        spot = Spot(place.slide_id, box.x, box.y, box.width, box.height)

        def job():  # type: ignore[no-untyped-def]
            shot = pictures.of(spot, side)
            return shot.pixels, shot.stand_in

        return self.source.loader.get((spot, side), job)
