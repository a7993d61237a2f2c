"""`pathsearch map`: how similar a whole slide is to a query."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pathsearch.cli.main import verbose_option
from pathsearch.cli.output import json_option, print_json, say
from pathsearch.errors import UsageError

if TYPE_CHECKING:
    from pathsearch.search.maps import SimilarityMap

_SUFFIXES = (".png", ".npy", ".geojson")


@click.command("map")
@click.argument("library", type=click.Path(path_type=Path), metavar="LIB")
@click.option(
    "--like",
    multiple=True,
    required=True,
    metavar="EXAMPLE",
    help="SLIDE#x,y,w,h | SLIDE#x,y | SLIDE#F.geojson | F.png@MPP; may be repeated.",
)
@click.option("--unlike", multiple=True, metavar="EXAMPLE", help="What it should not look like.")
@click.option("--on", "slide", required=True, metavar="SLIDE", help="A slide of the library.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="F.png (colours on the thumbnail), F.npy (float32) or F.geojson (one square a patch).",
)
@click.option("--spec", default="", help="Magnification, by its name in the library.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps.")
@json_option
@verbose_option
def map_command(
    library: Path,
    slide: str,
    out: Path,
    spec: str,
    device: str,
    as_json: bool,
    **examples: tuple[str, ...],
) -> int:
    """Write how similar every patch of SLIDE is to the examples."""
    from pathsearch.cli.leaving import leaving_to, log_one
    from pathsearch.library import Library
    from pathsearch.nouns import Query
    from pathsearch.search import Searcher, parse_example
    from pathsearch.search.examples import find_record

    if out.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"{out}: the name must end in {', '.join(_SUFFIXES)}.")
    like, unlike = (tuple(map(parse_example, examples[name])) for name in ("like", "unlike"))
    with Library.open(library) as opened:
        record = find_record(opened, slide)
        if record is None:
            raise UsageError(f"{slide} is not in {library}: index it first.")
        found = Searcher(opened, device=device).map(Query(like, unlike, spec=spec), record.slide_id)
        thumbnail = opened.thumbnail(record.slide_id)
        bounds = record.bounds or (0, 0, record.width, record.height)
        with leaving_to(out):
            _write(found, out, thumbnail, bounds)
        log_one(opened, f"map {out.suffix[1:].lower()}", out, items=int(found.values.size))
    facts = {
        "slide_id": found.slide_id,
        "spec": found.spec,
        "origin": list(found.origin),
        "step": found.step,
        "footprint": found.footprint,
        "shape": list(found.values.shape),
        "out": str(out),
    }
    if as_json:
        print_json(facts)
    say(
        f"Wrote {out}: {found.values.shape[1]} x {found.values.shape[0]} values, "
        f"{found.step} level-0 pixels apart, the first at {found.origin[0]},{found.origin[1]}."
    )
    return 0


def _write(
    found: SimilarityMap, out: Path, thumbnail: bytes | None, bounds: tuple[int, int, int, int]
) -> None:
    import numpy as np

    from pathsearch.export.heat_map import draw_map, map_to_geojson

    suffix = out.suffix.lower()
    if suffix == ".npy":
        np.save(out, found.values, allow_pickle=False)
    elif suffix == ".geojson":
        out.write_text(json.dumps(map_to_geojson(found), allow_nan=False), encoding="utf-8")
    else:
        draw_map(found, bounds, thumbnail).save(out, "PNG")
