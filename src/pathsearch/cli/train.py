"""`pathsearch train`: an encoder for your own tissue, without labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pathsearch.cli.main import INTERRUPTED, verbose_option
from pathsearch.cli.output import json_option, print_json, progress_bar, say
from pathsearch.config import TrainSettings, load_yaml, validated

if TYPE_CHECKING:
    from rich.progress import Progress

    from pathsearch.training import TrainResult

#: Options of the command that are settings by another name.
_OPTIONS = ("name", "seed", "max_steps", "max_seconds", "device", "slide_mpp")


@click.command("train")
@click.argument("sources", nargs=-1, required=True, metavar="SLIDES...")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the new encoder.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings, as in configs/train.yaml.",
)
@click.option("--resume", is_flag=True, help="Go on with a training that was stopped.")
@click.option("--name", help="How the encoder is called.")
@click.option("--seed", type=click.IntRange(0))
@click.option("--max-steps", type=click.IntRange(1))
@click.option("--max-seconds", type=click.FloatRange(1))
@click.option(
    "--mpp", "slide_mpp", type=float, help="µm per level-0 pixel, of slides that do not say."
)
@click.option("--device", help="auto, cpu, cuda, mps.")
@json_option
@verbose_option
def train_command(
    sources: tuple[str, ...],
    out: Path,
    config: Path | None,
    resume: bool,
    as_json: bool,
    **changes: Any,
) -> int:
    """Train an encoder on SLIDES: slides, pictures, and folders of both.

    Ctrl-C stops after the present step; --resume goes on to the same end.
    """
    from pathsearch.training import train

    with progress_bar() as bar:
        settings = _settings(out, config, resume, changes)
        shown = _display(bar) if bar is not None else None
        result = train(sources, out, settings, resume=resume, progress=shown)
    if as_json:
        print_json(_as_json(result))
    for line in result.skipped:
        say(line)
    figures = ", ".join(f"{name} {value:.4g}" for name, value in sorted(result.figures.items()))
    say(f"{result.steps} steps on {result.patches} patches in {result.seconds:.0f} s: {figures}.")
    if not result.finished:
        say("Stopped: the same command with --resume goes on.")
        return INTERRUPTED
    say(f"Wrote {out}; use it with: pathsearch index SLIDES --library LIB --encoder {out}")
    return 0


def _settings(
    out: Path, config: Path | None, resume: bool, changes: dict[str, Any]
) -> TrainSettings:
    """The settings file (of the training that is resumed, if any), with the options on top."""
    if config is None and resume and (out / "train.yaml").is_file():
        config = out / "train.yaml"
    settings = load_yaml(config, TrainSettings) if config else TrainSettings()
    given = {name: changes[name] for name in _OPTIONS if changes.get(name) is not None}
    if not given:
        return settings
    return validated({**settings.model_dump(), **given}, TrainSettings, source="options")


def _display(bar: Progress) -> Any:
    task = bar.add_task("starting", total=None, extra="")

    def progress(what: str, done: int, total: int, figures: dict[str, float]) -> None:
        extra = " ".join(f"{name}={value:.3f}" for name, value in sorted(figures.items())[:3])
        bar.update(task, description=what, completed=done, total=total or None, extra=extra)

    return progress


def _as_json(result: TrainResult) -> dict[str, Any]:
    return {
        "encoder": str(result.folder),
        "finished": result.finished,
        "steps": result.steps,
        "patches": result.patches,
        "seconds": round(result.seconds, 1),
        "figures": result.figures,
        "skipped": list(result.skipped),
    }
