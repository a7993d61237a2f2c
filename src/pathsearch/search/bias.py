"""Whether matches come from one corner of the archive, and what their cases have in common."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pathsearch.nouns import Match
from pathsearch.search.allowed import Slides, row_of

#: A departure is named when it would come by chance less often than this, over all values.
CHANCE = 0.01
#: And when the share is at least so many times the archive's.
FACTOR = 1.5
_NOT_A_MIX = ("case_id", "mpp")


@dataclass(frozen=True)
class Departure:
    """One value of a column that matches have more often than the archive.

    Attributes
    ----------
    column, value : str
    found, matches : int
        So many of so many.
    archive : float
        Share of the patches that could have been returned, 0..1.
    """

    column: str
    value: str
    found: int
    matches: int
    archive: float

    def __str__(self) -> str:
        what = {"slide_id": "slide"}.get(self.column, self.column)
        return (
            f"{self.found} of {self.matches} from one {what}: {self.value} "
            f"(archive: {100 * self.archive:.0f}%)"
        )


@dataclass(frozen=True)
class Tally:
    """How many cases among the matches have a value.

    Attributes
    ----------
    value : str
    cases, of : int
        Cases with the value, and cases with any.
    archive : float
        Share of the library's cases that have it, 0..1.
    """

    value: str
    cases: int
    of: int
    archive: float

    def __str__(self) -> str:
        return f"{self.cases} of {self.of} cases: {self.value}; archive {100 * self.archive:.0f}%"


def departures(
    matches: Sequence[Match], slides: Slides, patches: dict[str, int]
) -> tuple[Departure, ...]:
    """Columns in which the matches depart from what could have been returned.

    Parameters
    ----------
    matches : sequence of Match
    slides : mapping of slide id to SlideRecord
    patches : dict
        Patches of each slide that could have been returned.

    Returns
    -------
    tuple of Departure
        At most one a column, the least likely first. Likelihood: the binomial chance of at
        least so many matches, times the number of values of the column (Bonferroni).
    """
    total = sum(patches.values())
    if not matches or not total:
        return ()
    rows = {slide_id: row_of(slides[slide_id]) for slide_id in patches}
    columns = sorted({name for row in rows.values() for name in row} - set(_NOT_A_MIX))
    found: list[tuple[float, Departure]] = []
    for column in columns:
        archive: Counter[str] = Counter()
        for slide_id, count in patches.items():
            archive[str(rows[slide_id].get(column, ""))] += count
        seen = Counter(str(rows[m.key.slide_id].get(column, "")) for m in matches)
        worst = _worst(column, seen, archive, total)
        if worst is not None:
            found.append(worst)
    return tuple(departure for _, departure in sorted(found, key=lambda item: item[0]))


def _worst(
    column: str, seen: Counter[str], archive: Counter[str], total: int
) -> tuple[float, Departure] | None:
    matches = seen.total()
    best: tuple[float, Departure] | None = None
    for value, count in seen.items():
        share = archive[value] / total
        if not value or count < 3 or count / matches < FACTOR * share:
            continue
        chance = binomial_tail(count, matches, share) * len(archive)
        if chance < CHANCE and (best is None or chance < best[0]):
            best = chance, Departure(column, value, count, matches, share)
    return best


def binomial_tail(at_least: int, n: int, share: float) -> float:
    """Chance of `at_least` or more successes in `n` trials of chance `share`."""
    terms = (math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(at_least, n + 1))
    return min(1.0, math.fsum(terms))


def tally(matches: Iterable[Match], slides: Slides, column: str) -> tuple[Tally, ...]:
    """How the cases among the matches divide over a column's values, most frequent first.

    A slide without a case counts as a case of its own; slides that lack the column do not
    count.
    """
    ids = {match.key.slide_id for match in matches}
    whole = _cases(slides, slides, column)
    among = _cases(ids, slides, column)
    of, everything = sum(among.values()), sum(whole.values())
    return tuple(
        Tally(value, count, of, whole[value] / everything) for value, count in among.most_common()
    )


def _cases(ids: Iterable[str], slides: Slides, column: str) -> Counter[str]:
    pairs = set()
    for slide_id in ids:
        record = slides[slide_id]
        value = row_of(record).get(column)
        if value is not None and record.status != "removed":
            pairs.add((record.case_id or "\0" + slide_id, str(value)))
    return Counter(value for _, value in pairs)
