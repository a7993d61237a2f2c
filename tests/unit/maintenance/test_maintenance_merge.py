"""Parts of a job array, merged, equal one run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from library_cases import COARSE, SPEC, put, slide, state_of

from pathsearch.config import TileSpec
from pathsearch.errors import LibraryCorruptError, LibraryLockedError, ReadFailedError, UsageError
from pathsearch.library import Library, SlideRecord, Writer
from pathsearch.library.durable import remove_tree
from pathsearch.library.parts import part_folders
from pathsearch.maintenance import merge_parts

NAMES = [f"s{number}" for number in range(7)]


def work(writer: Writer, names: list[str], root: Path) -> None:
    """What an indexing run writes: slides, an empty one, a failed one, thumbnails, a log."""
    writer.ensure_root("archive", root)
    run = writer.start_run("index")
    for name in names:
        record = slide(name)
        if name == "s3":
            writer.put_failure(SlideRecord(name, "archive", name), ReadFailedError("broken"))
            writer.log(run, "read-failed: broken", slide_id=name)
            continue
        if name == "s4":
            writer.put_empty(record, SPEC, 448)
        else:
            put(writer, record, 10, seed=int(name[1:]))
        put(writer, record, 3, seed=50, spec=COARSE)
        writer.save_thumbnail(name, b"\xff\xd8\xff" + name.encode())
    writer.end_run(run, {"slides": len(names)})


def rows_of(library: Library) -> list[object]:
    """Slides and segments, without what names a moment."""
    return [
        library.slides("all"),
        [replace(s, created="") for s in library.segments(include_removed=True)],
        library.roots(),
        library.verify(deep=True),
    ]


@pytest.fixture
def single(make_library: Callable[..., Library], tmp_path: Path) -> Library:
    made = make_library("single")
    with made.writer() as writer:
        work(writer, NAMES, tmp_path / "slides")
    return made


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_merged_parts_equal_a_single_run(
    make_library: Callable[..., Library], single: Library, tmp_path: Path, order: tuple[int, ...]
) -> None:
    made = make_library("parts")
    for number in order:
        with made.part(number, 3) as part, part.writer() as writer:
            assert part.is_part
            work(writer, NAMES[number - 1 :: 3], tmp_path / "slides")
            assert len(part.slides()) == len(NAMES[number - 1 :: 3])
    with made.part(2, 3) as part:
        assert part.verify(deep=True) == []
    assert made.slides() == []  # nothing of a part is seen before the merge
    assert made.verify() == []  # and nothing of it is a left-over
    with made.writer() as writer:
        assert writer.sweep() == 0
    result = merge_parts(made)
    assert (result.parts, result.slides, result.segments, result.failed) == (3, 7, 12, 1)
    assert result.missing == ()
    assert rows_of(made) == rows_of(single)
    assert state_of(made) == state_of(single)
    assert made.thumbnail("s5") == single.thumbnail("s5")
    assert len(made.runs()) == 3
    assert [line.slide_id for run in made.runs() for line in made.run_log(run.number)] == ["s3"]
    assert not (made.path / "parts").exists()
    assert merge_parts(made) == replace(result, parts=0, slides=0, segments=0, failed=0)


def test_parts_at_once(
    make_library: Callable[..., Library], single: Library, tmp_path: Path
) -> None:
    """Interleaved in one process: no part waits for another, or for the library."""
    made = make_library("parts")
    first, second = made.part(1, 2), made.part(2, 2)
    with first, second, first.writer() as one, second.writer() as two, made.writer() as whole:
        for name in NAMES[0::2]:
            work(one, [name], tmp_path / "slides")
        work(two, NAMES[1::2], tmp_path / "slides")
        assert whole.sweep() == 0
        with pytest.raises(LibraryLockedError):
            made.part(1, 2).writer().__enter__()
    merge_parts(made)
    assert state_of(made) == state_of(single)


def test_a_part_that_is_at_work_stops_the_merge(
    make_library: Callable[..., Library], tmp_path: Path
) -> None:
    made = make_library("parts")
    with made.part(1, 2) as part, part.writer() as writer:
        work(writer, ["s0"], tmp_path / "slides")
        with pytest.raises(LibraryLockedError):
            merge_parts(made)
        assert made.slides() == []
    assert merge_parts(made).missing == (2,)
    assert [s.slide_id for s in made.slides()] == ["s0"]


KILLED = """
import os, sys
sys.path[:0] = [sys.argv[2], sys.argv[3]]
import test_maintenance_merge as case
from pathsearch.library import Library
from pathlib import Path
library = Library.open(sys.argv[1])
with library.part(2, 2) as part, part.writer() as writer:
    case.work(writer, case.NAMES[1:3], Path(sys.argv[1]).parent / "slides")
    segment = writer.open_segment(case.slide("s5"), case.SPEC, 448)
    os._exit(9)
