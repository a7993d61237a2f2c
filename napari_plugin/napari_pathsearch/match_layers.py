"""What lies on an open slide: the matches in it, and how similar it is to the question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_pathsearch.frames import Frame
from pathsearch.nouns import Match, PatchKey

if TYPE_CHECKING:
    from napari.layers import Image, Points

    from napari_pathsearch.session import Session
    from pathsearch.search.maps import SimilarityMap

MATCHES, MAP = "pathsearch_matches", "pathsearch_map"
_CHOSEN = "#00e5ff"
_OPACITY = 0.55
#: Where the scores' colours begin: the dark end of the scale cannot be seen on stained nuclei.
_LEAST_SHADE = 0.45


def show_matches(
    session: Session, slide: str, matches: Sequence[Match], chosen: PatchKey | None
) -> Points | None:
    """Outline the matches in an open slide, coloured by score; the chosen one stands out.

    Parameters
    ----------
    session : Session
    slide : str
    matches : sequence of Match
        Of any slides; the colours span all of them.
    chosen : PatchKey or None

    Returns
    -------
    napari.layers.Points or None
        None where the slide is not open, or has no match.
    """
    image = session.layer_of(slide)
    layer = _of(session, MATCHES, slide)
    here = [match for match in matches if match.key.slide_id == slide]
    if image is None or not here:
        if layer is not None:
            session.viewer.layers.remove(layer)
        return None
    here.sort(key=lambda match: match.key == chosen)  # drawn last, so that it is whole
    centres, sizes, borders, widths = _drawn(here, matches, chosen)
    if layer is not None:
        session.viewer.layers.remove(layer)
    active = session.viewer.layers.selection.active
    frame = session.frame(image)
    points = session.viewer.add_points(
        Frame.to_rows_columns(centres),
        size=sizes,
        symbol="square",
        face_color="#00000000",
        border_color=borders,
        border_width=widths,
        border_width_is_relative=True,
        name=f"Matches: {session.name_of(slide)}",
        metadata={MATCHES: slide},
        **frame.layer_arguments(),
    )
    points.editable = False
    session.attach(points, slide)
    # What the user was doing goes on: marking, or looking
    session.viewer.layers.selection.active = active if active in session.viewer.layers else image
    return points


def _drawn(
    here: Sequence[Match], everything: Sequence[Match], chosen: PatchKey | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], list[str], npt.NDArray[np.float64]]:
    from pathsearch.export.heat_map import colours

    scores = np.array([match.score for match in here], np.float32)
    spread = [match.score for match in everything]
    low, high = min(spread), max(spread)
    share = (scores - low) / max(high - low, 1e-6)
    shades = colours(_LEAST_SHADE + (1 - _LEAST_SHADE) * share)
    borders = ["#{:02x}{:02x}{:02x}".format(*shade) for shade in shades.tolist()]
    boxes = [match.footprint for match in here]
    centres = np.array([(b.x + b.width / 2, b.y + b.height / 2) for b in boxes])
    sizes = np.array([float(max(b.width, b.height)) for b in boxes])
    widths = np.full(len(here), 0.03)
    for number, match in enumerate(here):
        if match.key == chosen:
            borders[number], widths[number] = _CHOSEN, 0.045
    return centres, sizes, borders, widths


def remove_matches(session: Session) -> None:
    """Take the outlines of matches from all slides."""
    for layer in [x for x in session.viewer.layers if MATCHES in x.metadata]:
        session.viewer.layers.remove(layer)


def show_map(session: Session, found: SimilarityMap, threshold: float) -> Image | None:
    """Lay a similarity map over its slide; one pixel a patch.

    Parameters
    ----------
    session : Session
    found : SimilarityMap
    threshold : float
        Share of the slide's tissue that is left out, 0..1: the least similar first.
    """
    image = session.layer_of(found.slide_id)
    if image is None:
        return None
    pixels = map_rgba(found.values, threshold)
    layer = _of(session, MAP, found.slide_id)
    if layer is not None and layer.data.shape == pixels.shape:
        layer.data = pixels
        return layer
    if layer is not None:
        session.viewer.layers.remove(layer)
    frame = session.frame(image)
    arguments = frame.layer_arguments()
    middle = (found.origin[0] + found.footprint / 2, found.origin[1] + found.footprint / 2)
    arguments["translate"] = tuple(frame.to_world([middle])[0])
    arguments["scale"] = tuple(np.asarray(image.scale) * found.step)
    active = session.viewer.layers.selection.active
    shown = session.viewer.add_image(
        pixels,
        rgb=True,
        opacity=_OPACITY,
        interpolation2d="nearest",
        name=f"Similarity: {session.name_of(found.slide_id)}",
        metadata={MAP: found.slide_id},
        **arguments,
    )
    session.attach(shown, found.slide_id)
    _put_above(session, image, shown)
    session.viewer.layers.selection.active = active
    return shown


def remove_maps(session: Session) -> None:
    """Take the maps from all slides."""
    for layer in [x for x in session.viewer.layers if MAP in x.metadata]:
        session.viewer.layers.remove(layer)


def map_rgba(values: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.uint8]:
    """A map as uint8 (rows, columns, 4): clear where there is no patch or too little likeness.

    The colours run from the slide's 2nd to its 98th percentile, as in `pathsearch map`.
    """
    from pathsearch.export.heat_map import colours

    there = np.isfinite(values)
    known = values[there]
    low, high = np.percentile(known, [2, 98]) if len(known) else (0.0, 1.0)
    shades = colours(((values - low) / max(high - low, 1e-6)).astype(np.float32))
    least = np.quantile(known, threshold) if len(known) else 0.0
    seen = there & (np.nan_to_num(values, nan=-2.0) >= least)
    alpha = np.where(seen, 255, 0).astype(np.uint8)
    return np.concatenate([shades, alpha[..., None]], axis=-1)


def _of(session: Session, tag: str, slide: str):  # type: ignore[no-untyped-def]
    found = [x for x in session.viewer.layers if x.metadata.get(tag) == slide]
    return found[0] if found else None


def _put_above(session: Session, image: Image, layer: Image) -> None:
    """Below the marks and the outlines, so that they can be seen and drawn."""
    layers = session.viewer.layers
    layers.move(layers.index(layer), layers.index(image) + 1)


def rename(session: Session) -> None:
    """Call the layers as the names are shown or hidden."""
    for layer in session.viewer.layers:
        for tag in (MATCHES, MAP):
            if tag in layer.metadata:
                what = layer.name.split(":")[0]
                layer.name = f"{what}: {session.name_of(layer.metadata[tag])}"
