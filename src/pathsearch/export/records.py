"""What an export may say: its places, the question's examples, provenance in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pathsearch.nouns import Example, Footprint
from pathsearch.search.slide_shares import SlideShare


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
    where : str
        Its place in the slide, in words; empty where it has none.
    """

    name: str
    example: Example
    against: bool = False
    where: str = ""


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
    people : tuple of str
        Reviewers whose names may stand in `figures`.
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
    people: tuple[str, ...] = ()
