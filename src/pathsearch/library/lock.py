"""The writer's lock: one writer a catalog, on any number of machines.

The file says who holds it, and a counter in it goes up every few seconds. A waiting
process judges by *seeing* the counter change, on its own monotonic clock: clocks of two
machines, and clocks that are set, play no part. A holder that died on the same machine
is known at once by its process id and start mark.

The file only tells who is alive. What makes two writers impossible is the catalog: the
holder's token is in it, is changed under SQLite's own lock, and is checked within every
transaction, so that a process that was suspended and lost the lock cannot commit.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import sqlite3
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pathsearch.errors import LibraryLockedError, LibraryReadOnlyError, LibraryWriteError
from pathsearch.library.catalog import Catalog, now
from pathsearch.library.durable import remove_file
from pathsearch.library.processes import host_id, host_name, is_alive, start_mark

log = logging.getLogger(__name__)

LOCK_NAME = "writer.lock"
#: Seconds between two beats, and without a seen beat until a holder is given up.
BEAT_SECONDS, STALE_SECONDS = 5.0, 60.0
#: The file always has this size: a beat needs no space on a full disk.
_SIZE = 1024
_POLL = 0.1


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock, as its file says.

    Attributes
    ----------
    host : str
        The machine's name.
    space : str
        Where the process id means something (`processes.host_id`).
    pid : int
    started : str
        The process's start mark.
    token : str
        Made anew at every acquisition.
    since : str
        ISO 8601, UTC; for people only.
    beats : int
    """

    host: str
    space: str
    pid: int
    started: str
    token: str
    since: str
    beats: int = 0

    def to_bytes(self) -> bytes:
        """The content of the file."""
        text = json.dumps(asdict(self), ensure_ascii=True)
        return text.encode("ascii").ljust(_SIZE - 1) + b"\n"

    @classmethod
    def of(cls, content: bytes) -> Holder | None:
        """The holder, or None where the file is half-written or foreign."""
        try:
            raw = json.loads(content)
            return cls(**{name: raw[name] for name in cls.__dataclass_fields__})
        except (ValueError, KeyError, TypeError):
            return None


class WriterLock:
    """The lock of one catalog.

    Parameters
    ----------
    path : Path
        The lock file.
    catalog : Catalog
        Whose writer's token is kept in its meta table.
    beat_seconds, stale_seconds : float
        How often to beat, and how long to look for a beat of another.
    """

    def __init__(
        self,
        path: Path,
        catalog: Catalog,
        *,
        beat_seconds: float = BEAT_SECONDS,
        stale_seconds: float = STALE_SECONDS,
    ) -> None:
        self.path = path
        self._catalog = catalog
        self._beat_seconds = beat_seconds
        self._stale_seconds = stale_seconds
        self._holder: Holder | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, wait: float = 0.0) -> None:
        """Take the lock.

        A holder that is seen to be alive is waited for `wait` seconds. One that is not
        seen to be alive is watched as long as it takes to judge it.

        Raises
        ------
        LibraryLockedError
            Another process writes; `host` and `pid` say which.
        """
        begun = seen_at = time.monotonic()
        seen: bytes | None = None
        beating = told = False
        while True:
            content = self._content()
            if content is None:
                if self._take(None):
                    return
                time.sleep(_POLL)
                continue
            if content != seen:
                beating = seen is not None and _same_holder(seen, content)
                seen, seen_at = content, time.monotonic()
            holder = Holder.of(content)
            life = _life(holder)
            if (life == "dead" or time.monotonic() - seen_at > self._stale_seconds) and (
                self._take(content)
            ):
                log.warning("%s: took over the lock of a writer that is gone", self.path)
                return
            if (life == "alive" or beating) and time.monotonic() - begun >= wait:
                raise _locked(self.path, holder)
            if not told:
                told = True
                log.info("%s: waiting for another writer", self.path)
            time.sleep(_POLL)

    def check(self, connection: sqlite3.Connection) -> None:
        """Within a transaction: raise LibraryLockedError unless the lock is still ours."""
        row = connection.execute("SELECT value FROM meta WHERE key = 'writer'").fetchone()
        if self._holder is None or row is None or row[0] != self._holder.token:
            raise LibraryLockedError(
                f"{self.path}: the lock was lost to another writer, because this process "
                "stood still too long; run again, what was committed is kept.",
                path=str(self.path),
                host=host_name(),
                pid=os.getpid(),
            )

    def release(self) -> None:
        """Give the lock back; a lock that was lost is left to its new holder."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        holder, self._holder = self._holder, None
        if holder is None:
            return
        content = self._content()
        current = Holder.of(content) if content else None
        if current is not None and current.token == holder.token:
            with contextlib.suppress(OSError):
                remove_file(self.path)

    def _content(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            return b""  # held for a moment by another (Windows), or a network fault

    def _take(self, judged: bytes | None) -> bool:
        """Make the file ours if it is still as judged; SQLite's lock keeps others out."""
        holder = Holder(
            host=host_name(),
            space=host_id(),
            pid=os.getpid(),
            started=start_mark(os.getpid()),
            token=secrets.token_hex(16),
            since=now(),
        )
        with self._catalog.transaction(counted=False) as connection:
            if self._content() != judged:
                return False
            try:
                if judged is not None:
                    remove_file(self.path)
                with self.path.open("xb", buffering=0) as file:
                    file.write(holder.to_bytes())
            except FileExistsError:
                return False
            except PermissionError:
                raise LibraryReadOnlyError(
                    f"{self.path}: cannot be written; check the folder's permissions.",
                    path=str(self.path),
                ) from None
            except OSError as error:
                raise LibraryWriteError(
                    f"{self.path}: cannot be written ({error.strerror}); free space and run again.",
                    path=str(self.path),
                ) from error
            connection.execute("UPDATE meta SET value = ? WHERE key = 'writer'", (holder.token,))
        self._holder = holder
        self._ended.clear()
        self._thread = threading.Thread(target=self._beat, name="pathsearch-lock", daemon=True)
        self._thread.start()
        return True

    def _beat(self) -> None:
        assert self._holder is not None
        holder = self._holder
        while not self._ended.wait(self._beat_seconds):
            holder = replace(holder, beats=holder.beats + 1)
            # A fault of the network is no reason to give up: the next beat tries again.
            with contextlib.suppress(OSError), self.path.open("r+b", buffering=0) as file:
                current = Holder.of(file.read())
                if current is None or current.token != holder.token:
                    return
                file.seek(0)
                file.write(holder.to_bytes())


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock file at `path`; None where there is none."""
    try:
        return Holder.of(path.read_bytes())
    except OSError:
        return None


def _same_holder(before: bytes, after: bytes) -> bool:
    first, second = Holder.of(before), Holder.of(after)
    return first is not None and second is not None and first.token == second.token


def _life(holder: Holder | None) -> str:
    """`alive` and `dead` are certain; `unknown` has to be watched."""
    if holder is None or holder.space != host_id():
        return "unknown"
    if not is_alive(holder.pid, holder.started):
        return "dead"
    return "alive" if holder.started else "unknown"


def _locked(path: Path, holder: Holder | None) -> LibraryLockedError:
    host = holder.host if holder else "another machine"
    pid = holder.pid if holder else 0
    since = f" since {holder.since}" if holder else ""
    return LibraryLockedError(
        f"{path.parent}: process {pid} on {host} is writing this library{since}; wait until it "
        "has ended, or end it.",
        path=str(path),
        host=host,
        pid=pid,
    )
