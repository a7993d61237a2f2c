"""`index --from`: a library's slides, and what was said of them, with another encoder."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pathsearch.cli import main
from pathsearch.config import IndexSettings
from pathsearch.errors import UsageError
from pathsearch.indexing import find_sources, index_slides
from pathsearch.indexing.carry import carried
from pathsearch.indexing.manifest import read_manifest
from pathsearch.indexing.run import open_or_create
from pathsearch.library import EncoderRecord, Library, SlideRecord
from pathsearch.nouns import Point, Query
from pathsearch.review import Reviews
from pathsearch.review.repeat import new_slides, replay
from pathsearch.search import Searcher
from pathsearch.testing import PlainEncoder, make_slide

SPECS = ({"mpp": 1.0}, {"mpp": 2.0, "size_px": 128})
ENCODERS = {"plain": PlainEncoder(), "other": PlainEncoder(seed=1)}


@pytest.fixture
def run(capfd, monkeypatch, tmp_path):
    """The command line; `plain` and `other` are encoders."""
    monkeypatch.setenv("PATHSEARCH_CONFIG_DIR", str(tmp_path / "settings"))
    monkeypatch.setenv("PATHSEARCH_USER_DATA_DIR", str(tmp_path / "own"))
    monkeypatch.setattr("pathsearch.encoders.load_encoder", lambda spec, **_: ENCODERS[str(spec)])

    def call(*words):
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return ended.value.code or 0, out, err

    return call


@pytest.fixture
def old(tmp_path):
    """Two slides, one with an id, a case, metadata and an mpp of the manifest's own."""
    folder = tmp_path / "slides"
    (folder / "sub").mkdir(parents=True)
    make_slide(folder / "a.tiff", size=(1500, 1300), mpp=0.5, seed=0)
    make_slide(folder / "sub" / "b.tiff", size=(1500, 1300), stated_mpp=None, seed=1)
    manifest = folder / "m.csv"
    manifest.write_text(
        "path,slide_id,case_id,mpp,organ\na.tiff,,C1,,lung\nsub/b.tiff,B,C2,0.5,skin\n"
    )
    settings = IndexSettings(specs=SPECS, slides={"isolate": False})
    path = tmp_path / "old.pathsearch"
    with open_or_create(path, settings, ENCODERS["plain"], "plain") as library:
        sources = find_sources([folder], manifest=read_manifest(manifest), library=library)
        index_slides(library, sources, ENCODERS["plain"], settings)
    return path


def test_slides_and_what_is_known_of_them_are_carried(run, old, tmp_path):
    new = tmp_path / "new.pathsearch"
    status, out, err = run("index", "--from", old, "--encoder", "other", "-l", new, "--json")
    assert (status, json.loads(out)["indexed"]) == (0, 2), err
    with Library.open(old) as one, Library.open(new) as other:
        assert other.encoder.fingerprint == ENCODERS["other"].fingerprint
        assert other.specs == one.specs
        assert other.roots() == one.roots()
        assert other.slides() == one.slides()
        assert [s.slide_id for s in one.slides()] == ["B", "a.tiff"]
        assert [p for p in other.verify() if p.severity == "error"] == []
        for a, b in zip(one.segments(), other.segments(), strict=True):
            assert (a.slide_id, a.spec) == (b.slide_id, b.spec)
            assert (a.footprint, a.mpp) == (b.footprint, b.mpp)
            held, fresh = one.read_segment(a), other.read_segment(b)
            assert np.array_equal(held.coords, fresh.coords)
            assert not np.allclose(held.vectors, fresh.vectors, atol=0.1)
    again = run("index", "--from", old, "--encoder", "other", "-l", new, "--json")
    assert json.loads(again[1])["unchanged"] == 2


def test_reviews_are_carried_and_no_slide_is_taken_for_a_new_one(run, old, tmp_path):
    with Library.open(old) as library, library.writer() as writer:
        writer.remove_slides(["B"])  # so that segments have other numbers in the new library
    with Library.open(old) as library, Reviews(library, reviewer="Ada") as reviews:
        assert [s.slide_id for s in carried(library).sources] == ["a.tiff"]
        spec = next(iter(library.specs))
        query = Query(like=(Point("a.tiff", 700, 700),), k=3, spec=spec, guard=0)
        first = reviews.record(Searcher(library, ENCODERS["plain"]).search(query), title="tumour")
        reviews.judge(first.review, first.matches[0].match.key, "accept")
        before = reviews.get(first.review)
    new = tmp_path / "new.pathsearch"
    status, _, err = run("index", "--from", old, "--encoder", "other", "-l", new)
    assert status == 0
    assert "reviews were copied" in err
    with Library.open(new) as library, Reviews(library, reviewer="Ada") as reviews:
        held = reviews.get(first.review)
        assert held.rounds[0].matches == before.rounds[0].matches
        assert held.current() == before.current()
        assert new_slides(held, library) == ()
        told = replay(reviews, Searcher(library, ENCODERS["other"]), first.review)
        assert any("encoder is another" in reason for reason in told.reasons)
        reviews.judge(first.review, first.matches[0].match.key, "reject")
    # What was said since is not written over
    assert "copied" not in run("index", "--from", old, "--encoder", "other", "-l", new)[2]
    with Library.open(new) as library, Reviews(library, reviewer="Ada") as reviews:
        (now,) = reviews.get(first.review).current().values()
        assert now.decision == "reject"


def test_a_slide_that_is_gone_is_one_failure(run, old, tmp_path):
    (tmp_path / "slides" / "a.tiff").unlink()
    new = tmp_path / "new.pathsearch"
    status, out, _ = run("index", "--from", old, "--encoder", "other", "-l", new, "--json")
    report = json.loads(out)
    assert (status, report["indexed"]) == (3, 1)
    assert [(f["slide_id"], f["code"]) for f in report["failed"]] == [("a.tiff", "slide-not-found")]


def test_what_cannot_be_carried_is_said(old):
    with Library.open(old) as library:
        with library.writer() as writer:
            writer.put_slide(SlideRecord("unseen", "", "unseen", width=9, height=9, mpp=0.5))
        what = carried(library)
    assert [s.slide_id for s in what.sources] == ["B", "a.tiff"]
    assert "1 slides (for instance unseen) were imported without their files" in what.notes[0]


def test_wrong_words(run, old, tmp_path):
    new = tmp_path / "new.pathsearch"
    for words, said in (
        (["--library", old], "one library"),
        (["--library", new, tmp_path / "slides"], "leave SLIDES out"),
        (["--library", new, "--spec-mpp", "1"], "leave --spec-mpp out"),
    ):
        status, _, err = run("index", "--from", old, "--encoder", "other", *words)
        assert status == 2
        assert said in err
    assert not new.exists()
    missing = run("index", "--from", tmp_path / "nowhere", "--encoder", "other", "-l", new)
    assert missing[0] == 1
    empty = EncoderRecord("e", 4, 224, (0.1, 1.0), "ab", source="x")
    made = Library.create(tmp_path / "empty", specs=IndexSettings().specs, encoder=empty)
    with made, pytest.raises(UsageError, match="no slide whose file is known"):
        carried(made)
