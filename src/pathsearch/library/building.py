"""A new library: built beside its place and moved there whole."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pathsearch import __version__
from pathsearch.config import TileSpec
from pathsearch.errors import LibraryExistsError, UsageError
from pathsearch.library import arrays
from pathsearch.library.catalog import CATALOG_NAME, create_catalog, now
from pathsearch.library.durable import (
    copy_tree,
    digests_below,
    sync_folder,
    sync_tree,
    token,
    writing_to,
)
from pathsearch.library.header import HEADER_NAME, Header, write_header
from pathsearch.library.records import EncoderRecord

ENCODER_FOLDER, THUMBNAIL_FOLDER, INDEX_FOLDER = "encoder", "thumbnails", "index"
#: Endings of thumbnails, and how their content starts.
THUMBNAIL_TYPES = {".jpg": b"\xff\xd8\xff", ".png": b"\x89PNG\r\n\x1a\n"}


def build_library(
    path: Path,
    *,
    specs: Sequence[TileSpec],
    encoder: EncoderRecord,
    encoder_files: Path | str | None,
) -> None:
    """Make an empty library at `path`; arguments and errors as `Library.create`."""
    _check_plan(path, specs, encoder, encoder_files)
    header = Header(uuid.uuid4().hex, now(), __version__, encoder, tuple(specs))
    building = path.with_name(f".{path.name}.new-{token()}")
    with writing_to(path):
        try:
            building.mkdir(parents=True)
            for name in (THUMBNAIL_FOLDER, INDEX_FOLDER):
                (building / name).mkdir()
            if encoder.storage == "copy" and encoder_files is not None:
                copy = building / ENCODER_FOLDER
                copy_tree(encoder_files, copy)
                header = replace(header, encoder_files=digests_below(copy))
            arrays.create_store(building / header.embeddings)
            create_catalog(building / CATALOG_NAME, header.library_id)
            write_header(building, header)
            sync_tree(building)
            move_into_place(building, path)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        sync_folder(path.parent)


def _check_plan(
    path: Path,
    specs: Sequence[TileSpec],
    encoder: EncoderRecord,
    encoder_files: Path | str | None,
) -> None:
    names = [spec.name for spec in specs]
    if not names:
        raise UsageError(f"{path}: a library needs at least one tile spec.")
    if len(set(names)) < len(names):
        raise UsageError(f"{path}: two tile specs have one name ({', '.join(names)}).")
    if encoder.storage == "copy" and encoder_files is None:
        raise UsageError(f"{path}: to keep a copy of the encoder, its files are needed.")
    if encoder.dim < 1:
        raise UsageError(f"{path}: the encoder's vectors have no length ({encoder.dim}).")
    check_free(path)


def check_free(path: Path) -> None:
    """LibraryExistsError unless `path` is free: nothing there, or an empty folder."""
    if path.is_dir() and not any(path.iterdir()):
        return
    if path.exists() or path.is_symlink():
        what = "a library is there already" if (path / HEADER_NAME).exists() else "it exists"
        raise LibraryExistsError(
            f"{path}: {what}; choose another name for the new library.", path=str(path)
        )


def move_into_place(building: Path, path: Path) -> None:
    """Rename a folder that was built beside its place."""
    try:
        if path.is_dir():
            path.rmdir()  # empty: it was looked at; Windows does not rename over a folder
        building.rename(path)
    except OSError:
        check_free(path)  # another process was faster
        raise
