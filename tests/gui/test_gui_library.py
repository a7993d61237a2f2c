"""Libraries in a real viewer: listed, read-only, without slides, moved, indexed, closed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_pathsearch.slide_model import NAME, SECOND_LINE


@pytest.fixture
def copied(library, slides_dir, tmp_path):
    """A library and its slides that a test may move."""
    shutil.copytree(slides_dir, tmp_path / "slides")
    # Other tests search the same library: what they kept is theirs
    shutil.copytree(library, tmp_path / "copy.pathsearch", ignore=shutil.ignore_patterns("reviews"))
    return tmp_path / "copy.pathsearch"


def listed(panel, role=Qt.ItemDataRole.DisplayRole):
    model = panel.slides.model
    return [model.index(row).data(role) for row in range(model.rowCount())]


def drop(panel, path):
    """Drop a file as a file manager does."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(20, 20),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    panel.dropEvent(event)


def test_a_dropped_library_is_listed_searched_and_its_slides_open(
    panel, session, viewer, library, until, qtbot
):
    drop(panel, library)
    until(lambda: session.library is not None)
    assert listed(panel) == ["a.tiff", "b.tiff", "broken.svs", "sub/c.tiff"]
    assert "C-1001" in listed(panel, SECOND_LINE)[0]
    assert "could not be read" in listed(panel, SECOND_LINE)[2]
    first = panel.slides.model.index(0)
    until(lambda: first.data(Qt.ItemDataRole.DecorationRole) is not None)
    qtbot.keyClicks(panel.slides.search, "lung 1002")
    assert listed(panel) == ["sub/c.tiff"]
    panel.slides.search.setText("nothing of that kind")
    assert listed(panel) == []
    panel.slides.search.clear()
    view = panel.slides.view
    place = view.visualRect(panel.slides.model.index(3)).center()
    with qtbot.waitSignal(session.slide_opened, timeout=30_000):
        qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
        qtbot.mouseDClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert session.active == "sub/c.tiff"
    assert [layer.name for layer in viewer.layers] == ["sub/c.tiff"]


def test_names_are_hidden_everywhere_by_one_switch(panel, session, viewer, library, until):
    session.open_library(library)
    until(lambda: session.library is not None)
    session.open_slide("a.tiff")
    until(lambda: session.active)
    panel.slides.search.setText("C-1001")
    session.hide_names = True
    shown = [*listed(panel), *listed(panel, SECOND_LINE), *listed(panel, NAME)]
    shown += [*listed(panel, Qt.ItemDataRole.ToolTipRole), *(layer.name for layer in viewer.layers)]
    shown += [panel.slides.search.text(), viewer.status]
    hidden = [".tiff", "C-10", "lung", "skin", "broken"]
    assert [text for text in shown if any(word in str(text) for word in hidden)] == []
    assert len(set(listed(panel))) == 4
    session.hide_names = False
    assert "a.tiff" in listed(panel)


def test_zoom_keys_are_objectives(panel, session, viewer, library, until):
    session.open_library(library)
    until(lambda: session.library is not None)
    session.open_slide("a.tiff")
    until(lambda: session.active)
    from napari_pathsearch.zoom import POWERS, set_power

    for power in POWERS.values():
        set_power(viewer, power)
        assert 1 / viewer.scene.camera.zoom == pytest.approx(10 / power)
    bound = {str(binding) for binding in viewer.keymap}
    assert {f"Alt+{key}" for key in (*POWERS, "0", "H")} <= bound


