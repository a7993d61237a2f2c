"""The slides in the viewer: opening, showing one at a time, looking at a place."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_pathsearch.frames import Frame
from napari_pathsearch.opened import OPENED, TAG, OpenedSlide, open_file, open_record
from pathsearch.errors import MppMissingError

if TYPE_CHECKING:
    from napari.layers import Image, Layer

    from napari_pathsearch.session import Session

    Then = Callable[[Image], None] | None

#: A view is drawn again at most this often while its tiles come in, ms.
_REDRAW_MS = 80
#: A place is seen well where it takes this share of the view's shorter side.
_SMALLEST_SHARE, _LARGEST_SHARE = 0.1, 0.8


class ShownSlides(QObject):
    """Layers of slides in one viewer.

    Attributes
    ----------
    by_name : dict
        `OpenedSlide` by name; those whose layer is in the viewer.
    active : str
    """

    _loaded = Signal(str)
    _faulty = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._viewer = session.viewer
        self.by_name: dict[str, OpenedSlide] = {}
        self.active = ""
        self._opening: dict[str, list[Then]] = {}
        self._stale: set[str] = set()
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(_REDRAW_MS)
        self._redraw.timeout.connect(self._draw_again)
        self._loaded.connect(self._note_loaded)
        self._faulty.connect(self._tell_fault)
        layers = self._viewer.layers
        layers.events.inserted.connect(self._inserted)
        layers.events.removed.connect(self._removed)
        layers.selection.events.active.connect(self._selected)

    # ------------------------------------------------------------------- opening

    def open(self, slide: str | Path, then: Then, mpp: float | None = None) -> None:
        """As `Session.open_slide`."""
        name = self._name(slide)
        found = self.by_name.get(name)
        if found is not None and found.layer is not None:
            self.show(name)
            if then is not None:
                then(found.layer)
            return
        if name in self._opening:
            self._opening[name].append(then)
            return
        self._opening[name] = [then]
        self._session.run(
            partial(self._read, name, mpp),
            done=self._add,
            failed=partial(self._refused, name),
            cancelled=partial(self._forgotten, name),
        )

    def _name(self, slide: str | Path) -> str:
        """The id of a slide of the library, also where its path is given."""
        if self._session.record(str(slide)) is not None:
            return str(slide)
        library = self._session.library
        home = library.root_for(slide) if library is not None else None
        if home is not None:
            for record in self._session.slides:
                if (record.root, record.path) == home:
                    return record.slide_id
        return str(slide)

    def _read(self, name: str, mpp: float | None, _: object) -> OpenedSlide:
        """In a thread: the slide, opened, with its first picture."""
        session = self._session
        record = session.record(name)
        if record is not None and session.library is not None and record.mpp is not None:
            return open_record(session.library, record, session.store, self._faulty.emit)
        if record is not None and session.library is not None:
            path = session.library.locate(record)
            return open_file(path, session.store, name=name, mpp=mpp, on_fault=self._faulty.emit)
        return open_file(name, session.store, mpp=mpp, on_fault=self._faulty.emit)

    def _forgotten(self, name: str) -> None:
        self._opening.pop(name, None)

    def _refused(self, name: str, error: Exception) -> None:
        waiting = self._opening.pop(name, [])
        self._session.say(error)
        if isinstance(error, MppMissingError):

            def again(mpp: float) -> None:
                self.open(name, waiting[0] if waiting else None, mpp)

            self._session.mpp_missing.emit(name, again)

    def _add(self, opened: OpenedSlide) -> None:
        first = not self.by_name
        data, arguments, _ = opened.layer_data(self._session.name_of(opened.name))
        layer = self._viewer.add_image(data, **arguments)
        if first:
            self._viewer.reset_view()
            self._viewer.canvas.overlays.scale_bar.visible = True
        self.show(opened.name)
        for then in self._opening.pop(opened.name, []):
            if then is not None:
                then(layer)

    def _inserted(self, event: Any) -> None:
        """Adopt a slide's layer, also one that napari added through the reader."""
        layer = event.value
        opened = layer.metadata.get(OPENED)
        if opened is None or opened.name in self.by_name:
            return
        opened.layer = layer
        self.by_name[opened.name] = opened
        # From the threads that read tiles; queued to this one
        opened.pixels.reader.on_loaded = partial(self._loaded.emit, opened.name)
        self._session.slide_opened.emit(opened.name)

    def _removed(self, event: Any) -> None:
        opened: OpenedSlide | None = event.value.metadata.get(OPENED)
        if opened is None or self.by_name.get(opened.name) is not opened:
            return
        del self.by_name[opened.name]
        opened.layer = None
        opened.close()
        for layer in [x for x in self._viewer.layers if x.metadata.get(TAG) == opened.name]:
            self._viewer.layers.remove(layer)
        if self.active == opened.name:
            self._set_active(next(reversed(self.by_name), ""))
        self._session.slide_closed.emit(opened.name)

    # ------------------------------------------------------------------- showing

    def show(self, name: str) -> None:
        """Make one slide visible, with what lies on it, and hide the others."""
        for layer in self._viewer.layers:
            owner = layer.metadata.get(TAG)
            # napari slices a layer anew even where this changes nothing
            if owner is not None and layer.visible != (owner == name):
                layer.visible = owner == name
        layer = self.by_name[name].layer
        selection = self._viewer.layers.selection
        if selection.active is None or selection.active.metadata.get(TAG) != name:
            selection.active = layer
        self._set_active(name)

    def follow(self, layer: Layer) -> None:
        """Show or hide an attached layer as its slide is."""
        shown = layer.metadata.get(TAG) == self.active
        if layer.visible != shown:
            layer.visible = shown

    def rename(self) -> None:
        """Call the layers as the names are shown or hidden."""
        for name, opened in self.by_name.items():
            if opened.layer is not None:
                opened.layer.name = self._session.name_of(name)
        self._viewer.status = "Ready"  # it still says the old name

    def _selected(self, _: Any = None) -> None:
        layer = self._viewer.layers.selection.active
        name = layer.metadata.get(TAG, "") if layer is not None else ""
        if name in self.by_name and layer.visible:
            self._set_active(name)

    def _set_active(self, name: str) -> None:
        if name != self.active:
            self.active = name
            self._session.active_changed.emit(name)

    # ------------------------------------------------------------------- looking

    def look_at(
        self,
        layer: Image,
        box: tuple[float, float, float, float],
        context: float,
        *,
        keep_zoom: bool = False,
    ) -> None:
        """Centre the view on a box (level 0), with some tissue around it."""
        corners = Frame(layer).corners(*box)
        low, high = corners.min(axis=0), corners.max(axis=0)
        height, width = self._viewer.canvas.size
        side = max(float((high - low).max()), 1e-6)
        self._viewer.scene.camera.center = tuple((low + high) / 2)
        share = side * self._viewer.scene.camera.zoom / min(height, width)
        if not (keep_zoom and _SMALLEST_SHARE <= share <= _LARGEST_SHARE):
            self._viewer.scene.camera.zoom = min(height, width) / (side * context)

    def view_box(self) -> tuple[str, float, float, float, float] | None:
        """As `Session.view_box`; cut at the slide's edge."""
        opened = self.by_name.get(self.active)
        if opened is None or opened.layer is None:
            return None
        height, width = self._viewer.canvas.size
        zoom = self._viewer.scene.camera.zoom
        row, column = self._viewer.scene.camera.center[-2:]
        h, w = height / zoom / 2, width / zoom / 2
        places = Frame(opened.layer).to_slide(
            [
                (row - h, column - w),
                (row - h, column + w),
                (row + h, column + w),
                (row + h, column - w),
            ]
        )
        left, top = (max(0.0, float(v)) for v in places.min(axis=0))
        right, bottom = (
            min(float(v), float(n))
            for v, n in zip(places.max(axis=0), opened.slide.size, strict=True)
        )
        if right <= left or bottom <= top:
            return None
        return opened.name, left, top, right - left, bottom - top

    # -------------------------------------------------------------------- drawing

    def _note_loaded(self, name: str) -> None:
        self._stale.add(name)
        if not self._redraw.isActive():
            self._redraw.start()

    def _draw_again(self) -> None:
        stale, self._stale = self._stale, set()
        for name in stale:
            opened = self.by_name.get(name)
            if opened is not None and opened.layer is not None and opened.layer.visible:
                opened.layer.refresh(thumbnail=False, highlight=False, extent=False)

    def _tell_fault(self, error: Exception) -> None:
        self._session.say(
            "Some of this slide's pixels cannot be read: they are shown as grey stripes.",
            details=str(error),
            kind="warning",
        )

    def close(self) -> None:
        """Give all files back."""
        self._redraw.stop()
        for opened in self.by_name.values():
            opened.close()
        self.by_name.clear()
