"""Collections, slides that hold a look, and what has come in since; in a real viewer."""

from __future__ import annotations

import shutil
import zipfile

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QInputDialog

from napari_pathsearch.collect.place_model import PlaceRole
from napari_pathsearch.gallery.slides_page import ShareRole
from pathsearch.nouns import Query, Region

QUERY = Query(like=(Region.rectangle("a.tiff", 900, 800, 400, 300),), k=8)


@pytest.fixture
def opened(panel, session, library, tmp_path, until):
    """The panel with a library of its own: what is kept in it ends with the test."""
    shutil.copytree(library, tmp_path / "own.pathsearch")
    session.open_library(tmp_path / "own.pathsearch")
    until(lambda: session.library is not None)
    until(lambda: not session.running)
    return panel


def ask(finder, until, query=QUERY):
    shown = []
    finder.round_shown.connect(shown.append)
    finder.ask(query, "ask")
    until(lambda: shown)
    finder.round_shown.disconnect(shown.append)
    return shown[0]


def name_it(panel, until, name):
    """Answer the dialog that asks for a collection's name."""

    def asking():
        return [d for d in panel.collections.findChildren(QInputDialog) if d.isVisible()]

    until(asking)
    (dialog,) = asking()
    dialog.setTextValue(name)
    dialog.accept()


