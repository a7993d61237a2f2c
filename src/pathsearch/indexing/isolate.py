"""Slides read in a child process that can be killed: a hang or a crash costs one slide.

C libraries that read slides can loop for ever or abort on damaged files, and no thread can stop
them. `SlideProcess` opens slides in a child process; what it hands out is a `Slide` like any
other, and `stream_patches` gets its batches through shared memory.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from pathsearch.config import SlideSettings
from pathsearch.errors import PathsearchError, SlideCrashedError, SlideTimeoutError
from pathsearch.indexing import isolate_wire as wire
from pathsearch.indexing.threads import CHILD_ENVIRONMENT
from pathsearch.nouns import Batch
from pathsearch.slides.described import DescribedSlide

#: Seconds that a healthy child may take to start: Python and the imports, on a slow disk.
_START = 120.0


class SlideProcess:
    """A child process that opens and reads slides, one request after the other.

    It serves any number of slides; after a fault it is gone, the slides opened in it with it,
    and the next `open_slide` starts another. Not for several threads at once, `kill` apart.

    Parameters
    ----------
    deadline : float
        Seconds without an answer (a batch, a region, an opened slide) until it is killed.
    """

    def __init__(self, deadline: float = 120.0) -> None:
        self._deadline = deadline
        self._child: _Connection | None = None
        self._killed = False

    def open_slide(
        self,
        path: Path | str,
        *,
        mpp: float | None = None,
        color: Literal["raw", "srgb"] = "raw",
        settings: SlideSettings | None = None,
    ) -> IsolatedSlide:
        """As `pathsearch.slides.open_slide`, in the child.

        Raises
        ------
        SlideError
            What opening it raises; SlideTimeoutError, SlideCrashedError.
        """
        if self._killed:
            raise SlideCrashedError(f"{path}: not read, the run was stopped.", path=str(path))
        if self._child is None or not self._child.alive:
            self._child = _Connection(self._deadline)
        request = wire.Open(str(path), mpp, color, settings or SlideSettings())
        opened: wire.Opened = self._child.ask(request, str(path))
        return IsolatedSlide(opened, self._child)

    def kill(self) -> None:
        """End the child from another thread: what is being read fails, and there is no next."""
        self._killed = True
        child = self._child
        if child is not None:
            child.end()

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class IsolatedSlide(DescribedSlide):
    """A `Slide` whose pixels are read by a child process."""

    def __init__(self, opened: wire.Opened, child: _Connection) -> None:
        super().__init__(opened.head)
        self._number = opened.number
        self._child = child
        self._fingerprint = ""

    @property
    def fingerprint(self) -> str:
        """Hex digest of the content that decides the pixels; not of the file's name."""
        if not self._fingerprint:
            self._fingerprint = self._ask(wire.Fingerprint(self._number))
        return self._fingerprint

    def read(self, x: float, y: float, w: int, h: int, mpp: float) -> npt.NDArray[np.uint8]:
        """Pixels of a region at a resolution; see `Slide.read`.

        Raises
        ------
        ResolutionTooCoarseError, ReadFailedError
        SlideTimeoutError, SlideCrashedError
            The child is gone, and this slide with it.
        """
        pixels: npt.NDArray[np.uint8] = self._ask(
            wire.Read(self._number, (float(x), float(y), int(w), int(h), float(mpp)))
        )
        return pixels

    def read_patches(
        self,
        xy: npt.NDArray[np.int64],
        size_px: int,
        mpp: float,
        *,
        batch_size: int,
        threads: int,
        prefetch: int,
    ) -> Iterator[Batch]:
        """As `pathsearch.slides.stream_patches`, which calls it.

        Raises
        ------
        SlideTimeoutError, SlideCrashedError
            The child is gone, and this slide with it.
        """
        self.check_open()
        slots = [
            SharedMemory(create=True, size=wire.slot_bytes(batch_size, size_px))
            for _ in range(prefetch + 2)
        ]
        try:
            job = wire.Stream(
                self._number, xy, size_px, mpp, batch_size, threads, prefetch,
                tuple(memory.name for memory in slots),
            )  # fmt: skip
            yield from self._batches(job, slots)
        finally:
            for memory in slots:
                memory.close()
                memory.unlink()

    def _batches(self, job: wire.Stream, slots: list[SharedMemory]) -> Iterator[Batch]:
        child = self._child
        stream = child.begin(job, self.path)
        try:
            while True:
                message = child.next(self.path)
                if isinstance(message, wire.Answer):
                    if message.error is not None:
                        raise message.error
                    return
                pixels, ok = wire.slot_arrays(slots[message.slot], message.count, job.size_px)
                batch = Batch(message.first, pixels.copy(), ok.copy())
                # Views hold the memory open: they go before the slot is written again.
                del pixels, ok
                child.tell(wire.Free(message.slot), self.path)
                yield batch
        finally:
            child.stop(self.path, stream)

    def _ask(self, request: object) -> Any:
        self.check_open()
        return self._child.ask(request, self.path)

    def close(self) -> None:
        """Give the file back. Reading afterwards raises ValueError."""
        if self._closed:
            return
        super().close()
        # A child that is gone has given the file back; an error here would hide the first one.
        with contextlib.suppress(SlideCrashedError, SlideTimeoutError):
            # A stream may be open still: the caller's own error is on its way through it.
            self._child.stop(self.path)
            if self._child.alive:
                self._child.ask(wire.Close(self._number), self.path)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            self._child.end()  # Ctrl-C: nobody waits for what the child is doing
        super().__exit__(kind, value, trace)


