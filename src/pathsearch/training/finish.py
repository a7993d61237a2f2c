"""From a trained network to a saved encoder: the whitening, fitted on unlabelled patches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from pathsearch.config import TrainSettings
from pathsearch.encoders.conv_autoencoder import Backbone
from pathsearch.encoders.conv_encoder import ConvEncoder, resize_area, tensors_of
from pathsearch.encoders.files import EncoderConfig, write_encoder
from pathsearch.encoders.whitening import Whitening, fit_invariant_whitening, fit_whitening
from pathsearch.training.pool import Pool

_BATCH = 64


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
    clean, distorted = [], []
    for start in range(0, len(rows), _BATCH):
        pixels = np.array(pool.pixels[rows[start : start + _BATCH]])
        if pixels.shape[1] != config.input_px:
            pixels = resize_area(pixels, config.input_px)
        clean.append(encoder.features(pixels))
        if settings.whitening_noise:
            distorted.append(encoder.features(_distorted(pixels, settings, start)))
    features = np.concatenate(clean)
    if settings.whitening_noise:
        whitening = fit_invariant_whitening(
            features, np.concatenate(distorted), config.dim, settings.whitening_noise
        )
    else:
        whitening = fit_whitening(features, config.dim)
    return write_encoder(out, config, tensors_of(backbone, whitening))


def _distorted(
    pixels: npt.NDArray[np.uint8], settings: TrainSettings, number: int
) -> npt.NDArray[np.uint8]:
    """The same patches under another stain, turned by quarters and mirrored."""
    import torch

    from pathsearch.training.augment import as_pixels, distort, gentle
    from pathsearch.training.module import step_seed

    generator = torch.Generator()
    generator.manual_seed(step_seed(settings.seed, number, 2**17))
    turns, mirrored = torch.randint(0, 4, (2, len(pixels)), generator=generator)
    turned = [
        np.rot90(patch[:, ::-1] if mirror % 2 else patch, int(turn))
        for patch, turn, mirror in zip(pixels, turns, mirrored, strict=True)
    ]
    views = torch.from_numpy(np.stack(turned)).permute(0, 3, 1, 2).float().div_(255)
    views = distort(views.contiguous(), gentle(settings), generator)
    return as_pixels(views)
