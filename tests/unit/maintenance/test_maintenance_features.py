"""Import of features: both layouts, what is missing, the encoder's check, going on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from feature_cases import (
    LEVEL0,
    SIZE,
    clam,
    clam_coords,
    draw,
    features_of,
    grid,
    made_up,
    trident,
    write,
)

from pathsearch.config import IndexSettings
from pathsearch.errors import (
    EncoderMismatchError,
    EncoderNotFoundError,
    FeaturesError,
    MppMissingError,
    QueryError,
    SlideIdClashError,
    UsageError,
)
from pathsearch.indexing import find_sources, index_slides
from pathsearch.indexing.manifest import read_manifest
from pathsearch.indexing.report import Listener
from pathsearch.library import Library
from pathsearch.maintenance import Given, ImportEncoder, find_tasks, import_features
from pathsearch.nouns import Picture, Point, Query, Region, Vector
from pathsearch.search import Searcher
from pathsearch.testing import PlainEncoder

SETTINGS = IndexSettings(slides={"isolate": False})
NAMED = ImportEncoder(name="uni_v1")


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Three slides, two of one name."""
    folder = tmp_path_factory.mktemp("slides")
    for number, name in enumerate(["a.tiff", "b.tiff", "sub/b.tiff"]):
        draw(folder / name, seed=number)
    return folder


@pytest.fixture(scope="module")
def vectors(slides):
    return {n: features_of(slides / n, PlainEncoder()) for n in ("a.tiff", "b.tiff", "sub/b.tiff")}


def bring(target, features, *, given=None, who=NAMED, listener=None, **match):
    """Import into a library that may be there; the report."""
    library = Library.open(target) if target.exists() else None
    tasks = find_tasks([features], library=library, **match)
    if library is not None:
        library.close()
    return import_features(
        target, tasks, given or Given(), who, settings=SETTINGS, listener=listener
    )


def faults(library):
    """What verify finds wrong; an index that was replaced is a note."""
    return [p for p in library.verify(deep=True) if p.severity == "error"]


def kinds(done):
    return {o.slide_id: o.kind for o in done.report.outcomes}


def test_trident_features_are_searched_where_they_lie(slides, vectors, tmp_path):
    trident(tmp_path / "f" / "a.h5", vectors["a.tiff"])
    trident(tmp_path / "f" / "sub" / "b.h5", vectors["sub/b.tiff"])
    done = bring(tmp_path / "l", tmp_path / "f", slides=[slides])
    assert kinds(done) == {"a.tiff": "indexed", "sub/b.tiff": "indexed"}
    assert done.report.patches == 40
    with Library.open(tmp_path / "l") as library:
        assert faults(library) == []
        assert list(library.specs) == ["1um-256px"]
        assert (library.encoder.name, library.encoder.bound) == ("uni_v1", False)
        segment = library.segments()[0]
        assert (segment.footprint, segment.mpp) == (LEVEL0, 0.5)
        assert "secret" not in json.dumps(dict(segment.facts))
        assert library.thumbnail("a.tiff")
        held = library.read_segment(segment)
        assert np.array_equal(held.coords, grid())
        back = held.vectors.astype(np.float32) * held.scales[:, None]
        assert np.allclose(back, vectors["a.tiff"], rtol=2**-11, atol=2**-24 * 11)
        asked = Query(like=(Point("a.tiff", 3 * LEVEL0 + 256, LEVEL0 + 256),), k=5, guard=0)
        answer = Searcher(library).search(asked)
        assert "no encoder" in answer.notes[0]
        unit = vectors["a.tiff"] / np.linalg.norm(vectors["a.tiff"], axis=1, keepdims=True)
        whole = np.concatenate(
            [unit, vectors["sub/b.tiff"] / np.linalg.norm(vectors["sub/b.tiff"], axis=1)[:, None]]
        )
        oracle = np.sort(np.delete(whole @ unit[3 * 4 + 1], 3 * 4 + 1))[::-1][:5]
        assert np.allclose([m.score for m in answer.matches], oracle, atol=1e-3)


