"""Sample data: the demo library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_pathsearch.panel import Panel

#: Where ``pathsearch demo`` puts its library, inside its folder.
_NAME = "demo.pathsearch"


def demo_library() -> list[tuple[Any, ...]]:
    """Open the demo library; the first time it is made in the background.

    Returns
    -------
    list
        Empty: the library opens in the panel, not as a layer.
    """
    import napari

    from napari_pathsearch.panel import show_panel

    viewer = napari.current_viewer()
    if viewer is not None:
        open_demo(show_panel(viewer), demo_folder())
    return []


def demo_folder() -> Path:
    """Where the demo is kept: the user's own data folder."""
    import platformdirs

    return platformdirs.user_data_path("pathsearch", appauthor=False) / "demo"


def open_demo(panel: Panel, folder: Path) -> None:
    """Open the demo library of a folder, made by ``pathsearch demo`` if it is not there.

    It may fetch OpenSlide's test slide, the only connection that pathsearch makes by itself;
    offline, slides are made up.
    """
    from napari_pathsearch.command_run import CommandRun

    session = panel.session
    if (folder / _NAME / "catalog.db").exists():
        session.open_library(folder / _NAME)
        return
    session.say(
        "Making the demo library: a slide of 1.9 MB is fetched from openslide.cs.cmu.edu (offline, "
        "slides are made up) and indexed. It opens when it is there; go on meanwhile."
    )
    run = CommandRun(["demo", "--out", str(folder), "--train-seconds", "20"], panel)
    run.finished.connect(lambda _: session.open_library(folder / _NAME))
    run.failed.connect(lambda line, details: session.say(line, details, "error"))
    session.closing.connect(run.end)
    run.start()
