"""The tab in which one asks: tools to mark tissue with, the form, and the button."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QMenu,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QStyle,
    QVBoxLayout,
    QWidget,
)

from napari_pathsearch.ask.form import AskForm
from napari_pathsearch.finder import Finder
from pathsearch.nouns import Picture

_TOOLS = (
    ("look", "Move", "Move and zoom the slide (Esc)"),
    ("rectangle", "Box", "Drag a rectangle; a click marks a point"),
    ("lasso", "Lasso", "Draw around tissue with the button held"),
    ("polygon", "Polygon", "Click the corners, double click to end"),
    ("point", "Point", "Click: the patch around the spot is asked with"),
)
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
FIND_KEY = "F"
_UNSEEN = "QProgressBar, QProgressBar::chunk { background: transparent; border: none; }"
_EMPTY = "Mark tissue on the slide: drag a box, draw around it, or click a point."


class AskPanel(QWidget):
    """Marks, form and button. Files of pictures can be dropped on it.

    Parameters
    ----------
    finder : Finder
    """

    def __init__(self, finder: Finder, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._finder = finder
        self.form = AskForm(self)
        self.tools = QButtonGroup(self)
        self.marked = QLabel(_EMPTY)
        self.find = QPushButton("Find similar")
        self.stop = QPushButton("Cancel")
        self.clear = QPushButton()
        self.view = QPushButton()
        self.progress = QProgressBar()
        self.setAcceptDrops(True)
        self._lay_out()
        self._connect()
        self._take_library()
        self._count()
        self._show_busy(busy=False)

    # ------------------------------------------------------------------ layout

    def _lay_out(self) -> None:
        question = QWidget()
        lines = QVBoxLayout(question)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.addLayout(self._tool_bar())
        lines.addLayout(self._mark_line())
        lines.addWidget(self.marked)
        lines.addWidget(self.form)
        lines.addStretch(1)
        self.find.setToolTip(f"Search with what is marked (key {FIND_KEY} on the slide)")
        self.find.setMinimumHeight(34)
        font = self.find.font()
        font.setBold(True)
        self.find.setFont(font)
        self.progress.setRange(0, 0)
        self.progress.setTextVisible(False)
        self.progress.setMaximumHeight(6)
        ask = QHBoxLayout()
        ask.addWidget(self.find, 1)
        ask.addWidget(self.stop, 0)
        whole = QVBoxLayout(self)
        whole.addWidget(_scrolled(question), 1)
        whole.addLayout(ask)
        whole.addWidget(self.progress)

    def _tool_bar(self) -> QHBoxLayout:
        bar = QHBoxLayout()
        bar.setSpacing(2)
        for name, words, tip in _TOOLS:
            button = QPushButton()
            button.setText(words)
            button.setToolTip(tip)
            button.setCheckable(True)
            button.setChecked(name == "look")
            button.setProperty("tool", name)
            button.setMinimumWidth(30)
            self.tools.addButton(button)
            bar.addWidget(button, 1)
        return bar

    def _mark_line(self) -> QHBoxLayout:
        self.view.setText("Mark what is in view")
        self.view.setToolTip("Ask with everything that the canvas shows now (key V on the slide)")
        self.marked.setWordWrap(True)
        self.marked.setMinimumHeight(2 * self.fontMetrics().height() + 2)  # nothing jumps
        self.marked.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.clear.setText("Clear")
        self.clear.setToolTip("Remove all marks")
        line = QHBoxLayout()
        line.addWidget(self.view, 1)
        line.addWidget(self.clear)
        return line

    def _connect(self) -> None:
        finder, marks = self._finder, self._finder.marks
        self.tools.buttonClicked.connect(lambda button: marks.use(button.property("tool")))
        marks.tool_changed.connect(self._show_tool)
        marks.changed.connect(self._count)
        marks.menu_wanted.connect(self._menu)
        marks.find_wanted.connect(self.start)
        self.view.clicked.connect(self._ask_view)
        self.clear.clicked.connect(self._clear)
        self.find.clicked.connect(self.start)
        self.stop.clicked.connect(finder.cancel)
        self.form.changed.connect(self._take_form)
        finder.busy.connect(self._on_busy)
        finder.library_changed.connect(self._take_library)
        finder.session.slides_changed.connect(self._take_library)
        viewer = finder.session.viewer
        viewer.bind_key(FIND_KEY, lambda _: self.start(), overwrite=True)
        viewer.bind_key("V", lambda _: self._ask_view(), overwrite=True)
        viewer.bind_key("Escape", lambda _: marks.use("look"), overwrite=True)

    # ------------------------------------------------------------------ what happens

    def start(self) -> None:
        """Find similar tissue."""
        self._take_form()
        self._finder.find()

    def add_picture(self, path: str, mpp: float) -> None:
        """Ask with an image file, too; `mpp` is µm per pixel of it."""
        self._finder.pictures_of_files.append(Picture(path, mpp))
        self._count()

    def _take_form(self) -> None:
        settings = self.form.settings()
        self._finder.settings = settings
        library = self._finder.session.library
        if library is not None:
            spec = library.specs.get(settings.spec) or next(iter(library.specs.values()))
            self._finder.marks.patch_um = spec.size_px * spec.mpp

    def _take_library(self) -> None:
        session = self._finder.session
        if session.library is None:
            self.form.set_library({}, {})
        else:
            values: dict[str, set[str]] = {}
            for record in session.slides:
                own = {"scanner": record.scanner, **record.metadata}
                for column, value in own.items():
                    if value not in ("", None):
                        values.setdefault(column, set()).add(str(value))
            offered = {c: sorted(v)[:200] for c, v in sorted(values.items())}
            self.form.set_library(session.library.specs, offered)
        self._take_form()
        self.find.setEnabled(session.library is not None)

    def _ask_view(self) -> None:
        if not self._finder.marks.add_view():
            self._finder.session.say("Open a slide first: double click one in the list.")

    def _clear(self) -> None:
        self._finder.pictures_of_files.clear()
        self._finder.marks.clear()

    def _show_tool(self, tool: str) -> None:
        for button in self.tools.buttons():
            button.setChecked(button.property("tool") == tool)

    def _count(self) -> None:
        like, unlike = self._finder.marks.counts()
        pictures = len(self._finder.pictures_of_files)
        parts = [
            _many(like, "mark", "marks"),
            _many(pictures, "picture", "pictures"),
            _many(unlike, "counter-example", "counter-examples"),
        ]
        words = ", ".join(part for part in parts if part)
        hint = " Right click a mark: “Not like this”." if like or unlike else ""
        self.marked.setText(f"{words}.{hint}" if words else _EMPTY)
        self.clear.setEnabled(bool(words))

    def _on_busy(self, busy: bool) -> None:
        self._show_busy(busy=busy)

    def _show_busy(self, *, busy: bool) -> None:
        self.stop.setVisible(busy)
        self.find.setText("Searching …" if busy else "Find similar")
        # Takes its room always, so that nothing jumps
        self.progress.setRange(0, 0 if busy else 1)
        self.progress.setStyleSheet("" if busy else _UNSEEN)

    def _menu(self, layer: object, number: int, at: QPoint) -> None:
        """What can be done with a mark."""
        marks = self._finder.marks
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        counter = marks.is_counter(layer, number)
        words = "Like this" if counter else "Not like this"
        menu.addAction(words, lambda: marks.turn(layer, number))
        icon = self.style().standardIcon(QStyle.StandardPixmap.SP_TrashIcon)
        menu.addAction(icon, "Remove", lambda: marks.remove(layer, number))
        menu.addSeparator()
        menu.addAction("Find similar", self.start)
        menu.popup(at)

    # ------------------------------------------------------------------ dropped pictures

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Image files are welcome."""
        if any(is_picture(url.toLocalFile()) for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Ask how large a pixel is, and ask with the picture."""
        event.acceptProposedAction()
        for url in event.mimeData().urls():
            if is_picture(url.toLocalFile()):
                self.ask_resolution(url.toLocalFile())

    def ask_resolution(self, path: str) -> None:
        """A picture does not say its resolution: the user has to. Never blocks."""
        dialog = QInputDialog(self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle("Ask with a picture")
        dialog.setLabelText(
            f"{Path(path).name}: how many µm is one pixel?\n"
            "0.25 for a 40x objective, 0.5 for 20x, 1 for 10x"
        )
        dialog.setInputMode(QInputDialog.InputMode.DoubleInput)
        dialog.setDoubleDecimals(4)
        dialog.setDoubleRange(0.05, 10.0)
        dialog.setDoubleValue(0.5)
        dialog.doubleValueSelected.connect(lambda mpp: self.add_picture(path, mpp))
        dialog.open()


def _scrolled(inner: QWidget) -> QScrollArea:
    """Where there is little room the question scrolls; the button below it stays in sight."""
    scroll = QScrollArea()
    scroll.setWidget(inner)
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setMinimumHeight(80)
    return scroll


def is_picture(path: str) -> bool:
    """Whether a file is a picture to ask with, by its name; TIFF files are slides."""
    return path.lower().endswith(_PICTURES)


def _many(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}" if count else ""
