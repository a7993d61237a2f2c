"""The writer's lock, with real processes where that is what counts."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from library_cases import put, slide

from pathsearch.errors import LibraryLockedError
from pathsearch.library import Library
from pathsearch.library.catalog import Catalog
from pathsearch.library.lock import Holder, WriterLock, holder_of
from pathsearch.library.processes import host_id, is_alive, start_mark

CHILD = Path(__file__).with_name("lock_child.py")
#: Another machine's holder, as this one sees it: nothing is known of its process.
ELSEWHERE = Holder("far-host", "far-host|boot|ns", 4321, "99", "f" * 32, "2026-01-01")


@contextlib.contextmanager
def holding(library: Library, seconds: float = 60) -> Iterator[subprocess.Popen[str]]:
    """A child process that holds the lock."""
    command = [sys.executable, str(CHILD), str(library.path), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline().strip() == "held"
            yield child
        finally:
            child.kill()


def lock_of(library: Library, stale: float = 0.6, beat: float = 0.1) -> WriterLock:
    """A lock that judges quickly; the library's own catalog is as good as a writer's."""
    path = library.path / "writer.lock"
    return WriterLock(path, library.catalog, beat_seconds=beat, stale_seconds=stale)


def test_a_living_writer_keeps_others_out(library: Library) -> None:
    with holding(library) as child:
        with pytest.raises(LibraryLockedError) as error, library.writer():
            pass
        assert error.value.pid == child.pid
        assert str(child.pid) in str(error.value)
        assert error.value.host in str(error.value)
        assert library.slides() == []  # readers are not kept out


def test_a_killed_writer_is_known_at_once(library: Library) -> None:
    with holding(library) as child:
        child.kill()
        child.wait()
        assert holder_of(library.path / "writer.lock") is not None
        with library.writer(wait=0) as writer:
            put(writer, slide("s"))
    assert holder_of(library.path / "writer.lock") is None


def test_a_zombie_is_dead(library: Library) -> None:
    """A killed child whose parent has not asked for it yet still has its id."""
    with holding(library) as child:
        child.kill()
        while is_alive(child.pid, ""):
            time.sleep(0.01)
        with library.writer(wait=0):
            pass


def test_waiting_ends_when_the_other_does(library: Library) -> None:
    with holding(library, 0.5) as child:
        with library.writer(wait=60) as writer:
            put(writer, slide("s"))
        child.wait(10)
    assert len(library.segments()) == 1


def test_the_lock_is_released_after_an_error(library: Library) -> None:
    with pytest.raises(RuntimeError), library.writer():
        raise RuntimeError
    assert not (library.path / "writer.lock").exists()
    with library.writer():
        pass


def test_two_writers_in_one_process(library: Library) -> None:
    with library.writer(), pytest.raises(LibraryLockedError), library.writer():
        pass


def test_another_machine_is_watched_until_it_is_silent(library: Library) -> None:
    lock_file = library.path / "writer.lock"
    lock_file.write_bytes(ELSEWHERE.to_bytes())
    lock = lock_of(library, stale=0.3)
    lock.acquire(wait=0)
    assert holder_of(lock_file) != ELSEWHERE
    lock.release()
    assert not lock_file.exists()


def test_another_machine_that_beats_is_left_alone(library: Library) -> None:
    lock_file = library.path / "writer.lock"
    lock_file.write_bytes(ELSEWHERE.to_bytes())
    ended = threading.Event()

    def beat() -> None:
        number = 0
        while not ended.wait(0.05):
            number += 1
            lock_file.write_bytes(replace(ELSEWHERE, beats=number).to_bytes())

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(LibraryLockedError, match="far-host"):
            lock_of(library, stale=20).acquire(wait=0)
    finally:
        ended.set()
        thread.join()


def test_clocks_play_no_part(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """A holder that beats is alive, and a silent one is not, whatever the time of day is."""
    for shift in (-1e6, 1e6):
        real = time.time()
        monkeypatch.setattr(time, "time", lambda real=real, shift=shift: real + shift)
        with holding(library):
            os.utime(library.path / "writer.lock", (0, 0))
            with pytest.raises(LibraryLockedError):
                lock_of(library).acquire(wait=0.3)
        lock = lock_of(library)
        lock.acquire(wait=0)
        lock.release()


def test_an_id_that_was_used_again_is_not_the_holder(library: Library) -> None:
    """Our own pid, with the start mark of a process that had it before."""
    if not start_mark(os.getpid()):
        pytest.skip("this platform does not tell when a process started")
    past = replace(ELSEWHERE, space=host_id(), pid=os.getpid(), started="1")
    (library.path / "writer.lock").write_bytes(past.to_bytes())
    with library.writer(wait=0):
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 100, b"[]"])
def test_a_half_written_lock_heals(library: Library, content: bytes) -> None:
    (library.path / "writer.lock").write_bytes(content)
    lock = lock_of(library, stale=0.2)
    lock.acquire(wait=0)
    lock.release()


def test_a_writer_that_lost_the_lock_cannot_commit(library: Library) -> None:
    """A process that was suspended wakes up after another took over."""
    with library.writer() as sleeper:
        put(sleeper, slide("a"))
        (library.path / "writer.lock").write_bytes(ELSEWHERE.to_bytes())
        other = lock_of(library, stale=0.2)
        other.acquire(wait=0)
        with pytest.raises(LibraryLockedError, match="lost"):
            put(sleeper, slide("b"))
        assert [s.slide_id for s in library.slides()] == ["a"]
    assert (library.path / "writer.lock").exists()  # not ours to remove any more
    other.release()


def test_the_beat_goes_on_and_stops(library: Library) -> None:
    lock = lock_of(library, beat=0.02)
    lock.acquire()
    deadline = time.monotonic() + 20
    while (holder := holder_of(lock.path)) is None or holder.beats < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    size = lock.path.stat().st_size
    lock.release()
    assert size == len(ELSEWHERE.to_bytes())  # never grows: a beat needs no space
    assert not lock.path.exists()


def test_many_at_once_are_one_at_a_time(library: Library) -> None:
    """Threads with connections of their own race for a stale lock, again and again."""
    inside: list[int] = []
    overlaps: list[int] = []

    def compete(number: int) -> None:
        with contextlib.closing(Catalog(library.catalog.path, read_only=False)) as catalog:
            path = library.path / "writer.lock"
            for _ in range(3):
                lock = WriterLock(path, catalog, beat_seconds=0.05, stale_seconds=5)
                lock.acquire(wait=60)
                inside.append(number)
                if len(inside) != 1:
                    overlaps.append(number)
                time.sleep(0.005)
                inside.remove(number)
                lock.release()

    gone = replace(ELSEWHERE, space=host_id(), pid=2**22 + 1)
    (library.path / "writer.lock").write_bytes(gone.to_bytes())
    threads = [threading.Thread(target=compete, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == []
    assert not (library.path / "writer.lock").exists()
