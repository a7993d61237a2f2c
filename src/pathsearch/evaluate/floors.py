"""What an encoder must beat: descriptors that know colour only, and random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pathsearch.nouns import Encoder

if TYPE_CHECKING:
    from pathsearch.encoders.conv_encoder import ConvEncoder

__all__ = ["HISTOGRAM_BINS", "colour_histogram", "mean_colour", "random_weights"]

#: Bins a channel of the joint RGB histogram.
HISTOGRAM_BINS = 8


def mean_colour(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Mean of each channel.

    Parameters
    ----------
    pixels : uint8 array, shape (n, h, w, 3)

    Returns
    -------
    float32 array, shape (n, 3)
        To be compared by Euclidean distance.
    """
    return np.asarray(pixels.mean(axis=(1, 2), dtype=np.float64), dtype=np.float32)


def colour_histogram(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Joint RGB histogram, square roots of the shares.

    The inner product of two such vectors is the Bhattacharyya coefficient, so that cosine
    is the usual comparison of histograms (Swain and Ballard 1991 use the intersection).

    Parameters
    ----------
    pixels : uint8 array, shape (n, h, w, 3)

    Returns
    -------
    float32 array, shape (n, HISTOGRAM_BINS ** 3), L2-normalised
    """
    bins = HISTOGRAM_BINS
    level = pixels.astype(np.int64) * bins // 256
    cell = (level[..., 0] * bins + level[..., 1]) * bins + level[..., 2]
    out = np.empty((len(pixels), bins**3), dtype=np.float32)
    for place, patch in enumerate(cell):
        out[place] = np.sqrt(np.bincount(patch.ravel(), minlength=bins**3) / patch.size)
    return out


def random_weights(encoder: Encoder, seed: int = 0) -> ConvEncoder:
    """An untrained twin of `encoder`, whose features are whitened afterwards.

    Of this package's own encoders the twin has the architecture and preprocessing; of any
    other encoder it has the default architecture, as there is no general way to make foreign
    weights random.

    Parameters
    ----------
    encoder : Encoder
    seed : int
    """
    from pathsearch.encoders.conv_encoder import ConvEncoder, untrained
    from pathsearch.encoders.files import EncoderConfig

    config = (
        encoder.config
        if isinstance(encoder, ConvEncoder)
        else EncoderConfig(input_px=encoder.input_px)
    )
    return untrained(config, seed)
