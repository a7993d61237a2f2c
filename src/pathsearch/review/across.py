"""Across slides: which hold this, from which score on, and what the verdicts say of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pathsearch.errors import ReviewError
from pathsearch.nouns import Query
from pathsearch.review.figures import DEPTHS, Precision, Rate, agreement, precision, threshold
from pathsearch.review.records import Review, Round
from pathsearch.review.stopping import running_of
from pathsearch.search.slide_shares import SlideShare

if TYPE_CHECKING:
    from pathsearch.search import Searcher

#: Without verdicts: what half of the searches here find at this rank.
_USUAL_RANK = 10


@dataclass(frozen=True)
class Across:
    """How much of each slide looks like a question.

    Attributes
    ----------
    query : Query
    shares : tuple of SlideShare
        The fullest first.
    threshold : float
        Cosine from which a patch counts.
    told : str
        Where the threshold comes from, in a sentence.
    """

    query: Query
    shares: tuple[SlideShare, ...]
    threshold: float
    told: str

    def by_case(self) -> tuple[SlideShare, ...]:
        """The same by case: patches and hits added up; a slide without a case stands alone."""
        return by_case(self.shares)


def by_case(shares: Sequence[SlideShare]) -> tuple[SlideShare, ...]:
    """Shares of cases: patches and hits of their slides added up; no case: the slide alone."""
    groups: dict[str, list[SlideShare]] = defaultdict(list)
    for share in shares:
        groups[share.case_id or "\0" + share.slide_id].append(share)
    found = [_together(group) for group in groups.values()]
    return tuple(sorted(found, key=lambda s: (-s.share, -s.strength, -s.best, s.case_id)))


def _together(group: Sequence[SlideShare]) -> SlideShare:
    best = max(group, key=lambda s: s.best)
    hits, patches = sum(s.hits for s in group), sum(s.patches for s in group)
    strong = sum(s.strength * s.hits for s in group) / hits if hits else best.best
    return replace(
        best,
        patches=patches,
        hits=hits,
        share=hits / patches,
        strength=strong,
        area_mm2=sum(s.area_mm2 for s in group),
        own=any(s.own for s in group),
    )


def across_slides(
    searcher: Searcher,
    query: Query,
    *,
    review: Review | None = None,
    at: float | None = None,
) -> Across:
    """Which slides hold this: every slide by how much of it looks like a question.

    Parameters
    ----------
    searcher : Searcher
    query : Query
        Its filter says which slides.
    review : Review, optional
        Its verdicts choose the threshold, where there are three accepted and three rejected.
    at : float, optional
        The threshold itself; then nothing is chosen.

    Raises
    ------
    ReviewError
        There is no threshold: no verdicts, and too few patches to know what is usual here.
    """
    if at is None:
        at, told = _chosen(searcher, query, review)
    else:
        told = f"Patches count from a score of {at:.3f} on, as asked."
    return Across(query, tuple(searcher.by_slide(query, at)), at, told)


def _chosen(searcher: Searcher, query: Query, review: Review | None) -> tuple[float, str]:
    if review is not None:
        yes, no = review.keys("accept"), review.keys("reject")
        best = threshold(searcher.scores_of(query, (*yes, *no)), yes, no)
        if best is not None:
            return best.value, (
                f"Patches count from a score of {best.value:.3f} on, which parts the verdicts "
                f"best: {100 * best.sensitivity:.0f}% of {best.accepted} accepted lie above and "
                f"{100 * best.specificity:.0f}% of {best.rejected} rejected below (of the same "
                "verdicts that it was chosen on: expect less of new ones)."
            )
    spec = query.spec or next(iter(searcher.library.specs))
    background = searcher.pool(spec).background if spec in searcher.library.specs else None
    usual = background.usual(_USUAL_RANK, query.exclude) if background is not None else None
    if usual is None:
        raise ReviewError(
            "there is nothing to choose a threshold from: give --threshold, judge at least three "
            "matches each way, or run 'pathsearch reindex' if the library has no index."
        )
    return usual, (
        f"Patches count from a score of {usual:.3f} on: half of the searches here reach that with "
        f"their match number {_USUAL_RANK}. It was not chosen from verdicts; it does not say what "
        "the tissue is."
    )


def told_figures(review: Review, reviewer: str | None = None) -> tuple[tuple[str, str], ...]:
    """What the verdicts of a review say, as names and values for a page or a terminal.

    Parameters
    ----------
    review : Review
    reviewer : str, optional
        Whose verdicts. Without, the latest of all count; where there are several reviewers,
        each one's precision follows, and how far every two of them agree.
    """
    lines: list[tuple[str, str]] = []
    people = () if reviewer is not None else review.reviewers
    for one in review.rounds:
        lines += _round_lines(review, one, reviewer)
        for who in people if len(people) > 1 else ():
            own = precision(review, one, reviewer=who)
            if own.judged.n:
                lines.append((f"Round {one.number}, all matches, as {who} judged", _told(own)))
    for number, first in enumerate(people):
        for second in people[number + 1 :]:
            try:
                found = agreement(review, first, second)
            except ReviewError:
                continue
            kappa = "kappa not defined (both gave one verdict only)"
            if found.kappa is not None:
                low, high = found.interval
                kappa = f"Cohen's kappa {found.kappa:.2f} (95% interval {low:.2f} to {high:.2f})"
            lines.append(
                (
                    f"Agreement of {first} and {second}",
                    f"{found.same} of {found.n} verdicts the same, {kappa}",
                )
            )
    going = str(running_of(review, reviewer))
    if going:
        lines.append(("How it goes", going))
    return tuple(lines)


def _round_lines(review: Review, one: Round, reviewer: str | None) -> list[tuple[str, str]]:
    whole = precision(review, one, reviewer=reviewer)
    if not whole.judged.n:
        return []
    where = f"Round {one.number}"
    depths = [k for k in DEPTHS if k < whole.k]
    lines = []
    for k in depths:
        found = precision(review, one, k, reviewer)
        if found.judged.n:
            lines.append((f"{where}, precision at {k}", _told(found)))
    lines.append((f"{where}, all matches ({whole.k})", _told(whole)))
    if whole.over_controls is not None:
        value, low, high = whole.over_controls
        lines.append((f"{where}, random controls accepted", _rate(whole.controls)))
        lines.append(
            (
                f"{where}, more than of random tissue",
                f"{100 * value:+.0f} points (95% interval {100 * low:+.0f} to {100 * high:+.0f})",
            )
        )
    return lines


def _told(found: Precision) -> str:
    text = _rate(found.judged)
    if found.unsure:
        text += f", {found.unsure} unsure counted as not accepted"
    if found.unjudged:
        text += f", {found.unjudged} not judged left out"
    if found.blinded:
        text += f", {found.blinded} judged blind"
    return text


def _rate(rate: Rate) -> str:
    low, high = rate.interval
    value = rate.value or 0.0
    return (
        f"{rate.hits} of {rate.n}: {100 * value:.0f}% "
        f"(95% interval {100 * low:.0f} to {100 * high:.0f}%)"
    )
