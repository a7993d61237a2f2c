"""Pictures of the viewer in its states, on real slides: `make screenshots`.

    xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX" \
        python -m benchmarks.screenshots [--data DIR] [--out docs/images] [STATE...]

Slides are those of `--data` or PATHSEARCH_DATA; without them, made-up ones. The pictures are
JPEG, each below 400 kB.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE_S = 120
#: Of a picture in the documentation, bytes.
LARGEST = 390_000


class Stage:
    """A viewer with a library, and what the states need.

    Attributes
    ----------
    viewer : napari.Viewer
    panel : napari_pathsearch.panel.Panel
    session : napari_pathsearch.session.Session
    library : Path
    """

    def __init__(self, library: Path, theme: str = "dark") -> None:
        import napari
        from qtpy.QtWidgets import QApplication

        from napari_pathsearch.panel import show_panel

        self.viewer = napari.Viewer(show=True, title="pathsearch")
        self.viewer.theme = theme
        self.viewer.window.resize(1440, 900)
        self.app = QApplication.instance()
        self.panel = show_panel(self.viewer)
        self.panel.calm_window()  # as `pathsearch view` does
        self.session = self.panel.session
        self.library = library
        self.heard: list[str] = []
        self.session.said.connect(lambda message: self.heard.append(message.line))

    def until(self, condition: Callable[[], Any]) -> None:
        """Run the event loop until something holds."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"the viewer said: {self.heard[-3:]}")
            self.app.processEvents()
            time.sleep(0.002)

    def settle(self, seconds: float = 1.5) -> None:
        """Let tiles and thumbnails arrive."""
        end = time.monotonic() + seconds
        source = self.finder.source
        self.until(
            lambda: (
                time.monotonic() > end
                and not self.session.running
                and (source is None or not source.loader.pending)
            )
        )

    def open_library(self) -> None:
        """Open the library."""
        self.session.open_library(self.library)
        self.until(lambda: self.session.library is not None)

    def open_slide(self, wanted: str = "C2") -> str:
        """Open the slide whose name holds a word, else the first; its name."""
        names = [r.slide_id for r in self.session.slides if r.status == "indexed"]
        name = next((n for n in names if wanted in n), names[0])
        self.session.open_slide(name)
        self.until(lambda: self.session.active == name)
        return name

    def look(self, name: str, share: tuple[float, float], power: float) -> None:
        """Look at a place, given as a share of the slide's sides, at a magnification."""
        from napari_pathsearch.zoom import set_power

        width, height = self.session.opened[name].slide.size
        box = (width * share[0], height * share[1], 200.0, 200.0)
        self.session.go_to(name, box)
        set_power(self.viewer, power)

    @property
    def finder(self) -> Any:
        """What asks."""
        return self.panel.find.finder

    def find(self) -> None:
        """Press the button, wait for the matches and their pictures."""
        self._rounds(self.panel.find.find.click)

    def refine(self) -> None:
        """Ask again with the verdicts."""
        self._rounds(self.finder.refine)

    def ask(self, query: Any) -> None:
        """Ask a question that was not drawn."""
        self._rounds(lambda: self.finder.ask(query, "ask"))

    def _rounds(self, begin: Callable[[], Any]) -> None:
        shown: list[Any] = []
        self.finder.round_shown.connect(shown.append)
        begin()
        self.until(lambda: shown)
        self.finder.round_shown.disconnect(shown.append)
        self.settle(2.0)

    def shoot(self, path: Path, widget: Any = None) -> None:
        """Write the window, or another one, as a JPEG that a page can bear."""
        import numpy as np
        from PIL import Image
        from qtpy.QtGui import QImage

        self.settle()
        if widget is None:
            pixels = self.viewer.window.screenshot(canvas_only=False, flash=False)
        else:
            grabbed = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
            held = grabbed.constBits()
            if hasattr(held, "setsize"):  # PyQt's pointer knows no length
                held.setsize(grabbed.sizeInBytes())
            rows = np.frombuffer(held, np.uint8).reshape(grabbed.height(), grabbed.bytesPerLine())
            pixels = rows[:, : 3 * grabbed.width()].reshape(grabbed.height(), grabbed.width(), 3)
        picture = Image.fromarray(np.array(pixels)).convert("RGB")
        for quality in (92, 88, 84, 80, 75, 70):
            picture.save(path, quality=quality, subsampling=0, optimize=True)
            if path.stat().st_size < LARGEST:
                break
        print(f"{path}: {picture.width} x {picture.height}, {path.stat().st_size / 1000:.0f} kB")

    def close(self) -> None:
        """End it; what was opened beside it too."""
        self.session.close()
        self.viewer.close()
        for window in self.app.topLevelWidgets():
            window.close()
        for _ in range(3):
            self.app.processEvents()


def empty(_: Stage) -> None:
    """Nothing is open yet."""


def slides(stage: Stage) -> None:
    """A library's slides, one open at 10x."""
    stage.open_library()
    stage.look(stage.open_slide(), TUMOUR, 10)


