"""Similar-tissue search for digital pathology."""

from __future__ import annotations

__version__ = "0.1.0"
