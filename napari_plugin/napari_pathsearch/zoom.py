"""Zoom by objective: 2.5, 5, 10, 20, 40x, as buttons and keys."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QLabel, QToolButton, QWidget

from napari_pathsearch.words import magnification, mpp_of_power

if TYPE_CHECKING:
    import napari

    from napari_pathsearch.session import Session

#: Key (with Alt) and objective.
POWERS = {"1": 2.5, "2": 5.0, "3": 10.0, "4": 20.0, "5": 40.0}


class ZoomBar(QWidget):
    """Buttons for the objectives and the present magnification; binds the keys.

    Parameters
    ----------
    session : Session
    parent : QWidget, optional

    Attributes
    ----------
    label : QLabel
        The present magnification; the panel puts it where there is room.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        viewer = session.viewer
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for key, power in POWERS.items():
            button = self._button(f"{power:g}x", f"See as with a {power:g}x objective (Alt+{key})")
            button.clicked.connect(partial(set_power, viewer, power))
            layout.addWidget(button)
            viewer.bind_key(f"Alt-{key}", _bound(power), overwrite=True)
        whole = self._button("whole", "The whole slide (Alt+0)")
        whole.clicked.connect(self._whole)
        layout.addWidget(whole)
        viewer.bind_key("Alt-0", lambda _: self._whole(), overwrite=True)
        self.label = QLabel("", self)
        self.label.setToolTip("How large the tissue is on this screen: µm a screen pixel")
        layout.addStretch(1)
        viewer.scene.camera.events.zoom.connect(self._show)
        session.active_changed.connect(self._show)
        self._show()

    def _button(self, text: str, tip: str) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        button.setToolTip(tip)
        return button

    def _whole(self) -> None:
        layer = self._session.layer_of(self._session.active)
        if layer is not None:
            self._session.viewer.fit_to_view(layers=[layer])

    def _show(self, *_: object) -> None:
        zoom = self._session.viewer.scene.camera.zoom
        shown = self._session.active and zoom > 0
        self.label.setText(magnification(1 / zoom) if shown else "")


def set_power(viewer: napari.Viewer, power: float, *_: object) -> None:
    """See as with an objective: one screen pixel is 10 µm divided by its power."""
    viewer.scene.camera.zoom = 1 / mpp_of_power(power)


def _bound(power: float):  # type: ignore[no-untyped-def]
    def zoom(viewer: napari.Viewer) -> None:
        set_power(viewer, power)

    return zoom
