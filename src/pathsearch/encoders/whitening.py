"""From pooled features to the vector: standardise, project, normalise.

Pooled features of a convolutional network are dominated by a few directions, and most of
those are overall brightness and stain. Two ways to even that out, both fitted on
unlabelled patches:

- `fit_whitening`: PCA with each component divided by the square root of its standard
  deviation ("half-whitening": singular values to the power 0.5).
- `fit_invariant_whitening`: first whiten what changes when the same patch is stained,
  turned and compressed differently, then PCA (within-class covariance normalisation, Hatch
  et al. 2006, with the patch as the class). Directions that stain can move count little,
  directions that only tissue can move count much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Whitening", "fit_invariant_whitening", "fit_whitening"]

#: Multiplies two float32 matrices.
Product = Callable[[npt.NDArray[np.float32], npt.NDArray[np.float32]], npt.NDArray[np.float32]]

#: Least standard deviation of a feature: below it, it is constant and carries nothing.
_FLAT = 1e-6


@dataclass(frozen=True)
class Whitening:
    """An affine map of features, followed by L2 normalisation.

    Attributes
    ----------
    mean, scale : float32 arrays, shape (features,)
        Features enter as ``(f - mean) / scale``.
    projection : float32 array, shape (features, dim)
    """

    mean: npt.NDArray[np.float32]
    scale: npt.NDArray[np.float32]
    projection: npt.NDArray[np.float32]

    def apply(
        self, features: npt.NDArray[np.float32], product: Product = np.matmul
    ) -> npt.NDArray[np.float32]:
        """Vectors of features.

        Parameters
        ----------
        features : float32 array, shape (n, features)
        product : callable
            What multiplies two matrices.

        Returns
        -------
        float32 array, shape (n, dim), L2-normalised
            A patch that maps to exactly nothing keeps the zero vector's first axis, so
            that no vector is ever NaN.
        """
        out = product((features - self.mean) / self.scale, self.projection)
        length = np.linalg.norm(out, axis=1, keepdims=True)
        unit = out / np.maximum(length, 1e-12)
        lost = length[:, 0] <= 1e-12
        unit[lost] = 0.0
        unit[lost, 0] = 1.0
        return np.ascontiguousarray(unit, dtype=np.float32)


def fit_whitening(
    features: npt.NDArray[np.floating[Any]], dim: int, power: float = 0.5
) -> Whitening:
    """Fit standardisation and PCA on unlabelled patches.

    Parameters
    ----------
    features : float array, shape (n, features)
        n at least 2.
    dim : int
        Components to keep. Where `features` has lower rank (few patches), the missing
        ones are zero columns, so that the vector's length does not depend on the data.
    power : float
        Components are divided by ``std ** power``: 0 is plain PCA, 1 is full whitening.

    Returns
    -------
    Whitening
    """
    x = np.asarray(features, dtype=np.float64)
    mean = x.mean(axis=0)
    scale = x.std(axis=0)
    scale = np.where(scale > _FLAT, scale, 1.0)
    x = (x - mean) / scale
    projection = np.zeros((x.shape[1], dim))
    axes, spread = _principal(x, dim)
    solid = spread > 1e-4 * max(float(spread[0]), _FLAT)
    weights = np.where(solid, 1.0 / np.maximum(spread, _FLAT) ** power, 0.0)
    projection[:, : axes.shape[1]] = axes * weights
    return _whitening(mean, scale, projection)


def fit_invariant_whitening(
    features: npt.NDArray[np.floating[Any]],
    distorted: npt.NDArray[np.floating[Any]],
    dim: int,
    noise: float = 0.3,
) -> Whitening:
    """Fit a projection that counts little what distortion changes.

    Parameters
    ----------
    features, distorted : float arrays, shape (n, features)
        Row i of both is the same patch, as it is and distorted.
    dim : int
        Components to keep; missing ones are zero columns, as in `fit_whitening`.
    noise : float
        Shrinkage of the noise's covariance towards a multiple of the identity, relative
        to its mean variance: small trusts the distortions wholly, large ignores them.

    Returns
    -------
    Whitening
    """
    x = np.asarray(features, dtype=np.float64)
    mean = x.mean(axis=0)
    scale = x.std(axis=0)
    scale = np.where(scale > _FLAT, scale, 1.0)
    x = (x - mean) / scale
    change = (x - (np.asarray(distorted, dtype=np.float64) - mean) / scale) / np.sqrt(2)
    within = change.T @ change / len(change)
    level = max(float(np.trace(within)) / len(within), _FLAT)
    values, axes = np.linalg.eigh(within + noise * level * np.eye(len(within)))
    calm = (axes / np.sqrt(np.maximum(values, _FLAT * level))) @ axes.T
    projection = np.zeros((x.shape[1], dim))
    kept, _ = _principal(x @ calm, dim)
    projection[:, : kept.shape[1]] = calm @ kept
    return _whitening(mean, scale, projection)


def _principal(
    x: npt.NDArray[np.float64], dim: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The first axes of centred data, and the standard deviation along each."""
    covariance = x.T @ x / max(len(x) - 1, 1)
    values, axes = np.linalg.eigh(covariance)
    order = np.argsort(values)[::-1][:dim]
    # The sign of an eigenvector is arbitrary; fix it, so that refits agree.
    axes = axes[:, order]
    signs = np.sign(axes[np.argmax(np.abs(axes), axis=0), np.arange(axes.shape[1])])
    return axes * signs, np.sqrt(np.maximum(values[order], 0.0))


def _whitening(
    mean: npt.NDArray[np.float64],
    scale: npt.NDArray[np.float64],
    projection: npt.NDArray[np.float64],
) -> Whitening:
    return Whitening(
        mean.astype(np.float32), scale.astype(np.float32), projection.astype(np.float32)
    )
