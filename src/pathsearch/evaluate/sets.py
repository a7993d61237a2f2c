"""The three ways in: pictures, places on slides, and what a library holds."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pathsearch.errors import UsageError
from pathsearch.evaluate.measuring import Evaluation, Options, measure, measure_vectors
from pathsearch.evaluate.sources import PictureSource, RegionSource
from pathsearch.evaluate.tables import RegionTable, read_labels, read_regions
from pathsearch.nouns import Encoder

if TYPE_CHECKING:
    from pathsearch.library import Library

__all__ = [
    "evaluate",
    "evaluate_library",
    "evaluate_regions",
    "measure_labels",
    "measure_library",
    "measure_regions",
    "picture_source",
    "region_source",
]

_log = logging.getLogger(__name__)


def evaluate(
    labels_csv: Path | str, encoder: Encoder, options: Options | None = None
) -> dict[str, Any]:
    """How well `encoder` finds pictures of the same label in other groups.

    Parameters
    ----------
    labels_csv : Path or str
        Columns ``path`` (relative to the table), ``label``, ``group`` (case, slide, source).
    encoder : Encoder
    options : Options, optional

    Returns
    -------
    dict
        ``{"n", "classes": {label: {...}}, "acc1", "mmv5", "p5", "map5", "floors": {"random",
        "mean_colour", "histogram": the same figures}, ...}``: fractions 0..1, averaged over
        classes with equal weight, items of the query's own group excluded. The formulas are
        in `pathsearch.metrics`; further keys in `Evaluation.to_json`.

    Raises
    ------
    UsageError
        The table does not fit, or nothing can be measured with it.
    SlideError
        A picture is missing or cannot be read.
    """
    return measure_labels(labels_csv, encoder, options).to_json()


def evaluate_regions(
    regions_csv: Path | str,
    encoder: Encoder,
    options: Options | None = None,
    *,
    mpp: float | None = None,
) -> dict[str, Any]:
    """The same for places on slides, which lie beside the table.

    Parameters
    ----------
    regions_csv : Path or str
        Columns ``slide``, ``x``, ``y`` (centres, level-0 pixels), ``label``; the own slide is
        excluded, or the own ``group`` where there is such a column.
    encoder : Encoder
    options : Options, optional
    mpp : float, optional
        µm per pixel of the patches; by default 0.5, or the nearest that the encoder was
        trained on.

    Returns
    -------
    dict
        As `evaluate`.
    """
    return measure_regions(regions_csv, encoder, options, mpp=mpp).to_json()


def evaluate_library(
    library: Library, regions_csv: Path | str, *, spec: str = "", seed: int = 0
) -> dict[str, Any]:
    """The same from the vectors that a library holds; nothing is encoded.

    Parameters
    ----------
    library : Library
    regions_csv : Path or str
        As for `evaluate_regions`; ``slide`` is an id in the library, or the end of one.
    spec : str
        Which tile spec; may be empty where the library has one.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        As `evaluate`, without floors.
    """
    return measure_library(library, regions_csv, spec=spec, seed=seed).to_json()


def picture_source(labels_csv: Path | str) -> PictureSource:
    """The pictures of a table."""
    return PictureSource(read_labels(labels_csv))


def region_source(
    regions_csv: Path | str, encoder: Encoder, *, mpp: float | None = None
) -> RegionSource:
    """The patches centred on the places of a table, as `encoder` wants them."""
    low, high = encoder.mpp_range
    if mpp is None:
        mpp = min(max(0.5, low), high)
    table = read_regions(regions_csv)
    return RegionSource(table, Path(regions_csv).parent, size_px=encoder.input_px, mpp=mpp)


def measure_labels(
    labels_csv: Path | str, encoder: Encoder, options: Options | None = None
) -> Evaluation:
    """As `evaluate`, with the neighbours of every query kept."""
    return measure(picture_source(labels_csv), encoder, options)


def measure_regions(
    regions_csv: Path | str,
    encoder: Encoder,
    options: Options | None = None,
    *,
    mpp: float | None = None,
) -> Evaluation:
    """As `evaluate_regions`, with the neighbours of every query kept."""
    source = region_source(regions_csv, encoder, mpp=mpp)
    evaluation = measure(source, encoder, options)
    low, high = encoder.mpp_range
    if source.mpp is not None and not 0.8 * low <= source.mpp <= 1.25 * high:
        note = (
            f"{encoder.name} was trained at {low:g} to {high:g} µm per pixel; these patches have "
            f"{source.mpp:g}."
        )
        return replace(evaluation, notes=(*evaluation.notes, note))
    return evaluation


def measure_library(
    library: Library, regions_csv: Path | str, *, spec: str = "", seed: int = 0
) -> Evaluation:
    """As `evaluate_library`, with the neighbours of every query kept."""
    table = read_regions(regions_csv)
    name = _spec(library, spec)
    ids = _slide_ids(library, table, name)
    vectors = np.zeros((len(table.labels), library.encoder.dim), dtype=np.float32)
    found = np.zeros(len(table.labels), dtype=bool)
    for segment in library.segments(name, include_empty=False):
        rows = np.flatnonzero(ids == segment.slide_id)
        if not len(rows):
            continue
        arrays = library.read_segment(segment)
        patch = _patch_at(arrays.coords, segment.footprint, table.xy[rows])
        hit = patch >= 0
        vectors[rows[hit]] = (
            arrays.vectors[patch[hit]].astype(np.float32) / arrays.norms[patch[hit], None]
        )
        found[rows[hit]] = True
    if found.sum() < 2:
        raise UsageError(
            f"{regions_csv}: no two of its {len(found)} places lie on patches of {library.path}; "
            "are the coordinates level-0 pixels?"
        )
    options = Options(seed=seed, floors=False)
    evaluation = measure_vectors(
        table.labels[found],
        table.groups[found],
        {"": vectors[found]},
        library.encoder.name,
        options,
    )
    lost = int((~found).sum())
    if not lost:
        return evaluation
    note = f"{lost} of {len(found)} places lie on no patch of the library, and are left out."
    return replace(evaluation, notes=(*evaluation.notes, note))


def _spec(library: Library, spec: str) -> str:
    names = list(library.specs)
    if not spec and len(names) == 1:
        return names[0]
    if spec not in names:
        raise UsageError(f"{library.path}: name one of its specs with --spec: {', '.join(names)}.")
    return spec


def _slide_ids(library: Library, table: RegionTable, spec: str) -> npt.NDArray[np.str_]:
    """The library's id of each row's slide: the same, or the one that ends with it."""
    known = [segment.slide_id for segment in library.segments(spec)]
    ids = {}
    for name in np.unique(table.slides).tolist():
        parts = PurePosixPath(name.replace("\\", "/")).parts
        ends = [i for i in known if i == name or PurePosixPath(i).parts[-len(parts) :] == parts]
        exact = [i for i in ends if i == name]
        if len(exact or ends) != 1:
            what = f"is in the library {len(ends)} times" if ends else "is not in the library"
            raise UsageError(
                f"{name}: {what} at {spec}; 'pathsearch list {library.path}' shows the ids."
            )
        ids[name] = (exact or ends)[0]
    return np.array([ids[str(name)] for name in table.slides])


def _patch_at(
    coords: npt.NDArray[np.int64], footprint: int, xy: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Row of the patch that holds each place, the one centred nearest; -1 for none."""
    from scipy.spatial import cKDTree

    centres = coords + footprint / 2
    # In the maximum norm, a square patch is the ball around its centre.
    distance, row = cKDTree(centres).query(xy, p=np.inf)
    return np.where(distance <= footprint / 2, row, -1).astype(np.int64)