def test_clam_features_need_their_coordinates(slides, vectors, tmp_path):
    clam(tmp_path / "feat" / "h5_files" / "a.h5", vectors["a.tiff"])
    with pytest.raises(FeaturesError, match="--coords"):
        bring(tmp_path / "l", tmp_path / "feat", slides=[slides])
    with pytest.raises(FeaturesError, match="--spec-mpp"):
        bring(tmp_path / "l", tmp_path / "feat", slides=[slides], given=Given(256))
    assert not (tmp_path / "l").exists()
    clam_coords(tmp_path / "run" / "patches" / "a.h5")
    by_coords = bring(tmp_path / "l", tmp_path / "feat", slides=[slides], coords=tmp_path / "run")
    by_words = bring(tmp_path / "m", tmp_path / "feat", slides=[slides], given=Given(256, 1.0))
    assert by_coords.report.patches == by_words.report.patches == 20
    with Library.open(tmp_path / "l") as one, Library.open(tmp_path / "m") as other:
        (a,), (b,) = one.segments(), other.segments()
        assert (a.footprint, a.digest, one.specs) == (b.footprint, b.digest, other.specs)


def test_clams_pt_files_come_in_with_coordinates(slides, vectors, tmp_path):
    (tmp_path / "pt_files").mkdir()
    torch.save(torch.from_numpy(vectors["a.tiff"]), tmp_path / "pt_files" / "a.pt")
    clam_coords(tmp_path / "run" / "patches" / "a.h5")
    with pytest.raises(FeaturesError, match=r"\.pt file holds no coordinates"):
        bring(tmp_path / "l", tmp_path / "pt_files", slides=[slides])
    done = bring(tmp_path / "l", tmp_path / "pt_files", slides=[slides], coords=tmp_path / "run")
    assert done.report.patches == 20


def test_slides_may_be_missing_if_their_size_and_mpp_are_known(slides, vectors, tmp_path):
    trident(tmp_path / "f" / "a.h5", vectors["a.tiff"])
    with pytest.raises(MppMissingError, match="a magnification does not"):
        bring(tmp_path / "l", tmp_path / "f")
    assert kinds(bring(tmp_path / "l", tmp_path / "f", mpp=0.5)) == {"a": "indexed"}
    with Library.open(tmp_path / "l") as library:
        assert faults(library) == []
        assert (library.slide("a").width, library.slide("a").height) == SIZE
        region = Region.rectangle("a", 0, 0, 2 * LEVEL0, 2 * LEVEL0)
        assert len(Searcher(library).search(Query(like=(region,), k=3)).matches) == 3
    # Later the slides are found: the slide keeps its id and gets its file
    assert kinds(bring(tmp_path / "l", tmp_path / "f", slides=[slides])) == {"a": "indexed"}
    with Library.open(tmp_path / "l") as library:
        assert faults(library) == []
        assert library.locate(library.slide("a")) == slides / "a.tiff"
        assert len(library.segments()) == 1
    trident(tmp_path / "old" / "a.h5", vectors["a.tiff"], level0_width=None, level0_height=None)
    with pytest.raises(FeaturesError, match="width and height"):
        bring(tmp_path / "m", tmp_path / "old", mpp=0.5)


def test_a_manifest_names_slides_cases_and_sizes(vectors, tmp_path):
    trident(tmp_path / "f" / "x1.h5", vectors["a.tiff"], level0_width=None, level0_height=None)
    manifest = tmp_path / "m.csv"
    manifest.write_text(
        "path,features,slide_id,case_id,mpp,width,height,organ\n"
        f"gone/a.svs,f/x1.h5,S1,C1,0.5,{SIZE[0]},{SIZE[1]},lung\n"
    )
    done = bring(tmp_path / "l", tmp_path / "f", manifest=read_manifest(manifest))
    assert kinds(done) == {"S1": "indexed"}
    with Library.open(tmp_path / "l") as library:
        slide = library.slide("S1")
        assert (slide.case_id, dict(slide.metadata)) == ("C1", {"organ": "lung"})
        assert (slide.width, slide.height, slide.mpp) == (*SIZE, 0.5)
        assert faults(library) == []


