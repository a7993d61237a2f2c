"""Erasing a patient: nothing of it is left in any file of the library."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from library_cases import COARSE, SPEC, put, slide

from pathsearch.errors import LibraryError, ReadFailedError, SlideNotFoundError, UsageError
from pathsearch.library import Library, SlideRecord
from pathsearch.maintenance import purge
from pathsearch.search.build import rebuild_index

#: As bytes they may stand in no file afterwards.
TRACES = ("MUSTERMANN", "case-4711", "private/one.svs", "two-private.svs")


@pytest.fixture
def full(library: Library, tmp_path: Path) -> Library:
    """Two slides of the patient under several specs, contents and states; two of others."""
    (tmp_path / "MUSTERMANN").mkdir()
    with library.writer() as writer:
        run = writer.start_run("index private/one.svs")
        own = {"case_id": "case-4711", "metadata": {"name": "MUSTERMANN"}}
        put(writer, slide("private/one.svs", **own), 30)
        put(writer, slide("private/one.svs", "changed", **own), 30, seed=1)
        put(writer, slide("private/one.svs", "changed", **own), 5, seed=2, spec=COARSE)
        writer.ensure_root("own", tmp_path / "MUSTERMANN")
        second = SlideRecord("two-private.svs", "own", "two-private.svs", **own)
        writer.put_failure(second, ReadFailedError("MUSTERMANN/two-private.svs: broken"))
        writer.log(run, "MUSTERMANN/two-private.svs: broken", slide_id="two-private.svs")
        writer.log(run, "skipped: looks like private/one.svs", slide_id="other.svs")
        writer.log(run, "begun")
        put(writer, slide("other.svs", case_id="case-1"), 30, seed=3)
        put(writer, slide("gone.svs", case_id="case-1"), 30, seed=4)
        writer.remove_slides(["gone.svs"])
        for name in ("private/one.svs", "other.svs"):
            writer.save_thumbnail(name, b"\xff\xd8\xff" + name.encode())
        rebuild_index(library, writer, SPEC.name)
    old = library.path / "before-v2"
    old.mkdir()
    library.catalog.backup_to(old / "catalog.db")
    return library


def files_with(library: Library, word: str) -> list[str]:
    return [
        path.name
        for path in library.path.rglob("*")
        if path.is_file() and word.encode() in path.read_bytes()
    ]


def test_nothing_of_the_patient_is_left(full: Library) -> None:
    for trace in TRACES:
        assert files_with(full, trace)  # otherwise the test shows nothing
    vectors = full.read_segment(full.segments()[0]).vectors.tobytes()
    assert any(vectors in p.read_bytes() for p in full.path.rglob("vectors.f16"))
    receipt = purge(full, case_ids=["case-4711"])
    for trace in TRACES:
        assert files_with(full, trace) == []
    for path in full.path.rglob("*"):
        assert not path.is_file() or vectors not in path.read_bytes()
    assert (receipt.slides, receipt.segments, receipt.patches, receipt.thumbnails) == (2, 3, 65, 1)
    assert receipt.indexes == (SPEC.name,)
    assert receipt.verified
    text = str(asdict(receipt))
    assert not any(trace in text for trace in (*TRACES, "private", str(full.path)))
    assert any("Encoders trained" in line for line in receipt.not_reached)
    assert [s.slide_id for s in full.slides("all")] == ["gone.svs", "other.svs"]
    assert full.verify(deep=True) == []
    assert full.thumbnail("other.svs") is not None
    state = full.index_state(SPEC.name)
    assert state is not None
    assert state.covered == tuple(s.number for s in full.segments(SPEC.name))
    assert [line.message for line in full.run_log(1)] == ["begun"]
    assert full.runs()[0].command == "(erased)"
    assert full.runs()[-1].counts == {"slides": 2, "patches": 65}


def test_one_slide_of_a_case_may_go(full: Library) -> None:
    receipt = purge(full, slide_ids=["private/one.svs"], rebuild=False)
    assert (receipt.slides, receipt.rebuilt) == (1, False)
    assert full.index_state(SPEC.name) is None
    assert files_with(full, "private/one.svs") == []
    assert full.slide("two-private.svs").case_id == "case-4711"
    assert [p for p in full.verify(deep=True) if p.severity == "error"] == []


def test_unknown_words_erase_nothing(full: Library) -> None:
    before = full.generation()
    with pytest.raises(SlideNotFoundError, match="case-4712"):
        purge(full, case_ids=["case-4711", "case-4712"])
    with pytest.raises(SlideNotFoundError, match=r"nosuch\.svs"):
        purge(full, slide_ids=["nosuch.svs"])
    with pytest.raises(UsageError, match="name the cases"):
        purge(full)
    assert full.generation() == before
    with full.part(1, 2), pytest.raises(UsageError, match="merge"):
        purge(full, case_ids=["case-4711"])


@pytest.mark.parametrize("step", ["_erase_files", "_check"])
def test_an_erasure_that_is_killed_goes_on(
    full: Library, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"pathsearch.maintenance.erasure.{step}", die)
        with pytest.raises(KeyboardInterrupt):
            purge(full, case_ids=["case-4711"])
    assert full.slides() != []
    assert purge(full, case_ids=["case-4711"]).verified
    for trace in TRACES:
        assert files_with(full, trace) == []
    assert full.verify(deep=True) == []
    with pytest.raises(SlideNotFoundError):  # done is done
        purge(full, case_ids=["case-4711"])


def test_what_is_left_is_an_error(full: Library) -> None:
    (full.path / "notes.txt").write_text("ask about case-4711")
    with pytest.raises(LibraryError, match=r"notes\.txt"):
        purge(full, case_ids=["case-4711"])
    (full.path / "notes.txt").unlink()
    assert purge(full, case_ids=["case-4711"]).slides == 0


def test_words_that_are_part_of_others_are_no_false_alarm(library: Library) -> None:
    """The erased id is the beginning of one that stays."""
    with library.writer() as writer:
        put(writer, slide("archive/one.svs", case_id="long-case"), 3)
        put(writer, slide("archive/one.svs.bak", case_id="long-case-2"), 3, seed=1)
    assert purge(library, case_ids=["long-case"]).slides == 1
    assert [s.slide_id for s in library.slides("all")] == ["archive/one.svs.bak"]


def test_short_cases_are_checked_row_by_row(library: Library) -> None:
    with library.writer() as writer:
        put(writer, slide("a", case_id="1"), 3)
        put(writer, slide("b", case_id="2"), 3, seed=1)
    assert purge(library, case_ids=["1"]).slides == 1
    assert [s.case_id for s in library.slides("all")] == ["2"]
