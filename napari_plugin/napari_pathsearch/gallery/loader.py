"""Pictures for the gallery: loaded on threads, the view that was painted last first; kept."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject, Signal
from qtpy.QtGui import QImage

from pathsearch.errors import PathsearchError

_THREADS = 2
#: Older requests than these have been scrolled away; a card that is painted asks again.
_WAITING = 120
_KEPT_BYTES = 96 * 1024 * 1024

Job = Callable[[], tuple[npt.NDArray[np.uint8], bool]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What became of a request: a picture, or in `failed` why there is none."""

    image: QImage | None
    stand_in: bool = False
    failed: str = ""

    @property
    def size(self) -> int:
        """Bytes it holds."""
        return 256 if self.image is None else int(self.image.sizeInBytes())


class PictureLoader(QObject):
    """Loads pictures on a few threads and keeps them.

    `get` answers at once: with the picture, or with None, and then `ready` follows with the
    key. Nothing is decoded on the calling thread.
    """

    ready = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._kept: OrderedDict[Hashable, Loaded] = OrderedDict()
        self._bytes = 0
        #: A deque for each painting; the last painting's first request is served first
        self._waiting: list[deque[tuple[Hashable, Job]]] = []
        self._under_way: set[Hashable] = set()
        self._change = threading.Condition()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def begin(self) -> None:
        """A view is about to be painted: what it asks for comes before what others wait for."""
        with self._change:
            if not self._waiting or self._waiting[-1]:
                self._waiting.append(deque())

    def get(self, key: Hashable, job: Job) -> Loaded | None:
        """What is kept under a key; None where it is being loaded.

        Parameters
        ----------
        key : hashable
        job : callable
            Gives uint8 pixels (h, w, 3), and whether they only stand in; called on a thread.
        """
        with self._change:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            if self._stopped.is_set() or key in self._under_way:
                return None
            self._under_way.add(key)
            if not self._waiting:
                self._waiting.append(deque())
            self._waiting[-1].append((key, job))
            self._forget_old()
            self._start_threads()
            self._change.notify()
        return None

    def forget(self) -> None:
        """Drop what is kept and what waits: the slides have changed."""
        with self._change:
            self._kept.clear()
            self._bytes = 0
            for painting in self._waiting:
                self._under_way.difference_update(key for key, _ in painting)
            self._waiting.clear()

    def close(self) -> None:
        """Stop, and wait for the picture that is being read."""
        with self._change:
            self._stopped.set()
            self._waiting.clear()
            self._change.notify_all()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    @property
    def pending(self) -> int:
        """Pictures that wait or are being read."""
        with self._change:
            return len(self._under_way)

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """Those that read; never the GUI thread."""
        return tuple(self._threads)

    def _start_threads(self) -> None:
        if not self._threads:
            for number in range(_THREADS):
                name = f"pathsearch-pictures-{number}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _work(self) -> None:
        while True:
            with self._change:
                following = self._next()
                while following is None and not self._stopped.is_set():
                    self._change.wait()
                    following = self._next()
                if self._stopped.is_set() or following is None:
                    return
                key, job = following
            loaded = _load(job)
            with self._change:
                self._under_way.discard(key)
                if self._stopped.is_set():
                    return
                self._keep(key, loaded)
            self.ready.emit(key)

    def _next(self) -> tuple[Hashable, Job] | None:
        while self._waiting:
            if self._waiting[-1]:
                return self._waiting[-1].popleft()
            self._waiting.pop()
        return None

    def _forget_old(self) -> None:
        """Drop what was asked for longest ago: it has been scrolled away."""
        while sum(map(len, self._waiting)) > _WAITING:
            if self._waiting[0]:
                self._under_way.discard(self._waiting[0].pop()[0])
            else:
                self._waiting.pop(0)

    def _keep(self, key: Hashable, loaded: Loaded) -> None:
        self._kept[key] = loaded
        self._bytes += loaded.size
        while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].size


def _load(job: Job) -> Loaded:
    try:
        pixels, stand_in = job()
    except PathsearchError as error:
        return Loaded(None, failed=str(error))
    except Exception as error:  # noqa: BLE001  a picture that fails must not end its thread
        return Loaded(None, failed=f"{type(error).__name__}: {error}")
    return Loaded(to_image(pixels), stand_in)


def to_image(pixels: npt.NDArray[np.uint8]) -> QImage:
    """uint8 pixels (h, w, 3) as a QImage that owns its memory."""
    whole = np.ascontiguousarray(pixels)
    height, width = whole.shape[:2]
    view = QImage(whole.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    # 32 bits a pixel paint several times faster than 24
    return view.convertToFormat(QImage.Format.Format_RGB32)
