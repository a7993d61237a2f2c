"""The Lightning data module: which patches each step sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl  # noqa: TID253 - this file is reached lazily only
import torch  # noqa: TID253
from torch.utils.data import DataLoader, IterableDataset  # noqa: TID253

from pathsearch.config import TrainSettings
from pathsearch.training.pool import Pool
from pathsearch.training.teacher import TeacherViews


class TrainBatch(NamedTuple):
    """What one step gets.

    Attributes
    ----------
    pixels : uint8 tensor, shape (n, patch_px, patch_px, 3)
    crops : float32 tensor, shape (n, 2, 3), or None
        Views that the teacher has seen.
    teacher : float32 tensor, shape (n, teacher_dim), or None
        What it said of them, whitened.
    """

    pixels: torch.Tensor
    crops: torch.Tensor | None = None
    teacher: torch.Tensor | None = None


#: Gives the pool of a round, and the teacher's views of it.
PoolOf = Callable[[int], tuple[Pool, TeacherViews | None]]


class StepBatches(IterableDataset[TrainBatch]):
    """Batches by the number of the step: step s is the same after any interruption.

    Parameters
    ----------
    settings : TrainSettings
    pool_of : callable
    first_step : callable
        The step to start at, asked when iteration starts.
    rank : callable
        Which of several devices this is.
    """

    def __init__(
        self,
        settings: TrainSettings,
        pool_of: PoolOf,
        first_step: Callable[[], int],
        rank: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._pool_of = pool_of
        self._first_step = first_step
        self._rank = rank

    def __iter__(self) -> Iterator[TrainBatch]:
        settings = self._settings
        current = -1
        for step in range(self._first_step(), settings.max_steps):
            if step // settings.pool_steps != current:
                current = step // settings.pool_steps
                pool, views = self._pool_of(current)
                weights = pool.weights()
            random = np.random.default_rng([settings.seed, 1, step, self._rank()])
            count = min(settings.batch_size, len(pool))
            # Without replacement: a patch must not be its own negative.
            rows = random.choice(len(pool), size=count, replace=False, p=weights)
            pixels = torch.from_numpy(pool.pixels[np.sort(rows)])
            if views is None:
                yield TrainBatch(pixels)
                continue
            rows = np.sort(rows)
            which = random.integers(0, views.theta.shape[1], size=count)
            yield TrainBatch(
                pixels,
                torch.from_numpy(views.theta[rows, which]),
                torch.from_numpy(views.features[rows, which].astype(np.float32)),
            )


class PatchData(pl.LightningDataModule):
    """Training batches by step, and one validation batch.

    Parameters
    ----------
    settings : TrainSettings
    pool_of : callable
    validation : Pool
    """

    def __init__(self, settings: TrainSettings, pool_of: PoolOf, validation: Pool) -> None:
        super().__init__()
        self._settings = settings
        self._pool_of = pool_of
        self._validation = validation

    def train_dataloader(self) -> DataLoader[TrainBatch]:
        """Whole batches, from the step that training is at."""
        assert self.trainer is not None
        trainer = self.trainer
        batches = StepBatches(
            self._settings, self._pool_of, lambda: trainer.global_step, lambda: trainer.global_rank
        )
        return DataLoader(batches, batch_size=None)

    def val_dataloader(self) -> DataLoader[TrainBatch]:
        """All validation patches as one batch: they are each other's distractors."""
        batch = TrainBatch(torch.from_numpy(np.array(self._validation.pixels)))
        return DataLoader([batch], batch_size=None)  # type: ignore[arg-type]
