"""Ids, roots and clashes. The files here are never opened, only found."""

from __future__ import annotations

import pytest

from pathsearch.config import TileSpec
from pathsearch.errors import SlideIdClashError, UsageError
from pathsearch.indexing import find_sources
from pathsearch.indexing.manifest import read_manifest
from pathsearch.library import EncoderRecord, Library, SlideRecord
from pathsearch.testing.plain_encoder import PlainEncoder


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def ids(sources):
    return [source.slide_id for source in sources]


@pytest.fixture
def library(tmp_path):
    encoder = PlainEncoder()
    record = EncoderRecord(
        encoder.name, encoder.dim, encoder.input_px, encoder.mpp_range, encoder.fingerprint
    )
    path = tmp_path / "l.pathsearch"
    with Library.create(path, specs=[TileSpec()], encoder=record, encoder_files=None) as made:
        yield made


def keep(library, sources):
    with library.writer() as writer:
        for name, path in {(s.root, s.root_path) for s in sources}:
            writer.ensure_root(name, path)
        writer.put_slides(
            [
                SlideRecord(s.slide_id, s.root, s.relative, case_id=s.case_id, fingerprint=str(n))
                for n, s in enumerate(sources)
            ]
        )


def test_ids_are_paths_below_the_root_so_one_file_name_may_occur_twice(tmp_path):
    folder = touch(tmp_path / "a", "one/s.svs", "two/s.svs", "s.svs")
    sources = find_sources([folder])
    assert ids(sources) == ["one/s.svs", "s.svs", "two/s.svs"]
    assert {source.root for source in sources} == {"a"}


def test_a_file_belongs_to_its_folder(tmp_path):
    folder = touch(tmp_path / "a", "s.svs", "t.svs")
    (source,) = find_sources([folder / "s.svs"])
    assert (source.slide_id, source.root, source.root_path) == ("s.svs", "a", folder)


def test_two_folders_that_give_one_id_are_refused_with_the_way_out(tmp_path):
    one = touch(tmp_path / "one", "s.svs")
    two = touch(tmp_path / "two", "s.svs")
    with pytest.raises(SlideIdClashError, match="--root-name"):
        find_sources([one, two])
    sources = find_sources([one, two], root_names=["A", "B"])
    assert ids(sources) == ["A/s.svs", "B/s.svs"]


def test_a_folder_that_was_named_keeps_its_prefix_later(tmp_path, library):
    one = touch(tmp_path / "one", "s.svs")
    keep(library, find_sources([one], root_names=["A"], library=library))
    touch(one, "t.svs")
    assert ids(find_sources([one], library=library)) == ["A/s.svs", "A/t.svs"]
    assert ids(find_sources([one / "t.svs"], library=library)) == ["A/t.svs"]


def test_a_folder_inside_a_root_belongs_to_that_root(tmp_path, library):
    folder = touch(tmp_path / "a", "sub/s.svs")
    keep(library, find_sources([folder], library=library))
    assert ids(find_sources([folder / "sub"], library=library)) == ["sub/s.svs"]


def test_a_folder_around_a_root_is_refused(tmp_path, library):
    folder = touch(tmp_path / "a", "sub/s.svs", "t.svs")
    keep(library, find_sources([folder / "sub"], library=library))
    with pytest.raises(SlideIdClashError, match="lies inside"):
        find_sources([folder], library=library)


def test_the_same_folder_twice_is_one_folder(tmp_path):
    folder = touch(tmp_path / "a", "s.svs")
    assert ids(find_sources([folder, folder / "s.svs", folder])) == ["s.svs"]


def test_manifest_rows_annotate_and_add(tmp_path, library):
    folder = touch(tmp_path / "a", "s.svs", "t.svs")
    other = touch(tmp_path / "b", "u.svs")
    manifest = tmp_path / "m.csv"
    manifest.write_text(
        f"path,slide_id,case_id,mpp,organ\na/s.svs,S-1,C1,0.25,lung\n{other / 'u.svs'},,C2,,skin\n"
    )
    rows = read_manifest(manifest)
    sources = find_sources([folder], manifest=rows, library=library, mpp=0.4)
    assert ids(sources) == ["S-1", "t.svs", "u.svs"]
    first, second, third = sources
    assert (first.case_id, first.mpp, first.metadata) == ("C1", 0.25, {"organ": "lung"})
    assert (second.case_id, second.mpp) == ("", 0.4)
    assert (third.case_id, third.mpp, third.root) == ("C2", 0.4, "b")
    keep(library, sources)
    again = find_sources([folder], library=library)
    assert ids(again) == ["S-1", "t.svs"]  # without the manifest, what is known is kept
    assert again[0].case_id == "C1"


def test_a_manifest_row_that_is_missing_on_disk_is_not_lost(tmp_path):
    manifest = tmp_path / "m.csv"
    manifest.write_text("path\ngone.svs\n")
    (source,) = find_sources([], manifest=read_manifest(manifest))
    assert source.slide_id == "gone.svs"


def test_a_known_slide_cannot_be_given_another_id(tmp_path, library):
    folder = touch(tmp_path / "a", "s.svs")
    keep(library, find_sources([folder], library=library))
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,slide_id\na/s.svs,OTHER\n")
    with pytest.raises(SlideIdClashError, match=r"as 's\.svs', not 'OTHER'"):
        find_sources([folder], manifest=read_manifest(manifest), library=library)


@pytest.mark.parametrize("name", ["", "a/b", ".x", "a\\b", "a:b"])
def test_root_names_that_break_ids_are_refused(tmp_path, name):
    folder = touch(tmp_path / "a", "s.svs")
    with pytest.raises(UsageError, match="cannot be used"):
        find_sources([folder], root_names=[name])


def test_root_names_must_be_as_many_as_paths(tmp_path):
    folder = touch(tmp_path / "a", "s.svs")
    with pytest.raises(UsageError, match="1 paths need 1"):
        find_sources([folder], root_names=["A", "B"])


def test_a_linked_slide_belongs_to_the_folder_of_the_link(tmp_path):
    archive = touch(tmp_path / "archive", "deep/real.svs")
    folder = tmp_path / "chosen"
    folder.mkdir()
    try:
        (folder / "a.svs").symlink_to(archive / "deep" / "real.svs")
    except OSError:
        pytest.skip("links cannot be made here")
    sources = find_sources([folder])
    assert ids(sources) == ["a.svs"]
    assert sources[0].root_path == folder
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,case_id\nchosen/a.svs,C1\n")
    annotated = find_sources([folder], manifest=read_manifest(manifest))
    assert [s.case_id for s in annotated] == ["C1"]
