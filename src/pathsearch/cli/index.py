"""`pathsearch index`: slides into a library."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from pathsearch.cli.main import INTERRUPTED, regions_mode_option, verbose_option
from pathsearch.cli.output import json_option, print_json, print_table, progress_bar, say
from pathsearch.config import IndexSettings, TileSpec, load_yaml
from pathsearch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.progress import Progress

    from pathsearch.indexing import Outcome, Report, Source
    from pathsearch.indexing.run import Listener
    from pathsearch.nouns import Encoder

SOME_FAILED = 3


@dataclass(frozen=True)
class Request:
    """The words of the command."""

    slides: tuple[str, ...]
    library: Path
    encoder: str
    mpp: float | None
    spec_mpp: float | None
    manifest: Path | None
    root_names: tuple[str, ...]
    config: Path | None
    device: str | None
    retry_failed: bool
    regions: Path | None
    regions_mode: Literal["replace", "restrict"] | None
    from_library: Path | None = None


@click.command("index")
@click.argument("slides", nargs=-1, metavar="SLIDES...")
@click.option(
    "--library",
    "-l",
    type=click.Path(path_type=Path),
    required=True,
    help="The library's folder, by habit NAME.pathsearch; made where it is missing.",
)
@click.option("--encoder", default="", help="A folder, a file, or builtin:NAME.")
@click.option("--mpp", type=float, help="µm per level-0 pixel, for slides that do not say.")
@click.option(
    "--spec-mpp",
    type=float,
    help="Resolution to search at, µm per pixel [default: 0.5, about 20x].",
)
@click.option(
    "--manifest",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV or TSV: path, slide_id, case_id, mpp; further columns become metadata.",
)
@click.option(
    "--root-name", "root_names", multiple=True, help="One for each of SLIDES: ids become NAME/path."
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings, as in configs/index.yaml.",
)
@click.option("--device", help="auto, cpu, cuda, cuda:1, mps.")
@click.option(
    "--regions",
    type=click.Path(path_type=Path),
    help="Your own regions: a GeoJSON file for one slide, or a folder of files that are called "
    "like the slides; 'none' takes them back.",
)
@regions_mode_option
@click.option(
    "--from",
    "from_library",
    type=click.Path(path_type=Path),
    help="A library: index its slides, as it knows them, with another encoder.",
)
@click.option("--retry-failed", is_flag=True, help="Try slides again that failed before.")
@json_option
@verbose_option
def index_command(as_json: bool, **words: Any) -> int:
    """Bring slides into a library, so that they can be searched.

    SLIDES are files, folders or globs. A run that was stopped goes on where it was; what has
    not changed is not read again. A slide that fails is listed with a code, and the run goes
    on: exit status 3.
    """
    request = Request(**words)
    if request.from_library is not None:
        refuse_with_from(request)
    elif not request.slides and request.manifest is None:
        raise UsageError("name SLIDES or a --manifest; see pathsearch index --help.")
    with progress_bar() as bar:
        report = _run(request, bar)
    if as_json:
        print_json(report.to_json())
    else:
        _print_report(report, request.library)
    if report.interrupted:
        say("Interrupted: what was done is kept. Run the same command again to go on.")
        return INTERRUPTED
    return SOME_FAILED if report.of("failed") else 0


def refuse_with_from(request: Request) -> None:
    """UsageError where --from is given with words that say the same once more."""
    for name, value in (
        ("SLIDES", request.slides),
        ("--manifest", request.manifest),
        ("--mpp", request.mpp),
        ("--spec-mpp", request.spec_mpp),
        ("--root-name", request.root_names),
    ):
        if value:
            raise UsageError(f"--from says which slides, and how they are cut: leave {name} out.")


def settings_of(request: Request) -> IndexSettings:
    """The settings file, with what the command line overrides."""
    settings = load_yaml(request.config, IndexSettings) if request.config else IndexSettings()
    changes: dict[str, Any] = {}
    if request.encoder:
        changes["encoder"] = request.encoder
    if request.regions_mode:
        changes["regions_mode"] = request.regions_mode
    if request.device:
        changes["device"] = request.device
    if request.spec_mpp is not None:
        if request.config:
            raise UsageError("--spec-mpp and --config both say the resolution: leave one out.")
        try:
            changes["specs"] = (TileSpec(mpp=request.spec_mpp),)
        except ValueError:
            raise UsageError("--spec-mpp must be 0.05 to 10 µm per pixel.") from None
    return settings.model_copy(update=changes)


def _run(request: Request, bar: Progress | None) -> Report:
    from pathsearch.indexing import index_slides
    from pathsearch.indexing.drawn import with_regions
    from pathsearch.indexing.run import open_or_create, refuse_other_specs

    if request.mpp is not None and not 0.05 <= request.mpp <= 10:
        raise UsageError("--mpp must be 0.05 to 10 µm per pixel.")
    settings = settings_of(request)
    if request.from_library is not None:
        from pathsearch.cli.carry import run_from

        return run_from(request, settings, _encoder, _listener(bar))
    # Everything that can be wrong with the words comes before the encoder, which takes seconds,
    # and before a library is made
    sources = _sources(request)
    notes: list[str] = []
    if request.regions is not None:
        sources, notes = with_regions(sources, request.regions, settings.regions_mode)
    encoder, source = _encoder(request.library, settings)
    with open_or_create(request.library, settings, encoder, source) as library:
        if request.spec_mpp is not None or request.config is not None:
            refuse_other_specs(library, settings.specs)
        report = index_slides(
            library,
            sources,
            encoder,
            settings,
            listener=_listener(bar),
            retry_failed=request.retry_failed,
        )
        return replace(report, notes=(*notes, *report.notes))


def _sources(request: Request) -> list[Source]:
    from pathsearch.indexing import find_sources
    from pathsearch.indexing.manifest import read_manifest
    from pathsearch.library import Library

    rows = []
    if request.manifest:
        rows = read_manifest(request.manifest, [Path(word) for word in request.slides])
    with contextlib.ExitStack() as stack:
        library = None
        if _is_there(request.library):
            library = stack.enter_context(Library.open(request.library))
        sources = find_sources(
            request.slides,
            manifest=rows,
            library=library,
            root_names=request.root_names,
            mpp=request.mpp,
        )
    if not sources:
        raise UsageError(f"no slides in {', '.join(request.slides) or request.manifest}.")
    return sources


def _is_there(path: Path) -> bool:
    """Whether there is a library to open; what is there but is none is refused when opened."""
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def _encoder(path: Path, settings: IndexSettings) -> tuple[Encoder, str]:
    """The encoder that was named, else the library's own, else the built-in default."""
    from pathsearch.encoders import DEFAULT, load_encoder
    from pathsearch.library import Library

    source = settings.encoder
    if not source and _is_there(path):
        with Library.open(path) as library:
            source = str(library.encoder_source())
    source = source or DEFAULT
    encoder = load_encoder(source, device=settings.device, precision=settings.precision)
    if Path(source).exists():
        source = str(Path(source).resolve())
    return encoder, source


