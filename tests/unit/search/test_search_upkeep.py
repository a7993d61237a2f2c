"""An index is trusted only where it is the library's own, and is built again where it is not."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from search_cases import DIM, SPEC, clustered, keys, make, put

from pathsearch.cli import main
from pathsearch.errors import UsageError
from pathsearch.index.files import sha256
from pathsearch.library import Library
from pathsearch.nouns import Query, Vector
from pathsearch.search import Searcher, rebuild_index
from pathsearch.search.build import index_damage, uncovered_share
from pathsearch.testing.plain_encoder import PlainEncoder

FILES = ("vectors.f16", "norms.f32", "coords.i32", "segments.npy", "background.npz", "lists.faiss")


@pytest.fixture
def library(tmp_path):
    made = make(tmp_path / "l.pathsearch", 4, 600)
    with made:
        with made.writer() as writer:
            rebuild_index(made, writer, SPEC.name, kind="ivf")
        yield made


def folder_of(library):
    return library.index_path / library.index_state(SPEC.name).folder


def question(seed=5, **words):
    return Query((Vector(tuple(clustered(1, seed)[0].tolist())),), k=12, **words)


def searcher_of(library, **words):
    return Searcher(library, PlainEncoder(dim=DIM), **words)


def flip(path):
    """Another byte in the middle; size and time stay."""
    facts = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_is_noticed_and_not_searched(library, name):
    exact = searcher_of(library).search(question(exact=True))
    flip(folder_of(library) / name)
    searcher = searcher_of(library)
    answer = searcher.search(question())
    assert name in answer.notes[0]
    assert answer.recall.exact
    assert keys(answer) == keys(exact)
    assert searcher.has_damaged_index(SPEC.name)
    assert name in index_damage(library, SPEC.name)
    assert uncovered_share(library, SPEC.name) == 1.0


def test_files_that_agree_with_each_other_but_not_with_the_library(library):
    """Vectors of elsewhere with a manifest that was made to fit."""
    folder = folder_of(library)
    path = folder / "vectors.f16"
    vectors = np.fromfile(path, "<f2").reshape(-1, DIM)
    vectors[::-1].tofile(path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["vectors.f16"] = sha256(path)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    answer = searcher_of(library).search(question())
    assert "does not hold the patches of s0" in answer.notes[0]


def test_an_index_that_is_gone_is_built_again_beside_the_questions(library):
    before = keys(searcher_of(library).search(question(exact=True)))
    for path in folder_of(library).iterdir():
        path.unlink()
    searcher = searcher_of(library, upkeep=True)
    assert keys(searcher.search(question())) == before
    searcher.upkeep.wait(60)
    assert index_damage(library, SPEC.name) == ""
    after = searcher.search(question())
    assert after.notes == ()
    assert keys(after) == before
    assert not searcher.has_damaged_index(SPEC.name)


def test_the_command_answers_first_and_then_builds_again(library, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("pathsearch.encoders.load_encoder", lambda *_, **__: PlainEncoder(dim=DIM))
    flip(folder_of(library) / "lists.faiss")
    asked = tmp_path / "q.json"
    asked.write_text(json.dumps({"like": [{"vector": clustered(1, 5)[0].tolist()}], "k": 3}))
    words = ["query", str(library.path), "--query", str(asked), "--tally", "organ", "--json"]
    for says in ("is whole again", ""):
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capsys.readouterr()
        assert not ended.value.code
        answer = json.loads(said.out)
        assert len(answer["matches"]) == 3
        assert {line["value"] for line in answer["tally"]["organ"]} <= {"lung", "skin", "liver"}
        assert says in said.err
    assert "index" not in said.err


def test_the_kind_that_was_chosen_is_kept(library):
    with library.writer() as writer:
        assert rebuild_index(library, writer, SPEC.name).kind == "ivf"
        assert library.index_state(SPEC.name).facts["chosen"] == "ivf"
        assert rebuild_index(library, writer, SPEC.name, kind="auto").kind == "exact"
        assert rebuild_index(library, writer, SPEC.name).kind == "exact"
        with pytest.raises(UsageError, match="no spec 'x'"):
            rebuild_index(library, writer, "x")


def test_a_new_slide_does_not_open_the_index_again(library, monkeypatch):
    searcher = searcher_of(library)
    searcher.search(question())
    opened = searcher.pool(SPEC.name).opened
    for number in (4, 5):
        with library.writer() as writer:
            put(library, writer, number, 600)
        monkeypatch.setattr("pathsearch.search.pool.checked_index", None)  # would fail
        answer = searcher.search(question())
        assert searcher.pool(SPEC.name).opened is opened
        assert keys(answer) == keys(searcher.search(question(exact=True)))
        assert keys(answer) == keys(searcher_of_fresh(library, monkeypatch).search(question()))
    assert searcher.pool(SPEC.name).tail.exact.size == 1200


def searcher_of_fresh(library, monkeypatch):
    """A searcher that reads everything anew."""
    monkeypatch.undo()
    return searcher_of(Library.open(library.path))


def test_an_index_that_is_changed_while_it_is_open_is_noticed_with_the_next_slide(library):
    searcher = searcher_of(library)
    assert searcher.search(question()).notes == ()
    path = folder_of(library) / "norms.f32"
    path.write_bytes(path.read_bytes()[:-4])
    with library.writer() as writer:
        put(library, writer, 4, 600)
    assert "norms.f32" in searcher.search(question()).notes[0]
