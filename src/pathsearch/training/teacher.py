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

Features = npt.NDArray[np.float32]

#: Length of the whitened features that the student imitates.
TEACHER_DIM = 256
#: Views that the teacher is also asked about distorted: what it says differently of them is
#: stain, and is whitened away before the student imitates it.
_DISTORTED = 4096
_BATCH = 32


@dataclass(frozen=True)
class TeacherViews:
    """Views and what the teacher said.

    Attributes
    ----------
    theta : float32 array, shape (n, crops, 2, 3)
        Affine maps as `pathsearch.training.augment` cuts them.
    features : float16 array, shape (n, crops, dim)
        Standardised, whitened (`pathsearch.encoders.whitening`), L2-normalised.
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
        theta, raw, rows, changed = _ask(pool, teacher, settings, number, tick)
        features = _whiten(raw, rows, changed, settings.whitening_noise)
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
) -> tuple[Features, Features, npt.NDArray[np.int64], Features]:
    """Maps of the views, what the teacher says of them, and of some, distorted.

    Returns
    -------
    theta : float32 array, shape (n, crops, 2, 3)
    raw : float32 array, shape (n, crops, teacher.dim)
    rows : int64 array, shape (m,)
        Patches whose first view was distorted too; empty where no noise is to be learnt.
    changed : float32 array, shape (m, teacher.dim)
    """
    import torch

    from pathsearch.training.augment import as_pixels, cut, distort, random_crops
    from pathsearch.training.module import step_seed

    crops, view = settings.teacher_crops, settings.view_px
    theta = np.empty((len(pool), crops, 2, 3), np.float32)
    raw = np.empty((len(pool), crops, teacher.dim), np.float32)
    again = min(_DISTORTED, len(pool)) if settings.whitening_noise else 0
    chosen = np.unique(np.linspace(0, len(pool) - 1, again).astype(np.int64))
    changed = np.empty((len(chosen), teacher.dim), np.float32)
    # Colour may be changed but not lost: two tissues may differ in nothing else.
    coloured = settings.augment.model_copy(update={"gray": 0.0})
    generator = torch.Generator()
    generator.manual_seed(step_seed(settings.seed, number, 2**16))
    for start in range(0, len(pool), _BATCH):
        pixels = torch.from_numpy(np.array(pool.pixels[start : start + _BATCH]))
        end = start + len(pixels)
        for crop in range(crops):
            where = random_crops(len(pixels), settings.augment, view, settings.patch_px, generator)
            views = cut(pixels, [where], view)
            theta[start:end, crop] = where.theta.numpy()
            raw[start:end, crop] = teacher.encode(as_pixels(views))
            if crop == 0:
                first, last = np.searchsorted(chosen, [start, end])
                if last > first:
                    some = views[torch.from_numpy(chosen[first:last] - start)]
                    other = distort(some, coloured, generator)
                    changed[first:last] = teacher.encode(as_pixels(other))
        tick(end, len(pool))
    return theta, raw, chosen, changed


def _whiten(
    raw: Features, rows: npt.NDArray[np.int64], changed: Features, noise: float
) -> npt.NDArray[np.float16]:
    """What the student is to imitate, float16, shape (n, crops, TEACHER_DIM)."""
    from pathsearch.encoders.whitening import fit_invariant_whitening, fit_whitening

    flat = raw.reshape(-1, raw.shape[-1])
    if noise and len(rows):
        fitted = fit_invariant_whitening(raw[rows, 0], changed, TEACHER_DIM, noise)
    else:
        # The covariance of 8,000 views is enough for 256 directions.
        fitted = fit_whitening(flat[:: max(1, len(flat) // 8192)], TEACHER_DIM)
    features = fitted.apply(flat).reshape(*raw.shape[:2], TEACHER_DIM)
    return features.astype(np.float16)
