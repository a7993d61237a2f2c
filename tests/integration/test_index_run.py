"""Indexing runs: resumed, interrupted, killed, and what changes between two of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from pathsearch.config import IndexSettings, SlideSettings
from pathsearch.indexing import find_sources, index_slides
from pathsearch.indexing.run import open_or_create
from pathsearch.library import Library
from pathsearch.testing import PlainEncoder, make_slide

SETTINGS = IndexSettings(batch_size=16, slides=SlideSettings(isolate=False))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    for number in range(3):
        make_slide(folder / f"s{number}.tiff", size=(1500, 1500), seed=number)
    return folder


@pytest.fixture
def slides(made, tmp_path):
    return shutil.copytree(made, tmp_path / "slides")


def run(target, slides, *, encoder=None, settings=SETTINGS, **words):
    encoder = encoder or PlainEncoder()
    with open_or_create(target, settings, encoder, "plain") as library:
        sources = find_sources([slides], library=library)
        return index_slides(library, sources, encoder, settings, **words)


def content(target):
    """What a library holds, whatever the order of its making."""
    with Library.open(target) as library:
        assert [p for p in library.verify(deep=True) if p.severity == "error"] == []
        return sorted((s.slide_id, s.key, s.rows, s.digest) for s in library.segments())


def kinds(report):
    return {o.slide_id: o.kind for o in report.outcomes}


class Interrupting(PlainEncoder):
    """Presses Ctrl-C at the n-th batch."""

    def __init__(self, at):
        super().__init__()
        self.left = at

    def encode(self, pixels):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return super().encode(pixels)


@pytest.fixture(scope="module")
def undisturbed(made, tmp_path_factory):
    target = tmp_path_factory.mktemp("whole") / "l.pathsearch"
    report = run(target, made)
    assert set(kinds(report).values()) == {"indexed"}
    return content(target)


@pytest.mark.parametrize("at", [1, 2, 4, 6])
def test_ctrl_c_keeps_whole_slides_and_a_rerun_ends_the_same(slides, tmp_path, undisturbed, at):
    target = tmp_path / "l.pathsearch"
    stopped = run(target, slides, encoder=Interrupting(at))
    assert stopped.interrupted
    before = content(target)
    assert set(before) < set(undisturbed)
    report = run(target, slides)
    assert len(report.of("unchanged")) == len(before)
    assert not report.interrupted
    assert content(target) == undisturbed


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_index_run import run
run(Path(sys.argv[1]), Path(sys.argv[2]))
print("done", flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_run_that_is_killed_again_and_again_ends_the_same(slides, tmp_path, undisturbed):
    target = tmp_path / "l.pathsearch"
    words = [sys.executable, "-c", KILLED, str(target), str(slides), os.path.dirname(__file__)]
    began = time.perf_counter()
    subprocess.run([*words[:3], str(tmp_path / "x.pathsearch"), *words[4:]], check=True)
    whole = time.perf_counter() - began
    for share in (0.55, 0.7, 0.8, 0.9, 0.97):
        child = subprocess.Popen(words, stdout=subprocess.PIPE)
        time.sleep(share * whole)  # the moment of the kill, not a wait for something
        child.kill()
        child.communicate()
        if target.exists():
            assert set(content(target)) <= set(undisturbed)
    run(target, slides)
    assert content(target) == undisturbed


def test_an_unchanged_slide_is_not_read_again(slides, tmp_path):
    target = tmp_path / "l.pathsearch"
    run(target, slides)
    report = run(target, slides, encoder=Interrupting(1))
    assert not report.interrupted
    assert set(kinds(report).values()) == {"unchanged"}


def test_a_touched_slide_keeps_its_patches_and_a_changed_one_is_read_again(slides, tmp_path):
    target = tmp_path / "l.pathsearch"
    run(target, slides)
    before = {row[0]: row for row in content(target)}
    os.utime(slides / "s0.tiff", (1, 1))
    make_slide(slides / "s1.tiff", size=(1500, 1500), seed=77)
    report = run(target, slides)
    after = {row[0]: row for row in content(target)}
    assert after["s0.tiff"] == before["s0.tiff"]
    assert after["s1.tiff"] != before["s1.tiff"]
    assert report.patches == after["s1.tiff"][2]
    assert kinds(report)["s2.tiff"] == "unchanged"
    assert set(kinds(run(target, slides)).values()) == {"unchanged"}


def test_a_slide_that_vanishes_is_listed_and_the_others_are_indexed(slides, tmp_path):
    target = tmp_path / "l.pathsearch"
    encoder = PlainEncoder()
    with open_or_create(target, SETTINGS, encoder, "plain") as library:
        sources = find_sources([slides], library=library)
        (slides / "s1.tiff").unlink()
        report = index_slides(library, sources, encoder, SETTINGS)
    assert kinds(report) == {"s0.tiff": "indexed", "s1.tiff": "failed", "s2.tiff": "indexed"}
    assert report.of("failed")[0].code == "slide-not-found"


def test_a_failed_slide_is_tried_again_when_asked_or_when_it_changes(slides, tmp_path, made):
    target = tmp_path / "l.pathsearch"
    (slides / "s1.tiff").write_bytes(b"no slide")
    assert kinds(run(target, slides))["s1.tiff"] == "failed"
    assert kinds(run(target, slides))["s1.tiff"] == "failed"
    assert kinds(run(target, slides, retry_failed=True))["s1.tiff"] == "failed"
    shutil.copy(made / "s1.tiff", slides / "s1.tiff")
    assert kinds(run(target, slides))["s1.tiff"] == "indexed"
    with Library.open(target) as library:
        assert library.slide("s1.tiff").error_code == ""


def test_the_child_process_gives_the_same_library(slides, tmp_path, undisturbed):
    target = tmp_path / "l.pathsearch"
    run(target, slides, settings=SETTINGS.model_copy(update={"slides": SlideSettings()}))
    assert content(target) == undisturbed


def test_other_batch_sizes_and_threads_give_the_same_library(slides, tmp_path, undisturbed):
    target = tmp_path / "l.pathsearch"
    run(target, slides, settings=SETTINGS.model_copy(update={"batch_size": 7, "threads": 3}))
    ours, theirs = content(target), undisturbed
    assert [row[:3] for row in ours] == [row[:3] for row in theirs]


def test_a_slide_without_tissue_is_called_so(tmp_path):
    slides = tmp_path / "slides"
    slides.mkdir()
    import numpy as np
    from PIL import Image

    glass = np.full((900, 900, 3), 244, np.uint8)
    Image.fromarray(glass).save(slides / "glass.png")
    target = tmp_path / "l.pathsearch"
    encoder = PlainEncoder()
    with open_or_create(target, SETTINGS, encoder, "plain") as library:
        sources = find_sources([slides / "glass.png"], library=library, mpp=0.5)
        report = index_slides(library, sources, encoder, SETTINGS)
        again = index_slides(library, sources, encoder, SETTINGS)
    assert kinds(report) == {"glass.png": "empty"}
    assert kinds(again) == {"glass.png": "unchanged"}
