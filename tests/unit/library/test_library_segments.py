"""Segments: what goes in comes out, all or nothing, and the newest counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from library_cases import COARSE, DIM, SPEC, grid, put, slide, state_of, unit_vectors

from pathsearch.config import TileSpec
from pathsearch.errors import (
    EncoderInvalidError,
    EncoderMismatchError,
    LibraryCorruptError,
    LibraryWriteError,
    SegmentGoneError,
    UsageError,
)
from pathsearch.library import Library, SegmentRecord, row_ids, segment_key, split_row_ids
from pathsearch.library.arrays import digest_of
from pathsearch.library.durable import remove_tree


@pytest.mark.parametrize("n", [1, 5, 4095, 4096, 4097, 9000])
def test_what_goes_in_comes_out(library: Library, n: int) -> None:
    """Against arrays kept in memory; rounding to float16 is the only change."""
    vectors, coords = unit_vectors(n), grid(n)
    tissue = np.linspace(0, 1, n, dtype=np.float32)
    record = slide("s")
    with library.writer() as writer:
        piece = writer.open_segment(record, SPEC, 448, enlarged=1.2, facts={"precision": "bf16"})
        piece.append(coords, vectors, tissue)
        made = piece.commit(record, bad_patches=3)
    (listed,) = library.segments()
    assert listed == made
    assert (listed.rows, listed.footprint, listed.mpp, listed.bad_patches) == (n, 448, 0.25, 3)
    assert (listed.enlarged, listed.facts) == (1.2, {"precision": "bf16"})
    found = library.read_segment(listed)
    assert [a.dtype for a in (found.coords, found.vectors, found.norms, found.tissue)] == [
        np.int64,
        np.float16,
        np.float32,
        np.float32,
    ]
    np.testing.assert_array_equal(found.coords, coords)
    np.testing.assert_array_equal(found.vectors, vectors.astype(np.float16))
    np.testing.assert_array_equal(found.tissue, tissue)
    # The exact cosine: dividing by the norms gives vectors of length 1 again.
    lengths = np.linalg.norm(found.vectors.astype(np.float64) / found.norms[:, None], axis=1)
    np.testing.assert_allclose(lengths, 1.0, atol=1e-6)
    assert library.verify(deep=True) == []


def test_vectors_made_elsewhere_keep_their_length(library: Library) -> None:
    """What came in can be given back, to float16's precision."""
    n = 5000
    scales = np.linspace(0.5, 40, n, dtype=np.float32)
    came_in = unit_vectors(n) * scales[:, None]
    lengths = np.linalg.norm(came_in, axis=1)
    record = slide("s")
    with library.writer() as writer:
        segment = writer.open_segment(record, SPEC, 448)
        for part in (slice(0, 4500), slice(4500, n)):
            unit = came_in[part] / lengths[part, None]
            segment.append(grid(n)[part], unit, np.ones(len(unit), np.float32), lengths[part])
        with pytest.raises(ValueError, match="every piece or with none"):
            segment.append(grid(1), unit_vectors(1), np.ones(1, np.float32))
        put(writer, slide("t"))
        segment = writer.open_segment(record, SPEC, 448)
        segment.append(grid(n), unit_vectors(n), np.ones(n, np.float32), lengths)
        made = segment.commit(record)
    found = library.read_segment(made)
    assert found.scales is not None
    given_back = found.vectors.astype(np.float64) / found.norms[:, None] * found.scales[:, None]
    np.testing.assert_allclose(given_back, came_in, atol=1e-3 * 40)
    some = library.read_rows(made, [4999, 0])
    assert some.scales is not None
    np.testing.assert_array_equal(some.scales, lengths[[4999, 0]])
    assert library.read_segment(library.segments()[0]).scales is None
    assert library.verify(deep=True) == []


def test_pieces_of_any_size_give_the_same_files(make_library: Callable[..., Library]) -> None:
    n, record = 9000, slide("s")
    states = []
    for name, cuts in (("one", [n]), ("few", [4000, 97, 4903]), ("many", [1, 0, 4095, 4096, 808])):
        made = make_library(name)
        with made.writer() as writer:
            segment, start = writer.open_segment(record, SPEC, 448), 0
            for cut in cuts:
                part = slice(start, start + cut)
                segment.append(grid(n)[part], unit_vectors(n)[part], np.ones(cut, dtype=np.float32))
                start += cut
            assert segment.rows == n
            segment.commit(record)
        states.append(state_of(made))
    assert states[0] == states[1] == states[2]


