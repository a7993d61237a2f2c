"""Small pictures and settings that train in a second or two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pathsearch.config import TrainSettings

TINY = {
    "patch_px": 64,
    "view_px": 32,
    "input_px": 64,
    "dim": 8,
    "architecture": {"channels": [8, 16], "depths": [0, 1], "pooled_stages": [0, 1]},
    "pool_patches": 24,
    "validation_patches": 8,
    "whitening_patches": 24,
    "batch_size": 8,
    "max_steps": 10,
    "warmup_steps": 2,
    "validate_steps": 5,
    "checkpoint_steps": 4,
    "threads": 1,
    "precision": "float32",
    "device": "cpu",
}


@pytest.fixture(scope="session")
def tiny() -> TrainSettings:
    return TrainSettings.model_validate(TINY)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of pictures with spots and stripes: 3 of 160 x 128, 2 of 64 x 64."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for name, count, (w, h) in (("large", 3, (160, 128)), ("small", 2, (64, 64))):
        (folder / name).mkdir()
        for number in range(count):
            y, x = np.mgrid[:h, :w]
            wave = np.sin(x / (2 + number)) + np.cos(y / (3 + number))
            pixels = 150 + 40 * wave[..., None] + random.normal(0, 20, (h, w, 3))
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            image.save(folder / name / f"{number}.png")
    return folder
