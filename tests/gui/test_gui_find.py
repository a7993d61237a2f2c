"""Mark, search, see, judge, refine, take along, in a real viewer."""

from __future__ import annotations

import csv
import json
import shutil
import threading

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication

from napari_pathsearch import match_layers
from napari_pathsearch.ask.marks import MARKS
from napari_pathsearch.gallery.model import VerdictRole
from pathsearch.nouns import Picture, Point, Region

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def asking(panel, session, library, until):
    """The tab to ask in, with the library open and slide a shown."""
    panel.tabs.setCurrentWidget(panel.find)
    session.open_library(library)
    until(lambda: session.library is not None)
    session.open_slide("a.tiff")
    until(lambda: session.active == "a.tiff")
    yield panel.find
    panel.find._clear()


def on_canvas(session, x, y):
    """Where a level-0 place of the active slide is on the canvas, logical pixels."""
    viewer = session.viewer
    row, column = session.frame(session.layer_of(session.active)).to_world([(x, y)])[0]
    height, width = viewer.canvas.size
    middle = viewer.scene.camera.center[-2:]
    zoom = viewer.scene.camera.zoom
    return QPoint(
        round((column - middle[1]) * zoom + width / 2), round((row - middle[0]) * zoom + height / 2)
    )


def canvas_of(session):
    return session.viewer.window._qt_viewer.canvas.native


def drag(qtbot, canvas, places):
    qtbot.mouseMove(canvas, places[0])
    qtbot.mousePress(canvas, LEFT, pos=places[0])
    for place in places[1:]:
        qtbot.mouseMove(canvas, place)
        QApplication.processEvents()
    qtbot.mouseRelease(canvas, LEFT, pos=places[-1])


def said(session, word):
    """How many times the user was told so."""
    return sum(message.line.startswith(word) for message in session.heard)


def exports_of(session):
    """What the library's log says has left, oldest first."""
    from pathsearch.review import Reviews

    with Reviews(session.library) as reviews:
        return sorted(reviews.exports(), key=lambda export: export.at)[-3:]


def search(find, until):
    shown = []
    find.finder.round_shown.connect(shown.append)
    find.find.click()
    until(lambda: shown)
    find.finder.round_shown.disconnect(shown.append)
    return shown[0]


