"""How a match is drawn: its picture, its caption, its verdict."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from qtpy.QtCore import QModelIndex, QObject, QPointF, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QPainter, QPen, QPixmap
from qtpy.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from napari_pathsearch.gallery.arrange import Heading
from napari_pathsearch.gallery.captions import CardWords
from napari_pathsearch.gallery.colours import VERDICT_COLOURS, VERDICT_MARKS, Shades
from napari_pathsearch.gallery.loader import Loaded, PictureLoader
from napari_pathsearch.gallery.model import NoteRole, RowRole, VerdictRole
from napari_pathsearch.gallery.pictures import Pictures, Place
from pathsearch.nouns import Match

_GAP = 5
_PAD = 5
_SIZES = (128, 192, 256, 384, 512)
_SCALED_KEPT = 400


class PictureSource:
    """Where the cards' pictures come from: the loader, asked for a place at a size."""

    def __init__(self, pictures: Pictures, loader: PictureLoader) -> None:
        self.pictures = pictures
        self.loader = loader

    def get(self, match: Match, side: int) -> tuple[Hashable, Loaded | None]:
        """The picture's key, and the picture if it is there; else it is being loaded."""
        size = next((s for s in _SIZES if s >= side), _SIZES[-1])
        box = match.footprint
        place = Place(match.key.slide_id, box.x, box.y, box.width, box.height)
        key = (place, size)

        def job():  # type: ignore[no-untyped-def]
            shot = self.pictures.of(place, size)
            return shot.pixels, shot.stand_in

        return key, self.loader.get(key, job)


