"""Whether a vector stays where it is when its patch is turned, mirrored or re-stained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pathsearch.evaluate.judging import KEPT, K, Strings
from pathsearch.evaluate.sources import PatchSource
from pathsearch.metrics import nearest_of_queries, query_figures, summary
from pathsearch.nouns import Encoder

__all__ = ["RESTAININGS", "TURNS", "restain", "rotation_stability", "stain_robustness"]

Pixels = npt.NDArray[np.uint8]

#: Patches that are asked again; drawn evenly by chance where there are more.
MOST_QUERIES = 400

#: Optical densities of hematoxylin, eosin and the rest (Ruifrok and Johnston 2001).
_STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
_STAINS = _STAINS / np.linalg.norm(_STAINS, axis=1, keepdims=True)

#: Name to factors on the amounts of hematoxylin and eosin.
RESTAININGS = {
    "paler": (0.7, 0.7),
    "darker": (1.35, 1.35),
    "more hematoxylin": (1.3, 0.75),
    "more eosin": (0.75, 1.3),
}


def _turns() -> dict[str, Callable[[Pixels], Pixels]]:
    def turned(quarter: int, mirror: bool) -> Callable[[Pixels], Pixels]:
        def turn(pixels: Pixels) -> Pixels:
            out = np.rot90(pixels, quarter, axes=(1, 2))
            return np.ascontiguousarray(out[:, :, ::-1] if mirror else out)

        return turn

    return {
        f"{'mirrored ' if mirror else ''}{90 * quarter}": turned(quarter, mirror)
        for mirror in (False, True)
        for quarter in range(4)
        if mirror or quarter
    }


#: The seven turns and mirrors of a square other than none.
TURNS = _turns()


def restain(pixels: Pixels, hematoxylin: float, eosin: float) -> Pixels:
    """The same tissue with other amounts of stain.

    Colour deconvolution after Ruifrok and Johnston (2001): optical densities are split into
    hematoxylin, eosin and the rest, scaled, and put together again.

    Parameters
    ----------
    pixels : uint8 array, shape (n, h, w, 3)
    hematoxylin, eosin : float
        Factors on the amounts; 1 leaves them.

    Returns
    -------
    uint8 array, shape (n, h, w, 3)
    """
    mix = np.linalg.inv(_STAINS) @ np.diag([hematoxylin, eosin, 1.0]) @ _STAINS
    density = -np.log((pixels.astype(np.float32) + 1.0) / 256.0) @ mix.astype(np.float32)
    out: Pixels = np.clip(np.rint(256.0 * np.exp(-density) - 1.0), 0, 255).astype(np.uint8)
    return out


def rotation_stability(
    source: PatchSource,
    encoder: Encoder,
    vectors: npt.NDArray[np.float32],
    order: npt.NDArray[np.int64],
    seed: int = 0,
) -> dict[str, Any]:
    """How much of the ten nearest stays when the query is turned or mirrored.

    Parameters
    ----------
    source : PatchSource
    encoder : Encoder
    vectors : float32 array, shape (n, dim)
        Of the patches as they are.
    order : int64 array, shape (n, 10)
        Their nearest neighbours outside the own group.
    seed : int
        Of the sample, where there are many patches.

    Returns
    -------
    dict
        ``queries``, ``overlap`` (share 0..1 of the ten nearest, over all turns) and
        ``cosine`` (of a turned patch's vector with the patch's own).
    """
    rows = _sample(len(vectors), seed)
    again = _encode_again(source, encoder, rows, TURNS, vectors.shape[1])
    overlap = [
        _overlap(
            order[rows],
            nearest_of_queries(turned, source.groups[rows], vectors, source.groups, KEPT),
        )
        for turned in again.values()
    ]
    cosine = [float((turned * vectors[rows]).sum(axis=1).mean()) for turned in again.values()]
    return {
        "queries": len(rows),
        "overlap": float(np.mean(overlap)),
        "cosine": float(np.mean(cosine)),
    }


def stain_robustness(
    source: PatchSource,
    encoder: Encoder,
    vectors: npt.NDArray[np.float32],
    order: npt.NDArray[np.int64],
    seed: int = 0,
) -> dict[str, Any]:
    """The set re-stained, asked of the set as it is.

    Parameters
    ----------
    source, encoder, vectors, order, seed
        As in `rotation_stability`.

    Returns
    -------
    dict
        ``queries``; ``overlap`` of the ten nearest; ``itself``: the share of re-stained
        patches whose nearest patch, of all, is the patch itself; ``p5`` of the re-stained
        queries; and the same for each re-staining in ``restainings``.
    """
    rows = _sample(len(vectors), seed)
    changes = {name: _restaining(*factors) for name, factors in RESTAININGS.items()}
    again = _encode_again(source, encoder, rows, changes, vectors.shape[1])
    lines: dict[str, dict[str, float]] = {}
    for name, stained in again.items():
        found = nearest_of_queries(stained, source.groups[rows], vectors, source.groups, KEPT)
        everyone = np.argmax(stained @ vectors.T, axis=1)
        lines[name] = {
            "overlap": _overlap(order[rows], found),
            "itself": float((everyone == rows).mean()),
            "p5": _p5(found, source.labels, source.groups, rows),
        }
    out: dict[str, Any] = {"queries": len(rows)}
    for key in ("overlap", "itself", "p5"):
        out[key] = float(np.mean([line[key] for line in lines.values()]))
    return out | {"restainings": lines}


def _restaining(hematoxylin: float, eosin: float) -> Callable[[Pixels], Pixels]:
    return lambda pixels: restain(pixels, hematoxylin, eosin)


def _sample(n: int, seed: int) -> npt.NDArray[np.int64]:
    if n <= MOST_QUERIES:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, MOST_QUERIES, replace=False))


def _encode_again(
    source: PatchSource,
    encoder: Encoder,
    rows: npt.NDArray[np.int64],
    changes: dict[str, Callable[[Pixels], Pixels]],
    dim: int,
) -> dict[str, npt.NDArray[np.float32]]:
    """Vectors of the changed patches, one array (len(rows), dim) a change; read once."""
    place = {int(row): i for i, row in enumerate(rows)}
    out = {name: np.empty((len(rows), dim), dtype=np.float32) for name in changes}
    for here, pixels in source.stream(rows=rows):
        at = [place[int(row)] for row in here]
        for name, change in changes.items():
            out[name][at] = encoder.encode(change(pixels))
    return out


def _overlap(before: npt.NDArray[np.int64], after: npt.NDArray[np.int64]) -> float:
    """Share of the neighbours `before` that are among those `after`."""
    kept = (before[:, :, None] == after[:, None, :]).any(axis=2) & (before >= 0)
    return float(kept.sum() / max(int((before >= 0).sum()), 1))


def _p5(
    found: npt.NDArray[np.int64], labels: Strings, groups: Strings, rows: npt.NDArray[np.int64]
) -> float:
    whole = np.full((len(labels), found.shape[1]), -1, dtype=np.int64)
    whole[rows] = found
    figures = query_figures(whole, labels, groups, K)
    asked = np.zeros(len(labels), dtype=bool)
    asked[rows] = True
    return summary(figures.restricted(asked), labels)["p5"]
