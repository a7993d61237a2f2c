"""Files that leave a library: the options that name them, and how each is written and logged."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pathsearch.cli.output import say
from pathsearch.errors import PathsearchError, ReviewError, UsageError

if TYPE_CHECKING:
    from pathsearch.export.records import Dossier
    from pathsearch.library import Library
    from pathsearch.nouns import Query
    from pathsearch.review import Review, Reviews
    from pathsearch.search import Searcher

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)

_OPTIONS = (
    click.option("--html", type=_FILE, help="One self-contained page: pictures, sort, filter."),
    click.option("--csv", type=_FILE, help="A table."),
    click.option("--parquet", type=_FILE, help="The same table, typed (extra: parquet)."),
    click.option(
        "--geojson",
        type=click.Path(path_type=Path),
        help="Annotations for QuPath: a folder, one file a slide; or F.geojson for one slide.",
    ),
    click.option("--patches", type=_FOLDER, help="Pictures (PNG), a folder a slide, a manifest."),
    click.option(
        "--picture-mpp",
        type=click.FloatRange(0, 100),
        help="µm per pixel of --patches; 0 is the slide's own [default: as encoded]",
    ),
    click.option(
        "--around",
        type=click.FloatRange(1, 50),
        default=1.0,
        show_default=True,
        help="Side of --patches in sides of the place; above 1 it shows the surroundings.",
    ),
    click.option("--scale-bar", is_flag=True, help="Draw a scale bar into --patches."),
    click.option("--sheet", type=_FILE, help="A contact sheet: F.png or F.pdf."),
    click.option(
        "--pseudonymise",
        is_flag=True,
        help="Replace names of slides, cases and metadata; docs/exports.md says what remains.",
    ),
)
FORMATS = ("html", "csv", "parquet", "geojson", "patches", "sheet")


def leaving_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of everything that can leave."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def check_words(words: dict[str, Any]) -> None:
    """UsageError where no file is named, or a name has the wrong ending."""
    if not any(words[name] for name in FORMATS):
        named = ", ".join(f"--{name}" for name in FORMATS)
        raise UsageError(f"name at least one file to write: {named}.")
    sheet = words["sheet"]
    if sheet is not None and sheet.suffix.lower() not in (".png", ".pdf"):
        raise UsageError(f"{sheet}: a contact sheet is F.png or F.pdf.")


def write_files(
    library: Library,
    dossier: Dossier,
    words: dict[str, Any],
    reviews: Reviews,
    review: str = "",
) -> dict[str, str]:
    """Write every file that was named, and leave a line about each in the log of exports.

    Returns
    -------
    dict of str to str
        Format to place.
    """
    dossier = masked_if(dossier, library, words["pseudonymise"])
    written = {}
    for name in FORMATS:
        target = words[name]
        if target is None:
            continue
        with leaving_to(target):
            said = _WRITERS[name](target, library, dossier, words)
        say(said)
        reviews.log_export(
            name,
            target.absolute(),
            review=review,
            items=len(dossier.items),
            pseudonymised=dossier.pseudonymised,
        )
        written[name] = str(target)
    return written


def write_one(name: str, target: Path, library: Library, dossier: Dossier) -> str:
    """Write one format without further options; what is to be said of it."""
    return _WRITERS[name](target, library, dossier, {})


def with_slides(
    dossier: Dossier, searcher: Searcher, query: Query, review: Review | None = None
) -> Dossier:
    """The dossier with the slides ranked by how much of them looks like the question.

    Where they cannot be ranked, it says why and is written without.
    """
    from dataclasses import replace

    from pathsearch.review.across import across_slides

    try:
        found = across_slides(searcher, query, review=review)
    except PathsearchError as error:
        say(f"Slides are not ranked on the page: {error}")
        return dossier
    return replace(dossier, shares=found.shares, threshold_told=found.told)


def log_one(
    library: Library, what: str, target: Path, *, items: int, pseudonymised: bool = False
) -> None:
    """Leave a line about something that left the library and is of no review."""
    from pathsearch.review import Reviews

    with Reviews(library) as reviews:
        reviews.log_export(what, target.absolute(), items=items, pseudonymised=pseudonymised)


@contextlib.contextmanager
def leaving_to(target: Path) -> Iterator[None]:
    """Turn what the disk says into one line that names the file."""
    try:
        yield
    except OSError as error:
        raise ReviewError(
            f"{target}: cannot be written ({error.strerror or error}); name another place.",
            path=str(target),
        ) from error


def masked_if(dossier: Dossier, library: Library, wanted: bool) -> Dossier:
    """The dossier with pseudonyms where they are wanted."""
    if not wanted:
        return dossier
    from pathsearch.export.dossier import masked
    from pathsearch.export.pseudonyms import Pseudonyms

    return masked(dossier, library, Pseudonyms.of_user())


def _html(target: Path, library: Library, dossier: Dossier, _: dict[str, Any]) -> str:
    from pathsearch.export.page import write_page

    size = write_page(target, library, dossier)
    return f"Wrote {target}: {len(dossier.items)} places, {size / 1e6:.1f} MB."


def _csv(target: Path, _: Library, dossier: Dossier, __: dict[str, Any]) -> str:
    from pathsearch.export.files import write_csv

    write_csv(target, dossier)
    return f"Wrote {target}: {len(dossier.items)} rows."


def _parquet(target: Path, _: Library, dossier: Dossier, __: dict[str, Any]) -> str:
    from pathsearch.export.files import write_parquet

    write_parquet(target, dossier)
    return f"Wrote {target}: {len(dossier.items)} rows."


def _geojson(target: Path, _: Library, dossier: Dossier, __: dict[str, Any]) -> str:
    from pathsearch.export.files import write_geojson

    files = write_geojson(target, dossier)
    if files == [target]:
        return f"Wrote {target}: in QuPath, drop it on its slide."
    named = ", ".join(file.name for file in files[:3]) + (", ..." if len(files) > 3 else "")
    return (
        f"Wrote {len(files)} files, one a slide, to {files[0].parent if files else target} "
        f"({named}): in QuPath, drop each on its slide."
    )


def _patches(target: Path, library: Library, dossier: Dossier, words: dict[str, Any]) -> str:
    from pathsearch.export.files import write_patches

    count, missing = write_patches(
        target,
        library,
        dossier,
        mpp=words["picture_mpp"],
        times=words["around"],
        bar=words["scale_bar"],
    )
    left = f"; left out, not at hand: {', '.join(sorted(missing))}" if missing else ""
    return f"Wrote {count} pictures and manifest.csv to {target}{left}."


def _sheet(target: Path, library: Library, dossier: Dossier, _: dict[str, Any]) -> str:
    from pathsearch.export.files import write_sheet

    pages = write_sheet(target, library, dossier)
    return f"Wrote {target}{f': {pages} pages' if pages > 1 else ''}."


_WRITERS: dict[str, Callable[[Path, Any, Any, dict[str, Any]], str]] = {
    "html": _html,
    "csv": _csv,
    "parquet": _parquet,
    "geojson": _geojson,
    "patches": _patches,
    "sheet": _sheet,
}
