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
#: Keys of such a layer's metadata: what it was drawn from; which outline stands out, with its
#: colour before.
_DRAWN, _OUTSTANDING = "pathsearch_drawn", "pathsearch_outstanding"
#: RGBA of the chosen match; widths in sides of a patch.
_CHOSEN = (0.0, 0.9, 1.0, 1.0)
_THIN, _THICK = 0.03, 0.045
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
    if layer is not None and here and layer.metadata[_DRAWN] == _drawn_as(here, matches):
        _highlight(layer, here, chosen)  # much quicker than another layer
        return layer
    if layer is not None:
        session.viewer.layers.remove(layer)
    if image is None or not here:
        return None
    active = session.viewer.layers.selection.active
    frame = session.frame(image)
    boxes = [match.footprint for match in here]
    centres = np.array([(b.x + b.width / 2, b.y + b.height / 2) for b in boxes])
    points = session.viewer.add_points(
        Frame.to_rows_columns(centres),
        size=np.array([float(max(b.width, b.height)) for b in boxes]),
        symbol="square",
        face_color="#00000000",
        border_color=_shades(here, matches),
        border_width=_THIN,
        border_width_is_relative=True,
        name=f"Matches: {session.name_of(slide)}",
        metadata={MATCHES: slide, _DRAWN: _drawn_as(here, matches), _OUTSTANDING: None},
        **frame.layer_arguments(),
    )
    points.editable = False
    _highlight(points, here, chosen)
    session.attach(points, slide)
    # What the user was doing goes on: marking, or looking
    session.viewer.layers.selection.active = active if active in session.viewer.layers else image
    return points


def _drawn_as(here: Sequence[Match], everything: Sequence[Match]) -> tuple[object, ...]:
    """What the outlines depend on: the matches, and the span of the colours."""
    return (tuple((m.key, m.score) for m in here), *_span(everything))


def _span(everything: Sequence[Match]) -> tuple[float, float]:
    scores = [match.score for match in everything]
    return min(scores), max(scores)


def _shades(here: Sequence[Match], everything: Sequence[Match]) -> list[str]:
    """A colour a match, by its score among all."""
    from pathsearch.export.heat_map import colours

    low, high = _span(everything)
    scores = np.array([match.score for match in here], np.float32)
    share = (scores - low) / max(high - low, 1e-6)
    shades = colours(_LEAST_SHADE + (1 - _LEAST_SHADE) * share)
    return ["#{:02x}{:02x}{:02x}".format(*shade) for shade in shades.tolist()]


def _highlight(layer: Points, here: Sequence[Match], chosen: PatchKey | None) -> None:
    """Let one outline stand out, and the one before no longer."""
    keys = [match.key for match in here]
    now = keys.index(chosen) if chosen in keys else None
    before = layer.metadata[_OUTSTANDING]
    if now == (before[0] if before is not None else None):
        return
    colours, widths = np.array(layer.border_color), np.array(layer.border_width)
    if before is not None:
        colours[before[0]], widths[before[0]] = before[1], _THIN
    layer.metadata[_OUTSTANDING] = None if now is None else (now, colours[now].copy())
    if now is not None:
        colours[now], widths[now] = _CHOSEN, _THICK
    layer.border_width = widths
    layer.border_color = colours


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
