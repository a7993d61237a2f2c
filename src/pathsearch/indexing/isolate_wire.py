"""What a reading process and its parent say to each other: framed pickles, shared memory.

Both ends are this program, on one machine, over pipes that nobody else can open.
"""

from __future__ import annotations

import pickle
import struct
import sys
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from pathsearch.config import SlideSettings
from pathsearch.slides.described import SlideHead

_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Open:
    """Open a slide; answered with `Opened`."""

    path: str
    mpp: float | None
    color: Literal["raw", "srgb"]
    settings: SlideSettings


@dataclass(frozen=True)
class Opened:
    """What is known of a slide that was opened, and its number in later requests."""

    number: int
    head: SlideHead


@dataclass(frozen=True)
class Read:
    """Read a region; answered with its pixels."""

    number: int
    region: tuple[float, float, int, int, float]


@dataclass(frozen=True)
class Fingerprint:
    """Answered with the hex digest."""

    number: int


@dataclass(frozen=True)
class Close:
    """Close a slide; answered with None."""

    number: int


@dataclass(frozen=True)
class Stream:
    """Stream patches; answered with a `Filled` for each batch, then with None."""

    number: int
    xy: npt.NDArray[np.int64]
    size_px: int
    mpp: float
    batch_size: int
    threads: int
    prefetch: int
    slots: tuple[str, ...]


@dataclass(frozen=True)
class Filled:
    """A batch lies in a slot."""

    slot: int
    first: int
    count: int


@dataclass(frozen=True)
class Free:
    """The parent has taken the batch out of a slot."""

    slot: int


@dataclass(frozen=True)
class Stop:
    """The parent wants no more of the stream."""


@dataclass(frozen=True)
class Answer:
    """The end of a request."""

    value: Any = None
    error: BaseException | None = None


@dataclass(frozen=True)
class Alive:
    """A long request goes on."""


@dataclass(frozen=True)
class Log:
    """A line for the parent's log."""

    logger: str
    level: int
    message: str


def send(pipe: BinaryIO, message: object) -> None:
    """Write one message."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def receive(pipe: BinaryIO) -> Any:
    """Read one message.

    Raises
    ------
    EOFError
        The other end is gone.
    """
    head = _exactly(pipe, _LENGTH.size)
    return pickle.loads(_exactly(pipe, _LENGTH.unpack(head)[0]))  # noqa: S301  our own process


def _exactly(pipe: BinaryIO, count: int) -> bytes:
    data = pipe.read(count)
    if len(data) != count:
        raise EOFError
    return data


def slot_bytes(batch_size: int, size_px: int) -> int:
    """Memory of one slot: the pixels of a batch, then a byte for each patch's `ok`."""
    return batch_size * size_px * size_px * 3 + batch_size


def slot_arrays(
    memory: SharedMemory, count: int, size_px: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """A batch's pixels (count, size, size, 3) and ok (count,) in a slot."""
    shape = (count, size_px, size_px, 3)
    pixels = np.ndarray(shape, np.uint8, buffer=memory.buf)
    ok = np.ndarray((count,), np.bool_, buffer=memory.buf, offset=pixels.nbytes)
    return pixels, ok


def attached(name: str) -> SharedMemory:
    """Memory that the parent made and will remove."""
    if sys.version_info >= (3, 13):
        return SharedMemory(name, track=False)
    memory = SharedMemory(name)
    if sys.platform != "win32":
        # Before 3.13 this end's tracker would remove the parent's memory when it ends.
        from multiprocessing import resource_tracker

        resource_tracker.unregister(f"/{memory.name.lstrip('/')}", "shared_memory")
    return memory
