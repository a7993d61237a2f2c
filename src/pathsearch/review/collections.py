"""Collections: named, ordered sets of places with captions, for teaching and for showing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pathsearch.errors import ReviewError, ReviewNotFoundError
from pathsearch.nouns import Footprint, Match
from pathsearch.review.files import Files
from pathsearch.review.reading import gathered, identity
from pathsearch.review.records import Collection, Place
from pathsearch.review.reviewer import checked_name, reviewer_name

if TYPE_CHECKING:
    from sqlite3 import Connection

    from pathsearch.library import Library

#: Fewer digits are a position.
_SHORTEST_ID = 8
_PLACE = (
    "place, collection, at, reviewer, slide_id, case_id, spec, x, y, width, height, mpp, "
    "metadata, caption, label, position, removed"
)


class Collections:
    """The collections of one library; kept with the reviews, and as safely.

    Parameters
    ----------
    library : Library
    reviewer : str, optional
        Who collects; without, the name of `reviewer_name`.
    """

    def __init__(self, library: Library, *, reviewer: str | None = None) -> None:
        self.library = library
        self.files = Files(library)
        self.reviewer = reviewer_name() if reviewer is None else checked_name(reviewer)

    def close(self) -> None:
        """Give the files back; also what leaving a ``with`` block does."""
        self.files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(
        self,
        name: str,
        places: Match | Place | Sequence[Match | Place],
        *,
        caption: str = "",
        label: str = "",
    ) -> Collection:
        """Put places at the end of a collection; it is made where it is not there.

        A place that the collection holds already is not put in twice.

        Parameters
        ----------
        name : str
        places : Match or Place, or several
        caption, label : str
            What to say of them, and their class; a Place's own counts where these are empty.
        """
        several = [places] if isinstance(places, Match | Place) else list(places)
        found = self._find(_checked(name))
        held = {(p.slide_id, p.footprint) for p in found.places} if found else set()
        last = max((p.position for p in found.places), default=0.0) if found else 0.0
        number = found.collection if found else uuid.uuid4().hex
        with self.files.own().appending() as (connection, at):
            if found is None:
                self._name(connection, at, number, _checked(name))
            for item in several:
                one = _as_place(item)
                if (one.slide_id, one.footprint) in held:
                    continue
                held.add((one.slide_id, one.footprint))
                last += 1
                new = replace(
                    one,
                    place=uuid.uuid4().hex,
                    caption=caption or one.caption,
                    label=label or one.label,
                    position=last,
                )
                self._write(connection, at, number, new)
        return self.get(name)

    def list(self) -> list[Collection]:
        """All collections, by name."""
        heads: dict[str, list[tuple[Any, ...]]] = {}
        sql = "SELECT collection, at, name, removed FROM collections"
        for row in sorted(gathered(self.files, sql), key=lambda row: row[2]):
            heads.setdefault(row[1], []).append(row)
        places = _places(self.files)
        found = [
            Collection(number, rows[-1][3], rows[0][2], tuple(places.get(number, ())))
            for number, rows in heads.items()
            if not rows[-1][4]
        ]
        return sorted(found, key=lambda c: (c.name.casefold(), c.created))

    def get(self, name: str) -> Collection:
        """One collection by its name.

        Two people on two machines may have made one of the same name at once: then its
        places are read together, those of the older first.

        Raises
        ------
        ReviewNotFoundError
            There is none.
        """
        found = self._find(name)
        if found is None:
            known = ", ".join(c.name for c in self.list()) or "none yet"
            raise ReviewNotFoundError(f"'{name}': no such collection; there is {known}.", name=name)
        return found

    def edit(
        self,
        name: str,
        place: str,
        *,
        caption: str | None = None,
        label: str | None = None,
        position: int | None = None,
    ) -> Collection:
        """Change what is said of a place, or move it to a position (from 1)."""
        found, one = self._place(name, place)
        changed = replace(
            one,
            caption=one.caption if caption is None else caption,
            label=one.label if label is None else label,
        )
        if position is not None:
            others = [p.position for p in found.places if p.place != one.place]
            changed = replace(changed, position=_between(others, position))
        with self.files.own().appending() as (connection, at):
            self._write(connection, at, self._home(one.place), changed)
        return self.get(name)

    def remove(self, name: str, place: str) -> Collection:
        """Take a place out; its earlier rows stay in the file until a purge."""
        _, one = self._place(name, place)
        with self.files.own().appending() as (connection, at):
            self._write(connection, at, self._home(one.place), one, removed=True)
        return self.get(name)

    def rename(self, name: str, new: str) -> Collection:
        """Give a collection another name, which no other has."""
        if self._find(_checked(new)) is not None:
            raise ReviewError(f"there is a collection '{new}' already.")
        found = self.get(name)
        with self.files.own().appending() as (connection, at):
            self._name(connection, at, found.collection, _checked(new))
        return self.get(new)

    def delete(self, name: str) -> None:
        """Take a collection out of the list."""
        while (found := self._find(name)) is not None:
            with self.files.own().appending() as (connection, at):
                self._name(connection, at, found.collection, found.name, removed=True)

    # ------------------------------------------------------------------ rows

    def _find(self, name: str) -> Collection | None:
        same = sorted((c for c in self.list() if c.name == name), key=lambda c: c.created)
        if not same:
            return None
        return replace(same[0], places=tuple(p for c in same for p in c.places))

    def _place(self, name: str, word: str) -> tuple[Collection, Place]:
        """A place by its number from 1, or by (the beginning of) its id."""
        found = self.get(name)
        if word.isdecimal() and 1 <= int(word) <= len(found.places):
            return found, found.places[int(word) - 1]
        close = [p for p in found.places if len(word) >= _SHORTEST_ID and p.place.startswith(word)]
        if len(close) != 1:
            raise ReviewNotFoundError(
                f"'{word}': {found.name} has places 1 to {len(found.places)}.", name=name
            )
        return found, close[0]

    def _home(self, place: str) -> str:
        """The collection that a place was put into."""
        rows = gathered(self.files, "SELECT collection FROM places WHERE place = ?", (place,))
        return str(rows[0][1])

    def _name(
        self, connection: Connection, at: str, number: str, name: str, *, removed: bool = False
    ) -> None:
        row = (None, number, at, self.reviewer, name, int(removed))
        connection.execute("INSERT INTO collections VALUES (?, ?, ?, ?, ?, ?)", row)

    def _write(
        self, connection: Connection, at: str, number: str, one: Place, *, removed: bool = False
    ) -> None:
        box = one.footprint
        row = (
            None,
            one.place,
            number,
            at,
            self.reviewer,
            one.slide_id,
            one.case_id,
            one.spec,
            box.x,
            box.y,
            box.width,
            box.height,
            one.mpp,
            json.dumps(dict(one.metadata), ensure_ascii=False),
            one.caption,
            one.label,
            one.position,
            int(removed),
        )
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO places VALUES ({marks})", row)  # noqa: S608


def _places(files: Files) -> dict[str, list[Place]]:
    latest: dict[str, tuple[Any, ...]] = {}
    rows = gathered(files, f"SELECT {_PLACE}, number FROM places")  # noqa: S608
    for row in sorted(rows, key=lambda row: (row[3], row[0], row[-1])):
        latest[row[1]] = row
    found: dict[str, list[Place]] = {}
    for row in latest.values():
        if not row[17]:
            found.setdefault(row[2], []).append(_place_of(row))
    for places in found.values():
        places.sort(key=lambda p: (p.position, p.place))
    return found


def _checked(name: str) -> str:
    clean = " ".join(name.split())
    if not clean or len(clean) > 200:
        raise ReviewError("a collection's name has 1 to 200 characters.")
    return clean


def _as_place(item: Match | Place) -> Place:
    if isinstance(item, Place):
        return item
    return Place(
        place="",
        slide_id=item.key.slide_id,
        case_id=item.case_id,
        spec=item.key.spec,
        footprint=item.footprint,
        mpp=item.mpp,
        metadata=item.metadata,
    )


def _place_of(row: tuple[Any, ...]) -> Place:
    return Place(
        place=row[1],
        slide_id=row[5],
        case_id=row[6],
        spec=row[7],
        footprint=Footprint(*row[8:12]),
        mpp=row[12],
        metadata=json.loads(row[13]),
        caption=row[14],
        label=row[15],
        position=row[16],
        reviewer=identity(row[4], row[0]),
    )


def _between(others: Sequence[float], position: int) -> float:
    """A number that sorts to `position` (from 1) among the others."""
    ordered = sorted(others)
    at = min(max(position, 1) - 1, len(ordered))
    if not ordered:
        return 1.0
    if at == 0:
        return ordered[0] - 1
    if at == len(ordered):
        return ordered[-1] + 1
    return (ordered[at - 1] + ordered[at]) / 2
