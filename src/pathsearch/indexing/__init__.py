"""Slides to a library: find them, cut them, encode them, commit them one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathsearch.indexing.report import Listener, Outcome, Report
    from pathsearch.indexing.run import index_slides, merge
    from pathsearch.indexing.sources import Source, find_sources

__all__ = [
    "Listener",
    "Outcome",
    "Report",
    "Source",
    "find_sources",
    "index_slides",
    "merge",
]

_HOMES = {
    "Listener": "report",
    "Outcome": "report",
    "Report": "report",
    "index_slides": "run",
    "merge": "run",
    "Source": "sources",
    "find_sources": "sources",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"pathsearch.indexing.{_HOMES[name]}"), name)
    raise AttributeError(name)
