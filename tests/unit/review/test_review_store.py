"""The record: what is written is read back, by several at once, and nothing is lost."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import review_cases as cases

from pathsearch.errors import ReviewError, ReviewNotFoundError
from pathsearch.library import Library
from pathsearch.review import Reviews, reviewer_name, set_reviewer_name
from pathsearch.review.upkeep import check_reviews
from pathsearch.search import Searcher
from pathsearch.testing.plain_encoder import PlainEncoder

HERE = Path(__file__).parent


def child(*words, home=None):
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE), environment.get("PYTHONPATH", "")])
    if home is not None:
        environment["HOME"] = str(home)
    return subprocess.Popen(
        [sys.executable, str(HERE / "review_child.py"), *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_a_round_comes_back_as_it_was(reviews, answer, searcher):
    controls = searcher.random_matches(answer.query, 3, seed=1)
    one = reviews.record(answer, controls=controls, title="first look")
    held = reviews.get()
    assert held.title == "first look"
    assert held.reviewer == "Ada"
    assert held.rounds == (one,)
    assert tuple(s.match for s in one.matches if not s.control) == answer.matches
    assert tuple(s.match for s in one.matches if s.control) == controls
    assert one.query == answer.query
    assert one.recall == answer.recall
    assert one.segments == ((1, 4),)
    assert one.fingerprint == searcher.library.encoder.fingerprint
    assert (one.number, one.kind, one.erased) == (1, "ask", False)


def test_verdicts_count_until_they_are_corrected_or_taken_back(reviews, answer):
    review = reviews.record(answer).review
    first, second = answer.matches[0].key, answer.matches[1].key
    reviews.judge(review, [first, second], "accept", label="tumour")
    reviews.judge(review, first, "reject", note="no: artefact")
    held = reviews.get(review)
    assert len(held.verdicts) == 3
    assert {k: v.decision for k, v in held.current().items()} == {first: "reject", second: "accept"}
    assert held.current()[first].note == "no: artefact"
    assert reviews.undo(review).key == first
    assert reviews.get(review).current()[first].decision == "accept"
    assert reviews.undo(review, second).key == second
    assert second not in reviews.get(review).current()
    assert reviews.undo(review).key == first
    assert reviews.undo(review) is None
    held = reviews.get(review)
    assert held.current() == {}
    assert len(held.verdicts) == 3
    assert all(v.undone for v in held.verdicts)


def test_one_reviewer_does_not_take_back_anothers(reviews, library, answer):
    review = reviews.record(answer).review
    place = answer.matches[0].key
    reviews.judge(review, place, "accept")
    with Reviews(library, reviewer="Bo") as other:
        assert other.undo(review) is None
        other.judge(review, place, "reject")
        held = other.get(review)
    assert held.reviewers == ("Ada", "Bo")
    assert held.current("Ada")[place].decision == "accept"
    assert held.current("Bo")[place].decision == "reject"
    assert held.current()[place].decision == "reject"


def test_the_refined_question_holds_the_verdicts_and_no_controls(reviews, answer, searcher):
    control = searcher.random_matches(answer.query, 1, seed=3)
    review = reviews.record(answer, controls=control).review
    keys = [m.key for m in answer.matches]
    reviews.judge(review, keys[:2], "accept")
    reviews.judge(review, keys[2], "reject")
    reviews.judge(review, keys[3], "unsure")
    reviews.judge(review, control[0].key, "accept")
    query = reviews.get(review).refined(k=5)
    assert (query.accepted, query.rejected, query.shown) == (
        tuple(keys[:2]), (keys[2],), (keys[3],),
    )  # fmt: skip
    second = searcher.search(query)
    assert not {m.key for m in second.matches} & set(keys[:4])
    reviews.record(second, review=review, kind="refine")
    reviews.judge(review, keys[0], "reject")
    again = reviews.get(review).refined(more=True)
    assert keys[0] in again.rejected
    assert keys[0] not in again.accepted
    assert {m.key for m in (*answer.matches, *second.matches)} <= set(again.shown)


def test_the_list_counts_what_counts_and_ids_may_be_short(reviews, answer):
    first = reviews.record(answer, title="one").review
    second = reviews.record(answer, title="two").review
    reviews.judge(first, answer.matches[0].key, "accept")
    reviews.judge(first, answer.matches[0].key, "unsure")
    reviews.rename(second, "deux")
    listed = reviews.list()
    assert [s.title for s in listed] == ["deux", "one"]
    assert (listed[1].accepted, listed[1].unsure, listed[1].matches) == (0, 1, 8)
    assert reviews.get(first[:9]).review == first
    assert reviews.get("last").review == second
    with pytest.raises(ReviewNotFoundError, match="no such review"):
        reviews.get("zzz")
    with pytest.raises(ReviewError, match="accept, reject, unsure"):
        reviews.judge(first, answer.matches[0].key, "maybe")


def test_random_controls_are_no_verdicts_on_matches(reviews, answer, searcher):
    controls = searcher.random_matches(answer.query, 4, seed=1)
    keys = {m.key for m in answer.matches}
    controls = [m for m in controls if m.key not in keys]
    review = reviews.record(answer, controls=controls).review
    reviews.judge(review, [m.key for m in controls], "reject", blinded=True)
    reviews.judge(review, answer.matches[0].key, "accept")
    (summary,) = reviews.list()
    assert controls
    assert (summary.accepted, summary.rejected) == (1, 0)


@pytest.mark.parametrize("homes", [(None, None), ("one", "two")], ids=["one-file", "two-files"])
def test_two_processes_write_verdicts_at_once(reviews, library, answer, homes, tmp_path):
    review = reviews.record(answer).review
    children = [
        child("judge", library.path, review, who, 25, home=home and tmp_path / home)
        for who, home in zip(("Cy", "Di"), homes, strict=True)
    ]
    for one in children:
        assert one.stdout.readline() == "ready\n"
    stamp = reviews.stamp()
    for one in children:
        one.stdin.write("go\n")
        one.stdin.flush()
    for number in range(25):
        reviews.judge(review, cases.key(number), "reject", note=f"Ada {number}")
    for one in children:
        one.communicate()
        assert one.returncode == 0
    assert reviews.stamp() != stamp
    held = reviews.get(review)
    wanted = {f"{who} {n}" for who in ("Ada", "Cy", "Di") for n in range(25)}
    assert {v.note for v in held.verdicts} == wanted
    assert len(held.verdicts) == 75
    assert len(list((library.path / "reviews").glob("*.db"))) == (1 if homes[0] is None else 3)
    for who in ("Ada", "Cy", "Di"):
        numbers = [int(v.note.split()[1]) for v in held.verdicts if v.reviewer == who]
        assert numbers == list(range(25))


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_whenever_a_process_is_killed_what_it_was_told_is_kept_is_there(reviews, library, answer):
    review = reviews.record(answer).review
    random = np.random.default_rng(0)
    for run in range(int(os.environ.get("PATHSEARCH_KILLS", "4"))):
        writing = child("endless", library.path, review, f"Kim{run}", 0)
        said = [int(writing.stdout.readline())]
        deadline = time.monotonic() + random.uniform(0.0, 0.15)
        while time.monotonic() < deadline:
            said.append(int(writing.stdout.readline()))
        writing.kill()
        rest, _ = writing.communicate()
        said += [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        notes = [v.note for v in reviews.get(review).verdicts if v.reviewer == f"Kim{run}"]
        assert notes[: len(said)] == [f"Kim{run} {n}" for n in said]
        assert len(notes) - len(said) in (0, 1)  # the last may not have been told of
    assert check_reviews(library) == []


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_process_killed_in_mid_write_loses_nothing(reviews, library, answer):
    review = reviews.record(answer).review
    reviews.judge(review, cases.key(30), "unsure", note="before")
    dying = child("die", library.path, review, "Cy", 5)
    dying.communicate()
    assert dying.returncode == -signal.SIGKILL
    journal = next((library.path / "reviews").glob("*.db-journal"))
    assert journal.stat().st_size > 0
    with Reviews(library, reviewer="Ada") as fresh:
        notes = [v.note for v in fresh.get(review).verdicts]
        assert notes == ["before", *(f"Cy {n}" for n in range(5))]
        fresh.judge(review, cases.key(31), "accept", note="after")
    assert [v.note for v in reviews.get(review).verdicts][-1] == "after"
    assert not journal.exists()


def test_half_a_write_is_not_read_from_a_folder_that_cannot_be_written(reviews, library, answer):
    review = reviews.record(answer).review
    dying = child("die", library.path, review, "Cy", 2)
    dying.communicate()
    reviews.close()
    file = next((library.path / "reviews").glob("*.db"))
    before = file.read_bytes()
    with (
        Library.open(library.path, read_only=True) as closed,
        Reviews(closed, reviewer="") as reader,
    ):
        assert [v.note for v in reader.get(review).verdicts] == ["Cy 0", "Cy 1"]
    assert file.read_bytes() == before


def test_a_library_that_cannot_be_written_keeps_its_reviews_with_the_user(reviews, library, answer):
    old = reviews.record(answer).review
    inside = {p.name: p.read_bytes() for p in (library.path / "reviews").iterdir()}
    with (
        Library.open(library.path, read_only=True) as closed,
        Reviews(closed, reviewer="Ada") as mine,
    ):
        assert library.path not in mine.folder.parents
        mine.judge(old, answer.matches[0].key, "accept")
        new = mine.record(Searcher(closed, PlainEncoder(dim=cases.DIM)).search(answer.query)).review
        mine.log_export("csv", "x.csv", items=8)
    assert {p.name: p.read_bytes() for p in (library.path / "reviews").iterdir()} == inside
    assert {s.review for s in reviews.list()} == {old, new}
    assert list(reviews.get(old).current()) == [answer.matches[0].key]
    assert [e.target for e in reviews.exports()] == ["x.csv"]


def test_a_damaged_file_of_another_is_named_and_does_not_stop_the_rest(reviews, library, answer):
    review = reviews.record(answer).review
    (library.path / "reviews" / "broken.db").write_bytes(b"this is no database" * 100)
    (library.path / "reviews" / "begun.db").write_bytes(b"")
    assert [s.review for s in reviews.list()] == [review]
    assert len(reviews.problems) == 1
    assert "broken.db" in reviews.problems[0]


def test_the_clock_may_go_back_and_the_order_stays(reviews, answer):
    review = reviews.record(answer).review
    with reviews.files.own().transaction() as connection:
        late = "2999-01-01T00:00:00.000000+00:00"
        connection.execute("UPDATE meta SET value = ? WHERE key = 'clock'", (late,))
    for note in "abc":
        reviews.judge(review, cases.key(0), "accept", note=note)
    held = reviews.get(review)
    assert [v.note for v in held.verdicts] == ["a", "b", "c"]
    assert held.current()[cases.key(0)].note == "c"


def test_the_name_is_asked_once(library):
    assert reviewer_name() == ""
    with Reviews(library) as unnamed:
        assert unnamed.identity.startswith("unnamed-")
    set_reviewer_name("  Ada \n Lovelace ")
    assert reviewer_name() == "Ada Lovelace"
    with Reviews(library) as named:
        assert named.reviewer == named.identity == "Ada Lovelace"
    with pytest.raises(ReviewError, match="100 characters"):
        set_reviewer_name("x" * 101)


def test_the_files_belong_to_the_reader_only_where_they_can_be_written(reviews, library, answer):
    folder = library.path / "reviews"
    folder.mkdir()
    if os.access(folder, os.W_OK) and os.name != "nt" and os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert library.path not in reviews.folder.parents
        assert reviews.record(answer).number == 1
    finally:
        folder.chmod(0o755)
