"""Where an export comes from, in words: what was asked, of what, with what, when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pathsearch import __version__
from pathsearch.export.records import Shot
from pathsearch.nouns import Example, Picture, Point, Query, Region

if TYPE_CHECKING:
    from pathsearch.library import Library
    from pathsearch.review import Review, Round

#: The fact that may name anybody: pseudonyms leave it out.
FILTER = "Only where"
_LEFT_OUT = {
    "overlap": "the question's own spot left out",
    "slide": "the question's own slide left out",
    "case": "the question's own case left out",
}


def magnification(mpp: float) -> str:
    """A resolution in a pathologist's words: ``about 20x (0.5 µm per pixel)``."""
    return f"about {10 / mpp:.3g}x ({mpp:g} µm per pixel)"


def made_with() -> str:
    """The software, and today's date (UTC)."""
    return f"pathsearch {__version__}, {datetime.now(UTC):%Y-%m-%d}"


def shots_of(query: Query) -> tuple[Shot, ...]:
    """The examples of a question, counter-examples last."""
    both = ((query.like, False), (query.unlike, True))
    return tuple(Shot(_named(e), e, against, _where(e)) for many, against in both for e in many)


def _named(example: Example) -> str:
    if isinstance(example, Region | Point):
        return example.slide
    if isinstance(example, Picture):
        return example.path.replace("\\", "/").rsplit("/", 1)[-1]
    return "an embedding"


def _where(example: Example) -> str:
    """Where an example lies, level-0 pixels; empty for pictures and vectors."""
    if isinstance(example, Point):
        return f"the patch centred on {example.x:g}, {example.y:g} px"
    if not isinstance(example, Region):
        return ""
    corners = [corner for polygon in example.polygons for ring in polygon for corner in ring]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    size = f"{max(xs) - min(xs):g} × {max(ys) - min(ys):g} px at {min(xs):g}, {min(ys):g}"
    return size if len(corners) <= 5 else f"within {size}"


def question_facts(
    library: Library, query: Query, encoder: str, fingerprint: str
) -> dict[str, str]:
    """How something was asked: name to value, in the order that they are shown."""
    spec = library.specs.get(query.spec)
    settings: Sequence[str] = [
        _counted(len(query.like), "example"),
        *([_counted(len(query.unlike), "counter-example")] if query.unlike else []),
        f"{query.k} matches asked for",
        _LEFT_OUT[query.exclude],
        *([f"at most {query.per_slide} of a slide"] if query.per_slide else []),
        *([f"at most {query.per_case} of a case"] if query.per_case else []),
    ]
    return {
        "Library": library.path.name,
        "Magnification": magnification(spec.mpp) if spec else query.spec,
        "Question": ", ".join(settings),
        **({FILTER: query.where} if query.where else {}),
        "Encoder": f"{encoder} ({fingerprint[:12]})",
        "Made with": made_with(),
    }


def round_facts(review: Review, rounds: Sequence[Round]) -> dict[str, str]:
    """What came of some rounds of a review; completeness is that of the first of them."""
    counts = [len(review.keys(decision)) for decision in ("accept", "reject", "unsure")]
    controls = {key for key, shown in review.shown().items() if shown.control}
    judged = len(controls & set(review.current()))
    mixed_in = f", and {_counted(judged, 'random control')}" if judged else ""
    first = rounds[0]
    told = "; ".join(
        f"{_ROUND[r.kind]} on {r.at[:10]}, "
        f"{_counted(sum(not s.control for s in r.matches), 'match')} of {r.searched:,} patches"
        for r in rounds
    )
    return {
        "Searched": f"{first.searched:,} patches",
        "Recall": str(first.recall),
        "Rounds": told,
        "Verdicts": f"{counts[0]} accepted, {counts[1]} rejected, {counts[2]} unsure{mixed_in}, "
        f"by {_counted(len(review.reviewers), 'reviewer')}",
    }


_ROUND = {
    "ask": "asked",
    "refine": "refined with the verdicts",
    "more": "refined, further matches",
    "new": "asked of slides that had come in",
    "replay": "asked again",
}


def _counted(number: int, word: str) -> str:
    return f"{number} {word if number == 1 else word + ('es' if word.endswith('ch') else 's')}"
