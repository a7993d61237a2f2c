"""Slides read ahead, several at once, while the caller encodes and writes.

Each worker is a thread with a child process that reads (`pathsearch.indexing.isolate`). What
they read goes through one queue of a few batches: a reader that is ahead waits, so memory does
not grow with the number or the size of slides.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

from pathsearch.config import IndexSettings, SlideSettings
from pathsearch.errors import PathsearchError, SlideError
from pathsearch.indexing import threads
from pathsearch.indexing.isolate import SlideProcess
from pathsearch.indexing.reading import Ended, Event, Opener, Stored, Task, TaskReader

#: Events that wait for the writer: this many, and as many again for each reader.
_WAITING = 2
_POLL = 0.5


class _Stopped(Exception):  # noqa: N818  no error: nobody wants what is being read
    pass


@contextlib.contextmanager
def slide_opener(
    settings: SlideSettings, begun: Callable[[SlideProcess], None] | None = None
) -> Iterator[Opener]:
    """How slides are opened: in a child process, unless the settings say otherwise.

    `begun` is told of the child, so that another thread can end it.
    """
    if not settings.isolate:
        from pathsearch.slides import open_slide

        yield open_slide
        return
    with SlideProcess(settings.deadline_s) as process:
        if begun is not None:
            begun(process)
        yield process.open_slide


class Readers:
    """The events of many slides; those of one slide in their order. A context manager.

    Parameters
    ----------
    tasks : sequence of Task
        Begun in this order.
    settings : IndexSettings
    stored : Stored
        Called from the readers' threads.
    """

    def __init__(self, tasks: Sequence[Task], settings: IndexSettings, stored: Stored) -> None:
        self._settings = settings
        self._stored = stored
        self._count = len(tasks)
        self._tasks = iter(list(enumerate(tasks)))
        self._next = threading.Lock()
        self._stop = threading.Event()
        self._processes: list[SlideProcess] = []
        many = min(threads.workers(settings), max(1, len(tasks)))
        self._queue: queue.Queue[tuple[int, Event | BaseException]] = queue.Queue(
            _WAITING * (1 + many)
        )
        self._threads = [
            threading.Thread(target=self._work, name=f"pathsearch-reader-{n}", daemon=True)
            for n in range(many)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if kind is not None:
            for process in list(self._processes):
                process.kill()  # a reader that waits for its child would not see the flag
        for thread in self._threads:
            thread.join()

    def __iter__(self) -> Iterator[tuple[int, Event]]:
        """Pairs of a task's position and an event, until every task has ended.

        Raises
        ------
        PathsearchError, MemoryError
            Not the fault of one slide: every further one would fail too.
        """
        left = self._count
        while left:
            try:
                number, event = self._queue.get(timeout=_POLL)
            except queue.Empty:  # a wait without an end cannot be interrupted on Windows
                continue
            if isinstance(event, BaseException):
                raise event
            left -= isinstance(event, Ended)
            yield number, event

    def _work(self) -> None:
        """What each reader's thread does."""
        number = 0
        try:
            with slide_opener(self._settings.slides, self._processes.append) as opener:
                reader = TaskReader(
                    opener, self._settings, threads.decoders(self._settings), self._stored
                )
                while (found := self._taken()) is not None:
                    number, task = found
                    self._read(reader, number, task)
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001  the caller raises it
            with contextlib.suppress(_Stopped):
                self._put(number, error)

    def _taken(self) -> tuple[int, Task] | None:
        with self._next:
            return None if self._stop.is_set() else next(self._tasks, None)

    def _read(self, reader: TaskReader, number: int, task: Task) -> None:
        try:
            with contextlib.closing(reader.events(task)) as events:  # type: ignore[type-var]
                for event in events:
                    self._put(number, event)
        except _Stopped:
            raise
        except SlideError as error:
            self._put(number, Ended(error))
        except (PathsearchError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001  one odd slide must not end a week's run
            self._put(number, Ended(error))
        else:
            self._put(number, Ended())

    def _put(self, number: int, event: Event | BaseException) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put((number, event), timeout=_POLL)
            except queue.Full:
                continue
            return
        raise _Stopped
