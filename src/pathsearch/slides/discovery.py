"""Finding slides in folders: each slide once, whatever number of files it has."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pathsearch.errors import SlideNotFoundError
from pathsearch.slides.dicom_files import DicomHead, is_dicom, series_of, volume_of
from pathsearch.slides.formats import PICTURE_SUFFIXES, SLIDE_SUFFIXES

#: Folders that are libraries hold thumbnails, not slides.
_LIBRARY_SUFFIX = ".pathsearch"


@dataclass(frozen=True, slots=True)
class FoundSlide:
    """A slide on disk, not opened yet.

    Attributes
    ----------
    path : Path
        The file to open.
    root : Path
        The folder it was found under; of a file that was named, its parent.
    files : tuple of Path
        All files of the slide, `path` among them.
    """

    path: Path
    root: Path
    files: tuple[Path, ...]


def find_slides(paths: Sequence[Path | str], *, pictures: bool = False) -> list[FoundSlide]:
    """The slides that folders, files and globs name, each once.

    Folders are walked in sorted order; hidden files and folders and libraries are left out.
    A file with a slide's suffix is returned even if it is broken, so that opening it can say
    so. A file that is named itself is returned whatever its suffix.

    Parameters
    ----------
    paths : sequence of Path or str
        Patterns (``*``, ``?``, ``[...]``, ``**``) are expanded where no such file exists, since
        not every shell does it.
    pictures : bool
        Take PNG, JPEG and BMP files in folders for slides too (fields of view). They carry
        no resolution, so this goes with an mpp from the user.

    Returns
    -------
    list of FoundSlide
        In the order of `paths`, within a folder sorted by path.

    Raises
    ------
    SlideNotFoundError
        A path does not exist, or a pattern matches nothing.
    """
    suffixes = SLIDE_SUFFIXES | PICTURE_SUFFIXES if pictures else SLIDE_SUFFIXES
    found: list[FoundSlide] = []
    seen: set[Path] = set()
    for path in _expanded(paths):
        candidates = _walk(path, suffixes) if path.is_dir() else [path]
        root = path if path.is_dir() else path.parent
        for slide in _grouped(candidates, root):
            keys = {file.resolve() for file in slide.files}
            if not keys & seen:
                found.append(slide)
            seen |= keys
    return found


def files_of(path: Path) -> tuple[Path, ...]:
    """All files of the slide that `path` opens: a DICOM series, an MRXS with its folder.

    Parameters
    ----------
    path : Path
        An existing file.

    Returns
    -------
    tuple of Path, sorted, `path` among them
    """
    suffix = path.suffix.lower()
    if is_dicom(path):
        return tuple(head.path for head in series_of(path))
    others: list[Path] = []
    if suffix == ".mrxs":
        folder = path.with_suffix("")
        others = [file for file in folder.iterdir() if file.is_file()] if folder.is_dir() else []
    elif suffix in {".vms", ".vmu"}:
        others = _named_in(path)
    return tuple(sorted({path, *others}))


def _named_in(path: Path) -> list[Path]:
    """Files beside a Hamamatsu VMS or VMU that its lines name."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    names = {line.partition("=")[2].strip() for line in lines if "=" in line}
    return [path.parent / name for name in names if name and (path.parent / name).is_file()]


def _expanded(paths: Sequence[Path | str]) -> Iterator[Path]:
    for given in paths:
        path = Path(given)
        if path.exists():
            yield path
            continue
        matches = _matches(given)
        if not matches:
            what = "matches no file" if _is_pattern(given) else "there is no such file or folder"
            raise SlideNotFoundError(f"{given}: {what}.", path=str(given))
        yield from (Path(match) for match in matches)


def _matches(pattern: Path | str) -> list[str]:
    # Path.glob takes no absolute pattern.
    return sorted(glob.glob(str(pattern), recursive=True))  # noqa: PTH207


def _is_pattern(path: Path | str) -> bool:
    return any(sign in str(path) for sign in "*?[")


def _walk(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    files: list[Path] = []
    visited: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in visited:  # a link that leads back
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and not name.lower().endswith(_LIBRARY_SUFFIX)
        )
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and _is_slide_file(path, suffixes):
                files.append(path)
    return sorted(files)


def _is_slide_file(path: Path, suffixes: frozenset[str]) -> bool:
    suffix = path.suffix.lower()
    if suffix in suffixes:
        return path.is_file()
    # Archives export DICOM files without a suffix, or with a part of their UID for one.
    return (not suffix or suffix[1:].isdigit()) and path.is_file() and is_dicom(path)


def _grouped(paths: Sequence[Path], root: Path) -> Iterator[FoundSlide]:
    done: set[Path] = set()
    cache: dict[Path, list[DicomHead]] = {}
    for path in paths:
        if path in done:
            continue
        if is_dicom(path):
            heads = series_of(path, cache)
            done |= {head.path for head in heads}
            yield FoundSlide(volume_of(heads), root, tuple(head.path for head in heads))
        else:
            yield FoundSlide(path, root, _files_or_itself(path))


def _files_or_itself(path: Path) -> tuple[Path, ...]:
    try:
        return files_of(path)
    except OSError:  # opening it will say what is wrong
        return (path,)
