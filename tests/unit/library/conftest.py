"""The fixtures of `library_fixtures`, which the maintenance tests use too."""

from __future__ import annotations

from library_fixtures import library, make_library, own_settings

__all__ = ["library", "make_library", "own_settings"]
