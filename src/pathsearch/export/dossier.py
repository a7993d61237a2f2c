"""What is exported, gathered once: every format writes the same, masked or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pathsearch.export.provenance import FILTER, made_with, question_facts, round_facts, shots_of
from pathsearch.export.pseudonyms import Pseudonyms
from pathsearch.export.records import Dossier, Item, Shot
from pathsearch.nouns import Example, Match, PatchKey, Picture, Point, Region

if TYPE_CHECKING:
    from pathsearch.library import Library
    from pathsearch.review import Collection, Review
    from pathsearch.search import Answer

__all__ = ["Dossier", "Item", "Shot", "masked", "masked_answer", "of_answer", "of_collection",
           "of_review"]  # fmt: skip

_OUT = "(left out)"


def of_answer(library: Library, answer: Answer, *, title: str = "") -> Dossier:
    """A search that may not be kept, as it was answered."""
    items = tuple(_item(n, match) for n, match in enumerate(answer.matches, 1))
    facts = question_facts(library, answer.query, answer.encoder, library.encoder.fingerprint)
    facts |= {"Searched": f"{answer.searched:,} patches", "Recall": str(answer.recall)}
    return Dossier(
        title=title or "Similar tissue",
        items=items,
        shots=shots_of(answer.query),
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
    rounds = rounds or list(review.rounds)
    first = rounds[0]
    facts = question_facts(library, first.query, first.encoder, first.fingerprint)
    facts |= round_facts(review, rounds)
    found = tuple(items.values())
    return Dossier(
        title=review.title or "Similar tissue, judged",
        items=found,
        shots=shots_of(review.rounds[0].query),
        facts=facts,
        notes=tuple(dict.fromkeys(note for one in rounds for note in one.notes)),
        columns=_columns(found),
        rounds=len(rounds),
        kind="review",
        people=review.reviewers,
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
    facts = {"Library": library.path.name, "Made with": made_with()}
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
    values = {str(v) for item in dossier.items for v in item.metadata.values()}
    known = _names_in_texts(
        library,
        names,
        [shot.example for shot in dossier.shots],
        {item.source for item in dossier.items},
        ({item.case_id for item in dossier.items}, values),
    )
    people = {item.reviewer for item in dossier.items} | set(dossier.people)
    known |= {who: names.name("reviewer", who) for who in people if who}

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
    shots = tuple(replace(s, name=_masked_shot(s, names)) for s in dossier.shots)
    return replace(
        dossier,
        people=(),
        title=clean(dossier.title),
        items=items,
        shots=shots,
        facts={k: _OUT if k == FILTER else clean(v) for k, v in dossier.facts.items()},
        notes=tuple(clean(note) for note in dossier.notes),
        shares=shares,
        figures=tuple((clean(name), clean(value)) for name, value in dossier.figures),
        pseudonymised=True,
    )


def masked_answer(answer: Answer, library: Library, names: Pseudonyms) -> Answer:
    """An answer with every name replaced; its query can't be asked again as it is written."""
    query = answer.query
    values = {str(v) for match in answer.matches for v in match.metadata.values()}
    known = _names_in_texts(
        library,
        names,
        [*query.like, *query.unlike],
        {match.key.slide_id for match in answer.matches},
        ({match.case_id for match in answer.matches}, values),
    )

    def key(one: PatchKey) -> PatchKey:
        return replace(one, slide_id=names.name("slide", one.slide_id))

    def example(one: Example) -> Example:
        if isinstance(one, Region | Point):
            return replace(one, slide=names.name("slide", one.slide))
        if isinstance(one, Picture):
            return replace(one, path=names.name("picture", one.path))
        return one

    asked = replace(
        query,
        like=tuple(map(example, query.like)),
        unlike=tuple(map(example, query.unlike)),
        accepted=tuple(map(key, query.accepted)),
        rejected=tuple(map(key, query.rejected)),
        shown=tuple(map(key, query.shown)),
        where=_OUT if query.where else "",
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
        query=asked,
        notes=tuple(names.text(note, known) for note in answer.notes),
        library=names.name("library", library.library_id),
        departures=(),
    )


def _names_in_texts(
    library: Library,
    names: Pseudonyms,
    examples: Iterable[Example],
    slides: set[str],
    others: tuple[set[str], set[str]],
) -> dict[str, str]:
    """Every name that a text may hold and what stands for it; `others`: cases, metadata values."""
    records = library.slides("all")
    cases, values = others
    slides = slides | {r.slide_id for r in records} | {r.path for r in records}
    for example in examples:
        if isinstance(example, Region | Point):
            slides.add(example.slide)
        elif isinstance(example, Picture):
            slides.add(example.path)
    known = names.table(slides, cases | {r.case_id for r in records})
    for name in (str(library.path), library.path.name, library.path.stem):
        known.setdefault(name, names.name("library", library.library_id))
    values = values | {str(v) for record in records for v in record.metadata.values()}
    # Longer values that were copied into a note or a filter; short ones ("2") are words of any text
    return known | {v: names.name("value", v) for v in values if len(v) > 3 and v not in known}


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


def _columns(items: Iterable[Item]) -> tuple[str, ...]:
    return tuple(sorted({name for item in items for name in item.metadata}))
