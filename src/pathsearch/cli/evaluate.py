"""`pathsearch evaluate`: how well an encoder finds tissue of the same kind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pathsearch.cli.main import verbose_option
from pathsearch.cli.output import json_option, print_json, print_table, say
from pathsearch.errors import UsageError

if TYPE_CHECKING:
    from pathsearch.evaluate import Evaluation
    from pathsearch.evaluate.sources import PatchSource
    from pathsearch.nouns import Encoder

_FILE = click.Path(path_type=Path, dir_okay=False)
_FIGURES = ("acc1", "mmv5", "p5", "map5")
_FLOORS = {"random": "random weights", "mean_colour": "mean colour", "histogram": "histogram"}


@click.command("evaluate")
@click.argument("what", type=click.Path(path_type=Path), metavar="LABELS.csv|LIB")
@click.option(
    "--encoder",
    metavar="E",
    help="Folder, file or builtin:NAME; with LIB, its stored vectors are used.",
)
@click.option("--against", metavar="E2", help="A second encoder, compared query by query.")
@click.option(
    "--regions",
    type=_FILE,
    help="With LIB: a table of places with slide, x, y (centres, level-0 pixels) and label.",
)
@click.option("--spec", default="", help="With LIB: magnification, by its name in the library.")
@click.option("--mpp", type=click.FloatRange(0.05, 10), help="µm per pixel of patches on slides.")
@click.option(
    "--robustness", is_flag=True, help="Also turn, mirror and re-stain the patches (slower)."
)
@click.option("--html", "html_file", type=_FILE, help="Write a page with examples.")
@click.option("--seed", default=0, show_default=True, help="Of what is drawn by chance.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps.")
@json_option
@verbose_option
def evaluate_command(what: Path, html_file: Path | None, as_json: bool, **words: Any) -> int:
    """Ask every labelled patch what looks like it, and count how often the label agrees.

    LABELS.csv has the columns path, label, group (pictures; the group is the case, slide or
    source of each), or slide, x, y, label (centres of places on slides that lie beside it).
    Patches of the query's own group never count. LIB is a library, asked with --regions.
    """
    source, evaluation = _measured(what, words)
    if html_file is not None:
        from pathsearch.evaluate.page import write_page

        write_page(html_file, evaluation, source)
        say(f"Wrote {html_file}.")
    answer = evaluation.to_json()
    if as_json:
        print_json(answer)
    else:
        print_evaluation(answer)
    return 0


def _measured(what: Path, words: dict[str, Any]) -> tuple[PatchSource | None, Evaluation]:
    if what.is_dir():
        return None, _of_library(what, words)
    if words["regions"] is not None or words["spec"]:
        raise UsageError("--regions and --spec go with a library, not with a table.")
    from pathsearch.evaluate.measuring import Options, measure
    from pathsearch.evaluate.sets import picture_source, region_source
    from pathsearch.evaluate.tables import table_kind

    kind = table_kind(what)  # before the encoder is loaded, which takes a while
    if kind == "labels" and words["mpp"] is not None:
        raise UsageError("--mpp goes with a table of places on slides; pictures are as they are.")
    encoder = _load(words["encoder"], words["device"])
    against = _load(words["against"], words["device"]) if words["against"] else None
    options = Options(against=against, robustness=words["robustness"], seed=words["seed"])
    source: PatchSource = (
        picture_source(what) if kind == "labels" else region_source(what, encoder, mpp=words["mpp"])
    )
    return source, measure(source, encoder, options)


def _of_library(path: Path, words: dict[str, Any]) -> Evaluation:
    from pathsearch.evaluate.sets import measure_library
    from pathsearch.library import Library

    refused = [name for name in ("encoder", "against", "mpp", "robustness") if words[name]]
    if refused:
        raise UsageError(
            f"--{refused[0]} goes with a table; a library is asked with its stored vectors."
        )
    if words["regions"] is None:
        raise UsageError(f"{path} is a folder: give --regions with it, or the path of a table.")
    with Library.open(path) as library:
        return measure_library(library, words["regions"], spec=words["spec"], seed=words["seed"])


def _load(spec: str | None, device: str) -> Encoder:
    from pathsearch.encoders import DEFAULT, load_encoder

    return load_encoder(spec or DEFAULT, device=device)


def print_evaluation(answer: dict[str, Any]) -> None:
    """The figures as tables on stdout, what to know about them on stderr."""
    rows = [_line(answer["encoder"], answer)]
    if "against" in answer:
        rows.append(_line(answer["against"]["encoder"], answer["against"]))
    rows += [_line(_FLOORS.get(name, name), line) for name, line in answer["floors"].items()]
    low_high = answer["intervals"]
    rows.insert(
        1, ("  95% interval", *(f"{_pct(low_high[k][0])}-{_pct(low_high[k][1])}" for k in _FIGURES))
    )
    print_table(("class-balanced, %", "acc@1", "mMV@5", "P@5", "mAP@5"), rows, "lrrrr")
    if "against" in answer:
        _print_differences(answer["against"])
    click.echo()
    rows = [
        (name, str(line["n"]), *(_pct(line[k]) for k in _FIGURES), _confused(answer, name))
        for name, line in answer["classes"].items()
    ]
    head = ("class", "n", "acc@1", "mMV@5", "P@5", "mAP@5", "most often taken for")
    print_table(head, rows, "lrrrrrl")
    for line in _robustness(answer):
        click.echo(line)
    for note in answer["notes"]:
        say(note)


def _line(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    return (name, *(_pct(figures[key]) for key in _FIGURES))


def _pct(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _confused(answer: dict[str, Any], name: str) -> str:
    """The other label that a class's neighbours most often have."""
    others = {k: v for k, v in answer["confusion"][name].items() if k != name and v > 0}
    if not others:
        return ""
    worst = max(others, key=lambda k: others[k])
    return f"{worst} ({_pct(others[worst])})"


def _print_differences(against: dict[str, Any]) -> None:
    click.echo()
    rows = [
        (
            key,
            f"{100 * line['difference']:+.1f}",
            f"{100 * line['interval'][0]:+.1f} to {100 * line['interval'][1]:+.1f}",
            f"{100 * line['better']:.0f}",
        )
        for key, line in against["differences"].items()
    ]
    print_table(("first minus second", "points", "95% interval", "ahead, %"), rows, "lrrr")


def _robustness(answer: dict[str, Any]) -> list[str]:
    lines = []
    if "rotation" in answer:
        turned = answer["rotation"]
        lines.append(
            f"\nTurned and mirrored: {_pct(turned['overlap'])}% of the ten nearest stay "
            f"(cosine with itself {turned['cosine']:.3f}; {turned['queries']} queries)."
        )
    if "stain" in answer:
        stain = answer["stain"]
        lines.append(
            f"Re-stained: {_pct(stain['overlap'])}% of the ten nearest stay; finds itself in "
            f"{_pct(stain['itself'])}%; P@5 {_pct(stain['p5'])} ({stain['queries']} queries)."
        )
    return lines
