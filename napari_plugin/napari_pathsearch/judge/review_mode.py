"""One match after the other, big, judged by keys; blinded where that is wanted."""

from __future__ import annotations

import random
from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QCloseEvent, QColor, QKeyEvent, QPalette
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_pathsearch.compare import match_sight
from napari_pathsearch.finder import Finder
from napari_pathsearch.gallery.captions import CardWords, Names
from napari_pathsearch.gallery.colours import ASKED, VERDICT_COLOURS, VERDICT_MARKS, Shades
from napari_pathsearch.gallery.view import JUDGING
from napari_pathsearch.judge.note_dialog import ask_note
from napari_pathsearch.pane import Sight, SlidePane
from pathsearch.nouns import Match

#: The context is shown at so many times less magnification.
_CONTEXT = 5.0
#: The match takes this share of the big pane.
_BIG = 0.62
_KEYS = "A accept   R reject   U unsure   N note   C collect   Ctrl+Z undo   ← → move   Esc close"
_WORDS = {"accept": "accepted", "reject": "rejected", "unsure": "unsure"}


class ReviewMode(QWidget):
    """Shows matches one by one.

    Parameters
    ----------
    finder : Finder
    matches : sequence of Match
    asked : Sight or None
        The question.
    blinded : bool
        No scores, no names; the order is shuffled.
    seed : int, optional
        Of the order; by default another one each time.

    Signals
    -------
    moved : Match
        Another match is shown.
    """

    moved = Signal(object)

    def __init__(
        self,
        finder: Finder,
        matches: Sequence[Match],
        asked: Sight | None,
        *,
        blinded: bool = False,
        seed: int | None = None,
    ) -> None:
        super().__init__(None, Qt.WindowType.Window)
        self.setWindowTitle("Review" + (", blinded" if blinded else ""))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._finder = finder
        self._blinded = blinded
        self._matches = list(matches)
        if blinded:
            # Not for secrecy: only so that the order says nothing about the score
            random.Random(seed).shuffle(self._matches)  # noqa: S311
        self._at = 0
        self.big, self.context, self.asked = SlidePane(), SlidePane(), SlidePane(ASKED)
        self.state, self.caption, self.keys = QLabel(), QLabel(), QLabel(_KEYS)
        for pane in (self.big, self.context, self.asked):
            pane.set_source(finder.source)
        self._lay_out(asked)
        finder.book.changed.connect(self._say)
        finder.session.names_hidden.connect(self._say)
        self.resize(1280, 800)

    def _lay_out(self, asked: Sight | None) -> None:
        shades = Shades.of_viewer(self._finder.session.viewer)
        palette = self.palette()
        palette.setColor(QPalette.ColorRole.Window, shades.back)
        palette.setColor(QPalette.ColorRole.WindowText, shades.text)
        self.setPalette(palette)
        self.setAutoFillBackground(True)
        self._faint = QColor(shades.faint)
        for label in (self.state, self.caption, self.keys):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setPalette(palette)
        font = self.state.font()
        font.setPointSizeF(font.pointSizeF() * 1.3)
        font.setBold(True)
        self.state.setFont(font)
        side = QVBoxLayout()
        side.addWidget(self.asked, 1)
        side.addWidget(self.context, 1)
        panes = QHBoxLayout()
        panes.setSpacing(6)
        panes.addWidget(self.big, 5)
        panes.addLayout(side, 3)
        line = QHBoxLayout()
        line.addWidget(self.state)
        line.addStretch(1)
        line.addWidget(self.caption)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(10, 8, 10, 8)
        whole.addLayout(line)
        whole.addLayout(panes, 1)
        whole.addWidget(self.keys, 0, Qt.AlignmentFlag.AlignHCenter)
        self.asked.setVisible(asked is not None)
        self._question = asked

    # ------------------------------------------------------------------ what is shown

    @property
    def match(self) -> Match:
        """The one that is shown."""
        return self._matches[self._at]

    @property
    def order(self) -> tuple[Match, ...]:
        """All of them, as they come."""
        return tuple(self._matches)

    def go(self, number: int) -> None:
        """Show another match, from 0; stays at the ends."""
        self._at = min(max(number, 0), len(self._matches) - 1)
        match = self.match
        sight = match_sight(match)
        zoom = self._zoom(sight)
        self.big.show_sight(sight, "", zoom)
        self.context.show_sight(sight, "Around it", zoom * _CONTEXT)
        if self._question is not None:
            self.asked.show_sight(self._question, "Marked")
        self._say()
        self.moved.emit(match)

    def _zoom(self, sight: Sight) -> float:
        wide = max(sight.place.width, sight.place.height) * sight.mpp
        return wide / (_BIG * max(min(self.big.width(), self.big.height()), 1))

    def _say(self, _: object = None) -> None:
        book = self._finder.book
        opinion = book.opinions.get(self.match.key)
        judged = sum(match.key in book.opinions for match in self._matches)
        words = f"{self._at + 1} of {len(self._matches)}"
        if opinion is not None:
            words += f"   {VERDICT_MARKS[opinion.decision]} {_WORDS[opinion.decision]}"
        self.state.setText(words)
        colour = QColor(VERDICT_COLOURS[opinion.decision]) if opinion is not None else None
        palette = self.palette()
        if colour is not None:
            palette.setColor(QPalette.ColorRole.WindowText, colour)
        self.state.setPalette(palette)
        card = CardWords(Names.of(self._finder.session), self._finder.columns, self._blinded)
        caption = "   ·   ".join(card.lines(self.match))
        note = opinion.note if opinion is not None else ""
        parts = [part for part in (caption, note and f"“{note}”", f"{judged} judged") if part]
        self.caption.setText("      ".join(parts))

    # ------------------------------------------------------------------ keys

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """All of it works by keys."""
        key = event.key()
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if control and key == Qt.Key.Key_Z:
            self._undo()
        elif not control and key in JUDGING:
            self._finder.book.judge([self.match.key], JUDGING[key], blinded=self._blinded)
            self.go(self._next_open())
        elif key in (Qt.Key.Key_Right, Qt.Key.Key_Space, Qt.Key.Key_Down):
            self.go(self._at + 1)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Backspace, Qt.Key.Key_Up):
            self.go(self._at - 1)
        elif not control and key == Qt.Key.Key_N:
            self._note()
        elif not control and key == Qt.Key.Key_C:
            self._finder.shelf.collect([self.match])
        elif key == Qt.Key.Key_Escape:
            self.close()
        else:
            super().keyPressEvent(event)

    def _next_open(self) -> int:
        """The next one that is not judged, else the next one."""
        opinions = self._finder.book.opinions
        ahead = range(self._at + 1, len(self._matches))
        return next((n for n in ahead if self._matches[n].key not in opinions), self._at + 1)

    def _undo(self) -> None:
        keys = self._finder.book.undo()
        where = [n for n, match in enumerate(self._matches) if match.key in keys]
        if where:
            self.go(where[0])

    def _note(self) -> None:
        ask_note(self._finder, self.match.key, self)

    # ------------------------------------------------------------------ life

    def showEvent(self, event) -> None:  # type: ignore[no-untyped-def]  # noqa: N802
        """The panes have their size only now."""
        super().showEvent(event)
        self.go(self._at)
        self.setFocus()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Stop reading."""
        for pane in (self.big, self.context, self.asked):
            pane.set_source(None)
        self._finder.book.changed.disconnect(self._say)
        self._finder.session.names_hidden.disconnect(self._say)
        super().closeEvent(event)