def test_drawing_with_the_mouse_makes_the_question(asking, session, qtbot, until):
    find, canvas = asking, canvas_of(session)
    tools = {b.property("tool"): b for b in find.tools.buttons()}
    tools["rectangle"].click()
    drag(qtbot, canvas, [on_canvas(session, *xy) for xy in [(900, 800), (1100, 900), (1300, 1100)]])
    until(lambda: find.finder.marks.counts() == (1, 0))
    (region,), _ = find.finder.marks.examples()
    assert isinstance(region, Region)
    assert region.slide == "a.tiff"
    corners = np.array(region.polygons[0][0])
    pixel = 1 / session.viewer.scene.camera.zoom / 0.5
    assert np.abs(corners.min(axis=0) - (900, 800)).max() < 3 * pixel
    assert np.abs(corners.max(axis=0) - (1300, 1100)).max() < 3 * pixel
    # Its outline keeps its width on the screen
    marked, camera = find.finder.marks.layer("a.tiff"), session.viewer.scene.camera
    zoom = camera.zoom
    camera.zoom = zoom * 4
    until(lambda: marked.edge_width[0] == pytest.approx(max(3 / (zoom * 4 * 0.5), 1), rel=0.05))
    camera.zoom = zoom
    until(lambda: marked.edge_width[0] == pytest.approx(max(3 / (zoom * 0.5), 1), rel=0.05))
    # A click is a point
    place = on_canvas(session, 2000, 1500)
    qtbot.mouseMove(canvas, place)
    qtbot.mouseClick(canvas, LEFT, pos=place)
    until(lambda: find.finder.marks.counts() == (2, 0))
    point = find.finder.marks.examples()[0][1]
    assert isinstance(point, Point)
    assert abs(point.x - 2000) < 3 * pixel
    # The lasso
    tools["lasso"].click()
    ring = [(1500, 400), (1700, 400), (1800, 500), (1800, 700), (1600, 760), (1480, 600)]
    drag(qtbot, canvas, [on_canvas(session, *xy) for xy in ring])
    until(lambda: find.finder.marks.counts() == (3, 0))
    assert len(find.finder.marks.examples()[0][2].polygons[0][0]) >= 4
    # A polygon: corners by clicks, a double click ends it
    tools["polygon"].click()
    for xy in [(300, 1500), (700, 1500), (700, 1900), (320, 1880)]:
        place = on_canvas(session, *xy)
        qtbot.mouseMove(canvas, place)
        qtbot.mouseClick(canvas, LEFT, pos=place)
    qtbot.mouseDClick(canvas, LEFT, pos=place)
    until(lambda: find.finder.marks.counts() == (4, 0))
    corners = np.array(find.finder.marks.examples()[0][3].polygons[0][0])
    assert len(corners) == 4
    assert np.abs(corners.min(axis=0) - (300, 1500)).max() < 3 * pixel
    # A right click offers: not like this
    tools["look"].click()
    layer = find.finder.marks.layer("a.tiff")
    with qtbot.waitSignal(find.finder.marks.menu_wanted, timeout=10_000) as asked:
        qtbot.mouseMove(canvas, on_canvas(session, 1100, 950))
        qtbot.mouseClick(canvas, Qt.MouseButton.RightButton, pos=on_canvas(session, 1100, 950))
    assert asked.args[:2] == [layer, 0]
    menu = QApplication.activePopupWidget()
    menu.actions()[0].trigger()
    menu.close()
    assert find.finder.marks.counts() == (3, 1)
    assert "1 counter-example" in find.marked.text()
    find.clear.click()
    assert find.finder.marks.counts() == (0, 0)
    assert not [x for x in session.viewer.layers if MARKS in x.metadata]


def test_what_is_in_view_is_asked_with_by_keys_alone(asking, session, qtbot, until):
    find, canvas = asking, canvas_of(session)
    session.go_to("a.tiff", (1000, 800, 200, 200), context=2)
    until(lambda: session.view_box()[3] < 500)
    canvas.setFocus()
    qtbot.keyClick(canvas, Qt.Key.Key_V)
    ((region,), _) = find.finder.marks.examples()
    _, x, y, width, height = session.view_box()
    corners = np.array(region.polygons[0][0])
    assert np.allclose(corners.min(axis=0), (x, y), atol=1)
    assert np.allclose(corners.max(axis=0), (x + width, y + height), atol=1)
    with qtbot.waitSignal(find.finder.round_shown, timeout=60_000) as shown:
        qtbot.keyClick(canvas, Qt.Key.Key_F)
    matches = shown.args[0].matches
    assert matches
    # Escape puts the tool away, also while a polygon is begun
    next(b for b in find.tools.buttons() if b.property("tool") == "polygon").click()
    for xy in [(1010, 810), (1100, 820), (1100, 900)]:
        qtbot.mouseMove(canvas, on_canvas(session, *xy))
        qtbot.mouseClick(canvas, LEFT, pos=on_canvas(session, *xy))
    qtbot.keyClick(canvas, Qt.Key.Key_Escape)
    assert find.finder.marks.tool == "look"
    assert find.finder.marks.layer("a.tiff").mode == "pan_zoom"
    # Going from match to match keeps the magnification
    dock, camera = find.matches, session.viewer.scene.camera
    other = next(m for m in matches if m.key.slide_id == "a.tiff")
    camera.zoom = 1.3
    dock.go_to(other)  # its slide is open: at once
    assert camera.zoom == pytest.approx(1.3)
    box = other.footprint
    _, x, y, width, height = session.view_box()
    assert (x + width / 2, y + height / 2) == pytest.approx(
        (box.x + box.width / 2, box.y + box.height / 2), abs=2
    )
    # Its outline stands out, and only its
    here = [m for m in matches if m.key.slide_id == "a.tiff"]
    (outlines,) = [x for x in session.viewer.layers if match_layers.MATCHES in x.metadata]
    for chosen in (other, here[-1], here[1]):
        dock.go_to(chosen)
        assert [x for x in session.viewer.layers if match_layers.MATCHES in x.metadata] == [
            outlines
        ]
        thick = [n for n, width in enumerate(outlines.border_width) if width > 0.04]
        assert thick == [here.index(chosen)]
        centre = session.frame(outlines).from_rows_columns(outlines.data[thick])[0]
        box = chosen.footprint
        assert tuple(centre) == (box.x + box.width / 2, box.y + box.height / 2)
        bright = np.isclose(outlines.border_color, (0, 0.9, 1, 1), atol=0.01).all(axis=1)
        assert bright.sum() == 1
    camera.zoom = 0.01  # nothing to be seen: then it comes closer
    dock.go_to(other)
    assert camera.zoom > 0.3


