"""The reading process: opens slides and reads them for its parent, until that is gone.

Started as ``python -m pathsearch.indexing.isolate_child`` by `pathsearch.indexing.isolate`.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import signal
import threading
from typing import Any, BinaryIO

from pathsearch.indexing import isolate_wire as wire
from pathsearch.nouns import Batch, Slide


class _Child:
    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._requests = requests
        self._answers = answers
        self._sending = threading.Lock()
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._slides: dict[int, Slide] = {}
        self._opened = 0

    def send(self, message: object) -> None:
        with self._sending:
            wire.send(self._answers, message)

    def listen(self) -> None:
        """Fill the inbox; end the process, whatever it is doing, when the parent is gone."""
        while True:
            try:
                message = wire.receive(self._requests)
            except (EOFError, OSError):
                os._exit(0)
            self._inbox.put(message)

    def serve(self) -> None:
        while True:
            message = self._inbox.get()
            if isinstance(message, wire.Free | wire.Stop):  # of a stream that ended meanwhile
                continue
            try:
                answer = wire.Answer(self._handled(message))
            except Exception as error:  # noqa: BLE001  the parent raises it
                answer = wire.Answer(error=_portable(error))
            self.send(answer)

    def _handled(self, message: Any) -> Any:
        if isinstance(message, wire.Open):
            return self._open(message)
        slide = self._slides[message.number]
        if isinstance(message, wire.Read):
            return slide.read(*message.region)
        if isinstance(message, wire.Fingerprint):
            return slide.fingerprint
        if isinstance(message, wire.Stream):
            return self._stream(slide, message)
        assert isinstance(message, wire.Close)
        self._slides.pop(message.number).close()
        return None

    def _open(self, message: wire.Open) -> wire.Opened:
        from pathsearch.slides import open_slide
        from pathsearch.slides.described import SlideHead
        from pathsearch.slides.pyramid import PyramidSlide

        slide = open_slide(
            message.path, mpp=message.mpp, color=message.color, settings=message.settings
        )
        if isinstance(slide, PyramidSlide):
            slide.on_step = lambda: self.send(wire.Alive())
        self._opened += 1
        self._slides[self._opened] = slide
        head = SlideHead(
            message.path, slide.size, slide.mpp, slide.bounds, slide.levels, slide.info
        )
        return wire.Opened(self._opened, head)

    def _stream(self, slide: Slide, job: wire.Stream) -> None:
        from pathsearch.slides import stream_patches

        slots = [wire.attached(name) for name in job.slots]
        free = list(range(len(slots)))
        try:
            for batch in stream_patches(
                slide,
                job.xy,
                job.size_px,
                job.mpp,
                batch_size=job.batch_size,
                threads=job.threads,
                prefetch=job.prefetch,
            ):
                while not free:
                    message = self._inbox.get()
                    if isinstance(message, wire.Stop):
                        return
                    free.append(message.slot)
                slot = free.pop()
                _fill(slots[slot], batch, job.size_px)
                self.send(wire.Filled(slot, batch.first, len(batch.ok)))
        finally:
            for memory in slots:
                memory.close()


def _fill(memory: Any, batch: Batch, size_px: int) -> None:
    pixels, ok = wire.slot_arrays(memory, len(batch.ok), size_px)
    pixels[:] = batch.pixels
    ok[:] = batch.ok


def _portable(error: Exception) -> BaseException:
    """The error, or what it says where it does not survive pickling."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
    except Exception:  # noqa: BLE001
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class _ToParent(logging.Handler):
    """Log lines go to the parent's log."""

    def __init__(self, child: _Child) -> None:
        super().__init__(logging.WARNING)
        self._child = child

    def emit(self, record: logging.LogRecord) -> None:
        self._child.send(wire.Log(record.name, record.levelno, record.getMessage()))


def main() -> None:
    """Serve the parent on standard input and output."""
    # Ctrl-C reaches the whole group: the parent decides what becomes of this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a C library prints must not end up between the messages
    child = _Child(requests, answers)
    logging.getLogger().addHandler(_ToParent(child))
    threading.Thread(target=child.listen, daemon=True).start()
    child.send(wire.Answer())  # ready
    child.serve()


if __name__ == "__main__":
    main()
