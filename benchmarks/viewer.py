"""The viewer's stalls: how long the window does not answer, beside a layer held in memory.

    xvfb-run -a -s "-screen 0 1600x1000x24 +extension GLX" \
        python -m benchmarks.viewer [--patches 1000000] [--seconds 8] [--library LIB] [--big LIB]

A heartbeat asks for its turn in the event loop every millisecond; the gap between two turns is a
stall. Each gesture pans by 40 screen pixels 60 times a second. "in memory" is the same gesture
over a napari image of NumPy arrays with the same levels, in the same window: what is left of
the difference is ours. The gallery of 500 matches is scrolled by 30 pixels at a time, beside a
plain Qt list with 500 pictures of that size, held in memory, in the same place. Without a GPU
(Xvfb draws in software) the gaps are mostly drawing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import numpy as np
from benchmarks.big_slide import write_repeated_tile
from benchmarks.screenshots import Stage
from benchmarks.screenshots import make_library as small_library

SIDE, MPP = 100_000, 0.25
#: Of the layer in memory: the pan stays inside it.
MEMORY_SIDE = 12_288
STEP_PX, STEP_MS = 40, 16
GALLERY, SCROLL_PX = 500, 30


class Heartbeat:
    """Gaps between turns in the event loop, seconds."""

    def __init__(self) -> None:
        from qtpy.QtCore import QTimer

        self.gaps: list[float] = []
        self._last = 0.0
        self._timer = QTimer()
        self._timer.setInterval(1)
        self._timer.timeout.connect(self._beat)

    def __enter__(self) -> Self:
        self._last = time.perf_counter()
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.stop()

    def _beat(self) -> None:
        now = time.perf_counter()
        self.gaps.append(now - self._last)
        self._last = now

    def row(self, name: str) -> str:
        """Median, 99th percentile and longest of the gaps beyond 5 ms (the rest is idling)."""
        gaps = 1000 * np.array([gap for gap in self.gaps if gap > 0.005] or [0.0])
        p50, p99 = np.percentile(gaps, (50, 99))
        return f"{name:<44}{len(gaps):>7}{p50:>9.0f}{p99:>9.0f}{gaps.max():>9.0f}"


def spin(seconds: float) -> None:
    """Run Qt's own event loop, as an application does."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()


def pan(stage: Stage, centre: tuple[float, float], seconds: float) -> Heartbeat:
    """Pan there and back around a centre (world, µm), at 20x."""
    from qtpy.QtCore import QTimer

    camera = stage.viewer.scene.camera
    camera.center, camera.zoom = centre, 2.0
    spin(1.0)
    step = STEP_PX / camera.zoom
    moves = 0

    def move() -> None:
        nonlocal moves
        moves += 1
        # A square spiral's side: new tissue all the time, within 1,000 µm of the centre
        turn, phase = divmod(moves, 50)
        sign = 1 if turn % 2 == 0 else -1
        row, column = camera.center[-2:]
        camera.center = (row + step * 0.2, column + sign * step) if phase else (row, column)

    timer = QTimer()
    timer.setInterval(STEP_MS)
    timer.timeout.connect(move)
    with Heartbeat() as heartbeat:
        timer.start()
        spin(seconds)
        timer.stop()
    return heartbeat