def test_search_click_judge_refine_export_and_find_the_review_again(
    asking, session, library, qtbot, until, tmp_path
):
    find, finder = asking, asking.finder
    finder.marks.add_box("a.tiff", (900, 800, 400, 300))
    first = search(find, until)
    dock = find.matches
    assert len(first.matches) > 10
    until(dock.isVisible)
    assert "finds" in dock.quiet.text()
    assert dock.summary.text().startswith(f"{len(first.matches)} matches in ")
    # A click goes there
    other = next(m for m in first.matches if m.key.slide_id != "a.tiff")
    where = dock.view.cards.index_of(other.key)
    dock.view.scrollTo(where)
    qtbot.mouseClick(dock.view.viewport(), LEFT, pos=dock.view.visualRect(where).center())
    until(lambda: session.active == other.key.slide_id)
    box = other.footprint
    until(lambda: session.view_box() is not None)
    _, x, y, width, height = session.view_box()
    assert x <= box.x + box.width / 2 <= x + width
    assert y <= box.y + box.height / 2 <= y + height
    outlines = [x for x in session.viewer.layers if match_layers.MATCHES in x.metadata]
    assert {x.metadata[match_layers.MATCHES] for x in outlines} == {"a.tiff", other.key.slide_id}
    # Verdicts by key
    keys = [m.key for m in first.matches]
    dock.view.choose([keys[0]])
    for key in (Qt.Key.Key_A, Qt.Key.Key_A, Qt.Key.Key_R, Qt.Key.Key_U):
        qtbot.keyClick(dock.view, key)
    assert finder.book.decisions() == dict(
        zip(keys, ["accept", "accept", "reject", "unsure"], strict=False)
    )
    qtbot.keyClick(dock.view, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert keys[3] not in finder.book.decisions()
    assert dock.view.cards.index_of(keys[2]).data(VerdictRole) == "reject"
    finder.book.note(keys[0], "typical")
    # Another round
    shown = []
    finder.round_shown.connect(shown.append)
    dock.bar.refine.click()
    until(lambda: shown)
    finder.round_shown.disconnect(shown.append)
    second = shown[0]
    assert second.query.accepted == tuple(keys[:2])
    assert not {m.key for m in second.matches} & set(keys[:3])
    assert dock.bar.rounds.count() == 2
    assert "were not in round 1" in dock.summary.text()
    dock.bar.rounds.activated.emit(0)
    assert finder.seen.number == 1
    assert dock.view.cards.matches == first.matches
    # Out of the viewer
    dock.view.clearSelection()
    dock.export("csv", str(tmp_path / "m.csv"))
    until(lambda: said(session, "Wrote") == 1)
    with (tmp_path / "m.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [int(row["rank"]) for row in table] == [m.rank for m in first.matches]
    assert [row["decision"] for row in table[:4]] == ["accept", "accept", "reject", ""]
    dock.view.choose(keys[:2])
    session.hide_names = True
    dock.export("geojson", str(tmp_path / "annotations"))
    until(lambda: said(session, "Wrote") == 2)
    session.hide_names = False
    files = list((tmp_path / "annotations").iterdir())
    drawn = [f for file in files for f in json.loads(file.read_text())["features"]]
    assert len(drawn) == 2
    assert not [f for f in files if "a.tiff" in f.name or "a.tiff" in f.read_text()]
    dock.export("session html", str(tmp_path / "page.html"))
    until(lambda: said(session, "Wrote") == 3, 120_000)
    assert [e.what for e in exports_of(session)] == ["csv", "geojson", "html"]
    assert "typical" in (tmp_path / "page.html").read_text()
    dock.copy_coordinates()
    assert QApplication.clipboard().text().splitlines()[0].startswith(keys[0].slide_id + "#")
    # Closed and opened again: the review is there
    finder.book.flush()
    review = finder.book.review
    session.close_library()
    until(lambda: session.library is None)
    session.open_library(library)
    until(lambda: session.library is not None)
    with qtbot.waitSignal(finder.reviews_listed, timeout=30_000) as listed:
        finder.list_reviews()
    assert review in [one.review for one in listed.args[0]]
    with qtbot.waitSignal(finder.round_shown, timeout=30_000):
        finder.open_review(review)
    assert "finds" in dock.quiet.text()
    assert [len(r.matches) for r in finder.book.rounds] == [
        len(first.matches), len(second.matches)
    ]  # fmt: skip
    assert finder.book.keys("accept") == tuple(keys[:2])
    assert finder.book.keys("reject") == (keys[2],)
    assert finder.book.notes() == {keys[0]: "typical"}


def test_a_cancelled_search_leaves_what_was_shown(asking, session, qtbot, until, monkeypatch):
    find, finder = asking, asking.finder
    finder.marks.add_box("a.tiff", (900, 800, 400, 300))
    began, go_on = threading.Event(), threading.Event()
    real = session.searcher.search

    def slow(query):
        began.set()
        assert threading.current_thread() is not threading.main_thread()
        assert go_on.wait(30)
        return real(query)

    monkeypatch.setattr(session.searcher, "search", slow)
    find.find.click()
    until(began.is_set)
    assert find.stop.isVisible()
    with qtbot.waitSignal(finder.busy, timeout=10_000) as ended:
        find.stop.click()
    assert ended.args == [False]
    go_on.set()
    until(lambda: not session.running)
    assert finder.seen is None
    # The next search works
    monkeypatch.undo()
    assert search(find, until).matches


def test_what_cannot_be_asked_is_said_in_a_line(asking, session, until):
    asking.find.click()
    assert session.heard[-1].line.startswith("Nothing is marked yet")
    asking.finder.marks.add_box("a.tiff", (900, 800, 400, 300))
    asking.form.place.setCurrentIndex(asking.form.place.findData("filter"))
    asking.form.filter.setText("nocolumn = 3")
    asking.find.click()
    until(lambda: "nocolumn" in session.heard[-1].line)
    asking.form.place.setCurrentIndex(0)
    asking.form.filter.clear()


def test_a_picture_and_a_slide_outside_the_library_are_asked_with(
    asking, session, slides_dir, tmp_path, until
):
    from PIL import Image

    from pathsearch.slides import open_slide
    from pathsearch.testing import make_slide

    with open_slide(slides_dir / "a.tiff") as slide:
        pixels = slide.read(1000, 900, 300, 300, 0.5)
    Image.fromarray(pixels).save(tmp_path / "look.png")
    asking.add_picture(str(tmp_path / "look.png"), 0.5)
    assert "1 picture" in asking.marked.text()
    assert search(asking, until).query.like == (Picture(str(tmp_path / "look.png"), 0.5),)
    asking.clear.click()
    outside = tmp_path / "outside.tiff"
    make_slide(outside, size=(1500, 1200), mpp=0.5, seed=7)
    session.open_slide(outside)
    until(lambda: session.active == str(outside))
    asking.view.click()
    found = search(asking, until)
    assert found.query.like[0].slide == str(outside)
    assert len(session.library.slides()) == 4


def test_more_appends_and_the_order_and_the_map_follow(asking, session, qtbot, until):
    find, finder, dock = asking, asking.finder, asking.matches
    asking.form.number.setValue(5)
    finder.marks.add_point("a.tiff", 1200, 900)
    first = search(find, until)
    assert len(first.matches) == 5
    with qtbot.waitSignal(finder.appended, timeout=30_000):
        dock.bar.more.click()
    shown = dock.view.cards.shown()
    assert shown[:5] == list(first.matches)
    assert len(shown) > 5
    assert [m.rank for m in shown] == list(range(1, len(shown) + 1))
    dock.bar.group.setCurrentIndex(dock.bar.group.findData("slide"))
    assert dock.view.cards.rowCount() == len(shown) + len({m.key.slide_id for m in shown})
    dock.bar.group.setCurrentIndex(0)
    finder.set_columns(["organ"])
    until(lambda: dock.tally.text().startswith("organ: "))
    session.hide_names = True
    tip = dock.view.spec_tooltip(shown[0])
    words = [tip, dock.quiet.text(), *dock.view.delegate.words.lines(shown[0])]
    words += [layer.name for layer in session.viewer.layers]
    assert not [w for w in words if ".tiff" in w or "C-10" in w]
    session.hide_names = False
    dock.map_bar.switch.setChecked(True)
    until(lambda: dock.map_bar.found is not None)
    maps = [x for x in session.viewer.layers if match_layers.MAP in x.metadata]
    found = dock.map_bar.found
    # The first patch's middle lies on the first pixel's middle
    corner = (found.origin[0] + found.footprint / 2, found.origin[1] + found.footprint / 2)
    world = session.frame(session.layer_of("a.tiff")).to_world([corner])[0]
    assert np.allclose(maps[0].data_to_world((0, 0)), world)
    clear = (maps[0].data[..., 3] > 0).mean()
    dock.map_bar.threshold.setValue(99)
    assert (maps[0].data[..., 3] > 0).mean() < clear
    dock.map_bar.switch.setChecked(False)
    assert not [x for x in session.viewer.layers if match_layers.MAP in x.metadata]
    asking.form.number.setValue(40)
    finder.set_columns([])


def test_review_mode_by_keys_alone_and_blinded(asking, session, qtbot, until):
    find, finder, dock = asking, asking.finder, asking.matches
    finder.marks.add_point("a.tiff", 1200, 900)
    first = search(find, until)
    mode = dock.open_review_mode()
    qtbot.waitSignal(mode.big.painted_sharp, timeout=30_000).wait()
    for key in (Qt.Key.Key_A, Qt.Key.Key_R, Qt.Key.Key_Right, Qt.Key.Key_U):
        qtbot.keyClick(mode, key)
    keys = [m.key for m in first.matches]
    assert finder.book.decisions() == {keys[0]: "accept", keys[1]: "reject", keys[3]: "unsure"}
    qtbot.keyClick(mode, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert mode.match.key == keys[3]
    mode.close()
    dock.open_blinded()
    until(lambda: len(finder.book.rounds) == 2 and dock.review_mode is not mode)
    blind = dock.review_mode
    controls = finder.book.rounds[1].controls
    assert len(controls) >= 3
    assert {m.key for m in blind.order} == {m.key for m in finder.seen.found} | controls
    assert [m.rank for m in blind.order] != sorted(m.rank for m in blind.order)
    assert "tiff" not in blind.caption.text()
    assert not any(digit in blind.caption.text().split("judged")[0] for digit in ("0.", "%"))
    while blind.match.key not in controls:
        qtbot.keyClick(blind, Qt.Key.Key_Right)
    qtbot.keyClick(blind, Qt.Key.Key_A)
    blind.close()
    # A control never becomes an example
    assert not set(finder.book.keys("accept")) & controls
    assert not {m.key for m in dock.view.cards.matches} & controls - set(keys)


def test_side_by_side_moves_together(asking, session, qtbot, until):
    finder, dock = asking.finder, asking.matches
    finder.marks.add_box("a.tiff", (900, 800, 400, 300))
    first = search(asking, until)
    dock.view.choose([first.matches[0].key])
    both = dock.open_side_by_side()
    qtbot.waitSignal(both.found.painted_sharp, timeout=30_000).wait()
    middle = both.asked.rect().center()
    qtbot.mousePress(both.asked, LEFT, pos=middle)
    qtbot.mouseMove(both.asked, middle + QPoint(40, 10))
    qtbot.mouseRelease(both.asked, LEFT)
    assert both.asked.view == both.found.view
    assert both.asked.view[0] == pytest.approx(-40 * both.asked.view[2])
    both.close()
    until(lambda: dock.side_by_side is None)


def test_slides_that_are_gone_are_still_searched_and_shown_small(
    panel, session, library, slides_dir, tmp_path, until
):
    shutil.copytree(slides_dir, tmp_path / "slides")
    shutil.copytree(library, tmp_path / "copy.pathsearch")
    catalog = tmp_path / "copy.pathsearch" / "catalog.db"
    import sqlite3

    with sqlite3.connect(catalog) as base:
        base.execute("UPDATE roots SET path = ?", (str(tmp_path / "gone"),))
    base.close()
    session.open_library(tmp_path / "copy.pathsearch")
    until(lambda: session.library is not None)
    finder = panel.find.finder
    from pathsearch.nouns import Query

    shown = []
    finder.round_shown.connect(shown.append)
    finder.ask(Query(like=(Region.rectangle("a.tiff", 900, 800, 400, 300),), k=6), "ask")
    until(lambda: shown)
    finder.round_shown.disconnect(shown.append)
    assert "not at hand" in panel.find.matches.quiet.text()
    loaded = []

    def there():
        loaded[:] = [finder.source.get(m, 128)[1] for m in shown[0].matches]
        return all(x is not None for x in loaded)

    until(there)
    assert all(x.stand_in and x.image is not None for x in loaded)
    panel.find.matches.go_to(shown[0].matches[0])
    until(lambda: any("is not at" in m.line for m in session.heard))


def test_a_viewer_closed_in_mid_search_keeps_its_verdicts(library, qapp, qtbot, tmp_path):
    import napari

    from napari_pathsearch.panel import show_panel
    from pathsearch.library import Library
    from pathsearch.nouns import Query
    from pathsearch.review import Reviews

    shutil.copytree(library, tmp_path / "copy.pathsearch")
    viewer = napari.Viewer(show=True)
    panel = show_panel(viewer)
    session, finder = panel.session, panel.find.finder
    session.open_library(tmp_path / "copy.pathsearch")
    qtbot.waitUntil(lambda: session.library is not None, timeout=30_000)
    query = Query(like=(Region.rectangle("a.tiff", 900, 800, 400, 300),), k=5)
    with qtbot.waitSignal(finder.round_shown, timeout=60_000) as shown:
        finder.ask(query, "ask")
    key = shown.args[0].matches[0].key
    began, go_on = threading.Event(), threading.Event()

    def slow(_):
        began.set()
        go_on.wait(30)

    session.searcher.search = slow
    finder.ask(query, "ask")
    qtbot.waitUntil(began.is_set, timeout=30_000)
    finder.book.judge([key], "accept")
    go_on.set()
    session.close()
    viewer.close()
    qapp.processEvents()
    assert not [t for t in threading.enumerate() if t.name == "pathsearch-scribe"]
    with Library.open(tmp_path / "copy.pathsearch") as opened:
        kept = Reviews(opened)
        assert kept.get().keys("accept") == (key,)
        kept.close()
