"""The library's slides as a Qt model: searched by text, thumbnails made in other threads."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QObject, QSize, Qt
from qtpy.QtGui import QImage, QPixmap

from napari_pathsearch.words import magnification

if TYPE_CHECKING:
    from napari_pathsearch.jobs import Job
    from napari_pathsearch.session import Session
    from pathsearch.library import Library, SlideRecord

#: Side of a thumbnail in the list, device-independent pixels.
THUMBNAIL = 72
#: Thumbnails that are kept, and that may wait to be read at once.
KEPT, WAITING = 2000, 48

NAME = Qt.ItemDataRole.UserRole + 1
SECOND_LINE = Qt.ItemDataRole.UserRole + 2
SLIDE_ID = Qt.ItemDataRole.UserRole + 3
IS_FAULTY = Qt.ItemDataRole.UserRole + 4


class SlideModel(QAbstractListModel):
    """Slides of the session's library that match a search text.

    Parameters
    ----------
    session : Session
    parent : QObject, optional
    """

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._text = ""
        self._rows: list[SlideRecord] = []
        self._haystacks: dict[str, str] = {}
        self._pixmaps: OrderedDict[str, QPixmap | None] = OrderedDict()
        self._asked: OrderedDict[str, Job] = OrderedDict()
        self._library: Library | None = None
        session.library_changed.connect(self._forget)
        session.slides_changed.connect(self.renew)
        session.names_hidden.connect(self.renew)
        self.renew()

    # -------------------------------------------------------------------- content

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Qt's: the number of slides that match."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Qt's: what is shown of a slide."""
        if not 0 <= index.row() < len(self._rows):
            return None
        record = self._rows[index.row()]
        if role == Qt.ItemDataRole.DecorationRole:
            return self._pixmap(record.slide_id)
        answers: dict[int, Callable[[], Any]] = {
            Qt.ItemDataRole.DisplayRole: lambda: self._session.name_of(record.slide_id),
            NAME: lambda: self._session.name_of(record.slide_id),
            SECOND_LINE: lambda: second_line(record, self._session),
            Qt.ItemDataRole.ToolTipRole: lambda: tooltip(record, self._session),
            SLIDE_ID: lambda: record.slide_id,
            IS_FAULTY: lambda: record.status == "failed",
        }
        answer = answers.get(role)
        return answer() if answer is not None else None

    def search(self, text: str) -> None:
        """Show the slides that hold all words of a text in name, case, status or metadata."""
        self._text = text
        self._list()

    def renew(self, *_: object) -> None:
        """List the slides again: they, or their names, have changed."""
        hidden = self._session.hide_names
        self._haystacks = {r.slide_id: _haystack(r, hidden) for r in self._session.slides}
        self._list()

    def _list(self) -> None:
        self.beginResetModel()
        words = self._text.lower().split()
        self._rows = [
            record
            for record in self._session.slides
            if all(word in self._haystacks[record.slide_id] for word in words)
        ]
        self.endResetModel()

    def _forget(self) -> None:
        for job in self._asked.values():
            job.cancel()
        self._asked.clear()
        self._pixmaps.clear()
        self._library = self._session.library

    # ----------------------------------------------------------------- thumbnails

    def _pixmap(self, slide_id: str) -> QPixmap | None:
        if slide_id in self._pixmaps:
            self._pixmaps.move_to_end(slide_id)
            return self._pixmaps[slide_id]
        library = self._session.library
        if library is not None and slide_id not in self._asked:
            self._asked[slide_id] = self._session.run(
                lambda _: _thumbnail(library, slide_id),
                lane="pictures",
                done=partial(self._arrived, slide_id),
                failed=lambda _: self._arrived(slide_id, None),
            )
            if len(self._asked) > WAITING:  # scrolled past: asked for again if it comes back
                _, old = self._asked.popitem(last=False)
                old.cancel()
        return None

    def _arrived(self, slide_id: str, image: QImage | None) -> None:
        self._asked.pop(slide_id, None)
        self._pixmaps[slide_id] = QPixmap.fromImage(image) if image is not None else None
        while len(self._pixmaps) > KEPT:
            self._pixmaps.popitem(last=False)
        for row, record in enumerate(self._rows):
            if record.slide_id == slide_id:
                at = self.index(row)
                self.dataChanged.emit(at, at, [Qt.ItemDataRole.DecorationRole])
                break


def _thumbnail(library: Library, slide_id: str) -> QImage | None:
    """In a thread: the library's picture, small enough for the list on a dense screen."""
    stored = library.thumbnail(slide_id)
    if stored is None:
        return None
    image = QImage.fromData(stored)
    if image.isNull():
        return None
    side = 2 * THUMBNAIL
    return image.scaled(
        QSize(side, side),
        Qt.AspectRatioMode.KeepAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    )


def _haystack(record: SlideRecord, hidden: bool) -> str:
    """What the search box looks through, in lower case; not what is hidden."""
    parts = [record.status, record.scanner, record.vendor, record.error_code]
    if not hidden:
        parts += [record.slide_id, record.case_id]
        parts.append(json.dumps(dict(record.metadata), ensure_ascii=False))
    return " ".join(parts).lower()


def second_line(record: SlideRecord, session: Session) -> str:
    """Case, or what is wrong, and a few of the slide's own columns."""
    if record.status == "failed":
        return "could not be read"
    parts = [session.case_of(record.case_id)]
    if record.status == "empty":
        parts.append("no tissue found")
    if not session.hide_names:
        parts += [str(value) for value in list(record.metadata.values())[:3]]
    if record.mpp:
        parts.append(magnification(record.mpp).partition(",")[0])
    return " · ".join(part for part in parts if part)


def tooltip(record: SlideRecord, session: Session) -> str:
    """Everything that the library knows of a slide, a line each."""
    lines = [session.name_of(record.slide_id)]
    if record.case_id:
        lines.append(f"case: {session.case_of(record.case_id)}")
    if record.mpp:
        lines.append(f"scanned at {magnification(record.mpp)}")
    if record.width:
        lines.append(f"{record.width:,} x {record.height:,} pixels")
    if record.scanner or record.vendor:
        lines.append(f"scanner: {record.scanner or record.vendor}")
    if not session.hide_names:
        lines += [f"{key}: {value}" for key, value in record.metadata.items()]
        if record.error_message:
            lines.append(f"could not be read: {record.error_message}")
    return "\n".join(lines)
