"""`pathsearch index`: slides into a library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from pathsearch.cli.main import INTERRUPTED, regions_mode_option, verbose_option
from pathsearch.cli.output import json_option, print_json, progress_bar, say
from pathsearch.errors import UsageError

SOME_FAILED = 3
MOST_PARTS = 100_000


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
    workers: int | None
    part: tuple[int, int] | None
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
@click.option(
    "--retry-failed",
    is_flag=True,
    help="Try slides again that failed before; without SLIDES, only those.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    help="Slides that are read at once [default: one for every two cores, at most 4].",
)
@click.option(
    "--plan", is_flag=True, help="Only say how many slides and patches, how long, how much disk."
)
@click.option(
    "--part",
    callback=lambda _ctx, _param, word: _part(word),
    metavar="I/N",
    help="Only the I-th of N parts, which may run at once; then --merge.",
)
@click.option("--merge", is_flag=True, help="Fold the parts that have run into the library.")
@json_option
@verbose_option
def index_command(as_json: bool, plan: bool, merge: bool, **words: Any) -> int:
    """Bring slides into a library, so that they can be searched.

    SLIDES are files, folders or globs. A run that was stopped goes on where it was; what has
    not changed is not read again. A slide that fails is listed with a code, and the run goes
    on: exit status 3.
    """
    request = Request(**words)
    _check(request, plan, merge)
    if merge:
        return _merge(request.library, as_json)
    if plan:
        return _plan(request, as_json)
    from pathsearch.cli.index_display import print_report
    from pathsearch.cli.index_work import run

    with progress_bar() as bar:
        report = run(request, bar)
    if as_json:
        print_json(report.to_json())
    else:
        print_report(report, request.library)
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


def _part(word: str | None) -> tuple[int, int] | None:
    if word is None:
        return None
    first, slash, second = word.partition("/")
    if not (slash and first.isdecimal() and second.isdecimal()) or not (
        1 <= int(first) <= int(second) <= MOST_PARTS
    ):
        raise UsageError(f"--part {word}: give it as I/N, with I from 1 to N, as in 3/16.")
    return int(first), int(second)


def _check(request: Request, plan: bool, merge: bool) -> None:
    named = bool(request.slides or request.manifest or request.from_library)
    if request.from_library is not None:
        refuse_with_from(request)
        if plan or request.part:
            raise UsageError("--from indexes a whole library at once: leave --plan, --part out.")
    if merge and (named or plan or request.part or request.retry_failed):
        raise UsageError("--merge goes with --library alone: it reads no slides.")
    if not (named or merge or request.retry_failed):
        raise UsageError("name SLIDES or a --manifest; see pathsearch index --help.")
    if request.mpp is not None and not 0.05 <= request.mpp <= 10:
        raise UsageError("--mpp must be 0.05 to 10 µm per pixel.")


def _merge(path: Path, as_json: bool) -> int:
    from dataclasses import asdict

    from pathsearch.indexing import merge
    from pathsearch.library import Library

    with Library.open(path) as library:
        merged = merge(library)
    if as_json:
        print_json({"library": str(path), **asdict(merged)})
    if not merged.parts:
        say(f"{path}: there are no parts to merge.")
        return 0
    say(
        f"{path}: {merged.parts} parts merged, {merged.slides} slides, {merged.segments} new "
        f"segments, {merged.failed} failed."
    )
    if merged.missing:
        say(f"Parts that have not run: {', '.join(map(str, merged.missing))}.")
    return SOME_FAILED if merged.failed else 0


def _plan(request: Request, as_json: bool) -> int:
    from pathsearch.cli.index_display import print_plan
    from pathsearch.cli.index_work import plan

    with progress_bar() as bar:
        found = plan(request, bar)
    if as_json:
        print_json(found.to_json())
    else:
        print_plan(found, request.library)
    return SOME_FAILED if found.failed else 0
