"""`train`: from slides and pictures to a saved encoder."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pathsearch.config import TrainSettings, dump_yaml, load_yaml
from pathsearch.errors import TrainingError

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from pathsearch.training.callbacks import Interrupt, Keeper
    from pathsearch.training.data import PoolOf
    from pathsearch.training.module import EncoderTraining
    from pathsearch.training.pool import Pool
    from pathsearch.training.sources import Source

#: Settings that may differ between an interrupted training and its resumption.
_FREE = {
    "max_seconds",
    "device",
    "devices",
    "precision",
    "threads",
    "logger",
    "checkpoint_steps",
    "name",
    "licence",
}
CONFIG_NAME = "train.yaml"
WORK_NAME = "training"

#: Told (what is going on, done, total, latest figures).
Progress = Callable[[str, int, int, dict[str, float]], None]


@dataclass(frozen=True)
class TrainResult:
    """What a training came to.

    Attributes
    ----------
    folder : Path
        The encoder; `pathsearch.encoders.load_encoder` takes it.
    steps : int
    seconds : float
        Of training, those before an interruption included.
    finished : bool
        False after Ctrl-C: the encoder is not written yet, and ``resume=True`` goes on.
    figures : dict
        The latest of each training and validation figure.
    patches : int
        Size of the last pool.
    skipped : tuple of str
        One line for each source that could not be used.
    """

    folder: Path
    steps: int
    seconds: float
    finished: bool
    figures: dict[str, float] = field(default_factory=dict)
    patches: int = 0
    skipped: tuple[str, ...] = ()


def train(
    sources: Sequence[Path | str],
    out: Path | str,
    settings: TrainSettings | None = None,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainResult:
    """Train an encoder without labels.

    Parameters
    ----------
    sources : sequence of Path or str
        Slides, pictures, and folders of both.
    out : Path or str
        Folder of the new encoder: ``config.json``, ``weights.safetensors``, the resolved
        settings (``train.yaml``), and ``training/`` with the checkpoint and the log.
    settings : TrainSettings, optional
    resume : bool
        Go on with an interrupted training in `out`, to the same end as without the
        interruption.
    progress : callable, optional
        Told (what is going on, done, total, latest figures) now and then.

    Returns
    -------
    TrainResult

    Raises
    ------
    TrainingError
        Nothing to train on, `out` is in use, or there is nothing to resume.
    """
    settings = settings or TrainSettings()
    out = Path(out).expanduser()
    work = out / WORK_NAME
    _check_folder(out, settings, resume)
    started = time.monotonic()
    from pathsearch.training.sources import find_sources

    found = find_sources(sources)
    work.mkdir(parents=True, exist_ok=True)
    (out / CONFIG_NAME).write_text(dump_yaml(settings), encoding="utf-8")
    with _quiet():
        return _Run(settings, found, out, progress or _silent, started).go(resume)


def _silent(what: str, done: int, total: int, figures: dict[str, float]) -> None:
    pass


def _check_folder(out: Path, settings: TrainSettings, resume: bool) -> None:
    """Refuse to overwrite, and to resume something else."""
    checkpoint = out / WORK_NAME / "last.ckpt"
    if not resume:
        if (out / "config.json").exists() or checkpoint.exists():
            raise TrainingError(
                f"{out} already holds a training; give another folder, or resume it."
            )
        return
    if not checkpoint.is_file():
        raise TrainingError(f"{out} holds no interrupted training; start it without resuming.")
    before = load_yaml(out / CONFIG_NAME, TrainSettings)
    changed = sorted(
        key
        for key in TrainSettings.model_fields
        if key not in _FREE and getattr(before, key) != getattr(settings, key)
    )
    if changed:
        raise TrainingError(
            f"{out} was started with other settings ({', '.join(changed)}); "
            f"resume it with {out / CONFIG_NAME}."
        )


class _Run:
    """One training, step by step."""

    def __init__(
        self,
        settings: TrainSettings,
        sources: list[Source],
        out: Path,
        progress: Progress,
        started: float,
    ) -> None:
        self.settings = settings
        self.sources = sources
        self.out = out
        self.work = out / WORK_NAME
        self.progress = progress
        self.started = started
        self.skipped: dict[str, None] = {}

    def go(self, resume: bool) -> TrainResult:
        """Patches, steps, whitening, files."""
        from pathsearch.training.data import PatchData
        from pathsearch.training.module import EncoderTraining
        from pathsearch.training.pool import open_validation
        from pathsearch.training.teacher import TEACHER_DIM

        settings = self.settings
        self._threads()
        self.progress("reading patches", 0, 1, {})
        validation = open_validation(self.sources, settings, self.work, self._warn)
        pool_of = self._pool_of()
        network, config = self._network()
        distilled = settings.teacher is not None and settings.loss.distillation > 0
        with _seeded(settings.seed):
            module = EncoderTraining(
                settings, network, config.mean, config.std, TEACHER_DIM if distilled else 0
            )
        pool_of(0)
        if settings.max_seconds is not None:
            module.started = self.started
        trainer, keeper, interrupt = self._trainer()
        try:
            trainer.fit(
                module,
                datamodule=PatchData(settings, pool_of, validation),
                ckpt_path=keeper.checkpoint if resume else None,
                weights_only=True,
            )
        finally:
            interrupt.restore()
        figures = {k: float(v) for k, v in trainer.callback_metrics.items()}
        result = TrainResult(
            self.out, trainer.global_step, module.spent, not interrupt.asked, figures
        )
        if interrupt.asked:
            return result
        keeper.save(trainer)
        pool = pool_of(max(trainer.global_step - 1, 0) // settings.pool_steps)[0]
        self._finish(module, config, pool, result)
        return TrainResult(
            self.out,
            result.steps,
            result.seconds,
            finished=True,
            figures=figures,
            patches=len(pool),
            skipped=tuple(self.skipped),
        )

    def _warn(self, line: str) -> None:
        self.skipped[line] = None

    def _threads(self) -> None:
        import torch

        if self.settings.threads is not None:
            torch.set_num_threads(self.settings.threads)

    def _pool_of(self) -> PoolOf:
        """The pool of a round with the teacher's views of it; the latest is kept open."""
        from pathsearch.training.pool import open_pool
        from pathsearch.training.teacher import TeacherViews, teacher_views

        settings = self.settings
        latest: dict[int, tuple[Pool, TeacherViews | None]] = {}

        def pool_of(number: int) -> tuple[Pool, TeacherViews | None]:
            if number in latest:
                return latest[number]
            pool = open_pool(self.sources, settings, self.work, number, self._warn)
            views = None
            if settings.teacher is not None and settings.loss.distillation:
                from pathsearch.encoders import load_encoder

                teacher = load_encoder(
                    settings.teacher, device=settings.device, precision=settings.precision
                )
                base = self.work / f"pool-{number}"
                views = teacher_views(pool, teacher, settings, base, number, self._asking)
            latest.clear()
            latest[number] = (pool, views)
            return latest[number]

        return pool_of

    def _asking(self, done: int, total: int) -> None:
        self.progress("asking the teacher", done, total, {})

    def _network(self) -> tuple[Any, Any]:
        """The network to train, and the configuration of the encoder to be."""
        from pathsearch.encoders.conv_autoencoder import ConvAutoencoder
        from pathsearch.encoders.files import EncoderConfig

        settings = self.settings
        config = EncoderConfig(
            name=settings.name,
            licence=settings.licence,
            architecture=settings.architecture,
            dim=settings.dim,
            input_px=settings.input_px,
            mpp_range=_mpp_range(settings),
        )
        with _seeded(settings.seed):
            network = ConvAutoencoder(settings.architecture)
        if settings.initial is not None:
            config = self._start_from(network, config)
        return network, config

    def _start_from(self, network: Any, config: Any) -> Any:
        from pathsearch.encoders import load_encoder
        from pathsearch.encoders.conv_encoder import ConvEncoder

        initial = load_encoder(str(self.settings.initial), device="cpu", precision="float32")
        if not isinstance(initial, ConvEncoder) or (
            initial.config.architecture != self.settings.architecture
        ):
            raise TrainingError(
                f"initial: {self.settings.initial} has another architecture than this training; "
                "set 'architecture' to that of its config.json."
            )
        network.backbone.load_state_dict(initial.backbone().state_dict())
        return config.model_copy(update={"mean": initial.config.mean, "std": initial.config.std})

    def _trainer(self) -> tuple[pl.Trainer, Keeper, Interrupt]:
        import pytorch_lightning as pl

        from pathsearch.encoders.devices import pick_device, pick_dtype
        from pathsearch.training.callbacks import Interrupt, Keeper

        settings = self.settings
        device = pick_device(settings.device)
        half = str(pick_dtype(settings.precision, device)) == "torch.bfloat16"
        keeper = Keeper(self.work, settings, self._step)
        interrupt = Interrupt(keeper)
        trainer = pl.Trainer(
            accelerator={"cuda": "gpu"}.get(device.type, device.type),
            devices=settings.devices,
            precision="bf16-mixed" if half else "32-true",
            max_steps=settings.max_steps,
            max_epochs=-1,
            val_check_interval=settings.validate_steps,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            callbacks=[keeper, interrupt],
            logger=self._logger(),
            log_every_n_steps=50,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        return trainer, keeper, interrupt

    def _step(self, step: int, total: int, figures: dict[str, float]) -> None:
        self.progress("training", step, total, figures)

    def _logger(self) -> Any:
        if self.settings.logger != "tensorboard":
            return False
        from pathsearch.errors import ExtraMissingError

        try:
            from pytorch_lightning.loggers import TensorBoardLogger

            return TensorBoardLogger(str(self.work), name="tensorboard", version="")
        except (ImportError, ModuleNotFoundError):
            raise ExtraMissingError(
                "logger: tensorboard needs the package tensorboard; install it, or use csv.",
                package="tensorboard",
            ) from None

    def _finish(
        self, module: EncoderTraining, config: Any, pool: Pool, result: TrainResult
    ) -> None:
        """Fit the whitening on unlabelled patches and write the encoder."""
        from pathsearch.training.finish import write_trained

        self.progress("fitting the whitening", 0, 1, result.figures)
        backbone = module.network.backbone.cpu().float().eval()
        notes = {
            "steps": result.steps,
            "seconds": round(result.seconds, 1),
            "patches": len(pool),
            "figures": {k: round(v, 5) for k, v in result.figures.items()},
            "settings": _without_paths(self.settings),
        }
        config = config.model_copy(update={"notes": notes})
        write_trained(self.out, config, backbone, pool, self.settings)
        for old in [*self.work.glob("pool-*"), *self.work.glob("validation.*")]:
            old.unlink()


def _without_paths(settings: TrainSettings) -> dict[str, Any]:
    """The settings as they may leave this machine: file names without their folders."""
    found = settings.model_dump(mode="json")
    for key in ("teacher", "initial"):
        if found[key] is not None and not str(found[key]).startswith("builtin:"):
            found[key] = Path(found[key]).name
    return found


def _mpp_range(settings: TrainSettings) -> tuple[float, float]:
    """Resolutions that the views show, µm per pixel of the encoder's input."""
    seen = [*settings.mpp, *(settings.picture_mpp / scale for scale in settings.picture_scales)]
    low, high = settings.augment.zoom
    return round(min(seen) / high, 4), round(max(seen) / low, 4)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Random weights that follow from the seed; the caller's random numbers are kept."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advice on the screen; its errors still come through."""
    # Lightning sets the level of its loggers when it is imported: before ours.
    import pytorch_lightning  # noqa: F401

    names = ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric")
    loggers = [
        logging.getLogger(n) for base in names for n in (base, f"{base}.utilities.rank_zero")
    ]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(pytorch_)?lightning.*")
            warnings.filterwarnings(
                "ignore", message=r".*(does not have many workers|isinstance).*"
            )
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
