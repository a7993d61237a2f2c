"""Which slide each file of features is of: by the manifest, else by name."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pathsearch.errors import FeaturesError, SlideIdClashError, UsageError
from pathsearch.indexing.manifest import ManifestRow
from pathsearch.indexing.sources import Source, find_sources
from pathsearch.maintenance.feature_files import HDF5_SUFFIXES, TORCH_SUFFIXES

if TYPE_CHECKING:
    from pathsearch.library import Library

#: Folders that CLAM puts its features in: no part of a slide's name.
_CLAM_FOLDERS = ("h5_files", "pt_files")
#: Columns of a manifest that are about the import, and no metadata.
_OWN = ("features", "width", "height")


@dataclass(frozen=True)
class Task:
    """One file of features, and the slide that it is of.

    Attributes
    ----------
    path : Path
        The features.
    source : Source
        The slide; its file may be missing. One without a root was never seen.
    size : tuple of int
        Width and height in level-0 pixels as the manifest states them; 0 where not.
    coords_path : Path or None
        Where its coordinates are, with ``--coords``.
    error : FeaturesError or None
        Why no slide could be told.
    """

    path: Path
    source: Source
    size: tuple[int, int] = (0, 0)
    coords_path: Path | None = None
    error: FeaturesError | None = None

    def stamp(self, *more: object) -> str:
        """What tells unchanged files without reading them, and `more` that matters."""
        parts = [str(value) for value in more]
        for path in (self.path, self.coords_path):
            if path is not None and path.exists():
                facts = path.stat()
                parts.append(f"{facts.st_size}:{facts.st_mtime_ns}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def find_tasks(
    features: Sequence[Path],
    *,
    slides: Sequence[Path] = (),
    manifest: Sequence[ManifestRow] = (),
    coords: Path | None = None,
    library: Library | None = None,
    mpp: float | None = None,
) -> list[Task]:
    """Pair files of features with slides.

    Parameters
    ----------
    features : sequence of Path
        Files, and folders of them.
    slides : sequence of Path
        Folders or files of slides.
    manifest : sequence of ManifestRow
        Its column ``features`` names the file of a slide; without it, the slide's name does.
    coords : Path, optional
        Folder of the files of coordinates.
    library : Library, optional
        Slides that it knows keep their ids.
    mpp : float, optional
        µm per level-0 pixel, for slides of which the manifest does not say it.

    Raises
    ------
    UsageError
        There is nothing to import, or a folder is missing.
    SlideIdClashError
        Two files would be of one slide.
    """
    files = _feature_files(features)
    if coords is not None and not coords.is_dir():
        raise UsageError(f"--coords {coords}: no such folder.")
    sources = find_sources(slides, manifest=manifest, library=library, mpp=mpp)
    known = _Known(sources, library, mpp)
    tasks = []
    for path, name in files:
        try:
            source = known.slide_of(path, name)
        except FeaturesError as error:
            tasks.append(Task(path, _unseen(name, mpp), error=error))
            continue
        row = source.row
        size = _size(row) if row is not None else (0, 0)
        tasks.append(
            Task(path, _without_own(source), size, _coords_of(coords, path, source.slide_id))
        )
    _refuse_twins(tasks)
    return sorted(tasks, key=lambda task: task.source.slide_id)


def _feature_files(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Files with their names: paths below the folder that was named, without ending."""
    found: dict[Path, str] = {}
    for path in paths:
        if path.is_dir():
            inside = _below(path, HDF5_SUFFIXES) or _below(path, TORCH_SUFFIXES)
            if not inside:
                raise UsageError(f"{path}: holds no .h5 or .pt files.")
            for file in inside:
                parts = [p for p in file.relative_to(path).parts if p not in _CLAM_FOLDERS]
                found.setdefault(file, PurePosixPath(*parts).with_suffix("").as_posix())
        elif not path.exists():
            raise UsageError(f"{path}: no such file or folder.")
        elif path.suffix.lower() not in HDF5_SUFFIXES + TORCH_SUFFIXES:
            raise UsageError(f"{path}: features come as .h5 or .pt files.")
        else:
            found.setdefault(path, path.stem)
    return list(found.items())


