"""What has come in since earlier searches: slides that were added after they were looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from napari_pathsearch.gallery.captions import Names

if TYPE_CHECKING:
    from napari_pathsearch.finder import Finder
    from pathsearch.review import Reviews, Summary

#: So many of the latest reviews are looked after.
_LATEST = 5


@dataclass(frozen=True)
class Since:
    """Slides that came in since a review was last looked at."""

    review: Summary
    slides: int


class News(QObject):
    """Looks whenever the library changes.

    Attributes
    ----------
    found : tuple of Since
        Of the latest reviews, those with new slides; the latest first.
    """

    changed = Signal()
    _looked = Signal(object)

    def __init__(self, finder: Finder) -> None:
        super().__init__(finder)
        self._finder = finder
        self.found: tuple[Since, ...] = ()
        self._looked.connect(self._take)
        finder.library_changed.connect(self._forget)
        finder.library_changed.connect(self.look)
        finder.session.slides_changed.connect(self.look)
        self.look()

    def look(self) -> None:
        """Ask the record; `changed` follows where the answer is another one."""
        book = self._finder.book
        book.ask_store(lambda store: self._looked.emit((book, since_of(store, book.review))))

    def _take(self, looked: tuple[object, tuple[Since, ...]]) -> None:
        book, found = looked
        if book is self._finder.book and found != self.found:
            self.found = found
            self.changed.emit()

    def _forget(self) -> None:
        if self.found:
            self.found = ()
            self.changed.emit()


def since_of(store: Reviews, shown: str) -> tuple[Since, ...]:
    """Of the latest reviews that hold a verdict, or are shown, what came in since."""
    from pathsearch.review import new_slide_count

    kept = [one for one in store.list() if one.review == shown or one.accepted or one.rejected]
    counted = [
        Since(one, new_slide_count(store, store.library, one.review)) for one in kept[:_LATEST]
    ]
    return tuple(since for since in counted if since.slides)


class NewsLine(QWidget):
    """One line, there only where there is something new.

    Parameters
    ----------
    finder : Finder
    """

    def __init__(self, finder: Finder, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._finder = finder
        self.label, self.button = QLabel(""), QPushButton("Show matches")
        self.label.setWordWrap(True)
        self.button.setToolTip("Ask the same of the slides that came in since, verdicts included")
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.label, 1)
        line.addWidget(self.button)
        self.button.clicked.connect(self._pressed)
        finder.news.changed.connect(self.show_news)
        finder.session.names_hidden.connect(self.show_news)
        self.show_news()

    def show_news(self, _: object = None) -> None:
        """Say what is new."""
        found = self._finder.news.found
        self.setVisible(bool(found))
        if found:
            one = found[0]
            title = Names.of(self._finder.session).text(one.review.title)
            slides = "1 slide has" if one.slides == 1 else f"{one.slides:,} slides have"
            self.label.setText(f"● {slides} come in since “{title}” ({one.review.changed[:10]}).")

    def _pressed(self) -> None:
        found = self._finder.news.found
        if found:
            self._finder.show_new(found[0].review.review)
