"""The Lightning module: views, losses, schedule and label-free validation."""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl  # noqa: TID253 - this file is reached lazily only
import torch  # noqa: TID253
from torch import nn  # noqa: TID253
from torch.nn import functional  # noqa: TID253

from pathsearch.config import TrainSettings
from pathsearch.encoders.conv_autoencoder import Backbone, ConvAutoencoder, feature_count, pooled
from pathsearch.training.augment import Crops, as_pixels, cut, distort, random_crops
from pathsearch.training.data import TrainBatch
from pathsearch.training.losses.contrastive import contrastive_loss
from pathsearch.training.losses.distillation import distillation_loss
from pathsearch.training.losses.reconstruction import reconstruction_loss
from pathsearch.training.losses.self_distillation import (
    Prototypes,
    SlowCopy,
    self_distillation_loss,
)
from pathsearch.training.losses.vicreg import vicreg_loss

_PROJECTED = 128
_HIDDEN = 512


class EncoderTraining(pl.LightningModule):
    """Trains a `ConvAutoencoder`.

    Parameters
    ----------
    settings : TrainSettings
    network : ConvAutoencoder
    mean, std : tuple of float
        Preprocessing on 0..255, as the encoder will have it.
    teacher_dim : int
        Length of the teacher's whitened features; 0 is no teacher.
    """

    #: Preprocessing of pixels 0..1, shape (1, 3, 1, 1).
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        settings: TrainSettings,
        network: ConvAutoencoder,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        teacher_dim: int = 0,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.network = network
        count = feature_count(settings.architecture)
        # Features of all stages on one footing, as the whitening does it afterwards.
        self.standardise = nn.BatchNorm1d(count, affine=False)
        self.project = nn.Sequential(
            nn.Linear(count, _HIDDEN, bias=False),
            nn.BatchNorm1d(_HIDDEN),
            nn.ReLU(),
            nn.Linear(_HIDDEN, _PROJECTED),
        )
        self.imitate = nn.Linear(count, teacher_dim) if teacher_dim else None
        self.sort: Prototypes | None = None
        self.slow: SlowCopy | None = None
        if settings.loss.invariance and settings.loss.invariance_kind == "self-distillation":
            self.sort = Prototypes(_PROJECTED)
            self.slow = SlowCopy(self._sorter())
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) / 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) / 255, persistent=False)
        self.shown: Shown | None = None
        self.spent_before = 0.0
        self.started = time.monotonic()

    # Time and schedule

    @property
    def spent(self) -> float:
        """Seconds of training, those before an interruption included."""
        return self.spent_before + time.monotonic() - self.started

    def progress(self) -> float:
        """Share of the training that is done, 0..1: of the steps or of the time."""
        done = self.global_step / self.settings.max_steps
        if self.settings.max_seconds is not None:
            done = max(done, self.spent / self.settings.max_seconds)
        return min(done, 1.0)

    def learning_rate(self) -> float:
        """Linear warm-up, then half a cosine down to a hundredth."""
        settings = self.settings
        warm = min(1.0, (self.global_step + 1) / max(settings.warmup_steps, 1))
        fade = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.progress()))
        return settings.learning_rate * warm * fade

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; biases and norms without weight decay."""
        decay = [p for p in self.parameters() if p.ndim > 1]
        plain = [p for p in self.parameters() if p.ndim <= 1]
        groups = [
            {"params": decay, "weight_decay": self.settings.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.settings.learning_rate)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the time spent."""
        checkpoint["pathsearch_spent"] = self.spent

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the time spent."""
        self.spent_before = float(checkpoint["pathsearch_spent"])
        self.started = time.monotonic()

    # Training

    def training_step(self, batch: TrainBatch, _: int) -> torch.Tensor:
        """One step; every random number follows from (seed, step, rank)."""
        settings = self.settings
        for group in self.optimizers().param_groups:  # type: ignore[union-attr]
            group["lr"] = self.learning_rate()
        generator = torch.Generator()
        generator.manual_seed(step_seed(settings.seed, self.global_step, self.global_rank))
        count = len(batch.pixels)
        first = self._crops(count, generator) if batch.crops is None else Crops(batch.crops)
        second = self._crops(count, generator)
        with torch.autocast(self.device.type, enabled=False):
            clean = cut(batch.pixels, [first, second], settings.view_px)
            views = distort(clean, settings.augment, generator)
        return self._loss(self._standard(views), self._standard(clean), batch)

    def _loss(self, views: torch.Tensor, clean: torch.Tensor, batch: TrainBatch) -> torch.Tensor:
        weights = self.settings.loss
        network, count = self.network, len(batch.pixels)
        maps, features = self._features(views)
        total = features.new_zeros(())
        parts: dict[str, torch.Tensor] = {}
        if weights.invariance:
            parts["invariance"] = self._invariance(views, self.project(features))
            total = total + weights.invariance * parts["invariance"]
        if weights.reconstruction:
            # One of the two views is enough for the decoder, at half the price.
            rebuilt = network.decoder(maps[-1][:count])
            parts["reconstruction"] = reconstruction_loss(rebuilt, clean[:count])
            total = total + weights.reconstruction * parts["reconstruction"]
        if self.imitate is not None and batch.teacher is not None:
            copied = self.imitate(features[:count])
            parts["distillation"] = distillation_loss(copied, batch.teacher)
            total = total + weights.distillation * parts["distillation"]
        for name, value in parts.items():
            self.log(f"train_{name}", value.detach())
        self.log("train_loss", total.detach())
        return total

    def _invariance(self, views: torch.Tensor, projected: torch.Tensor) -> torch.Tensor:
        weights = self.settings.loss
        if self.sort is not None and self.slow is not None:
            # Before use and not after the step: a checkpoint lies between the two.
            self.slow.follow(self._sorter())
            with torch.no_grad():
                copy = self.slow.copy
                assert isinstance(copy, nn.ModuleDict)
                backbone = copy["backbone"]
                assert isinstance(backbone, Backbone)
                _, features = _described(views, backbone, copy["standardise"])
                slow = copy["sort"](copy["project"](features))
            loss = self_distillation_loss(self.sort(projected), slow, self.slow.centre)
            self.slow.hear(slow)
            return loss
        first, second = projected.chunk(2)
        if weights.invariance_kind == "contrastive":
            return contrastive_loss(first, second, weights.temperature)
        return vicreg_loss(first, second)

    def _sorter(self) -> nn.ModuleDict:
        """What the slow copy is a copy of."""
        assert self.sort is not None
        return nn.ModuleDict(
            {
                "backbone": self.network.backbone,
                "standardise": self.standardise,
                "project": self.project,
                "sort": self.sort,
            }
        )

    def _features(self, views: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        return _described(views, self.network.backbone, self.standardise)

    def _crops(self, count: int, generator: torch.Generator) -> Crops:
        settings = self.settings
        return random_crops(count, settings.augment, settings.view_px, settings.patch_px, generator)

    def _standard(self, views: torch.Tensor) -> torch.Tensor:
        return (views - self.mean) / self.std

    # Validation

    def validation_step(self, batch: TrainBatch, number: int) -> None:
        """Label-free retrieval: a patch, turned and stained anew, must find itself."""
        settings = self.settings
        generator = torch.Generator()
        generator.manual_seed(step_seed(settings.seed, number, 0))
        half = torch.full((len(batch.pixels),), settings.view_px / settings.patch_px)
        straight = _centred(half.clamp(max=1.0))
        turned = self._crops(len(batch.pixels), generator)
        with torch.autocast(self.device.type, enabled=False):
            clean = cut(batch.pixels, [Crops(straight)], settings.view_px)
            aim = cut(batch.pixels, [turned], settings.view_px)
            other = distort(aim, settings.augment, generator)
        _, ours = self._features(self._standard(clean))
        maps, theirs = self._features(self._standard(other))
        found = retrieval_at_1(ours.float(), theirs.float())
        self.log("val_retrieval", found, batch_size=1, sync_dist=True)
        rebuilt = self.network.decoder(maps[-1]).float()
        error = reconstruction_loss(rebuilt, self._standard(aim))
        self.log("val_reconstruction", error, batch_size=1, sync_dist=True)
        self.shown = Shown(
            as_pixels(clean),
            as_pixels(other),
            as_pixels(rebuilt * self.std + self.mean),
            ours.float().cpu().numpy(),
        )


class Shown(NamedTuple):
    """What the last validation saw, for the page: views 0..255, (n, h, w, 3)."""

    clean: npt.NDArray[np.uint8]
    distorted: npt.NDArray[np.uint8]
    rebuilt: npt.NDArray[np.uint8]
    features: npt.NDArray[np.float32]


def _described(
    views: torch.Tensor, backbone: Backbone, standardise: nn.Module
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Feature maps of views, and their standardised pooled features."""
    maps = backbone(views.contiguous(memory_format=torch.channels_last))
    features: torch.Tensor = standardise(pooled(maps, backbone.architecture))
    return maps, features


def _centred(half: torch.Tensor) -> torch.Tensor:
    theta = torch.zeros(len(half), 2, 3)
    theta[:, 0, 0] = half
    theta[:, 1, 1] = half
    return theta


def retrieval_at_1(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Share of rows of `theirs` whose nearest row of `ours`, by cosine, is their own.

    Parameters
    ----------
    ours, theirs : float tensors, shape (n, dim)
    """
    score = functional.normalize(theirs, dim=1) @ functional.normalize(ours, dim=1).T
    return (score.argmax(dim=1) == torch.arange(len(ours), device=ours.device)).float().mean()


def step_seed(seed: int, step: int, rank: int) -> int:
    """One number for (seed, step, rank), well spread."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)
