"""The form: where to search and at which magnification; the rest is folded away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_pathsearch import remembered
from napari_pathsearch.ask.settings import AskSettings, quoted
from napari_pathsearch.words import magnification
from pathsearch.config import TileSpec
from pathsearch.errors import QueryError

_PLACES = (
    ("all", "All slides", "Search the whole library"),
    ("slide", "This slide only", "Search the slide that is open"),
    ("filter", "Some slides…", "Search the slides for which a filter holds"),
)
_EXCLUDES = (
    ("overlap", "What I marked", "Tissue that overlaps the marked spot is never a match"),
    ("slide", "The whole slide", "No matches from the slide that the question comes from"),
    ("case", "The whole case", "No matches from any slide of the question's case"),
)
_COMBINES = (
    ("mean", "What they share", "What the marked patches have in common: their mean (mean)"),
    ("max", "Any one of them", "The best of the marked patches counts (max)"),
    ("set", "The whole area", "Areas of the region's size, compared patch by patch (set)"),
)


class AskForm(QWidget):
    """Edits `AskSettings`; what was set is remembered.

    Signals
    -------
    changed
        Any value, by the user.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.place = _choices(_PLACES, "Search in")
        self.spec = QComboBox()
        self.spec.setAccessibleName("Magnification")
        self.spec.setToolTip("How closely to look: detail of cells, or architecture of the tissue")
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("for example: stain = H&E and year >= 2019")
        self.filter.setAccessibleName("Filter")
        self.column, self.value = QComboBox(), QComboBox()
        self.number = _spin(1, 2000, "Number of matches")
        self.exclude = _choices(_EXCLUDES, "Leave out")
        self.per_slide = _spin(0, 1000, "At most so many from one slide", "no limit")
        self.per_case = _spin(0, 1000, "At most so many from one case", "no limit")
        self.spacing = _decimal(50.0, "Least distance between two matches, in patch widths", "any")
        self.diversity = _decimal(1.0, "Higher brings matches forward that differ", "by closeness")
        self.combine = _choices(_COMBINES, "Several patches")
        self.exact = QCheckBox("Compare with every patch (slower)")
        self.exact.setToolTip("Slower, and misses nothing")
        self.more = QToolButton()
        self.more.setText("More settings")
        self.more.setCheckable(True)
        self.more.setAutoRaise(True)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.setArrowType(Qt.ArrowType.RightArrow)
        self._values: Mapping[str, Sequence[str]] = {}
        self._lay_out()
        self.set_settings(AskSettings.from_json(remembered.recall("ask", {})))
        self._connect()

    # ------------------------------------------------------------------ values

    def settings(self) -> AskSettings:
        """What the form says."""
        return AskSettings(
            place=self.place.currentData(),
            spec=self.spec.currentData() or "",
            k=self.number.value(),
            exclude=self.exclude.currentData(),
            filter=self.filter.text(),
            per_slide=self.per_slide.value(),
            per_case=self.per_case.value(),
            spacing=self.spacing.value(),
            diversity=self.diversity.value(),
            combine=self.combine.currentData(),
            exact=self.exact.isChecked(),
        )

    def set_settings(self, settings: AskSettings) -> None:
        """Show settings."""
        for box, value in (
            (self.place, settings.place),
            (self.exclude, settings.exclude),
            (self.combine, settings.combine),
            (self.spec, settings.spec),
        ):
            box.setCurrentIndex(max(box.findData(value), 0))
        self.number.setValue(settings.k)
        self.filter.setText(settings.filter)
        self.per_slide.setValue(settings.per_slide)
        self.per_case.setValue(settings.per_case)
        self.spacing.setValue(settings.spacing)
        self.diversity.setValue(settings.diversity)
        self.exact.setChecked(settings.exact)
        self._wanted_spec = settings.spec

    def set_library(
        self, specs: Mapping[str, TileSpec], values: Mapping[str, Sequence[str]]
    ) -> None:
        """Offer a library's magnifications, and the values of its columns to filter by."""
        wanted = self.spec.currentData() or self._wanted_spec
        self.spec.blockSignals(True)
        self.spec.clear()
        for name, spec in specs.items():
            self.spec.addItem(magnification(spec.mpp), name)
            tip = f"{name}: patches of {spec.size_px * spec.mpp:.0f} µm"
            self.spec.setItemData(self.spec.count() - 1, tip, int(Qt.ItemDataRole.ToolTipRole))
        if len(specs) > 1:
            self.spec.addItem("every magnification", "all")
        self.spec.setCurrentIndex(max(self.spec.findData(wanted), 0))
        self.spec.blockSignals(False)
        kept = self.column.currentText(), self.value.currentText()
        self._values = values
        self.column.clear()
        self.column.addItems(list(values))
        self._offer_values()
        # Slides may come in while a filter is being put together
        self.column.setCurrentIndex(max(self.column.findText(kept[0]), 0))
        self.value.setCurrentIndex(max(self.value.findText(kept[1]), 0))

    # ------------------------------------------------------------------ inside

    def _lay_out(self) -> None:
        top = QFormLayout()
        top.setContentsMargins(0, 0, 0, 0)
        top.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        top.addRow("Search in", self.place)
        top.addRow("Magnification", self.spec)
        self._filter_box = QWidget()
        lines = QVBoxLayout(self._filter_box)
        lines.setContentsMargins(0, 0, 0, 0)
        pick = QHBoxLayout()
        add = QToolButton()
        add.setText("Add")
        add.setToolTip("Add this condition to the filter")
        add.clicked.connect(self._add_condition)
        for widget, stretch in ((self.column, 1), (self.value, 1), (add, 0)):
            pick.addWidget(widget, stretch)
        lines.addLayout(pick)
        lines.addWidget(self.filter)
        self._folded = QWidget()
        rest = QFormLayout(self._folded)
        rest.setContentsMargins(8, 0, 0, 0)
        rest.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rest.addRow("Number of matches", self.number)
        rest.addRow("Leave out", self.exclude)
        rest.addRow("At most per slide", self.per_slide)
        rest.addRow("At most per case", self.per_case)
        rest.addRow("Distance apart", self.spacing)
        rest.addRow("Variety", self.diversity)
        rest.addRow("Look for", self.combine)
        rest.addRow(self.exact)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(4)
        whole.addLayout(top)
        whole.addWidget(self._filter_box)
        whole.addWidget(self.more, 0, Qt.AlignmentFlag.AlignLeft)
        whole.addWidget(self._folded)
        self._folded.setVisible(False)

    def _connect(self) -> None:
        self.more.toggled.connect(self._fold)
        self.place.currentIndexChanged.connect(self._show_filter)
        self.column.currentIndexChanged.connect(self._offer_values)
        self._show_filter()
        for box in (self.place, self.spec, self.exclude, self.combine):
            box.currentIndexChanged.connect(self._tell)
        for spin in (self.number, self.per_slide, self.per_case, self.spacing, self.diversity):
            spin.valueChanged.connect(self._tell)
        self.exact.toggled.connect(self._tell)
        self.filter.editingFinished.connect(self._tell)

    def _fold(self, shown: bool) -> None:
        self._folded.setVisible(shown)
        self.more.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)

    def _show_filter(self) -> None:
        self._filter_box.setVisible(self.place.currentData() == "filter")

    def _offer_values(self) -> None:
        self.value.clear()
        self.value.addItems(list(self._values.get(self.column.currentText(), ())))

    def _add_condition(self) -> None:
        column, value = self.column.currentText(), self.value.currentText()
        if not column:
            return
        try:
            one = f"{quoted(column)} = {quoted(value)}"
        except QueryError:
            return
        have = self.filter.text().strip()
        self.filter.setText(f"{have} and {one}" if have else one)
        self._tell()

    def _tell(self) -> None:
        remembered.remember("ask", self.settings().to_json())
        self.changed.emit()


def _choices(choices: Sequence[tuple[str, str, str]], name: str) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(name)
    for value, words, tip in choices:
        box.addItem(words, value)
        box.setItemData(box.count() - 1, tip, int(Qt.ItemDataRole.ToolTipRole))
    return box


def _spin(low: int, high: int, tip: str, zero: str = "") -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(low, high)
    spin.setToolTip(tip)
    spin.setAccessibleName(tip)
    spin.setSpecialValueText(zero)
    spin.setKeyboardTracking(False)
    return spin


def _decimal(high: float, tip: str, zero: str) -> QDoubleSpinBox:
    spin = QDoubleSpinBox()
    spin.setRange(0.0, high)
    spin.setSingleStep(0.1 if high <= 1 else 0.5)
    spin.setDecimals(1)
    spin.setToolTip(tip)
    spin.setAccessibleName(tip)
    spin.setSpecialValueText(zero)
    spin.setKeyboardTracking(False)
    return spin
