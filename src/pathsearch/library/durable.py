"""Files that are whole or absent, whatever happens to the process or the power.

POSIX and Windows differ in three ways that matter here: a folder can only be synced on
POSIX, syncing a file needs a writable handle on Windows, and on Windows replacing or
removing a file fails for a moment while a virus scanner or a reader holds it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pathsearch.errors import LibraryWriteError

#: Tries and pause (seconds) where another process holds a file for a moment.
_TRIES, _PAUSE = 20, 0.05


def absolute(path: Path | str) -> Path:
    """Absolute, without ``..``; links are kept, as the user named the place by them."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def is_within(path: Path, folder: Path) -> bool:
    """Whether an absolute path is a folder, or within it."""
    return path == folder or folder in path.parents


def token() -> str:
    """Eight random hex digits, for the names of temporary files."""
    return secrets.token_hex(4)


def sync_file(path: Path) -> None:
    """Force one file's content to the disk."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Force a folder's list of names to the disk; nothing to do on Windows."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems have no sync for folders; they sync on their own.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def sync_tree(path: Path) -> None:
    """Force every file below a folder, and the folders, to the disk."""
    for folder, _, names in os.walk(path, topdown=False):
        for name in names:
            sync_file(Path(folder, name))
        sync_folder(Path(folder))


def _patiently(action: Callable[[], None]) -> None:
    for attempt in range(_TRIES):
        try:
            action()
        except PermissionError:
            if os.name != "nt" or attempt == _TRIES - 1:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _replace(source: Path, target: Path) -> None:
    source.replace(target)


def move(source: Path, target: Path) -> None:
    """Rename within one file system, over an existing file if there is one."""
    _patiently(lambda: _replace(source, target))


def remove_file(path: Path) -> None:
    """Remove a file; it may be gone already."""
    _patiently(lambda: path.unlink(missing_ok=True))


def _make_writable(remove: Callable[[str], object], name: str, _error: object) -> None:
    # Windows refuses to remove what is marked read-only, e.g. a copy from a CD.
    with contextlib.suppress(OSError):
        Path(name).chmod(stat.S_IWRITE | stat.S_IREAD)
        remove(name)


def remove_tree(path: Path) -> None:
    """Remove a folder and all in it; it may be gone already.

    Raises
    ------
    LibraryWriteError
        Something of it could not be removed.
    """
    for attempt in range(_TRIES):
        if sys.version_info >= (3, 12):
            shutil.rmtree(path, onexc=_make_writable)
        else:
            shutil.rmtree(path, onerror=_make_writable)
        if not path.exists():
            return
        if os.name != "nt" and attempt:
            break
        time.sleep(_PAUSE)
    raise LibraryWriteError(
        f"{path}: cannot be removed; close what holds it open, check the folder's "
        "permissions, and run again.",
        path=str(path),
    )


def copy_tree(source: Path | str, target: Path) -> None:
    """Copy what the files below a folder hold; the target may be there.

    Stops at the first fault and raises it as it is: `shutil.copytree` gathers them under an
    error that does not say that the disk is full.
    """

    def fault(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(source, onerror=fault, followlinks=True):
        here = target / Path(folder).relative_to(source)
        here.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copyfile(Path(folder, name), here / name)


def write_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old or the new content, never a part."""
    temporary = path.with_name(f"tmp-{path.name}-{token()}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        move(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file, with the memory of a megabyte."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def digests_below(folder: Path) -> dict[str, str]:
    """Hex sha256 of every file below a folder, by its POSIX path in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


def size_of(path: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(folder, name).stat().st_size
    return total


@contextlib.contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turn an OSError of writing into one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            reason = "the disk is full; free space and run again, nothing is half-written"
        elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            reason = "the folder cannot be written; check its permissions"
        else:
            reason = f"writing failed ({error.strerror or error}); check the disk and run again"
        raise LibraryWriteError(f"{path}: {reason}.", path=str(path), errno=error.errno) from error