def test_names_that_fit_several_slides_are_not_guessed(slides, vectors, tmp_path):
    trident(tmp_path / "f" / "x" / "b.h5", vectors["b.tiff"])
    trident(tmp_path / "f" / "a.h5", vectors["a.tiff"])
    done = bring(tmp_path / "l", tmp_path / "f", slides=[slides])
    failed = done.report.of("failed")[0]
    assert failed.code == "features-invalid"
    assert "b.tiff and sub/b.tiff" in failed.message
    assert "columns path and features" in failed.message.replace("  ", " ")
    with pytest.raises(SlideIdClashError, match=r"a\.h5"):
        find_tasks([tmp_path / "f" / "a.h5", shutil.copytree(tmp_path / "f", tmp_path / "g")])


def test_the_encoder_that_made_the_features_is_bound(slides, vectors, tmp_path):
    trident(tmp_path / "f" / "a.h5", vectors["a.tiff"])
    trident(tmp_path / "f" / "b.h5", vectors["b.tiff"])
    only = [slides / "a.tiff", slides / "b.tiff"]
    who = ImportEncoder(PlainEncoder(), "plain")
    with pytest.raises(EncoderMismatchError, match="did not make these vectors"):
        bring(tmp_path / "l", tmp_path / "f", who=ImportEncoder(PlainEncoder(1)), slides=only)
    with pytest.raises(EncoderMismatchError, match="32 numbers"):
        bring(tmp_path / "l", tmp_path / "f", who=ImportEncoder(PlainEncoder(dim=8)), slides=only)
    with pytest.raises(EncoderMismatchError, match="--slides"):
        bring(tmp_path / "l", tmp_path / "f", who=who, mpp=0.5)
    assert not (tmp_path / "l").exists()
    done = bring(tmp_path / "l", tmp_path / "f", who=who, slides=only)
    assert (done.agreement.patches, done.agreement.slides) == (40, 2)
    assert done.agreement.least > 0.9999
    assert done.to_json()["encoder_check"]["median_cosine"] > 0.9999
    with Library.open(tmp_path / "l") as library:
        assert library.encoder.bound
        assert faults(library) == []
        sources = find_sources([slides / "sub" / "b.tiff"], library=library)
        index_slides(library, sources, PlainEncoder(), SETTINGS)
        assert {s.spec for s in library.segments()} == {"1um-256px"}
        assert len(library.slides("indexed")) == 3
        searcher = Searcher(library, PlainEncoder())
        new = Region.rectangle(str(slides / "sub" / "b.tiff"), 0, 0, 900, 900)
        assert searcher.search(Query(like=(new,), k=3)).notes == ()


def test_without_an_encoder_what_needs_pixels_says_so(slides, vectors, tmp_path):
    trident(tmp_path / "f" / "a.h5", vectors["a.tiff"][:4])
    bring(tmp_path / "l", tmp_path / "f", slides=[slides])
    with Library.open(tmp_path / "l") as library:
        searcher = Searcher(library)
        for example in (Picture("x.png", 0.5), Point(str(slides / "b.tiff"), 900, 900)):
            with pytest.raises(EncoderNotFoundError, match="without an encoder"):
                searcher.search(Query(like=(example,)))
        with pytest.raises(QueryError, match="stored patches cannot stand in"):
            searcher.search(Query(like=(Point("a.tiff", 2000, 1000),)))
        own = Vector(tuple(vectors["a.tiff"][2].tolist()))
        assert searcher.search(Query(like=(own,), k=1)).matches[0].score > 0.999
        assert np.isfinite(searcher.map(Query(like=(own,)), "a.tiff").values).sum() == 4
        with pytest.raises(EncoderNotFoundError):
            library.encoder_source()


