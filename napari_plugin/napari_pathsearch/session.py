"""What the parts of the viewer share: the library, the open slides, work off the GUI thread."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication

from napari_pathsearch.frames import Frame
from napari_pathsearch.jobs import Job, Jobs, Lane
from napari_pathsearch.opened import OPENED, TAG, OpenedSlide
from napari_pathsearch.shown_slides import ShownSlides
from napari_pathsearch.tiles import TileStore
from napari_pathsearch.words import Kind, Message, message_of

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Layer

    from pathsearch.library import Library, SlideRecord
    from pathsearch.search import Searcher

#: How often the library is asked whether another process has committed anything, ms.
_LOOK_MS = 2000

_SESSIONS: dict[int, Session] = {}


@dataclass(frozen=True)
class _Loaded:
    """A library as a job hands it over."""

    library: Library
    slides: tuple[SlideRecord, ...]
    generation: int


class Session(QObject):
    """One viewer's library and slides. Made and used on the GUI thread.

    Parameters
    ----------
    viewer : napari.Viewer

    Attributes
    ----------
    viewer : napari.Viewer
    library : Library or None
    searcher : Searcher or None
        Of the library; use it in the lane ``search`` only.
    slides : tuple of SlideRecord
        Of the library, in the order of their ids; renewed when another process commits.
    store : TileStore
    """

    #: A library was opened, or the last one closed.
    library_changed = Signal()
    #: `slides` was renewed.
    slides_changed = Signal()
    #: A slide's layer was added; its name.
    slide_opened = Signal(str)
    #: A slide's layer was removed; its name.
    slide_closed = Signal(str)
    #: Another slide is looked at; its name, or an empty string.
    active_changed = Signal(str)
    #: Names and case numbers are hidden, or shown again.
    names_hidden = Signal(bool)
    #: A slide does not say its resolution: its name, and a function that opens it with the
    #: µm per pixel that it is given.
    mpp_missing = Signal(str, object)
    #: The viewer closes: end what you started.
    closing = Signal()
    #: A `Message` for the user.
    said = Signal(object)

    def __init__(self, viewer: napari.Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self.library: Library | None = None
        self.searcher: Searcher | None = None
        self.slides: tuple[SlideRecord, ...] = ()
        self.store = TileStore()
        self._by_id: dict[str, SlideRecord] = {}
        self._numbers: dict[str, int] = {}
        self._case_numbers: dict[str, int] = {}
        self._hidden = False
        self._generation = -1
        self._looking: Job | None = None
        self._jobs = Jobs(self)
        self.busy_changed = self._jobs.busy_changed
        self._shown = ShownSlides(self)
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_MS)
        self._timer.timeout.connect(self.look_for_changes)

    # ------------------------------------------------------------ work and words

    def run(
        self,
        work: Callable[[Job], Any],
        *,
        lane: Lane = "files",
        done: Callable[[Any], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
        cancelled: Callable[[], None] | None = None,
        progress: Callable[[Any], None] | None = None,
    ) -> Job:
        """Call ``work(job)`` off the GUI thread; see `Jobs.run`. Errors are said by default."""
        return self._jobs.run(
            work,
            lane=lane,
            done=done,
            failed=failed or self.say,
            cancelled=cancelled,
            progress=progress,
        )

    @property
    def running(self) -> int:
        """Jobs that wait or run."""
        return self._jobs.running

    def say(self, what: str | BaseException, details: str = "", kind: Kind = "info") -> None:
        """Tell the user a line, or an error as a line with what to do."""
        message = message_of(what) if isinstance(what, BaseException) else None
        message = message or Message(what if isinstance(what, str) else "", details, kind)
        if self._hidden:
            message = Message(self._without_names(what, message.line), "", message.kind)
        self.said.emit(message)

    def _without_names(self, what: object, line: str) -> str:
        """A line as it may be seen while names are hidden; details name files throughout."""
        fields = getattr(what, "fields", {})
        for name in (str(fields.get("path", "")), str(fields.get("slide_id", ""))):
            if name:
                line = line.replace(name, self.name_of(name))
        return line

    # ------------------------------------------------------------------- library

    def open_library(self, path: Path | str, then: Callable[[], None] | None = None) -> None:
        """Open a library; `library_changed` tells when, then `then` is called."""

        def taken(loaded: _Loaded) -> None:
            self._take(loaded)
            if then is not None:
                then()

        self.say(f"Opening {Path(path).name} …")
        self.run(lambda _: _load(Path(path)), done=taken)

    def close_library(self) -> None:
        """Forget the library; its slides stay open as files."""
        if self.library is None:
            return
        old = self.library
        self._jobs.cancel_all("search")
        # Behind the search that may still run: closing under it would fail it
        self.run(lambda _: old.close(), lane="search")
        self._timer.stop()
        self.library, self.searcher, self._generation = None, None, -1
        self._set_slides(())
        self.library_changed.emit()

    def _take(self, loaded: _Loaded) -> None:
        from pathsearch.search import Searcher

        self.close_library()
        self.library = loaded.library
        self.searcher = Searcher(loaded.library, upkeep=True)
        self._generation = loaded.generation
        self._set_slides(loaded.slides)
        self._timer.start()
        self.library_changed.emit()
        self.say(_greeting(loaded))

    def look_for_changes(self) -> None:
        """Ask the library whether anything was committed; `slides_changed` tells if so."""
        if self.library is None or (self._looking is not None and not self._looking.finished):
            return
        library, known = self.library, self._generation
        self._looking = self.run(lambda _: _changes(library, known), done=self._renewed)

    def _renewed(self, loaded: _Loaded | None) -> None:
        if loaded is None or loaded.library is not self.library:
            return
        self._generation = loaded.generation
        self._set_slides(loaded.slides)

    def _set_slides(self, slides: tuple[SlideRecord, ...]) -> None:
        self.slides = slides
        self._by_id = {record.slide_id: record for record in slides}
        self._numbers = _numbers([r.slide_id for r in slides])
        self._case_numbers = _numbers(list({r.case_id for r in slides if r.case_id}))
        self.slides_changed.emit()

    def record(self, slide_id: str) -> SlideRecord | None:
        """What the library knows of a slide; None where it is not in it."""
        return self._by_id.get(slide_id)

    # --------------------------------------------------------------------- names

    @property
    def hide_names(self) -> bool:
        """Whether names and case numbers are hidden everywhere."""
        return self._hidden

    @hide_names.setter
    def hide_names(self, hidden: bool) -> None:
        if hidden == self._hidden:
            return
        self._hidden = hidden
        self._shown.rename()
        self.names_hidden.emit(hidden)

    def name_of(self, slide: str) -> str:
        """How a slide is called on the screen."""
        if not self._hidden:
            record = self.record(slide)
            return slide if record is not None else Path(slide).name
        number = self._numbers.get(slide)
        return f"Slide {number}" if number else "Slide outside the library"

    def case_of(self, case_id: str) -> str:
        """How a case is called on the screen; empty where there is none."""
        if not case_id or not self._hidden:
            return case_id
        number = self._case_numbers.get(case_id)
        return f"Case {number}" if number else "Case"

    # -------------------------------------------------------------------- slides

    def open_slide(
        self,
        slide: str | Path,
        then: Callable[[Image], None] | None = None,
        *,
        mpp: float | None = None,
    ) -> None:
        """Show a slide of the library (its id), or any slide file (its path).

        Parameters
        ----------
        slide : str or Path
        then : callable, optional
            Called with the layer once it is there; not called where opening fails (that is
            said).
        mpp : float, optional
            µm per level-0 pixel, for a file that does not say.
        """
        self._shown.open(slide, then, mpp)

    def go_to(
        self,
        slide: str | Path,
        box: tuple[float, float, float, float],
        *,
        context: float = 4.0,
        keep_zoom: bool = False,
        then: Callable[[Image], None] | None = None,
    ) -> None:
        """Show a place of a slide, opening the slide if need be.

        Parameters
        ----------
        slide : str or Path
        box : (x, y, width, height)
            Level-0 pixels.
        context : float
            The view's shorter side, in lengths of the box's longer side.
        keep_zoom : bool
            Leave the magnification as it is, where the box can be seen well at it.
        then : callable, optional
        """

        def arrived(layer: Image) -> None:
            self._shown.look_at(layer, box, context, keep_zoom=keep_zoom)
            if then is not None:
                then(layer)

        self.open_slide(slide, arrived)

    def view_box(self) -> tuple[str, float, float, float, float] | None:
        """What is in view: the active slide's name and x, y, width, height in level 0."""
        return self._shown.view_box()

    @property
    def opened(self) -> dict[str, OpenedSlide]:
        """The open slides by name."""
        return self._shown.by_name

    @property
    def active(self) -> str:
        """Name of the slide that is looked at; empty where there is none."""
        return self._shown.active

    def layer_of(self, slide: str) -> Image | None:
        """The layer of an open slide."""
        found = self.opened.get(slide)
        return found.layer if found is not None else None

    def slide_of(self, layer: Layer) -> OpenedSlide | None:
        """The open slide that a layer shows, or lies on (see `attach`)."""
        return self.opened.get(layer.metadata.get(TAG, ""))

    def frame(self, layer: Layer) -> Frame:
        """Conversions between the world and the level-0 pixels of a layer's slide.

        Raises
        ------
        KeyError
            The layer belongs to no slide.
        """
        found = self.slide_of(layer)
        if found is None or found.layer is None:
            raise KeyError(f"{layer.name} belongs to no slide")
        return Frame(found.layer)

    def attach(self, layer: Layer, slide: str) -> None:
        """Tie a layer to an open slide: shown and hidden with it, and removed with it."""
        layer.metadata[TAG] = slide
        self._shown.follow(layer)

    @staticmethod
    def is_slide(layer: Layer) -> bool:
        """Whether a layer shows a slide (and is not merely attached to one)."""
        return OPENED in layer.metadata

    # ---------------------------------------------------------------------- life

    def close(self) -> None:
        """End: cancel what runs, give files back. Called when the viewer closes."""
        if _SESSIONS.pop(id(self.viewer), None) is None:
            return
        self.closing.emit()
        self._timer.stop()
        self.store.close()
        self._jobs.close()
        self._shown.close()
        if self.library is not None:
            self.library.close()
            self.library = self.searcher = None


