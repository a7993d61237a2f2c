"""What a search gives back, and its JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pathsearch.metrics import wilson
from pathsearch.nouns import Match, Query
from pathsearch.search.bias import Departure
from pathsearch.search.questions import query_to_json


@dataclass(frozen=True)
class Recall:
    """How many of the closest patches an answer holds.

    Attributes
    ----------
    at10 : float
        Share of the exact ten nearest that the index finds, 0..1, as measured.
    measured_on : int
        Library patches that it was measured on, asked without their own slide; 0 where every
        patch was compared.
    exact : bool
        True where every patch was compared.
    at50 : float or None
        The same of the fifty nearest; None where an earlier version built the index.
    """

    at10: float
    measured_on: int
    exact: bool
    at50: float | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of `at10`, 0..1: Wilson's, each question counted as one trial.

        Ten neighbours of one question are found or missed together, so counting them one by
        one would promise too much.
        """
        return (1.0, 1.0) if self.exact else wilson(self.at10 * self.measured_on, self.measured_on)

    def __str__(self) -> str:
        if self.exact:
            return "compared with every patch: finds all of the closest"
        return f"finds about {100 * self.at10:.0f} of the 100 closest (measured)"


@dataclass(frozen=True)
class Answer:
    """Matches, and how far to trust them.

    Attributes
    ----------
    matches : tuple of Match
        Best first.
    query : Query
        As it was asked, the spec filled in.
    recall : Recall
    notes : tuple of str
        What the user should know, one line each.
    library, encoder : str
        The library's path, the encoder's name.
    searched : int
        Patches that could have been returned.
    departures : tuple of Departure
        Columns in which the matches depart from the archive's mix.
    segments : tuple of (first, last)
        Inclusive ranges of the numbers of the segments that were asked.
    """

    matches: tuple[Match, ...]
    query: Query
    recall: Recall
    notes: tuple[str, ...]
    library: str
    encoder: str
    searched: int
    departures: tuple[Departure, ...] = ()
    segments: tuple[tuple[int, int], ...] = ()

    @property
    def nothing_alike(self) -> bool:
        """Whether even the best match is poorer than what 95% of the library finds."""
        best = self.matches[0].percentile if self.matches else None
        return best is not None and best < 5

    def to_json(self) -> dict[str, Any]:
        """The answer as plain JSON values; lengths in level-0 pixels."""
        return {
            "library": self.library,
            "encoder": self.encoder,
            "query": query_to_json(self.query),
            "recall": {
                "at10": self.recall.at10,
                "at50": self.recall.at50,
                "interval": list(self.recall.interval),
                "measured_on": self.recall.measured_on,
                "exact": self.recall.exact,
            },
            "searched": self.searched,
            "notes": list(self.notes),
            "departures": [asdict(departure) for departure in self.departures],
            "matches": [match_to_json(match) for match in self.matches],
        }


def match_to_json(match: Match) -> dict[str, Any]:
    """One match as plain JSON values."""
    return {
        "rank": match.rank,
        "slide_id": match.key.slide_id,
        "case_id": match.case_id,
        "spec": match.key.spec,
        "x": match.footprint.x,
        "y": match.footprint.y,
        "width": match.footprint.width,
        "height": match.footprint.height,
        "mpp": match.mpp,
        "score": match.score,
        "percentile": match.percentile,
        "metadata": dict(match.metadata),
    }
