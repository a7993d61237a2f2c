"""Back after a while: what has come in since, and whether the old answer still holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pathsearch import __version__
from pathsearch.errors import ReviewError
from pathsearch.nouns import Match, PatchKey, Query, Vector
from pathsearch.review.records import Review, Round
from pathsearch.review.reviews import Reviews

if TYPE_CHECKING:
    from pathsearch.library import Library
    from pathsearch.search import Answer, Searcher

_ALL = "all"
#: Scores closer than this are the same: float32 sums in another order.
SAME_SCORE = 2e-5
_NAMED = 3


@dataclass(frozen=True)
class Found:
    """What has come in since a review was last looked at.

    Attributes
    ----------
    slides : tuple of str
        Slides that were added, or indexed anew, since.
    answer : Answer or None
        The refined question asked of these slides only; None where there are none.
    round : Round or None
        What was recorded of it.
    """

    slides: tuple[str, ...]
    answer: Answer | None
    round: Round | None


@dataclass(frozen=True)
class Replay:
    """A question asked again, and what differs.

    Attributes
    ----------
    round : Round
        As it was answered.
    answer : Answer
        As it is answered now.
    reasons : tuple of str
        What changed between the two that can explain a difference, one line each.
    gone : tuple of (Match, str)
        Matches that are not among the answers any more, and why.
    came : tuple of (Match, str)
        Matches that were not there, and why.
    moved : tuple of (Match, Match)
        Before and now, where the rank or the score differs.
    recorded : Round or None
    """

    round: Round
    answer: Answer
    reasons: tuple[str, ...]
    gone: tuple[tuple[Match, str], ...]
    came: tuple[tuple[Match, str], ...]
    moved: tuple[tuple[Match, Match], ...]
    recorded: Round | None

    @property
    def same(self) -> bool:
        """Whether the same patches come in the same order with the same scores."""
        return not (self.gone or self.came or self.moved)


def new_slides(review: Review, library: Library) -> tuple[str, ...]:
    """Slides with patches that no round of a review has searched, in the order of their ids."""
    spec = review.question.query.spec
    seen = [pair for one in review.rounds for pair in one.segments]
    return tuple(
        sorted(
            {
                s.slide_id
                for s in library.segments(None if spec == _ALL else spec, include_empty=False)
                if not any(first <= s.number <= last for first, last in seen)
            }
        )
    )


def new_slide_count(reviews: Reviews, library: Library, review: str = "") -> int:
    """How many slides came in since a review was last looked at; needs no encoder."""
    return len(new_slides(reviews.get(review), library))


def find_new(
    reviews: Reviews,
    searcher: Searcher,
    review: str = "",
    *,
    k: int | None = None,
    record: bool = True,
) -> Found:
    """Ask the refined question of the slides that came in since it was last looked at.

    Parameters
    ----------
    reviews : Reviews
    searcher : Searcher
    review : str
    k : int, optional
        Matches wanted; as before without.
    record : bool
        Keep the answer as a round; the slides are then not new any more.

    Raises
    ------
    ReviewError
        The review's examples were erased, or are vectors of another encoder.
    """
    held = reviews.get(review)
    slides = new_slides(held, searcher.library)
    if not slides:
        return Found((), None, None)
    query = _askable(held.question, held.refined(k=k), searcher.library)
    answer = searcher.search(query, within=set(slides))
    kept = reviews.record(answer, review=held.review, kind="new") if record else None
    return Found(slides, answer, kept)


def replay(
    reviews: Reviews,
    searcher: Searcher,
    review: str = "",
    *,
    number: int = 0,
    record: bool = False,
) -> Replay:
    """Ask a round's question again, word for word, and say what differs and why.

    Parameters
    ----------
    reviews : Reviews
    searcher : Searcher
        Of the same library, or of another one to compare with.
    review : str
    number : int
        Of the round; 0 for the latest that was not limited to new slides.
    record : bool
        Keep the answer as a round of the review.

    Raises
    ------
    ReviewError
        No such round; its examples were erased, or are vectors of another encoder.
    """
    held = reviews.get(review)
    one = held.question if number == 0 else _numbered(held, number)
    library = searcher.library
    query = _askable(one, one.query, library)
    within = _within(one, library) if one.kind == "new" else None
    answer = searcher.search(query, within=within)
    before = {s.match.key: s.match for s in one.matches if not s.control}
    now = {match.key: match for match in answer.matches}
    known = _Known(one, library, answer)
    return Replay(
        round=one,
        answer=answer,
        reasons=_reasons(one, library, answer, known),
        gone=tuple((m, known.why_gone(m)) for key, m in before.items() if key not in now),
        came=tuple((m, known.why_came(m, len(before))) for k, m in now.items() if k not in before),
        moved=tuple(
            (m, now[key]) for key, m in before.items() if key in now and _differ(m, now[key])
        ),
        recorded=reviews.record(answer, review=held.review, kind="replay") if record else None,
    )


def _numbered(held: Review, number: int) -> Round:
    for one in held.rounds:
        if one.number == number:
            return one
    raise ReviewError(f"round {number}: this review has rounds 1 to {len(held.rounds)}.")


def _askable(one: Round, query: Query, library: Library) -> Query:
    """The query, where it can still be asked of the library."""
    if one.erased and not query.like and not query.accepted:
        raise ReviewError(
            "the examples of this question were erased from the library: it cannot be asked again."
        )
    other = one.fingerprint != library.encoder.fingerprint
    if other and any(isinstance(e, Vector) for e in (*query.like, *query.unlike)):
        raise ReviewError(
            f"this question holds vectors of {one.encoder} ({one.fingerprint[:12]}); the library's "
            f"encoder is {library.encoder.name} ({library.encoder.fingerprint[:12]}), and their "
            "vectors cannot be compared."
        )
    if query.spec != _ALL and query.spec not in library.specs and len(library.specs) == 1:
        name = next(iter(library.specs))
        return replace(
            query,
            spec=name,
            accepted=_renamed(query.accepted, name),
            rejected=_renamed(query.rejected, name),
            shown=_renamed(query.shown, name),
        )
    return query


def _renamed(keys: Sequence[PatchKey], spec: str) -> tuple[PatchKey, ...]:
    return tuple(replace(key, spec=spec) for key in keys)


def _within(one: Round, library: Library) -> set[str]:
    """Slides that a round limited to new ones was asked of, as far as they are still there."""
    return {s.match.key.slide_id for s in one.matches} & {r.slide_id for r in library.slides()}


def _differ(before: Match, now: Match) -> bool:
    return before.rank != now.rank or abs(before.score - now.score) > SAME_SCORE


class _Known:
    """What is known of a library then and now, to explain a match."""

    def __init__(self, one: Round, library: Library, answer: Answer) -> None:
        self.other_encoder = one.fingerprint != library.encoder.fingerprint
        spec = answer.query.spec
        segments = library.segments(None if spec == _ALL else spec, include_empty=False)
        self.fresh = {
            s.slide_id
            for s in segments
            if not any(first <= s.number <= last for first, last in one.segments)
        }
        self.there = {s.slide_id for s in segments}
        self.exact = one.recall.exact and answer.recall.exact
        self.lowest = min((m.score for m in answer.matches), default=1.0)
        self.full = len(answer.matches) >= answer.query.k

    def why_gone(self, match: Match) -> str:
        slide = match.key.slide_id
        if slide not in self.there:
            return "its slide is not in the library any more"
        if self.other_encoder:
            return "another encoder ranks it lower"
        if slide in self.fresh:
            return "its slide was indexed anew"
        if self.full and match.score <= self.lowest + SAME_SCORE:
            return "closer matches came in before it"
        return "filters or exclusions reach it now" if self.exact else _MISSED

    def why_came(self, match: Match, before: int) -> str:
        if match.key.slide_id in self.fresh:
            return "its slide came in since"
        if self.other_encoder:
            return "another encoder ranks it higher"
        if before and match.rank > before:
            return "more matches were asked for"
        return "a match before it is gone" if self.exact else _MISSED


_MISSED = "the index finds most, not all, of the closest; --exact finds all"


def _reasons(one: Round, library: Library, answer: Answer, known: _Known) -> tuple[str, ...]:
    found = []
    if known.other_encoder:
        found.append(
            f"The encoder is another: {one.encoder} ({one.fingerprint[:12]}) then, "
            f"{library.encoder.name} ({library.encoder.fingerprint[:12]}) now. Scores cannot be "
            "compared."
        )
    if known.fresh and not known.other_encoder:
        found.append(f"Came in, or indexed anew, since: {_slides(sorted(known.fresh))}.")
    lost = sorted({s.match.key.slide_id for s in one.matches} - known.there)
    if lost:
        found.append(f"Not in the library any more, with matches then: {_slides(lost)}.")
    if str(one.recall) != str(answer.recall):
        found.append(f"Then: {one.recall}. Now: {answer.recall}.")
    if one.software != __version__:
        found.append(f"Asked with pathsearch {one.software} then, {__version__} now.")
    fresh_notes = [note for note in answer.notes if note not in one.notes]
    return (*found, *fresh_notes)


def _slides(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    more = len(names) - _NAMED
    word = "slide" if len(names) == 1 else "slides"
    return f"{len(names)} {word} ({shown}{f' and {more} more' if more > 0 else ''})"
