"""Bring a library of an older format version up to the current one."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pathsearch.errors import LibraryFormatError
from pathsearch.library.catalog import CATALOG_NAME, Catalog
from pathsearch.library.durable import absolute, write_file, writing_to
from pathsearch.library.header import FORMAT_VERSION, HEADER_NAME, read_raw_header
from pathsearch.library.lock import LOCK_NAME, WriterLock

#: Changes the tables, within a transaction, and gives back the changed header.
Step = Callable[[sqlite3.Connection, dict[str, Any]], dict[str, Any]]

#: From a version to the next. Format 1 is the first one.
STEPS: Mapping[int, Step] = {}


def migrate(
    path: Path | str, *, steps: Mapping[int, Step] | None = None, target: int = FORMAT_VERSION
) -> list[int]:
    """Bring a library up to date, one version after the other.

    Before each step the catalog and the header are copied to ``before-vN/``. A step that
    is killed is undone or, where only the header was still to be written, finished by
    the next call.

    Parameters
    ----------
    path : Path or str
        The library; it cannot be open in this version.
    steps : mapping, optional
        From a version to the change that leads to the next; the real ones by default.
    target : int
        The version to end at.

    Returns
    -------
    list of int
        The versions that were left behind; empty where there was nothing to do.

    Raises
    ------
    LibraryFormatError
        The library is newer than this version, or no step leads from its version.
    LibraryNotFoundError, LibraryCorruptError, LibraryLockedError
        As when opening and writing.
    """
    path = absolute(path)
    steps = STEPS if steps is None else steps
    version = read_raw_header(path)["format_version"]
    if version > target or any(v not in steps for v in range(version, target)):
        raise LibraryFormatError(
            f"{path}: written in library format {version}; this version brings formats "
            f"{min(steps, default=target)} to {target} up to date. Use another version of "
            "pathsearch.",
            path=str(path),
            version=version,
        )
    done: list[int] = []
    if version == target:
        return done
    with contextlib.closing(Catalog(path / CATALOG_NAME, read_only=False)) as catalog:
        lock = WriterLock(path / LOCK_NAME, catalog)
        lock.acquire()
        try:
            for number in range(version, target):
                _one(path, catalog, number, steps[number])
                done.append(number)
        finally:
            lock.release()
    return done


def _one(path: Path, catalog: Catalog, version: int, step: Step) -> None:
    header = read_raw_header(path)
    with writing_to(path):
        kept = path / f"before-v{version + 1}"
        if not kept.exists():
            kept.mkdir()
            catalog.backup_to(kept / CATALOG_NAME)
            write_file(kept / HEADER_NAME, _text(header))
        pending = path / f"tmp-migrated-v{version + 1}.json"
        if catalog.rows("PRAGMA user_version")[0][0] == version:
            with catalog.transaction() as connection:
                changed = step(connection, dict(header)) | {"format_version": version + 1}
                # Beside the catalog first: from here on, the new header can be found.
                write_file(pending, _text(changed))
                connection.execute(f"PRAGMA user_version = {version + 1}")
        write_file(path / HEADER_NAME, pending.read_bytes())
        pending.unlink()


def _text(header: dict[str, Any]) -> bytes:
    return (json.dumps(header, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
