"""`pathsearch demo`: the whole main job, ending with a picture."""

from __future__ import annotations

from pathlib import Path

import click

from pathsearch.cli.main import verbose_option
from pathsearch.cli.output import json_option, print_json, say


@click.command("demo")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("pathsearch-demo"),
    show_default=True,
    help="Folder for the encoder, the library and the picture.",
)
@click.option("--slides", multiple=True, help="Your own slides; may be repeated.")
@click.argument("more", nargs=-1, metavar="[SLIDES...]")
@click.option("--train-seconds", type=click.FloatRange(1, 36000), default=60.0, show_default=True)
@json_option
@verbose_option
def demo_command(
    out: Path, slides: tuple[str, ...], more: tuple[str, ...], train_seconds: float, as_json: bool
) -> int:
    """Train, index, ask and draw: from slides to a picture of matches in one command.

    Without slides, OpenSlide's CMU-1-Small-Region.svs (1.9 MB, CC0) is fetched; offline,
    slides with drawn tissue are made.
    """
    from pathsearch.cli.query import print_answer
    from pathsearch.demo import run_demo

    result = run_demo(out, [*slides, *more], train_seconds=train_seconds, say=say)
    if as_json:
        print_json({**result.answer.to_json(), "picture": str(result.picture)})
    else:
        print_answer(result.answer)
        say(f"Ask it yourself: pathsearch query {result.library} --like SLIDE#x,y,w,h")
    return 0
