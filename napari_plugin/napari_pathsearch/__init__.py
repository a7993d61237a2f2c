"""The viewer: mark tissue, see its like, judge it. A plugin of napari, thin over `pathsearch`.

Importing this package imports nothing; napari finds what it offers in ``napari.yaml``.
"""

from __future__ import annotations
