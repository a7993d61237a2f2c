"""From a trained network to a saved encoder: the whitening, fitted on unlabelled patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pathsearch.config import TrainSettings
from pathsearch.encoders.conv_autoencoder import Backbone
from pathsearch.encoders.conv_encoder import ConvEncoder, resize_area, tensors_of
from pathsearch.encoders.files import EncoderConfig, write_encoder
from pathsearch.encoders.whitening import Whitening, fit_whitening
from pathsearch.training.pool import Pool

_BATCH = 256


def write_trained(
    out: Path, config: EncoderConfig, backbone: Backbone, pool: Pool, settings: TrainSettings
) -> EncoderConfig:
    """Fit the whitening on the pool and write the encoder's two files.

    Parameters
    ----------
    out : Path
    config : EncoderConfig
    backbone : Backbone
        On the CPU, float32, evaluation mode.
    pool : Pool
    settings : TrainSettings
        `whitening_patches` of the pool are used, drawn as training draws them.
    """
    from pathsearch.encoders.conv_autoencoder import feature_count

    count = feature_count(config.architecture)
    plain = Whitening(
        np.zeros(count, np.float32),
        np.ones(count, np.float32),
        np.eye(count, config.dim, dtype=np.float32),
    )
    tensors = tensors_of(backbone, plain)
    encoder = ConvEncoder(config, tensors, device=settings.device, precision=settings.precision)
    random = np.random.default_rng([settings.seed, 2])
    size = min(settings.whitening_patches, len(pool))
    rows = np.sort(random.choice(len(pool), size=size, replace=False, p=pool.weights()))
    parts = []
    for start in range(0, len(rows), _BATCH):
        pixels = np.array(pool.pixels[rows[start : start + _BATCH]])
        if pixels.shape[1] != config.input_px:
            pixels = resize_area(pixels, config.input_px)
        parts.append(encoder.features(pixels))
    whitening = fit_whitening(np.concatenate(parts), config.dim)
    return write_encoder(out, config, tensors_of(backbone, whitening))
