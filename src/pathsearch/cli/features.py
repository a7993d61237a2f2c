"""`pathsearch import | export`: features made elsewhere, in and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pathsearch.cli.index import SOME_FAILED
from pathsearch.cli.main import INTERRUPTED, verbose_option
from pathsearch.cli.output import json_option, print_json, progress_bar, say
from pathsearch.config import SANE_MPP
from pathsearch.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from pathsearch.maintenance import ImportEncoder, ImportReport

_LIBRARY = click.argument("library", type=click.Path(path_type=Path), metavar="LIB")
_FILE = click.Path(path_type=Path, dir_okay=False)
_ANY = click.Path(path_type=Path)


def _import_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What a file of features may not say itself."""
    for option in reversed(
        (
            click.option(
                "--slides",
                multiple=True,
                type=_ANY,
                help="A folder or file of the slides; may be repeated. They may be missing.",
            ),
            click.option(
                "--manifest",
                type=_FILE,
                help="CSV or TSV: path, and features, slide_id, case_id, mpp, width, height; "
                "further columns become metadata.",
            ),
            click.option(
                "--coords", type=_ANY, help="Folder of the run's files of coordinates (CLAM)."
            ),
            click.option(
                "--encoder", default="", help="Made the features; a folder, file, builtin:NAME."
            ),
            click.option(
                "--encoder-name", default="", help="How it is called, without its weights."
            ),
            click.option(
                "--patch-size", type=int, help="Pixels of a patch, where no file says it."
            ),
            click.option(
                "--spec-mpp",
                type=float,
                help="Resolution that patches were cut at, µm per pixel, where no file says it.",
            ),
            click.option(
                "--mpp", type=float, help="µm per level-0 pixel, for slides that do not say."
            ),
            click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps."),
        )
    ):
        command = option(command)
    return command


@click.command("import")
@_LIBRARY
@click.argument("features", nargs=-1, required=True, type=_ANY, metavar="FEATURES...")
@_import_options
@json_option
@verbose_option
def import_command(library: Path, features: tuple[Path, ...], as_json: bool, **words: Any) -> int:
    """Bring features of TRIDENT or CLAM into LIB, without encoding anything again.

    FEATURES are .h5 or .pt files, or folders of them; LIB is made where it is missing. With
    --encoder, 50 patches are encoded again and compared, and then regions, pictures and new
    slides can be asked and indexed. With --encoder-name, questions start from stored patches.
    """
    with progress_bar() as bar:
        done = _import(library, features, words, bar)
    if as_json:
        print_json(done.to_json())
    else:
        from pathsearch.cli.index_display import print_report

        print_report(done.report, library)
    if done.report.interrupted:
        say("Interrupted: what was done is kept. Run the same command again to go on.")
        return INTERRUPTED
    return SOME_FAILED if done.report.of("failed") else 0


def _import(
    library: Path, features: tuple[Path, ...], words: dict[str, Any], bar: Progress | None
) -> ImportReport:
    from pathsearch.library import Library
    from pathsearch.maintenance import Given, find_tasks, import_features

    for name in ("mpp", "spec_mpp"):
        value = words[name]
        if value is not None and not SANE_MPP[0] <= value <= SANE_MPP[1]:
            raise UsageError(f"--{name.replace('_', '-')} must be 0.05 to 10 µm per pixel.")
    size = words["patch_size"]
    if size is not None and not 16 <= size <= 4096:
        raise UsageError("--patch-size must be 16 to 4096 pixels.")
    there = library.exists() and not (library.is_dir() and not any(library.iterdir()))
    opened = Library.open(library) if there else None
    try:
        tasks = find_tasks(
            features,
            slides=words["slides"],
            manifest=_manifest(words),
            coords=words["coords"],
            library=opened,
            mpp=words["mpp"],
        )
    finally:
        if opened is not None:
            opened.close()
    from pathsearch.cli.index_display import listener_of

    given = Given(size, words["spec_mpp"])
    return import_features(library, tasks, given, _who(words), listener=listener_of(bar))


def _manifest(words: dict[str, Any]) -> list[Any]:
    from pathsearch.indexing.manifest import read_manifest

    if words["manifest"] is None:
        return []
    return read_manifest(words["manifest"], words["slides"])


def _who(words: dict[str, Any]) -> ImportEncoder:
    from pathsearch.maintenance import ImportEncoder

    source, name = words["encoder"], words["encoder_name"]
    if source and name:
        raise UsageError("--encoder says its name itself: leave --encoder-name out.")
    if not source:
        return ImportEncoder(name=name)
    from pathsearch.encoders import load_encoder

    encoder = load_encoder(source, device=words["device"])
    if Path(source).exists():
        source = str(Path(source).resolve())
    return ImportEncoder(encoder, source)


@click.command("export")
@_LIBRARY
@click.option("--h5", type=_ANY, help="A new folder: one HDF5 file a slide, as TRIDENT has them.")
@click.option("--parquet", type=_FILE, help="A new file: one table of keys and unit vectors.")
@click.option("--spec", default="", help="Only this magnification.")
@click.option("--pseudonymise", is_flag=True, help="Replace names of slides and cases.")
@json_option
@verbose_option
def export_command(
    library: Path,
    h5: Path | None,
    parquet: Path | None,
    spec: str,
    pseudonymise: bool,
    as_json: bool,
) -> int:
    """Write the vectors of LIB as files that other tools read.

    What `import` brought in comes back as it was, to within the rounding to float16.
    """
    from pathsearch.cli.leaving import log_one
    from pathsearch.export.pseudonyms import Pseudonyms
    from pathsearch.library import Library

    if (h5 is None) == (parquet is None):
        raise UsageError("say one of --h5 FOLDER and --parquet FILE.")
    with Library.open(library) as opened, progress_bar() as bar:
        task = bar.add_task("slides", total=None, extra="") if bar is not None else None

        def told(done: int, total: int) -> None:
            if bar is not None and task is not None:
                bar.update(task, completed=done, total=total)

        names = Pseudonyms.of_user() if pseudonymise else None
        if h5 is not None:
            from pathsearch.export import export_h5

            done = export_h5(opened, h5, spec=spec, progress=told, names=names)
            place = h5
        else:
            assert parquet is not None
            from pathsearch.export import export_parquet

            done = export_parquet(opened, parquet, spec=spec, progress=told, names=names)
            place = parquet
        what = "vectors h5" if h5 is not None else "vectors parquet"
        log_one(opened, what, place, items=done.patches, pseudonymised=pseudonymise)
    if as_json:
        print_json({"library": str(library), "to": str(place), **asdict(done)})
    say(f"{place}: {done.patches} patches of {done.slides} slides.")
    return 0