def test_a_name_is_needed_and_must_stay(slides, vectors, tmp_path):
    trident(tmp_path / "f" / "a.h5", vectors["a.tiff"])
    with pytest.raises(UsageError, match="calls it 'uni_v1'"):
        bring(tmp_path / "l", tmp_path / "f", who=ImportEncoder(), slides=[slides])
    bring(tmp_path / "l", tmp_path / "f", slides=[slides])
    other = tmp_path / "g"
    trident(other / "b.h5", made_up(dim=16))
    with pytest.raises(EncoderMismatchError, match="not of 'conch'"):
        bring(tmp_path / "l", other, who=ImportEncoder(name="conch"), mpp=0.5)
    with pytest.raises(EncoderMismatchError, match="import into a new library"):
        bring(tmp_path / "l", other, who=ImportEncoder(PlainEncoder()), mpp=0.5)
    done = bring(tmp_path / "l", other, who=ImportEncoder(), mpp=0.5)
    assert done.report.of("failed")[0].code == "encoder-mismatch"


def test_an_import_goes_on_and_takes_only_what_is_new(slides, vectors, tmp_path):
    trident(tmp_path / "f" / "a.h5", vectors["a.tiff"])
    trident(tmp_path / "f" / "x.h5", made_up(seed=1))
    trident(tmp_path / "f" / "y.h5", made_up(seed=2))

    class Stop(Listener):
        def outcome(self, outcome):
            if outcome.slide_id == "x":
                raise KeyboardInterrupt

    cut = bring(tmp_path / "l", tmp_path / "f", slides=[slides], mpp=0.5, listener=Stop())
    assert cut.report.interrupted
    rest = bring(tmp_path / "l", tmp_path / "f", slides=[slides], mpp=0.5)
    assert kinds(rest) == {"a.tiff": "unchanged", "x": "unchanged", "y": "indexed"}
    whole = bring(tmp_path / "m", tmp_path / "f", slides=[slides], mpp=0.5)
    assert whole.report.patches == 60
    with Library.open(tmp_path / "l") as one, Library.open(tmp_path / "m") as other:
        assert [s.key for s in one.segments()] == [s.key for s in other.segments()]
        assert [s.digest for s in one.segments()] == [s.digest for s in other.segments()]
        assert faults(one) == []
    # Other features of the same slide do not slip in unseen
    trident(tmp_path / "f" / "y.h5", made_up(seed=3))
    changed = bring(tmp_path / "l", tmp_path / "f", slides=[slides], mpp=0.5)
    assert "other patches of it" in changed.report.of("failed")[0].message
    with Library.open(tmp_path / "l") as library, library.writer() as writer:
        writer.remove_slides(["y"])
    again = bring(tmp_path / "l", tmp_path / "f", slides=[slides], mpp=0.5)
    assert kinds(again)["y"] == "indexed"


def test_resolutions_that_are_near_share_a_spec_and_others_get_their_own(tmp_path):
    trident(tmp_path / "f" / "a.h5", made_up())
    trident(tmp_path / "f" / "b.h5", made_up(seed=1), patch_size_level0=470)
    trident(tmp_path / "f" / "c.h5", made_up(seed=2), patch_size_level0=256, overlap=64)
    done = bring(tmp_path / "l", tmp_path / "f", mpp=0.5)
    with Library.open(tmp_path / "l") as library:
        held = {s.slide_id: (s.spec, s.footprint) for s in library.segments()}
        assert library.specs["0.5um-256px"].stride_px == 192
        assert faults(library) == []
    assert held == {
        "a": ("1um-256px", 512), "b": ("1um-256px", 470), "c": ("0.5um-256px", 256),
    }  # fmt: skip
    assert "1um-256px: the patches of 1 slides are 0.92" in done.report.notes[0]


