"""Pictures of the viewer in its states, on real slides: `make screenshots`.

    xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX" \
        python -m benchmarks.screenshots [--data DIR] [--out docs/images] [STATE...]

Slides are those of `--data` or PATHSEARCH_DATA; without them, made-up ones. The pictures are
compressed PNG.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE_S = 120


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
        self.until(lambda: time.monotonic() > end and not self.session.running)

    def open_library(self) -> None:
        """Open the library."""
        self.session.open_library(self.library)
        self.until(lambda: self.session.library is not None)

    def open_slide(self, wanted: str = "C3") -> str:
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

    def shoot(self, path: Path) -> None:
        """Write the window as a compressed PNG."""
        from PIL import Image

        self.settle()
        pixels = self.viewer.window.screenshot(canvas_only=False, flash=False)
        picture = Image.fromarray(pixels).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        picture.save(path, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def empty(_: Stage) -> None:
    """Nothing is open yet."""


def slides(stage: Stage) -> None:
    """A library's slides, one open at 10x."""
    stage.open_library()
    stage.look(stage.open_slide(), (0.45, 0.45), 10)


def names_hidden(stage: Stage) -> None:
    """The same, for a projector."""
    slides(stage)
    stage.session.hide_names = True


def error(stage: Stage) -> None:
    """A file that is no slide."""
    stage.open_library()
    stage.session.open_slide(stage.library / "library.json")
    stage.until(lambda: "cannot be opened" in stage.heard[-1])


#: State and the theme it is shown in; the viewer-side parts add theirs here.
STATES: dict[str, tuple[Callable[[Stage], None], str]] = {
    "viewer-empty": (empty, "dark"),
    "viewer-slides": (slides, "dark"),
    "viewer-slides-light": (slides, "light"),
    "viewer-names-hidden": (names_hidden, "dark"),
    "viewer-error": (error, "dark"),
}


def make_library(data: str, folder: Path) -> Path:
    """A library of the real slides, or of made-up ones."""
    from pathsearch.config import IndexSettings
    from pathsearch.encoders import DEFAULT, load_encoder
    from pathsearch.indexing import find_sources, index_slides
    from pathsearch.indexing.target import open_or_create
    from pathsearch.testing import make_slide

    if data and Path(data, "slides").is_dir():
        paths = sorted(Path(data, "slides").glob("*.*"))
        paths = [p for p in paths if p.suffix in {".svs", ".tiff"} and p.is_file()]
    else:
        paths = [folder / f"made-{number}.tiff" for number in (1, 2, 3)]
        for number, path in enumerate(paths):
            make_slide(path, size=(4096, 4096), seed=number)
    encoder, settings = load_encoder(DEFAULT), IndexSettings()
    place = folder / "archive.pathsearch"
    with open_or_create(place, settings, encoder, DEFAULT) as library:
        index_slides(library, find_sources(paths, library=library), encoder, settings)
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
            prepare, theme = STATES[name]
            stage = Stage(library, theme)
            prepare(stage)
            stage.shoot(words.out / f"{name}.png")
            stage.session.close()
            stage.viewer.close()


if __name__ == "__main__":
    main()
