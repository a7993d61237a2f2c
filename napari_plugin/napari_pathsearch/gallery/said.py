"""What is written about the round that is shown: on its cards, and in the lines above them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_pathsearch.gallery.captions import (
    CardWords,
    Names,
    is_personal,
    plain_note,
    quiet_line,
    recall_in_full,
    summary,
)
from napari_pathsearch.judge.book import compared

if TYPE_CHECKING:
    from napari_pathsearch.finder import Finder

#: Values of a column that the tally names.
_TALLIED = 5


@dataclass(frozen=True)
class Said:
    """Lines above the cards.

    Attributes
    ----------
    summary : str
        How many matches, from where.
    quiet : str
        How far to trust them.
    tally : str
        How many cases have which value of the first column that was picked.
    full : str
        What `quiet` leaves to the tooltip: technical words, figures.
    """

    summary: str
    quiet: str = ""
    tally: str = ""
    full: str = ""


def card_words(finder: Finder) -> CardWords:
    """What captions say now."""
    earlier, seen, library = finder.earlier(), finder.seen, finder.session.library
    ranks = None
    if earlier is not None and seen is not None:
        ranks, _ = compared(earlier.found, seen.found)
    several = seen is not None and len({m.key.spec for m in seen.found}) > 1
    return CardWords(
        Names.of(finder.session),
        finder.columns,
        earlier=ranks,
        specs=library.specs if several and library is not None else {},
    )


def said_of(finder: Finder, names: Names) -> Said | None:
    """The lines about the round that is shown; None where none is."""
    seen, library = finder.seen, finder.session.library
    if seen is None or library is None:
        return None
    answer = seen.answer
    used = {m.key.spec for m in seen.found} or {seen.query.spec}
    specs = [spec for name, spec in library.specs.items() if name in used]
    line = summary(seen.found, answer.searched if answer else 0, specs)
    earlier = finder.earlier()
    if earlier is not None:
        new = compared(earlier.found, seen.found)[1]
        line += f"; {new} of them were not in round {earlier.number}"
    if answer is None:
        return Said(line, tally=_tally(finder))
    notes = [names.text(note) for note in answer.notes]
    quiet = " ".join([quiet_line(answer, names), *map(plain_note, notes)])
    full = "\n".join([recall_in_full(answer.recall), *notes])
    return Said(line, quiet, _tally(finder), full)


def _tally(finder: Finder) -> str:
    tallies = finder.tallies[:_TALLIED]
    if not tallies or not finder.columns:
        return ""
    if finder.session.hide_names and is_personal(finder.columns[0]):
        return ""
    return f"{finder.columns[0]}: " + "  ·  ".join(str(one) for one in tallies)