def test_some_rows_in_the_order_asked_for(library: Library) -> None:
    with library.writer() as writer:
        made = put(writer, slide("s"), 5000)
    whole = library.read_segment(made)
    rows = np.array([4999, 0, 4096, 4095, 17, 17])
    some = library.read_rows(made, rows)
    np.testing.assert_array_equal(some.coords, whole.coords[rows])
    np.testing.assert_array_equal(some.vectors, whole.vectors[rows])
    assert len(library.read_rows(made, [])) == 0
    with pytest.raises(IndexError):
        library.read_rows(made, [5000])
    with pytest.raises(IndexError):
        library.read_rows(made, [-1])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda v: v * 1.1, EncoderInvalidError, "length 1"),
        (lambda v: np.where(v == v[1, 1], np.nan, v), EncoderInvalidError, "1 of 3"),
        (lambda v: np.where(v == v[1, 1], np.inf, v), EncoderInvalidError, "infinity"),
        (lambda v: v * 0, EncoderInvalidError, "3 of 3"),
        (lambda v: v[:, :4], EncoderMismatchError, "8 numbers"),
        (lambda v: v[:2], ValueError, "differ"),
    ],
)
def test_vectors_are_checked(
    library: Library, change: Callable[[np.ndarray], np.ndarray], error: type, words: str
) -> None:
    record = slide("s")
    with library.writer() as writer:
        segment = writer.open_segment(record, SPEC, 448)
        with pytest.raises(error, match=words):
            segment.append(grid(3), change(unit_vectors(3)), np.ones(3, dtype=np.float32))
        segment.abort()
    assert library.segments() == []


def test_nothing_is_there_before_the_commit(library: Library) -> None:
    record = slide("s")
    with library.writer() as writer:
        segment = writer.open_segment(record, SPEC, 448)
        segment.append(grid(5000), unit_vectors(5000), np.ones(5000, dtype=np.float32))
        assert library.segments() == []
        assert library.slides() == []
        segment.abort()
        with pytest.raises(ValueError, match="closed"):
            segment.append(grid(1), unit_vectors(1), np.ones(1, dtype=np.float32))
        with pytest.raises(ValueError, match="closed"):
            segment.commit(record)
    assert [p.name for p in library.embeddings_path.iterdir()] == ["zarr.json"]


def test_the_newest_content_retires_the_older(library: Library) -> None:
    with library.writer() as writer:
        first = put(writer, slide("s"), 5)
        other = put(writer, slide("s"), 3, spec=COARSE)
        second = put(writer, slide("s", "changed"), 6, seed=1)
    assert [s.number for s in library.segments()] == [other.number, second.number]
    assert [s.number for s in library.segments(SPEC.name)] == [second.number]
    every = library.segments(include_removed=True)
    assert [(s.number, s.removed) for s in every] == [(1, True), (2, False), (3, False)]
    assert len(library.read_segment(first)) == 5  # a reader that still asks is served


def test_the_same_segment_again_changes_nothing(library: Library) -> None:
    with library.writer() as writer:
        first = put(writer, slide("s"), 5)
        before = state_of(library)
        again = put(writer, slide("s"), 5)
    assert again == first
    assert state_of(library) == before
    assert len(library.segments(include_removed=True)) == 1


def test_a_live_segment_is_never_rewritten(library: Library) -> None:
    """Other numbers for the same key (another machine's rounding) are dropped."""
    with library.writer() as writer:
        first = put(writer, slide("s"), 5)
        before = state_of(library)
        assert put(writer, slide("s"), 5, seed=9) == first
    assert state_of(library) == before
    assert library.verify() == []


def test_damaged_arrays_are_replaced_by_good_ones(library: Library) -> None:
    with library.writer() as writer:
        first = put(writer, slide("s"), 5)
        chunk = library.embeddings_path / first.key / "vectors" / "c" / "0" / "0"
        chunk.write_bytes(chunk.read_bytes()[::-1])
        assert library.verify() != []
        put(writer, slide("s"), 5)
        assert library.verify() == []
        remove_tree(library.embeddings_path / first.key)
        again = put(writer, slide("s"), 5, seed=4)
    assert again.number > first.number
    assert library.verify() == []
    assert len(library.read_segment(again)) == 5