def session_of(viewer: napari.Viewer) -> Session:
    """The session of a viewer, made when it is first asked for."""
    # napari hands plugins a proxy: one viewer, one session, whoever asks
    viewer = getattr(viewer, "__wrapped__", viewer)
    found = _SESSIONS.get(id(viewer))
    if found is None:
        found = _SESSIONS[id(viewer)] = Session(viewer)
        QApplication.instance().aboutToQuit.connect(found.close)
    return found


def _load(path: Path) -> _Loaded:
    from pathsearch.library import Library

    library = Library.open(path)
    try:
        # The number first: what is committed in between is seen at the next look
        return _Loaded(library, generation=library.generation(), slides=tuple(library.slides()))
    except BaseException:
        library.close()
        raise


def _changes(library: Library, known: int) -> _Loaded | None:
    generation = library.generation()
    if generation == known:
        return None
    return _Loaded(library, tuple(library.slides()), generation)


def _greeting(loaded: _Loaded) -> str:
    count = sum(record.status == "indexed" for record in loaded.slides)
    line = f"{loaded.library.path.name}: {count:,} slide{'s' if count != 1 else ''}."
    failed = sum(record.status == "failed" for record in loaded.slides)
    if failed:
        line += f" {failed:,} could not be read."
    if loaded.library.read_only:
        line += " It cannot be changed from here; your reviews are kept in your own folder."
    return line


def _shuffled(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _numbers(names: list[str]) -> dict[str, int]:
    """A number for each name, in an order that gives nothing away."""
    return {name: n for n, name in enumerate(sorted(names, key=_shuffled), start=1)}
