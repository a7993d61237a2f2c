"""What happens around the steps: log, checkpoints, time limit, Ctrl-C, progress."""

from __future__ import annotations

import csv
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl  # noqa: TID253 - this file is reached lazily only

from pathsearch.config import TrainSettings
from pathsearch.training.module import EncoderTraining
from pathsearch.training.page import draw_page

_COLUMNS = (
    "step",
    "seconds",
    "train_loss",
    "train_reconstruction",
    "train_invariance",
    "train_distillation",
    "val_reconstruction",
    "val_retrieval",
)

#: Told (step, max_steps, latest figures).
Tick = Callable[[int, int, dict[str, float]], None]


class Keeper(pl.Callback):
    """Checkpoints every so many steps and at the end, and a log that fits them.

    Parameters
    ----------
    folder : Path
        Gets ``last.ckpt`` and ``log.csv``.
    settings : TrainSettings
    tick : callable
    """

    def __init__(self, folder: Path, settings: TrainSettings, tick: Tick) -> None:
        self.folder = folder
        self.settings = settings
        self.tick = tick
        self.checkpoint = folder / "last.ckpt"
        self.log_file = folder / "log.csv"
        self.best = -1.0
        self.best_step = 0
        self.stopped_early = False

    def state_dict(self) -> dict[str, Any]:
        """What early stopping has seen."""
        return {"best": self.best, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again."""
        self.best = float(state_dict["best"])
        self.best_step = int(state_dict["best_step"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Cut the log back to the checkpoint that training starts from."""
        rows: list[dict[str, str]] = []
        if self.log_file.is_file():
            with self.log_file.open(newline="", encoding="utf-8") as file:
                rows = [r for r in csv.DictReader(file) if int(r["step"]) <= trainer.global_step]
        with self.log_file.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Progress, the checkpoint where one is due, and the end where time is up."""
        assert isinstance(pl_module, EncoderTraining)
        step = trainer.global_step
        self.tick(step, self.settings.max_steps, _figures(trainer))
        limit = self.settings.max_seconds
        if limit is not None and pl_module.spent >= limit:
            trainer.should_stop = True
        if step % self.settings.checkpoint_steps == 0:
            self.save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A row of the log, a page; the end where nothing got better for long."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, EncoderTraining)
        figures = _figures(trainer)
        row = {"step": trainer.global_step, "seconds": round(pl_module.spent, 1)}
        with self.log_file.open("a", newline="", encoding="utf-8") as file:
            known = {k: round(v, 5) for k, v in figures.items() if k in _COLUMNS}
            csv.DictWriter(file, _COLUMNS).writerow({**row, **known})
        if pl_module.shown is not None:
            page = self.folder / "pages" / f"step-{trainer.global_step:06d}.png"
            draw_page(*pl_module.shown, page)
        found = figures.get("val_retrieval", 0.0)
        if found > self.best:
            self.best, self.best_step = found, trainer.global_step
        patience = self.settings.patience
        waited = (trainer.global_step - self.best_step) // self.settings.validate_steps
        if patience is not None and waited >= patience:
            self.stopped_early = True
            trainer.should_stop = True

    def save(self, trainer: pl.Trainer) -> None:
        """Write the checkpoint; it appears whole or not at all."""
        beside = self.checkpoint.with_suffix(".part")
        trainer.save_checkpoint(beside, weights_only=False)
        if trainer.is_global_zero:
            beside.replace(self.checkpoint)


def _figures(trainer: pl.Trainer) -> dict[str, float]:
    return {k: float(v) for k, v in trainer.callback_metrics.items()}


class Interrupt(pl.Callback):
    """Ctrl-C ends training after the step at hand, with a checkpoint; twice, at once.

    Lightning would stop in the middle of a step, whose batch norms have then moved and
    whose weights have not: such a training could not be resumed exactly.
    """

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.asked = False
        self._before: Any = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Listen; signals reach the main thread only."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if sys.stderr.isatty():
            sys.stderr.write("\nStopping after this step (Ctrl-C again: at once) …\n")

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,  # noqa: ARG002
        *_: Any,
    ) -> None:
        """Stop where it was asked for."""
        if self.asked:
            self.keeper.save(trainer)
            trainer.should_stop = True

    def restore(self) -> None:
        """Give the signal back to whoever had it."""
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
