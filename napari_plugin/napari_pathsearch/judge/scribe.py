"""Writes verdicts as they happen, one after the other, away from the GUI thread; no Qt.

Each call of the store has committed when it returns. What waits here is what was judged in the
last moments; `close` writes all of it before it returns.
"""

from __future__ import annotations

import atexit
import queue
import threading
from collections.abc import Callable
from typing import Any

from pathsearch.errors import PathsearchError

Failed = Callable[[str], None]

#: Seconds that closing waits for a share that does not answer.
_PATIENCE_S = 30.0


class Scribe:
    """A thread that runs jobs in order.

    Parameters
    ----------
    failed : callable
        Takes one line where a job fails; called on the thread.
    """

    def __init__(self, failed: Failed) -> None:
        self._failed = failed
        self._jobs: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it stopped; the end of the program stops it too."""
        return self._closed

    def do(self, job: Callable[[], Any]) -> None:
        """Run a job after those before it."""
        if self._closed:
            raise RuntimeError("the scribe is closed")
        if self._thread is None:
            # A daemon, so that a share that hangs keeps no program alive; what waits is
            # written all the same when the program ends
            self._thread = threading.Thread(
                target=self._work, name="pathsearch-scribe", daemon=True
            )
            atexit.register(self.close)
            self._thread.start()
        self._jobs.put(job)

    def flush(self) -> None:
        """Wait until everything so far is written."""
        if self._thread is None or not self._thread.is_alive():
            return
        done = threading.Event()
        self._jobs.put(done.set)
        done.wait()

    def close(self) -> None:
        """Write what waits, then stop."""
        self._closed = True
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(_PATIENCE_S)
            self._thread = None
            atexit.unregister(self.close)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except PathsearchError as error:
                self._failed(str(error))
            except Exception as error:  # noqa: BLE001  a verdict that fails must not end the thread
                self._failed(
                    f"What you did last could not be kept ({type(error).__name__}: {error})."
                )