def test_slides_that_are_gone_are_still_listed_and_found_again(
    panel, session, copied, until, monkeypatch, qtbot, slides_dir
):
    # Where the slides are is remembered in the user's own settings: here the test's
    monkeypatch.setenv("PATHSEARCH_CONFIG_DIR", str(copied.parent))
    # The library knows where its slides were when it was made: hide that place
    from pathsearch.library import Library

    roots = Library.roots
    monkeypatch.setattr(
        Library, "roots", lambda self: dict.fromkeys(roots(self), str(copied.parent / "gone"))
    )
    session.open_library(copied)
    until(lambda: session.library is not None)
    first = panel.slides.model.index(0)
    until(lambda: first.data(Qt.ItemDataRole.DecorationRole) is not None)
    session.heard.clear()
    session.open_slide("a.tiff")
    until(lambda: session.heard)
    assert "Locate slides" in session.heard[-1].line
    assert not session.opened
    (name,) = session.library.roots()
    panel.set_root(name, copied.parent / "slides")
    until(lambda: "from now on" in session.heard[-1].line)
    session.open_slide("a.tiff")
    until(lambda: session.active == "a.tiff")


def test_a_library_that_cannot_be_written_opens_and_reviews_are_kept_elsewhere(
    panel, session, copied, until, monkeypatch, tmp_path, qtbot
):
    monkeypatch.setenv("PATHSEARCH_USER_DATA_DIR", str(tmp_path / "mine"))
    # Root may write anywhere: what the file system says is put in its mouth
    import pathsearch.library.library as module

    monkeypatch.setattr(module, "is_writable", lambda *_: False)
    session.open_library(copied)
    until(lambda: session.library is not None)
    assert session.library.read_only
    assert "cannot be changed" in session.heard[-1].line
    assert not panel._add.isEnabled()
    session.open_slide("b.tiff")
    until(lambda: session.active == "b.tiff")
    from pathsearch.nouns import Query, Region
    from pathsearch.review import Collections, Reviews

    finder = panel.find.finder
    with qtbot.waitSignal(finder.round_shown, timeout=60_000) as shown:
        finder.ask(Query(like=(Region.rectangle("a.tiff", 900, 800, 400, 300),), k=4), "ask")
    first = shown.args[0].matches[0]
    finder.book.judge([first.key], "accept")
    finder.shelf.add([first], "Kept")
    finder.book.flush()
    finder.shelf.flush()
    assert not (copied / "reviews").exists()
    assert list((tmp_path / "mine").rglob("*.db"))
    with Reviews(session.library) as reviews, Collections(session.library) as collections:
        assert reviews.get().keys("accept") == (first.key,)
        assert len(collections.get("Kept").places) == 1


def test_a_new_library_is_made_paused_continued_and_searched_meanwhile(
    panel, session, slides_dir, tmp_path, until, qtbot
):
    # Enough of them that indexing is still at work when the first are seen
    slides_dir = Path(shutil.copytree(slides_dir, tmp_path / "many"))
    for number in range(20):
        shutil.copy(slides_dir / "a.tiff", slides_dir / f"z{number:02d}.tiff")
    dialog = panel.ask_new()
    assert not dialog.start.isEnabled()
    dialog.add_slides(slides_dir)
    assert dialog.place.text().endswith(slides_dir.name + ".pathsearch")
    dialog.place.setText(str(tmp_path / "made"))
    dialog.manifest.setText(str(slides_dir / "cases.csv"))
    order = dialog.order()
    assert order.library == tmp_path / "made.pathsearch"
    with qtbot.waitSignal(dialog.ordered):
        dialog.start.click()
    bar = panel.index_bar
    assert bar.running
    until(lambda: session.library is not None and session.slides, 120_000)
    with qtbot.waitSignal(bar.run.stopped, timeout=60_000):
        bar.button.click()
    assert bar.button.text() == "Go on"
    with qtbot.waitSignal(session.said, timeout=120_000):
        bar.button.click()
        until(lambda: not bar.running, 120_000)
    until(lambda: len(session.slides) == 24)
    assert "1 could not be read" in session.heard[-1].line
    assert session.record("sub/c.tiff").case_id == "C-1002"
    assert session.searcher.library.segments()