class MatchDelegate(QStyledItemDelegate):
    """Paints cards. Never reads a slide: pictures come from the loader when they are there."""

    def __init__(self, shades: Shades, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.shades = shades
        self.words = CardWords()
        self.heading_words: Callable[[str], str] = str
        self.side = 168
        self.line_width = 400
        self._source: PictureSource | None = None
        self._scaled: OrderedDict[Hashable, QPixmap] = OrderedDict()

    def set_source(self, source: PictureSource | None) -> None:
        """Where pictures come from; None for none."""
        self._source = source
        self._scaled.clear()

    def forget(self) -> None:
        """Drop scaled pictures: the library has changed."""
        self._scaled.clear()

    # ------------------------------------------------------------------ size

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:  # noqa: N802
        """A card's size; a heading takes a line of its own."""
        metrics = QFontMetrics(option.font)
        if isinstance(index.data(RowRole), Heading):
            return QSize(self.line_width, metrics.height() + 4 * _PAD)
        return self.card_size(metrics)

    def card_size(self, metrics: QFontMetrics) -> QSize:
        """Of every card, with its margins."""
        text = self.words.count * metrics.height() + (_PAD if self.words.count else 0)
        return QSize(
            self.side + 2 * (_GAP + _PAD),
            self.side + text + 2 * (_GAP + _PAD),
        )

    # ------------------------------------------------------------------ paint

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Draw a card or a heading."""
        row = index.data(RowRole)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if isinstance(row, Heading):
            self._paint_heading(painter, option, row)
        elif isinstance(row, Match):
            self._paint_card(painter, option, index, row)
        painter.restore()

    def _paint_heading(self, painter: QPainter, option: QStyleOptionViewItem, row: Heading) -> None:
        font = QFont(option.font)
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(self.shades.text)
        where = option.rect.adjusted(_GAP + 2, 2 * _PAD, -_GAP, 0)
        text = f"{self.heading_words(row.text)}  ·  {row.count}"
        metrics = QFontMetrics(font)
        shown = metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, where.width())
        painter.drawText(where, int(Qt.AlignmentFlag.AlignVCenter), shown)

    def _paint_card(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex, match: Match
    ) -> None:
        card = QRectF(option.rect.adjusted(_GAP, _GAP, -_GAP, -_GAP))
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.shades.chosen if chosen else self.shades.card)
        painter.drawRoundedRect(card, 5, 5)
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QPen(self.shades.text, 1.2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(card.adjusted(1, 1, -1, -1), 5, 5)
        left, top = int(card.left()) + _PAD, int(card.top()) + _PAD
        picture = QRect(left, top, self.side, self.side)
        self._paint_picture(painter, option, picture, match)
        self._paint_verdict(painter, picture, str(index.data(VerdictRole) or ""))
        if index.data(NoteRole):
            self._paint_note_mark(painter, picture)
        self._paint_caption(painter, option, picture, match)

    def _paint_picture(
        self, painter: QPainter, option: QStyleOptionViewItem, where: QRect, match: Match
    ) -> None:
        ratio = painter.device().devicePixelRatioF() if painter.device() else 1.0
        key, loaded = (None, None)
        if self._source is not None:
            key, loaded = self._source.get(match, round(self.side * ratio))
        if loaded is None or loaded.image is None:
            painter.fillRect(where, self.shades.back)
            painter.setPen(self.shades.faint)
            text = "…" if loaded is None else "slide not at hand"
            painter.drawText(where, int(Qt.AlignmentFlag.AlignCenter), text)
            return
        painter.drawPixmap(where.topLeft(), self._scaled_pixmap(key, loaded, ratio))
        if loaded.stand_in:
            self._paint_stand_in(painter, option, where)

    def _scaled_pixmap(self, key: Hashable, loaded: Loaded, ratio: float) -> QPixmap:
        """A picture at the size on the screen; scaling once makes scrolling cheap."""
        full = (key, self.side, ratio)
        if full in self._scaled:
            self._scaled.move_to_end(full)
            return self._scaled[full]
        assert loaded.image is not None
        pixels = round(self.side * ratio)
        scaled = loaded.image.scaled(
            pixels,
            pixels,
            Qt.AspectRatioMode.IgnoreAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        pixmap = QPixmap.fromImage(scaled)
        pixmap.setDevicePixelRatio(ratio)
        self._scaled[full] = pixmap
        while len(self._scaled) > _SCALED_KEPT:
            self._scaled.popitem(last=False)
        return pixmap

    def _paint_stand_in(
        self, painter: QPainter, option: QStyleOptionViewItem, where: QRect
    ) -> None:
        """Say that the picture is cut from the slide's small picture, and mark the spot."""
        spot = QRectF(where).adjusted(*(f * self.side * 5 / 12 for f in (1, 1, -1, -1)))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for colour, width in (("white", 3.0), ("#0072b2", 1.5)):
            painter.setPen(QPen(QColor(colour), width))
            painter.drawRect(spot)
        height = QFontMetrics(option.font).height() + 4
        strip = QRect(where.left(), where.bottom() - height + 1, where.width(), height)
        painter.fillRect(strip, QColor(0, 0, 0, 170))
        painter.setPen(QColor("white"))
        painter.drawText(strip, int(Qt.AlignmentFlag.AlignCenter), "slide not at hand")

    def _paint_verdict(self, painter: QPainter, where: QRect, verdict: str) -> None:
        if verdict not in VERDICT_COLOURS:
            return
        colour = QColor(VERDICT_COLOURS[verdict])
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(colour, 4))
        painter.drawRect(QRectF(where).adjusted(2, 2, -2, -2))
        size = max(18.0, self.side / 8)
        badge = QRectF(where.right() - size - 5, where.top() + 6, size, size)
        painter.setPen(QPen(QColor("white"), 1.5))
        painter.setBrush(colour)
        painter.drawEllipse(badge)
        font = QFont(painter.font())
        font.setBold(True)
        font.setPixelSize(int(size * 0.68))
        painter.setFont(font)
        # One letter's shape tells them apart without colour
        painter.drawText(badge, int(Qt.AlignmentFlag.AlignCenter), VERDICT_MARKS[verdict])

    @staticmethod
    def _paint_note_mark(painter: QPainter, where: QRect) -> None:
        corner = QPointF(where.left() + 7, where.top() + 7)
        page = QRectF(corner.x(), corner.y(), 14, 16)
        painter.setPen(QPen(QColor("#333333"), 1))
        painter.setBrush(QColor("#fff7d6"))
        painter.drawRect(page)
        for line in (5, 8, 11):
            painter.drawLine(
                QPointF(page.left() + 3, page.top() + line),
                QPointF(page.right() - 3, page.top() + line),
            )

    def _paint_caption(
        self, painter: QPainter, option: QStyleOptionViewItem, picture: QRect, match: Match
    ) -> None:
        metrics = QFontMetrics(option.font)
        painter.setFont(option.font)
        y = picture.bottom() + 1 + _PAD
        name = 1 if self.words.earlier is None else 2  # the line with the slide's name
        for number, line in enumerate(self.words.lines(match)):
            painter.setPen(self.shades.text if number <= name else self.shades.faint)
            box = QRect(picture.left(), y, picture.width(), metrics.height())
            mode = Qt.TextElideMode.ElideMiddle if number == name else Qt.TextElideMode.ElideRight
            shown = metrics.elidedText(line, mode, box.width())
            painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter), shown)
            y += metrics.height()
