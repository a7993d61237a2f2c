"""For tests: made-up slides with known tissue, hostile files, suites for new back ends."""

from pathsearch.testing.memory import ArraySlide

__all__ = ["ArraySlide"]
