"""What is marked on the open slides: shapes as napari draws them, examples as a query takes them.

Each slide that is marked has one Shapes layer. A point is drawn as the patch that would be
asked with.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from qtpy.QtCore import QObject, QPoint, QTimer, Signal
from qtpy.QtGui import QCursor

from napari_pathsearch.frames import Frame
from napari_pathsearch.gallery.colours import ASKED, COUNTER
from pathsearch.nouns import Array, Example, Point, Region

if TYPE_CHECKING:
    from napari.layers import Shapes

    from napari_pathsearch.session import Session

Tool = Literal["look", "rectangle", "polygon", "lasso", "point"]
MODES: dict[str, str] = {
    "look": "pan_zoom",
    "rectangle": "add_rectangle",
    "polygon": "add_polygon",
    "lasso": "add_polygon_lasso",
    "point": "pan_zoom",
}
#: Key of a layer's metadata: it holds marks.
MARKS = "pathsearch_marks"
_KIND, _SIDE = "kind", "side"
#: A rectangle smaller than this many screen pixels was a click.
_CLICK_PX = 4.0
_ELLIPSE_CORNERS = 48
#: Outlines are drawn anew once the zoom has rested, and their width is off by this factor.
_SETTLE_MS, _EDGE_STEP = 120, 1.3


class Marks(QObject):
    """The marks of one viewer.

    Signals
    -------
    changed
        Something was marked, moved, turned into a counter-example, or removed.
    tool_changed : str
    menu_wanted : object, int, QPoint
        A right click on a mark: its layer, its number, and where on the screen.
    find_wanted
        The key to search was pressed while marks can be drawn.
    """

    changed = Signal()
    tool_changed = Signal(str)
    menu_wanted = Signal(object, int, QPoint)
    find_wanted = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._tool: Tool = "look"
        self.patch_um = 112.0
        self._zoomed = QTimer(self)
        self._zoomed.setSingleShot(True)
        self._zoomed.setInterval(_SETTLE_MS)
        self._zoomed.timeout.connect(self._fit_edges)
        session.viewer.scene.camera.events.zoom.connect(self._rest)
        session.active_changed.connect(self._active_changed)
        session.slide_closed.connect(self._slide_closed)
        session.names_hidden.connect(self._rename)

    # ------------------------------------------------------------------ tools

    @property
    def tool(self) -> Tool:
        """What a drag on the canvas does."""
        return self._tool

    def use(self, tool: Tool) -> None:
        """Choose a tool; 'look' moves the view again."""
        self._tool = tool
        self._apply_tool()
        self.tool_changed.emit(tool)

    def _apply_tool(self) -> None:
        active = self._session.active
        if self._tool == "look":
            for layer in self._layers():
                layer.mode = MODES["look"]
            return
        if not active:
            return
        layer = self.layer(active)
        self._session.viewer.layers.selection.active = layer
        layer.mode = MODES[self._tool]

    # ------------------------------------------------------------------ marks

    def layer(self, slide: str) -> Shapes:
        """The layer of marks on an open slide; made when it is first wanted."""
        for layer in self._layers():
            if layer.metadata[MARKS] == slide:
                return layer
        image = self._session.layer_of(slide)
        if image is None:
            raise KeyError(f"{slide} is not open")
        frame = self._session.frame(image)
        layer = self._session.viewer.add_shapes(
            ndim=2,
            name=f"Marked: {self._session.name_of(slide)}",
            edge_color=ASKED,
            face_color="#00000000",
            edge_width=self._edge_width(),
            opacity=1.0,
            features={_KIND: np.array([], object), _SIDE: np.array([], object)},
            feature_defaults={_KIND: "region", _SIDE: "like"},
            metadata={MARKS: slide},
            **frame.layer_arguments(),
        )
        self._session.attach(layer, slide)
        layer.mouse_drag_callbacks.append(self._pressed)
        layer.events.data.connect(self._data_changed)
        # napari's own keys of such a layer come before the viewer's: F would bring a shape to
        # the front, Escape only end the one that is being drawn
        layer.bind_key("F", lambda _: self.find_wanted.emit(), overwrite=True)
        layer.bind_key("Escape", lambda _: self.use("look"), overwrite=True)
        return layer

    def examples(self) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
        """What is marked, and what is marked as 'not like this'."""
        like: list[Example] = []
        unlike: list[Example] = []
        for layer in self._layers():
            for number in range(layer.nshapes):
                side = like if layer.features[_SIDE].iloc[number] == "like" else unlike
                example = self._example(layer, number)
                if example is not None:
                    side.append(example)
        return tuple(like), tuple(unlike)

    def counts(self) -> tuple[int, int]:
        """How many marks, and how many counter-examples."""
        like, unlike = self.examples()
        return len(like), len(unlike)

    def add_view(self) -> bool:
        """Mark what is in view; False where no slide is."""
        box = self._session.view_box()
        if box is None:
            return False
        slide, x, y, width, height = box
        self.add_box(slide, (x, y, width, height))
        return True

    def add_box(self, slide: str, box: tuple[float, float, float, float]) -> None:
        """Mark a rectangle: x, y, width, height in level-0 pixels of an open slide."""
        self._add(self.layer(slide), _corners(*box), "region")

    def add_point(self, slide: str, x: float, y: float) -> None:
        """Mark a point by the patch around it; level-0 pixels."""
        layer = self.layer(slide)
        self._add(layer, self._patch_around(slide, x, y), "point")

    def turn(self, layer: Shapes, number: int) -> None:
        """Make a mark a counter-example, or one no longer."""
        sides = list(layer.features[_SIDE])[: layer.nshapes]
        sides[number] = "like" if sides[number] == "unlike" else "unlike"
        self._set_feature(layer, _SIDE, sides)
        self.changed.emit()

    def is_counter(self, layer: Shapes, number: int) -> bool:
        """Whether a mark is a counter-example."""
        return bool(layer.features[_SIDE].iloc[number] == "unlike")

    def remove(self, layer: Shapes, number: int) -> None:
        """Take a mark away."""
        layer.selected_data = {number}
        layer.remove_selected()
        self.changed.emit()

    def clear(self) -> None:
        """Take all marks away, and their layers."""
        for layer in list(self._layers()):
            self._session.viewer.layers.remove(layer)
        self.use("look")
        self.changed.emit()

    # ------------------------------------------------------------------ inside

    def _active_changed(self, _: str) -> None:
        self._apply_tool()

    def _slide_closed(self, _: str) -> None:
        self.changed.emit()

    def _rename(self, _: bool) -> None:
        for layer in self._layers():
            layer.name = f"Marked: {self._session.name_of(layer.metadata[MARKS])}"

    def _layers(self) -> Iterator[Shapes]:
        return (layer for layer in self._session.viewer.layers if MARKS in layer.metadata)

    def _edge_width(self) -> float:
        """In level-0 pixels, so that it is about 3 pixels of the screen now."""
        opened = self._session.opened.get(self._session.active)
        if opened is None:
            return 8.0
        return max(3.0 / self._session.viewer.scene.camera.zoom / opened.slide.mpp, 1.0)

    def _rest(self, _: object = None) -> None:
        self._zoomed.start()

    def _fit_edges(self) -> None:
        """Outlines keep their width on the screen, so that a mark is seen in the whole slide."""
        wanted = self._edge_width()
        for layer in self._layers():
            if layer.visible and layer.nshapes:
                now = float(layer.edge_width[0])
                if not wanted / _EDGE_STEP <= now <= wanted * _EDGE_STEP:
                    layer.edge_width = [wanted] * layer.nshapes

    def _example(self, layer: Shapes, number: int) -> Example | None:
        corners = self._corners_of(layer, number)
        slide = layer.metadata[MARKS]
        if len(corners) < 3:
            return None
        if layer.features[_KIND].iloc[number] == "point":
            x, y = ((corners.min(axis=0) + corners.max(axis=0)) / 2).tolist()
            return Point(slide, x, y)
        ring = tuple((float(x), float(y)) for x, y in corners)
        return Region(slide, ((ring,),))

    @staticmethod
    def _corners_of(layer: Shapes, number: int) -> Array:
        """Level-0 x, y of a shape's corners, shape (n, 2); an ellipse has many."""
        corners = Frame.from_rows_columns(layer.data[number])
        if layer.shape_type[number] == "ellipse":
            centre, (low, high) = corners.mean(axis=0), (corners.min(axis=0), corners.max(axis=0))
            turn = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)
            radii = (high - low) / 2
            return centre + np.stack([np.cos(turn), np.sin(turn)], axis=1) * radii
        return corners

    def _patch_around(self, slide: str, x: float, y: float) -> list[tuple[float, float]]:
        side = self.patch_um / self._session.opened[slide].slide.mpp
        return _corners(x - side / 2, y - side / 2, side, side)

    def _add(self, layer: Shapes, corners: list[tuple[float, float]], kind: str) -> None:
        layer.current_edge_width = self._edge_width()
        layer.add_rectangles(Frame.to_rows_columns(corners))
        kinds = list(layer.features[_KIND])[: layer.nshapes]
        kinds[-1] = kind
        self._set_feature(layer, _KIND, kinds)
        layer.selected_data = set()
        self.changed.emit()

    def _set_feature(self, layer: Shapes, name: str, values: list[str]) -> None:
        features = layer.features.copy()
        features[name] = values
        layer.features = features
        layer.feature_defaults = {_KIND: "region", _SIDE: "like"}
        self._paint(layer)

    @staticmethod
    def _paint(layer: Shapes) -> None:
        if layer.nshapes:
            sides = list(layer.features[_SIDE])[: layer.nshapes]
            layer.edge_color = [ASKED if side == "like" else COUNTER for side in sides]

    def _data_changed(self, event: Any) -> None:
        layer, action = event.source, getattr(event.action, "value", event.action)
        if action == "added" and not layer.metadata.get("_busy"):
            self._settle_clicks(layer)
        if action in ("added", "changed", "removed"):
            self.changed.emit()

    def _settle_clicks(self, layer: Shapes) -> None:
        """A click with the rectangle tool marks the point: nobody wants a rectangle of nothing."""
        if self._tool != "rectangle" or not layer.nshapes:
            return
        corners = self._corners_of(layer, layer.nshapes - 1)
        size = (corners.max(axis=0) - corners.min(axis=0)).max()
        opened = self._session.opened[layer.metadata[MARKS]]
        if size * opened.slide.mpp * self._session.viewer.scene.camera.zoom >= _CLICK_PX:
            return
        x, y = corners.mean(axis=0).tolist()
        layer.metadata["_busy"] = True
        try:
            layer.selected_data = {layer.nshapes - 1}
            layer.remove_selected()
            self.add_point(opened.name, x, y)
        finally:
            layer.metadata["_busy"] = False

    def _pressed(self, layer: Shapes, event: Any) -> Iterator[None]:
        """A right click on a mark asks for its menu; a left click with the point tool marks."""
        start = np.asarray(event.pos)
        button = event.button
        moved = False
        if button == 2:
            number = layer.get_value(event.position, world=True)[0]
            if number is not None:
                event.handled = True
        yield
        while event.type == "mouse_move":
            moved = moved or float(np.abs(np.asarray(event.pos) - start).max()) > _CLICK_PX
            yield
        if moved:
            return
        if button == 2 and number is not None:
            self.menu_wanted.emit(layer, int(number), QCursor.pos())
        elif button == 1 and self._tool == "point":
            slide = layer.metadata[MARKS]
            x, y = self._session.frame(layer).to_slide([event.position[-2:]])[0].tolist()
            self.add_point(slide, x, y)


def _corners(x: float, y: float, width: float, height: float) -> list[tuple[float, float]]:
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
