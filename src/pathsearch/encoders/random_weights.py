"""An encoder with random weights and a fitted whitening: for tests, and as a floor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pathsearch.config import EncoderArchitecture

if TYPE_CHECKING:
    from pathsearch.encoders.conv_encoder import ConvEncoder

__all__ = ["random_encoder"]


def random_encoder(
    pixels: npt.NDArray[np.uint8],
    architecture: EncoderArchitecture | None = None,
    *,
    seed: int = 0,
    dim: int = 128,
    folder: Path | str | None = None,
) -> ConvEncoder:
    """Random weights of an architecture, whitened on the patches given.

    Parameters
    ----------
    pixels : uint8 array, shape (n, h, h, 3)
        At least two patches; their size becomes the encoder's `input_px`.
    architecture : EncoderArchitecture, optional
    seed : int
        Of the weights.
    dim : int
        Length of a vector.
    folder : Path or str, optional
        Where it is saved too.

    Returns
    -------
    ConvEncoder
        On the CPU, in float32.
    """
    from pathsearch.encoders.conv_encoder import ConvEncoder, tensors_of, untrained
    from pathsearch.encoders.files import EncoderConfig
    from pathsearch.encoders.whitening import fit_whitening

    config = EncoderConfig(
        name=f"random-{seed}",
        architecture=architecture or EncoderArchitecture(),
        dim=dim,
        input_px=pixels.shape[1],
        notes={"weights": f"random, seed {seed}"},
    )
    bare = untrained(config, seed, device="cpu", precision="float32")
    whitening = fit_whitening(bare.features(pixels), dim)
    tensors = tensors_of(bare.backbone(), whitening)
    encoder = ConvEncoder(config, tensors, device="cpu", precision="float32")
    if folder is not None:
        encoder.save(str(folder))
    return encoder