def broken(path, kind):
    """A file that cannot be taken, by what is wrong with it."""
    vectors, xy = made_up(), grid()
    if kind == "text":
        path.write_text("no HDF5")
    elif kind == "cut":
        trident(path, vectors)
        path.write_bytes(path.read_bytes()[:3000])
    elif kind == "slide vector":
        write(path, {"features": vectors[0], "coords": xy})
    elif kind == "no features":
        clam_coords(path)
    elif kind == "fewer coords":
        trident(path, vectors, xy[:7])
    elif kind == "outside":
        trident(path, vectors, xy + 2000)
    elif kind == "not finite":
        trident(path, np.where(np.arange(20)[:, None] < 8, np.nan, vectors))
    elif kind == "odd attribute":
        trident(path, vectors, patch_size="large")
    elif kind == "other slide":
        trident(path, vectors, level0_width=99)
    elif kind == "not square":
        clam(path, vectors)
        with h5py.File(path, "a") as file:
            file["coords"].attrs.update(patch_size=256, patch_level=1, downsample=(2.0, 4.0))


WRONG = {
    "text": "cannot be read",
    "cut": "cannot be read",
    "slide vector": "one vector for the whole slide",
    "no features": "no dataset 'features'",
    "fewer coords": "20 vectors, but",
    "outside": "not within the slide",
    "not finite": "not finite",
    "odd attribute": "not a positive number",
    "other slide": "was made from a slide of 99",
    "not square": "not square",
}


@pytest.mark.parametrize("kind", list(WRONG))
def test_a_bad_file_is_one_line_and_the_rest_goes_on(kind, slides, vectors, tmp_path):
    (tmp_path / "f").mkdir()
    trident(tmp_path / "f" / "b.h5", vectors["b.tiff"])
    broken(tmp_path / "f" / "a.h5", kind)
    only = [slides / "a.tiff", slides / "b.tiff"]
    done = bring(tmp_path / "l", tmp_path / "f", slides=only)
    assert kinds(done) == {"a.tiff": "failed", "b.tiff": "indexed"}
    failed = done.report.of("failed")[0]
    assert WRONG[kind] in failed.message
    assert failed.code == "features-invalid"
    assert "\n" not in failed.message
    with Library.open(tmp_path / "l") as library:
        assert faults(library) == []
        assert any("features-invalid" in line.message for line in library.run_log(1))


def test_some_bad_vectors_twins_and_empty_files(slides, tmp_path):
    vectors, xy = made_up(), grid()
    vectors[3], xy[5] = 0.0, xy[4]
    trident(tmp_path / "f" / "a.h5", vectors, xy)
    trident(tmp_path / "f" / "z.h5", np.empty((0, 32), np.float32), np.empty((0, 2), np.int64))
    done = bring(tmp_path / "l", tmp_path / "f", slides=[slides], mpp=0.5)
    assert kinds(done) == {"a.tiff": "indexed", "z": "empty"}
    first = done.report.outcomes[0]
    assert first.patches == 18
    assert "1 patches were in it twice" in first.note
    assert "1 vectors are not finite" in first.note
    with Library.open(tmp_path / "l") as library:
        assert faults(library) == []
        assert library.segments()[0].bad_patches == 1


def test_wrong_words(tmp_path):
    for paths, words in (
        ([tmp_path / "nowhere"], "no such file"),
        ([tmp_path], "no .h5"),
        ([Path(__file__)], "come as .h5"),
    ):
        with pytest.raises(UsageError, match=words):
            find_tasks(paths)
    trident(tmp_path / "a.h5", made_up())
    with pytest.raises(UsageError, match="no such folder"):
        find_tasks([tmp_path], coords=tmp_path / "nowhere")
    elsewhere = trident(tmp_path / "q" / "b.h5", made_up())
    with pytest.raises(FeaturesError, match="no coordinates of it"):
        bring(tmp_path / "l", elsewhere, coords=tmp_path, mpp=0.5)
