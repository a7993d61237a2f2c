"""What is written under a match, and in the quiet line above: words a pathologist uses; no Qt."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_pathsearch.words import magnification
from pathsearch.nouns import Match, PatchKey, TileSpec

if TYPE_CHECKING:
    from napari_pathsearch.session import Session
    from pathsearch.search import Answer
    from pathsearch.search.answer import Recall

#: A column whose name holds one of these may say whose slide it is.
_PERSONAL = ("name", "patient", "case", "mrn", "birth", "dob", "accession", "barcode", "_id")


@dataclass(frozen=True)
class Names:
    """How slides and cases are called on the screen.

    Attributes
    ----------
    slide, case : callable
        From an id to what is shown: `Session.name_of` and `Session.case_of`.
    hidden : tuple of (str, str)
        Names that must not show in talk, and what stands for each; the longest first.
    """

    slide: Callable[[str], str] = str
    case: Callable[[str], str] = str
    hidden: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, session: Session) -> Names:
        """As a session calls them now."""
        if not session.hide_names:
            return cls(session.name_of, session.case_of)
        slides = {r.slide_id: session.name_of(r.slide_id) for r in session.slides}
        cases = {r.case_id: session.case_of(r.case_id) for r in session.slides if r.case_id}
        pairs = sorted({**cases, **slides}.items(), key=lambda pair: -len(pair[0]))
        return cls(session.name_of, session.case_of, tuple(pairs))

    def text(self, line: str) -> str:
        """A line of talk with every name that it holds hidden."""
        for name, shown in self.hidden:
            line = line.replace(name, shown)
        return line


@dataclass(frozen=True)
class CardWords:
    """What a card shows.

    Attributes
    ----------
    names : Names
    columns : tuple of str
        The slides' own columns that the user picked.
    blinded : bool
        No scores, no names, no columns.
    earlier : mapping of PatchKey to int, or None
        Ranks in the round before; None in a first round.
    specs : mapping of str to TileSpec
        Where several magnifications are among the matches: then each says its own.
    """

    names: Names = field(default_factory=Names)
    columns: tuple[str, ...] = ()
    blinded: bool = False
    earlier: Mapping[PatchKey, int] | None = None
    specs: Mapping[str, TileSpec] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Lines that a card has."""
        if self.blinded:
            return 0
        return 3 + (self.earlier is not None) + bool(self.specs) + len(self.columns)

    def lines(self, match: Match) -> list[str]:
        """The caption of a match, one string a line."""
        if self.blinded:
            return []
        rank = str(match.rank)
        if self.earlier is not None:
            before = self.earlier.get(match.key)
            rank += " (new)" if before is None else f" (was {before})"
        first, closer = f"{rank}  ·  {match.score:.3f}", ""
        if match.percentile is not None:
            closer = f"> {whole(match.percentile)}%"
        if self.earlier is None and closer:
            first += f"  ·  {closer}"
        where = self.names.slide(match.key.slide_id)
        case = self.names.case(match.case_id) or "no case"
        second = [closer or "–"] if self.earlier is not None else []
        lines = [first, *second, where, case]
        if self.specs:
            spec = self.specs.get(match.key.spec)
            lines.append(magnification(spec.mpp) if spec else match.key.spec)
        return lines + [self._column(name, match.metadata.get(name)) for name in self.columns]

    def _column(self, name: str, value: object) -> str:
        """A column's value; while names are hidden, not of a column that may say who it is."""
        if self.names.hidden and is_personal(name):
            return f"{name}: hidden"
        return self.names.text(_column_words(name, value))

    def tooltip(self, match: Match, spec: TileSpec | None) -> str:
        """Everything about a match, technical words included; plain text, one fact a line."""
        if self.blinded:
            return "Blinded: judge by the picture alone."
        box = match.footprint
        lines = [
            f"Match {match.rank}: cosine similarity {match.score:.4f}",
            magnification(spec.mpp) if spec else match.key.spec,
            f"{self.names.slide(match.key.slide_id)}, x {box.x}, y {box.y}, {box.width} x "
            f"{box.height} level-0 pixels of {match.mpp:.4g} µm",
        ]
        if match.percentile is not None:
            lines.insert(1, percentile_words(match.percentile))
        if not self.names.hidden:  # a column may hold a name
            lines += [f"{name}: {value}" for name, value in match.metadata.items()]
        return "\n".join(lines)


def _column_words(name: str, value: object) -> str:
    """A column's value; with its name only where the value alone would not tell."""
    if isinstance(value, str) and value and not value.replace(".", "").isdigit():
        return value
    return f"{name}: {'–' if value in (None, '') else value}"


def is_personal(column: str) -> bool:
    """Whether a column may say whose slide it is, to judge by its name."""
    return any(word in column.casefold() for word in _PERSONAL)


def percentile_words(percentile: float) -> str:
    """How a score compares with what is usually found at its rank."""
    return f"closer than {whole(percentile)}% of what searches here usually find"


def whole(percentile: float) -> int:
    """Whole per cent, 99 at most: nothing is closer than everything that could be found."""
    return min(round(percentile), 99)


def quiet_line(answer: Answer, names: Names) -> str:
    """How far to trust an answer, in one line."""
    parts = []
    best = answer.matches[0].percentile if answer.matches else None
    if answer.nothing_alike:
        parts.append("nothing here looks like it")
    elif best is not None:
        parts.append(f"the best is {percentile_words(best)}")
    parts.append(str(answer.recall))
    parts += [names.text(str(departure)) for departure in answer.departures]
    line = "; ".join(parts)
    return line[:1].upper() + line[1:] + "."


def recall_in_full(recall: Recall) -> str:
    """How completely was searched, in technical words."""
    if recall.exact:
        return "Exact search: the query was compared with every patch."
    figures = f"recall@10 {recall.at10:.3f}"
    if recall.at50 is not None:
        figures += f", recall@50 {recall.at50:.3f}"
    return (
        f"Approximate search (IVF), {figures}, measured on {recall.measured_on:,} patches of this "
        "library, each asked without its own slide."
    )


def plain_note(note: str) -> str:
    """A note without the arithmetic, which the tooltip has."""
    return re.sub(r"^(Refined by .*? matches),.*", r"\1.", note)


def summary(matches: Sequence[Match], searched: int, specs: Sequence[TileSpec]) -> str:
    """How many matches, from where."""
    if not matches:
        return "No matches: these settings leave nothing to be found."
    slides = len({match.key.slide_id for match in matches})
    cases = len({match.case_id or match.key.slide_id for match in matches})
    found = f"{_many(len(matches), 'match', 'matches')} in {_many(slides, 'slide', 'slides')}"
    found += f" of {_many(cases, 'case', 'cases')}"
    if searched:
        found += f", out of {searched:,} patches"
    return found + " at " + " and ".join(magnification(spec.mpp) for spec in specs)


def _many(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"
