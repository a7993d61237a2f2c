"""A dossier as tables, annotations, folders of patches, contact sheets. ``docs/exports.md``."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathsearch.errors import ExtraMissingError, ReviewError
from pathsearch.export.pictures import Pictures, with_scale_bar
from pathsearch.export.records import Dossier, Item
from pathsearch.export.tables import safe_cell

if TYPE_CHECKING:
    from PIL.Image import Image

    from pathsearch.library import Library

#: Columns of CSV and Parquet, with their Parquet types; ``docs/exports.md`` explains each.
COLUMNS: dict[str, str] = {
    "number": "int64",
    "round": "int64",
    "rank": "int64",
    "control": "bool",
    "slide_id": "string",
    "case_id": "string",
    "spec": "string",
    "x": "int64",
    "y": "int64",
    "width": "int64",
    "height": "int64",
    "mpp": "float64",
    "score": "float64",
    "percentile": "float64",
    "decision": "string",
    "label": "string",
    "note": "string",
    "reviewer": "string",
    "judged_at": "string",
    "blinded": "bool",
}
#: Class names of QuPath annotations, and their colours (Okabe and Ito, 2008).
_CLASSES = {
    "accept": ("similar tissue: accepted", [0, 158, 115]),
    "reject": ("similar tissue: rejected", [213, 94, 0]),
    "unsure": ("similar tissue: unsure", [230, 159, 0]),
    "": ("similar tissue", [0, 114, 178]),
}
#: Longer side of an exported picture, pixels; larger ones would fill a disk by mistake.
LARGEST = 8192


def rows_of(dossier: Dossier) -> list[dict[str, Any]]:
    """One row an item: `COLUMNS`, then the metadata as ``meta.NAME``; None where unknown."""
    rows = []
    for item in dossier.items:
        box = item.footprint
        place = {"x": box.x, "y": box.y, "width": box.width, "height": box.height}
        row = {name: place.get(name, getattr(item, name, None)) for name in COLUMNS}
        row |= {f"meta.{name}": item.metadata.get(name) for name in dossier.columns}
        rows.append(row)
    return rows


def write_csv(path: Path, dossier: Dossier) -> None:
    """One line an item; cells that a spreadsheet would take for a formula get an apostrophe."""
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow([*COLUMNS, *(safe_cell(f"meta.{name}") for name in dossier.columns)])
    for row in rows_of(dossier):
        writer.writerow(["" if value is None else safe_cell(value) for value in row.values()])
    path.write_text(held.getvalue(), encoding="utf-8")


def write_parquet(path: Path, dossier: Dossier) -> None:
    """The same table, typed; metadata columns are text.

    Raises
    ------
    ExtraMissingError
        pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ExtraMissingError(
            "Parquet needs pyarrow: pip install 'napari-pathsearch[parquet]'.", extra="parquet"
        ) from None
    rows = rows_of(dossier)
    fields = [pa.field(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()]
    fields += [pa.field(f"meta.{name}", pa.string()) for name in dossier.columns]
    for row in rows:
        for name in dossier.columns:
            value = row[f"meta.{name}"]
            row[f"meta.{name}"] = None if value is None else str(value)
    facts = {"pathsearch.title": dossier.title, **dossier.facts}
    schema = pa.schema(fields, metadata=facts)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def write_geojson(target: Path, dossier: Dossier) -> list[Path]:
    """One file of annotations a slide, as QuPath 0.5 and later open them.

    Parameters
    ----------
    target : Path
        A folder: files named after their slides go into it. A name that ends in ``.geojson``
        or ``.json``: that very file where all places are of one slide; else files beside it,
        ``NAME.SLIDE.geojson``, since annotations of two slides on one would be wrong.
    dossier : Dossier

    Returns
    -------
    list of Path
        The files.
    """
    slides: dict[str, list[Item]] = defaultdict(list)
    for item in dossier.items:
        slides[item.slide_id].append(item)
    names = file_names(list(slides))
    one = target.suffix.lower() in (".geojson", ".json")
    folder, start = (target.parent, f"{target.stem}.") if one else (target, "")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for slide_id, items in slides.items():
        path = folder / f"{start}{names[slide_id]}.geojson"
        path = target if one and len(slides) == 1 else path
        found = {"type": "FeatureCollection", "features": [_feature(item) for item in items]}
        path.write_text(json.dumps(found, ensure_ascii=False, allow_nan=False), encoding="utf-8")
        written.append(path)
    return written


def _feature(item: Item) -> dict[str, Any]:
    box = item.footprint
    right, bottom = box.x + box.width, box.y + box.height
    ring = [[box.x, box.y], [right, box.y], [right, bottom], [box.x, bottom], [box.x, box.y]]
    name, colour = _CLASSES[item.decision]
    if item.label:
        # QuPath refuses names of several lines
        name = " ".join(item.label.split())
    measurements = {
        "rank": item.rank or None,
        "round": item.round or None,
        "score": item.score,
        "percentile": item.percentile,
    }
    properties: dict[str, Any] = {
        "objectType": "annotation",
        "name": f"match {item.number}" if item.rank else f"place {item.number}",
        "classification": {"name": name, "color": colour},
        "measurements": {k: v for k, v in measurements.items() if v is not None},
        "isLocked": False,
        "metadata": {
            key: value
            for key, value in (
                ("slide_id", item.slide_id),
                ("case_id", item.case_id),
                ("decision", item.decision),
                ("reviewer", item.reviewer),
                # Where QuPath keeps an annotation's description
                ("ANNOTATION_DESCRIPTION", item.note),
            )
            if value
        },
    }
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def file_names(names: Sequence[str]) -> dict[str, str]:
    """File names that no slide id can escape from or collide in, and that people can read."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:100] or "slide"
        unique, number = plain, 2
        while unique.casefold() in taken:
            unique, number = f"{plain}-{number}", number + 1
        taken.add(unique.casefold())
        found[name] = unique
    return found


def write_patches(
    folder: Path,
    library: Library,
    dossier: Dossier,
    *,
    mpp: float | None = None,
    times: float = 1.0,
    bar: bool = False,
) -> tuple[int, dict[str, str]]:
    """Places as PNG files, a folder a slide, with ``manifest.csv``.

    Parameters
    ----------
    folder : Path
        Made where it is missing; nothing in it is removed.
    library : Library
    dossier : Dossier
    mpp : float, optional
        µm per pixel of the pictures; without, the resolution at which the place was encoded.
        0 is the slide's own.
    times : float
        Side of the picture in sides of the place: above 1 it shows the surroundings.
    bar : bool
        Draw a scale bar.

    Returns
    -------
    written : int
    missing : dict of str to str
        Slides that are not at hand, as they are written, and why.

    Raises
    ------
    ReviewError
        A picture would have more than 8,192 pixels a side.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = file_names(list(dict.fromkeys(item.slide_id for item in dossier.items)))
    rows: list[list[Any]] = []
    missing: dict[str, str] = {}
    with Pictures(library) as pictures:
        for item in sorted(dossier.items, key=lambda i: (i.source, i.number)):
            wanted = resolution_of(library, item, mpp)
            side = max(1, round(item.footprint.width * times * item.mpp / wanted))
            if side > LARGEST:
                raise ReviewError(
                    f"a picture would be {side} pixels wide, more than {LARGEST}: ask for a "
                    "coarser resolution."
                )
            picture, _ = pictures.around(item.source, item.footprint, times=times, side=side)
            if picture is None:
                missing[item.slide_id] = "its slide is not at hand"
                continue
            if bar:
                picture = with_scale_bar(picture, wanted)
            inside = f"{names[item.slide_id]}/{item.number:04d}.png"
            (folder / inside).parent.mkdir(exist_ok=True)
            picture.save(folder / inside, "PNG")
            rows.append([inside, f"{wanted:g}", side])
    _write_manifest(folder / "manifest.csv", dossier, rows)
    return len(rows), missing


def resolution_of(library: Library, item: Item, mpp: float | None) -> float:
    """µm per pixel of a picture: as asked, the slide's own for 0, that of the spec for None."""
    if mpp is None:
        spec = library.specs.get(item.spec)
        return spec.mpp if spec is not None else item.mpp
    return mpp or item.mpp


def _write_manifest(path: Path, dossier: Dossier, rows: Sequence[Sequence[Any]]) -> None:
    told = {int(Path(row[0]).stem): row for row in rows}
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(
        ["file", "picture_mpp", "picture_px", *COLUMNS, *(f"meta.{n}" for n in dossier.columns)]
    )
    for row in rows_of(dossier):
        if row["number"] in told:
            cells = ["" if value is None else safe_cell(value) for value in row.values()]
            writer.writerow([*told[row["number"]], *cells])
    path.write_text(held.getvalue(), encoding="utf-8")


def write_sheet(path: Path, library: Library, dossier: Dossier, *, columns: int = 5) -> int:
    """A contact sheet: PNG, or a PDF of A4 pages; the ending of the name decides.

    Returns
    -------
    int
        Pages.
    """
    from pathsearch.export.contact_sheet import sheet_of_items

    rows = 6 if path.suffix.lower() == ".pdf" else len(dossier.items)
    each = columns * rows
    pages: list[Image] = []
    with Pictures(library) as pictures:
        for start in range(0, max(1, len(dossier.items)), max(1, each)):
            items = dossier.items[start : start + each]
            title = dossier.title if start == 0 else f"{dossier.title} ({start // each + 1})"
            pages.append(sheet_of_items(pictures, items, title=title, columns=columns))
    if path.suffix.lower() == ".pdf":
        # 8.27 inches wide, as A4 is
        dpi = pages[0].width / 8.27
        first, *others = pages
        first.save(
            path, "PDF", save_all=True, append_images=others, resolution=dpi, title=dossier.title
        )
    else:
        pages[0].save(path, "PNG")
    return len(pages)
