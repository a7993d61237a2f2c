"""The library tests' fixtures and made-up slides."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "library"))

from library_fixtures import library, make_library, own_settings

__all__ = ["library", "make_library", "own_settings"]
