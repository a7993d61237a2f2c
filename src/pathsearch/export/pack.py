"""A collection as a zip file that a colleague opens without the slides."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.export.files import write_csv, write_geojson, write_patches
from pathsearch.export.page import write_page
from pathsearch.export.records import Dossier

if TYPE_CHECKING:
    from pathsearch.library import Library

_READ_ME = """{title}

index.html          all places on one page; any browser opens it, no network is needed
places/             each place as a picture (PNG), with manifest.csv
surroundings/       each place with what is around it, and a scale bar
places.csv          the table{answers}
annotations/        for QuPath, where you have the slides: drop each file on its slide

Made with pathsearch. For research and teaching; not for diagnosis.
"""


def write_pack(path: Path, library: Library, dossier: Dossier, *, mpp: float | None = None) -> int:
    """Write the pack, whole or not at all.

    Parameters
    ----------
    path : Path
    library : Library
    dossier : Dossier
    mpp : float, optional
        µm per pixel of the places' pictures; without, as they were encoded; 0 is the slide's own.

    Returns
    -------
    int
        Bytes.
    """
    with tempfile.TemporaryDirectory(prefix="pathsearch-") as name:
        folder = Path(name)
        write_page(folder / "index.html", library, dossier)
        write_csv(folder / "places.csv", dossier)
        write_geojson(folder / "annotations", dossier)
        write_patches(folder / "places", library, dossier, mpp=mpp)
        coarse = 4 * max((i.mpp for i in dossier.items), default=1.0)
        write_patches(folder / "surroundings", library, dossier, mpp=coarse, times=6, bar=True)
        (folder / "README.txt").write_text(
            _READ_ME.format(
                title=dossier.title, answers="; it holds the answers" if dossier.quiz else ""
            ),
            encoding="utf-8",
        )
        building = path.with_name(f".{path.name}.new")
        try:
            with zipfile.ZipFile(building, "w", zipfile.ZIP_DEFLATED) as pack:
                for file in sorted(folder.rglob("*")):
                    if file.is_file():
                        pack.write(file, file.relative_to(folder).as_posix())
            building.replace(path)
        finally:
            building.unlink(missing_ok=True)
    return path.stat().st_size
