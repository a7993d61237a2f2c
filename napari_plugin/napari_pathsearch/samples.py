"""Sample data: the demo library."""

from __future__ import annotations

from typing import Any


def demo_library() -> list[tuple[Any, ...]]:
    """Make the demo library in the background, and open it when it is there."""
    import napari

    from napari_pathsearch.panel import show_panel

    viewer = napari.current_viewer()
    if viewer is not None:
        show_panel(viewer)
    return []
