"""Colours of the theme, and of what is drawn on tissue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtGui import QColor

if TYPE_CHECKING:
    from napari import Viewer

# Safe for the colour-blind (Okabe and Ito, 2008)
ASKED = "#d55e00"
COUNTER = "#56b4e9"
FOUND = "#0072b2"
VERDICT_COLOURS = {"accept": "#009e73", "reject": "#d55e00", "unsure": "#e69f00"}
VERDICT_MARKS = {"accept": "✓", "reject": "✗", "unsure": "?"}


@dataclass(frozen=True)
class Shades:
    """A theme's colours, as the cards use them."""

    back: QColor
    card: QColor
    chosen: QColor
    text: QColor
    faint: QColor

    @classmethod
    def of(cls, theme: str) -> Shades:
        """Of a napari theme, by name."""
        from napari.utils.theme import get_theme

        found = get_theme(theme)

        def colour(name: str) -> QColor:
            return QColor(getattr(found, name).as_hex(format="long"))

        text = colour("text")
        faint = QColor(text)
        faint.setAlpha(165)
        return cls(colour("background"), colour("foreground"), colour("current"), text, faint)

    @classmethod
    def of_viewer(cls, viewer: Viewer) -> Shades:
        """Of the theme that a viewer shows."""
        return cls.of(str(viewer.theme))
