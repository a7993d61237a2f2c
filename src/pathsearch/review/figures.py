"""What verdicts say in figures: precision with its interval, agreement, a threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pathsearch.errors import ReviewError
from pathsearch.metrics import wilson
from pathsearch.nouns import PatchKey
from pathsearch.review.records import Decision, Review, Round, Verdict

#: Normal quantile of a two-sided 95% interval.
_Z = 1.959964
#: Cut-offs of the table of precision.
DEPTHS = (1, 5, 10, 20, 50, 100)
#: Fewer accepted or rejected patches give no threshold.
LEAST = 3

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Rate:
    """A share that was counted: `hits` of `n`; `interval` is Wilson's, 95%, 0..1."""

    hits: int
    n: int

    @property
    def value(self) -> float | None:
        """Hits / n; None where nothing was counted."""
        return self.hits / self.n if self.n else None

    @property
    def interval(self) -> Interval:
        """Wilson's score interval (Wilson 1927); (0, 1) where nothing was counted."""
        return wilson(self.hits, self.n)


@dataclass(frozen=True, slots=True)
class Precision:
    """How many of the first k matches of a round were accepted.

    Attributes
    ----------
    k : int
        Matches that were looked at, from the first.
    judged : Rate
        Accepted of those judged; *unsure* counts as not accepted.
    unsure, unjudged : int
    blinded : int
        Judged without score, name and order in view.
    controls : Rate
        Accepted of the random patches that were mixed in: what this judge accepts of any
        tissue.
    over_controls : (value, low, high) or None
        The first rate less the second, with Newcombe's 95% interval (Newcombe 1998, method
        10); None without judged controls.
    """

    k: int
    judged: Rate
    unsure: int
    unjudged: int
    blinded: int
    controls: Rate
    over_controls: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two reviewers agree on the patches that both judged.

    Attributes
    ----------
    first, second : str
    n : int
        Patches that both judged.
    same : int
        With the same verdict.
    kappa : float or None
        Cohen's kappa (Cohen 1960); None where chance alone would give full agreement.
    interval : tuple of float
        95%, from the large-sample standard error; rough below 30 patches.
    table : mapping of (first's, second's verdict) to count
    """

    first: str
    second: str
    n: int
    same: int
    kappa: float | None
    interval: Interval
    table: Mapping[tuple[Decision, Decision], int]


@dataclass(frozen=True, slots=True)
class Threshold:
    """The score that best parts accepted from rejected patches.

    Attributes
    ----------
    value : float
        Cosine: halfway between the two neighbouring scores.
    sensitivity, specificity : float
        Shares of the accepted at or above, and of the rejected below, it; measured on the
        very patches that it was chosen on.
    accepted, rejected : int
    """

    value: float
    sensitivity: float
    specificity: float
    accepted: int
    rejected: int


def precision(
    review: Review, one: Round, k: int | None = None, reviewer: str | None = None
) -> Precision:
    """Precision among the first `k` matches of a round.

    Parameters
    ----------
    review : Review
    one : Round
        A round of it.
    k : int, optional
        All matches without.
    reviewer : str, optional
        Whose verdicts; the latest of all without.
    """
    current = review.current(reviewer)
    matches = [s.match for s in one.matches if not s.control][:k]
    said = [current[m.key] for m in matches if m.key in current]
    controls = [current[s.match.key] for s in one.matches if s.control and s.match.key in current]
    judged, chance = _rate(said), _rate(controls)
    return Precision(
        k=len(matches),
        judged=judged,
        unsure=sum(v.decision == "unsure" for v in said),
        unjudged=len(matches) - len(said),
        blinded=sum(v.blinded for v in said),
        controls=chance,
        over_controls=_difference(judged, chance),
    )


def _rate(said: Sequence[Verdict]) -> Rate:
    return Rate(sum(v.decision == "accept" for v in said), len(said))


def _difference(first: Rate, second: Rate) -> tuple[float, float, float] | None:
    if first.value is None or second.value is None:
        return None
    (low1, high1), (low2, high2) = first.interval, second.interval
    p1, p2 = first.value, second.value
    down = math.sqrt((p1 - low1) ** 2 + (high2 - p2) ** 2)
    up = math.sqrt((high1 - p1) ** 2 + (p2 - low2) ** 2)
    return (p1 - p2, p1 - p2 - down, p1 - p2 + up)


def agreement(review: Review, first: str, second: str) -> Agreement:
    """How far two reviewers of a review agree.

    Raises
    ------
    ReviewError
        No patch was judged by both.
    """
    a, b = review.current(first), review.current(second)
    both = [key for key in a if key in b]
    if not both:
        known = ", ".join(review.reviewers) or "nobody"
        raise ReviewError(
            f"{first} and {second} judged no patch in common; verdicts here are of {known}."
        )
    table: dict[tuple[Decision, Decision], int] = {}
    for key in both:
        pair = (a[key].decision, b[key].decision)
        table[pair] = table.get(pair, 0) + 1
    n = len(both)
    same = sum(count for (x, y), count in table.items() if x == y)
    chance = sum(
        sum(c for (x, _), c in table.items() if x == d)
        * sum(c for (_, y), c in table.items() if y == d)
        for d in {d for pair in table for d in pair}
    ) / (n * n)
    if chance >= 1:
        return Agreement(first, second, n, same, None, (-1.0, 1.0), table)
    seen = same / n
    kappa = (seen - chance) / (1 - chance)
    half = _Z * math.sqrt(seen * (1 - seen) / n) / (1 - chance)
    return Agreement(
        first, second, n, same, kappa, (max(-1.0, kappa - half), min(1.0, kappa + half)), table
    )


def threshold(
    scores: Mapping[PatchKey, float],
    accepted: Sequence[PatchKey],
    rejected: Sequence[PatchKey],
) -> Threshold | None:
    """The score with the largest sensitivity + specificity (Youden 1950); ties: the highest.

    Parameters
    ----------
    scores : mapping of PatchKey to cosine
        All under one question.
    accepted, rejected : sequences of PatchKey
        Those without a score are passed over.

    Returns
    -------
    Threshold or None
        None with fewer than three accepted or three rejected.
    """
    yes = sorted(scores[key] for key in accepted if key in scores)
    no = sorted(scores[key] for key in rejected if key in scores)
    if min(len(yes), len(no)) < LEAST:
        return None
    every = sorted({*yes, *no})
    cuts = [every[0], *((a + b) / 2 for a, b in pairwise(every))]

    def judged(cut: float) -> tuple[float, float]:
        return (
            sum(score >= cut for score in yes) / len(yes),
            sum(score < cut for score in no) / len(no),
        )

    best = max(cuts, key=lambda cut: (sum(judged(cut)), cut))
    return Threshold(best, *judged(best), len(yes), len(no))
