"""Which slides a run is about, and what they are called.

An id is the manifest's, else the path relative to its root in POSIX form. A root is the
folder that was named on the command line, or the folder of a file that was. Ids never come
from a file's stem: nested folders hold slides of one name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.errors import SlideIdClashError, UsageError
from pathsearch.indexing.drawn import Drawn
from pathsearch.indexing.manifest import ManifestRow, Value

if TYPE_CHECKING:
    from pathsearch.library import Library, SlideRecord
    from pathsearch.slides import FoundSlide


@dataclass(frozen=True)
class Source:
    """One slide to index.

    Attributes
    ----------
    slide_id : str
    path : Path
        The file to open.
    files : tuple of Path
        All files that belong to it.
    root : str
        Name of its root.
    root_path : Path
    relative : str
        POSIX path below the root.
    case_id : str
    mpp : float or None
        Overrides the file's.
    metadata : mapping
    row : ManifestRow or None
        The manifest's line on it.
    drawn : Drawn or None
        The user's own regions; None keeps those that the slide was indexed with.
    """

    slide_id: str
    path: Path
    files: tuple[Path, ...]
    root: str
    root_path: Path
    relative: str
    case_id: str = ""
    mpp: float | None = None
    metadata: Mapping[str, Value] = field(default_factory=dict)
    row: ManifestRow | None = None
    drawn: Drawn | None = None


@dataclass
class _Roots:
    """Names for the folders; those that the library has keep theirs."""

    known: dict[str, Path]
    prefixed: set[str]

    @classmethod
    def of(cls, library: Library | None) -> _Roots:
        if library is None:
            return cls({}, set())
        known = dict(library.root_folders())
        prefixed = {r.root for r in library.slides() if r.slide_id == f"{r.root}/{r.path}"}
        return cls(known, prefixed)

    def home(self, folder: Path, wanted: str | None) -> tuple[str, Path]:
        """The root that a folder belongs to; a new one where it has none."""
        for name, path in self.known.items():
            if folder == path or path in folder.parents:
                if wanted not in (None, name):
                    raise UsageError(
                        f"{folder} belongs to the root '{name}' already; leave --root-name out."
                    )
                return name, path
        for name, path in self.known.items():
            if folder in path.parents:
                raise SlideIdClashError(
                    f"{path} (root '{name}') lies inside {folder}: its slides would be indexed "
                    "twice. Name only one of them, or use a manifest with slide_id."
                )
        if wanted is not None:
            self._check_name(wanted)
            self.prefixed.add(wanted)
        name = wanted or self._free_name(folder.name or "root")
        self.known[name] = folder
        return name, folder

    def _check_name(self, name: str) -> None:
        if name in self.known:
            raise UsageError(f"--root-name {name}: {self.known[name]} has that name.")
        if not name or any(c in name for c in '/\\:*?"<>|\0') or name.startswith("."):
            raise UsageError(f"--root-name '{name}' cannot be used in an id.")

    def _free_name(self, base: str) -> str:
        name, count = base, 1
        while name in self.known:
            count += 1
            name = f"{base}-{count}"
        return name


def find_sources(
    paths: Sequence[Path | str],
    *,
    manifest: Sequence[ManifestRow] = (),
    library: Library | None = None,
    root_names: Sequence[str] = (),
    mpp: float | None = None,
) -> list[Source]:
    """The slides of some folders, files, globs and manifest rows, each once.

    Parameters
    ----------
    paths : sequence of Path or str
    manifest : sequence of ManifestRow
        Rows of slides under `paths` annotate them; others are added.
    library : Library, optional
        Slides and roots that it knows keep their ids.
    root_names : sequence of str
        One for each of `paths`: ids become ``NAME/relative``.
    mpp : float, optional
        Overrides every file's resolution, µm per level-0 pixel; the manifest goes first.

    Raises
    ------
    SlideIdClashError
        Two slides would get one id, or one slide two.
    UsageError
        The root names do not fit the paths.
    """
    from pathsearch.slides import find_slides

    if root_names and len(root_names) != len(paths):
        raise UsageError(
            f"{len(paths)} paths need {len(paths)} --root-name, not {len(root_names)}."
        )
    roots = _Roots.of(library)
    rows = {row.path: row for row in manifest}
    taken: dict[Path, Source] = {}
    for number, path in enumerate(paths):
        wanted = root_names[number] if root_names else None
        for found in find_slides([path]):
            _take(taken, found, rows, roots, wanted, mpp)
    for path in _not_among(rows, taken.values()):
        folder = path if path.is_dir() else path.parent
        for found in _of_row(path):
            _take(taken, found, {found.path: rows[path]}, roots, None, mpp, folder)
    sources = _with_what_is_known(list(taken.values()), library)
    _refuse_clashes(sources, library)
    return sorted(sources, key=lambda source: source.slide_id)


def failed_sources(library: Library, *, mpp: float | None = None) -> list[Source]:
    """The slides of a library that could not be indexed, where they are on this machine.

    Parameters
    ----------
    library : Library
    mpp : float, optional
        Overrides every file's resolution, µm per level-0 pixel.
    """
    from pathsearch.slides.discovery import files_of

    folders = library.root_folders()
    given = _given_mpp(library)
    found = []
    for record in library.slides("failed"):
        if record.root not in folders:  # imported without its file
            continue
        path = folders[record.root] / record.path
        found.append(
            Source(
                slide_id=record.slide_id,
                path=path,
                files=files_of(path) if path.is_file() else (path,),
                root=record.root,
                root_path=folders[record.root],
                relative=record.path,
                case_id=record.case_id,
                mpp=mpp or given.get(record.slide_id),
                metadata=record.metadata,
            )
        )
    return found


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  Path.resolve would follow links


def _of_row(path: Path) -> list[FoundSlide]:
    """The slide of a manifest row; a missing file is reported when it is opened."""
    from pathsearch.slides import FoundSlide, find_slides

    if not path.exists():
        return [FoundSlide(path=path, root=path.parent, files=(path,))]
    return find_slides([path])


def _not_among(rows: Mapping[Path, ManifestRow], sources: Iterable[Source]) -> list[Path]:
    """The paths of a manifest that none of the slides is made of."""
    if not rows:
        return []
    files = {place for s in sources for f in s.files for place in (f, f.resolve())}
    return [path for path in rows if path not in files]


def _row_of(
    path: Path, files: Sequence[Path], rows: Mapping[Path, ManifestRow]
) -> ManifestRow | None:
    """The manifest's line on a slide, by any of its files, its folder, or what they link to."""
    if not rows:  # resolving ten thousand paths takes seconds
        return None
    places = [p for file in (path, *files, path.parent) for p in (file, file.resolve())]
    return next((rows[place] for place in places if place in rows), None)


