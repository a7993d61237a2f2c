"""In which order matches are shown, and under which headings; no Qt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pathsearch.nouns import Match, PatchKey

SortBy = Literal["rank", "percentile", "slide", "case", "verdict"]
GroupBy = Literal["nothing", "slide", "case", "verdict"]

#: Shown in this order where matches are sorted or grouped by verdict.
VERDICTS = ("accept", "unsure", "", "reject")
_VERDICT_WORDS = {"accept": "Accepted", "reject": "Rejected", "unsure": "Unsure", "": "Not judged"}


@dataclass(frozen=True)
class Heading:
    """A line between groups of matches: the group's value, and how many follow."""

    text: str
    count: int


Row = Heading | Match


@dataclass(frozen=True)
class Order:
    """How the user wants the matches.

    Attributes
    ----------
    sort : str
        'rank', 'percentile', 'slide', 'case', 'verdict', or 'column:NAME'.
    group : {'nothing', 'slide', 'case', 'verdict'}
        Groups follow the best match in each, so that the first group holds rank 1.
    """

    sort: str = "rank"
    group: GroupBy = "nothing"


def arrange(
    matches: Iterable[Match],
    order: Order,
    verdict_of: Callable[[PatchKey], str] = lambda _: "",
) -> list[Match]:
    """The matches in the user's order; equal ones stay in the order of their ranks."""
    found = sorted(matches, key=lambda match: match.rank)
    if order.sort == "percentile":
        return sorted(found, key=lambda m: -1.0 if m.percentile is None else -m.percentile - 2)
    if order.sort == "slide":
        return sorted(found, key=lambda m: m.key.slide_id)
    if order.sort == "case":
        return sorted(found, key=lambda m: (m.case_id == "", m.case_id, m.key.slide_id))
    if order.sort == "verdict":
        return sorted(found, key=lambda m: VERDICTS.index(verdict_of(m.key)))
    if order.sort.startswith("column:"):
        name = order.sort.removeprefix("column:")
        return sorted(found, key=lambda m: _by_value(m.metadata.get(name)))
    return found


def rows(
    matches: Sequence[Match],
    order: Order,
    verdict_of: Callable[[PatchKey], str] = lambda _: "",
) -> list[Row]:
    """The matches in the user's order, with a heading before each group."""
    found = arrange(matches, order, verdict_of)
    if order.group == "nothing":
        return list(found)
    groups: dict[str, list[Match]] = {}
    for match in arrange(found, Order()):
        groups.setdefault(group_value(match, order.group, verdict_of), [])
    for match in found:
        groups[group_value(match, order.group, verdict_of)].append(match)
    values = list(groups)
    if order.group == "verdict":
        values.sort(key=VERDICTS.index)
    laid: list[Row] = []
    for value in values:
        text = _VERDICT_WORDS[value] if order.group == "verdict" else value
        laid += [Heading(text, len(groups[value])), *groups[value]]
    return laid


def group_value(match: Match, group: GroupBy, verdict_of: Callable[[PatchKey], str]) -> str:
    """What a match is grouped under."""
    if group == "slide":
        return match.key.slide_id
    if group == "case":
        # A slide without a case stands for itself, as everywhere in pathsearch
        return match.case_id or match.key.slide_id
    return verdict_of(match.key)


def _by_value(value: Any) -> tuple[int, float, str]:
    """Numbers first and as numbers, then words, then what is missing."""
    if value is None or value == "":
        return (2, 0.0, "")
    try:
        return (0, float(value), "")
    except (TypeError, ValueError):
        return (1, 0.0, str(value).casefold())
