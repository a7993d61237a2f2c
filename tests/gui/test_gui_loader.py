"""The pictures' loader: order, what is dropped, what is kept."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_pathsearch.gallery import loader as module
from napari_pathsearch.gallery.loader import PictureLoader


@pytest.fixture
def loader(qapp, monkeypatch):
    """One thread, that waits until it may begin."""
    monkeypatch.setattr(module, "_THREADS", 1)
    made = PictureLoader()
    made.go_on, made.reads, made.done = threading.Event(), threading.Event(), []

    def job(key):
        def read():
            made.reads.set()
            made.go_on.wait(30)
            made.done.append(key)
            return np.zeros((2, 2, 3), np.uint8), False

        return read

    made.ask = lambda key: made.get(key, job(key))
    yield made
    made.go_on.set()
    made.close()


def finish(loader, qtbot):
    loader.go_on.set()
    qtbot.waitUntil(lambda: not loader.pending, timeout=30_000)


def test_the_last_painting_comes_first_and_each_from_its_top(loader, qtbot):
    loader.ask("begun")  # being read while the others come in
    assert loader.reads.wait(30)
    for painting in ("above", "below"):
        loader.begin()
        for number in range(3):
            loader.ask((painting, number))
    finish(loader, qtbot)
    below, above = [("below", n) for n in range(3)], [("above", n) for n in range(3)]
    rest = [key for key in loader.done if key != "begun"]
    assert rest == [*below, *above]


def test_what_was_scrolled_away_is_dropped_and_may_be_asked_for_again(loader, qtbot, monkeypatch):
    monkeypatch.setattr(module, "_WAITING", 4)
    for painting in range(3):
        loader.begin()
        for number in range(3):
            assert loader.ask((painting, number)) is None
    assert loader.pending <= 5
    finish(loader, qtbot)
    assert {(2, n) for n in range(3)} <= set(loader.done)
    assert (0, 2) not in loader.done
    loader.ask((0, 2))
    finish(loader, qtbot)
    assert loader.ask((0, 2)).image is not None


def test_a_picture_that_fails_says_why_and_ends_nothing(loader, qtbot):
    def broken():
        raise ValueError("odd")

    loader.go_on.set()
    loader.get("bad", broken)
    loader.ask("good")
    finish(loader, qtbot)
    assert loader.ask("bad").image is None
    assert "odd" in loader.ask("bad").failed
    assert loader.ask("good").image is not None