def names_hidden(stage: Stage) -> None:
    """Matches for a projector: no names, no case numbers."""
    matches(stage)
    stage.session.hide_names = True


def error(stage: Stage) -> None:
    """A file that is no slide, and what exactly went wrong."""
    stage.open_library()
    stage.session.open_slide(stage.library / "library.json")
    stage.until(lambda: any("opens" in line for line in stage.heard))
    stage.panel.messages.unfold()


def gone(stage: Stage) -> None:
    """The slides are not on this machine: thumbnails, and matches cut from them."""
    from pathsearch.library import Library

    real, nowhere = Library.roots, str(stage.library / "elsewhere")
    Library.roots = lambda self: dict.fromkeys(real(self), nowhere)  # type: ignore[method-assign]
    try:
        stage.open_library()
        name = next(r.slide_id for r in stage.session.slides if "C2" in r.slide_id)
        import numpy as np

        from pathsearch.nouns import Query, Vector

        searcher = stage.session.searcher
        assert searcher is not None
        some = searcher.pool(next(iter(searcher.library.specs))).vectors(np.array([300]))[0]
        stage.panel.tabs.setCurrentWidget(stage.panel.find)
        stage.ask(Query(like=(Vector(tuple(some.tolist())),), k=40))
        stage.session.open_slide(name)
        stage.settle(2)
    finally:
        Library.roots = real  # type: ignore[method-assign]


def marked(stage: Stage) -> None:
    """Two regions and a counter-example, the settings unfolded."""
    slides(stage)
    stage.panel.tabs.setCurrentWidget(stage.panel.find)
    marks, name = stage.finder.marks, stage.session.active
    (width, height), (x, y) = stage.session.opened[name].slide.size, TUMOUR
    marks.add_box(name, (x * width - 160, y * height - 120, 400, 300))
    marks.add_point(name, x * width - 420, y * height + 60)
    marks.add_box(name, (x * width + 420, y * height - 60, 200, 240))
    marks.turn(marks.layer(name), 2)
    stage.panel.find.form.more.setChecked(True)


def matches(stage: Stage) -> None:
    """An answer beside its question."""
    slides(stage)
    stage.panel.tabs.setCurrentWidget(stage.panel.find)
    name = stage.session.active
    (width, height), (x, y) = stage.session.opened[name].slide.size, TUMOUR
    stage.finder.set_columns(["diagnosis", "organ"])
    stage.finder.marks.add_box(name, (x * width - 160, y * height - 120, 400, 300))
    stage.find()


def judged(stage: Stage) -> None:
    """Verdicts, a second round, a match looked at in its slide."""
    matches(stage)
    shown = stage.panel.find.matches.view.cards.shown()
    book = stage.finder.book
    book.judge([m.key for m in shown[:6]], "accept")
    book.judge([m.key for m in shown[9:12]], "reject")
    book.judge([shown[7].key], "unsure")
    book.note(shown[1].key, "cribriform")
    stage.refine()
    shown = stage.panel.find.matches.view.cards.shown()
    other = next(m for m in shown if m.key.slide_id != stage.session.active)
    stage.panel.find.matches.view.choose([other.key])
    stage.panel.find.matches.go_to(other)
    stage.until(lambda: stage.session.active == other.key.slide_id)
    book.judge([m.key for m in shown[:2]], "accept")


def grouped(stage: Stage) -> None:
    """Matches under the names of their slides."""
    matches(stage)
    bar = stage.panel.find.matches.bar
    bar.group.setCurrentIndex(bar.group.findData("slide"))


def similarity(stage: Stage) -> None:
    """How similar the whole slide is to the question."""
    matches(stage)
    dock = stage.panel.find.matches
    stage.session.viewer.fit_to_view(layers=[stage.session.layer_of(stage.session.active)])
    dock.map_bar.threshold.setValue(60)
    dock.map_bar.switch.setChecked(True)
    stage.until(lambda: dock.map_bar.found is not None)


def holding(stage: Stage) -> None:
    """Which slides hold this, the fullest first."""
    matches(stage)
    dock = stage.panel.find.matches
    dock.show_slides()
    stage.until(dock.slides.model.rowCount)


def collection(stage: Stage) -> None:
    """A teaching collection, gathered by one key."""
    matches(stage)
    shown = stage.panel.find.matches.view.cards.shown()
    finder = stage.finder
    finder.shelf.add([*shown[:3], shown[5], shown[8]], "Teaching: solid nests")
    stage.until(lambda: finder.shelf.collections)
    stage.panel.tabs.setCurrentWidget(stage.panel.collections)


def side_by_side(stage: Stage) -> Any:
    """Question and match, moving together."""
    matches(stage)
    dock = stage.panel.find.matches
    dock.view.choose([dock.view.cards.shown()[2].key])
    both = dock.open_side_by_side()
    stage.settle()
    return both


def review_mode(stage: Stage) -> Any:
    """One match after the other, with its surroundings."""
    matches(stage)
    dock = stage.panel.find.matches
    mode = dock.open_review_mode()
    stage.finder.book.judge([mode.match.key], "accept")
    mode.resize(1280, 800)
    stage.settle()
    return mode