def test_places_are_collected_by_a_key_put_in_order_and_taken_along(
    opened, session, qtbot, until, tmp_path
):
    finder, shelf, tab = opened.find.finder, opened.find.finder.shelf, opened.collections
    dock = opened.find.matches
    matches = ask(finder, until).matches
    dock.view.choose([m.key for m in matches[:2]])
    qtbot.keyClick(dock.view, Qt.Key.Key_C)
    name_it(opened, until, "Solid {nests}")
    until(lambda: shelf.collections)
    assert shelf.current == "Solid {nests}"
    until(lambda: "has 2 now" in session.heard[-1].line)
    # The key goes on with the same one; what is there already is not put in twice
    dock.view.choose([m.key for m in matches[1:3]])
    qtbot.keyClick(dock.view, Qt.Key.Key_C)
    until(lambda: len(shelf.get("Solid {nests}").places) == 3)
    # On a slide, what is marked is taken, else what is in view
    session.open_slide("b.tiff")
    until(lambda: session.active == "b.tiff")
    finder.marks.add_box("b.tiff", (100, 120, 300, 200))
    opened.collect()
    until(lambda: len(shelf.get("Solid {nests}").places) == 4)
    last = shelf.get("Solid {nests}").places[-1]
    assert (last.slide_id, last.case_id, last.metadata["organ"]) == ("b.tiff", "C-1001", "skin")
    assert (last.footprint.x, last.footprint.width) == (100, 300)
    finder.marks.clear()
    # Captions, order, and taking out
    opened.tabs.setCurrentWidget(tab)
    tab.view.setCurrentIndex(tab.model.index(3))
    qtbot.keyClick(tab.view, Qt.Key.Key_F2)
    name_it(opened, until, "Mitosis in C-1001")
    until(lambda: tab.model.heading(3) == "4  Mitosis in C-1001")
    for row in (2, 1, 0):
        qtbot.keyClick(tab.view, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
        until(lambda row=row: tab.model.heading(row).endswith("Mitosis in C-1001"))
    tab.view.setCurrentIndex(tab.model.index(3))
    qtbot.keyClick(tab.view, Qt.Key.Key_Delete)
    until(lambda: tab.model.rowCount() == 3)
    assert tab.model.places[0].place == last.place
    # A double click goes there
    tab.view.activated.emit(tab.model.index(1))
    box = tab.model.index(1).data(PlaceRole).footprint
    until(lambda: session.active == tab.model.places[1].slide_id)
    _, x, y, width, height = session.view_box()
    assert x <= box.x + box.width / 2 <= x + width
    assert y <= box.y + box.height / 2 <= y + height
    # Names are hidden in the list
    session.hide_names = True
    words = [tab.model.heading(n) + tab.model.second(p) for n, p in enumerate(tab.model.places)]
    assert not [w for w in words if ".tiff" in w or "C-10" in w]
    session.hide_names = False
    # Out of the viewer
    tab.export("quiz", str(tmp_path / "quiz.html"))
    until(lambda: (tmp_path / "quiz.html").exists() and not session.running)
    assert "Mitosis" in (tmp_path / "quiz.html").read_text()
    tab.export("pack", str(tmp_path / "pack.zip"))
    until(lambda: "pack.zip" in session.heard[-1].line and "3 places" in session.heard[-1].line)
    assert "index.html" in zipfile.ZipFile(tmp_path / "pack.zip").namelist()
    # It is there when the library is opened again
    session.close_library()
    until(lambda: session.library is None)
    assert not shelf.collections
    session.open_library(tmp_path / "own.pathsearch")
    until(lambda: shelf.collections)
    assert len(shelf.get(shelf.current).places) == 3


def test_slides_that_hold_this_are_ranked(opened, session, qtbot, until):
    from pathsearch.review.across import across_slides

    finder, dock = opened.find.finder, opened.find.matches
    ask(finder, until)
    dock.show_slides()
    table = dock.slides.table.model()
    until(lambda: table.rowCount() == 3)
    plain = across_slides(session.searcher, QUERY)
    shown = [table.index(row, 0).data(ShareRole) for row in range(3)]
    assert [s.slide_id for s in shown] == [s.slide_id for s in plain.shares]
    assert table.index(0, 2).data() == f"{100 * plain.shares[0].share:.1f} %"
    assert dock.slides.told.text() == plain.told
    assert "asked from" in next(
        table.index(row, 0).data() for row in range(3) if shown[row].slide_id == "a.tiff"
    )
    dock.slides.table.activated.emit(table.index(1, 0))
    until(lambda: session.active == shown[1].slide_id)
    dock.slides.cases.setChecked(True)
    assert table.rowCount() == 2
    session.hide_names = True
    words = [str(table.index(r, c).data()) for r in range(2) for c in range(5)]
    assert not [w for w in words if ".tiff" in w or "C-10" in w]
    session.hide_names = False
    dock.slides.cases.setChecked(False)
    dock.bar.holding.setChecked(False)
    assert dock.pages.currentWidget() is dock.view


def test_a_badge_says_what_came_in_since_and_shows_its_matches(
    opened, session, slides_dir, until, qtbot, tmp_path
):
    from pathsearch.config import IndexSettings
    from pathsearch.encoders import DEFAULT, load_encoder
    from pathsearch.indexing import find_sources, index_slides
    from pathsearch.library import Library
    from pathsearch.testing import make_slide

    finder, tabs = opened.find.finder, opened.tabs
    first = ask(finder, until)
    finder.book.judge([first.matches[0].key], "accept")
    finder.book.judge([first.matches[-1].key], "reject")
    finder.book.flush()
    assert not finder.news.found
    make_slide(tmp_path / "late.tiff", size=(1500, 1200), mpp=0.5, seed=9)
    with Library.open(tmp_path / "own.pathsearch") as library:
        sources = find_sources([tmp_path / "late.tiff"], library=library)
        encoder = load_encoder(DEFAULT, device="cpu")
        index_slides(library, sources, encoder, IndexSettings())
    with qtbot.waitSignal(finder.news.changed, timeout=60_000):
        session.look_for_changes()
    assert finder.news.found[0].slides == 1
    assert tabs.tabText(tabs.indexOf(opened.find)) == "Find (1 new)"
    line = opened.find.news
    assert "1 slide has come in since" in line.label.text()
    with qtbot.waitSignal(finder.round_shown, timeout=60_000) as shown:
        line.button.click()
    seen = shown.args[0]
    assert seen.kind == "new"
    assert {m.key.slide_id for m in seen.matches} == {"late.tiff"}
    assert seen.query.accepted == (first.matches[0].key,)
    assert "finds" in opened.find.matches.quiet.text()
    until(lambda: not finder.news.found)
    assert tabs.tabText(tabs.indexOf(opened.find)) == "Find"
    assert len(finder.book.rounds) == 2


def test_a_dropped_picture_is_asked_with(opened, session, slides_dir, tmp_path, until):
    from PIL import Image
    from test_gui_library import drop

    from pathsearch.slides import open_slide

    with open_slide(slides_dir / "a.tiff") as slide:
        pixels = slide.read(1000, 900, 300, 300, 0.5)
    Image.fromarray(pixels).save(tmp_path / "look.png")
    drop(opened, tmp_path / "look.png")
    assert opened.tabs.currentWidget() is opened.find
    until(lambda: opened.find.findChildren(QInputDialog))
    (dialog,) = opened.find.findChildren(QInputDialog)
    dialog.accept()
    assert "1 picture" in opened.find.marked.text()
    (picture,), _ = opened.find.finder.examples()
    assert picture.mpp == 0.5
    opened.find._clear()


def test_without_its_encoder_a_library_is_still_looked_at(panel, session, library, tmp_path, until):
    shutil.copytree(library, tmp_path / "own.pathsearch")
    shutil.rmtree(tmp_path / "own.pathsearch" / "encoder")
    session.open_library(tmp_path / "own.pathsearch")
    until(lambda: any("can be looked at, but not searched" in m.line for m in session.heard))
    session.open_slide("a.tiff")
    until(lambda: session.active == "a.tiff")
    finder = panel.find.finder
    heard = len(session.heard)
    finder.ask(QUERY, "ask")
    until(lambda: any(m.kind == "error" for m in session.heard[heard:]))
    assert "\n" not in session.heard[-1].line
    assert "Traceback" not in session.heard[-1].line
    assert not finder.is_busy


def test_nothing_is_decoded_encoded_or_searched_on_the_gui_thread(
    opened, session, until, monkeypatch, qtbot
):
    import threading

    from pathsearch.search import Searcher
    from pathsearch.slides.pyramid import PyramidSlide

    seen = {}

    def watch(owner, name):
        real = getattr(owner, name)

        def watched(*words, **more):
            seen.setdefault(name, set()).add(threading.current_thread())
            return real(*words, **more)

        monkeypatch.setattr(owner, name, watched)

    watch(PyramidSlide, "read")
    watch(Searcher, "search")
    watch(Searcher, "map")
    watch(Searcher, "by_slide")
    watch(type(session.searcher.encoder), "encode")
    finder, dock = opened.find.finder, opened.find.matches
    session.open_slide("a.tiff")
    until(lambda: session.active == "a.tiff")
    shown = ask(finder, until, Query(like=QUERY.like, k=200))
    assert len(shown.matches) > 50
    bar = dock.view.verticalScrollBar()
    for place in np.linspace(0, bar.maximum(), 6):
        with qtbot.waitSignal(finder.source.loader.ready, timeout=30_000, raising=False):
            bar.setValue(int(place))
    dock.go_to(shown.matches[-1])
    until(lambda: session.active == shown.matches[-1].key.slide_id)
    mode = dock.open_review_mode()
    qtbot.waitSignal(mode.big.painted_sharp, timeout=30_000).wait()
    mode.close()
    dock.map_bar.switch.setChecked(True)
    until(lambda: dock.map_bar.found is not None)
    dock.map_bar.switch.setChecked(False)
    dock.show_slides()
    until(dock.slides.model.rowCount)
    dock.bar.holding.setChecked(False)
    assert set(seen) == {"read", "search", "map", "by_slide", "encode"}
    gui = threading.main_thread()
    assert [name for name, threads in seen.items() if gui in threads] == []
