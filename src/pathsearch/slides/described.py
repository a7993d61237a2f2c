"""What every open slide has besides its pixels: what is known of it, and closing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from pathsearch.nouns import Level, SlideInfo


@dataclass(frozen=True)
class SlideHead:
    """What is known of a slide when it is opened.

    Attributes
    ----------
    path : str
        The file, as it was opened.
    size : (int, int)
        Width and height in level-0 pixels.
    mpp : float
        µm per level-0 pixel.
    bounds : (int, int, int, int)
        x, y, width, height of the scanned part, level-0 pixels.
    levels : tuple of Level
        Finest first.
    info : SlideInfo
    """

    path: str
    size: tuple[int, int]
    mpp: float
    bounds: tuple[int, int, int, int]
    levels: tuple[Level, ...]
    info: SlideInfo


class DescribedSlide(ABC):
    """The part of `Slide` that is the same however the pixels are read.

    Subclasses add `fingerprint` and `read`, and what is to be done on closing.
    """

    def __init__(self, head: SlideHead) -> None:
        self._head = head
        self._closed = False

    @property
    def path(self) -> str:
        """The file, as it was opened."""
        return self._head.path

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in level-0 pixels."""
        return self._head.size

    @property
    def mpp(self) -> float:
        """µm per level-0 pixel."""
        return self._head.mpp

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """x, y, width, height of the part that was scanned, level-0 pixels."""
        return self._head.bounds

    @property
    def levels(self) -> tuple[Level, ...]:
        """The stored resolutions, finest first."""
        return self._head.levels

    @property
    def info(self) -> SlideInfo:
        """Vendor, scanner, objective and the reader in use."""
        return self._head.info

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of the content that decides the pixels; not of the file's name."""

    def check_open(self) -> None:
        """Raise ValueError on a closed slide."""
        if self._closed:
            raise ValueError(f"{self.path} is closed")

    def close(self) -> None:
        """Give the file back. Reading afterwards raises ValueError."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        width, height = self.size
        state = ", closed" if self._closed else ""
        return f"<{type(self).__name__} {self.path!r} {width} x {height}{state}>"
