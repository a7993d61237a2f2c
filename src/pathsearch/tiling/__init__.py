"""Where the tissue is on a slide, and the grid of patches on it.

The frame is the slide's: level-0 pixels, origin top-left. An overview or a mask starts at
the top-left corner of ``slide.bounds``.
"""

from pathsearch.tiling.grid import Found, find_tissue, tile
from pathsearch.tiling.mask import tissue_mask
from pathsearch.tiling.overviews import Overview, overview, shrunk, thumbnail
from pathsearch.tiling.previews import preview
from pathsearch.tiling.regions import Regions, load_regions

__all__ = [
    "Found",
    "Overview",
    "Regions",
    "find_tissue",
    "load_regions",
    "overview",
    "preview",
    "shrunk",
    "thumbnail",
    "tile",
    "tissue_mask",
]
