"""Work off the GUI thread: lanes of threads, and answers that come back on the GUI thread."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from qtpy.QtCore import QObject, Qt, Signal

log = logging.getLogger(__name__)

Lane = Literal["search", "files", "pictures"]
#: Threads of a lane. One searches (a `Searcher` is not for several); one opens and lists.
LANES: dict[Lane, int] = {"search": 1, "files": 1, "pictures": 2}
#: Seconds that closing waits for what is running.
PATIENCE = 5.0


class Cancelled(Exception):  # noqa: N818  not an error
    """Raised inside a job by `Job.check` once it was cancelled."""


@dataclass(eq=False)
class Job:
    """One piece of work.

    Attributes
    ----------
    lane : str
    cancelled : bool
        Its answer is not wanted any more.
    finished : bool
        `done`, `failed` or `cancelled` was called.
    """

    lane: Lane
    work: Callable[[Job], Any]
    on: dict[str, Callable[..., None] | None] = field(default_factory=dict)
    cancelled: bool = False
    finished: bool = False
    _send: Callable[[Job, str, Any], None] | None = None

    def check(self) -> None:
        """Raise `Cancelled` if the job was; call it now and then in long work."""
        if self.cancelled:
            raise Cancelled

    def progress(self, value: Any) -> None:
        """Pass a value to the `progress` callback, on the GUI thread."""
        if self._send is not None and not self.cancelled:
            self._send(self, "progress", value)

    def cancel(self) -> None:
        """Drop its answer; `cancelled` is called once, on the GUI thread."""
        if self.cancelled or self.finished:
            return
        self.cancelled = True
        if self._send is not None:
            self._send(self, "cancelled", None)


class Jobs(QObject):
    """Runs functions in threads. Made and called on the GUI thread.

    The threads are daemons: a read that hangs never keeps the program from ending.
    """

    #: The number of jobs that wait or run, after a change.
    busy_changed = Signal(int)
    _reported = Signal(object, str, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._queues: dict[Lane, queue.Queue[Job | None]] = {lane: queue.Queue() for lane in LANES}
        self._threads: list[threading.Thread] = []
        self._pending: set[Job] = set()
        self._closed = False
        self._reported.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def run(
        self,
        work: Callable[[Job], Any],
        *,
        lane: Lane = "files",
        done: Callable[[Any], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
        cancelled: Callable[[], None] | None = None,
        progress: Callable[[Any], None] | None = None,
    ) -> Job:
        """Call ``work(job)`` in a thread of a lane; callbacks come on the GUI thread.

        Exactly one of `done`, `failed`, `cancelled` is called, unless the jobs are closed
        before: then none is.
        """
        on = {"done": done, "failed": failed, "cancelled": cancelled, "progress": progress}
        job = Job(lane, work, on, _send=self._send)
        if self._closed:
            job.cancelled = True
            return job
        self._start_threads()
        self._pending.add(job)
        self._queues[lane].put(job)
        self.busy_changed.emit(len(self._pending))
        return job

    @property
    def running(self) -> int:
        """Jobs that wait or run."""
        return len(self._pending)

    def cancel_all(self, lane: Lane | None = None) -> None:
        """Cancel the jobs of a lane, or all."""
        for job in list(self._pending):
            if lane in (None, job.lane):
                job.cancel()

    def close(self) -> None:
        """Cancel everything; wait a little for what runs. No callback is called any more."""
        if self._closed:
            return
        self._closed = True
        for job in self._pending:
            job.cancelled = True
        self._pending.clear()
        for lane, count in LANES.items():
            for _ in range(count if self._threads else 0):
                self._queues[lane].put(None)
        for thread in self._threads:
            thread.join(PATIENCE)

    def _start_threads(self) -> None:
        if self._threads:
            return
        for lane, count in LANES.items():
            for number in range(count):
                thread = threading.Thread(
                    target=self._work,
                    args=(self._queues[lane],),
                    name=f"pathsearch-{lane}-{number}",
                    daemon=True,
                )
                thread.start()
                self._threads.append(thread)

    def _work(self, jobs: queue.Queue[Job | None]) -> None:
        while (job := jobs.get()) is not None:
            if job.cancelled:
                continue
            try:
                answer = job.work(job)
            except Cancelled:
                job.cancel()
            except Exception as error:  # noqa: BLE001  it is shown, whatever it is
                self._send(job, "failed", error)
            else:
                self._send(job, "done", answer)

    def _send(self, job: Job, kind: str, value: Any) -> None:
        if self._closed:
            return
        try:
            self._reported.emit(job, kind, value)
        except RuntimeError:  # the window went while the job ran
            log.debug("a job ended after its window")

    def _deliver(self, job: Job, kind: str, value: Any) -> None:
        if self._closed or job.finished or (job.cancelled and kind != "cancelled"):
            return
        if kind != "progress":
            job.finished = True
            self._pending.discard(job)
            self.busy_changed.emit(len(self._pending))
        callback = job.on.get(kind)
        if callback is None:
            if kind == "failed":
                log.warning("A job failed and nobody asked: %s", value)
            return
        if kind == "cancelled":
            callback()
        else:
            callback(value)
