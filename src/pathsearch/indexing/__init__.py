"""Slides to a library: find them, cut them, encode them, commit them one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathsearch.indexing.run import Outcome, Report, index_slides
    from pathsearch.indexing.sources import Source, find_sources

__all__ = ["Outcome", "Report", "Source", "find_sources", "index_slides"]

_HOMES = {
    "Outcome": "run",
    "Report": "run",
    "index_slides": "run",
    "Source": "sources",
    "find_sources": "sources",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"pathsearch.indexing.{_HOMES[name]}"), name)
    raise AttributeError(name)
