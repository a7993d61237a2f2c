"""`pathsearch slides`: which slides hold this."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pathsearch.cli.main import verbose_option
from pathsearch.cli.output import json_option, print_json, print_table, say
from pathsearch.errors import UsageError

if TYPE_CHECKING:
    from pathsearch.review.across import Across
    from pathsearch.search.slide_shares import SlideShare

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("slides")
@click.argument("library", type=click.Path(path_type=Path), metavar="LIB")
@click.option("--like", multiple=True, metavar="EXAMPLE", help="As of query; may be repeated.")
@click.option("--unlike", multiple=True, metavar="EXAMPLE", help="What it should not look like.")
@click.option("--review", help="Ask with this review's question and verdicts: an id, or 'last'.")
@click.option("--spec", default="", help="Magnification, by its name in the library.")
@click.option("--where", default="", metavar="EXPR", help="Only slides for which this holds.")
@click.option(
    "--threshold",
    type=click.FloatRange(-1, 1),
    help="Score from which a patch counts  [default: chosen from the verdicts, else what is usual]",
)
@click.option("--by-case", is_flag=True, help="Add the slides of a case up.")
@click.option("--csv", "csv_file", type=_FILE, help="Write the table as CSV.")
@click.option("--plot", "plot_file", type=_FILE, help="Write it as bars (PNG).")
@click.option("--pseudonymise", is_flag=True, help="Replace names of slides and cases.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps.")
@json_option
@verbose_option
def slides_command(library: Path, by_case: bool, as_json: bool, **words: Any) -> int:
    """Rank the slides of LIB by how much of their tissue looks like the examples."""
    from pathsearch.library import Library
    from pathsearch.nouns import Query
    from pathsearch.review import Reviews
    from pathsearch.review.across import across_slides
    from pathsearch.search import Searcher, parse_example

    if bool(words["like"]) == bool(words["review"]):
        raise UsageError("give --like EXAMPLE, or --review ID.")
    with Library.open(library) as opened, Reviews(opened) as reviews:
        review = reviews.get(words["review"]) if words["review"] else None
        if review is not None:
            query = review.refined()
        else:
            like, unlike = (tuple(map(parse_example, words[n])) for n in ("like", "unlike"))
            query = Query(like, unlike, spec=words["spec"])
        query = replace(query, where=words["where"] or query.where)
        found = across_slides(
            Searcher(opened, device=words["device"]), query, review=review, at=words["threshold"]
        )
        shares = found.by_case() if by_case else found.shares
        if words["pseudonymise"]:
            shares = _masked(shares)
        _write(found, shares, by_case, words, reviews)
    if as_json:
        rows = [asdict(share) for share in shares]
        print_json({"threshold": found.threshold, "why": found.told, "slides": rows})
    else:
        _print(found, shares, by_case)
    return 0


def _masked(shares: tuple[SlideShare, ...]) -> tuple[SlideShare, ...]:
    from pathsearch.export.pseudonyms import Pseudonyms

    names = Pseudonyms.of_user()
    return tuple(
        replace(s, slide_id=names.name("slide", s.slide_id), case_id=names.name("case", s.case_id))
        for s in shares
    )


def _write(
    found: Across,
    shares: tuple[SlideShare, ...],
    by_case: bool,
    words: dict[str, Any],
    reviews: Any,
) -> None:
    from pathsearch.cli.leaving import leaving_to

    if words["csv_file"]:
        with leaving_to(words["csv_file"]):
            _write_csv(words["csv_file"], shares)
    if words["plot_file"]:
        from pathsearch.export.bars import draw_bars

        title = "Cases that hold this" if by_case else "Slides that hold this"
        picture = draw_bars(shares, title=title, told=found.told, cases=by_case)
        with leaving_to(words["plot_file"]):
            picture.save(words["plot_file"], "PNG")
    for name in ("csv_file", "plot_file"):
        if words[name]:
            say(f"Wrote {words[name]}.")
            reviews.log_export(
                f"slides {name.partition('_')[0]}",
                words[name].absolute(),
                items=len(shares),
                pseudonymised=words["pseudonymise"],
            )


def _write_csv(path: Path, shares: tuple[SlideShare, ...]) -> None:
    import csv

    from pathsearch.export.tables import safe_cell

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["slide_id", "case_id", "share", "hits", "patches", "strength", "best", "area_mm2",
             "best_x", "best_y", "own"]
        )  # fmt: skip
        for s in shares:
            writer.writerow(
                [safe_cell(s.slide_id), safe_cell(s.case_id), f"{s.share:.6f}", s.hits, s.patches,
                 f"{s.strength:.6f}", f"{s.best:.6f}", f"{s.area_mm2:.4f}", s.place.x, s.place.y,
                 int(s.own)]
            )  # fmt: skip


def _print(found: Across, shares: tuple[SlideShare, ...], by_case: bool) -> None:
    rows = [
        (
            (s.case_id or s.slide_id) if by_case else s.slide_id,
            f"{100 * s.share:.1f}%",
            str(s.hits),
            str(s.patches),
            f"{s.area_mm2:.2f}",
            f"{s.strength:.3f}",
            f"{s.best:.3f}",
            f"{s.place.x},{s.place.y}",
            "asked here" if s.own else "",
        )
        for s in shares
    ]
    if rows:
        what = "case" if by_case else "slide"
        head = (what, "share", "hits", "patches", "mm²", "strength", "best", "best at x,y", "")
        print_table(head, rows, "lrrrrrrl")
    say(found.told)
