"""`pathsearch collection`: named sets of places, for teaching and for showing."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pathsearch.cli.leaving import check_words, leaving_options, write_files
from pathsearch.cli.main import verbose_option
from pathsearch.cli.output import json_option, print_json, print_table, say
from pathsearch.errors import QueryError, UsageError

if TYPE_CHECKING:
    from pathsearch.library import Library
    from pathsearch.nouns import Match
    from pathsearch.review import Collections, Place

_NAME = click.argument("name")


@click.group("collection")
@click.argument("library", type=click.Path(path_type=Path), metavar="LIB")
@verbose_option
@click.pass_context
def collection_command(ctx: click.Context, library: Path) -> None:
    """Gather places of LIB under a name, in an order, with captions and classes."""
    from pathsearch.library import Library
    from pathsearch.review import Collections

    opened = ctx.with_resource(Library.open(library))
    ctx.obj["collections"] = ctx.with_resource(Collections(opened))


def _collections() -> Collections:
    found: Collections = click.get_current_context().obj["collections"]
    return found


@collection_command.command("list")
@json_option
def list_collections(as_json: bool) -> int:
    """All collections, by name."""
    found = _collections().list()
    if as_json:
        print_json([asdict(collection) for collection in found])
        return 0
    if found:
        rows = [(c.name, str(len(c.places)), c.created[:10]) for c in found]
        print_table(("name", "places", "made"), rows, "lrl")
    else:
        say("No collections yet: 'pathsearch collection LIB add NAME --place ...' makes one.")
    return 0


@collection_command.command("add")
@_NAME
@click.option(
    "--place",
    "places",
    multiple=True,
    metavar="SLIDE#x,y,w,h",
    help="A rectangle in level-0 pixels, or SLIDE#x,y for a patch; may be repeated.",
)
@click.option("--review", help="Take matches of this review: an id, or 'last'.")
@click.option("--accepted", is_flag=True, help="Of the review, all that were accepted.")
@click.option("--ranks", default="", help="Of the review's last round, these: 1,2,5-9.")
@click.option("--caption", default="", help="What to say of them.")
@click.option("--class", "label", default="", help="Their class; the answer of the quiz.")
def add_places(name: str, places: tuple[str, ...], caption: str, label: str, **words: Any) -> int:
    """Put places at the end of the collection NAME; it is made where it is not there."""
    collections = _collections()
    wanted: list[Match | Place] = [_place(collections.library, word) for word in places]
    if words["review"]:
        wanted += _of_review(collections.library, words)
    if not wanted:
        raise UsageError("give --place SLIDE#x,y,w,h, or --review ID with --accepted or --ranks.")
    found = collections.add(name, wanted, caption=caption, label=label)
    say(f"'{found.name}' has {len(found.places)} places.")
    return 0


def _place(library: Library, word: str) -> Place:
    from pathsearch.nouns import Footprint, Point, Region
    from pathsearch.review import Place
    from pathsearch.search import parse_example
    from pathsearch.search.examples import find_record

    example = parse_example(word)
    if not isinstance(example, Region | Point):
        raise QueryError(f"'{word}': a place is SLIDE#x,y,w,h or SLIDE#x,y.")
    record = find_record(library, example.slide)
    if record is None or not record.mpp:
        raise QueryError(f"'{word}': the slide is not in the library; index it first.")
    spec = next(iter(library.specs.values()))
    if isinstance(example, Point):
        side = round(spec.size_px * spec.mpp / record.mpp)
        box = Footprint(round(example.x - side / 2), round(example.y - side / 2), side, side)
    else:
        corners = [corner for polygon in example.polygons for ring in polygon for corner in ring]
        (left, top), (right, bottom) = map(min, zip(*corners)), map(max, zip(*corners))  # noqa: B905
        box = Footprint(round(left), round(top), round(right - left), round(bottom - top))
    inside = (
        0 <= box.x + box.width / 2 < record.width and 0 <= box.y + box.height / 2 < record.height
    )
    if not inside:
        raise QueryError(
            f"'{word}': lies outside the slide, which is {record.width} x {record.height} level-0 "
            "pixels."
        )
    return Place(
        "", record.slide_id, record.case_id, spec.name, box, record.mpp,
        metadata=dict(record.metadata),
    )  # fmt: skip


def _of_review(library: Library, words: dict[str, Any]) -> list[Match]:
    from pathsearch.cli.review import _key, _ranks
    from pathsearch.review import Reviews

    with Reviews(library) as reviews:
        review = reviews.get(words["review"])
    if words["accepted"]:
        accepted = set(review.keys("accept"))
        # As they were found, whatever order they were judged in
        return [shown.match for key, shown in review.shown().items() if key in accepted]
    matches = {s.match.rank: s.match for s in review.rounds[-1].matches if not s.control}
    return [_key(matches, rank) for rank in _ranks(words["ranks"])]


@collection_command.command("show")
@_NAME
@json_option
def show_collection(name: str, as_json: bool) -> int:
    """The places of a collection, in their order."""
    found = _collections().get(name)
    if as_json:
        print_json(asdict(found))
        return 0
    rows = [
        (
            str(number),
            p.slide_id,
            p.case_id,
            f"{p.footprint.x},{p.footprint.y},{p.footprint.width},{p.footprint.height}",
            p.label,
            p.caption,
        )
        for number, p in enumerate(found.places, 1)
    ]
    if rows:
        print_table(("", "slide", "case", "x,y,w,h", "class", "caption"), rows, "r")
    say(f"'{found.name}': {len(found.places)} places.")
    return 0


@collection_command.command("edit")
@_NAME
@click.argument("place", metavar="NUMBER")
@click.option("--caption", help="What to say of it.")
@click.option("--class", "label", help="Its class.")
@click.option("--to", "position", type=click.IntRange(1), help="Move it to this position.")
def edit_place(
    name: str, place: str, caption: str | None, label: str | None, position: int | None
) -> int:
    """Change what is said of place NUMBER, or move it."""
    if caption is None and label is None and position is None:
        raise UsageError("give --caption, --class or --to.")
    _collections().edit(name, place, caption=caption, label=label, position=position)
    say("Changed.")
    return 0


@collection_command.command("remove")
@_NAME
@click.argument("place", metavar="[NUMBER]", default="")
def remove_place(name: str, place: str) -> int:
    """Take place NUMBER out; without a number, the whole collection off the list."""
    collections = _collections()
    if place:
        found = collections.remove(name, place)
        say(f"'{found.name}' has {len(found.places)} places.")
    else:
        collections.get(name)
        collections.delete(name)
        say(f"'{name}' is off the list.")
    return 0


@collection_command.command("export")
@_NAME
@leaving_options
@click.option("--quiz", is_flag=True, help="In pages, hide the answers until they are asked for.")
@click.option(
    "--pack",
    type=click.Path(path_type=Path, dir_okay=False),
    help="F.zip with the page and the pictures: opened without the slides.",
)
@json_option
def export_collection(name: str, quiz: bool, pack: Path | None, as_json: bool, **words: Any) -> int:
    """Write a collection as a page (or quiz), a pack, pictures, tables or QuPath annotations."""
    from pathsearch.export.dossier import of_collection
    from pathsearch.review import Reviews

    collections = _collections()
    library = collections.library
    dossier = of_collection(library, collections.get(name), quiz=quiz)
    if pack is None:
        check_words(words)
    with Reviews(library) as reviews:
        written = write_files(library, dossier, words, reviews)
        if pack is not None:
            written["pack"] = _pack(pack, library, dossier, words, reviews)
    if as_json:
        print_json({"collection": name, "items": len(dossier.items), "written": written})
    return 0


def _pack(path: Path, library: Library, dossier: Any, words: dict[str, Any], reviews: Any) -> str:
    from pathsearch.cli.leaving import leaving_to, masked_if
    from pathsearch.export.pack import write_pack

    dossier = masked_if(dossier, library, words["pseudonymise"])
    with leaving_to(path):
        size = write_pack(path, library, dossier, mpp=words["picture_mpp"])
    say(f"Wrote {path}: {len(dossier.items)} places, {size / 1e6:.1f} MB.")
    say("Unpack it anywhere and open index.html.")
    reviews.log_export(
        "pack", path.absolute(), items=len(dossier.items), pseudonymised=dossier.pseudonymised
    )
    return str(path)
