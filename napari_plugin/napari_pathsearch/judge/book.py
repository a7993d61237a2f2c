"""The verdicts of the review that is open: shown at once, kept by the scribe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pathsearch.judge.scribe import Scribe
from pathsearch.errors import ReviewError
from pathsearch.nouns import Match, PatchKey, Query

if TYPE_CHECKING:
    from pathsearch.review import Review, Reviews, Round
    from pathsearch.search import Answer

DECISIONS = ("accept", "reject", "unsure")


@dataclass(frozen=True)
class Opinion:
    """A verdict that counts: accept, reject or unsure, and a note."""

    decision: str
    note: str = ""


@dataclass(frozen=True)
class RoundSeen:
    """One round of a review, as the gallery shows it.

    Attributes
    ----------
    number : int
        From 1.
    kind : str
        'ask', 'refine', 'more', 'new' or 'replay'.
    matches : tuple of Match
        Controls are among them.
    controls : frozenset of PatchKey
        Random patches, mixed in for a blinded review.
    query : Query
    answer : Answer or None
        With what was said of it.
    """

    number: int
    kind: str
    matches: tuple[Match, ...]
    query: Query
    controls: frozenset[PatchKey] = frozenset()
    answer: Answer | None = None

    @property
    def found(self) -> tuple[Match, ...]:
        """The matches without the controls."""
        return tuple(match for match in self.matches if match.key not in self.controls)

    @property
    def words(self) -> str:
        """How the round is called."""
        verdicts = ""
        if self.query.accepted or self.query.rejected:
            verdicts = f", from {len(self.query.accepted)} ✓ and {len(self.query.rejected)} ✗"
        blinded = ", blinded" if self.controls else ""
        return f"Round {self.number}: {len(self.found)} matches{verdicts}{blinded}"


class VerdictBook(QObject):
    """Rounds and verdicts of one review; every change is written as it happens.

    Parameters
    ----------
    open_store : callable, optional
        Opens the library's reviews; called on the scribe's thread. Without it nothing is kept.

    Signals
    -------
    changed
        Verdicts or notes.
    rounds_changed
        There is another round.
    failed : str
        Something could not be written; one line.
    """

    changed = Signal()
    rounds_changed = Signal()
    failed = Signal(str)

    def __init__(
        self, open_store: Callable[[], Reviews] | None = None, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._open_store = open_store
        self._store: Reviews | None = None
        self._scribe = Scribe(self.failed.emit)
        self._review = ""
        self._past: list[tuple[tuple[PatchKey, Opinion | None], ...]] = []
        self.opinions: dict[PatchKey, Opinion] = {}
        self.rounds: list[RoundSeen] = []

    # ------------------------------------------------------------------ rounds

    @property
    def review(self) -> str:
        """Id of the review in the store, once its first round is written; else empty."""
        return self._review

    def begin(self) -> None:
        """A new review: nothing judged, no rounds."""
        self._scribe.flush()
        self._review = ""
        self._past.clear()
        self.opinions.clear()
        self.rounds.clear()
        self.changed.emit()

    def add_round(self, answer: Answer, kind: str, controls: Sequence[Match] = ()) -> RoundSeen:
        """Keep an answer that is shown.

        Parameters
        ----------
        answer : Answer
        kind : str
            'ask' begins a new review; the others go on with this one.
        controls : sequence of Match
            Random patches mixed in.
        """
        if kind == "ask":
            self.begin()
        if kind == "more" and self.rounds:
            return self._extend(answer)
        seen = RoundSeen(
            len(self.rounds) + 1,
            kind,
            (*answer.matches, *controls),
            answer.query,
            frozenset(match.key for match in controls),
            answer,
        )
        self.rounds.append(seen)
        self._write(lambda store: self._record(store, answer, kind, tuple(controls)))
        self.rounds_changed.emit()
        return seen

    def _extend(self, answer: Answer) -> RoundSeen:
        """More matches of the question that was asked last: the same round."""
        last = self.rounds[-1]
        fresh = tuple(match for match in answer.matches if match not in last.matches)
        seen = replace(last, matches=(*last.matches, *fresh), answer=answer)
        self.rounds[-1] = seen
        only = replace(answer, matches=fresh)
        self._write(lambda store: self._record(store, only, "more", ()))
        self.rounds_changed.emit()
        return seen

    def load(self, review: Review) -> None:
        """Go on with a review of an earlier session."""
        self.begin()
        self._review = review.review
        for stored in review.rounds:
            matches = tuple(shown.match for shown in stored.matches)
            controls = frozenset(shown.match.key for shown in stored.matches if shown.control)
            if stored.kind == "more" and self.rounds:
                last = self.rounds[-1]
                answer = last.answer and replace(last.answer, matches=(*last.found, *matches))
                self.rounds[-1] = replace(last, matches=(*last.matches, *matches), answer=answer)
                continue
            number = len(self.rounds) + 1
            answer = _answer_of(stored)
            seen = RoundSeen(number, stored.kind, matches, stored.query, controls, answer)
            self.rounds.append(seen)
        for verdict in review.verdicts:
            if not verdict.undone:
                self._set([verdict.key], Opinion(verdict.decision, verdict.note))
        self.rounds_changed.emit()
        self.changed.emit()

    # ------------------------------------------------------------------ verdicts

    def judge(self, keys: Iterable[PatchKey], decision: str, *, blinded: bool = False) -> None:
        """Accept, reject, or mark as unsure; notes stay."""
        wanted = list(keys)
        if not wanted:
            return
        for key in wanted:
            note = self.opinions[key].note if key in self.opinions else ""
            self._keep([key], Opinion(decision, note), blinded=blinded)
        self._join(len(wanted))
        self.changed.emit()

    def note(self, key: PatchKey, text: str) -> None:
        """Write a note; a match that is not judged yet counts as unsure then."""
        have = self.opinions.get(key, Opinion("unsure"))
        self._keep([key], replace(have, note=text), blinded=False)
        self.changed.emit()

    def undo(self) -> tuple[PatchKey, ...]:
        """Take back the last verdict, or all that were given by one key press."""
        if not self._past:
            return ()
        step = self._past.pop()
        for key, before in reversed(step):
            if before is None:
                self.opinions.pop(key, None)
            else:
                self.opinions[key] = before
            self._write(partial(self._take_back, key))
        self.changed.emit()
        return tuple(key for key, _ in step)

    def keys(self, decision: str) -> tuple[PatchKey, ...]:
        """What was judged so, controls left out."""
        controls = {key for seen in self.rounds for key in seen.controls}
        return tuple(
            key
            for key, opinion in self.opinions.items()
            if opinion.decision == decision and key not in controls
        )

    def going(self) -> str:
        """How judging goes, in one line; empty where nothing was judged."""
        from pathsearch.review import running

        cases = {m.key: m.case_id or m.key.slide_id for seen in self.rounds for m in seen.found}
        return str(
            running(
                [
                    (opinion.decision, cases[key])
                    for key, opinion in self.opinions.items()
                    if key in cases
                ]
            )
        )

    def decisions(self) -> dict[PatchKey, str]:
        """Each judged patch's verdict."""
        return {key: opinion.decision for key, opinion in self.opinions.items()}

    def notes(self) -> dict[PatchKey, str]:
        """Each note that is not empty."""
        return {key: opinion.note for key, opinion in self.opinions.items() if opinion.note}

    # ------------------------------------------------------------------ writing

    def call_reviewer(self, name: str) -> None:
        """Keep verdicts under another name from now on."""

        def call(store: Reviews) -> None:
            store.reviewer = name

        self._write(call)

    def flush(self) -> None:
        """Wait until everything is on disk."""
        self._scribe.flush()

    def close(self) -> None:
        """Write what waits, and stop."""
        if self._store is not None and not self._scribe.closed:
            self._scribe.do(self._store.close)
        self._scribe.close()

    def stored(self) -> Review:
        """The review as it is kept; waits for what is being written, so not on the GUI thread.

        Raises
        ------
        ReviewError
            It could not be kept.
        """
        self._scribe.flush()
        if self._store is None or not self._review:
            raise ReviewError("This search could not be kept, so it cannot be written either.")
        return self._store.get(self._review)

    def ask_store(self, job: Callable[[Reviews], object]) -> None:
        """Run a job with the store, after what is being written; on the scribe's thread."""
        self._write(job)

    def _keep(self, keys: Sequence[PatchKey], opinion: Opinion, *, blinded: bool) -> None:
        self._set(keys, opinion)
        self._write(
            lambda store: store.judge(
                self._review,
                tuple(keys),
                opinion.decision,
                note=opinion.note,
                blinded=blinded,
            )
        )

    def _set(self, keys: Sequence[PatchKey], opinion: Opinion) -> None:
        self._past.append(tuple((key, self.opinions.get(key)) for key in keys))
        for key in keys:
            known = self.opinions.get(key)
            if known is not None and known.decision != opinion.decision:
                del self.opinions[key]  # decided anew is judged later; a note is not
            self.opinions[key] = opinion

    def _join(self, steps: int) -> None:
        """Make one step of the last few: one key press is undone at once."""
        together = tuple(change for step in self._past[-steps:] for change in step)
        self._past[-steps:] = [together]

    def _record(self, store: Any, answer: Answer, kind: str, controls: tuple[Match, ...]) -> None:
        kept = store.record(answer, review=self._review, kind=kind, controls=controls)
        self._review = kept.review

    def _take_back(self, key: PatchKey, store: Reviews) -> None:
        store.undo(self._review, key)

    def _write(self, job: Callable[[Any], object]) -> None:
        if self._open_store is None or self._scribe.closed:
            return  # nothing is kept, or the library was closed meanwhile
        open_store = self._open_store

        def write() -> None:
            if self._store is None:
                self._store = open_store()
            job(self._store)

        self._scribe.do(write)


def _answer_of(stored: Round) -> Answer:
    """What was answered, as far as it was kept: not the departures from the archive's mix."""
    from pathsearch.search import Answer

    return Answer(
        matches=tuple(shown.match for shown in stored.matches if not shown.control),
        query=stored.query,
        recall=stored.recall,
        notes=stored.notes,
        library="",
        encoder=stored.encoder,
        searched=stored.searched,
        segments=stored.segments,
    )


def compared(earlier: Sequence[Match], now: Sequence[Match]) -> tuple[dict[PatchKey, int], int]:
    """Ranks that the matches of now had earlier, and how many of now are new."""
    ranks = {match.key: match.rank for match in earlier}
    kept = {match.key: ranks[match.key] for match in now if match.key in ranks}
    return kept, len(now) - len(kept)
