"""Whether matches come from one corner of the archive, and what their cases have in common."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pathsearch.nouns import Match
from pathsearch.search.slide_table import SlideTable

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
    matches: Sequence[Match], table: SlideTable, patches: npt.NDArray[np.int64]
) -> tuple[Departure, ...]:
    """Columns in which the matches depart from what could have been returned.

    Parameters
    ----------
    matches : sequence of Match
    table : SlideTable
    patches : int64 array, shape (slides,)
        Patches of each slide of the table that could have been returned.

    Returns
    -------
    tuple of Departure
        At most one a column, the least likely first. Likelihood: the binomial chance of at
        least so many matches, times the number of values of the column (Bonferroni).
    """
    total = int(patches.sum())
    if not matches or not total:
        return ()
    rows = np.array([table.number[m.key.slide_id] for m in matches])
    found: list[tuple[float, Departure]] = []
    for column in table.column_names:
        if column in _NOT_A_MIX:
            continue
        codes, values = table.codes[column]
        archive = np.bincount(codes, weights=patches, minlength=len(values)) / total
        seen = np.bincount(codes[rows], minlength=len(values))
        worst = _worst(column, values, seen, archive)
        if worst is not None:
            found.append(worst)
    return tuple(departure for _, departure in sorted(found, key=lambda item: item[0]))


def _worst(
    column: str, values: list[str], seen: npt.NDArray[np.int64], archive: npt.NDArray[np.float64]
) -> tuple[float, Departure] | None:
    matches = int(seen.sum())
    tried = int((archive > 0).sum())
    best: tuple[float, Departure] | None = None
    for number in np.flatnonzero((seen >= 3) & (seen >= FACTOR * archive * matches)).tolist():
        share, count = float(archive[number]), int(seen[number])
        chance = binomial_tail(count, matches, share) * tried
        if values[number] and chance < CHANCE and (best is None or chance < best[0]):
            best = chance, Departure(column, values[number], count, matches, share)
    return best


def binomial_tail(at_least: int, n: int, share: float) -> float:
    """Chance of `at_least` or more successes in `n` trials of chance `share`."""
    terms = (math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(at_least, n + 1))
    return min(1.0, math.fsum(terms))


def tally(matches: Iterable[Match], table: SlideTable, column: str) -> tuple[Tally, ...]:
    """How the cases among the matches divide over a column's values, most frequent first.

    A slide without a case counts as a case of its own; slides that lack the column do not
    count.
    """
    whole = _cases(table.slides, table, column)
    among = _cases({match.key.slide_id for match in matches}, table, column)
    of, everything = among.total(), whole.total()
    return tuple(
        Tally(value, count, of, whole[value] / everything) for value, count in among.most_common()
    )


def _cases(ids: Iterable[str], table: SlideTable, column: str) -> Counter[str]:
    pairs = set()
    for slide_id in ids:
        value = table.rows[slide_id].get(column)
        if value is not None and table.slides[slide_id].status != "removed":
            pairs.add((table.cases(slide_id), str(value)))
    return Counter(value for _, value in pairs)
