"""When to stop: how much of what is judged lately is still accepted, and is it still new."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pathsearch.nouns import PatchKey
from pathsearch.review.records import Review

#: Verdicts that are looked at together.
WINDOW = 20

#: A verdict, and the case of its patch (the slide, where there is no case).
Judged = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Running:
    """How judging goes.

    Attributes
    ----------
    last, accepted : int
        Of the last `WINDOW` patches that were judged, or fewer: how many, and accepted.
    before, accepted_before : int
        The same of the `WINDOW` before those.
    cases, new_cases : int
        Cases with an accepted patch; those whose first one is among the last.
    """

    last: int
    accepted: int
    before: int
    accepted_before: int
    cases: int
    new_cases: int

    def __str__(self) -> str:
        """One line for the screen; empty where nothing was judged."""
        if not self.last:
            return ""
        line = f"{self.accepted} of the last {self.last} judged were accepted"
        if self.before:
            line += f" ({self.accepted_before} of the {self.before} before)"
        cases = "1 case" if self.cases == 1 else f"{self.cases} cases"
        return f"{line}; {cases} found so far, {self.new_cases} of them among these"


def running(judged: Sequence[Judged]) -> Running:
    """How judging goes.

    Parameters
    ----------
    judged : sequence of (decision, case)
        One a patch, in the order of judging; random controls left out.
    """
    last, before = judged[-WINDOW:], judged[-2 * WINDOW : -WINDOW]
    earlier = {case for decision, case in judged[:-WINDOW] if decision == "accept"}
    now = {case for decision, case in last if decision == "accept"}
    return Running(
        last=len(last),
        accepted=_accepted(last),
        before=len(before),
        accepted_before=_accepted(before),
        cases=len(earlier | now),
        new_cases=len(now - earlier),
    )


def running_of(review: Review, reviewer: str | None = None) -> Running:
    """How judging of a review goes, over all of its rounds.

    Parameters
    ----------
    review : Review
    reviewer : str, optional
        Whose verdicts; the latest of all without.
    """
    shown = review.shown()
    kept: dict[PatchKey, Judged] = {}
    for verdict in review.verdicts:
        if verdict.undone or (reviewer is not None and verdict.reviewer != reviewer):
            continue
        known = shown.get(verdict.key)
        if known is None or known.control:
            continue
        if verdict.key in kept and kept[verdict.key][0] != verdict.decision:
            del kept[verdict.key]  # decided anew is judged later; a note is not
        kept[verdict.key] = (verdict.decision, known.match.case_id or verdict.key.slide_id)
    return running(list(kept.values()))


def _accepted(judged: Iterable[Judged]) -> int:
    return sum(decision == "accept" for decision, _ in judged)
