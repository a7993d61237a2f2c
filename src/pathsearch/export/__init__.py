"""Answers and vectors as files: tables, annotations, pictures, features."""

from __future__ import annotations

from pathsearch.export.feature_files import Exported, export_h5
from pathsearch.export.parquet import export_parquet
from pathsearch.export.tables import matches_to_csv

__all__ = ["Exported", "export_h5", "export_parquet", "matches_to_csv"]
