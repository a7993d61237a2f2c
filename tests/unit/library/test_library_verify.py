"""`verify` finds each kind of damage, and nothing where all is well."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from library_cases import SPEC, grid, put, slide

from pathsearch.library import IndexState, Library, SegmentRecord
from pathsearch.library.arrays import GroupWriter, read_group
from pathsearch.library.durable import remove_tree
from pathsearch.library.records import SegmentArrays

JPEG = b"\xff\xd8\xff"


@pytest.fixture
def full(library: Library) -> Library:
    """Two slides, a failed one, a removed one, thumbnails, an index."""
    with library.writer() as writer:
        put(writer, slide("a"), 5)
        put(writer, slide("b"), 5000, seed=1)
        put(writer, slide("gone"), 5, seed=2)
        writer.save_thumbnail("a", JPEG)
        writer.remove_slides(["gone"])
        folder = library.index_path / "fine-v1"
        folder.mkdir()
        (folder / "vectors.f16").write_bytes(b"x")
        files = {"vectors.f16": hashlib.sha256(b"x").hexdigest()}
        (folder / "manifest.json").write_text(json.dumps({"files": files}))
        writer.put_index_state(IndexState(SPEC.name, 1, "fine-v1", (1, 2, 3), ""))
    return library


def codes(library: Library, *, deep: bool = True) -> set[tuple[str, str]]:
    return {(p.severity, p.code) for p in library.verify(deep=deep)}


def test_all_is_well(full: Library) -> None:
    assert full.verify() == []
    assert full.verify(deep=True) == []


def sql(statement: str) -> Callable[[Library], None]:
    def change(library: Library) -> None:
        with library.writer() as writer, writer.transaction() as connection:
            connection.execute("PRAGMA defer_foreign_keys = ON")
            connection.execute(statement)

    return change


def group_of(library: Library, slide_id: str) -> Path:
    (segment,) = [s for s in library.segments() if s.slide_id == slide_id]
    return library.embeddings_path / segment.key


def touch(relative: str) -> Callable[[Library], None]:
    def change(library: Library) -> None:
        path = library.path / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"other")

    return change


def flip(library: Library) -> None:
    """One bit of one vector, as an old disk does it."""
    chunk = group_of(library, "b") / "vectors" / "c" / "1" / "0"
    data = bytearray(chunk.read_bytes())
    data[0] ^= 1
    chunk.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("damage", "severity", "code"),
    [
        (flip, "error", "arrays-changed"),
        (lambda lib: remove_tree(group_of(lib, "a")), "error", "arrays-missing"),
        (lambda lib: remove_tree(group_of(lib, "a") / "norms"), "error", "arrays-damaged"),
        (
            lambda lib: (group_of(lib, "b") / "norms" / "c" / "1").unlink(),
            "error",
            "arrays-damaged",
        ),
        (
            lambda lib: (group_of(lib, "b") / "norms" / "c" / "1").write_bytes(b"short"),
            "error",
            "arrays-damaged",
        ),
        (sql("UPDATE segments SET rows = 6 WHERE number = 1"), "error", "arrays-damaged"),
        (sql("UPDATE segments SET mpp = 0.5 WHERE number = 1"), "error", "key-mismatch"),
        (sql("UPDATE segments SET spec = 'x' WHERE number = 1"), "error", "spec-unknown"),
        (sql("UPDATE slides SET fingerprint = 'x'"), "error", "fingerprint-mismatch"),
        (sql("UPDATE slides SET status = 'removed'"), "error", "removed-but-live"),
        (sql("UPDATE segments SET removed = 1"), "error", "slide-without-patches"),
        (sql("UPDATE slides SET width = 400"), "error", "coords-outside"),
        (sql("DELETE FROM roots"), "note", "root-unknown"),
        (sql("UPDATE index_state SET covered = '[1,2,99]'"), "error", "index-foreign"),
        (sql("UPDATE index_state SET covered = '[1]'"), "note", "index-behind"),
        (touch("index/fine-v1/vectors.f16"), "error", "index-damaged"),
        (touch("index/fine-v1/manifest.json"), "error", "index-damaged"),
        (
            lambda lib: (lib.index_path / "fine-v1" / "vectors.f16").unlink(),
            "error",
            "index-damaged",
        ),
        (lambda lib: remove_tree(lib.index_path / "fine-v1"), "error", "index-missing"),
        (touch("index/fine-v0/vectors.f16"), "note", "left-over"),
        (touch(f"embeddings.zarr/{'0' * 40}/zarr.json"), "note", "left-over"),
        (touch(f"embeddings.zarr/tmp-{'0' * 40}-01234567/zarr.json"), "note", "left-over"),
        (touch(f"thumbnails/{'0' * 40}.jpg"), "note", "left-over"),
        (touch("tmp-library.json-01234567"), "note", "left-over"),
    ],
)
def test_each_damage_is_found(
    full: Library, damage: Callable[[Library], None], severity: str, code: str
) -> None:
    damage(full)
    found = codes(full)
    assert (severity, code) in found
    for problem in full.verify():
        assert "\n" not in problem.message


@pytest.mark.parametrize(
    ("field", "change", "code"),
    [
        ("vectors", lambda v: v * np.float16(1.1), "vectors-not-unit"),
        ("vectors", lambda v: np.where(v == v[0, 0], np.float16("nan"), v), "vectors-not-finite"),
        ("norms", lambda v: v + np.float32(0.01), "norms-wrong"),
        ("coords", lambda v: v * 0, "coords-twice"),
        ("coords", lambda v: v - 1, "coords-outside"),
        ("tissue", lambda v: v + 1, "tissue-range"),
    ],
)
def test_arrays_that_were_wrong_from_the_start(
    full: Library, field: str, change: Callable[[np.ndarray], np.ndarray], code: str
) -> None:
    """As another program, or a fault of our own, could have written them."""
    path = group_of(full, "a")
    arrays = read_group(path)
    values = {name: getattr(arrays, name) for name in ("coords", "vectors", "norms", "tissue")}
    values[field] = change(values[field])
    remove_tree(path)
    group = GroupWriter(path, 8, {})
    group.append(SegmentArrays(**values))
    digest = group.finish()
    sql(f"UPDATE segments SET digest = '{digest}' WHERE number = 1")(full)
    assert ("error", code) in codes(full)


def test_a_row_without_a_slide(full: Library) -> None:
    full.close()
    import sqlite3

    connection = sqlite3.connect(full.path / "catalog.db")
    connection.execute("DELETE FROM slides WHERE slide_id = 'a'")
    connection.commit()
    connection.close()
    with Library.open(full.path) as again:
        assert ("error", "catalog-damaged") in codes(again)


def test_a_damaged_page_of_the_catalog(full: Library) -> None:
    """Rows that are in a table and not in its index."""
    full.close()
    import sqlite3

    connection = sqlite3.connect(full.path / "catalog.db")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_schema SET rootpage = "
        "(SELECT rootpage FROM sqlite_schema WHERE name = 'log_slide') WHERE name = 'slides_case'"
    )
    connection.commit()
    connection.close()
    with Library.open(full.path) as again:
        assert ("error", "catalog-damaged") in codes(again)


def test_sweeping_removes_left_overs_and_nothing_else(full: Library) -> None:
    before = {p for p in full.path.rglob("*") if p.name != "catalog.db"}
    for relative in (
        f"embeddings.zarr/{'0' * 40}/zarr.json",
        f"embeddings.zarr/tmp-{'0' * 40}-01234567/zarr.json",
        f"thumbnails/{'0' * 40}.jpg",
        "thumbnails/tmp-x.jpg-01234567",
        "index/fine-v0/vectors.f16",
    ):
        touch(relative)(full)
    foreign = ["notes.txt", "embeddings.zarr/mine.txt", "thumbnails/mine.jpg"]
    for relative in foreign:
        touch(relative)(full)
    with full.writer() as writer:
        assert writer.sweep() == 5
        assert writer.sweep() == 0
    after = {p for p in full.path.rglob("*") if p.name != "catalog.db"}
    assert after - before == {full.path / name for name in foreign}
    assert before <= after
    assert full.verify(deep=True) == []


def test_a_grid_of_the_tests_is_within_the_slide() -> None:
    """The cases above rest on it."""
    assert grid(5000).max() < slide("s").width
    assert SegmentRecord(1, "s", "x", "k", 0, 1, 1.0).first_row_id == 1 << 32
