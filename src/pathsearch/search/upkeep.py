"""Indexes that are damaged or far behind are built again, beside the questions.

Questions are answered meanwhile: what the index does not give is compared patch by patch.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from pathsearch.errors import LibraryLockedError, LibraryReadOnlyError, PathsearchError
from pathsearch.search.build import IVF_FROM, UNCOVERED_SHARE, rebuild_index, uncovered_share
from pathsearch.search.pool import Pool

_LOG = logging.getLogger(__name__)


def wants_index(pool: Pool) -> bool:
    """Whether a new index is worth building now.

    It is where the files cannot be trusted, and where so much is not covered that each
    question pays for it; small libraries are compared patch by patch anyway.
    """
    if pool.damaged:
        return True
    uncovered = pool.size - pool.indexed
    return pool.size >= IVF_FROM and uncovered > UNCOVERED_SHARE * pool.size


def build_if_needed(path: Path, spec: str) -> bool:
    """Build the index of a spec again where it is damaged or behind.

    Returns
    -------
    bool
        False where nothing had to be done, or another process writes to the library, or
        nobody may.
    """
    from pathsearch.library import Library

    with Library.open(path) as library:
        if library.read_only or uncovered_share(library, spec) <= UNCOVERED_SHARE:
            return False
        try:
            with library.writer() as writer:
                rebuild_index(library, writer, spec)
        except (LibraryLockedError, LibraryReadOnlyError):
            return False
    return True


class Upkeep:
    """Builds indexes in a thread of its own, one at a time.

    Parameters
    ----------
    path : Path
        Of the library.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tried: set[str] = set()
        self._thread: threading.Thread | None = None

    def look_after(self, pool: Pool) -> None:
        """Start building where it is needed; a spec is tried once, then left alone."""
        if not wants_index(pool) or pool.spec in self._tried:
            return
        if self._thread is not None and self._thread.is_alive():
            return
        self._tried.add(pool.spec)
        self._thread = threading.Thread(
            target=self._build, args=(pool.spec,), name="pathsearch-index", daemon=True
        )
        self._thread.start()

    def wait(self, timeout: float | None = None) -> None:
        """Until what was started has ended, or for so many seconds."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _build(self, spec: str) -> None:
        try:
            if build_if_needed(self._path, spec):
                _LOG.info("index of %s built again", spec)
        except (PathsearchError, OSError) as error:  # the question was answered without it
            _LOG.warning("index of %s: %s", spec, error)