def test_numbers_are_never_used_again(library: Library) -> None:
    with library.writer() as writer:
        put(writer, slide("a"))
        last = put(writer, slide("b"))
        with writer.transaction() as connection:
            connection.execute("DELETE FROM segments")
        assert put(writer, slide("c")).number == last.number + 1


def test_a_removed_slide_comes_back_without_encoding(library: Library) -> None:
    with library.writer() as writer:
        first = put(writer, slide("s"), 5)
        assert writer.remove_slides(["s"]) == 1
        assert library.segments() == []
        assert library.slides() == []
        assert library.slide("s").status == "removed"
        again = writer.reuse_segment(slide("s"), SPEC)
        assert again is not None
        assert writer.reuse_segment(slide("t"), SPEC) is None
        assert writer.reuse_segment(slide("s", "changed"), SPEC) is None
    assert again.number > first.number
    assert again.key == first.key
    assert library.slide("s").status == "indexed"
    assert library.verify() == []


def test_a_removed_slide_may_come_back_by_encoding(library: Library) -> None:
    with library.writer() as writer:
        first = put(writer, slide("s"), 5)
        writer.remove_slides(["s"])
        again = put(writer, slide("s"), 5, seed=3)  # other rounding: replaces what is unused
    assert again.number > first.number
    assert library.verify() == []


def test_an_empty_slide_is_remembered(library: Library) -> None:
    with library.writer() as writer:
        made = writer.put_empty(slide("s"), SPEC, 448, bad_patches=2)
        assert (made.rows, made.bad_patches) == (0, 2)
        assert writer.put_empty(slide("s"), SPEC, 448) == made
        assert library.slide("s").status == "empty"
        assert library.segments(include_empty=False) == []
        assert [s.key for s in library.segments()] == [writer.key_for(slide("s"), SPEC)]
        put(writer, slide("s"), spec=COARSE)
        assert library.slide("s").status == "indexed"
        again = writer.put_empty(slide("s"), SPEC)
    assert library.slide("s").status == "indexed"
    arrays = library.read_segment(again)
    assert arrays.vectors.shape == (0, DIM)
    assert library.verify() == []


def test_a_segment_without_rows_is_an_empty_one(library: Library) -> None:
    with library.writer() as writer:
        made = writer.open_segment(slide("s"), SPEC, 448).commit(slide("s"))
    assert made.rows == 0
    assert library.slide("s").status == "empty"
    assert library.verify() == []


def test_missing_arrays_are_damage_or_gone(library: Library) -> None:
    with library.writer() as writer:
        made = put(writer, slide("s"))
        gone = put(writer, slide("t"))
        writer.remove_slides(["t"])
    for segment in (made, gone):
        remove_tree(library.embeddings_path / segment.key)
    with pytest.raises(LibraryCorruptError, match="missing"):
        library.read_segment(made)
    with pytest.raises(SegmentGoneError, match="ask again"):
        library.read_segment(gone)


@pytest.mark.parametrize("name", ["coords/c/0/0", "vectors/c/1/0", "norms/c/1", "tissue/c/0"])
def test_a_missing_chunk_is_never_read_as_zeros(library: Library, name: str) -> None:
    with library.writer() as writer:
        made = put(writer, slide("s"), 5000)
    (library.embeddings_path / made.key / name).unlink()
    with pytest.raises(LibraryCorruptError, match="chunk"):
        library.read_segment(made)


def test_tissue_of_zero_is_stored(library: Library) -> None:
    """Zarr leaves out chunks of zeros by default; then damage could not be told."""
    record = slide("s")
    with library.writer() as writer:
        segment = writer.open_segment(record, SPEC, 448)
        segment.append(np.zeros((1, 2), np.int64), unit_vectors(1), np.zeros(1, np.float32))
        made = segment.commit(record)
    assert (library.embeddings_path / made.key / "tissue" / "c" / "0").exists()
    assert library.read_segment(made).tissue.tolist() == [0.0]


