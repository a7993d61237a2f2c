"""Slides by how much of them looks like a question, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pathsearch.search.slide_shares import SlideShare

if TYPE_CHECKING:
    from PIL.Image import Image

_INK, _FAINT, _TRACK = (27, 34, 48), (90, 100, 117), (232, 236, 242)
#: Colour-blind safe (Okabe and Ito, 2008).
_BAR = (0, 114, 178)
_ROW, _LEFT, _WIDE, _RIGHT, _TOP = 30, 300, 420, 190, 84
#: More would not fit on a screen or a page.
MOST = 60


def draw_bars(shares: Sequence[SlideShare], *, title: str, told: str, cases: bool = False) -> Image:
    """Horizontal bars, the fullest first; RGB.

    Parameters
    ----------
    shares : sequence of SlideShare
        The first 60 are drawn, and the picture says so where there are more.
    title, told : str
        What it shows, and from which score a patch counts.
    cases : bool
        Name the cases and not the slides.
    """
    from PIL import Image as Images
    from PIL import ImageDraw, ImageFont

    drawn = shares[:MOST]
    height = _TOP + _ROW * max(1, len(drawn)) + 40
    picture = Images.new("RGB", (_LEFT + _WIDE + _RIGHT, height), "white")
    draw = ImageDraw.Draw(picture)
    fonts = {size: ImageFont.load_default(size) for size in (12, 14, 19)}
    draw.text((20, 14), title[:80], fill=_INK, font=fonts[19])
    draw.multiline_text((20, 40), _wrapped(told, 128), fill=_FAINT, font=fonts[12])
    top = max((share.share for share in drawn), default=0) or 1
    for number, share in enumerate(drawn):
        y = _TOP + number * _ROW
        name = (share.case_id or share.slide_id) if cases else share.slide_id
        name = name if len(name) <= 38 else "…" + name[-37:]
        name = name.replace("…", "...")
        wide = draw.textlength(name, font=fonts[14])
        draw.text((_LEFT - 12 - wide, y + 4), name, fill=_INK, font=fonts[14])
        draw.rectangle((_LEFT, y + 4, _LEFT + _WIDE, y + 20), fill=_TRACK)
        length = round(_WIDE * share.share / top)
        if length:
            draw.rectangle((_LEFT, y + 4, _LEFT + length, y + 20), fill=_BAR)
        value = f"{100 * share.share:.1f}%   {share.area_mm2:.2f} mm2"
        draw.text((_LEFT + _WIDE + 12, y + 4), value, fill=_INK, font=fonts[14])
    more = f"; {len(shares) - MOST} more are not drawn" if len(shares) > MOST else ""
    below = f"Bars: share of the tissue patches of each{more}."
    draw.text((20, height - 28), below, fill=_FAINT, font=fonts[12])
    return picture


def _wrapped(text: str, width: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width)[:3])
