"""Slides, roots, thumbnails, runs and index states: rows in, rows out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from library_cases import COARSE, SPEC, put, slide

from pathsearch.config import TileSpec
from pathsearch.errors import (
    ConfigError,
    MppMissingError,
    ResolutionTooCoarseError,
    SlideIdClashError,
    SlideNotFoundError,
    SlideUnreadableError,
    UsageError,
)
from pathsearch.library import IndexState, Library, SlideRecord, map_root


def test_every_field_of_a_slide_is_kept(library: Library) -> None:
    record = SlideRecord(
        slide_id="a/b.svs",
        root="archive",
        path="a/b.svs",
        case_id="case ü",
        width=1,
        height=2,
        mpp=0.2527,
        bounds=(1, 2, 3, 4),
        fingerprint="ff",
        file_size=2**40,
        file_mtime_ns=1_700_000_000_123_456_789,
        status="failed",
        error_code="c",
        error_message="m",
        error_spec="s",
        vendor="v",
        scanner="sc",
        objective=20.0,
        metadata={"stain": "H&E", "age": 61, "score": 0.5},
    )
    with library.writer() as writer:
        writer.put_slide(record)
        writer.put_slide(SlideRecord("plain", "archive", "plain"))
    assert library.slide("a/b.svs") == record
    assert library.slide("plain") == SlideRecord("plain", "archive", "plain")


def test_slides_by_status(library: Library) -> None:
    with library.writer() as writer:
        put(writer, slide("b"))
        writer.put_empty(slide("c"), SPEC)
        writer.put_failure(SlideRecord("a", "archive", "a"), MppMissingError("no\n mpp"))
        put(writer, slide("d"))
        writer.remove_slides(["d"])
    ids = {s: [r.slide_id for r in library.slides(s)] for s in (None, "all", "indexed", "empty")}
    assert ids == {
        None: ["a", "b", "c"],
        "all": ["a", "b", "c", "d"],
        "indexed": ["b"],
        "empty": ["c"],
    }
    (failed,) = library.slides("failed")
    assert (failed.slide_id, failed.error_code, failed.error_message) == (
        "a",
        "mpp-missing",
        "no mpp",
    )
    assert [r.slide_id for r in library.slides("removed")] == ["d"]


def test_a_failure_keeps_what_was_good(library: Library) -> None:
    """A slide that vanished is still found, with the size that its patches are in."""
    with library.writer() as writer:
        put(writer, slide("s", vendor="v"))
        gone = SlideRecord("s", "archive", "s")
        writer.put_failure(gone, SlideUnreadableError("gone"))
    record = library.slide("s")
    assert (record.status, record.width, record.mpp, record.vendor) == (
        "failed",
        100_000,
        0.25,
        "v",
    )
    assert len(library.segments()) == 1
    assert library.verify() == []
    with library.writer() as writer:
        put(writer, slide("s", "new content"))
    assert (library.slide("s").status, library.slide("s").error_code) == ("indexed", "")


def test_one_spec_may_fail_alone(library: Library) -> None:
    with library.writer() as writer:
        put(writer, slide("s"))
        error = ResolutionTooCoarseError("too coarse")
        writer.put_failure(slide("s"), error, spec=COARSE.name)
        record = library.slide("s")
        assert (record.status, record.error_code, record.error_spec) == (
            "indexed",
            "resolution-too-coarse",
            COARSE.name,
        )
        assert library.slides("failed") == [record]
        put(writer, slide("s", "other"))  # the good spec again: the other's failure stays noted
        assert library.slide("s").error_spec == COARSE.name
        put(writer, slide("s", "other"), spec=COARSE)
    assert library.slide("s").error_code == ""
    assert library.verify() == []


def test_an_unknown_slide_names_its_like(library: Library) -> None:
    with library.writer() as writer:
        for name in ("a/her2st_C2.tiff", "a/her2st_C3.tiff", "b.svs"):
            writer.put_slide(slide(name))
    with pytest.raises(SlideNotFoundError, match=r"did you mean a/her2st_C2\.tiff"):
        library.slide("HER2ST_C2.tiff")
    with pytest.raises(SlideNotFoundError, match=r"a/her2st_C3\.tiff"):
        library.slide("a/her2st_C33.tiff")
    with pytest.raises(SlideNotFoundError, match="pathsearch list"):
        library.slide("zzzzzzzzzzzzz")


def test_one_id_is_one_slide(library: Library, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    with library.writer() as writer:
        writer.ensure_root("more", tmp_path / "more")
        put(writer, slide("s"))
        elsewhere = replace(slide("s", "another content"), root="more")
        with pytest.raises(SlideIdClashError, match="--root-name"):
            put(writer, elsewhere)
        assert library.slide("s").root == "archive"
        put(writer, replace(slide("s"), path="moved/s"))  # the same content: it was moved
        assert library.slide("s").path == "moved/s"
        writer.remove_slides(["s"])
        put(writer, elsewhere)
    assert library.slide("s").root == "more"


def test_names_that_are_no_unicode(library: Library) -> None:
    odd = "caf\udce9.svs"
    with library.writer() as writer:
        with pytest.raises(SlideUnreadableError, match="rename"):
            writer.put_slide(slide(odd, "f"))
        writer.put_failure(SlideRecord(odd, "archive", odd), SlideUnreadableError("odd"))
    assert library.slides()[0].slide_id == "caf\ufffd.svs"


def test_removing_is_all_or_nothing(library: Library) -> None:
    with library.writer() as writer:
        put(writer, slide("a"))
        with pytest.raises(SlideNotFoundError, match="nothing was removed"):
            writer.remove_slides(["a", "nosuch"])
        assert library.slide("a").status == "indexed"
        assert writer.remove_slides(["a"]) == 1
        assert writer.remove_slides(["a"]) == 0


def test_the_generation_counts_every_change(library: Library) -> None:
    with Library.open(library.path, read_only=True) as reader, library.writer() as writer:
        seen = [reader.generation()]
        state = IndexState(SPEC.name, 1, "x", (), "")
        for change in (
            lambda: put(writer, slide("a")),
            lambda: writer.put_slide(slide("a", case_id="c")),
            lambda: writer.put_index_state(state),
            lambda: writer.add_spec(TileSpec(mpp=1.0)),
            lambda: writer.remove_slides(["a"]),
        ):
            change()
            seen.append(reader.generation())
        writer.add_spec(TileSpec(mpp=1.0))
        assert reader.generation() == seen[-1]
        assert "1um-224px" in reader.specs
    assert seen == sorted(set(seen))


def test_taking_the_lock_is_no_change(library: Library) -> None:
    before = library.generation()
    with library.writer():
        pass
    assert library.generation() == before


def test_a_spec_keeps_its_meaning(library: Library) -> None:
    with library.writer() as writer, pytest.raises(UsageError, match="another name"):
        writer.add_spec(TileSpec(size_px=112, mpp=0.5, name=SPEC.name))
    assert library.specs[SPEC.name] == SPEC


# ------------------------------------------------------------------------- roots


def test_roots_are_named_once_and_never_nested(library: Library, tmp_path: Path) -> None:
    with library.writer() as writer:
        writer.ensure_root("archive", tmp_path / "slides")
        with pytest.raises(SlideIdClashError, match="relocate"):
            writer.ensure_root("archive", tmp_path / "elsewhere")
        for nested in (tmp_path / "slides" / "deeper", tmp_path):
            with pytest.raises(SlideIdClashError, match="archive"):
                writer.ensure_root("other", nested)
        writer.ensure_root("other", tmp_path / "slides-2")  # a like name is not within
    assert set(library.roots()) == {"archive", "other"}


def test_files_are_found_through_roots(library: Library, tmp_path: Path) -> None:
    file = tmp_path / "slides" / "a" / "b.svs"
    assert library.root_for(file) == ("archive", "a/b.svs")
    assert library.root_for(tmp_path / "slides" / ".." / "slides" / "c") == ("archive", "c")
    assert library.root_for(tmp_path / "elsewhere") is None
    record = slide("a/b.svs")
    with pytest.raises(SlideNotFoundError, match="relocate"):
        library.locate(record)
    file.parent.mkdir()
    file.touch()
    assert library.locate(record) == file
    with pytest.raises(SlideNotFoundError, match="unknown"):
        library.locate(replace(record, root="nosuch"))


def test_a_machine_maps_roots_for_itself(library: Library, tmp_path: Path) -> None:
    """The library is not touched; without the mapping the stored place counts again."""
    moved = tmp_path / "mounted here"
    (moved / "a").mkdir(parents=True)
    (moved / "a" / "b.svs").touch()
    before = {p: p.read_bytes() for p in library.path.rglob("*") if p.is_file()}
    map_root(library.library_id, "archive", moved)
    assert library.locate(slide("a/b.svs")) == moved / "a" / "b.svs"
    assert library.root_for(moved / "c") == ("archive", "c")
    with library.writer() as writer:
        writer.ensure_root("archive", moved)
    assert library.roots()["archive"] == str(tmp_path / "slides")
    map_root(library.library_id, "archive", None)
    assert library.root_for(moved / "c") is None
    after = {p: p.read_bytes() for p in library.path.rglob("*") if p.is_file()}
    assert {p.name for p in before if before[p] != after[p]} <= {"catalog.db"}  # the lock's token
    with Library.open(library.path) as again:
        assert again.root_for(moved / "c") is None


def test_broken_settings_say_so(library: Library, tmp_path: Path) -> None:
    (tmp_path / "settings").mkdir()
    for text in ("{", "[]", '{"x": 3}'):
        (tmp_path / "settings" / "roots.json").write_text(text)
        with pytest.raises(ConfigError, match="mend or delete"):
            library.root_folders()


# ---------------------------------------------------------- thumbnails, runs, index

PNG = b"\x89PNG\r\n\x1a\n and so on"
JPEG = b"\xff\xd8\xff and so on"


def test_thumbnails(library: Library) -> None:
    assert library.thumbnail("s") is None
    with library.writer() as writer:
        put(writer, slide("s"))
        writer.save_thumbnail("s", PNG)
        assert library.thumbnail("s") == PNG
        writer.save_thumbnail("s", JPEG)
        assert library.thumbnail("s") == JPEG
        assert len(list((library.path / "thumbnails").iterdir())) == 1
        with pytest.raises(ValueError, match="JPEG or a PNG"):
            writer.save_thumbnail("s", b"GIF89a")
    assert library.verify() == []


def test_runs_keep_a_log(library: Library) -> None:
    with library.writer() as writer:
        first = writer.start_run("index a b")
        writer.log(first, "begun")
        writer.log(first, "mpp-missing: no mpp", slide_id="s")
        second = writer.start_run("index c")
        writer.end_run(second, {"indexed": 3, "seconds": 1.5})
    unended, ended = library.runs()
    assert (unended.number, unended.ended, unended.counts) == (first, "", {})
    assert ended.ended >= ended.started > "2020"
    assert (ended.command, ended.counts) == ("index c", {"indexed": 3, "seconds": 1.5})
    assert [(line.slide_id, line.message) for line in library.run_log(first)] == [
        ("", "begun"),
        ("s", "mpp-missing: no mpp"),
    ]


def test_the_index_state_is_kept(library: Library) -> None:
    assert library.index_state(SPEC.name) is None
    state = IndexState(SPEC.name, 3, "fine-v3", (1, 2, 5), "2026-01-01", {"recall": 0.99})
    with library.writer() as writer:
        writer.put_index_state(state)
        assert library.index_state(SPEC.name) == state
        assert library.index_state(COARSE.name) is None
        for folder in ("../x", "a/b", "", ".."):
            with pytest.raises(UsageError, match="plain name"):
                writer.put_index_state(replace(state, folder=folder))
        writer.drop_index_state(SPEC.name)
    assert library.index_state(SPEC.name) is None
