"""Vectors to nearest rows: exact search on memory-mapped vectors, and FAISS.

An index covers ordinals ``0..size-1``: the rows of some segments, one segment after the
other. It knows nothing of slides; what may be returned is said by ordinal ranges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathsearch.index.exact import ExactIndex
    from pathsearch.index.ivf import IvfIndex

__all__ = ["ExactIndex", "IvfIndex"]


def __getattr__(name: str) -> object:
    if name == "ExactIndex":
        from pathsearch.index.exact import ExactIndex

        return ExactIndex
    if name == "IvfIndex":
        from pathsearch.index.ivf import IvfIndex

        return IvfIndex
    raise AttributeError(name)
