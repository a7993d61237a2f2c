"""Answers as files: tables, annotations, pictures."""

from __future__ import annotations

from pathsearch.export.tables import matches_to_csv, matches_to_geojson

__all__ = ["matches_to_csv", "matches_to_geojson"]
