"""Small files of features in the layouts of TRIDENT and CLAM, of made-up slides."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from pathsearch.slides import open_slide
from pathsearch.testing import make_slide

#: Slides of the tests: 0.5 µm per pixel, patches of 256 px at 1 µm, so 512 level-0 pixels.
SIZE, MPP, PATCH, LEVEL0 = (2600, 2100), 0.5, 256, 512
#: What every vector is stretched by, so that lengths have something to lose.
LENGTHS = (3.0, 11.0)


def grid() -> np.ndarray:
    """int64 (20, 2): corners, column by column, as both tools write them."""
    x, y = np.meshgrid(np.arange(5) * LEVEL0, np.arange(4) * LEVEL0, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1)


def features_of(slide: Path, encoder, dtype=np.float32) -> np.ndarray:
    """Vectors of the patches of a slide, of many lengths."""
    with open_slide(slide) as opened:
        pixels = [opened.read(int(x), int(y), PATCH, PATCH, 1.0) for x, y in grid()]
    lengths = np.linspace(*LENGTHS, len(pixels), dtype=np.float32)[:, None]
    return (encoder.encode(np.stack(pixels)) * lengths).astype(dtype)


def made_up(n: int = 20, dim: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32) * 5


def write(path: Path, assets: dict, attributes: dict | None = None) -> Path:
    """As `save_h5` of TRIDENT and `save_hdf5` of CLAM do: chunks of one row, resizable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in assets.items():
            file.create_dataset(
                name, data=values, maxshape=(None, *values.shape[1:]), chunks=(1, *values.shape[1:])
            )
            for key, value in (attributes or {}).get(name, {}).items():
                file[name].attrs[key] = value
    return path


def trident(path: Path, vectors: np.ndarray, xy: np.ndarray | None = None, **changed) -> Path:
    """Features as TRIDENT writes them; an attribute that is set to None is left out."""
    xy = grid()[: len(vectors)] if xy is None else xy
    attributes = {
        "patch_size": PATCH,
        "patch_size_level0": LEVEL0,
        "level0_magnification": 20,
        "target_magnification": 10,
        "overlap": 0,
        "name": path.stem,
        "savetodir": "/secret/place",
        "level0_width": SIZE[0],
        "level0_height": SIZE[1],
    } | changed
    kept = {key: value for key, value in attributes.items() if value is not None}
    named = {"name": path.stem, "savetodir": "/secret/place", "encoder": "uni_v1"}
    return write(path, {"features": vectors, "coords": xy}, {"coords": kept, "features": named})


def clam_coords(path: Path, xy: np.ndarray | None = None, **changed) -> Path:
    """Coordinates as CLAM's create_patches_fp.py writes them: level 1, downsampled by 2."""
    attributes = {
        "patch_size": PATCH,
        "patch_level": 1,
        "downsample": (2.0, 2.0),
        "downsampled_level_dim": (SIZE[0] // 2, SIZE[1] // 2),
        "level_dim": (SIZE[0] // 2, SIZE[1] // 2),
        "name": path.stem,
        "save_path": "/secret/place",
    } | changed
    return write(path, {"coords": grid() if xy is None else xy}, {"coords": attributes})


def clam(path: Path, vectors: np.ndarray, xy: np.ndarray | None = None) -> Path:
    """Features as CLAM's extract_features_fp.py writes them: no attributes, int32 corners."""
    xy = grid()[: len(vectors)] if xy is None else xy
    return write(path, {"features": vectors, "coords": xy.astype(np.int32)})


def draw(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    make_slide(path, size=SIZE, mpp=MPP, seed=seed)
    return path
