"""Asks the library for one viewer, and holds what came: rounds, verdicts, pictures.

Widgets show what this object holds and call it; it touches no widget. Searches run in the
session's lane ``search``, pictures on the loader's threads, verdicts on the scribe's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pathsearch import remembered
from napari_pathsearch.ask.marks import Marks
from napari_pathsearch.ask.settings import AskSettings
from napari_pathsearch.collect.shelf import Shelf
from napari_pathsearch.gallery.delegate import PictureSource
from napari_pathsearch.gallery.loader import PictureLoader
from napari_pathsearch.gallery.pictures import Pictures
from napari_pathsearch.judge.book import RoundSeen, VerdictBook
from napari_pathsearch.judge.news import News
from napari_pathsearch.words import message_of
from pathsearch.errors import PathsearchError, QueryError
from pathsearch.nouns import Example, Match, Picture, Query

if TYPE_CHECKING:
    from napari_pathsearch.jobs import Job
    from napari_pathsearch.session import Session
    from pathsearch.library import Library
    from pathsearch.review import Review, Reviews, Summary
    from pathsearch.search import Answer
    from pathsearch.search.bias import Tally
    from pathsearch.search.maps import SimilarityMap

_MORE = 40
#: Random patches that a blinded review mixes in, for each match.
_CONTROL_SHARE = 0.25
#: Columns that a new user sees, where the slides have them; at most two.
_USUAL_COLUMNS = ("diagnosis", "organ", "site", "stain", "year")


@dataclass(frozen=True)
class Asked:
    """An answer with what is said about it."""

    answer: Answer
    tallies: tuple[Tally, ...] = ()
    controls: tuple[Match, ...] = ()


class Finder(QObject):
    """Searches, rounds and verdicts of one viewer.

    Signals
    -------
    busy : bool
        A search began, or ended in whatever way.
    round_shown : RoundSeen
        Another round is looked at: the last one, or one that the user went back to.
    appended
        The round that is shown has more matches.
    library_changed
        `pictures` and `book` are those of another library, or empty.
    columns_changed
        Other columns of the slides are to be shown.
    """

    busy = Signal(bool)
    round_shown = Signal(object)
    appended = Signal()
    library_changed = Signal()
    columns_changed = Signal()
    reviews_listed = Signal(object)
    _review_read = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.session = session
        self.marks = Marks(session)
        self.pictures_of_files: list[Picture] = []
        self.settings = AskSettings()
        self.source: PictureSource | None = None
        self.book = VerdictBook(parent=self)
        self.seen: RoundSeen | None = None
        self.tallies: tuple[Tally, ...] = ()
        self.columns: tuple[str, ...] = tuple(remembered.recall("columns", []))
        self._job: Job | None = None
        session.library_changed.connect(self._take_library)
        session.closing.connect(self.close)
        self._review_read.connect(self._show_review)
        self._take_library()
        self.shelf = Shelf(self)
        self.news = News(self)

    # ------------------------------------------------------------------ library

    def _take_library(self) -> None:
        self._close_library()
        library, searcher = self.session.library, self.session.searcher
        if library is not None and searcher is not None:
            self.source = PictureSource(Pictures(library), PictureLoader(self))
            self.book = VerdictBook(_reviews_of(library), self)
            self.book.failed.connect(self._say_failure)
            # Loading the encoder takes seconds: begin before the first question
            self.session.run(lambda _: searcher.encoder, lane="search", failed=self._say_no_encoder)
            self._pick_columns()
        self.library_changed.emit()

    def _pick_columns(self) -> None:
        """For who never picked any: the usual ones that the slides have."""
        if not self.columns and not remembered.recall("columns", []):
            there = {name.casefold(): name for r in self.session.slides for name in r.metadata}
            self.columns = tuple(there[name] for name in _USUAL_COLUMNS if name in there)[:2]

    def _say_no_encoder(self, error: Exception) -> None:
        message = message_of(error)
        line = f"Slides and earlier searches can be looked at, but not searched: {message.line}"
        self.session.say(line, message.details, "warning")

    def _say_failure(self, line: str) -> None:
        self.session.say(line, kind="error")

    def _close_library(self) -> None:
        self.seen, self.tallies = None, ()
        self.book.close()
        self.book = VerdictBook(parent=self)
        if self.source is not None:
            source, self.source = self.source, None
            source.loader.close()
            source.pictures.close()

    def close(self) -> None:
        """Write what waits, stop the threads, give the files back."""
        self.book.close()
        if self.source is not None:
            self.source.loader.close()
            self.source.pictures.close()

    # ------------------------------------------------------------------ asking

    @property
    def is_busy(self) -> bool:
        """Whether a search is under way."""
        return self._job is not None

    def examples(self) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
        """What to ask with: marks, and pictures that were dropped."""
        like, unlike = self.marks.examples()
        return (*like, *self.pictures_of_files), unlike

    def query(self) -> Query:
        """The question as it stands.

        Raises
        ------
        QueryError
            Nothing is marked, or no library is open.
        """
        library = self.session.library
        if library is None:
            raise QueryError("Open a library first: drop its folder on this window.")
        like, unlike = self.examples()
        active = self.session.active
        slide_id = active if self.session.record(active) is not None else ""
        return self.settings.query(like, unlike, slide_id=slide_id, specs=list(library.specs))

    def find(self) -> None:
        """Ask with what is marked."""
        try:
            query = self.query()
        except PathsearchError as error:
            self.session.say(error)
            return
        self.ask(query, "ask")

    def refine(self) -> None:
        """Ask again with the verdicts."""
        if self.seen is None:
            return
        accepted, rejected = self.book.keys("accept"), self.book.keys("reject")
        if not accepted and not rejected:
            self.session.say("Accept (A) or reject (R) some matches first, then refine.")
            return
        last = self.book.rounds[-1].query
        self.ask(replace(last, accepted=accepted, rejected=rejected), "refine")

    def more(self) -> None:
        """Fetch further matches of the last round."""
        if self.seen is None or self.is_busy or self.seen is not self.book.rounds[-1]:
            return
        have = len(self.seen.found)
        self.ask(replace(self.seen.query, k=have + _MORE), "more")

    def cancel(self) -> None:
        """Give up the search that is under way."""
        if self._job is not None:
            self._job.cancel()

    def ask(self, query: Query, kind: str, controls: int = 0) -> None:
        """Search in the background; the answer comes as a round."""
        searcher = self.session.searcher
        if searcher is None:
            return
        column = self.columns[0] if self.columns else ""

        def work(job: Job) -> Asked:
            answer = searcher.search(query)
            job.check()
            names = searcher.table.column_names
            tallies = searcher.tally(answer, column) if column in names else ()
            mixed = searcher.random_matches(query, controls) if controls else ()
            return Asked(answer, tallies, mixed)

        self._search(work, lambda asked: self._answered(asked, kind))

    def _search(self, work: Callable[[Job], Any], done: Callable[[Any], None]) -> None:
        """Run a search, instead of the one under way; the user can cancel it."""
        self.cancel()
        job = self.session.run(
            work,
            lane="search",
            done=done,
            failed=self._failed,
            cancelled=lambda: self._ended(job),
        )
        self._job = job
        self.busy.emit(True)

    def _answered(self, asked: Asked, kind: str) -> None:
        self._ended(self._job)
        self.tallies = asked.tallies
        self.seen = self.book.add_round(asked.answer, kind, asked.controls)
        if kind == "more":
            self.appended.emit()
        else:
            self.round_shown.emit(self.seen)

    def _failed(self, error: Exception) -> None:
        self._ended(self._job)
        self.session.say(error)

    def _ended(self, job: Job | None) -> None:
        # A cancelled search may report after the next one began
        if job is self._job:
            self._job = None
            self.busy.emit(False)

    # ------------------------------------------------------------------ rounds and reviews

    def show_round(self, number: int) -> None:
        """Go back to a round, from 1."""
        if 1 <= number <= len(self.book.rounds):
            self.seen = self.book.rounds[number - 1]
            self.round_shown.emit(self.seen)

    def earlier(self) -> RoundSeen | None:
        """The round before the one that is shown."""
        if self.seen is None or self.seen.number < 2:
            return None
        return self.book.rounds[self.seen.number - 2]

    def mix_controls(self) -> None:
        """Ask the question of this round again with random patches mixed in, for blinding."""
        if self.seen is None:
            return
        count = max(3, round(_CONTROL_SHARE * len(self.seen.found)))
        self.ask(self.seen.query, "replay", controls=count)

    def show_new(self, review: str) -> None:
        """Ask a review's question, verdicts included, of the slides that came in since."""
        searcher, library = self.session.searcher, self.session.library
        if searcher is None or library is None:
            return
        book = self.book

        def work(_: Job) -> tuple[Review, Answer | None]:
            from pathsearch.review import Reviews, find_new

            book.flush()
            with Reviews(library) as reviews:
                found = find_new(reviews, searcher, review)
                return reviews.get(review), found.answer

        self._search(work, self._take_new)

    def _take_new(self, found: tuple[Review, Answer | None]) -> None:
        self._ended(self._job)
        review, answer = found
        self.book.load(review)
        if answer is not None and self.book.rounds:
            self.book.rounds[-1] = replace(self.book.rounds[-1], answer=answer)
        self.news.look()
        if self.book.rounds:
            self.show_round(len(self.book.rounds))
            self._tally_again()

    def list_reviews(self) -> None:
        """Read what was kept; `reviews_listed` follows with the summaries, newest first."""
        self.book.ask_store(lambda store: self.reviews_listed.emit(store.list()))

    def open_review(self, review: Summary | str) -> None:
        """Go on with a review."""
        name = review if isinstance(review, str) else review.review
        self.book.ask_store(lambda store: self._review_read.emit(store.get(name)))

    def _show_review(self, review: object) -> None:
        self.book.load(review)  # type: ignore[arg-type]
        self.tallies = ()
        if self.book.rounds:
            self.show_round(len(self.book.rounds))
            self._tally_again()

    # ------------------------------------------------------------------ maps, columns

    def map(self, slide_id: str, done: Callable[[SimilarityMap], None]) -> None:
        """How similar a slide is to the question that is shown."""
        searcher, seen = self.session.searcher, self.seen
        if searcher is None or seen is None:
            self.session.say("Search first: the map shows how similar this slide is to the search.")
            return
        query = seen.query
        if query.spec == "all":
            query = replace(query, spec=next(iter(searcher.library.specs)))
        self.session.run(lambda _: searcher.map(query, slide_id), lane="search", done=done)

    def set_columns(self, columns: Sequence[str]) -> None:
        """Choose the slides' own columns that cards show; remembered."""
        self.columns = tuple(columns)
        remembered.remember("columns", list(columns))
        self.columns_changed.emit()
        self._tally_again()

    def _tally_again(self) -> None:
        searcher = self.session.searcher
        answer = self.seen.answer if self.seen is not None else None
        if searcher is None or answer is None or not self.columns:
            self.tallies = ()
            self.columns_changed.emit()
            return
        column = self.columns[0]

        def taken(tallies: tuple[Tally, ...]) -> None:
            self.tallies = tallies
            self.columns_changed.emit()

        self.session.run(lambda _: searcher.tally(answer, column), lane="search", done=taken)


def _reviews_of(library: Library) -> Callable[[], Reviews]:
    def open_store() -> Reviews:
        from pathsearch.review import Reviews

        return Reviews(library)

    return open_store


def finder_of(session: Session) -> Finder:
    """The finder of a session, made when it is first asked for."""
    found = session.findChild(Finder)
    return found if found is not None else Finder(session)
