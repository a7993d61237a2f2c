"""What is exported, gathered once: every format writes the same, masked or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pathsearch import __version__
from pathsearch.export.pseudonyms import Pseudonyms
from pathsearch.nouns import Example, Footprint, Match, PatchKey, Picture, Point, Query, Region
from pathsearch.search.slide_shares import SlideShare

if TYPE_CHECKING:
    from pathsearch.library import Library
    from pathsearch.review import Collection, Review, Round
    from pathsearch.search import Answer


@dataclass(frozen=True, slots=True)
class Item:
    """One place of an export.

    Attributes
    ----------
    number : int
        From 1, in the order of the export.
    slide_id, case_id, spec : str
        As they are written: pseudonyms where those are asked for.
    source : str
        The slide's true id, to read pixels by; never written.
    footprint : Footprint
        Level-0 pixels.
    mpp : float
        µm per level-0 pixel.
    rank : int
        In its round; 0 for a place of a collection.
    score, percentile : float or None
    metadata : mapping
    round : int
        Number of the round that first showed it; 0 where there are none.
    control : bool
    decision, label, note, reviewer, judged_at : str
        The verdict that counts; empty where there is none.
    blinded : bool
    """

    number: int
    slide_id: str
    case_id: str
    spec: str
    source: str
    footprint: Footprint
    mpp: float
    rank: int = 0
    score: float | None = None
    percentile: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    round: int = 0
    control: bool = False
    decision: str = ""
    label: str = ""
    note: str = ""
    reviewer: str = ""
    judged_at: str = ""
    blinded: bool = False


@dataclass(frozen=True, slots=True)
class Shot:
    """One example of a question: what is written of it, and where its pixels are.

    Attributes
    ----------
    name : str
        As it is written.
    example : Example
        The true one, to draw; never written.
    against : bool
        A counter-example.
    """

    name: str
    example: Example
    against: bool = False


@dataclass(frozen=True, slots=True)
class Dossier:
    """Everything that an export may say.

    Attributes
    ----------
    title : str
    items : tuple of Item
    shots : tuple of Shot
        The examples of the question.
    facts : mapping of str to str
        Provenance, in words, in the order it is shown.
    notes : tuple of str
        What a reader should know.
    columns : tuple of str
        Names of the metadata.
    rounds : int
    pseudonymised : bool
    quiz : bool
        Answers are hidden until they are asked for.
    kind : {'search', 'review', 'collection'}
    shares : tuple of SlideShare
        How much of each slide looks like the question; empty where it was not measured.
    threshold_told : str
        From which score a patch counts in `shares`, and why.
    figures : tuple of (str, str)
        What the verdicts say: name and value.
    """

    title: str
    items: tuple[Item, ...]
    shots: tuple[Shot, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rounds: int = 0
    pseudonymised: bool = False
    quiz: bool = False
    kind: str = "search"
    shares: tuple[SlideShare, ...] = ()
    threshold_told: str = ""
    figures: tuple[tuple[str, str], ...] = ()


def of_answer(library: Library, answer: Answer, *, title: str = "") -> Dossier:
    """A search that may not be kept, as it was answered."""
    items = tuple(_item(n, match) for n, match in enumerate(answer.matches, 1))
    facts = _facts(library, answer.query, answer.encoder, library.encoder.fingerprint)
    facts |= {"Searched": f"{answer.searched:,} patches", "Recall": str(answer.recall)}
    return Dossier(
        title=title or "Similar tissue",
        items=items,
        shots=_shots(answer.query),
        facts=facts,
        notes=(*answer.notes, *map(str, answer.departures)),
        columns=_columns(items),
    )


def of_review(
    library: Library,
    review: Review,
    *,
    number: int = 0,
    reviewer: str | None = None,
    controls: bool = False,
) -> Dossier:
    """A review: its question, every match that was shown, and the verdicts that count.

    Parameters
    ----------
    library : Library
    review : Review
    number : int
        Only the matches of this round; 0 for all, each as it was first shown.
    reviewer : str, optional
        Whose verdicts; the latest of all without.
    controls : bool
        Also the random patches that were mixed in.
    """
    rounds = [r for r in review.rounds if number in (0, r.number)]
    current = review.current(reviewer)
    items: dict[Any, Item] = {}
    for one in rounds:
        for shown in one.matches:
            match = shown.match
            if match.key in items or (shown.control and not controls):
                continue
            item = _item(len(items) + 1, match)
            said = current.get(match.key)
            if said is not None:
                item = replace(
                    item,
                    decision=said.decision,
                    label=said.label,
                    note=said.note,
                    reviewer=said.reviewer,
                    judged_at=said.at,
                    blinded=said.blinded,
                )
            items[match.key] = replace(item, round=one.number, control=shown.control)
    last = (rounds or list(review.rounds))[-1]
    facts = _facts(library, last.query, last.encoder, last.fingerprint)
    facts |= _round_facts(review, last)
    found = tuple(items.values())
    return Dossier(
        title=review.title or "Similar tissue, judged",
        items=found,
        shots=_shots(review.rounds[0].query),
        facts=facts,
        notes=tuple(dict.fromkeys(note for one in rounds for note in one.notes)),
        columns=_columns(found),
        rounds=len(rounds),
        kind="review",
    )


def of_collection(library: Library, collection: Collection, *, quiz: bool = False) -> Dossier:
    """A collection's places, in its order."""
    items = tuple(
        Item(
            number=number,
            slide_id=place.slide_id,
            case_id=place.case_id,
            spec=place.spec,
            source=place.slide_id,
            footprint=place.footprint,
            mpp=place.mpp,
            metadata=dict(place.metadata),
            label=place.label,
            note=place.caption,
        )
        for number, place in enumerate(collection.places, 1)
    )
    facts = {"Library": library.path.name, "Made with": f"pathsearch {__version__}"}
    return Dossier(
        title=collection.name,
        items=items,
        facts=facts,
        columns=_columns(items),
        quiz=quiz,
        kind="collection",
    )