def memory_layer(stage: Stage) -> Any:
    """A pyramid of NumPy arrays, levels a factor of two apart, as ours are shown."""
    rng = np.random.default_rng(0)
    tile = rng.integers(120, 230, (512, 512, 3), dtype=np.uint8)
    levels = [np.tile(tile, (MEMORY_SIDE // 512, MEMORY_SIDE // 512, 1))]
    while levels[-1].shape[0] > 2000:
        levels.append(np.ascontiguousarray(levels[-1][::2, ::2]))
    return stage.viewer.add_image(
        levels,
        rgb=True,
        multiscale=True,
        scale=(MPP, MPP),
        units=("um", "um"),
        interpolation2d="linear",
    )


def drawn_library(path: Path, patches: int) -> Path:
    """A library of drawn vectors with its index, made if it is not there."""
    from benchmarks.search import _mixture, make_library

    from pathsearch.search import rebuild_index

    if not path.exists():
        made: Any = make_library(path, _mixture("")[0], patches)
        with made, made.writer() as writer:
            rebuild_index(made, writer, next(iter(made.specs)))
    return path


def search_row(stage: Stage, big: Path, seconds: float) -> str:
    """Stalls while a library of drawn vectors is searched without a pause."""
    from benchmarks.search import FixedEncoder, _mixture

    from pathsearch.library import Library
    from pathsearch.nouns import Query, Vector
    from pathsearch.search import Searcher

    mixture, _ = _mixture("")
    with Library.open(big) as library:
        patches = sum(s.rows for s in library.segments())
        encoder: Any = FixedEncoder(library)
        searcher = Searcher(library, encoder)
        queries = [Vector(tuple(q.tolist())) for q in mixture.draw(200, seed=7)]
        searcher.search(Query((queries[0],)))  # opened once, as the viewer does
        asked = 0
        going = True

        def ask(_: object) -> None:
            nonlocal asked
            searcher.search(Query((queries[asked % len(queries)],), k=20))
            asked += 1

        def again(_: object = None) -> None:
            if going:
                stage.session.run(ask, lane="search", done=again)

        again()
        heartbeat = pan(stage, (MEMORY_SIDE * MPP / 2,) * 2, seconds)
        going = False
        stage.until(lambda: not stage.session.running)
        rate = asked / seconds
    return heartbeat.row(f"in memory, searching {patches:,} ({rate:.0f}/s)")


def scroll(view: Any, seconds: float) -> Heartbeat:
    """Scroll a list down and up again."""
    from qtpy.QtCore import QTimer

    bar, step = view.verticalScrollBar(), SCROLL_PX
    bar.setValue(0)
    spin(1.0)

    def move() -> None:
        nonlocal step
        if not 0 <= bar.value() + step <= bar.maximum():
            step = -step
        bar.setValue(bar.value() + step)

    timer = QTimer()
    timer.setInterval(STEP_MS)
    timer.timeout.connect(move)
    with Heartbeat() as heartbeat:
        timer.start()
        spin(seconds)
        timer.stop()
    return heartbeat


def plain_list(cards: Any) -> Any:
    """Qt's own list of as many pictures of the same size, all in memory."""
    from qtpy.QtCore import QSize
    from qtpy.QtGui import QIcon, QImage, QPixmap, QStandardItem, QStandardItemModel
    from qtpy.QtWidgets import QListView

    rng, side = np.random.default_rng(0), cards.delegate.side
    view, model = QListView(), QStandardItemModel()
    for number in range(GALLERY):
        pixels = rng.integers(0, 255, (side, side, 4), dtype=np.uint8)
        image = QImage(pixels.data, side, side, QImage.Format.Format_RGB32).copy()
        model.appendRow(QStandardItem(QIcon(QPixmap.fromImage(image)), f"{number}"))
    view.setModel(model)
    view.setViewMode(QListView.ViewMode.IconMode)
    view.setIconSize(QSize(side, side))
    view.setGridSize(cards.delegate.card_size(cards.fontMetrics()))
    view.setResizeMode(QListView.ResizeMode.Adjust)
    view.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
    return view, model


def gallery_rows(stage: Stage, seconds: float) -> list[str]:
    """Stalls while a gallery is scrolled: pictures being read, pictures read, and Qt's own."""
    from pathsearch.nouns import Query, Region

    slide = next(r for r in stage.session.slides if r.status == "indexed")
    box = Region.rectangle(slide.slide_id, slide.width / 2, slide.height / 2, 400, 400)
    stage.ask(Query(like=(box,), k=GALLERY))
    dock = stage.panel.find.matches
    found = len(dock.view.cards.matches)
    stage.finder.source.loader.forget()
    rows = [scroll(dock.view, seconds).row(f"gallery of {found}, pictures being read")]
    rows.append(scroll(dock.view, seconds).row(f"gallery of {found}, again"))
    view, model = plain_list(dock.view)
    dock.pages.addWidget(view)
    dock.pages.setCurrentWidget(view)
    rows.append(scroll(view, seconds).row(f"Qt's own list of {model.rowCount()}, in memory"))
    dock.pages.setCurrentWidget(dock.view)
    view.deleteLater()
    return rows


def mouse_to_gallery(stage: Stage) -> str:
    """Seconds from the mouse-up on "Find similar" to the cards, and to all their pictures."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    name = stage.open_slide("")
    stage.finder.marks.clear()
    stage.panel.tabs.setCurrentWidget(stage.panel.find)
    width, height = stage.session.opened[name].slide.size
    took = []
    for share in (0.45, 0.5, 0.55, 0.6, 0.65):
        stage.finder.marks.clear()
        stage.finder.marks.add_box(name, (width * share, height * 0.5, 400, 300))
        stage.finder.source.loader.forget()
        stage.settle(0.3)
        shown: list[float] = []
        stage.finder.round_shown.connect(lambda _, at=shown: at.append(time.perf_counter()))
        button = stage.panel.find.find
        QTest.mousePress(button, Qt.MouseButton.LeftButton)
        began = time.perf_counter()
        QTest.mouseRelease(button, Qt.MouseButton.LeftButton)
        stage.until(lambda at=shown: at)
        stage.app.processEvents()
        stage.until(lambda: not stage.finder.source.loader.pending)
        took.append((shown[0] - began, time.perf_counter() - began))
    cards, pictures = np.median(took, axis=0)
    return (
        f"mouse-up to cards {cards:.2f} s, to all pictures in view {pictures:.2f} s (median of 5)"
    )


def clicks(stage: Stage) -> str:
    """How long the window is busy with a click on a match in a slide that is open."""
    dock = stage.panel.find.matches
    here = [m for m in dock.view.cards.matches if m.key.slide_id in stage.session.opened][:20]
    took = []
    for match in here:
        began = time.perf_counter()
        dock.go_to(match)
        took.append(1000 * (time.perf_counter() - began))
        spin(0.15)
    return f"click on a match there: {np.median(took):.0f} ms, longest {max(took):.0f} ms"


def first_picture(stage: Stage, library: Path) -> str:
    """Seconds from opening a library to its list, and to a slide's first picture."""
    began = time.perf_counter()
    stage.library = library
    stage.open_library()
    listed = time.perf_counter() - began
    name = stage.open_slide("")
    layer = stage.session.layer_of(name)
    stage.until(lambda: layer.loaded)
    shown = time.perf_counter() - began
    return f"library listed {listed:.2f} s, first picture {shown:.2f} s"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=8.0, help="Of each gesture.")
    parser.add_argument("--library", type=Path, help="To open; by default a small one is made.")
    parser.add_argument("--big", type=Path, help="Of drawn vectors; made where it is not there.")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-viewer-") as name:
        folder = Path(name)
        os.environ["NAPARI_CONFIG"] = str(folder / "napari.yaml")
        os.environ["PATHSEARCH_CONFIG_DIR"] = name
        own = folder / "own.pathsearch"
        if words.library is None:
            small_library("", folder).rename(own)
        else:  # what is searched here is not kept in it
            shutil.copytree(words.library, own, ignore=shutil.ignore_patterns("reviews"))
        big = drawn_library(words.big or folder / "big.pathsearch", words.patches)
        _measure(folder, words.seconds, own, big)


def _measure(folder: Path, seconds: float, library: Path, big: Path) -> None:
    slide = write_repeated_tile(folder / "big.tiff", SIDE, mpp=MPP, downsamples=(1, 4, 16, 64))
    stage = Stage(library)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; ms")
    print(f"{'gesture':<44}{'gaps':>7}{'p50':>9}{'p99':>9}{'longest':>9}")
    layer = memory_layer(stage)
    middle = (MEMORY_SIDE * MPP / 2,) * 2
    print(pan(stage, middle, seconds).row("in memory, panning"), flush=True)
    layer.visible = False
    began = time.perf_counter()
    stage.session.open_slide(slide)
    stage.until(lambda: stage.session.active)
    opened = time.perf_counter() - began
    print(pan(stage, (SIDE * MPP / 2,) * 2, seconds).row(f"slide of {SIDE:,} x {SIDE:,}, panning"))
    stage.viewer.layers.remove(stage.session.layer_of(str(slide)))
    layer.visible = True
    print(pan(stage, middle, seconds).row("in memory, panning, again"), flush=True)
    print(search_row(stage, big, seconds), flush=True)
    stage.viewer.layers.clear()
    print(f"{SIDE:,} x {SIDE:,} slide open after {opened:.2f} s")
    print(first_picture(stage, stage.library))
    for row in gallery_rows(stage, seconds):
        print(row, flush=True)
    print(mouse_to_gallery(stage))
    print(clicks(stage))
    stage.close()


if __name__ == "__main__":
    main()
