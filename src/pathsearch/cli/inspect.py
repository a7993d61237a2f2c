"""`pathsearch inspect`: what a slide is, and how it would be tiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pathsearch.cli.main import regions_mode_option, verbose_option
from pathsearch.cli.output import json_option, print_json, say
from pathsearch.config import IndexSettings, TileSpec, load_yaml
from pathsearch.errors import UsageError
from pathsearch.nouns import Slide, Tiling


@click.command("inspect")
@click.argument("slide", type=click.Path(path_type=Path), metavar="SLIDE")
@click.option("--mpp", type=float, help="µm per level-0 pixel, where the file does not say.")
@click.option(
    "--spec-mpp",
    type=float,
    default=None,
    help="Resolution to cut at, µm per pixel [default: 0.5, about 20x].",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings, as in configs/index.yaml.",
)
@click.option(
    "--regions",
    type=click.Path(path_type=Path, dir_okay=False),
    help="GeoJSON: your own regions.",
)
@regions_mode_option
@click.option(
    "--preview",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a picture (PNG): thumbnail, tissue, grid.",
)
@json_option
@verbose_option
def inspect_command(
    slide: Path, mpp: float | None, preview: Path | None, as_json: bool, **words: Any
) -> int:
    """Show what SLIDE is and how it would be cut into patches."""
    from pathsearch.slides import open_slide
    from pathsearch.tiling import find_tissue, load_regions, tile
    from pathsearch.tiling import preview as draw_preview

    settings = _settings(words["config"], words["spec_mpp"], words["regions_mode"])
    specs, mode = settings.specs, settings.regions_mode
    drawn = load_regions(words["regions"]) if words["regions"] else None
    with open_slide(slide, mpp=mpp, settings=settings.slides) as opened:
        found = find_tissue(opened, settings.tissue)
        tilings = {
            s.name: tile(
                opened, s, tissue=settings.tissue, regions=drawn, regions_mode=mode, found=found
            )
            for s in specs
        }
        facts = _facts(opened, specs, tilings)
        facts["unreadable_share"] = round(found[0].unreadable_share, 4)
        if preview is not None:
            picture = draw_preview(opened, tilings[specs[0].name], regions=drawn, found=found)
            _save(picture, preview)
    if as_json:
        print_json(facts)
    else:
        _print_facts(facts)
    return 0


def _settings(
    config: Path | None, spec_mpp: float | None, regions_mode: str | None
) -> IndexSettings:
    """The settings file, with what the command line overrides."""
    settings = load_yaml(config, IndexSettings) if config else IndexSettings()
    changes: dict[str, Any] = {"regions_mode": regions_mode} if regions_mode else {}
    if spec_mpp is not None:
        try:
            changes["specs"] = (TileSpec(mpp=spec_mpp),)
        except ValueError:
            raise UsageError("--spec-mpp must be 0.05 to 10 µm per pixel.") from None
    return settings.model_copy(update=changes)


def _facts(slide: Slide, specs: tuple[TileSpec, ...], tilings: dict[str, Tiling]) -> dict[str, Any]:
    return {
        "path": slide.path,
        "size": list(slide.size),
        "mpp": slide.mpp,
        "bounds": list(slide.bounds),
        "levels": [
            {"width": level.width, "height": level.height, "downsample": level.downsample}
            for level in slide.levels
        ],
        "vendor": slide.info.vendor,
        "scanner": slide.info.scanner,
        "objective": slide.info.objective,
        "reader": slide.info.reader,
        "fingerprint": slide.fingerprint,
        "specs": [
            {
                "name": spec.name,
                "mpp": spec.mpp,
                "size_px": spec.size_px,
                "patches": len(tilings[spec.name]),
                "footprint": tilings[spec.name].footprint,
                "tissue_share": round(tilings[spec.name].tissue_share, 4),
            }
            for spec in specs
        ],
    }


def _print_facts(facts: dict[str, Any]) -> None:
    from pathsearch.tiling.previews import percent

    width, height = facts["size"]
    micron = facts["mpp"]
    lines = [
        ("slide", facts["path"]),
        (
            "size",
            f"{width} x {height} px, {width * micron / 1000:.1f} x {height * micron / 1000:.1f} mm",
        ),
        ("resolution", f"{micron:g} µm/px (about {magnification(micron)})"),
        ("levels", ", ".join(f"{1 / level['downsample']:.4g}" for level in facts["levels"])),
        ("scanner", " ".join(str(v) for v in (facts["vendor"], facts["scanner"]) if v) or "-"),
        ("reader", facts["reader"]),
    ]
    x, y, w, h = facts["bounds"]
    if (x, y, w, h) != (0, 0, width, height):
        lines.append(("scanned part", f"{w} x {h} px at {x},{y}"))
    for spec in facts["specs"]:
        text = (
            f"{spec['patches']} patches of {spec['size_px']} px at {spec['mpp']:g} µm/px "
            f"(about {magnification(spec['mpp'])}), {spec['footprint']} level-0 px wide"
        )
        lines.append((spec["name"], text))
    lines.append(("tissue", f"{100 * facts['specs'][0]['tissue_share']:.0f}% of the scanned part"))
    if facts["unreadable_share"]:
        share = percent(facts["unreadable_share"])
        lines.append(("unreadable", f"up to {share} of the scanned part: left out"))
    for name, text in lines:
        click.echo(f"{name:<14} {text}")
    if not any(spec["patches"] for spec in facts["specs"]):
        say("No tissue was found: nothing of this slide would be indexed.")


def magnification(mpp: float) -> str:
    """The usual name of a resolution: 0.25 µm/px is about 40x."""
    return f"{10 / mpp:.2g}x"


def _save(picture: Any, path: Path) -> None:
    from PIL import Image

    Image.fromarray(picture).save(path, "PNG")
    say(f"Wrote {path}.")