def test_what_is_wrong_with_an_order_is_said(panel, session, tmp_path, until):
    from napari_pathsearch.index_run import Order

    panel.index_bar.begin(Order((tmp_path / "none",), tmp_path / "l.pathsearch", 0.5), 0)
    until(lambda: any(message.kind == "error" for message in session.heard), 60_000)
    assert "no such file" in session.heard[-1].line
    assert not (tmp_path / "l.pathsearch").exists()


def test_closing_in_mid_read_waits_for_nobody(qapp, library, slides_dir, until, monkeypatch):
    import threading
    import warnings

    from napari_pathsearch.session import session_of
    from pathsearch.slides.pyramid import PyramidSlide

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import napari

        viewer = napari.Viewer(show=True)
    session = session_of(viewer)
    session.open_slide(slides_dir / "a.tiff")
    until(lambda: session.active)
    reading, go_on = threading.Event(), threading.Event()
    read = PyramidSlide.read

    def slow(self, *words):
        reading.set()
        go_on.wait(60)
        return read(self, *words)

    monkeypatch.setattr(PyramidSlide, "read", slow)
    session.go_to(slides_dir / "a.tiff", (900, 900, 100, 100))
    until(reading.is_set)
    session.close()
    viewer.close()
    assert not go_on.is_set()  # closed while the read still hangs
    go_on.set()
    assert session.running == 0
    assert os.environ["NAPARI_CONFIG"]


def test_a_file_without_resolution_asks_for_it(panel, session, until, tmp_path):
    from qtpy.QtWidgets import QInputDialog

    from pathsearch.testing import make_slide

    path = tmp_path / "silent.tiff"
    make_slide(path, size=(900, 700), mpp=0.5, stated_mpp=None)
    session.open_slide(path)
    until(lambda: panel.findChildren(QInputDialog))
    assert "enter it" in session.heard[-1].line
    (dialog,) = panel.findChildren(QInputDialog)
    dialog.setDoubleValue(0.4)
    dialog.accept()
    until(lambda: session.active == str(path))
    assert session.layer_of(str(path)).scale[0] == pytest.approx(0.4)


def test_napari_opens_slides_and_libraries_by_itself(
    session, viewer, library, slides_dir, until, tmp_path
):
    from napari_pathsearch.reader import get_reader

    other = tmp_path / "notes.tif"
    other.write_text("no slide")
    assert get_reader(str(other)) is None
    assert get_reader(str(slides_dir)) is None
    assert viewer.open(str(library), plugin="napari-pathsearch") == []
    until(lambda: session.library is not None)
    viewer.open(str(slides_dir / "a.tiff"), plugin="napari-pathsearch")
    until(lambda: session.active == "a.tiff")  # known by its id: it is a slide of the library


def test_the_demo_library_opens_where_it_was_made(panel, session, library, until, tmp_path):
    from napari_pathsearch.samples import open_demo

    shutil.copytree(library, tmp_path / "demo.pathsearch")
    open_demo(panel, tmp_path)
    until(lambda: session.library is not None)
    assert session.library.path == tmp_path / "demo.pathsearch"


def test_the_command_opens_a_library_at_a_slide(library, qapp, until, monkeypatch):
    import warnings

    from qtpy.QtWidgets import QDockWidget

    from napari_pathsearch.panel import Panel
    from napari_pathsearch.session import session_of
    from pathsearch.cli import main

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import napari

        monkeypatch.setattr(napari, "run", lambda: None)
        with pytest.raises(SystemExit) as ended:
            main(["view", str(library), "--slide", "b.tiff"])
    assert ended.value.code == 0
    viewer = napari.current_viewer()
    session = session_of(viewer)
    until(lambda: session.active == "b.tiff")
    (panel,) = [w for w in qapp.allWidgets() if isinstance(w, Panel) and w.session is session]
    controls = panel.window().findChildren(QDockWidget, "layer controls")
    assert [dock.isVisible() for dock in controls] == [False]
    session.close()
    viewer.close()
    for _ in range(3):
        qapp.processEvents()
