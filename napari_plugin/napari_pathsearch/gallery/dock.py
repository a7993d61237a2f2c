"""The dock of the matches: what was found, how far to trust it, and the verdicts."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QMenu,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_pathsearch import match_layers, take_along
from napari_pathsearch.compare import SideBySide, asked_sight, match_sight
from napari_pathsearch.finder import Finder
from napari_pathsearch.gallery.captions import Names
from napari_pathsearch.gallery.colours import Shades
from napari_pathsearch.gallery.map_bar import MapBar
from napari_pathsearch.gallery.said import Said, card_words, said_of
from napari_pathsearch.gallery.slides_page import SlidesPage
from napari_pathsearch.gallery.toolbar import GalleryBar
from napari_pathsearch.gallery.view import GalleryView
from napari_pathsearch.judge.book import RoundSeen
from napari_pathsearch.judge.note_dialog import ask_note, ask_reviewer
from napari_pathsearch.judge.review_mode import ReviewMode
from pathsearch.nouns import Match, PatchKey

_EMPTY = "No search yet. Mark tissue on a slide and press “Find similar”."


class MatchesDock(QWidget):
    """The gallery with its lines and controls.

    Parameters
    ----------
    finder : Finder
    """

    def __init__(self, finder: Finder, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._finder = finder
        self._session = finder.session
        self.bar = GalleryBar(self)
        self.map_bar = MapBar(finder, self)
        self.summary, self.quiet, self.tally = QLabel(_EMPTY), QLabel(""), QLabel("")
        self.going = QLabel("")
        self.view = GalleryView(Shades.of_viewer(self._session.viewer), self)
        self.slides = SlidesPage(self._finder, self)
        self.pages = QStackedWidget(self)
        self.side_by_side: SideBySide | None = None
        self.review_mode: ReviewMode | None = None
        self._chosen: PatchKey | None = None
        self._number = 0
        #: What was at the top when a round was left, by its number
        self._at: dict[int, PatchKey | None] = {}
        self._lay_out()
        self._fill_menus()
        self._connect()
        self._take_library()

    # ------------------------------------------------------------------ set up

    def _lay_out(self) -> None:
        for label in (self.summary, self.quiet, self.tally, self.going):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            label.setVisible(bool(label.text()))
        self.quiet.setWordWrap(True)
        self.view.delegate.side = self.bar.size.value()
        self.view.spec_tooltip = self._tooltip
        self.pages.addWidget(self.view)
        self.pages.addWidget(self.slides)
        said = QHBoxLayout()
        said.setSpacing(24)
        said.addWidget(self.summary)
        said.addWidget(self.tally, 1)
        said.addWidget(self.map_bar)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(6, 4, 6, 4)
        whole.setSpacing(3)
        whole.addWidget(self.bar)
        whole.addLayout(said)
        whole.addWidget(self.quiet)
        whole.addWidget(self.going)
        whole.addWidget(self.pages, 1)
        self.setMinimumHeight(240)

    def wanted_height(self) -> int:
        """Height at which a line of cards is whole."""
        card = self.view.delegate.card_size(self.view.fontMetrics()).height()
        return card + self.sizeHint().height() - self.view.sizeHint().height() + 30

    def _fill_menus(self) -> None:
        review = self.bar.review_menu
        review.addAction("One after the other", self.open_review_mode)
        review.addAction("Blinded: shuffled, with random patches mixed in", self.open_blinded)
        actions = self.bar.actions_menu
        for words, kind in take_along.KINDS:
            actions.addAction(words, partial(self.export, kind))
        actions.addSeparator()
        actions.addAction("Copy coordinates", self.copy_coordinates)
        actions.addAction("Collect the chosen\tC", self.collect)
        actions.addSeparator()
        actions.addAction("Your name in verdicts…", self.ask_reviewer)
        self.reviews_menu = actions.addMenu("Earlier reviews")
        self.reviews_menu.aboutToShow.connect(self._finder.list_reviews)

    def _connect(self) -> None:
        finder, view, bar = self._finder, self.view, self.bar
        finder.round_shown.connect(self.show_round)
        finder.appended.connect(self._append)
        finder.library_changed.connect(self._take_library)
        finder.columns_changed.connect(self._renew_words)
        finder.reviews_listed.connect(self._offer_reviews)
        session = self._session
        session.names_hidden.connect(self._hide_names)
        session.slide_opened.connect(self._outline)
        session.viewer.events.theme.connect(self._new_theme)
        view.picked.connect(self.go_to)
        view.judged.connect(self.judge)
        view.undo_wanted.connect(self.undo)
        view.note_wanted.connect(self.write_note)
        view.menu_wanted.connect(self._menu)
        view.collect_wanted.connect(lambda ask: self.collect(ask=ask))
        bar.ordered.connect(view.set_order)
        bar.resized.connect(view.set_side)
        bar.round_wanted.connect(finder.show_round)
        bar.columns_wanted.connect(finder.set_columns)
        bar.refine.clicked.connect(finder.refine)
        bar.refine.setShortcut("Ctrl+R")
        bar.beside.clicked.connect(self.open_side_by_side)
        bar.more.clicked.connect(finder.more)
        bar.holding.toggled.connect(self._turn_page)

    def _take_library(self) -> None:
        self.view.set_source(self._finder.source)
        book = self._finder.book
        book.changed.connect(self._show_verdicts)
        book.rounds_changed.connect(self._offer_rounds)
        self.view.cards.show(())
        names = {name for record in self._session.slides for name in record.metadata}
        self.bar.offer_columns(sorted(names), self._finder.columns)
        self._number = 0
        self._at.clear()
        self.bar.holding.setChecked(False)
        self._enable(shown=False)
        self._say(Said(_EMPTY))
        self.going.clear()
        self.going.hide()
        match_layers.remove_matches(self._session)
        match_layers.remove_maps(self._session)

    # ------------------------------------------------------------------ what is shown

    def show_round(self, seen: RoundSeen) -> None:
        """Show a round's matches."""
        if self._number:
            self._at[self._number] = self.view.first_in_view()
        if seen.number == 1 and seen.kind == "ask" and len(self._finder.book.rounds) == 1:
            self._at.clear()
        self._chosen, self._number = None, seen.number
        self._renew_words()
        self.view.cards.show(seen.found)
        self.view.come_back(self._at.get(seen.number))
        self._show_verdicts()
        self._offer_rounds()
        self._outline_all()
        self._enable(shown=bool(seen.matches))
        last = seen.number == len(self._finder.book.rounds)
        self.bar.more.setEnabled(last and bool(seen.matches))
        if self.bar.holding.isChecked():
            self.slides.renew()
        if self.side_by_side is not None:
            self.side_by_side.ask_about(asked_sight(self._session, seen.query))

    def _enable(self, *, shown: bool) -> None:
        bar = self.bar
        for tool in (bar.refine, bar.more, bar.review, bar.beside, bar.holding):
            tool.setEnabled(shown)

    def show_slides(self) -> None:
        """Which slides hold this, instead of the single matches."""
        self.bar.holding.setChecked(True)

    def _turn_page(self, slides: bool) -> None:
        self.pages.setCurrentWidget(self.slides if slides else self.view)
        self.bar.enable_order(not slides)
        if slides:
            self.slides.renew()

    def _append(self) -> None:
        seen = self._finder.seen
        if seen is not None:
            self.view.cards.append(seen.found)
            self._renew_words()
            self._outline_all()

    def _renew_words(self) -> None:
        words = card_words(self._finder)
        self.view.delegate.heading_words = words.names.text
        self.view.set_words(words)
        said = said_of(self._finder, words.names)
        if said is not None:
            self._say(said)

    def _say(self, said: Said) -> None:
        for label, text in (
            (self.summary, said.summary),
            (self.quiet, said.quiet),
            (self.tally, said.tally),
        ):
            label.setText(text)
            label.setVisible(bool(text))
        self.quiet.setToolTip(said.full)

    def _tooltip(self, match: Match) -> str:
        library = self._session.library
        spec = library.specs.get(match.key.spec) if library is not None else None
        return self.view.delegate.words.tooltip(match, spec)

    def _hide_names(self, _: bool) -> None:
        self._renew_words()
        match_layers.rename(self._session)

    def _new_theme(self, _: Any = None) -> None:
        self.view.set_shades(Shades.of_viewer(self._session.viewer))

    def _offer_rounds(self) -> None:
        seen = self._finder.seen
        rounds = self._finder.book.rounds
        self.bar.offer_rounds([one.words for one in rounds], seen.number if seen else len(rounds))

    def _offer_reviews(self, summaries: Any) -> None:
        self.reviews_menu.clear()
        names = Names.of(self._session)
        for one in summaries[:20]:
            words = f"{one.changed[:16].replace('T', ' ')}   {names.text(one.title)}   "
            words += f"{one.accepted} ✓  {one.rejected} ✗  {one.unsure} ?"
            self.reviews_menu.addAction(words, partial(self._finder.open_review, one))
        if not summaries:
            self.reviews_menu.addAction("None yet").setEnabled(False)

    # ------------------------------------------------------------------ on the slide

    def go_to(self, match: Match) -> None:
        """Show a match in its slide, outlined, and beside the question where that is open."""
        before, self._chosen = self._chosen, match.key
        if before is not None and before.slide_id != match.key.slide_id:
            self._outline(before.slide_id)  # it stands out no longer
        box = match.footprint
        self._session.go_to(
            match.key.slide_id,
            (box.x, box.y, box.width, box.height),
            keep_zoom=True,
            then=lambda _: self._outline(match.key.slide_id),
        )
        if self.side_by_side is not None:
            self.side_by_side.show_match(match_sight(match), self._match_title(match))

    def _match_title(self, match: Match) -> str:
        return f"Match {match.rank}: {self._session.name_of(match.key.slide_id)}"

    def _outline(self, slide: str) -> None:
        seen = self._finder.seen
        if seen is not None:
            match_layers.show_matches(self._session, slide, seen.found, self._chosen)

    def _outline_all(self) -> None:
        for slide in list(self._session.opened):
            self._outline(slide)

    def open_side_by_side(self) -> SideBySide:
        """Question and match in two linked canvases."""
        if self.side_by_side is None:
            self.side_by_side = SideBySide(self._finder.source)
            self.side_by_side.closed.connect(self._side_by_side_closed)
        seen, chosen = self._finder.seen, self.view.chosen()
        if seen is not None:
            self.side_by_side.ask_about(asked_sight(self._session, seen.query))
        if chosen:
            self.side_by_side.show_match(match_sight(chosen[0]), self._match_title(chosen[0]))
        self.side_by_side.show()
        self.side_by_side.raise_()
        return self.side_by_side

    def _side_by_side_closed(self) -> None:
        self.side_by_side = None

    # ------------------------------------------------------------------ verdicts

    def judge(self, keys: list[PatchKey], decision: str) -> None:
        """A verdict on matches; one match judged, the next is chosen."""
        self._finder.book.judge(keys, decision)
        if len(keys) == 1:
            self.view.choose_next()

    def undo(self) -> None:
        """Take back the last verdict, and choose what it was about."""
        keys = self._finder.book.undo()
        if keys:
            self.view.choose(keys)

    def write_note(self) -> None:
        """Ask for a note on the first chosen match."""
        chosen = self.view.chosen_keys()
        if chosen:
            ask_note(self._finder, chosen[0], self)

    def ask_reviewer(self) -> None:
        """Ask under which name verdicts are kept."""
        ask_reviewer(self._finder, self)

    def _show_verdicts(self) -> None:
        book = self._finder.book
        self.view.cards.set_verdicts(book.decisions(), book.notes())
        yes, no = len(book.keys("accept")), len(book.keys("reject"))
        self.bar.refine.setText(f"Refine ({yes} ✓ {no} ✗)" if yes or no else "Refine")
        self.going.setText(book.going())
        self.going.setVisible(bool(self.going.text()))

    def open_review_mode(self, *, blinded: bool = False) -> ReviewMode | None:
        """One match after the other, big."""
        seen = self._finder.seen
        if seen is None or not seen.matches:
            return None
        matches = self.view.cards.shown() if not blinded else list(seen.matches)
        sight = asked_sight(self._session, seen.query)
        self.review_mode = ReviewMode(self._finder, matches, sight, blinded=blinded)
        self.review_mode.showMaximized()
        return self.review_mode

    def open_blinded(self) -> None:
        """Mix random patches in, then review without scores and names."""

        def shown(_: RoundSeen) -> None:
            self._finder.round_shown.disconnect(shown)
            self.open_review_mode(blinded=True)

        self._finder.round_shown.connect(shown)
        self._finder.mix_controls()

    # ------------------------------------------------------------------ menu, export

    def _menu(self, at: QPoint) -> None:
        chosen = self.view.chosen()
        if not chosen:
            return
        keys = [match.key for match in chosen]
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Go there", partial(self.go_to, chosen[0]))
        menu.addAction("Side by side with the question", self.open_side_by_side)
        menu.addSeparator()
        for words, decision in (
            ("Accept\tA", "accept"),
            ("Not like this\tR", "reject"),
            ("Unsure\tU", "unsure"),
        ):
            menu.addAction(words, partial(self.judge, keys, decision))
        menu.addAction("Note…\tN", self.write_note)
        menu.addAction("Collect\tC", self.collect)
        menu.addAction("Collect in…\tShift+C", partial(self.collect, ask=True))
        menu.addAction("Undo\tCtrl+Z", self.undo)
        menu.addSeparator()
        menu.addAction("Copy coordinates", self.copy_coordinates)
        menu.popup(at)

    def collect(self, *, ask: bool = False) -> None:
        """Put the chosen matches into the current collection, or ask into which one."""
        shelf, chosen = self._finder.shelf, self.view.chosen()
        if ask and chosen:
            shelf.name_wanted.emit(list(chosen))
        else:
            shelf.collect(chosen)

    def copy_coordinates(self) -> None:
        """Put the chosen matches' places on the clipboard, as `pathsearch query --like` takes."""
        chosen = self.view.chosen() or list(self.view.cards.matches)
        QApplication.clipboard().setText("\n".join(take_along.place_of(m) for m in chosen))
        self._session.say(f"Copied the place of {len(chosen)} match(es): slide#x,y,width,height.")

    def export(self, kind: str, target: str = "") -> None:
        """Write the chosen matches, or all, to a file that the user names."""
        take_along.export(self._finder, self.view.chosen(), kind, target, self)