"""


def test_a_killed_part_is_run_again(
    make_library: Callable[..., Library], single: Library, tmp_path: Path
) -> None:
    made = make_library("parts")
    with made.part(1, 2) as part, part.writer() as writer:
        work(writer, NAMES[0::2], tmp_path / "slides")
    here = Path(__file__)
    folders = [str(here.parent), str(here.parents[1] / "library")]
    command = [sys.executable, "-c", KILLED, str(made.path), *folders]
    assert subprocess.run(command, check=False).returncode == 9
    with made.part(2, 2) as part, part.writer() as writer:
        assert {s.slide_id for s in part.slides()} == {"s1", "s2"}
        work(writer, NAMES[1::2], tmp_path / "slides")
    merge_parts(made)
    assert state_of(made) == state_of(single)
    assert made.verify(deep=True) == []


def test_what_a_part_that_was_killed_at_its_start_left_is_swept(
    make_library: Callable[..., Library], tmp_path: Path
) -> None:
    made = make_library("parts")
    left, starting = (made.path / "parts" / f"tmp-part-{n}-of-2-0123abcd" for n in (1, 2))
    for folder in (left, starting):
        folder.mkdir(parents=True)
        (folder / "catalog.db").write_bytes(b"half")
    with made.part(1, 2) as part, part.writer() as writer:
        work(writer, NAMES, tmp_path / "slides")
    merge_parts(made)
    assert not left.exists()
    assert starting.exists()  # the second part may be at it
    with made.part(2, 2) as part, part.writer():
        pass
    with made.writer() as writer:
        assert writer.sweep() == 1
    assert not starting.exists()
    merge_parts(made)
    assert not (made.path / "parts").exists()


def test_a_merge_that_is_killed_is_repeated(
    make_library: Callable[..., Library],
    single: Library,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = make_library("parts")
    for number in (1, 2):
        with made.part(number, 2) as part, part.writer() as writer:
            work(writer, NAMES[number - 1 :: 2], tmp_path / "slides")

    def die(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pathsearch.maintenance.merge.drop_part", die)
        with pytest.raises(KeyboardInterrupt):
            merge_parts(made)
    assert len(part_folders(made)) == 2
    assert merge_parts(made).segments == 0
    assert state_of(made) == state_of(single)
    assert rows_of(made) == rows_of(single)


def test_a_part_brings_the_newer_content(
    make_library: Callable[..., Library], tmp_path: Path
) -> None:
    made = make_library("parts")
    with made.writer() as writer:
        work(writer, ["s0", "s1"], tmp_path / "slides")
    with made.part(1, 1) as part, part.writer() as writer:
        writer.ensure_root("archive", tmp_path / "slides")
        put(writer, slide("s0", "new content"), 4, seed=3)
        writer.put_failure(SlideRecord("s1", "archive", "s1"), ReadFailedError("gone"))
    merge_parts(made)
    live = {(s.slide_id, s.spec): s.rows for s in made.segments()}
    assert live[("s0", SPEC.name)] == 4
    assert live[("s1", SPEC.name)] == 10  # what was good before stays
    assert (made.slide("s1").status, made.slide("s1").width) == ("failed", 100_000)
    assert made.slide("s0").fingerprint == "new content"


def test_what_parts_refuse(make_library: Callable[..., Library], tmp_path: Path) -> None:
    made = make_library("parts")
    for number, count in ((0, 2), (3, 2), (1, 0)):
        with pytest.raises(UsageError, match="--part"):
            made.part(number, count)
    with made.part(1, 2) as part, part.writer() as writer:
        with pytest.raises(UsageError, match="before its parts"):
            writer.add_spec(TileSpec(mpp=1.0))
        work(writer, ["s0"], tmp_path / "slides")
        key = part.segments()[0].key
    with pytest.raises(UsageError, match="another division"):
        made.part(1, 3)
    remove_tree(made.embeddings_path / key)
    with pytest.raises(LibraryCorruptError, match="run the parts again"):
        merge_parts(made)
    assert made.slides() == []
