"""A search, a review or a collection as one HTML file that needs no other and no network."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from pathsearch.errors import SlideError
from pathsearch.export.contact_sheet import drawn_tile, query_tile
from pathsearch.export.dossier import Dossier, Item, Shot
from pathsearch.export.page import parts
from pathsearch.export.pictures import (
    MATCH_COLOUR,
    QUERY_COLOUR,
    Pictures,
    data_uri,
    outlined,
    with_scale_bar,
)

if TYPE_CHECKING:
    from pathsearch.library import Library

__all__ = ["page_of", "write_page"]

#: Sides of the pictures, pixels, and how many places wide the surroundings are.
_NEAR, _FAR, _TIMES = 256, 360, 6.0


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
    title = escape(dossier.title)
    with Pictures(library) as pictures:
        shots = [_shot(library, shot) for shot in dossier.shots]
        cards = _cards(pictures, dossier)
    asked = f'<section class="asked" aria-label="The question">{"".join(shots)}'
    asked += f"{parts.notes(dossier)}</section>"
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
        '<button type="button" id="theme" class="theme">Dark or light</button></header>\n'
        f"<main>{asked}{parts.toolbar(dossier)}"
        f'<ul class="grid" id="grid">\n{listed}\n</ul>'
        f'<p class="none" id="none"{" hidden" if dossier.items else ""}>'
        f"{empty or 'Nothing fits these filters.'}</p>"
        f"{parts.figures(dossier)}{parts.slide_table(dossier)}</main>\n"
        f"<footer>{parts.provenance(dossier)}</footer>\n{_LARGE}\n<script>{script}</script>\n"
    )
    return head + body + "</body>\n</html>\n"


_LARGE = (
    '<dialog id="large" aria-label="Match, larger"><div class="views">'
    '<figure id="near"><img alt=""><figcaption>The place</figcaption></figure>'
    '<figure id="far"><img alt=""><figcaption>Its surroundings</figcaption></figure></div>'
    '<div class="text" id="large-text"></div><nav><button type="button" id="before">← Before'
    '</button><span id="place"></span><button type="button" id="after">Next →</button>'
    '<button type="button" id="close">Close</button></nav></dialog>'
)


def _beside(name: str) -> str:
    return files("pathsearch.export.page").joinpath(name).read_text(encoding="utf-8")


def _cards(pictures: Pictures, dossier: Dossier) -> list[str]:
    """The cards in their order; pictures are read slide by slide."""
    made: dict[int, str] = {}
    for item in sorted(dossier.items, key=lambda i: (i.source, i.footprint.y, i.number)):
        near, far = _pair(pictures, item)
        # Pseudonyms of metadata say nothing to a reader; tables keep them
        told = replace(item, metadata={}) if dossier.pseudonymised else item
        made[item.number] = parts.card(told, near, far, quiz=dossier.quiz)
    return [made[item.number] for item in dossier.items]


def _pair(pictures: Pictures, item: Item) -> tuple[str | None, str | None]:
    near, window = pictures.around(item.source, item.footprint, times=1, side=_NEAR)
    if near is None:
        return None, None
    near = with_scale_bar(near, window[2] * item.mpp / _NEAR)
    far, window = pictures.around(item.source, item.footprint, times=_TIMES, side=_FAR)
    if far is None:
        return data_uri(near), None
    far = with_scale_bar(far, window[2] * item.mpp / _FAR)
    return data_uri(near), data_uri(outlined(far, window, item.footprint, MATCH_COLOUR), quality=65)


def _shot(library: Library, shot: Shot) -> str:
    name, spec = escape(shot.name), next(iter(library.specs.values()))
    kind = "Not like this" if shot.against else "Like this"
    try:
        tile = query_tile(library, shot.example, spec, 320)
    except (SlideError, OSError):
        tile = None
    if tile is None:
        picture = '<div class="gone">No picture of it</div>'
    else:
        source = data_uri(drawn_tile(tile, QUERY_COLOUR))
        picture = f'<img src="{source}" alt="{kind}: {name}" width="320" height="320">'
    against = " against" if shot.against else ""
    return (
        f'<figure class="shot{against}">{picture}'
        f"<figcaption><b>{kind}</b><br>{name}</figcaption></figure>"
    )
