"""Killed at any moment, run again: the library equals one that was left in peace."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import crash_child
import numpy as np
import pytest
from library_cases import ENCODER, SPEC, put, slide, state_of

from pathsearch.errors import SegmentGoneError
from pathsearch.library import Library
from pathsearch.library.arrays import digest_of

CHILD = Path(crash_child.__file__)
SLIDES = 3
#: Kills a test; many more by hand: PATHSEARCH_KILLS=200 pytest --timeout 9999 THIS_FILE
KILLS = int(os.environ.get("PATHSEARCH_KILLS", "4"))


def child(library: Library, *more: object) -> subprocess.Popen[str]:
    command = [sys.executable, str(CHILD), str(library.path), str(SLIDES), *map(str, more)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(library: Library, *more: object) -> int:
    """Run a child to its end; the operations it counted."""
    with child(library, *more) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return int(out.splitlines()[-1])


@pytest.fixture
def undisturbed(make_library: Callable[..., Library]) -> Library:
    """What every other history must end in."""
    made = make_library("undisturbed")
    with made.writer() as writer:
        crash_child.run(writer, SLIDES)
    return made


def check_whole_slides_only(library: Library) -> None:
    """At every moment: no error, and each row has all its arrays."""
    with Library.open(library.path, read_only=True) as reader:
        problems = [p for p in reader.verify() if p.severity == "error"]
        assert problems == []
        for segment in reader.segments():
            if segment.rows:
                assert digest_of(reader.read_segment(segment)) == segment.digest


def check_equal(library: Library, undisturbed: Library) -> None:
    finished(library)
    assert state_of(library) == state_of(undisturbed)
    assert library.verify(deep=True) == []
    for number in range(SLIDES):
        assert library.thumbnail(f"s{number}") == undisturbed.thumbnail(f"s{number}")
    left = {p.name for p in library.path.iterdir()}
    assert left == {p.name for p in undisturbed.path.iterdir()}


def test_killed_at_random_moments(
    make_library: Callable[..., Library], undisturbed: Library
) -> None:
    made, drawn = make_library("killed"), random.Random(3)
    for _ in range(KILLS):
        with child(made) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(drawn.uniform(0, 0.25))
            process.kill()
        check_whole_slides_only(made)
    check_equal(made, undisturbed)


def test_killed_at_chosen_file_operations(
    make_library: Callable[..., Library], undisturbed: Library
) -> None:
    """Each kill is at another operation of the same run, from the first to the last."""
    total = finished(make_library("counted"))
    for number, event in enumerate(np.linspace(1, total, KILLS).astype(int)):
        made = make_library(f"killed-{number}")
        with child(made, event) as process:
            process.communicate(timeout=60)
        assert process.returncode == 9
        check_whole_slides_only(made)
        check_equal(made, undisturbed)


def test_a_reader_sees_whole_slides_while_a_writer_commits(library: Library) -> None:
    """Content changes, is removed and comes back under a reader that never stops."""
    faults: list[str] = []
    rounds: list[int] = []
    ended = threading.Event()

    def read() -> None:
        with Library.open(library.path, read_only=True) as reader:
            while not ended.is_set():
                rounds.append(len(reader.slides()))
                for segment in reader.segments(SPEC.name):
                    try:
                        arrays = reader.read_segment(segment)
                    except SegmentGoneError:
                        continue
                    if len(arrays) != segment.rows or digest_of(arrays) != segment.digest:
                        faults.append(f"{segment.slide_id}: {len(arrays)}")

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        with library.writer() as writer:
            for round_ in range(8):
                for name in "ab":
                    put(writer, slide(name, f"content {round_}"), 20 + round_, seed=round_)
            writer.remove_slides(["a"])
        before = len(rounds)
        deadline = time.monotonic() + 30
        while len(rounds) < before + 4 and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert faults == []
    assert rounds[-1] == 1
    assert library.verify() == []


def test_two_indexers_at_once_are_one_after_the_other(
    make_library: Callable[..., Library], undisturbed: Library
) -> None:
    made = make_library("two")
    with child(made) as first, child(made) as second:
        for process in (first, second):
            _, err = process.communicate(timeout=120)
            assert process.returncode == 0, err
    check_equal(made, undisturbed)


@pytest.mark.parametrize(
    ("limit", "words"),
    [(120_000, "the disk is full; free space and run again"), (40_000, "check the disk")],
)
def test_a_small_disk(make_library: Callable[..., Library], limit: int, words: str) -> None:
    """A limit on the size of files stands for a full disk: a real write that fails.

    The larger limit stops the vectors, the smaller one the catalog.
    """
    resource = pytest.importorskip("resource", reason="POSIX only")
    encoder = replace(ENCODER, dim=32)
    made, undisturbed = (make_library(name, encoder=encoder) for name in ("small", "calm"))
    with undisturbed.writer() as writer:
        crash_child.run(writer, SLIDES)

    def limited() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, str(CHILD), str(made.path), str(SLIDES)]
    done = subprocess.run(command, preexec_fn=limited, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "LibraryWriteError" in last
    assert words in last
    check_whole_slides_only(made)
    check_equal(made, undisturbed)
