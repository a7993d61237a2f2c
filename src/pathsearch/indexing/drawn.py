"""The user's own regions, and which slide each file of them belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from pathsearch.errors import UsageError

if TYPE_CHECKING:
    from pathsearch.indexing.sources import Source
    from pathsearch.tiling import Regions

Mode = Literal["replace", "restrict"]
#: Instead of a file: take the regions back.
NONE = "none"
ENDINGS = (".geojson", ".json")
#: Most names that a message lists.
_LISTED = 5


@dataclass(frozen=True)
class Drawn:
    """What decides which patches of a slide are taken, as the user asked for it.

    Attributes
    ----------
    regions : Regions or None
        None: the tissue alone, said with ``--regions none``.
    mode : {'replace', 'restrict'}
    """

    regions: Regions | None
    mode: Mode = "replace"

    @property
    def token(self) -> str:
        """What enters a segment's key: ``MODE:DIGEST``; empty without regions."""
        if self.regions is None:
            return ""
        if not self.regions.digest:
            raise ValueError("regions for indexing need a digest: read them from GeoJSON")
        return f"{self.mode}:{self.regions.digest}"


def with_regions(
    sources: Sequence[Source], path: Path, mode: Mode = "replace"
) -> tuple[list[Source], list[str]]:
    """Give slides the regions that were drawn on them.

    One file goes with one slide. In a folder, a slide's file is called by the slide's id, or by
    its file name, each with or without the slide's own ending, and with .geojson or .json behind:
    ``sub/a.svs`` has ``sub/a.svs.geojson``, ``sub/a.geojson``, ``a.svs.geojson`` or ``a.geojson``
    (paths below the folder), the first of these that is there.

    Parameters
    ----------
    sources : sequence of Source
    path : Path
        A GeoJSON file, a folder of them, or the word ``none``.
    mode : {'replace', 'restrict'}

    Returns
    -------
    sources : list of Source
        In the same order. A slide that has no file is as it was given.
    notes : list of str
        Files that no slide of this run has, and slides without a file.

    Raises
    ------
    UsageError
        A file is not GeoJSON, or could belong to two slides; there is no file, or none that
        belongs to a slide.
    """
    from pathsearch.tiling import load_regions

    if str(path) == NONE:
        return [replace(source, drawn=Drawn(None)) for source in sources], []
    if not path.exists():
        raise UsageError(f"{path}: there is no such file or folder.", path=str(path))
    if not path.is_dir():
        if len(sources) != 1:
            raise UsageError(
                f"{path} is one file, and there are {len(sources)} slides: name one slide, or "
                "a folder with a GeoJSON file for each.",
                path=str(path),
            )
        return [replace(sources[0], drawn=Drawn(load_regions(path), mode))], []
    files = _files(path)
    chosen = _chosen(sources, files)
    if not chosen:
        raise UsageError(
            f"{path}: none of its files ({_some(list(files))}) has the name of a slide; call them "
            "by the slide's id or file name, as in 'a.svs.geojson'.",
            path=str(path),
        )
    drawn = {name: Drawn(load_regions(files[name]), mode) for name in chosen.values()}
    answer = [
        replace(source, drawn=drawn[chosen[source.slide_id]])
        if source.slide_id in chosen
        else source
        for source in sources
    ]
    return answer, _notes(sources, files, chosen)


def _files(folder: Path) -> dict[str, Path]:
    """GeoJSON files below a folder, by their POSIX path in it."""
    found = {
        file.relative_to(folder).as_posix(): file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in ENDINGS and file.is_file() and not file.name.startswith(".")
    }
    if not found:
        raise UsageError(f"{folder}: holds no GeoJSON file.", path=str(folder))
    return found


def _chosen(sources: Sequence[Source], files: dict[str, Path]) -> dict[str, str]:
    """The file of each slide that has one, by slide id; the surer name goes first."""
    names: dict[str, str] = {}
    for name in files:
        stem = str(PurePosixPath(name).with_suffix(""))
        if stem in names:
            raise UsageError(f"{names[stem]} and {name} are for one slide: leave one out.")
        names[stem] = name
    stems = {source.slide_id: _stems(source) for source in sources}
    chosen: dict[str, str] = {}
    taken: set[str] = set()
    for rank in range(4):
        claims: dict[str, str] = {}
        for slide_id, wanted in stems.items():
            name = names.get(wanted[rank], "")
            if not name or slide_id in chosen or name in taken:
                continue
            if name in claims:
                raise UsageError(
                    f"{name} could belong to {claims[name]} or to {slide_id}: call it by the "
                    f"slide's id, as in '{slide_id}.geojson'."
                )
            claims[name] = slide_id
        chosen |= {slide_id: name for name, slide_id in claims.items()}
        taken |= set(claims)
    return chosen


def _stems(source: Source) -> tuple[str, str, str, str]:
    """What a slide's file of regions may be called, without its ending; the surest first."""
    file = PurePosixPath(source.relative)
    # An id of the manifest's own, "S12.3", has no ending.
    short = source.slide_id.removesuffix(file.suffix)
    return source.slide_id, short, file.name, file.stem


def _notes(sources: Sequence[Source], files: dict[str, Path], chosen: dict[str, str]) -> list[str]:
    notes = []
    taken = set(chosen.values())
    spare = [name for name in files if name not in taken]
    if spare:
        notes.append(f"Files of regions that fit no slide of this run: {_some(spare)}.")
    without = [s.slide_id for s in sources if s.slide_id not in chosen]
    if without:
        notes.append(f"Slides without a file of regions: {_some(without)}.")
    return notes


def _some(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