def masked(dossier: Dossier, library: Library, names: Pseudonyms) -> Dossier:
    """The same with every name replaced; what was written by hand loses the names it holds."""
    records = library.slides("all")
    slides = {r.slide_id for r in records} | {r.path for r in records}
    slides |= {item.source for item in dossier.items}
    slides |= {s.example.slide for s in dossier.shots if isinstance(s.example, Region | Point)}
    slides |= {s.example.path for s in dossier.shots if isinstance(s.example, Picture)}
    cases = {r.case_id for r in records} | {item.case_id for item in dossier.items}
    known = names.table(slides, cases)
    for name in (str(library.path), library.path.name, library.path.stem):
        known.setdefault(name, names.name("library", library.library_id))
    values = {str(v) for item in dossier.items for v in item.metadata.values()}
    values |= {str(v) for record in records for v in record.metadata.values()}
    # Longer values that were copied into a note or a filter; short ones ("2") are words of any text
    known |= {v: names.name("value", v) for v in values if len(v) > 3 and v not in known}

    def clean(text: str) -> str:
        return names.text(text, known)

    items = tuple(
        replace(
            item,
            slide_id=names.name("slide", item.slide_id),
            case_id=names.name("case", item.case_id),
            metadata=names.metadata(item.metadata),
            label=clean(item.label),
            note=clean(item.note),
            reviewer=names.name("reviewer", item.reviewer),
        )
        for item in dossier.items
    )
    shares = tuple(
        replace(
            share,
            slide_id=names.name("slide", share.slide_id),
            case_id=names.name("case", share.case_id),
        )
        for share in dossier.shares
    )
    people = {item.reviewer: names.name("reviewer", item.reviewer) for item in dossier.items}
    known |= {who: masked for who, masked in people.items() if who}
    shots = tuple(replace(s, name=_masked_shot(s, names)) for s in dossier.shots)
    return replace(
        dossier,
        title=clean(dossier.title),
        items=items,
        shots=shots,
        facts={key: clean(value) for key, value in dossier.facts.items()},
        notes=tuple(clean(note) for note in dossier.notes),
        shares=shares,
        figures=tuple((clean(name), clean(value)) for name, value in dossier.figures),
        pseudonymised=True,
    )