def test_foreign_specs_and_slides_are_refused(library: Library) -> None:
    with library.writer() as writer:
        with pytest.raises(UsageError, match="not one of"):
            writer.open_segment(slide("s"), TileSpec(mpp=1.0), 448)
        with pytest.raises(ValueError, match="fingerprint"):
            writer.key_for(replace(slide("s"), mpp=None), SPEC)
        segment = writer.open_segment(slide("s"), SPEC, 448)
        with pytest.raises(ValueError, match="not t"):
            segment.commit(slide("t"))


def test_disk_full_while_appending(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    with library.writer() as writer:
        put(writer, slide("a"))
        before = state_of(library)
        segment = writer.open_segment(slide("b"), SPEC, 448)

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("pathsearch.library.arrays.GroupWriter._write", fail)
            with pytest.raises(LibraryWriteError, match="disk is full"):
                segment.append(grid(5000), unit_vectors(5000), np.ones(5000, np.float32))
        for step in ("sync_tree", "move"):
            segment = writer.open_segment(slide("b"), SPEC, 448)
            segment.append(grid(5), unit_vectors(5), np.ones(5, np.float32))
            with monkeypatch.context() as patch:
                patch.setattr(f"pathsearch.library.segment_writer.{step}", fail)
                with pytest.raises(LibraryWriteError, match="disk is full"):
                    segment.commit(slide("b"))
        assert state_of(library) == before
        assert library.verify() == []
        put(writer, slide("b"))
    assert len(library.segments()) == 2
    assert library.verify() == []


def test_keys_are_of_everything_that_decides_the_vectors() -> None:
    base = ("s", "content", 0.25, SPEC, "encoder")
    changed = [
        ("t", "content", 0.25, SPEC, "encoder"),
        ("s", "other", 0.25, SPEC, "encoder"),
        ("s", "content", 0.26, SPEC, "encoder"),
        ("s", "content", 0.25, TileSpec(stride_px=112), "encoder"),
        ("s", "content", 0.25, TileSpec(min_tissue=0.5), "encoder"),
        ("s", "content", 0.25, TileSpec(color="srgb"), "encoder"),
        ("s", "content", 0.25, SPEC, "another"),
        ("s,content", "", 0.25, SPEC, "encoder"),
    ]
    keys = {segment_key(*arguments) for arguments in [base, *changed]}
    keys |= {segment_key(*base, regions=text) for text in ("replace:1", "restrict:1", "replace:2")}
    assert len(keys) == len(changed) + 4
    assert segment_key(*base, regions="") == segment_key(*base)
    # Part of the format: a change would encode every archive anew.
    assert segment_key(*base) == "f413cd3b17a482a99ffb2f3abdaa0eb0c88c3f8f"
    for hostile in ("../../etc", "C:\\x", "zarr.json", "", "a\nb", "\ud800"):
        key = segment_key(hostile, "c", 0.25, SPEC, "e")
        assert len(key) == 40
        assert set(key) <= set("0123456789abcdef")


def test_hostile_ids_stay_inside(library: Library) -> None:
    names = ["../../out", "/etc/passwd", "a/zarr.json", "ü ° \n", "x" * 300, "'; DROP TABLE slides"]
    with library.writer() as writer:
        for number, name in enumerate(names):
            put(writer, slide(name), 3, seed=number)
    assert [s.slide_id for s in library.segments()] == names
    assert library.verify(deep=True) == []


def test_row_ids_go_there_and_back() -> None:
    rows = np.array([0, 1, 2**32 - 1])
    ids = row_ids(2**31 - 1, rows)
    assert ids.dtype == np.int64
    assert (ids > 0).all()
    segments, back = split_row_ids(ids)
    assert set(segments.tolist()) == {2**31 - 1}
    np.testing.assert_array_equal(back, rows)
    record = SegmentRecord(7, "s", "spec", "k", 3, 448, 0.25)
    assert record.first_row_id == 7 << 32


def test_the_digest_is_over_all_four_arrays(library: Library) -> None:
    with library.writer() as writer:
        made = put(writer, slide("s"), 5)
    arrays = library.read_segment(made)
    assert digest_of(arrays) == made.digest
    for name in ("coords", "vectors", "norms", "tissue"):
        changed = getattr(arrays, name).copy()
        changed.flat[0] += 1
        assert digest_of(replace(arrays, **{name: changed})) != made.digest
