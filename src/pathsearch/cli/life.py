"""`pathsearch remove | compact | relocate`: slides out of a library, and to new places."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pathsearch.cli.main import verbose_option
from pathsearch.cli.output import json_option, print_json, say
from pathsearch.errors import UsageError

if TYPE_CHECKING:
    from pathsearch.library import Library

_LIBRARY = click.argument("library", type=click.Path(path_type=Path), metavar="LIB")


@click.command("remove")
@_LIBRARY
@click.argument("slides", nargs=-1, metavar="[SLIDE...]")
@click.option("--case", "cases", multiple=True, help="All slides of a case; may be repeated.")
@click.option("--purge", is_flag=True, help="Erase: vectors, indexes, thumbnails, logs, rows.")
@json_option
@verbose_option
def remove_command(
    library: Path, slides: tuple[str, ...], cases: tuple[str, ...], purge: bool, as_json: bool
) -> int:
    """Take slides out of LIB, at once gone from every answer.

    Their vectors leave the disk with `compact`. --purge erases them now, checks that no file
    of the library holds them any more, and prints a receipt without identifiers.
    """
    from pathsearch.library import Library

    if not slides and not cases:
        raise UsageError("name the slides, or --case, to remove; `pathsearch list` shows them.")
    with Library.open(library) as opened:
        if purge:
            return _purge(opened, slides, cases, as_json)
        ids = [*slides, *_of_cases(opened, cases)]
        with opened.writer() as writer:
            removed = writer.remove_slides(ids)
    if as_json:
        print_json({"library": str(library), "removed": removed})
    say(f"{removed} slides removed; `pathsearch compact {library}` frees their space.")
    return 0


def _of_cases(library: Library, cases: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    records = [r for r in library.slides() if r.status != "removed"]
    for case in cases:
        ids = [r.slide_id for r in records if r.case_id == case]
        if not ids:
            raise UsageError(f"no slide of {library.path} has the case '{case}'.")
        found += ids
    return found


def _purge(library: Library, slides: tuple[str, ...], cases: tuple[str, ...], as_json: bool) -> int:
    from pathsearch.maintenance import purge

    receipt = purge(library, case_ids=cases, slide_ids=slides)
    if as_json:
        print_json(asdict(receipt))
        return 0
    click.echo(
        f"Erased from library {receipt.library_id} at {receipt.at}: {receipt.slides} slides, "
        f"{receipt.patches} patches, {receipt.thumbnails} thumbnails, {receipt.log_lines} lines, "
        f"{receipt.review_rows} rows of reviews. "
        "No file of the library holds them any more. Not reached:"
    )
    for line in receipt.not_reached:
        click.echo(f"- {line}")
    return 0


@click.command("compact")
@_LIBRARY
@json_option
@verbose_option
def compact_command(library: Path, as_json: bool) -> int:
    """Free the disk space of removed and superseded slides of LIB."""
    from pathsearch.library import Library
    from pathsearch.maintenance import compact

    with Library.open(library) as opened:
        done = compact(opened)
    if as_json:
        print_json({"library": str(library), **asdict(done)})
    say(f"{library}: {done.segments} segments erased, {done.bytes_freed / 1e6:.1f} MB freed.")
    return 0


@click.command("relocate")
@_LIBRARY
@click.argument("root", required=False)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--for-everyone", is_flag=True, help="Change what the library itself remembers.")
@json_option
@verbose_option
def relocate_command(
    library: Path, root: str | None, folder: Path | None, for_everyone: bool, as_json: bool
) -> int:
    """Say where the slides of a ROOT of LIB are now; without words, show the roots.

    Only you on this machine are concerned, unless --for-everyone.
    """
    from pathsearch.library import Library
    from pathsearch.maintenance import relocate

    with Library.open(library) as opened:
        if root is None or folder is None:
            places = {name: str(path) for name, path in opened.root_folders().items()}
            if root is not None:
                raise UsageError(f"where is '{root}' now? pathsearch relocate LIB {root} FOLDER")
            if as_json:
                print_json({"library": str(library), "roots": places})
            else:
                for name, place in places.items():
                    click.echo(f"{name}  {place}")
            return 0
        found = relocate(opened, root, folder, for_everyone=for_everyone)
    if as_json:
        print_json({"library": str(library), **asdict(found)})
    say(f"{found.found} slides of root '{root}' are in {folder}.")
    if found.missing:
        say(f"{found.missing} are not, for instance {', '.join(found.examples)}.")
    if found.changed:
        say(f"{len(found.changed)} have changed since they were indexed: index them again.")
    return 0
