"""A small canvas that shows a place in a slide: for side-by-side views and for review.

The slide is read on the loader's threads at what the screen needs; until a read is there, the
last picture is shown, stretched. It shows any slide of the library without touching the layers
of the main canvas.
"""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QWheelEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_pathsearch.gallery.colours import FOUND
from napari_pathsearch.gallery.delegate import PictureSource
from napari_pathsearch.gallery.loader import Loaded
from napari_pathsearch.gallery.pictures import Box, Place
from napari_pathsearch.words import magnification

#: µm per screen pixel: from ten times an 80x objective to an overview.
_FINEST, _COARSEST = 0.02, 16.0
_SETTLE_MS = 40
_BARS_UM = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)

Outline = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Sight:
    """What a pane is about.

    Attributes
    ----------
    place : Place
        Level-0 pixels.
    mpp : float
        µm per level-0 pixel of its slide.
    outlines : tuple of rings
        Level-0 corners; the place's own rectangle where there are none.
    """

    place: Place
    mpp: float
    outlines: tuple[Outline, ...] = ()

    @property
    def rings(self) -> tuple[Outline, ...]:
        """What is outlined."""
        if self.outlines:
            return self.outlines
        p = self.place
        right, bottom = p.x + p.width, p.y + p.height
        return (((p.x, p.y), (right, p.y), (right, bottom), (p.x, bottom)),)


