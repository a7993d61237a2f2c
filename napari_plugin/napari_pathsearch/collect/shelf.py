"""The collections of the library that is open: shown at once, kept by a scribe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_pathsearch.judge.scribe import Scribe
from pathsearch.nouns import Footprint, Match, Point, Region
from pathsearch.review.records import Collection, Place

if TYPE_CHECKING:
    from napari_pathsearch.finder import Finder
    from pathsearch.library import Library
    from pathsearch.review import Collections


class Shelf(QObject):
    """Collections of one viewer's library; every change is on disk when it is shown.

    Attributes
    ----------
    collections : tuple of Collection
        By name.
    current : str
        The collection that the key adds to; empty before the first one.

    Signals
    -------
    changed
        `collections` was renewed, or another one is the current one.
    name_wanted : list of (Match or Place)
        The key was pressed and there is no current collection: ask, then `add`.
    """

    changed = Signal()
    name_wanted = Signal(list)
    _read = Signal(object, str, str)
    _failed = Signal(str)

    def __init__(self, finder: Finder) -> None:
        super().__init__(finder)
        self._finder = finder
        self._library: Library | None = None
        self._store: Collections | None = None
        self._scribe: Scribe | None = None
        self.collections: tuple[Collection, ...] = ()
        self.current = ""
        self._read.connect(self._take)
        self._failed.connect(lambda line: finder.session.say(line, kind="error"))
        finder.library_changed.connect(self._take_library)
        finder.session.closing.connect(self.close)
        self._take_library()

    # ------------------------------------------------------------------ library

    def _take_library(self) -> None:
        self.close()
        self.collections, self.current = (), ""
        self._library = self._finder.session.library
        if self._library is not None:
            self._scribe = Scribe(self._failed.emit)
            self._do(lambda _: None)
        self.changed.emit()

    def close(self) -> None:
        """Write what waits."""
        if self._scribe is None:
            return
        scribe, self._scribe, self._library = self._scribe, None, None
        if self._store is not None and not scribe.closed:
            scribe.do(self._store.close)
        scribe.close()
        self._store = None

    def _do(self, change: Callable[[Collections], object], name: str = "", said: str = "") -> None:
        """Change something and read everything again, on the scribe's thread."""
        library = self._library
        if self._scribe is None or library is None:
            return

        def work() -> None:
            from pathsearch.review import Collections

            if self._store is None:
                self._store = Collections(library)
            try:
                change(self._store)
            finally:
                self._read.emit((library, tuple(self._store.list())), name, said)

        self._scribe.do(work)

    def _take(self, read: tuple[Library, tuple[Collection, ...]], name: str, said: str) -> None:
        library, collections = read
        if library is not self._library:
            return
        self.collections = collections
        names = [c.name for c in collections]
        if name in names:
            self.current = name
        elif self.current not in names:
            self.current = names[0] if len(names) == 1 else ""
        self.changed.emit()
        if said:
            count = len(self.get(name).places) if name in names else 0
            self._finder.session.say(said.format(count=count))

    # ------------------------------------------------------------------ reading

    def get(self, name: str) -> Collection:
        """A collection by its name.

        Raises
        ------
        KeyError
            There is none.
        """
        for collection in self.collections:
            if collection.name == name:
                return collection
        raise KeyError(name)

    def choose(self, name: str) -> None:
        """Make a collection the one that the key adds to."""
        if name != self.current:
            self.current = name
            self.changed.emit()

    # ------------------------------------------------------------------ changing

    def collect(self, items: Sequence[Match | Place]) -> None:
        """Add to the current collection; without one, `name_wanted` asks."""
        if not items:
            self._finder.session.say("Choose a match first, then press C to collect it.")
        elif self.current:
            self.add(items, self.current)
        else:
            self.name_wanted.emit(list(items))

    def add(self, items: Sequence[Match | Place], name: str) -> None:
        """Put places at the end of a collection, which is made if need be and is then current."""
        clean = " ".join(name.split())
        places = list(items)
        many = f"{len(places)} place" + ("s" if len(places) != 1 else "")
        said = f"Collected {many} in “{_unformatted(clean)}”, which has {{count}} now."
        self._do(lambda store: store.add(clean, places), clean, said)

    def edit(
        self,
        name: str,
        place: str,
        *,
        caption: str | None = None,
        label: str | None = None,
        position: int | None = None,
    ) -> None:
        """Change what is said of a place, or move it to a position from 1."""
        self._do(
            lambda store: store.edit(name, place, caption=caption, label=label, position=position),
            name,
        )

    def remove(self, name: str, places: Sequence[str]) -> None:
        """Take places out."""

        def change(store: Collections) -> None:
            for place in places:
                store.remove(name, place)

        self._do(change, name)

    def rename(self, name: str, new: str) -> None:
        """Give a collection another name."""
        self._do(lambda store: store.rename(name, new), " ".join(new.split()))

    def delete(self, name: str) -> None:
        """Take a collection off the list."""
        self._do(lambda store: store.delete(name))

    def flush(self) -> None:
        """Wait until everything is on disk."""
        if self._scribe is not None:
            self._scribe.flush()


def places_on_canvas(finder: Finder) -> list[Place]:
    """What is marked on the slide that is looked at, else what is in view; as places.

    Empty where no slide of the library is looked at.
    """
    session = finder.session
    slide, library = session.active, session.library
    record = session.record(slide)
    if record is None or library is None or not record.mpp:
        return []
    spec = finder.settings.spec
    if spec not in library.specs:
        spec = next(iter(library.specs))
    boxes = [
        _box_of(example, finder.marks.patch_um / record.mpp)
        for example in finder.marks.examples()[0]
        if isinstance(example, Region | Point) and example.slide == slide
    ]
    if not boxes:
        seen = session.view_box()
        boxes = [] if seen is None else [seen[1:]]
    return [
        Place(
            "",
            record.slide_id,
            record.case_id,
            spec,
            Footprint(round(x), round(y), max(round(width), 1), max(round(height), 1)),
            record.mpp,
            metadata=dict(record.metadata),
        )
        for x, y, width, height in boxes
    ]


def _box_of(example: Region | Point, side: float) -> tuple[float, float, float, float]:
    if isinstance(example, Point):
        return example.x - side / 2, example.y - side / 2, side, side
    corners = [corner for polygon in example.polygons for ring in polygon for corner in ring]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def _unformatted(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
