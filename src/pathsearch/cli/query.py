"""`pathsearch query`: what looks like this."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pathsearch.cli.main import verbose_option
from pathsearch.cli.output import json_option, print_json, print_table, say
from pathsearch.errors import QueryError, UsageError
from pathsearch.nouns import Query

if TYPE_CHECKING:
    from pathsearch.export.records import Dossier
    from pathsearch.library import Library
    from pathsearch.search import Answer, Searcher
    from pathsearch.search.bias import Tally

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("query")
@click.argument("library", type=click.Path(path_type=Path), metavar="LIB")
@click.option(
    "--like",
    multiple=True,
    metavar="EXAMPLE",
    help="SLIDE#x,y,w,h | SLIDE#x,y | SLIDE#F.geojson | F.png@MPP; may be repeated. "
    "Lengths in level-0 pixels, MPP in µm per pixel.",
)
@click.option(
    "--unlike", multiple=True, metavar="EXAMPLE", help="What the matches should not look like."
)
@click.option("--query", "query_file", type=_FILE, help="A query saved by --json.")
@click.option("-k", type=click.IntRange(1, 100_000), help="Matches wanted  [default: 20]")
@click.option("--spec", help="Magnification to search, by its name in the library; all: every one.")
@click.option(
    "--exclude",
    type=click.Choice(["overlap", "slide", "case"]),
    help="Leave out what overlaps the query, its slide, or its case [default: overlap]",
)
@click.option(
    "--guard",
    type=click.FloatRange(0, 1000),
    help="Least distance of matches from the query's own spot, in patch widths  [default: 0.5]",
)
@click.option(
    "--where",
    metavar="EXPR",
    help="Only slides for which this holds: 'organ = lung and (age > 50 or stage in (II, III))'.",
)
@click.option("--per-slide", type=click.IntRange(1), help="At most so many of one slide.")
@click.option("--per-case", type=click.IntRange(1), help="At most so many of one case.")
@click.option(
    "--spacing",
    type=click.FloatRange(0, 1000),
    help="Least distance between two matches of a slide, in patch widths.",
)
@click.option(
    "--diversity",
    type=click.FloatRange(0, 1),
    help="0 ranks by score alone; higher brings matches forward that differ from those before.",
)
@click.option(
    "--combine",
    type=click.Choice(["mean", "max", "set"]),
    help="Several patches as their mean, the best of them, or areas compared patch by patch "
    "[default: mean]",
)
@click.option("--exact", is_flag=True, help="Compare with every patch; slower, misses nothing.")
@click.option(
    "--rotations",
    type=click.Choice(["auto", "never"]),
    help="Average up to four patches over their turned and mirrored views  [default: auto]",
)
@click.option(
    "--tally",
    "columns",
    multiple=True,
    metavar="COLUMN",
    help="Also say how the matches' cases divide over a column's values; may be repeated.",
)
@click.option("--csv", "csv_file", type=_FILE, help="Write the matches as CSV.")
@click.option(
    "--geojson",
    "geojson_file",
    type=click.Path(path_type=Path),
    help="Write annotations for QuPath: a folder, one file a slide; or F.geojson for one slide.",
)
@click.option(
    "--picture",
    "picture_file",
    type=_FILE,
    help="Write a picture (PNG) of the query and its matches.",
)
@click.option(
    "--html", "html_file", type=_FILE, help="Write one self-contained page of the matches."
)
@click.option("--save", is_flag=True, help="Keep the search as a review.")
@click.option("--title", default="", help="Of the page and of the review.")
@click.option(
    "--pseudonymise",
    is_flag=True,
    help="Replace names of slides, cases, metadata in all output.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps.")
@json_option
@verbose_option
def query_command(
    library: Path,
    query_file: Path | None,
    device: str,
    columns: tuple[str, ...],
    as_json: bool,
    **words: Any,
) -> int:
    """Find the tissue in LIB that looks most like the examples."""
    from pathsearch.library import Library
    from pathsearch.search import Searcher

    names = ("csv_file", "geojson_file", "picture_file", "html_file", "save", "title")
    asked = {name: words.pop(name) for name in (*names, "pseudonymise")}
    if columns and asked["pseudonymise"]:
        raise UsageError("--tally would print what --pseudonymise hides: give one of the two.")
    query = _query(query_file, words)
    with Library.open(library) as opened:
        searcher = Searcher(opened, device=device)
        answer = searcher.search(query)
        tallies = {column: searcher.tally(answer, column) for column in columns}
        damaged = [spec for spec in opened.specs if searcher.has_damaged_index(spec)]
        answer = _keep(searcher, answer, asked)
    _print(answer, tallies, as_json)
    _mend(library, damaged)
    return 0


def _print(answer: Answer, tallies: dict[str, tuple[Tally, ...]], as_json: bool) -> None:
    if as_json:
        lines = {name: [asdict(line) for line in found] for name, found in tallies.items()}
        print_json(answer.to_json() | ({"tally": lines} if lines else {}))
        return
    print_answer(answer)
    for column, found in tallies.items():
        say(f"{column}: {'; '.join(map(str, found)) or 'no match has it'}")


def _mend(library: Path, damaged: list[str]) -> None:
    """Build what cannot be trusted again, once the question is answered."""
    from pathsearch.search.upkeep import build_if_needed

    for spec in damaged:
        say(f"The index of {spec} is damaged and is built again; Ctrl-C leaves it for later.")
        sys.stdout.flush()
        if build_if_needed(library, spec):
            say(f"The index of {spec} is whole again.")
        else:
            say("It cannot be built now: the library is read-only, or somebody writes to it.")


def _query(query_file: Path | None, words: dict[str, Any]) -> Query:
    """The query of the words: from EXAMPLEs, or a saved one with what is given besides."""
    from pathsearch.search.questions import checked, parse_example, query_from_json

    turned = words.pop("rotations")
    examples = {
        name: tuple(parse_example(word) for word in words.pop(name)) for name in ("like", "unlike")
    }
    given = {
        name: value for name, value in words.items() if value is not None and value is not False
    }
    if turned is not None:
        given["rotations"] = turned == "auto"
    given.update({name: found for name, found in examples.items() if found})
    if query_file is not None:
        if "like" in given:
            raise UsageError("give --like or --query, not both.")
        saved = query_from_json(_read_query(query_file), source=str(query_file))
        return checked(replace(saved, **given))
    if "like" not in given:
        raise UsageError("give at least one --like EXAMPLE; see pathsearch query --help.")
    return checked(Query(**given))


def _read_query(path: Path) -> Any:
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise QueryError(f"{path}: cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise QueryError(f"{path}: is not JSON ({error}).") from None
    # A whole answer holds its query: both may be given back
    return raw["query"] if isinstance(raw, dict) and "query" in raw else raw


def print_answer(answer: Answer) -> None:
    """The matches as a table on stdout, what to think of them on stderr."""
    rows = []
    for match in answer.matches:
        percentile = "-" if match.percentile is None else f"{match.percentile:.0f}%"
        place = f"{match.footprint.x},{match.footprint.y}"
        side = f"{match.footprint.width}"
        rows.append(
            (
                str(match.rank),
                f"{match.score:.3f}",
                percentile,
                match.key.slide_id,
                match.case_id,
                place,
                side,
                match.key.spec,
            )
        )
    if rows:
        head = ("rank", "score", "closer than", "slide", "case", "x,y", "side", "spec")
        print_table(head, rows, "rrrlllrl")
    else:
        say("Nothing is left to search: everything is excluded, or the library is empty.")
    if answer.nothing_alike:
        say("Nothing here looks like it: the best match is below 95% of what is usually found.")
    for note in (*answer.notes, *map(str, answer.departures)):
        say(note)
    say(f"Searched {answer.searched} patches at {answer.query.spec}; {answer.recall}.")


def _keep(searcher: Searcher, answer: Answer, asked: dict[str, Any]) -> Answer:
    """Write the files that were asked for, keep the review; the answer as it may be printed."""
    from pathsearch.cli.leaving import leaving_to
    from pathsearch.review import Reviews

    if not any(asked[name] for name in (*_WRITERS, "save", "pseudonymise")):
        return answer
    library = searcher.library
    with Reviews(library) as reviews:
        review = ""
        if asked["save"]:
            review = reviews.record(answer, title=asked["title"]).review
            say(f"Kept as review {review[:8]}: 'pathsearch review {library.path} show'.")
        shown = _masked(library, answer) if asked["pseudonymise"] else answer
        for name, write in _WRITERS.items():
            path = asked[name]
            if path:
                with leaving_to(path):
                    said = write(searcher, answer, shown, asked)
                say(said)
                reviews.log_export(
                    name.partition("_")[0],
                    path.absolute(),
                    review=review,
                    items=len(answer.matches),
                    pseudonymised=asked["pseudonymise"],
                )
    return shown


def _masked(library: Library, answer: Answer) -> Answer:
    from pathsearch.export.dossier import masked_answer
    from pathsearch.export.pseudonyms import Pseudonyms

    return masked_answer(answer, library, Pseudonyms.of_user())


def _write_csv(_: Searcher, __: Answer, shown: Answer, asked: dict[str, Any]) -> str:
    from pathsearch.export import matches_to_csv

    asked["csv_file"].write_text(matches_to_csv(shown.matches), encoding="utf-8")
    return f"Wrote {asked['csv_file']}."


def _write_geojson(searcher: Searcher, answer: Answer, _: Answer, asked: dict[str, Any]) -> str:
    from pathsearch.cli.leaving import write_one

    return write_one(
        "geojson", asked["geojson_file"], searcher.library, _dossier(answer, asked, searcher)
    )


def _write_sheet(searcher: Searcher, answer: Answer, shown: Answer, asked: dict[str, Any]) -> str:
    from pathsearch.export.contact_sheet import contact_sheet

    pairs = zip(answer.matches, shown.matches, strict=True)
    names = {a.key.slide_id: b.key.slide_id for a, b in pairs}
    names |= {a.slide: b.slide for a, b in _places(answer, shown)}
    sheet = contact_sheet(searcher.library, answer.query.like, answer.matches, names=names)
    sheet.save(asked["picture_file"], "PNG")
    return f"Wrote {asked['picture_file']}."


def _places(answer: Answer, shown: Answer) -> list[tuple[Any, Any]]:
    pairs = zip(answer.query.like, shown.query.like, strict=True)
    return [(a, b) for a, b in pairs if hasattr(a, "slide")]


def _write_html(searcher: Searcher, answer: Answer, _: Answer, asked: dict[str, Any]) -> str:
    from pathsearch.cli.leaving import write_one

    dossier = _dossier(answer, asked, searcher, ranked=True)
    return write_one("html", asked["html_file"], searcher.library, dossier)


def _dossier(
    answer: Answer, asked: dict[str, Any], searcher: Searcher, *, ranked: bool = False
) -> Dossier:
    from pathsearch.cli.leaving import masked_if, with_slides
    from pathsearch.export.dossier import of_answer

    dossier = of_answer(searcher.library, answer, title=asked["title"])
    if ranked:
        dossier = with_slides(dossier, searcher, answer.query)
    return masked_if(dossier, searcher.library, asked["pseudonymise"])


_WRITERS = {
    "csv_file": _write_csv,
    "geojson_file": _write_geojson,
    "picture_file": _write_sheet,
    "html_file": _write_html,
}
