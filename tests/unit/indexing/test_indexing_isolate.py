"""Slides read in a child process: the same pixels, and faults that cost one slide."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from pathsearch.errors import (
    MppMissingError,
    ResolutionTooCoarseError,
    SlideCrashedError,
    SlideTimeoutError,
)
from pathsearch.indexing.isolate import IsolatedSlide, SlideProcess
from pathsearch.nouns import Slide
from pathsearch.slides import open_slide, stream_patches
from pathsearch.slides.pyramid import PyramidSlide


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of noise, 900 x 700."""
    path = tmp_path_factory.mktemp("slides") / "a.tiff"
    pixels = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    tifffile.imwrite(
        path, pixels, tile=(128, 128), photometric="rgb", metadata=None,
        resolution=(20000, 20000), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def process() -> Iterator[SlideProcess]:
    with SlideProcess(deadline=60) as process:
        yield process


GRID = np.array([(x, y) for y in range(0, 640, 64) for x in range(0, 840, 64)], np.int64)


def test_it_is_a_slide_like_any_other(process: SlideProcess, path: Path) -> None:
    with process.open_slide(path) as slide, open_slide(path) as plain:
        assert isinstance(slide, Slide)
        for name in ("path", "size", "mpp", "bounds", "levels", "info", "fingerprint"):
            assert getattr(slide, name) == getattr(plain, name)
        for region in [(10, 20, 50, 40, 0.5), (-5.5, 3.25, 60, 60, 1.3)]:
            np.testing.assert_array_equal(slide.read(*region), plain.read(*region))
    with pytest.raises(ValueError, match="closed"):
        slide.read(0, 0, 5, 5, 0.5)


@pytest.mark.parametrize(("batch_size", "prefetch"), [(7, 0), (32, 2), (500, 1)])
def test_streams_are_equal(
    process: SlideProcess, path: Path, batch_size: int, prefetch: int
) -> None:
    options = {"batch_size": batch_size, "threads": 2, "prefetch": prefetch}
    with process.open_slide(path) as slide, open_slide(path) as plain:
        for mpp in (0.5, 1.1):
            theirs = list(stream_patches(plain, GRID, 64, mpp, **options))
            ours = list(stream_patches(slide, GRID, 64, mpp, **options))
            assert [batch.first for batch in ours] == [batch.first for batch in theirs]
            for one, other in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(one.pixels, other.pixels)
                np.testing.assert_array_equal(one.ok, other.ok)


def test_errors_of_slides_arrive_as_they_are(
    process: SlideProcess, path: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.tiff"
    tifffile.imwrite(bare, np.zeros((64, 64, 3), np.uint8), photometric="rgb", tile=(64, 64),
                     resolutionunit="NONE")  # fmt: skip
    with pytest.raises(MppMissingError, match="--mpp") as info:
        process.open_slide(bare)
    assert info.value.path == str(bare)
    with process.open_slide(path) as slide:
        with pytest.raises(ResolutionTooCoarseError):
            slide.read(0, 0, 10, 10, 0.1)
        with pytest.raises(ResolutionTooCoarseError):
            list(stream_patches(slide, GRID, 64, 0.1))
        assert slide.read(0, 0, 10, 10, 0.5).shape == (10, 10, 3)


def test_a_stream_left_early_leaves_the_process_usable(process: SlideProcess, path: Path) -> None:
    with process.open_slide(path) as slide:
        stream = stream_patches(slide, GRID, 64, 0.5, batch_size=4, prefetch=1)
        next(stream)
        with pytest.raises(RuntimeError, match="busy"):
            slide.read(0, 0, 10, 10, 0.5)
        stream.close()  # type: ignore[attr-defined]
        assert slide.read(0, 0, 10, 10, 0.5).shape == (10, 10, 3)
        assert sum(len(b.ok) for b in stream_patches(slide, GRID, 64, 0.5)) == len(GRID)


def test_an_error_of_the_caller_is_not_hidden_by_the_open_stream(
    process: SlideProcess, path: Path
) -> None:
    streams = []

    def fail() -> None:
        with process.open_slide(path) as slide:
            streams.append(stream_patches(slide, GRID, 64, 0.5, batch_size=4))
            for _ in streams[0]:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with process.open_slide(path) as slide:
        assert slide.read(0, 0, 10, 10, 0.5).shape == (10, 10, 3)
        streams[0].close()  # type: ignore[attr-defined]
        assert slide.read(0, 0, 10, 10, 0.5).shape == (10, 10, 3)


def test_an_interruption_waits_for_nothing(path: Path) -> None:
    def interrupted(process: SlideProcess) -> None:
        with process.open_slide(path):
            raise KeyboardInterrupt

    with SlideProcess(deadline=60) as process:
        with pytest.raises(KeyboardInterrupt):
            interrupted(process)
        assert process._child is not None
        assert not process._child.alive


def test_a_long_read_shows_that_it_goes_on(path: Path) -> None:
    with open_slide(path) as slide:
        assert isinstance(slide, PyramidSlide)
        steps: list[int] = []
        slide.on_step = lambda: steps.append(1)
        slide.read(0, 0, 90, 70, 5.0)
        assert not steps  # a small one is read at once
        slide.read(-20_000, -20_000, 1000, 1000, 10.0)
        assert len(steps) > 20


def test_one_process_serves_many_slides(process: SlideProcess, path: Path) -> None:
    with process.open_slide(path) as first, process.open_slide(path, mpp=0.25) as second:
        assert first._child is second._child
        assert (first.mpp, second.mpp) == (0.5, 0.25)


def kill(slide: IsolatedSlide) -> None:
    os.kill(slide._child._process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def test_a_death_costs_the_slide_and_not_the_run(path: Path) -> None:
    with SlideProcess(deadline=60) as process:
        slide = process.open_slide(path)
        stream = stream_patches(slide, GRID, 64, 0.5, batch_size=4, prefetch=0)
        next(stream)
        kill(slide)
        with pytest.raises(SlideCrashedError, match="died") as info:
            list(stream)
        assert info.value.code == "slide-crashed"
        with pytest.raises(SlideCrashedError):
            slide.read(0, 0, 10, 10, 0.5)
        slide.close()
        with process.open_slide(path) as again:
            assert again.read(0, 0, 10, 10, 0.5).shape == (10, 10, 3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a file that blocks")
def test_a_hang_ends_at_the_deadline(path: Path, tmp_path: Path) -> None:
    blocks = tmp_path / "blocks.svs"
    os.mkfifo(blocks)
    with SlideProcess(deadline=0.5) as process:
        with pytest.raises(SlideTimeoutError, match=r"no progress for 0\.5 s") as info:
            process.open_slide(blocks)
        assert info.value.path == str(blocks)
    with SlideProcess(deadline=60) as process, process.open_slide(path) as slide:
        assert slide.size == (900, 700)


@pytest.mark.skipif(sys.platform == "win32", reason="asks the process table as POSIX has it")
def test_the_child_ends_with_its_parent(path: Path) -> None:
    import subprocess

    code = (
        "import sys, os, time\n"
        "from pathsearch.indexing.isolate import SlideProcess\n"
        "process = SlideProcess()\n"
        f"slide = process.open_slide({str(path)!r})\n"
        "print(slide._child._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    child = int(done.stdout)
    for _ in range(200):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{child}/stat").exists():
            state = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
            if state == "Z":  # ended; nobody here collects it
                return
        time.sleep(0.05)
    pytest.fail("the child outlived its parent")


def test_no_shared_memory_is_left(process: SlideProcess, path: Path) -> None:
    folder = Path("/dev/shm")
    if not folder.is_dir():
        pytest.skip("shared memory is not seen as files here")
    before = set(folder.iterdir())
    with process.open_slide(path) as slide:
        list(stream_patches(slide, GRID, 64, 0.5))
    assert not {file for file in set(folder.iterdir()) - before if file.name.startswith("psm_")}