def _listener(bar: Progress | None) -> Listener:
    from pathsearch.indexing.run import Listener

    return Listener() if bar is None else _display(bar)


def _display(bar: Progress) -> Listener:
    from pathsearch.indexing.run import Listener

    slides = bar.add_task("slides", total=None, extra="")
    now = bar.add_task("", total=None, extra="")
    failed: list[str] = []

    class Display(Listener):
        """Two bars: slides, and patches of the present one."""

        def start(self, slides_in_all: int) -> None:
            bar.update(slides, total=slides_in_all)

        def slide(self, source: Source) -> None:
            bar.reset(now, total=None, description=source.slide_id[-40:], extra="")

        def patches(self, done: int, total: int) -> None:
            bar.update(now, completed=done, total=total)

        def outcome(self, outcome: Outcome) -> None:
            if outcome.kind == "failed":
                failed.append(outcome.slide_id)
            bar.update(slides, advance=1, extra=f"{len(failed)} failed" if failed else "")

        def building(self, spec: str) -> None:
            bar.reset(now, total=None, description=f"search index {spec}", extra="")

    return Display()


def _print_report(report: Report, library: Path) -> None:
    for note in report.notes:
        say(note)
    rows = [_row(outcome) for outcome in report.outcomes if outcome.kind != "unchanged"]
    if rows:
        print_table(("slide", "result", "patches", ""), rows, "llr")
    words = [f"{len(report.of('indexed'))} indexed", f"{len(report.of('unchanged'))} unchanged"]
    if report.of("empty"):
        words.append(f"{len(report.of('empty'))} without tissue")
    words.append(f"{len(report.of('failed'))} failed")
    rate = report.patches / report.seconds if report.seconds else 0.0
    say(
        f"{library}: {', '.join(words)}; {report.patches} patches in {report.seconds:.1f} s "
        f"({rate:.0f} patches/s)."
    )


def _row(outcome: Outcome) -> Sequence[str]:
    text = f"{outcome.code}: {outcome.message}" if outcome.kind == "failed" else outcome.note
    return (outcome.slide_id, outcome.kind, str(outcome.patches or ""), text)
