"""napari's reader: a library or a slide, dropped on the window or opened from the menu."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

LayerData = tuple[Any, ...]
#: napari's word for "read, and there is no layer to add".
NOTHING: list[LayerData] = [(None,)]


def get_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """A function that opens these paths, or None where this plugin is not for them."""
    paths = [Path(p) for p in ([path] if isinstance(path, str) else path)]
    if not paths or not all(_is_ours(p) for p in paths):
        return None
    return read


def _is_ours(path: Path) -> bool:
    if path.name.endswith(".pathsearch") or (path / "library.json").is_file():
        return path.is_dir()
    if path.is_dir():
        return False
    from pathsearch.slides import installed_readers

    try:
        return path.is_file() and any(reader.can_open(path) for reader in installed_readers())
    except OSError:
        return False


def read(path: str | Sequence[str]) -> list[LayerData]:
    """Open libraries and slides.

    With a viewer they open in its session, off the GUI thread; without one (a script), slides
    come as layers and libraries are refused.
    """
    import napari

    paths = [path] if isinstance(path, str) else list(path)
    viewer = napari.current_viewer()
    if viewer is not None:
        from napari_pathsearch.panel import show_panel

        panel = show_panel(viewer)
        for one in paths:
            panel.open_path(one)
        return NOTHING
    from napari_pathsearch.opened import open_file
    from napari_pathsearch.tiles import TileStore

    return [open_file(one, TileStore()).layer_data(Path(one).name) for one in paths]
