"""A search, a review or a collection as one HTML file that needs no other and no network."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.errors import SlideError
from pathsearch.export.contact_sheet import drawn_tile, query_tile
from pathsearch.export.page import parts, tables
from pathsearch.export.pictures import (
    MATCH_COLOUR,
    QUERY_COLOUR,
    Pictures,
    Window,
    bar_of,
    data_uri,
    outlined,
)
from pathsearch.export.records import Dossier, Item, Shot

if TYPE_CHECKING:
    from pathsearch.library import Library

__all__ = ["page_of", "write_page"]

#: Up to so many matches: sides of the pictures of places and of surroundings, pixels. A page
#: for a mail stays below some 10 MB.
_SIDES = ((40, 384, 560), (120, 320, 440), (100_000, 256, 360))
#: How many places wide the surroundings are.
_TIMES = 6.0
_SHOT = 400


def write_page(path: Path | str, library: Library, dossier: Dossier) -> int:
    """Write the page.

    Parameters
    ----------
    path : Path or str
    library : Library
        Gives the slides' places. Where a slide is not at hand, its matches have no picture.
    dossier : Dossier

    Returns
    -------
    int
        Bytes.
    """
    content = page_of(library, dossier).encode("utf-8")
    Path(path).write_bytes(content)
    return len(content)


def page_of(library: Library, dossier: Dossier) -> str:
    """The page as text; see `write_page`."""
    style, script = (_beside(name) for name in ("page.css", "page.js"))
    title = parts.text(dossier.title)
    same = _same(dossier)
    with Pictures(library) as pictures:
        shots = [_shot(library, shot) for shot in dossier.shots]
        cards = _cards(pictures, dossier, {name for name, _ in same})
    asked = "".join(shots) + parts.glance(dossier, same) + tables.first_slides(dossier)
    if asked:
        asked = f'<section class="asked" aria-label="The question">{asked}</section>'
    listed = "\n".join(cards)
    empty = "" if dossier.items else "Nothing was found."
    # Should anything ever slip through unescaped: only this very script runs, nothing is loaded
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="robots" content="noindex">\n'
        f'<link rel="icon" href="data:,">\n<title>{title}</title>\n'
        f"<style>{style}</style>\n</head>\n"
    )
    body = (
        '<body>\n<a class="skip" href="#grid">Skip to the matches</a>\n'
        f'<header class="top"><div><h1>{title}</h1>{parts.lead(dossier)}</div>'
        '<button type="button" id="theme" class="theme" aria-label="Dark or light" '
        'title="Dark or light">◐</button></header>\n'
        f'<main>{asked}<section>{parts.toolbar(dossier)}<h2 class="hidden">Matches</h2>'
        f'<ul class="grid" id="grid" role="list">\n{listed}\n</ul>'
        f'<p class="none" id="none"{" hidden" if dossier.items else ""}>'
        f"{empty or 'Nothing fits these filters.'}</p></section>"
        f"{tables.figures(dossier)}{tables.slides(dossier)}</main>\n"
        f"<footer>{tables.provenance(dossier)}</footer>\n{_large(dossier)}\n"
        f"<script>{script}</script>\n"
    )
    return head + body + "</body>\n</html>\n"


def _large(dossier: Dossier) -> str:
    keys = "← → steps, Esc closes" + (", A shows the answer" if dossier.quiz else "")
    return (
        '<dialog id="large" aria-label="Larger"><div class="top"><span id="place" '
        f'role="status"></span><span class="keys">{keys}</span>'
        '<button type="button" id="close" aria-label="Close" title="Close (Esc)" autofocus>✕'
        '</button></div><div class="views"><figure id="near"><div></div><figcaption>The place'
        '</figcaption></figure><figure id="far"><div></div><figcaption>Its surroundings'
        '</figcaption></figure></div><div class="text" id="large-text"></div><nav>'
        '<button type="button" id="before">← Before</button>'
        '<button type="button" id="after">Next →</button></nav></dialog>'
    )


def _beside(name: str) -> str:
    return files("pathsearch.export.page").joinpath(name).read_text(encoding="utf-8")


def _same(dossier: Dossier) -> list[tuple[str, str]]:
    """Metadata that say the same of all matches, where there are several."""
    if len(dossier.items) < 2 or dossier.pseudonymised:
        return []
    first = dossier.items[0].metadata
    return [
        (name, str(value))
        for name, value in sorted(first.items())
        if all(item.metadata.get(name) == value for item in dossier.items)
    ]


def _cards(pictures: Pictures, dossier: Dossier, same: set[str]) -> list[str]:
    """The cards in their order; pictures are read slide by slide."""
    made: dict[int, str] = {}
    sides = next((near, far) for most, near, far in _SIDES if len(dossier.items) <= most)
    for item in sorted(dossier.items, key=lambda i: (i.source, i.footprint.y, i.number)):
        near, far = _pair(pictures, item, sides)
        # Pseudonyms of metadata say nothing to a reader; tables keep them
        told = replace(item, metadata={}) if dossier.pseudonymised else item
        made[item.number] = parts.card(told, near, far, quiz=dossier.quiz, same=same)
    return [made[item.number] for item in dossier.items]


def _pair(
    pictures: Pictures, item: Item, sides: tuple[int, int]
) -> tuple[parts.Shown | None, parts.Shown | None]:
    longest = max(item.footprint.width, item.footprint.height)
    # More pixels than the slide has would only be bytes
    side = min(sides[0], max(256, longest))
    near, window = pictures.around(item.source, item.footprint, times=1, side=side)
    if near is None:
        return None, None
    place = _shown(data_uri(near), side, window, item.mpp)
    far, window = pictures.around(item.source, item.footprint, times=_TIMES, side=sides[1])
    if far is None:
        return place, None
    uri = data_uri(outlined(far, window, item.footprint, MATCH_COLOUR), quality=65)
    return place, _shown(uri, sides[1], window, item.mpp)


def _shown(source: str, side: int, window: Window, mpp: float) -> parts.Shown:
    microns = window[2] * mpp
    bar = bar_of(microns * 0.4)
    if bar is None:
        return parts.Shown(source, side)
    return parts.Shown(
        source, side, f"{bar} µm" if bar < 1000 else f"{bar // 1000} mm", bar / microns
    )


def _shot(library: Library, shot: Shot) -> str:
    name, spec = parts.text(shot.name), next(iter(library.specs.values()))
    kind = "Not like this" if shot.against else "Like this"
    try:
        tile = query_tile(library, shot.example, spec, _SHOT)
    except (SlideError, OSError):
        tile = None
    if tile is None:
        picture = '<div class="gone">No picture of it</div>'
    else:
        shown = parts.Shown(data_uri(drawn_tile(tile, QUERY_COLOUR)), _SHOT)
        if tile.microns:
            shown = _shown(shown.source, _SHOT, (0, 0, tile.microns, tile.microns), 1.0)
        picture = parts.frame(shown, f"{kind}: {shot.name}", "query")
    against = " against" if shot.against else ""
    where = f"<br>{parts.text(shot.where)}" if shot.where else ""
    return (
        f'<figure class="shot{against}">{picture}'
        f"<figcaption><b>{kind}</b><br>{name}{where}</figcaption></figure>"
    )
