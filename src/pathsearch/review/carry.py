"""Reviews and collections into a library of the same slides with another encoder."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from pathsearch.library.durable import remove_tree, writing_to
from pathsearch.review.files import REVIEW_FOLDER, ReviewFile
from pathsearch.review.reviews import ranges_of
from pathsearch.review.upkeep import back_up_reviews

if TYPE_CHECKING:
    from pathsearch.library import Library


def carry_reviews(source: Library, target: Library) -> int:
    """Copy the reviews of a library to another one that has its slides.

    Questions, matches, scores and verdicts stay as they were, with the encoder that they
    were asked with. Only what counts segments is told anew: the slides that a round searched
    are those that `target` has of them, so that none of them is taken for a new one.

    Parameters
    ----------
    source, target : Library

    Returns
    -------
    int
        Files copied; 0 where there are none, or `target` has reviews of its own already.
    """
    folder = target.path / REVIEW_FOLDER
    if folder.exists():
        return 0
    building = target.path / f"tmp-{REVIEW_FOLDER}"
    with writing_to(target.path):
        if building.exists():  # of a run that was cut off
            remove_tree(building)
        back_up_reviews(source, building)
        if not building.exists():
            return 0
        renumber = _Renumber(source, target)
        count = 0
        for path in sorted(building.glob("*.db")):
            with contextlib.closing(ReviewFile(path, read_only=False)) as file:
                renumber.apply(file, target.library_id)
            count += 1
        building.rename(folder)
    return count


class _Renumber:
    """From the numbers of one library's segments to those of another's."""

    def __init__(self, source: Library, target: Library) -> None:
        self._slides = {s.number: s.slide_id for s in source.segments(include_removed=True)}
        self._numbers: dict[str, list[int]] = {}
        for segment in target.segments():
            self._numbers.setdefault(segment.slide_id, []).append(segment.number)

    def apply(self, file: ReviewFile, library_id: str) -> None:
        """Change one file of reviews."""
        with file.transaction() as connection:
            sql = "UPDATE meta SET value = ? WHERE key = 'library_id'"
            connection.execute(sql, (library_id,))
            held = connection.execute("SELECT number, segments FROM rounds").fetchall()
            told = [(json.dumps(self._told(json.loads(text))), number) for number, text in held]
            connection.executemany("UPDATE rounds SET segments = ? WHERE number = ?", told)

    def _told(self, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
        searched = {
            slide
            for number, slide in self._slides.items()
            if any(first <= number <= last for first, last in ranges)
        }
        numbers = (n for slide in searched for n in self._numbers.get(slide, ()))
        return list(ranges_of(numbers))
