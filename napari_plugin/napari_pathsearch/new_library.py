"""*New library…* and *Add slides…*: what to index, a look at it first, then the start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_pathsearch.command_run import CommandRun
from napari_pathsearch.index_run import Order, plan_in_words
from napari_pathsearch.words import magnification, mpp_of_power
from pathsearch.config import SANE_MPP

if TYPE_CHECKING:
    from pathsearch.library import Library

#: What a library may be searched at, by objective: 20x first, the default.
_POWERS = (20.0, 10.0, 40.0, 5.0)
_ENDING = ".pathsearch"


class LibraryDialog(QDialog):
    """Asks what to index. `ordered` hands over the order and how many slides are to be read.

    Parameters
    ----------
    library : Library or None
        Slides are added to it; None makes a new one.
    parent : QWidget, optional
    """

    ordered = Signal(object, int)

    def __init__(self, library: Library | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._library = library
        self._plan: dict[str, Any] | None = None
        self._run: CommandRun | None = None
        self.setWindowTitle(
            "New library" if library is None else f"Add slides to {library.path.name}"
        )
        self.setMinimumWidth(520)
        self.slides = QListWidget(self)
        self.slides.setToolTip("Folders are searched for slides, with the folders in them")
        self.slides.setFixedHeight(104)
        self.place = QLineEdit(self)
        self.power = QComboBox(self)
        for power in _POWERS:
            self.power.addItem(magnification(mpp_of_power(power)), mpp_of_power(power))
        self.power.setToolTip(
            "At what magnification tissue is compared. 20x shows cells and their arrangement; "
            "lower shows architecture."
        )
        self.manifest = QLineEdit(self)
        self.manifest.setPlaceholderText("none: cases and diagnoses stay unknown")
        self.manifest.setToolTip(
            "A CSV or TSV file with a column 'path'; 'slide_id', 'case_id', 'mpp' and any columns "
            "of your own may follow, and can be searched and shown"
        )
        self.mpp = QDoubleSpinBox(self)
        self.mpp.setRange(0.0, SANE_MPP[1])
        self.mpp.setDecimals(4)
        self.mpp.setSingleStep(0.05)
        self.mpp.setSpecialValueText("leave such slides out")
        self.mpp.setSuffix(" µm a pixel")
        self.mpp.setToolTip(
            "For slides whose file does not say its resolution: 40x scanners make about 0.25 µm a "
            "pixel, 20x scanners about 0.5. The table of cases can say it slide by slide."
        )
        self.answer = QLabel("", self)
        self.answer.setWordWrap(True)
        self.answer.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.look = QPushButton("Look first", self)
        self.look.setToolTip("Opens every slide; says how many, how long and how much disk")
        self._lay_out()
        self._changed()

    def _lay_out(self) -> None:
        form = QFormLayout()
        slides = QHBoxLayout()
        slides.addWidget(self.slides, 1)
        buttons = QVBoxLayout()
        for text, tip, call in (
            ("Folder…", "Add a folder of slides", self._ask_folder),
            ("Files…", "Add single slides", self._ask_files),
            ("Remove", "Take the chosen line out", self._take_out),
        ):
            button = QPushButton(text, self)
            button.setToolTip(tip)
            button.clicked.connect(call)
            buttons.addWidget(button)
        buttons.addStretch(1)
        slides.addLayout(buttons)
        form.addRow("Slides", slides)
        if self._library is None:
            form.addRow("Library", self._with_button(self.place, self._ask_place))
            form.addRow("Magnification", self.power)
        form.addRow("Table of cases", self._with_button(self.manifest, self._ask_manifest))
        form.addRow("Unknown resolution", self.mpp)
        box = QDialogButtonBox(self)
        box.addButton(self.look, QDialogButtonBox.ButtonRole.ActionRole)
        self.start = box.addButton("Start", QDialogButtonBox.ButtonRole.AcceptRole)
        box.addButton(QDialogButtonBox.StandardButton.Cancel)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.answer)
        layout.addWidget(box)
        self.look.clicked.connect(self._look)
        box.accepted.connect(self._accepted)
        box.rejected.connect(self.reject)
        for line in (self.place, self.manifest):
            line.textChanged.connect(self._changed)
        self.power.currentIndexChanged.connect(self._changed)
        self.mpp.valueChanged.connect(self._changed)

    def _with_button(self, line: QLineEdit, call: Any) -> QHBoxLayout:
        button = QToolButton(self)
        button.setText("…")
        button.clicked.connect(call)
        row = QHBoxLayout()
        row.addWidget(line, 1)
        row.addWidget(button)
        return row

    # ---------------------------------------------------------------------- words

    def add_slides(self, *paths: Path | str) -> None:
        """Name folders or files; a place for the library is proposed beside the first."""
        for path in paths:
            self.slides.addItem(str(path))
        if self._library is None and not self.place.text() and paths:
            first = Path(paths[0])
            home = first.parent if first.is_file() else first
            self.place.setText(str(home.parent / (home.name + _ENDING)))
        self._changed()

    def order(self) -> Order | None:
        """What was asked for; None while something is missing."""
        slides = tuple(Path(self.slides.item(n).text()) for n in range(self.slides.count()))
        place = self.place.text().strip()
        if not slides or (self._library is None and not place):
            return None
        manifest = self.manifest.text().strip()
        chosen = Path(manifest) if manifest else None
        if self._library is not None:
            return Order(slides, self._library.path, None, chosen, self._mpp())
        path = Path(place)
        path = path if path.name.endswith(_ENDING) else path.with_name(path.name + _ENDING)
        return Order(slides, path, float(self.power.currentData()), chosen, self._mpp())

    def _mpp(self) -> float | None:
        value = float(self.mpp.value())
        return max(value, SANE_MPP[0]) if value > 0 else None

    def _changed(self, *_: object) -> None:
        self._plan = None
        complete = self.order() is not None
        self.start.setEnabled(complete)
        self.look.setEnabled(complete and not self._looking)
        if not self._looking:
            self.answer.setText("" if complete else "Add a folder of slides to begin with.")

    # ----------------------------------------------------------------------- look

    @property
    def _looking(self) -> bool:
        return self._run is not None and self._run.running

    def _look(self) -> None:
        order = self.order()
        if order is None:
            return
        self.look.setEnabled(False)
        self.answer.setText("Opening every slide, and measuring how fast this machine is …")
        self._run = CommandRun([*order.words(), "--plan"], self)
        self._run.finished.connect(self._looked)
        self._run.failed.connect(lambda line, _: self._said(f"✕ {line}"))
        self._run.start()

    def _looked(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._said(plan_in_words(plan))

    def _said(self, text: str) -> None:
        self.answer.setText(text)
        self.adjustSize()  # a longer answer takes no room from the buttons
        self.look.setEnabled(self.order() is not None)

    def _accepted(self) -> None:
        order = self.order()
        if order is not None:
            self._end_look()
            self.ordered.emit(order, self._plan["to_read"] if self._plan else 0)
            self.accept()

    def reject(self) -> None:
        """Qt's: closed without a start."""
        self._end_look()
        super().reject()

    def _end_look(self) -> None:
        if self._run is not None:
            self._run.end()

    # ---------------------------------------------------------------- file dialogs

    def _ask_folder(self) -> None:
        found = QFileDialog.getExistingDirectory(self, "A folder of slides")
        if found:
            self.add_slides(found)

    def _ask_files(self) -> None:
        found, _ = QFileDialog.getOpenFileNames(self, "Slides")
        if found:
            self.add_slides(*found)

    def _take_out(self) -> None:
        self.slides.takeItem(self.slides.currentRow())
        self._changed()

    def _ask_place(self) -> None:
        found, _ = QFileDialog.getSaveFileName(self, "The library's folder", self.place.text())
        if found:
            self.place.setText(found)

    def _ask_manifest(self) -> None:
        found, _ = QFileDialog.getOpenFileName(
            self, "Table of cases", "", "Tables (*.csv *.tsv);;All files (*)"
        )
        if found:
            self.manifest.setText(found)