class _Connection:
    """A running child and the pipes to it; dead for good after a fault."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._busy = False
        self._requests = 0
        # A file and not a pipe: nobody has to read along, and a crash leaves its last words.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  closed by end()
        self._process = subprocess.Popen(
            # -P: files in the working directory must not stand in for modules.
            [sys.executable, "-P", "-m", "pathsearch.indexing.isolate_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, **CHILD_ENVIRONMENT},
        )
        threading.Thread(target=self._listen, daemon=True).start()
        self._await_start()

    def _await_start(self) -> None:
        try:
            message = self._inbox.get(timeout=_START)
        except queue.Empty:
            message = None
        if message is None:
            words = self._last_words()
            self.end()
            raise PathsearchError(
                f"The process that reads slides does not start ({words or 'no reason given'}); "
                "'pathsearch doctor' shows what is installed."
            )

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def _listen(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        while True:
            try:
                message = wire.receive(pipe)  # type: ignore[arg-type]
            except Exception:  # noqa: BLE001  the child is gone, however its last words end
                self._inbox.put(None)
                return
            if isinstance(message, wire.Log):
                logging.getLogger(message.logger).log(message.level, "%s", message.message)
            else:
                self._inbox.put(message)

    def ask(self, request: object, path: str) -> Any:
        """The answer to a request, or the error that it ended with."""
        self.begin(request, path)
        answer = self.next(path)
        if answer.error is not None:
            raise answer.error
        return answer.value

    def begin(self, request: object, path: str) -> int:
        """Send a request whose answers `next` gives; its number."""
        if self._busy:
            raise RuntimeError("the reading process is busy with another request")
        self.tell(request, path)
        self._busy = True
        self._requests += 1
        return self._requests

    def tell(self, message: object, path: str) -> None:
        """Send a message."""
        pipe = self._process.stdin
        assert pipe is not None
        try:
            wire.send(pipe, message)  # type: ignore[arg-type]
        except (OSError, ValueError):
            raise self._crashed(path) from None

    def next(self, path: str) -> Any:
        """The next message; no longer than the deadline is waited for it."""
        try:
            while isinstance(message := self._inbox.get(timeout=self._deadline), wire.Alive):
                pass
        except queue.Empty:
            self.end()
            raise SlideTimeoutError(
                f"{path}: reading made no progress for {self._deadline:g} s and was stopped; "
                "check the disk, or that the slide opens elsewhere, and run it again.",
                path=path,
                seconds=self._deadline,
            ) from None
        if message is None:
            raise self._crashed(path)
        if isinstance(message, wire.Answer):
            self._busy = False
        return message

    def stop(self, path: str, request: int | None = None) -> None:
        """Leave a stream, if it (or, without a number, any) still runs; drop what it sends."""
        if not self._busy or not self.alive or request not in {None, self._requests}:
            return
        self.tell(wire.Stop(), path)
        while not isinstance(message := self.next(path), wire.Answer):
            self.tell(wire.Free(message.slot), path)

    def _crashed(self, path: str) -> SlideCrashedError:
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:  # it closed its pipes but lives on
            self._process.kill()
            code = self._process.wait()
        words = self._last_words()
        self.end()
        cause = f"{_cause(code)}: {words}" if words else _cause(code)
        return SlideCrashedError(
            f"{path}: the process that read it died ({cause}); the file is probably "
            "damaged: copy it again, or leave it out.",
            path=path,
            exit_code=code,
        )

    def _last_words(self) -> str:
        """The last line on the child's standard error."""
        if self._stderr.closed:
            return ""
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def end(self) -> None:
        """Kill the child, whatever it does, and wait for it."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._busy = False
        for pipe in (self._process.stdin, self._process.stdout, self._stderr):
            with contextlib.suppress(OSError):  # unsent bytes of a child that is gone
                if pipe is not None:
                    pipe.close()


def _cause(code: int) -> str:
    if code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"