def blinded(stage: Stage) -> Any:
    """The same, without scores and names, among random tissue."""
    matches(stage)
    dock = stage.panel.find.matches
    dock.open_blinded()
    stage.until(lambda: dock.review_mode is not None)
    dock.review_mode.resize(1280, 800)
    stage.settle()
    return dock.review_mode


def new_library(stage: Stage) -> Any:
    """What a folder holds, before it is indexed."""
    dialog = stage.panel.ask_new()
    folder = Path(os.environ.get("PATHSEARCH_DATA", "") or stage.library.parent)
    dialog.add_slides(folder / "slides" if (folder / "slides").is_dir() else folder)
    dialog.place.setText("/archive/breast.pathsearch")
    dialog.look.click()
    stage.until(lambda: "found" in dialog.answer.text() or "✕" in dialog.answer.text())
    return dialog


#: Where the breast section C2 holds solid tumour: shares of the slide's sides.
TUMOUR = (0.700, 0.566)

#: State, and the theme it is shown in.
STATES: dict[str, tuple[Callable[[Stage], Any], str]] = {
    "viewer-empty": (empty, "dark"),
    "viewer-empty-light": (empty, "light"),
    "viewer-slides": (slides, "dark"),
    "viewer-slides-light": (slides, "light"),
    "viewer-marked": (marked, "dark"),
    "viewer-marked-light": (marked, "light"),
    "viewer-matches": (matches, "dark"),
    "viewer-matches-light": (matches, "light"),
    "viewer-names-hidden": (names_hidden, "dark"),
    "viewer-judged": (judged, "dark"),
    "viewer-grouped": (grouped, "light"),
    "viewer-map": (similarity, "dark"),
    "viewer-slides-holding": (holding, "dark"),
    "viewer-collection": (collection, "light"),
    "viewer-side-by-side": (side_by_side, "dark"),
    "viewer-review": (review_mode, "dark"),
    "viewer-blinded": (blinded, "light"),
    "viewer-new-library": (new_library, "dark"),
    "viewer-gone": (gone, "dark"),
    "viewer-error": (error, "dark"),
}

#: What the real slides are, as a user's table of cases says it.
_CASES = """path,case_id,mpp,organ,diagnosis
her2st_C2.tiff,B-2021-C,,breast,invasive carcinoma
her2st_C3.tiff,B-2021-C,,breast,invasive carcinoma
her2st_C4.tiff,B-2021-C,,breast,invasive carcinoma
CMU-1-Small-Region.svs,CMU-1,,skin,unknown
tcga-cr-7395-01a-01-ts1.svs,TCGA-CR-7395,0.25,head and neck,squamous cell carcinoma
"""


def make_library(data: str, folder: Path) -> Path:
    """A library of the real slides, or of made-up ones."""
    from pathsearch.config import IndexSettings
    from pathsearch.encoders import DEFAULT, load_encoder
    from pathsearch.indexing import find_sources, index_slides
    from pathsearch.indexing.manifest import read_manifest
    from pathsearch.indexing.target import open_or_create
    from pathsearch.testing import make_slide

    rows = None
    if data and Path(data, "slides").is_dir():
        home = Path(data, "slides").absolute()
        table = folder / "cases.csv"
        lines = _CASES.splitlines()
        table.write_text("\n".join([lines[0], *(f"{home}/{line}" for line in lines[1:])]))
        rows = read_manifest(table)
        paths = sorted(p for p in home.iterdir() if p.name in _CASES)
    else:
        paths = [folder / f"made-{number}.tiff" for number in (1, 2, 3)]
        for number, path in enumerate(paths):
            make_slide(path, size=(4096, 4096), seed=number)
    encoder, settings = load_encoder(DEFAULT), IndexSettings()
    place = folder / "archive.pathsearch"
    with open_or_create(place, settings, encoder, DEFAULT) as library:
        sources = find_sources(paths, manifest=rows, library=library)
        index_slides(library, sources, encoder, settings)
    return place


def main() -> None:
    """Shoot the named states, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("states", nargs="*", metavar="STATE", help=", ".join(STATES))
    parser.add_argument("--data", default=os.environ.get("PATHSEARCH_DATA", ""))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--library", type=Path, help="One that is there already.")
    words = parser.parse_args()
    words.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="screenshots-") as folder:
        # Nobody's own settings are read or written
        os.environ["NAPARI_CONFIG"] = str(Path(folder, "napari.yaml"))
        os.environ["PATHSEARCH_CONFIG_DIR"] = folder
        library = words.library or make_library(words.data, Path(folder))
        for name in words.states or STATES:
            Path(folder, "viewer.json").unlink(missing_ok=True)  # each begins as a new user
            prepare, theme = STATES[name]
            # Each begins with nothing asked, judged or collected
            own = Path(folder, name, library.name)
            shutil.copytree(library, own, ignore=shutil.ignore_patterns("reviews"))
            stage = Stage(own, theme)
            stage.shoot(words.out / f"{name}.jpg", prepare(stage))
            stage.close()


if __name__ == "__main__":
    main()
