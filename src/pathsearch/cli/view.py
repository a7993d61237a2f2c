"""`pathsearch view`: napari, with a library open."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from pathsearch.cli.main import verbose_option
from pathsearch.errors import ExtraMissingError, PathsearchError, UsageError

PLUGIN, WIDGET = "napari-pathsearch", "pathsearch"


@click.command("view")
@click.argument("library", required=False, type=click.Path(path_type=Path), metavar="[LIBRARY]")
@click.option("--slide", default="", help="Show this slide first: its id in the library.")
@verbose_option
def view_command(library: Path | None, slide: str) -> int:
    """Open the viewer: look at slides, mark tissue, see its like, judge it.

    Without LIBRARY the viewer opens empty; a library or a slide can be dropped on it.
    """
    if slide and library is None:
        raise UsageError("--slide needs the LIBRARY that holds it.")
    if library is not None:
        _check(library, slide)
    _check_display()
    try:
        import napari
    except ImportError:
        raise ExtraMissingError(
            "The viewer needs an extra: pip install 'napari-pathsearch[napari]'.", extra="napari"
        ) from None
    viewer = napari.Viewer(title="pathsearch")
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    panel.calm_window()
    if library is not None:
        _open(panel, library, slide)
    napari.run()
    return 0


def _check(library: Path, slide: str) -> None:
    """Complain in the terminal, before a window opens."""
    from pathsearch.library import Library

    with Library.open(library) as found:
        if slide:
            found.slide(slide)


def _check_display() -> None:
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        raise PathsearchError(
            "There is no display to open a window on. Run it on a machine with a screen, or "
            "under xvfb-run."
        )


def _open(panel: Any, library: Path, slide: str) -> None:
    def opened() -> None:
        if slide:
            panel.session.open_slide(slide)

    panel.session.open_library(library, opened)
