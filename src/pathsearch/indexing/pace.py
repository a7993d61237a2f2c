"""How fast a run goes and how long it will take: the numbers of the progress display."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

#: Seconds and share of the work before a time left is ventured.
_SECONDS, _SHARE = 3.0, 0.005


class Pace:
    """Counts patches and bytes.

    Time left is told by the bytes of the slides: their patches are not known before they are
    opened.

    Parameters
    ----------
    to_do : mapping of slide id to int
        Bytes of each slide that has to be read.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(
        self, to_do: Mapping[str, int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sizes = {name: max(size, 1) for name, size in to_do.items()}
        self._all = sum(self._sizes.values())
        self._clock = clock
        self._began = clock()
        self._under_way: dict[str, tuple[int, float]] = {}
        self._patches = 0
        self._bytes = 0

    def patches(self, slide_id: str, done: int, total: int) -> None:
        """Patches of a slide under the magnification that is being cut."""
        before = self._under_way.get(slide_id, (0, 0.0))[0]
        # Another magnification begins again at few: what was done before stays counted
        self._patches += done - before if done >= before else done
        self._under_way[slide_id] = (done, done / max(total, 1))

    def ended(self, slide_id: str) -> None:
        """A slide is done."""
        self._under_way.pop(slide_id, None)
        self._bytes += self._sizes.pop(slide_id, 0)

    @property
    def rate(self) -> float:
        """Patches a second since the run began."""
        return self._patches / max(self._clock() - self._began, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all slides are done; None while too little is known."""
        seconds = self._clock() - self._began
        running = sum(
            share * self._sizes.get(name, 0) for name, (_, share) in self._under_way.items()
        )
        done = self._bytes + running
        if seconds < _SECONDS or done < _SHARE * self._all or not self._all:
            return None
        return seconds * (self._all - done) / done


def in_words(seconds: float) -> str:
    """A time as people say it: 40 s, 12 min, 3 h 20 min, 2 days 4 h."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"
