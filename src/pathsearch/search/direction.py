"""From example vectors and verdicts to the direction that is searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pathsearch.nouns import Array
from pathsearch.search.examples import EncodedExample

Vectors = npt.NDArray[np.float32]

#: How strongly counter-examples push, relative to the examples' length 1.
PUSH = 0.6
#: Rocchio's weights for accepted and rejected matches (Manning et al. 2008, chapter 9).
ROCCHIO_ACCEPTED, ROCCHIO_REJECTED = 0.75, 0.4
#: From so many verdicts of each kind on, a classifier decides instead of means.
CLASSIFIER_FROM = 4
_RIDGE = 2.0


@dataclass(frozen=True)
class Direction:
    """What is searched.

    Attributes
    ----------
    vectors : float32 array, shape (m, dim), unit length
        One, or several of which the nearest counts.
    said : tuple of str
        How verdicts changed it, one line each.
    """

    vectors: Vectors
    said: tuple[str, ...] = ()


def unit(vector: Array) -> Vectors:
    """Rows made unit length; float32, same shape."""
    norms = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.asarray(vector / np.maximum(norms, 1e-12), np.float32)


def mean_of(encoded: Sequence[EncodedExample]) -> Vectors:
    """One unit vector (dim,) for all examples: each example's weighted mean counts the same."""
    means = [
        unit(np.average(e.vectors, axis=0, weights=e.weights))
        if len(e.vectors) > 1
        else e.vectors[0]
        for e in encoded
    ]
    return unit(np.mean(means, axis=0)) if len(means) > 1 else means[0]


def away_from(vectors: Vectors, negative: Vectors) -> Vectors:
    """Push vectors (m, dim) away from a negative (dim,): what it has and they have not.

    Only the part of the negative that is orthogonal to each vector is subtracted, so that
    what both share (all tissue shares much) is not lost, and a negative equal to an example
    changes nothing.
    """
    along = (vectors @ negative)[:, None] * vectors
    return unit(vectors - PUSH * (negative[None, :] - along))


def refine(vector: Vectors, accepted: Vectors, rejected: Vectors) -> Direction:
    """Change a query (dim,) by verdicts on its matches.

    Parameters
    ----------
    vector : float32 array, shape (dim,)
    accepted, rejected : float32 arrays, shapes (a, dim) and (r, dim)

    Returns
    -------
    Direction
        With a line that says what changed.
    """
    if len(accepted) == 0 and len(rejected) == 0:
        return Direction(vector[None, :])
    judged = f"{len(accepted)} accepted and {len(rejected)} rejected"
    if min(len(accepted), len(rejected)) >= CLASSIFIER_FROM:
        changed = _classifier(vector, accepted, rejected)
        how = "a linear classifier of them"
    else:
        changed = _rocchio(vector, accepted, rejected)
        how = "their means (Rocchio)"
    turned = float(np.degrees(np.arccos(np.clip(changed @ vector, -1, 1))))
    return Direction(
        changed[None, :], (f"Refined by {judged} matches, {how}: turned by {turned:.0f}°.",)
    )


def _rocchio(vector: Vectors, accepted: Vectors, rejected: Vectors) -> Vectors:
    changed = vector
    if len(accepted):
        changed = unit(changed + ROCCHIO_ACCEPTED * unit(accepted.mean(axis=0)))
    if len(rejected):
        away = unit(rejected.mean(axis=0))
        changed = unit(changed - ROCCHIO_REJECTED * (away - (away @ changed) * changed))
    return changed


def _classifier(vector: Vectors, accepted: Vectors, rejected: Vectors) -> Vectors:
    """Logistic regression held near Rocchio's answer; both classes weigh the same.

    Minimises ``mean log(1 + exp(-y s (w.x + b))) + ridge / (2 n) |w - w0|^2`` by Newton's method,
    with w0 the Rocchio vector: with few verdicts it stays near w0, with many it leaves it.
    """
    start = _rocchio(vector, accepted, rejected).astype(np.float64)
    x = np.concatenate([accepted, rejected]).astype(np.float64)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    y = np.concatenate([np.ones(len(accepted)), -np.ones(len(rejected))])
    weight = np.where(y > 0, 0.5 / len(accepted), 0.5 / len(rejected))
    scale = 8.0  # cosines differ by tenths: without it the logistic curve is a line
    x = x * scale
    prior = np.concatenate([start, [-float((start * scale) @ (x[:, :-1].mean(axis=0) / scale))]])
    ridge = np.full(x.shape[1], _RIDGE / len(x))
    ridge[-1] = 1e-6
    w = prior.copy()
    for _ in range(25):
        margin = y * (x @ w)
        slope = 1.0 / (1.0 + np.exp(np.clip(margin, -60, 60)))
        gradient = -(x * (weight * y * slope)[:, None]).sum(axis=0) + ridge * (w - prior)
        curve = weight * slope * (1 - slope)
        hessian = (x * curve[:, None]).T @ x + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        w -= step
        if float(np.abs(step).max()) < 1e-8:
            break
    return unit(w[:-1])
