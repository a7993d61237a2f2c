"""A general-purpose encoder's opinion of fixed views of every patch of a pool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pathsearch.config import TrainSettings
from pathsearch.nouns import Encoder
from pathsearch.training.pool import Pool

#: Length of the whitened features that the student imitates.
TEACHER_DIM = 256
_BATCH = 32


@dataclass(frozen=True)
class TeacherViews:
    """Views and what the teacher said.

    Attributes
    ----------
    theta : float32 array, shape (n, crops, 2, 3)
        Affine maps as `pathsearch.training.augment` cuts them.
    features : float16 array, shape (n, crops, dim)
        Standardised, half-whitened, L2-normalised.
    """

    theta: npt.NDArray[np.float32]
    features: npt.NDArray[np.float16]


def teacher_views(
    pool: Pool,
    teacher: Encoder,
    settings: TrainSettings,
    base: Path,
    number: int,
    tick: Callable[[int, int], None],
) -> TeacherViews:
    """The teacher's views of a pool, from disk where they are there already.

    The teacher sees the clean pixels of each view at the size that the student sees.

    Parameters
    ----------
    pool : Pool
    teacher : Encoder
    settings : TrainSettings
    base : Path
        Without suffix; ``.theta.npy`` and ``.teacher.npy`` are added.
    number : int
        The pool's round, for the random numbers.
    tick : callable
        Told (done, total) patches.
    """
    theta_file = base.with_name(base.name + ".theta.npy")
    feature_file = base.with_name(base.name + ".teacher.npy")
    if not feature_file.is_file():
        theta, raw = _ask(pool, teacher, settings, number, tick)
        features = _whiten(raw)
        np.save(theta_file, theta)
        np.save(feature_file, features)
    return TeacherViews(
        np.load(theta_file, allow_pickle=False), np.load(feature_file, allow_pickle=False)
    )


def _ask(
    pool: Pool,
    teacher: Encoder,
    settings: TrainSettings,
    number: int,
    tick: Callable[[int, int], None],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    import torch

    from pathsearch.training.augment import cut, random_crops
    from pathsearch.training.module import step_seed

    crops, view = settings.teacher_crops, settings.view_px
    theta = np.empty((len(pool), crops, 2, 3), np.float32)
    raw = np.empty((len(pool), crops, teacher.dim), np.float32)
    generator = torch.Generator()
    generator.manual_seed(step_seed(settings.seed, number, 2**16))
    for start in range(0, len(pool), _BATCH):
        pixels = torch.from_numpy(np.array(pool.pixels[start : start + _BATCH]))
        rows = slice(start, start + len(pixels))
        for crop in range(crops):
            where = random_crops(len(pixels), settings.augment, view, settings.patch_px, generator)
            views = cut(pixels, [where], view).mul_(255).round_().to(torch.uint8)
            theta[rows, crop] = where.theta.numpy()
            raw[rows, crop] = teacher.encode(views.permute(0, 2, 3, 1).contiguous().numpy())
        tick(min(start + _BATCH, len(pool)), len(pool))
    return theta, raw


def _whiten(raw: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    from pathsearch.encoders.whitening import fit_whitening

    flat = raw.reshape(-1, raw.shape[-1])
    # The covariance of 8,000 views is enough for 256 directions.
    fitted = fit_whitening(flat[:: max(1, len(flat) // 8192)], TEACHER_DIM)
    features = fitted.apply(flat).reshape(*raw.shape[:2], TEACHER_DIM)
    return features.astype(np.float16)