def _take(
    taken: dict[Path, Source],
    found: FoundSlide,
    rows: Mapping[Path, ManifestRow],
    roots: _Roots,
    wanted: str | None,
    mpp: float | None,
    folder: Path | None = None,
) -> None:
    # Not resolved: a link inside the root to a file outside it belongs to the root
    path = _absolute(found.path)
    if path in taken:
        return
    files = tuple(_absolute(file) for file in found.files)
    row = _row_of(path, files, rows)
    root, root_path = roots.home(_absolute(folder or found.root), wanted)
    relative = path.relative_to(root_path).as_posix()
    slide_id = f"{root}/{relative}" if root in roots.prefixed else relative
    taken[path] = Source(
        slide_id=(row.slide_id if row else "") or slide_id,
        path=path,
        files=files or (path,),
        root=root,
        root_path=root_path,
        relative=relative,
        case_id=row.case_id if row else "",
        mpp=row.mpp if row and row.mpp is not None else mpp,
        metadata=row.metadata if row else {},
        row=row,
    )


def _with_what_is_known(sources: Sequence[Source], library: Library | None) -> list[Source]:
    """Slides that the manifest does not name keep the id, case and metadata they have."""
    known: dict[tuple[str, str], SlideRecord] = {}
    if library is not None:
        known = {(r.root, r.path): r for r in library.slides() if r.status != "removed"}
    given = _given_mpp(library)
    answer = []
    for source in sources:
        record = known.get((source.root, source.relative))
        if record is None or (source.row is not None and source.row.slide_id):
            answer.append(source)
            continue
        kept = replace(source, slide_id=record.slide_id)
        if source.mpp is None:
            kept = replace(kept, mpp=given.get(record.slide_id))
        if source.row is None:
            kept = replace(kept, case_id=record.case_id, metadata=record.metadata)
        answer.append(kept)
    return answer


def _given_mpp(library: Library | None) -> dict[str, float]:
    """Resolutions that the user gave in an earlier run, by slide id; they still hold."""
    if library is None:
        return {}
    given = {s.slide_id: s.mpp for s in library.segments() if s.facts.get("mpp_given")}
    # Of a slide that was never opened nothing but the user's word is known
    failed = (r for r in library.slides("failed") if not r.width and r.mpp is not None)
    return given | {r.slide_id: r.mpp for r in failed if r.mpp is not None}


def _refuse_clashes(sources: Sequence[Source], library: Library | None) -> None:
    homes: dict[str, tuple[str, str]] = {}
    if library is not None:
        homes = {r.slide_id: (r.root, r.path) for r in library.slides() if r.status != "removed"}
    ids = {home: slide_id for slide_id, home in homes.items()}
    for source in sources:
        home = (source.root, source.relative)
        other = homes.get(source.slide_id)
        if other is not None and other != home:
            raise SlideIdClashError(
                f"'{source.slide_id}' would name two slides: {other[1]} of root '{other[0]}' and "
                f"{source.path}. Give --root-name for each folder, or a manifest with slide_id.",
                slide_id=source.slide_id,
            )
        known = ids.get(home)
        if known is not None and known != source.slide_id:
            raise SlideIdClashError(
                f"{source.path} is in the library as '{known}', not '{source.slide_id}'. Keep "
                "its id, or remove it first.",
                slide_id=known,
            )
        homes[source.slide_id] = home
        ids[home] = source.slide_id