class SlidePane(QWidget):
    """Shows a sight; drag pans, the wheel zooms.

    Signals
    -------
    moved : float, float, float
        By the user: µm right and down of the sight's centre, and µm per screen pixel.
    painted_sharp
        What is in view has been read and drawn.
    """

    moved = Signal(float, float, float)
    painted_sharp = Signal()

    def __init__(self, colour: str = FOUND, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colour = QColor(colour)
        self._source: PictureSource | None = None
        self._sight: Sight | None = None
        self._title = ""
        self._offset = (0.0, 0.0)
        self._zoom = 0.5
        self._drag: QPointF | None = None
        self._shown: tuple[Box, Loaded] | None = None
        self._wanted: tuple[str, Box, int] | None = None
        self._message = ""
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._ask)
        self.setMinimumSize(160, 160)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setToolTip("Drag to move, turn the wheel to zoom")

    def sizeHint(self) -> QSize:  # noqa: N802
        """A square that fits beside another."""
        return QSize(420, 420)

    # ------------------------------------------------------------------ what is shown

    @property
    def view(self) -> tuple[float, float, float]:
        """µm right and down of the sight's centre, and µm per screen pixel."""
        return (*self._offset, self._zoom)

    @property
    def sight(self) -> Sight | None:
        """What it is about."""
        return self._sight

    def set_source(self, source: PictureSource | None) -> None:
        """Where pictures come from."""
        if self._source is not None:
            self._source.loader.ready.disconnect(self._on_ready)
        self._source = source
        if source is not None:
            source.loader.ready.connect(self._on_ready)

    def show_sight(self, sight: Sight | None, title: str = "", mpp: float | None = None) -> None:
        """Go to a place.

        Parameters
        ----------
        sight : Sight or None
            None empties the pane.
        title : str
            Shown in the corner.
        mpp : float, optional
            µm per screen pixel; by default the place takes two fifths of the pane.
        """
        same = sight is not None and self._sight is not None
        if not (same and sight and self._sight and sight.place.slide == self._sight.place.slide):
            self._shown = None
        self._sight, self._title, self._message = sight, title, ""
        if sight is not None:
            wide = max(sight.place.width, sight.place.height) * sight.mpp
            fit = wide / (0.4 * max(min(self.width(), self.height()), 1))
            self._set_view((0.0, 0.0), mpp or fit)
        self.update()

    def follow(self, right: float, down: float, mpp: float) -> None:
        """Show what another pane shows, about one's own place; sends no `moved`."""
        self._set_view((right, down), mpp)

    def _set_view(self, offset: tuple[float, float], mpp: float) -> None:
        self._offset, self._zoom = offset, min(max(mpp, _FINEST), _COARSEST)
        self._settle.start()
        self.update()

    # ------------------------------------------------------------------ reading

    def _box(self) -> Box:
        """What is in view, level-0 pixels."""
        assert self._sight is not None
        x, y = self._sight.place.centre
        scale = self._zoom / self._sight.mpp
        x += self._offset[0] / self._sight.mpp
        y += self._offset[1] / self._sight.mpp
        width, height = self.width() * scale, self.height() * scale
        return (x - width / 2, y - height / 2, width, height)

    def _ask(self) -> None:
        if self._sight is None or self._source is None or not self.isVisible():
            return
        pictures, name, box = self._source.pictures, self._sight.place.slide, self._box()
        longest = max(1, round(max(self.width(), self.height()) * self.devicePixelRatioF()))
        key = (name, box, longest)
        self._wanted = key

        def job():  # type: ignore[no-untyped-def]
            shot = pictures.view(name, box, longest)
            return shot.pixels, shot.stand_in

        self._source.loader.begin()
        loaded = self._source.loader.get(key, job)
        if loaded is not None:
            self._take(loaded)

    def _on_ready(self, key: object) -> None:
        if key == self._wanted:
            self._ask()

    def _take(self, loaded: Loaded) -> None:
        assert self._wanted is not None
        if loaded.image is None:
            self._message = "This slide is not at hand"
            self.setStatusTip(loaded.failed)
        else:
            self._shown = (self._wanted[1], loaded)
            self._message = "" if not loaded.stand_in else "Slide not at hand: its small picture"
        self._wanted = None
        self.update()
        self.painted_sharp.emit()

    # ------------------------------------------------------------------ Qt

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002, N802
        """The picture, the outline, a scale bar and the title."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("#f4f4f4" if self._shown else "#808080"))
        if self._sight is None:
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        x, y, width, height = self._box()
        scale_x, scale_y = self.width() / width, self.height() / height
        if self._shown is not None:
            (bx, by, bw, bh), loaded = self._shown
            assert loaded.image is not None
            where = QRectF((bx - x) * scale_x, (by - y) * scale_y, bw * scale_x, bh * scale_y)
            painter.drawImage(where, loaded.image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for ring in self._sight.rings:
            corners = QPolygonF([QPointF((a - x) * scale_x, (b - y) * scale_y) for a, b in ring])
            for colour, thick in ((QColor("white"), 4.5), (self._colour, 2.5)):
                painter.setPen(QPen(colour, thick))
                painter.drawPolygon(corners)
        self._paint_words(painter)

    def _paint_words(self, painter: QPainter) -> None:
        metrics = painter.fontMetrics()
        words = magnification(self._zoom)
        bar = next((b for b in _BARS_UM if b / self._zoom >= 60), _BARS_UM[-1])
        length = bar / self._zoom
        text = f"{bar} µm   {words}" if bar < 1000 else f"{bar // 1000} mm   {words}"
        self._label(painter, QPointF(8, self.height() - 8), text, under=length)
        if self._title:
            shown = metrics.elidedText(
                self._title, Qt.TextElideMode.ElideMiddle, max(self.width() - 32, 20)
            )
            self._label(painter, QPointF(8, metrics.height() + 14), shown)
        if self._message:
            self._label(painter, QPointF(8, 2 * metrics.height() + 26), self._message)

    @staticmethod
    def _label(painter: QPainter, at: QPointF, text: str, under: float = 0.0) -> None:
        """Text on a dark strip, its lower left corner given; a bar of a length below it."""
        metrics = painter.fontMetrics()
        width = max(metrics.horizontalAdvance(text), under) + 12
        height = metrics.height() + (8 if under else 4)
        box = QRectF(at.x(), at.y() - height, width, height)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 165))
        painter.drawRoundedRect(box, 3, 3)
        painter.setPen(QColor("white"))
        painter.drawText(QPointF(box.left() + 6, box.top() + 2 + metrics.ascent()), text)
        if under:
            pen = QPen(QColor("white"), 2.5)
            pen.setCapStyle(Qt.PenCapStyle.FlatCap)
            painter.setPen(pen)
            y = box.bottom() - 3
            painter.drawLine(QPointF(box.left() + 6, y), QPointF(box.left() + 6 + under, y))
        painter.setBrush(Qt.BrushStyle.NoBrush)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Start to pan."""
        if event.button() == Qt.MouseButton.LeftButton and self._sight is not None:
            self._drag = event.position()
            self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Pan."""
        if self._drag is None:
            return
        step, self._drag = event.position() - self._drag, event.position()
        right, down = self._offset
        self._set_view((right - step.x() * self._zoom, down - step.y() * self._zoom), self._zoom)
        self.moved.emit(*self.view)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: ARG002, N802
        """Done."""
        self._drag = None
        self.unsetCursor()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Zoom about the pointer."""
        if self._sight is None:
            return
        factor = 0.8 ** (event.angleDelta().y() / 120)
        before = self._zoom
        after = min(max(before * factor, _FINEST), _COARSEST)
        dx = event.position().x() - self.width() / 2
        dy = event.position().y() - self.height() / 2
        right, down = self._offset
        self._set_view((right + dx * (before - after), down + dy * (before - after)), after)
        self.moved.emit(*self.view)
        event.accept()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Read again where the screen's density changed."""
        self._settle.start()
        super().changeEvent(event)

    def resizeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Read what came into view."""
        self._settle.start()
        super().resizeEvent(event)

    def showEvent(self, event: QEvent) -> None:  # noqa: N802
        """Read when first seen."""
        self._settle.start()
        super().showEvent(event)


def link(one: SlidePane, other: SlidePane) -> None:
    """Moving one moves the other the same way."""
    one.moved.connect(other.follow)
    other.moved.connect(one.follow)