def _below(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def stem_of(name: str) -> str:
    """A slide's name without its ending, ``.ome.tif`` being one."""
    last = PurePosixPath(name).name
    for ending in (".ome.tiff", ".ome.tif"):
        if last.lower().endswith(ending):
            return last[: -len(ending)]
    return PurePosixPath(last).stem


class _Known:
    """Slides by every name that a file of features may give them."""

    def __init__(
        self, sources: Sequence[Source], library: Library | None, mpp: float | None
    ) -> None:
        self._mpp = mpp
        self._by_features: dict[str, list[Source]] = defaultdict(list)
        self._by_stem: dict[str, dict[str, Source]] = defaultdict(dict)
        for source in [*_of_library(library, mpp), *sources]:  # the later goes first
            named = source.row.metadata.get("features") if source.row else None
            if named:
                self._by_features[PurePosixPath(str(named).replace("\\", "/")).name].append(source)
                continue
            # A series of files (DICOM, MRXS) is called like its folder, too
            names = {stem_of(source.relative)}
            if len(source.files) > 1 and len(PurePosixPath(source.relative).parts) > 1:
                names.add(PurePosixPath(source.relative).parent.name)
            for stem in names:
                self._by_stem[stem][source.slide_id] = source

    def slide_of(self, path: Path, name: str) -> Source:
        """The slide of a file; one that was never seen where none fits."""
        fits = self._by_features.get(path.name, [])
        if len(fits) > 1:
            parts = path.as_posix()
            fits = [s for s in fits if s.row and parts.endswith(str(s.row.metadata["features"]))]
        if not fits:
            fits = list(self._by_stem.get(PurePosixPath(name).name, {}).values())
        if len(fits) > 1:
            fits = [s for s in fits if _same_place(s, name)] or fits
        if not fits:
            return _unseen(name, self._mpp)
        unseen, seen = ([s for s in fits if bool(s.root) is is_seen] for is_seen in (False, True))
        if len(seen) == len(unseen) == 1:  # imported without its file before: it keeps its id
            return replace(seen[0], slide_id=unseen[0].slide_id)
        if len(fits) > 1:
            ids = " and ".join(s.slide_id for s in fits[:3])
            raise FeaturesError(
                f"{path}: fits several slides ({ids}); give a --manifest with the columns "
                "path and features.",
                path=str(path),
            )
        return fits[0]


def _same_place(source: Source, name: str) -> bool:
    folder = PurePosixPath(source.relative).parent
    whole = (folder / stem_of(source.relative)).as_posix()
    return name in (whole, source.slide_id) or whole.endswith("/" + name)


def _of_library(library: Library | None, mpp: float | None) -> list[Source]:
    """The library's own slides, where it knows them to be."""
    if library is None:
        return []
    folders = library.root_folders()
    found = []
    for record in library.slides():
        root = folders.get(record.root)
        path = (root / record.path) if root is not None else Path(record.path)
        found.append(
            Source(
                slide_id=record.slide_id,
                path=path,
                files=(path,) if root is not None else (),
                root=record.root if root is not None else "",
                root_path=root or Path(),
                relative=record.path,
                case_id=record.case_id,
                mpp=mpp if mpp is not None else record.mpp,
                metadata=record.metadata,
            )
        )
    return found


def _unseen(name: str, mpp: float | None) -> Source:
    """A slide of which there is nothing but its features."""
    return Source(name, Path(name), (), "", Path(), name, mpp=mpp)


def _without_own(source: Source) -> Source:
    metadata = {k: v for k, v in source.metadata.items() if k not in _OWN}
    return replace(source, metadata=metadata)


def _size(row: ManifestRow) -> tuple[int, int]:
    numbers = [_whole(row.metadata, key) for key in ("width", "height")]
    if any(numbers) and not all(numbers):
        raise UsageError(f"line {row.line} of the manifest: give both width and height, in pixels.")
    return numbers[0], numbers[1]


def _whole(metadata: Mapping[str, object], key: str) -> int:
    value = metadata.get(key)
    return int(value) if isinstance(value, int | float) and value > 0 else 0


def _coords_of(folder: Path | None, features: Path, slide_id: str) -> Path | None:
    """The file of coordinates of a slide; FeaturesError is left to the one who needs it."""
    if folder is None:
        return None
    for stem in dict.fromkeys((features.stem, stem_of(slide_id))):
        for place in (folder, folder / "patches"):
            for name in (f"{stem}.h5", f"{stem}_patches.h5"):
                if (place / name).exists():
                    return place / name
    return folder / f"{features.stem}.h5"


def _refuse_twins(tasks: Sequence[Task]) -> None:
    seen: dict[str, Path] = {}
    for task in tasks:
        slide_id = task.source.slide_id
        if task.error is None and slide_id in seen:
            raise SlideIdClashError(
                f"{seen[slide_id]} and {task.path} would both be of the slide '{slide_id}'; "
                "name one of them, or give a --manifest with the columns path and features.",
                slide_id=slide_id,
            )
        if task.error is None:
            seen[slide_id] = task.path
