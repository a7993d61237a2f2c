"""What is kept, as frozen values: reviews, their rounds and verdicts, collections, exports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pathsearch.nouns import Footprint, Match, PatchKey, Query
from pathsearch.search.answer import Recall

#: What a reviewer says of a match.
Decision = Literal["accept", "reject", "unsure"]
#: Why a round was asked: first or anew, with verdicts, the next ones, only slides that came
#: since, or again to compare.
Kind = Literal["ask", "refine", "more", "new", "replay"]
#: Inclusive ranges of segment numbers.
SegmentRanges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A match as it was shown.

    Attributes
    ----------
    match : Match
    control : bool
        A patch drawn at random and mixed in, to see whether the judge can tell.
    """

    match: Match
    control: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """One question of a review and everything that it was answered with.

    Attributes
    ----------
    round, review : str
        32 hex digits each.
    number : int
        From 1, in the order of time over all reviewers.
    kind : {'ask', 'refine', 'more', 'new', 'replay'}
    at : str
        ISO 8601, UTC, microseconds.
    reviewer : str
    query : Query
        As it was asked, the spec filled in.
    encoder, fingerprint : str
        Of the library at that time.
    segments : tuple of (first, last)
        Segments of the library that were searched.
    generation : int
        Of the library.
    recall : Recall
    searched : int
        Patches that could have been returned.
    notes : tuple of str
    software : str
        Version of pathsearch that asked.
    erased : bool
        Whether a purge took an example, a patch or a match out of it.
    matches : tuple of Shown
        By rank; controls after the matches.
    """

    round: str
    review: str
    number: int
    kind: Kind
    at: str
    reviewer: str
    query: Query
    encoder: str
    fingerprint: str
    segments: SegmentRanges
    generation: int
    recall: Recall
    searched: int
    notes: tuple[str, ...]
    software: str
    erased: bool
    matches: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one reviewer said of one patch at one time.

    Attributes
    ----------
    verdict, review : str
        32 hex digits each.
    key : PatchKey
    decision : {'accept', 'reject', 'unsure'}
    at : str
        ISO 8601, UTC, microseconds.
    reviewer : str
        ``unnamed-1a2b`` where no name was given: the digits tell machines and users apart.
    label : str
        Class, in the reviewer's words.
    note : str
    blinded : bool
        Judged without score, name and order in view.
    undone : bool
        Taken back later; it counts no more.
    """

    verdict: str
    review: str
    key: PatchKey
    decision: Decision
    at: str
    reviewer: str
    label: str = ""
    note: str = ""
    blinded: bool = False
    undone: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """One line about a review; counts are of what counts now, over all reviewers, of matches.

    `created` and `changed` are ISO 8601, UTC.
    """

    review: str
    title: str
    created: str
    changed: str
    reviewers: tuple[str, ...]
    rounds: int
    matches: int
    accepted: int
    rejected: int
    unsure: int


@dataclass(frozen=True, slots=True)
class Review:
    """A stored question, its rounds and every verdict on their matches.

    Attributes
    ----------
    review : str
        32 hex digits.
    title : str
    created : str
        ISO 8601, UTC, microseconds.
    reviewer : str
        Who began it.
    rounds : tuple of Round
        Oldest first.
    verdicts : tuple of Verdict
        The whole history, oldest first, those taken back too.
    """

    review: str
    title: str
    created: str
    reviewer: str
    rounds: tuple[Round, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def reviewers(self) -> tuple[str, ...]:
        """Everyone whose verdicts count, in the order of their first."""
        return tuple(dict.fromkeys(v.reviewer for v in self.verdicts if not v.undone))

    def current(self, reviewer: str | None = None) -> dict[PatchKey, Verdict]:
        """The verdict that counts on each patch.

        Parameters
        ----------
        reviewer : str, optional
            Only this one's; without, the latest of all counts.
        """
        return {
            v.key: v
            for v in self.verdicts
            if not v.undone and (reviewer is None or v.reviewer == reviewer)
        }

    def shown(self) -> dict[PatchKey, Shown]:
        """Every patch that was shown, as it was first shown; a match before a control."""
        found: dict[PatchKey, Shown] = {}
        for one in self.rounds:
            for shown in one.matches:
                known = found.get(shown.match.key)
                if known is None or (known.control and not shown.control):
                    found[shown.match.key] = shown
        return found

    def keys(self, decision: Decision, reviewer: str | None = None) -> tuple[PatchKey, ...]:
        """Patches with that verdict, controls left out, in the order of judging."""
        controls = {key for key, shown in self.shown().items() if shown.control}
        return tuple(
            key
            for key, verdict in self.current(reviewer).items()
            if verdict.decision == decision and key not in controls
        )

    @property
    def question(self) -> Round:
        """The latest round that can be asked again as it is: not one limited to new slides."""
        asked = [r for r in self.rounds if r.kind in ("ask", "refine", "more")]
        return (asked or list(self.rounds))[-1]

    def refined(self, *, k: int | None = None, more: bool = False) -> Query:
        """The question with every verdict that counts.

        Parameters
        ----------
        k : int, optional
            Matches wanted; as before without.
        more : bool
            Serve nothing that was shown before either, judged or not.
        """
        base = self.question.query
        shown = tuple(self.shown()) if more else base.shown
        return replace(
            base,
            accepted=_together(base.accepted, self.keys("accept"), self.keys("reject")),
            rejected=_together(base.rejected, self.keys("reject"), self.keys("accept")),
            shown=tuple(dict.fromkeys((*shown, *self.keys("unsure")))),
            k=base.k if k is None else k,
        )


def _together(
    before: tuple[PatchKey, ...], now: tuple[PatchKey, ...], against: tuple[PatchKey, ...]
) -> tuple[PatchKey, ...]:
    """Patches of the question and of the verdicts, without those judged otherwise since."""
    gone = set(against)
    return tuple(key for key in dict.fromkeys((*before, *now)) if key not in gone)


@dataclass(frozen=True, slots=True)
class Place:
    """A place of a collection.

    Attributes
    ----------
    place : str
        32 hex digits.
    slide_id, case_id, spec : str
    footprint : Footprint
        Level-0 pixels.
    mpp : float
        µm per level-0 pixel of the slide.
    caption, label : str
        What to say of it; its class.
    position : float
        Places are ordered by it.
    metadata : mapping
        The slide's columns when it was added.
    reviewer : str
        Who wrote the row that counts.
    """

    place: str
    slide_id: str
    case_id: str
    spec: str
    footprint: Footprint
    mpp: float
    caption: str = ""
    label: str = ""
    position: float = 0.0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    reviewer: str = ""


@dataclass(frozen=True, slots=True)
class Collection:
    """A named, ordered set of places; `collection` is 32 hex digits, `created` ISO 8601, UTC."""

    collection: str
    name: str
    created: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Export:
    """A line of the log of what left the library; `at` is ISO 8601, UTC."""

    at: str
    reviewer: str
    what: str
    target: str
    review: str
    items: int
    pseudonymised: bool
