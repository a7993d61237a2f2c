"""Disks that fill up or cannot be written, slides that go bad half-way, readers that hang.

What the user is told, that nothing half-made is ever found, and that a rerun heals it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from pathsearch.config import IndexSettings, SlideSettings
from pathsearch.errors import LibraryReadOnlyError, LibraryWriteError
from pathsearch.indexing import find_sources, index_slides
from pathsearch.indexing.report import Listener
from pathsearch.indexing.run import open_or_create
from pathsearch.indexing.sources import failed_sources
from pathsearch.library import Library
from pathsearch.testing import PlainEncoder, make_slide

SETTINGS = IndexSettings(batch_size=16, workers=1, slides=SlideSettings(isolate=False))
SLIDES = 4
#: Of the small disk, kB: each is too small for one library, and stops it at another place.
FULL = (190, 260, 400)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    for number in range(SLIDES):
        make_slide(folder / f"s{number}.tiff", size=(1500, 1500), seed=number)
    return folder


@pytest.fixture
def slides(made, tmp_path):
    return shutil.copytree(made, tmp_path / "slides")


def run(target, slides, *, settings=SETTINGS, encoder=None, **words):
    encoder = encoder or PlainEncoder(dim=256)
    with open_or_create(target, settings, encoder, "plain") as library:
        sources = find_sources([slides], library=library)
        return index_slides(library, sources, encoder, settings, **words)


def content(target):
    with Library.open(target) as library:
        assert [p for p in library.verify(deep=True) if p.severity == "error"] == []
        segments = sorted((s.slide_id, s.key, s.rows, s.digest) for s in library.segments())
        slides = [replace(r, file_mtime_ns=0) for r in library.slides()]
        pictures = [library.thumbnail(record.slide_id) for record in slides]
    return segments, slides, pictures


def without_roots(found):
    return found[0], [replace(r, root="") for r in found[1]], found[2]


@pytest.fixture(scope="module")
def undisturbed(made, tmp_path_factory):
    target = tmp_path_factory.mktemp("whole") / "l.pathsearch"
    assert len(run(target, made).of("indexed")) == SLIDES
    return without_roots(content(target))


# ----------------------------------------------------------------------------- disks


@pytest.fixture
def disk(tmp_path):
    """Mounts a disk of so many kB; a second call gives it another size or makes it read-only."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options):
        again = ["-o", f"remount,{options}"] if os.path.ismount(place) else ["-o", options]
        words = ["mount", "-t", "tmpfs", *again, "tmpfs", str(place)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        return place

    if sys.platform != "linux" or os.geteuid() or shutil.which("mount") is None:
        pytest.skip("mounts a small disk, which takes root on Linux")
    yield mount
    if os.path.ismount(place):
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("size", FULL)
def test_a_full_disk_keeps_whole_slides_and_a_rerun_with_space_heals_it(
    disk, slides, tmp_path, undisturbed, size
):
    target = disk(f"size={size}k") / "l.pathsearch"
    with pytest.raises(LibraryWriteError) as said:
        run(target, slides)
    assert "free space" in str(said.value)
    assert "\n" not in str(said.value)
    if target.exists():
        before = content(target)
        assert set(before[0]) < set(undisturbed[0])
        with pytest.raises(LibraryWriteError):  # it does not heal by itself, and harms nothing
            run(target, slides)
        assert set(before[0]) <= set(content(target)[0])
    disk("size=50m")
    run(target, slides)
    assert without_roots(content(target)) == undisturbed
    names = {path.name for path in target.rglob("*")}
    assert not [name for name in names if name.startswith("tmp-")]


def test_the_full_disk_is_one_line_on_the_command_line(disk, slides):
    target = disk("size=300k") / "l.pathsearch"
    done = subprocess.run(
        [sys.executable, "-m", "pathsearch", "index", str(slides), "--library", str(target)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "the disk is full; free space and run again" in done.stderr
    assert list(target.parent.iterdir()) == []  # the encoder's copy did not fit: no library


def test_a_disk_that_cannot_be_written_is_searched_and_not_touched(disk, slides, undisturbed):
    target = disk("size=50m") / "l.pathsearch"
    run(target, slides)
    disk("ro")
    with pytest.raises(LibraryReadOnlyError, match="copy it to a place of your own"):
        run(target, slides)
    assert without_roots(content(target)) == undisturbed
    with Library.open(target) as library:
        assert library.read_only
        assert library.index_state(next(iter(library.specs))) is not None
    disk("rw")
    assert len(run(target, slides).of("unchanged")) == SLIDES


# ---------------------------------------------------------------------------- slides


class At(Listener):
    """Does something to a slide when it is opened, or when its first patches are encoded."""

    def __init__(self, slide_id, *, opened=None, encoded=None):
        self._slide_id = slide_id
        self._opened = opened
        self._encoded = encoded

    def slide(self, slide_id):
        if slide_id == self._slide_id and self._opened:
            self._opened()
            self._opened = None

    def patches(self, slide_id, done, total):
        if slide_id == self._slide_id and self._encoded:
            self._encoded()
            self._encoded = None


@pytest.mark.parametrize("isolate", [False, True])
def test_a_slide_that_is_cut_short_while_it_is_read(slides, made, tmp_path, undisturbed, isolate):
    """Its rest is gone (a network disk, a copy that was overwritten): it fails or is whole."""
    target = tmp_path / "l.pathsearch"
    settings = SETTINGS.model_copy(update={"slides": SlideSettings(isolate=isolate)})
    cut = At("s1.tiff", opened=lambda: os.truncate(slides / "s1.tiff", 2000))
    report = run(target, slides, settings=settings, listener=cut)
    kinds = {o.slide_id: o.kind for o in report.outcomes}
    assert kinds.pop("s1.tiff") in {"failed", "indexed"}  # read ahead before it was cut
    assert set(kinds.values()) == {"indexed"}
    for outcome in report.of("failed"):
        assert outcome.code in {"bad-tiles", "read-failed", "slide-unreadable", "slide-crashed"}
    content(target)
    shutil.copy(made / "s1.tiff", slides / "s1.tiff")
    run(target, slides, retry_failed=True)
    found = without_roots(content(target))
    assert found[0] == undisturbed[0]


def test_a_slide_that_vanishes_while_it_is_read(slides, made, tmp_path, undisturbed):
    target = tmp_path / "l.pathsearch"
    report = run(target, slides, listener=At("s1.tiff", opened=(slides / "s1.tiff").unlink))
    assert {o.slide_id for o in report.of("indexed")} >= {"s0.tiff", "s2.tiff", "s3.tiff"}
    again = run(target, slides)  # it is not in the folder any more: its patches stay
    assert not again.of("failed")
    shutil.copy(made / "s1.tiff", slides / "s1.tiff")
    run(target, slides, retry_failed=True)
    assert without_roots(content(target))[0] == undisturbed[0]


def readers():
    """Process ids of this process's readers."""
    found = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return [int(line.split()[0]) for line in found if "isolate_child" in line]


@pytest.mark.skipif(shutil.which("ps") is None, reason="asks the process table")
def test_a_reader_that_hangs_costs_its_slide_and_a_retry_heals_it(slides, tmp_path, undisturbed):
    target = tmp_path / "l.pathsearch"

    def stop():
        for pid in readers():
            os.kill(pid, signal.SIGSTOP)

    slow = SETTINGS.model_copy(update={"slides": SlideSettings(deadline_s=5), "batch_size": 4})
    report = run(target, slides, settings=slow, listener=At("s1.tiff", opened=stop))
    failed = {o.slide_id: o for o in report.of("failed")}
    assert failed["s1.tiff"].code == "slide-timeout"
    assert "no progress for 5 s" in failed["s1.tiff"].message
    assert {o.code for o in failed.values()} == {"slide-timeout"}
    assert not readers()
    with Library.open(target) as library:
        assert library.slide("s1.tiff").error_code == "slide-timeout"
        encoder = PlainEncoder(dim=256)
        sources = failed_sources(library)
        assert {source.slide_id for source in sources} == set(failed)
        index_slides(library, sources, encoder, SETTINGS, retry_failed=True)
    assert without_roots(content(target)) == undisturbed
