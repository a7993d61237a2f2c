"""`pathsearch query`: what looks like this."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pathsearch.cli.main import verbose_option
from pathsearch.cli.output import json_option, print_json, print_table, say
from pathsearch.errors import QueryError, UsageError
from pathsearch.nouns import Query

if TYPE_CHECKING:
    from pathsearch.library import Library
    from pathsearch.search import Answer

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
@click.option("--csv", "csv_file", type=_FILE, help="Write the matches as CSV.")
@click.option("--geojson", "geojson_file", type=_FILE, help="Write the matches for QuPath.")
@click.option(
    "--picture",
    "picture_file",
    type=_FILE,
    help="Write a picture (PNG) of the query and its matches.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps.")
@json_option
@verbose_option
def query_command(
    library: Path,
    query_file: Path | None,
    device: str,
    as_json: bool,
    **words: Any,
) -> int:
    """Find the tissue in LIB that looks most like the examples."""
    from pathsearch.library import Library
    from pathsearch.search import Searcher

    files = {name: words.pop(name) for name in ("csv_file", "geojson_file", "picture_file")}
    query = _query(query_file, words)
    with Library.open(library) as opened:
        answer = Searcher(opened, device=device).search(query)
        if files["csv_file"]:
            _write_csv(answer, files["csv_file"])
        if files["geojson_file"]:
            _write_geojson(answer, files["geojson_file"])
        if files["picture_file"]:
            write_picture(opened, answer, files["picture_file"])
    if as_json:
        print_json(answer.to_json())
    else:
        print_answer(answer)
    return 0


def _query(query_file: Path | None, words: dict[str, Any]) -> Query:
    """The query of the words: from EXAMPLEs, or a saved one with what is given besides."""
    from pathsearch.search.questions import checked, parse_example, query_from_json

    examples = {
        name: tuple(parse_example(word) for word in words.pop(name)) for name in ("like", "unlike")
    }
    given = {name: value for name, value in words.items() if value not in (None, False)}
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


def _write_csv(answer: Answer, path: Path) -> None:
    from pathsearch.export import matches_to_csv

    path.write_text(matches_to_csv(answer.matches), encoding="utf-8")
    say(f"Wrote {path}.")


def _write_geojson(answer: Answer, path: Path) -> None:
    from pathsearch.export import matches_to_geojson

    text = json.dumps(matches_to_geojson(answer.matches), allow_nan=False)
    path.write_text(text, encoding="utf-8")
    say(f"Wrote {path}.")


def write_picture(library: Library, answer: Answer, path: Path) -> None:
    """The query and its matches as a PNG."""
    from pathsearch.export.contact_sheet import contact_sheet

    sheet = contact_sheet(library, answer.query.like, answer.matches)
    sheet.save(path, "PNG")
    say(f"Wrote {path}.")
