"""Bytes of a file for several threads at once."""

from __future__ import annotations

import os
import threading

from pathsearch.errors import ReadFailedError


class FileBytes:
    """An open file, read at given places.

    Parameters
    ----------
    path : str
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115, PTH123  closed by close()
        self._lock = threading.Lock()
        self._size = os.fstat(self._file.fileno()).st_size

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes from `offset`.

        Raises
        ------
        ReadFailedError
            They reach beyond the file's end, or the disk fails.
        ValueError
            The file is closed.
        """
        if not 0 <= offset <= offset + count <= self._size:
            raise ReadFailedError(
                f"{self._path}: a tile lies beyond the file's end; the copy is not complete.",
                path=self._path,
                offset=offset,
            )
        try:
            data = self._read(offset, count)
        except OSError as error:
            raise ReadFailedError(
                f"{self._path}: cannot be read ({error.strerror or error}).", path=self._path
            ) from None
        if len(data) != count:
            raise ReadFailedError(
                f"{self._path}: ended early; is it still being written?", path=self._path
            )
        return data

    def _read(self, offset: int, count: int) -> bytes:
        if hasattr(os, "pread"):
            data = os.pread(self._file.fileno(), count, offset)
            if len(data) == count:
                return data
        # Windows has no pread; elsewhere a read may come back short.
        parts: list[bytes] = []
        missing = count
        with self._lock:
            self._file.seek(offset)
            while missing:
                part = self._file.read(missing)
                if not part:
                    break
                parts.append(part)
                missing -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the file; waits for no one: other threads' reads fail with ValueError."""
        self._file.close()