def masked_answer(answer: Answer, library: Library, names: Pseudonyms) -> Answer:
    """An answer with every name replaced; its query can't be asked again as it is written."""
    records = library.slides("all")
    known = names.table(
        {r.slide_id for r in records}
        | {r.path for r in records}
        | {e.slide for e in answer.query.like if isinstance(e, Region | Point)},
        {r.case_id for r in records},
    )

    def key(one: PatchKey) -> PatchKey:
        return replace(one, slide_id=names.name("slide", one.slide_id))

    def example(one: Example) -> Example:
        if isinstance(one, Region | Point):
            return replace(one, slide=names.name("slide", one.slide))
        if isinstance(one, Picture):
            return replace(one, path=names.name("picture", one.path))
        return one

    query = replace(
        answer.query,
        like=tuple(map(example, answer.query.like)),
        unlike=tuple(map(example, answer.query.unlike)),
        accepted=tuple(map(key, answer.query.accepted)),
        rejected=tuple(map(key, answer.query.rejected)),
        shown=tuple(map(key, answer.query.shown)),
        where="(left out)" if answer.query.where else "",
    )
    matches = tuple(
        replace(
            match,
            key=key(match.key),
            case_id=names.name("case", match.case_id),
            metadata=names.metadata(match.metadata),
        )
        for match in answer.matches
    )
    return replace(
        answer,
        matches=matches,
        query=query,
        notes=tuple(names.text(note, known) for note in answer.notes),
        library=names.name("library", library.library_id),
        departures=(),
    )


def _masked_shot(shot: Shot, names: Pseudonyms) -> str:
    example = shot.example
    if isinstance(example, Region | Point):
        return names.name("slide", example.slide)
    if isinstance(example, Picture):
        return names.name("picture", example.path)
    return shot.name


def _item(number: int, match: Match) -> Item:
    return Item(
        number=number,
        slide_id=match.key.slide_id,
        case_id=match.case_id,
        spec=match.key.spec,
        source=match.key.slide_id,
        footprint=match.footprint,
        mpp=match.mpp,
        rank=match.rank,
        score=match.score,
        percentile=match.percentile,
        metadata=dict(match.metadata),
    )


def _shots(query: Query) -> tuple[Shot, ...]:
    both = ((query.like, False), (query.unlike, True))
    return tuple(Shot(_named(e), e, against) for many, against in both for e in many)


def _named(example: Example) -> str:
    if isinstance(example, Region | Point):
        return example.slide
    if isinstance(example, Picture):
        return example.path.replace("\\", "/").rsplit("/", 1)[-1]
    return "an embedding"


def _columns(items: Iterable[Item]) -> tuple[str, ...]:
    return tuple(sorted({name for item in items for name in item.metadata}))


def magnification(mpp: float) -> str:
    """A resolution in a pathologist's words: ``about 20x (0.5 µm per pixel)``."""
    return f"about {10 / mpp:.3g}x ({mpp:g} µm per pixel)"


def _facts(library: Library, query: Query, encoder: str, fingerprint: str) -> dict[str, str]:
    spec = library.specs.get(query.spec)
    settings: Sequence[str] = [
        f"{len(query.like)} example{'s' * (len(query.like) != 1)}",
        *([f"{len(query.unlike)} counter-examples"] if query.unlike else []),
        f"{query.k} matches asked for",
        {"overlap": "own spot left out", "slide": "own slide left out"}.get(
            query.exclude, "own case left out"
        ),
        *([f"only where {query.where}"] if query.where else []),
        *([f"at most {query.per_slide} of a slide"] if query.per_slide else []),
        *([f"at most {query.per_case} of a case"] if query.per_case else []),
    ]
    return {
        "Library": library.path.name,
        "Magnification": magnification(spec.mpp) if spec else query.spec,
        "Question": ", ".join(settings),
        "Encoder": f"{encoder} ({fingerprint[:12]})",
        "Made with": f"pathsearch {__version__}",
    }


def _round_facts(review: Review, one: Round) -> dict[str, str]:
    said = review.current().values()
    counts = {d: sum(v.decision == d for v in said) for d in ("accept", "reject", "unsure")}
    return {
        "Searched": f"{one.searched:,} patches",
        "Recall": str(one.recall),
        "Asked": f"{review.created[:10]} to {review.rounds[-1].at[:10]}, "
        f"{len(review.rounds)} round{'s' * (len(review.rounds) != 1)}",
        "Verdicts": f"{counts['accept']} accepted, {counts['reject']} rejected, "
        f"{counts['unsure']} unsure, by {len(review.reviewers)} "
        f"reviewer{'s' * (len(review.reviewers) != 1)}",
    }
