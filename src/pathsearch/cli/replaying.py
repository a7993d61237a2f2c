"""What `pathsearch review replay` says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pathsearch.cli.output import print_table, say

if TYPE_CHECKING:
    from pathsearch.nouns import Match
    from pathsearch.review import Replay


def replay_to_json(found: Replay) -> dict[str, Any]:
    """The whole comparison, matches with their reasons."""
    from pathsearch.search.answer import match_to_json

    return {
        "round": found.round.number,
        "same": found.same,
        "reasons": list(found.reasons),
        "gone": [match_to_json(m) | {"why": why} for m, why in found.gone],
        "came": [match_to_json(m) | {"why": why} for m, why in found.came],
        "moved": [
            {"before": match_to_json(old), "now": match_to_json(new)} for old, new in found.moved
        ],
        "answer": found.answer.to_json(),
    }


def print_replay(found: Replay) -> None:
    """What is gone, new or moved as a table on stdout; how it stands, and why, on stderr."""
    rows = [_row("gone", m, "", why) for m, why in found.gone]
    rows += [_row("new", m, m.rank, why) for m, why in found.came]
    # A match that others pushed down, its score unchanged, is no news: the JSON has them all
    told = [(old, new) for old, new in found.moved if _score(old) != _score(new)]
    rows += [
        _row("moved", old, new.rank, f"score {_score(old)} then, {_score(new)} now")
        for old, new in told
    ]
    if rows:
        print_table(("", "then", "now", "slide", "x,y", "why"), rows, "lrrll")
    kept = len(found.answer.matches) - len(found.came)
    when = found.round.at[:10]
    if found.same:
        say(f"Round {found.round.number} of {when}: the same {kept} matches in the same order.")
    else:
        say(
            f"Round {found.round.number} of {when}: {kept} of "
            f"{len(found.round.matches)} matches are still found, {len(found.came)} are new."
        )
    shifted = len(found.moved) - len(told)
    if shifted:
        say(f"{shifted} of them stand at another rank, with the same score.")
    for reason in found.reasons:
        say(reason)


def _score(match: Match) -> str:
    return f"{match.score:.3f}"


def _row(what: str, match: Match, now: int | str, why: str) -> tuple[str, ...]:
    place = f"{match.footprint.x},{match.footprint.y}"
    then = "" if what == "new" else str(match.rank)
    return (what, then, str(now), match.key.slide_id, place, why)
