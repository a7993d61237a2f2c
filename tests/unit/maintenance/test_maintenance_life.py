"""Relocate, compact, repair, back up, migrate."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from library_cases import COARSE, SPEC, put, slide, state_of

from pathsearch.errors import (
    LibraryError,
    LibraryExistsError,
    LibraryFormatError,
    LibraryNotFoundError,
    SegmentGoneError,
    UsageError,
)
from pathsearch.library import Library
from pathsearch.library.durable import remove_tree
from pathsearch.library.header import FORMAT_VERSION
from pathsearch.maintenance import back_up, compact, migrate, relocate, repair
from pathsearch.search.build import rebuild_index

# ---------------------------------------------------------------------- relocate


@pytest.fixture
def moved(library: Library, tmp_path: Path) -> Path:
    """Two slides are at a new place, one of them with another size, a third is nowhere."""
    place = tmp_path / "new place"
    place.mkdir()
    (place / "a").write_bytes(b"12345")
    (place / "b").write_bytes(b"123456789")
    with library.writer() as writer:
        for name in "abc":
            put(writer, slide(name, file_size=5))
    return place


def test_relocating_is_one_users_matter(library: Library, moved: Path) -> None:
    result = relocate(library, "archive", moved)
    assert (result.found, result.missing, result.examples, result.changed) == (2, 1, ("c",), ("b",))
    assert library.locate(library.slide("a")) == moved / "a"
    assert library.roots()["archive"] != str(moved)


def test_relocating_for_everyone(library: Library, moved: Path, tmp_path: Path) -> None:
    relocate(library, "archive", moved)
    relocate(library, "archive", moved, for_everyone=True)
    assert library.roots()["archive"] == str(moved)
    settings = tmp_path / "settings" / "roots.json"
    assert json.loads(settings.read_text()) == {}
    assert library.locate(library.slide("a")) == moved / "a"


def test_relocating_to_the_wrong_place_changes_nothing(
    library: Library, moved: Path, tmp_path: Path
) -> None:
    (tmp_path / "wrong").mkdir()
    with pytest.raises(LibraryError, match="none of the 3 slides"):
        relocate(library, "archive", tmp_path / "wrong")
    with pytest.raises(UsageError, match="it has archive"):
        relocate(library, "archives", moved)
    with pytest.raises(UsageError, match="not a folder"):
        relocate(library, "archive", tmp_path / "nowhere")
    assert not (tmp_path / "settings").exists()


# ----------------------------------------------------------------------- compact


def test_compacting_gives_space_back(library: Library) -> None:
    with library.writer() as writer:
        old = put(writer, slide("a"), 3000)
        put(writer, slide("a", "changed"), 5)
        kept = put(writer, slide("b"), 5, seed=2)
        put(writer, slide("c"), 5, seed=3)
        writer.save_thumbnail("c", b"\xff\xd8\xff")
        writer.remove_slides(["c"])
    before = state_of(library)
    result = compact(library)
    assert (result.segments, result.slides, result.rebuilt) == (2, 1, ())
    assert result.bytes_freed > 3000 * 8 * 2
    assert state_of(library) == before
    assert library.verify(deep=True) == []
    assert [s.slide_id for s in library.slides("all")] == ["a", "b"]
    assert library.thumbnail("c") is None
    groups = {p.name for p in library.embeddings_path.iterdir()} - {"zarr.json"}
    assert groups == {s.key for s in library.segments()}
    assert len(library.read_segment(kept)) == 5
    with pytest.raises(SegmentGoneError):
        library.read_segment(old)
    with library.writer() as writer:
        assert put(writer, slide("d")).number == 5  # numbers of the erased are not used again
    assert compact(library).segments == 0


def test_compacting_rebuilds_an_index_that_held_what_is_gone(library: Library) -> None:
    with library.writer() as writer:
        for number in range(4):
            put(writer, slide(f"s{number}"), 30, seed=number)
            put(writer, slide(f"s{number}"), 5, seed=number, spec=COARSE)
        rebuild_index(library, writer, SPEC.name)
        writer.remove_slides(["s1"])
    old = library.index_state(SPEC.name)
    assert compact(library).rebuilt == (SPEC.name,)
    new = library.index_state(SPEC.name)
    assert old is not None
    assert new is not None
    assert new.covered == tuple(s.number for s in library.segments(SPEC.name))
    assert [p.name for p in library.index_path.iterdir()] == [new.folder]
    assert library.verify(deep=True) == []


# ------------------------------------------------------------------------ repair


def vectors_of(library: Library, slide_id: str) -> Path:
    (segment,) = [s for s in library.segments() if s.slide_id == slide_id]
    return library.embeddings_path / segment.key / "vectors" / "c" / "0" / "0"


def test_a_repair_takes_out_what_is_damaged_and_a_rerun_heals_it(library: Library) -> None:
    with library.writer() as writer:
        for number, name in enumerate("abc"):
            put(writer, slide(name, file_mtime_ns=99), 30, seed=number)
        rebuild_index(library, writer, SPEC.name)
    healthy = state_of(library)
    chunk = vectors_of(library, "a")
    chunk.write_bytes(chunk.read_bytes()[::-1])
    remove_tree(vectors_of(library, "b").parents[3])
    state = library.index_state(SPEC.name)
    assert state is not None
    (library.index_path / state.folder / "vectors.f16").write_bytes(b"other")
    (library.embeddings_path / ("0" * 40)).mkdir()
    result = repair(library.path, deep=True)
    assert result.index_again == ("a", "b")
    assert [p for p in result.left if p.severity == "error"] == []
    assert any("left-overs" in action for action in result.actions)
    assert any("index of" in action for action in result.actions)
    damaged = library.slide("a")
    assert (damaged.status, damaged.error_code, damaged.file_mtime_ns) == (
        "failed",
        "library-corrupt",
        0,
    )
    assert [s.slide_id for s in library.segments()] == ["c"]
    with library.writer() as writer:
        for number, name in enumerate("ab"):
            put(writer, slide(name, file_mtime_ns=99), 30, seed=number)
    assert state_of(library) == healthy
    assert [p for p in library.verify() if p.severity == "error"] == []
    assert library.slide("a").error_code == ""


def test_a_healthy_library_is_left_alone(library: Library) -> None:
    with library.writer() as writer:
        put(writer, slide("a"))
    before = state_of(library)
    result = repair(library.path)
    assert (result.actions, result.index_again, result.left) == ((), (), ())
    assert state_of(library) == before


def test_rows_without_a_slide_go(library: Library) -> None:
    with library.writer() as writer:
        put(writer, slide("a"))
        put(writer, slide("b"), seed=1)
    library.close()
    connection = sqlite3.connect(library.path / "catalog.db")
    connection.execute("DELETE FROM slides WHERE slide_id = 'a'")
    connection.commit()
    connection.close()
    result = repair(library.path)
    assert "1 rows without a slide removed" in result.actions
    assert result.left == ()


# ------------------------------------------------------------------------ backup


def test_a_backup_is_a_library(library: Library, tmp_path: Path) -> None:
    with library.writer() as writer:
        put(writer, slide("a"), 30)
        put(writer, slide("a", "changed"), 30, seed=1)
        put(writer, slide("b"), 30, seed=2)
        writer.put_empty(slide("c"), SPEC)
        writer.save_thumbnail("b", b"\xff\xd8\xff")
        rebuild_index(library, writer, SPEC.name)
        copy = back_up(library, tmp_path / "copy")  # while a writer is at work
    with Library.open(copy) as opened:
        assert state_of(opened) == state_of(library)
        assert opened.slides() == library.slides()
        assert opened.thumbnail("b") == b"\xff\xd8\xff"
        assert opened.index_state(SPEC.name) == library.index_state(SPEC.name)
        assert [p for p in opened.verify(deep=True) if p.severity == "error"] == []
    with pytest.raises(LibraryExistsError):
        back_up(library, tmp_path / "copy")
    with pytest.raises(UsageError, match="within"):
        back_up(library, library.path / "copy")


def test_a_backup_of_what_cannot_be_read_leaves_nothing(library: Library, tmp_path: Path) -> None:
    with library.writer() as writer:
        put(writer, slide("a"), 30)
    remove_tree(vectors_of(library, "a").parents[3])
    before = set(tmp_path.iterdir())
    with pytest.raises(LibraryError, match="verify"):
        back_up(library, tmp_path / "copy")
    assert set(tmp_path.iterdir()) == before


# ----------------------------------------------------------------------- migrate


def add_colour(connection: sqlite3.Connection, header: dict[str, Any]) -> dict[str, Any]:
    connection.execute("ALTER TABLE slides ADD COLUMN colour TEXT NOT NULL DEFAULT 'H&E'")
    return header | {"colours": True}


def fail(connection: sqlite3.Connection, header: dict[str, Any]) -> dict[str, Any]:
    connection.execute("DELETE FROM segments")
    raise KeyboardInterrupt


NEXT = FORMAT_VERSION + 1


@pytest.fixture
def filled(library: Library) -> Path:
    with library.writer() as writer:
        put(writer, slide("a"))
    library.close()
    return library.path


def rows_in(path: Path, sql: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_steps_run_one_after_the_other(filled: Path) -> None:
    steps = {FORMAT_VERSION: add_colour, NEXT: lambda _, header: header | {"more": 1}}
    assert migrate(filled, steps=steps, target=NEXT + 1) == [FORMAT_VERSION, NEXT]
    header = json.loads((filled / "library.json").read_text())
    assert (header["format_version"], header["colours"], header["more"]) == (NEXT + 1, True, 1)
    assert rows_in(filled / "catalog.db", "SELECT colour FROM slides") == [("H&E",)]
    assert rows_in(filled / "catalog.db", "PRAGMA user_version") == [(NEXT + 1,)]
    kept = filled / f"before-v{NEXT}"
    assert json.loads((kept / "library.json").read_text())["format_version"] == FORMAT_VERSION
    assert rows_in(kept / "catalog.db", "PRAGMA user_version") == [(FORMAT_VERSION,)]
    assert not list(filled.glob("tmp-*"))
    assert migrate(filled, steps=steps, target=NEXT + 1) == []
    with pytest.raises(LibraryFormatError, match="update"):
        Library.open(filled)


def test_a_step_that_fails_is_undone(filled: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        migrate(filled, steps={FORMAT_VERSION: fail}, target=NEXT)
    with Library.open(filled) as library:
        assert [s.slide_id for s in library.slides()] == ["a"]
        assert library.verify(deep=True) == []
    assert migrate(filled, steps={FORMAT_VERSION: add_colour}, target=NEXT) == [FORMAT_VERSION]


def test_a_kill_between_catalog_and_header_is_finished(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathsearch.maintenance.migration import write_file

    def die(path: Path, content: bytes) -> None:
        if path == filled / "library.json":
            raise KeyboardInterrupt
        write_file(path, content)

    with monkeypatch.context() as patch:
        patch.setattr("pathsearch.maintenance.migration.write_file", die)
        with pytest.raises(KeyboardInterrupt):
            migrate(filled, steps={FORMAT_VERSION: add_colour}, target=NEXT)
    assert rows_in(filled / "catalog.db", "PRAGMA user_version") == [(NEXT,)]
    assert migrate(filled, steps={FORMAT_VERSION: add_colour}, target=NEXT) == [FORMAT_VERSION]
    header = json.loads((filled / "library.json").read_text())
    assert (header["format_version"], header["colours"]) == (NEXT, True)


def test_versions_that_no_step_leads_from(filled: Path, tmp_path: Path) -> None:
    with pytest.raises(LibraryFormatError, match="another version"):
        migrate(filled, steps={}, target=NEXT)
    with pytest.raises(LibraryFormatError):
        migrate(filled, steps={}, target=FORMAT_VERSION - 1)
    with pytest.raises(LibraryNotFoundError):
        migrate(tmp_path / "nowhere")
    assert migrate(filled) == []


def test_every_version_since_the_first_has_a_step() -> None:
    """Raising FORMAT_VERSION without a way up for the libraries that exist is an error."""
    from pathsearch.maintenance.migration import STEPS

    assert sorted(STEPS) == list(range(1, FORMAT_VERSION))


def test_importing_is_light_and_complete() -> None:
    import pathsearch.maintenance as room

    for name in room.__all__:
        assert callable(getattr(room, name))
    code = (
        "import sys, pathsearch.maintenance as m; m.relocate; m.repair;"
        "bad = {'zarr', 'torch', 'faiss'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_vectors_of_the_cases_are_apart(make_library: Callable[..., Library]) -> None:
    """Seeds give different slides: otherwise the comparisons above compare nothing."""
    made = make_library("apart")
    with made.writer() as writer:
        first, second = put(writer, slide("a"), seed=0), put(writer, slide("b"), seed=1)
    pair = [made.read_segment(s).vectors for s in (first, second)]
    assert not np.array_equal(*pair)
