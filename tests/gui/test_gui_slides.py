"""Slides in a real viewer: pixels, frames, never a read on the GUI thread."""

from __future__ import annotations

import threading

import numpy as np
import pytest


@pytest.fixture
def reads(monkeypatch):
    """The threads that opened or read slides."""
    from pathsearch.slides.pyramid import PyramidSlide

    seen = []
    read = PyramidSlide.read

    def watched(self, *words):
        seen.append(threading.current_thread())
        return read(self, *words)

    monkeypatch.setattr(PyramidSlide, "read", watched)
    import pathsearch.slides.opening as opening

    opened = opening._check_file

    def checked(path):
        seen.append(threading.current_thread())
        return opened(path)

    monkeypatch.setattr(opening, "_check_file", checked)
    return seen


def open_one(session, until, library, slide):
    session.open_library(library)
    until(lambda: session.library is not None)
    got = []
    session.open_slide(slide, got.append)
    until(lambda: got)
    return got[0]


def test_a_slide_opens_moves_and_sharpens_off_the_gui_thread(
    session, viewer, library, until, reads, slides_dir, qapp
):
    layer = open_one(session, until, library, "a.tiff")
    assert layer.multiscale
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 2
    assert np.allclose(layer.scale, 0.5)
    assert max(layer.level_shapes[-1]) <= 2000
    assert viewer.canvas.overlays.scale_bar.visible
    session.go_to("a.tiff", (1000, 800, 200, 200), context=3)
    until(lambda: layer.data_level == 0)
    name, x, y, w, h = session.view_box()
    assert name == "a.tiff"
    assert abs(x + w / 2 - 1100) < 2
    assert abs(y + h / 2 - 900) < 2
    assert min(w, h) == pytest.approx(600, abs=10)

    # What is shown becomes the slide's own pixels
    from pathsearch.slides import open_slide

    def shown():
        raw = layer._slice.image.raw
        top, left = layer.corner_pixels[0, :2]
        return raw, top, left

    with open_slide(slides_dir / "a.tiff") as slide:

        def sharp():
            raw, top, left = shown()
            height, width = raw.shape[:2]
            return np.array_equal(raw, slide.read(left, top, width, height, slide.mpp))

        viewer.scene.camera.center = (700, 700)
        until(sharp)
    gui = threading.main_thread()
    read_by = {thread.name for thread in reads if thread is not gui}
    assert any(name.startswith("pathsearch-tiles") for name in read_by)
    # `sharp` itself reads here, on purpose: one read for each time it was asked
    viewer.scene.camera.center = (400, 1200)
    reads.clear()
    qapp.processEvents()
    layer.refresh()
    qapp.processEvents()
    assert gui not in reads


def test_frames_go_there_and_back_and_hold_the_corner_of_a_pixel(session, library, until):
    layer = open_one(session, until, library, "b.tiff")
    frame = session.frame(layer)
    xy = np.array([[0, 0], [10.5, 20], [1499, 1199]], float)
    assert np.allclose(frame.to_slide(frame.to_world(xy)), xy)
    # napari draws pixel 0 around the world's 0: its top-left corner is half a pixel before
    assert np.allclose(frame.to_world([(0, 0)]), [[-0.25, -0.25]])
    assert np.allclose(frame.to_world([(4, 0)]), [[-0.25, 1.75]])
    assert np.allclose(frame.from_rows_columns(frame.to_rows_columns(xy)), xy)


def test_arrays_are_exact_for_whoever_else_asks(session, library, until, slides_dir):
    layer = open_one(session, until, library, "sub/c.tiff")
    from pathsearch.slides import open_slide

    with open_slide(slides_dir / "sub" / "c.tiff") as slide:
        whole = slide.read(0, 0, *slide.size, slide.mpp)
    level = layer.data[0]
    assert np.array_equal(level[100:700, 480:1100], whole[100:700, 480:1100])
    assert np.array_equal(level[5], whole[5])
    assert np.array_equal(level[-1, 7], whole[-1, 7])
    assert np.array_equal(level[700:100:-3, ::500, 1], whole[700:100:-3, ::500, 1])
    assert np.array_equal(np.asarray(level), whole)
    with pytest.raises(IndexError):
        level[5000, 0]


def test_one_slide_at_a_time_and_overlays_follow(session, viewer, library, until):
    first = open_one(session, until, library, "a.tiff")
    points = viewer.add_points(
        session.frame(first).to_rows_columns([(50, 60)]), **session.frame(first).layer_arguments()
    )
    session.attach(points, "a.tiff")
    second = []
    session.open_slide("b.tiff", second.append)
    until(lambda: second)
    assert session.active == "b.tiff"
    assert (first.visible, points.visible, second[0].visible) == (False, False, True)
    session.hide_names = True
    assert not any(name in layer.name for layer in viewer.layers for name in ("a.tiff", "b.tiff"))
    session.open_slide("a.tiff")
    until(lambda: points.visible)
    viewer.layers.remove(first)
    assert points not in viewer.layers
    assert list(session.opened) == ["b.tiff"]


def test_what_cannot_be_opened_is_said_in_one_line(session, library, until, slides_dir, tmp_path):
    session.open_slide(slides_dir / "broken.svs")
    until(lambda: session.heard)
    assert session.heard[0].kind == "error"
    assert "\n" not in session.heard[0].line
    assert "Traceback" in session.heard[0].details
    session.open_library(tmp_path / "none.pathsearch")
    until(lambda: len(session.heard) >= 3)
    assert "no library" in session.heard[-1].line
    assert session.library is None
