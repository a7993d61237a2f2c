"""The line that lays a similarity map over the slide that is looked at."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QSlider, QWidget

from napari_pathsearch import match_layers
from napari_pathsearch.finder import Finder
from pathsearch.search.maps import SimilarityMap

_USUAL = 75


class MapBar(QWidget):
    """A switch and a threshold.

    Parameters
    ----------
    finder : Finder
    """

    def __init__(self, finder: Finder, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._finder = finder
        self._session = finder.session
        self.found: SimilarityMap | None = None
        self.switch = QCheckBox("Similarity map")
        self.switch.setToolTip("Colour the slide by how similar each spot is to the question")
        self.threshold = QSlider(Qt.Orientation.Horizontal)
        self.threshold.setRange(0, 99)
        self.threshold.setValue(_USUAL)
        self.threshold.setMinimumWidth(90)
        self.threshold.setMaximumWidth(160)
        self.threshold.setToolTip("Hide the less similar tissue")
        self.threshold.setAccessibleName("Least similarity shown")
        self.label = QLabel("")
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.switch)
        line.addWidget(self.threshold)
        line.addWidget(self.label, 1)
        self.switch.toggled.connect(self._switched)
        self.threshold.valueChanged.connect(self._draw)
        finder.round_shown.connect(self._renew)
        finder.library_changed.connect(self._forget)
        self._session.active_changed.connect(self._renew)
        self._say()

    def _switched(self, on: bool) -> None:
        if on:
            self._renew()
        else:
            match_layers.remove_maps(self._session)
            self._forget()

    def _forget(self) -> None:
        self.found = None
        self._say()

    def _renew(self, _: object = None) -> None:
        """Of the slide that is looked at, to the question that is shown."""
        slide = self._session.active
        if not self.switch.isChecked() or self._session.record(slide) is None:
            return
        self._finder.map(slide, self._take)

    def _take(self, found: SimilarityMap) -> None:
        if self.switch.isChecked():
            self.found = found
            self._draw()

    def _draw(self, _: int = 0) -> None:
        if self.found is not None:
            match_layers.show_map(self._session, self.found, self.threshold.value() / 100)
        self._say()

    def _say(self) -> None:
        self.threshold.setEnabled(self.switch.isChecked())
        if not self.switch.isChecked():
            self.label.setText("")
            return
        share = 100 - self.threshold.value()
        self.label.setText(f"the closest {share}% of this slide")
